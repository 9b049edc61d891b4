/* Follows dom0's backend directories of virtio-mmio devices and takes each through its states (docs/protocol.md).
 * Usage: device-model SOCKET [--irqfd] [--grants] [--bug NAME]   SOCKET: of a vhost-user GPU server
 * Faults for tests to find: no-closing (a frontend that closes is not followed), and in a device that is taken over lost-request (the
 * access that waited is never answered), wrong-edge (5 is followed by 2), port-kept (the interrupt's port is not given back). */
#define _GNU_SOURCE
#include "dm.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOT "backend/virtio-mmio"
#define DEVICES_MAX 16
enum { UNKNOWN, INITIALISING, INIT_WAIT, INITIALISED, CONNECTED, CLOSING, CLOSED };

struct model model;
static struct device devices[DEVICES_MAX];
static volatile sig_atomic_t stopping;

static void on_term(int signal)
{
    (void)signal;
    stopping = 1;
}

bool has_bug(const char *name)
{
    return model.bug != NULL && strcmp(model.bug, name) == 0;
}

static int number(const char *dir, const char *key, xs_transaction_t t)
{
    char path[256];
    unsigned length;
    snprintf(path, sizeof(path), "%s/%s", dir, key);
    char *text = xs_read(model.xs, t, path, &length);
    int value = text == NULL ? UNKNOWN : (int)strtol(text, NULL, 0);
    free(text);
    return value;
}

static uint64_t address(const char *dir, const char *key)
{
    char path[256];
    unsigned length;
    snprintf(path, sizeof(path), "%s/%s", dir, key);
    char *text = xs_read(model.xs, XBT_NULL, path, &length);
    uint64_t value = text == NULL ? 0 : strtoull(text, NULL, 16);
    free(text);
    return value;
}

static bool put(xs_transaction_t t, const char *dir, const char *key, const char *value)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, key);
    return xs_write(model.xs, t, path, value, (unsigned)strlen(value));
}

#define NOTE "ioreq-server"

bool server_note(const struct device *device, unsigned *id, uint64_t *base)
{
    char path[256];
    unsigned length;
    unsigned long long at = 0;
    snprintf(path, sizeof(path), "%s/" NOTE, device->back);
    char *text = xs_read(model.xs, XBT_NULL, path, &length);
    bool found = text != NULL && sscanf(text, "%u 0x%llx", id, &at) >= 1;
    *base = at;
    free(text);
    return found;
}

/* Notes the server that we have, with what it claims, or that we have none. False when the directory is gone. */
bool note_server(const struct device *device)
{
    char text[40], path[256];
    snprintf(path, sizeof(path), "%s/" NOTE, device->back);
    snprintf(text, sizeof(text), device->claimed ? "%u 0x%llx" : "%u", (unsigned)device->server, (unsigned long long)device->base);
    for (;;) {
        xs_transaction_t t = xs_transaction_start(model.xs);
        bool there = number(device->back, "state", t) != UNKNOWN;
        if (there)
            there = device->has_server ? put(t, device->back, NOTE, text) : xs_rm(model.xs, t, path);
        if (xs_transaction_end(model.xs, t, !there))
            return there;
        if (errno != EAGAIN)
            return false;
    }
}

/* Writes our state, with a key before it, if ours still is what we think: the toolstack may have removed the directory. */
static bool switch_state(struct device *device, int to, const char *key, const char *value)
{
    char text[4];
    snprintf(text, sizeof(text), "%d", to);
    for (;;) {
        xs_transaction_t t = xs_transaction_start(model.xs);
        int now = number(device->back, "state", t);
        bool write = now == device->state && (key == NULL || put(t, device->back, key, value)) && put(t, device->back, "state", text);
        if (xs_transaction_end(model.xs, t, !write)) {
            if (write)
                device->state = to;
            return write;
        }
        if (errno != EAGAIN)
            return false;
    }
}

static void watch_front(struct device *device, bool on)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/state", device->front);
    if (on)
        xs_watch(model.xs, path, "front");
    else
        xs_unwatch(model.xs, path, "front");
}

/* All that a connection took. */
static void give_back(struct device *device)
{
    xen_unclaim(device);
    if (device->open) {
        vhost_stop(device);
        vhost_close(device);
        xen_close(device);
    }
    device->open = device->lost = false;
}

