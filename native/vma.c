/* The mappings of devices in this process. What a mapping holds in the lab is told back when its last page goes. */
#define _GNU_SOURCE
#include "vma.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lab.h"

#define PAGE 4096UL

static struct vma *vmas;
static size_t count, room;
/* Around all of them, for a look without the lock; they only ever widen. */
static _Atomic uintptr_t lowest = UINTPTR_MAX, highest;

static void *sys_mmap(void *address, size_t length, int protection, int flags, int fd, uint64_t offset)
{
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

/* A file without bytes: pages of its mapping raise SIGBUS, as those of the kernel's mapping that are not filled do. */
static int empty_file(void)
{
    return (int)syscall(SYS_memfd_create, "xenwire-device", 1 /* MFD_CLOEXEC */);
}

void *vma_reserve(void *address, size_t length, int protection, int flags, uint64_t file)
{
    size_t pages = (length + PAGE - 1) / PAGE;
    if (length == 0 || pages == 0 || (flags & MAP_SHARED) == 0) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    if (count == room) {
        struct vma *more = realloc(vmas, (room + 16) * sizeof(*vmas));
        if (more == NULL) {
            errno = ENOMEM;
            return MAP_FAILED;
        }
        vmas = more;
        room += 16;
    }
    unsigned char *bits = calloc(pages / 8 + 1, 1);
    int empty = empty_file();
    void *at = MAP_FAILED;
    if (bits != NULL && empty >= 0)
        at = sys_mmap(address, pages * PAGE, protection, MAP_SHARED | (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)), empty, 0);
    if (empty >= 0)
        real_close(empty);
    if (at == MAP_FAILED) {
        free(bits);
        return MAP_FAILED;
    }
    madvise(at, pages * PAGE, MADV_DONTFORK); /* VM_DONTCOPY */
    vmas[count++] = (struct vma){
        .start = (uintptr_t)at, .length = pages * PAGE, .protection = protection, .file = file, .page = bits};
    if ((uintptr_t)at < lowest)
        lowest = (uintptr_t)at;
    if ((uintptr_t)at + pages * PAGE > highest)
        highest = (uintptr_t)at + pages * PAGE;
    return at;
}

struct vma *vma_find(uintptr_t address)
{
    for (size_t i = 0; i < count; i++)
        if (address >= vmas[i].start && address - vmas[i].start < vmas[i].length)
            return &vmas[i];
    return NULL;
}

int vma_back(uintptr_t address, size_t length, int fd, uint64_t offset)
{
    struct vma *vma = vma_find(address);
    if (vma == NULL || length == 0 || length > vma->length - (address - vma->start) || (address | length | offset) % PAGE)
        return -EINVAL;
    if (sys_mmap((void *)address, length, vma->protection, MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED)
        return -errno;
    madvise((void *)address, length, MADV_DONTFORK);
    for (size_t page = (address - vma->start) / PAGE, end = page + length / PAGE; page < end; page++) {
        if ((vma->page[page / 8] & (1 << page % 8)) == 0)
            vma->mapped++;
        vma->page[page / 8] |= (unsigned char)(1 << page % 8);
    }
    return 0;
}

int vma_overlaps(uintptr_t address, size_t length)
{
    return address < highest && address + length > lowest;
}

static void drop(size_t index)
{
    if (vmas[index].held != 0) {
        struct frame frame = {.kind = FRAME_RELEASE, .a = vmas[index].held};
        lab_send(&frame);
    }
    free(vmas[index].page);
    vmas[index] = vmas[--count];
}

/* A mapping that loses part of its pages keeps what it held until the last one goes; a hole in its middle is passed over. */
void vma_forget(uintptr_t address, size_t length)
{
    uintptr_t end = address + ((length + PAGE - 1) & ~(PAGE - 1));
    for (size_t i = 0; i < count;) {
        struct vma *vma = &vmas[i];
        uintptr_t vma_end = vma->start + vma->length;
        if (end <= vma->start || address >= vma_end) {
            i++;
        } else if (address <= vma->start && end >= vma_end) {
            drop(i);
        } else {
            if (address > vma->start && end >= vma_end)
                vma->length = address - vma->start;
            i++;
        }
    }
}

void vma_clear(void)
{
    for (size_t i = 0; i < count; i++)
        free(vmas[i].page);
    count = 0;
}
