package scenarios

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// smoke is for a first look: an ordinary workload and one crash.
var smoke = &Scenario{
	Name:   "smoke",
	Story:  "three tenants on three nodes, one of which loses power once in the middle of its work",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.base(p)
		d.slots(p)
		kind := plan.Power
		if d.oneIn(2, "kill", 0) {
			kind = plan.Kill
		}
		points := []env.Point{fault.BatchSubmitting, fault.BatchDurable, fault.AckSending}
		node := d.node(p, "node", 0)
		p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
			Kind: kind, Process: node, For: d.log("down", 0, millisecond, 64*millisecond),
			When: plan.Anchor{Point: fault.Name(points[d.between("point", 0, 0, 2)]), Nth: uint32(d.log("nth", 0, 1, 4)),
				By: span(p) / 2, After: d.between("after", 0, 0, 1) * d.log("after", 1, 10*microsecond, 640*microsecond)},
		})
		if kind == plan.Power {
			p.World.Rates = crashRates(d)
		}
	},
}
