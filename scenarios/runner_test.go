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
		seeds := plan.Seed(40)
		if slices.Contains(heavy(), s) {
			seeds = 2
		}
		t.Run(s.Name, func(t *testing.T) {
			bad := 0
			for seed := plan.Seed(1); seed <= seeds && bad < 3; seed++ {
				got, err := r.Run(s.Plan(seed), Options{Porcupine: true})
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
