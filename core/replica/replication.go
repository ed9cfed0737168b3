package replica

import (
	"encoding/binary"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/layout"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// A log has replicas on one node or several. One leads it in an epoch, the others follow. Records
// up to state.Position are committed and never cut; later ones may be.

// replication is the state of a replica among the others of its log.
type replication struct {
	matched lineage.Seq // records up to here equal the leader's, as it said in this epoch
	told    lineage.Seq // records up to here are committed and matched, as the leader said
	// received is when the last record arrived or was appended here: the bucket continues from
	// there.
	received env.Time
	// hold: records above it are kept for other replicas, even if a snapshot covers them.
	hold lineage.Seq

	// outbox has the records that were appended and not shipped, encoded as in messages.
	outbox     []byte
	outboxFrom lineage.Position // the record before them

	written []byte // frames of the batch in flight, in case the disk has no room for it
	stuck   bool   // the disk had no room for it

	leads bool
	task  task
	begun bool // the task is under way

	moved *moved // nil: the log was neither cut, fetched nor handed out
}

// moved holds the fields that a replica needs to cut, fetch or hand out records.
type moved struct {
	cutAt     lineage.Seq // cutting: the last record that stays
	installed []byte      // refetching: the snapshot to begin with, nil for an empty log
	fetch     fetch
	outgoing  outgoing
}

// moves returns moved, made on first use.
func (r *Replica) moves() *moved {
	if r.moved == nil {
		r.moved = new(moved)
	}
	return r.moved
}

// task is a change of the log that must wait until other operations end.
type task uint8

const (
	nothing task = iota
	cutting
	refetching
)

// adopt adds a record that was found on the disk.
func (r *Replica) adopt(rec *record.Record, chain lineage.Chain) {
	p := r.memory.extendPending(&r.pending)
	p.Record, p.Chain = *rec, chain
}

// open ends the opening of the log: the replica waits for a leader.
func (r *Replica) open(e env.Env) {
	r.recovery = nil
	r.phase = Following
	r.end = r.state.Position
	if n := len(r.pending); n > 0 {
		r.end = lineage.Position{Seq: r.pending[n-1].Record.Seq, Chain: r.pending[n-1].Chain}
	}
	r.durable, r.received = r.end, r.started
	r.matched, r.told = r.state.Position.Seq, r.state.Position.Seq
	r.hit(e, fault.SlotFollowing, r.end.Seq)
}

// IsOpen reports whether the log is open, as leader or follower.
func (r *Replica) IsOpen() bool {
	return r.phase == Following || r.phase == Starting || r.phase == Serving
}

// Busy reports whether a part of the log is being replaced.
func (r *Replica) Busy() bool { return r.task != nothing || r.phase == Refetching }

// Lead makes the replica the leader of the log in an epoch that is durable on this node. It adopts
// the uncommitted records and begins the epoch with a record. It serves when all of these are
// committed.
func (r *Replica) Lead(e env.Env, epoch lineage.ShardEpoch) {
	if r.phase != Following || r.task != nothing {
		assert.Fail("%s leads in epoch %d while %s", r.dir(), epoch, r.phase)
	}
	r.leads, r.epoch = true, epoch
	// Refusals of an earlier epoch were reported in that epoch.
	//safety:refusals-counted-anew by=health-truth on=reconfigure-under-fire
	r.counts.Refused = [3]uint64{}
	limits, level := r.state.Limits, r.state.Level
	for i := range r.pending {
		level = r.pending[i].Record.Level
		if r.pending[i].Record.Kind == record.Config {
			limits = r.pending[i].Record.Limits
		}
	}
	r.outbox = r.outbox[:0]
	fault.Hit(e, fault.SlotLeading, env.Key{Kind: uint16(r.config.Identity.Slot), Attempt: uint32(epoch), A: uint64(r.config.Identity.Tenant), B: uint64(r.end.Seq)})
	r.start(e, limits, level, r.received)
}

// Follow ends the replica's leadership. It refuses admitted changes that are not in the log.
// Another leader decides about those in the log, so their clients get no answer here.
func (r *Replica) Follow() []Pending {
	r.memory.done = r.memory.done[:0]
	r.matched = r.state.Position.Seq
	if !r.leads {
		return nil
	}
	r.leads, r.closing = false, false
	for i := range r.admitted {
		r.admitted[i].Refused = wire.Moved
	}
	r.memory.done = append(r.memory.done, r.admitted...)
	r.admitted = r.admitted[:0]
	r.memory.settle(&r.admitted)
	for i := range r.pending {
		p := &r.pending[i]
		p.Request, p.From = wire.Origin{}, 0
	}
	r.state.Forget()
	r.outbox = r.outbox[:0]
	r.hold = r.state.Position.Seq
	r.told = r.state.Position.Seq
	if r.phase != Stopped {
		r.phase = Following
	}
	return r.memory.done
}

// Opening returns the last of the records that begin the epoch in which the replica leads.
func (r *Replica) Opening() lineage.Seq { return r.opening }

// Leads reports whether the replica leads its log.
func (r *Replica) Leads() bool { return r.leads }

// Commit sets the commit index to seq and returns the newly committed records, valid until the next
// call.
func (r *Replica) Commit(e env.Env, seq lineage.Seq) []Pending {
	r.memory.done = r.memory.done[:0]
	if seq > r.state.Position.Seq && r.phase != Stopped {
		r.fold(e, seq)
		r.maybeSnapshot(e)
	}
	return r.memory.done
}

// Hold keeps records above seq on the disk for replicas that lack them.
func (r *Replica) Hold(seq lineage.Seq) { r.hold = seq }

// maxHeld bounds the log, in multiples of SnapshotEvery, that a leader keeps for slow replicas.
// Beyond it the leader removes segments, and these replicas need a snapshot.
const maxHeld = 4

// keeps returns the last record that may be removed once a snapshot covers it.
func (r *Replica) keeps() lineage.Seq {
	held := int64(0)
	for i := range r.segments {
		held += r.segments[i].size
	}
	if !r.leads || held > maxHeld*r.config.SnapshotEvery {
		return ^lineage.Seq(0)
	}
	return r.hold
}

// Durable returns the last record that is durable here.
func (r *Replica) Durable() lineage.Position { return r.durable }

// End returns the last record of the log, durable or not.
func (r *Replica) End() lineage.Position { return r.end }

// Told returns the commit index that the leader has announced. It is never below the last record
// that the state has applied.
func (r *Replica) Told() lineage.Seq { return max(r.told, r.state.Position.Seq) }

// Matched returns the last record up to which the log is durable here and equals the leader's.
func (r *Replica) Matched() lineage.Position {
	return r.position(max(min(r.matched, r.durable.Seq), r.state.Position.Seq))
}

// ChainAt returns the chain at a record at or above the last folded one; false if it is not in the
// log, or no longer known.
func (r *Replica) ChainAt(seq lineage.Seq) (lineage.Chain, bool) {
	if seq < r.state.Position.Seq || seq > r.end.Seq {
		return 0, false
	}
	return r.position(seq).Chain, true
}

// LineageAt returns the lineage of a record. It is zero if the log has no such record, or if the
// record is older than the known spans: a replica never names another record's lineage instead.
func (r *Replica) LineageAt(seq lineage.Seq) lineage.Lineage {
	if seq <= r.state.Position.Seq {
		return r.state.LineageAt(seq)
	}
	if i := seq - r.state.Position.Seq - 1; i < lineage.Seq(len(r.pending)) {
		return r.pending[i].Record.Lineage()
	}
	return lineage.Lineage{}
}

// EpochAt returns the shard epoch in which a record was written; 0 if it is unknown.
func (r *Replica) EpochAt(seq lineage.Seq) lineage.ShardEpoch { return r.LineageAt(seq).Epoch }

// OnLineage reports whether the log has a record at seq of an epoch. Epoch 0 means that the replica
// that named the record did not know its lineage. If only one side knows the lineage, the answer is
// true: records in tokens are committed, and so are records older than all known spans.
func (r *Replica) OnLineage(epoch lineage.ShardEpoch, seq lineage.Seq) bool {
	at := r.LineageAt(seq)
	return seq == 0 || epoch == 0 || at.Epoch == epoch || !at.Known() && seq <= r.end.Seq
}

// The records of a message, little endian, part of the format; never change. For each:
//
//	4  length n of the record, bytes
//	n  record, as drawn in core/record

// ship adds a record to the outbox.
func (r *Replica) ship(e env.Env, rec *record.Record) {
	if len(r.outbox) == 0 {
		r.outboxFrom = lineage.Position{Seq: rec.Seq - 1, Chain: rec.Prev}
	}
	size := record.Size(rec.Kind)
	r.outbox = binary.LittleEndian.AppendUint32(r.memory.buffer(r.outbox), uint32(size))
	r.received = e.Now()
	r.outbox = append(r.outbox, r.frames[len(r.frames)-size:]...) // a frame ends with its record
}

// Outbox returns the records appended since the last call, and the record before them. They are
// valid until the next append to any log of the node.
func (r *Replica) Outbox() (lineage.Position, []byte) {
	out := r.outbox
	r.memory.giveBuffer(out)
	r.outbox = nil
	return r.outboxFrom, out
}

// Verdict is the result of Receive.
type Verdict uint8

// The verdicts.
const (
	Took    Verdict = iota // all records are in the log, or on their way
	Behind                 // records before these are missing
	Differs                // the record before these differs from the leader's
	Cutting                // records that differ from the leader's are being cut
	Damaged                // the bytes are not records
	Waiting                // the log accepts no records now
)

// Receive accepts records that follow the record at, from the leader of the epoch that is durable
// here, with the leader's commit index. It skips records that it has, and cuts records that
// contradict the leader's; those were never committed.
func (r *Replica) Receive(e env.Env, at lineage.Position, commit lineage.Seq, records []byte) Verdict {
	switch {
	case r.phase != Following || r.task != nothing || r.stuck:
		return Waiting
	case at.Seq > r.end.Seq:
		return Behind
	}
	// Two replicas with different records at one seq cannot both be right.
	if chain, known := r.ChainAt(at.Seq); known && chain != at.Chain {
		return Differs
	}
	verified := at.Seq
	for in := layout.Of(records); in.Len() > 0; {
		bytes := in.Bytes(int(in.Uint32()))
		if in.Err() != nil {
			return Damaged
		}
		verdict := r.take(e, bytes, verified+1)
		if verdict != Took {
			return verdict
		}
		verified++
	}
	if verified >= r.state.Position.Seq {
		r.matched = max(r.matched, verified)
		r.told = max(r.told, min(commit, verified))
	}
	r.Flush(e)
	r.fold(e, min(r.told, r.durable.Seq))
	r.memory.done = r.memory.done[:0]
	r.maybeSnapshot(e)
	return Took
}

// take accepts one record of the leader, which must be seq.
func (r *Replica) take(e env.Env, bytes []byte, seq lineage.Seq) Verdict {
	id := &r.config.Identity
	if seq <= r.state.Position.Seq {
		return Took
	}
	if seq <= r.end.Seq {
		if r.position(seq).Chain == record.ChainOf(bytes) {
			return Took
		}
		r.Cut(e, seq-1)
		return Cutting
	}
	p := r.memory.extendPending(&r.pending)
	err := record.Decode(bytes, &p.Record)
	if err != nil || p.Record.Seq != seq || p.Record.Prev != r.end.Chain || p.Record.Tenant != id.Tenant || p.Record.Slot != id.Slot {
		r.pending = r.pending[:len(r.pending)-1]
		return Damaged
	}
	r.extend(p)
	r.received = e.Now()
	r.hit(e, fault.RecordReceived, seq)
	e.Charge(r.config.Costs.Append)
	return Took
}

// keepForRoom keeps the batch that the disk had no room for. Other replicas may have it, so it is
// written unchanged later, and not acknowledged before.
func (r *Replica) keepForRoom(e env.Env) {
	last := len(r.segments) - 1
	if r.flight.rotated {
		r.abandonSegment(e, &r.segments[last])
		r.segments = r.segments[:last]
	} else {
		r.segments[last].size -= r.flight.size
	}
	r.written = append(r.written, r.frames...)
	r.memory.giveBuffer(r.frames)
	r.frames, r.written = r.written, nil
	r.stuck = true
}

// tryAgain writes the batch that the disk had no room for.
func (r *Replica) tryAgain(e env.Env) {
	r.stuck = false
	r.Flush(e)
}

// doTask begins the waiting task once nothing else is under way.
func (r *Replica) doTask(e env.Env) {
	searching := r.moved != nil && r.moved.fetch.list.Busy()
	if r.task == nothing || r.flight.waits > 0 || r.script.Busy() || searching {
		return
	}
	if r.moved != nil {
		r.moved.fetch.ended = false // the search was in the old log
	}
	switch {
	case r.begun:
	case r.task == cutting && r.phase == Following:
		r.beginCut(e)
	case r.task == refetching:
		r.beginRefetch(e)
	}
}

// frameSize is the size of a record's frame on the disk.
func frameSize(k record.Kind) int64 { return int64(wal.FrameOverhead + record.Size(k)) }
