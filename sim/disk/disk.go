// Package disk is one process's virtual disk: a page cache over a platter.
//
// Written bytes are in the page cache, and synced bytes on the platter. A directory entry is
// durable when its directory was synced. A killed process finds the page cache as it was. A power
// failure keeps the platter, and any part of the unsynced rest: each write lost, kept or torn at a
// sector, each directory entry kept or lost on its own.
//
// An operation takes effect when it completes. Operations on one handle complete
// in order, and so do operations in one directory; the device serves Depth
// operations at once, as long as its bandwidth and its rate of operations allow.
//
// Its faults (fault.go) are judged when an operation completes, so that they hit operations in
// flight.
package disk

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// Profile is the speed and the capacity of a disk. Spans are nanoseconds.
type Profile struct {
	Write    int64 `json:"write_ns"`          // any write into the page cache
	Read     int64 `json:"read_ns"`           // any read
	Sync     int64 `json:"sync_ns"`           // a sync of a file or a directory
	Meta     int64 `json:"meta_ns"`           // create, open, mkdir, rename, remove
	PerKiB   int64 `json:"per_kib_ns"`        // transfer of 1024 bytes: bandwidth of the device, whatever the depth
	PerOp    int64 `json:"per_op_ns"`         // 1e9 / operations per second of the device; 0 is no limit
	Jitter   int64 `json:"jitter_permille"`   // up to so many thousandths are added to each span
	Depth    int   `json:"depth"`             // operations served at once, 1..MaxDepth
	Capacity int64 `json:"capacity_bytes"`    // of file contents
	Sector   int64 `json:"sector_bytes"`      // the unit at which a write is torn
	Slow     int64 `json:"slowdown_permille"` // 1000 is full speed; a disruption raises it
}

// MaxDepth bounds Profile.Depth.
const MaxDepth = 32

// DefaultProfile is a data-centre SSD. Its spans were compared with a real one:
// docs/calibration.md.
var DefaultProfile = Profile{
	Write: 4_000, Read: 8_000, Sync: 120_000, Meta: 15_000, PerKiB: 1_000, PerOp: 1_000,
	Jitter: 300, Depth: 8, Capacity: 1 << 30, Sector: 512, Slow: 1000,
}

// Disk is one process's disk. Use New.
type Disk struct {
	profile Profile
	slow    int64  // times slower than the profile
	process uint64 // its number
	scope   uint64 // of decisions: the process in its present start
	decider *chance.Decider

	root    *inode
	inodes  []*inode // all that were ever made, those of earlier runs included
	made    int      // of this run, from the front
	used    int64    // bytes of file contents, page cache view
	dirty   int      // unsynced writes over all files
	pending []entryOp
	mounts  uint32 // power failures so far
	handles []handle

	// The device.
	serving  int      // operations that it is at
	ready    []uint32 // operations that it could begin with, the first one first
	tails    []uint32 // by chain: the last operation in it, plus 1; 0 is none
	transfer int64    // when the device has transferred all that was submitted
	rate     int64    // when it may start another operation without exceeding its rate
	stall    int64    // no operation starts before
	paces    []Pace   // of single files
	full     bool
	faults   []*Fault // in force
	failures []Failure
	wipes    int

	ops   []operation
	free  []uint32
	order uint64
	out   []byte // data of the last completed read
	done  Completion

	durables known // directories through durable entries, until one of those goes or moves
	dirs     known // directories as processes see them, until one goes or moves
}

type handle struct {
	node  *inode // nil: not bound
	path  string // that the last binding operation submitted names
	bound string // that node was bound with

	// A file that is appended to after a sync is a log: its host may have written zeros ahead of its
	// end, which no process sees before a crash.
	isSynced, isLog bool
	last            env.Key // of the last append to a log
}

type operation struct {
	op    env.Op
	data  []byte // own copy of op.Data
	order uint64 // of submission, 0: the slot is free
	since int64  // when it was submitted
	due   int64  // when the device has done it; waiting: it is not at it

	chains [2]chain  // the orders that it keeps
	next   [2]uint32 // the next operation in each, plus 1; 0 is none
	ahead  uint8     // how many of those before it are not done
}

// Completion is the outcome of an operation. It is valid until the next
// completion, Data included.
type Completion struct {
	ID    env.OpID
	Err   env.Errno
	Quiet bool // as Op.Quiet
	N     int64
	Data  []byte
}

// New returns an empty, formatted disk.
func New(process uint64, decider *chance.Decider) *Disk {
	d := &Disk{process: process, decider: decider}
	d.Reset(DefaultProfile)
	return d
}

// Started sets how often the disk's process was started before: the number is a part of every
// decision from now on.
func (d *Disk) Started(restarts uint64) { d.scope = chance.InStart(d.process, restarts) }

