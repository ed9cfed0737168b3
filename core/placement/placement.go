// Package placement holds the map from (tenant, slot) to shard and nodes, as a cluster is
// configured with it. Nodes and clients look up the same map. The package sends nothing, keeps
// no file and decides nothing: package route computes the slot of an entity, and package
// control has the present leader of a shard.
//
// The one rule to remember: after Index the map does not change, so its entries can be
// pointed to.
package placement

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Entry says where one slot of a tenant lives.
type Entry struct {
	Tenant tenant.Config
	Slot   lineage.Slot
	Epoch  lineage.PlacementEpoch
	Shard  lineage.Shard
	Node   env.ID // the only replica of the shard; of a replica group, the first leader
}

// Group is a shard that several nodes hold.
type Group struct {
	Shard    lineage.Shard
	Replicas []env.ID // at first
}

// Map is the placement of all slots. Index makes looking things up in it fast; it must not be
// changed after that.
type Map struct {
	Placements []Entry
	// Groups says which nodes hold a shard. A shard that it does not name has one replica, on
	// the node of its placements.
	Groups []Group

	order   []uint32           // places in Placements, by tenant and slot; nil if they are in that order
	gaps    bool               // a tenant lacks a slot below another one that it has
	tenants keyed.Map          // by tenant: where in order its slots are, a run
	shards  keyed.List[hosted] // by shard
}

// hosted is one shard's part of a map.
type hosted struct {
	home       env.ID   // its node, or its first leader
	replicas   []env.ID // that hold it at first
	placements []int    // ascending
}

// shard returns a shard's part of the map, nil if it has none.
func (m *Map) shard(id lineage.Shard) *hosted { return m.shards.Find(keyed.Key{A: uint64(id)}) }

// InShard returns where in Placements those of a shard are, ascending.
func (m *Map) InShard(id lineage.Shard) []int {
	if s := m.shard(id); s != nil {
		return s.placements
	}
	return nil
}

// Grouped reports whether shards are replica groups, in which the leader changes.
func (m *Map) Grouped() bool { return len(m.Groups) > 0 }

// Replicas returns the nodes that hold a shard at first; nil if nothing is known of the shard.
func (m *Map) Replicas(shard lineage.Shard) []env.ID {
	if s := m.shard(shard); s != nil {
		return s.replicas
	}
	return nil
}

// run is a part of a list.
type run struct{ from, n uint32 }

func (r run) packed() uint64 { return uint64(r.from)<<32 | uint64(r.n) }

func unpacked(r uint64) run { return run{uint32(r >> 32), uint32(r)} }

// Index builds what look-ups use.
func (m *Map) Index() {
	m.indexTenants()
	m.indexShards()
}

func (m *Map) indexTenants() {
	m.order, m.gaps, m.tenants = nil, false, keyed.Map{}
	ascends := func(i int) bool {
		p, q := &m.Placements[i-1], &m.Placements[i]
		return p.Tenant.ID < q.Tenant.ID || p.Tenant.ID == q.Tenant.ID && p.Slot < q.Slot
	}
	for i := 1; i < len(m.Placements) && m.order == nil; i++ {
		if !ascends(i) {
			m.sort()
		}
	}
	for at := 0; at < len(m.Placements); {
		first := &m.Placements[m.ordered(at)]
		slots := run{from: uint32(at)}
		for ; at < len(m.Placements) && m.Placements[m.ordered(at)].Tenant.ID == first.Tenant.ID; at++ {
			m.gaps = m.gaps || m.Placements[m.ordered(at)].Slot != lineage.Slot(slots.n)
			slots.n++
		}
		m.tenants.Put(uint64(first.Tenant.ID), slots.packed())
	}
}

func (m *Map) sort() {
	m.order = make([]uint32, len(m.Placements))
	for i := range m.order {
		m.order[i] = uint32(i)
	}
	slices.SortFunc(m.order, func(a, b uint32) int {
		p, q := &m.Placements[a], &m.Placements[b]
		return cmp.Or(cmp.Compare(p.Tenant.ID, q.Tenant.ID), cmp.Compare(p.Slot, q.Slot))
	})
}

