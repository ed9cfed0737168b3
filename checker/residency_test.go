package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// regions puts two nodes into the east and one into the west, and keeps the tenant in
// the east.
func (w *world) regions() {
	for _, region := range []tenant.Region{"east", "east", "west"} {
		w.run.Residency.Place(region)
	}
	w.run.Residency.Allow(home, tenant.Residency{"east"})
	w.run.Residency.Allow(3, nil)
}

func TestResidency(t *testing.T) {
	judged(t, "residency", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "everywhere", verdict: Held, why: "every tenant may be anywhere", make: func(w *world) {
			w.wrote(7, 5)
			w.run.Residency.Allow(home, nil)
			w.run.Residency.Touched(home, 2, "tenants/2/wal/x", ms)
		}},
		{name: "nothing seen", verdict: Undecided, why: "nothing of a tenant that may not be everywhere was stored or sent", make: func(w *world) {
			w.wrote(7, 5)
			w.regions()
			w.run.Residency.Touched(3, 2, "tenants/3/wal/x", ms)
		}},
		{name: "where it may be", verdict: Held, make: func(w *world) {
			w.regions()
			w.run.Residency.Touched(home, 1, "tenants/2/wal/x", ms)
			w.run.Residency.Shipped(home, 0, 2, 1, "append", ms)
			w.run.Residency.Touched(3, 2, "tenants/3/wal/x", ms)
		}},
		{name: "handed over and told where it may be", verdict: Held, make: func(w *world) {
			w.regions()
			w.run.Residency.Reached(observe.Delivered, home, 0, 2, 1, "append", ms)
			w.run.Residency.Reached(observe.Queued, home, 0, 9, 1, "write", ms)
			w.run.Residency.Reached(observe.Answered, home, 0, 9, 1, "a state", ms)
		}},
		{name: "handed over and told elsewhere", verdict: Violated, make: func(w *world) {
			w.regions()
			w.run.Residency.Reached(observe.Delivered, home, 0, 0, 2, "append", ms)
			w.run.Residency.Reached(observe.Queued, home, 0, 9, 2, "write", 2*ms)
			w.run.Residency.Reached(observe.Answered, home, 0, 9, 2, "a state", 3*ms)
		}, want: []string{
			`delivered-outside [] 1 ms: tenant 2 slot 0: at 1 ms node 2 in region "west", where tenant 2 may not be, was handed append of process 0`,
			`queued-outside [] 2 ms: tenant 2 slot 0: at 2 ms node 2 in region "west", where tenant 2 may not be, was handed write of process 9`,
			`answered-outside [] 3 ms: tenant 2 slot 0: at 3 ms node 2 in region "west", where tenant 2 may not be, answered process 9 with a state`,
		}},
		{name: "stored and sent elsewhere", verdict: Violated, make: func(w *world) {
			w.regions()
			w.run.Residency.Shipped(home, 1, 0, 2, "chunk", ms)
			w.run.Residency.Touched(home, 2, "tenants/2/wal/x", 2*ms)
		}, want: []string{
			`sent-outside [] 1 ms: tenant 2 slot 1: at 1 ms node 0 sent chunk to node 2 in region "west", where tenant 2 may not be`,
			`stored-outside [] 2 ms: tenant 2: at 2 ms node 2 in region "west", where it may not be, touched "tenants/2/wal/x"`,
		}},
		{name: "narrowed where it is not", verdict: Held, make: func(w *world) {
			w.regions()
			w.run.Residency.Decided(home, 1, tenant.Residency{"east"}, ms)
			w.run.Residency.Decided(home, 2, nil, 2*ms)
			w.run.Residency.Touched(home, 2, "tenants/2/wal/x", 3*ms)
			w.run.Residency.Told(home, 2, nil, 4*ms)
			w.run.Residency.Decided(home, 4, tenant.Residency{"east", "west"}, 5*ms)
			w.run.Residency.Rests(home, 2, "tenants/2/wal/x", 5*ms)
			w.run.Residency.Told(home, 2, nil, 6*ms)
			w.run.Residency.Told(home, 3, tenant.Residency{"east"}, 6*ms) // version 4 followed at once
		}},
		{name: "narrowed where it is", verdict: Violated, make: func(w *world) {
			w.regions()
			w.run.Residency.Decided(home, 2, tenant.Residency{"east", "west"}, ms)
			w.run.Residency.Touched(home, 2, "tenants/2/wal/x", 2*ms)
			w.run.Residency.Decided(home, 3, tenant.Residency{"east"}, 3*ms)
			w.run.Residency.Rests(home, 2, "tenants/2/wal/x", 3*ms)
		}, want: []string{
			`kept-outside [] 3 ms: tenant 2: at 3 ms the disk of node 2 in region "west", where it may not be, has "tenants/2/wal/x"`,
		}},
		{name: "told before it is decided, told another one, and undone", verdict: Violated, make: func(w *world) {
			w.regions()
			w.run.Residency.Decided(home, 2, tenant.Residency{"east", "west"}, ms)
			w.run.Residency.Touched(home, 0, "tenants/2/wal/x", 2*ms)
			w.run.Residency.Told(home, 3, tenant.Residency{"east"}, 2*ms)
			w.run.Residency.Told(home, 2, tenant.Residency{"east"}, 3*ms)
			w.run.Residency.Decided(home, 1, tenant.Residency{"east"}, 4*ms)
		}, want: []string{
			`told-not-in-force [] 2 ms: tenant 2: at 2 ms an operator was told that the residency of version 3 is in force, and the one in force is of version 2`,
			`told-not-in-force [] 3 ms: tenant 2: at 3 ms an operator was told of another residency of version 2, and the configuration in force is of version 2`,
			`undone [] 4 ms: tenant 2: the residency of version 2 was in force, and at 4 ms that of version 1 takes its place`,
		}},
	})
}
