package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
)

func TestBudget(t *testing.T) {
	duties := func(list ...observe.Duties) func(*world) {
		return func(w *world) {
			w.has(7, 5)
			w.run.Shared, w.run.Availability.Silence = true, 300*ms
			w.run.Budget.Duties = list
		}
	}
	drain := func(node uint32, index uint64) observe.Duties {
		return observe.Duties{Node: node, Index: index, Drain: true, At: int64(index) * ms}
	}
	undrain := func(node uint32, index uint64) observe.Duties { return observe.Duties{Node: node, Index: index} }
	leaves := func(given func(*world), node uint32, index uint64, left int, outages ...observe.Outage) func(*world) {
		return func(w *world) {
			given(w)
			w.run.Budget.Leaves = append(w.run.Budget.Leaves, observe.Leave{Shard: 1, Version: 2, Index: index, Node: node, Left: left, Min: 2, At: int64(index) * ms})
			w.run.Availability.Outages = outages
		}
	}
	two := []string{"two-drains [] 6 ms: node 2 was to have no duties by entry 6, while node 1 had none since entry 5"}
	below := []string{"below-min [] 8 ms: shard 1: node 1, which was drained, left the set in version 2, and 1 members are left of 2 that it needs"}
	judged(t, "budget", []given{
		{name: "no replica groups", verdict: Held, why: "no shard is a replica group", make: func(w *world) { w.has(7, 5) }},
		{name: "nobody drained", verdict: Held, why: "nobody was drained, and nobody left a set", make: duties()},
		{name: "one after the other", verdict: Held, make: duties(drain(1, 5), undrain(1, 6), drain(2, 7))},
		{name: "the same again", verdict: Held, make: duties(drain(1, 5), undrain(1, 6), drain(1, 7))},
		{name: "told in another order", verdict: Held, make: duties(undrain(1, 6), drain(2, 7), drain(1, 5))},
		{name: "two at once", verdict: Violated, make: duties(drain(1, 5), drain(2, 6)), want: two},
		{name: "two at once, told in another order", verdict: Violated, make: duties(undrain(1, 7), drain(2, 6), drain(1, 5)), want: two},
		{name: "leaves enough", verdict: Held, make: leaves(duties(drain(1, 5)), 1, 8, 2)},
		{name: "leaves too few", verdict: Violated, make: leaves(duties(drain(1, 5)), 1, 8, 1), want: below},
		{name: "leaves before it is drained", verdict: Held, make: leaves(duties(drain(1, 9)), 1, 8, 1)},
		{name: "leaves after it is no more", verdict: Held, make: leaves(duties(drain(1, 5), undrain(1, 6)), 1, 8, 1)},
		{name: "another one leaves", verdict: Held, make: leaves(duties(drain(1, 5)), 2, 8, 1)},
		{name: "leaves because it is gone", verdict: Held, make: leaves(duties(drain(1, 5)), 1, 8, 1, observe.Outage{Node: 1, Alone: true, From: 6 * ms, To: 7 * ms})},
		{name: "another one is gone", verdict: Violated, make: leaves(duties(drain(1, 5)), 1, 8, 1, observe.Outage{Node: 2, Alone: true, From: 6 * ms, To: 7 * ms}), want: below},
	})
}
