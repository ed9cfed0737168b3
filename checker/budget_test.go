package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
)

func TestBudget(t *testing.T) {
	duties := func(list ...observe.Duties) func(*world) {
		return func(w *world) {
			w.has(7, 5)
			w.run.Availability.Silence = 300 * ms
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
		{name: "leaves because it has restarted", verdict: Held, make: func(w *world) {
			leaves(duties(drain(1, 5)), 1, 8, 1)(w)
			w.run.Budget.Leaves[0].Restarted = true
		}},
		{name: "removes a silent member", verdict: Held, make: func(w *world) {
			duties(drain(1, 5))(w)
			w.run.Budget.Removes(observe.Removal{Shard: 3, By: 2, Node: 1, Set: 2, Min: 2, Answered: 5 * ms, At: 400 * ms})
		}},
		{name: "removes a slow member of a set that can do without it", verdict: Held, make: func(w *world) {
			duties(drain(1, 5))(w)
			w.run.Budget.Removes(observe.Removal{Shard: 3, By: 2, Node: 1, Set: 3, Min: 2, Answered: 350 * ms, At: 400 * ms})
		}},
		{name: "removes a slow member at min", verdict: Violated, make: func(w *world) {
			duties(drain(1, 5))(w)
			w.run.Budget.Removes(observe.Removal{Shard: 3, By: 2, Node: 1, Set: 2, Min: 2, Answered: 350 * ms, At: 400 * ms})
		}, want: []string{"removes-slow [] 400 ms: shard 3: at 400 ms node 2 asked for the removal of node 1, which answered what was asked at 350 ms; 2 members are in sync of 2 that it needs"}},
		{name: "answered when it has no duties", verdict: Held, make: func(w *world) {
			duties(drain(1, 5))(w)
			w.run.Budget.Answered(observe.DrainAnswer{By: 2, Node: 1, At: 8 * ms})
		}},
		{name: "answered while it is in a set", verdict: Violated, make: func(w *world) {
			duties(drain(1, 5))(w)
			w.run.Budget.Answered(observe.DrainAnswer{By: 2, Node: 1, Shard: 3, Busy: true, At: 8 * ms})
		}, want: []string{"answered-early [] 8 ms: node 2 told an operator at 8 ms that node 1 is drained, which was in the set of shard 3"}},
		{name: "another one is gone", verdict: Violated, make: leaves(duties(drain(1, 5)), 1, 8, 1, observe.Outage{Node: 2, Alone: true, From: 6 * ms, To: 7 * ms}), want: below},
	})
}

