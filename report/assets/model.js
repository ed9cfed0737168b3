'use strict';
// A recording as columns: see columns.go for their order. Nothing here touches the page.
async function inflate(base64) {
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(base64) : Uint8Array.from(atob(base64), c => c.charCodeAt(0));
  const unzip = new DecompressionStream('gzip'), writer = unzip.writable.getWriter(), reader = unzip.readable.getReader();
  const size = new DataView(bytes.buffer).getUint32(bytes.length - 4, true); // a gzip file ends with it
  const all = new Uint8Array(size), written = Promise.all([writer.write(bytes), writer.close()]);
  let end = 0; // one piece goes in, without a detour through another process, as a Blob would take
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) { all.set(piece.value, end); end += piece.value.length; }
  await written;
  return all.buffer;
}

// A line that takes longer than this is looked for in a list of its own, ns.
const SHORT = 2e6;

class Recording {
  constructor(about, buffer) {
    this.about = about;
    const n = this.n = about.columns.lines;
    let offset = 0;
    const column = (type) => { const c = new type(buffer, offset, n); offset += c.byteLength; return c; };
    for (const name of ['at', 'until']) this[name] = column(Float64Array);
    this.seq = column(Uint32Array); this.to = column(Uint32Array);
    this.of = column(Int32Array); this.op = column(Int32Array);
    this.message = column(Uint32Array); this.starts = column(Uint32Array);
    for (const name of ['process', 'peer', 'slot', 'shard']) this[name] = column(Int16Array);
    this.tenant = column(Uint16Array);
    this.kind = column(Uint8Array); this.mark = column(Uint8Array);
    this.K = {};
    about.kinds.forEach((name, i) => { this.K[name] = i; });
    this.end = n ? Math.max(this.at[n - 1], about.simulated, 1) : 1;
    this.words = null;
    this.index();
    this.filter({});
  }

  // index collects what is rare, what is long, and when processes are down.
  index() {
    const K = this.K, rare = new Uint8Array(64);
    for (const name of ['lose', 'hold', 'chance', 'fail', 'start', 'stop', 'finding', 'deny']) rare[K[name]] = 1;
    const long = [], notable = [], down = [], faults = [], found = [], stopped = new Map();
    for (let i = 0; i < this.n; i++) {
      const kind = this.kind[i];
      if (this.until[i] - this.at[i] > SHORT) long.push(i);
      if (rare[kind]) notable.push(i);
      if (kind === K.stop) stopped.set(this.process[i], this.at[i]);
      else if (kind === K.start && stopped.has(this.process[i])) {
        down.push({ process: this.process[i], from: stopped.get(this.process[i]), to: this.at[i] });
        stopped.delete(this.process[i]);
      } else if (kind === K['fault-begins']) faults.push({ line: i, from: this.at[i], to: this.until[i] || this.end, ...this.about.faults[this.op[i]] });
      else if (kind === K.finding) found.push(i);
    }
    for (const [process, from] of stopped) down.push({ process, from, to: this.end });
    this.long = Int32Array.from(long);
    this.notable = Int32Array.from(notable);
    this.down = down; this.found = found;
    this.faults = []; // one for all cuts that begin and end together
    for (const f of faults) {
      const like = this.faults.find(g => g.kind === f.kind && g.process === f.process && g.from === f.from && g.to === f.to);
      if (like) like.peers.push(f.peer); else this.faults.push({ ...f, peers: f.cut ? [f.peer] : [] });
    }
    this.struck = union(this.faults); // when anybody is hit by one, and each process
    this.hit = this.about.lanes.map((_, i) => union(this.faults.filter(f => f.process === i)));
    // The first finding that was reported is most likely the root of the others.
    this.root = found.length ? Math.max(this.marks(this.about.findings[0]), found[0]) : -1;
    this.shards = new Map();
    for (const l of this.about.leads) {
      if (!this.shards.has(l.shard)) this.shards.set(l.shard, []);
      const list = this.shards.get(l.shard), last = list[list.length - 1];
      // A version that changes nothing that is drawn goes on where the last one stands.
      if (!last || last.leader !== l.leader || last.epoch !== l.epoch || String(last.in_sync) !== String(l.in_sync)) list.push(l);
    }
  }

  // marks returns the line that marks a finding, -1 if there is none.
  marks(f) {
    return this.found.find(i => f && this.at[i] === f.at) ?? -1;
  }

