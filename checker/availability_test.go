package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
)

// took is a whole read at a level that takes so long.
func (w *world) took(level history.Level, ns int64) int {
	i := w.asks(7, 5, level, ms)
	w.clock += ns - ms
	w.answer(i, w.log().End().Seq)
	return i
}

func TestAvailability(t *testing.T) {
	const second = 1000 * ms
	out := func(w *world, node uint32, alone bool, from, to int64) {
		w.run.Availability.Silence = 300 * ms
		w.run.Availability.Outages = append(w.run.Availability.Outages, observe.Outage{Node: node, Alone: alone, From: from, To: to})
	}
	late := func(w *world) {
		w.run.Availability.Silence = 300 * ms
		w.took(history.Linearizable, 1900*ms+1)
	}
	judged(t, "availability", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "only an operation", verdict: Held, make: func(w *world) { w.has(7, 5) }},
		{name: "just in time", verdict: Held, make: func(w *world) {
			w.run.Availability.Silence = 300 * ms
			w.took(history.Linearizable, 1900*ms)
			w.took(history.Bounded, 1900*ms)
			w.took(history.Session, second)
		}},
		{name: "messages are lost", verdict: Held, why: "nothing was asked while at most one node was hurt", make: func(w *world) {
			late(w)
			w.run.Availability.Lossy = true
		}},
		{name: "two nodes are hurt", verdict: Held, why: "nothing was asked while at most one node was hurt", make: func(w *world) {
			out(w, 0, true, 0, 2*ms)
			out(w, 1, true, 500*ms, 600*ms)
			late(w)
		}},
		{name: "a node is deaf, and clients wait for it", verdict: Held, make: func(w *world) {
			out(w, 0, false, 0, 2*ms)
			late(w)
		}},
		{name: "a node is deaf, and clients wait for too long", verdict: Violated, make: func(w *world) {
			out(w, 0, false, 0, 2*ms)
			w.took(history.Linearizable, 3700*ms+1)
		}, want: []string{
			"late [0] 3703.000001 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level linearizable, began at 3 ms and was answered 3700.000001 ms later, although at most one node was hurt; its deadline is 3700 ms",
		}},
		{name: "a clock steps", verdict: Held, why: "nothing was asked while at most one node was hurt", make: func(w *world) {
			out(w, 0, true, 0, 2*ms)
			w.run.Availability.Outages[0].Unbounded = true
			late(w)
		}},
		{name: "late", verdict: Violated, make: late, want: []string{
			"late [0] 1903.000001 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level linearizable, began at 3 ms and was answered 1900.000001 ms later, although at most one node was hurt; its deadline is 1900 ms",
		}},
		{name: "late at a session's level", verdict: Violated, make: func(w *world) {
			w.run.Availability.Silence = 300 * ms
			w.took(history.Session, second+1)
		}, want: []string{
			"late [0] 1003.000001 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level session, began at 3 ms and was answered 1000.000001 ms later, although at most one node was hurt; its deadline is 1000 ms",
		}},
		{name: "late, and one node is down again and again", verdict: Violated, make: func(w *world) {
			out(w, 1, true, 0, 2*ms)
			out(w, 1, true, 100*ms, 900*ms)
			late(w)
		}, want: []string{
			"late [0] 1903.000001 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level linearizable, began at 3 ms and was answered 1900.000001 ms later, although at most one node was hurt; its deadline is 1900 ms",
		}},
		{name: "late, long after two nodes were down", verdict: Violated, make: func(w *world) {
			out(w, 0, true, 0, 2*ms)
			out(w, 1, true, 0, 2*ms)
			w.clock = 1903 * ms
			late(w)
		}, want: []string{
			"late [0] 3804.000001 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level linearizable, began at 1904 ms and was answered 1900.000001 ms later, although at most one node was hurt; its deadline is 1900 ms",
		}},
		{name: "never answered", verdict: Violated, make: func(w *world) {
			w.end(w.asks(7, 5, history.Bounded, ms), history.Refused, "not-serving")
			w.end(w.asks(7, 5, history.Linearizable, 0), history.Unknown, history.Deadline)
		}, want: []string{
			"unanswered [0] 4 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level bounded, began at 3 ms and ended refused (not-serving) 1 ms later, although at most one node was hurt",
			"unanswered [1] 6 ms: read #1 of client 7 (tenant 2 slot 0, entity 5), at level linearizable, began at 5 ms and ended unknown (deadline) 1 ms later, although at most one node was hurt",
		}},
	})
}