// A node that is drained is given nothing to do while another one can do it. Shard 1 is on
// nodes 0, 1 and 2, and node 0 leads; node 1 is drained by entry 5.
func TestBudgetOfDuties(t *testing.T) {
	type config = observe.Configuration
	set := func(nodes ...uint32) (list []observe.Process) {
		for _, n := range nodes {
			list = append(list, observe.Process{Node: n, Incarnation: 1})
		}
		return list
	}
	of := func(version, index uint64, epoch lineage.ShardEpoch, leader uint32, inSync ...uint32) config {
		return config{
			Shard: 1, Version: version, Index: index, Epoch: epoch, Leader: observe.Process{Node: leader, Incarnation: 1},
			InSync: set(inSync...), Replicas: []uint32{0, 1, 2}, Min: 2, At: int64(index) * 1000 * ms,
		}
	}
	first := of(2, 4, 1, 0, 0, 1, 2)
	then := func(c config, changes ...func(*world)) func(*world) {
		return func(w *world) {
			w.has(7, 5)
			w.run.Availability.Silence = 300 * ms
			w.run.Budget.Duties = []observe.Duties{{Node: 1, Index: 5, Drain: true, At: 5000 * ms}}
			before := first
			if c.Version > 3 { // node 1 has left before
				before = of(3, 6, 1, 0, 0, 2)
			}
			w.run.Configurations.Told(before)
			for _, change := range changes {
				change(w)
			}
			w.run.Configurations.Told(c)
		}
	}
	hurts := func(node uint32) func(*world) {
		return func(w *world) {
			w.run.Availability.Outages = append(w.run.Availability.Outages, observe.Outage{Node: node, Alone: true, From: 6500 * ms, To: 9000 * ms})
		}
	}
	lives := func(node uint32) func(*world) {
		return func(w *world) {
			w.run.Configurations.Registered(observe.Registration{Process: observe.Process{Node: node, Incarnation: 2}, Index: 6})
		}
	}
	excluded := func(w *world) {
		w.run.Configurations.List[0].Excluded = []observe.SlotExclusion{{Member: observe.Process{Node: 2, Incarnation: 1}, Tenant: 2}}
	}
	placed := of(4, 8, 1, 0, 0, 2)
	coordinates := func(until int64, changes ...func(*world)) func(*world) {
		return then(of(3, 6, 1, 0, 0, 2), append(changes, func(w *world) {
			w.run.Availability.Coordinates(1, 100*ms)
			w.run.Availability.Coordinates(2, until*ms)
		})...)
	}
	judged(t, "budget", []given{
		{name: "it leaves", verdict: Held, make: then(of(3, 6, 1, 0, 0, 2))},
		{name: "another one leads", verdict: Held, make: then(of(3, 6, 2, 2, 0, 1, 2))},
		{name: "it leads", verdict: Violated, make: then(of(3, 6, 2, 1, 0, 1, 2)), want: []string{
			"leads [] 6000 ms: shard 1: node 1, which was drained, was made the leader in version 3, although node 2 has duties, and is in sync and whole",
		}},
		{name: "it was made the leader before that was known", verdict: Held, make: then(func() config { c := of(3, 6, 2, 1, 0, 1, 2); c.At = 5049 * ms; return c }())},
		{name: "it leads, and the other one is down", verdict: Held, make: then(of(3, 7, 2, 1, 0, 1, 2), hurts(2))},
		{name: "it leads, and the other one has restarted", verdict: Held, make: then(of(3, 7, 2, 1, 0, 1, 2), lives(2))},
		{name: "it leads, and the other one lacks records", verdict: Held, make: then(of(3, 7, 2, 1, 0, 1, 2), excluded)},
		{name: "it leads, and only the leader before is left", verdict: Held, make: then(of(3, 7, 2, 1, 0, 1, 2), hurts(2), lives(0))},
		{name: "it joins", verdict: Violated, make: then(of(4, 8, 1, 0, 0, 1, 2)), want: []string{
			"joins [] 8000 ms: shard 1: node 1, which was drained, came into the set in version 4",
		}},
		{name: "it joins, and has duties again", verdict: Held, make: then(of(4, 8, 1, 0, 0, 1, 2), func(w *world) {
			w.run.Budget.Duties = append(w.run.Budget.Duties, observe.Duties{Node: 1, Index: 7, At: 7000 * ms})
		})},
		{name: "a set is made anew with it", verdict: Held, make: then(func() config { c := of(4, 8, 2, 0, 0, 1, 2); c.Reformed = true; return c }())},
		{name: "it is given a replica", verdict: Violated, make: then(placed, func(w *world) { w.run.Configurations.List[0].Replicas = []uint32{0, 2, 3} }), want: []string{
			"placed [] 8000 ms: shard 1: it was placed on node 1, which was drained, in version 4",
		}},
		{name: "it hands the coordination over", verdict: Held, make: coordinates(7600)},
		{name: "it goes on coordinating", verdict: Violated, make: coordinates(7800), want: []string{
			"coordinates [] 7800 ms: node 1, which was drained by entry 5 and had no other duties, coordinated until 7800 ms",
		}},
		{name: "it goes on coordinating, and another node is down", verdict: Held, make: coordinates(7800, hurts(2))},
		{name: "it goes on coordinating, and has duties again", verdict: Held, make: coordinates(7800, func(w *world) {
			w.run.Budget.Duties = append(w.run.Budget.Duties, observe.Duties{Node: 1, Index: 7, At: 7000 * ms})
		})},
	})
}
