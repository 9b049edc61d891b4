/* Descriptors that a program passes on (SCM_RIGHTS). A device's file arrives as what it is, a socket, and works in another
 * program with this library. A privcmd file that is restricted to a domain stands for the memory of that domain (what a
 * vhost-user front-end sends with XEN_MMAP), which the receiver maps: it arrives as the lab's file of that memory. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lab.h"

#define CONTROL_MAX 1024
#define PASSED_MAX 16

static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);

/* The lab's file for a descriptor, to be closed; -1 where it stands for itself. */
static int exported(int fd)
{
    struct frame frame = {.kind = FRAME_EXPORT};
    if (lab_device(fd, &frame.a) != DEVICE_PRIVCMD)
        return -1;
    lab_lock();
    int passed = lab_call(&frame, NULL, NULL) == 0 ? lab_take_passed() : -1;
    lab_unlock();
    return passed;
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags)
{
    char control[CONTROL_MAX];
    int made[PASSED_MAX], count = 0;
    char byte;
    if (real_sendmsg == NULL)
        real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
    if (copy_in(&byte, (uintptr_t)message, 1) != 0 || message->msg_control == NULL || message->msg_controllen > sizeof(control) ||
        copy_in(control, (uintptr_t)message->msg_control, message->msg_controllen) != 0)
        return real_sendmsg(socket, message, flags);
    struct msghdr changed = *message;
    changed.msg_control = control;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&changed); header != NULL; header = CMSG_NXTHDR(&changed, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at + CMSG_LEN(sizeof(int)) <= header->cmsg_len && count < PASSED_MAX; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + at, sizeof(int));
            int file = exported(fd);
            if (file < 0)
                continue;
            memcpy(CMSG_DATA(header) + at, &file, sizeof(int));
            made[count++] = file;
        }
    }
    ssize_t sent = real_sendmsg(socket, &changed, flags);
    while (count > 0)
        real_close(made[--count]);
    return sent;
}
