package replica

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/wal"
)

// Disk use. Snapshots bound the disk space of a slot, for any load and number of restarts:
//
//	bytes <= 3*S + E + 2*W + 2*G + 3*B + 1 KiB
//
//	S  largest snapshot: old and new exist together until the old one is removed, which
//	   recovery delays until it has written the new one again
//	E  SnapshotEvery: the log grows by this much before a snapshot begins
//	W  log bytes written during one snapshot: before it counts, and before the next
//	   one may begin
//	G  SegmentSize: the oldest segment is kept whole for its last record, and recovery
//	   copies the last one before it is replaced
//	B  largest batch, at most MaxPending records: one is in flight when the log is
//	   long enough, and a segment may hold one although it is too large for it
//
// A leader of a replicated log keeps up to 4*E more for slow replicas. A full disk raises the
// bound: a snapshot that finds no room is tried again E later.

// snapshot is the progress of writing a snapshot.
type snapshot struct {
	stage snapshotStage
	since int64       // log bytes since the last one began, those found at the start included
	seq   lineage.Seq // of the last durable one
	size  int64       // of that file, bytes; 0 if there is none
	at    lineage.Seq // of the one being written
	bytes int64       // its size
}

func (r *Replica) snapshotPath(seq lineage.Seq) string {
	return r.memory.path(&r.config.Identity, file{kind: snapshotFile, first: seq})
}

type snapshotStage uint8

// The stages of writing a snapshot, in order.
const (
	idle     snapshotStage = iota
	writing                // writes the file under a temporary name and syncs it
	renaming               // renames it and syncs the directory
	removing               // removes files that the snapshot covers
	dropping               // removes a partial snapshot that the disk had no room for
)

// maybeSnapshot begins a snapshot of the state when the log has grown enough since the last one.
func (r *Replica) maybeSnapshot(e env.Env) {
	s := &r.snapshot
	if s.stage != idle || s.since < r.config.SnapshotEvery || r.phase != Serving && r.phase != Following || r.script.Busy() || r.task != nothing {
		return
	}
	s.stage, s.since, s.at = writing, 0, r.state.Position.Seq
	r.hit(e, fault.SnapshotWriting, s.at)
	data := make([]byte, 0, wal.SnapshotOverhead+r.state.Size())
	data = r.state.Append(wal.BeginSnapshot(data, r.config.Identity, r.state.Position))
	wal.FinishSnapshot(data)
	e.Charge(env.Duration(len(data)/1024+1) * r.config.Costs.PerKiB)
	s.bytes = int64(len(data))
	r.scriptWrite(e, r.snapshotPath(s.at), data, uint64(s.at))
	r.run(e)
}

// advanceSnapshot enters the next stage when a script is done.
func (r *Replica) advanceSnapshot(e env.Env) {
	s := &r.snapshot
	switch s.stage {
	case writing:
		s.stage = renaming
		r.hit(e, fault.SnapshotRenaming, s.at)
		r.scriptName(e, r.snapshotPath(s.at), uint64(s.at))
	case renaming:
		s.stage = removing
		r.hit(e, fault.SnapshotDurable, s.at)
		r.removeCovered(e)
	case removing, dropping:
		s.stage = idle
		return
	case idle:
		return
	}
	r.run(e)
}

// removeCovered adds the steps that remove the covered segments, oldest first, and the previous
// snapshot. The last durable segment stays, even if another is being begun. Otherwise, if the new
// segment is abandoned and a power failure undoes some of the removals, the log would end before
// the snapshot and look damaged.
func (r *Replica) removeCovered(e env.Env) {
	s := &r.snapshot
	durable := len(r.segments)
	if r.flight.waits > 0 && r.flight.rotated {
		durable--
	}
	covered := 0
	for covered+1 < durable && r.segments[covered+1].first <= min(s.at, r.keeps())+1 {
		covered++
	}
	for i := range r.segments[:covered] {
		old := &r.segments[i]
		r.hit(e, fault.SegmentRemoving, old.first)
		r.scriptAdd(r.at(e, env.OpRemove, r.segmentPath(old), uint64(old.first)))
	}
	r.segments = slices.Delete(r.segments, 0, covered)
	if s.size > 0 && s.seq != s.at { // a fetched log may have its snapshot at record 0
		r.scriptAdd(r.at(e, env.OpRemove, r.snapshotPath(s.seq), uint64(s.seq)))
	}
	s.seq, s.size = s.at, s.bytes
}