// Gaps without an acknowledged change of shard 1, in a cluster with a silence of 300 ms and a
// slowness of 600 ms.
func TestAvailabilityOfChanges(t *testing.T) {
	type outage = observe.Outage
	gap := func(from, to int64, outages ...outage) func(*world) {
		return func(w *world) {
			w.has(7, 5)
			w.run.Availability = observe.Availability{
				Silence: 300 * ms, Slow: 600 * ms, Outages: outages, Gaps: []observe.Gap{{Shard: 1, From: from * ms, To: to * ms}},
				Sets: []observe.Set{{Shard: 2, Size: 1, Min: 2}, {Shard: 1, Size: 3, Min: 2}, {Shard: 1, Size: 2, Min: 2, At: 9000 * ms}},
			}
			w.run.Availability.Coordinates(4, 0)
			w.run.Availability.Coordinates(5, 5000*ms)
		}
	}
	hurt := func(node uint32, from, to int64) outage { return outage{Node: node, From: from * ms, To: to * ms} }
	with := func(o outage, change func(*outage)) outage {
		change(&o)
		return o
	}
	disk := func(o *outage) { o.Disk = true }
	const none = "nothing was asked while at most one node was hurt"
	stopped := func(from, to, at, bound string) []string {
		return []string{"stopped [] " + to + " ms: no change of shard 1 was acknowledged from " + from + " ms to " + to + " ms, though node 1 only was hurt, last at " + at + " ms; the bound is " + bound + " ms"}
	}
	judged(t, "availability", []given{
		{name: "deaf, within the bound", verdict: Held, make: gap(1000, 1900, hurt(1, 500, 4000))},
		{name: "deaf", verdict: Violated, make: gap(1000, 1901, hurt(1, 500, 4000)), want: stopped("1000", "1901", "1000", "900")},
		{name: "it counts from when the node was hurt", verdict: Held, make: gap(1000, 1950, hurt(1, 1050, 4000))},
		{name: "it counts from when the node was hurt last", verdict: Held, make: gap(1000, 2500, hurt(1, 1050, 1100), hurt(1, 1600, 4000))},
		{name: "a disk stands still, within the bound", verdict: Held, make: gap(1000, 2800, with(hurt(1, 500, 4000), disk))},
		{name: "a disk stands still", verdict: Violated, make: gap(1000, 2801, with(hurt(1, 500, 4000), disk)), want: stopped("1000", "2801", "1000", "1800")},
		{name: "deaf to some, within the bound", verdict: Held, make: gap(1000, 2800, with(hurt(1, 500, 4000), func(o *outage) { o.Partial = true }))},
		{name: "deaf to some", verdict: Violated, make: gap(1000, 2801, with(hurt(1, 500, 4000), func(o *outage) { o.Partial = true })), want: stopped("1000", "2801", "1000", "1800")},
		{name: "the coordinator is deaf, within the bound", verdict: Held, make: gap(1000, 2700, hurt(4, 500, 4000))},
		{name: "the coordinator is deaf", verdict: Violated, make: gap(1000, 2701, hurt(4, 500, 4000)), want: []string{
			"stopped [] 2701 ms: no change of shard 1 was acknowledged from 1000 ms to 2701 ms, though node 4 only was hurt, last at 1000 ms; the bound is 1700 ms",
		}},
		{name: "another node coordinates by then", verdict: Violated, make: gap(6000, 6901, hurt(4, 6000, 8000)), want: []string{
			"stopped [] 6901 ms: no change of shard 1 was acknowledged from 6000 ms to 6901 ms, though node 4 only was hurt, last at 6000 ms; the bound is 900 ms",
		}},
		{name: "nobody coordinates yet", verdict: Held, make: func(w *world) {
			gap(1000, 2700, hurt(1, 500, 4000))(w)
			w.run.Availability.Coordinators = nil
		}},
		{name: "nobody is hurt", verdict: Violated, make: gap(1000, 1901), want: []string{
			"stopped [] 1901 ms: no change of shard 1 was acknowledged from 1000 ms to 1901 ms, though nobody was hurt; the bound is 900 ms",
		}},
		{name: "a node was hurt long before", verdict: Violated, make: gap(4000, 4901, hurt(2, 0, 1000), hurt(1, 3500, 6000)), want: stopped("4000", "4901", "4000", "900")},
		{name: "two nodes are hurt", verdict: Held, why: none, make: gap(1000, 3000, hurt(1, 500, 4000), hurt(2, 500, 4000))},
		{name: "the set is at min", verdict: Held, make: gap(9500, 12000, hurt(1, 9500, 15000))},
		{name: "a clock is changed", verdict: Held, why: none, make: gap(1000, 3000, with(hurt(1, 500, 4000), func(o *outage) { o.Unbounded = true }))},
		{name: "messages are lost besides", verdict: Violated, make: func(w *world) {
			gap(1000, 2801, hurt(1, 500, 4000))(w)
			w.run.Availability.Lossy = true
		}, want: stopped("1000", "2801", "1000", "1800")},
		{name: "messages are lost besides, within the bound", verdict: Held, make: func(w *world) {
			gap(1000, 2800, hurt(1, 500, 4000))(w)
			w.run.Availability.Lossy = true
		}},
		{name: "a member leaves on purpose at the same time", verdict: Held, make: func(w *world) {
			gap(1000, 3000, hurt(1, 1000, 4000))(w)
			w.run.Budget.Duties = []observe.Duties{{Node: 2, Index: 5, Drain: true}}
			w.run.Budget.Leaves = []observe.Leave{{Shard: 1, Node: 2, Index: 6, Left: 2, Min: 2, At: 1149 * ms}}
		}},
		{name: "a member leaves on purpose, and another one was silent", verdict: Violated, make: func(w *world) {
			gap(1000, 3000, hurt(1, 1000, 4000))(w)
			w.run.Budget.Duties = []observe.Duties{{Node: 2, Index: 5, Drain: true}}
			w.run.Budget.Leaves = []observe.Leave{{Shard: 1, Node: 2, Index: 6, Left: 2, Min: 2, At: 1150 * ms}}
		}, want: stopped("1000", "3000", "1000", "900")},
		{name: "nobody waited", verdict: Held, make: func(w *world) {
			gap(1900, 1900)(w)
			w.took(history.Linearizable, ms)
		}},
	})
}

