package disk

import (
	"math/bits"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// This file is the device: it decides when operations are done. It serves Depth operations at once,
// in the order in which they became ready; an operation is ready when its predecessors on its file
// and in its directories are done. So a long queue on one file takes no place from another.

// waiting stands for the time of an operation that the device has not begun, or has done.
const waiting = -1

// lanes keep the order of operations in one directory: directories that hash to
// one lane are ordered among each other too, which is allowed.
const lanes = 16

// chain is an order that operations keep: a lane, or a handle's, which come after
// the lanes. It is counted from 1; 0 is none.
type chain uint32

func lane(dir string) chain {
	h := uint32(2166136261)
	for i := range len(dir) {
		h = (h ^ uint32(dir[i])) * 16777619
	}
	return chain(1 + h%lanes)
}

func chainOf(f env.File) chain { return chain(1 + lanes + f) }

// chains returns the orders that op keeps.
func chains(op *env.Op) (list [2]chain) {
	switch op.Kind {
	case env.OpAppend, env.OpWrite, env.OpTruncate, env.OpSync, env.OpRead, env.OpClose:
		list[0] = chainOf(op.File)
	case env.OpCreate, env.OpOpen:
		list = [2]chain{lane(parentOf(op.Path)), chainOf(op.File)}
	case env.OpRename:
		list = [2]chain{lane(parentOf(op.Path)), lane(parentOf(op.To))}
		if list[0] == list[1] {
			list[1] = 0
		}
	case env.OpSyncDir:
		list[0] = lane(op.Path)
	default:
		list[0] = lane(parentOf(op.Path))
	}
	return list
}

// enqueue puts an operation behind the last one of each order that it keeps.
func (d *Disk) enqueue(ref uint32) {
	o := &d.ops[ref]
	o.chains = chains(&o.op)
	for _, c := range o.chains {
		if c == 0 {
			continue
		}
		for int(c) >= len(d.tails) {
			d.tails = append(d.tails, 0)
		}
		if last := d.tails[c]; last != 0 {
			before, place := &d.ops[last-1], 0
			if before.chains[0] != c {
				place = 1
			}
			before.next[place] = ref + 1
			o.ahead++
		}
		d.tails[c] = ref + 1
	}
}

// start lets the device begin with an operation at time now.
func (d *Disk) start(now int64, ref uint32) {
	o := &d.ops[ref]
	begins := max(now, o.since, d.stall, d.rate)
	d.rate = begins + d.scaled(d.profile.PerOp, d.slow)
	slow, stall := d.slow, int64(0)
	if len(d.paces) > 0 {
		slow, stall = d.paceOf(&o.op)
	}
	work, transfer := d.spans(&o.op, int64(len(o.data)), slow)
	d.serving++
	if slow != d.slow || stall > begins { // it delays only the operations behind it
		o.due = max(begins, stall) + work + transfer
		return
	}
	d.transfer = max(d.transfer, begins) + transfer
	o.due = max(begins+work+transfer, d.transfer)
}

// Pace is how slow the device is with some files.
type Pace struct {
	Suffix string // of the path by which the file was bound, or that the operation names; as of a Fault
	Slow   int64  // times slower than the profile
	Stall  int64  // no operation starts before
}

// paceOf returns how many times slower an operation is than the profile, and the instant before
// which it does not start.
func (d *Disk) paceOf(op *env.Op) (slow, stall int64) {
	path, slow := op.Path, d.slow
	if path == "" {
		path = d.PathOf(op.File)
	}
	for i := range d.paces {
		if p := &d.paces[i]; aims(p.Suffix, path) || op.To != "" && aims(p.Suffix, op.To) {
			slow, stall = max(slow, p.Slow), max(stall, p.Stall)
		}
	}
	return slow, stall
}

// Finish says that the device has done operation ref, at the time that it was due. started receives
// the operations that it begins with instead, and their due times. Complete must be called with ref
// afterwards.
func (d *Disk) Finish(now int64, ref uint32, started func(ref uint32, at int64)) {
	o := &d.ops[ref]
	o.due = waiting
	d.serving--
	for i, c := range o.chains {
		if d.tails[c] == ref+1 {
			d.tails[c] = 0
		}
		if next := o.next[i]; next != 0 {
			if d.ops[next-1].ahead--; d.ops[next-1].ahead == 0 {
				d.ready = append(d.ready, next-1)
			}
		}
	}
	for d.serving < d.profile.Depth && len(d.ready) > 0 {
		first := d.ready[0]
		d.ready = slices.Delete(d.ready, 0, 1)
		d.start(now, first)
		started(first, d.ops[first].due)
	}
}

// Due returns when the device has done operation ref; -1 if it is not at it.
func (d *Disk) Due(ref uint32) int64 {
	if int(ref) >= len(d.ops) || d.ops[ref].order == 0 {
		return waiting
	}
	return d.ops[ref].due
}

// SetPace makes the disk slow times slower than its profile (1 is full speed) and keeps operations
// from starting before stall; single files may be slower. Running operations start anew; moved
// receives the new due time of each of them.
func (d *Disk) SetPace(now, slow, stall int64, files []Pace, moved func(ref uint32, at int64)) {
	d.slow, d.stall, d.paces = slow, stall, append(d.paces[:0], files...)
	d.transfer, d.rate = 0, 0
	for _, ref := range d.flying() {
		before := d.ops[ref].due
		if before == waiting {
			continue
		}
		d.serving--
		if d.start(now, ref); d.ops[ref].due != before {
			moved(ref, d.ops[ref].due)
		}
	}
}

// idle forgets the running operations.
func (d *Disk) idle() {
	clear(d.tails)
	d.ready = d.ready[:0]
	d.serving = 0
	d.transfer, d.rate = 0, 0
}

// spans is how long the device works on op and how long it transfers for it, when it is
// slow times slower.
func (d *Disk) spans(op *env.Op, size, slow int64) (work, transfer int64) {
	p := &d.profile
	switch op.Kind {
	case env.OpAppend, env.OpWrite, env.OpTruncate:
		work, transfer = p.Write, times(size, p.PerKiB, 1024)
	case env.OpRead:
		work, transfer = p.Read, times(max(0, op.Length), p.PerKiB, 1024)
	case env.OpSync, env.OpSyncDir:
		work = p.Sync
	default:
		work = p.Meta
	}
	work, transfer = d.scaled(work, slow), d.scaled(transfer, slow)
	if p.Jitter > 0 {
		h := d.decider.Uniform(chance.DiskJitter, d.scope^uint64(op.Kind)<<32, op.Key)
		work += int64(chance.Below(h, uint64(times(work+transfer, p.Jitter, 1000))+1))
	}
	return work, transfer
}

func (d *Disk) scaled(span, slow int64) int64 {
	permille := slow * d.profile.Slow
	if permille == 1000 { // most of the time; three divisions for each operation
		return min(span, forever)
	}
	return times(span, permille, 1000)
}

// forever is longer than any run; spans end there, so that their sums fit.
const forever = 1 << 50

// times returns a * b / c, at most forever; a and b are not negative.
func times(a, b int64, c uint64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= c {
		return forever
	}
	quotient, _ := bits.Div64(hi, lo, c)
	return int64(min(quotient, forever))
}
