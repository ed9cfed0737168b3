package group

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/peer"
)

// What a group tells of itself.

// Numbers returns the numbers of the shard's logs on the node, in the order in which they
// were added.
func (g *Group) Numbers() []int {
	return slices.Clone(g.numbers)
}

// Changes counts how often a log was added or removed.
func (g *Group) Changes() uint64 { return g.changes }

// Sole returns how long ago it was certain last that nobody leads the shard in a higher
// epoch; false if that was never certain in this one. What the leader tells was so then, or
// later.
func (g *Group) Sole(e env.Env) (env.Duration, bool) {
	return max(e.Now().Sub(g.sole), 0), g.role == Leading && g.isSole
}

// Others appends to dst what the leader knows of the other replicas. What a replica has was
// so after a round of confirmations began of which it knew; that is the age of it. Of one
// that has everything it is enough that it has confirmed since.
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
		if !s.r.Leads() || g.lacks(o.member(), s) || g.barred(i, s, p.life) { // what it has is not known
			f.Heard = f.Heard && s.ends
			continue
		}
		if p.acked >= end {
			continue
		}
		quiet, known := g.began(e, p.at)
		f.Heard = f.Heard && known
		// Who confirms need not have said lately what it has.
		//safety:lag-as-old-as-what-was-said by=health-truth on=slow-follower
		f.Quiet = max(f.Quiet, quiet)
		f.Records += uint64(end - p.acked)
		f.Lag = max(f.Lag, e.Now().Sub(s.marks.of(p.acked+1)))
	}
	// Of who was not heard in this epoch nobody knows how far behind it is.
	if !f.Heard {
		return peer.OtherFigures{Node: o.node}
	}
	f.Quiet, f.Lag = max(f.Quiet, 0), max(f.Lag, 0)
	return f
}
