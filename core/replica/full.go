package replica

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/wal"
)

// This file handles a full disk: docs/decisions/0005-full-disk.md.

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
