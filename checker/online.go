package checker

import (
	"fmt"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// What these three judge was found out while the run went on, or needs no more
// than a look.
const (
	nameDurableAck = "durable-ack"
	nameIslands    = "islands"
	nameLiveness   = "liveness"
)

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

// judgeLiveness has two rules:
//
//	never-returned  an operation still waits for its answer
//	stall           the calm part waits for something else
func judgeLiveness(run *observe.Run, _ Options) Report {
	v, ops := newVerdict(nameLiveness), run.Ops()
	v.report.Checked = len(ops)
	for i := range ops {
		if ops[i].Outcome == history.Open {
			v.find("never-returned", ops[i].InvokeAt, []int{i}, "%s waits for its answer since %s", describe(ops, i), instant(ops[i].InvokeAt))
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
