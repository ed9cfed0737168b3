package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
)

func TestShares(t *testing.T) {
	looked := func(w *world) {
		w.wrote(7, 5)
		w.run.Shares.Count = 3
	}
	judged(t, "shares", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "nothing moved", verdict: Held, why: "no share moved, and no tenant ended", make: func(w *world) {
			w.wrote(7, 5)
		}},
		{name: "everything in order", verdict: Held, make: looked},
		{name: "a grant that is not committed yet", verdict: Violated, make: func(w *world) {
			looked(w)
			w.run.Shares.Found(observe.SharesFault{Flaw: observe.HeldEarly, Tenant: home, Slot: 1, Node: 2, Seq: 9, Version: 40, Detail: "of node 1: the record was never written", At: 5 * ms})
		}, want: []string{"held-early [] 5 ms: tenant 2 slot 1: at 5 ms node 2 reported that grant 40 is in force, and its record, seq 9, was not durable on the whole set: of node 1: the record was never written"}},
		{name: "more than there is", verdict: Violated, make: func(w *world) {
			looked(w)
			w.run.Shares.Found(observe.SharesFault{Flaw: observe.GrantedFar, Tenant: home, Slot: 1, Version: 40, Detail: "rate", Sum: 1100, Limit: 1000, At: 5 * ms})
		}, want: []string{"granted-far [] 5 ms: tenant 2 slot 1: entry 40, told at 5 ms, grants it more rate, and all slots of the tenant together may use 1100 of 1000"}},
		{name: "a slot that is still served", verdict: Violated, make: func(w *world) {
			looked(w)
			w.run.Shares.Found(observe.SharesFault{Flaw: observe.EndedEarly, Tenant: home, Slot: 1, Version: 40, At: 5 * ms})
		}, want: []string{"ended-early [] 5 ms: tenant 2 ended by entry 40, told at 5 ms, and no leader had reported slot 1 as closed"}},
	})
}
