// Package queue orders what is going to happen: a 4-ary heap of values, earliest
// first, and in the order of insertion at equal times.
package queue

import "math/bits"

// Item is one thing that will happen. Kind, Process, Incarnation and Ref belong
// to the user. It is kept small: the heap moves items about.
type Item struct {
	At          int64  // true time, ns, not negative
	seq         uint32 // order of insertion
	Incarnation uint32
	Ref         uint32
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

// Queue is the heap. The zero value is empty and ready. It takes 2^32 items from one
// Reset to the next: more than a run of hours has.
//
// Invariant: heap[i] is not before heap[(i-1)/4] for every i > 0.
type Queue struct {
	heap []Item
	seq  uint32
}

// Len returns the number of items.
func (q *Queue) Len() int { return len(q.heap) }

// Reset empties the queue and keeps its memory.
func (q *Queue) Reset() {
	q.heap = q.heap[:0]
	q.seq = 0
}

// Push inserts an item behind those with the same time.
func (q *Queue) Push(it Item) {
	q.seq++
	it.seq = q.seq
	q.heap = append(q.heap, it)
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !it.before(&q.heap[parent]) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = it
}

// NextAt returns the time of the earliest item. The queue must not be empty.
func (q *Queue) NextAt() int64 { return q.heap[0].At }

// Pop removes and returns the earliest item. The queue must not be empty.
func (q *Queue) Pop() Item {
	top := q.heap[0]
	last := len(q.heap) - 1
	moved := q.heap[last]
	q.heap = q.heap[:last]
	if last > 0 {
		q.sink(moved)
	}
	return top
}

// sink places it, starting from the vacant root.
func (q *Queue) sink(it Item) {
	i, n := 0, len(q.heap)
	for {
		first := 4*i + 1
		if first >= n {
			break
		}
		least := first
		for child := first + 1; child < min(first+4, n); child++ {
			if q.heap[child].before(&q.heap[least]) {
				least = child
			}
		}
		if !q.heap[least].before(&it) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = it
}