  // first returns the first line at t or later.
  first(t) {
    let low = 0, high = this.n;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.at[middle] < t) low = middle + 1; else high = middle;
    }
    return low;
  }

  // filter chooses lines. What concerns everybody stays.
  filter(f) {
    this.chosen = f;
    const all = f.tenant === undefined && f.slot === undefined && f.process === undefined && f.seq === undefined;
    const { K, n } = this, everybody = new Uint8Array(64);
    for (const name of ['fault-begins', 'fault-over', 'fault-void', 'calm', 'finding', 'configure']) everybody[K[name]] = 1;
    const shown = this.shown = new Uint8Array(n);
    let count = n;
    if (all) shown.fill(1);
    else {
      count = 0;
      for (let i = 0; i < n; i++) {
        const fits = everybody[this.kind[i]] ||
          (f.tenant === undefined || this.tenant[i] === f.tenant) && (f.slot === undefined || this.slot[i] === f.slot) &&
          (f.process === undefined || this.process[i] === f.process || this.peer[i] === f.process) &&
          (f.seq === undefined || this.seq[i] > 0 && this.seq[i] <= f.seq && f.seq <= this.to[i]);
        if (fits) { shown[i] = 1; count++; }
      }
    }
    this.count = count;
    this.densities();
  }

  // densities counts the lines of each lane in equal spans of time, in levels of halved detail.
  densities() {
    const spans = this.spans = 1 << 15, lanes = this.about.lanes.length;
    const base = new Uint16Array(spans * lanes), scale = spans / (this.end * 1.000001);
    const { at, process, shown, n } = this;
    for (let i = 0; i < n; i++) {
      const p = process[i];
      if (p < 0 || shown[i] === 0) continue;
      const place = p * spans + (at[i] * scale | 0);
      if (base[place] < 65535) base[place]++;
    }
    this.levels = [base];
    for (let size = spans / 2; size >= 512; size /= 2) {
      const below = this.levels[this.levels.length - 1], level = new Uint16Array(size * lanes);
      for (let i = 0; i < level.length; i++) level[i] = Math.min(65535, below[2 * i] + below[2 * i + 1]);
      this.levels.push(level);
    }
  }

  async read(base64) {
    this.words = new TextDecoder().decode(await inflate(base64));
  }

  text(i) {
    if (this.words === null) return '…';
    return this.words.slice(this.starts[i], i + 1 < this.n ? this.starts[i + 1] : this.words.length);
  }

  // lineOf returns the line that has a place of the words.
  lineOf(place) {
    let low = 0, high = this.n;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= place) low = middle + 1; else high = middle;
    }
    return low - 1;
  }

  // matches returns the shown lines that contain a text, in any case of letters.
  matches(text) {
    this.lower ??= this.words.toLowerCase();
    const found = [], wanted = text.toLowerCase();
    for (let at = this.lower.indexOf(wanted); at >= 0;) {
      const i = this.lineOf(at);
      if (this.shown[i]) found.push(i);
      at = i + 1 < this.n ? this.lower.indexOf(wanted, this.starts[i + 1]) : -1;
    }
    return Int32Array.from(found);
  }

  // from returns the lines that led to line i, the nearest first.
  from(i, most = 40) {
    const chain = [];
    for (let k = this.of[i]; k >= 0 && chain.length < most; k = this.of[k]) chain.push(k);
    return chain;
  }

  // led returns the lines that follow from line i, at once.
  led(i) {
    if (!this.head) {
      this.head = new Int32Array(this.n).fill(-1); this.sibling = new Int32Array(this.n).fill(-1);
      for (let k = this.n - 1; k >= 0; k--) {
        const of = this.of[k];
        if (of >= 0) { this.sibling[k] = this.head[of]; this.head[of] = k; }
      }
    }
    const list = [];
    for (let k = this.head[i]; k >= 0; k = this.sibling[k]) list.push(k);
    return list;
  }

  // spread returns line i, what led to it, and what follows from it, a bounded number of lines.
  spread(i) {
    const set = new Set([i, ...this.from(i)]), queue = [i];
    while (queue.length && set.size < 300) {
      for (const k of this.led(queue.shift())) if (!set.has(k)) { set.add(k); queue.push(k); }
    }
    return set;
  }
}

// union returns the spans in which any of those in a list lasts.
function union(list) {
  const spans = [];
  for (const { from, to } of [...list].sort((a, b) => a.from - b.from)) {
    const last = spans[spans.length - 1];
    if (last && from <= last.to) last.to = Math.max(last.to, to); else spans.push({ from, to });
  }
  return spans;
}

// ms prints an instant, ns, as every text of the command does; with places, shorter.
function ms(ns, places = 6) {
  return (ns / 1e6).toFixed(places) + ' ms';
}
