/* Connections to the hypervisor process. An open file of a device is a connection of its own: the kernel then does what a
 * file does at dup, fork, exec, close and death. Its socket carries a name that says which file it is, so that nothing has
 * to be remembered here. Calls go over one more connection of the process, made when it is first needed. */
#define _GNU_SOURCE
#include "lab.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include "vma.h"

/* Abstract name of a file's socket: "xenwire-dev/D/IIIIIIIIIIIIIIII". */
#define NAME_PREFIX "xenwire-dev/"
#define NAME_LENGTH (sizeof(NAME_PREFIX) - 1 + 2 + 16)
#define TOKEN_MAX 256
/* Out of the way of programs that count their descriptors. */
#define CONTROL_FD_MIN 200

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sigset_t signals_before;
static int control = -1;
static uint64_t control_file;
static int passed_last = -1;

void lab_lock(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&mutex);
    signals_before = before;
}

void lab_unlock(void)
{
    sigset_t before = signals_before;
    pthread_mutex_unlock(&mutex);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int copy_in(void *to, uint64_t from, size_t length)
{
    struct iovec local = {to, length}, remote = {(void *)(uintptr_t)from, length};
    if (length == 0)
        return 0;
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)length ? 0 : -EFAULT;
}

int copy_out(uint64_t to, const void *from, size_t length)
{
    struct iovec local = {(void *)from, length}, remote = {(void *)(uintptr_t)to, length};
    if (length == 0)
        return 0;
    return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)length ? 0 : -EFAULT;
}

static int send_all(int fd, const void *bytes, size_t length, int passed)
{
    const char *at = bytes;
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } ancillary;
    while (length > 0) {
        struct iovec part = {(void *)at, length};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (passed >= 0) {
            memset(&ancillary, 0, sizeof(ancillary));
            ancillary.header.cmsg_level = SOL_SOCKET;
            ancillary.header.cmsg_type = SCM_RIGHTS;
            ancillary.header.cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(&ancillary.header), &passed, sizeof(int));
            message.msg_control = &ancillary;
            message.msg_controllen = sizeof(ancillary.room);
        }
        ssize_t sent = syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL); /* not passing.c */
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -errno;
        passed = -1;
        at += sent;
        length -= (size_t)sent;
    }
    return 0;
}

/* `passed`: gets a descriptor that came along, the caller's to close. */
static int receive_all(int fd, void *bytes, size_t length, int *passed)
{
    char *at = bytes;
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } ancillary;
    while (length > 0) {
        struct iovec part = {at, length};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof(ancillary.room)};
        ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -ENODEV;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header != NULL && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
            memcpy(passed, CMSG_DATA(header), sizeof(int));
        at += got;
        length -= (size_t)got;
    }
    return 0;
}

static int read_token(char *token)
{
    const char *path = getenv("XENWIRE_TOKEN_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -ENOENT;
    ssize_t length = real_read(fd, token, TOKEN_MAX);
    real_close(fd);
    return length <= 0 ? -ENOENT : (int)length;
}

/* Connects, opens the device, names the socket after the file. A descriptor or minus an error number. */
static int connect_device(unsigned device, uint64_t *file)
{
    const char *path = getenv("XENWIRE_DEVICES");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char token[TOKEN_MAX];
    int token_length = read_token(token);
    if (path == NULL || token_length < 0 || strlen(path) >= sizeof(to.sun_path))
        return -ENOENT;
    strcpy(to.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct frame hello = {.kind = FRAME_OPEN, .length = (uint64_t)token_length, .a = device};
    struct frame done;
    int none = -1;
    int rc = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : -ENODEV;
    if (rc == 0)
        rc = send_all(fd, &hello, sizeof(hello), -1);
    if (rc == 0)
        rc = send_all(fd, token, (size_t)token_length, -1);
    if (rc == 0)
        rc = receive_all(fd, &done, sizeof(done), &none);
    if (rc == 0)
        rc = done.result;
    if (rc == 0) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, NAME_PREFIX "%u/%016" PRIx64, device, done.a);
        *file = done.a;
        if (bind(fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + NAME_LENGTH)) != 0)
            rc = -errno;
    }
    if (rc != 0) {
        real_close(fd);
        return rc;
    }
    return fd;
}

int lab_open(unsigned device, int flags)
{
    uint64_t file;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int fd = connect_device(device, &file);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (fd < 0) {
        errno = -fd;
        return -1;
    }
    if (flags & O_NONBLOCK)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    if ((flags & O_CLOEXEC) == 0)
        fcntl(fd, F_SETFD, 0);
    return fd;
}

int lab_device(int fd, uint64_t *file)
{
    struct sockaddr_un name;
    socklen_t length = sizeof(name);
    int before = errno;
    if (getsockname(fd, (struct sockaddr *)&name, &length) != 0) {
        errno = before;
        return -1;
    }
    if (name.sun_family != AF_UNIX || length != offsetof(struct sockaddr_un, sun_path) + 1 + NAME_LENGTH ||
        name.sun_path[0] != '\0' || memcmp(name.sun_path + 1, NAME_PREFIX, sizeof(NAME_PREFIX) - 1) != 0)
        return -1;
    char *device = name.sun_path + 1 + sizeof(NAME_PREFIX) - 1;
    char digits[17];
    memcpy(digits, device + 2, 16);
    digits[16] = '\0';
    *file = strtoull(digits, NULL, 16);
    return device[0] - '0';
}

