package scenarios

import "github.com/tidaldb/tidalsim/sim/plan"

// Recorded returns the plan of a run with everything that chance decided written
// out, so that it needs neither its seed's rates nor the code that drew it. The
// run must have been recorded (Options.Record), or have had its deviations listed.
// build names the binary that ran it.
func (r *Result) Recorded(build string) *Plan {
	p := *r.Plan
	if p.World.Deviations == nil {
		p.World.Deviations = append([]plan.Deviation{}, r.Deviations...)
	}
	p.World.Rates = plan.Rates{}
	p.Recorded = &Recorded{Fingerprint: r.Fingerprint(), Trace: r.Trace.String(), Build: build}
	return &p
}
