package replica

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// The purposes of disk operations, as their names have them (diskops.Name).
const (
	forBatch  uint8 = iota + 1 // part of a batch: making the segment, appending
	forSync                    // part of a batch: syncing the segment, the directory
	forScript                  // the current operation of the script
	forRead                    // the current operation of reading a file
	forNobody                  // no step waits for its success
	forFetch                   // the current operation of reading records for another replica
)

// Values of env.Key.Kind for the disk operations of a replica. Fault points have others.
const (
	keyAppend uint16 = 0x100 + iota
	keySync
	keySyncDir
	keyScript // plus the operation's kind
)

// operation names one of the replica's operations.
func (r *Replica) operation(purpose uint8, number uint32) env.OpID {
	return diskops.Name{Owner: r.config.Index + 1, Purpose: purpose, Number: number}.ID()
}

// opID names an operation by the last batch.
func (r *Replica) opID(purpose uint8) env.OpID { return r.operation(purpose, r.number) }

// Owner returns the index of the replica that a disk operation belongs to; false if it belongs to
// the node itself.
func Owner(id env.OpID) (uint32, bool) {
	owner := diskops.NameOf(id).Owner
	return owner - 1, owner > 0
}

// The handles of one replica: two for segments, used in turn, one to read records for other
// replicas, one for the rest.
const (
	handlesEach = 4
	firstHandle = 2 // the node's own is 1
)

func (r *Replica) file(n uint32) env.File {
	return env.File(firstHandle + r.config.Index*handlesEach + n)
}

// append puts rec at the end of the log and hits the fault point passed. The next batch makes it
// durable.
func (r *Replica) append(e env.Env, from env.ID, m *wire.Message, rec record.Record, passed env.Point) {
	p := r.memory.extendPending(&r.pending)
	p.Record, p.From = rec, from
	if m != nil {
		p.Request = m.Origin()
	}
	r.place(e, passed)
}

// place is append for a record that is the last of pending already.
func (r *Replica) place(e env.Env, passed env.Point) {
	p, id := &r.pending[len(r.pending)-1], &r.config.Identity
	rec := &p.Record
	rec.Tenant, rec.Slot, rec.Placement = id.Tenant, id.Slot, id.Placement
	rec.Epoch = r.epoch
	rec.Seq, rec.Prev = r.end.Next(), r.end.Chain
	r.extend(p)
	r.ship(e, rec)
	r.hit(e, passed, r.end.Seq)
	e.Charge(r.config.Costs.Append)
}

// extend encodes the last pending record and advances the end of the log.
func (r *Replica) extend(p *Pending) {
	r.frames, p.Chain = wal.AppendFrame(r.memory.buffer(r.frames), r.durable.Seq, &p.Record)
	r.end = lineage.Position{Seq: p.Record.Seq, Chain: p.Chain}
}

// Flush writes the records that are in no batch yet. While a batch is in flight it does nothing,
// and the next batch takes all records that gather.
func (r *Replica) Flush(e env.Env) {
	if r.flight.waits > 0 || len(r.frames) == 0 || r.phase == Stopped || r.phase == Refetching || r.task != nothing || r.stuck {
		return
	}
	r.hit(e, fault.BatchSubmitting, r.end.Seq)
	r.number++
	r.flight = batch{number: r.number & 0xffffff, end: r.end.Seq, size: int64(len(r.frames))}
	last := len(r.segments) - 1
	if last < 0 || r.handle == 0 || r.segments[last].full(int64(len(r.frames)), r.config.SegmentSize) {
		r.rotate(e)
		last = len(r.segments) - 1
	}
	r.segments[last].size += int64(len(r.frames))
	r.submitQuietly(e, env.Op{Kind: env.OpAppend, File: r.handle, Data: r.frames, Key: r.key(e, keyAppend, uint64(r.end.Seq))})
	// The sync comes before every answer.
	r.submitSync(e, env.Op{Kind: env.OpSync, File: r.handle, Key: r.key(e, keySync, uint64(r.end.Seq))})
	// Other replicas may have these records: if the disk is full, write them again.
	r.memory.giveBuffer(r.written)
	r.written = r.frames
	r.frames = nil
}

// full reports whether n more bytes belong in the next segment. A segment with only a header, left
// by a crash, takes a batch of any size: the next segment would have the same name.
func (s *segment) full(n, limit int64) bool { return s.size > wal.HeaderSize && s.size+n > limit }

// submitQuietly submits a write of the batch in flight. The sync behind it reports its success.
func (r *Replica) submitQuietly(e env.Env, op env.Op) {
	op.ID, op.Quiet = r.opID(forBatch), true
	e.Submit(op)
}

// submitSync submits a sync that the batch in flight waits for.
func (r *Replica) submitSync(e env.Env, op env.Op) {
	op.ID = r.opID(forSync)
	r.flight.waits++
	e.Submit(op)
}

