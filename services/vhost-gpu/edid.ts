// The EDID of a virtual display: one base block whose preferred timing is the display's size. Leaves which size that is to
// display.ts. Timings are CVT reduced blanking (VESA CVT 1.2, 3.4.2), which any size up to 4095 fits.
import {
  EDID_ACTIVE_MAX,
  EDID_BASE_BLOCK,
  EDID_DESCRIPTOR,
  EDID_DESCRIPTOR_TAG,
  type EDID_DETAILED_TIMING,
  EDID_ESTABLISHED_60HZ,
  EDID_FEATURES_SRGB_PREFERRED,
  EDID_HEADER,
  EDID_INPUT_DIGITAL_8BIT_DISPLAYPORT,
  EDID_PIXEL_CLOCK_MAX,
  EDID_STANDARD_ASPECT,
  EDID_STANDARD_UNUSED,
  EDID_TIMING_F_DIGITAL_SEPARATE_SYNC,
  EDID_TIMING_F_HSYNC_POSITIVE,
} from '../../lib/layout/edid.js';

const MANUFACTURER = 'XWR';
const PRODUCT_CODE = 0x0010;
const MODEL_YEAR = 2026;
const MONITOR_NAME = 'xenwire';
const DOTS_PER_INCH = 96;
const REFRESH_HZ = 60;
/** Modes offered beside the preferred one, in EDID's order of aspect classes. */
const STANDARD_MODES: readonly [width: number, height: number, aspect: keyof typeof EDID_STANDARD_ASPECT][] = [
  [1920, 1080, '16:9'],
  [1680, 1050, '16:10'],
  [1600, 900, '16:9'],
  [1440, 900, '16:10'],
  [1280, 800, '16:10'],
  [1280, 1024, '5:4'],
  [1280, 720, '16:9'],
  [1024, 768, '4:3'],
];
/** x and y of sRGB's red, green, blue and its white point (IEC 61966-2-1). */
const SRGB = [0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329] as const;

/** The EDID of a display of `width` by `height` pixels, each 1 to EDID_ACTIVE_MAX; `index` tells displays apart. */
export function makeEdid(width: number, height: number, index = 0): Uint8Array {
  const mm = { width: millimetres(width), height: millimetres(height) };
  const block = EDID_BASE_BLOCK.bytes({
    header: EDID_HEADER,
    manufacturer: manufacturerId(MANUFACTURER),
    product_code: PRODUCT_CODE,
    serial_number: index + 1,
    week: 0xff, // the year is that of the model
    year: MODEL_YEAR - 1990,
    version: 1,
    revision: 4,
    video_input: EDID_INPUT_DIGITAL_8BIT_DISPLAYPORT,
    width_cm: Math.min(255, Math.round(mm.width / 10)),
    height_cm: Math.min(255, Math.round(mm.height / 10)),
    gamma: 120, // 2.2
    features: EDID_FEATURES_SRGB_PREFERRED,
    chromaticity: chromaticity(SRGB),
    established_timings: establishedTimings(width, height),
    standard_timings: standardTimings(width, height),
    preferred_timing: detailedTiming(width, height, mm),
    descriptors: descriptors(),
    extension_count: 0,
    checksum: 0,
  });
  const sum = block.reduce((total, byte) => total + byte, 0);
  block[EDID_BASE_BLOCK.offset.checksum] = -sum & 0xff;
  return block;
}

function millimetres(pixels: number): number {
  return Math.min(EDID_ACTIVE_MAX, Math.max(1, Math.round((pixels * 25.4) / DOTS_PER_INCH)));
}

function manufacturerId(letters: string): Uint8Array {
  const id = [...letters].reduce((word, letter) => (word << 5) | (letter.charCodeAt(0) - 64), 0);
  return Uint8Array.of(id >> 8, id & 0xff);
}

/** Ten-bit fractions: two bytes of low bits, then the eight high bytes. */
function chromaticity(points: readonly number[]): Uint8Array {
  const fixed = points.map((point) => Math.round(point * 1024));
  const low = (from: number): number =>
    fixed.slice(from, from + 4).reduce((byte, value) => (byte << 2) | (value & 3), 0);
  return Uint8Array.of(low(0), low(4), ...fixed.map((value) => value >> 2));
}

