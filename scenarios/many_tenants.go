package scenarios

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// manyTenants puts two thousand tenants on one node, which fails in the middle of
// its work and opens them all again.
var manyTenants = &Scenario{
	Name:   "many-tenants",
	Story:  "two thousand tenants share one node, which dies and opens them all again; each is an island",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.base(p)
		p.Cluster.Nodes = 1
		p.Cluster.Tenants = make([]TenantPlan, 2000)
		for i := range p.Cluster.Tenants {
			p.Cluster.Tenants[i] = TenantPlan{Config: tenant.Config{
				ID: tenant.ID(i), Version: 1, Limits: tenant.Limits{Rate: uint64(d.log("rate", i, 100, 102_400))},
			}}
		}
		p.Workload.Operations = 1200 / p.Cluster.Clients
		p.Workload.Think = d.log("think", 0, 50*microsecond, 400*microsecond)
		kind := plan.Kill
		if d.oneIn(2, "power", 0) {
			kind = plan.Power
			p.World.Rates = crashRates(d)
		}
		points := []env.Point{fault.BatchSubmitting, fault.BatchDurable, fault.AckSending, fault.SlotServing, fault.RecoverySyncing}
		p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
			Kind: kind, For: d.log("down", 0, millisecond, 64*millisecond),
			When: plan.Anchor{
				Point: fault.Name(points[d.between("point", 0, 0, int64(len(points)-1))]), Nth: uint32(d.log("nth", 0, 1, 2048)), By: span(p),
			},
		})
	},
}