// rotate begins a new segment. Batches follow each other, so all earlier records are durable, and
// the header says so.
func (r *Replica) rotate(e env.Env) {
	first := r.durable.Next()
	r.hit(e, fault.SegmentRotating, first)
	if r.handle != 0 {
		e.Submit(env.Op{Kind: env.OpClose, File: r.handle, ID: r.opID(forNobody), Key: r.key(e, keyScript+uint16(env.OpClose), uint64(first))})
	}
	next := r.file(0)
	if r.handle == next {
		next = r.file(1)
	}
	r.handle, r.flight.rotated = next, true
	r.flight.size += wal.HeaderSize
	r.segments = append(r.segments, segment{shard: r.config.Identity.Shard, first: first, size: wal.HeaderSize})
	path := r.segmentPath(&r.segments[len(r.segments)-1])
	key := r.key(e, keyScript+uint16(env.OpCreate), uint64(first))
	r.submitQuietly(e, env.Op{Kind: env.OpCreate, File: r.handle, Path: path, Key: key})
	m := r.memory
	m.header = wal.AppendHeader(m.header[:0], &wal.Header{
		Identity: r.config.Identity, First: first, Before: r.durable.Chain, Synced: r.durable.Seq,
	})
	r.submitQuietly(e, env.Op{Kind: env.OpAppend, File: r.handle, Data: m.header, Key: r.key(e, keyAppend, uint64(first)<<32)})
	// A segment counts only if its name is durable.
	//safety:directory-sync-after-create by=durable-ack on=smoke
	r.submitSync(e, env.Op{Kind: env.OpSyncDir, Path: r.dir(), Key: r.key(e, keySyncDir, uint64(first))})
}

func (r *Replica) segmentPath(s *segment) string {
	return r.memory.path(&r.config.Identity, file{segmentFile, s.first, s.shard})
}

// Done handles the completion of a disk operation.
func (r *Replica) Done(e env.Env, ev *env.Event) {
	r.memory.done = r.memory.done[:0]
	if r.phase == Stopped {
		return
	}
	switch diskops.NameOf(ev.Op).Purpose {
	case forBatch, forSync:
		r.batchDone(e, ev)
	case forScript:
		r.scriptDone(e, ev)
	case forRead:
		r.readDone(e, ev)
	case forFetch:
		r.fetchDone(e, ev)
	}
	r.doTask(e)
}

func (r *Replica) batchDone(e env.Env, ev *env.Event) {
	name := diskops.NameOf(ev.Op)
	if name.Number != r.flight.number {
		return
	}
	written := name.Purpose == forBatch
	switch {
	case ev.Err == env.NoSpace && written, ev.Err == env.BadHandle && r.flight.full:
		r.flight.full = true // a file that could not be created has no handle either
	case ev.Err != env.OK: // never retried: after a failed sync the data may be gone
		r.doubted = r.doubted || r.flight.rotated // the directory was synced too
		r.stop(fmt.Errorf("making records up to %d durable in %s: %w", r.flight.end, r.dir(), ev.Err))
		return
	}
	if written { // a failure was handled above, and the sync is still to come
		return
	}
	r.flight.waits--
	switch {
	case r.flight.waits > 0:
	case r.flight.full:
		r.keepForRoom(e)
	default:
		r.batchDurable(e)
	}
}

// batchDurable advances the durable end to the end of the batch and starts the next one.
func (r *Replica) batchDurable(e env.Env) {
	if r.hit(e, fault.BatchDurable, r.flight.end) == env.ActError {
		r.stop(env.IOError)
		return
	}
	r.durable = r.position(r.flight.end)
	r.snapshot.since += r.flight.size
	r.memory.giveBuffer(r.written)
	// Two logs that share one buffer overwrite each other's records.
	//safety:buffer-lent-once by=durable-ack on=failover
	r.written = nil
	r.fold(e, min(r.told, r.durable.Seq))
	r.Flush(e)
	r.maybeSnapshot(e)
}

// position returns the position of a record at or above the last folded one.
func (r *Replica) position(seq lineage.Seq) lineage.Position {
	if seq == r.state.Position.Seq {
		return r.state.Position
	}
	return lineage.Position{Seq: seq, Chain: r.pending[seq-r.state.Position.Seq-1].Chain}
}

// fold folds the records up to seq, which are committed, and adds them to the records to answer.
func (r *Replica) fold(e env.Env, seq lineage.Seq) {
	n := 0
	for n < len(r.pending) && r.pending[n].Record.Seq <= seq {
		p := &r.pending[n]
		r.state.Apply(&p.Record, p.Chain)
		if p.Record.Kind == record.Signal {
			r.counts.Signals++
		}
		switch config := p.Record.Kind == record.Config; {
		case config:
			r.overlay.Settle(&p.Record)
		case r.phase == Serving:
			r.overlay.Settle(&p.Record)
			if p.Record.Kind.IsOperation() {
				r.state.Session(p.Record.Client).InFlight--
			}
		}
		n++
	}
	switch m := r.memory; {
	case n == 0:
	// Swap the lists: no records have been added, so none need copying.
	case n == len(r.pending) && len(m.done) == 0:
		m.done, r.pending = r.pending, m.done
	default:
		m.done = append(m.done, r.pending[:n]...)
		r.pending = r.pending[:copy(r.pending, r.pending[n:])]
	}
	r.memory.settle(&r.pending)
	if r.phase == Starting && r.state.Position.Seq >= r.opening {
		r.serve(e)
	}
}

// serve begins to serve: the records that begin the epoch are committed.
func (r *Replica) serve(e env.Env) {
	r.phase = Serving
	r.overlay.Reset(r.state)
	r.hit(e, fault.SlotServing, r.end.Seq)
}