static void begin(struct device *device)
{
    give_back(device);
    if (xen_open(device) != 0 || vhost_connect(device) != 0) {
        fprintf(stderr, "device %u/%u: cannot be opened: %s\n", device->domid, device->devid, strerror(errno));
        xen_close(device);
        device->refused = true;
        switch_state(device, CLOSED, NULL, NULL);
        return;
    }
    device->open = true;
    mmio_write(device, 0x070, 0);
    /* Found at 2, the key is published already. */
    if (device->state != INIT_WAIT)
        switch_state(device, INIT_WAIT, "size", "0x200");
}

/* Claims the range and binds the port that the frontend has published. */
static bool claim(struct device *device)
{
    uint64_t base = address(device->front, "base");
    int port = number(device->front, "event-channel", XBT_NULL);
    bool fits = base >= 0xf0000000 && base + MMIO_SIZE - 1 <= 0xfbffffff && base % 0x1000 == 0;
    if (fits && xen_claim(device, base, (uint32_t)port) == 0)
        return true;
    fprintf(stderr, "device %u/%u: base 0x%llx, port %d: %s\n", device->domid, device->devid, (unsigned long long)base, port, strerror(errno));
    return false;
}

static void connect_front(struct device *device)
{
    switch_state(device, claim(device) ? CONNECTED : CLOSING, NULL, NULL);
}

/* A device that we find connected, or closing: what its driver told the device model before us is lost. Its registers are answered,
 * an access that waits among them, until the frontend has let go; then it connects anew. */
static void take_over(struct device *device, int front)
{
    device->lost = true;
    if (xen_open(device) != 0) {
        fprintf(stderr, "device %u/%u: cannot be taken over: %s\n", device->domid, device->devid, strerror(errno));
        return;
    }
    device->open = true;
    mmio_write(device, 0x070, 0);
    device->status = 0x40;
    claim(device);
    if (device->state == CONNECTED)
        switch_state(device, CLOSING, NULL, NULL);
    /* A driver that sleeps in its probe sees no state. */
    if (front == INITIALISED && device->claimed)
        xen_interrupt(device, 2);
}

/* The device server is gone. */
static void server_gone(struct device *device)
{
    vhost_close(device);
    device->status |= 0x40;
    xen_interrupt(device, 2);
    if (device->state == CONNECTED)
        switch_state(device, CLOSING, NULL, NULL);
}

/* One look at both ends. */
static void look(struct device *device)
{
    int back = number(device->back, "state", XBT_NULL), front = number(device->front, "state", XBT_NULL);
    if (back == UNKNOWN) {
        watch_front(device, false);
        give_back(device);
        device->domid = 0;
        return;
    }
    if (back != device->state)
        device->state = back; /* the toolstack's doing */
    switch (device->state) {
    case INITIALISING:
        begin(device);
        break;
    case INIT_WAIT:
        if (!device->open)
            begin(device);
        else if (front == INITIALISED)
            connect_front(device);
        break;
    case CONNECTED:
        if (!device->open && (front == INITIALISED || front == CONNECTED || front == CLOSING)) {
            take_over(device, front);
        } else if (front == CLOSING) {
            if (has_bug("no-closing"))
                break;
            switch_state(device, CLOSING, NULL, NULL);
        } else if (front != CONNECTED && front != INITIALISED) {
            give_back(device);
            switch_state(device, CLOSED, NULL, NULL);
        }
        break;
    case CLOSING:
        /* Registers are answered until the frontend has let go. */
        if (has_bug("wrong-edge") && device->lost && front == CLOSED) {
            begin(device);
        } else if (front == CLOSED || front == UNKNOWN || front == INITIALISING) {
            give_back(device);
            switch_state(device, CLOSED, NULL, NULL);
        } else if (!device->open) {
            take_over(device, front);
        }
        break;
    case CLOSED:
        give_back(device);
        if (!device->refused && front == INITIALISING && number(device->back, "online", XBT_NULL) == 1)
            begin(device);
        break;
    }
}

static struct device *device_of(unsigned domid, unsigned devid)
{
    struct device *spare = NULL;
    for (size_t i = 0; i < DEVICES_MAX; i++) {
        if (devices[i].domid == domid && devices[i].devid == devid)
            return &devices[i];
        if (devices[i].domid == 0 && spare == NULL)
            spare = &devices[i];
    }
    if (spare == NULL)
        return NULL;
    *spare = (struct device){.domid = domid, .devid = devid, .socket = -1, .privcmd = -1, .gntdev = -1, .call = -1,
                             .queue = {{.kick = -1}, {.kick = -1}}};
    snprintf(spare->back, sizeof(spare->back), ROOT "/%u/%u", domid, devid);
    snprintf(spare->front, sizeof(spare->front), "/local/domain/%u/device/virtio-mmio/%u", domid, devid);
    watch_front(spare, true);
    return spare;
}

