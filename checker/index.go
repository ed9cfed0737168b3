package checker

import (
	"math/bits"
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// none marks the end of a list of indexes.
const none = int32(-1)

// key is the key of an index entry: an operation's identity in its slot, an entity of a tenant, or
// an entity alone.
type key struct{ a, b, c, d uint64 }

func operationKey(t tenant.ID, slot lineage.Slot, op signal.Operation) key {
	return key{uint64(t), uint64(slot), op.Session, op.Request}
}

func slotKey(t tenant.ID, slot lineage.Slot) key { return key{a: uint64(t), b: uint64(slot)} }

// index is a multimap of keys to numbers. It is a hash table with open
// addressing over a list of items: unlike a map it is emptied without being
// given up, and reading it has one order, that of insertion.
//
// Invariant: slots is a power of two long and at most half full.
type index struct {
	slots []int32 // 1 + the first item of a key, 0 if free
	items []item
}

type item struct {
	key   key
	value int32
	next  int32 // the next item of the same key, or none
}

// reset empties x and makes room for n items.
func (x *index) reset(n int) {
	size := 1 << bits.Len(uint(2*n+1))
	if cap(x.slots) < size {
		x.slots = make([]int32, size)
	}
	x.slots = x.slots[:size]
	clear(x.slots)
	x.items = x.items[:0]
}

// slot returns where the first item of k is or has to go.
func (x *index) slot(k key) int {
	const odd = 0x9e3779b97f4a7c15 // the products do not wait for each other
	h := (k.a^odd)*0xa0761d6478bd642f ^ bits.RotateLeft64(k.b*0xe7037ed1a0b428db, 16) ^
		bits.RotateLeft64(k.c*0x8ebc6af09c88c6e3, 32) ^ bits.RotateLeft64(k.d*odd, 48)
	high, low := bits.Mul64(h, odd)
	mask := len(x.slots) - 1
	at := int(high^low) & mask
	for x.slots[at] != 0 && x.items[x.slots[at]-1].key != k {
		at = (at + 1) & mask
	}
	return at
}

// add appends value to the values of k. The index must have been reset with
// room for it.
func (x *index) add(k key, value int32) {
	added := x.append(k, value)
	at := x.slot(k)
	if x.slots[at] == 0 {
		x.slots[at] = added + 1
		return
	}
	last := x.slots[at] - 1
	for x.items[last].next != none {
		last = x.items[last].next
	}
	x.items[last].next = added
}

// first returns the first item of k, or none.
func (x *index) first(k key) int32 { return x.slots[x.slot(k)] - 1 }

// dense returns the number of k, counting keys in the order in which they are
// first asked for, and whether it is new.
func (x *index) dense(k key) (int32, bool) {
	at := x.slot(k)
	if x.slots[at] != 0 {
		return x.slots[at] - 1, false
	}
	number := int32(len(x.items))
	x.append(k, number)
	x.slots[at] = number + 1
	return number, true
}

// append adds an item that is in no slot yet, and returns its place.
func (x *index) append(k key, value int32) int32 {
	n := len(x.items)
	x.items = slices.Grow(x.items, 1)[:n+1]
	it := &x.items[n]
	it.key, it.value, it.next = k, value, none
	return int32(n)
}

// indexRecords indexes the records of operations in all logs by identity. The values
// are places in the logs laid end to end: entries of the first log first.
func (s *Scratch) indexRecords(run *observe.Run) {
	if s.hasRecords {
		return
	}
	s.hasRecords = s.together
	total := int32(0)
	s.ends = s.ends[:0]
	for _, l := range run.Logs {
		total += int32(len(l.Entries))
		s.ends = append(s.ends, total)
	}
	s.records.reset(int(total))
	place := int32(0)
	for _, l := range run.Logs {
		for i := range l.Entries {
			if rec := &l.Entries[i].Record; rec.Kind.IsOperation() {
				s.records.add(operationKey(l.Tenant, l.Slot, rec.Operation()), place+int32(i))
			}
		}
		place += int32(len(l.Entries))
	}
}

// indexChanges indexes the changes that were sent by identity. The values are
// indexes in the history.
func (s *Scratch) indexChanges(ops []history.Op) {
	if s.hasChanges {
		return
	}
	s.hasChanges = s.together
	s.changes.reset(len(ops))
	for i := range ops {
		if op := &ops[i]; op.Kind.Changes() && op.Op.Session != 0 {
			s.changes.add(operationKey(op.Tenant, op.Slot, op.Op), int32(i))
		}
	}
}

// entryAt returns the entry at a place in the logs laid end to end.
func (s *Scratch) entryAt(run *observe.Run, place int32) *observe.Entry {
	at, _ := slices.BinarySearch(s.ends, place+1) // the first log that ends behind it
	entries := run.Logs[at].Entries
	return &entries[int(place)-int(s.ends[at])+len(entries)]
}

// indexDumps indexes the final dumps by slot. The values are indexes in run.Dumps.
func (s *Scratch) indexDumps(run *observe.Run) {
	if s.hasDumps {
		return
	}
	s.hasDumps = s.together
	s.dumps.reset(len(run.Dumps))
	for i := range run.Dumps {
		s.dumps.add(slotKey(run.Dumps[i].Tenant, run.Dumps[i].Slot), int32(i))
	}
}
