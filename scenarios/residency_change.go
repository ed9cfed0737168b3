package scenarios

import (
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// residencyChange lets operators widen and narrow where tenants may be.
var residencyChange = &Scenario{
	Name:   "residency-change",
	Story:  "eight nodes in two regions; operators widen and narrow where tenants may be while clients work on them, and nodes crash, lose their disks, are cut off, or are away until another node takes their place; a residency that forbids a region with bytes of the tenant is refused, and one that an operator was told of holds for every byte, on the disks of nodes that are down too",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 8)
		d.twoRegions(p)
		d.residents(p)
		p.Workload.Operations = p.Workload.Operations * 3 / 2
		p.Workload.Operators = append(p.Workload.Operators, OperatorPlan{Commands: d.residencies(p, 0, 3, 8)})
		if d.oneIn(2, "rival", 0) {
			p.Workload.Operators = append(p.Workload.Operators, OperatorPlan{Commands: d.residencies(p, 1, 2, 6)})
		}
		d.pauses(p)
		d.afterwards(p)
		p.World.Rates = crashRates(d)
		for i := range int(d.between("faults", 0, 1, 3)) {
			d.residencyFault(p, i)
		}
		if d.oneIn(2, "long absence", 0) {
			d.longAbsence(p)
		}
	},
}

// The regions of the scenario. No node is in the third one.
const (
	east  tenant.Region = "east"
	west  tenant.Region = "west"
	north tenant.Region = "north"
)

// twoRegions puts four nodes into each of two regions. Every shard has three replicas in one of
// them, so that one node there can take the place of another. Both regions have a shard.
func (d *draw) twoRegions(p *Plan) {
	s, regions := &p.Cluster.Topology, [...]tenant.Region{east, west}
	for i := range s.Regions {
		s.Regions[i] = regions[i/4]
	}
	s.Meta = []env.ID{0, 1, 4}
	if d.oneIn(2, "five members", 1) {
		s.Meta = []env.ID{0, 1, 2, 4, 5}
	}
	first := int(d.between("first region", 0, 0, 1))
	for i := range s.Shards {
		region, at := (first+i)%2, int(d.between("first in region", i, 0, 3))
		s.Shards[i] = control.ShardConfig{ID: lineage.Shard(i), Region: regions[region]}
		for r := range 3 {
			s.Shards[i].Replicas = append(s.Shards[i].Replicas, env.ID(region*4+(at+r)%4))
		}
	}
}

// residents draws where the tenants may be at first. Some tenants have slots in both regions.
func (d *draw) residents(p *Plan) {
	shards := p.Cluster.Shards
	for i := range p.Cluster.Tenants {
		t := &p.Cluster.Tenants[i]
		if t.Slots == 1 && d.oneIn(3, "two slots", i) {
			t.Slots, t.Shards = 2, append(t.Shards, shards[(i+1)%len(shards)].ID)
			if l := &t.Config.Limits; l.Burst > 0 {
				l.Burst = max(l.Burst, 2)
			}
		}
		t.Node = shards[t.Shards[0]].Replicas[0]
		switch d.between("first residency", i, 0, 2) {
		case 0:
			t.Config.Residency = p.homes(t)
		case 1:
			t.Config.Residency = tenant.Residency{east, west}
		}
	}
}

// homes returns the least residency that permits where a tenant's slots are.
func (p *Plan) homes(t *TenantPlan) (r tenant.Residency) {
	for _, id := range t.Shards {
		if region := p.Cluster.Shards[id].Region; len(r) == 0 || !r.Permits(region) {
			r = append(r, region)
		}
	}
	return r
}

// residencies draws the commands of an operator. Most of them narrow a residency as far as the
// tenant's slots permit, or widen it. The others forbid a region where a slot is, and must be
// refused. Most commands leave the limits as they are.
func (d *draw) residencies(p *Plan, operator int, least, most int64) (commands []CommandPlan) {
	for i := range int(d.between("residencies", operator, least, most)) {
		n := operator*100 + i
		place := int(d.between("resident", n, 0, int64(len(p.Cluster.Tenants)-1)))
		t := &p.Cluster.Tenants[place]
		r := d.residency(p, t, n)
		c := CommandPlan{Kind: "configure", Tenant: place, Step: d.between("versions", n, 1, 2), Limits: t.Config.Limits, Residency: &r}
		if d.oneIn(4, "other limits", n) {
			c.Limits = d.generous("limits", n)
		}
		commands = append(commands, c)
	}
	return commands
}

// residency draws the residency of a command.
func (d *draw) residency(p *Plan, t *TenantPlan, i int) tenant.Residency {
	homes := p.homes(t)
	switch d.between("residency", i, 0, 7) {
	case 0:
		return tenant.Residency{}
	case 1:
		return tenant.Residency{east, west}
	case 2: // a region that has no nodes yet
		return append(homes, north)
	case 3:
		return tenant.Residency{homes[0]} // a slot may be in the other one
	case 4:
		if homes[0] == east {
			return tenant.Residency{west}
		}
		return tenant.Residency{east}
	}
	return homes
}

// afterwards postpones the last commands in some seeds, until after a replica may have been
// replaced.
func (d *draw) afterwards(p *Plan) {
	for i, o := range p.Workload.Operators {
		if d.oneIn(2, "afterwards", i) {
			o.Commands[len(o.Commands)-1].Think += d.between("afterwards by", i, second, 4*second)
		}
	}
}

// residencyFault draws a disruption: a crash, a cut, or the loss of a disk.
func (d *draw) residencyFault(p *Plan, i int) {
	f := plan.Disruption{Kind: plan.Kill, Process: d.node(p, "crash node", i), When: d.amidLife(p, i), For: d.log("down", i, millisecond, 1024*millisecond)}
	kind := d.between("fault", i, 0, 4)
	if i == 0 { // it is sure to come
		kind = min(kind, 3)
	}
	switch kind {
	case 0:
		f.Kind = plan.Power
	case 1:
		f.Kind, f.Peer = plan.CutDrop, -1
	case 2:
		f.Kind, f.Peer = plan.CutDrop, (int64(f.Process)+d.between("cut from", i, 1, int64(p.Cluster.Nodes-1)))%int64(p.Cluster.Nodes)
	case 4:
		f.Kind, f.When = d.lossKind(i), plan.Anchor{At: settledBy + d.between("lost at", i, 0, span(p))}
	}
	p.World.Disruptions = append(p.World.Disruptions, f)
}

// longAbsence keeps a node away until another one has taken its place. The node comes back with
// the bytes of the shards that it had, or it loses its disk as well.
func (d *draw) longAbsence(p *Plan) {
	p.Cluster.Replace = d.log("replaced after", 0, 400*millisecond, second)
	away := plan.Disruption{
		Kind: plan.Power, Process: d.node(p, "absent", 0), When: plan.Anchor{At: settledBy + d.between("absent at", 0, 0, span(p)/4)},
		For: d.between("away", 0, 1500*millisecond, 6*second),
	}
	if d.oneIn(3, "cut off", 0) {
		away.Kind, away.Peer = plan.CutDrop, -1
	}
	p.World.Disruptions = append(p.World.Disruptions, away)
}
