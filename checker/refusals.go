package checker

import (
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
)

const nameRefusals = "refusals"

// The codes with which a call may end refused, by the judge that examines the refusal. Codes after
// which a client comes again end no call.
var (
	judgedElsewhere = []string{"quota-exceeded", "unknown-tenant"} // rate and caps; lifecycle
	ofDamage        = []string{"corrupt"}
	ofPatience      = []string{"not-serving"} // its time was over, and every attempt was refused definitely
)

// judgeRefusals looks at the reasons of refusals. An honest client gives no reason of its own: it
// sends well-formed requests to where they belong. Its rules:
//
//	damage-denied        refused as corrupt, though nothing of the slot was damaged
//	refused-in-vain      nothing went wrong in the run, and yet it was never served
//	refused-for-nothing  any other reason
func judgeRefusals(run *observe.Run, _ Options) Report {
	v, ops := newVerdict(nameRefusals), run.Ops()
	for i := range ops {
		op := &ops[i]
		v.report.Checked++
		if op.Outcome != history.Refused || slices.Contains(judgedElsewhere, op.Reason) {
			continue
		}
		rule := ""
		switch {
		case slices.Contains(ofDamage, op.Reason):
			if !run.MayBeCorrupt(op.Tenant, op.Slot) {
				rule = "damage-denied"
			}
		case slices.Contains(ofPatience, op.Reason):
			if run.Quiet {
				rule = "refused-in-vain"
			}
		default:
			rule = "refused-for-nothing"
		}
		if rule != "" {
			v.find(rule, op.ReturnAt, []int{i}, "%s was refused at %s (%s)", describe(ops, i), instant(op.ReturnAt), op.Reason)
		}
	}
	if len(ops) == 0 {
		v.cannotTell("nothing was asked")
	}
	return v.done()
}
