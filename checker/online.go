package checker

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// These judges found their faults while the run went on, or need no more than a look.
const (
	nameDurableAck     = "durable-ack"
	nameIslands        = "islands"
	nameLiveness       = "liveness"
	nameRefusalLatency = "refusal-latency"
)

// MaxRefusalLatency bounds the time from the arrival of a request in a node's input queue to its
// refusal for a quota, in ns of true time. Pauses of the whole node do not count: it cannot answer
// in them.
const MaxRefusalLatency = 1_000_000

// judgeDurableAck has one rule:
//
//	ack-before-durable  an acknowledgement left before its record was durable
func judgeDurableAck(run *observe.Run, _ Options) Report {
	v, d := newVerdict(nameDurableAck), &run.DurableAck
	v.report.Checked = d.Count
	for i := range d.Early {
		a := &d.Early[i]
		v.find("ack-before-durable", a.At, nil, "%s: seq %d was acknowledged at %s before it was durable: %s",
			place(a.Tenant, a.Slot), a.Seq, instant(a.At), a.Detail)
	}
	v.report.More += d.More
	if d.Count == 0 {
		v.cannotTell("no acknowledgement was seen")
	}
	return v.done()
}

// judgeIslands has one rule:
//
//	foreign-path  a disk operation for one tenant is in the directory of another
func judgeIslands(run *observe.Run, _ Options) Report {
	v, s := newVerdict(nameIslands), &run.Islands
	v.report.Checked = s.Count
	for i := range s.Foreign {
		t := &s.Foreign[i]
		v.find("foreign-path", t.At, nil, "at %s a disk operation for %s touched %q, which belongs to %s",
			instant(t.At), owner(t.OfKey, t.HasKey), t.Path, owner(t.OfPath, t.HasPath))
	}
	v.report.More += s.More
	if s.Count == 0 {
		v.cannotTell("no disk operation was seen")
	}
	return v.done()
}

func owner(t tenant.ID, has bool) string {
	if !has {
		return "the node itself"
	}
	return fmt.Sprintf("tenant %s", t)
}

// judgeRefusalLatency has one rule:
//
//	late  a refusal for a quota left later than MaxRefusalLatency after its request arrived
//
// In a run without a refusal for a quota none was late. A run without requests shows nothing, and
// neither does one in which clients received refusals that the observer did not see leave.
func judgeRefusalLatency(run *observe.Run, _ Options) Report {
	v, replies := newVerdict(nameRefusalLatency), run.Refusals.Replies
	v.report.Checked = len(replies)
	for i := range replies {
		r := &replies[i]
		if took := r.Left - r.Arrived - r.Paused; took > MaxRefusalLatency {
			v.find("late", r.Left, nil, "%s: %s arrived at %s and was refused at %s, %s later without the node's pauses; the bound is %s",
				place(r.Tenant, r.Slot), identity(r.Op), instant(r.Arrived), instant(r.Left), instant(took), instant(MaxRefusalLatency))
		}
	}
	switch {
	case len(run.Ops()) == 0 && len(replies) == 0:
		v.cannotTell("nothing was asked")
	case len(replies) == 0 && slices.ContainsFunc(run.Ops(), refusedForQuota):
		v.cannotTell("clients were told of refusals for a quota, and none was seen to leave")
	case len(replies) == 0:
		v.leftOut("no refusal for a quota was seen")
	}
	return v.done()
}

// refusedForQuota reports whether a client received the answer that a quota refused op.
func refusedForQuota(op history.Op) bool {
	return op.Outcome == history.Refused && op.Reason == "quota-exceeded"
}

// judgeLiveness has four rules:
//
//	gave-up         nothing went wrong, and yet a client waited in vain
//	never-returned  an operation still waits for its answer
//	stopped         a slot stopped for good
//	stall           the calm part waits for another condition
//
// Where durable bytes of a slot were damaged the slot may notice and stop, and its operations need
// not be answered. It may not stop for another reason.
func judgeLiveness(run *observe.Run, _ Options) Report {
	v, ops := newVerdict(nameLiveness), run.Ops()
	v.report.Checked = len(ops)
	for i := range ops {
		if ops[i].Outcome == history.Open && !run.Damaged(ops[i].Tenant, ops[i].Slot) {
			v.find("never-returned", ops[i].InvokeAt, []int{i}, "%s waits for its answer since %s", describe(ops, i), instant(ops[i].InvokeAt))
		}
	}
	for i := range ops {
		if run.Quiet && ops[i].Outcome == history.Unknown && ops[i].Reason == history.Deadline {
			v.find("gave-up", ops[i].ReturnAt, []int{i}, "%s was given up at %s, although nothing went wrong in the run",
				describe(ops, i), instant(ops[i].ReturnAt))
		}
	}
	for i := range run.Stops {
		if stop := &run.Stops[i]; !stop.Corrupt || !run.Damaged(stop.Tenant, stop.Slot) {
			v.find("stopped", 0, nil, "%s stopped for good: %s", place(stop.Tenant, stop.Slot), stop.Text)
		}
	}
	for _, stall := range run.Stalls {
		v.find("stall", 0, nil, "the calm part waits for %s", stall)
	}
	if len(ops) == 0 {
		v.cannotTell("nothing was asked")
	}
	return v.done()
}
