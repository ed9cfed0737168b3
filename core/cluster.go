// Package core is the reference implementation of tidalDB's control plane logic:
// the Node that keeps tenants' slots, and the Client that talks to it. Both are
// state machines over package env: they run unchanged in a simulated world and
// on a real machine.
//
// Node.Step and Client.Step are the index of the protocol: one case per event
// and message. The rules themselves are in the packages below.
package core

import (
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
)

// Placement says where one slot of a tenant lives.
type Placement struct {
	Tenant tenant.Config
	Slot   lineage.Slot
	Epoch  lineage.PlacementEpoch
	Shard  lineage.Shard
	Node   env.ID // the only replica of the shard
}

// Identity returns the identity of the slot's directory.
func (p *Placement) Identity() wal.Identity {
	return wal.Identity{Tenant: p.Tenant.ID, Slot: p.Slot, Placement: p.Epoch, Shard: p.Shard}
}

// Cluster is the static configuration that nodes and clients share. Index makes
// looking things up in it fast; it must not be changed after that.
type Cluster struct {
	Placements []Placement
	Constants  replica.Constants

	index      map[slotKey]int      // place in Placements
	partitions map[tenant.ID]uint32 // number of slots
}

// slotKey names a tenant's slot.
type slotKey struct {
	tenant tenant.ID
	slot   lineage.Slot
}

// Index builds what look-ups use.
func (c *Cluster) Index() {
	c.index = make(map[slotKey]int, len(c.Placements))
	c.partitions = make(map[tenant.ID]uint32, len(c.Placements))
	for i := range c.Placements {
		p := &c.Placements[i]
		c.index[slotKey{p.Tenant.ID, p.Slot}] = i
		c.partitions[p.Tenant.ID]++
	}
}

// ErrCluster is wrapped by every error of Validate.
var ErrCluster = errors.New("invalid cluster configuration")

// Validate reports the first contradiction.
func (c *Cluster) Validate() error {
	seen := map[slotKey]int{}
	homes := map[lineage.Shard]env.ID{}
	for i := range c.Placements {
		p := &c.Placements[i]
		if err := p.Tenant.Validate(); err != nil {
			return fmt.Errorf("%w: placements[%d]: %w", ErrCluster, i, err)
		}
		if first, twice := seen[slotKey{p.Tenant.ID, p.Slot}]; twice {
			return fmt.Errorf("%w: placements[%d] and placements[%d] both place tenant %s slot %d", ErrCluster, first, i, p.Tenant.ID, p.Slot)
		}
		if home, known := homes[p.Shard]; known && home != p.Node {
			return fmt.Errorf("%w: placements[%d]: shard %d is on nodes %d and %d, want one", ErrCluster, i, p.Shard, home, p.Node)
		}
		seen[slotKey{p.Tenant.ID, p.Slot}] = i
		homes[p.Shard] = p.Node
	}
	k := &c.Constants
	if k.SegmentSize < wal.HeaderSize || k.SnapshotEvery < 1 || k.MaxSessions < 1 || k.MaxPending < 1 || k.MaxQueued < 1 ||
		k.Costs.Check < 0 || k.Costs.Append < 0 || k.Costs.PerKiB < 0 {
		return fmt.Errorf("%w: constants %+v: want segment_bytes >= %d, costs >= 0 and the others >= 1", ErrCluster, *k, wal.HeaderSize)
	}
	return nil
}

// find returns the placement of a tenant's slot, or nil.
func (c *Cluster) find(id tenant.ID, slot lineage.Slot) *Placement {
	if i, ok := c.index[slotKey{id, slot}]; ok {
		return &c.Placements[i]
	}
	return nil
}

// route returns where an entity of a tenant lives, or nil if the tenant is not
// placed.
func (c *Cluster) route(id tenant.ID, e signal.Entity) *Placement {
	partitions, ok := c.partitions[id]
	if !ok {
		return nil
	}
	slot, err := route.SlotOf(id, e, partitions)
	if err != nil {
		return nil
	}
	return c.find(id, slot)
}

// owns reports whether an entity of a tenant belongs into a slot. A tenant that
// is not placed here has one slot.
func (c *Cluster) owns(id tenant.ID, slot lineage.Slot, e signal.Entity) bool {
	partitions, ok := c.partitions[id]
	if !ok || partitions == 1 {
		return slot == 0
	}
	want, err := route.SlotOf(id, e, partitions)
	return err == nil && want == slot
}

// has reports whether a tenant has any slot.
func (c *Cluster) has(id tenant.ID) bool { return c.partitions[id] > 0 }

// homeOf returns the node of a shard; otherwise if nothing is placed in it.
func (c *Cluster) homeOf(shard lineage.Shard, otherwise env.ID) env.ID {
	for i := range c.Placements {
		if c.Placements[i].Shard == shard {
			return c.Placements[i].Node
		}
	}
	return otherwise
}

// The kinds of keys that nodes and clients give to what they send: the message's
// kind, offset by this. Kinds below belong to fault points and disk operations.
const keyMessage uint16 = 0x200