// Node 0 leads shard 1 and is deaf from 1000 ms to 4000 ms; node 2 leaves.
func TestRemovalsByTheDeaf(t *testing.T) {
	leaves := func(at int64, changes ...func(*world)) func(*world) {
		return func(w *world) {
			w.has(7, 5)
			w.run.Availability = observe.Availability{Silence: 300 * ms, Slow: 600 * ms, Outages: []observe.Outage{{Node: 0, Deaf: true, From: 1000 * ms, To: 4000 * ms}}}
			w.run.Configurations.Told(observe.Configuration{Shard: 1, Version: 3, Index: 6, Leader: observe.Process{Node: 0, Incarnation: 1}})
			w.run.Budget.Leaves = []observe.Leave{{Shard: 1, Version: 3, Index: 6, Node: 2, Left: 2, Min: 2, At: at * ms}}
			for _, change := range changes {
				change(w)
			}
		}
	}
	judged(t, "availability", []given{
		{name: "a member leaves", verdict: Violated, make: leaves(1151), want: []string{
			"removed [] 1151 ms: shard 1: node 2 left the set in version 3, which nothing had hurt, and its leader, node 0, has heard nobody since 1000 ms",
		}},
		{name: "that was on its way", verdict: Held, make: leaves(1150)},
		{name: "the leader hears again", verdict: Held, make: leaves(4001)},
		{name: "it was hurt", verdict: Held, make: leaves(1500, func(w *world) {
			w.run.Availability.Outages = append(w.run.Availability.Outages, observe.Outage{Node: 2, Alone: true, From: 500 * ms, To: 600 * ms})
		})},
		{name: "it is drained", verdict: Held, make: leaves(1500, func(w *world) {
			w.run.Budget.Duties = []observe.Duties{{Node: 2, Index: 5, Drain: true}}
		})},
		{name: "the leader is mute", verdict: Held, make: leaves(1500, func(w *world) { w.run.Availability.Outages[0].Deaf = false })},
		{name: "another node leads", verdict: Held, make: leaves(1500, func(w *world) { w.run.Availability.Outages[0].Node = 1 })},
		{name: "the leader itself left", verdict: Held, make: leaves(1500, func(w *world) { w.run.Budget.Leaves[0].Node = 0 })},
	})
}

