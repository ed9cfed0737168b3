package replica

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/wal"
)

// Disk use. Snapshots bound what a slot keeps on disk, whatever is written to it
// and however often it restarts:
//
//	bytes <= 3*S + E + 2*W + 2*G + 3*B + 1 KiB
//
//	S  largest snapshot: old and new are both there until the old one is removed, which
//	   a recovery puts off until it has written the new one anew
//	E  SnapshotEvery: the log grows by so much before a snapshot is begun
//	W  log bytes written while one snapshot is: before it counts, and before the next
//	   one may begin
//	G  SegmentSize: the oldest segment is kept whole for its last record, and a recovery
//	   copies the last one before it is replaced
//	B  largest batch, at most MaxPending records: one is in flight when the log is
//	   long enough, and a segment may hold one although it is too large for it
//
// Of a shared log, who leads keeps up to 4*E more for replicas that are behind.
// A full disk stretches it: a snapshot that finds no room is tried again E later.

// snapshot is the progress of writing one.
type snapshot struct {
	stage snapshotStage
	since int64       // log bytes since the last one was begun, those found at the start included
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
	writing                // the file, under a temporary name, and its sync
	renaming               // and the directory's sync
	removing               // what the snapshot makes superfluous
	dropping               // the beginning of a snapshot that the disk had no room for
)

// maybeSnapshot begins a snapshot of the durable state when the log has grown
// enough since the last.
func (r *Replica) maybeSnapshot(e env.Env) {
	s := &r.snapshot
	if s.stage != idle || s.since < r.config.SnapshotEvery || r.phase != Serving && r.phase != Following || r.script.running || r.task != nothing {
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

// advanceSnapshot goes on to the next stage when a script is done.
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

// removeCovered adds the steps that remove the segments whose records the
// snapshot holds, oldest first, and the snapshot before it. The last segment that
// is durable stays, also if another is being begun: should that one be abandoned,
// and a power failure take back some of the removals, then what is left would end
// before the snapshot, as a damaged log does.
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
	if s.size > 0 && s.seq != s.at { // of a log that was fetched it may be at record 0
		r.scriptAdd(r.at(e, env.OpRemove, r.snapshotPath(s.seq), uint64(s.seq)))
	}
	s.seq, s.size = s.at, s.bytes
}
