// Package queue orders future events, earliest first, and in the order of insertion at equal times:
// a short sorted list in front of a 4-ary heap of values.
package queue

import (
	"math/bits"
	"slices"
)

// Item is one thing that will happen. Ref and What belong to the user. It is kept small, as the
// queue moves items about, and has four fields at most: the compiler keeps such a struct in
// registers, and a larger one in memory. Reading memory that was just written in other portions
// costs more than all else here.
type Item struct {
	At  int64  // true time, ns, not negative
	seq uint32 // order of insertion
	Ref uint32
	What
}

// What names the kind of an event, and its process.
type What struct {
	Incarnation uint32
	Process     uint16
	Kind        uint8
}

// before is a total order: seq is unique. It is the borrow of a subtraction, not a
// comparison of times and then of seqs: which of two items comes first is a toss-up,
// and a branch on it is mispredicted half of the time.
func (a *Item) before(b *Item) bool {
	_, borrow := bits.Sub64(uint64(a.seq), uint64(b.seq), 0)
	_, borrow = bits.Sub64(uint64(a.At), uint64(b.At), borrow)
	return borrow != 0
}

// Queue holds items. The zero value is empty and ready. It takes 2^32 items from one
// Reset to the next: more than a run of hours has.
//
// Most worlds have some ten items queued, and a new one belongs among the first of them: it is put
// into its place in a sorted list at the cost of moving a few, instead of sinking through a heap,
// where every step is a toss-up. The heap takes the rest, so that a world with thousands is served
// too.
//
// Invariant: near is sorted, the earliest item last, and holds nearMax items at
// most; nothing in far is before any of them.
type Queue struct {
	near []Item
	far  heap
	seq  uint32
}

// nearMax is more than most worlds have queued.
const nearMax = 32

// Len returns the number of items.
func (q *Queue) Len() int { return len(q.near) + len(q.far) }

// Reset empties the queue and keeps its memory.
func (q *Queue) Reset() {
	q.near, q.far = q.near[:0], q.far[:0]
	q.seq = 0
}

// Push inserts an item behind those with the same time.
func (q *Queue) Push(it Item) {
	q.seq++
	it.seq = q.seq
	n := len(q.near)
	switch full := n == nearMax; {
	case (full || len(q.far) > 0) && (n == 0 || q.near[0].before(&it)):
		q.far.push(it)
		return
	case full:
		q.far.push(q.near[0])
		q.near = append(q.near[:0], q.near[1:]...)
	}
	q.near = append(q.near, it)
	i := len(q.near) - 1
	for i > 0 && q.near[i-1].before(&it) {
		q.near[i] = q.near[i-1]
		i--
	}
	q.near[i] = it
}

// NextAt returns the time of the earliest item. The queue must not be empty.
func (q *Queue) NextAt() int64 {
	if len(q.near) == 0 {
		q.refill()
	}
	return q.near[len(q.near)-1].At
}

// Pop removes and returns the earliest item. The queue must not be empty.
func (q *Queue) Pop() Item {
	if len(q.near) == 0 {
		q.refill()
	}
	last := len(q.near) - 1
	it := q.near[last]
	q.near = q.near[:last]
	return it
}

// refill takes the earliest items of the heap into the list, which is empty.
func (q *Queue) refill() {
	for len(q.near) < nearMax/2 && len(q.far) > 0 {
		q.near = append(q.near, q.far.pop())
	}
	slices.Reverse(q.near)
}

// heap has four children below each item.
//
// Invariant: h[i] is not before h[(i-1)/4] for every i > 0.
type heap []Item

func (h *heap) push(it Item) {
	*h = append(*h, it)
	q := *h
	i := len(q) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !it.before(&q[parent]) {
			break
		}
		q[i] = q[parent]
		i = parent
	}
	q[i] = it
}

func (h *heap) pop() Item {
	q := *h
	top, last := q[0], len(q)-1
	moved := q[last]
	*h = q[:last]
	if last > 0 {
		h.sink(moved)
	}
	return top
}

// sink places it, starting from the vacant root.
func (h *heap) sink(it Item) {
	q := *h
	i, n := 0, len(q)
	for {
		first := 4*i + 1
		if first >= n {
			break
		}
		least := first
		for child := first + 1; child < min(first+4, n); child++ {
			if q[child].before(&q[least]) {
				least = child
			}
		}
		if !q[least].before(&it) {
			break
		}
		q[i] = q[least]
		i = least
	}
	q[i] = it
}
