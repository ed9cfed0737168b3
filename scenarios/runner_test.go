package scenarios

import (
	"slices"
	"testing"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/sim/plan"
)

func TestSeedsHold(t *testing.T) {
	r := NewRunner()
	for _, s := range All() {
		seeds, draw := plan.Seed(40), s.Plan
		if slices.Contains(heavy(), s) {
			seeds = 2
		}
		if s == fleet { // the whole one takes half a minute
			draw = smallFleet
		}
		t.Run(s.Name, func(t *testing.T) {
			bad := 0
			for seed := plan.Seed(1); seed <= seeds && bad < 3; seed++ {
				got, err := r.Run(draw(seed), Options{Porcupine: true})
				if err != nil {
					t.Fatal(err)
				}
				if got.Verdict != checker.Held {
					bad++
					t.Errorf("%s:%s is %s: %s", s.Name, seed, got.Verdict, got.Why)
					for _, f := range got.Findings {
						t.Errorf("  %s/%s: %s", f.Checker, f.Rule, f.Text)
					}
				}
			}
		})
	}
}

// smallFleet is a fleet of ten nodes in two regions.
func smallFleet(seed plan.Seed) *Plan {
	return fleetOf(seed, fleetSize{regions: 2, nodes: 5, shards: 10, tenants: 200, clients: 8, signals: 4000})
}

func fleetOf(seed plan.Seed, size fleetSize) *Plan {
	p := &Plan{Format: Format, Version: Version, Scenario: fleet.Name}
	p.World.Seed = seed
	newDraw(fleet.Name, seed).fleet(p, size)
	return p
}
