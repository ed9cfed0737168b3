package checker

import (
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
)

const nameAvailability = "availability"

// SessionDeadline is how long a session read takes at most, ns, while one replica of three is hurt:
// another replica has the records that its client has seen, or soon will.
const SessionDeadline = 1_000_000_000

// ReadDeadline is how long any other read takes at most then, ns. If the node led both
// the shard and the meta log: two silences until another one leads the meta log, and one
// until that one takes the node for lost; then two entries of the meta log, a change of
// the epoch, and the way of the client from replica to replica, a second for all.
func ReadDeadline(silence int64) int64 { return 3*silence + SessionDeadline }

// twoElections is how much longer changes may stop if the node that is hurt led the meta log
// too, ns: its members elect another leader, at the second attempt if the first fails.
const twoElections = 800_000_000

// StopBound is the longest time, ns, for which changes of a shard may stop because one node is
// hurt: three times the time to notice, by the node's silence or because its disk makes nothing
// durable. A node that is cut off from only some of the others is noticed after two silences: its
// members do not confirm it, and it had the time to remove the members that are gone.
func StopBound(a *observe.Availability, disk, partial, coordinates bool) int64 {
	bound := 3 * a.Silence
	if partial {
		bound = 6 * a.Silence
	}
	if disk {
		bound = max(bound, 3*a.Slow)
	}
	if coordinates {
		bound += twoElections
	}
	return bound
}

// judgeAvailability looks whether reads are answered, and changes acknowledged, while at most
// one node is hurt. Its rules:
//
//	late        a read was answered after its deadline
//	unanswered  a read was refused or given up
//	stopped     no change of a shard was acknowledged for longer than StopBound, though clients
//	            waited, one node only was hurt, in whatever way, and the set was above min when
//	            that began
//	removed     an unhurt member left a set whose leader had received no message for half
//	            a Silence: all others seem silent to a leader that is deaf
//	holds-on    a node coordinated on for twoElections longer than Stall after its meta log had
//	            asked a disk that stood still for an operation, and nothing else was hurt
//
// In a run with rates of lost or late messages the bound is twice as long.
//
// A gap between two acknowledgements counts from when a client waited, and from when the node was
// hurt last. With several nodes hurt at once, or a set at min, the clients may have to wait for a
// node to come back: liveness judges that, and Unjudged counts it.
//
// A read is judged if, from its beginning to its deadline, at most one node was hurt, or had
// been so shortly before: it has to come back, and into the in-sync set. Its deadline is
// ReadDeadline, and longer if the node ran all the while; it counts from when the node is back
// if the set was at min when the node was hurt. In a run with such rates no read is judged; nor
// is a read of a tenant before its creation was answered, or from when its drop was asked for.
func judgeAvailability(run *observe.Run, o Options) Report {
	v, a := newVerdict(nameAvailability), &run.Availability
	ops := run.Ops()
	if !a.Lossy {
		lives := o.scratch().livesOf(run)
		for i := range ops {
			op := &ops[i]
			// The only copy of the slot is damaged: the slot refuses every request from then on.
			if run.Damaged(op.Tenant, op.Slot) {
				continue
			}
			if op.Kind == history.Read && op.Outcome != history.Open && isThere(lifeOf(lives, op.Tenant), op) {
				answeredInTime(v, a, ops, i)
			}
		}
	}
	for i := range a.Gaps {
		if a.Gaps[i].From < a.Gaps[i].To {
			judgeGap(v, run, &a.Gaps[i])
		}
	}
	judgeRemovals(v, run)
	judgeSuccessors(v, run)
	judgeHolds(v, a)
	switch {
	case len(ops) == 0:
		v.cannotTell("nothing was asked")
	case v.report.Checked == 0:
		v.leftOut("nothing was asked while at most one node was hurt")
	}
	return v.done()
}

// isThere reports whether a tenant was to be served while an operation was running. A tenant
// without known commands was there from the beginning.
func isThere(l *life, op *history.Op) bool {
	return l == nil || l.there && l.since <= op.InvokeAt && op.ReturnAt < l.doomed
}

func answeredInTime(v *verdict, a *observe.Availability, ops []history.Op, i int) {
	op := &ops[i]
	deadline, ok := deadlineOf(a, op)
	if !ok {
		return
	}
	v.report.Checked++
	switch took := op.ReturnAt - op.InvokeAt; {
	case op.Outcome == history.Acked && op.ReturnAt-wholeAgain(a, op) <= deadline:
	case op.Outcome != history.Acked:
		v.find("unanswered", op.ReturnAt, []int{i}, "%s, at level %s, began at %s and ended %s (%s) %s later, although at most one node was hurt",
			describe(ops, i), op.Level, instant(op.InvokeAt), op.Outcome, op.Reason, instant(took))
	case took > deadline:
		v.find("late", op.ReturnAt, []int{i}, "%s, at level %s, began at %s and was answered %s later, although at most one node was hurt; its deadline is %s",
			describe(ops, i), op.Level, instant(op.InvokeAt), instant(took), instant(deadline))
	}
}

