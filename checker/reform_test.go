package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
)

func TestReform(t *testing.T) {
	reformed := func(w *world) {
		w.wrote(7, 5)
		w.run.Reforms.Count = 2
	}
	wrong := func(kind observe.Haste) func(*world) {
		return func(w *world) {
			reformed(w)
			w.run.Reforms.Hasty(observe.Reform{
				Kind: kind, Tenant: home, Slot: 0, Shard: 3, Epoch: 5, Leader: 1, Of: 2, Seq: 6, Better: 8, Lacks: "the record was never written", At: 9 * ms,
			})
		}
	}
	judged(t, "reform", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "no reform", verdict: Held, why: "no set was formed anew", make: func(w *world) {
			w.wrote(7, 5)
		}},
		{name: "as it should be", verdict: Held, make: reformed},
		{name: "a member was not asked", verdict: Violated, make: wrong(observe.Unasked), want: []string{
			"unasked [] 9 ms: tenant 2 slot 0: at 9 ms node 1 began epoch 5 of shard 3 behind seq 6, and node 2, a member of the reformed set, had not told it of its log",
		}},
		{name: "another log is better", verdict: Violated, make: wrong(observe.WorseLog), want: []string{
			"worse-log [] 9 ms: tenant 2 slot 0: at 9 ms node 1 began epoch 5 of shard 3 behind seq 6, and node 2 had told it of a better log, which ends at seq 8",
		}},
		{name: "a lost disk counts", verdict: Violated, make: wrong(observe.LostCounted), want: []string{
			"lost-counted [] 9 ms: shard 3: at 9 ms its set is formed anew in epoch 5 with node 2, whose disk has been lost since it was in the set",
		}},
		{name: "it is over too early", verdict: Violated, make: wrong(observe.SettledEarly), want: []string{
			"settled-early [] 9 ms: tenant 2 slot 0: at 9 ms the reform of shard 3 is over in epoch 5, and node 2 lacks seq 6, with which node 1 began it: the record was never written",
		}},
	})
}
