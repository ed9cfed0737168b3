package group

import (
	"math"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
)

// Whether the leader hears the others and they hear it, and whether its disk moves. A leader
// that is deaf finds all others silent; a leader whose disk stands still speaks all the while.
// Neither can serve, and both would keep their shard for ever.

// Deaf says whether the node has heard nothing of the meta log lately. Then the silence of
// others is no reason to remove them. When a leader hears again, all others get a whole Silence
// to answer. A node that learns of its own leadership as it hears again has heard the others all
// the while.
func (g *Group) Deaf(e env.Env, deaf bool) {
	leads := g.role == Leading
	for i := range g.peers {
		if leads && g.ledDeaf && !deaf {
			g.peers[i].answered = e.Now()
		}
	}
	g.deaf, g.ledDeaf = deaf, leads && deaf
}

// bound returns for how long a member may be silent, or lack a record, before the leader asks
// for its removal. A leader that hears none of several members leaves the coordinator the time
// to let another one lead: it is more likely deaf than they are all gone.
func (g *Group) bound(e env.Env, usual env.Duration) env.Duration {
	switch {
	case g.deaf:
		return math.MaxInt64
	case g.hearsNobody(e):
		return usual + 2*g.patience.Silence
	}
	return usual
}

// HearsNobody reports whether the node leads the shard, and no other member has answered it
// lately, of two at least.
func (g *Group) HearsNobody(e env.Env) bool { return g.role == Leading && g.hearsNobody(e) }

// hearsNobody reports whether no other member has answered lately, of two at least.
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

// notYet answers a leader whose epoch is not durable here yet, in the epoch that is: this node
// hears it, and its disk may need longer than a leader waits for an answer.
func (g *Group) notYet(e env.Env, from env.ID, m peer.ShardMessage) {
	if ask, asks := m.(*peer.Confirm); asks {
		g.confirmTo(e, from, ask)
	}
}

// Trouble returns how long ago the members confirmed last that the node leads, and for how
// long its disk has made nothing durable that is to be; nothing if the node is not to lead,
// or waits for the logs of a reformed set.
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