func TestGapsThatAreNotJudgedAreCounted(t *testing.T) {
	run := new(observe.Run)
	a := &run.Availability
	*a = observe.Availability{Silence: 300 * ms, Slow: 600 * ms, Sets: []observe.Set{{Shard: 1, Size: 2, Min: 2}}}
	v := newVerdict(nameAvailability)
	judgeGap(v, run, &observe.Gap{Shard: 1, From: 1, To: 5000 * ms})
	if r := v.done(); a.Unjudged != 1 || r.Checked != 0 {
		t.Errorf("%d gaps are counted as not judged, and %d as judged; want 1 and 0", a.Unjudged, r.Checked)
	}
}

// Node 0 leads shard 1, and is deaf from 1000 ms to 4000 ms; node 2 leads from 1400 ms on.
func TestSuccessorsOfTheDeaf(t *testing.T) {
	members := func(nodes ...uint32) (list []observe.Process) {
		for _, node := range nodes {
			list = append(list, observe.Process{Node: node, Incarnation: 1})
		}
		return list
	}
	replaced := func(out int64, changes ...func(*world)) func(*world) {
		return func(w *world) {
			w.has(7, 5)
			w.run.Availability = observe.Availability{Silence: 300 * ms, Slow: 600 * ms, Outages: []observe.Outage{{Node: 0, Deaf: true, From: 1000 * ms, To: 4000 * ms}}}
			w.run.Configurations.List = []observe.Configuration{
				{Shard: 1, Version: 3, Epoch: 1, Leader: members(0)[0], InSync: members(0, 1, 2), Min: 2, At: 100 * ms},
				{Shard: 1, Version: 4, Epoch: 2, Leader: members(2)[0], InSync: members(0, 1, 2), Min: 2, At: 1400 * ms},
				{Shard: 1, Version: 5, Epoch: 2, Leader: members(2)[0], InSync: members(1, 2), Min: 2, At: out * ms},
			}
			for _, change := range changes {
				change(w)
			}
		}
	}
	before := func(change func(c *observe.Configuration)) func(*world) {
		return func(w *world) { change(&w.run.Configurations.List[0]) }
	}
	judged(t, "availability", []given{
		{name: "it is out in time", verdict: Held, make: replaced(1625)},
		{name: "it is waited for again", verdict: Violated, make: replaced(1626), want: []string{
			"waits-again [] 1626 ms: shard 1: node 0, which was deaf, was replaced at 1400 ms, and node 2, which leads in epoch 2, kept it in the set until 1626 ms",
		}},
		{name: "it was not deaf", verdict: Held, make: replaced(1626, func(w *world) { w.run.Availability.Outages[0].Deaf = false })},
		{name: "it hears again", verdict: Held, make: replaced(1626, func(w *world) { w.run.Availability.Outages[0].To = 1650 * ms })},
		{name: "another node is hurt", verdict: Held, why: "nothing was asked while at most one node was hurt", make: replaced(1626, func(w *world) {
			w.run.Availability.Outages = append(w.run.Availability.Outages, observe.Outage{Node: 3, Disk: true, From: 1500 * ms, To: 1600 * ms})
		})},
		{name: "the set is at min", verdict: Held, make: replaced(1626, func(w *world) { w.run.Configurations.List[1].Min = 3 })},
		{name: "it led for a moment only", verdict: Held, make: replaced(1626, before(func(c *observe.Configuration) { c.At = 1101 * ms }))},
		{name: "a version was not seen", verdict: Held, make: replaced(1626, before(func(c *observe.Configuration) { c.Version = 2 }))},
		{name: "nobody is to say when it left", verdict: Held, make: replaced(1626, func(w *world) { w.run.Configurations.List = w.run.Configurations.List[:2] })},
	})
}

