package scenarios

import (
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// deposedLeader asks deposed leaders for records that they lack.
//
// A read of a deposed leader is wrong only if a client asks it while others go on with the next
// leader. An ordinary client turns to another node after some milliseconds. So one client of this
// story is loyal and only asks the node that is cut off:
//
//  1. when the cut begins, since a request on its way then may arrive when the cut ends;
//  2. when the cut ends, since the next leader has acknowledged changes by then.
//
// The nodes are cut off in turn, so that a process leads, is deposed, has a tail of its log cut
// off, and leads again.
var deposedLeader = &Scenario{
	Name:   "deposed-leader",
	Story:  "who leads is cut off from the other nodes, and not from clients, or its machine sleeps; another one leads, and is cut off in its turn, until the first one leads again; some clients keep asking those who were deposed, and nobody shows what is old",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.replicated(p, 3)
		s, w := &p.Cluster.Topology, &p.Workload
		s.Silence, s.Slow = d.between("silence", 0, 100, 120)*millisecond, d.log("slow", 0, 100*millisecond, 400*millisecond)
		first := &p.Cluster.Tenants[0]
		first.Slots, first.Shards = 1, []lineage.Shard{0}
		for i := range p.Cluster.Tenants { // a refusal shows nothing here
			p.Cluster.Tenants[i].Config.Limits = tenant.Limits{Rate: 100_000}
		}
		p.Cluster.Clients, p.Cluster.Constants.MaxSessions = 3, 3
		w.Entities, w.Hot, w.ReadPermille, w.Concurrency = d.between("few entities", 0, 1, 2), 900, 150, 1
		w.PutPermille, w.DeletePermille = 0, 0
		w.Bound = d.log("short bound", 0, 4*millisecond, 32*millisecond)
		w.Think = d.log("think of those who go on", 0, 16*millisecond, 32*millisecond)
		w.Loyal = &Loyal{
			Clients: 1, Reads: 160, Every: d.log("loyal every", 0, millisecond, 4*millisecond),
			Around: d.between("loyal around", 0, 12, 24) * millisecond, BoundedPermille: d.between("loyal bounded", 0, 100, 500),
		}
		if d.oneIn(3, "several under way", 0) { // then the tail that is cut off is longer
			w.Concurrency = 4
		}
		if d.oneIn(3, "nothing but bounded", 0) { // a read that waits for a confirmation would hold up the next one
			w.Loyal.BoundedPermille = 1000
		}
		w.Operations = int(d.takeTurns(p) / w.Think)
	},
}

// turns is how often a node is cut off: enough for the first to lead again and to be cut off
// once more.
const turns = 4

// takeTurns cuts nodes off in turn, or lets their machines sleep, each until another one has led for
// a while, and returns when the last of these disruptions is over.
func (d *draw) takeTurns(p *Plan) int64 {
	s := &p.Cluster.Topology
	leader, at := uint32(s.Shards[0].Replicas[0]), d.between("first turn", 0, 100, 200)*millisecond
	for i := range turns {
		node := (leader + uint32(i)) % uint32(p.Cluster.Nodes)
		if d.oneIn(4, "other turn", i) {
			node = d.node(p, "turn", i)
		}
		f := plan.Disruption{Kind: plan.CutHold, Process: node, When: plan.Anchor{At: at}, For: d.between("turn for", i, 3*s.Silence, 4*s.Silence)}
		switch kind := d.between("turn kind", i, 0, 5); {
		case d.oneIn(4, "turn sleeps", i): // it learns of the next leader only when it is awake
			f.Kind = plan.Suspend
			p.World.Disruptions = append(p.World.Disruptions, f)
		case kind == 0:
			f.Kind, f.Amount = plan.SlowDisk, d.log("turn slower", i, 32, 256)
			p.World.Disruptions = append(p.World.Disruptions, f)
		default:
			if kind <= 2 {
				f.Kind = plan.CutDrop
			}
			for peer := range p.Cluster.Nodes { // its clients still reach it
				if f.Peer = int64(peer); uint32(peer) != node {
					p.World.Disruptions = append(p.World.Disruptions, f)
				}
			}
			d.stallsToo(p, i, f)
		}
		at += f.For + d.between("turn after", i, s.Silence, 3*s.Silence)
	}
	return at
}

// stallsToo, in one case of three, lets the disk of a node that is cut off stand still, or only
// its segments, until after the node is back. Then the node learns of the next epoch while a
// batch is under way, and has to cut records that it has not written yet.
func (d *draw) stallsToo(p *Plan, i int, cut plan.Disruption) {
	if !d.oneIn(3, "turn stalls", i) {
		return
	}
	f := plan.Disruption{
		Kind: plan.Stall, Process: cut.Process, When: cut.When, For: cut.For + d.log("turn stalls on", i, 4*millisecond, p.Cluster.Silence),
	}
	if d.oneIn(2, "turn stalls segments", i) {
		f.Files = ".seg"
	}
	p.World.Disruptions = append(p.World.Disruptions, f)
}
