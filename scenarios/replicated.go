package scenarios

import (
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// replicated draws the common part of the scenarios of replica groups: some nodes, three shards
// with a replica on three of them, a tenant or more in each, and readers at every level.
func (d *draw) replicated(p *Plan, nodes int) {
	d.cluster(p)
	d.workload(p)
	if d.oneIn(4, "caps", 0) {
		d.caps(p)
	}
	p.Cluster.Nodes = nodes
	d.share(p, 3)
	w := &p.Workload
	w.SessionPermille = d.between("session reads", 0, 0, 400)
	w.BoundedPermille = d.between("bounded reads", 0, 0, 200)
	w.AnywherePermille = d.between("reads anywhere", 0, 0, 300)
	w.Bound = d.log("bound", 0, 10*millisecond, 640*millisecond)
	d.world(p)
	p.World.Duration, p.World.Calm = 10*second, 40*second
	d.portions(p)
}

// portions splits the records that a replica lacks into many messages. Each of them may be late,
// lost or overtaken by a later decision.
func (d *draw) portions(p *Plan) {
	if c := &p.Cluster.Constants; d.oneIn(2, "portions", 0) {
		c.ShipBytes, c.ChunkBytes = int(d.log("ship", 0, 512, 8192)), int(d.log("chunk", 0, 64, 4096))
	}
}

// share makes replica groups of so many nodes each.
func (d *draw) share(p *Plan, replicas int) {
	s := &Topology{Silence: int64(300 * env.Millisecond), Replace: 5 * second, Slow: int64(600 * env.Millisecond)}
	for i := range p.Cluster.Nodes {
		s.Regions = append(s.Regions, "home")
		if i < 3 || p.Cluster.Nodes >= 5 && i < 5 && d.oneIn(3, "five members", 0) {
			s.Meta = append(s.Meta, env.ID(i))
		}
	}
	for shard := range 3 {
		c := control.ShardConfig{ID: lineage.Shard(shard), Region: "home"}
		first := int(d.between("first replica", shard, 0, int64(p.Cluster.Nodes-1)))
		for i := range replicas {
			c.Replicas = append(c.Replicas, env.ID((first+i)%p.Cluster.Nodes))
		}
		s.Shards = append(s.Shards, c)
	}
	for i := range p.Cluster.Tenants {
		t := &p.Cluster.Tenants[i]
		t.Slots = 1
		if d.oneIn(4, "slots", i) {
			t.Slots = int(d.between("slots", i+1000, 2, 3))
		}
		if l := &t.Config.Limits; l.Burst > 0 {
			l.Burst = max(l.Burst, uint64(t.Slots)) // less than one operation for a slot is refused
		}
		for slot := range t.Slots {
			t.Shards = append(t.Shards, lineage.Shard((i+slot)%3))
		}
		t.Node = s.Shards[i%3].Replicas[0]
	}
	p.Cluster.Topology = *s
}

// sharedSmoke is the least that a change must not break of replica groups.
var sharedSmoke = &Scenario{
	Name:  "shared-smoke",
	Story: "three nodes, three shards with three replicas each, no faults; everything is answered, and all replicas are equal",
	draw: func(d *draw, p *Plan) {
		d.replicated(p, 3)
		p.World.Disruptions = []plan.Disruption{}
	},
}

// alone makes shards with one replica each: shard i is on node i. The control plane is on node 0.
func (p *Plan) alone() {
	s := &Topology{Silence: int64(300 * env.Millisecond), Replace: 5 * second, Slow: int64(600 * env.Millisecond)}
	s.Meta = []env.ID{0}
	for i := range p.Cluster.Nodes {
		id := env.ID(i)
		s.Regions = append(s.Regions, "home")
		s.Shards = append(s.Shards, control.ShardConfig{ID: lineage.Shard(i), Region: "home", Replicas: []env.ID{id}})
	}
	for i := range p.Cluster.Tenants {
		t := &p.Cluster.Tenants[i]
		t.Slots = max(1, t.Slots)
		if l := &t.Config.Limits; l.Burst > 0 {
			l.Burst = max(l.Burst, uint64(t.Slots)) // less than one operation for a slot is refused
		}
		for range t.Slots {
			t.Shards = append(t.Shards, lineage.Shard(t.Node))
		}
	}
	p.Cluster.Topology = *s
}