// ordered returns the place in Placements of the at-th entry by tenant and slot.
func (m *Map) ordered(at int) int {
	if m.order == nil {
		return at
	}
	return int(m.order[at])
}

func (m *Map) indexShards() {
	m.shards = keyed.List[hosted]{}
	for i := range m.Groups {
		if g := &m.Groups[i]; m.shard(g.Shard) == nil { // a shard that is given twice is an error of the configuration
			*m.shards.Add(keyed.Key{A: uint64(g.Shard)}) = hosted{replicas: g.Replicas}
		}
	}
	homes := make([]env.ID, len(m.Placements))
	for i := range m.Placements {
		p := &m.Placements[i]
		s := m.shard(p.Shard)
		if s == nil {
			s = m.shards.Add(keyed.Key{A: uint64(p.Shard)})
		}
		if s.placements == nil {
			s.home = p.Node
		}
		if s.replicas == nil {
			homes[i] = p.Node
			s.replicas = homes[i : i+1 : i+1]
		}
		s.placements = append(s.placements, i)
	}
}

// slotKey names a tenant's slot.
type slotKey struct {
	tenant tenant.ID
	slot   lineage.Slot
}

// Validate reports the first contradiction.
func (m *Map) Validate() error {
	seen := map[slotKey]int{}
	homes := map[lineage.Shard]env.ID{}
	for i := range m.Placements {
		p := &m.Placements[i]
		if err := p.Tenant.Validate(); err != nil {
			return fmt.Errorf("placements[%d]: %w", i, err)
		}
		if first, twice := seen[slotKey{p.Tenant.ID, p.Slot}]; twice {
			return fmt.Errorf("placements[%d] and placements[%d] both place tenant %s slot %d", first, i, p.Tenant.ID, p.Slot)
		}
		if home, known := homes[p.Shard]; known && home != p.Node {
			return fmt.Errorf("placements[%d]: shard %d is on nodes %d and %d, want one", i, p.Shard, home, p.Node)
		}
		seen[slotKey{p.Tenant.ID, p.Slot}] = i
		homes[p.Shard] = p.Node
	}
	return nil
}

// Find returns the placement of a tenant's slot, or nil.
func (m *Map) Find(id tenant.ID, slot lineage.Slot) *Entry {
	if i := m.place(m.slotsOf(id), slot); i >= 0 {
		return &m.Placements[i]
	}
	return nil
}

// slotsOf returns where the slots of a tenant are; none, if it is not placed.
func (m *Map) slotsOf(id tenant.ID) run { return unpacked(m.tenants.Get(uint64(id))) }

// place returns where in Placements a tenant with these slots has a slot, -1 if it
// has no such slot. The slots of a tenant are 0, 1 and so on, so that one map is asked,
// and the rest is arithmetic; unless there are gaps.
func (m *Map) place(slots run, slot lineage.Slot) int {
	if !m.gaps {
		if uint32(slot) < slots.n {
			return m.ordered(int(slots.from) + int(slot))
		}
		return -1
	}
	for at := range int(slots.n) {
		if i := m.ordered(int(slots.from) + at); m.Placements[i].Slot == slot {
			return i
		}
	}
	return -1
}

// Route returns where an entity of a tenant lives, or nil if the tenant is not
// placed.
func (m *Map) Route(id tenant.ID, e signal.Entity) *Entry {
	slots := m.slotsOf(id)
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
	if i := m.place(slots, slot); i >= 0 {
		return &m.Placements[i]
	}
	return nil
}

// Owns reports whether an entity of a tenant belongs into a slot. A tenant that
// is not placed here has one slot.
func (m *Map) Owns(id tenant.ID, slot lineage.Slot, e signal.Entity) bool {
	slots := m.slotsOf(id)
	if slots.n <= 1 {
		return slot == 0
	}
	want, err := route.SlotOf(id, e, slots.n)
	return err == nil && want == slot
}

// Has reports whether a tenant has any slot.
func (m *Map) Has(id tenant.ID) bool { return m.slotsOf(id).n > 0 }

// HomeOf returns the node of a shard; otherwise if nothing is placed in it.
func (m *Map) HomeOf(shard lineage.Shard, otherwise env.ID) env.ID {
	if s := m.shard(shard); s != nil && s.placements != nil {
		return s.home
	}
	return otherwise
}
