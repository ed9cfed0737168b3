package route

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// page is an open-addressing table of rows with linear probing.
//
// Invariant: the number of rows is a power of two. At most three in eight rows are used, because
// each probe of a wrong row is a mispredicted branch. No unused row is between a row and the place
// of its hash.
type page struct {
	rows []row
	used int
}

// row is one slot's placement: 32 bytes, two to a cache line, no pointers.
type row struct {
	tenant     tenant.ID
	epoch      lineage.PlacementEpoch
	slot       lineage.Slot
	partitions uint32 // P of the tenant; 0: the row is unused
	shard      lineage.Shard
	region     uint32 // index in Table.regions
}

const (
	pageRows  = 256 // mean number of used rows in a page at which the directory doubles
	pageSmall = 4   // rows of an empty page
)

// index is the hash that finds rows: its highest bits select the page, its lowest the place in it.
// One multiplication for each is enough (Fibonacci hashing): the less a look-up computes, the more
// look-ups wait for memory in parallel. It is not part of any format.
func index(id tenant.ID, slot lineage.Slot) uint64 {
	h := (uint64(id) ^ uint64(slot)*0xff51afd7ed558ccd) * 0x9e3779b97f4a7c15
	return h ^ h>>32
}

func emptyPages(n int) []page {
	pages := make([]page, n)
	for i := range pages {
		pages[i].rows = make([]row, pageSmall)
	}
	return pages
}

func (p *page) clone() page { return page{rows: slices.Clone(p.rows), used: p.used} }

// find returns the row of a tenant's slot, whose index is h, or nil.
func (p *page) find(h uint64, id tenant.ID, slot lineage.Slot) *row {
	last := uint64(len(p.rows) - 1)
	for i := h & last; ; i = (i + 1) & last {
		r := &p.rows[i]
		if r.tenant == id && r.slot == slot && r.partitions > 0 {
			return r
		}
		if r.partitions == 0 {
			return nil
		}
	}
}

// put adds a new row to a page that may be written.
func (p *page) put(r row) {
	if 8*(p.used+1) > 3*len(p.rows) {
		p.refill(2*len(p.rows), func(*row) bool { return true })
	}
	last := uint64(len(p.rows) - 1)
	i := index(r.tenant, r.slot) & last
	for p.rows[i].partitions > 0 {
		i = (i + 1) & last
	}
	p.rows[i] = r
	p.used++
}

// refill replaces a page's rows by n new ones and adds the rows to keep.
func (p *page) refill(n int, keep func(*row) bool) {
	old := p.rows
	*p = page{rows: make([]row, n)}
	for i := range old {
		if r := &old[i]; r.partitions > 0 && keep(r) {
			p.put(*r)
		}
	}
}
