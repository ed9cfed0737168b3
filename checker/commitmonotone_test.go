package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// lifeOn is the first incarnation of a node.
func lifeOn(node uint32) observe.Process { return observe.Process{Node: node, Incarnation: 1} }

// announced lets three nodes have the log, and the first announce it as committed.
func (w *world) announced(seq lineage.Seq) *observe.Copies {
	w.wrote(7, 5)
	w.replicas()
	w.run.Copies.Announced(lifeOn(0), home, 0, seq, w.tick())
	return &w.run.Copies
}

func TestCommitMonotone(t *testing.T) {
	judged(t, "commit-monotone", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "nothing announced", verdict: Undecided, why: "nothing was announced as committed", make: func(w *world) {
			w.wrote(7, 5)
			w.replicas()
		}},
		{name: "announced and kept", verdict: Held, make: func(w *world) {
			c := w.announced(2)
			c.Announced(lifeOn(0), home, 0, 3, w.tick())
			c.Announced(lifeOn(1), home, 0, 2, w.tick()) // the next leader does not know it yet
			c.Applied(lifeOn(2), home, 0, 2, w.tick())
			c.Announced(lifeOn(1), home, 0, 3, w.tick())
		}},
		{name: "a later life knows less", verdict: Held, make: func(w *world) {
			c := w.announced(3)
			c.Announced(observe.Process{Incarnation: 2}, home, 0, 1, w.tick())
		}},
		{name: "what nobody announced is cut", verdict: Held, make: func(w *world) {
			c := w.announced(2)
			c.Applied(lifeOn(1), home, 0, 2, w.tick())
			c.Cutting(1, home, 0, 2, w.tick())
		}},
		{name: "what is not the one that was announced is cut", verdict: Held, make: func(w *world) {
			c := w.announced(3)
			w.row(4, 3)
			c.Cutting(4, home, 0, 1, w.tick())
		}},
		{name: "a log that was replaced says less", verdict: Held, make: func(w *world) {
			c := w.announced(3)
			c.Applied(lifeOn(1), home, 0, 3, w.tick())
			c.Refetching(1, home, 0)
			c.Refetched(1, home, 0, lineage.Position{})
			c.Applied(lifeOn(1), home, 0, 0, w.tick())
		}},
		{name: "less than before", verdict: Violated, make: func(w *world) {
			c := w.announced(3)
			c.Announced(lifeOn(0), home, 0, 2, w.tick())
			c.Applied(lifeOn(1), home, 0, 3, w.tick())
			c.Applied(lifeOn(1), home, 0, 1, w.tick())
		}, want: []string{
			"commit-back [] 7 ms: tenant 2 slot 0 on node 0: at 7 ms it announced seq 2 as committed, and before seq 3",
			"applied-back [] 9 ms: tenant 2 slot 0 on node 1: at 9 ms it said that it had applied seq 1, and before seq 3",
		}},
		{name: "what was applied is cut by a later life", verdict: Violated, make: func(w *world) {
			c := w.announced(1)
			c.Applied(lifeOn(1), home, 0, 3, w.tick())
			c.Applied(observe.Process{Node: 1, Incarnation: 2}, home, 0, 1, w.tick())
			c.Cutting(1, home, 0, 2, w.tick())
		}, want: []string{
			"cut-applied [] 9 ms: tenant 2 slot 0 on node 1: at 9 ms the log was cut behind seq 2, and it had said that it had applied seq 3",
		}},
		{name: "what was announced is cut", verdict: Violated, make: func(w *world) {
			w.announced(3).Cutting(1, home, 0, 1, w.tick())
		}, want: []string{
			"cut-committed [] 7 ms: tenant 2 slot 0 on node 1: at 7 ms the log was cut behind seq 1, and seq 2 had been announced as committed",
		}},
		{name: "another record is applied", verdict: Violated, make: func(w *world) {
			c := w.announced(3)
			chains := w.row(4, 1)
			w.copied(4, 2, chains[1], 2, 1)
			c.Applied(lifeOn(4), home, 0, 2, w.tick())
		}, want: []string{
			"applied-other [] 9 ms: tenant 2 slot 0 on node 4: at 9 ms it said that it had applied seq 2, and a leader had announced another record there",
		}},
		{name: "two leaders announce different records", verdict: Violated, make: func(w *world) {
			c := w.announced(3)
			w.row(4, 3)
			c.Announced(lifeOn(4), home, 0, 3, w.tick())
		}, want: []string{
			"committed-twice [] 10 ms: tenant 2 slot 0: at 6 ms node 0 announced seq 3 with chain 2eae7abaff675d4e as committed, and at 10 ms node 4 the one with chain bb2aad1b411413e3",
		}},
		{name: "replaced in the final log", verdict: Violated, make: func(w *world) {
			w.announced(3)
			w.log().Entries[2].Chain = 9
		}, want: []string{
			"committed-lost [] 6 ms: tenant 2 slot 0: node 0 announced seq 3 with chain 2eae7abaff675d4e as committed at 6 ms, and in the final log it has chain 0000000000000009",
		}},
		{name: "absent from the final log", verdict: Violated, make: func(w *world) {
			w.announced(3)
			w.log().Entries = w.log().Entries[:2]
		}, want: []string{
			"committed-lost [] 6 ms: tenant 2 slot 0: node 0 announced seq 3 as committed at 6 ms, and the final log ends at seq 2",
		}},
	})
}
