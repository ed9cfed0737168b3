package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// told is a whole operation on a tenant of replica groups, from 30 ms to 31 ms.
func (w *world) told(op history.Op, outcome history.Outcome) {
	op.Tenant, op.InvokeAt, op.Signal = home, 30*ms, signal.Signal{Entity: 1}
	w.hist.End(w.hist.Begin(op), history.Result{Outcome: outcome, At: 31 * ms})
}

func TestLifecycleOfReplicaGroups(t *testing.T) {
	const none = "no operator asked for anything"
	lower := tenant.Limits{Rate: 500, Burst: 2, Entities: 2, Bytes: 404}
	higher := tenant.Limits{Rate: 1500, Burst: 6, Entities: 8, Bytes: 2020}
	half := func(l tenant.Limits) record.Limits {
		return record.Limits{Rate: l.Rate / 2, Burst: l.Burst / 2, Entities: l.Entities / 2, Bytes: l.Bytes / 2}
	}
	founding := tenant.Limits{Rate: 1000, Burst: 4, Entities: 6, Bytes: 1010}
	// halves is a tenant with two slots, each with half of its limits, and its end.
	halves := func(w *world) *divided {
		d := w.divide(founding)
		d.run.Founded = append(d.run.Founded, home)
		d.caps(0, ms, half(founding))
		d.caps(1, ms, half(founding))
		d.run.AddDump(home, 0, lineage.Position{})
		w.has(7, 5)
		return d
	}
	drop := func(d *divided) {
		d.run.Ended(d.run.Asked(observe.Command{Kind: observe.Drop, Tenant: home, AskedAt: 9 * ms}), history.Acked, 20*ms)
		d.run.Tombstone(home)
	}
	judged(t, "lifecycle", []given{
		{name: "nothing but shares", verdict: Held, why: none, make: func(w *world) { halves(w) }},
		{name: "entities and bytes need not be shared out", verdict: Held, why: none, make: func(w *world) {
			halves(w).caps(1, 2*ms, record.Limits{Rate: 500, Burst: 2})
		}},
		{name: "limits are shared out", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.asks(2, higher, 9*ms, 11*ms, history.Acked) // before they are everywhere
			d.caps(0, 10*ms, half(higher))
			d.asks(3, lower, 15*ms, 19*ms, history.Acked)
			d.caps(0, 16*ms, half(lower))
			d.caps(1, 17*ms, half(lower))
		}},
		{name: "limits that may be in force by then excuse those that were answered", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.asks(2, lower, 9*ms, 19*ms, history.Acked)
			d.asks(3, higher, 10*ms, 21*ms, history.Acked)
			d.caps(0, 11*ms, half(lower))
			d.caps(1, 12*ms, half(lower))
			d.caps(0, 13*ms, half(higher))
			d.caps(1, 14*ms, half(higher))
		}},
		{name: "nobody knows what is in force in the end", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.asks(2, lower, 9*ms, 19*ms, history.Unknown)
			d.caps(0, 11*ms, half(lower))
		}},
		{name: "what is not done in the end is for others to say", verdict: Held, why: none, make: func(w *world) {
			d := halves(w)
			d.caps(0, 11*ms, half(lower))
			d.run.Stalls = append(d.run.Stalls, "a share")
		}},
		{name: "so is a slot that stopped", verdict: Held, why: none, make: func(w *world) {
			d := halves(w)
			d.caps(0, 11*ms, half(lower))
			d.run.Stopped(observe.Stop{Tenant: home})
		}},
		{name: "a run that was cut short has no end", verdict: Held, why: none, make: func(w *world) {
			halves(w).caps(0, 11*ms, half(lower))
			w.run.Dumps = nil
		}},
		{name: "a tenant of which nothing is known", verdict: Held, why: none, make: func(w *world) {
			halves(w)
			w.run.Limits.Reset()
		}},
		{name: "who is dropped needs no shares", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.caps(0, 5*ms, half(lower))
			drop(d)
		}},
		{name: "the same limits twice", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.asks(2, tenant.Limits{Rate: 1000, Burst: 4}, 9*ms, 10*ms, history.Acked)
			d.asks(2, tenant.Limits{Rate: 1000, Burst: 4, Entities: tenant.MaxEntities}, 12*ms, 13*ms, history.Acked)
		}},
		{name: "an answer that is late", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.asks(3, founding, 9*ms, 10*ms, history.Acked)
			d.asks(2, founding, 8*ms, 12*ms, history.Acked)
		}},
		{name: "of another tenant", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.asks(2, founding, 9*ms, 10*ms, history.Acked)
			d.asks(2, higher, 12*ms, 13*ms, history.Acked)
			d.run.Commands[1].Tenant = home + 1
		}},
		{name: "reads that may be old tell of what was dropped", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.run.SlowPPM = 500_000
			drop(d)
			w.told(history.Op{Kind: history.Read, Level: history.Session}, history.Acked)
			w.told(history.Op{Kind: history.Read, Level: history.Bounded, Bound: 5 * ms}, history.Acked)
		}},

		{name: "lower limits were answered, and slots have more", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.asks(2, lower, 9*ms, 19*ms, history.Acked)
			d.caps(0, 11*ms, half(lower))
			d.caps(1, 19*ms+1, half(lower))
		}, want: []string{
			"lost-config [] 19 ms: limits of version 2 for tenant 2 were answered at 19 ms, and by then the shares of its slots add up to 750 of the rate, and the largest limit that may be in force is 500",
			"lost-config [] 19 ms: limits of version 2 for tenant 2 were answered at 19 ms, and by then the shares of its slots add up to 3 of the burst, and the largest limit that may be in force is 2",
			"lost-config [] 19 ms: limits of version 2 for tenant 2 were answered at 19 ms, and by then the shares of its slots add up to 4 of the entities, and the largest limit that may be in force is 2",
			"lost-config [] 19 ms: limits of version 2 for tenant 2 were answered at 19 ms, and by then the shares of its slots add up to 707 of the bytes, and the largest limit that may be in force is 404",
		}},
		{name: "higher limits never came", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.asks(2, higher, 9*ms, 19*ms, history.Acked)
			d.caps(0, 11*ms, half(higher))
		}, want: []string{
			"lost-share [] 0 ms: in the end the shares of the slots of tenant 2 add up to 1250 of the rate, which is 1500",
			"lost-share [] 0 ms: in the end the shares of the slots of tenant 2 add up to 5 of the burst, which is 6",
		}},
		{name: "a share was lost on its way", verdict: Violated, why: none, make: func(w *world) {
			halves(w).caps(0, 11*ms, record.Limits{Rate: 499, Burst: 2})
		}, want: []string{
			"lost-share [] 0 ms: in the end the shares of the slots of tenant 2 add up to 999 of the rate, which is 1000",
		}},
		{name: "two were set over the same ones", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.asks(2, founding, 9*ms, 19*ms, history.Acked)
			d.asks(2, tenant.Limits{Rate: 1000, Burst: 4, Entities: 6, Bytes: 1011}, 10*ms, 15*ms, history.Acked)
		}, want: []string{
			"wrong-base [] 15 ms: limits of version 2 for tenant 2, answered at 15 ms, were set over those of version 1, and so were those of version 2, answered at 19 ms",
		}},
		{name: "older limits after newer ones", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.asks(3, founding, 9*ms, 10*ms, history.Acked)
			d.asks(2, founding, 11*ms, 12*ms, history.Acked)
		}, want: []string{
			"older-version [] 12 ms: limits of version 2 for tenant 2, asked for at 11 ms, were answered at 12 ms, although those of version 3 had been answered at 10 ms",
		}},
		{name: "an older share after a newer one", verdict: Violated, why: none, make: func(w *world) {
			d := halves(w)
			d.version = 0
			d.caps(1, 11*ms, half(founding))
		}, want: []string{
			"older-version [] 11 ms: tenant 2 slot 1: limits of version 1 were set at seq 3, at 11 ms, after those of version 2",
		}},
		{name: "what may not be old tells of what was dropped", verdict: Violated, make: func(w *world) {
			d := halves(w)
			drop(d)
			w.told(history.Op{Kind: history.Read, Level: history.Bounded, Bound: 10*ms - 1}, history.Acked)
			w.told(history.Op{Kind: history.Read, Level: history.Bounded, Bound: 10 * ms}, history.Acked)
			w.told(history.Op{Kind: history.Read}, history.Acked)
			w.told(history.Op{Kind: history.Put, Level: history.Session}, history.Acked)
		}, want: []string{
			"served-after-drop [1] 31 ms: read #1 of client 0 (tenant 2 slot 0, entity 1) was answered at 31 ms, although the tenant was dropped by 20 ms",
			"served-after-drop [3] 31 ms: read #3 of client 0 (tenant 2 slot 0, entity 1) was answered at 31 ms, although the tenant was dropped by 20 ms",
			"served-after-drop [4] 31 ms: put #4 of client 0 (tenant 2 slot 0, entity 1, session 0 request 0) was answered at 31 ms, although the tenant was dropped by 20 ms",
		}},
	})
}
