/* Mappings of the devices in this process: the kernel's VMAs of them. All calls with the lock of lab.h held, vma_overlaps apart. */
#ifndef XENWIRE_VMA_H
#define XENWIRE_VMA_H

#include <stddef.h>
#include <stdint.h>

struct vma {
    uintptr_t start;
    size_t length;
    int protection;
    uint64_t file;
    uint64_t held;       /* 0: nothing */
    size_t mapped;       /* count of pages that are backed */
    unsigned char *page; /* one bit each */
};

/* Reserves addresses for a mapping, none of them backed: touching one raises SIGBUS. MAP_FAILED with errno. */
void *vma_reserve(void *address, size_t length, int protection, int flags, uint64_t file);
struct vma *vma_find(uintptr_t address);
/* Backs part of a mapping with a file. 0 or minus an error number. */
int vma_back(uintptr_t address, size_t length, int fd, uint64_t offset);
/* May any mapping lie there? Without the lock. */
int vma_overlaps(uintptr_t address, size_t length);
/* The program unmapped a range. */
void vma_forget(uintptr_t address, size_t length);
/* A child has none of them. */
void vma_clear(void);

#endif