// wholeAgain returns the instant from which the deadline of a read counts. A new leader serves
// reads when a record of its own epoch is committed. A set that was at min when a member was
// hurt commits nothing before that member is back.
func wholeAgain(a *observe.Availability, op *history.Op) int64 {
	since := op.InvokeAt
	for i := range a.Outages {
		if o := &a.Outages[i]; o.From <= op.ReturnAt && o.To > since && a.AtMin(op.Tenant, op.Slot, o.From) {
			since = o.To
		}
	}
	return since
}

// deadlineOf returns how long a read may take; false if more than one node was hurt within that
// time and shortly before. Clients notice at once that a node does not run. A node that runs, and
// is deaf, mute or slow, holds up its clients until others have taken over.
func deadlineOf(a *observe.Availability, op *history.Op) (int64, bool) {
	deadline, most := ReadDeadline(a.Silence), ReadDeadline(a.Silence)+3*max(a.Slow, 2*a.Silence)
	if op.Level == history.Session {
		deadline = SessionDeadline
	}
	for i := range a.Outages {
		if o := &a.Outages[i]; !o.Alone && o.From <= op.InvokeAt+most && o.To+most >= op.InvokeAt {
			deadline = most
		}
	}
	hurt, one := uint32(0), false
	for i := range a.Outages {
		o, over := &a.Outages[i], most
		if o.Alone {
			over = ReadDeadline(a.Silence)
		}
		if o.From > op.InvokeAt+deadline || o.To+over < op.InvokeAt {
			continue
		}
		if o.Unbounded || one && o.Node != hurt {
			return 0, false
		}
		hurt, one = o.Node, true
	}
	return deadline, true
}

// judgeGap looks at a time in which changes stopped.
func judgeGap(v *verdict, run *observe.Run, g *observe.Gap) {
	a := &run.Availability
	h := hurtIn(a, g)
	set := a.SetAt(g.Shard, h.since)
	if h.unbounded || h.nodes > 1 || set.Size-leftOnPurpose(run, g.Shard, h.since) <= set.Min {
		a.Unjudged++
		return
	}
	v.report.Checked++
	coordinator, known := a.CoordinatorAt(h.since) // without a coordinator, one is still to be elected
	bound := StopBound(a, h.disk, h.partial, h.nodes > 0 && (!known || coordinator == h.node))
	if a.Lossy { // each step of a take-over may have to be repeated
		bound *= 2
	}
	if g.To-h.since <= bound {
		return
	}
	if h.nodes == 0 {
		v.find("stopped", g.To, nil, "no change of shard %d was acknowledged from %s to %s, though nobody was hurt; the bound is %s", g.Shard, instant(g.From), instant(g.To), instant(bound))
		return
	}
	v.find("stopped", g.To, nil, "no change of shard %d was acknowledged from %s to %s, though node %d only was hurt, last at %s; the bound is %s",
		g.Shard, instant(g.From), instant(g.To), h.node, instant(h.since), instant(bound))
}

// leftOnPurpose returns how many members left a set, because their nodes were drained, before any
// node could know that another one was hurt.
func leftOnPurpose(run *observe.Run, shard lineage.Shard, since int64) (n int) {
	for i := range run.Budget.Leaves {
		l := &run.Budget.Leaves[i]
		if l.Shard == shard && l.At > since && l.At < since+run.Availability.Silence/2 && drainedAt(&run.Budget, l.Node, l.Index) {
			n++
		}
	}
	return n
}

// hurt is the trouble of the cluster in a gap.
type hurt struct {
	nodes     int
	node      uint32 // the last of them
	disk      bool   // its disk was
	partial   bool   // it was cut off from some of the others
	unbounded bool
	since     int64 // from when on the gap counts
}

// hurtIn returns the trouble in a gap, and in the time before it that recovery takes.
func hurtIn(a *observe.Availability, g *observe.Gap) hurt {
	h := hurt{since: g.From}
	for i := range a.Outages {
		o := &a.Outages[i]
		if o.From > g.To || o.Over(g.From, StopBound(a, o.Disk, o.Partial, true)) {
			continue
		}
		if h.nodes == 0 || o.Node != h.node {
			h.nodes, h.node = h.nodes+1, o.Node
		}
		h.disk, h.partial = h.disk || o.Disk, h.partial || o.Partial
		h.unbounded = h.unbounded || o.Unbounded
		h.since = max(h.since, o.From)
	}
	return h
}

