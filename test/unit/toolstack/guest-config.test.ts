import t from 'tap';
import { UserError } from '../../../lib/core/errors.js';
import {
  type GuestConfig,
  onPath,
  onServer,
  parseGuestConfig,
  virtioDeviceNumber,
} from '../../../toolstack/guest-config.js';

const read = (text: string): { config: GuestConfig; warnings: string[] } => {
  const warnings: string[] = [];
  return { config: parseGuestConfig(text, 'g.cfg', (sentence) => warnings.push(sentence)), warnings };
};
const refusal = (text: string): string => {
  try {
    read(text);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  return 'accepted';
};

t.test('a guest with a GPU, the comma of its type included', async (t) => {
  const { config, warnings } = read(
    [
      'type = "pvh"',
      'name = "gpu"',
      'memory = 128',
      'on_crash = "restart"',
      'virtio = [ "type=virtio,device10,transport=mmio,backend=Domain-0,grant_usage=0" ]',
    ].join('\n'),
  );
  t.same(config, {
    name: 'gpu',
    memoryMib: 128,
    vcpus: 1,
    onPoweroff: 'destroy',
    onReboot: 'restart',
    onCrash: 'restart',
    virtio: [{ type: 'virtio,device10', transport: 'mmio', backend: 'Domain-0', grantUsage: false }],
  });
  t.same(warnings, []);
  t.equal(virtioDeviceNumber(config.virtio[0]!.type), 16);
  t.equal(virtioDeviceNumber('virtio,device'), undefined);
});

t.test('what is left out has defaults', async (t) => {
  t.same(read('name = "g"\nvirtio = [ "transport = mmio, type = virtio,device1a" ]').config, {
    name: 'g',
    memoryMib: 64,
    vcpus: 1,
    onPoweroff: 'destroy',
    onReboot: 'restart',
    onCrash: 'destroy',
    virtio: [{ type: 'virtio,device1a', transport: 'mmio', backend: '0' }],
  });
});

t.test('a device may say how its notifications travel', async (t) => {
  const { config } = read('name = "g"\nvirtio = [ "type=virtio,device10,transport=mmio,path=irqfd" ]');
  t.equal(config.virtio[0]!.path, 'irqfd');
  t.equal(onPath(config, 'direct').virtio[0]!.path, 'direct');
  t.equal(onPath(config, undefined), config);
});

t.test('a device may say which server is behind its backend', async (t) => {
  const { config } = read('name = "g"\nvirtio = [ "type=virtio,device10,transport=mmio,server=second" ]');
  t.equal(config.virtio[0]!.server, 'second');
  t.equal(onServer(config, 'b').virtio[0]!.server, 'b');
  t.notOk('server' in onServer(config, undefined).virtio[0]!, 'the one without a name');
  for (const name of ['', '2nd', 'B', 'a b', 'x'.repeat(23)])
    t.throws(
      () => read(`name = "g"\nvirtio = [ "type=virtio,device10,transport=mmio,server=${name}" ]`),
      { message: /^g.cfg:2: virtio: server is a small letter, / },
      name,
    );
});

t.test('settings of xl that mean nothing here are warned about', async (t) => {
  t.same(read('name = "g"\nkernel = "/boot/vmlinuz"').warnings, ['g.cfg:2: kernel means nothing here and is ignored']);
});

t.test('grant_usage=1 is taken as it is', async (t) => {
  const { config, warnings } = read('name = "g"\nvirtio = [ "type=virtio,device10,transport=mmio,grant_usage=1" ]');
  t.equal(config.virtio[0]!.grantUsage, true);
  t.same(warnings, []);
});

t.test('mistakes are one sentence with file and line', async (t) => {
  const virtio = (item: string) => `name = "g"\nvirtio = [ "${item}" ]`;
  const cases: readonly (readonly [string, string | RegExp])[] = [
    ['', 'g.cfg:1: the guest has no name = "..." setting'],
    ['name = "a/b"', /^g\.cfg:1: a guest cannot be named "a\/b"/],
    ['name = "../x"', /cannot be named/],
    ['name = "12"', /cannot be named/],
    ['name = [ "g" ]', 'g.cfg:1: name takes one value, not a list'],
    ['name = "g"\nmemory = "lots"', /^g\.cfg:2: memory is a number from 8 to 65536, not "lots"$/],
    ['name = "g"\nmemory = 4', /^g\.cfg:2: memory is a number from 8 to 65536/],
    ['name = "g"\nmemory = 65537', /^g\.cfg:2: memory is a number from 8 to 65536, not "65537"$/],
    ['name = "g"\nmemory = 1e3', /memory is a number/],
    ['name = "g"\nvcpus = 2', 'g.cfg:2: vcpus is 1, not "2"'],
    ['name = "g"\ntype = "hvm"', 'g.cfg:2: guests are of type "pvh" here, not "hvm"'],
    ['name = "g"\non_crash = "panic"', /^g\.cfg:2: on_crash is one of destroy, restart/],
    ['name = "g"\nvirtio = "x"', 'g.cfg:2: virtio takes a list: [ "..." ]'],
    ['name = "g"\nvirtio = [ [] ]', /each item of virtio is a text/],
    [virtio('transport=mmio'), /the type is missing/],
    [virtio('type=virtio,device10'), 'g.cfg:2: virtio: transport=mmio is missing'],
    [virtio('type=virtio,device10,transport=pci'), /the only transport is mmio, not "pci"/],
    [virtio('type=virtio,device1A,transport=mmio'), /lower-case hexadecimal/],
    [virtio('type=gpu,transport=mmio'), /lower-case hexadecimal, not "gpu"/],
    [virtio('type=virtio,device10,device11,transport=mmio'), /"device11" is not of the form key=value/],
    [virtio('type=virtio,device10,transport=mmio,speed=9'), 'g.cfg:2: virtio: there is no key speed'],
    [virtio('type=virtio,device10,transport=mmio,transport=mmio'), /transport is given twice/],
    [virtio('type=virtio,device10,transport=mmio,backend='), /backend names no domain/],
    [virtio('type=virtio,device10,transport=mmio,grant_usage=yes'), /grant_usage is 0 or 1/],
    [
      virtio('type=virtio,device10,transport=mmio,path=pigeon'),
      'g.cfg:2: virtio: path is one of dmop, relay, irqfd, evtchnfd, evtchn, direct, not "pigeon"',
    ],
  ];
  for (const [text, message] of cases) t.match(refusal(text), message, JSON.stringify(text));
});

t.test('what becomes of a guest that ended is one of the words of xl, by its defaults', async (t) => {
  const { config } = read('name = "g"\non_crash = "coredump-restart"\non_poweroff = "preserve"');
  t.same([config.onPoweroff, config.onReboot, config.onCrash], ['preserve', 'restart', 'coredump-restart']);
  t.match(
    refusal('name = "g"\non_reboot = "dance"'),
    /^g\.cfg:2: on_reboot is one of destroy, restart, .*, not "dance"$/,
  );
  t.match(refusal('name = "g"\non_crash = "soft-reset"'), /^g\.cfg:2: on_crash is one of /);
});

t.test('a number cannot be appended to: xl warns and goes on as if it were not set', async (t) => {
  for (const text of ['memory = 32\nmemory += 64', 'memory += 64\nvcpus = 1']) {
    const { config, warnings } = read(`name = "g"\n${text}`);
    t.equal(config.memoryMib, 64, 'the default');
    t.match(warnings, [/^g\.cfg:[23]: memory is a number, which \+= cannot add to: it is ignored$/]);
  }
});
