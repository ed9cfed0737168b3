package scenarios

import (
	"github.com/tidaldb/tidalsim/sim/plan"
)

// clockTrouble lets clocks drift, step and stop. In half of its seeds the
// monotonic clock steps back, which real ones never do: the profile
// broken-monotonic, in which clamps are proved.
var clockTrouble = &Scenario{
	Name:   "clock-trouble",
	Story:  "clocks drift, step and stop, and in half of the seeds the monotonic clock steps back; no limit is exceeded by it",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.base(p)
		for i := range p.Cluster.Nodes + p.Cluster.Clients {
			p.World.Clocks = append(p.World.Clocks, plan.Clock{
				Process: uint32(i), DriftPPM: d.between("drift", i, -500, 500), Wall: d.between("wall", i, -second, second),
			})
		}
		kinds := []plan.Kind{plan.WallStep, plan.Pause}
		if d.oneIn(2, "broken-monotonic", 0) {
			kinds = []plan.Kind{plan.WallStep, plan.Pause, plan.MonoStep, plan.MonoStep}
		}
		for i := range int(d.between("troubles", 0, 2, 6)) {
			t := plan.Disruption{
				Kind:    kinds[d.between("trouble", i, 0, int64(len(kinds)-1))],
				Process: d.node(p, "trouble node", i),
				When:    plan.Anchor{At: d.between("trouble at", i, 0, span(p))},
				For:     d.log("trouble for", i, millisecond, 64*millisecond),
			}
			switch t.Kind {
			case plan.WallStep:
				t.Amount, t.For = d.between("wall step", i, -3600*second, 3600*second), 0
			case plan.MonoStep:
				t.Amount, t.For = d.log("step back", i, millisecond, 256*millisecond), 0
			}
			p.World.Disruptions = append(p.World.Disruptions, t)
		}
	},
}
