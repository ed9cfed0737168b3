package scenarios

import "github.com/tidaldb/tidalsim/harness"

// Recorded returns the plan of a run with everything that chance decided written out; see
// harness.Record.
func (r *Result) Recorded(build string) *Plan {
	return harness.Record(r.Plan, &r.Result, build).(*Plan)
}
