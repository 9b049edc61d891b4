/* Frames between a preloaded program and the hypervisor process of a lab, on unix stream sockets. Numbers stand in
 * lib/layout/ours/dev-wire.ts as well; test/unit/layout/dev-wire.test.ts compares the two. */
#ifndef XENWIRE_WIRE_H
#define XENWIRE_WIRE_H

#include <stdint.h>

/* From the program: each begins a call, which ends with FRAME_DONE. FRAME_RELEASE has no answer. */
#define FRAME_OPEN 1    /* a device, b domid + 1 or 0; payload: token */
#define FRAME_IOCTL 2   /* a file, b command, c argument; payload: the argument's bytes */
#define FRAME_MMAP 3    /* a file, b address, c length, d protection, e offset */
#define FRAME_RELEASE 4 /* a what the mapping held */
#define FRAME_EXPORT 5  /* a file: what stands for it in a process without this library; comes with FRAME_DONE */
/* From the hypervisor process, inside a call: copy_from_user and what else a kernel does in a process. */
#define FRAME_READ 16  /* a address, b length */
#define FRAME_WRITE 17 /* a address; payload */
#define FRAME_MAP 18   /* a address, b length, c offset; a descriptor rides along */
#define FRAME_FD 19    /* a descriptor number: a copy is wanted */
#define FRAME_VMA 20   /* a address: which mapping of a device is it in? */
#define FRAME_HOLD 21  /* a begin of a mapping, b what it holds: FRAME_RELEASE tells when it goes */
#define FRAME_DONE 31  /* result; payload: bytes for the argument */
/* The answer to any of them. */
#define FRAME_REPLY 32 /* result; VMA: a begin, b length, c file, d held, e pages mapped in it; READ: payload */

#define FRAME_PAYLOAD_MAX 65536

struct frame {
    uint32_t kind;
    int32_t result; /* 0 or more, or minus an error number */
    uint64_t length; /* of the payload that follows */
    uint64_t a, b, c, d, e, f;
};

#define DEVICE_CONTROL 0
#define DEVICE_EVTCHN 1
#define DEVICE_PRIVCMD 2
#define DEVICE_GNTDEV 3
#define DEVICE_HYPERCALL 4

#endif
