package checker

import (
	"cmp"
	"math"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
)

const nameBudget = "budget"

// judgeBudget looks how many nodes are taken out of their duties on purpose. Its rules:
//
//	two-drains  a node was to have no duties while another one had none
//	below-min   a node that was drained, and that nothing else had hurt, left a set in which
//	            fewer members were left than the shard needs
//	joins       a node that was drained came into a set, though the set was not made anew
//	placed      a shard was placed on a node that was drained
//	leads       a node was made the leader of a shard a while after it was drained, while a
//	            member of the set was whole, had duties, and was unhurt
//	answered-early an operator was told that a node is drained while it was in a set
//	removes-slow   a leader asked for the removal of a member that had answered it within half
//	               the failure timeout, from a set that has no more members than it needs
//	coordinates a node that was drained and had no other duties coordinated for long, while
//	            no node was hurt
//
// The coordinator's messages to the nodes say which node drains, in the order of the control
// plane's log.
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
	for i := range b.Answers {
		v.report.Checked++
		if a := &b.Answers[i]; a.Busy {
			v.find("answered-early", a.At, nil, "node %d told an operator at %s that node %d is drained, which was in the set of shard %d", a.By, instant(a.At), a.Node, a.Shard)
		}
	}
	for i := range b.Removals {
		v.report.Checked++
		if r := &b.Removals[i]; r.Set <= r.Min && r.Answered > 0 && r.At-r.Answered < run.Availability.Silence/2 {
			v.find("removes-slow", r.At, nil, "shard %d: at %s node %d asked for the removal of node %d, which answered what was asked at %s; %d members are in sync of %d that it needs",
				r.Shard, instant(r.At), r.By, r.Node, instant(r.Answered), r.Set, r.Min)
		}
	}
	if len(b.Duties) > 0 {
		judgeDuties(v, run)
		judgeCoordinators(v, run)
	}
	switch {
	case len(run.Ops()) == 0:
		v.cannotTell("nothing was asked")
	case v.report.Checked == 0:
		v.leftOut("nobody was drained, and nobody left a set")
	}
	return v.done()
}

