/* The calls of the C library that this library takes over, each for the devices of a Xen dom0 only: everything else goes to
 * the C library as it came. What is not here (poll, epoll, dup, fork, fcntl, passing descriptors) the kernel does for the
 * sockets that stand for the devices' files. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lab.h"
#include "vma.h"

#define PAGE 4096UL
#define EVTCHN_RESET 0x4505UL

long (*real_read)(int, void *, size_t);
int (*real_close)(int);
static long (*real_write)(int, const void *, size_t);
static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static FILE *(*real_fopen)(const char *, const char *);
static int (*real_dup2)(int, int);
static int (*real_dup3)(int, int, int);
static int (*real_access)(const char *, int);

__attribute__((constructor(101))) static void find_real(void)
{
    real_read = dlsym(RTLD_NEXT, "read");
    real_write = dlsym(RTLD_NEXT, "write");
    real_close = dlsym(RTLD_NEXT, "close");
    real_open = dlsym(RTLD_NEXT, "open");
    real_openat = dlsym(RTLD_NEXT, "openat");
    real_fopen = dlsym(RTLD_NEXT, "fopen");
    real_dup2 = dlsym(RTLD_NEXT, "dup2");
    real_dup3 = dlsym(RTLD_NEXT, "dup3");
    real_access = dlsym(RTLD_NEXT, "access");
}

/* Constructors of other libraries may open files before ours has run. */
static void ready(void)
{
    if (real_access == NULL)
        find_real();
}

static const struct {
    const char *path;
    unsigned device;
} DEVICES[] = {
    {"/dev/xen/evtchn", DEVICE_EVTCHN},   {"/dev/xen/privcmd", DEVICE_PRIVCMD}, {"/proc/xen/privcmd", DEVICE_PRIVCMD},
    {"/dev/xen/gntdev", DEVICE_GNTDEV},   {"/dev/xen/hypercall", DEVICE_HYPERCALL},
};

/* Files that programs look into to see where they run. */
static const struct {
    const char *path, *text;
} TEXTS[] = {
    {"/proc/xen/capabilities", "control_d\n"},
    {"/sys/hypervisor/type", "xen\n"},
    {"/sys/hypervisor/uuid", "00000000-0000-0000-0000-000000000000\n"},
};

static const char *text_of(const char *path)
{
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++)
        if (strcmp(path, TEXTS[i].path) == 0)
            return TEXTS[i].text;
    return NULL;
}

static int open_text(const char *text)
{
    int fd = (int)syscall(SYS_memfd_create, "xenwire-text", 1 /* MFD_CLOEXEC */);
    if (fd < 0 || real_write(fd, text, strlen(text)) < 0)
        return fd;
    lseek(fd, 0, SEEK_SET);
    return fd;
}

/* What dom0's kernel tells a xenstored of dom0's own ring: a port, and a page that no driver of a kernel uses here. */
static int open_store_ring(const char *path)
{
    const char *port = getenv("XENWIRE_STORE_PORT");
    if (port == NULL)
        return -2;
    if (strcmp(path, "/proc/xen/xsd_port") == 0)
        return open_text(port);
    if (strcmp(path, "/proc/xen/xsd_kva") != 0 && strcmp(path, "/dev/xen/xenbus_backend") != 0)
        return -2;
    int fd = (int)syscall(SYS_memfd_create, "xenwire-store-ring", 1 /* MFD_CLOEXEC */);
    if (fd >= 0 && ftruncate(fd, PAGE) != 0) {
        real_close(fd);
        return -1;
    }
    return fd;
}

static int device_of(const char *path)
{
    for (size_t i = 0; i < sizeof(DEVICES) / sizeof(DEVICES[0]); i++)
        if (strcmp(path, DEVICES[i].path) == 0)
            return (int)DEVICES[i].device;
    return -1;
}

/* A descriptor, -1 with errno, or -2: not ours. A path that cannot be read is left to the kernel's EFAULT. */
static int open_ours(const char *path, int flags)
{
    char first;
    ready();
    if (copy_in(&first, (uintptr_t)path, 1) != 0 || first != '/')
        return -2;
    int device = device_of(path);
    if (device >= 0)
        return lab_open((unsigned)device, flags);
    const char *text = text_of(path);
    return text == NULL ? open_store_ring(path) : open_text(text);
}

static mode_t mode_of(int flags, va_list *rest)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(*rest, mode_t) : 0;
}

