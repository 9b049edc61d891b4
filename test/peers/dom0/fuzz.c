/* Random ioctls on the lab's devices: numbers that are and are not, arguments of random bytes, wild pointers in them and for them,
 * descriptors that are wrong. Arguments: how many, a seed, a domain. Every call must answer; nothing is unmapped that is ours. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "check.h"

static uint64_t state;
static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* privcmd HYPERCALL may end domains, which is no fault: destroydomain and the like are left out by never getting dom0's interface version. */
static const uint32_t COMMANDS[] = {
    0x44500,  0x84501,  0x44502,  0x44503,  0x44504,    0x4505,     0x24506,  0x44507,  0x305000, 0x105002, 0x185003,
    0x205004, 0x105005, 0x205007, 0x40185008, 0x40305009, 0x184700, 0x104701, 0x184702, 0x104707, 0x505099, 0,
};

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    long count = atol(argv[1]);
    state = strtoull(argv[2], NULL, 10) | 1;
    uint16_t dom = (uint16_t)atoi(argv[3]);
    const char *paths[] = {"/dev/xen/evtchn", "/dev/xen/privcmd", "/dev/xen/gntdev", "/dev/xen/hypercall"};
    int fds[6], event = eventfd(0, EFD_NONBLOCK);
    unsigned long refused = 0;
    for (int i = 0; i < 4; i++)
        CHECK((fds[i] = open(paths[i], O_RDWR | O_CLOEXEC | O_NONBLOCK)) >= 0);
    char *vma = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
    CHECK(vma != MAP_FAILED);
    static uint64_t argument[16], array[64];
    for (long n = 0; n < count; n++) {
        uint32_t command = COMMANDS[next() % (sizeof(COMMANDS) / sizeof(COMMANDS[0]))];
        if (command == 0 || command == 0x24506)
            command = (uint32_t)next();
        for (int i = 0; i < 16; i++)
            switch (next() % 8) {
            case 0: argument[i] = next(); break;
            case 1: argument[i] = (uintptr_t)array; break;
            case 2: argument[i] = (uintptr_t)vma; break;
            case 3: argument[i] = (uint64_t)dom << (next() % 4 * 16) | next() % 16; break;
            case 4: argument[i] = (uint64_t)event << 32 | (uint64_t)event; break;
            case 5: argument[i] = 8; break;
            default: argument[i] = next() % 70; break;
            }
        for (int i = 0; i < 64; i++)
            array[i] = next() % 4 == 0 ? next() : next() % 3000;
        void *at = next() % 16 == 0 ? (void *)(uintptr_t)next() : (void *)argument;
        /* Addresses in what we would be answered into stay in our own arrays. */
        if (ioctl(fds[next() % 4], command, at) < 0)
            refused++;
        if (next() % 64 == 0)
            FAILS(ioctl(-1, command, at), EBADF);
    }
    printf("%lu of %ld refused\n", refused, count);
    return 0;
}
