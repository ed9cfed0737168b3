package observe

import (
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Hurt is a disruption that had an effect, and its reach.
type Hurt struct {
	Process uint32 // that was disrupted
	Peer    int64  // of a link: the process at its other end; -1: all
	From    int64  // true time, ns
	To      int64  // likewise; of a crash, when the process starts again
}

// Denial is a refusal of a leader between two acknowledgements of one epoch.
type Denial struct {
	Tenant        tenant.ID
	Slot          lineage.Slot
	Node          uint32
	Epoch         lineage.ShardEpoch
	Reason        string // the code
	At            int64  // true time, ns, when it left the node
	Before, After int64  // likewise, of the acknowledgements
}

// Causes are the reasons of a run for unknown outcomes. The zero value is empty and ready.
type Causes struct {
	Hurt []Hurt
	Sole []Sole   // the slots that one node serves for ever
	Meta []uint32 // the founding members of the meta log
	// Deviated says that messages may have been lost, doubled, late or damaged at any
	// instant, or disks may have failed.
	Deviated bool
	Denials  []Denial // at most maxNoted
	More     int      // beyond those
}

// Sole is a slot of a shard with one replica, and the node of that replica.
type Sole struct {
	Tenant tenant.ID
	Slot   lineage.Slot
	Node   uint32
}

// SoleNode returns the only node that can serve a slot; false if there are several.
func (c *Causes) SoleNode(t tenant.ID, slot lineage.Slot) (uint32, bool) {
	for i := range c.Sole {
		if s := &c.Sole[i]; s.Tenant == t && s.Slot == slot {
			return s.Node, true
		}
	}
	return 0, false
}

func (c *Causes) reset() {
	*c = Causes{Hurt: c.Hurt[:0], Sole: c.Sole[:0], Meta: c.Meta[:0], Denials: c.Denials[:0]}
}

// Denied notes a refusal that nothing justifies.
func (c *Causes) Denied(d Denial) {
	if len(c.Denials) == maxNoted {
		c.More++
		return
	}
	c.Denials = append(c.Denials, d)
}
