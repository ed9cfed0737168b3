// Package suite offers package scenarios to the harness as a harness.Suite. The harness treats it
// like any other suite.
package suite

import (
	"bufio"

	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/report"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/scenarios/brief"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Tenants returns the suite of the tenants' scenarios.
func Tenants() *harness.Suite {
	return &harness.Suite{
		Command: "simrun", Scenarios: names(), Points: fault.Names(), Rows: scenarios.Rows(),
		Draw: draw, Decode: decode, Picture: picture,
		NewRunner: func() harness.Runner { return runner{scenarios.NewRunner()} },
	}
}

func names() (list []string) {
	for _, s := range scenarios.All() {
		list = append(list, s.Name)
	}
	return list
}

func draw(scenario string, seed plan.Seed) harness.Plan {
	for _, s := range scenarios.All() {
		if s.Name == scenario {
			return s.Plan(seed)
		}
	}
	panic("suite: there is no scenario " + scenario) // the harness asks for those of Suite.Scenarios only
}

func decode(data []byte) (harness.Plan, error) {
	p, err := scenarios.DecodePlan(data)
	if err != nil { // a nil *scenarios.Plan in a harness.Plan is not nil
		return nil, err
	}
	return p, nil
}

func picture(p harness.Plan, name, replay, build string) (func(*bufio.Writer) error, error) {
	drawn, err := report.Draw(p.(*scenarios.Plan), name, replay, build)
	if err != nil {
		return nil, err
	}
	return drawn.Write, nil
}

// runner is a scenarios.Runner for the harness.
type runner struct{ *scenarios.Runner }

// Run implements harness.Runner.
func (r runner) Run(p harness.Plan, o harness.Options) (*harness.Result, error) {
	got, err := r.Runner.Run(p.(*scenarios.Plan), scenarios.Options{
		Porcupine: o.Porcupine, Unjudged: o.Unjudged, Record: o.Record, Trace: o.Trace, Story: o.Brief, Steps: o.Steps, Decorate: o.Decorate,
	})
	if err != nil {
		return nil, err
	}
	if o.Brief && len(got.Findings) > 0 {
		got.Brief = brief.Of(got)
	}
	return &got.Result, nil
}
