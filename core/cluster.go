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
	"github.com/tidaldb/tidalsim/core/keyed"
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
	// Founding is the founding file where shards have one replica; nil: whatever directory
	// there is may serve. Where shards are shared it is in Shared.
	Founding *Founding

	order   []uint32           // places in Placements, by tenant and slot; nil if they are in that order
	gaps    bool               // a tenant lacks a slot below another one that it has
	tenants keyed.Map          // by tenant: where in order its slots are, a run
	shards  keyed.List[hosted] // by shard
}

// hosted is what of a cluster is in one shard.
type hosted struct {
	home       env.ID   // its node, or who leads it at first
	replicas   []env.ID // that hold it at first; nil if shards are not shared
	placements []int    // ascending
}

// shard returns what is in a shard, nil if nothing is.
func (c *Cluster) shard(id lineage.Shard) *hosted { return c.shards.Find(keyed.Key{A: uint64(id)}) }

// Founding says which data directories a cluster is founded in. It is a part of the
// configuration of every process, and never in a data directory.
type Founding struct {
	ID    uint64 // of the cluster, never equal for two
	Nodes []Founder
}

// Founder is a node and the data directory that it is founded in.
type Founder struct {
	Node      env.ID
	Directory env.Nonce
}

// names reports whether a node is founded in a directory.
func (f *Founding) names(id env.ID, directory env.Nonce) bool {
	return slices.Contains(f.Nodes, Founder{id, directory})
}

// id returns the number of the cluster.
func (c *Cluster) id() uint64 {
	switch {
	case c.Shared != nil:
		return c.Shared.ID
	case c.Founding != nil:
		return c.Founding.ID
	}
	return 0
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
	ID: 1, Group: group.DefaultPatience, Patience: control.Patience{Silence: 300 * env.Millisecond, Replace: 5 * env.Second, Slow: 600 * env.Millisecond},
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
			home := f.Shard(shard).Replicas[0]
			c.Placements = append(c.Placements, Placement{Tenant: t.Config, Slot: lineage.Slot(slot), Epoch: 1, Shard: shard, Node: home})
		}
	}
}

// inShard returns where in Placements those of a shard are, ascending.
func (c *Cluster) inShard(id lineage.Shard) []int {
	if s := c.shard(id); s != nil {
		return s.placements
	}
	return nil
}

// replicas returns the nodes that hold a shard at first; nil if shards are not shared.
func (c *Cluster) replicas(shard lineage.Shard) []env.ID {
	if s := c.shard(shard); s != nil {
		return s.replicas
	}
	return nil
}

// founders returns the data directories of the founding members of the meta log.
func (s *Shared) founders() (directories []env.Nonce) {
	for _, id := range s.Control.Meta {
		directories = append(directories, s.Control.Node(id).Directory)
	}
	return directories
}

// region returns where a node is; "" if nobody said.
func (s *Shared) region(id env.ID) tenant.Region {
	if n := s.Control.Node(id); n != nil {
		return n.Region
	}
	return ""
}

// run is a part of a list.
type run struct{ from, n uint32 }

func (r run) packed() uint64 { return uint64(r.from)<<32 | uint64(r.n) }

func unpacked(r uint64) run { return run{uint32(r >> 32), uint32(r)} }

// slotKey names a tenant's slot.
type slotKey struct {
	tenant tenant.ID
	slot   lineage.Slot
}

// Index builds what look-ups use.
func (c *Cluster) Index() {
	c.indexTenants()
	c.indexShards()
}

func (c *Cluster) indexTenants() {
	c.order, c.gaps, c.tenants = nil, false, keyed.Map{}
	ascends := func(i int) bool {
		p, q := &c.Placements[i-1], &c.Placements[i]
		return p.Tenant.ID < q.Tenant.ID || p.Tenant.ID == q.Tenant.ID && p.Slot < q.Slot
	}
	for i := 1; i < len(c.Placements) && c.order == nil; i++ {
		if !ascends(i) {
			c.sort()
		}
	}
	for at := 0; at < len(c.Placements); {
		first := &c.Placements[c.ordered(at)]
		slots := run{from: uint32(at)}
		for ; at < len(c.Placements) && c.Placements[c.ordered(at)].Tenant.ID == first.Tenant.ID; at++ {
			c.gaps = c.gaps || c.Placements[c.ordered(at)].Slot != lineage.Slot(slots.n)
			slots.n++
		}
		c.tenants.Put(uint64(first.Tenant.ID), slots.packed())
	}
}

