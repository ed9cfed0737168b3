package checker

import (
	"fmt"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
)

const nameCommitMonotone = "commit-monotone"

// judgeCommitMonotone looks whether records stay committed once a leader has announced them as
// committed. Its rules:
//
//	commit-back      a process announced less as committed than before
//	applied-back     a process said that it had applied less than before
//	applied-other    a process said that it had applied a record, and a leader had announced
//	                 another one in its place
//	cut-applied      a node cut records that it had said to have applied
//	cut-committed    a node cut records that a leader had announced as committed
//	committed-twice  two leaders announced different records in one place
//	committed-lost   a record that was announced is not in the final log
func judgeCommitMonotone(run *observe.Run, _ Options) Report {
	v, c := newVerdict(nameCommitMonotone), &run.Copies
	for i := range c.Faults {
		receded(v, &c.Faults[i])
	}
	for i := range c.Denials {
		d := &c.Denials[i]
		v.find("committed-twice", d.Second.At, nil, "%s: at %s node %d announced seq %d with chain %016x as committed, and at %s node %d the one with chain %016x",
			place(d.Tenant, d.Slot), instant(d.First.At), d.First.Node, d.Seq, uint64(d.First.Chain), instant(d.Second.At), d.Second.Node, uint64(d.Second.Chain))
	}
	for i := range c.Slots() {
		v.report.Checked += len(c.Slots()[i].Settled)
		staysCommitted(v, run, &c.Slots()[i])
	}
	v.report.More += c.More
	ofGroups(v, run, "nothing was announced as committed")
	return v.done()
}

func receded(v *verdict, f *observe.Fault) {
	where := fmt.Sprintf("%s on node %d", place(f.Tenant, f.Slot), f.Node)
	switch f.Flaw {
	case observe.CommitBack:
		v.find("commit-back", f.At, nil, "%s: at %s it announced seq %d as committed, and before seq %d", where, instant(f.At), f.Seq, f.Last)
	case observe.AppliedBack:
		v.find("applied-back", f.At, nil, "%s: at %s it said that it had applied seq %d, and before seq %d", where, instant(f.At), f.Seq, f.Last)
	case observe.AppliedOther:
		v.find("applied-other", f.At, nil, "%s: at %s it said that it had applied seq %d, and a leader had announced another record there", where, instant(f.At), f.Seq)
	case observe.CutApplied:
		v.find("cut-applied", f.At, nil, "%s: at %s the log was cut behind seq %d, and it had said that it had applied seq %d", where, instant(f.At), f.Seq, f.Last)
	case observe.CutSettled:
		v.find("cut-committed", f.At, nil, "%s: at %s the log was cut behind seq %d, and seq %d had been announced as committed", where, instant(f.At), f.Seq, f.Last)
	}
}

// staysCommitted finds the first record that was announced and is not in the final log.
func staysCommitted(v *verdict, run *observe.Run, s *observe.Replicated) {
	var entries []observe.Entry
	if at := run.Find(s.Tenant, s.Slot); at >= 0 {
		entries = run.Logs[at].Entries
	}
	for i := range s.Settled {
		what, seq := &s.Settled[i], lineage.Seq(i+1)
		switch {
		case i >= len(entries):
			v.find("committed-lost", what.At, nil, "%s: node %d announced seq %d as committed at %s, and the final log ends at seq %d",
				place(s.Tenant, s.Slot), what.Node, seq, instant(what.At), len(entries))
			return
		case what.Chain != 0 && what.Chain != entries[i].Chain:
			v.find("committed-lost", what.At, nil, "%s: node %d announced seq %d with chain %016x as committed at %s, and in the final log it has chain %016x",
				place(s.Tenant, s.Slot), what.Node, seq, uint64(what.Chain), instant(what.At), uint64(entries[i].Chain))
			return
		}
	}
}
