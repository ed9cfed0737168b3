package state

import (
	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

// Overlay is the state that a slot's caps must count: the fold plus the records that are appended
// and not yet folded. Creations in flight count, and an entity with a pending deletion no longer
// exists. It belongs to the slot's leader. Use Reset first.
//
// It holds one mark for each entity that a pending record touches, so the number of pending records
// bounds it. Once it has grown to that bound, it allocates nothing.
//
// Invariant: entities and bytes are those of the fold after all pending records.
type Overlay struct {
	fold     *Slot
	entities uint64
	bytes    uint64
	limits   *record.Limits // of the last pending Config record; nil: those of the fold
	marks    marks
}

// mark is the effect of the pending records on one entity.
type mark struct {
	entity  signal.Entity
	pending uint32 // pending records of the entity; 0: the place is free
	exists  bool   // after the last of them
	bytes   uint64 // likewise
}

// Reset starts over on a fold, with nothing pending.
func (o *Overlay) Reset(fold *Slot) {
	clear(o.marks.places)
	*o = Overlay{
		fold: fold, entities: fold.Live(), bytes: fold.Bytes(),
		marks: marks{places: o.marks.places},
	}
}

// Entities returns the number of live entities.
func (o *Overlay) Entities() uint64 { return o.entities }

// Bytes returns the logical bytes.
func (o *Overlay) Bytes() uint64 { return o.bytes }

// Limits returns the limits of the last Config record, pending or folded.
func (o *Overlay) Limits() (limits record.Limits) {
	switch {
	case o.limits != nil:
		return *o.limits
	case o.fold != nil:
		return o.fold.Limits
	}
	return limits
}

// Exists reports whether an entity is live.
func (o *Overlay) Exists(e signal.Entity) bool {
	if m := o.marks.find(e); m != nil {
		return m.exists
	}
	_, ok := o.fold.index[e]
	return ok
}

// Add adds an appended record, which is pending from here on.
func (o *Overlay) Add(r *record.Record) {
	if r.Kind == record.Config {
		limits := r.Limits
		o.limits = &limits
	}
	e, ok := r.Subject()
	if !ok {
		return
	}
	m := o.touch(e)
	m.pending++
	if r.Kind == record.EntityDelete {
		o.forget(m)
		return
	}
	if !m.exists {
		m.exists = true
		o.entities++
	}
	if r.Kind == record.Signal {
		size := uint64(record.Size(record.Signal))
		m.bytes += size
		o.bytes += size
	}
}

// forget subtracts an entity and its bytes.
func (o *Overlay) forget(m *mark) {
	if m.exists {
		o.entities--
	}
	o.bytes -= m.bytes
	m.exists, m.bytes = false, 0
}

// touch returns the mark of an entity. A new mark starts with the entity's values in the fold.
func (o *Overlay) touch(e signal.Entity) *mark {
	if m := o.marks.find(e); m != nil {
		return m
	}
	m := o.marks.insert(e)
	if known := o.fold.find(e); known != nil {
		m.exists, m.bytes = true, known.Bytes
	}
	return m
}

// Settle removes a pending record that the fold has just applied. Records settle in the order in
// which they were added.
func (o *Overlay) Settle(r *record.Record) {
	if r.Kind == record.Config && o.limits != nil && *o.limits == r.Limits {
		o.limits = nil
	}
	e, ok := r.Subject()
	if !ok {
		return
	}
	m := o.marks.find(e)
	if m == nil {
		assert.Fail("record %d settles entity %d, which no pending record touches", r.Seq, e)
	}
	m.pending--
	if m.pending > 0 {
		return
	}
	live, bytes := false, uint64(0)
	if known := o.fold.find(e); known != nil {
		live, bytes = true, known.Bytes
	}
	if live != m.exists || bytes != m.bytes {
		assert.Fail("entity %d after record %d: the fold has live=%t with %d bytes, pending records had led to live=%t with %d bytes", e, r.Seq, live, bytes, m.exists, m.bytes)
	}
	o.marks.remove(m)
}

// marks is a hash table with linear probing. Unlike a map, it allocates only when it grows, not
// while entries come and go.
//
// Invariant: len(places) is 0 or a power of two, at least twice the marks in use. No place is free
// between a mark and the place of its hash.
type marks struct {
	places []mark
	used   int
}

// home returns the place at which the search for an entity begins. Entity numbers are often dense,
// so their bits are mixed (Fibonacci hashing, Knuth 6.4).
func (t *marks) home(e signal.Entity) int {
	return int(uint64(e)*0x9e3779b97f4a7c15>>32) & (len(t.places) - 1)
}

func (t *marks) next(i int) int { return (i + 1) & (len(t.places) - 1) }

// find returns the mark of an entity, nil if there is none. It is valid until the
// next insert or remove.
func (t *marks) find(e signal.Entity) *mark {
	if len(t.places) == 0 {
		return nil
	}
	for i := t.home(e); t.places[i].pending > 0; i = t.next(i) {
		if t.places[i].entity == e {
			return &t.places[i]
		}
	}
	return nil
}

// insert returns a new mark for an entity that has none. The caller counts the first pending
// record.
func (t *marks) insert(e signal.Entity) *mark {
	if 2*(t.used+1) > len(t.places) {
		t.grow()
	}
	i := t.home(e)
	for t.places[i].pending > 0 {
		i = t.next(i)
	}
	t.used++
	t.places[i] = mark{entity: e}
	return &t.places[i]
}

func (t *marks) grow() {
	old := t.places
	t.places = make([]mark, max(16, 2*len(old)))
	t.used = 0
	for _, m := range old {
		if m.pending > 0 {
			*t.insert(m.entity) = m
		}
	}
}

// remove frees the place of m and moves up later marks that a search would no longer find (Knuth
// 6.4, algorithm R).
func (t *marks) remove(m *mark) {
	t.used--
	free := t.home(m.entity)
	for &t.places[free] != m {
		free = t.next(free)
	}
	mask := len(t.places) - 1
	for i := t.next(free); t.places[i].pending > 0; i = t.next(i) {
		if fromHome := (i - t.home(t.places[i].entity)) & mask; fromHome >= (i-free)&mask {
			t.places[free] = t.places[i]
			free = i
		}
	}
	t.places[free] = mark{}
}
