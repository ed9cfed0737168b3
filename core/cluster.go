// Package core is the reference implementation of tidalDB's control plane logic:
// the Node that keeps tenants' slots, and the Client that talks to it. Both are
// state machines over package env: they run unchanged in a simulated world and
// on a real machine.
//
// Node.Step and Client.Step are the index of the protocol: one case per event
// and message. The rules themselves are in the packages below.
package core

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/metalog"
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
	// Shared, if not nil, makes every shard a replica group under a control plane;
	// else each has one replica, on the node of its placements.
	Shared *Shared

	order   []int                   // places in Placements, by tenant and slot
	tenants map[tenant.ID]run       // where in order the tenant's slots are
	inShard map[lineage.Shard][]int // places in Placements, by shard
}

// Shared is what a cluster has more whose shards are replica groups.
type Shared struct {
	Control   *control.Cluster // as it was founded
	ID        uint64           // of the cluster, never equal for two
	Group     group.Patience
	Patience  control.Patience
	Meta      metalog.Constants
	Heartbeat env.Duration // between two signs of life of a node

	founded *control.Plane // what Control founds; PlaceShared makes it, and nobody changes it
}

// DefaultShared fits one region. A node that is silent for Patience.Silence is
// replaced: that is the detection bound.
var DefaultShared = Shared{
	ID: 1, Group: group.DefaultPatience, Patience: control.Patience{Silence: 300 * env.Millisecond, Replace: 5 * env.Second},
	Meta: metalog.DefaultConstants, Heartbeat: 50 * env.Millisecond,
}

// PlaceShared sets the placements of a cluster whose shards are replica groups: those
// of its founding configuration, if that is valid. Node is who leads at first.
func (c *Cluster) PlaceShared() {
	c.Placements = c.Placements[:0]
	f := c.Shared.Control
	if f.Validate() != nil { // which Validate tells
		return
	}
	c.Shared.founded = control.New(f)
	for i := range f.Tenants {
		t := &f.Tenants[i]
		for slot, shard := range t.Shards {
			p := Placement{Tenant: t.Config, Slot: lineage.Slot(slot), Epoch: 1, Shard: shard}
			for j := range f.Shards {
				if f.Shards[j].ID == shard {
					p.Node = f.Shards[j].Replicas[0]
				}
			}
			c.Placements = append(c.Placements, p)
		}
	}
}

// replicas returns the nodes that hold a shard at first; nil if shards are not shared.
func (c *Cluster) replicas(shard lineage.Shard) []env.ID {
	if c.Shared == nil {
		return nil
	}
	for i := range c.Shared.Control.Shards {
		if s := &c.Shared.Control.Shards[i]; s.ID == shard {
			return s.Replicas
		}
	}
	return nil
}

// region returns where a node is; "" if nobody said.
func (s *Shared) region(id env.ID) tenant.Region {
	for i := range s.Control.Nodes {
		if s.Control.Nodes[i].ID == id {
			return s.Control.Nodes[i].Region
		}
	}
	return ""
}

// run is a part of a list.
type run struct{ from, n uint32 }

// slotKey names a tenant's slot.
type slotKey struct {
	tenant tenant.ID
	slot   lineage.Slot
}

// Index builds what look-ups use.
func (c *Cluster) Index() {
	c.order = make([]int, len(c.Placements))
	for i := range c.order {
		c.order[i] = i
	}
	slices.SortFunc(c.order, func(a, b int) int {
		p, q := &c.Placements[a], &c.Placements[b]
		return cmp.Or(cmp.Compare(p.Tenant.ID, q.Tenant.ID), cmp.Compare(p.Slot, q.Slot))
	})
	c.inShard = make(map[lineage.Shard][]int)
	for i := range c.Placements {
		c.inShard[c.Placements[i].Shard] = append(c.inShard[c.Placements[i].Shard], i)
	}
	c.tenants = make(map[tenant.ID]run, len(c.Placements))
	for at, i := range c.order {
		id := c.Placements[i].Tenant.ID
		slots, known := c.tenants[id]
		if !known {
			slots.from = uint32(at)
		}
		slots.n++
		c.tenants[id] = slots
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
	if c.Shared != nil {
		if err := c.Shared.Control.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrCluster, err)
		}
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
	if i := c.place(c.tenants[id], slot); i >= 0 {
		return &c.Placements[i]
	}
	return nil
}

// place returns where in Placements a tenant with these slots has a slot, -1 if it
// has no such slot. The slots of most tenants are 0, 1 and so on, so that one map is
// asked, and the rest is arithmetic.
func (c *Cluster) place(slots run, slot lineage.Slot) int {
	order := c.order[slots.from : slots.from+slots.n]
	if int(slot) < len(order) && c.Placements[order[slot]].Slot == slot {
		return order[slot]
	}
	at, ok := slices.BinarySearchFunc(order, slot, func(i int, slot lineage.Slot) int { return cmp.Compare(c.Placements[i].Slot, slot) })
	if !ok {
		return -1
	}
	return order[at]
}

// route returns where an entity of a tenant lives, or nil if the tenant is not
// placed.
func (c *Cluster) route(id tenant.ID, e signal.Entity) *Placement {
	slots, ok := c.tenants[id]
	if !ok {
		return nil
	}
	slot, err := route.SlotOf(id, e, slots.n)
	if err != nil {
		return nil
	}
	if i := c.place(slots, slot); i >= 0 {
		return &c.Placements[i]
	}
	return nil
}

// owns reports whether an entity of a tenant belongs into a slot. A tenant that
// is not placed here has one slot.
func (c *Cluster) owns(id tenant.ID, slot lineage.Slot, e signal.Entity) bool {
	slots, ok := c.tenants[id]
	if !ok || slots.n == 1 {
		return slot == 0
	}
	want, err := route.SlotOf(id, e, slots.n)
	return err == nil && want == slot
}

// has reports whether a tenant has any slot.
func (c *Cluster) has(id tenant.ID) bool { return c.tenants[id].n > 0 }

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
