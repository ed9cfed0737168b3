// The page: puts the parts together, and keeps the moment in the fragment of its address.
const element = id => document.getElementById(id);

function make(tag, text, name) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (name) e.className = name;
  return e;
}

// plain leaves out what lines up the words of the log.
function plain(text) {
  return text.replace(/^>+ /, '').replace(/ {2,}/, ' ');
}

class Page {
  constructor(recording) {
    this.r = recording;
    this.log = new Log(element('log'), element('rows'), recording, i => this.select(i));
    this.lanes = new Lanes(element('lanes'), element('overview'), recording, () => this.moved());
    this.head(); this.filters(); this.groups(); this.buttons(); this.keys(); this.hints(); this.legend(); this.searching();
    this.open();
    addEventListener('hashchange', () => this.open());
  }

  head() {
    const a = this.r.about;
    element('name').textContent = a.name;
    element('verdict').textContent = a.verdict; element('verdict').classList.add(a.verdict);
    element('figures').textContent = `${a.operations} operations, ${a.acked} acknowledged; ${ms(a.simulated, 3)} simulated; ${this.r.n} lines${a.to ? `, of ${ms(a.from, 3)} to ${ms(a.to, 3)} only, because the run is too large to be drawn whole` : ''}; built as ${a.build}` + (a.why ? '; ' + a.why : '');
    element('replay').textContent = a.replay;
    element('copy').addEventListener('click', () => this.copy());
    a.findings.slice(0, 1).forEach(f => this.finding(f, element('findings')));
    if (a.findings.length > 1) {
      const more = element('more-findings');
      more.hidden = false;
      more.firstElementChild.textContent = a.findings.length === 2 ? 'and one more finding' : `and ${a.findings.length - 1} more findings`;
      a.findings.slice(1, 60).forEach(f => this.finding(f, element('others')));
    }
    element('to-finding').hidden = !this.r.found.length;
  }

  finding(f, list) {
    const item = make('li'), go = make('button', ms(f.at, 3));
    go.type = 'button'; go.setAttribute('aria-label', 'show the finding at ' + ms(f.at, 3));
    go.addEventListener('click', () => { const i = this.r.marks(f); if (i >= 0) this.go(i); });
    item.append(make('b', f.fingerprint), make('span', f.text.split('\n')[0]), go);
    list.append(item);
  }

  async copy() {
    const text = element('replay').textContent;
    try { await navigator.clipboard.writeText(text); } catch {
      getSelection().selectAllChildren(element('replay'));
      document.execCommand('copy');
    }
    element('copy').textContent = 'copied';
    setTimeout(() => { element('copy').textContent = 'copy'; }, 1500);
  }

  // open shows the moment that the address names, or the finding, or all.
  open() {
    const names = new URLSearchParams(location.hash.slice(1)), r = this.r;
    const at = Number(names.get('t')) * 1e6, span = Number(names.get('w')) * 1e6, line = Number(names.get('e') ?? -1);
    if (names.has('t') && Number.isFinite(at) && span > 0) {
      this.lanes.show(at - span / 2, at + span / 2);
      if (line >= 0 && line < r.n) this.select(line, false);
    } else if (r.found.length) this.go(this.r.root);
    else this.lanes.show(0, r.about.to || r.end);
  }

  // go selects a line and shows so much around it that a few hundred lines are in view.
  go(i) {
    const r = this.r, t = r.at[i], least = 4e5, most = r.end;
    const before = Math.min(Math.max(t - r.at[Math.max(0, i - 130)], least), most), after = Math.min(Math.max(r.at[Math.min(r.n - 1, i + 60)] - t, before / 3), before);
    this.lanes.show(t - before * 1.1, t + after * 1.1);
    this.select(i, false);
  }

  select(i, follow = true) {
    const r = this.r, t = r.at[i], l = this.lanes;
    if (follow && (t < l.t0 || t > l.t1)) { const half = (l.t1 - l.t0) / 2; l.show(t - half, t + half); }
    l.select(i); this.log.select(i);
    this.detail(i); this.remember();
  }

  moved() {
    const l = this.lanes;
    element('where').textContent = `${ms(Math.max(0, l.t0), 3)} – ${ms(l.t1, 3)}`;
    this.curves?.ask();
    this.remember();
  }

