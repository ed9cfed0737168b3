package checker

import "github.com/tidaldb/tidalsim/checker/observe"

const nameReform = "reform"

// judgeReform looks at sets that were formed anew after all members restarted. No member knows then
// which records are committed, and one member may lack records that another one has. The judge
// compares, for each slot, the log with which the leader begins its epoch with the logs that the
// members reported, by the lineage of the last record, then by length. At the entry that ends the
// reform it looks at the members' devices. Its rules:
//
//	unasked        the leader began its epoch, and a member had not reported its log
//	worse-log      a member had reported a better log than the leader began with
//	lost-counted   a set was formed anew of a node whose disk had been lost since it was in the set
//	settled-early  the reform was over, and a member's device lacked a record that the leader had
//	               adopted, or the record that begins the epoch
//
// Members that are excluded from a slot are left out.
func judgeReform(run *observe.Run, _ Options) Report {
	v, r := newVerdict(nameReform), &run.Reforms
	v.report.Checked = r.Count
	for i := range r.Wrong {
		x := &r.Wrong[i]
		at := place(x.Tenant, x.Slot)
		switch x.Kind {
		case observe.Unasked:
			v.find("unasked", x.At, nil, "%s: at %s node %d began epoch %d of shard %d behind seq %d, and node %d, a member of the reformed set, had not told it of its log",
				at, instant(x.At), x.Leader, x.Epoch, x.Shard, x.Seq, x.Of)
		case observe.WorseLog:
			v.find("worse-log", x.At, nil, "%s: at %s node %d began epoch %d of shard %d behind seq %d, and node %d had told it of a better log, which ends at seq %d",
				at, instant(x.At), x.Leader, x.Epoch, x.Shard, x.Seq, x.Of, x.Better)
		case observe.LostCounted:
			v.find("lost-counted", x.At, nil, "shard %d: at %s its set is formed anew in epoch %d with node %d, whose disk has been lost since it was in the set",
				x.Shard, instant(x.At), x.Epoch, x.Of)
		case observe.SettledEarly:
			v.find("settled-early", x.At, nil, "%s: at %s the reform of shard %d is over in epoch %d, and node %d lacks seq %d, with which node %d began it: %s",
				at, instant(x.At), x.Shard, x.Epoch, x.Of, x.Seq, x.Leader, x.Lacks)
		}
	}
	v.report.More += r.More
	switch {
	case len(run.Ops()) == 0:
		v.cannotTell("nothing was asked")
	case r.Count == 0:
		v.leftOut("no set was formed anew")
	}
	return v.done()
}
