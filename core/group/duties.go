package group

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/wire"
)

// What ends while the shard goes on: a node's duties in it, and logs of tenants that are
// dropped.

// Drain says whether a node is to be in no set: then it does not join, and the leader
// removes it while enough others are left.
func (g *Group) Drain(node env.ID, drains bool) {
	i := slices.Index(g.drains, node)
	switch {
	case drains && i < 0:
		g.drains = append(g.drains, node)
	case !drains && i >= 0:
		g.drains = slices.Delete(g.drains, i, i+1)
	}
}

// drained returns the member that is to leave because its node is drained.
func (g *Group) drained(e env.Env, o *other) (control.Member, bool) {
	if !slices.Contains(g.drains, o.node) {
		return control.Member{}, false
	}
	// The members that stay after a drain must be enough to commit. A member that is gone but not
	// yet removed does not count as one of them.
	//safety:drained-leaves-those-that-answer false by=availability on=drain-cancel
	if g.heardBesides(e, o.node) < g.known.Min {
		return control.Member{}, false
	}
	for _, m := range g.known.InSync {
		if m.Node == o.node {
			return m, true
		}
	}
	return control.Member{}, false
}

// heardBesides counts the members in sync on other nodes than one that have answered lately
// in this epoch.
func (g *Group) heardBesides(e env.Env, node env.ID) (heard int) {
	for _, m := range g.known.InSync {
		switch i := g.peerOf(m.Node); {
		case m.Node == node:
		case m == g.self:
			heard++
		case i >= 0 && g.peers[i].spoke && g.peers[i].member() == m && e.Now().Sub(g.peers[i].answered) < g.patience.Silence/2:
			heard++
		}
	}
	return heard
}

// End says that a log, by its number on the node, belongs to a tenant that is dropped.
// What is under way in it goes on, and nothing begins: who does not sequence it does not
// begin to.
func (g *Group) End(number int) {
	if s := g.at(number); s != nil {
		s.ends = true
		s.r.Close()
	}
}

// Ended reports whether nothing of such a log is under way here, and never will be.
func (g *Group) Ended(number int) bool {
	s := g.at(number)
	if s == nil || !s.ends || g.role != Leading {
		return false
	}
	if !s.r.Leads() || s.r.Phase() == replica.Stopped {
		return true
	}
	return s.r.Waiting() == 0 && s.r.End() == s.r.State().Position
}

// Ending reports whether End was said of a log.
func (g *Group) Ending(number int) bool {
	s := g.at(number)
	return s != nil && s.ends
}

// RemoveSlot forgets a log; reads of it that wait are refused.
func (g *Group) RemoveSlot(number int) {
	at, found := slices.BinarySearch(g.numbers, number)
	if !found {
		return
	}
	g.changes++
	kept := g.reads.waiting[:0]
	for i := range g.reads.waiting {
		switch r := g.reads.waiting[i]; {
		case r.slot != at:
			if r.slot > at {
				r.slot--
			}
			kept = append(kept, r)
		case !r.remote:
			g.owner.AnswerRead(number, &r, wire.UnknownTenant)
		}
	}
	g.reads.waiting = kept
	g.remove(at)
	if g.gather.chosen {
		g.gather.sources, g.gather.targets = slices.Delete(g.gather.sources, at, at+1), slices.Delete(g.gather.targets, at, at+1)
	}
}
