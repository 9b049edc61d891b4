// Where RAM of an x86 guest ends and goes on (xen/include/public/hvm/e820.h).

/** RAM below 4 GiB ends here: registers of devices lie above it. */
export const HVM_BELOW_4G_RAM_END = 0xf0000000;
/** Where the rest of RAM begins (libxl, tools/libs/light/libxl_dom.c: lowmem_end, highmem_end). */
export const HVM_HIGH_RAM_START = 2 ** 32;
