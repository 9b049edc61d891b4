// The script of the report's page (html.ts): shows the matrix of points and what is known of one case. Everything comes from the
// JSON in the page; texts are set as text, never as markup. Leaves what the processes did to story.js.
(() => {
  const { node, table, storyParts, moreOftenParts } = globalThis.story;
  const data = JSON.parse(document.getElementById('data').textContent);
  const cells = data.cells.map(([row, column, outcome, ms, recoveryMs, detail], index) => ({
    ...{ index, row, column, outcome, ms, recoveryMs, detail },
  }));
  const processOf = (place) => place.slice(0, place.indexOf(':'));

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
    const drawn = node('table', {}, node('thead', {}, ...head), node('tbody', {}, ...rows));
    const first = drawn.querySelector('td[data-case]');
    if (first !== null) first.tabIndex = 0;
    document.getElementById('matrix').replaceChildren(drawn);
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
    const next = down === 0 ? beside(field, across) : below(field, down);
    if (next === undefined) return;
    field.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });

  /** The next case in the order of reading, from the end of a row to the row after it: of a sample most fields are empty. */
  function beside(field, step) {
    const all = [...matrix.querySelectorAll('td[data-case]')];
    return all[all.indexOf(field) + step];
  }

  /** The next case of the column, else the nearest of the next row that has one. */
  function below(field, step) {
    const rowOf = (row) => (step > 0 ? row?.nextElementSibling : row?.previousElementSibling);
    let nearest;
    for (let row = rowOf(field.parentElement); row !== null && row !== undefined; row = rowOf(row)) {
      if (row.cells[field.cellIndex]?.dataset.case !== undefined) return row.cells[field.cellIndex];
      const own = [...row.querySelectorAll('td[data-case]')];
      nearest ??= own.toSorted((a, b) => Math.abs(a.cellIndex - field.cellIndex) - Math.abs(b.cellIndex - field.cellIndex))[0];
    }
    return nearest;
  }

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
      ...(exhibit === undefined ? [] : [...passedParts(exhibit, detail.passed), ...storyParts(exhibit, { fault: `${fault} ${full}`, place: data.rows[row], before: detail.before, asked: exhibit.before !== undefined }), ...storeParts(exhibit), ...portParts(exhibit)]),
    ];
  }

  /** Beside a run that failed, the one at the last point at which all went well. */
  function passedParts(exhibit, passed) {
    if (passed === undefined) return [];
    const { fault, process: full } = passed;
    const whole = node('details', {}, node('summary', {}, 'What every process did in the run that went well'));
    whole.addEventListener('toggle', () => {
      if (whole.open && whole.childElementCount === 1) whole.append(node('p', {}, passed.words), ...storyParts(passed.exhibit, { fault: `${fault} ${full}`, place: passed.place, before: passed.before, title: 'The run that went well' }));
    });
    return [...moreOftenParts(passed.exhibit, exhibit), whole];
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
      if (rows.length === 0) place.replaceChildren(node('p', { class: 'soft' }, keys.length === 0 ? 'Nothing is there.' : 'Nothing differs.'));
      else place.replaceChildren(table(heads, rows, { class: 'pair' }));
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
