/* Xen's side of a device: its ioreq server and page, requests, kicks, the interrupt. */
#define _GNU_SOURCE
#include "dm.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/memory.h>

#define PRIVCMD_RESTRICT 0x25006UL
#define PRIVCMD_IRQFD 0x40185008UL
#define PRIVCMD_IOEVENTFD 0x40305009UL
#define DEASSIGN 1
/* Of the thread's patches: raises an event channel of the guest. */
#define XEN_DMOP_evtchn_raise 0x1000

struct irqfd {
    uint64_t dm_op;
    uint32_t size, fd, flags;
    uint16_t dom, pad;
};
struct ioeventfd {
    uint64_t ioreq, ports, addr;
    uint32_t addr_len, event_fd, vcpus, vq, flags;
    uint16_t dom, pad;
};

/* An ioreq server outlives the program that made it, and a vCPU may be waiting in it: no port that is not bound wakes that. Which
 * server it is no call of Xen's tells, only whether there is one of a number: the note in the store does. */
static bool adopt_server(struct device *device)
{
    unsigned id;
    device->adopted = server_note(device, &id, &device->left_base) &&
                      xendevicemodel_get_ioreq_server_info(model.dm, (domid_t)device->domid, (ioservid_t)id, NULL, NULL, NULL) == 0;
    if (device->adopted)
        device->server = (ioservid_t)id;
    return device->adopted;
}

/* What waits in an adopted server: an access that was begun is begun again, one that was answered is told again. */
static void resume_request(struct device *device)
{
    struct ioreq *request = &device->page->vcpu_ioreq[0];
    if (request->state == STATE_IOREQ_INPROCESS)
        request->state = STATE_IOREQ_READY;
    if (has_bug("lost-request") && request->state == STATE_IOREQ_READY)
        request->state = STATE_IOREQ_INPROCESS;
    if (request->state == STATE_IORESP_READY)
        xenevtchn_notify(model.evtchn, device->vcpu_port);
}

