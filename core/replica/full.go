package replica

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// What a full disk leads to: docs/decisions/0005-full-disk.md.

// takeBack refuses every pending record, because the disk was full: of the batch
// in flight nothing was written, which env.NoSpace promises, and what gathered
// behind it continues it. The log ends where it is durable, and the next record
// tries again. A segment that was to be begun is not: frames without a header in
// front are no records, so the promise is not hurt if only the header found no
// room.
func (r *Replica) takeBack(e env.Env) {
	limits, charged := false, 0 // under the limits before
	for i := range r.pending {
		p := &r.pending[i]
		limits = limits || p.Record.Kind == record.Config
		if !limits && p.Record.Kind.IsOperation() {
			charged++
		}
		p.Refused = wire.DiskFull
		if p.Record.Kind.IsOperation() {
			r.state.Session(p.Record.Client).InFlight--
			// What is not in the log was not charged.
			//safety:charge-given-back by=rate on=disk-full
			r.bucket.GiveBack()
		}
		if evicted := r.state.Session(p.Record.Session.Evicted); evicted != nil {
			evicted.Leaving = false
		}
	}
	r.memory.done = append(r.memory.done, r.pending...)
	r.pending, r.frames, r.end = r.pending[:0], r.frames[:0], r.state.Position
	r.overlay.Reset(r.state)
	if limits {
		r.takeBackLimits(charged)
	}
	for i := range r.admitted { // they were charged after what is taken back, and wait on
		r.overlay.Add(&r.admitted[i].Record)
	}
	last := len(r.segments) - 1
	if r.flight.rotated {
		r.abandonSegment(e, &r.segments[last])
		r.segments = r.segments[:last]
		return
	}
	r.segments[last].size -= r.flight.size
}

// abandonSegment removes a segment that was begun and holds no record. The one
// before it is full, so the next batch begins one anew, under the same name.
func (r *Replica) abandonSegment(e env.Env, s *segment) {
	remove := r.at(e, env.OpRemove, r.segmentPath(s), uint64(s.first))
	closing := env.Op{Kind: env.OpClose, File: r.handle, Key: r.key(e, keyScript+uint16(env.OpClose), uint64(s.first))}
	remove.ID, closing.ID = r.opID(forNobody), r.opID(forNobody)
	remove.Key.Kind += uint16(env.OpRemove)
	e.Submit(closing)
	e.Submit(remove)
	r.handle = 0
}

// abandonSnapshot gives up the snapshot being written, because the disk was full
// at a step of the given kind. It removes what was written of it; the log keeps
// its segments, and SnapshotEvery bytes later it is tried again. It is false if
// there is nothing to give up, or if a sync failed, of which nobody knows what it
// left.
func (r *Replica) abandonSnapshot(e env.Env, kind env.OpKind) bool {
	s := &r.snapshot
	if (s.stage != writing && s.stage != renaming) || kind == env.OpSync || kind == env.OpSyncDir {
		return false
	}
	s.stage = dropping
	closing := env.Op{Kind: env.OpClose, File: r.file(2), ID: r.opID(forNobody), Key: r.key(e, keyScript+uint16(env.OpClose), uint64(s.at))}
	e.Submit(closing) // nobody minds if it was never bound
	r.script.ops = r.script.ops[:0]
	r.scriptAdd(r.at(e, env.OpRemove, r.snapshotPath(s.at)+wal.TempSuffix, uint64(s.at)))
	r.run(e)
	return true
}
