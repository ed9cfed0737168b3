package route

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// draft is the next table while it is derived from another one.
//
// Invariant: a draft never writes memory that the other table uses. It copies the directory before
// its first change, a page before its first change, and the lists of shards and regions at each
// change.
type draft struct {
	next  Table
	owned []bool // by page: already copied; nil while the directory is shared
}

func newDraft(from *Table) *draft { return &draft{next: *from} }

// table ends the draft.
func (d *draft) table() *Table { return &d.next }

func (d *draft) findShard(id lineage.Shard) (int, bool) {
	return slices.BinarySearchFunc(d.next.shards, id, func(s Shard, id lineage.Shard) int { return cmp.Compare(s.ID, id) })
}

func (d *draft) addShard(s Shard) error {
	i, known := d.findShard(s.ID)
	if known {
		return fmt.Errorf("%w: shard %d is there already", ErrPlacement, s.ID)
	}
	if err := s.Region.Validate(); err != nil {
		return fmt.Errorf("%w: shard %d: %w", ErrPlacement, s.ID, err)
	}
	d.next.shards = slices.Insert(slices.Clone(d.next.shards), i, s)
	if !slices.Contains(d.next.regions, s.Region) {
		d.next.regions = append(slices.Clone(d.next.regions), s.Region)
	}
	return nil
}

// locate sets the shard, its region and the epoch of a row.
func (d *draft) locate(r *row, home Home) error {
	i, known := d.findShard(home.Shard)
	if !known {
		return fmt.Errorf("%w: tenant %s slot %d: shard %d does not exist; add it first", ErrPlacement, r.tenant, r.slot, home.Shard)
	}
	r.shard, r.epoch = home.Shard, home.Epoch
	r.region = uint32(slices.Index(d.next.regions, d.next.shards[i].Region))
	return nil
}

func (d *draft) addTenant(id tenant.ID, homes []Home) error {
	switch err := checkPartitions(uint64(len(homes))); {
	case err != nil:
		return fmt.Errorf("tenant %s: %w", id, err)
	case id == tenant.Reserved:
		return fmt.Errorf("%w: tenant %s is reserved", ErrPlacement, id)
	case d.next.find(id, 0) != nil:
		return fmt.Errorf("%w: tenant %s is placed already, with P = %d", ErrPlacement, id, d.next.find(id, 0).partitions)
	}
	for i, home := range homes {
		r := row{tenant: id, slot: lineage.Slot(i), partitions: uint32(len(homes))}
		if err := d.locate(&r, home); err != nil {
			return err
		}
		d.put(r)
	}
	return nil
}

func (d *draft) move(id tenant.ID, slot lineage.Slot, home Home) error {
	old := d.next.find(id, slot)
	switch {
	case old == nil:
		return fmt.Errorf("%w: tenant %s slot %d: %w", ErrPlacement, id, slot, ErrUnplaced)
	case home.Epoch <= old.epoch:
		return fmt.Errorf("%w: tenant %s slot %d: epoch %d does not exceed the present %d", ErrPlacement, id, slot, home.Epoch, old.epoch)
	}
	r := *old
	if err := d.locate(&r, home); err != nil {
		return err
	}
	d.own(d.pageOf(id, slot))
	*d.next.find(id, slot) = r
	return nil
}

func (d *draft) dropTenant(id tenant.ID) error {
	first := d.next.find(id, 0)
	if first == nil {
		return fmt.Errorf("%w: %w", ErrPlacement, unplaced(id, d.next.version))
	}
	for slot := range first.partitions {
		d.remove(id, lineage.Slot(slot))
	}
	return nil
}

func (d *draft) pageOf(id tenant.ID, slot lineage.Slot) uint64 {
	return index(id, slot) >> d.next.shift
}

// own returns page i for writing.
func (d *draft) own(i uint64) *page {
	if d.owned == nil {
		d.next.pages = slices.Clone(d.next.pages)
		d.owned = make([]bool, len(d.next.pages))
	}
	p := &d.next.pages[i]
	if !d.owned[i] {
		*p = p.clone()
		d.owned[i] = true
	}
	return p
}

// put adds a new row.
func (d *draft) put(r row) {
	if d.next.rows >= pageRows*len(d.next.pages) {
		d.split()
	}
	d.own(d.pageOf(r.tenant, r.slot)).put(r)
	d.next.rows++
}

// remove deletes a row. It refills the page, so that no probe stops at the gap.
func (d *draft) remove(id tenant.ID, slot lineage.Slot) {
	p := d.own(d.pageOf(id, slot))
	p.refill(len(p.rows), func(r *row) bool { return r.tenant != id || r.slot != slot })
	d.next.rows--
}

// split doubles the directory. It passes over all rows, once per doubling.
func (d *draft) split() {
	old := d.next.pages
	d.next.pages = emptyPages(2 * len(old))
	d.next.shift--
	d.owned = make([]bool, len(d.next.pages))
	for i := range d.owned {
		d.owned[i] = true
	}
	for i := range old {
		for _, r := range old[i].rows {
			if r.partitions > 0 {
				d.next.pages[d.pageOf(r.tenant, r.slot)].put(r)
			}
		}
	}
}
