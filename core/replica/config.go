package replica

import (
	"errors"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wire"
)

// What an operator does to a slot that serves: new limits, and its end.

// ErrDropped is wrapped by the failure of a slot whose tenant was dropped.
var ErrDropped = errors.New("the tenant was dropped")

// Configure sets the slot's limits by a record, to be written with the next Flush.
// It compares before it sets: only a version above that of the last limits, durable
// or not, is applied, and only if those have the version that the operator counts
// on. What was applied before is said to be so once it is durable. The bucket keeps
// its level; a new burst cuts it, or arrives empty. No change may wait: what was
// charged under the old limits comes before the new ones in the log.
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
	// An operator that was away for long must not undo what another one has set.
	//safety:older-version-not-applied by=lifecycle on=tenant-lifecycle
	if limits.Version <= last.Version {
		return conflict(last.Version)
	}
	// Nor may one that has not seen what another one has set.
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

// conflict is the outcome of a command that counts on another version than the one
// in force.
func conflict(inForce uint64) Outcome {
	return Outcome{Code: wire.VersionConflict, Facts: wire.Facts{Outdated: wire.Outdated{Version: inForce}}}
}

// setLimits appends a record with new limits; they hold from here on. Until it is
// durable the bucket as it was is kept, in case the disk has no room for it.
func (r *Replica) setLimits(e env.Env, from env.ID, m *wire.Message, limits record.Limits) {
	r.bucket.Level(e.Now()) // what was earned so far was earned at the old rate
	r.keepBucket()
	r.bucket.Limit(limits.Rate, limits.Burst)
	rec := record.Record{Kind: record.Config, Level: r.bucket.Level(e.Now()), Limits: limits}
	r.overlay.Add(&rec)
	r.append(e, from, m, rec, fault.RecordAppended)
}

// keepBucket keeps the bucket as it is before new limits. Of a shared log nothing is taken
// back.
func (r *Replica) keepBucket() {
	last := &r.before
	for *last != nil {
		last = &(*last).next
	}
	if !r.config.Shared {
		*last = &kept{bucket: r.bucket}
	}
}

// kept is a bucket as it was before new limits.
type kept struct {
	bucket quota.Bucket
	next   *kept // before the limits behind those; nil: there are none
}

// limitsDurable lets go of the bucket before the first of the limits that were not durable.
func (r *Replica) limitsDurable() {
	if r.before != nil {
		r.before = r.before.next
	}
}

// takeBackLimits returns to the bucket before the limits that the disk had no room
// for: what it earned and gave under them never was. What waits was decided by
// them, so it is refused too. charged is how many of the changes that are taken back
// were charged before them.
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

// MayDrop says why the slot cannot be dropped now. A slot that stopped has no
// version to compare, so it is dropped only by a command that counts on none.
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

// Close lets nobody begin anything in the slot until Reopen or Drop. What is under
// way goes on.
func (r *Replica) Close() { r.closing = true }

// Closed reports whether Close was called, and neither Reopen nor Drop since.
func (r *Replica) Closed() bool { return r.closing }

// Waiting returns the number of changes that are charged and not appended.
func (r *Replica) Waiting() int { return len(r.admitted) }

// Reopen undoes Close.
func (r *Replica) Reopen() { r.closing = false }

// Drop ends the slot for ever and lets go of its files, which its caller removes.
// What is under way is not answered any more.
func (r *Replica) Drop(e env.Env) {
	handles := []env.File{r.handle}
	if r.script.bound(r.file(2)) {
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
	r.pending, r.frames, r.script = nil, nil, script{}
}

// Dropped reports whether the slot was dropped.
func (r *Replica) Dropped() bool { return r.dropped }

// Entitle says which limits a slot of a shared log is to have. Whoever sequences the log
// appends them: as it begins, or by Renew.
func (r *Replica) Entitle(limits record.Limits) {
	if limits.Version > r.config.Limits.Version {
		r.config.Limits = limits
	}
}

// Outdated reports whether the log is sequenced here and lacks the limits that the slot is
// to have.
func (r *Replica) Outdated() bool {
	return r.leads && r.phase == Serving && r.config.Limits.Version > r.overlay.Limits().Version
}

// Renew appends the limits that the slot is to have, to be written with the next Flush. No
// change may wait.
func (r *Replica) Renew(e env.Env) {
	if len(r.pending) >= r.config.MaxPending || r.stuck {
		return // there is no room; it is tried again
	}
	if len(r.admitted) > 0 {
		assert.Fail("new limits of %s while %d changes wait that were charged under the old ones", r.dir(), len(r.admitted))
	}
	limits := r.config.Limits
	limits.Feature = r.overlay.Limits().Feature
	r.setLimits(e, 0, nil, limits)
	r.hit(e, fault.ConfigAppended, r.end.Seq)
}
