package scenarios

import (
	"testing"

	"github.com/tidaldb/tidalsim/sim/plan"
)

// rho bounds every node's clock, whatever of a plan overlaps; clients have no say.
func TestDriftBoundsEveryNode(t *testing.T) {
	drift := func(process uint32, ppm int64) plan.Disruption {
		return plan.Disruption{Kind: plan.Drift, Process: process, Amount: ppm, For: second}
	}
	for _, c := range []struct {
		name        string
		clocks      []plan.Clock
		disruptions []plan.Disruption
		want        int64
	}{
		{"exact clocks", nil, nil, 0},
		{"a slow node", []plan.Clock{{Process: 0, DriftPPM: -500}}, nil, 0},
		{"the fastest node", []plan.Clock{{Process: 0, DriftPPM: 300}, {Process: 1, DriftPPM: 400}}, nil, 400},
		{"a client", []plan.Clock{{Process: 2, DriftPPM: 300}}, []plan.Disruption{drift(2, 1000)}, 0},
		{"faster for a while", []plan.Clock{{Process: 1, DriftPPM: -300}}, []plan.Disruption{drift(1, 1000)}, 700},
		{"twice at once", nil, []plan.Disruption{drift(1, 1000), drift(0, 500), drift(1, 2000)}, 3000},
		{"slower does not count", nil, []plan.Disruption{drift(1, 1000), drift(1, -900)}, 1000},
		{"beyond any clock", []plan.Clock{{Process: 0, DriftPPM: 90_000}}, []plan.Disruption{drift(0, 64_000)}, plan.MaxDrift},
	} {
		p := &Plan{Cluster: ClusterPlan{Nodes: 2, Clients: 1}}
		p.World.Clocks, p.World.Disruptions = c.clocks, c.disruptions
		if got := p.drift(); got != c.want {
			t.Errorf("%s: %d ppm, want %d", c.name, got, c.want)
		}
	}
}
