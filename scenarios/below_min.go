package scenarios

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// belowMin hurts one member after the other, each for longer than it takes to be removed, so
// that sets shrink to one; then the last one, while the others come back.
var belowMin = &Scenario{
	Name:   "below-min",
	Story:  "members are hurt one after the other until a set has one, and then that one, while the others come back; nothing is committed until a second one has joined, the member that left last leads if nobody else can, and a leader that was overruled shows nothing old",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 5)
		d.onThree(p)
		silence := d.log("silence", 0, 100*millisecond, 300*millisecond)
		p.Cluster.Silence = silence
		first := uint32(d.between("first", 0, 0, 2))
		second := (first + 1 + uint32(d.between("second", 0, 0, 1))) % 3
		last := 3 - first - second
		// The last one is hurt while it is alone in its sets. The others come back while it is
		// away, mostly; the second one may have to lead until then.
		start := d.between("first at", 0, foundedBy, max(foundedBy, span(p)/4))
		gone := start + d.between("second after", 0, silence/8, 2*silence)
		at := gone + silence + d.between("last after", 0, silence/4, 2*silence)
		d.away(p, 0, first, start, at-start+d.between("first back", 0, -silence/4, 4*silence))
		d.away(p, 1, second, gone, at-gone+d.between("second back", 0, -silence/8, 2*silence))
		d.away(p, 2, last, at, 3*silence+d.between("last for", 0, 0, 6*silence))
		if d.oneIn(4, "amid a join", 0) {
			p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
				Kind: plan.Kill, Process: second, For: d.log("joiner down", 0, millisecond, silence),
				When: plan.Anchor{Point: fault.Name(fault.MemberPending), Of: plan.Other(last), At: foundedBy, By: at},
			})
		}
	},
}

// onThree puts all replicas on nodes 0 to 2, and most members of the meta log on others: it
// goes on while the nodes with replicas are hurt.
func (d *draw) onThree(p *Plan) {
	s := &p.Cluster.Topology
	s.Meta = []env.ID{env.ID(d.between("member with replicas", 0, 0, 2)), 3, 4}
	if d.oneIn(3, "five members", 1) {
		s.Meta = []env.ID{0, 1, 2, 3, 4}
	}
	for i := range s.Shards {
		leads := d.between("leads", i, 0, 2)
		for r := range s.Shards[i].Replicas {
			s.Shards[i].Replicas[r] = env.ID((leads + int64(r)) % 3)
		}
	}
	for i := range p.Cluster.Tenants {
		p.Cluster.Tenants[i].Node = s.Shards[i%3].Replicas[0]
	}
}

// away takes a node away from the others for a time: it is stopped, or it stands still, or
// it is cut off from the other nodes, with its clients or without them.
func (d *draw) away(p *Plan, i int, node uint32, at, long int64) {
	f := plan.Disruption{Kind: plan.CutDrop, Process: node, Peer: -1, When: plan.Anchor{At: at}, For: long}
	switch d.between("away how", i, 0, 5) {
	case 0:
		f.Kind = plan.Power
	case 1:
		f.Kind = plan.Pause
	case 2: // clients are cut off too
	default:
		if d.oneIn(3, "away held", i) {
			f.Kind = plan.CutHold
		}
		for peer := range p.Cluster.Nodes {
			if uint32(peer) != node {
				f.Peer = int64(peer)
				p.World.Disruptions = append(p.World.Disruptions, f)
			}
		}
		return
	}
	p.World.Disruptions = append(p.World.Disruptions, f)
}
