/* The virtio-mmio registers, version 2 (virtio 1.x, 4.2.2). */
#include "dm.h"
#include <string.h>
#include <unistd.h>

#define RING_EVENT_IDX (1ull << 29)
#define RING_INDIRECT (1ull << 28)
#define VERSION_1 (1ull << 32)
#define ACCESS_PLATFORM (1ull << 33)
#define STATUS_FEATURES_OK 8
#define STATUS_DRIVER_OK 4
#define STATUS_NEEDS_RESET 0x40
#define QUEUE_SIZE_MAX(queue) ((queue) == 0 ? 256u : 16u)

/* What a driver must take: with grants it must give no plain addresses. */
static uint64_t needed(void)
{
    return model.grants ? VERSION_1 | ACCESS_PLATFORM : VERSION_1;
}

uint64_t mmio_features(const struct device *device)
{
    return (device->backend_features & (0xffffffull | RING_EVENT_IDX | RING_INDIRECT)) | needed();
}

static void reset(struct device *device)
{
    vhost_stop(device);
    device->status = device->device_sel = device->driver_sel = device->queue_sel = 0;
    device->driver_features = 0;
    device->interrupt = 0;
    for (unsigned i = 0; i < QUEUES; i++) {
        int kick = device->queue[i].kick;
        device->queue[i] = (struct queue){.size = QUEUE_SIZE_MAX(i), .kick = kick};
    }
}

uint64_t mmio_read(struct device *device, uint64_t offset, unsigned size)
{
    struct queue *queue = device->queue_sel < QUEUES ? &device->queue[device->queue_sel] : NULL;
    uint64_t value = 0;
    if (offset >= 0x100) {
        if (offset - 0x100 + size <= CONFIG_SIZE)
            memcpy(&value, device->config + (offset - 0x100), size);
        return value;
    }
    switch (offset) {
    case 0x000: return 0x74726976;
    case 0x004: return 2;
    case 0x008: return 16;
    case 0x00c: return 0x4d444358;
    case 0x010: return device->device_sel < 2 ? (uint32_t)(mmio_features(device) >> (32 * device->device_sel)) : 0;
    case 0x034: return queue != NULL ? QUEUE_SIZE_MAX(device->queue_sel) : 0;
    case 0x044: return queue != NULL && queue->ready;
    case 0x060: return model.irqfd ? device->interrupt | 1 : device->interrupt;
    case 0x070: return device->status | (device->lost && device->status != 0 ? STATUS_NEEDS_RESET : 0);
    case 0x0b0: case 0x0b4: case 0x0b8: case 0x0bc: return 0xffffffff; /* no shared memory */
    default: return 0;
    }
}

static void low(uint64_t *address, uint32_t value)
{
    *address = (*address & 0xffffffff00000000ull) | value;
}
static void high(uint64_t *address, uint32_t value)
{
    *address = (*address & 0xffffffffull) | (uint64_t)value << 32;
}

void mmio_write(struct device *device, uint64_t offset, uint32_t value)
{
    struct queue *queue = device->queue_sel < QUEUES ? &device->queue[device->queue_sel] : NULL;
    switch (offset) {
    case 0x014: device->device_sel = value; return;
    case 0x024: device->driver_sel = value; return;
    case 0x020:
        if (device->driver_sel < 2) {
            unsigned shift = 32 * device->driver_sel;
            device->driver_features = (device->driver_features & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
        }
        return;
    case 0x030: device->queue_sel = value; return;
    case 0x050: /* a kick that we saw before the kernel did: our write-back and its look at the slot may cross */
        if (value < QUEUES && device->queue[value].kick >= 0) {
            uint64_t one = 1;
            if (write(device->queue[value].kick, &one, 8) != 8)
                device->status |= STATUS_NEEDS_RESET;
        }
        return;
    case 0x064: device->interrupt &= ~value; return;
    case 0x070:
        if (value == 0) {
            reset(device);
            return;
        }
        if ((value & STATUS_FEATURES_OK) != 0 &&
            ((device->driver_features & ~mmio_features(device)) != 0 || (needed() & ~device->driver_features) != 0))
            value &= ~(uint32_t)STATUS_FEATURES_OK;
        if ((value & ~device->status & STATUS_DRIVER_OK) != 0 && vhost_start(device) != 0)
            value |= STATUS_NEEDS_RESET;
        device->status = value;
        return;
    }
    if (queue == NULL)
        return;
    switch (offset) {
    case 0x038: queue->size = value <= QUEUE_SIZE_MAX(device->queue_sel) ? value : queue->size; return;
    case 0x044: queue->ready = value != 0; return;
    case 0x080: low(&queue->desc, value); return;
    case 0x084: high(&queue->desc, value); return;
    case 0x090: low(&queue->avail, value); return;
    case 0x094: high(&queue->avail, value); return;
    case 0x0a0: low(&queue->used, value); return;
    case 0x0a4: high(&queue->used, value); return;
    }
}