func judgeLeave(v *verdict, run *observe.Run, l *observe.Leave) {
	if l.Left >= l.Min || l.Restarted || !drainedAt(&run.Budget, l.Node, l.Index) || hurtBefore(&run.Availability, l.Node, l.At) {
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

// hurtBefore reports whether a disruption had hit a node or one of its links shortly before, so
// that its leader or the coordinator may have taken it for gone.
func hurtBefore(a *observe.Availability, node uint32, at int64) bool {
	return slices.ContainsFunc(a.Outages, func(o observe.Outage) bool {
		return hides(&o, node) && o.From <= at && o.To+ReadDeadline(a.Silence) >= at
	})
}

// hides reports whether a disruption may let others take a node for gone: it hit the node, one
// of its links, or a clock by which another node waits.
func hides(o *observe.Outage, node uint32) bool {
	connects := !o.Alone && !o.Disk && (o.Peer < 0 || o.Peer == int64(node))
	return o.Node == node || o.Unbounded || connects
}

// judgeDuties looks at each configuration of a shard beside the one before it, if that was seen.
func judgeDuties(v *verdict, run *observe.Run) {
	list := run.Configurations.List
	for i := range list {
		c := &list[i]
		for j := i - 1; j >= 0; j-- {
			if before := &list[j]; before.Shard == c.Shard && before.Version+1 == c.Version {
				v.report.Checked++
				judgeChange(v, run, before, c)
				break
			}
		}
	}
}

func judgeChange(v *verdict, run *observe.Run, before, c *observe.Configuration) {
	b := &run.Budget
	for _, m := range c.InSync {
		if before.Epoch == c.Epoch && !holdsNode(before.InSync, m.Node) && drainedAt(b, m.Node, c.Index) {
			v.find("joins", c.At, nil, "shard %d: node %d, which was drained, came into the set in version %d", c.Shard, m.Node, c.Version)
		}
	}
	for _, node := range c.Replicas {
		if !slices.Contains(before.Replicas, node) && drainedAt(b, node, c.Index) {
			v.find("placed", c.At, nil, "shard %d: it was placed on node %d, which was drained, in version %d", c.Shard, node, c.Version)
		}
	}
	at, drained := drainedSince(b, c.Leader.Node, c.Index)
	if before.Epoch == c.Epoch || c.Reformed || !drained || c.At < at+run.Availability.Silence/6 {
		return
	}
	for _, m := range before.InSync {
		if m.Node != c.Leader.Node && m.Node != before.Leader.Node && mayLead(run, before, c, m) {
			v.find("leads", c.At, nil, "shard %d: node %d, which was drained, was made the leader in version %d, although node %d has duties, and is in sync and whole", c.Shard, c.Leader.Node, c.Version, m.Node)
			return
		}
	}
}

// mayLead reports whether a member of a set was registered, whole, with duties, and not hurt.
func mayLead(run *observe.Run, before, c *observe.Configuration, m observe.Process) bool {
	if drainedAt(&run.Budget, m.Node, c.Index) || hurtBefore(&run.Availability, m.Node, c.At) {
		return false
	}
	for i := range before.Excluded {
		if before.Excluded[i].Member == m {
			return false
		}
	}
	for _, l := range run.Configurations.Lives {
		if l.Node == m.Node && l.Incarnation > m.Incarnation {
			return false
		}
	}
	return true
}

func holdsNode(list []observe.Process, node uint32) bool {
	return slices.ContainsFunc(list, func(m observe.Process) bool { return m.Node == node })
}

// judgeCoordinators looks for how long a node coordinated after it had no other duties.
func judgeCoordinators(v *verdict, run *observe.Run) {
	a := &run.Availability
	for i := range a.Coordinators {
		c := &a.Coordinators[i]
		if i+1 == len(a.Coordinators) { // until when is not known
			continue
		}
		until := a.Coordinators[i+1].At
		for _, d := range run.Budget.Duties {
			if d.Node != c.Node || !d.Drain || drainedUntil(&run.Budget, d) < until {
				continue
			}
			from := max(c.At, d.At, idleSince(run, d.Node, until)) + StopBound(a, false, false, true)
			if from < until && !anyHurt(a, from-StopBound(a, false, false, true), until) {
				v.find("coordinates", until, nil, "node %d, which was drained by entry %d and had no other duties, coordinated until %s", d.Node, d.Index, instant(until))
			}
		}
	}
}

// drainedUntil returns when the node of a drain was to have duties again.
func drainedUntil(b *observe.Budget, d observe.Duties) int64 {
	for _, o := range b.Duties {
		if o.Node == d.Node && o.Index > d.Index && !o.Drain {
			return o.At
		}
	}
	return math.MaxInt64
}

// idleSince returns when a node was last seen in a set until an instant.
func idleSince(run *observe.Run, node uint32, until int64) (since int64) {
	list := run.Configurations.List
	for i := range list {
		c := &list[i]
		if c.At > until || !holdsNode(c.InSync, node) {
			continue
		}
		end := until
		for j := i + 1; j < len(list); j++ {
			if list[j].Shard == c.Shard && list[j].Version > c.Version {
				end = min(end, list[j].At)
				break
			}
		}
		since = max(since, end)
	}
	return since
}

// anyHurt reports whether a node was hurt in a time, or shortly before.
func anyHurt(a *observe.Availability, from, to int64) bool {
	return slices.ContainsFunc(a.Outages, func(o observe.Outage) bool { return o.From <= to && o.To+ReadDeadline(a.Silence) >= from })
}

// drainedSince returns when a node that was to have no duties when an entry was made had been
// told so first.
func drainedSince(b *observe.Budget, node uint32, index uint64) (at int64, drained bool) {
	for _, d := range b.Duties {
		if d.Node == node && d.Index < index {
			at, drained = d.At, d.Drain
		}
	}
	return at, drained
}