func (c *Cluster) sort() {
	c.order = make([]uint32, len(c.Placements))
	for i := range c.order {
		c.order[i] = uint32(i)
	}
	slices.SortFunc(c.order, func(a, b uint32) int {
		p, q := &c.Placements[a], &c.Placements[b]
		return cmp.Or(cmp.Compare(p.Tenant.ID, q.Tenant.ID), cmp.Compare(p.Slot, q.Slot))
	})
}

// ordered returns the place in Placements of what is at a place by tenant and slot.
func (c *Cluster) ordered(at int) int {
	if c.order == nil {
		return at
	}
	return int(c.order[at])
}

func (c *Cluster) indexShards() {
	c.shards = keyed.List[hosted]{}
	if c.Shared != nil {
		for i := range c.Shared.Control.Shards {
			if s := &c.Shared.Control.Shards[i]; c.shard(s.ID) == nil { // twice is wrong, which Validate tells
				*c.shards.Add(keyed.Key{A: uint64(s.ID)}) = hosted{replicas: s.Replicas}
			}
		}
	}
	for i := range c.Placements {
		p := &c.Placements[i]
		s := c.shard(p.Shard)
		if s == nil {
			s = c.shards.Add(keyed.Key{A: uint64(p.Shard)})
		}
		if s.placements == nil {
			s.home = p.Node
		}
		s.placements = append(s.placements, i)
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
		k.ShipBytes < 0 || k.ChunkBytes < 0 ||
		k.Costs.Check < 0 || k.Costs.Append < 0 || k.Costs.PerKiB < 0 {
		return fmt.Errorf("%w: constants %+v: want segment_bytes >= %d, costs, ship_bytes and chunk_bytes >= 0 and the others >= 1", ErrCluster, *k, wal.HeaderSize)
	}
	return nil
}

// find returns the placement of a tenant's slot, or nil.
func (c *Cluster) find(id tenant.ID, slot lineage.Slot) *Placement {
	if i := c.place(c.slotsOf(id), slot); i >= 0 {
		return &c.Placements[i]
	}
	return nil
}

// slotsOf returns where the slots of a tenant are; none, if it is not placed.
func (c *Cluster) slotsOf(id tenant.ID) run { return unpacked(c.tenants.Get(uint64(id))) }

// place returns where in Placements a tenant with these slots has a slot, -1 if it
// has no such slot. The slots of a tenant are 0, 1 and so on, so that one map is asked,
// and the rest is arithmetic; unless there are gaps.
func (c *Cluster) place(slots run, slot lineage.Slot) int {
	if !c.gaps {
		if uint32(slot) < slots.n {
			return c.ordered(int(slots.from) + int(slot))
		}
		return -1
	}
	for at := range int(slots.n) {
		if i := c.ordered(int(slots.from) + at); c.Placements[i].Slot == slot {
			return i
		}
	}
	return -1
}

// route returns where an entity of a tenant lives, or nil if the tenant is not
// placed.
func (c *Cluster) route(id tenant.ID, e signal.Entity) *Placement {
	slots := c.slotsOf(id)
	if slots.n == 0 {
		return nil
	}
	slot, err := lineage.Slot(0), error(nil)
	if slots.n > 1 {
		slot, err = route.SlotOf(id, e, slots.n)
	}
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
	slots := c.slotsOf(id)
	if slots.n <= 1 {
		return slot == 0
	}
	want, err := route.SlotOf(id, e, slots.n)
	return err == nil && want == slot
}

// has reports whether a tenant has any slot.
func (c *Cluster) has(id tenant.ID) bool { return c.slotsOf(id).n > 0 }

// homeOf returns the node of a shard; otherwise if nothing is placed in it.
func (c *Cluster) homeOf(shard lineage.Shard, otherwise env.ID) env.ID {
	if s := c.shard(shard); s != nil && s.placements != nil {
		return s.home
	}
	return otherwise
}

// The kinds of keys that nodes and clients give to what they send: the message's
// kind, offset by this. Kinds below belong to fault points and disk operations.
const keyMessage uint16 = 0x200
