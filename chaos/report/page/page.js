// The script of the report's page (html.ts): shows the matrix of points and, of one case, its story. Everything comes from the
// JSON in the page; texts are set as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
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

  const cells = data.cells.map(([row, column, outcome, ms, recoveryMs, detail], index) => ({
    ...{ index, row, column, outcome, ms, recoveryMs, detail },
  }));
  const processOf = (place) => place.slice(0, place.indexOf(':'));
  const msText = (us) => `${us < 0 ? '−' : '+'}${(Math.abs(us) / 1000).toFixed(3)}`;

  // ---- the matrix of points ----

  const columns = data.columns.map((column, index) => ({ ...column, index }));
  const groups = [...new Set(columns.map(({ fault, restart }) => `${fault}/${restart}`))];
  const ordered = columns;
  const byRow = new Map();
  for (const cell of cells) {
    if (!byRow.has(cell.row)) byRow.set(cell.row, new Map());
    byRow.get(cell.row).set(cell.column, cell);
  }
  const badRows = new Set(cells.filter(({ outcome }) => outcome > 0).map(({ row }) => row));

  const processes = [...new Set(data.rows.map(processOf))];
  const processChoice = node('select', { 'aria-label': 'process that stands', onchange: drawMatrix }, node('option', { value: '' }, 'all processes'), ...processes.map((name) => node('option', { value: name }, name)));
  const search = node('input', { type: 'search', placeholder: 'part of a point', 'aria-label': 'part of a point', oninput: drawMatrix });
  const onlyBad = node('input', { type: 'checkbox', onchange: drawMatrix });
  onlyBad.checked = badRows.size > 0 && data.rows.length > 60;
  const shownCount = node('span', { class: 'soft', role: 'status' });
  document.getElementById('filters').append(processChoice, search, ...(badRows.size > 0 ? [node('label', {}, onlyBad, ' only points with a failure')] : []), shownCount);
  document.getElementById('filters').addEventListener('submit', (event) => event.preventDefault());

  function drawMatrix() {
    const word = search.value.toLowerCase();
    const shown = data.rows
      .map((place, row) => ({ place, row }))
      .filter(({ place, row }) => (processChoice.value === '' || processOf(place) === processChoice.value) && (!onlyBad.checked || badRows.has(row)) && place.toLowerCase().includes(word));
    shownCount.textContent = `${shown.length} of ${data.rows.length} points`;
    const isFirst = (at) => at > 0 && ordered[at].fault + ordered[at].restart !== ordered[at - 1].fault + ordered[at - 1].restart;
    const head = [
      node('tr', {}, node('th', { rowspan: 2, scope: 'col' }, 'point'), ...groups.map((group, at) => node('th', { scope: 'colgroup', colspan: ordered.filter((each) => `${each.fault}/${each.restart}` === group).length, class: at > 0 ? 'first' : '' }, group.replace('/', ', ')))),
      node('tr', {}, ...ordered.map(({ victim }, at) => node('th', { scope: 'col', class: isFirst(at) ? 'first' : '' }, victim))),
    ];
    const rows = shown.map(({ place, row }) =>
      node('tr', {}, node('th', { scope: 'row', title: place }, place), ...ordered.map(({ index, fault, victim }, at) => {
        const cell = byRow.get(row).get(index);
        const first = isFirst(at) ? ' first' : '';
        if (cell === undefined) return node('td', { class: `empty${first}` });
        const { name, words } = data.outcomes[cell.outcome];
        return node('td', { class: name + first, tabindex: -1, 'data-case': cell.index, 'aria-label': `${fault} ${victim} at ${place}: ${words}` }, data.marks[cell.outcome]);
      })),
    );
    const table = node('table', {}, node('thead', {}, ...head), node('tbody', {}, ...rows));
    const first = table.querySelector('td[data-case]');
    if (first !== null) first.tabIndex = 0;
    document.getElementById('matrix').replaceChildren(table);
  }

  const matrix = document.getElementById('matrix');
  matrix.addEventListener('click', (event) => {
    const field = event.target.closest('td[data-case]');
    if (field !== null) open(field);
  });
  matrix.addEventListener('keydown', (event) => {
    const field = event.target.closest('td[data-case]');
    if (field === null) return;
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      open(field);
      return;
    }
    const across = { ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0;
    const down = { ArrowUp: -1, ArrowDown: 1 }[event.key] ?? 0;
    if (across === 0 && down === 0) return;
    event.preventDefault();
    let next = field;
    for (;;) {
      const row = down === 0 ? next.parentElement : down > 0 ? next.parentElement.nextElementSibling : next.parentElement.previousElementSibling;
      next = row?.cells[next.cellIndex + across];
      if (next === undefined || next.tagName === 'TH') return;
      if (next.dataset.case !== undefined) break;
    }
    field.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });

  function open(field) {
    for (const other of matrix.querySelectorAll('td[tabindex="0"]')) other.tabIndex = -1;
    field.tabIndex = 0;
    location.hash = `case-${field.dataset.case}`;
  }

  // ---- one case ----

  const dialog = document.getElementById('case');
  dialog.addEventListener('close', () => {
    if (location.hash !== '') history.replaceState(null, '', location.pathname + location.search);
  });
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  window.addEventListener('hashchange', follow);

  function follow() {
    const cell = cells[Number(/^#case-([0-9]+)$/.exec(location.hash)?.[1] ?? -1)];
    if (cell === undefined) {
      if (dialog.open) dialog.close();
      return;
    }
    dialog.replaceChildren(...caseParts(cell));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }

  function caseParts({ row, column, outcome, ms, recoveryMs, detail }) {
    const { fault, process: full, restart } = data.columns[column];
    const { name, words } = data.outcomes[outcome];
    const replay = detail?.replay ?? `xenwire replay '${`${data.rows[row]}/${fault} ${full}/${restart}`.replaceAll("'", "'\\''")}'`;
    const said = detail?.words ?? `While ${processOf(data.rows[row])} stands at ${data.rows[row]}, ${full} gets ${fault}: ${data.faults[fault.split(' ')[0]] ?? ''}.`;
    const copy = node('button', { type: 'button' }, 'Copy');
    copy.addEventListener('click', () => {
      navigator.clipboard?.writeText(replay).then(() => { copy.textContent = 'Copied'; }, () => { copy.textContent = 'Select it by hand'; });
    });
    const exhibit = detail?.exhibit;
    const which = detail === undefined || detail.runs.length === 1 ? 'The case' : outcome === 0 ? 'Its last run' : `Run ${exhibit?.run ?? detail.runs.length}, which is shown here,`;
    const took = `${which} took ${ms} ms${recoveryMs < 0 ? '' : `; the next right frame was on the screen ${recoveryMs} ms after the fault was over`}.`;
    return [
      node('div', { class: 'title' }, node('h2', { id: 'case-title' }, node('span', { class: `mark ${name}` }, data.marks[outcome]), ` ${words}`), node('button', { type: 'button', onclick: () => dialog.close() }, 'Close')),
      node('p', {}, said),
      ...(detail === undefined || detail.violations.length === 0 ? [] : verdictParts(detail.violations)),
      ...(detail?.trouble === undefined ? [] : [node('p', {}, node('b', {}, `${detail.trouble}.`))]),
      node('p', { class: 'soft' }, took, detail !== undefined && detail.runs.length > 1 ? ` Its runs: ${detail.runs.join(' ')} (the first in a lab that had served other cases, the others each in a new one).` : ''),
      node('div', { class: 'replay' }, node('code', {}, replay), copy),
      ...(exhibit === undefined ? [] : [...storyParts(exhibit, `${fault} ${full}`, data.rows[row]), ...storeParts(exhibit), ...portParts(exhibit)]),
    ];
  }

  /** Breaches by the rule that they break. */
  function verdictParts(violations) {
    const rules = new Map();
    for (const { check, what, rule } of violations) rules.set(check, { rule, all: [...(rules.get(check)?.all ?? []), what] });
    return [...rules].flatMap(([check, { rule, all }]) => [
      node('p', { class: 'rule' }, node('b', {}, check), node('span', { class: 'soft' }, rule === '' ? '' : `, the rule: ${rule}.`)),
      node('ul', { class: 'verdicts' }, ...all.map((what) => node('li', {}, what))),
    ]);
  }

  /** What a record is about, for its colour; bus messages are the transport of the others. */
  const KINDS = ['states and keys', 'wake-ups and exits', 'GPU and vhost-user', 'errors and ends', 'other'];
  function kindOf(point) {
    if (/^(front|back|store|watch|transaction)\./.test(point)) return 0;
    if (/^(kick|call|event|exit|ioreq|bell)\./.test(point)) return 1;
    if (/^(gpu|vhost-user|display|guest)\./.test(point)) return 2;
    if (/^(error|life)\.|lost$|peer-gone$|\.crash$|\.shutdown$/.test(point)) return 3;
    return 4;
  }

  /** Of the records of a case with one fault, that at which the process stood; undefined where it is not kept. */
  function standingAt(all, lives, place) {
    const [, process, point, label = ''] = /^([^:]+):([a-z.-]+)(?:\((.*)\))?#[0-9]+$/.exec(place) ?? [];
    return all.findLast((each) => each.us <= 0 && each.point === point && each.label.startsWith(label) && lives[each.life].replace(/ \([0-9]+\)$/, '') === process);
  }

  function storyParts({ processes: lives, records, left, hadFault, run, marked = [], endUs }, faultName, place) {
    const all = records.map(([us, life, point, label, numbers, flow], index) => ({ index, us, life, point, label, numbers, flow, kind: kindOf(point), isBreach: marked.includes(index) }));
    const standing = hadFault ? standingAt(all, lives, place) : undefined;
    const span = Math.max(1, ...all.map(({ us }) => Math.abs(us)));
    const ZOOMS = [['± 1 ms', 1000], ['± 10 ms', 10_000], ['± 100 ms', 100_000], ['all', Number.POSITIVE_INFINITY]];
    // What led to a failure seldom lies within 10 ms; what broke a rule is to be seen at once.
    const breachUs = Math.max(0, ...all.filter(({ isBreach }) => isBreach).map(({ us }) => Math.abs(us)));
    let windowUs = hadFault && breachUs <= 100_000 && span > 100_000 ? 100_000 : Number.POSITIVE_INFINITY;
    let chosen;
    const bus = node('input', { type: 'checkbox', onchange: draw });
    const filter = node('input', { type: 'search', placeholder: 'part of a record', 'aria-label': 'part of a record', oninput: draw });
    const zoom = node('select', { 'aria-label': 'time around the fault', onchange: () => { windowUs = ZOOMS[zoom.selectedIndex][1]; draw(); } }, ...ZOOMS.filter(([, us], index) => index === ZOOMS.length - 1 || us < span * 10).map(([name, us]) => node('option', { selected: us === windowUs }, name)));
    const next = node('button', { type: 'button', onclick: toNextError }, 'Next error or end');
    const lanes = node('div');
    const list = node('div', { class: 'scroll records', tabindex: 0, 'aria-label': 'records' });

    function shownRecords(word) {
      const isShown = ({ point, isBreach }) => isBreach || bus.checked || !point.startsWith('bus.') || /lost|peer-gone/.test(point);
      return all.filter((each) => Math.abs(each.us) <= windowUs && isShown(each) && `${lives[each.life]} ${each.point} ${each.numbers} ${each.label}`.toLowerCase().includes(word));
    }

    /** The one after the chosen record, else after the fault; from the end to the first again. */
    function toNextError() {
      const errors = shownRecords(filter.value.toLowerCase()).filter(({ kind, isBreach }) => kind === 3 || isBreach);
      const after = errors.find(({ index, us }) => (chosen === undefined ? us >= 0 : index > chosen.index)) ?? errors[0];
      if (after !== undefined && after !== chosen) choose(after);
    }

    function draw() {
      const word = filter.value.toLowerCase();
      const shown = shownRecords(word);
      lanes.replaceChildren(drawLanes(shown));
      const rows = [];
      let faultShown = !hadFault;
      let gapShown = left.middle === 0;
      const faultRow = () => node('tr', { class: 'fault' }, node('td', {}, '0.000'), node('td', { colspan: 4 }, `the fault: ${faultName}`));
      if (left.first > 0 && windowUs === Number.POSITIVE_INFINITY) rows.push(node('tr', { class: 'left' }, node('td', {}), node('td', { colspan: 4 }, `${left.first} earlier records are not kept`)));
      for (const each of shown) {
        if (!faultShown && each.us > 0) {
          rows.push(faultRow());
          faultShown = true;
        }
        if (!gapShown && each.index >= left.middleBefore) {
          rows.push(node('tr', { class: 'left' }, node('td', {}), node('td', { colspan: 4 }, `${left.middle} records between these are not kept`)));
          gapShown = true;
        }
        const same = chosen !== undefined && chosen.flow !== '' && each.flow === chosen.flow;
        const remark = each.isBreach ? ' ← this breaks the rule' : each === standing ? ` ← here ${lives[each.life]} is made to stand still` : '';
        rows.push(node('tr', { class: `${each === chosen ? 'chosen' : same ? 'same' : ''}${each.isBreach ? ' breach' : ''}`, 'data-at': each.index, onclick: () => choose(each) }, node('td', {}, msText(each.us)), node('td', {}, lives[each.life]), node('td', {}, each.point), node('td', {}, each.numbers), node('td', {}, each.label, remark === '' ? '' : node('b', {}, remark))));
      }
      if (!faultShown) rows.push(faultRow());
      const lastUs = all.at(-1)?.us ?? 0;
      if (endUs !== undefined && windowUs === Number.POSITIVE_INFINITY) rows.push(node('tr', { class: 'left' }, node('td', {}, msText(endUs)), node('td', { colspan: 4 }, `the verdict; no process recorded anything in the ${((endUs - lastUs) / 1000).toFixed(0)} ms before it`)));
      const head = node('thead', {}, node('tr', {}, ...['ms', 'process', 'point', 'numbers', 'what'].map((name) => node('th', { scope: 'col' }, name))));
      list.replaceChildren(node('table', {}, head, node('tbody', {}, ...rows)));
      const target = list.querySelector('tr.chosen') ?? list.querySelector('tr.fault');
      if (target !== null) list.scrollTop = target.offsetTop - list.clientHeight / 2;
    }

    function choose(record) {
      chosen = chosen === record ? undefined : record;
      draw();
    }

    function drawLanes(shown) {
      const LEFT = 130;
      const WIDTH = 1100;
      const STEP = 26;
      const used = lives.map((_, life) => life).filter((life) => shown.some((each) => each.life === life));
      const height = used.length * STEP + 46;
      const from = Math.min(0, ...shown.map(({ us }) => us));
      const to = Math.max(1, ...shown.map(({ us }) => us));
      const x = (us) => LEFT + 10 + ((us - from) / (to - from)) * (WIDTH - LEFT - 30);
      const y = (life) => 34 + used.indexOf(life) * STEP;
      const picture = svg('svg', { class: 'lanes', viewBox: `0 0 ${WIDTH} ${height}`, role: 'img', 'aria-label': `what ${used.length} processes did around the fault` });
      for (const life of used) picture.append(svg('line', { x1: LEFT, x2: WIDTH - 10, y1: y(life), y2: y(life) }), svg('text', { x: 8, y: y(life) + 4 }, lives[life].replace('guest-gpu-guest', 'guest')));
      for (const us of roundSteps(from, to)) picture.append(svg('text', { x: x(us), y: height - 8, class: 'axis', 'text-anchor': 'middle' }, us === 0 ? '0' : `${us < 0 ? '−' : '+'}${Math.abs(us) / 1000} ms`));
      if (hadFault) picture.append(svg('line', { class: 'fault', x1: x(0), x2: x(0), y1: 16, y2: height - 24 }), svg('text', { class: 'fault-name', x: x(0), y: 12, 'text-anchor': x(0) > WIDTH / 2 ? 'end' : 'start' }, faultName));
      for (const each of shown) {
        const dot = svg('circle', { class: `dot k${each.kind}${each === chosen || each.isBreach ? ' chosen' : ''}`, cx: x(each.us).toFixed(1), cy: y(each.life), r: each === chosen || each.isBreach ? 6 : 3.5, onclick: () => choose(each) });
        dot.append(svg('title', {}, `${msText(each.us)} ms ${lives[each.life]} ${each.point} ${each.label}`));
        picture.append(dot);
      }
      return picture;
    }

    /** Times for the axis, microseconds: 1, 2 or 5 of a power of ten apart, about six of them. */
    function roundSteps(from, to) {
      const rough = (to - from) / 6;
      const power = 10 ** Math.floor(Math.log10(rough));
      const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
      const first = Math.ceil(from / step);
      return Array.from({ length: Math.floor(to / step) - first + 1 }, (_, index) => (first + index) * step);
    }

    draw();
    queueMicrotask(() => setTimeout(draw)); // once the dialog has its size
    return [
      node('h3', {}, 'What every process did'),
      node('p', { class: 'soft' }, `Milliseconds ${hadFault ? 'from the fault' : 'from the beginning of the case'}, of run ${run}. A dot is a record that a process wrote itself; one that is chosen shows the other end of its message too.`),
      node('div', { class: 'filters' }, zoom, filter, next, node('label', {}, bus, ' messages of the bus')),
      node('p', { class: 'key' }, ...KINDS.map((name, kind) => node('span', {}, node('i', { class: `k${kind}` }), name))),
      lanes,
      list,
    ];
  }

  /** Two columns, before and after, by keys in the order of the first. */
  function pairTable(heads, before, after) {
    const onlyChanged = node('input', { type: 'checkbox', onchange: draw });
    const place = node('div', { class: 'scroll' });
    const keys = [...new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])])];
    const both = before !== undefined && after !== undefined;
    onlyChanged.checked = both && keys.length > 30;
    function draw() {
      const field = (map, key) => (map === undefined ? node('td', { class: 'absent' }, 'not known') : map.has(key) ? node('td', {}, map.get(key)) : node('td', { class: 'absent' }, 'not there'));
      const rows = keys
        .map((key) => ({ key, changed: both && before.get(key) !== after.get(key) }))
        .filter(({ changed }) => !onlyChanged.checked || changed)
        .map(({ key, changed }) => node('tr', { class: changed ? 'changed' : '' }, node('td', {}, key), field(before, key), field(after, key)));
      place.replaceChildren(node('table', { class: 'pair' }, node('thead', {}, node('tr', {}, ...heads.map((head) => node('th', { scope: 'col' }, head)))), node('tbody', {}, ...rows)));
    }
    draw();
    return [...(both ? [node('label', {}, onlyChanged, ' only what differs')] : []), place];
  }

  const notAsked = (...snapshots) => snapshots.flatMap((each) => each?.notAsked ?? []);

  function storeParts({ before, after }) {
    const map = (snapshot) => (snapshot?.store === undefined ? undefined : new Map(snapshot.store));
    const missing = notAsked(before, after).filter((sentence) => sentence.includes('store'));
    if (before === undefined && after === undefined) return [];
    return [node('h3', {}, 'The store before the fault and at the end'), ...missing.map((sentence) => node('p', { class: 'soft' }, sentence)), ...pairTable(['path', 'before', 'at the end'], map(before), map(after))];
  }

  function portParts({ before, after }) {
    const map = (snapshot) => (snapshot?.ports === undefined ? undefined : new Map(snapshot.ports.map(({ domid, port, bound }) => [`domain ${domid}, port ${port}`, bound])));
    const missing = notAsked(before, after).filter((sentence) => sentence.includes('event channels'));
    if (before === undefined && after === undefined) return [];
    return [node('h3', {}, 'Event channels before the fault and at the end'), ...missing.map((sentence) => node('p', { class: 'soft' }, sentence)), ...pairTable(['port', 'before', 'at the end'], map(before), map(after))];
  }

  drawMatrix();
  follow();
})();
