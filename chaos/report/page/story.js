// Of the report's page, before page.js: what every process did in the run of a case, as a picture, as a list, and what it did last.
// Texts are set as text, never as markup.
globalThis.story = (() => {
  const SVG = 'http://www.w3.org/2000/svg';

  function node(name, attributes = {}, ...children) {
    const made = attributes.svg ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === 'svg') continue;
      if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
      else if (value === true) made.setAttribute(key, '');
      else if (value !== false && value !== undefined) made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }
  const svg = (name, attributes, ...children) => node(name, { ...attributes, svg: true }, ...children);

  /** A table with a head; `rows` are its lines. */
  const table = (head, rows, attributes = {}) => node('table', attributes, node('thead', {}, node('tr', {}, ...head.map((name) => node('th', { scope: 'col' }, name)))), node('tbody', {}, ...rows));

  const msText = (us) => `${us < 0 ? '−' : '+'}${(Math.abs(us) / 1000).toFixed(3)}`;
  const spanText = (us) => (us >= 1_000_000 ? `${(us / 1_000_000).toFixed(1)} s` : `${(us / 1000).toFixed(us < 10_000 ? 1 : 0)} ms`);
  /** Of all lives of one process. */
  const baseName = (life) => life.replace(/ \([0-9]+\)$/, '');

  /** What a record is about, for its colour; bus messages are the transport of the others. */
  const KINDS = ['states and keys', 'wake-ups and exits', 'GPU and vhost-user', 'errors and ends', 'other'];
  const ERRORS = 3;
  function kindOf(point, label) {
    if (/^error\.|^life\.(stop|failed)$|lost$|peer-gone$|\.crash$|\.shutdown$/.test(point)) return ERRORS;
    if (/^store\.(request|serve)$/.test(point) && /^write .*\/(failure|error)(=| |$)/.test(label)) return ERRORS;
    if (/^(front|back|store|watch|transaction)\./.test(point)) return 0;
    if (/^(kick|call|event|exit|ioreq|bell)\./.test(point)) return 1;
    if (/^(gpu|vhost-user|display|guest)\./.test(point)) return 2;
    return 4;
  }

  /** Of the records of a case with one fault, that at which the process stood; undefined where it is not kept. */
  function standingAt(all, lives, place) {
    const [, process, point, label = ''] = /^([^:]+):([a-z.-]+)(?:\((.*)\))?#[0-9]+$/.exec(place) ?? [];
    return all.findLast((each) => each.us <= 0 && each.point === point && each.label.startsWith(label) && baseName(lives[each.life]) === process);
  }

  /** What belongs together: records of one message, of one event of a port, of a request to the store and its reply. */
  function kinOf({ flow, point, numbers, life }) {
    if (flow !== '') return flow;
    const number = (name) => new RegExp(`(?:^| )${name}=([0-9]+)`).exec(numbers)?.[1];
    if (/^event\.(raise|taken)$/.test(point)) return `event ${number('port')} ${/dom[0-9]+/.exec(numbers)?.[0]}`;
    if (/^store\.(request|reply)$/.test(point)) return `store ${life} ${number('id')}`;
    return undefined;
  }

  /** Silences that a picture makes short, and how wide it draws one, of WIDTH. */
  const SILENCES_MAX = 8;
  const SILENCE_PART = 0.04;
  const LEFT = 130;
  const WIDTH = 1100;
  const SILENCE_WIDTH = 46;
  /** Of a total silence that the list tells of, microseconds. */
  const SILENCE_TOLD_US = 100_000;

  /**
   * Where a time lies in the picture. Long times in which no process recorded anything are cut short, the longest first, as
   * long as one takes more than SILENCE_PART of what is left: seconds of waiting would leave no room for what was done.
   */
  function timeAxis(times) {
    const gaps = times.slice(1).map((us, index) => ({ from: times[index], to: us, us: us - times[index] }));
    let linear = Math.max(1, times.at(-1) - times[0]);
    const silences = [];
    for (const gap of gaps.toSorted((a, b) => b.us - a.us)) {
      if (silences.length === SILENCES_MAX || gap.us <= SILENCE_PART * linear || gap.us >= linear) break;
      silences.push(gap);
      linear -= gap.us;
    }
    silences.sort((a, b) => a.from - b.from);
    const scale = (WIDTH - LEFT - 40 - silences.length * SILENCE_WIDTH) / linear;
    const x = (us) => {
      let at = LEFT + 10 + (us - times[0]) * scale;
      for (const { from, to, us: length } of silences) {
        if (us >= to) at += SILENCE_WIDTH - length * scale;
        else if (us > from) at += ((us - from) / length) * SILENCE_WIDTH - (us - from) * scale;
      }
      return at;
    };
    return { x, silences };
  }

  /** Times for the axis, microseconds: 1, 2 or 5 of a power of ten apart, about six of them. */
  function roundSteps(from, to) {
    const rough = Math.max(1, to - from) / 6;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
    const first = Math.ceil(from / step);
    return Array.from({ length: Math.floor(to / step) - first + 1 }, (_, index) => (first + index) * step);
  }
  const tickText = (us) => {
    const size = Math.abs(us);
    const text = size >= 1_000_000 ? `${Number((size / 1_000_000).toFixed(3))} s` : `${Number((size / 1000).toPrecision(4))} ms`;
    return us === 0 ? '0' : `${us < 0 ? '−' : '+'}${text}`;
  };

  /** `about`: what the fault is called, the point at which the process stood, and whether that is just before or just after. */
  function storyParts({ processes: lives, records, left, hadFault, run, marked = [], endUs }, about) {
    const all = records.map(([us, life, point, label, numbers, flow], index) => ({ index, us, life, point, label, numbers, flow, kind: kindOf(point, label), isBreach: marked.includes(index) }));
    const standing = hadFault ? standingAt(all, lives, about.place) : undefined;
    const span = Math.max(1, ...all.map(({ us }) => Math.abs(us)));
    const ZOOMS = [['± 1 ms', 1000], ['± 10 ms', 10_000], ['± 100 ms', 100_000], ['the whole run', Number.POSITIVE_INFINITY]];
    let windowUs = Number.POSITIVE_INFINITY;
    let chosen;
    const bus = node('input', { type: 'checkbox', onchange: draw });
    const filter = node('input', { type: 'search', placeholder: 'part of a record', 'aria-label': 'part of a record', oninput: draw });
    const zoom = node('select', { 'aria-label': 'time around the fault', onchange: () => { windowUs = ZOOMS[zoom.selectedIndex][1]; draw(); } }, ...ZOOMS.filter(([, us], index) => index === ZOOMS.length - 1 || us < span * 10).map(([name, us]) => node('option', { selected: us === windowUs }, name)));
    const hasErrors = all.some(({ kind, isBreach }) => kind === ERRORS || isBreach);
    const next = node('button', { type: 'button', onclick: toNextError }, 'Next error or end');
    const lanes = node('div', { class: 'scroll' });
    const list = node('div', { class: 'scroll records', tabindex: 0, 'aria-label': 'records; arrow keys choose one', onkeydown: byKey });
    const last = node('div', { class: 'scroll' });

    function shownRecords() {
      const word = filter.value.toLowerCase();
      const isShown = ({ point, isBreach }) => isBreach || bus.checked || !point.startsWith('bus.') || /lost|peer-gone/.test(point);
      return all.filter((each) => Math.abs(each.us) <= windowUs && isShown(each) && `${lives[each.life]} ${each.point} ${each.numbers} ${each.label}`.toLowerCase().includes(word));
    }

    /** The one after the chosen record, else after the fault; from the end to the first again. */
    function toNextError() {
      const errors = shownRecords().filter(({ kind, isBreach }) => kind === ERRORS || isBreach);
      const after = errors.find(({ index, us }) => (chosen === undefined ? us >= 0 : index > chosen.index)) ?? errors[0];
      if (after !== undefined && after !== chosen) choose(after);
    }

    function byKey(event) {
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const shown = shownRecords();
      const at = chosen === undefined ? shown.findIndex(({ us }) => us > 0) - 1 : shown.indexOf(chosen);
      const other = shown[Math.min(shown.length - 1, Math.max(0, at + step))];
      if (other !== undefined && other !== chosen) choose(other);
    }

    function remarkOf(each) {
      if (each.isBreach) return ' ← this breaks the rule';
      if (each !== standing) return '';
      return about.before ? ` ← ${lives[each.life]} is made to stand still here, before it does this` : ` ← here ${lives[each.life]} is made to stand still`;
    }

    const wide = (text) => node('td', { colspan: 4 }, text);

    function draw() {
      const shown = shownRecords();
      lanes.replaceChildren(drawLanes(shown));
      const rows = [];
      let faultShown = !hadFault;
      let gapShown = left.middle === 0;
      let askedShown = !about.asked;
      const faultRow = () => node('tr', { class: 'fault' }, node('td', {}, '0.000'), wide(`the fault: ${about.fault}`));
      if (left.first > 0 && windowUs === Number.POSITIVE_INFINITY) rows.push(node('tr', { class: 'left' }, node('td', {}), wide(`${left.first} earlier records are not kept`)));
      const kin = chosen === undefined ? undefined : kinOf(chosen);
      for (const each of shown) {
        if (!faultShown && each.us > 0) {
          rows.push(faultRow());
          faultShown = true;
        }
        const isGap = !gapShown && each.index >= left.middleBefore;
        if (isGap) {
          rows.push(node('tr', { class: 'left' }, node('td', {}), wide(`${left.middle} records between these are not kept`)));
          gapShown = true;
        }
        if (!askedShown && each.us === 0) {
          rows.push(node('tr', { class: 'left' }, node('td', {}), wide('the store and the event channels are asked for what they hold; what goes on meanwhile takes no time here, and that of the two is not shown')));
          askedShown = true;
        }
        const silence = isGap || each.index === 0 ? 0 : each.us - all[each.index - 1].us;
        if (silence >= SILENCE_TOLD_US) rows.push(node('tr', { class: 'left' }, node('td', {}), wide(`no process records anything for ${spanText(silence)}`)));
        const same = kin !== undefined && kinOf(each) === kin;
        const remark = remarkOf(each);
        rows.push(node('tr', { class: `${each === chosen ? 'chosen' : same ? 'same' : ''}${each.isBreach ? ' breach' : ''}`, 'data-at': each.index, onclick: () => choose(each) }, node('td', {}, msText(each.us)), node('td', {}, lives[each.life]), node('td', {}, each.point), node('td', {}, each.numbers), node('td', {}, each.label, remark === '' ? '' : node('b', {}, remark))));
      }
      if (!faultShown) rows.push(faultRow());
      if (endUs !== undefined && windowUs === Number.POSITIVE_INFINITY) rows.push(node('tr', { class: 'left' }, node('td', {}, msText(endUs)), wide(`the verdict, ${spanText(endUs - (all.at(-1)?.us ?? 0))} after the last record of all`)));
      list.replaceChildren(table(['ms', 'process', 'point', 'numbers', 'what'], rows));
      const target = list.querySelector('tr.chosen') ?? list.querySelector('tr.fault');
      if (target !== null) list.scrollTop = target.offsetTop - list.clientHeight / 2;
    }

    /** Whatever hides it now is taken away. */
    function choose(record) {
      chosen = chosen === record ? undefined : record;
      if (chosen !== undefined && !shownRecords().includes(chosen)) {
        windowUs = Number.POSITIVE_INFINITY;
        zoom.selectedIndex = zoom.options.length - 1;
        filter.value = '';
        bus.checked ||= chosen.point.startsWith('bus.');
      }
      draw();
      if (chosen !== undefined) list.scrollIntoView({ block: 'nearest' });
    }

    function drawLanes(shown) {
      const STEP = 26;
      const used = lives.map((_, life) => life).filter((life) => shown.some((each) => each.life === life));
      const height = used.length * STEP + 56;
      const times = [...new Set([0, ...shown.map(({ us }) => us), ...(endUs === undefined || windowUs < endUs ? [] : [endUs])])].sort((a, b) => a - b);
      const { x, silences } = timeAxis(times);
      const y = (life) => 44 + used.indexOf(life) * STEP;
      const picture = svg('svg', { class: 'lanes', viewBox: `0 0 ${WIDTH} ${height}`, role: 'img', 'aria-label': `what ${used.length} processes did around the fault` });
      for (const silence of silences) {
        const [from, to] = [x(silence.from), x(silence.to)];
        picture.append(svg('rect', { class: 'silence', x: from, width: to - from, y: 18, height: height - 40 }, svg('title', {}, `no record shown here for ${spanText(silence.us)}`)));
        picture.append(svg('text', { class: 'axis', x: (from + to) / 2, y: 30, 'text-anchor': 'middle' }, spanText(silence.us)));
      }
      for (const life of used) picture.append(svg('line', { x1: LEFT, x2: WIDTH - 10, y1: y(life), y2: y(life) }), svg('text', { x: 8, y: y(life) + 4 }, lives[life].replace('guest-gpu-guest', 'guest')));
      drawAxis(picture, x, silences, times, height);
      if (hadFault) picture.append(svg('line', { class: 'fault', x1: x(0), x2: x(0), y1: 16, y2: height - 24 }), svg('text', { class: 'fault-name', x: x(0), y: 12, 'text-anchor': x(0) > WIDTH / 2 ? 'end' : 'start' }, about.fault));
      if (endUs !== undefined && times.includes(endUs)) picture.append(svg('line', { class: 'verdict', x1: x(endUs), x2: x(endUs), y1: 16, y2: height - 24 }), svg('text', { class: 'axis', x: x(endUs), y: 12, 'text-anchor': 'end' }, 'the verdict'));
      for (const each of shown) {
        const big = each === chosen || each.isBreach;
        const dot = svg('circle', { class: `dot k${each.kind}${big ? ' chosen' : ''}`, cx: x(each.us).toFixed(1), cy: y(each.life), r: big ? 6 : 3.5, onclick: () => choose(each) });
        dot.append(svg('title', {}, `${msText(each.us)} ms ${lives[each.life]} ${each.point} ${each.label}`));
        picture.append(dot);
      }
      return picture;
    }

    /** Between two silences the axis is even; a label that would stand in another's place is left out. */
    function drawAxis(picture, x, silences, times, height) {
      const ends = [times[0], ...silences.flatMap(({ from, to }) => [from, to]), times.at(-1)];
      const ticks = [0];
      for (let at = 0; at < ends.length; at += 2) ticks.push(...(x(ends[at + 1]) - x(ends[at]) > 90 ? roundSteps(ends[at], ends[at + 1]) : [ends[at]]));
      const taken = [];
      for (const us of ticks) {
        const at = Math.min(x(us), WIDTH - 32);
        if (taken.some((other) => Math.abs(other - at) < 84)) continue;
        taken.push(at);
        picture.append(svg('text', { x: at, y: height - 8, class: 'axis', 'text-anchor': 'middle' }, tickText(us)));
      }
    }

    /** Where each process stood at the end: the one that something waits for is among them. */
    function drawLast() {
      const rows = lives.flatMap((name, life) => {
        const own = all.filter((each) => each.life === life);
        const final = own.at(-1);
        if (final === undefined) return [];
        const after = [0, ...own.map(({ us }) => us).filter((us) => us > 0), ...(endUs === undefined ? [] : [endUs])];
        const longest = Math.max(...after.slice(1).map((us, index) => us - after[index]), 0);
        const isOver = final.kind === ERRORS && /^life\./.test(final.point) ? 'has ended' : lives.some((other, at) => at > life && baseName(other) === baseName(name)) ? 'was replaced' : spanText(longest);
        const show = node('button', { type: 'button', class: 'link', onclick: () => choose(final) }, `${final.point} ${final.label}`);
        return [node('tr', {}, node('th', { scope: 'row' }, name), node('td', {}, msText(final.us)), node('td', {}, show), node('td', {}, isOver))];
      });
      const head = ['process', 'ms', 'its last record', 'longest time without one, from the fault to the verdict'];
      last.replaceChildren(table(head, rows, { class: 'pair' }));
    }

    draw();
    drawLast();
    queueMicrotask(() => setTimeout(draw)); // once the dialog has its size
    const breach = all.find(({ isBreach }) => isBreach);
    return [
      node('h3', {}, about.title ?? 'What every process did'),
      node('p', { class: 'soft' }, `Milliseconds ${hadFault ? 'from the fault' : 'from the beginning of the case'}, of run ${run}. A dot is a record that a process wrote itself; times without any are drawn short. A record that is chosen shows what belongs to it: the other end of its message, a reply, the taking of its event.`),
      node('div', { class: 'filters' }, ...(breach === undefined ? [] : [node('button', { type: 'button', onclick: () => choose(breach) }, 'What breaks the rule')]), zoom, filter, ...(hasErrors ? [next] : []), node('label', {}, bus, ' messages of the bus')),
      node('p', { class: 'key' }, ...KINDS.map((name, kind) => node('span', {}, node('i', { class: `k${kind}` }), name))),
      lanes,
      list,
      node('h3', {}, 'What each process did last'),
      last,
    ];
  }

  const MORE_OFTEN_MAX = 20;

  /** What a record of any lab says: numbers (domains, ports, ids) differ from one to the other. */
  const deedOf = ({ processes }, [, life, point, label]) => `${baseName(processes[life])} ${point} ${label.replaceAll(/[0-9]+/g, 'N')}`;

  function timesDone(exhibit) {
    const times = new Map();
    for (const record of exhibit.records) {
      const deed = deedOf(exhibit, record);
      times.set(deed, (times.get(deed) ?? 0) + 1);
    }
    return times;
  }

  /** What a store does is told by who asks it too. */
  const ECHOES = /^(bus|bell|store\.(commit|serve|answer|tell))/;

  /** What the run that went well records after its fault, and more often than this one: what did not happen here is among it. */
  function moreOftenParts(passed, failed) {
    const [well, here] = [timesDone(passed), timesDone(failed)];
    const told = new Set();
    const found = passed.records.flatMap((record) => {
      const [us, life, point, label] = record;
      const deed = deedOf(passed, record);
      const [often, seldom] = [well.get(deed), here.get(deed) ?? 0];
      if (us <= 0 || often <= seldom || told.has(deed) || ECHOES.test(point)) return [];
      told.add(deed);
      return [{ seldom, row: node('tr', {}, node('td', {}, msText(us)), node('td', {}, baseName(passed.processes[life])), node('td', {}, point), node('td', {}, label), node('td', {}, `${often}, here ${seldom}`)) }];
    });
    // First what was never done here: of the rest there may only have been less time.
    const rows = [...found.filter(({ seldom }) => seldom === 0), ...found.filter(({ seldom }) => seldom > 0)].map(({ row }) => row);
    const head = ['ms there', 'process', 'point', 'what', 'how often'];
    return [
      node('h3', {}, 'What did not happen here'),
      node('p', { class: 'soft' }, `At the last point at which all goes well, a process is harmed somewhat earlier. These records that run has after its fault, and this one not at all or not as often${rows.length > MORE_OFTEN_MAX ? ` (the first ${MORE_OFTEN_MAX} of ${rows.length})` : ''}. The first of them show best where the two part.`),
      rows.length === 0 ? node('p', {}, 'There is nothing that it does more often.') : node('div', { class: 'scroll short', tabindex: 0, 'aria-label': 'what did not happen' }, table(head, rows.slice(0, MORE_OFTEN_MAX), { class: 'pair' })),
    ];
  }

  return { node, table, storyParts, moreOftenParts };
})();
