package group

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/peer"
)

// This file returns the figures that a leader reports about its group.

// Numbers returns the numbers of the shard's logs on the node, in the order in which they were
// added.
func (g *Group) Numbers() []int {
	return slices.Clone(g.numbers)
}

// Changes counts how often a log was added or removed.
func (g *Group) Changes() uint64 { return g.changes }

// Sole returns how long ago the leader last confirmed that no node leads the shard in a higher
// epoch. The leader's figures are at most that old. It returns false if the leader has not
// confirmed it in this epoch.
func (g *Group) Sole(e env.Env) (env.Duration, bool) {
	return max(e.Now().Sub(g.sole), 0), g.role == Leading && g.isSole
}

// Others appends to dst the leader's figures about the other replicas. A replica's figure was true
// when the last round of confirmations began that the replica knew of when it answered; its age is
// counted from there. A replica that has the whole log needs only to have confirmed a later round.
func (g *Group) Others(e env.Env, dst []peer.OtherFigures) []peer.OtherFigures {
	for i := range g.peers {
		dst = append(dst, g.other(e, i))
	}
	return dst
}

func (g *Group) other(e env.Env, i int) peer.OtherFigures {
	o := &g.peers[i]
	f := peer.OtherFigures{Node: o.node}
	f.Quiet, f.Heard = g.began(e, o.round)
	for j := range g.slots {
		s := &g.slots[j]
		p, end := &g.progressOf(s)[i], s.r.End().Seq
		// The leader does not know how far this replica is.
		if !s.r.Leads() || g.lacks(o.member(), s) || g.barred(i, s, p.life) {
			f.Heard = f.Heard && s.ends
			continue
		}
		if p.acked >= end {
			continue
		}
		quiet, known := g.began(e, p.at)
		f.Heard = f.Heard && known
		// A replica that confirms rounds may not have acknowledged records for a while.
		//safety:lag-as-old-as-what-was-said by=health-truth on=slow-follower
		f.Quiet = max(f.Quiet, quiet)
		f.Records += uint64(end - p.acked)
		f.Lag = max(f.Lag, e.Now().Sub(s.marks.of(p.acked+1)))
	}
	// The lag of a replica that was not heard in this epoch is unknown.
	if !f.Heard {
		return peer.OtherFigures{Node: o.node}
	}
	f.Quiet, f.Lag = max(f.Quiet, 0), max(f.Lag, 0)
	return f
}
