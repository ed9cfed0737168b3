package core

import (
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

// Phase returns where a slot here is in its life, and why it stopped, if it did; Closed if
// it is not here.
func (n *Node) Phase(t tenant.ID, slot lineage.Slot) (replica.Phase, error) {
	if i := n.slotOf(t, slot); i >= 0 {
		return n.slots[i].Phase(), n.slots[i].Failure()
	}
	return replica.Closed, nil
}
