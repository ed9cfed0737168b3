// Package disk is one process's virtual disk: a page cache over a platter.
//
// What was written is in the page cache; what was synced is on the platter; a
// directory entry is durable when its directory was synced. A killed process
// finds the page cache as it was. A power failure keeps the platter, and of what
// was not synced any part: each write lost, kept or torn at a sector, each
// directory entry kept or lost on its own.
//
// An operation takes effect when it completes. Operations on one handle complete
// in order, and so do operations in one directory; the device serves Depth
// operations at once.
package disk

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// Profile says what a disk costs and holds. Spans are nanoseconds.
type Profile struct {
	Write    int64 `json:"write_ns"`          // any write into the page cache
	Read     int64 `json:"read_ns"`           // any read
	Sync     int64 `json:"sync_ns"`           // a sync of a file or a directory
	Meta     int64 `json:"meta_ns"`           // create, open, mkdir, rename, remove
	PerKiB   int64 `json:"per_kib_ns"`        // transfer of 1024 bytes
	Jitter   int64 `json:"jitter_permille"`   // up to so many thousandths are added to each span
	Depth    int   `json:"depth"`             // operations served at once, 1..MaxDepth
	Capacity int64 `json:"capacity_bytes"`    // of file contents
	Sector   int64 `json:"sector_bytes"`      // what a torn write is cut at
	Slow     int64 `json:"slowdown_permille"` // 1000 is full speed; a disruption raises it
}

// MaxDepth bounds Profile.Depth.
const MaxDepth = 32

// DefaultProfile is a data-centre SSD.
var DefaultProfile = Profile{
	Write: 4_000, Read: 8_000, Sync: 120_000, Meta: 15_000, PerKiB: 1_000,
	Jitter: 300, Depth: 8, Capacity: 1 << 30, Sector: 512, Slow: 1000,
}

// lanes keep the order of operations in one directory: directories that hash to
// one lane are ordered among each other too, which is allowed.
const lanes = 16

// Disk is one process's disk. Use New.
type Disk struct {
	profile Profile
	scope   uint64 // the process's number, scope of decisions
	decider *chance.Decider

	root    *inode
	used    int64 // bytes of file contents, page cache view
	dirty   int   // unsynced writes over all files
	pending []entryOp
	mounts  uint32 // power failures so far
	handles []handle

	channels [MaxDepth]int64 // when each becomes free
	laneDone [lanes]int64
	stall    int64 // no operation starts before

	ops   []operation
	free  []uint32
	order uint64
	out   []byte // data of the last completed read
}

type handle struct {
	node *inode // nil: not bound
	path string
	done int64 // completion of the last operation submitted
}

type operation struct {
	op    env.Op
	data  []byte // own copy of op.Data
	order uint64 // of submission, 0: the slot is free
}

// Completion is the outcome of an operation. Data is valid until the next
// completion.
type Completion struct {
	ID   env.OpID
	Err  env.Errno
	N    int64
	Data []byte
}

// New returns an empty, formatted disk.
func New(scope uint64, decider *chance.Decider) *Disk {
	d := &Disk{scope: scope, decider: decider}
	d.Reset(DefaultProfile)
	return d
}

// Reset makes the disk new and empty and keeps its memory.
func (d *Disk) Reset(p Profile) {
	*d = Disk{
		profile: p, scope: d.scope, decider: d.decider, root: &inode{dir: true},
		pending: d.pending[:0], handles: d.handles[:0], ops: d.ops[:0], free: d.free[:0], out: d.out,
	}
}

// SetSlow sets the slowdown in thousandths; 1000 is full speed.
func (d *Disk) SetSlow(permille int64) { d.profile.Slow = permille }

// StallUntil keeps operations submitted from now on from starting before t.
func (d *Disk) StallUntil(t int64) { d.stall = max(d.stall, t) }

// Unsynced reports whether a power failure could lose anything.
func (d *Disk) Unsynced() bool { return d.dirty > 0 || len(d.pending) > 0 }

// Free returns the bytes that the disk still takes.
func (d *Disk) Free() int64 { return d.profile.Capacity - d.used }

// PathOf returns the path that a handle was bound with.
func (d *Disk) PathOf(f env.File) string {
	if int(f) < len(d.handles) {
		return d.handles[f].path
	}
	return ""
}

// Submit accepts an operation at time now and returns its number and the time at
// which Complete must be called with it.
func (d *Disk) Submit(now int64, op env.Op) (ref uint32, at int64) {
	ref = d.slot()
	o := &d.ops[ref]
	d.order++
	o.order = d.order
	o.data = append(o.data[:0], op.Data...)
	o.op = op
	o.op.Data = nil
	return ref, d.schedule(now, &o.op, int64(len(o.data)))
}

