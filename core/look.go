package core

import (
	"github.com/tidaldb/tidalsim/core/lineage"
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
