/*
 * A dom0 without Xen, just large enough for a real xenstore daemon to start in: preloaded into Debian's unmodified
 * xenstored and oxenstored. What their socket clients see is the daemons' own doing; only the machine below them is
 * made up, here.
 *
 *   dom0's ring       /proc/xen/xsd_port and xsd_kva are read from $PEER_DIR/xsd_port and $PEER_DIR/xsd_kva
 *   domains           domain N exists while $PEER_DIR/domN.ring does; its xenstore page is that file, shared.
 *                     Introducing any other domain succeeds with a page that nobody else sees.
 *   a domain's end    $PEER_DIR/domN.shutdown: N has shut down
 *   event channels    port numbers (u32) written into the fifo $PEER_DIR/events arrive; port 1 is VIRQ_DOM_EXC,
 *                     port 1000 + N is domain N's. What the daemon sends is not told: clients look at their page.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RUN_DIR "/var/run/xenstored/"
enum { PAGE = 4096, PORT_DOM_EXC = 1, PORT_DOM = 1000 };

/* The head of xenctrl's xc_dominfo_t; the rest stays zero. */
struct dominfo {
    uint32_t domid;
    uint32_t ssidref;
    unsigned dying : 1, crashed : 1, shutdown : 1, paused : 1, blocked : 1, running : 1;
};

static int at_peer_dir(char *path, size_t size, const char *name)
{
    const char *dir = getenv("PEER_DIR");
    return dir && snprintf(path, size, "%s/%s", dir, name) < (int)size ? 0 : -1;
}

static int domain_file(char *path, size_t size, unsigned domid, const char *what)
{
    char name[40];
    snprintf(name, sizeof name, "dom%u.%s", domid, what);
    return at_peer_dir(path, size, name);
}

static int exists(unsigned domid, const char *what)
{
    char path[512];
    return domain_file(path, sizeof path, domid, what) == 0 && access(path, F_OK) == 0;
}

/* xenctrl */

static char handle;

void *xc_interface_open(void *logger, void *dombuild_logger, unsigned flags) { return &handle; }
int xc_interface_close(void *xch) { return 0; }

int xc_domain_getinfo(void *xch, uint32_t first, unsigned max, struct dominfo *info)
{
    if (max == 0 || (first != 0 && !exists(first, "ring"))) {
        errno = ESRCH;
        return -1;
    }
    memset(info, 0, sizeof *info);
    info->domid = first;
    info->shutdown = first != 0 && exists(first, "shutdown");
    return 1;
}

/* event channels: one fifo carries every arrival */

static int events = -1;

void *xenevtchn_open(void *logger, unsigned flags)
{
    char path[512];
    if (at_peer_dir(path, sizeof path, "events") != 0)
        return NULL;
    /* Read and write: the daemon never sees the end of it while writers come and go. */
    events = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
    return events < 0 ? NULL : &handle;
}
void *xenevtchn_fdopen(void *logger, int fd, unsigned flags) { events = fd; return &handle; }
int xenevtchn_close(void *xce) { return 0; }
int xenevtchn_fd(void *xce) { return events; }
int xenevtchn_bind_virq(void *xce, unsigned virq) { return PORT_DOM_EXC; }
int xenevtchn_bind_interdomain(void *xce, uint32_t domid, uint32_t port) { return PORT_DOM + (int)domid; }
int xenevtchn_unbind(void *xce, uint32_t port) { return 0; }
int xenevtchn_unmask(void *xce, uint32_t port) { return 0; }
int xenevtchn_notify(void *xce, uint32_t port) { return 0; }
int xenevtchn_pending(void *xce)
{
    uint32_t port;
    return read(events, &port, sizeof port) == sizeof port ? (int)port : -1;
}

/* grants: reference 1 of a domain is its xenstore page */

void *xengnttab_open(void *logger, unsigned flags) { return &handle; }
int xengnttab_close(void *xgt) { return 0; }
int xengnttab_set_max_grants(void *xgt, uint32_t count) { return 0; }
int xengnttab_unmap(void *xgt, void *at, uint32_t count) { return munmap(at, (size_t)count * PAGE); }
void *xengnttab_map_grant_ref(void *xgt, uint32_t domid, uint32_t ref, int prot)
{
    char path[512];
    int fd = -1;
    void *at;

    if (domain_file(path, sizeof path, domid, "ring") == 0)
        fd = open(path, O_RDWR | O_CLOEXEC, 0);
    at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, fd < 0 ? MAP_ANONYMOUS | MAP_PRIVATE : MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return at == MAP_FAILED ? NULL : at;
}

/* dom0's own page and port are files of a Xen kernel; oxenstored's run directory is fixed when it is built */

static const char *stand_in(const char *path, char *buffer, size_t size)
{
    static const char *const files[][2] = {
        { "/proc/xen/xsd_port", "xsd_port" }, { "/dev/xen/xsd_port", "xsd_port" },
        { "/proc/xen/xsd_kva", "xsd_kva" }, { "/dev/xen/xenbus_backend", "xsd_kva" },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(path, files[i][0]) == 0 && at_peer_dir(buffer, size, files[i][1]) == 0)
            return buffer;
    if (strncmp(path, RUN_DIR, sizeof RUN_DIR - 1) == 0 && at_peer_dir(buffer, size, path + sizeof RUN_DIR - 1) == 0)
        return buffer;
    return path;
}

static int open_as(const char *real, const char *path, int flags, mode_t mode)
{
    int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, real);
    char buffer[512];
    return next(stand_in(path, buffer, sizeof buffer), flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    mode_t mode = 0;
    va_start(rest, flags);
    if (flags & (O_CREAT | __O_TMPFILE))
        mode = va_arg(rest, mode_t);
    va_end(rest);
    return open_as("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    mode_t mode = 0;
    va_start(rest, flags);
    if (flags & (O_CREAT | __O_TMPFILE))
        mode = va_arg(rest, mode_t);
    va_end(rest);
    return open_as("open64", path, flags, mode);
}

int unlink(const char *path)
{
    int (*next)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    char buffer[512];
    return next(stand_in(path, buffer, sizeof buffer));
}

int chmod(const char *path, mode_t mode)
{
    int (*next)(const char *, mode_t) = (int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "chmod");
    char buffer[512];
    return next(stand_in(path, buffer, sizeof buffer), mode);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*next)(int, const struct sockaddr *, socklen_t) =
        (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind");
    struct sockaddr_un moved = { .sun_family = AF_UNIX };
    char buffer[512];
    const char *path;

    if (address->sa_family != AF_UNIX)
        return next(fd, address, length);
    path = stand_in(((const struct sockaddr_un *)address)->sun_path, buffer, sizeof buffer);
    if (path != buffer || strlen(path) >= sizeof moved.sun_path)
        return next(fd, address, length);
    strcpy(moved.sun_path, path);
    return next(fd, (const struct sockaddr *)&moved, sizeof moved);
}

/* oxenstored wants more descriptors than a container allows, and gives up when it is refused. */
int setrlimit(__rlimit_resource_t what, const struct rlimit *limit) { return 0; }
