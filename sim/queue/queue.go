// Package queue orders what is going to happen: a 4-ary heap of values, earliest
// first, and in the order of insertion at equal times.
package queue

// Item is one thing that will happen. Kind, Process, Incarnation and Ref belong
// to the user.
type Item struct {
	At          int64  // true time, ns
	seq         uint64 // order of insertion
	Incarnation uint32
	Process     uint32
	Ref         uint32
	Kind        uint8
}

// before is a total order: seq is unique.
func (a *Item) before(b *Item) bool {
	return a.At < b.At || a.At == b.At && a.seq < b.seq
}

// Queue is the heap. The zero value is empty and ready.
//
// Invariant: heap[i] is not before heap[(i-1)/4] for every i > 0.
type Queue struct {
	heap []Item
	seq  uint64
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
