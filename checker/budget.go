package checker

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
)

const nameBudget = "budget"

// judgeBudget looks how many nodes are taken out of their duties on purpose. Its rules:
//
//	two-drains  a node was to have no duties while another one had none
//	below-min   a node that was drained, and that nothing else had hurt, left a set in which
//	            fewer members were left than the shard needs
//
// Who drains is told by what the control plane's coordinator says to the nodes, in the
// order of its log.
func judgeBudget(run *observe.Run, _ Options) Report {
	v, b := newVerdict(nameBudget), &run.Budget
	slices.SortFunc(b.Duties, func(x, y observe.Duties) int {
		return cmp.Or(cmp.Compare(x.Index, y.Index), cmp.Compare(x.Node, y.Node))
	})
	var out []observe.Duties
	for _, d := range b.Duties {
		v.report.Checked++
		out = slices.DeleteFunc(out, func(o observe.Duties) bool { return o.Node == d.Node })
		if !d.Drain {
			continue
		}
		for _, o := range out {
			v.find("two-drains", d.At, nil, "node %d was to have no duties by entry %d, while node %d had none since entry %d", d.Node, d.Index, o.Node, o.Index)
		}
		out = append(out, d)
	}
	for i := range b.Leaves {
		v.report.Checked++
		judgeLeave(v, run, &b.Leaves[i])
	}
	switch {
	case len(run.Ops()) == 0:
		v.cannotTell("nothing was asked")
	case !run.Shared:
		v.leftOut("no shard is a replica group")
	case v.report.Checked == 0:
		v.leftOut("nobody was drained, and nobody left a set")
	}
	return v.done()
}

func judgeLeave(v *verdict, run *observe.Run, l *observe.Leave) {
	if l.Left >= l.Min || !drainedAt(&run.Budget, l.Node, l.Index) || hurtBefore(&run.Availability, l.Node, l.At) {
		return
	}
	v.find("below-min", l.At, nil, "shard %d: node %d, which was drained, left the set in version %d, and %d members are left of %d that it needs",
		l.Shard, l.Node, l.Version, l.Left, l.Min)
}

// drainedAt reports whether a node was to have no duties when an entry was made.
func drainedAt(b *observe.Budget, node uint32, index uint64) bool {
	drained := false
	for _, d := range b.Duties {
		if d.Node == node && d.Index < index {
			drained = d.Drain
		}
	}
	return drained
}

// hurtBefore reports whether a disruption had hit a node, or what connects it, so that its
// leader may have taken it for gone.
func hurtBefore(a *observe.Availability, node uint32, at int64) bool {
	return slices.ContainsFunc(a.Outages, func(o observe.Outage) bool {
		return (o.Node == node || !o.Alone) && o.From <= at && o.To+ReadDeadline(a.Silence) >= at
	})
}
