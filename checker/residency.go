package checker

import "github.com/tidaldb/tidalsim/checker/observe"

const nameResidency = "residency"

// judgeResidency looks at every disk operation and every message between nodes, when
// it is made, in whatever state the cluster is. Its rules:
//
//	stored-outside  a file of a tenant was touched in a region where it may not be
//	sent-outside    records or a snapshot of a tenant were sent to such a region
func judgeResidency(run *observe.Run, _ Options) Report {
	v, r := newVerdict(nameResidency), &run.Residency
	v.report.Checked = r.Count
	for i := range r.Strays {
		s := &r.Strays[i]
		if s.Sent {
			v.find("sent-outside", s.At, nil, "%s: at %s node %d sent %s to node %d in region %q, where tenant %s may not be",
				place(s.Tenant, s.Slot), instant(s.At), s.From, s.What, s.Node, s.Region, s.Tenant)
			continue
		}
		v.find("stored-outside", s.At, nil, "tenant %s: at %s node %d in region %q, where it may not be, touched %q",
			s.Tenant, instant(s.At), s.Node, s.Region, s.What)
	}
	v.report.More += r.More
	switch {
	case len(run.Ops()) == 0 && r.Count == 0:
		v.cannotTell("nothing was asked")
	case !r.Limited():
		v.leftOut("every tenant may be anywhere")
	case r.Count == 0:
		v.cannotTell("nothing of a tenant that may not be everywhere was stored or sent")
	}
	return v.done()
}
