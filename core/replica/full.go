package replica

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// This file handles a full disk: docs/decisions/0005-full-disk.md.

// takeBack refuses every pending record because the disk is full. Nothing of the batch in flight
// was written, as env.NoSpace promises, and the records gathered since continue it. The log ends at
// its durable end, and the next record tries again. A new segment of this batch is given up: if
// only its header found no room, the frames without a header do not count as records, so the
// promise holds.
func (r *Replica) takeBack(e env.Env) {
	limits, charged := false, 0 // charged counts the changes before new limits
	for i := range r.pending {
		p := &r.pending[i]
		limits = limits || p.Record.Kind == record.Config
		if !limits && p.Record.Kind.IsOperation() {
			charged++
		}
		p.Refused = wire.DiskFull
		if p.Record.Kind.IsOperation() {
			r.state.Session(p.Record.Client).InFlight--
			// A record that is not in the log must not cost a token.
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
	for i := range r.admitted { // these were charged later and still wait
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

// abandonSegment removes a new segment that holds no record. The segment before it is full, so the
// next batch begins one again under the same name.
func (r *Replica) abandonSegment(e env.Env, s *segment) {
	remove := r.at(e, env.OpRemove, r.segmentPath(s), uint64(s.first))
	closing := env.Op{Kind: env.OpClose, File: r.handle, Key: r.key(e, keyScript+uint16(env.OpClose), uint64(s.first))}
	remove.ID, closing.ID = r.opID(forNobody), r.opID(forNobody)
	remove.Key.Kind += uint16(env.OpRemove)
	e.Submit(closing)
	e.Submit(remove)
	r.handle = 0
}

// abandonSnapshot gives up the snapshot that is being written, because the disk was full at a step
// of this kind. It removes the partial file. The log keeps its segments and tries again after
// SnapshotEvery more bytes. It returns false if no snapshot is being written, or if a sync failed,
// because the result of a failed sync is unknown.
func (r *Replica) abandonSnapshot(e env.Env, kind env.OpKind) bool {
	s := &r.snapshot
	if (s.stage != writing && s.stage != renaming) || kind == env.OpSync || kind == env.OpSyncDir {
		return false
	}
	s.stage = dropping
	closing := env.Op{Kind: env.OpClose, File: r.file(2), ID: r.opID(forNobody), Key: r.key(e, keyScript+uint16(env.OpClose), uint64(s.at))}
	e.Submit(closing) // an error is ignored: the handle may never have been bound
	r.script.Clear()
	r.scriptAdd(r.at(e, env.OpRemove, r.snapshotPath(s.at)+wal.TempSuffix, uint64(s.at)))
	r.run(e)
	return true
}