  // remember keeps the moment in the address.
  remember() {
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      const l = this.lanes, e = l.selected >= 0 ? '&e=' + l.selected : '';
      history.replaceState(null, '', `#t=${((l.t0 + l.t1) / 2e6).toFixed(6)}&w=${((l.t1 - l.t0) / 1e6).toFixed(6)}${e}`);
    }, 150);
  }

  detail(i) {
    const r = this.r, box = element('detail'), K = r.K;
    box.replaceChildren(make('p', ms(r.at[i]) + (r.until[i] > r.at[i] ? ` – ${ms(r.until[i])}` : ''), 'at'), make('p', plain(r.text(i)), 'what'));
    this.steps(box, i);
    if (r.kind[i] === K.finding) for (const f of r.about.findings) if (f.at === r.at[i] && f.text.includes('\n')) box.append(make('p', f.text, 'what'));
    this.list(box, 'Came from', r.from(i, 12));
    this.list(box, 'Led to', r.led(i).slice(0, 24));
  }

  // steps offers what else can be shown of a line.
  steps(box, i) {
    const r = this.r, bar = make('div', undefined, 'steps');
    const offer = (text, act) => { const b = make('button', text); b.type = 'button'; b.addEventListener('click', act); bar.append(b); };
    offer('zoom to it', () => this.go(i));
    if (r.seq[i] > 0 && r.tenant[i] > 0) offer(`follow record ${r.to[i]} of tenant ${r.about.columns.tenants[r.tenant[i] - 1]} slot ${r.slot[i]}`, () => this.follow({ tenant: r.tenant[i], slot: r.slot[i], seq: r.to[i] }));
    else if (r.tenant[i] > 0 && r.slot[i] >= 0) offer(`only tenant ${r.about.columns.tenants[r.tenant[i] - 1]} slot ${r.slot[i]}`, () => this.follow({ tenant: r.tenant[i], slot: r.slot[i] }));
    box.append(bar);
  }

  list(box, title, lines) {
    if (!lines.length) return;
    box.append(make('h3', title));
    const list = make('ul');
    for (const k of lines) {
      const item = make('li'), b = make('button');
      b.type = 'button'; b.append(make('span', ms(this.r.at[k], 3) + '  ', 'at'), make('span', plain(this.r.text(k))));
      b.addEventListener('click', () => this.select(k));
      item.append(b); list.append(item);
    }
    box.append(list);
  }

  filters() {
    const r = this.r, slots = new Set();
    for (let i = 0; i < r.n; i++) if (r.slot[i] >= 0) slots.add(r.slot[i]);
    const fill = (id, list) => { element(id).append(make('option', 'all')); for (const [value, text] of list) { const o = make('option', text); o.value = value; element(id).append(o); } };
    fill('tenant', r.about.columns.tenants.map((t, i) => [i + 1, t]).sort((a, b) => a[1].localeCompare(b[1], 'en', { numeric: true })));
    fill('slot', [...slots].sort((a, b) => a - b).map(s => [s, String(s)]));
    fill('process', r.about.lanes.map((l, i) => [i, l.name]));
    for (const id of ['tenant', 'slot', 'process']) element(id).addEventListener('change', () => this.follow(this.wanted()));
    element('clear').addEventListener('click', () => this.follow({}));
  }

  // groups offers to open a group of lanes where there are many.
  groups() {
    const list = this.r.about.lanes, choice = element('group');
    element('groups').hidden = list.length <= MANY;
    const add = (value, text) => { const o = make('option', text); o.value = value; choice.append(o); };
    add('', 'in groups');
    for (const group of new Set(list.map(l => l.group))) add(group, group);
    add('each', 'each');
    choice.value = this.lanes.open;
    choice.addEventListener('change', () => this.lanes.unfold(choice.value));
    element('lanes').addEventListener('click', e => {
      const { lanes } = this, row = lanes.list[Math.floor((e.offsetY - lanes.lanesTop) / lanes.each)];
      if (lanes.dragged || e.offsetX > lanes.left || !row || list.length <= MANY) return;
      choice.value = row.name || ''; lanes.unfold(choice.value);
    });
  }

  wanted() {
    const f = {};
    for (const id of ['tenant', 'slot', 'process']) if (element(id).value !== 'all') f[id] = Number(element(id).value);
    return f;
  }

  follow(f) {
    for (const id of ['tenant', 'slot', 'process']) element(id).value = f[id] === undefined ? 'all' : String(f[id]);
    element('clear').hidden = Object.keys(f).length === 0;
    element('clear').textContent = f.seq === undefined ? 'show all again' : `record ${f.seq} only: show all again`;
    this.r.filter(f);
    this.log.refresh(); this.search(); this.lanes.ask();
    if (f.seq !== undefined) this.around();
  }

  // around shows all that is left of a filter.
  around() {
    const r = this.r, K = r.K;
    let a = Infinity, b = -Infinity;
    for (let i = 0; i < r.n; i++) if (r.shown[i] && r.seq[i] > 0) { a = Math.min(a, r.at[i]); b = Math.max(b, r.at[i], r.until[i]); }
    if (a <= b) this.lanes.show(a - (b - a) * .1 - 1e5, b + (b - a) * .1 + 1e5);
  }

  buttons() {
    const l = this.lanes, on = (id, act) => element(id).addEventListener('click', act);
    on('fit', () => l.show(0, this.r.end)); on('in', () => l.zoom(.5)); on('out', () => l.zoom(2));
    on('to-finding', () => this.go(this.r.root));
    on('next', () => this.next());
    element('lanes').addEventListener('click', e => { if (l.dragged) return; const i = l.hit(e.offsetX, e.offsetY); if (i >= 0) this.select(i, false); });
  }

  keys() {
    const l = this.lanes, r = this.r, step = d => {
      let i = l.selected >= 0 ? l.selected + d : r.first((l.t0 + l.t1) / 2);
      while (i >= 0 && i < r.n && !r.shown[i]) i += d;
      if (i >= 0 && i < r.n) this.select(i);
    };
    const acts = {
      ArrowLeft: () => l.move(-.15), ArrowRight: () => l.move(.15), ArrowUp: () => l.zoom(.7), ArrowDown: () => l.zoom(1 / .7), '+': () => l.zoom(.7), '=': () => l.zoom(.7), '-': () => l.zoom(1 / .7),
      n: () => step(1), p: () => step(-1), f: () => r.found.length && this.go(this.r.root), a: () => l.show(0, r.end), Escape: () => { l.select(-1); this.log.select(-1); },
    };
    element('lanes').addEventListener('keydown', e => {
      const act = acts[e.key] ?? acts[e.key.toLowerCase()];
      if (!act || e.ctrlKey || e.metaKey || e.altKey) return;
      e.preventDefault(); act();
    });
  }

  hints() {
    const hint = element('hint'), canvas = element('lanes');
    canvas.addEventListener('pointermove', e => {
      if (e.buttons || e.pointerType === 'touch') { hint.hidden = true; return; }
      const i = this.lanes.hit(e.offsetX, e.offsetY);
      hint.hidden = i < 0;
      if (i < 0) return;
      hint.textContent = ms(this.r.at[i], 3) + '  ' + plain(this.r.text(i));
      hint.style.left = Math.min(e.clientX + 14, innerWidth - Math.min(470, innerWidth * .6)) + 'px';
      hint.style.top = e.clientY + 16 + 'px';
    });
    canvas.addEventListener('pointerleave', () => { hint.hidden = true; });
  }

  searching() {
    let later;
    element('search').addEventListener('input', () => { clearTimeout(later); later = setTimeout(() => this.search(), 120); });
    element('search').addEventListener('keydown', e => { if (e.key === 'Enter') { e.preventDefault(); this.search(); this.next(); } });
  }

  search() {
    const text = element('search').value, r = this.r;
    this.found = text && r.words !== null ? r.matches(text) : new Int32Array(0);
    this.log.matched = new Set(this.found.subarray(0, 100000));
    element('matches').textContent = text ? `${this.found.length} of ${r.count} lines` : `${r.count} lines`;
    this.log.draw();
  }

  next() {
    const found = this.found, selected = this.lanes.selected;
    if (!found || !found.length) return;
    let k = found.findIndex(i => i > selected);
    this.select(found[k < 0 ? 0 : k]);
  }

  legend() {
    const samples = [
      ['a message', (g, c) => { g.strokeStyle = c.message; g.beginPath(); g.moveTo(2, 2); g.lineTo(22, 11); g.stroke(); g.fillStyle = c.message; g.beginPath(); g.moveTo(24, 12); g.lineTo(17, 11.5); g.lineTo(19.5, 7); g.fill(); }],
      ['lost', (g, c) => { g.strokeStyle = c.lost; g.lineWidth = 1.5; g.beginPath(); g.moveTo(2, 2); g.lineTo(18, 9); g.moveTo(15, 6); g.lineTo(21, 12); g.moveTo(21, 6); g.lineTo(15, 12); g.stroke(); }],
      ['late or held', (g, c) => { g.strokeStyle = c.late; g.lineWidth = 1.5; g.beginPath(); g.moveTo(2, 3); g.lineTo(24, 10); g.stroke(); }],
      ['damaged', (g, c) => { g.strokeStyle = c.damaged; g.lineWidth = 1.5; g.beginPath(); g.moveTo(2, 3); g.lineTo(24, 10); g.stroke(); }],
      ['disk at work', (g, c) => { g.fillStyle = c.disk; g.fillRect(2, 5, 22, 4); }],
      ['durable', (g, c) => { g.fillStyle = c.durable; g.beginPath(); g.moveTo(13, 2); g.lineTo(18, 7); g.lineTo(13, 12); g.lineTo(8, 7); g.fill(); }],
      ['a call, acknowledged', (g, c) => { g.fillStyle = c.call; g.fillRect(2, 4, 17, 6); g.fillStyle = c.durable; g.beginPath(); g.arc(20, 7, 4, 0, 7); g.fill(); }],
      ['refused or given up', (g, c) => { g.strokeStyle = c.late; g.lineWidth = 1.7; g.beginPath(); g.arc(13, 7, 4, 0, 7); g.stroke(); }],
      ['a fault', (g, c) => { g.fillStyle = c.band; g.globalAlpha = .3; g.fillRect(2, 0, 22, 14); g.globalAlpha = 1; g.fillRect(2, 0, 1.5, 14); }],
      ['chance', (g, c) => { g.fillStyle = c.late; g.beginPath(); g.moveTo(13, 2); g.lineTo(18, 11); g.lineTo(8, 11); g.fill(); }],
      ['down', (g, c) => { g.fillStyle = c.down; g.globalAlpha = .45; g.fillRect(2, 2, 22, 10); }],
      ['starts, ends', (g, c) => { g.fillStyle = c.good; g.beginPath(); g.moveTo(7, 2); g.lineTo(12, 11); g.lineTo(2, 11); g.fill(); g.fillStyle = c.bad; g.beginPath(); g.moveTo(19, 12); g.lineTo(24, 3); g.lineTo(14, 3); g.fill(); }],
      ['finding', (g, c) => { g.fillStyle = c.bad; g.fillRect(12, 0, 2, 14); g.fillRect(12, 0, 11, 7); }],
    ];
    for (const [text, draw] of samples) {
      const item = make('li'), canvas = make('canvas');
      canvas.setAttribute('aria-hidden', 'true'); item.append(canvas, make('span', text));
      element('legend').append(item);
      const paint = () => { canvas.width = 52; canvas.height = 28; const g = canvas.getContext('2d'); g.scale(2, 2); draw(g, this.lanes.c); };
      paint();
      matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => setTimeout(paint));
    }
  }

  porcupine() {
    element('searched').textContent = this.r.about.searched;
    const base64 = element('porcupine-page').textContent.trim();
    if (!base64) return;
    const show = make('button', 'show its page'); show.type = 'button';
    show.addEventListener('click', () => {
      const frame = make('iframe');
      frame.title = 'search of ' + this.r.about.searched; frame.setAttribute('sandbox', 'allow-scripts');
      frame.srcdoc = new TextDecoder().decode(Uint8Array.from(atob(base64), c => c.charCodeAt(0)));
      const wider = make('button', 'wider'); wider.type = 'button';
      wider.addEventListener('click', () => { wider.textContent = document.body.classList.toggle('broad') ? 'beside the lanes' : 'wider'; });
      show.replaceWith(wider, frame);
    });
    element('porcupine').append(show);
  }

  // worded takes up the words, which come behind the program.
  worded() {
    this.porcupine();
    this.curves = new Curves(element('curves'), this.lanes, this.r);
    element('log').setAttribute('aria-busy', 'false');
    this.search(); this.log.draw();
    if (this.lanes.selected >= 0) this.detail(this.lanes.selected);
  }
}

(async () => {
  const about = JSON.parse(element('about').textContent);
  performance.mark('begun');
  const columns = await inflate(element('columns').textContent.trim());
  performance.mark('inflated');
  const recording = new Recording(about, columns);
  performance.mark('indexed');
  const page = new Page(recording);
  performance.mark('drawn');
  await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
  performance.mark('shown');
  if (document.readyState === 'loading') await new Promise(resolve => addEventListener('DOMContentLoaded', resolve));
  await recording.read(element('words').textContent.trim());
  page.worded();
  performance.mark('worded');
  globalThis.page = page;
})();
