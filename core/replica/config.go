package replica

import (
	"errors"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wire"
)

// This file changes a slot that serves, for an operator: new limits, and its end.

// ErrDropped is wrapped by the failure of a slot whose tenant was dropped.
var ErrDropped = errors.New("the tenant was dropped")

// Configure appends a record with new limits, to be written with the next Flush. It compares before
// it sets: the new version must be above that of the last limits, durable or not, and the operator
// must name the version of the last limits. A repeated command is answered once its record is
// durable. The bucket keeps its level; a smaller burst cuts it, a larger one adds empty room. No
// admitted change may wait: changes charged under the old limits come before the new limits in the
// log.
func (r *Replica) Configure(e env.Env, from env.ID, m *wire.Message) Outcome {
	if code := r.appendable(e, m); code != wire.NoError {
		return Outcome{Code: code}
	}
	last := r.overlay.Limits()
	limits := record.LimitsOf(m.Version, m.Limits)
	limits.Feature = last.Feature
	if limits == last {
		return Outcome{Later: r.state.Limits != last}
	}
	// An operator that was away must not undo the limits that another operator has set.
	//safety:older-version-not-applied by=lifecycle on=tenant-lifecycle
	if limits.Version <= last.Version {
		return conflict(last.Version)
	}
	// An operator that has not seen the last limits must not replace them.
	//safety:base-compared by=lifecycle on=tenant-lifecycle
	if m.Base != last.Version {
		return conflict(last.Version)
	}
	if len(r.admitted) > 0 {
		assert.Fail("new limits of %s while %d changes wait that were charged under the old ones", r.dir(), len(r.admitted))
	}
	r.setLimits(e, from, m, limits)
	r.hit(e, fault.ConfigAppended, r.end.Seq)
	return Outcome{Later: true}
}

// conflict refuses a command that names another version than the one in force.
func conflict(inForce uint64) Outcome {
	return Outcome{Code: wire.VersionConflict, Facts: wire.Facts{Outdated: wire.Outdated{Version: inForce}}}
}

// setLimits appends a record with new limits; they apply at once. It keeps the old bucket until the
// record is durable, because the disk may have no room for it.
func (r *Replica) setLimits(e env.Env, from env.ID, m *wire.Message, limits record.Limits) {
	r.bucket.Level(e.Now()) // tokens so far were earned at the old rate
	r.keepBucket()
	r.bucket.Limit(limits.Rate, limits.Burst)
	rec := record.Record{Kind: record.Config, Level: r.bucket.Level(e.Now()), Limits: limits}
	r.overlay.Add(&rec)
	r.append(e, from, m, rec, fault.RecordAppended)
}

// keepBucket keeps a copy of the bucket before new limits. A replicated log never takes a record
// back and needs no copy.
func (r *Replica) keepBucket() {
	last := &r.before
	for *last != nil {
		last = &(*last).next
	}
	if !r.config.Shared {
		*last = &kept{bucket: r.bucket}
	}
}

// kept is a copy of the bucket before new limits.
type kept struct {
	bucket quota.Bucket
	next   *kept // the copy before the next limits that are not durable; nil: none
}

// limitsDurable drops the copy of the bucket before the oldest limits, which are durable now.
func (r *Replica) limitsDurable() {
	if r.before != nil {
		r.before = r.before.next
	}
}

// takeBackLimits restores the bucket from before limits that the disk had no room for. Changes that
// wait were admitted under those limits, so it refuses them too. charged is how many of the refused
// changes were charged before those limits.
func (r *Replica) takeBackLimits(charged int) {
	for i := range r.admitted {
		p := &r.admitted[i]
		p.Refused = wire.DiskFull
		r.state.Session(p.Record.Client).InFlight--
	}
	r.memory.done = append(r.memory.done, r.admitted...)
	r.admitted = r.admitted[:0]
	r.bucket, r.before = r.before.bucket, nil
	for range charged {
		r.bucket.GiveBack()
	}
}

// MayDrop returns the reason not to drop the slot now. A stopped slot has no version to compare, so
// only a command without a base drops it.
func (r *Replica) MayDrop(e env.Env, m *wire.Message) Outcome {
	switch {
	case r.phase == Stopped && m.Base == 0:
		return Outcome{}
	case r.phase != Serving || r.closing:
		return Outcome{Code: r.refuse(e)}
	case m.Base != 0 && m.Base != r.overlay.Limits().Version:
		return conflict(r.overlay.Limits().Version)
	}
	return Outcome{}
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

// Entitle sets the limits of a slot of a replicated log. The leader of the log appends them when it
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
	r.setLimits(e, 0, nil, limits)
	r.hit(e, fault.ConfigAppended, r.end.Seq)
}
