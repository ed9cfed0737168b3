package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// claim notes an act of an incarnation of a node in an epoch of shard 4.
func (w *world) claim(kind observe.ClaimKind, node uint32, incarnation uint64, epoch lineage.ShardEpoch, change func(*observe.Claim)) {
	c := observe.Claim{Kind: kind, By: observe.Process{Node: node, Incarnation: incarnation}, Shard: 4, Epoch: epoch, At: w.tick()}
	switch kind {
	case observe.Sequences, observe.Takes:
		c.Tenant, c.Seq = home, 3
	case observe.Leads, observe.Says:
		c.What, c.Durable = "confirm", epoch
	}
	if change != nil {
		change(&c)
	}
	w.run.Claims.Note(c)
}

// honest lets two nodes lead a shard one after the other.
func (w *world) honest() {
	for epoch := range lineage.ShardEpoch(2) {
		node, epoch := uint32(epoch), epoch+1
		for other := range uint32(3) {
			w.claim(observe.Adopts, other, 1, epoch, nil)
			w.claim(observe.Says, other, 1, epoch, nil)
			w.claim(observe.Takes, other, 1, epoch, nil)
		}
		w.claim(observe.Leads, node, 1, epoch, nil)
		w.claim(observe.Sequences, node, 1, epoch, nil)
	}
}

func TestOneSequencer(t *testing.T) {
	judged(t, "one-sequencer", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "nobody led", verdict: Undecided, why: "nobody led a shard", make: func(w *world) {
			w.wrote(7, 5)
			w.shared()
		}},
		{name: "one after the other", verdict: Held, make: (*world).honest},
		{name: "two shards, two leaders", verdict: Held, make: func(w *world) {
			w.claim(observe.Leads, 0, 1, 1, nil)
			w.claim(observe.Leads, 1, 1, 1, func(c *observe.Claim) { c.Shard = 5 })
			w.claim(observe.Sequences, 0, 1, 1, nil)
			w.claim(observe.Sequences, 1, 1, 1, func(c *observe.Claim) { c.Slot, c.Shard = 1, 5 })
		}},
		{name: "a higher epoch is durable", verdict: Held, make: func(w *world) {
			w.claim(observe.Says, 0, 1, 1, func(c *observe.Claim) { c.Durable = 2 })
		}},
		{name: "two leaders of an epoch", verdict: Violated, make: func(w *world) {
			w.claim(observe.Leads, 0, 1, 2, nil)
			w.claim(observe.Leads, 1, 3, 2, func(c *observe.Claim) { c.What = "survey" })
		}, want: []string{
			"two-leaders [] 4 ms: shard 4: in epoch 2 incarnation 1 of node 0 led (confirm at 3 ms), and incarnation 3 of node 1 (survey at 4 ms)",
		}},
		{name: "a later life leads again", verdict: Violated, make: func(w *world) {
			w.claim(observe.Leads, 0, 1, 2, nil)
			w.claim(observe.Leads, 0, 2, 3, nil)
			w.claim(observe.Leads, 0, 3, 3, nil)
		}, want: []string{
			"led-again [] 5 ms: shard 4: node 0 led in epoch 3 as incarnation 2 (confirm at 4 ms), and again as incarnation 3 (confirm at 5 ms)",
		}},
		{name: "two sequencers", verdict: Violated, make: func(w *world) {
			w.claim(observe.Sequences, 0, 1, 2, nil)
			w.claim(observe.Sequences, 1, 1, 3, nil)
			w.claim(observe.Sequences, 0, 1, 3, nil)
			w.claim(observe.Sequences, 0, 2, 2, nil)
		}, want: []string{
			"two-sequencers [] 5 ms: tenant 2 slot 0: in shard epoch 3 incarnation 1 of node 1 gave seq 3 its place, at 4 ms, and incarnation 1 of node 0 seq 3, at 5 ms",
			"two-sequencers [] 6 ms: tenant 2 slot 0: in shard epoch 2 incarnation 1 of node 0 gave seq 3 its place, at 3 ms, and incarnation 2 of node 0 seq 3, at 6 ms",
		}},
		{name: "an epoch that is not durable", verdict: Violated, make: func(w *world) {
			w.claim(observe.Says, 0, 1, 2, func(c *observe.Claim) { c.Durable = 1 })
		}, want: []string{
			"spoke-early [] 3 ms: shard 4: incarnation 1 of node 0 sent confirm of epoch 2 at 3 ms, and of that shard epoch 1 was durable there",
		}},
	})
}
