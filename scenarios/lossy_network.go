package scenarios

import (
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// lossyNetwork makes clients repeat requests and nodes see them repeated.
var lossyNetwork = &Scenario{
	Name:   "lossy-network",
	Story:  "messages are lost, doubled, late and damaged, and links are cut for a while; every request is applied at most once",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.base(p)
		d.slots(p)
		if d.oneIn(2, "refusals", 0) { // copies of refused requests come when there are tokens again
			for i := range p.Cluster.Tenants {
				p.Cluster.Tenants[i].Config.Limits.Rate = uint64(d.log("refusing rate", i, 200, 1600))
				p.Cluster.Tenants[i].Config.Limits.Burst = uint64(d.between("refusing burst", i, 1, 4))
			}
		}
		p.World.Rates[chance.NetLoss] = d.swarm(chance.NetLoss, 1000, 200_000)
		p.World.Rates[chance.NetDuplicate] = d.swarm(chance.NetDuplicate, 1000, 300_000)
		p.World.Rates[chance.NetDelay] = d.swarm(chance.NetDelay, 1000, 300_000)
		p.World.Rates[chance.NetCorrupt] = d.swarm(chance.NetCorrupt, 1000, 50_000)
		p.World.Network.MaxDelay = d.log("max delay", 0, millisecond, 64*millisecond)
		for i := range int(d.between("cuts", 0, 1, 4)) {
			p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
				Kind:    []plan.Kind{plan.CutDrop, plan.CutHold, plan.CutInto}[d.between("cut", i, 0, 2)],
				Process: d.node(p, "cut node", i), Peer: -1,
				When: plan.Anchor{At: d.between("cut at", i, 0, span(p))},
				For:  d.log("cut for", i, millisecond, 128*millisecond),
			})
		}
	},
}
