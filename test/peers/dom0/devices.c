/* What a device model does with libxencall, libxendevicemodel, libxenforeignmemory and libxengnttab, errors included, on the lab's
 * privcmd and gntdev. Argument: a domain of 8 MiB with one vCPU, whose process writes 1 to 0xf0000050 when this prints "kick". */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xencall.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/ioreq.h>
#include <xen/memory.h>
#include "check.h"

#define PAGE 4096UL
#define GUEST_PAGES 2048UL
#define BASE 0xf0000000UL

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
#define PRIVCMD_IRQFD 0x40185008UL
#define PRIVCMD_IOEVENTFD 0x40305009UL
#define PRIVCMD_DM_OP 0x105005UL
#define PRIVCMD_HYPERCALL 0x305000UL

static int readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, 5000) == 1 && (one.revents & POLLIN) != 0;
}

static sigjmp_buf fault;
static void on_fault(int signal)
{
    siglongjmp(fault, signal);
}

/* 0 when the byte can be read, else the signal that reading it raised. */
static int touch(volatile char *byte)
{
    struct sigaction action = {.sa_handler = on_fault};
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    int signal = sigsetjmp(fault, 1);
    if (signal == 0)
        (void)*byte;
    return signal;
}

static void hypercalls(domid_t dom)
{
    xencall_handle *call = xencall_open(NULL, 0);
    CHECK(call != NULL);
    CHECK(xencall1(call, 17 /* xen_version */, 0) == (4 << 16 | 17));
    char *buffer = xencall_alloc_buffer(call, 4096);
    CHECK(buffer != NULL);
    CHECK(xencall2(call, 17, 3, (uint64_t)(uintptr_t)buffer) == 0 && strstr(buffer, "hvm-3.0-x86_64") != NULL);
    FAILS(xencall2(call, 17, 3, 8), EFAULT);
    FAILS(xencall1(call, 60, 0), ENOSYS);
    struct evtchn_alloc_unbound *alloc = (void *)buffer;
    *alloc = (struct evtchn_alloc_unbound){.dom = DOMID_SELF, .remote_dom = dom};
    CHECK(xencall2(call, 32, EVTCHNOP_alloc_unbound, (uintptr_t)alloc) == 0 && alloc->port > 0);
    uint32_t port = alloc->port;
    struct evtchn_status *status = (void *)buffer;
    *status = (struct evtchn_status){.dom = DOMID_SELF, .port = port};
    CHECK(xencall2(call, 32, EVTCHNOP_status, (uintptr_t)status) == 0);
    CHECK(status->status == EVTCHNSTAT_unbound && status->u.unbound.dom == dom);
    struct evtchn_close *closing = (void *)buffer;
    closing->port = port;
    CHECK(xencall2(call, 32, EVTCHNOP_close, (uintptr_t)closing) == 0);
    FAILS(xencall2(call, 32, EVTCHNOP_close, (uintptr_t)closing), EINVAL);
    FAILS(xencall2(call, 32, 99, (uintptr_t)closing), ENOSYS);
    *(uint16_t *)buffer = dom;
    CHECK(xencall2(call, 12, XENMEM_maximum_gpfn, (uintptr_t)buffer) == (long)GUEST_PAGES - 1);
    *(uint16_t *)buffer = 77;
    FAILS(xencall2(call, 12, XENMEM_current_reservation, (uintptr_t)buffer), ESRCH);
    xencall_free_buffer(call, buffer);
    xencall_close(call);
    STEP("hypercalls");
}

