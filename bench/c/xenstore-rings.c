/* Guests on ring pages, a process each, at a xenstored that maps the file ring.N of DIR as domain N's page and looks at its rings when a
 * byte comes in the FIFO `events` there: COUNT guests, each reading its own key ROUNDS times. Prints one line of JSON. Reads only: a guest's
 * writes are slowed down on purpose, by a limit of each domain. A guest looks for its answer and gives its core away between two looks.
 *   xenstore-rings DIR SOCKET COUNT ROUNDS */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "xs-client.h"

enum { RING = 1024, PAGE = 4096 };

/* xs_wire.h, struct xenstore_domain_interface, as far as it is used here. */
struct ring_page {
    char req[RING], rsp[RING];
    uint32_t req_cons, req_prod, rsp_cons, rsp_prod;
};

static void ring_send(volatile struct ring_page *page, const void *bytes, uint32_t len)
{
    uint32_t at = page->req_prod;

    for (uint32_t i = 0; i < len; i++)
        page->req[(at + i) % RING] = ((const char *)bytes)[i];
    __atomic_store_n(&page->req_prod, at + len, __ATOMIC_SEQ_CST);
}

static void ring_take(volatile struct ring_page *page, void *into, uint32_t len)
{
    uint32_t at = page->rsp_cons;

    while (__atomic_load_n(&page->rsp_prod, __ATOMIC_SEQ_CST) - at < len)
        sched_yield();
    for (uint32_t i = 0; i < len; i++)
        ((char *)into)[i] = page->rsp[(at + i) % RING];
    __atomic_store_n(&page->rsp_cons, at + len, __ATOMIC_SEQ_CST);
}

static void guest(const char *dir, int domid, int rounds)
{
    char name[512], key[64];
    struct header h = { XS_READ, 0, 0, 0 };
    volatile struct ring_page *page;
    int fd, events;

    sprintf(key, "/ring/%d", domid);
    snprintf(name, sizeof(name), "%s/ring.%d", dir, domid);
    fd = open(name, O_RDWR);
    page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    snprintf(name, sizeof(name), "%s/events", dir);
    events = open(name, O_RDWR);
    if (fd < 0 || page == MAP_FAILED || events < 0)
        die("ring");
    for (int round = 0; round < rounds; round++) {
        struct header got;

        h.len = strlen(key) + 1;
        ring_send(page, &h, sizeof(h));
        ring_send(page, key, h.len);
        if (write(events, "", 1) != 1)
            die("event");
        ring_take(page, &got, sizeof(got));
        if (got.len > 64)
            die("reply too long");
        ring_take(page, body, got.len);
        if (got.type != XS_READ || got.len != 5 || memcmp(body, "value", 5)) {
            fprintf(stderr, "guest %d was answered %u\n", domid, got.type);
            exit(1);
        }
    }
    exit(0);
}

int main(int argc, char **argv)
{
    char key[64], payload[128];
    int fd, count, rounds, status, bad = 0;
    double start;

    if (argc != 5)
        return 2;
    socket_path = argv[2];
    count = atoi(argv[3]);
    rounds = atoi(argv[4]);
    fd = dial();
    for (int domid = 1; domid <= count; domid++) {
        size_t len;

        sprintf(key, "/ring/%d", domid);
        request(fd, XS_WRITE, payload, strings(payload, key, "value", 0));
        len = sprintf(payload, "%s%cn%d", key, 0, domid) + 1;
        request(fd, XS_SET_PERMS, payload, len);
        len = sprintf(payload, "%d%c1%c5", domid, 0, 0) + 1;
        request(fd, XS_INTRODUCE, payload, len);
    }
    start = now();
    for (int domid = 1; domid <= count; domid++)
        if (!fork())
            guest(argv[1], domid, rounds);
    while (wait(&status) > 0)
        bad |= status;
    if (bad)
        return 1;
    printf("{\"readsPerSecond\":%.0f}\n", 1.0 * count * rounds / (now() - start) * 1e9);
    return 0;
}
