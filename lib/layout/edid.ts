// EDID 1.4 base block (VESA E-EDID Standard, release A2): its fields and the numbers in them. What a display says of
// itself is put together in services/vhost-gpu/edid.ts.
import { bytes, struct, u8, u16, u32 } from './struct.js';

/** Every block of an EDID; the bytes of each sum to 0 modulo 256. */
export const EDID_BLOCK_BYTES = 128;
export const EDID_HEADER = Uint8Array.of(0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00);

/** A detailed timing: sizes are split into a low byte and bits in a byte shared with a neighbour. */
export const EDID_DETAILED_TIMING = struct(
  'edid_detailed_timing',
  {
    /** Units of 10 kHz. */
    pixel_clock: u16,
    hactive_low: u8,
    hblank_low: u8,
    /** Upper nibble active, lower blanking: bits 8 to 11. */
    h_high: u8,
    vactive_low: u8,
    vblank_low: u8,
    v_high: u8,
    hsync_offset_low: u8,
    hsync_width_low: u8,
    /** Upper nibble offset, lower width: bits 0 to 3, in lines. */
    vsync_low: u8,
    /** Two bits each from the top: hsync offset (8, 9), hsync width, vsync offset (4, 5), vsync width. */
    sync_high: u8,
    width_mm_low: u8,
    height_mm_low: u8,
    /** Upper nibble width, lower height: bits 8 to 11. */
    mm_high: u8,
    hborder: u8,
    vborder: u8,
    flags: u8,
  },
  { size: 18 },
);
/** Digital separate sync, both polarities negative but the given ones positive. */
export const EDID_TIMING_F_DIGITAL_SEPARATE_SYNC = 0x18;
export const EDID_TIMING_F_VSYNC_POSITIVE = 0x04;
export const EDID_TIMING_F_HSYNC_POSITIVE = 0x02;
/** Sizes in a detailed timing have 12 bits, vertical sync offset and width 6 bits, the clock 16. */
export const EDID_ACTIVE_MAX = 0xfff;
export const EDID_PIXEL_CLOCK_MAX = 0xffff;

/** A display descriptor: in the place of a detailed timing, told apart by a clock of zero. */
export const EDID_DESCRIPTOR = struct(
  'edid_display_descriptor',
  { pixel_clock: u16, reserved: u8, tag: u8, reserved2: u8, data: bytes(13) },
  { size: 18 },
);
export const EDID_DESCRIPTOR_TAG = { SERIAL: 0xff, RANGE_LIMITS: 0xfd, NAME: 0xfc, DUMMY: 0x10 } as const;

export const EDID_BASE_BLOCK = struct(
  'edid_base_block',
  {
    header: bytes(8),
    /** Three letters of five bits, big-endian: 'A' is 1. */
    manufacturer: bytes(2),
    product_code: u16,
    serial_number: u32,
    week: u8,
    /** Years since 1990. */
    year: u8,
    version: u8,
    revision: u8,
    video_input: u8,
    width_cm: u8,
    height_cm: u8,
    /** gamma * 100 - 100. */
    gamma: u8,
    features: u8,
    chromaticity: bytes(10),
    established_timings: bytes(3),
    standard_timings: bytes(16),
    preferred_timing: EDID_DETAILED_TIMING,
    descriptors: bytes(54),
    extension_count: u8,
    checksum: u8,
  },
  { size: EDID_BLOCK_BYTES, packed: true },
);
/** Digital, 8 bits a colour, DisplayPort. */
export const EDID_INPUT_DIGITAL_8BIT_DISPLAYPORT = 0xa5;
/** sRGB is the default colour space; the preferred timing includes the native pixel format. */
export const EDID_FEATURES_SRGB_PREFERRED = 0x06;
/** Established timings at 60 Hz: the bit of each in the field's three bytes. */
export const EDID_ESTABLISHED_60HZ = [
  { width: 640, height: 480, byte: 0, bit: 0x20 },
  { width: 800, height: 600, byte: 0, bit: 0x01 },
  { width: 1024, height: 768, byte: 1, bit: 0x08 },
] as const;
/** A standard timing: width / 8 - 31, then aspect in the top two bits and Hz - 60 below. */
export const EDID_STANDARD_ASPECT = { '16:10': 0x00, '4:3': 0x40, '5:4': 0x80, '16:9': 0xc0 } as const;
export const EDID_STANDARD_UNUSED = Uint8Array.of(0x01, 0x01);
