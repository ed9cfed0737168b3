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
	for i := range d.handles {
		if h := &d.handles[i]; h.node != nil && h.isLog && !h.node.gone {
			d.showAhead(h)
		}
	}
	clear(d.handles)
	d.handles = d.handles[:0]
	d.idle()
}

// maxAhead bounds the zeros that a crash shows behind a log. A host may write more: a reader finds the
// same, in more sectors.
const maxAhead = 4 << 10

// showAhead leaves zeros behind the end of a log, if that is drawn: its host wrote them ahead and
// did not come to take them away. They are durable if a sync came after the last append, and else
// as uncertain as it. They are decided by a key of their own.
func (d *Disk) showAhead(h *handle) {
	v := d.decider.Deviate(chance.DiskAhead, d.scope, h.last)
	if v == 0 {
		return
	}
	f := h.node
	n := 1 + int64(chance.Below(v, maxAhead))
	if n > d.Free() {
		return
	}
	d.account(f, n)
	end, zeros := int64(len(f.cache)), make([]byte, n)
	f.cache = append(f.cache, zeros...)
	if len(f.writes) == 0 && int64(len(f.platter)) == end {
		f.platter = append(f.platter, zeros...)
		return
	}
	key := h.last
	key.Attempt = ^key.Attempt
	w := f.written(key, end)
	w.size, w.from = n, int64(len(f.bytes))
	f.bytes = append(f.bytes, zeros...)
	d.dirty++
}

// Power ends the process and loses the page cache. Unsynced writes are kept by default; deviations
// lose them or tear them.
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

// mount turns every durable inode below n into its state after the power failure. A file has two
// durable entries when of two renames the first was lost.
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
	n.shown = 0
	for i := range n.writes {
		if w := &n.writes[i]; w.truncate || !w.clip(n.shown) {
			d.decide(n, w)
		}
	}
	n.writes = n.writes[:0]
	n.bytes = n.bytes[:0]
	n.cache = append(n.cache[:0], n.platter...)
	d.used += int64(len(n.cache))
}

// decide brings to the platter the part of one unsynced write that the power failure leaves.
func (d *Disk) decide(f *inode, w *write) {
	if d.decider.Deviate(chance.DiskLost, d.scope, w.key) != 0 {
		return
	}
	if v := d.decider.Deviate(chance.DiskTorn, d.scope, w.key); v != 0 && !w.truncate {
		f.tear(w, v, d.profile.Sector)
		return
	}
	if v := d.decider.Deviate(chance.DiskOld, d.scope, w.key); v != 0 && !w.truncate {
		d.showOld(f, w, v)
		return
	}
	d.settleWrite(f, w)
}

// showOld keeps the length of a write, and of its bytes only those in the sector that the file
// reached before. Behind that sector the blocks show the bytes that they held for another file, or
// for this one before it was cut: a file system that journals lengths before it writes data leaves
// them so (ext4 with data=writeback). Most often they hold the bytes of the same offset, so that
// records begin where records of the file would.
func (d *Disk) showOld(f *inode, w *write, value uint64) {
	sector := d.profile.Sector
	kept := min(w.size, (w.offset+sector-1)/sector*sector-w.offset)
	if f.shown = (w.offset + w.size + sector - 1) / sector * sector; kept == w.size {
		f.shown = 0
	}
	data := make([]byte, max(w.size, min(f.shown, int64(len(f.cache)))-w.offset))
	copy(data, f.bytes[w.from:w.from+kept])
	if old := d.freed(f, w.offset+kept, value); old != nil {
		from := w.offset + kept
		if value>>1%4 == 0 {
			from = int64(chance.Below(value<<8, uint64(len(old))/uint64(sector)+1)) * sector
		}
		copy(data[kept:], old[min(from, int64(len(old))):])
	}
	f.platter = put(f.platter, w.offset, data)
}

// clip takes off a write the bytes below an offset, where old blocks show already: no sector holds
// both. It reports whether nothing is left.
func (w *write) clip(below int64) (isEmpty bool) {
	n := min(w.size, max(0, below-w.offset))
	w.offset, w.from, w.size = w.offset+n, w.from+n, w.size-n
	return n > 0 && w.size == 0
}

// freed returns the bytes of blocks that a file may have been given: its own from before it was
// cut, or those of a file that was removed and that reached beyond an offset. It is nil if there
// are none.
func (d *Disk) freed(f *inode, beyond int64, value uint64) []byte {
	if int64(len(f.old)) > beyond && value>>3%2 == 0 {
		return f.old
	}
	n := d.made
	for i := range n { // from one that the value chooses
		x := d.inodes[(int(chance.Below(value<<16, uint64(n)))+i)%n]
		if x != f && !x.dir && x.gone && int64(len(x.platter)) > beyond {
			return x.platter
		}
	}
	return f.old
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

// Wipe loses everything, as a replaced disk does. Disruptions of the disk go on.
func (d *Disk) Wipe() {
	d.wipes++
	d.Kill()
	d.root = d.inode(true)
	d.durables.forget()
	d.dirs.forget()
	d.pending = d.pending[:0]
	d.used, d.dirty = 0, 0
}
