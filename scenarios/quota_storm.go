package scenarios

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// quotaStorm is a noisy neighbour on the node that two steady tenants share with
// it: it offers a hundred thousand signals per second, twenty times its quota and
// more.
var quotaStorm = &Scenario{
	Name:   "quota-storm",
	Story:  "one tenant offers 100,000 signals per second on a node that it shares with two steady ones; every limit is exact, and refusals come at once",
	Faulty: false,
	draw: func(d *draw, p *Plan) {
		d.base(p)
		d.caps(p)
		p.Workload.Entities = max(2, p.Workload.Entities)
		p.Workload.PutPermille, p.Workload.DeletePermille = d.log("storm put", 0, 20, 320), d.log("storm delete", 0, 20, 320)
		p.Cluster.Nodes = 1
		for i := range p.Cluster.Tenants {
			p.Cluster.Tenants[i].Node = 0
		}
		storm := &Storm{
			Tenant: 0, Clients: 16, Rate: 100_000,
			From: d.between("storm from", 0, millisecond, 4*millisecond), For: d.between("storm for", 0, 10*millisecond, 20*millisecond),
		}
		p.Workload.Storm = storm
		p.Workload.Operations = max(160, p.Workload.Operations/2)
		if d.oneIn(2, "slow node", 0) { // work that is admitted takes its time; refusals do not
			p.Cluster.Constants.Costs.Check = env.Microsecond
			p.Cluster.Constants.Costs.Append = env.Duration(d.log("slow append", 0, 20*microsecond, 80*microsecond))
		}
		p.Workload.Think = min(p.Workload.Think, 400*microsecond)
		p.Cluster.Clients += storm.Clients
		p.Cluster.Constants.MaxSessions = p.Cluster.Clients
		p.Cluster.Tenants[0].Config.Limits = tenant.Limits{
			Rate: uint64(d.log("storm rate", 0, 640, 5120)), Burst: uint64(d.log("storm burst", 0, 1, 64)),
			Entities: p.Cluster.Tenants[0].Config.Limits.Entities, Bytes: p.Cluster.Tenants[0].Config.Limits.Bytes,
		}
		p.World.Network.Latency = d.between("storm latency", 0, 50, 150) * microsecond
		if d.oneIn(2, "storm pause", 0) {
			p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
				Kind: plan.Pause, Process: 0, For: d.log("storm pause for", 0, 250*microsecond, 4*millisecond),
				When: plan.Anchor{At: storm.From + d.between("storm pause at", 0, 0, storm.For)},
			})
		}
	},
}
