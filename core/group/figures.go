package group

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/peer"
)

// What a group tells of itself.

// Numbers returns the numbers of the shard's logs on the node, in the order in which they
// were added.
func (g *Group) Numbers() []int {
	numbers := make([]int, 0, len(g.slots))
	for i := range g.slots {
		numbers = append(numbers, g.slots[i].number)
	}
	return numbers
}

// Changes counts how often a log was added or removed.
func (g *Group) Changes() uint64 { return g.changes }

// Others appends to dst what the leader knows of the other replicas: of each how many
// records it lacks in all logs, and since when the oldest of them. A log that is not
// sequenced yet lacks nothing that could be told.
func (g *Group) Others(e env.Env, dst []peer.OtherFigures) []peer.OtherFigures {
	now := e.Now()
	for i := range g.peers {
		o := &g.peers[i]
		f := peer.OtherFigures{Node: o.node, Heard: o.spoke, Quiet: max(now.Sub(o.heard), 0)}
		for j := range g.slots {
			s := &g.slots[j]
			p, end := &s.progress[i], s.r.End().Seq
			if !s.r.Leads() || p.acked >= end {
				continue
			}
			f.Records += uint64(end - p.acked)
			f.Lag = max(f.Lag, now.Sub(p.since))
		}
		dst = append(dst, f)
	}
	return dst
}
