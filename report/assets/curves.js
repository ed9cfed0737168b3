// Curves below the lanes, on the same time. They are drawn by uPlot after the first picture, and
// anew when the lanes have come to rest. A curve for which the lines give nothing is hidden.
const REST = 120; // ms without a move of the lanes
const RATE = 10e6; // the least span over which acknowledgements are counted, ns
const EACH = 6; // shards that have a curve of their own

class Curves {
  constructor(box, lanes, recording) {
    Object.assign(this, { box, lanes, r: recording, charts: [] });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { this.drawnFor = ''; this.ask(); });
    this.draw();
  }

  ask() { clearTimeout(this.later); this.later = setTimeout(() => this.draw(), REST); }

  // collect takes the instants out of the lines that are shown: of each kind in ascending order.
  collect() {
    const { r } = this, { K } = r, asked = new Map(), acks = [], at = [], took = [];
    const kinds = new Map([[K.call, [[], []]], [K.send, [[], []]], [K.submit, [[], []]]]);
    for (let i = 0; i < r.n; i++) {
      if (!r.shown[i]) continue;
      const kind = r.kind[i], spans = kinds.get(kind);
      if (spans) { spans[0].push(r.at[i]); if (r.until[i] > r.at[i]) spans[1].push(r.until[i]); else if (kind !== K.call) spans[1].push(r.at[i]); }
      if (kind === K.call) asked.set(r.op[i], r.at[i]);
      if (kind !== K.ack) continue;
      acks.push(r.at[i]);
      if (asked.has(r.op[i])) { at.push(r.at[i]); took.push((r.at[i] - asked.get(r.op[i])) / 1e6); }
    }
    this.acks = Float64Array.from(acks); this.at = Float64Array.from(at); this.took = Float64Array.from(took);
    this.spans = [...kinds.values()].map(lists => lists.map(list => Float64Array.from(list).sort()));
    this.of = r.shown;
  }

  // wanted returns the curves that have something to show, with their values at the instants xs.
  wanted(xs) {
    const c = this.lanes.c, list = [], add = (name, series, stepped = false) => {
      series = series.filter(s => s.values.some(v => v !== null && v !== 0));
      if (series.length) list.push({ name, series, stepped });
    };
    const [median, longest] = this.latency(xs);
    if (this.at.length) add('latency of acknowledged calls, ms', [{ name: 'median', colour: c.call, values: median }, { name: 'longest', colour: c.late, values: longest }]);
    if (this.acks.length) add('acknowledged per second', [{ name: 'acknowledged', colour: c.durable, values: this.rate(xs) }]);
    add('members in sync', this.members(xs), true);
    const names = [['calls', c.call], ['messages', c.message], ['disk operations', c.disk]];
    add('under way', names.map(([name, colour], k) => ({ name, colour, values: this.waiting(xs, ...this.spans[k]) })), true);
    return list;
  }

  latency(xs) {
    const median = [], longest = [], { at, took } = this, half = xs.length > 1 ? (xs[1] - xs[0]) / 2 : 1;
    for (const x of xs) {
      const values = took.slice(below(at, x - half), below(at, x + half)).sort();
      median.push(values.length ? values[values.length >> 1] : null);
      longest.push(values.length ? values[values.length - 1] : null);
    }
    return [median, longest];
  }

  rate(xs) {
    const half = Math.max(RATE, xs.length > 1 ? xs[1] - xs[0] : 0) / 2;
    return xs.map(x => (below(this.acks, x + half) - below(this.acks, x - half)) / (2 * half / 1e9));
  }

  waiting(xs, begins, ends) { return xs.map(x => below(begins, x + 1) - below(ends, x + 1)); }

  // members returns a curve for each shard or, of many, the smallest and the largest set.
  members(xs) {
    const { r, lanes: { c } } = this, shards = [...r.shards];
    const each = shards.map(([shard, list], k) => {
      let place = 0;
      return { name: 'shard ' + shard, colour: c.node[k % 8], values: xs.map(x => {
        while (place + 1 < list.length && list[place + 1].at <= x) place++;
        return list[place].at <= x ? list[place].in_sync.length : null;
      }) };
    });
    if (each.length <= EACH) return each;
    const of = pick => xs.map((_, i) => each.reduce((best, s) => s.values[i] === null ? best : best === null ? s.values[i] : pick(best, s.values[i]), null));
    return [{ name: 'fewest of a shard', colour: c.bad, values: of(Math.min) }, { name: 'most of a shard', colour: c.good, values: of(Math.max) }];
  }

  draw() {
    const { lanes, r } = this;
    if (this.of !== r.shown) this.collect();
    const count = Math.max(2, Math.min(600, Math.floor((lanes.width - lanes.left) / 2)));
    const span = lanes.t1 - lanes.t0, xs = Array.from({ length: count }, (_, i) => lanes.t0 + span * i / (count - 1));
    const wanted = this.wanted(xs.filter(x => x >= 0 && x <= r.end));
    const data = wanted.map(w => [xs.filter(x => x >= 0 && x <= r.end), ...w.series.map(s => s.values)]);
    const key = JSON.stringify([lanes.width, lanes.left, lanes.c.raised, wanted.map(w => [w.name, w.series.map(s => s.name)])]);
    this.box.hidden = !wanted.length;
    if (key !== this.drawnFor) { this.build(wanted, data); this.drawnFor = key; }
    this.charts.forEach((chart, i) => { chart.batch(() => { chart.setData(data[i], false); this.scale(chart, data[i]); }); });
  }

  scale(chart, [, ...values]) {
    const most = values.reduce((m, list) => list.reduce((a, b) => Math.max(a, b ?? 0), m), 0);
    chart.setScale('x', { min: this.lanes.t0, max: this.lanes.t1 });
    chart.setScale('y', { min: 0, max: most * 1.1 || 1 });
  }

  build(wanted, data) {
    for (const chart of this.charts) chart.destroy();
    this.box.replaceChildren();
    this.charts = wanted.map((w, i) => {
      const figure = make('figure'), caption = make('figcaption', w.name), said = [];
      for (const s of w.series) {
        const key = make('span', '', 'key'), swatch = make('i'), value = make('span', s.name);
        swatch.style.background = s.colour; key.append(swatch, value); caption.append(key);
        said.push(value);
      }
      figure.append(caption); this.box.append(figure);
      return new uPlot(this.options(w, said), data[i], figure);
    });
  }

  // options are uPlot's: the axis on the left is as broad as the names of the lanes.
  options(w, said) {
    const { lanes } = this, { c } = lanes, font = '11px system-ui, "DejaVu Sans", sans-serif';
    const axis = { stroke: c.quiet, font, ticks: { show: false }, grid: { stroke: c.line, width: 1 } };
    const say = u => w.series.forEach((s, k) => {
      const value = u.cursor.idx === null || u.cursor.idx === undefined ? null : u.data[k + 1][u.cursor.idx];
      said[k].textContent = s.name + (value === null || value === undefined ? '' : ': ' + brief(value));
    });
    return {
      width: lanes.width, height: 84, padding: [6, 0, 4, 0], legend: { show: false },
      scales: { x: { time: false }, y: {} },
      cursor: { sync: { key: 'curves' }, points: { size: 5 }, drag: { x: true, y: false, setScale: false }, bind: { dblclick: () => () => lanes.show(0, this.r.end) } },
      axes: [
        { ...axis, size: 0, gap: 0, values: () => [], splits: () => this.ticks() },
        { ...axis, size: lanes.left, gap: 6, splits: (u, _, min, max) => [min, (min + max) / 2.2, max / 1.1], values: (u, list) => list.map(brief) },
      ],
      series: [{}, ...w.series.map(s => ({
        label: s.name, stroke: s.colour, width: 1.5, spanGaps: !w.stepped, points: { show: false },
        ...(w.stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
      }))],
      hooks: {
        setCursor: [say],
        setSelect: [u => {
          if (u.select.width < 3) return;
          lanes.show(u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x'));
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
      },
    };
  }

  // ticks are where the lanes have theirs.
  ticks() {
    const { lanes } = this, step = lanes.step(), list = [];
    for (let t = Math.ceil(lanes.t0 / step) * step; t < lanes.t1; t += step) list.push(t);
    return list;
  }
}

// below counts the values of an ascending list that are less than t.
function below(list, t) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < t) low = middle + 1; else high = middle;
  }
  return low;
}

// brief prints a value of a curve in few signs.
function brief(v) {
  if (v >= 10000) return Math.round(v / 1000) + 'k';
  return String(v >= 100 ? Math.round(v) : Math.round(v * 10) / 10);
}