// Node 1 is down from 0 to 3000 ms, and the shard of the slot that is read needs all that are in
// its set.
func TestReadsOfASetAtMinWaitForTheNode(t *testing.T) {
	read := func(took int64, set observe.Set) func(*world) {
		return func(w *world) {
			w.run.Availability = observe.Availability{Silence: 300 * ms, Slow: 600 * ms, Outages: []observe.Outage{{Node: 1, Alone: true, To: 3000 * ms}}}
			w.run.Availability.Homes = []observe.Home{{Tenant: home, Slot: 1, Shard: 4}, {Tenant: home, Slot: 0, Shard: 3}}
			w.run.Availability.Sets = []observe.Set{{Shard: 4, Size: 2, Min: 2}, set}
			w.took(history.Session, took)
		}
	}
	judged(t, "availability", []given{
		{name: "the set was at min", verdict: Held, make: read(3997*ms, observe.Set{Shard: 3, Size: 2, Min: 2})},
		{name: "the set was at min, and the node is back for long", verdict: Violated, make: read(3997*ms+1, observe.Set{Shard: 3, Size: 2, Min: 2}), want: []string{
			"late [0] 4000.000001 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level session, began at 3 ms and was answered 3997.000001 ms later, although at most one node was hurt; its deadline is 1000 ms",
		}},
		{name: "the set was above min", verdict: Violated, make: read(1001*ms, observe.Set{Shard: 3, Size: 3, Min: 2}), want: []string{
			"late [0] 1004 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level session, began at 3 ms and was answered 1001 ms later, although at most one node was hurt; its deadline is 1000 ms",
		}},
	})
}

// Node 1 coordinates, and its disk stands still from 1000 ms to 4000 ms; its meta log asks the
// disk for something at 1100 ms. Stall is 400 ms.
func TestCoordinatorsWhoseDisksStandStill(t *testing.T) {
	holds := func(spoke int64, changes ...func(*observe.Availability)) func(*world) {
		return func(w *world) {
			w.has(7, 5)
			a := &w.run.Availability
			*a = observe.Availability{
				Silence: 300 * ms, Slow: 600 * ms, Stall: 400 * ms,
				Outages: []observe.Outage{{Node: 1, Disk: true, Still: true, From: 1000 * ms, To: 4000 * ms}},
				Holds:   []observe.Hold{{Node: 1, Asked: 1100 * ms, Spoke: spoke * ms}},
			}
			for _, change := range changes {
				change(a)
			}
		}
	}
	hurt := func(o observe.Outage) func(*observe.Availability) {
		return func(a *observe.Availability) { a.Outages = append(a.Outages, o) }
	}
	holdsOn := func(until string) []string {
		return []string{"holds-on [] " + until + " ms: node 1 coordinated until " + until + " ms, and its disk, which stood still, had been asked to write the meta log at 1100 ms"}
	}
	const none = "nothing was asked while at most one node was hurt"
	judged(t, "availability", []given{
		{name: "it yields in time", verdict: Held, make: holds(2300)},
		{name: "it does not", verdict: Violated, make: holds(2301), want: holdsOn("2301")},
		{name: "it speaks on when the disk moves again", verdict: Violated, make: holds(5000), want: holdsOn("4000")},
		{name: "the disk moves again in time", verdict: Held, make: holds(5000, func(a *observe.Availability) { a.Outages[0].To = 2300 * ms })},
		{name: "the disk may have done what it was asked for before", verdict: Held, make: holds(2301, func(a *observe.Availability) { a.Outages[0].From = 1101 * ms })},
		{name: "the disk is slow only", verdict: Held, make: holds(2301, func(a *observe.Availability) { a.Outages[0].Still = false })},
		{name: "the disk of another node stands still", verdict: Held, make: holds(2301, func(a *observe.Availability) { a.Outages[0].Node = 2 })},
		{name: "nobody else may be there to lead", verdict: Held, why: none, make: holds(2301, hurt(observe.Outage{Node: 2, Alone: true, From: 500 * ms, To: 600 * ms}))},
		{name: "it is cut off too", verdict: Held, make: holds(2301, hurt(observe.Outage{Node: 1, Deaf: true, From: 2000 * ms, To: 2100 * ms}))},
		{name: "another node is hurt later", verdict: Violated, make: holds(2301, hurt(observe.Outage{Node: 2, Alone: true, From: 2302 * ms, To: 3000 * ms})), want: holdsOn("2301")},
		{name: "messages are lost besides", verdict: Held, why: none, make: holds(2301, func(a *observe.Availability) { a.Lossy = true })},
		{name: "coordinators need not yield", verdict: Held, make: holds(2301, func(a *observe.Availability) { a.Stall = 0 })},
	})
}
