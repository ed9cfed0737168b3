package replica

import (
	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// Cutting takes records off the end of a shared log that its sequencer does not have.
// They were never committed. What is cut is durably gone before anything is appended
// in its place, and before anybody is told of it: else a crash could bring it back
// behind what came instead.

// Cut cuts the log behind a record that is not below what is committed. The log takes
// nothing until that is done.
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

// beginCut drops what is to be cut, in memory and then on the disk: whole segments
// from the newest on, each durably gone before the next, so that a crash leaves no
// hole; then the rest of the one that stays.
func (r *Replica) beginCut(e env.Env) {
	r.begun = true
	at := r.moved.cutAt
	r.hit(e, fault.LogCutting, at)
	r.frames = r.frames[:0] // what was not written is not there
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

// scriptTruncate adds the steps that cut a segment, which ends at record last, behind
// record at, and open it to be appended to. All that goes is pending, so the sizes
// are known.
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
		// What is cut must not come back.
		//safety:cut-is-durable by=prefix on=failover
		r.scriptAdd(env.Op{Kind: env.OpSync, File: r.handle, Key: key})
	}
}

// cut ends the cutting: the log goes on from where it ends now.
func (r *Replica) cut(e env.Env) {
	r.task, r.begun = nothing, false
	r.hit(e, fault.LogCut, r.end.Seq)
}
