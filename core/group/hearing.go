package group

import (
	"math"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
)

// This file detects a leader that cannot serve although it runs: it hears no member, or its disk
// makes nothing durable. A deaf leader finds all members silent. A leader with a stalled disk still
// sends messages. Without these checks, either would keep its shard for ever.

// Deaf sets whether the node has missed the meta log recently. A deaf leader does not remove silent
// members. When it hears again, every member gets a whole Silence to answer. A node that learns of
// its leadership only when it hears again needs no such wait: it has heard the members all along.
func (g *Group) Deaf(e env.Env, deaf bool) {
	leads := g.role == Leading
	for i := range g.peers {
		if leads && g.ledDeaf && !deaf {
			g.peers[i].answered = e.Now()
		}
	}
	g.deaf, g.ledDeaf = deaf, leads && deaf
}

// bound returns how long a member may be silent, or lack a record, before the leader asks for its
// removal. A leader that hears none of several members is more likely deaf than alone, so it waits
// longer: the coordinator gets time to elect another leader.
func (g *Group) bound(e env.Env, usual env.Duration) env.Duration {
	switch {
	case g.deaf:
		return math.MaxInt64
	case g.hearsNobody(e):
		return usual + 2*g.patience.Silence
	}
	return usual
}

// HearsNobody reports whether the node leads and none of its other members, at least two, has
// answered recently.
func (g *Group) HearsNobody(e env.Env) bool { return g.role == Leading && g.hearsNobody(e) }

// hearsNobody reports whether none of at least two other members has answered recently.
func (g *Group) hearsNobody(e env.Env) bool {
	others := 0
	for _, m := range g.known.InSync {
		i := g.peerOf(m.Node)
		if i < 0 {
			continue
		}
		if others++; e.Now().Sub(g.peers[i].answered) < g.patience.Silence {
			return false
		}
	}
	return others > 1
}

// notYet answers a leader while its epoch is not durable here yet, in the epoch that is. The answer
// proves that this node hears the leader, even if its disk needs longer than the leader's patience.
func (g *Group) notYet(e env.Env, from env.ID, m peer.ShardMessage) {
	if ask, asks := m.(*peer.Confirm); asks {
		g.confirmTo(e, from, ask)
	}
}

// Trouble returns how long ago the members last confirmed the leader, and how long its disk has
// made no pending record durable. Both are zero if the node is not the leader, or if its set is
// being reformed.
func (g *Group) Trouble(e env.Env) (unconfirmed, unsynced env.Duration) {
	if g.known.Index == 0 || g.known.Leader != g.self || g.known.Epoch < max(g.epoch, g.wanted) || g.known.Reformed {
		return 0, 0
	}
	now := e.Now()
	if g.role != Leading { // its epoch is not durable yet
		return 0, now.Sub(g.named)
	}
	unconfirmed = now.Sub(g.named)
	if g.isSole {
		unconfirmed = min(unconfirmed, now.Sub(g.sole))
	}
	for i := g.restless.next(0); i >= 0; i = g.restless.next(i + 1) {
		s := &g.slots[i]
		switch {
		case s.r.Phase() == replica.Stopped:
		case s.r.Leads() && s.r.Durable() != s.r.End():
			unsynced = max(unsynced, now.Sub(s.marks.of(s.r.Durable().Next())))
		case !s.r.Leads() && !s.ends:
			unsynced = max(unsynced, now.Sub(g.named))
		}
	}
	return unconfirmed, unsynced
}
