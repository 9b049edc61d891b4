/* The vhost-user front-end: one connection a device. The guest's memory is given as a privcmd descriptor that is restricted to
 * the guest, at its guest-physical addresses; with --grants as a gntdev descriptor a region, as xen-vhost-frontend does. */
#define _GNU_SOURCE
#include "dm.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    GET_FEATURES = 1, SET_FEATURES = 2, SET_OWNER = 3, SET_MEM_TABLE = 5, SET_VRING_NUM = 8, SET_VRING_ADDR = 9,
    SET_VRING_BASE = 10, GET_VRING_BASE = 11, SET_VRING_KICK = 12, SET_VRING_CALL = 13, GET_PROTOCOL_FEATURES = 15,
    SET_PROTOCOL_FEATURES = 16, SET_VRING_ENABLE = 18, GET_CONFIG = 24,
};
#define VERSION_1 (1ull << 32)
#define F_PROTOCOL_FEATURES (1ull << 30)
#define P_REPLY_ACK (1ull << 3)
#define P_CONFIG (1ull << 9)
#define P_XEN_MMAP (1ull << 17)
#define XEN_FOREIGN 1
#define XEN_GRANT 2
#define XEN_NO_ADVANCE 8 /* as rust-vmm has it */
#define PAGE 4096ull
#define GRANTED (1ull << 63)
#define GRANTED_END (GRANTED + 64 * 512 * PAGE) /* of the largest table */
#define REGIONS (2 * QUEUES + 1)
#define NEED_REPLY 8

struct header {
    uint32_t request, flags, size;
} __attribute__((packed));

static int transfer(int fd, void *bytes, size_t size, bool out)
{
    char *at = bytes;
    while (size > 0) {
        ssize_t count = out ? send(fd, at, size, MSG_NOSIGNAL) : recv(fd, at, size, 0);
        if (count <= 0 && errno != EINTR)
            return -1;
        if (count > 0)
            at += count, size -= (size_t)count;
    }
    return 0;
}

/* Sends one message, with as many copies of a descriptor. */
static int tell_copies(struct device *device, uint32_t request, uint32_t flags, const void *payload, uint32_t size, int fd, unsigned copies)
{
    char message[sizeof(struct header) + 512];
    struct header header = {request, 1 | flags, size};
    memcpy(message, &header, sizeof(header));
    memcpy(message + sizeof(header), payload, size);
    struct iovec part = {message, sizeof(header) + size};
    union {
        char room[CMSG_SPACE(REGIONS * sizeof(int))];
        struct cmsghdr header;
    } ancillary = {{0}};
    struct msghdr whole = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        ancillary.header.cmsg_level = SOL_SOCKET;
        ancillary.header.cmsg_type = SCM_RIGHTS;
        ancillary.header.cmsg_len = CMSG_LEN(copies * sizeof(int));
        for (unsigned i = 0; i < copies; i++)
            memcpy(CMSG_DATA(&ancillary.header) + i * sizeof(int), &fd, sizeof(int));
        whole.msg_control = &ancillary;
        whole.msg_controllen = CMSG_SPACE(copies * sizeof(int));
    }
    return sendmsg(device->socket, &whole, MSG_NOSIGNAL) == (ssize_t)part.iov_len ? 0 : -1;
}

static int tell(struct device *device, uint32_t request, uint32_t flags, const void *payload, uint32_t size, int fd)
{
    return tell_copies(device, request, flags, payload, size, fd, 1);
}

static int answer(struct device *device, uint32_t request, void *payload, uint32_t size)
{
    struct header header;
    if (transfer(device->socket, &header, sizeof(header), false) != 0 || header.request != request || header.size != size)
        return -1;
    return transfer(device->socket, payload, size, false);
}

static int get_u64(struct device *device, uint32_t request, uint64_t *value)
{
    return tell(device, request, 0, NULL, 0, -1) != 0 ? -1 : answer(device, request, value, 8);
}

/* A message that is acknowledged. */
static int set_copies(struct device *device, uint32_t request, const void *payload, uint32_t size, int fd, unsigned copies)
{
    uint64_t refused = 1;
    if (tell_copies(device, request, NEED_REPLY, payload, size, fd, copies) != 0 || answer(device, request, &refused, 8) != 0)
        return -1;
    if (refused != 0)
        fprintf(stderr, "the device server refuses request %u\n", request);
    return refused == 0 ? 0 : -1;
}

static int set(struct device *device, uint32_t request, const void *payload, uint32_t size, int fd)
{
    return set_copies(device, request, payload, size, fd, 1);
}