/* Every device that has a directory, and those that had one. */
static void look_at_all(void)
{
    unsigned count;
    char **domains = xs_directory(model.xs, XBT_NULL, ROOT, &count);
    for (unsigned i = 0; domains != NULL && i < count; i++) {
        char path[128];
        unsigned devids;
        snprintf(path, sizeof(path), ROOT "/%s", domains[i]);
        char **list = xs_directory(model.xs, XBT_NULL, path, &devids);
        for (unsigned j = 0; list != NULL && j < devids; j++)
            device_of((unsigned)atoi(domains[i]), (unsigned)atoi(list[j]));
        free(list);
    }
    free(domains);
    for (size_t i = 0; i < DEVICES_MAX; i++)
        if (devices[i].domid != 0)
            look(&devices[i]);
}

static void events(void)
{
    int port = xenevtchn_pending(model.evtchn);
    if (port < 0)
        return;
    /* Late: the port may fire again once it is written back, and a request must not be lost. */
    xenevtchn_unmask(model.evtchn, (uint32_t)port);
    for (size_t i = 0; i < DEVICES_MAX; i++)
        if (devices[i].open && devices[i].vcpu_port == (uint32_t)port)
            xen_request(&devices[i]);
}

static void calls(struct device *device)
{
    uint64_t count;
    if (read(device->call, &count, 8) == 8 && device->claimed)
        xen_interrupt(device, 1);
}

static void wait_and_serve(void)
{
    struct pollfd fds[2 + 2 * DEVICES_MAX] = {{.fd = xs_fileno(model.xs), .events = POLLIN},
                                          {.fd = xenevtchn_fd(model.evtchn), .events = POLLIN}};
    for (size_t i = 0; i < DEVICES_MAX; i++)
        fds[2 + i] = (struct pollfd){.fd = devices[i].open && !model.irqfd ? devices[i].call : -1, .events = POLLIN};
    for (size_t i = 0; i < DEVICES_MAX; i++)
        fds[2 + DEVICES_MAX + i] = (struct pollfd){.fd = devices[i].open ? devices[i].socket : -1};
    if (poll(fds, 2 + 2 * DEVICES_MAX, -1) < 0)
        return;
    if ((fds[1].revents & (POLLHUP | POLLERR)) != 0) {
        fprintf(stderr, "device-model: the host is gone\n");
        exit(1);
    }
    if (fds[1].revents != 0)
        events();
    for (size_t i = 0; i < DEVICES_MAX; i++)
        if (fds[2 + i].revents != 0)
            calls(&devices[i]);
    for (size_t i = 0; i < DEVICES_MAX; i++)
        if (fds[2 + DEVICES_MAX + i].revents != 0 && devices[i].socket == fds[2 + DEVICES_MAX + i].fd)
            server_gone(&devices[i]);
    if (fds[0].revents != 0) {
        char **event;
        bool any = false;
        while ((event = xs_check_watch(model.xs)) != NULL) {
            free(event);
            any = true;
        }
        if (any)
            look_at_all();
        else if (errno != EAGAIN) {
            fprintf(stderr, "device-model: the store is gone: %s\n", strerror(errno));
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    model.server_path = argc > 1 ? argv[1] : NULL;
    for (int i = 2; i < argc; i++) {
        model.irqfd |= strcmp(argv[i], "--irqfd") == 0;
        model.grants |= strcmp(argv[i], "--grants") == 0;
        if (strcmp(argv[i], "--bug") == 0 && i + 1 < argc)
            model.bug = argv[++i];
    }
    model.xs = xs_open(0);
    model.evtchn = xenevtchn_open(NULL, 0);
    model.dm = xendevicemodel_open(NULL, 0);
    model.memory = xenforeignmemory_open(NULL, 0);
    if (model.server_path == NULL || model.xs == NULL || model.evtchn == NULL || model.dm == NULL || model.memory == NULL) {
        fprintf(stderr, "device-model: %s\n", model.server_path == NULL ? "name a vhost-user socket" : strerror(errno));
        return 2;
    }
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    xs_watch(model.xs, ROOT, "back");
    printf("ready\n");
    fflush(stdout);
    while (!stopping)
        wait_and_serve();
    /* Devices stay as they are, for the next of us to take over: the kernel closes ports and mappings. */
    return 0;
}
