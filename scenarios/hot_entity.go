package scenarios

import (
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// hotEntity lets many clients meet on two entities, over a network that makes them
// repeat themselves.
var hotEntity = &Scenario{
	Name:   "hot-entity",
	Story:  "many clients work on two entities of one tenant, and the network makes them repeat their requests; one order explains every answer",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.base(p)
		p.Cluster.Clients = int(d.between("hot clients", 0, 6, 10))
		p.Cluster.Constants.MaxSessions = max(1, p.Cluster.Clients-int(d.between("hot evictions", 0, 0, 2)))
		p.Cluster.Tenants = p.Cluster.Tenants[:1]
		p.Workload.Operations = 480 / p.Cluster.Clients
		p.Workload.Concurrency = int(d.between("hot concurrency", 0, 1, 8))
		p.Workload.Think = d.log("hot think", 0, 50*microsecond, 800*microsecond)
		p.Workload.Entities, p.Workload.Hot = 2, 0
		p.World.Rates[chance.NetLoss] = uint32(d.log("hot loss", 0, 16_000, 128_000))
		p.World.Rates[chance.NetDuplicate] = d.swarm(chance.NetDuplicate, 1000, 300_000)
		p.World.Rates[chance.NetDelay] = d.swarm(chance.NetDelay, 1000, 300_000)
		p.World.Network.MaxDelay = d.log("hot delay", 0, millisecond, 64*millisecond)
		for i := range int(d.between("hot crashes", 0, 0, 2)) {
			kind := plan.Kill
			if d.oneIn(2, "hot power", i) {
				kind = plan.Power
			}
			p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
				Kind: kind, Process: uint32(p.Cluster.Tenants[0].Node), For: d.log("hot down", i, millisecond, 32*millisecond),
				When: d.moment(p, "hot crash", i, crashPoints()),
			})
		}
	},
}