static void device_model(domid_t dom)
{
    xendevicemodel_handle *dm = xendevicemodel_open(NULL, 0);
    ioservid_t id, second;
    unsigned vcpus;
    xen_pfn_t gfn, buffered;
    evtchn_port_t port;
    CHECK(dm != NULL);
    FAILS(xendevicemodel_create_ioreq_server(dm, 77, 0, &id), ESRCH);
    FAILS(xendevicemodel_create_ioreq_server(dm, 0, 0, &id), EPERM);
    FAILS(xendevicemodel_create_ioreq_server(dm, dom, 3, &id), EINVAL);
    CHECK(xendevicemodel_create_ioreq_server(dm, dom, 0, &id) == 0 && id == 0);
    CHECK(xendevicemodel_create_ioreq_server(dm, dom, 2, &second) == 0 && second == 1);
    CHECK(xendevicemodel_get_ioreq_server_info(dm, dom, second, NULL, NULL, &port) == 0 && port > 0);
    FAILS(xendevicemodel_get_ioreq_server_info(dm, dom, second, &gfn, &buffered, &port), ENOMEM);
    FAILS(xendevicemodel_get_ioreq_server_info(dm, dom, 5, NULL, NULL, &port), ENOENT);
    CHECK(xendevicemodel_map_io_range_to_ioreq_server(dm, dom, id, 1, BASE, BASE + 0xfff) == 0);
    FAILS(xendevicemodel_map_io_range_to_ioreq_server(dm, dom, id, 1, BASE + 0xfff, BASE + 0x1fff), EEXIST);
    FAILS(xendevicemodel_map_io_range_to_ioreq_server(dm, dom, id, 1, BASE + 1, BASE), EINVAL);
    FAILS(xendevicemodel_unmap_io_range_from_ioreq_server(dm, dom, id, 1, 0, 10), ENOENT);
    CHECK(xendevicemodel_set_ioreq_server_state(dm, dom, id, 1) == 0);
    CHECK(xendevicemodel_nr_vcpus(dm, dom, &vcpus) == 0 && vcpus == 1);
    CHECK(xendevicemodel_map_pcidev_to_ioreq_server(dm, dom, id, 0, 0, 3, 0) == 0);
    CHECK(xendevicemodel_set_pci_intx_level(dm, dom, 0, 0, 3, 0, 1) == 0);
    FAILS(xendevicemodel_set_pci_intx_level(dm, dom, 1, 0, 3, 0, 1), EINVAL);
    CHECK(xendevicemodel_inject_msi(dm, dom, 0xfee00000, 0x31) == 0);
    struct xen_dm_op_modified_memory_extent extent = {.nr = 4, .first_pfn = 16};
    CHECK(xendevicemodel_modified_memory_bulk(dm, dom, &extent, 1) == 0);
    extent.first_pfn = GUEST_PAGES;
    FAILS(xendevicemodel_modified_memory_bulk(dm, dom, &extent, 1), EINVAL);
    FAILS(xendevicemodel_set_irq_level(dm, dom, 40, 1), EOPNOTSUPP); /* Arm's */
    CHECK(xendevicemodel_destroy_ioreq_server(dm, dom, second) == 0);
    FAILS(xendevicemodel_destroy_ioreq_server(dm, dom, second), ENOENT);
    CHECK(xendevicemodel_destroy_ioreq_server(dm, dom, id) == 0);
    CHECK(xendevicemodel_restrict(dm, dom) == 0);
    FAILS(xendevicemodel_nr_vcpus(dm, (domid_t)(dom + 1), &vcpus), EPERM);
    xendevicemodel_close(dm);
    STEP("device model");
}

