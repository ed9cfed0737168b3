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

func TestTenantCaps(t *testing.T) {
	limits := tenant.Limits{Rate: 100_000, Entities: 4, Bytes: 10 * 101}
	// entitled gives a slot a share of entities, and half of the rest.
	entitled := func(d *divided, slot lineage.Slot, at int64, entities uint64) {
		d.caps(slot, at, record.Limits{Rate: 10_000, Burst: 10_000, Entities: entities, Bytes: 5 * 101})
	}
	halves := func(w *world) *divided {
		d := w.divide(limits)
		entitled(d, 0, ms, 2)
		entitled(d, 1, ms, 2)
		return d
	}
	judged(t, "caps", []given{
		{name: "every slot has its share", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.put(0, 2*ms, 1, 2)
			d.put(1, 2*ms, 1, 2)
			d.signals(0, 3*ms, 5)
			d.signals(1, 3*ms, 5)
		}},
		{name: "what one does not need goes to another", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.put(0, 2*ms, 1)
			d.put(1, 2*ms, 1, 2)
			entitled(d, 0, 3*ms, 1)
			entitled(d, 1, 4*ms, 3)
			d.put(1, 5*ms, 3)
		}},
		{name: "a share below the use gives only what is free", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.put(0, 2*ms, 1, 2)
			entitled(d, 0, 3*ms, 0)
			d.delete(0, 5*ms, 1)
			entitled(d, 1, 6*ms, 3)
			d.put(1, 7*ms, 1, 2, 3)
		}},
		{name: "with a limit below the use nothing grows, and what was there may go", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.put(0, 2*ms, 1, 2)
			d.put(1, 2*ms, 1, 2)
			d.asks(2, tenant.Limits{Rate: 100_000, Entities: 2, Bytes: 10 * 101}, 3*ms, 6*ms, history.Acked)
			entitled(d, 0, 4*ms, 0)
			entitled(d, 1, 5*ms, 0)
			d.put(0, 7*ms, 1) // exists
			d.delete(0, 8*ms, 1, 2)
			d.delete(1, 8*ms, 1)
			entitled(d, 1, 9*ms, 2)
			d.put(1, 10*ms, 3)
		}},
		{name: "until lower limits are answered the old ones may hold", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.asks(2, tenant.Limits{Rate: 100_000, Entities: 2, Bytes: 101}, 2*ms, 9*ms, history.Acked)
			d.put(0, 3*ms, 1)
			d.put(1, 4*ms, 1)
			d.signals(1, 5*ms, 1)
			d.caps(0, 6*ms, record.Limits{Rate: 1, Burst: 1, Entities: 1})
			d.caps(1, 7*ms, record.Limits{Rate: 1, Burst: 1, Entities: 1, Bytes: 101})
		}},
		{name: "refusals are judged by the share, and not before there is one", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.put(0, 2*ms, 1, 2)
			op := signal.Operation{Session: 2, Request: 9}
			for _, slot := range []lineage.Slot{2, 0} {
				i := w.hist.Begin(history.Op{Kind: history.Put, Tenant: home, Slot: slot, Signal: signal.Signal{Entity: 3}})
				w.hist.Sent(i, op)
				d.run.Capped(home, slot, observe.Refusal{Resource: observe.Entities, Limit: 2, Used: 2, Op: op}, 3*ms, 3*ms, 1)
				w.end(i, history.Refused, "quota-exceeded")
			}
		}},
		{name: "what a leader brings back counts again", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.put(0, 2*ms, 1, 2)
			l := d.run.Log(home, 0)
			first := append([]observe.Entry{}, l.Entries...)
			d.run.Leads(home, 0, 2, 2, nothingWritten, 3*ms, 3*ms, 2)
			d.put(0, 4*ms, 7) // nothing is left of that
			d.run.Leads(home, 0, 3, 4, func(seq lineage.Seq) (lineage.Chain, bool) { return first[seq-1].Chain, true }, 5*ms, 5*ms, 3)
			op := signal.Operation{Session: 2, Request: 9}
			w.hist.Sent(w.hist.Begin(history.Op{Kind: history.Put, Tenant: home, Signal: signal.Signal{Entity: 7}}), op)
			d.run.Capped(home, 0, observe.Refusal{Resource: observe.Entities, Limit: 2, Used: 2, Op: op}, 6*ms, 6*ms, 3)
		}},
		{name: "of two shares the later one in the log counts, whatever their instants", verdict: Held, make: func(w *world) {
			d := halves(w)
			entitled(d, 0, 5*ms, 2)
			entitled(d, 0, 3*ms, 1)
			entitled(d, 1, 6*ms, 3)
			d.put(1, 7*ms, 1)
		}},
		{name: "limits not known", verdict: Undecided, why: "the limits of tenant 2 are not known", make: func(w *world) {
			d := halves(w)
			d.run.Limits.Reset()
			d.put(0, 2*ms, 1)
		}},
		{name: "nothing grew", verdict: Undecided, why: "nothing grew and no cap refused anything", make: func(w *world) {
			halves(w)
		}},
		{name: "nothing is known of a slot before its first share", verdict: Undecided, why: "the limits of tenant 2 slot 2 are not known", make: func(w *world) {
			d := w.divide(limits)
			d.put(2, 2*ms, 1)
		}},

		{name: "a share is given before it is taken, and used", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.put(0, 2*ms, 1, 2)
			entitled(d, 1, 3*ms, 3)
			d.put(1, 3*ms, 1, 2)
			d.put(1, 4*ms, 3)
			entitled(d, 0, 5*ms, 1)
			d.delete(1, 6*ms, 1)
		}, want: []string{
			"shares-over-limit [] 3 ms: tenant 2: from 3 ms on the shares of its 2 slots, or what is held that is more, add up to 5 entities, and the largest limit that may be in force then is 4",
			"tenant-over-cap [] 4 ms: tenant 2 slot 1: with the entity-put at seq 6 (creation of entity 3), admitted at 4 ms, the 2 slots of the tenant hold 5 entities, and the largest limit that may be in force then is 4",
			"shares-over-limit [] 6 ms: tenant 2: from 6 ms on the shares of its 2 slots, or what is held that is more, add up to 5 entities, and the largest limit that may be in force then is 4",
		}},
		{name: "one byte too many", verdict: Violated, make: func(w *world) {
			d := w.divide(limits)
			d.caps(0, ms, record.Limits{Rate: 10_000, Burst: 10_000, Entities: 2, Bytes: 5 * 101})
			d.caps(1, ms, record.Limits{Rate: 10_000, Burst: 10_000, Entities: 2, Bytes: 6 * 101})
			d.signals(0, 2*ms, 5)
			d.signals(1, 3*ms, 6)
		}, want: []string{
			"shares-over-limit [] 1 ms: tenant 2: from 1 ms on the shares of its 2 slots, or what is held that is more, add up to 1111 bytes, and the largest limit that may be in force then is 1010",
			"tenant-over-cap [] 3 ms: tenant 2 slot 1: with the signal at seq 8 (entity 1 kind 0 weight 0 client time 0), admitted at 3 ms, the 2 slots of the tenant hold 1111 bytes, and the largest limit that may be in force then is 1010",
		}},
		{name: "what comes before in the log counts, whatever its instant", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.put(0, 5*ms, 1)
			d.put(0, 3*ms, 2)
			entitled(d, 1, 6*ms, 3)
			d.put(1, 7*ms, 1, 2, 3)
		}, want: []string{
			"shares-over-limit [] 6 ms: tenant 2: from 6 ms on the shares of its 2 slots, or what is held that is more, add up to 5 entities, and the largest limit that may be in force then is 4",
			"tenant-over-cap [] 7 ms: tenant 2 slot 1: with the entity-put at seq 6 (creation of entity 3), admitted at 7 ms, the 2 slots of the tenant hold 5 entities, and the largest limit that may be in force then is 4",
		}},
		{name: "more than what is free is given away", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.put(0, 2*ms, 1, 2)
			entitled(d, 0, 3*ms, 0)
			entitled(d, 1, 4*ms, 4)
		}, want: []string{
			"shares-over-limit [] 4 ms: tenant 2: from 4 ms on the shares of its 2 slots, or what is held that is more, add up to 6 entities, and the largest limit that may be in force then is 4",
		}},
		{name: "lower limits were answered, and one slot may grow", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.put(0, 2*ms, 1, 2)
			d.asks(2, tenant.Limits{Rate: 100_000, Entities: 1, Bytes: 10 * 101}, 3*ms, 6*ms, history.Acked)
			entitled(d, 0, 4*ms, 0)
			entitled(d, 1, 5*ms, 1)
			d.put(1, 7*ms, 1)
		}, want: []string{
			"shares-over-limit [] 6 ms: tenant 2: from 6 ms on the shares of its 2 slots, or what is held that is more, add up to 3 entities, and the largest limit that may be in force then is 1",
			"tenant-over-cap [] 7 ms: tenant 2 slot 1: with the entity-put at seq 4 (creation of entity 1), admitted at 7 ms, the 2 slots of the tenant hold 3 entities, and the largest limit that may be in force then is 1",
		}},
		{name: "shares that leave no room, until something is deleted", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.put(0, 2*ms, 1, 2)
			d.put(1, 2*ms, 1, 2)
			d.asks(2, tenant.Limits{Rate: 100_000, Entities: 2, Bytes: 10 * 101}, 3*ms, 6*ms, history.Acked)
			entitled(d, 0, 4*ms, 2)
			entitled(d, 1, 5*ms, 0)
			d.delete(0, 7*ms, 1)
			d.put(0, 8*ms, 1)
		}, want: []string{
			"shares-over-limit [] 7 ms: tenant 2: from 7 ms on the shares of its 2 slots, or what is held that is more, add up to 4 entities, and the largest limit that may be in force then is 2",
			"tenant-over-cap [] 8 ms: tenant 2 slot 0: with the entity-put at seq 7 (creation of entity 1), admitted at 8 ms, the 2 slots of the tenant hold 4 entities, and the largest limit that may be in force then is 2",
		}},
		{name: "shares above lower limits, although nobody has room", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.put(0, 2*ms, 1, 2)
			d.put(1, 2*ms, 1, 2)
			d.asks(2, tenant.Limits{Rate: 100_000, Entities: 3, Bytes: 10 * 101}, 3*ms, 6*ms, history.Acked)
		}, want: []string{
			"shares-over-limit [] 6 ms: tenant 2: from 6 ms on the shares of its 2 slots, or what is held that is more, add up to 4 entities, and the largest limit that may be in force then is 3",
		}},
	})
}
