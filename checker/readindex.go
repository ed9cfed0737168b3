package checker

import "github.com/tidaldb/tidalsim/checker/observe"

const nameReadIndex = "read-index"

// judgeReadIndex looks at the position of each state that answers a linearizable read. The index of
// a read is fixed after the read has come, so that the state has every record of its slot that any
// node had announced before, of whatever entity (Raft, section 6.4). It has one rule:
//
//	old-state  a linearizable read was answered from a state that lacks such a record
func judgeReadIndex(run *observe.Run, _ Options) Report {
	v, r := newVerdict(nameReadIndex), &run.ReadIndex
	v.report.Checked = r.Count
	for i := range r.Old {
		o := &r.Old[i]
		v.find("old-state", o.At, nil, "%s: node %d answered a linearizable read from seq %d, and seq %d had been told before the read came at %s",
			place(o.Tenant, o.Slot), o.Node, o.Seq, o.Told, instant(o.Came))
	}
	v.report.More += r.More
	switch {
	case len(run.Ops()) == 0:
		v.cannotTell("nothing was asked")
	case r.Count == 0:
		v.leftOut("no linearizable read was answered")
	}
	return v.done()
}
