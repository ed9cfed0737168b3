package scenarios

import (
	"github.com/tidaldb/tidalsim/sim/plan"
)

// clockTrouble lets clocks drift, run at another rate for a while, step and stop. In
// half of its seeds the monotonic clock steps back, which real ones never do: the
// profile broken-monotonic, in which clamps are proved.
var clockTrouble = &Scenario{
	Name:   "clock-trouble",
	Story:  "clocks drift, run faster or slower for a while, step and stop, and in half of the seeds the monotonic clock steps back; no limit is exceeded by it",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.base(p)
		for i := range p.Cluster.Nodes + p.Cluster.Clients {
			p.World.Clocks = append(p.World.Clocks, plan.Clock{
				Process: uint32(i), DriftPPM: d.between("drift", i, -500, 500), Wall: d.between("wall", i, -second, second),
			})
		}
		kinds := d.clockKinds()
		for i := range int(d.between("troubles", 0, 2, 6)) {
			kind := kinds[d.between("trouble", i, 0, int64(len(kinds)-1))]
			p.World.Disruptions = append(p.World.Disruptions, d.clock(p, i, kind))
		}
	},
}

// clockKinds draws which kinds of trouble a seed has: each is off in half of them.
func (d *draw) clockKinds() (kinds []plan.Kind) {
	for i, kind := range []plan.Kind{plan.WallStep, plan.Pause, plan.Drift} {
		if d.oneIn(2, "kind", i) {
			kinds = append(kinds, kind)
		}
	}
	if d.oneIn(2, "broken-monotonic", 0) {
		kinds = append(kinds, plan.MonoStep, plan.MonoStep)
	}
	if len(kinds) == 0 {
		kinds = []plan.Kind{plan.WallStep, plan.Pause, plan.Drift}
	}
	return kinds
}

// clock draws one trouble. Drifts are beyond the tolerance for clocks, and may overlap.
func (d *draw) clock(p *Plan, i int, kind plan.Kind) plan.Disruption {
	t := plan.Disruption{Kind: kind, Process: d.node(p, "trouble node", i), When: plan.Anchor{At: d.between("trouble at", i, 0, span(p))}}
	switch kind {
	case plan.WallStep:
		t.Amount = d.between("wall step", i, -3600*second, 3600*second)
	case plan.MonoStep:
		t.Amount = d.log("step back", i, millisecond, 256*millisecond)
	case plan.Pause:
		t.For = d.log("trouble for", i, millisecond, 64*millisecond)
	case plan.Drift:
		t.For = d.log("drift for", i, 4*millisecond, 512*millisecond)
		t.Amount = d.log("drift by", i, 1000, 64_000) * (1 - 2*d.between("drift slower", i, 0, 1))
	}
	return t
}
