// Package keyed is a list whose entries are found by a key, in the same time however
// many there are. It is a map that has no order of its own: whoever goes through it
// goes through a list, in the order in which entries were added, so that no run
// depends on the way of storing it. Entries are never removed one by one.
//
// Keys are two integers: the entries of this house are named by a tenant and a slot, by a
// node and a shard, and the like.
package keyed

import "github.com/tidaldb/tidalsim/core/assert"

// Key names an entry.
type Key struct{ A, B uint64 }

// few is how many keys are compared one after the other, which is faster than any
// other way to find one among them.
const few = 8

// List is a list of entries with keys. The zero value is empty and ready.
//
// Invariants: keys[i] is that of entries[i], and no two are equal; if there are more
// than few, places, which has a power of two and at least twice as many, holds 1 + each
// i, and between the place that a key's hash gives and the one that holds it none is
// free.
type List[T any] struct {
	entries []T
	keys    []Key
	places  []uint32
}

// All returns the entries in the order in which they were added. It belongs to the list.
func (l *List[T]) All() []T { return l.entries }

// Len returns the number of entries.
func (l *List[T]) Len() int { return len(l.entries) }

// Key returns the key of entry i.
func (l *List[T]) Key(i int) Key { return l.keys[i] }

// Find returns an entry, nil if there is none with that key. It is valid until the next
// one is added.
func (l *List[T]) Find(k Key) *T {
	if i := l.Place(k); i >= 0 {
		return &l.entries[i]
	}
	return nil
}

// Place returns where in All an entry is, -1 if there is none with that key.
func (l *List[T]) Place(k Key) int {
	if len(l.keys) <= few {
		for i := range l.keys {
			if l.keys[i] == k {
				return i
			}
		}
		return -1
	}
	mask := uint64(len(l.places) - 1)
	for at := k.hash() & mask; ; at = (at + 1) & mask {
		i := int(l.places[at]) - 1
		if i < 0 || l.keys[i] == k {
			return i
		}
	}
}

// Add adds an entry under a key that has none, and returns it: as Reset left what stood
// in its place, so that its memory can be used again, or zero. It is valid until the
// next one is added.
func (l *List[T]) Add(k Key) *T {
	if l.Place(k) >= 0 {
		assert.Fail("key %x-%x is added twice", k.A, k.B)
	}
	n := len(l.entries)
	if n < cap(l.entries) {
		l.entries = l.entries[:n+1]
	} else {
		l.entries = append(l.entries, *new(T))
	}
	l.keys = append(l.keys, k)
	switch {
	case n < few:
	case n == few || 2*len(l.keys) > len(l.places):
		l.spread()
	default:
		l.put(n)
	}
	return &l.entries[n]
}

// spread gives every key a place, among twice to four times as many.
func (l *List[T]) spread() {
	size := 4 * few
	for size < 2*len(l.keys) {
		size *= 2
	}
	if cap(l.places) >= size {
		l.places = l.places[:size]
		clear(l.places)
	} else {
		l.places = make([]uint32, size)
	}
	for i := range l.keys {
		l.put(i)
	}
}

func (l *List[T]) put(i int) {
	mask := uint64(len(l.places) - 1)
	at := l.keys[i].hash() & mask
	for l.places[at] != 0 {
		at = (at + 1) & mask
	}
	l.places[at] = uint32(i + 1)
}

// hash spreads keys that differ in a few low bits.
func (k Key) hash() uint64 {
	h := (k.A*0x9e3779b97f4a7c15 ^ k.B) * 0xff51afd7ed558ccd
	return h ^ h>>32
}

// Reset empties the list and keeps its memory.
func (l *List[T]) Reset() { l.entries, l.keys = l.entries[:0], l.keys[:0] }
