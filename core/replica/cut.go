package replica

import (
	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// This file cuts records off the end of a replicated log that its leader does not have; they were
// never committed. The cut is durable before the replica appends other records or answers anything
// about them. Otherwise a crash could bring the cut records back behind the new ones.

// Cut cuts the log after a record at or above the commit index. The log accepts no records until
// the cut is done.
func (r *Replica) Cut(e env.Env, at lineage.Seq) {
	if at < r.state.Position.Seq {
		assert.Fail("%s would be cut at record %d, but record %d is committed", r.dir(), at, r.state.Position.Seq)
	}
	if r.task == refetching {
		return
	}
	r.task, r.moves().cutAt = cutting, at
	r.doTask(e)
}

// beginCut drops the records in memory and then on the disk. It removes whole segments, newest
// first, each durably before the next, so that a crash leaves no gap. Then it truncates the last
// segment that stays.
func (r *Replica) beginCut(e env.Env) {
	r.begun = true
	at := r.moved.cutAt
	r.hit(e, fault.LogCutting, at)
	r.frames = r.frames[:0] // these were never written
	onDisk := r.durable.Seq
	keep := int(min(at, onDisk) - r.state.Position.Seq)
	last := len(r.segments) - 1
	closing := last >= 0 && r.handle != 0
	if closing && onDisk > at {
		r.scriptAdd(env.Op{Kind: env.OpClose, File: r.handle, Key: r.key(e, keyScript, uint64(at))})
		r.handle = 0
	}
	seq := onDisk
	for ; last >= 0 && r.segments[last].first > at && onDisk > at; last-- {
		s := &r.segments[last]
		r.scriptAdd(r.at(e, env.OpRemove, r.segmentPath(s), uint64(s.first)))
		r.scriptAdd(r.at(e, env.OpSyncDir, r.dir(), uint64(s.first)))
		seq = s.first - 1
	}
	r.segments = r.segments[:last+1]
	if last >= 0 && onDisk > at {
		r.scriptTruncate(e, &r.segments[last], at, seq)
	}
	r.pending = r.pending[:keep]
	r.end = r.position(min(at, onDisk))
	r.durable = r.end
	r.matched, r.told = min(r.matched, r.end.Seq), min(r.told, r.end.Seq)
	r.run(e)
}

// scriptTruncate adds the steps that truncate a segment, which ends at record last, after record
// at, and that open it for appends. All truncated records are pending, so their sizes are known.
func (r *Replica) scriptTruncate(e env.Env, s *segment, at, last lineage.Seq) {
	for seq := last; seq > at; seq-- {
		s.size -= frameSize(r.pending[seq-r.state.Position.Seq-1].Record.Kind)
	}
	key := r.key(e, keyScript, uint64(at))
	r.handle = r.file(0)
	open := r.at(e, env.OpOpen, r.segmentPath(s), uint64(at))
	open.File = r.handle
	r.scriptAdd(open)
	if last > at {
		r.scriptAdd(env.Op{Kind: env.OpTruncate, File: r.handle, Length: s.size, Key: key})
		// Records that were cut must not come back after a crash.
		//safety:cut-is-durable by=prefix on=failover
		r.scriptAdd(env.Op{Kind: env.OpSync, File: r.handle, Key: key})
	}
}

// cut ends the cut: the log accepts records again.
func (r *Replica) cut(e env.Env) {
	r.task, r.begun = nothing, false
	r.hit(e, fault.LogCut, r.end.Seq)
}