/** Modes larger than the display are not offered: the guest would set one, and show a part of its picture. */
function establishedTimings(width: number, height: number): Uint8Array {
  const timings = new Uint8Array(3);
  for (const mode of EDID_ESTABLISHED_60HZ)
    if (mode.width <= width && mode.height <= height) timings[mode.byte]! |= mode.bit;
  return timings;
}

function standardTimings(width: number, height: number): Uint8Array {
  const slots = STANDARD_MODES.filter(([across, down]) => across <= width && down <= height).map(
    ([across, , aspect]) => [across / 8 - 31, EDID_STANDARD_ASPECT[aspect] | (REFRESH_HZ - 60)],
  );
  while (slots.length < 8) slots.push([...EDID_STANDARD_UNUSED]);
  return Uint8Array.from(slots.flat());
}

/** CVT reduced blanking: 160 pixels across (48 front porch, 32 sync), at least 460 us down (3 lines front porch). */
function detailedTiming(
  width: number,
  height: number,
  mm: { width: number; height: number },
): ReturnType<typeof EDID_DETAILED_TIMING.decode> {
  const hblank = 160;
  const hsync = { offset: 48, width: 32 };
  const vsync = { offset: 3, width: vsyncWidth(width, height) };
  const lineTimeUs = (1e6 / REFRESH_HZ - 460) / height;
  const vblank = Math.max(Math.floor(460 / lineTimeUs) + 1, vsync.offset + vsync.width + 6);
  // Larger than the clock field allows at 60 Hz: the clock at its most, and so a slower refresh.
  const clock = Math.min(EDID_PIXEL_CLOCK_MAX, Math.round(((width + hblank) * (height + vblank) * REFRESH_HZ) / 10000));
  return {
    pixel_clock: clock,
    hactive_low: width & 0xff,
    hblank_low: hblank & 0xff,
    h_high: ((width >> 8) << 4) | (hblank >> 8),
    vactive_low: height & 0xff,
    vblank_low: vblank & 0xff,
    v_high: ((height >> 8) << 4) | (vblank >> 8),
    hsync_offset_low: hsync.offset,
    hsync_width_low: hsync.width,
    vsync_low: (vsync.offset << 4) | vsync.width,
    sync_high: 0,
    width_mm_low: mm.width & 0xff,
    height_mm_low: mm.height & 0xff,
    mm_high: ((mm.width >> 8) << 4) | (mm.height >> 8),
    hborder: 0,
    vborder: 0,
    flags: EDID_TIMING_F_DIGITAL_SEPARATE_SYNC | EDID_TIMING_F_HSYNC_POSITIVE,
  };
}

/** CVT encodes the aspect in the length of the vertical sync. */
function vsyncWidth(width: number, height: number): number {
  const aspects: readonly [number, number, number][] = [
    [4, 3, 4],
    [16, 9, 5],
    [16, 10, 6],
    [5, 4, 7],
    [15, 9, 7],
  ];
  return aspects.find(([across, down]) => width * down === height * across)?.[2] ?? 10;
}

function descriptors(): Uint8Array {
  const all = new Uint8Array(3 * EDID_DESCRIPTOR.size);
  const text = (value: string): Uint8Array =>
    Uint8Array.from(`${value}\n`.padEnd(13, ' '), (letter) => letter.charCodeAt(0));
  const put = (slot: number, tag: number, data: Uint8Array): void =>
    EDID_DESCRIPTOR.encode({ pixel_clock: 0, reserved: 0, tag, reserved2: 0, data }, all, slot * EDID_DESCRIPTOR.size);
  // 24 to 120 Hz, 15 to 255 kHz, up to 2550 MHz, range limits only (no formula).
  put(
    0,
    EDID_DESCRIPTOR_TAG.RANGE_LIMITS,
    Uint8Array.of(24, 120, 15, 255, 255, 1, 0x0a, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20),
  );
  put(1, EDID_DESCRIPTOR_TAG.NAME, text(MONITOR_NAME));
  put(2, EDID_DESCRIPTOR_TAG.DUMMY, new Uint8Array(13));
  return all;
}