static void foreign_memory(domid_t dom)
{
    xenforeignmemory_handle *mem = xenforeignmemory_open(NULL, 0);
    xen_pfn_t frames[4] = {16, 17, GUEST_PAGES, 3};
    int errors[4];
    CHECK(mem != NULL);
    char *pages = xenforeignmemory_map(mem, dom, PROT_READ | PROT_WRITE, 4, frames, errors);
    CHECK(pages != NULL);
    CHECK(errors[0] == 0 && errors[1] == 0 && errors[2] == -EINVAL && errors[3] == 0);
    strcpy(pages, "first");
    strcpy(pages + PAGE, "second");
    CHECK(touch(pages + 2 * PAGE) == SIGBUS);
    char *again = xenforeignmemory_map(mem, dom, PROT_READ, 1, &frames[1], NULL);
    CHECK(again != NULL && strcmp(again, "second") == 0);
    CHECK(xenforeignmemory_unmap(mem, again, 1) == 0);
    CHECK(touch(again) == SIGSEGV);
    /* Without an array of errors one bad page fails the whole. */
    CHECK(xenforeignmemory_map(mem, dom, PROT_READ, 4, frames, NULL) == NULL);
    CHECK(xenforeignmemory_map(mem, 77, PROT_READ, 1, frames, NULL) == NULL && errno == ESRCH);
    /* A child has none of it. */
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(touch(pages) == SIGSEGV ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(strcmp(pages, "first") == 0);
    CHECK(xenforeignmemory_unmap(mem, pages, 4) == 0);
    size_t size;
    CHECK(xenforeignmemory_resource_size(mem, dom, XENMEM_resource_ioreq_server, 0, &size) == 0 && size == 2 * PAGE);
    FAILS(xenforeignmemory_resource_size(mem, 77, XENMEM_resource_ioreq_server, 0, &size), ESRCH);
    void *at = NULL;
    CHECK(xenforeignmemory_map_resource(mem, dom, XENMEM_resource_ioreq_server, 6, 1, 1, &at, PROT_READ, 0) == NULL && errno == ENOENT);
    CHECK(xenforeignmemory_restrict(mem, dom) == 0);
    CHECK(xenforeignmemory_map(mem, (domid_t)(dom + 1), PROT_READ, 1, frames, NULL) == NULL && errno == EPERM);
    xenforeignmemory_close(mem);
    STEP("foreign memory");
}

static void grants(domid_t dom)
{
    xenforeignmemory_handle *mem = xenforeignmemory_open(NULL, 0);
    xengnttab_handle *gnt = xengnttab_open(NULL, 0);
    void *at = NULL;
    xenforeignmemory_resource_handle *table = xenforeignmemory_map_resource(
        mem, dom, XENMEM_resource_grant_table, XENMEM_resource_grant_table_id_shared, 0, 1, &at, PROT_READ | PROT_WRITE, 0);
    CHECK(gnt != NULL && table != NULL);
    volatile struct grant_entry_v1 *entry = at;
    xen_pfn_t frame = 20;
    char *page = xenforeignmemory_map(mem, dom, PROT_READ | PROT_WRITE, 1, &frame, NULL);
    strcpy(page, "granted");
    entry[8].domid = 0;
    entry[8].frame = 20;
    entry[8].flags = GTF_permit_access;
    entry[9].frame = 21;
    entry[9].flags = GTF_permit_access | GTF_readonly;
    char *mapped = xengnttab_map_grant_ref(gnt, dom, 8, PROT_READ | PROT_WRITE);
    CHECK(mapped != NULL && strcmp(mapped, "granted") == 0);
    CHECK((entry[8].flags & (GTF_reading | GTF_writing)) == (GTF_reading | GTF_writing));
    strcpy(mapped, "written");
    CHECK(strcmp(page, "written") == 0);
    CHECK(xengnttab_unmap(gnt, mapped, 1) == 0);
    CHECK(entry[8].flags == GTF_permit_access);
    CHECK(xengnttab_map_grant_ref(gnt, dom, 9, PROT_READ | PROT_WRITE) == NULL);
    CHECK((mapped = xengnttab_map_grant_ref(gnt, dom, 9, PROT_READ)) != NULL);
    uint32_t refs[2] = {8, 9}, domids[2] = {dom, dom};
    char *both = xengnttab_map_grant_refs(gnt, 2, domids, refs, PROT_READ);
    CHECK(both != NULL && strcmp(both, "written") == 0 && both[PAGE] == 0);
    CHECK(xengnttab_unmap(gnt, both, 2) == 0);
    CHECK(xengnttab_map_grant_ref(gnt, dom, 10, PROT_READ) == NULL); /* nothing granted */
    CHECK(xengnttab_map_grant_ref(gnt, dom, 1 << 20, PROT_READ) == NULL);
    CHECK(xengnttab_map_grant_ref(gnt, 77, 8, PROT_READ) == NULL);
    CHECK(xengnttab_unmap(gnt, mapped, 1) == 0);
    /* A byte cleared at the unmapping, as a ring says that its reader is gone. */
    mapped = xengnttab_map_grant_ref_notify(gnt, dom, 8, PROT_READ | PROT_WRITE, 2, (evtchn_port_t)-1);
    CHECK(mapped != NULL && mapped[2] == 'i');
    CHECK(xengnttab_unmap(gnt, mapped, 1) == 0);
    CHECK(page[1] == 'r' && page[2] == 0 && page[3] == 't');
    /* A process that ends without a word gives its pages back. */
    int status;
    pid_t child = fork();
    if (child == 0) {
        xengnttab_handle *own = xengnttab_open(NULL, 0);
        xengnttab_map_grant_ref(own, dom, 8, PROT_READ);
        _exit((entry[8].flags & GTF_reading) != 0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    mapped = xengnttab_map_grant_ref(gnt, dom, 8, PROT_READ); /* a call comes after that end */
    CHECK(mapped != NULL && xengnttab_unmap(gnt, mapped, 1) == 0 && entry[8].flags == GTF_permit_access);
    xenforeignmemory_unmap(mem, page, 1);
    xenforeignmemory_unmap_resource(mem, table);
    xengnttab_close(gnt);
    xenforeignmemory_close(mem);
    STEP("grants");
}

static void event_descriptors(domid_t dom)
{
    int fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC), event = eventfd(0, EFD_NONBLOCK), call = eventfd(0, 0);
    xendevicemodel_handle *dm = xendevicemodel_open(NULL, 0);
    xenforeignmemory_handle *mem = xenforeignmemory_open(NULL, 0);
    xenevtchn_handle *evtchn = xenevtchn_open(NULL, 0);
    ioservid_t id;
    void *page = NULL;
    CHECK(xendevicemodel_create_ioreq_server(dm, dom, 0, &id) == 0);
    xenforeignmemory_resource_handle *res =
        xenforeignmemory_map_resource(mem, dom, XENMEM_resource_ioreq_server, id, 1, 1, &page, PROT_READ | PROT_WRITE, 0);
    CHECK(res != NULL);
    CHECK(xendevicemodel_set_ioreq_server_state(dm, dom, id, 1) == 0);
    CHECK(xendevicemodel_map_io_range_to_ioreq_server(dm, dom, id, 1, BASE, BASE + 0x1ff) == 0);
    struct shared_iopage *io = page;
    uint32_t port = (uint32_t)xenevtchn_bind_interdomain(evtchn, dom, io->vcpu_ioreq[0].vp_eport);
    CHECK((int)port > 0 && xenevtchn_pending(evtchn) == (int)port && xenevtchn_unmask(evtchn, port) == 0);
    struct ioeventfd kick = {.ioreq = (uintptr_t)page, .ports = (uintptr_t)&port, .addr = BASE, .addr_len = 4,
                             .event_fd = (uint32_t)event, .vcpus = 1, .vq = 1, .dom = dom}, bad;
    bad = kick, bad.addr_len = 3;
    FAILS(ioctl(fd, PRIVCMD_IOEVENTFD, &bad), EINVAL);
    bad = kick, bad.vcpus = 0;
    FAILS(ioctl(fd, PRIVCMD_IOEVENTFD, &bad), EINVAL);
    bad = kick, bad.flags = 2;
    FAILS(ioctl(fd, PRIVCMD_IOEVENTFD, &bad), EINVAL);
    bad = kick, bad.event_fd = 999;
    FAILS(ioctl(fd, PRIVCMD_IOEVENTFD, &bad), EBADF);
    bad = kick, bad.event_fd = (uint32_t)fd;
    FAILS(ioctl(fd, PRIVCMD_IOEVENTFD, &bad), EINVAL);
    bad = kick, bad.addr = ~0ull;
    FAILS(ioctl(fd, PRIVCMD_IOEVENTFD, &bad), EINVAL);
    bad = kick, bad.flags = 1;
    FAILS(ioctl(fd, PRIVCMD_IOEVENTFD, &bad), ENODEV);
    CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &kick) == 0);
    FAILS(ioctl(fd, PRIVCMD_IOEVENTFD, &kick), EBUSY);
    STEP("kick");
    uint64_t count;
    CHECK(readable(event) && read(event, &count, 8) == 8 && count == 1);
    /* The slot is answered after the eventfd was signalled; then the port tells us as well. */
    CHECK(readable(xenevtchn_fd(evtchn)) && xenevtchn_pending(evtchn) == (int)port && xenevtchn_unmask(evtchn, port) == 0);
    CHECK(io->vcpu_ioreq[0].state == STATE_IORESP_READY || io->vcpu_ioreq[0].state == STATE_IOREQ_NONE);
    kick.flags = 1;
    CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &kick) == 0);
    FAILS(ioctl(fd, PRIVCMD_IOEVENTFD, &kick), ENODEV);
    STEP("kicked");
    struct xen_dm_op op = {.op = XEN_DMOP_inject_msi, .u.inject_msi = {.data = 0x31, .addr = 0xfee00000}};
    struct irqfd irq = {.dm_op = (uintptr_t)&op, .size = sizeof(op), .fd = (uint32_t)call, .dom = dom}, worse;
    worse = irq, worse.fd = 999;
    FAILS(ioctl(fd, PRIVCMD_IRQFD, &worse), EBADF);
    worse = irq, worse.dm_op = 8;
    FAILS(ioctl(fd, PRIVCMD_IRQFD, &worse), EFAULT);
    worse = irq, worse.flags = 4;
    FAILS(ioctl(fd, PRIVCMD_IRQFD, &worse), EINVAL);
    CHECK(ioctl(fd, PRIVCMD_IRQFD, &irq) == 0);
    FAILS(ioctl(fd, PRIVCMD_IRQFD, &irq), EBUSY);
    count = 1;
    CHECK(write(call, &count, 8) == 8);
    irq.flags = 1;
    CHECK(ioctl(fd, PRIVCMD_IRQFD, &irq) == 0);
    CHECK(ioctl(fd, PRIVCMD_IRQFD, &irq) == 0); /* unknown by now, and no error */
    STEP("irqfd");
    FAILS(ioctl(fd, PRIVCMD_DM_OP, (void *)8), EFAULT);
    FAILS(ioctl(fd, 0x505099, NULL), ENOTTY);
    FAILS(ioctl(fd, PRIVCMD_HYPERCALL, (void *)-8l), EFAULT);
    struct { uint16_t dom, num; uint64_t bufs; } raw = {dom, 17, 8};
    FAILS(ioctl(fd, PRIVCMD_DM_OP, &raw), E2BIG);
    raw.num = 1;
    FAILS(ioctl(fd, PRIVCMD_DM_OP, &raw), EFAULT);
    raw.num = 0;
    CHECK(ioctl(fd, PRIVCMD_DM_OP, &raw) == 0);
    FAILS(read(fd, &raw, 8), EINVAL);
    CHECK(xendevicemodel_destroy_ioreq_server(dm, dom, id) == 0);
    xenforeignmemory_unmap_resource(mem, res);
    xenevtchn_close(evtchn);
    xenforeignmemory_close(mem);
    xendevicemodel_close(dm);
    close(fd);
    STEP("bad calls");
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    domid_t dom = (domid_t)atoi(argv[1]);
    hypercalls(dom);
    device_model(dom);
    foreign_memory(dom);
    grants(dom);
    event_descriptors(dom);
    STEP("done");
    return 0;
}