// judgeRemovals looks at the leaders of sets that members left.
func judgeRemovals(v *verdict, run *observe.Run) {
	a := &run.Availability
	for i := range run.Budget.Leaves {
		l := &run.Budget.Leaves[i]
		leader, known := leaderIn(run, l)
		if !known {
			continue
		}
		for j := range a.Outages {
			o := &a.Outages[j]
			if !o.Deaf || o.Node != leader || l.At <= o.From+a.Silence/2 || l.At > o.To {
				continue
			}
			v.report.Checked++
			if l.Node != leader && !drainedAt(&run.Budget, l.Node, l.Index) && !hurtItself(a, l.Node, l.At) {
				v.find("removed", l.At, nil, "shard %d: node %d left the set in version %d, which nothing had hurt, and its leader, node %d, has heard nobody since %s",
					l.Shard, l.Node, l.Version, leader, instant(o.From))
			}
			break
		}
	}
}

// hurtItself reports whether a node was hurt at an instant or shortly before.
func hurtItself(a *observe.Availability, node uint32, at int64) bool {
	for i := range a.Outages {
		if o := &a.Outages[i]; o.Node == node && o.From <= at && o.To+StopBound(a, o.Disk, o.Partial, true) >= at {
			return true
		}
	}
	return false
}

// leaderIn returns the leader of the configuration in which a member had left.
func leaderIn(run *observe.Run, l *observe.Leave) (uint32, bool) {
	list := run.Configurations.List
	for i := range list {
		if list[i].Shard == l.Shard && list[i].Version == l.Version {
			return list[i].Leader.Node, true
		}
	}
	return 0, false
}

// judgeSuccessors measures how long each new leader keeps the deaf leader that it replaced in
// the set. A run with rates of lost or late messages is left out: there the request to remove
// it may have to be repeated.
func judgeSuccessors(v *verdict, run *observe.Run) {
	list := run.Configurations.List
	if run.Availability.Lossy {
		return
	}
	for i := range list {
		c := &list[i]
		for j := i - 1; j >= 0; j-- {
			before := &list[j]
			if before.Shard != c.Shard || before.Epoch == c.Epoch {
				continue
			}
			if before.Version+1 == c.Version && !c.Reformed && deafAlone(&run.Availability, before.Leader.Node, c.At) {
				keepsOut(v, run, before, c)
			}
			break
		}
	}
}

// keepsOut looks for the configuration without the leader of the epoch before, and for when it
// came.
func keepsOut(v *verdict, run *observe.Run, before, c *observe.Configuration) {
	list, old, bound := run.Configurations.List, before.Leader.Node, run.Availability.Silence*3/4
	if before.At > c.At-run.Availability.Silence || !holdsNode(c.InSync, old) || len(c.InSync) <= c.Min {
		return
	}
	for i := range list {
		next := &list[i]
		if next.Shard != c.Shard || next.Version <= c.Version || next.Epoch == c.Epoch && holdsNode(next.InSync, old) {
			continue
		}
		if v.report.Checked++; next.At > c.At+bound {
			v.find("waits-again", next.At, nil, "shard %d: node %d, which was deaf, was replaced at %s, and node %d, which leads in epoch %d, kept it in the set until %s",
				c.Shard, old, instant(c.At), c.Leader.Node, c.Epoch, instant(next.At))
		}
		return
	}
}

// deafAlone reports whether a node received no message when it was replaced, and for a Silence
// before and after that, while nothing hurt another node.
func deafAlone(a *observe.Availability, node uint32, at int64) bool {
	deaf := false
	for i := range a.Outages {
		switch o := &a.Outages[i]; {
		case o.From > at+a.Silence || o.Over(at-a.Silence, StopBound(a, o.Disk, o.Partial, true)):
		case o.Node != node || o.Unbounded:
			return false
		default:
			deaf = deaf || o.Deaf && o.From <= at-a.Silence/2 && o.To >= at+a.Silence
		}
	}
	return deaf
}

// judgeHolds looks at coordinators whose disks stand still: the meta log decides nothing that is
// not durable on the coordinator's own disk. A run with rates of lost or late messages is left out:
// there the next leader's election may have to be repeated.
func judgeHolds(v *verdict, a *observe.Availability) {
	if a.Lossy || a.Stall == 0 {
		return
	}
	for _, h := range a.Holds {
		for i := range a.Outages {
			o := &a.Outages[i]
			until := min(h.Spoke, o.To)
			if !o.Still || o.Node != h.Node || h.Asked < o.From || until <= h.Asked || hurtBesides(a, i, h.Asked, until) {
				continue
			}
			v.report.Checked++
			if until-h.Asked > a.Stall+twoElections {
				v.find("holds-on", until, nil, "node %d coordinated until %s, and its disk, which stood still, had been asked to write the meta log at %s",
					h.Node, instant(until), instant(h.Asked))
			}
			break
		}
	}
}

// hurtBesides reports whether a node was hurt in a time, or shortly before, by other causes than an
// outage.
func hurtBesides(a *observe.Availability, but int, from, to int64) bool {
	for i := range a.Outages {
		if o := &a.Outages[i]; i != but && o.From <= to && !o.Over(from, StopBound(a, o.Disk, o.Partial, true)) {
			return true
		}
	}
	return false
}