#define OPEN(name)                                  \
    int name(const char *path, int flags, ...)      \
    {                                               \
        va_list rest;                               \
        va_start(rest, flags);                      \
        mode_t mode = mode_of(flags, &rest);        \
        va_end(rest);                               \
        int fd = open_ours(path, flags);            \
        return fd != -2 ? fd : real_open(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                \
    int name(int dir, const char *path, int flags, ...) \
    {                                               \
        va_list rest;                               \
        va_start(rest, flags);                      \
        mode_t mode = mode_of(flags, &rest);        \
        va_end(rest);                               \
        int fd = open_ours(path, flags);            \
        return fd != -2 ? fd : real_openat(dir, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

/* What a program built with _FORTIFY_SOURCE calls. */
int __open_2(const char *path, int flags)
{
    return open(path, flags);
}
int __open64_2(const char *path, int flags)
{
    return open(path, flags);
}

FILE *fopen(const char *path, const char *mode)
{
    const char *text = text_of(path);
    ready();
    if (text == NULL)
        return real_fopen(path, mode);
    int fd = open_text(text);
    return fd < 0 ? NULL : fdopen(fd, mode);
}
FILE *fopen64(const char *path, const char *mode)
{
    return fopen(path, mode);
}

int access(const char *path, int mode)
{
    char first;
    ready();
    if (copy_in(&first, (uintptr_t)path, 1) == 0 && first == '/' &&
        (device_of(path) >= 0 || text_of(path) != NULL))
        return 0;
    return real_access(path, mode);
}

static long call(struct frame *frame, const void *payload, void *argument)
{
    lab_lock();
    long result = lab_call(frame, payload, argument);
    lab_unlock();
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/* RESET empties the ring of ports: what stands in the socket already. */
static void drain(int fd)
{
    char bytes[PAGE];
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_NONBLOCK) == 0)
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (real_read(fd, bytes, sizeof(bytes)) > 0)
        ;
    if (flags >= 0)
        fcntl(fd, F_SETFL, flags);
}

int ioctl(int fd, unsigned long command, ...)
{
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    struct frame frame = {.kind = FRAME_IOCTL, .b = (uint32_t)command, .c = (uintptr_t)argument};
    int device = lab_device(fd, &frame.a);
    if (device <= DEVICE_CONTROL)
        return (int)syscall(SYS_ioctl, fd, command, argument);
    char bytes[1 << 14];
    size_t length = (command >> 16) & 0x3fff;
    /* A bad address is the kernel's to find once it knows the command. */
    if (copy_in(bytes, (uintptr_t)argument, length) == 0)
        frame.length = length;
    int result = (int)call(&frame, bytes, argument);
    if (result == 0 && device == DEVICE_EVTCHN && (uint32_t)command == EVTCHN_RESET)
        drain(fd);
    return result;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    struct frame frame = {.kind = FRAME_MMAP, .c = length, .d = (unsigned)protection, .e = (uint64_t)offset};
    if ((flags & MAP_ANONYMOUS) != 0 || fd < 0 || lab_device(fd, &frame.a) <= DEVICE_CONTROL)
        return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
    uint64_t file;
    int device = lab_device(fd, &file);
    if (device == DEVICE_EVTCHN) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    if (device == DEVICE_HYPERCALL) /* pages of our own that the hypercall reads through us */
        return (void *)syscall(SYS_mmap, address, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | (flags & MAP_FIXED), -1, 0);
    lab_lock();
    void *at = vma_reserve(address, length, protection, flags, frame.a);
    int error = errno;
    if (at != MAP_FAILED) {
        frame.b = (uintptr_t)at;
        long result = lab_call(&frame, NULL, NULL);
        if (result < 0) {
            syscall(SYS_munmap, at, length);
            vma_forget((uintptr_t)at, length);
            at = MAP_FAILED;
            error = (int)-result;
        }
    }
    lab_unlock();
    if (at == MAP_FAILED)
        errno = error;
    return at;
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return mmap(address, length, protection, flags, fd, offset);
}

int munmap(void *address, size_t length)
{
    if (!vma_overlaps((uintptr_t)address, length))
        return (int)syscall(SYS_munmap, address, length);
    lab_lock();
    int result = (int)syscall(SYS_munmap, address, length);
    int error = errno;
    if (result == 0)
        vma_forget((uintptr_t)address, length);
    lab_unlock();
    errno = error;
    return result;
}

/* /dev/xen/evtchn moves whole ports, at most a page of them; the other devices have neither read nor write. */
static int whole_ports(int fd, size_t *count)
{
    uint64_t file;
    ready();
    int device = lab_device(fd, &file);
    if (device <= DEVICE_CONTROL)
        return 1;
    if (device != DEVICE_EVTCHN) {
        errno = EINVAL;
        return -1;
    }
    *count = *count > PAGE ? PAGE : *count & ~3UL;
    return *count == 0 ? 0 : 1;
}

ssize_t read(int fd, void *to, size_t count)
{
    int go = whole_ports(fd, &count);
    return go <= 0 ? go : real_read(fd, to, count);
}
ssize_t __read_chk(int fd, void *to, size_t count, size_t room)
{
    if (count > room)
        __builtin_trap();
    return read(fd, to, count);
}
ssize_t write(int fd, const void *from, size_t count)
{
    int go = whole_ports(fd, &count);
    return go <= 0 ? go : real_write(fd, from, count);
}

/* Our own connection is none of the program's files. */
int close(int fd)
{
    ready();
    if (lab_is_control(fd)) {
        errno = EBADF;
        return -1;
    }
    return real_close(fd);
}
int dup2(int from, int to)
{
    ready();
    if (lab_is_control(to) && from != to) {
        lab_lock();
        lab_move_control();
        lab_unlock();
    }
    return real_dup2(from, to);
}
int dup3(int from, int to, int flags)
{
    ready();
    if (lab_is_control(to) && from != to) {
        lab_lock();
        lab_move_control();
        lab_unlock();
    }
    return real_dup3(from, to, flags);
}
int close_range(unsigned first, unsigned last, int flags)
{
    for (unsigned at = first; at <= last && at < (1u << 20); at++)
        if (lab_is_control((int)at)) {
            if (at > first && syscall(SYS_close_range, first, at - 1, flags) != 0)
                return -1;
            return at == last ? 0 : (int)syscall(SYS_close_range, at + 1, last, flags);
        }
    return (int)syscall(SYS_close_range, first, last, flags);
}
void closefrom(int first)
{
    close_range(first < 0 ? 0 : (unsigned)first, ~0u, 0);
}
