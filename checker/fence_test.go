package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
)

func TestFence(t *testing.T) {
	judged(t, "fence", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "nothing said", verdict: Undecided, why: "nobody said or took anything in an epoch", make: func(w *world) {
			w.wrote(7, 5)
			w.claim(observe.Adopts, 0, 1, 1, nil)
		}},
		{name: "epochs rise", verdict: Held, make: (*world).honest},
		{name: "another node, another shard", verdict: Held, make: func(w *world) {
			w.claim(observe.Adopts, 0, 1, 2, nil)
			w.claim(observe.Takes, 1, 1, 1, nil)
			w.claim(observe.Says, 0, 1, 1, func(c *observe.Claim) { c.Shard = 5 })
		}},
		{name: "a disk that was lost", verdict: Held, make: func(w *world) {
			w.claim(observe.Adopts, 0, 1, 2, nil)
			w.claim(observe.Forgets, 0, 2, 0, nil)
			w.claim(observe.Adopts, 0, 2, 1, nil)
			w.claim(observe.Says, 0, 2, 1, nil)
		}},
		{name: "a record of an older leader", verdict: Violated, make: func(w *world) {
			w.claim(observe.Takes, 0, 1, 1, nil)
			w.claim(observe.Adopts, 0, 1, 2, nil)
			w.claim(observe.Takes, 0, 1, 1, nil)
		}, want: []string{
			"took-older [] 5 ms: tenant 2 slot 0: incarnation 1 of node 0 took seq 3 from the leader of epoch 1 of shard 4 at 5 ms, although it had adopted epoch 2 at 4 ms",
		}},
		{name: "an older epoch after a restart", verdict: Violated, make: func(w *world) {
			w.claim(observe.Adopts, 0, 1, 2, nil)
			w.claim(observe.Says, 0, 2, 1, func(c *observe.Claim) { c.What = "appended" })
			w.claim(observe.Adopts, 0, 2, 2, nil)
		}, want: []string{
			"said-older [] 4 ms: shard 4: incarnation 2 of node 0 sent appended of epoch 1 at 4 ms, although it had adopted epoch 2 at 3 ms",
			"adopted-older [] 5 ms: shard 4: incarnation 2 of node 0 adopted epoch 2 at 5 ms, although it had adopted epoch 2 at 3 ms",
		}},
		{name: "a command that nobody has overtaken", verdict: Held, make: func(w *world) {
			w.claim(observe.Changes, 0, 1, 2, func(c *observe.Claim) { c.What, c.Based, c.Version = "elect", 3, 4 })
		}},
		{name: "a command that another one has overtaken", verdict: Violated, make: func(w *world) {
			w.claim(observe.Changes, 0, 1, 2, func(c *observe.Claim) { c.What, c.Based, c.Version = "elect", 3, 5 })
		}, want: []string{
			"stale-command [] 3 ms: shard 4: elect was decided on version 3, and made version 5, as node 0 said at 3 ms",
		}},
		{name: "another node's disk was lost", verdict: Violated, make: func(w *world) {
			w.claim(observe.Adopts, 0, 1, 2, nil)
			w.claim(observe.Forgets, 1, 2, 0, nil)
			w.claim(observe.Says, 0, 1, 1, nil)
		}, want: []string{
			"said-older [] 5 ms: shard 4: incarnation 1 of node 0 sent confirm of epoch 1 at 5 ms, although it had adopted epoch 2 at 3 ms",
		}},
	})
}
