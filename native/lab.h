/* The connections of this process to the hypervisor process of its lab. */
#ifndef XENWIRE_LAB_H
#define XENWIRE_LAB_H

#include <stddef.h>
#include <stdint.h>
#include "wire.h"

/* Opens a device: a descriptor, or -1 with errno. `flags`: O_CLOEXEC and O_NONBLOCK count. */
int lab_open(unsigned device, int flags);
/* Which device a descriptor is of, and the number of its open file; -1 when it is none of ours. One system call. */
int lab_device(int fd, uint64_t *file);
/* Makes a call; serves what the hypervisor process asks meanwhile. 0 or more, or minus an error number. `argument`: where
 * the payload of the end goes. The caller holds the lock. */
long lab_call(struct frame *request, const void *payload, void *argument);
/* The descriptor that came with the end of the last call, the caller's to close; -1 without. The caller holds the lock. */
int lab_take_passed(void);
/* Sends a frame that has no answer. The caller holds the lock. */
void lab_send(struct frame *frame);
/* One thread at a time, with all signals blocked: a handler that makes a call of its own would wait for itself. */
void lab_lock(void);
void lab_unlock(void);
/* The descriptor of the control connection, -1 when there is none; moved elsewhere when `fd` is wanted for something else. */
int lab_is_control(int fd);
void lab_move_control(void);
/* Copies between here and an address that the program named; 0 or -EFAULT. */
int copy_in(void *to, uint64_t from, size_t length);
int copy_out(uint64_t to, const void *from, size_t length);

/* The C library's own, past our replacements. */
extern long (*real_read)(int, void *, size_t);
extern int (*real_close)(int);

#endif
