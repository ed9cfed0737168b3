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

// Cluster is the static configuration that nodes and clients share.
type Cluster struct {
	Placements []Placement
	Constants  replica.Constants
}

// ErrCluster is wrapped by every error of Validate.
var ErrCluster = errors.New("invalid cluster configuration")

// Validate reports the first contradiction.
func (c *Cluster) Validate() error {
	type slot struct {
		tenant tenant.ID
		slot   lineage.Slot
	}
	seen := map[slot]int{}
	homes := map[lineage.Shard]env.ID{}
	for i := range c.Placements {
		p := &c.Placements[i]
		if err := p.Tenant.Validate(); err != nil {
			return fmt.Errorf("%w: placements[%d]: %w", ErrCluster, i, err)
		}
		if first, twice := seen[slot{p.Tenant.ID, p.Slot}]; twice {
			return fmt.Errorf("%w: placements[%d] and placements[%d] both place tenant %s slot %d", ErrCluster, first, i, p.Tenant.ID, p.Slot)
		}
		if home, known := homes[p.Shard]; known && home != p.Node {
			return fmt.Errorf("%w: placements[%d]: shard %d is on nodes %d and %d, want one", ErrCluster, i, p.Shard, home, p.Node)
		}
		seen[slot{p.Tenant.ID, p.Slot}] = i
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
	for i := range c.Placements {
		if p := &c.Placements[i]; p.Tenant.ID == id && p.Slot == slot {
			return p
		}
	}
	return nil
}

// has reports whether a tenant has any slot.
func (c *Cluster) has(id tenant.ID) bool {
	for i := range c.Placements {
		if c.Placements[i].Tenant.ID == id {
			return true
		}
	}
	return false
}

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
