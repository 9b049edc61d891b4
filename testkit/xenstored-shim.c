/* Preloaded into Debian's xenstored so that it runs where there is no Xen, as a peer to compare with. It answers what
 * the daemon asks of the hypervisor's libraries:
 *   - the domains named in XENSTORED_SHIM_DOMIDS ("1,2,3") exist, no others;
 *   - event channels can be bound and never fire by themselves;
 *   - dom0's own ring is an empty page, and a guest's ring page is the file ring.<domid> in XENSTORED_SHIM_DIR, so that a
 *     test can be the guest; a byte in the FIFO `events` there makes the daemon look at its rings;
 *   - oxenstored's run directory, fixed when it is built, is XENSTORED_SHIM_DIR too. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { VIRQ_PORT = 1, RING_PORT = 2, PAGE = 4096 };

static int handle; /* what every "open" answers: something that is not NULL */
static int events = -1;

static char *in_dir(const char *name)
{
    static char path[512];
    const char *dir = getenv("XENSTORED_SHIM_DIR");
    snprintf(path, sizeof(path), "%s/%s", dir ? dir : ".", name);
    return path;
}

static int raw_open(const char *path, int flags)
{
    return syscall(SYS_openat, AT_FDCWD, path, flags, 0);
}

/* ---- domains ---- */

static int exists(unsigned domid)
{
    const char *at = getenv("XENSTORED_SHIM_DOMIDS");
    if (domid == 0)
        return 1;
    while (at && *at) {
        char *end;
        if (strtoul(at, &end, 10) == domid)
            return 1;
        at = *end ? end + 1 : end;
    }
    return 0;
}

void *xc_interface_open(void *a, void *b, unsigned c) { return &handle; }
int xc_interface_close(void *h) { return 0; }

/* xc_dominfo_t begins with the domid; all else is flags and counts, for which 0 is "alive". */
int xc_domain_getinfo(void *h, uint32_t first, unsigned max, void *info)
{
    if (!exists(first)) {
        errno = ESRCH;
        return -1;
    }
    memcpy(info, &first, sizeof(first));
    memset((char *)info + sizeof(first), 0, 64);
    return 1;
}

/* ---- event channels ---- */

void *xenevtchn_open(void *logger, unsigned flags)
{
    events = raw_open(in_dir("events"), O_RDWR | O_NONBLOCK);
    return &handle;
}
void *xenevtchn_fdopen(void *logger, int fd, unsigned flags) { return xenevtchn_open(logger, flags); }
int xenevtchn_fd(void *h) { return events; }
int xenevtchn_bind_virq(void *h, unsigned virq) { return VIRQ_PORT; }
int xenevtchn_bind_interdomain(void *h, uint32_t domid, uint32_t port) { return RING_PORT; }
int xenevtchn_notify(void *h, uint32_t port) { return 0; }
int xenevtchn_unbind(void *h, uint32_t port) { return 0; }
int xenevtchn_unmask(void *h, uint32_t port) { return 0; }
int xenevtchn_pending(void *h)
{
    char byte[64];
    return read(events, byte, sizeof(byte)) < 0 ? -1 : RING_PORT;
}

/* ---- ring pages ---- */

void *xengnttab_open(void *logger, unsigned flags) { return &handle; }
int xengnttab_close(void *h) { return 0; }
int xengnttab_set_max_grants(void *h, uint32_t n) { return 0; }
int xengnttab_unmap(void *h, void *page, uint32_t n) { return munmap(page, PAGE); }
void *xengnttab_map_grant_ref(void *h, uint32_t domid, uint32_t ref, int prot)
{
    char name[32];
    void *page;
    int fd;

    snprintf(name, sizeof(name), "ring.%u", domid);
    fd = raw_open(in_dir(name), O_RDWR);
    if (fd < 0)
        page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    else {
        page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
    return page == MAP_FAILED ? NULL : page;
}

/* ---- what only root of a real dom0 may do ---- */

int setrlimit(int resource, const void *limit) { return 0; }
int setrlimit64(int resource, const void *limit) { return 0; }

#define RUN_DIR "/var/run/xenstored/"
static const char *moved(const char *path)
{
    size_t length = sizeof(RUN_DIR) - 1;
    return strncmp(path, RUN_DIR, length) == 0 ? in_dir(path + length) : path;
}

int unlink(const char *path) { return syscall(SYS_unlink, moved(path)); }
int chmod(const char *path, mode_t mode) { return syscall(SYS_chmod, moved(path), mode); }
int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    struct sockaddr_un elsewhere = { .sun_family = AF_UNIX };
    const char *path = address->sa_family == AF_UNIX ? ((const struct sockaddr_un *)address)->sun_path : "";
    const char *other = moved(path);

    if (other == path || strlen(other) >= sizeof(elsewhere.sun_path))
        return syscall(SYS_bind, fd, address, length);
    strcpy(elsewhere.sun_path, other);
    return syscall(SYS_bind, fd, &elsewhere, sizeof(elsewhere));
}

/* dom0's port and ring come from files of the kernel's Xen drivers. */
int open(const char *path, int flags, ...)
{
    int mode = 0, fd;
    va_list args;

    va_start(args, flags);
    if (flags & (O_CREAT | O_TMPFILE))
        mode = va_arg(args, int);
    va_end(args);
    if (strstr(path, "xsd_port")) {
        fd = memfd_create("port", 0);
        if (write(fd, "1", 1) != 1)
            return -1;
        lseek(fd, 0, SEEK_SET);
        return fd;
    }
    if (strstr(path, "xsd_kva") || strstr(path, "xenbus_backend")) {
        fd = memfd_create("ring", 0);
        return ftruncate(fd, PAGE) ? -1 : fd;
    }
    return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