func (d *Disk) slot() uint32 {
	if n := len(d.free); n > 0 {
		ref := d.free[n-1]
		d.free = d.free[:n-1]
		return ref
	}
	if len(d.ops) < cap(d.ops) {
		d.ops = d.ops[:len(d.ops)+1] // keeps the slot's buffer of an earlier run
	} else {
		d.ops = append(d.ops, operation{})
	}
	return uint32(len(d.ops) - 1)
}

// schedule finds when the operation completes: behind its predecessors in order,
// on the channel that is free first.
func (d *Disk) schedule(now int64, op *env.Op, size int64) int64 {
	after := d.after(op)
	channel := 0
	for i := 1; i < d.profile.Depth; i++ {
		if d.channels[i] < d.channels[channel] {
			channel = i
		}
	}
	start := max(now, d.stall, *after, d.channels[channel])
	binds := op.Kind == env.OpCreate || op.Kind == env.OpOpen
	if binds {
		start = max(start, d.handle(op.File).done)
	}
	done := start + d.span(op, size)
	*after = done
	d.channels[channel] = done
	if binds {
		d.handle(op.File).done = done
		d.handle(op.File).path = op.Path
	}
	return done
}

// after returns the completion time that op must not overtake.
func (d *Disk) after(op *env.Op) *int64 {
	switch op.Kind {
	case env.OpAppend, env.OpWrite, env.OpTruncate, env.OpSync, env.OpRead, env.OpClose:
		return &d.handle(op.File).done
	case env.OpSyncDir:
		return &d.laneDone[lane(op.Path)]
	}
	return &d.laneDone[lane(parentOf(op.Path))]
}

func lane(dir string) int {
	h := uint32(2166136261)
	for i := range len(dir) {
		h = (h ^ uint32(dir[i])) * 16777619
	}
	return int(h % lanes)
}

func (d *Disk) handle(f env.File) *handle {
	for int(f) >= len(d.handles) {
		d.handles = append(d.handles, handle{})
	}
	return &d.handles[f]
}

// span is how long the device works on op.
func (d *Disk) span(op *env.Op, size int64) int64 {
	p := &d.profile
	var t int64
	switch op.Kind {
	case env.OpAppend, env.OpWrite, env.OpTruncate:
		t = p.Write + size*p.PerKiB/1024
	case env.OpRead:
		t = p.Read + op.Length*p.PerKiB/1024
	case env.OpSync, env.OpSyncDir:
		t = p.Sync
	default:
		t = p.Meta
	}
	t = t * p.Slow / 1000
	if p.Jitter > 0 {
		h := d.decider.Uniform(chance.DiskJitter, d.scope<<8|uint64(op.Kind), op.Key)
		t += int64(chance.Below(h, uint64(t*p.Jitter/1000)+1))
	}
	return t
}

// Complete lets operation ref take effect and returns its outcome.
func (d *Disk) Complete(ref uint32) Completion {
	o := &d.ops[ref]
	c := Completion{ID: o.op.ID}
	c.N, c.Data, c.Err = d.apply(&o.op, o.data)
	d.release(ref)
	return c
}

func (d *Disk) release(ref uint32) {
	d.ops[ref].order = 0
	d.ops[ref].op = env.Op{}
	d.free = append(d.free, ref)
}

func (d *Disk) apply(op *env.Op, data []byte) (int64, []byte, env.Errno) {
	switch op.Kind {
	case env.OpCreate:
		return 0, nil, d.create(op)
	case env.OpOpen:
		return d.open(op)
	case env.OpMkdir, env.OpRename, env.OpRemove:
		return 0, nil, d.entries(op)
	case env.OpSyncDir:
		return 0, nil, d.syncDir(op.Path)
	}
	h := d.handle(op.File)
	if h.node == nil {
		return 0, nil, env.BadHandle
	}
	return d.applyFile(h, op, data)
}

func (d *Disk) applyFile(h *handle, op *env.Op, data []byte) (int64, []byte, env.Errno) {
	f := h.node
	switch op.Kind {
	case env.OpAppend:
		return d.write(f, int64(len(f.cache)), data, op.Key)
	case env.OpWrite:
		return d.write(f, op.Offset, data, op.Key)
	case env.OpTruncate:
		d.truncate(f, op.Length, op.Key)
	case env.OpSync:
		d.sync(f)
	case env.OpClose:
		h.node = nil
	case env.OpRead:
		d.out = append(d.out[:0], f.slice(op.Offset, op.Length)...)
		return int64(len(d.out)), d.out, env.OK
	}
	return 0, nil, env.OK
}
