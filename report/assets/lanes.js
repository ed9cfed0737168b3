// The picture: lanes over time, on a canvas. What is drawn is what is in the window; where
// that is more than an eye can tell apart, how much there is.
const DETAIL = 1600; // lines in the window that are drawn one by one
const MANY = 24; // lanes; of more, a group has one row until a reader opens it
const STRIPS = 12; // shards whose leaders are drawn

class Lanes {
  constructor(canvas, overview, recording, changed) {
    Object.assign(this, { canvas, overview, r: recording, changed, selected: -1, spread: new Set(), open: recording.about.lanes.length > MANY ? '' : 'each', t0: 0, t1: recording.end, due: false });
    this.g = canvas.getContext('2d', { alpha: false });
    this.o = overview.getContext('2d', { alpha: false });
    this.pan(); this.paint();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { this.paint(); this.ask(); });
    new ResizeObserver(() => { this.measure(); this.draw(); }).observe(canvas.parentElement);
    this.measure();
  }

  // paint reads the colours of the style sheet.
  paint() {
    const style = getComputedStyle(document.documentElement), c = this.c = {};
    for (const name of ['ground', 'raised', 'lane', 'line', 'text', 'quiet', 'accent', 'bad', 'bad-ground', 'good', 'warn', 'message', 'lost', 'late', 'damaged', 'durable', 'disk', 'call', 'band', 'down', 'on-node'])
      c[name] = style.getPropertyValue('--' + name).trim();
    c.node = [0, 1, 2, 3, 4, 5, 6, 7].map(i => style.getPropertyValue('--n' + i).trim());
  }

  measure() {
    const width = this.canvas.parentElement.clientWidth, dpr = this.dpr = Math.min(devicePixelRatio || 1, 2);
    this.narrow = width < 560;
    this.left = this.narrow ? 40 : 84;
    this.width = width;
    this.layOut();
    const lanes = this.list.length;
    this.shards = this.busiest();
    this.rows = Math.min(3, this.r.faults.length);
    this.axis = 24; this.faultsTop = this.axis; this.shardsTop = this.faultsTop + this.rows * 17 + (this.rows ? 4 : 0);
    this.lanesTop = this.shardsTop + this.shards.length * 20 + (this.shards.length ? 6 : 0);
    this.each = lanes > MANY ? 26 : Math.max(34, Math.min(54, Math.floor(400 / lanes)));
    this.height = this.lanesTop + lanes * this.each + 8;
    this.size(this.canvas, width, this.height);
    this.size(this.overview, this.overview.clientWidth, 44);
  }

  // layOut gives each lane a row: one of its own if its group is open, else that of its group. A
  // filter for a process leaves only the lanes that its lines touch.
  layOut() {
    const { r } = this, lanes = r.about.lanes, touched = this.touched(), groups = new Map();
    this.list = []; this.row = new Int16Array(lanes.length);
    lanes.forEach((lane, i) => {
      const alone = this.open === 'each' || this.open === lane.group || r.chosen.process !== undefined;
      let at = alone ? undefined : groups.get(lane.group);
      if (!touched[i]) { this.row[i] = -1; return; }
      if (at === undefined) {
        at = this.list.length;
        this.list.push({ first: i, is: lane.is, count: 0, name: alone ? '' : lane.group });
        if (!alone) groups.set(lane.group, at);
      }
      this.list[at].count++; this.row[i] = at;
    });
    this.laidFor = r.shown;
  }

  touched() {
    const { r } = this, touched = new Uint8Array(r.about.lanes.length);
    if (r.chosen.process === undefined) return touched.fill(1);
    touched[r.chosen.process] = 1;
    for (let i = 0; i < r.n; i++) if (r.shown[i]) {
      if (r.process[i] === r.chosen.process && r.peer[i] >= 0) touched[r.peer[i]] = 1;
      if (r.peer[i] === r.chosen.process && r.process[i] >= 0) touched[r.process[i]] = 1;
    }
    return touched;
  }

  // busiest returns the shards that are drawn: of many, those whose leaders and members change most.
  busiest() {
    const all = [...this.r.shards.keys()];
    if (all.length <= STRIPS) return all;
    const changes = shard => this.r.shards.get(shard).length;
    return all.sort((a, b) => changes(b) - changes(a) || a - b).slice(0, STRIPS).sort((a, b) => a - b);
  }

  // unfold opens a group of lanes, '' for none and 'each' for all.
  unfold(group) { this.open = group; this.measure(); this.ask(); }

  size(canvas, width, height) {
    canvas.width = Math.round(width * this.dpr); canvas.height = Math.round(height * this.dpr);
    canvas.style.height = height + 'px';
  }

  x(t) { return this.left + (t - this.t0) / (this.t1 - this.t0) * (this.width - this.left); }
  t(x) { return this.t0 + (x - this.left) / (this.width - this.left) * (this.t1 - this.t0); }
  top(lane) { return this.row[lane] < 0 ? -1e4 : this.lanesTop + this.row[lane] * this.each; }
  y(lane) { return this.top(lane) + this.each / 2; }

  show(t0, t1) {
    const least = 2000, most = this.r.end * 1.04; // ns
    let span = Math.min(Math.max(t1 - t0, least), most), middle = (t0 + t1) / 2;
    this.t0 = Math.max(-0.02 * this.r.end, middle - span / 2);
    this.t1 = this.t0 + span;
    if (this.t1 > this.r.end * 1.02) { this.t1 = this.r.end * 1.02; this.t0 = this.t1 - span; }
    this.ask();
  }
  zoom(factor, at = (this.t0 + this.t1) / 2) { this.show(at - (at - this.t0) * factor, at + (this.t1 - at) * factor); }
  move(share) { const d = (this.t1 - this.t0) * share; this.show(this.t0 + d, this.t1 + d); }
  select(i) { this.selected = i; this.spread = i >= 0 ? this.r.spread(i) : new Set(); this.ask(); }

  ask() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.draw(); });
  }

  draw() {
    const { g } = this;
    if (this.width < this.left + 20) return; // nobody could see anything
    if (this.laidFor !== this.r.shown) this.measure();
    g.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
    this.ground();
    g.save();
    g.beginPath(); g.rect(this.left, 0, this.width - this.left, this.height); g.clip();
    this.bands(); this.strips();
    const i0 = this.r.first(this.t0), i1 = this.r.first(this.t1);
    this.fine = i1 - i0 <= DETAIL;
    if (this.fine) this.lines(i0, i1); else this.density(i0, i1);
    this.chain();
    this.marks();
    g.restore();
    this.names();
    this.whole();
    this.changed();
  }

  ground() {
    const { g, c } = this;
    g.fillStyle = c.raised; g.fillRect(0, 0, this.width, this.height);
    const lanes = this.list.length;
    g.fillStyle = c.lane;
    for (let i = 0; i < lanes; i += 2) g.fillRect(0, this.lanesTop + i * this.each, this.width, this.each);
    const step = this.step(), places = Math.max(0, Math.min(6, 6 - Math.floor(Math.log10(step) + 1e-9)));
    g.font = '11px system-ui, "DejaVu Sans", sans-serif'; g.textAlign = 'center'; g.textBaseline = 'middle';
    for (let t = Math.ceil(this.t0 / step) * step; t < this.t1; t += step) {
      const x = Math.round(this.x(t)) + .5;
      if (x < this.left + 1) continue;
      g.strokeStyle = c.line; g.lineWidth = 1; g.globalAlpha = .6;
      g.beginPath(); g.moveTo(x, this.axis - 5); g.lineTo(x, this.height); g.stroke();
      g.globalAlpha = 1; g.fillStyle = c.quiet;
      if (x > this.left + 22) g.fillText((t / 1e6).toFixed(places) + (this.narrow ? '' : ' ms'), x, 10);
    }
  }

  // step is the time between two ticks, ns: 1, 2 or 5 of a power of ten.
  step() {
    const wanted = (this.t1 - this.t0) / Math.max(2, (this.width - this.left) / 110), power = 10 ** Math.floor(Math.log10(wanted));
    return [1, 2, 5, 10].map(k => k * power).find(s => s >= wanted);
  }

  names() {
    const { g, c } = this;
    g.fillStyle = c.raised; g.fillRect(0, 0, this.left, this.lanesTop);
    g.font = '12px system-ui, "DejaVu Sans", sans-serif'; g.textAlign = 'left'; g.textBaseline = 'middle';
    this.list.forEach((row, i) => {
      const top = this.lanesTop + i * this.each, at = this.narrow ? 9 : 12, room = this.left - at - 2;
      g.fillStyle = i % 2 ? c.raised : c.lane; g.fillRect(0, top, this.left, this.each);
      if (row.is === 'node') { g.fillStyle = c.node[(row.name ? i : row.first) % 8]; g.fillRect(0, top + 4, 3, this.each - 8); }
      g.fillStyle = c.text; g.fillText(row.name ? this.narrow ? tight(row.name) : row.name : this.short(row.first), at, top + this.each / 2 - (row.name ? 6 : 0), room);
      if (row.name) { g.fillStyle = c.quiet; g.fillText((this.narrow ? '×' : 'all ') + row.count, at, top + this.each / 2 + 8, room); }
    });
    g.fillStyle = c.quiet; g.font = '11px system-ui, "DejaVu Sans", sans-serif';
    if (this.rows) g.fillText('faults', this.narrow ? 3 : 12, this.faultsTop + 8);
    this.shards.forEach((shard, i) => g.fillText((this.narrow ? 'sh ' : 'shard ') + shard, this.narrow ? 3 : 12, this.shardsTop + i * 20 + 9));
    g.strokeStyle = c.line; g.lineWidth = 1;
    g.beginPath(); g.moveTo(this.left + .5, 0); g.lineTo(this.left + .5, this.height); g.stroke();
  }

  // bands draws the faults across all lanes, stronger on the lane that they hit.
  bands() {
    const { g, c, r } = this, ends = new Array(this.rows).fill(-1e9);
    g.font = '11px system-ui, "DejaVu Sans", sans-serif'; g.textAlign = 'left'; g.textBaseline = 'middle';
    for (const d of r.down) {
      if (d.to < this.t0 || d.from > this.t1) continue;
      const x = this.x(d.from), w = Math.max(2, this.x(d.to) - x), y = this.top(d.process);
      g.fillStyle = c.down; g.globalAlpha = .38; g.fillRect(x, y + 1, w, this.each - 2); g.globalAlpha = 1;
      if (w > 44) { g.fillStyle = c.quiet; g.fillText('down', Math.max(x, this.left) + 6, y + this.each / 2); }
    }
    const band = ({ from, to }, alpha, y, height) => {
      const x = this.x(from), w = Math.max(2, this.x(to) - x);
      if (x + w < this.left || x > this.width) return;
      g.fillStyle = c.band; g.globalAlpha = alpha; g.fillRect(x, y, w, height); g.globalAlpha = 1;
    };
    for (const span of r.struck) band(span, .1, this.faultsTop, this.height - this.faultsTop);
    r.hit.forEach((spans, i) => { for (const span of spans) band(span, .2, this.top(i), this.each); });
    g.fillStyle = c.band; g.globalAlpha = .7;
    for (const f of r.faults) g.fillRect(Math.round(this.x(f.from)), this.faultsTop, 1, this.height - this.faultsTop);
    g.globalAlpha = 1;
    for (const f of r.faults) {
      const x = this.x(f.from), w = Math.max(2, this.x(f.to) - x);
      if (x + w < this.left || x > this.width) continue;
      const label = f.kind + ' ' + this.short(f.process) + (f.peers.length ? ' – ' + f.peers.map(p => p < 0 ? 'all' : p).join(' ') : '');
      const at = Math.max(x, this.left) + 5, row = ends.findIndex(end => end < at - 6);
      if (row < 0) continue;
      ends[row] = at + g.measureText(label).width;
      g.fillStyle = c.raised; g.fillRect(at - 5, this.faultsTop + row * 17 + 1, ends[row] - at + 10, 15);
      g.fillStyle = c.band; g.globalAlpha = .3; g.fillRect(at - 5, this.faultsTop + row * 17 + 1, ends[row] - at + 10, 15); g.globalAlpha = 1;
      g.fillStyle = c.text; g.fillText(label, at, this.faultsTop + row * 17 + 9);
    }
  }

  // short names a process.
  short(i) {
    const lane = this.r.about.lanes[i];
    if (!lane) return '';
    return this.narrow ? lane.is[0] + i : lane.name;
  }

  // strips draws who leads each shard in which epoch, and who is in sync.
  strips() {
    const { g, c, r } = this;
    g.font = '11px system-ui, "DejaVu Sans", sans-serif'; g.textAlign = 'left'; g.textBaseline = 'middle';
    this.shards.forEach((shard, row) => {
      const list = r.shards.get(shard), y = this.shardsTop + row * 20;
      let drawn = -1e9;
      list.forEach((l, k) => {
        const to = k + 1 < list.length ? list[k + 1].at : r.end, x = Math.max(this.x(l.at), this.left), end = Math.min(this.x(to), this.width);
        if (end < this.left || x > this.width || end - drawn < .75) return;
        drawn = end;
        g.fillStyle = c.node[l.leader % 8]; g.globalAlpha = l.in_sync.length < l.min ? .5 : .92;
        g.fillRect(x, y, Math.max(1, end - x - 1), 17); g.globalAlpha = 1;
        const texts = [`node ${l.leader}, epoch ${l.epoch}, in sync ${l.in_sync.join(' ')}`, `n${l.leader} e${l.epoch} · ${l.in_sync.join(' ')}`, `e${l.epoch}`];
        const text = texts.find(text => g.measureText(text).width < end - x - 12);
        if (text) { g.fillStyle = c['on-node']; g.fillText(text, x + 6, y + 9); }
      });
    });
  }

  // density draws how much happens on each lane, and what is rare one by one.
  density(i0, i1) {
    const { g, c, r } = this, width = this.width - this.left, lanes = r.about.lanes.length, rows = this.list.length;
    const columns = Math.ceil(width / 3), per = (this.t1 - this.t0) / columns;
    let counts = new Uint32Array(columns * rows);
    if (i1 - i0 <= 60000) {
      for (let i = i0; i < i1; i++) {
        const p = r.process[i] < 0 ? -1 : this.row[r.process[i]];
        if (p >= 0 && r.shown[i]) counts[p * columns + Math.min(columns - 1, (r.at[i] - this.t0) / per | 0)]++;
      }
    } else {
      const base = r.end * 1.000001 / r.spans;
      let level = 0;
      while (level + 1 < r.levels.length && base * 2 ** (level + 1) <= per) level++;
      const size = r.spans >> level, each = base * 2 ** level, table = r.levels[level];
      const first = Math.max(0, Math.floor(this.t0 / each)), last = Math.min(size - 1, Math.ceil(this.t1 / each));
      for (let p = 0; p < lanes; p++) for (let b = first; b <= last; b++) {
        const n = table[p * size + b];
        if (n && this.row[p] >= 0) counts[this.row[p] * columns + Math.min(columns - 1, Math.max(0, ((b + .5) * each - this.t0) / per | 0))] += n;
      }
    }
    let most = 1;
    for (const n of counts) if (n > most) most = n;
    const scale = (this.each - 14) / Math.log2(1 + most);
    for (let p = 0; p < rows; p++) {
      const row = this.list[p];
      g.fillStyle = row.is === 'node' ? c.node[(row.name ? p : row.first) % 8] : c.call; g.globalAlpha = .55;
      const y = this.lanesTop + (p + 1) * this.each - 4;
      for (let k = 0; k < columns;) { // whole pixels, equal neighbours at once: paths of thousands of them are slow
        const h = heights(counts[p * columns + k], scale), from = k;
        while (++k < columns && heights(counts[p * columns + k], scale) === h);
        if (h) g.fillRect(this.left + 3 * from, y - h, 3 * (k - from), h);
      }
      g.globalAlpha = 1;
    }
    this.rare();
  }

  // rare draws what a reader looks for, at most one of a kind in a pixel of a lane.
  rare() {
    const { r } = this, last = new Map();
    let low = 0, high = r.notable.length;
    const i0 = r.first(this.t0);
    while (low < high) { const middle = (low + high) >> 1; if (r.notable[middle] < i0) low = middle + 1; else high = middle; }
    for (let k = low; k < r.notable.length && r.at[r.notable[k]] < this.t1; k++) {
      const i = r.notable[k];
      if (!r.shown[i] || r.process[i] < 0) continue;
      const x = this.x(r.at[i]), key = this.row[r.process[i]] * 64 + r.kind[i];
      if (x - (last.get(key) ?? -9) < 3) continue;
      last.set(key, x);
      this.glyph(i, x);
    }
  }

  // lines draws every line of the window, and what began before it and lasts.
  lines(i0, i1) {
    const { r } = this, paths = new Map();
    const i = r.first(this.t0 - SHORT);
    for (const k of r.long) {
      if (k >= i) break;
      if (r.shown[k] && r.until[k] >= this.t0) this.span(k, paths);
    }
    for (let k = i; k < i1; k++) if (r.shown[k]) this.span(k, paths);
    this.stroke(paths);
    for (let k = i0; k < i1; k++) if (r.shown[k] && r.process[k] >= 0) this.glyph(k, this.x(r.at[k]));
  }

  // span adds what has a length: a message, an operation of a disk, a call.
  span(k, paths) {
    const { r } = this, { K } = r, kind = r.kind[k];
    if (kind === K.send) return this.message(k, paths);
    if (r.until[k] <= r.at[k] || kind !== K.submit && kind !== K.call) return;
    const y = this.y(r.process[k]), name = kind === K.submit ? 'disk' : 'call', path = this.path(paths, name + ' bar');
    path.rect(this.x(r.at[k]), kind === K.submit ? y + this.each / 4 : y - 3, Math.max(1.5, this.x(r.until[k]) - this.x(r.at[k])), kind === K.submit ? 4 : 6);
  }

  path(paths, name) {
    if (!paths.has(name)) paths.set(name, new Path2D());
    return paths.get(name);
  }

  // style says how a message is drawn.
  style(k) {
    const mark = this.r.mark[k];
    if (mark & 1) return 'lost';
    if (mark & 8) return 'damaged';
    if (mark & 18) return 'late';
    return 'message';
  }

  message(k, paths) {
    const { r } = this, style = this.style(k), x = this.x(r.at[k]), y = this.y(r.process[k]), z = this.y(r.peer[k]);
    const lost = style === 'lost', until = r.until[k] > r.at[k] ? r.until[k] : r.at[k] + 150e3;
    const share = lost ? .6 : 1, e = x + (this.x(until) - x) * share, f = y + (z - y) * share;
    const path = this.path(paths, style);
    path.moveTo(x, y); path.lineTo(e, f);
    if (lost) { path.moveTo(e - 3, f - 3); path.lineTo(e + 3, f + 3); path.moveTo(e + 3, f - 3); path.lineTo(e - 3, f + 3); return; }
    const length = Math.hypot(e - x, f - y);
    if (length < 8) return;
    const ux = (e - x) / length, uy = (f - y) / length, head = this.path(paths, style + ' head');
    head.moveTo(e, f); head.lineTo(e - 6 * ux - 2.6 * uy, f - 6 * uy + 2.6 * ux); head.lineTo(e - 6 * ux + 2.6 * uy, f - 6 * uy - 2.6 * ux); head.closePath();
  }

  stroke(paths) {
    const { g, c } = this;
    for (const [name, path] of paths) {
      const [colour, fill] = name.split(' ');
      g.lineWidth = colour === 'message' ? 1 : 1.5;
      g.globalAlpha = colour === 'message' ? .65 : fill === 'bar' ? .75 : 1;
      if (fill) { g.fillStyle = c[colour]; g.fill(path); } else { g.strokeStyle = c[colour]; g.stroke(path); }
    }
    g.globalAlpha = 1;
  }

  // glyph draws what is an instant.
  glyph(i, x) {
    const { g, c, r } = this, { K } = r, kind = r.kind[i], y = this.y(r.process[i]);
    switch (kind) {
      case K.durable: g.fillStyle = c.durable; this.diamond(x, y + this.each / 4 + 2, 3.6); break;
      case K.ack: g.fillStyle = c.durable; g.beginPath(); g.arc(x, y, 3.4, 0, 7); g.fill(); break;
      case K.deny: g.strokeStyle = c.late; g.lineWidth = 1.6; g.beginPath(); g.arc(x, y, 3.2, 0, 7); g.stroke(); break;
      case K.fail: g.strokeStyle = c.lost; g.lineWidth = 1.8; this.cross(x, y + this.each / 4 + 2, 3.5); break;
      case K.lose: if (!this.fine) { g.strokeStyle = c.lost; g.lineWidth = 1.4; this.cross(x, y - this.each / 4, 2.6); } break;
      case K.chance: case K.hold: g.fillStyle = c.late; this.triangle(x, y - this.each / 4, 3.4, 1); break;
      case K.start: g.fillStyle = c.good; this.triangle(x, y, 5, 1); break;
      case K.stop: g.fillStyle = c.bad; this.triangle(x, y, 5, -1); break;
      case K.point: if (this.fine) { g.fillStyle = c.quiet; g.globalAlpha = .55; g.fillRect(x - .5, y - 4, 1, 8); g.globalAlpha = 1; } break;
    }
  }

  diamond(x, y, s) { const { g } = this; g.beginPath(); g.moveTo(x, y - s); g.lineTo(x + s, y); g.lineTo(x, y + s); g.lineTo(x - s, y); g.fill(); }
  cross(x, y, s) { const { g } = this; g.beginPath(); g.moveTo(x - s, y - s); g.lineTo(x + s, y + s); g.moveTo(x + s, y - s); g.lineTo(x - s, y + s); g.stroke(); }
  triangle(x, y, s, up) { const { g } = this; g.beginPath(); g.moveTo(x, y - s * up); g.lineTo(x + s, y + s * .7 * up); g.lineTo(x - s, y + s * .7 * up); g.fill(); }

  // chain draws what led to what is selected, and what follows from it.
  chain() {
    const { g, c, r } = this, { K } = r;
    if (!this.spread.size) return;
    g.strokeStyle = c.accent; g.fillStyle = c.accent; g.lineWidth = 2.2;
    const paths = new Map();
    for (const k of this.spread) {
      if (r.process[k] < 0 || r.at[k] > this.t1 || Math.max(r.at[k], r.until[k]) < this.t0) continue;
      if (r.kind[k] === K.send || r.kind[k] === K.submit || r.kind[k] === K.call) this.span(k, paths);
    }
    for (const [name, path] of paths) if (name.includes(' ')) g.fill(path); else g.stroke(path);
    const i = this.selected;
    if (r.process[i] >= 0) { g.lineWidth = 2; g.beginPath(); g.arc(this.x(r.at[i]), this.y(r.process[i]), 8, 0, 7); g.stroke(); }
    else { g.fillRect(this.x(r.at[i]) - 1, this.axis, 2, this.height); }
  }

  // marks draws the findings, and where the calm part begins.
  marks() {
    const { g, c, r } = this, calm = this.x(r.about.calm);
    g.font = '600 11px system-ui, "DejaVu Sans", sans-serif'; g.textBaseline = 'middle';
    if (r.about.calm > 0 && calm > this.left && calm < this.width) {
      g.strokeStyle = c.quiet; g.setLineDash([3, 4]); g.lineWidth = 1;
      g.beginPath(); g.moveTo(calm, this.axis); g.lineTo(calm, this.height); g.stroke(); g.setLineDash([]);
    }
    g.fillStyle = c.bad; g.globalAlpha = .55;
    let last = -1e9;
    for (const i of r.found) {
      const x = this.x(r.at[i]);
      if (i === r.root || x - last < 2 || x < this.left || x > this.width) continue;
      last = x;
      g.fillRect(x - .5, this.axis, 1, this.height);
    }
    g.globalAlpha = 1;
    const x = r.root >= 0 ? this.x(r.at[r.root]) : -1;
    if (x < this.left - 2 || x > this.width + 2) return;
    const width = g.measureText('finding').width + 12, left = x + width > this.width ? x - width : x;
    g.fillRect(x - 1, 4, 2, this.height); g.fillRect(left, 2, width, 17);
    g.fillStyle = c.ground; g.textAlign = 'left'; g.fillText('finding', left + 6, 11);
  }

  // whole draws the overview, with what is in view.
  whole() {
    const g = this.o, { c } = this, width = this.overview.clientWidth, height = 44, x = t => 4 + t / this.r.end * (width - 8);
    g.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
    g.drawImage(this.profile(width, height), 0, 0, width, height);
    const a = Math.max(0, x(this.t0)), b = Math.min(width, x(this.t1));
    g.fillStyle = c.accent; g.globalAlpha = .14; g.fillRect(a, 0, Math.max(3, b - a), height); g.globalAlpha = 1;
    g.strokeStyle = c.accent; g.lineWidth = 1.5; g.strokeRect(a + .75, .75, Math.max(3, b - a - 1.5), height - 1.5);
  }

  // profile is the overview without what is in view, drawn anew where something has changed.
  profile(width, height) {
    const { c, r } = this, key = [width, this.dpr, c.raised, c.band];
    if (this.profiled === r.levels && String(key) === this.profiledFor) return this.picture;
    this.profiled = r.levels; this.profiledFor = String(key);
    this.picture = new OffscreenCanvas(Math.max(1, width * this.dpr), height * this.dpr);
    const g = this.picture.getContext('2d', { alpha: false }), lanes = r.about.lanes.length, x = t => 4 + t / r.end * (width - 8);
    const level = r.levels[r.levels.length - 1], size = level.length / lanes, sums = new Float64Array(size);
    for (let p = 0; p < lanes; p++) for (let b = 0; b < size; b++) sums[b] += level[p * size + b];
    const peak = Math.log2(1 + sums.reduce((a, b) => Math.max(a, b), 1));
    g.scale(this.dpr, this.dpr);
    g.fillStyle = c.raised; g.fillRect(0, 0, width, height);
    g.fillStyle = c.band; g.globalAlpha = .22;
    for (const f of r.struck) g.fillRect(x(f.from), 0, Math.max(1.5, x(f.to) - x(f.from)), height);
    g.globalAlpha = 1; g.fillStyle = c.disk;
    for (let b = 0; b < size; b++) if (sums[b]) {
      const h = Math.log2(1 + sums[b]) / peak * (height - 12);
      const from = Math.floor(x(b * r.end / size)), to = Math.max(from + 1, Math.floor(x((b + 1) * r.end / size)));
      g.fillRect(from, Math.round(height - h), to - from, Math.round(h));
    }
    g.fillStyle = c.bad;
    for (const i of r.found) g.fillRect(x(r.at[i]) - 1, 0, 2, height);
    return this.picture;
  }

  // hit returns the line nearest to a point of the canvas, -1 if none is near.
  hit(x, y) {
    const { r } = this, { K } = r;
    if (x < this.left || y < this.lanesTop) return this.hitAbove(x, y);
    let best = -1, near = 11;
    const consider = (i, d) => { if (d < near) { near = d; best = i; } };
    const i0 = this.fine ? r.first(this.t0 - SHORT) : r.first(this.t(x - 4)), i1 = this.fine ? r.first(this.t1) : r.first(this.t(x + 4));
    const look = (k) => {
      if (!r.shown[k] || r.process[k] < 0) return;
      const px = this.x(r.at[k]), py = this.y(r.process[k]);
      if (!this.fine) { if (Math.abs(py - y) < this.each / 2) consider(k, Math.abs(px - x)); return; }
      if (r.kind[k] === K.arrive) return;
      if (r.kind[k] === K.send) consider(k, distance(x, y, px, py, this.x(Math.max(r.until[k], r.at[k])), this.y(r.peer[k])) + 1);
      else if (r.kind[k] === K.submit || r.kind[k] === K.call) {
        const by = r.kind[k] === K.submit ? py + this.each / 4 + 2 : py;
        consider(k, distance(x, y, px, by, this.x(Math.max(r.until[k], r.at[k])), by));
      } else consider(k, Math.hypot(px - x, (r.kind[k] === K.durable || r.kind[k] === K.fail ? py + this.each / 4 + 2 : py) - y) - 1);
    };
    if (this.fine) for (const k of r.long) { if (k >= i0) break; if (r.until[k] >= this.t0) look(k); }
    for (let k = i0; k < Math.min(i1, i0 + 50000); k++) look(k);
    return best;
  }

  // hitAbove returns the line of the fault, or of the configuration, at a point above the lanes.
  hitAbove(x, y) {
    const { r } = this, t = this.t(x);
    if (x < this.left) return -1;
    const row = Math.floor((y - this.shardsTop) / 20);
    if (row >= 0 && row < this.shards.length) {
      let best = -1;
      for (let i = 0; i < r.n && r.at[i] <= t; i++) if (r.kind[i] === r.K.configure && r.shard[i] === this.shards[row]) best = i;
      return best;
    }
    const f = r.faults.find(f => f.from <= t && t <= Math.max(f.to, f.from + (this.t1 - this.t0) / 100));
    return f ? f.line : -1;
  }

  // pan moves and zooms by pointer and wheel.
  pan() {
    const { canvas, overview } = this, pointers = new Map();
    canvas.addEventListener('wheel', e => {
      if (!e.ctrlKey && !e.metaKey && !e.shiftKey && Math.abs(e.deltaX) <= Math.abs(e.deltaY)) return;
      e.preventDefault();
      if (e.ctrlKey || e.metaKey) this.zoom(Math.exp(Math.max(-60, Math.min(60, e.deltaY)) / 120), this.t(e.offsetX));
      else this.move((e.deltaX || e.deltaY) / this.width);
    }, { passive: false });
    canvas.addEventListener('pointerdown', e => { pointers.set(e.pointerId, e); canvas.setPointerCapture(e.pointerId); this.dragged = false; });
    canvas.addEventListener('pointermove', e => {
      const before = pointers.get(e.pointerId);
      if (!before) return;
      if (pointers.size === 1 && (this.dragged || Math.abs(e.clientX - before.clientX) > 3)) {
        this.dragged = true; canvas.classList.add('dragging');
        this.move((before.clientX - e.clientX) / (this.width - this.left));
        pointers.set(e.pointerId, e);
      } else if (pointers.size === 2) {
        const other = [...pointers.values()].find(p => p.pointerId !== e.pointerId), a = Math.abs(before.clientX - other.clientX), b = Math.abs(e.clientX - other.clientX);
        if (a > 8 && b > 8) this.zoom(a / b, this.t((e.clientX + other.clientX) / 2 - canvas.getBoundingClientRect().left));
        this.dragged = true; pointers.set(e.pointerId, e);
      }
    });
    for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, e => { pointers.delete(e.pointerId); canvas.classList.remove('dragging'); });
    const jump = e => { const t = (e.offsetX - 4) / (overview.clientWidth - 8) * this.r.end, half = (this.t1 - this.t0) / 2; this.show(t - half, t + half); };
    overview.addEventListener('pointerdown', e => { overview.setPointerCapture(e.pointerId); jump(e); });
    overview.addEventListener('pointermove', e => { if (e.buttons) jump(e); });
  }
}

// tight names a group in the width of four letters: its first letter and its number, if it has one.
function tight(name) {
  const number = /\d+$/.exec(name);
  return name.length < 5 ? name : number ? name[0] + number[0] : name.slice(0, 4);
}

// heights is how high so many lines stand, px.
function heights(n, scale) {
  return n ? Math.max(2, Math.round(Math.log2(1 + n) * scale)) : 0;
}

// distance from a point to a piece of a line.
function distance(x, y, ax, ay, bx, by) {
  const dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy;
  const share = length ? Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / length)) : 0;
  return Math.hypot(x - ax - share * dx, y - ay - share * dy);
}
