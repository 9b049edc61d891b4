// docs/protocol.md as text: the tables of the reviewed protocol for people, so that the document cannot say anything else than
// what the processes run on. scripts/make-protocol-doc.mjs writes it; test/unit/xenbus/protocol-doc.test.ts holds the file to it.
import { XENBUS_KEY, XenbusState, xenbusStateName } from '../layout/xenbus.js';
import { BACK_REVIEW } from './backend.js';
import { FRONT_ATTEMPTS_MAX, FRONT_REVIEW } from './frontend.js';
import { EVTCHN_PORT_END, formatHex, MMIO_ALIGN, MMIO_SIZE, MMIO_SIZE_MIN, MMIO_WINDOW } from './keys.js';
import { type EdgeRule, type KeyRule, REVIEW, type Side } from './protocol.js';

const STATES = Object.values(XenbusState);
const PATHS: Record<Side, string> = {
  front: '/local/domain/G/device/virtio-mmio/N',
  back: '/local/domain/B/backend/virtio-mmio/G/N',
};

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const named = (state: number): string => `${state} ${xenbusStateName(state)}`;
const ours = (rule: KeyRule | EdgeRule): string => (rule.ours ? 'yes' : '');

function keys(side: Side): string {
  const rows = REVIEW.keys
    .filter((rule) => rule.side === side)
    .map((rule) => [
      `\`${rule.key}\``,
      rule.writers.join(', '),
      rule.key === XENBUS_KEY.state ? 'at once' : named(rule.publishedAt),
      rule.form,
      rule.meaning,
      ours(rule),
    ]);
  return table(['key', 'written by', 'valid from state', 'text', 'meaning', 'added by us'], rows);
}

function edges(side: Side): string {
  const rows = REVIEW.edges
    .filter((rule) => rule.side === side)
    .map((rule) => [
      rule.from.join(', '),
      named(rule.to),
      rule.by,
      rule.otherEnd === undefined ? 'any' : rule.otherEnd.join(', '),
      rule.why,
      ours(rule),
    ]);
  return table(['from', 'to', 'by', 'other end reads', 'because', 'added by us'], rows);
}

/** One row a resting phase, one column a state of the other end. */
function reactions(rest: Readonly<Record<string, Readonly<Record<number, string>>>>): string {
  const rows = Object.entries(rest)
    .filter(([phase]) => phase !== 'gone')
    .map(([phase, row]) => [phase, ...STATES.map((state) => (row[state] === 'stay' ? '' : (row[state] ?? '')))]);
  return table(['at rest', ...STATES.map(named)], rows);
}

