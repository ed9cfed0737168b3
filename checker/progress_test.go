package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
)

func TestProgress(t *testing.T) {
	looked := func(w *world) {
		w.wrote(7, 5)
		w.run.Progress.Count = 3
	}
	believes := func(kind observe.Misbelief, seq, last int) func(*world) {
		return func(w *world) {
			looked(w)
			w.run.Progress.Believes(observe.Belief{
				Kind: kind, Tenant: home, Slot: 0, Node: 1, Of: 2, Epoch: 4, Seq: lineage.Seq(seq), Last: lineage.Seq(last), At: 9 * ms,
			})
		}
	}
	judged(t, "progress", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "nothing looked at", verdict: Undecided, why: "nobody counted on any replica", make: func(w *world) {
			w.wrote(7, 5)
		}},
		{name: "all is borne out", verdict: Held, make: looked},
		{name: "a leader counts what was not acknowledged", verdict: Violated, make: believes(observe.Unacknowledged, 6, 4), want: []string{
			"unacknowledged [] 9 ms: tenant 2 slot 0: at 9 ms node 1, which leads in epoch 4, counts on node 2 for seq 6, and node 2 has acknowledged up to seq 4 in this epoch",
		}},
		{name: "a leader counts what is of a log that began anew", verdict: Violated, make: believes(observe.OfAnEarlierLife, 6, 0), want: []string{
			"earlier-life [] 9 ms: tenant 2 slot 0: at 9 ms node 1, which leads in epoch 4, counts on node 2 for seq 6, which was acknowledged of a log that it has let begin anew since",
		}},
		{name: "a replica takes for committed what it has not", verdict: Violated, make: believes(observe.BeyondTheLog, 6, 4), want: []string{
			"beyond-the-log [] 9 ms: tenant 2 slot 0: at 9 ms node 1 takes seq 6 for committed, and its log ends at seq 4",
		}},
	})
}
