// The log: all lines that are shown, of which only those in view are on the page.
const ROW = 22; // px

class Log {
  constructor(element, rows, recording, choose) {
    Object.assign(this, { element, rows, r: recording, choose, list: new Int32Array(0), selected: -1, matched: new Set(), pool: [] });
    element.addEventListener('scroll', () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(element);
    element.addEventListener('keydown', e => this.key(e));
    this.refresh();
  }

  // refresh takes up what is shown now.
  refresh() {
    const { r } = this, list = new Int32Array(r.count);
    for (let i = 0, k = 0; i < r.n; i++) if (r.shown[i]) list[k++] = i;
    this.list = list;
    this.rows.style.height = Math.max(list.length * ROW, 1) + 'px';
    this.draw();
  }

  place(i) {
    let low = 0, high = this.list.length;
    while (low < high) { const middle = (low + high) >> 1; if (this.list[middle] < i) low = middle + 1; else high = middle; }
    return low;
  }

  select(i, scroll = true) {
    this.selected = i;
    if (scroll && i >= 0) {
      const top = this.place(i) * ROW, { element } = this;
      if (top < element.scrollTop || top > element.scrollTop + element.clientHeight - ROW) element.scrollTop = top - element.clientHeight / 2;
    }
    this.draw();
  }

  draw() {
    const { element, list, r } = this, first = Math.max(0, Math.floor(element.scrollTop / ROW) - 4);
    const last = Math.min(list.length, Math.ceil((element.scrollTop + element.clientHeight) / ROW) + 4);
    while (this.pool.length < last - first) this.pool.push(this.row());
    this.pool.forEach((row, k) => {
      const place = first + k, there = place < last;
      row.hidden = !there;
      if (!there) { row.removeAttribute('id'); return; }
      const i = list[place];
      row.style.top = place * ROW + 'px';
      row.className = 'row ' + this.class(i) + (this.matched.has(i) ? ' match' : '');
      row.id = 'line-' + i;
      row.setAttribute('aria-selected', String(i === this.selected));
      row.setAttribute('aria-setsize', list.length); row.setAttribute('aria-posinset', place + 1);
      row.line = i;
      row.firstChild.textContent = ms(r.at[i]).padStart(18) + '  ';
      row.lastChild.textContent = r.text(i);
    });
    if (this.selected >= 0 && document.getElementById('line-' + this.selected)) element.setAttribute('aria-activedescendant', 'line-' + this.selected);
    else element.removeAttribute('aria-activedescendant');
  }

  class(i) {
    const name = this.r.about.kinds[this.r.kind[i]];
    if (name === 'start' || name === 'stop') return 'life';
    return name.startsWith('fault') || name === 'calm' ? 'fault' : name;
  }

  row() {
    const row = document.createElement('div'), at = document.createElement('span'), text = document.createElement('span');
    at.className = 'at'; row.append(at, text); row.setAttribute('role', 'option');
    row.addEventListener('click', () => this.choose(row.line));
    this.rows.append(row);
    return row;
  }

  key(e) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 14, PageUp: -14, Home: -1e9, End: 1e9 };
    if (!(e.key in steps) || !this.list.length) return;
    e.preventDefault();
    const place = Math.max(0, Math.min(this.list.length - 1, this.place(this.selected) + steps[e.key]));
    this.choose(this.list[place]);
  }
}
