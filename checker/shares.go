package checker

import (
	"github.com/tidaldb/tidalsim/checker/observe"
)

const nameShares = "shares"

// judgeGrants looks at each report of a leader about a slot, and at each grant and each end of a
// tenant that the coordinator announces. Its rules:
//
//	held-early    a leader reported that a grant is in force before the record of it was durable
//	              on every member in sync: another leader would go on with the grant before it
//	granted-far   a slot was granted more while the sum that all slots of the tenant may use,
//	              by the records that are committed and those behind them, was above the limits
//	ended-early   a tenant ended while the leader of one of its slots had not reported it closed
func judgeGrants(run *observe.Run, _ Options) Report {
	v, s := newVerdict(nameShares), &run.Shares
	v.report.Checked = s.Count
	for i := range s.Faults {
		switch f := &s.Faults[i]; f.Flaw {
		case observe.HeldEarly:
			v.find("held-early", f.At, nil, "%s: at %s node %d reported that grant %d is in force, and its record, seq %d, was not durable on the whole set: %s",
				place(f.Tenant, f.Slot), instant(f.At), f.Node, f.Version, f.Seq, f.Detail)
		case observe.GrantedFar:
			v.find("granted-far", f.At, nil, "%s: entry %d, told at %s, grants it more %s, and all slots of the tenant together may use %d of %d",
				place(f.Tenant, f.Slot), f.Version, instant(f.At), f.Detail, f.Sum, f.Limit)
		case observe.EndedEarly:
			v.find("ended-early", f.At, nil, "tenant %s ended by entry %d, told at %s, and no leader had reported slot %d as closed",
				f.Tenant, f.Version, instant(f.At), f.Slot)
		}
	}
	v.report.More += s.More
	switch {
	case len(run.Ops()) == 0 && s.Count == 0:
		v.cannotTell("nothing was asked")
	case s.Count == 0:
		v.leftOut("no share moved, and no tenant ended")
	}
	return v.done()
}
