package scenarios

import (
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/sim/plan"
)

// A fault that comes to nothing shows nothing. Of every kind that a scenario draws,
// at least half have an effect.
func TestFaultsTakeEffect(t *testing.T) {
	r := NewRunner()
	for _, s := range []*Scenario{crashRestart, diskFull, diskTrouble, clockTrouble} {
		drawn, unused := map[plan.Kind]int{}, map[plan.Kind]int{}
		for seed := plan.Seed(1); seed <= 60; seed++ {
			p := s.Plan(seed)
			if _, err := r.Run(p, Options{}); err != nil {
				t.Fatal(err)
			}
			void := strings.Join(r.world.Unused(), "\n") + "\n"
			for i := range p.World.Disruptions {
				d := &p.World.Disruptions[i]
				drawn[d.Kind]++
				if strings.Contains(void, ": "+d.String()+"\n") {
					unused[d.Kind]++
				}
			}
		}
		for _, kind := range plan.Kinds() {
			if n := drawn[kind]; unused[kind] > n/2 || n > 0 && n < 10 {
				t.Errorf("%s: %s: %d of %d came to nothing", s.Name, kind, unused[kind], n)
			}
		}
	}
}
