package checker

import "github.com/tidaldb/tidalsim/checker/observe"

const nameInSync = "in-sync"

// judgeInSync looks at the bytes on the devices of the nodes that a promise rests on, whenever a
// node announces a record and whenever the control plane changes a shard. A node announces a record
// by an acknowledgement, by the state that a read shows, or by a commit index that it sends to
// another node. Its rules:
//
//	member-short   a member in sync, in its present incarnation and not excluded from the slot,
//	               lacks a record that a node has announced
//	pending-short  the leader has asked to let a node join, or to readmit it, and the
//	               node lacks such a record
//	eligible-short the member that may lead if no member in sync can lacks such a record
//	below-min      fewer replicas than the shard's minimum have a record that is announced
//	told-early     a node announced a record that is not durable on the node itself
//	nobody-whole   a set was reformed, and no member of it has all announced records
//
// A copy that has another record in the place of the last announced one lacks it. Members that are
// down, and earlier incarnations, are not looked at: their copies count when they come back. A
// tenant that is being dropped is not looked at: no node serves it again, and a member may join
// without it.
func judgeInSync(run *observe.Run, _ Options) Report {
	v, x := newVerdict(nameInSync), &run.InSync
	v.report.Checked = x.Count
	for i := range x.Short {
		short(v, &x.Short[i])
	}
	v.report.More += x.More
	if x.Count > 0 && x.Members == 0 {
		v.cannotTell("no member in sync was looked at in its present life")
	}
	ofGroups(v, run, "nobody was told of any record")
	return v.done()
}

func short(v *verdict, s *observe.Short) {
	where := place(s.Tenant, s.Slot)
	shard := func(rule, who string) {
		v.find(rule, s.At, nil, "%s: at %s, with %s, node %d, %s in version %d of shard %d (epoch %d), lacks seq %d, of which somebody was told: %s",
			where, instant(s.At), s.When, s.Node, who, s.Version, s.Shard, s.Epoch, s.Seq, s.Lacks)
	}
	switch s.Standing {
	case observe.InSet:
		shard("member-short", "in sync")
	case observe.Pending:
		shard("pending-short", "about to be counted")
	case observe.Eligible:
		shard("eligible-short", "eligible")
	case observe.TooFew:
		v.find("below-min", s.At, nil, "%s: at %s, with %s, seq %d is told in version %d of shard %d (epoch %d): %s",
			where, instant(s.At), s.When, s.Seq, s.Version, s.Shard, s.Epoch, s.Lacks)
	case observe.Teller:
		v.find("told-early", s.At, nil, "%s: at %s node %d tells of seq %d with %s, and the record is not durable there: %s",
			where, instant(s.At), s.Node, s.Seq, s.When, s.Lacks)
	case observe.Anybody:
		v.find("nobody-whole", s.At, nil, "%s: at %s, with %s, no member of version %d of shard %d (epoch %d), which was reformed, has seq %d, of which somebody was told: %s",
			where, instant(s.At), s.When, s.Version, s.Shard, s.Epoch, s.Seq, s.Lacks)
	}
}