function pandoc(): string {
  return (['front', 'back'] as const)
    .flatMap((side) =>
      REVIEW.keys
        .filter((rule) => rule.side === side)
        .map((rule) => {
          const path = side === 'front' ? '~/device/virtio-mmio/$DEVID' : '~/backend/virtio-mmio/$DOMID/$DEVID';
          const who = rule.writers.join(', ');
          return `    #### ${path}/${rule.key} = ${rule.form} [${who}]\n\n    ${capital(rule.meaning)}.\n`;
        }),
    )
    .join('\n');
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

export function protocolDocument(): string {
  return `# virtio-mmio over xenbus

<!-- Written by scripts/make-protocol-doc.mjs from lib/xenbus/; change the tables there. -->

How a guest and a backend agree on a virtio-mmio device through the store: the protocol that the review of the patch
"virtio-mmio: add xenbus probing" arrived at, with what had to be added to make it hold when either end dies. What is
added is marked. Device kind \`virtio-mmio\`; G is the guest's domain, B the backend's, N the device's number.

## Directories

- Frontend: \`${PATHS.front}\`, owned by the guest, readable by the backend.
- Backend: \`${PATHS.back}\`, owned by the backend, readable by the guest: the directory itself, not
  its keys alone, since Linux lists it.
- Errors: \`/local/domain/G/error/device/virtio-mmio/N/error\`, \`<errno> <text>\`, written by the guest.

The toolstack makes both directories with both states at 1 in one transaction. A reader acts on a key only once the state of
its directory says that it is published, and no more once that state is 6. Publishing needs no transaction: the keys are
written first, then the state. A key that is published is not written again.

### Keys of the frontend's directory

${keys('front')}

### Keys of the backend's directory

${keys('back')}

### Bounds

- \`base\` is a multiple of ${MMIO_ALIGN}, and the whole range lies in ${formatHex(MMIO_WINDOW.start)}-${formatHex(MMIO_WINDOW.end)}: above the largest RAM, so that
  no guest needs to know where its memory ends. The guest takes the lowest free range. The backend refuses one that
  meets RAM or another device. A \`base\` in the backend's directory is ignored.
- \`size\` is a multiple of 4, at least ${formatHex(MMIO_SIZE_MIN)}; ${formatHex(MMIO_SIZE)} is what our backend publishes.
- \`event-channel\` is from 1 to ${EVTCHN_PORT_END - 1}.

Whatever does not parse, or lies outside, is an error of the end that wrote it: the reader reports it, closes this
device, and nothing else.

## States

What may be written, by which writer. *core* is the guest's xenbus core, which moves a frontend's state where its driver does
not: at boot, at shutdown, when a driver is unbound. Our processes look every state and every key up before they write it
(\`lib/xenbus/rules.ts\`); one that is not in these tables ends the process that was about to write it.

### Moves of the frontend

${edges('front')}

### Moves of the backend

${edges('back')}

## The handshake

1. The toolstack makes both directories, both states 1.
2. The backend publishes \`size\`, and \`feature-queue-evtchn\` where the device is on path \`evtchn\`; then it writes 2.
3. The guest, at 1, sees 2: takes a range, allocates a port for the backend's domain, and one for each queue that is offered
   one, writes \`base\`, \`event-channel\` and \`queue-N/event-channel\`, then 3.
4. The backend sees 3: checks the keys, binds the ports, claims the range, can answer every register access; then 4.
5. The guest, at 3, sees 4: registers the device. Its driver probes at once, so registers are used before the guest
   writes 4.

Values are read when an event is handled, not carried by it. An event may come twice, and a reader may find the other
end several states on; every row of the tables below stands for that case too.

## Closing

Either end writes 5. The guest unregisters the device while the backend still answers its registers, frees port and
range, writes 6. The backend then lets go of its side and writes 6. With \`online\` at 1 the guest writes 1 from the same
watch callback, the backend answers with 2, and another connection begins: that is how a replaced backend gets its
guests back. A guest that failed by itself, or that began ${FRONT_ATTEMPTS_MAX} connections in a row without reaching 4, stays at 6.

A backend that starts and finds itself at 4 or 5 with the guest at 4 answers registers again (Status reads 0x40, so that
the driver knows that its state is lost), writes 5, and closes as above. With the guest at 3 it does the same, and raises the
interrupt once, since a driver that sleeps in its probe sees no state; found at 2, its keys are published already and stay as they are. It never writes a key of the frontend.

## What each end does at rest

Empty: nothing. Rows are phases, columns the state of the other end as it was read; the words are the phases that follow
(\`lib/xenbus/frontend.ts\`, \`lib/xenbus/backend.ts\`).

### Frontend

${reactions(FRONT_REVIEW.rest)}

### Backend

${reactions(BACK_REVIEW.rest)}

## What is proved of it, and how

\`xenwire explore\` runs both machines, the toolstack's writes, the store and Linux's xenbus core in every order of their steps
([explore.md](explore.md) says what is left out). The searches named here are whole, and continuous integration repeats them
(\`test/long/explore.test.ts\`): two faults anywhere, of ten kinds under the core of 7.2 (1.4 million states), of seven under 6.12
(64,000 states). \`npm run check\` repeats one fault anywhere.

| rule | what a search would print | seen to be looked at by |
|---|---|---|
| moves of both ends | legal-edges, tables | every write of a state, of both ends, the core and the toolstack |
| who writes which key | key-ownership | every write in both directories |
| a reader acts on a key only once it is published; a published key is not written again | publication | every read and write of a key |
| registers are answered until the frontend has let go | registers-answered | every probe and removal of the driver |
| what is taken is given back, once | conservation | ports, ranges, ioreq server, at each call and at rest |
| with \`online\` at 1 the device connects again after any death | recovery, connected | every state at rest |
| an end that gives up says why | rest, told | every state at rest after a refusal |
| nothing waits for ever | deadlock, livelock | every state |
| reset only of a closed backend | legal-edges | \`--kinds reset\` |

A row changed on purpose shows whether a search looks: \`xenwire explore --mutations\`.

## For xenstore-paths.pandoc

${pandoc()}`;
}
