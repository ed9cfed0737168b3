package group

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/wire"
)

// This file ends duties while the shard goes on: a drained node leaves the in-sync set, and the
// logs of dropped tenants close.

// Drain sets whether a node is being drained. A drained node does not join the in-sync set, and the
// leader removes it as soon as enough other members are left.
func (g *Group) Drain(node env.ID, drains bool) {
	i := slices.Index(g.drains, node)
	switch {
	case drains && i < 0:
		g.drains = append(g.drains, node)
	case !drains && i >= 0:
		g.drains = slices.Delete(g.drains, i, i+1)
	}
}

// drained returns the member to remove because its node is being drained.
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

// heardBesides counts the in-sync members on nodes other than node that have answered recently in
// this epoch.
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

// End marks a log, by its number on the node, as one of a tenant that is being dropped. Operations
// under way complete and no new ones begin. A node that does not lead the log yet does not begin
// to.
func (g *Group) End(number int) {
	if s := g.at(number); s != nil {
		s.ends = true
		s.r.Close()
	}
}

// Ended reports whether the log of a dropped tenant has nothing under way here and never will.
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

// Ending reports whether End was called for a log.
func (g *Group) Ending(number int) bool {
	s := g.at(number)
	return s != nil && s.ends
}

// RemoveSlot removes a log from the group and refuses the reads that wait for it.
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
