/* What the loads of bench:xenstored share: xs_wire over the daemon's unix socket, one request at a time a connection, as libxenstore
 * does, and the clock. Whatever goes wrong ends the program. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { XS_READ = 2, XS_WATCH = 4, XS_INTRODUCE = 8, XS_WRITE = 11, XS_SET_PERMS = 14, XS_WATCH_EVENT = 15 };
struct header { uint32_t type, req_id, tx_id, len; };

/* main() sets it. */
static const char *socket_path;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static int dial(void)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(to.sun_path, socket_path, sizeof(to.sun_path) - 1);
    if (connect(fd, (void *)&to, sizeof(to)))
        die("connect");
    return fd;
}

static void take(int fd, void *into, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = read(fd, (char *)into + done, len - done);
        if (got <= 0)
            die("read");
        done += got;
    }
}

static char body[4097];

/* The next message's type; its payload is in `body`. */
static uint32_t receive(int fd)
{
    struct header h;
    take(fd, &h, sizeof(h));
    if (h.len > 4096)
        die("reply too long");
    take(fd, body, h.len);
    body[h.len] = 0;
    return h.type;
}

static void send_request(int fd, uint32_t type, const char *payload, size_t len)
{
    char buffer[sizeof(struct header) + 4096];
    struct header h = { type, 0, 0, len };
    memcpy(buffer, &h, sizeof(h));
    memcpy(buffer + sizeof(h), payload, len);
    if (write(fd, buffer, sizeof(h) + len) != (ssize_t)(sizeof(h) + len))
        die("write");
}

static void request(int fd, uint32_t type, const char *payload, size_t len)
{
    uint32_t got;
    send_request(fd, type, payload, len);
    while ((got = receive(fd)) == XS_WATCH_EVENT)
        ;
    if (got != type) {
        fprintf(stderr, "request %u of %s answered %u %s\n", type, payload, got, body);
        exit(1);
    }
}

static size_t strings(char *into, const char *first, const char *second, int end)
{
    return sprintf(into, "%s%c%s", first, 0, second) + end;
}
