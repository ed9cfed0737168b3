package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
)

// configuration notes a configuration of shard 4 as an honest control plane founds it, nodes 0 to 2
// in sync in their first incarnations, with the changes of a test.
func (w *world) configuration(version uint64, change func(*observe.Configuration)) {
	c := observe.Configuration{
		Shard: 4, Version: version, Index: 10 * version, Epoch: 1, Leader: first(0), Min: 2, At: int64(version) * ms,
		InSync: []observe.Process{first(0), first(1), first(2)}, Replicas: []uint32{0, 1, 2},
	}
	if change != nil {
		change(&c)
	}
	w.run.Configurations.Told(c)
}

func first(node uint32) observe.Process { return observe.Process{Node: node, Incarnation: 1} }

func without(node uint32) func(*observe.Configuration) {
	return func(c *observe.Configuration) {
		var left []observe.Process
		for _, m := range c.InSync {
			if m.Node != node {
				left = append(left, m)
			}
		}
		c.InSync = left
	}
}

func ledBy(p observe.Process, further ...func(*observe.Configuration)) func(*observe.Configuration) {
	return func(c *observe.Configuration) {
		c.Epoch, c.Leader = 2, p
		for _, f := range further {
			f(c)
		}
	}
}

// alone is a set of node 0, with a node that is eligible.
func alone(eligible uint32, further ...func(*observe.Configuration)) func(*observe.Configuration) {
	return func(c *observe.Configuration) {
		c.InSync, c.Eligible = c.InSync[:1], []observe.Process{first(eligible)}
		for _, f := range further {
			f(c)
		}
	}
}

