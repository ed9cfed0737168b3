package replica

import (
	"errors"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/record"
)

// This file changes a slot that serves: new limits, and its end.

// ErrDropped is wrapped by the failure of a slot whose tenant was dropped.
var ErrDropped = errors.New("the tenant was dropped")

// setLimits appends a record with new limits; they apply at once. The bucket keeps its level; a
// smaller burst cuts it, a larger one adds empty room.
func (r *Replica) setLimits(e env.Env, limits record.Limits) {
	r.bucket.Level(e.Now()) // tokens so far were earned at the old rate
	r.bucket.Limit(limits.Rate, limits.Burst)
	rec := record.Record{Kind: record.Config, Level: r.bucket.Level(e.Now()), Limits: limits}
	r.overlay.Add(&rec)
	r.append(e, 0, nil, rec, fault.RecordAppended)
}

// Close refuses new operations in the slot until Reopen or Drop. Operations under way go on.
func (r *Replica) Close() { r.closing = true }

// Closed reports whether Close was called, and neither Reopen nor Drop since.
func (r *Replica) Closed() bool { return r.closing }

// Waiting returns the number of changes that are charged but not appended.
func (r *Replica) Waiting() int { return len(r.admitted) }

// Reopen undoes Close.
func (r *Replica) Reopen() { r.closing = false }

// Drop ends the slot for ever and closes its files; its caller removes them. Pending changes get no
// answer.
func (r *Replica) Drop(e env.Env) {
	handles := []env.File{r.handle}
	if r.script.Bound(r.file(2)) {
		handles = append(handles, r.file(2))
	}
	for _, file := range handles {
		if file != 0 {
			e.Submit(env.Op{Kind: env.OpClose, File: file, ID: r.opID(forNobody), Key: r.key(e, keyScript+uint16(env.OpClose), uint64(r.end.Seq))})
		}
	}
	r.stop(ErrDropped)
	r.task, r.begun = nothing, false
	r.dropped, r.handle = true, 0
	r.pending, r.frames, r.script = nil, nil, diskops.List{}
}

// Dropped reports whether the slot was dropped.
func (r *Replica) Dropped() bool { return r.dropped }

// Entitle sets the limits of a slot. The leader of the log appends them when it
// begins to lead, or by Renew.
func (r *Replica) Entitle(limits record.Limits) {
	if limits.Version > r.config.Limits.Version {
		r.config.Limits = limits
	}
}

// Outdated reports whether this replica leads and its log lacks the limits from Entitle.
func (r *Replica) Outdated() bool {
	return r.leads && r.phase == Serving && r.config.Limits.Version > r.overlay.Limits().Version
}

// Renew appends the limits from Entitle, to be written with the next Flush. No admitted change may
// wait.
func (r *Replica) Renew(e env.Env) {
	if len(r.pending) >= r.config.MaxPending || r.stuck {
		return // there is no room; a later call tries again
	}
	if len(r.admitted) > 0 {
		assert.Fail("new limits of %s while %d changes wait that were charged under the old ones", r.dir(), len(r.admitted))
	}
	limits := r.config.Limits
	limits.Feature = r.overlay.Limits().Feature
	r.setLimits(e, limits)
	r.hit(e, fault.ConfigAppended, r.end.Seq)
}
