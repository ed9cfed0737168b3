package control

import (
	"github.com/tidaldb/tidalsim/core/env"
)

// An operator drains a node to stop it without an interruption of service. Other nodes become
// leaders of its shards, it leaves the in-sync sets, and another node becomes leader of the meta
// log. Its replicas stay and are kept up to date. One node is drained at a time.

// Draining returns the node that is being drained, nil if there is none.
func (p *Plane) Draining() *Node {
	for i := range p.nodes {
		if p.nodes[i].Draining {
			return &p.nodes[i]
		}
	}
	return nil
}

// IsDraining reports whether a node is being drained.
func (p *Plane) IsDraining(id env.ID) bool {
	n := p.Node(id)
	return n != nil && n.Draining
}

// Idle reports whether a node is in no in-sync set.
func (p *Plane) Idle(id env.ID) bool {
	for i := range p.shards {
		if _, holds := p.shards[i].holder(id); holds {
			return false
		}
	}
	return true
}

func namedNode(p *Plane, x *change) Refusal { return unless(p.Node(x.Node) != nil, UnknownNode) }

func notDrainingYet(p *Plane, x *change) Refusal { return unless(!p.IsDraining(x.Node), Already) }

func isDraining(p *Plane, x *change) Refusal { return unless(p.IsDraining(x.Node), Already) }

func nobodyDrains(p *Plane, x *change) Refusal {
	// Two drained nodes at once could leave a shard without a member to spare.
	//safety:one-drain-at-a-time false by=budget on=node-drain
	if n := p.Draining(); n != nil && n.ID != x.Node {
		return OtherDrains
	}
	return Done
}

// keepsMin: without the node, every shard keeps min members and one that can lead.
func keepsMin(p *Plane, x *change) Refusal {
	for i := range p.shards {
		s := &p.shards[i]
		if _, holds := s.holder(x.Node); !holds {
			continue
		}
		whole := 0
		for _, m := range s.InSync {
			if m.Node != x.Node && p.promotable(s, m) {
				whole++
			}
		}
		if len(s.InSync)-1 < s.Min || whole == 0 {
			return BelowMin
		}
	}
	return Done
}

func joinsWithDuties(p *Plane, x *change) Refusal {
	return unless(!p.IsDraining(x.Member.Node), IsDraining)
}

func entersWithDuties(p *Plane, x *change) Refusal { return unless(!p.IsDraining(x.In), IsDraining) }

func drain(p *Plane, x *change) {
	n := p.Node(x.Node)
	n.Draining, n.Index = true, x.index
}

func undrain(p *Plane, x *change) {
	n := p.Node(x.Node)
	n.Draining, n.Index = false, x.index
}
