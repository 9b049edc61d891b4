/* Every call of libxenevtchn on the lab's /dev/xen/evtchn, errors included, and what poll, epoll, fork and exec make of its
 * file: as drivers/xen/evtchn.c has them. Loopback ports of dom0 serve as peers. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenevtchn.h>
#include "check.h"

#define EVTCHN_RESET 0x4505
#define EVTCHN_RESTRICT 0x24506
#define EVTCHN_NOTIFY 0x44504
#define EVTCHN_BIND_VIRQ 0x44500
#define EVTCHN_BIND_STATIC 0x44507

static int readable(int fd, int timeout)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, timeout) == 1 && (one.revents & POLLIN) != 0;
}

/* Two ports of dom0 that lead to each other; the second is on `b`. */
static void pair(xenevtchn_handle *a, xenevtchn_handle *b, int *port_a, int *port_b)
{
    CHECK((*port_a = xenevtchn_bind_unbound_port(a, 0)) > 0);
    CHECK((*port_b = xenevtchn_bind_interdomain(b, 0, *port_a)) > 0);
    /* Binding sets the binder's own port pending (event_channel.c). */
    CHECK(readable(xenevtchn_fd(b), 2000) && xenevtchn_pending(b) == *port_b);
    CHECK(xenevtchn_unmask(b, *port_b) == 0);
}

static void events(void)
{
    xenevtchn_handle *a = xenevtchn_open(NULL, 0), *b = xenevtchn_open(NULL, 0);
    int pa, pb;
    CHECK(a != NULL && b != NULL);
    pair(a, b, &pa, &pb);
    STEP("bound");
    CHECK(!readable(xenevtchn_fd(a), 0));
    CHECK(xenevtchn_notify(b, pb) == 0);
    CHECK(readable(xenevtchn_fd(a), 2000) && xenevtchn_pending(a) == pa);
    /* Masked until written back; many sends are one event. */
    for (int i = 0; i < 3; i++)
        CHECK(xenevtchn_notify(b, pb) == 0);
    CHECK(!readable(xenevtchn_fd(a), 50));
    CHECK(xenevtchn_unmask(a, pa) == 0);
    CHECK(readable(xenevtchn_fd(a), 2000) && xenevtchn_pending(a) == pa);
    CHECK(!readable(xenevtchn_fd(a), 50));
    CHECK(xenevtchn_unmask(a, pa) == 0);
    STEP("events");
    FAILS(xenevtchn_notify(a, 999), ENOTCONN);
    FAILS(xenevtchn_unbind(a, 999), ENOTCONN);
    FAILS(xenevtchn_unbind(a, 4096), EINVAL);
    FAILS(xenevtchn_bind_interdomain(a, 0, 4000), EINVAL);
    FAILS(xenevtchn_bind_interdomain(a, 77, 1), ESRCH);
    FAILS(xenevtchn_bind_interdomain(a, 0, pa), EINVAL); /* it has its peer */
    FAILS(xenevtchn_bind_virq(a, 24), EINVAL);
    STEP("refusals");
    int debug = xenevtchn_bind_virq(a, 1);
    CHECK(debug > 0);
    FAILS(xenevtchn_bind_virq(b, 1), EEXIST);
    CHECK(xenevtchn_unbind(a, debug) == 0);
    CHECK(xenevtchn_bind_virq(b, 1) > 0);
    STEP("virq");
    /* A peer that closes leaves us unbound: sends succeed and vanish. */
    CHECK(xenevtchn_unbind(b, pb) == 0);
    CHECK(xenevtchn_notify(a, pa) == 0);
    CHECK((pb = xenevtchn_bind_interdomain(b, 0, pa)) > 0);
    CHECK(xenevtchn_close(b) == 0);
    b = xenevtchn_open(NULL, 0);
    CHECK((pb = xenevtchn_bind_interdomain(b, 0, pa)) > 0); /* close gave the port back before this call */
    STEP("reconnected");
    CHECK(xenevtchn_close(a) == 0 && xenevtchn_close(b) == 0);
}

static void file(void)
{
    uint32_t ports[8], word;
    xenevtchn_handle *h = xenevtchn_open(NULL, 0);
    int fd = xenevtchn_fd(h), pa, pb;
    pair(h, h, &pa, &pb);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    FAILS(read(fd, ports, sizeof(ports)), EAGAIN);
    CHECK(read(fd, ports, 3) == 0);
    CHECK(write(fd, ports, 3) == 0);
    CHECK(xenevtchn_notify(h, pa) == 0 && xenevtchn_notify(h, pb) == 0);
    CHECK(read(fd, ports, 11) == 8); /* whole ports only */
    CHECK((ports[0] == (uint32_t)pa && ports[1] == (uint32_t)pb) || (ports[0] == (uint32_t)pb && ports[1] == (uint32_t)pa));
    ports[2] = 4095; /* not ours: passed over */
    CHECK(write(fd, ports, 14) == 12);
    STEP("read and write");
    CHECK(xenevtchn_notify(h, pa) == 0 && readable(fd, 2000));
    CHECK(ioctl(fd, EVTCHN_RESET, 0) == 0);
    FAILS(read(fd, ports, sizeof(ports)), EAGAIN);
    word = (uint32_t)pb;
    CHECK(write(fd, &word, 4) == 4); /* disabled flags stay over a reset: pb, whose event was dropped */
    STEP("reset");
    FAILS(ioctl(fd, 0x44599, &word), ENOSYS);
    FAILS(ioctl(fd, EVTCHN_NOTIFY, (void *)8), EFAULT);
    FAILS(ioctl(fd, EVTCHN_NOTIFY, NULL), EFAULT);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
    word = (uint32_t)pa;
    FAILS(ioctl(fd, EVTCHN_BIND_STATIC, &word), EISCONN);
    STEP("bad calls");
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, got;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    CHECK(epoll_wait(epoll, &got, 1, 0) == 0);
    CHECK(xenevtchn_notify(h, pa) == 0);
    CHECK(epoll_wait(epoll, &got, 1, 2000) == 1);
    STEP("epoll");
    close(epoll);
    CHECK(xenevtchn_close(h) == 0);
}

