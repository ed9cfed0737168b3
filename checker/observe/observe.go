// Package observe holds the observations of an omniscient observer in one run: the records of every
// slot on their way to the disk, the instants of their tokens, the refusals, the restarts, the
// nodes' final contents, and the faults that it saw while they happened. It is evidence for the
// checkers, which also read the history of the clients. It refuses to judge, and it never asks a
// node for its intentions.
//
// The one rule to remember: every observation is made from outside - bytes, keys, instants - so
// that a mistake of the core cannot excuse itself.
package observe

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// maxNoted bounds each list of faults: beyond it a list adds nothing new.
const maxNoted = 64

// EntityState is one entity of a final dump.
type EntityState struct {
	Entity signal.Entity
	State  signal.State
}

// Dump is a node's content of a slot at the end of the run.
type Dump struct {
	Node     uint32
	Tenant   tenant.ID
	Slot     lineage.Slot
	Position lineage.Position
	Entities []EntityState // ascending in Entity
	Counts   Counts
}

// Counts are the numbers that a node compares with its caps, by its own account. The zero value
// says that the node was not asked.
type Counts struct {
	Known  bool
	Live   uint64        // entities
	Bytes  uint64        // logical
	Limits record.Limits // in force
}

// Stop is a slot that stopped for good on some node before the end of the run.
type Stop struct {
	Tenant  tenant.ID
	Slot    lineage.Slot
	Corrupt bool   // because it found its log damaged
	Text    string // which node, and why
}

type slotID struct {
	tenant tenant.ID
	slot   lineage.Slot
}

// Run is all the evidence of one run. The zero value is empty and ready.
//
// Invariant: Logs ascends in (Tenant, Slot).
type Run struct {
	History *history.History // nil: nothing was asked
	Logs    []*Log
	Dumps   []Dump
	Limits  keyed.List[tenant.Limits] // by tenant: its founding limits
	// DriftPPM bounds how much faster than true time a node's clock may run, in
	// parts per million, 0..1,000,000.
	DriftPPM int64
	// SlowPPM bounds how much slower, likewise.
	SlowPPM int64
	// Quiet says that nothing went wrong in the run: no disruption, no deviation.
	Quiet bool
	// Stalls holds one line for each thing that the calm part still waits for.
	Stalls []string
	Stops  []Stop // slots that the calm part no longer waits for

	DurableAck DurableAck
	Islands    Islands
	Refusals   Refusals
	States     States
	Openings   LogDamage // the logs that nodes opened, as they found them

	Copies Copies
	Claims Claims
	InSync InSync
	Tokens Tokens
	Causes Causes

	Residency      Residency
	Availability   Availability
	Health         Health
	Budget         Budget
	Configurations Configurations
	Shares         Shares
	ReadIndex      ReadIndex
	Progress       Progress
	Reforms        Reforms

	lifecycle // of tenants

	damaged []slotID
	rotted  []slotID // a copy was damaged
	latest  *Log     // that was asked for last; nil: none
}

// Reset empties the run and its history, and keeps their memory.
func (r *Run) Reset() {
	if r.History != nil {
		r.History.Reset()
	}
	r.Logs, r.Dumps, r.Stalls = r.Logs[:0], r.Dumps[:0], r.Stalls[:0]
	r.Limits.Reset()
	r.Stops, r.damaged, r.rotted, r.latest = r.Stops[:0], r.damaged[:0], r.rotted[:0], nil
	r.DriftPPM, r.SlowPPM, r.Quiet = 0, 0, false
	r.DurableAck.reset()
	r.Islands.reset()
	r.Refusals.reset()
	r.States.reset()
	r.Openings.reset()
	r.Copies.reset()
	r.Claims.reset()
	r.InSync.reset()
	r.Tokens.reset()
	r.Causes.reset()
	r.Residency.reset()
	r.Availability.reset()
	r.Health.reset()
	r.Budget.reset()
	r.Configurations.reset()
	r.Shares.reset()
	r.ReadIndex.reset()
	r.Progress.reset()
	r.Reforms.reset()
	r.lifecycle.reset()
}

