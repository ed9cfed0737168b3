// Package fair shares a server among flows by deficit round robin (Shreedhar and Varghese, 1995):
// each flow has a bounded queue of its own, and each flow with work gets the same amount of service
// in a round, however many of its items wait.
//
// It is only a data structure: it knows neither tenants nor time. The caller states the cost of an
// item when it adds it.
package fair

import "github.com/tidaldb/tidalsim/core/assert"

// Queue holds the waiting items of all flows. Use New.
//
// Invariants: a flow is in the ring exactly if it has items; a flow outside the ring has no
// deficit; 0 <= deficit < quantum + the cost of the flow's first item.
type Queue[T any] struct {
	quantum int64
	bound   int
	flows   []flow[T]
	ring    []int // flows with items, in the order of their turns; a circular buffer
	head    int
	waiting int // flows in the ring
	length  int // items of all flows
	granted bool
}

// flow is one bounded queue; a circular buffer that grows to its bound.
type flow[T any] struct {
	items   []entry[T]
	head, n int
	deficit int64
}

type entry[T any] struct {
	item T
	cost int64
}

// New returns an empty queue. quantum is the service that a flow gets in each round, in the unit of
// costs, at least 1. bound is the number of items of one flow that may wait.
func New[T any](quantum int64, bound int) *Queue[T] {
	assert.That(quantum >= 1, "fair: quantum is %d, want at least 1", quantum)
	assert.That(bound >= 1, "fair: bound is %d, want at least 1", bound)
	return &Queue[T]{quantum: quantum, bound: bound}
}

// Len returns the number of waiting items.
func (q *Queue[T]) Len() int { return q.length }

// Full reports whether a flow has as many items as may wait.
func (q *Queue[T]) Full(f int) bool { return f < len(q.flows) && q.flows[f].n == q.bound }

// Waiting returns the number of waiting items of one flow.
func (q *Queue[T]) Waiting(f int) int {
	if f >= len(q.flows) {
		return 0
	}
	return q.flows[f].n
}

// Push adds an item behind those of its flow. Flows are small dense numbers; cost is at least 1. If
// the flow is full it returns false and changes nothing.
func (q *Queue[T]) Push(f int, cost int64, item T) bool {
	if cost < 1 {
		assert.Fail("fair: cost is %d, want at least 1", cost)
	}
	for f >= len(q.flows) {
		q.flows = append(q.flows, flow[T]{})
	}
	w := &q.flows[f]
	if w.n == q.bound {
		return false
	}
	w.push(entry[T]{item, cost})
	q.length++
	if w.n == 1 {
		q.enter(f)
	}
	return true
}

// enter puts a flow at the end of the ring.
func (q *Queue[T]) enter(f int) {
	if q.waiting == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.waiting)%len(q.ring)] = f
	q.waiting++
}

func (q *Queue[T]) grow() {
	ring := make([]int, max(4, 2*len(q.ring)))
	for i := range q.waiting {
		ring[i] = q.ring[(q.head+i)%len(q.ring)]
	}
	q.ring, q.head = ring, 0
}

// leave takes the first flow out of the ring.
func (q *Queue[T]) leave() int {
	f := q.ring[q.head]
	q.head = (q.head + 1) % len(q.ring)
	q.waiting--
	q.granted = false
	return f
}

// Pop removes and returns the next item and its flow. The queue must not be empty.
func (q *Queue[T]) Pop() (item T, f int) {
	assert.That(q.length > 0, "fair: pop of an empty queue")
	for {
		f = q.ring[q.head]
		w := &q.flows[f]
		if !q.granted {
			w.deficit += q.quantum
			q.granted = true
		}
		first := &w.items[w.head]
		if first.cost > w.deficit { // the flow keeps the rest of its deficit for its next turn
			q.enter(q.leave())
			continue
		}
		w.deficit -= first.cost
		item = w.pop()
		q.length--
		if w.n == 0 {
			w.deficit = 0
			q.leave()
		}
		return item, f
	}
}

func (w *flow[T]) push(e entry[T]) {
	if w.n == len(w.items) {
		items := make([]entry[T], max(4, 2*len(w.items)))
		for i := range w.n {
			items[i] = w.items[(w.head+i)%len(w.items)]
		}
		w.items, w.head = items, 0
	}
	w.items[(w.head+w.n)%len(w.items)] = e
	w.n++
}

func (w *flow[T]) pop() T {
	e := &w.items[w.head]
	item := e.item
	*e = entry[T]{} // drop references to the item
	w.head = (w.head + 1) % len(w.items)
	w.n--
	return item
}
