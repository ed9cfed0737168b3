package group

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
)

// Counted is the leader's knowledge of one other replica of a log: the acknowledgements that count
// towards a commit.
type Counted struct {
	Member control.Member
	// Life is the replica's generation of the log; acknowledgements of an earlier generation do not
	// count.
	Life peer.Life
	Seq  lineage.Seq // highest seq that is durable there and equals the leader's log; 0: unknown
}

// AppendCounted appends to dst the acknowledgements that the leader counts for each other replica
// of a log, and returns the epoch. The log is named by its number on the node. It returns false if
// the node does not lead or has no such log. It changes nothing.
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
