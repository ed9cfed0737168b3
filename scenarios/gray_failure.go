package scenarios

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// grayFailure hurts one node at a time, in a way that others do not notice at once.
var grayFailure = &Scenario{
	Name:   "gray-failure",
	Story:  "one node at a time is deaf, mute, slow, stalled or paused, the leader of a shard, a follower or the leader of the meta log, or one link of a leader is cut; another one takes over, writes and linearizable reads stop for a few detection bounds at most, and no healthy member is removed by a node that hears nothing",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3+2*int(d.between("two more nodes", 0, 0, 1)))
		p.Workload.Think = d.log("steady think", 0, 8*millisecond, 16*millisecond)
		for i := range p.Cluster.Tenants { // a refusal shows nothing here
			p.Cluster.Tenants[i].Config.Limits = tenant.Limits{Rate: 100_000}
		}
		// A write waits at any time, so that a pause is seen from its beginning.
		p.Workload.ReadPermille = min(p.Workload.ReadPermille, 400)
		p.Workload.Operations = int(min(int64(p.Workload.Operations), 4*second/p.Workload.Think))
		d.hurt(p, d.grayVictim(p))
	},
}

// grayVictim draws the node that is hurt: a leader of a shard at the beginning, a member of the
// meta log, or any node.
func (d *draw) grayVictim(p *Plan) uint32 {
	s := &p.Cluster.Topology
	switch d.between("gray victim", 0, 0, 3) {
	case 0:
		return uint32(s.Meta[d.between("gray member", 0, 0, int64(len(s.Meta)-1))])
	case 1:
		return d.node(p, "gray node", 0)
	}
	return uint32(s.Shards[d.between("gray shard", 0, 0, int64(len(s.Shards)-1))].Replicas[0])
}

// hurt hurts a node, for long enough that others have to go on without it.
func (d *draw) hurt(p *Plan, victim uint32) {
	f := plan.Disruption{
		Process: victim, For: d.log("gray for", 0, 512*millisecond, 4096*millisecond),
		When: plan.Anchor{At: d.between("gray at", 0, 400*millisecond, 1000*millisecond)},
	}
	if d.oneIn(3, "gray leader of the meta log", 0) { // it leads when it is hurt
		f.When = plan.Anchor{Point: fault.Name(fault.MetaLeading), At: foundedBy, After: d.log("gray after", 0, millisecond, 512*millisecond), By: 1000 * millisecond}
	}
	kind := d.between("gray kind", 0, 0, 7)
	if d.oneIn(6, "gray link", 0) {
		kind = 8
	}
	switch kind {
	case 0, 1:
		d.cutFrom(p, f, plan.CutInto)
	case 2:
		d.cutFrom(p, f, plan.CutOutOf)
	case 3, 4:
		f.Kind = plan.Stall
		p.World.Disruptions = append(p.World.Disruptions, f)
	case 5:
		f.Kind, f.Amount = plan.SlowDisk, d.log("gray slower", 0, 8, 512)
		p.World.Disruptions = append(p.World.Disruptions, f)
	case 6:
		f.Kind = plan.Pause
		p.World.Disruptions = append(p.World.Disruptions, f)
	case 7:
		f.Kind = plan.CutInto
		d.cutFromShard(p, f)
	case 8:
		d.cutFromMember(p, f)
	}
}

// cutFrom makes a node deaf or mute: to all, or to all nodes, so that clients still reach it.
func (d *draw) cutFrom(p *Plan, f plan.Disruption, kind plan.Kind) {
	f.Kind, f.Peer = kind, -1
	if d.oneIn(2, "gray clients too", 0) {
		p.World.Disruptions = append(p.World.Disruptions, f)
		return
	}
	for peer := range p.Cluster.Nodes {
		if uint32(peer) != f.Process {
			f.Peer = int64(peer)
			p.World.Disruptions = append(p.World.Disruptions, f)
		}
	}
}

// cutFromShard makes a node deaf to the other replicas of a shard that it holds, and to no other
// node: it may still hear the coordinator.
func (d *draw) cutFromShard(p *Plan, f plan.Disruption) {
	for i := range p.Cluster.Shards {
		replicas := p.Cluster.Shards[i].Replicas
		if replicas[0] != env.ID(f.Process) {
			continue
		}
		for _, peer := range replicas[1:] {
			f.Peer = int64(peer)
			p.World.Disruptions = append(p.World.Disruptions, f)
		}
		return
	}
	d.cutFrom(p, f, plan.CutInto)
}

// cutFromMember cuts the link between a node and one other replica of a shard that it leads at
// first: all others hear both.
func (d *draw) cutFromMember(p *Plan, f plan.Disruption) {
	kinds := []plan.Kind{plan.CutDrop, plan.CutInto, plan.CutOutOf, plan.Shut}
	f.Kind = kinds[d.between("gray link kind", 0, 0, int64(len(kinds)-1))]
	led := p.Cluster.Shards[0]
	for _, s := range p.Cluster.Shards {
		if s.Replicas[0] == env.ID(f.Process) {
			led = s
		}
	}
	f.Process = uint32(led.Replicas[0])
	f.Peer = int64(led.Replicas[d.between("gray link to", 0, 1, int64(len(led.Replicas)-1))])
	p.World.Disruptions = append(p.World.Disruptions, f)
}
