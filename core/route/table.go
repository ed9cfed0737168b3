package route

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Version counts the changes of the stored placement. 0 is the empty table.
type Version uint64

// Shard is the part of a shard that routing needs.
type Shard struct {
	ID lineage.Shard `json:"id"`
	// Region is the region of all replicas of the shard. It never changes.
	Region tenant.Region `json:"region"`
	// Capacity is the shard's weight in proposals, in any common unit. A shard with 0 gets no new
	// slots and keeps the stored ones.
	Capacity uint32 `json:"capacity"`
}

// Home is the shard of a slot, and the phase of the slot's last migration that put it there.
type Home struct {
	Shard lineage.Shard          `json:"shard"`
	Epoch lineage.PlacementEpoch `json:"epoch"`
}

// Placement is one row of a table.
type Placement struct {
	Tenant tenant.ID    `json:"tenant"`
	Slot   lineage.Slot `json:"slot"`
	Home   Home         `json:"home"`
}

// ErrStale is wrapped by every refusal of a change decided on another version.
var ErrStale = errors.New("stale placement version")

// StaleError says that a table, or a change of a table, is not of the current version.
type StaleError struct {
	Given, Current Version
}

// Error states both versions and a remedy.
func (e *StaleError) Error() string {
	return fmt.Sprintf("%v: given %d, current is %d; read the current table and decide again", ErrStale, e.Given, e.Current)
}

// Is makes errors.Is(e, ErrStale) true.
func (e *StaleError) Is(target error) bool { return target == ErrStale }

// ErrPlacement is wrapped by every error about a change that contradicts the table.
var ErrPlacement = errors.New("invalid placement")

// Table is one version of the stored placement of all slots of all tenants. It is immutable: a
// change returns the next version and leaves the receiver as it is, so that readers are
// undisturbed. A change is a compare-and-set: it names the version that it was decided on.
//
// The rows are in pages, by the hash of (tenant, slot). A change copies the directory of pages and
// the pages that it touches. Measured with a million tenants on a virtual machine (EPYC, one access
// to main memory: 155 ns), by the benchmarks: a route costs 9 ns for 4096 busy tenants, 55 ns in
// random order, 180 ns if each waits for the one before; 134 bytes a tenant; a change 14
// microseconds and 150 kB. A built-in map needs 110 ns in random order and could not be shared
// between versions.
//
// Invariant: a tenant has no row, or one for each slot 0 <= slot < P, all with the same P; every
// row's shard is in shards.
type Table struct {
	version Version
	shards  []Shard         // sorted by ID
	regions []tenant.Region // distinct, in order of first use; rows refer to them
	pages   []page          // a power of two
	shift   uint            // a hash shifted right by it is the index of the page
	rows    int
}

// find returns the row of a tenant's slot, or nil.
func (t *Table) find(id tenant.ID, slot lineage.Slot) *row {
	h := index(id, slot)
	return t.pages[h>>t.shift].find(h, id, slot)
}

// mustFind is find for a row that the invariant guarantees.
func (t *Table) mustFind(id tenant.ID, slot lineage.Slot) *row {
	r := t.find(id, slot)
	if r == nil {
		assert.Fail("tenant %d slot %d has no row in placement version %d, other slots have", id, slot, t.version)
	}
	return r
}

// NewTable returns a table of a version from its parts, as Shards and Placements return them:
// sorted, each tenant with all its slots. Other input is ErrPlacement. NewTable(0, nil, nil) is the
// empty table.
func NewTable(v Version, shards []Shard, placements []Placement) (*Table, error) {
	d := newDraft(&Table{version: v, pages: emptyPages(1), shift: 64})
	for _, s := range shards {
		if err := d.addShard(s); err != nil {
			return nil, err
		}
	}
	for len(placements) > 0 {
		id := placements[0].Tenant
		n := slices.IndexFunc(placements, func(p Placement) bool { return p.Tenant != id })
		if n < 0 {
			n = len(placements)
		}
		homes, err := homesOf(placements[:n])
		if err != nil {
			return nil, err
		}
		if err := d.addTenant(id, homes); err != nil {
			return nil, err
		}
		placements = placements[n:]
	}
	return d.table(), nil
}

