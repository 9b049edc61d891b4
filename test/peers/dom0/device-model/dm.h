/* A small device model for virtio-mmio GPUs over xenbus, as an outsider would write it against Debian's Xen libraries: ioreq server,
 * foreign memory, kicks by IOEVENTFD, interrupts by event channel or IRQFD, a vhost-user server for the device. */
#ifndef DM_H
#define DM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xenstore.h>
#include <xen/hvm/ioreq.h>

#define QUEUES 2
#define MMIO_SIZE 0x200
#define CONFIG_SIZE 16

struct queue {
    uint32_t size;
    bool ready, running;
    uint64_t desc, avail, used;
    int kick; /* eventfd */
};

struct device {
    unsigned domid, devid;
    char back[96], front[128];
    int state; /* ours, as last written */
    bool open, claimed, refused; /* refused: it stays closed until the toolstack makes it anew */
    bool lost; /* what the driver told the device is gone: registers say so until it lets go */
    /* Xen's side. */
    ioservid_t server;
    bool has_server, adopted; /* adopted: a device model before us made the server */
    uint64_t left_base;       /* what that one had claimed; 0: nothing */
    xenforeignmemory_resource_handle *resource;
    struct shared_iopage *page;
    uint32_t vcpu_port, guest_port, port;
    uint64_t base;
    int privcmd; /* for IOEVENTFD and IRQFD, and as the guest's memory for the vhost-user server */
    int gntdev;  /* the same for granted pages */
    int call;    /* eventfd */
    /* The device server's side. */
    int socket;
    bool xen_mmap; /* the guest's memory is sent as that of a foreign domain */
    uint64_t backend_features, memory_size;
    uint8_t config[CONFIG_SIZE];
    /* Registers. */
    struct queue queue[QUEUES];
    uint32_t status, interrupt, device_sel, driver_sel, queue_sel;
    uint64_t driver_features;
};

/* What all devices share. */
struct model {
    struct xs_handle *xs;
    xenevtchn_handle *evtchn;
    xendevicemodel_handle *dm;
    xenforeignmemory_handle *memory;
    const char *server_path;
    bool irqfd;      /* interrupts by IRQFD and the dm_op evtchn_raise */
    bool grants;     /* the device server is given granted pages, and not the guest's memory */
    const char *bug; /* a fault to be found */
};
extern struct model model;
bool has_bug(const char *name);

/* main.c: the note of our ioreq server in the backend's directory, which a device model after us reads. */
bool server_note(const struct device *device, unsigned *id, uint64_t *base);
bool note_server(const struct device *device);

/* xen.c: 0, or -1 with errno. Each takes back what it half did. */
int xen_open(struct device *device);
void xen_close(struct device *device);
int xen_claim(struct device *device, uint64_t base, uint32_t guest_port);
void xen_unclaim(struct device *device);
void xen_request(struct device *device);
void xen_interrupt(struct device *device, uint32_t bit);

/* vhost.c */
int vhost_connect(struct device *device);
void vhost_close(struct device *device);
int vhost_start(struct device *device);
void vhost_stop(struct device *device);

/* mmio.c */
uint64_t mmio_read(struct device *device, uint64_t offset, unsigned size);
void mmio_write(struct device *device, uint64_t offset, uint32_t value);
uint64_t mmio_features(const struct device *device);

#endif
