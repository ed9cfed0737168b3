package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
)

func TestReadIndex(t *testing.T) {
	answered := func(seq, told int) func(*world) {
		return func(w *world) {
			w.wrote(7, 5)
			w.run.ReadIndex.Answered(observe.OldRead{Tenant: home, Node: 2, Seq: lineage.Seq(seq), Told: lineage.Seq(told), Came: 3 * ms, At: 5 * ms})
		}
	}
	judged(t, "read-index", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "nothing read", verdict: Held, why: "no linearizable read was answered", make: func(w *world) {
			w.wrote(7, 5)
		}},
		{name: "all that was told", verdict: Held, make: answered(4, 4)},
		{name: "more than was told", verdict: Held, make: answered(5, 4)},
		{name: "one record short", verdict: Violated, make: answered(3, 4), want: []string{
			"old-state [] 5 ms: tenant 2 slot 0: node 2 answered a linearizable read from seq 3, and seq 4 had been told before the read came at 3 ms",
		}},
	})
}
