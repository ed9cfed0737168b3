package scenarios

import (
	"testing"

	"github.com/tidaldb/tidalsim/sim/plan"
)

// Rot is within the budget: a slot with rotten durable bytes is found out, others serve, and no
// answer changes. The judges would object; here it counts that it happens at all.
func TestRotIsFoundOut(t *testing.T) {
	r := NewRunner()
	damaged, stopped := 0, 0
	for seed := plan.Seed(1); seed <= 60; seed++ {
		p := diskTrouble.Plan(seed)
		p.World.Disruptions = nil
		newDraw("rot", seed).rot(p)
		got, err := r.Run(p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range got.Findings {
			t.Errorf("seed %s: %s: %s", seed, f.Rule, f.Text)
		}
		for _, tenant := range p.Cluster.Tenants {
			if r.run.Damaged(tenant.Config.ID, 0) {
				damaged++
			}
		}
		stopped += len(r.run.Stops)
	}
	if damaged < 30 || stopped < 10 {
		t.Errorf("%d slots were damaged and %d stopped, want more", damaged, stopped)
	}
}