func TestConfiguration(t *testing.T) {
	excluded := func(node uint32) func(*observe.Configuration) {
		return func(c *observe.Configuration) {
			c.Excluded = append(c.Excluded, observe.SlotExclusion{Member: first(node), Tenant: home})
		}
	}
	reformed := func(c *observe.Configuration) {
		c.Reformed = true
		for i := range c.InSync {
			c.InSync[i].Incarnation = 2
		}
	}
	judged(t, "configuration", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "nothing told", verdict: Undecided, why: "no configuration was told to anybody", make: func(w *world) {
			w.wrote(7, 5)
		}},
		{name: "a member leaves, another one leads, the first one is back", verdict: Held, make: func(w *world) {
			w.configuration(1, nil)
			w.configuration(2, without(2))
			w.configuration(3, ledBy(first(1), without(2)))
			w.run.Configurations.Registered(observe.Registration{Process: observe.Process{Node: 2, Incarnation: 2}, Index: 35})
			w.configuration(4, ledBy(first(1), func(c *observe.Configuration) { c.InSync[2].Incarnation = 2 }))
		}},
		{name: "a set that is reformed", verdict: Held, make: func(w *world) {
			w.configuration(1, nil)
			w.configuration(2, ledBy(observe.Process{Node: 1, Incarnation: 2}, reformed))
		}},
		{name: "told in another order, and a version that nobody was told of", verdict: Held, make: func(w *world) {
			w.configuration(4, ledBy(first(2), without(0)))
			w.configuration(1, nil)
		}},
		{name: "a leader outside the set", verdict: Violated, make: func(w *world) {
			w.configuration(1, without(0))
		}, want: []string{"leader-outside [] 1 ms: shard 4: version 1: incarnation 1 of node 0 leads and is not in the set"}},
		{name: "a member without a replica", verdict: Violated, make: func(w *world) {
			w.configuration(1, func(c *observe.Configuration) { c.Replicas = []uint32{0, 1} })
		}, want: []string{"not-a-replica [] 1 ms: shard 4: version 1: incarnation 1 of node 2 is in the set, and its node holds no replica"}},
		{name: "a node twice", verdict: Violated, make: func(w *world) {
			w.configuration(1, func(c *observe.Configuration) { c.InSync[2] = observe.Process{Node: 1, Incarnation: 2} })
		}, want: []string{"node-twice [] 1 ms: shard 4: version 1: node 1 is in the set twice"}},
		{name: "every member is excluded from a slot", verdict: Violated, make: func(w *world) {
			w.configuration(1, func(c *observe.Configuration) {
				without(2)(c)
				excluded(0)(c)
				excluded(1)(c)
			})
		}, want: []string{
			"nobody-whole [] 1 ms: shard 4: version 1: every member is excluded from tenant 2 slot 0",
			"nobody-whole [] 1 ms: shard 4: version 1: every member is excluded from tenant 2 slot 0",
		}},
		{name: "a member that its directory does not know of", verdict: Violated, make: func(w *world) {
			w.configuration(1, func(c *observe.Configuration) { c.Ungiven = c.InSync[1:2] })
		}, want: []string{"ungiven [] 1 ms: shard 4: version 1: incarnation 1 of node 1 is in the set, and its directory does not know durably that it is"}},
		{name: "a start that there has not been", verdict: Violated, make: func(w *world) {
			w.configuration(1, nil)
			w.run.Configurations.Unstarted = []observe.Registration{{Process: observe.Process{Node: 1, Incarnation: 15}, Index: 15}}
		}, want: []string{"unstarted [] 0 ms: entry 15 registers incarnation 15 of node 1, which was not started so often"}},
		{name: "an epoch that goes back", verdict: Violated, make: func(w *world) {
			w.configuration(1, ledBy(first(1)))
			w.configuration(2, nil)
		}, want: []string{"epoch [] 2 ms: shard 4: version 2 has epoch 1, and the version before it epoch 2"}},
		{name: "another leader in one epoch", verdict: Violated, make: func(w *world) {
			w.configuration(1, nil)
			w.configuration(2, func(c *observe.Configuration) { c.Leader = first(1) })
		}, want: []string{"epoch [] 2 ms: shard 4: version 2 is led by incarnation 1 of node 1, and the version before it by incarnation 1 of node 0, in one epoch 1"}},
		{name: "a leader that was not in the set", verdict: Violated, make: func(w *world) {
			w.configuration(1, without(2))
			w.configuration(2, ledBy(first(2)))
		}, want: []string{"promoted [] 2 ms: shard 4: version 2: incarnation 1 of node 2 leads epoch 2, and it was not in the set of version 1"}},
		{name: "a leader that lacks a slot", verdict: Violated, make: func(w *world) {
			w.configuration(1, excluded(1))
			w.configuration(2, ledBy(first(1), excluded(1)))
		}, want: []string{"promoted [] 2 ms: shard 4: version 2: incarnation 1 of node 1 leads epoch 2, and it lacked acknowledged records of a slot"}},
		{name: "a leader whose process is gone", verdict: Violated, make: func(w *world) {
			w.configuration(1, nil)
			w.run.Configurations.Registered(observe.Registration{Process: observe.Process{Node: 1, Incarnation: 2}, Index: 15})
			w.configuration(2, ledBy(first(1)))
		}, want: []string{"gone-promoted [] 2 ms: shard 4: version 2, of entry 20: incarnation 1 of node 1 leads, and incarnation 2 was registered by entry 15"}},
		{name: "two members leave at once", verdict: Violated, make: func(w *world) {
			w.configuration(1, nil)
			w.configuration(2, func(c *observe.Configuration) { c.InSync = c.InSync[:1] })
		}, want: []string{"two-at-once [] 2 ms: shard 4: version 2: 0 members entered the set and 2 left it"}},
		{name: "a member leaves while the set is reformed", verdict: Violated, make: func(w *world) {
			w.configuration(1, func(c *observe.Configuration) { c.Reformed = true })
			w.configuration(2, without(2))
		}, want: []string{"amid-reform [] 2 ms: shard 4: version 2: 0 members entered the set and 1 left it while it was being reformed"}},
		{name: "a member loses its replica", verdict: Violated, make: func(w *world) {
			w.configuration(1, nil)
			w.configuration(2, func(c *observe.Configuration) {
				without(2)(c)
				c.Replicas = []uint32{0, 1, 3}
			})
		}, want: []string{"member-replaced [] 2 ms: shard 4: version 2 takes the replica from node 2, and incarnation 1 of node 2 was in the set"}},
		{name: "the eligible member leads, and the set comes back", verdict: Held, make: func(w *world) {
			w.configuration(1, without(2))
			w.configuration(2, alone(1))
			w.configuration(3, ledBy(first(1), func(c *observe.Configuration) {
				c.InSync, c.Eligible = []observe.Process{first(1)}, []observe.Process{first(0)}
			}))
			w.configuration(4, ledBy(first(1), without(0)))
		}},
		{name: "the last member leaves, and is forgotten", verdict: Violated, make: func(w *world) {
			w.configuration(1, without(2))
			w.configuration(2, func(c *observe.Configuration) { c.InSync = c.InSync[:1] })
		}, want: []string{"eligible-missed [] 2 ms: shard 4: version 2: incarnation 1 of node 1 left the set, of which 2 are enough and 1 are left, and is not eligible"}},
		{name: "the last member leaves, and its process is gone", verdict: Held, make: func(w *world) {
			w.configuration(1, without(2))
			w.run.Configurations.Registered(observe.Registration{Process: observe.Process{Node: 1, Incarnation: 2}, Index: 15})
			w.configuration(2, func(c *observe.Configuration) { c.InSync = c.InSync[:1] })
		}},
		{name: "who was not in the set is eligible", verdict: Violated, make: func(w *world) {
			w.configuration(1, without(2))
			w.configuration(2, alone(2))
		}, want: []string{"eligible-made [] 2 ms: shard 4: version 2: incarnation 1 of node 2 is eligible; in sync were [{0 1} {1 1}] before, of which 2 are enough"}},
		{name: "who lacks a slot is eligible", verdict: Violated, make: func(w *world) {
			w.configuration(1, func(c *observe.Configuration) { without(2)(c); excluded(1)(c) })
			w.configuration(2, alone(1))
		}, want: []string{"eligible-made [] 2 ms: shard 4: version 2: incarnation 1 of node 1 is eligible; in sync were [{0 1} {1 1}] before, of which 2 are enough"}},
		{name: "somebody is eligible beside enough members", verdict: Violated, make: func(w *world) {
			w.configuration(2, func(c *observe.Configuration) { without(2)(c); c.Eligible = []observe.Process{first(2)} })
		}, want: []string{"eligible-at-min [] 2 ms: shard 4: version 2: incarnation 1 of node 2 is eligible beside a set of 2, of which 2 are enough"}},
		{name: "the eligible member joins the set that it overrules", verdict: Violated, make: func(w *world) {
			w.configuration(2, alone(1))
			w.configuration(3, ledBy(first(1), func(c *observe.Configuration) { c.InSync = c.InSync[:2] }))
		}, want: []string{"promoted [] 3 ms: shard 4: version 3: incarnation 1 of node 1 leads epoch 2, and it was not in the set of version 2"}},
		{name: "the eligible member loses its replica", verdict: Violated, make: func(w *world) {
			w.configuration(2, alone(1))
			w.configuration(3, alone(1, func(c *observe.Configuration) { c.Eligible, c.Replicas = nil, []uint32{0, 2, 3} }))
		}, want: []string{"member-replaced [] 3 ms: shard 4: version 3 takes the replica from node 1, and incarnation 1 of node 1 was eligible"}},
		{name: "a later version by an earlier entry", verdict: Violated, make: func(w *world) {
			w.configuration(1, nil)
			w.configuration(2, func(c *observe.Configuration) { c.Index = 9 })
		}, want: []string{"order [] 2 ms: shard 4: version 2 was made by entry 9, and version 1 by entry 10"}},
	})
}