static void restricted(void)
{
    xenevtchn_handle *h = xenevtchn_open(NULL, 0);
    uint16_t dom = 0;
    FAILS(ioctl(xenevtchn_fd(h), EVTCHN_RESTRICT, &dom), EINVAL);
    dom = 0x7ff0;
    FAILS(ioctl(xenevtchn_fd(h), EVTCHN_RESTRICT, &dom), EINVAL);
    CHECK(xenevtchn_restrict(h, 5) == 0);
    FAILS(xenevtchn_restrict(h, 5), EACCES);
    FAILS(xenevtchn_bind_interdomain(h, 0, 1), EACCES);
    FAILS(xenevtchn_bind_interdomain(h, 5, 1), ESRCH);
    FAILS(xenevtchn_bind_unbound_port(h, 5), EACCES);
    FAILS(xenevtchn_bind_virq(h, 1), EACCES);
    CHECK(xenevtchn_close(h) == 0);
    STEP("restricted");
}

/* A child has the file and connections of its own; the file ends with its last descriptor. */
static void processes(const char *self)
{
    xenevtchn_handle *a = xenevtchn_open(NULL, XENEVTCHN_NO_CLOEXEC), *b = xenevtchn_open(NULL, 0);
    int pa, pb, status;
    pair(a, b, &pa, &pb);
    pid_t child = fork();
    if (child == 0) {
        CHECK(xenevtchn_notify(a, pa) == 0);
        CHECK(xenevtchn_bind_unbound_port(a, 0) > 0);
        CHECK(xenevtchn_close(b) == 0);
        char fd[16], port[16];
        snprintf(fd, sizeof(fd), "%d", xenevtchn_fd(a));
        snprintf(port, sizeof(port), "%d", pa);
        execl(self, self, "again", fd, port, NULL);
        exit(99);
    }
    CHECK(readable(xenevtchn_fd(b), 2000) && xenevtchn_pending(b) == pb && xenevtchn_unmask(b, pb) == 0);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(readable(xenevtchn_fd(b), 2000) && xenevtchn_pending(b) == pb && xenevtchn_unmask(b, pb) == 0);
    CHECK(xenevtchn_notify(b, pb) == 0 && readable(xenevtchn_fd(a), 2000)); /* the child's end took nothing */
    STEP("fork and exec");
    /* A descriptor that went to another process, whose own was closed. */
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    child = fork();
    if (child == 0) {
        raise(SIGKILL);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECK(xenevtchn_notify(a, pa) == 0);
    CHECK(xenevtchn_close(a) == 0 && xenevtchn_close(b) == 0);
    STEP("killed child");
}

static void *notifier(void *arg)
{
    xenevtchn_handle *h = ((void **)arg)[0];
    int port = *(int *)((void **)arg)[1];
    for (int i = 0; i < 200; i++)
        CHECK(xenevtchn_notify(h, port) == 0);
    return NULL;
}

static void on_alarm(int signal)
{
    (void)signal;
}

static void threads(void)
{
    xenevtchn_handle *a = xenevtchn_open(NULL, 0);
    int pa, pb;
    pair(a, a, &pa, &pb);
    pthread_t many[4];
    void *arg[2] = {a, &pa};
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    ualarm(1000, 1000);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&many[i], NULL, notifier, arg) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(many[i], NULL) == 0);
    ualarm(0, 0);
    CHECK(xenevtchn_pending(a) == pb);
    CHECK(xenevtchn_close(a) == 0);
    STEP("threads and signals");
}

/* Programs that close all there is, our connection included. */
static void closes_all(void)
{
    xenevtchn_handle *a = xenevtchn_open(NULL, 0);
    CHECK(xenevtchn_bind_unbound_port(a, 0) > 0);
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    a = xenevtchn_open(NULL, 0);
    CHECK(xenevtchn_bind_unbound_port(a, 0) > 0);
    CHECK(close_range(3, ~0u, 0) == 0);
    a = xenevtchn_open(NULL, 0);
    CHECK(xenevtchn_bind_unbound_port(a, 0) > 0);
    CHECK(xenevtchn_close(a) == 0);
    STEP("closed all");
}

int main(int argc, char **argv)
{
    if (argc == 4) { /* exec'd: the descriptor is the device's still */
        uint32_t port = (uint32_t)atoi(argv[3]);
        return ioctl(atoi(argv[2]), EVTCHN_NOTIFY, &port) == 0 ? 0 : errno;
    }
    events();
    file();
    restricted();
    processes(argv[0]);
    threads();
    closes_all();
    STEP("done");
    return 0;
}