int vhost_connect(struct device *device)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    uint64_t offered, wanted = P_REPLY_ACK | P_CONFIG;
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", model.server_path);
    device->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (device->socket < 0 || connect(device->socket, (struct sockaddr *)&to, sizeof(to)) != 0)
        goto failed;
    if (get_u64(device, GET_FEATURES, &device->backend_features) != 0 || (device->backend_features & F_PROTOCOL_FEATURES) == 0)
        goto failed;
    if (get_u64(device, GET_PROTOCOL_FEATURES, &offered) != 0 || (offered & wanted) != wanted)
        goto failed;
    device->xen_mmap = (offered & P_XEN_MMAP) != 0;
    wanted |= offered & P_XEN_MMAP;
    if (tell(device, SET_PROTOCOL_FEATURES, 0, &wanted, 8, -1) != 0 || set(device, SET_OWNER, NULL, 0, -1) != 0)
        goto failed;
    struct {
        uint32_t offset, size, flags;
        uint8_t bytes[CONFIG_SIZE];
    } config = {0, CONFIG_SIZE, 0, {0}};
    if (tell(device, GET_CONFIG, 0, &config, sizeof(config), -1) != 0 || answer(device, GET_CONFIG, &config, sizeof(config)) != 0)
        goto failed;
    memcpy(device->config, config.bytes, CONFIG_SIZE);
    return 0;
failed:
    vhost_close(device);
    return -1;
}

void vhost_close(struct device *device)
{
    if (device->socket >= 0)
        close(device->socket);
    device->socket = -1;
    for (unsigned i = 0; i < QUEUES; i++)
        device->queue[i].running = false;
}

struct region {
    uint64_t address, size, user, offset;
    uint32_t xen_flags, xen_domain;
};

/* Rings are mapped for as long as they run, everything between them at each access. */
static int set_granted(struct device *device)
{
    struct {
        uint32_t count, padding;
        struct region region[REGIONS];
    } memory = {0};
    struct queue *order[QUEUES];
    unsigned rings = 0;
    for (unsigned i = 0; i < QUEUES; i++)
        if (device->queue[i].ready)
            order[rings++] = &device->queue[i];
    if (rings == 2 && order[0]->desc > order[1]->desc) {
        struct queue *first = order[0];
        order[0] = order[1], order[1] = first;
    }
    uint64_t done = GRANTED;
    for (unsigned i = 0; i <= rings; i++) {
        uint64_t begin = i < rings ? order[i]->desc & ~(PAGE - 1) : GRANTED_END;
        uint64_t end = i < rings ? (order[i]->used + 6 + 8ull * order[i]->size + PAGE - 1) & ~(PAGE - 1) : GRANTED_END;
        if (begin < done || end < begin)
            return -1;
        if (begin > done)
            memory.region[memory.count++] = (struct region){done, begin - done, done, 0, XEN_GRANT | XEN_NO_ADVANCE, device->domid};
        if (end > begin)
            memory.region[memory.count++] = (struct region){begin, end - begin, begin, 0, XEN_GRANT, device->domid};
        done = end;
    }
    uint32_t bytes = (uint32_t)(offsetof(__typeof__(memory), region) + memory.count * sizeof(struct region));
    return set_copies(device, SET_MEM_TABLE, &memory, bytes, device->gntdev, memory.count);
}

int vhost_start(struct device *device)
{
    /* ACCESS_PLATFORM is between the driver and us: the server sees it by its regions. */
    uint64_t features = (device->driver_features & (device->backend_features | VERSION_1)) | F_PROTOCOL_FEATURES, one = 1;
    struct {
        uint32_t count, padding;
        uint64_t address, size, user, offset;
        uint32_t xen_flags, xen_domain; /* with XEN_MMAP only */
    } memory = {1, 0, 0, device->memory_size, 0, 0, XEN_FOREIGN, device->domid};
    uint32_t memory_bytes = device->xen_mmap ? sizeof(memory) : offsetof(__typeof__(memory), xen_flags);
    if (set(device, SET_FEATURES, &features, 8, -1) != 0)
        return -1;
    if ((model.grants ? set_granted(device) : set(device, SET_MEM_TABLE, &memory, memory_bytes, device->privcmd)) != 0)
        return -1;
    for (uint32_t i = 0; i < QUEUES; i++) {
        struct queue *queue = &device->queue[i];
        if (!queue->ready)
            continue;
        struct {
            uint32_t index, number;
        } state = {i, queue->size}, base = {i, 0}, enable = {i, 1};
        struct {
            uint32_t index, flags;
            uint64_t desc, used, avail, log;
        } address = {i, 0, queue->desc, queue->used, queue->avail, 0};
        uint64_t index = i;
        if (set(device, SET_VRING_CALL, &index, 8, device->call) != 0 || set(device, SET_VRING_NUM, &state, 8, -1) != 0 ||
            set(device, SET_VRING_BASE, &base, 8, -1) != 0 || set(device, SET_VRING_ADDR, &address, sizeof(address), -1) != 0 ||
            set(device, SET_VRING_KICK, &index, 8, queue->kick) != 0 || set(device, SET_VRING_ENABLE, &enable, 8, -1) != 0)
            return -1;
        queue->running = true;
        if (write(queue->kick, &one, 8) != 8)
            return -1;
    }
    return 0;
}

void vhost_stop(struct device *device)
{
    for (uint32_t i = 0; i < QUEUES && device->socket >= 0; i++) {
        struct {
            uint32_t index, number;
        } state = {i, 0};
        if (!device->queue[i].running)
            continue;
        device->queue[i].running = false;
        if (tell(device, GET_VRING_BASE, 0, &state, 8, -1) != 0 || answer(device, GET_VRING_BASE, &state, 8) != 0)
            vhost_close(device);
    }
}