static int connected(void)
{
    uint64_t file;
    /* The number may be another file's by now: of a program that closes whatever is open. */
    if (control >= 0 && (lab_device(control, &file) != DEVICE_CONTROL || file != control_file))
        control = -1;
    if (control < 0) {
        int fd = connect_device(DEVICE_CONTROL, &control_file);
        if (fd < 0)
            return fd;
        control = fcntl(fd, F_DUPFD_CLOEXEC, CONTROL_FD_MIN);
        if (control >= 0)
            real_close(fd);
        else
            control = fd;
    }
    return 0;
}

int lab_is_control(int fd)
{
    return fd >= 0 && fd == control;
}

void lab_move_control(void)
{
    int moved = fcntl(control, F_DUPFD_CLOEXEC, control + 1);
    if (moved < 0)
        return;
    real_close(control);
    control = moved;
}

static int reply(struct frame *frame, const void *payload, int passed)
{
    frame->kind = FRAME_REPLY;
    int rc = send_all(control, frame, sizeof(*frame), passed);
    return rc != 0 || frame->length == 0 ? rc : send_all(control, payload, frame->length, -1);
}

/* What a kernel would do in our address space, done on request. */
static int serve(struct frame *frame, char *payload, int passed)
{
    struct frame answer = {.kind = FRAME_REPLY};
    struct vma *vma;
    switch (frame->kind) {
    case FRAME_READ:
        answer.length = frame->b <= FRAME_PAYLOAD_MAX ? frame->b : 0;
        answer.result = frame->b <= FRAME_PAYLOAD_MAX ? copy_in(payload, frame->a, frame->b) : -EINVAL;
        if (answer.result != 0)
            answer.length = 0;
        return reply(&answer, payload, -1);
    case FRAME_WRITE:
        answer.result = copy_out(frame->a, payload, frame->length);
        return reply(&answer, NULL, -1);
    case FRAME_MAP:
        answer.result = passed < 0 ? -EBADF : vma_back(frame->a, frame->b, passed, frame->c);
        return reply(&answer, NULL, -1);
    case FRAME_FD:
        if (frame->a > INT32_MAX || fcntl((int)frame->a, F_GETFD) < 0 || lab_is_control((int)frame->a)) {
            answer.result = -EBADF;
            return reply(&answer, NULL, -1);
        }
        return reply(&answer, NULL, (int)frame->a);
    case FRAME_VMA:
        vma = vma_find(frame->a);
        if (vma == NULL) {
            answer.result = -EINVAL;
        } else {
            answer.a = vma->start;
            answer.b = vma->length;
            answer.c = vma->file;
            answer.d = vma->held;
            answer.e = vma->mapped;
        }
        return reply(&answer, NULL, -1);
    case FRAME_HOLD:
        vma = vma_find(frame->a);
        if (vma == NULL)
            answer.result = -EINVAL;
        else
            vma->held = frame->b;
        return reply(&answer, NULL, -1);
    default:
        answer.result = -ENOSYS;
        return reply(&answer, NULL, -1);
    }
}

long lab_call(struct frame *request, const void *payload, void *argument)
{
    int rc = connected();
    if (passed_last >= 0)
        real_close(lab_take_passed());
    if (rc == 0)
        rc = send_all(control, request, sizeof(*request), -1);
    if (rc == 0 && request->length > 0)
        rc = send_all(control, payload, request->length, -1);
    char *room = rc == 0 ? malloc(FRAME_PAYLOAD_MAX) : NULL;
    if (rc == 0 && room == NULL)
        rc = -ENOMEM;
    while (rc == 0) {
        struct frame frame;
        int passed = -1;
        rc = receive_all(control, &frame, sizeof(frame), &passed);
        if (rc == 0 && frame.length > FRAME_PAYLOAD_MAX)
            rc = -ENODEV;
        if (rc == 0 && frame.length > 0)
            rc = receive_all(control, room, frame.length, &passed);
        if (rc == 0 && frame.kind == FRAME_DONE) {
            if (frame.length > 0 && copy_out((uintptr_t)argument, room, frame.length) != 0)
                frame.result = -EFAULT;
            free(room);
            passed_last = passed;
            return frame.result;
        }
        if (rc == 0)
            rc = serve(&frame, room, passed);
        if (passed >= 0)
            real_close(passed);
    }
    free(room);
    /* What was said halfway cannot be taken up again. */
    if (control >= 0)
        real_close(control);
    control = -1;
    return rc == -ENOENT ? -ENODEV : rc;
}

int lab_take_passed(void)
{
    int passed = passed_last;
    passed_last = -1;
    return passed;
}

void lab_send(struct frame *frame)
{
    if (connected() == 0)
        send_all(control, frame, sizeof(*frame), -1);
}

/* A child has no mapping of a device and no connection yet: ours says when we end. */
static void in_child(void)
{
    pthread_mutex_init(&mutex, NULL);
    if (control >= 0)
        real_close(control);
    control = -1;
    vma_clear();
    pthread_sigmask(SIG_SETMASK, &signals_before, NULL);
}

__attribute__((constructor)) static void prepare(void)
{
    pthread_atfork(lab_lock, lab_unlock, in_child);
    const char *parent = getenv("XENWIRE_DIES_WITH");
    if (parent != NULL && getppid() == atoi(parent)) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != atoi(parent))
            raise(SIGKILL); /* it ended before */
    }
}