// homesOf returns the homes of one tenant's placements, by slot.
func homesOf(placements []Placement) ([]Home, error) {
	homes := make([]Home, len(placements))
	for i, p := range placements {
		if p.Slot != lineage.Slot(i) {
			return nil, fmt.Errorf("%w: tenant %s: slot %d follows %d slots, want slots 0, 1, ... each once", ErrPlacement, p.Tenant, p.Slot, i)
		}
		homes[i] = p.Home
	}
	return homes, nil
}

// Version returns the version of t.
func (t *Table) Version() Version { return t.version }

// Shards returns the shards, sorted by ID.
func (t *Table) Shards() []Shard { return slices.Clone(t.shards) }

// Placements returns all rows, sorted by tenant and slot.
func (t *Table) Placements() []Placement {
	all := make([]Placement, 0, t.rows)
	for i := range t.pages {
		for _, r := range t.pages[i].rows {
			if r.partitions > 0 {
				all = append(all, Placement{Tenant: r.tenant, Slot: r.slot, Home: r.home()})
			}
		}
	}
	slices.SortFunc(all, func(a, b Placement) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Slot, b.Slot))
	})
	return all
}

// Partitions returns the P of a tenant, 0 if it has no placement.
func (t *Table) Partitions(id tenant.ID) uint32 {
	if r := t.find(id, 0); r != nil {
		return r.partitions
	}
	return 0
}

// Home returns the home of a tenant's slot; ok is false if there is no such slot.
func (t *Table) Home(id tenant.ID, slot lineage.Slot) (home Home, ok bool) {
	if r := t.find(id, slot); r != nil {
		return r.home(), true
	}
	return Home{}, false
}

func (r *row) home() Home { return Home{Shard: r.shard, Epoch: r.epoch} }

// WithShard returns the next version, with one more shard, or with another capacity of an existing
// one. No slot moves. The errors are *StaleError and ErrPlacement, as for all changes.
func (t *Table) WithShard(at Version, s Shard) (*Table, error) {
	return t.change(at, func(d *draft) error {
		i, known := d.findShard(s.ID)
		if !known {
			return d.addShard(s)
		}
		if was := d.next.shards[i].Region; was != s.Region {
			return fmt.Errorf("%w: shard %d is in region %q and cannot move to %q; add another shard there", ErrPlacement, s.ID, was, s.Region)
		}
		d.next.shards = slices.Clone(d.next.shards)
		d.next.shards[i] = s
		return nil
	})
}

// WithTenant returns the next version, in which a tenant without a placement gets P = len(homes)
// slots. P is fixed from then on. An invalid P is ErrPartitions.
func (t *Table) WithTenant(at Version, id tenant.ID, homes []Home) (*Table, error) {
	return t.change(at, func(d *draft) error { return d.addTenant(id, homes) })
}

// WithHome returns the next version, in which a tenant's slot has another home. The new epoch must
// exceed the present one, so that an earlier decision cannot undo a later one.
func (t *Table) WithHome(at Version, id tenant.ID, slot lineage.Slot, home Home) (*Table, error) {
	return t.change(at, func(d *draft) error { return d.move(id, slot, home) })
}

// WithoutTenant returns the next version, in which a tenant has no placement. The control plane
// ensures that its ID is not used again.
func (t *Table) WithoutTenant(at Version, id tenant.ID) (*Table, error) {
	return t.change(at, func(d *draft) error { return d.dropTenant(id) })
}

func (t *Table) change(at Version, edit func(*draft) error) (*Table, error) {
	if at != t.version {
		return nil, &StaleError{Given: at, Current: t.version}
	}
	d := newDraft(t)
	if err := edit(d); err != nil {
		return nil, err
	}
	d.next.version++
	return d.table(), nil
}
