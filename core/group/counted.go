package group

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
)

// Counted is what a leader counts on in another replica of a log.
type Counted struct {
	Member control.Member
	Life   peer.Life   // of the log there: what an earlier one acknowledged counts no more
	Seq    lineage.Seq // records up to here are durable there, and the leader's; 0: none is known to be
}

// AppendCounted appends to dst what the node counts on in the other replicas of a log, by the
// log's number on the node, and returns the epoch in which it does. It is false if the node
// does not lead, or the shard has no such log here. It changes nothing.
func (g *Group) AppendCounted(dst []Counted, number int) ([]Counted, lineage.ShardEpoch, bool) {
	at, found := slices.BinarySearch(g.numbers, number)
	if !found || g.role != Leading || !g.slots[at].r.Leads() {
		return dst, 0, false
	}
	for i, p := range g.progressOf(&g.slots[at]) {
		dst = append(dst, Counted{g.peers[i].member(), p.life, p.acked})
	}
	return dst, g.epoch, true
}
