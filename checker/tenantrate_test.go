package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
)

func TestTenantRate(t *testing.T) {
	limits := tenant.Limits{Rate: 1000, Burst: 4}
	// halves is a tenant with two slots, each with half of the limits.
	halves := func(w *world) *divided {
		d := w.divide(limits)
		d.share(0, ms, 500, 2)
		d.share(1, ms, 500, 2)
		return d
	}
	judged(t, "rate", []given{
		{name: "every slot takes its share at once", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.signals(0, 10*ms, 2)
			d.signals(1, 10*ms, 2)
			d.run.Refused(home, 0, 10*ms, 10*ms, 1)
			d.signals(0, 12*ms, 1)
			d.signals(1, 12*ms, 1)
		}},
		{name: "a share moves, and arrives empty", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.signals(0, 10*ms, 2)
			d.share(0, 11*ms, 1, 1)
			d.share(1, 12*ms, 999, 3)
			d.signals(1, 12*ms, 2)
			d.run.Refused(home, 1, 12*ms, 12*ms, 1)
		}},
		{name: "a slot whose first share comes late", verdict: Held, make: func(w *world) {
			d := w.divide(limits)
			d.share(1, ms, 500, 2)
			d.signals(1, 2*ms, 2)
			d.share(0, 20*ms, 500, 2)
			d.signals(0, 20*ms, 2)
		}},
		{name: "a first share need not come full", verdict: Held, make: func(w *world) {
			d := w.divide(limits)
			d.append(0, ms, record.Record{Kind: record.EpochStart})
			d.append(0, ms, record.Record{Kind: record.Config, Limits: record.Limits{Rate: 500, Burst: 2}, Level: -nano})
			d.signals(0, ms, 1)
			d.run.Refused(home, 0, ms, ms, 1)
		}},
		{name: "a share that was never written is none after the next one leads", verdict: Held, make: func(w *world) {
			d := w.divide(limits)
			d.share(0, ms, 1, 1)
			d.run.Leads(home, 0, 2, 1, nothingWritten, 2*ms, 2*ms, 2)
			d.buckets[0] = bucket{}
			d.share(0, 3*ms, 500, 2)
			d.signals(0, 3*ms, 2)
			d.run.Refused(home, 0, 3*ms, 3*ms, 1)
		}},
		{name: "higher limits hold in part before they are answered", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.asks(2, tenant.Limits{Rate: 3000, Burst: 6}, 9*ms, 21*ms, history.Acked)
			d.signals(0, 10*ms, 2)
			d.signals(1, 10*ms, 2)
			d.share(0, 10*ms, 2000, 3)
			d.signals(0, 11*ms, 2)
			d.share(1, 20*ms, 1000, 3)
		}},
		{name: "lower limits hold in part before they are answered", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.asks(2, tenant.Limits{Rate: 2, Burst: 2}, 9*ms, 21*ms, history.Acked)
			d.share(0, 10*ms, 1, 1)
			d.signals(1, 10*ms, 2)
			d.signals(1, 12*ms, 1)
			d.share(1, 20*ms, 1, 1)
			d.signals(0, 21*ms, 1)
		}},
		{name: "limits that nobody answered may hold for ever", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.asks(2, tenant.Limits{Rate: 2000, Burst: 8}, 9*ms, 0, history.Open)
			d.share(0, 10*ms, 1500, 6)
			d.signals(0, 14*ms, 6)
			d.signals(1, 14*ms, 2)
		}},
		{name: "an answer that was overtaken says nothing any more", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.asks(2, tenant.Limits{Rate: 2, Burst: 2}, 2*ms, 13*ms, history.Acked)
			d.asks(3, tenant.Limits{Rate: 2000, Burst: 8}, 8*ms, 11*ms, history.Acked)
			d.share(0, 9*ms, 1500, 6)
			d.signals(0, 14*ms, 6)
			d.signals(1, 14*ms, 2)
		}},
		{name: "a log that has only begun", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.append(2, ms, record.Record{Kind: record.EpochStart})
			d.signals(0, 10*ms, 1)
		}},
		{name: "limits not known", verdict: Undecided, why: "the limits of tenant 2 are not known", make: func(w *world) {
			d := halves(w)
			d.run.Limits.Reset()
			d.signals(0, 10*ms, 1)
		}},

		{name: "a window overrun by exactly one", verdict: Violated, make: func(w *world) {
			d := w.divide(limits)
			d.run.DriftPPM = 100
			d.share(0, ms, 500, 2)
			d.share(1, ms, 500, 3)
			d.share(2, ms, 1000, 1)
			d.signals(0, 10*ms, 2)
			d.signals(1, 10*ms, 3) // burst + 1
			d.signals(0, 12*ms, 1)
			d.signals(1, 12*ms, 1)
			d.signals(2, 12*ms, 1)
			d.put(0, 14*ms, 1)
			d.put(1, 14*ms, 1)
			d.put(2, 14*ms, 1)
		}, want: []string{
			"shares-over-limit [] 1 ms: tenant 2: from 1 ms on the shares of its 3 slots add up to a rate of 2000, and the largest limit that may be in force then is 1000",
			"shares-over-limit [] 1 ms: tenant 2: from 1 ms on the shares of its 3 slots add up to a burst of 6, and the largest limit that may be in force then is 4",
			"tenant-window [] 12 ms: tenant 2: 8 operations in its 3 slots took a token from 10 ms to 12 ms, where the last is seq 3 of slot 2; rate 1000 per second and burst 4, the largest that may be in force then, at a drift of 100 ppm allow 7",
		}},
		{name: "a share arrives full", verdict: Violated, make: func(w *world) {
			d := w.divide(tenant.Limits{Rate: 1000, Burst: 6})
			d.share(0, ms, 500, 3)
			d.share(1, ms, 500, 3)
			d.signals(0, 10*ms, 3)
			d.share(0, 10*ms, 500, 1)
			d.append(1, 10*ms, record.Record{Kind: record.Config, Limits: record.Limits{Version: 4, Rate: 500, Burst: 5}, Level: 2 * nano})
			d.signals(1, 10*ms, 5)
		}, want: []string{
			"window [] 10 ms: tenant 2 slot 1: 5 operations took a token from 10 ms to 10 ms, where the last is seq 8; rate 500 per second and burst 5 at a drift of 0 ppm allow 4",
			"wrong-level [] 10 ms: tenant 2 slot 1: the config at seq 3, admitted at 10 ms (node clock 10 ms), carries a level of 5000000000 nano-tokens, want 3000000000",
			"tenant-window [] 10 ms: tenant 2: 8 operations in its 2 slots took a token from 10 ms to 10 ms, where the last is seq 8 of slot 1; rate 1000 per second and burst 6, the largest that may be in force then, at a drift of 0 ppm allow 7",
		}},
		{name: "a first share with more than its burst", verdict: Violated, make: func(w *world) {
			d := w.divide(limits)
			d.append(0, ms, record.Record{Kind: record.EpochStart})
			d.append(0, ms, record.Record{Kind: record.Config, Limits: record.Limits{Rate: 500, Burst: 2}, Level: 1})
		}, want: []string{
			"wrong-level [] 1 ms: tenant 2 slot 0: the config at seq 2, admitted at 1 ms (node clock 1 ms), carries a level of 2000000001 nano-tokens, want 2000000000",
		}},
		{name: "a share is given before it is taken", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.share(1, 10*ms, 501, 3)
			d.share(0, 10*ms+1, 499, 1)
			d.share(1, 20*ms, 502, 3) // again, by less
			d.share(0, 21*ms, 498, 1)
			d.signals(0, 30*ms, 1)
		}, want: []string{
			"shares-over-limit [] 10 ms: tenant 2: from 10 ms on the shares of its 2 slots add up to a rate of 1001, and the largest limit that may be in force then is 1000",
			"shares-over-limit [] 10 ms: tenant 2: from 10 ms on the shares of its 2 slots add up to a burst of 5, and the largest limit that may be in force then is 4",
			"shares-over-limit [] 20 ms: tenant 2: from 20 ms on the shares of its 2 slots add up to a rate of 1001, and the largest limit that may be in force then is 1000",
		}},
		{name: "at one instant there is no before", verdict: Held, make: func(w *world) {
			d := halves(w)
			d.share(1, 10*ms, 501, 3)
			d.share(0, 10*ms, 499, 1)
			d.signals(0, 30*ms, 1)
		}},
		{name: "lower limits were answered, and nothing was taken", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.asks(2, tenant.Limits{Rate: 999, Burst: 3}, 9*ms, 20*ms, history.Acked)
			d.signals(0, 10*ms, 1)
		}, want: []string{
			"shares-over-limit [] 20 ms: tenant 2: from 20 ms on the shares of its 2 slots add up to a rate of 1000, and the largest limit that may be in force then is 999",
			"shares-over-limit [] 20 ms: tenant 2: from 20 ms on the shares of its 2 slots add up to a burst of 4, and the largest limit that may be in force then is 3",
		}},
		{name: "limits that were refused were never in force", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.asks(2, tenant.Limits{Rate: 2000, Burst: 8}, 9*ms, 10*ms, history.Refused)
			d.share(0, 10*ms, 501, 2)
			d.signals(0, 30*ms, 1)
		}, want: []string{
			"shares-over-limit [] 10 ms: tenant 2: from 10 ms on the shares of its 2 slots add up to a rate of 1001, and the largest limit that may be in force then is 1000",
		}},
		{name: "what was taken under the old burst after lower limits were answered", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.asks(2, tenant.Limits{Rate: 1, Burst: 1}, 9*ms, 10*ms, history.Acked)
			d.signals(0, 11*ms, 2)
			d.signals(1, 11*ms, 1)
		}, want: []string{
			"shares-over-limit [] 10 ms: tenant 2: from 10 ms on the shares of its 2 slots add up to a rate of 1000, and the largest limit that may be in force then is 1",
			"shares-over-limit [] 10 ms: tenant 2: from 10 ms on the shares of its 2 slots add up to a burst of 4, and the largest limit that may be in force then is 1",
			"tenant-window [] 11 ms: tenant 2: 3 operations in its 2 slots took a token from 11 ms to 11 ms, where the last is seq 3 of slot 1; rate 1 per second and burst 1, the largest that may be in force then, at a drift of 0 ppm allow 2",
		}},
		{name: "higher limits come full", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.signals(0, 10*ms, 2)
			d.signals(1, 10*ms, 2)
			d.asks(2, tenant.Limits{Rate: 1000, Burst: 8}, 10*ms, 12*ms, history.Acked)
			d.append(1, 10*ms+1, record.Record{Kind: record.Config, Limits: record.Limits{Version: 4, Rate: 500, Burst: 6}, Level: 2*nano - 500})
			d.signals(1, 10*ms+1, 2)
		}, want: []string{
			"window [] 10.000001 ms: tenant 2 slot 1: 4 operations took a token from 10 ms to 10.000001 ms, where the last is seq 7; rate 500 per second and burst 6 at a drift of 0 ppm allow 3",
			"wrong-level [] 10.000001 ms: tenant 2 slot 1: the config at seq 5, admitted at 10.000001 ms (node clock 10.000001 ms), carries a level of 2000000000 nano-tokens, want 500",
			"tenant-window [] 10.000001 ms: tenant 2: 6 operations in its 2 slots took a token from 10 ms to 10.000001 ms, where the last is seq 7 of slot 1; rate 1000 per second and burst 8, the largest that may be in force then, at a drift of 0 ppm allow 5",
		}},
		{name: "served before there was a share", verdict: Violated, make: func(w *world) {
			d := halves(w)
			d.signals(2, 10*ms, 1)
		}, want: []string{
			"without-share [] 10 ms: tenant 2 slot 2: the signal at seq 2 was admitted at 10 ms, and the slot had no share of its tenant's limits yet",
		}},
	})
}
