import fc from 'fast-check';
import t from 'tap';
import { EDID_BASE_BLOCK, EDID_BLOCK_BYTES } from '../../../../lib/layout/edid.js';
import { DISPLAY_PIXELS_MAX } from '../../../../services/vhost-gpu/display.js';
import { makeEdid } from '../../../../services/vhost-gpu/edid.js';

/** Reads the fields that a driver reads, from the numbers of the standard. */
function read(edid: Uint8Array) {
  const at = (offset: number) => edid[offset]!;
  const clockHz = (at(54) | (at(55) << 8)) * 10000;
  const h = { active: at(56) | ((at(58) >> 4) << 8), blank: at(57) | ((at(58) & 15) << 8) };
  const v = { active: at(59) | ((at(61) >> 4) << 8), blank: at(60) | ((at(61) & 15) << 8) };
  return { clockHz, h, v, hz: clockHz / ((h.active + h.blank) * (v.active + v.blank)), flags: at(71) };
}

t.test('a block of EDID 1.4 with the right header and sum, for any size of display', async () => {
  const side = fc.integer({ min: 1, max: DISPLAY_PIXELS_MAX });
  fc.assert(
    fc.property(side, side, fc.nat(15), (width, height, index) => {
      const edid = makeEdid(width, height, index);
      if (edid.length !== EDID_BLOCK_BYTES || edid[126] !== 0) throw new Error('length');
      if (edid.reduce((sum, byte) => sum + byte, 0) % 256 !== 0) throw new Error('checksum');
      const { h, v, hz, flags } = read(edid);
      // The clock is rounded to 10 kHz, which is much for a display of a few pixels.
      const hzMax = 60.001 + 5000 / ((h.active + h.blank) * (v.active + v.blank));
      if (h.active !== width || v.active !== height) throw new Error(`${h.active} x ${v.active}`);
      if (h.blank < 1 || v.blank < 1 || hz <= 0 || hz > hzMax || (flags & 0x18) !== 0x18) throw new Error('timing');
    }),
  );
});

t.test('the timings of common sizes are those of CVT reduced blanking', async (t) => {
  // From the published VESA tables: 1920 x 1080 R: 138.50 MHz, 2080 x 1111; 1280 x 800 R: 71.00 MHz, 1440 x 823.
  const cases: [number, number, total: [number, number], mhz: number][] = [
    [1920, 1080, [2080, 1111], 138.5],
    [1280, 800, [1440, 823], 71],
    [2560, 1600, [2720, 1646], 268.5],
  ];
  for (const [width, height, total, mhz] of cases) {
    const { h, v, clockHz, hz } = read(makeEdid(width, height));
    t.same([h.active + h.blank, v.active + v.blank], total);
    t.ok(Math.abs(clockHz / 1e6 - mhz) < 0.25, `${clockHz}`);
    t.ok(Math.abs(hz - 60) < 0.1, `${hz}`);
  }
});

t.test('fixed fields read as the standard has them', async (t) => {
  const edid = makeEdid(1280, 800, 3);
  t.same([...edid.subarray(0, 8)], [0, 255, 255, 255, 255, 255, 255, 0]);
  const id = (edid[8]! << 8) | edid[9]!;
  t.equal([10, 5, 0].map((shift) => String.fromCharCode(64 + ((id >> shift) & 31))).join(''), 'XWR');
  t.same([...edid.subarray(18, 20)], [1, 4]);
  t.same([...edid.subarray(25, 35)], [0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54], 'sRGB');
  t.equal(edid[EDID_BASE_BLOCK.offset.serial_number], 4, 'displays can be told apart');
  t.equal(Buffer.from(edid.subarray(95, 108)).toString('latin1'), 'xenwire\n     ');
});

/** Every mode that the established and the standard timings offer. */
function offered(edid: Uint8Array): [number, number][] {
  const established: [number, number, number, number][] = [
    [35, 0x20, 640, 480],
    [35, 0x01, 800, 600],
    [36, 0x08, 1024, 768],
  ];
  const modes = established
    .filter(([at, bit]) => (edid[at]! & bit) !== 0)
    .map(([, , w, h]): [number, number] => [w, h]);
  for (let at = 38; at < 54; at += 2) {
    if (edid[at] === 1 && edid[at + 1] === 1) continue;
    if ((edid[at + 1]! & 63) !== 0) throw new Error('not 60 Hz');
    const width = (edid[at]! + 31) * 8;
    const [across, down] = [
      [16, 10],
      [4, 3],
      [5, 4],
      [16, 9],
    ][edid[at + 1]! >> 6] as [number, number];
    modes.push([width, (width * down) / across]);
  }
  return modes;
}

t.test('no mode is offered that is larger than the display', async (t) => {
  t.equal(offered(makeEdid(1920, 1080)).length, 3 + 8);
  t.same(offered(makeEdid(1280, 800)), [
    [640, 480],
    [800, 600],
    [1024, 768],
    [1280, 800],
    [1280, 720],
    [1024, 768],
  ]);
  t.same(offered(makeEdid(639, 480)), []);
  const side = fc.integer({ min: 1, max: DISPLAY_PIXELS_MAX });
  fc.assert(
    fc.property(side, side, (width, height) =>
      offered(makeEdid(width, height)).every(([across, down]) => across <= width && down <= height),
    ),
  );
});

t.test('a mode too large for the clock field is offered slower, not wrong', async (t) => {
  const { hz, clockHz } = read(makeEdid(4095, 4095));
  t.equal(clockHz, 655_350_000);
  t.ok(hz > 30 && hz < 60);
});