// Reset makes the disk new and empty and keeps its memory.
func (d *Disk) Reset(p Profile) {
	*d = Disk{
		profile: p, slow: 1, process: d.process, scope: d.process, decider: d.decider, inodes: d.inodes,
		ready: d.ready[:0], tails: d.tails[:0],
		pending: d.pending[:0], handles: d.handles[:0], ops: d.ops[:0], free: d.free[:0], out: d.out,
		durables: d.durables, dirs: d.dirs, failures: d.failures[:0],
	}
	d.durables.forget()
	d.dirs.forget()
	d.root = d.inode(true)
}

// Put puts a file into the root of a disk on which no process has run yet, durably.
func (d *Disk) Put(name string, data []byte) {
	op := env.Op{Kind: env.OpCreate, File: 1, Path: name}
	d.create(&op) // the disk is empty
	h := d.handle(op.File)
	d.write(h, 0, data, env.Key{})
	d.sync(h)
	d.syncDir("")
	*h = handle{}
}

// inode returns a new file or directory, in the memory of one of an earlier run if
// there is any.
func (d *Disk) inode(dir bool) *inode {
	if d.made == len(d.inodes) {
		d.inodes = append(d.inodes, new(inode))
	}
	n := d.inodes[d.made]
	d.made++
	*n = inode{
		dir: dir, seen: n.seen[:0], durable: n.durable[:0], cache: n.cache[:0], platter: n.platter[:0],
		writes: n.writes[:0], bytes: n.bytes[:0], old: n.old[:0],
	}
	return n
}

// Unsynced reports whether a power crash could lose any written byte or entry.
func (d *Disk) Unsynced() bool { return d.dirty > 0 || len(d.pending) > 0 }

// Free returns the bytes that the disk still takes.
func (d *Disk) Free() int64 {
	if d.full {
		return 0
	}
	return d.profile.Capacity - d.used
}

// PathOf returns the path that a handle was bound with.
func (d *Disk) PathOf(f env.File) string {
	if int(f) < len(d.handles) {
		return d.handles[f].path
	}
	return ""
}

// Submit accepts an operation at time now and returns its number and when the device has done it:
// Finish must be called then. It is -1 while the operation waits for others: Finish of another
// operation will give the time.
func (d *Disk) Submit(now int64, op *env.Op) (ref uint32, at int64) {
	ref = d.slot()
	o := &d.ops[ref]
	d.order++
	o.op, o.data = *op, append(o.data[:0], op.Data...)
	o.op.Data = nil
	o.order, o.since, o.due = d.order, now, waiting
	o.next, o.ahead = [2]uint32{}, 0
	if op.Kind == env.OpCreate || op.Kind == env.OpOpen {
		d.handle(op.File).path = op.Path
	}
	d.enqueue(ref)
	switch {
	case o.ahead > 0:
	case d.serving < d.profile.Depth:
		d.start(now, ref)
	default:
		d.ready = append(d.ready, ref)
	}
	return ref, o.due
}

// flying returns the operations in flight in the order of their submission.
func (d *Disk) flying() []uint32 {
	var flying []uint32
	for i := range d.ops {
		if d.ops[i].order != 0 {
			flying = append(flying, uint32(i))
		}
	}
	slices.SortFunc(flying, func(a, b uint32) int { return cmp.Compare(d.ops[a].order, d.ops[b].order) })
	return flying
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

func (d *Disk) handle(f env.File) *handle {
	for int(f) >= len(d.handles) {
		d.handles = append(d.handles, handle{})
	}
	return &d.handles[f]
}

// Complete lets operation ref take effect and returns its outcome.
func (d *Disk) Complete(ref uint32) *Completion {
	o, c := &d.ops[ref], &d.done
	c.N, c.Data, c.Err = d.apply(&o.op, o.data)
	c.ID, c.Quiet = o.op.ID, o.op.Quiet
	d.release(ref)
	return c
}

func (d *Disk) release(ref uint32) {
	d.ops[ref].order = 0
	d.free = append(d.free, ref)
}

func (d *Disk) apply(op *env.Op, data []byte) (int64, []byte, env.Errno) {
	switch op.Kind {
	case env.OpCreate, env.OpOpen, env.OpMkdir, env.OpRename, env.OpRemove:
		if err := d.refusesEntry(op); err != env.OK {
			return 0, nil, err
		}
	}
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
		h.isLog, h.last = h.isSynced, op.Key
		return d.write(h, int64(len(f.cache)), data, op.Key)
	case env.OpWrite:
		return d.write(h, op.Offset, data, op.Key)
	case env.OpTruncate:
		if err := d.refuses(h.bound, EntryFault); err != env.OK {
			return 0, nil, err
		}
		d.truncate(f, op.Length, op.Key)
		h.isLog = false
	case env.OpSync:
		h.isSynced = true
		return 0, nil, d.sync(h)
	case env.OpClose: // the host takes the zeros away first, durably
		h.node = nil
	case env.OpRead:
		if err := d.refuses(h.bound, ReadFault); err != env.OK {
			return 0, nil, err
		}
		d.out = append(d.out[:0], f.slice(op.Offset, op.Length)...)
		return int64(len(d.out)), d.out, env.OK
	}
	return 0, nil, env.OK
}
