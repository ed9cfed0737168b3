package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
)

// lacking lets the copy of a node lack the third record.
func (w *world) lacking(as observe.Standing, when observe.Occasion) {
	w.looked()
	w.run.InSync.Lacking(observe.Short{
		Standing: as, When: when, Tenant: home, Slot: 0, Seq: 3, Node: 1, Shard: 4, Epoch: 2, Version: 7, Lacks: "1-3.seg, bytes 0 to 64", At: 9 * ms,
	})
}

// looked lets copies of a replica group be looked at.
func (w *world) looked() {
	w.wrote(7, 5)
	w.run.InSync.Count, w.run.InSync.Members = 3, 2
}

func TestInSync(t *testing.T) {
	judged(t, "in-sync", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "nobody was told", verdict: Undecided, why: "nobody was told of any record", make: func(w *world) {
			w.wrote(7, 5)
		}},
		{name: "no member was known in its present life", verdict: Undecided, why: "no member in sync was looked at in its present life", make: func(w *world) {
			w.looked()
			w.run.InSync.Members = 0
		}},
		{name: "all copies are whole", verdict: Held, make: func(w *world) { w.looked() }},
		{name: "a member in sync lacks it", verdict: Violated, make: func(w *world) { w.lacking(observe.InSet, observe.AtEntry) }, want: []string{
			"member-short [] 9 ms: tenant 2 slot 0: at 9 ms, with an entry, node 1, in sync in version 7 of shard 4 (epoch 2), lacks seq 3, of which somebody was told: 1-3.seg, bytes 0 to 64",
		}},
		{name: "a member that is about to join lacks it", verdict: Violated, make: func(w *world) { w.lacking(observe.Pending, observe.AtAck) }, want: []string{
			"pending-short [] 9 ms: tenant 2 slot 0: at 9 ms, with an acknowledgement, node 1, about to be counted in version 7 of shard 4 (epoch 2), lacks seq 3, of which somebody was told: 1-3.seg, bytes 0 to 64",
		}},
		{name: "a node tells of what is not durable there", verdict: Violated, make: func(w *world) { w.lacking(observe.Teller, observe.AtRead) }, want: []string{
			"told-early [] 9 ms: tenant 2 slot 0: at 9 ms node 1 tells of seq 3 with a read, and the record is not durable there: 1-3.seg, bytes 0 to 64",
		}},
		{name: "the eligible member lacks it", verdict: Violated, make: func(w *world) { w.lacking(observe.Eligible, observe.AtAck) }, want: []string{
			"eligible-short [] 9 ms: tenant 2 slot 0: at 9 ms, with an acknowledgement, node 1, eligible in version 7 of shard 4 (epoch 2), lacks seq 3, of which somebody was told: 1-3.seg, bytes 0 to 64",
		}},
		{name: "too few replicas have it", verdict: Violated, make: func(w *world) { w.lacking(observe.TooFew, observe.AtCommit) }, want: []string{
			"below-min [] 9 ms: tenant 2 slot 0: at 9 ms, with a commit index, seq 3 is told in version 7 of shard 4 (epoch 2): 1-3.seg, bytes 0 to 64",
		}},
		{name: "nobody of a reformed set has it", verdict: Violated, make: func(w *world) { w.lacking(observe.Anybody, observe.AtEntry) }, want: []string{
			"nobody-whole [] 9 ms: tenant 2 slot 0: at 9 ms, with an entry, no member of version 7 of shard 4 (epoch 2), which was reformed, has seq 3, of which somebody was told: 1-3.seg, bytes 0 to 64",
		}},
	})
}
