package core

import (
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// AppendState appends the encoded state of a slot here, as a snapshot would hold it. It is
// false if the slot is not here, or not open.
func (n *Node) AppendState(dst []byte, t tenant.ID, slot lineage.Slot) ([]byte, bool) {
	i := n.slotOf(t, slot)
	if i < 0 || n.slots[i].Dropped() || !n.slots[i].IsOpen() {
		return dst, false
	}
	return n.slots[i].State().Append(dst), true
}

// Phase returns the phase of a slot here, and why it stopped, if it did; Closed if it is not here.
func (n *Node) Phase(t tenant.ID, slot lineage.Slot) (replica.Phase, error) {
	if i := n.slotOf(t, slot); i >= 0 {
		return n.slots[i].Phase(), n.slots[i].Failure()
	}
	return replica.Closed, nil
}

// AppendCounted appends to dst the acknowledgements of the other replicas that the node counts as
// the leader of a slot. It also returns its epoch; false if it does not lead the slot.
func (n *Node) AppendCounted(dst []group.Counted, t tenant.ID, slot lineage.Slot) ([]group.Counted, lineage.ShardEpoch, bool) {
	i := n.slotOf(t, slot)
	if i < 0 || i >= len(n.groupBy) {
		return dst, 0, false
	}
	return n.groupBy[i].AppendCounted(dst, i)
}

// Committed returns the commit position of a slot's log, as the leader has announced it, and the
// end of the log here. It is false if the slot is not here, or not open.
func (n *Node) Committed(t tenant.ID, slot lineage.Slot) (committed, end lineage.Seq, ok bool) {
	i := n.slotOf(t, slot)
	if i < 0 || n.slots[i].Dropped() || !n.slots[i].IsOpen() {
		return 0, 0, false
	}
	return n.slots[i].Told(), n.slots[i].End().Seq, true
}

// Placed returns the index of the meta log's entry that placed a shard here last, as far as the
// node knows; 0 if it knows of none.
func (n *Node) Placed(shard lineage.Shard) uint64 {
	if g := n.group(shard); g != nil {
		return g.Placed()
	}
	return 0
}
