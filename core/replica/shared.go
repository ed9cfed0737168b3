package replica

import (
	"encoding/binary"
	"fmt"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// A shared log has replicas on several nodes. One sequences it in an epoch, the others
// follow. What may be cut and what must not is one line: state.Position, below which
// everything is committed.

// shared is what a shared log has more than another.
type shared struct {
	matched lineage.Seq // records up to here are the sequencer's, as it said in this epoch
	told    lineage.Seq // records up to here are committed and matched, as the sequencer said
	// received is when the last record came, or was appended here: the bucket goes on
	// from there.
	received env.Time
	hold     lineage.Seq // records above are kept for others, whatever snapshots cover

	outbox     []byte           // records that were appended and not handed on, as messages carry them
	outboxFrom lineage.Position // the record before them

	written []byte // frames of the batch in flight, in case the disk has no room for it
	stuck   bool   // it had none

	leads bool
	task  task
	begun bool // the task is under way

	moved *moved // nil: there has been nothing of that yet
}

// moved is what a shared log has more once a part of it was cut, or was handed from one
// replica to another.
type moved struct {
	cutAt     lineage.Seq // cutting: the last record that stays
	installed []byte      // refetching: the snapshot to begin with, nil for an empty log
	fetch     fetch
	outgoing  outgoing
}

// moves returns that, made if there is none.
func (r *Replica) moves() *moved {
	if r.moved == nil {
		r.moved = new(moved)
	}
	return r.moved
}

// task is something that replaces part of the log, for which all else has to end.
type task uint8

const (
	nothing task = iota
	cutting
	refetching
)

// adopt takes a record that was found on the disk.
func (r *Replica) adopt(rec *record.Record, chain lineage.Chain) {
	p := r.memory.extendPending(&r.pending)
	p.Record, p.Chain = *rec, chain
}

// open ends the opening of a shared log: it waits for a sequencer.
func (r *Replica) open(e env.Env) {
	r.phase = Following
	r.end = r.state.Position
	if n := len(r.pending); n > 0 {
		r.end = lineage.Position{Seq: r.pending[n-1].Record.Seq, Chain: r.pending[n-1].Chain}
	}
	r.durable, r.received = r.end, r.started
	r.matched, r.told = r.state.Position.Seq, r.state.Position.Seq
	r.hit(e, fault.SlotFollowing, r.end.Seq)
}

// IsOpen reports whether the log is open, whoever sequences it.
func (r *Replica) IsOpen() bool {
	return r.phase == Following || r.phase == Starting || r.phase == Serving
}

// Busy reports whether something is being replaced in the log.
func (r *Replica) Busy() bool { return r.task != nothing || r.phase == Refetching }

// Lead makes the replica the sequencer of an epoch, which is durable on this node. It
// adopts what is not committed, and begins the epoch with a record. It serves when all
// that is committed.
func (r *Replica) Lead(e env.Env, epoch lineage.ShardEpoch) {
	if r.phase != Following || r.task != nothing {
		assert.Fail("%s leads in epoch %d while %s", r.dir(), epoch, r.phase)
	}
	r.leads, r.epoch = true, epoch
	// What it refused in an earlier epoch was told in that one.
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

// Follow ends the sequencing of the replica. What was admitted and has no place in the
// log is refused; what has one is somebody else's to commit, and nobody is told.
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

// Opening returns the last of the records that begin the epoch in which it leads.
func (r *Replica) Opening() lineage.Seq { return r.opening }

// Leads reports whether the replica sequences its log.
func (r *Replica) Leads() bool { return r.leads }

// Commit says that the records up to seq are committed, and returns those that were
// not known to be; valid until the next call.
func (r *Replica) Commit(e env.Env, seq lineage.Seq) []Pending {
	r.memory.done = r.memory.done[:0]
	if seq > r.state.Position.Seq && r.phase != Stopped {
		r.fold(e, seq)
		r.maybeSnapshot(e)
	}
	return r.memory.done
}

// Hold keeps records above seq on the disk for others that lack them.
func (r *Replica) Hold(seq lineage.Seq) { r.hold = seq }

// maxHeld is how many times SnapshotEvery a leader keeps for replicas that are behind;
// with more than that it lets go, and they need a snapshot.
const maxHeld = 4

// keeps is the last record that may go once a snapshot covers it.
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

// Told returns up to where the log is committed, as the sequencer said. It is never behind the
// last record that the state has applied.
func (r *Replica) Told() lineage.Seq { return max(r.told, r.state.Position.Seq) }

// Matched returns up to where the log is durable here and the sequencer's.
func (r *Replica) Matched() lineage.Position {
	return r.position(max(min(r.matched, r.durable.Seq), r.state.Position.Seq))
}

// ChainAt returns the chain at a record that is not below the last one folded; false
// if it is not in the log, or not known any more.
func (r *Replica) ChainAt(seq lineage.Seq) (lineage.Chain, bool) {
	if seq < r.state.Position.Seq || seq > r.end.Seq {
		return 0, false
	}
	return r.position(seq).Chain, true
}

// LineageAt returns the lineage of a record of the log. It is the zero value if the log
// has no such record, or if the record is older than the spans that are known: a replica
// never names the lineage of another record instead.
func (r *Replica) LineageAt(seq lineage.Seq) lineage.Lineage {
	if seq <= r.state.Position.Seq {
		return r.state.LineageAt(seq)
	}
	if i := seq - r.state.Position.Seq - 1; i < lineage.Seq(len(r.pending)) {
		return r.pending[i].Record.Lineage()
	}
	return lineage.Lineage{}
}

// EpochAt returns the shard epoch in which a record of the log was written; 0 if that is
// not known.
func (r *Replica) EpochAt(seq lineage.Seq) lineage.ShardEpoch { return r.LineageAt(seq).Epoch }

// OnLineage reports whether the log has a record at seq of an epoch; epoch 0 is a record
// whose lineage the replica that told of it did not know. If the lineage of the record is
// known on one side only, the answer is true: what was told is committed, and so is what
// is older than all known spans.
func (r *Replica) OnLineage(epoch lineage.ShardEpoch, seq lineage.Seq) bool {
	at := r.LineageAt(seq)
	return seq == 0 || epoch == 0 || at.Epoch == epoch || !at.Known() && seq <= r.end.Seq
}

// A message carries records as they are: 4 bytes of length, then the record.

// ship notes a record for the others.
func (r *Replica) ship(e env.Env, rec *record.Record) {
	if len(r.outbox) == 0 {
		r.outboxFrom = lineage.Position{Seq: rec.Seq - 1, Chain: rec.Prev}
	}
	size := record.Size(rec.Kind)
	r.outbox = binary.LittleEndian.AppendUint32(r.memory.buffer(r.outbox), uint32(size))
	r.received = e.Now()
	r.outbox = append(r.outbox, r.frames[len(r.frames)-size:]...) // a frame ends with its record
}

// Outbox returns what was appended since the last call, and the record before it; it
// is valid until something is appended, to any log of the node.
func (r *Replica) Outbox() (lineage.Position, []byte) {
	out := r.outbox
	r.memory.giveBuffer(out)
	r.outbox = nil
	return r.outboxFrom, out
}

// Verdict says what became of what the sequencer sent.
type Verdict uint8

// The verdicts.
const (
	Took    Verdict = iota // all of it is in the log, or on its way
	Behind                 // records before it are missing
	Differs                // what is before it is not what the sequencer has
	Cutting                // some of the log is not the sequencer's and is being cut
	Damaged                // these are no records
	Waiting                // the log takes nothing now
)

// Receive takes records that follow the one at, as the sequencer of the epoch that is
// durable here sent them, and how far it has committed. What is here already is not
// taken again; what contradicts it is cut, which is never committed.
func (r *Replica) Receive(e env.Env, at lineage.Position, commit lineage.Seq, records []byte) Verdict {
	switch {
	case r.phase != Following || r.task != nothing || r.stuck:
		return Waiting
	case at.Seq > r.end.Seq:
		return Behind
	}
	// What two replicas have at one seq is the same, or one of them is wrong.
	if chain, known := r.ChainAt(at.Seq); known && chain != at.Chain {
		return Differs
	}
	verified := at.Seq
	for len(records) > 0 {
		bytes, rest, err := next(records)
		if err != nil {
			return Damaged
		}
		records = rest
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

// next returns the bytes of the first of some records, and the rest.
func next(records []byte) (record, rest []byte, err error) {
	if len(records) < 4 {
		return nil, nil, fmt.Errorf("%d bytes are no record", len(records))
	}
	size := int(binary.LittleEndian.Uint32(records))
	if size > len(records)-4 {
		return nil, nil, fmt.Errorf("a record of %d bytes in %d", size, len(records)-4)
	}
	return records[4 : 4+size], records[4+size:], nil
}

// take takes one record of the sequencer's, which is to be seq.
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

// keepForRoom keeps the batch that the disk had no room for: others may have it, so it
// is written as it is, or never told.
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

// tryAgain writes what the disk had no room for.
func (r *Replica) tryAgain(e env.Env) {
	r.stuck = false
	r.Flush(e)
}

// doTask begins the task that waits, if nothing else is under way.
func (r *Replica) doTask(e env.Env) {
	searching := r.moved != nil && r.moved.fetch.stage != fetchIdle && r.moved.fetch.stage != fetchDone
	if r.task == nothing || r.flight.waits > 0 || r.script.running || searching {
		return
	}
	if r.moved != nil {
		r.moved.fetch.stage = fetchIdle // what was found is of the log as it was
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