// Ops returns the operations of the history.
func (r *Run) Ops() []history.Op {
	if r.History == nil {
		return nil
	}
	return r.History.Ops
}

// Find returns where in Logs the log of the slot is, or -1.
func (r *Run) Find(t tenant.ID, slot lineage.Slot) int {
	if i, found := r.search(t, slot); found {
		return i
	}
	return -1
}

func (r *Run) search(t tenant.ID, slot lineage.Slot) (int, bool) {
	low, high := 0, len(r.Logs)
	for low < high {
		mid := int(uint(low+high) >> 1)
		l := r.Logs[mid]
		if order := cmp.Or(cmp.Compare(l.Tenant, t), cmp.Compare(l.Slot, slot)); order == 0 {
			return mid, true
		} else if order < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, false
}

// Log returns the log of the slot, made if there is none. It stays valid until
// Reset.
func (r *Run) Log(t tenant.ID, slot lineage.Slot) *Log {
	if l := r.latest; l != nil && l.Tenant == t && l.Slot == slot {
		return l
	}
	i, found := r.search(t, slot)
	if !found {
		l := r.spare()
		l.reset(t, slot)
		r.Logs = slices.Insert(r.Logs, i, l)
	}
	r.latest = r.Logs[i]
	return r.latest
}

// spare takes a log that Reset left behind Logs, or a new one.
func (r *Run) spare() *Log {
	n := len(r.Logs)
	if n == cap(r.Logs) {
		return new(Log)
	}
	l := r.Logs[:n+1][n]
	if l == nil {
		return new(Log)
	}
	return l
}

// AppendedBy notes a record of a shared log on its way to a disk: that of the process
// that sequences it in the highest epoch, or another one's.
func (r *Run) AppendedBy(sequencer bool, rec *record.Record, chain lineage.Chain, at int64, incarnation uint64) {
	l := r.Log(rec.Tenant, rec.Slot)
	l.sequencer = sequencer
	l.Append(rec, chain, at, 0, incarnation)
	l.sequencer = false
}

// Append notes a record on its way to the disk; see Log.Append.
func (r *Run) Append(rec *record.Record, chain lineage.Chain, at, local int64, incarnation uint64) {
	r.Log(rec.Tenant, rec.Slot).Append(rec, chain, at, local, incarnation)
}

// Admitted notes that a record got its seq and, if it needs one, its token; see
// Log.Admit.
func (r *Run) Admitted(t tenant.ID, slot lineage.Slot, seq lineage.Seq, at, local int64, incarnation uint64) {
	r.Log(t, slot).Admit(seq, at, local, incarnation)
}

// Taken notes that an operation was charged that gets its seq later; see Log.Take.
func (r *Run) Taken(t tenant.ID, slot lineage.Slot, at, local int64, incarnation uint64) {
	r.Log(t, slot).Take(at, local, incarnation)
}

// Placed notes that an operation that was charged before got its seq; see
// Log.Place.
func (r *Run) Placed(t tenant.ID, slot lineage.Slot, seq lineage.Seq) { r.Log(t, slot).Place(seq) }

// Refused notes that an operation was refused for want of a token.
func (r *Run) Refused(t tenant.ID, slot lineage.Slot, at, local int64, incarnation uint64) {
	r.Log(t, slot).Refuse(at, local, incarnation)
}

// Told notes the answer to a client that was refused for want of a token; see Log.Tell.
func (r *Run) Told(t tenant.ID, slot lineage.Slot, refusal Refusal) { r.Log(t, slot).Tell(refusal) }

// Capped notes that an operation was refused for a cap; see Log.Cap.
func (r *Run) Capped(t tenant.ID, slot lineage.Slot, refusal Refusal, at, local int64, incarnation uint64) {
	r.Log(t, slot).Cap(refusal, at, local, incarnation)
}

// GivenBack notes that an operation's record is not in the log after all; see
// Log.GiveBack.
func (r *Run) GivenBack(t tenant.ID, slot lineage.Slot, op signal.Operation, durable lineage.Seq, at int64, incarnation uint64) {
	r.Log(t, slot).GiveBack(op, durable, at, incarnation)
}

// LimitsGivenBack notes that limits are not in the log after all; see
// Log.GiveBackLimits.
func (r *Run) LimitsGivenBack(t tenant.ID, slot lineage.Slot, version uint64, durable lineage.Seq, at int64, incarnation uint64) {
	r.Log(t, slot).GiveBackLimits(version, durable, at, incarnation)
}

// Damage notes that bytes of the slot that were durable were damaged, so that it may have to stop.
// Its answers are judged as ever.
func (r *Run) Damage(t tenant.ID, slot lineage.Slot) {
	if !r.Damaged(t, slot) {
		r.damaged = append(r.damaged, slotID{t, slot})
	}
}

// Rot notes that bytes of one copy of a replicated slot were damaged. The node with the copy may
// refuse requests for that; the slot has to go on elsewhere.
func (r *Run) Rot(t tenant.ID, slot lineage.Slot) {
	if !slices.Contains(r.rotted, slotID{t, slot}) {
		r.rotted = append(r.rotted, slotID{t, slot})
	}
}

// MayBeCorrupt reports whether a node may find the slot's log corrupt: its only copy was damaged, or
// one of several was.
func (r *Run) MayBeCorrupt(t tenant.ID, slot lineage.Slot) bool {
	return r.Damaged(t, slot) || slices.Contains(r.rotted, slotID{t, slot})
}

// Damaged reports whether durable bytes of the slot were damaged.
func (r *Run) Damaged(t tenant.ID, slot lineage.Slot) bool {
	return slices.Contains(r.damaged, slotID{t, slot})
}

// Stopped notes that a slot stopped for good.
func (r *Run) Stopped(s Stop) { r.Stops = append(r.Stops, s) }

// Recovered notes that a process began to serve a slot; see Log.Recover.
func (r *Run) Recovered(t tenant.ID, slot lineage.Slot, tail lineage.Seq, at, local int64, incarnation uint64) {
	r.Log(t, slot).Recover(tail, at, local, incarnation)
}

// Leads notes that another process began to sequence a shared log; see Log.Lead.
func (r *Run) Leads(t tenant.ID, slot lineage.Slot, epoch lineage.ShardEpoch, tail lineage.Seq, written func(lineage.Seq) (lineage.Chain, bool), at, local int64, incarnation uint64) {
	r.Log(t, slot).Lead(epoch, tail, written, at, local, incarnation)
}

// AddDump adds an empty dump, to be filled by the caller before the next one is
// added. Its memory is that of an earlier run.
func (r *Run) AddDump(t tenant.ID, slot lineage.Slot, position lineage.Position) *Dump {
	n := len(r.Dumps)
	if n < cap(r.Dumps) {
		r.Dumps = r.Dumps[:n+1]
	} else {
		r.Dumps = append(r.Dumps, Dump{})
	}
	d := &r.Dumps[n]
	*d = Dump{Tenant: t, Slot: slot, Position: position, Entities: d.Entities[:0]}
	return d
}

// SetLimits notes the limits that a tenant was given at the beginning. In replica groups
// they are the whole tenant's, divided into shares by the Config records in the logs of its
// slots, and only commands change them. Elsewhere each slot has all of them to itself, and
// Config records in its log change them.
func (r *Run) SetLimits(t tenant.ID, limits tenant.Limits) {
	*r.Limits.Add(keyed.Key{A: uint64(t)}) = limits
}

// LimitsOf returns the limits that a tenant was given at the beginning.
func (r *Run) LimitsOf(t tenant.ID) (tenant.Limits, bool) {
	if limits := r.Limits.Find(keyed.Key{A: uint64(t)}); limits != nil {
		return *limits, true
	}
	return tenant.Limits{}, false
}