int xen_open(struct device *device)
{
    uint16_t dom = (uint16_t)device->domid;
    void *page = NULL;
    xen_pfn_t last = 0;
    device->privcmd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
    device->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (model.grants && (device->gntdev = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC)) < 0)
        goto failed;
    if (device->privcmd < 0 || device->call < 0 || ioctl(device->privcmd, PRIVCMD_RESTRICT, &dom) != 0)
        goto failed;
    for (unsigned i = 0; i < QUEUES; i++)
        if ((device->queue[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
            goto failed;
    if (!adopt_server(device) && xendevicemodel_create_ioreq_server(model.dm, dom, 0, &device->server) != 0)
        goto failed;
    device->has_server = true;
    if (!device->adopted && !note_server(device))
        goto failed;
    device->resource = xenforeignmemory_map_resource(model.memory, dom, XENMEM_resource_ioreq_server, device->server, 1, 1,
                                                     &page, PROT_READ | PROT_WRITE, 0);
    if (device->resource == NULL || xendevicemodel_set_ioreq_server_state(model.dm, dom, device->server, 1) != 0)
        goto failed;
    device->page = page;
    int port = xenevtchn_bind_interdomain(model.evtchn, dom, device->page->vcpu_ioreq[0].vp_eport);
    if (port < 0)
        goto failed;
    device->vcpu_port = (uint32_t)port;
    if (device->adopted)
        resume_request(device);
    /* The guest's memory: as many pages as can be mapped, from 0 on. */
    for (size_t step = model.grants ? 0 : 1ul << 20; step > 0; step /= 2) {
        xen_pfn_t frame = last + step - 1;
        void *at = xenforeignmemory_map(model.memory, dom, PROT_READ, 1, &frame, NULL);
        if (at == NULL)
            continue;
        last += step;
        xenforeignmemory_unmap(model.memory, at, 1);
    }
    device->memory_size = last * 4096;
    return 0;
failed:
    xen_close(device);
    return -1;
}

void xen_close(struct device *device)
{
    if (device->vcpu_port != 0)
        xenevtchn_unbind(model.evtchn, device->vcpu_port);
    if (device->resource != NULL)
        xenforeignmemory_unmap_resource(model.memory, device->resource);
    if (device->has_server)
        xendevicemodel_destroy_ioreq_server(model.dm, (domid_t)device->domid, device->server);
    if (device->has_server) {
        device->has_server = false;
        note_server(device);
    }
    for (unsigned i = 0; i < QUEUES; i++)
        if (device->queue[i].kick >= 0)
            close(device->queue[i].kick);
    if (device->call >= 0)
        close(device->call);
    if (device->privcmd >= 0)
        close(device->privcmd);
    if (device->gntdev >= 0)
        close(device->gntdev);
    device->vcpu_port = 0;
    device->resource = NULL;
    device->page = NULL;
    device->adopted = false;
    device->privcmd = device->gntdev = device->call = -1;
    for (unsigned i = 0; i < QUEUES; i++)
        device->queue[i].kick = -1;
}

static int kick(struct device *device, unsigned queue, uint32_t flags)
{
    struct ioeventfd request = {.ioreq = (uintptr_t)device->page, .ports = (uintptr_t)&device->vcpu_port, .addr = device->base,
                                .addr_len = 4, .event_fd = (uint32_t)device->queue[queue].kick, .vcpus = 1, .vq = queue,
                                .flags = flags, .dom = (uint16_t)device->domid};
    return ioctl(device->privcmd, PRIVCMD_IOEVENTFD, &request);
}

static int irqfd(struct device *device, uint32_t flags)
{
    struct {
        uint32_t op, pad, port;
    } op = {XEN_DMOP_evtchn_raise, 0, device->guest_port};
    struct irqfd request = {.dm_op = (uintptr_t)&op, .size = sizeof(op), .fd = (uint32_t)device->call, .flags = flags,
                            .dom = (uint16_t)device->domid};
    return model.irqfd ? ioctl(device->privcmd, PRIVCMD_IRQFD, &request) : 0;
}

/* The range that a device model before us had claimed, of a connection that is over. */
static void xen_unclaim_left(struct device *device)
{
    if (device->left_base != 0)
        xendevicemodel_unmap_io_range_from_ioreq_server(model.dm, (domid_t)device->domid, device->server, 1, device->left_base,
                                                        device->left_base + MMIO_SIZE - 1);
    device->left_base = 0;
}

int xen_claim(struct device *device, uint64_t base, uint32_t guest_port)
{
    int port = xenevtchn_bind_interdomain(model.evtchn, device->domid, guest_port);
    if (port < 0)
        return -1;
    xenevtchn_unmask(model.evtchn, (uint32_t)port);
    device->port = (uint32_t)port;
    device->guest_port = guest_port;
    device->base = base;
    device->claimed = true;
    bool had = device->left_base == base;
    if (!had)
        xen_unclaim_left(device);
    if (xendevicemodel_map_io_range_to_ioreq_server(model.dm, (domid_t)device->domid, device->server, 1, base, base + MMIO_SIZE - 1) != 0 &&
        !(had && errno == EEXIST))
        goto failed;
    device->left_base = 0;
    if (!note_server(device))
        goto failed;
    for (unsigned i = 0; i < QUEUES && !device->lost; i++)
        if (kick(device, i, 0) != 0)
            goto failed;
    if (irqfd(device, 0) != 0)
        goto failed;
    return 0;
failed:
    xen_unclaim(device);
    return -1;
}

void xen_unclaim(struct device *device)
{
    if (!device->claimed)
        return;
    device->claimed = false;
    irqfd(device, DEASSIGN);
    for (unsigned i = 0; i < QUEUES && !device->lost; i++)
        kick(device, i, DEASSIGN);
    xendevicemodel_unmap_io_range_from_ioreq_server(model.dm, (domid_t)device->domid, device->server, 1, device->base,
                                                    device->base + MMIO_SIZE - 1);
    if (!(has_bug("port-kept") && device->lost))
        xenevtchn_unbind(model.evtchn, device->port);
}

/* An event on the vCPU's port: answers its request, if the kernel has not. */
void xen_request(struct device *device)
{
    struct ioreq *request = &device->page->vcpu_ioreq[0];
    if (__atomic_load_n((uint8_t *)request + 30, __ATOMIC_ACQUIRE) % 16 != STATE_IOREQ_READY)
        return;
    request->state = STATE_IOREQ_INPROCESS;
    uint64_t offset = request->addr - device->base;
    if (request->type == IOREQ_TYPE_COPY && device->claimed && offset < MMIO_SIZE && request->size <= 8) {
        if (request->dir == IOREQ_READ)
            request->data = mmio_read(device, offset, request->size);
        else
            mmio_write(device, offset, (uint32_t)request->data);
    } else if (request->dir == IOREQ_READ) {
        request->data = ~0ull;
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    request->state = STATE_IORESP_READY;
    xenevtchn_notify(model.evtchn, device->vcpu_port);
}

void xen_interrupt(struct device *device, uint32_t bit)
{
    device->interrupt |= bit;
    xenevtchn_notify(model.evtchn, device->port);
}
