package disk

import (
	"slices"

	"github.com/tidaldb/tidalsim/sim/chance"
)

// Kill ends the process that uses the disk. The page cache stays. Of the
// operations in flight, per handle and directory, a beginning took effect: by
// default none.
func (d *Disk) Kill() {
	d.idle()
	for _, ref := range d.flying() {
		o := &d.ops[ref]
		lost := slices.ContainsFunc(o.chains[:], func(c chain) bool { return c != 0 && d.tails[c] != 0 })
		if !lost && d.decider.Deviate(chance.DiskInFlight, d.scope, o.op.Key) != 0 {
			d.apply(&o.op, o.data)
		} else { // so that nothing behind it takes effect
			for _, c := range o.chains {
				d.tails[c] = ref + 1
			}
		}
		d.release(ref)
	}
	clear(d.handles)
	d.handles = d.handles[:0]
	d.idle()
}

// Power ends the process and loses the page cache. What was not synced is kept
// by default; deviations lose it or tear it.
func (d *Disk) Power() {
	d.Kill()
	for i := range d.pending {
		op := &d.pending[i]
		if d.decider.Deviate(chance.DiskEntry, d.scope, op.key) == 0 {
			d.settle(op)
		}
	}
	d.pending = d.pending[:0]
	d.dirs.forget()
	d.used, d.dirty = 0, 0
	d.mounts++
	d.mount(d.root)
}

// mount turns every durable inode below n into what is seen after the power
// failure. A file has two durable entries when of two renames the first was lost.
func (d *Disk) mount(n *inode) {
	if n.mounted == d.mounts {
		return
	}
	n.mounted = d.mounts
	n.gone = false
	if n.dir {
		n.seen = append(n.seen[:0], n.durable...)
		for _, e := range n.durable {
			d.mount(e.node)
		}
		return
	}
	for i := range n.writes {
		d.decide(n, &n.writes[i])
	}
	n.writes = n.writes[:0]
	n.bytes = n.bytes[:0]
	n.cache = append(n.cache[:0], n.platter...)
	d.used += int64(len(n.cache))
}

// decide brings of one unsynced write to the platter what the power failure
// leaves of it.
func (d *Disk) decide(f *inode, w *write) {
	if d.decider.Deviate(chance.DiskLost, d.scope, w.key) != 0 {
		return
	}
	if v := d.decider.Deviate(chance.DiskTorn, d.scope, w.key); v != 0 && !w.truncate {
		f.tear(w, v, d.profile.Sector)
		return
	}
	f.settle(w)
}

// tear keeps a part of a write: the sectors before a cut, or all but one sector,
// which reads as zeros, or only the new length, all of it zeros.
func (f *inode) tear(w *write, value uint64, sector int64) {
	first, last := w.offset/sector, (w.offset+w.size-1)/sector
	cut := (first + int64(chance.Below(value, uint64(last-first+1)))) * sector
	data := slices.Clone(f.bytes[w.from : w.from+w.size])
	from := max(cut, w.offset) - w.offset
	switch value >> 1 % 3 {
	case 0:
		data = data[:from]
	case 1:
		clear(data[from:min(from+sector, w.size)])
	case 2:
		clear(data)
	}
	f.platter = put(f.platter, w.offset, data)
}

// Wipe loses everything, as a replaced disk does. What disturbs the disk goes on.
func (d *Disk) Wipe() {
	d.wipes++
	d.Kill()
	d.root = d.inode(true)
	d.durables.forget()
	d.dirs.forget()
	d.pending = d.pending[:0]
	d.used, d.dirty = 0, 0
}
