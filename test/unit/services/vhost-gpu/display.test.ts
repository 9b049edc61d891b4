import t from 'tap';
import { DISPLAY_PIXELS_MAX, Displays, validSize } from '../../../../services/vhost-gpu/display.js';

const u32 = (value: number) => new Uint8Array(new Uint32Array([value]).buffer);
const eventsRead = (displays: Displays) => displays.readConfig(0, 4)![0];

t.test('the config space reads as the header file has it, and no further', async (t) => {
  const displays = new Displays([
    { width: 800, height: 600 },
    { width: 640, height: 480 },
  ]);
  t.same([...displays.readConfig(0, 16)!], [0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
  t.same([...displays.readConfig(8, 1)!], [2]);
  t.equal(displays.readConfig(12, 8), undefined);
  t.equal(displays.readConfig(0, 20), undefined);
  t.equal(displays.readConfig(0xffffffff, 4), undefined);
});

t.test('a resize raises the display event until the driver clears it', async (t) => {
  const displays = new Displays([{ width: 800, height: 600 }]);
  t.notOk(displays.set(0, { width: 800, height: 600 }), 'no news');
  t.equal(eventsRead(displays), 0);
  t.ok(displays.set(0, { width: 1024, height: 768 }));
  t.equal(eventsRead(displays), 1);
  t.match(displays.modes()[0], { r: { width: 1024, height: 768 }, enabled: 1 });
  t.equal(eventsRead(displays), 1, 'reading display info clears nothing');
  displays.writeConfig(4, u32(0));
  displays.writeConfig(0, u32(0));
  displays.writeConfig(4, Uint8Array.of(1));
  displays.writeConfig(8, u32(9));
  t.equal(eventsRead(displays), 1);
  t.equal(displays.readConfig(8, 4)![0], 1, 'the rest is read-only');
  displays.writeConfig(4, u32(1));
  t.equal(eventsRead(displays), 0);
  t.ok(displays.set(0, undefined));
  t.match(displays.modes()[0], { enabled: 0 });
  t.equal(eventsRead(displays), 1);
  displays.reset();
  t.equal(eventsRead(displays), 0);
  t.match(displays.modes()[0], { enabled: 0 }, 'a reset plugs nothing in');
});

t.test('sizes are what a timing can say', async (t) => {
  t.ok(validSize({ width: 1, height: DISPLAY_PIXELS_MAX }));
  for (const width of [0, -1, 1.5, Number.NaN, DISPLAY_PIXELS_MAX + 1]) t.notOk(validSize({ width, height: 1 }));
});
