package checker

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// signals appends one honest signal for each, a millisecond apart.
func (w *world) signals(n int) {
	for range n {
		w.append(&record.Record{Kind: record.Signal, Client: 2})
	}
}

// forge appends a signal as a mistaken node would: at an instant and with a
// level of its own.
func (w *world) forge(at, local, level int64) { w.forgeKind(record.Signal, at, local, level) }

// refuseTelling empties the bucket at 10 ms and refuses the next operation at once, with
// a reply that tells of the limit and of the time to wait.
func (w *world) refuseTelling(limit uint64, wait int64) {
	for i := range int64(homeBurst) {
		w.forge(10*ms, 10*ms, (homeBurst-1-i)*nano)
	}
	w.run.Refused(home, 0, 10*ms, 10*ms, 1)
	w.run.Told(home, 0, observe.Refusal{
		Resource: 1, Limit: limit, Used: homeBurst, RetryAfter: wait,
		Op: signal.Operation{Session: 2, Request: 9},
	})
}

// forgeKind is forge for records of any kind of operation.
func (w *world) forgeKind(k record.Kind, at, local, level int64) {
	end := w.log().End()
	rec := record.Record{Tenant: home, Kind: k, Seq: end.Next(), Prev: end.Chain, Level: level}
	if k == record.Signal {
		rec.Signal = signal.Signal{Entity: 5}
	}
	w.run.Admitted(home, 0, rec.Seq, at, local, 1)
	w.run.Append(&rec, record.ChainOf(record.Append(nil, &rec)), at, local, 1)
}

func TestRate(t *testing.T) {
	judged(t, "rate", []given{
		{name: "a token a millisecond", verdict: Held, make: func(w *world) { w.signals(20) }},
		{name: "a whole burst and the one on top", verdict: Held, make: func(w *world) {
			for i := range int64(3) {
				w.forge(10*ms, 10*ms, (2-i)*nano)
			}
			w.run.Refused(home, 0, 10*ms, 10*ms, 1)
		}},
		{name: "refused a nanosecond before the token", verdict: Held, make: func(w *world) {
			for i := range int64(3) {
				w.forge(10*ms, 10*ms, (2-i)*nano)
			}
			w.run.Refused(home, 0, 11*ms-1, 11*ms-1, 1)
		}},
		{name: "a restart goes on where the log ends", verdict: Held, make: func(w *world) {
			for i := range int64(3) {
				w.forge(10*ms, 10*ms, (2-i)*nano)
			}
			w.run.Recovered(home, 0, 5, 50*ms, 700*ms, 2) // credit only from here on
			w.run.Refused(home, 0, 50*ms, 701*ms-1, 2)
			w.forge(51*ms, 701*ms, 0)
		}},
		{name: "limits that were lost with their record hold no longer", verdict: Held, make: func(w *world) {
			w.config(1, 1, nano)
			w.run.Recovered(home, 0, 2, 10*ms, 10*ms, 2)
			w.forge(10*ms, 10*ms, 2*nano)
			w.forge(11*ms, 11*ms, 2*nano)
		}},
		{name: "a smaller burst clamps, a larger one arrives empty", verdict: Held, make: func(w *world) {
			w.mayHave(tenant.Limits{Rate: homeRate, Burst: 9})
			w.config(1000, 1, nano)
			w.config(1000, 2, nano)
			w.config(1000, 9, 2*nano)
			w.forge(w.clock, w.clock, nano)
			w.forge(w.clock, w.clock, 0)
			w.run.Refused(home, 0, w.clock, w.clock, 1)
		}},
		{name: "until limits change the old ones give credit", verdict: Held, make: func(w *world) {
			for i := range int64(3) {
				w.forge(10*ms, 10*ms, (2-i)*nano)
			}
			w.clock = 19 * ms
			w.config(1, homeBurst, 3*nano)
			for i := range int64(3) {
				w.forge(20*ms, 20*ms, (2-i)*nano)
			}
		}},
		{name: "an admission that was given back is not judged", verdict: Held, make: func(w *world) {
			w.run.Admitted(home, 0, 3, 10*ms, 10*ms, 1)
			w.run.Refused(home, 0, 10*ms, 10*ms, 1)
			w.forge(10*ms, 10*ms, 2*nano)
		}},
		{name: "a record whose admission nobody announced", verdict: Held, make: func(w *world) {
			end := w.log().End()
			rec := record.Record{Tenant: home, Kind: record.Signal, Seq: end.Next(), Prev: end.Chain, Level: 0}
			w.run.Append(&rec, 1, 10*ms, 10*ms, 1)
			w.run.Refused(home, 0, 10*ms, 10*ms, 1)
		}},
		{name: "creations and deletions take tokens", verdict: Held, make: func(w *world) {
			for i, k := range [...]record.Kind{record.EntityPut, record.Signal, record.EntityDelete} {
				w.forgeKind(k, 10*ms, 10*ms, (2-int64(i))*nano)
			}
			w.run.Refused(home, 0, 10*ms, 10*ms, 1)
		}},
		{name: "a refusal for a cap moves the limiter's clock on", verdict: Held, make: func(w *world) {
			for i := range int64(2) {
				w.forge(10*ms, 10*ms, (2-i)*nano)
			}
			w.run.Capped(home, 0, observe.Refusal{Resource: observe.Bytes}, 11*ms, 11*ms, 1)
			w.forge(11*ms, 10*ms, nano) // the clock stepped back
			w.forge(11*ms, 11*ms, 0)
		}},
		{name: "nothing admitted", verdict: Undecided, why: "no operation was admitted and none refused", make: func(w *world) { w.run.Reset() }},
		{name: "limits not known", verdict: Undecided, why: "no operation was admitted and none refused", make: func(w *world) {
			w.run.Reset()
			w.run.Refused(3, 0, 10*ms, 10*ms, 1)
		}},

		{name: "a window overrun by exactly one", verdict: Violated, make: func(w *world) {
			w.run.DriftPPM = 100
			for i := range int64(4) { // burst + 1, then one for 2 ms would be two
				w.forge(10*ms, 10*ms, max(0, 2-i)*nano)
			}
			w.forge(12*ms, 12*ms, nano)
			w.forge(12*ms, 12*ms, 0)
			w.forge(12*ms, 12*ms, 0)
		}, want: []string{
			"window [] 12 ms: tenant 2 slot 0: 7 operations took a token from 10 ms to 12 ms, where the last is seq 9; rate 1000 per second and burst 3 at a drift of 100 ppm allow 6",
			"wrong-level [] 10 ms: tenant 2 slot 0: the signal at seq 6, admitted at 10 ms (node clock 10 ms), carries a level of 0 nano-tokens, want -1000000000",
			"wrong-level [] 12 ms: tenant 2 slot 0: the signal at seq 9, admitted at 12 ms (node clock 12 ms), carries a level of 0 nano-tokens, want -1000000000",
			"tenant-window [] 12 ms: tenant 2: 7 operations in its 1 slots took a token from 10 ms to 12 ms, where the last is seq 9 of slot 0; rate 1000 per second and burst 3, the largest that may be in force then, at a drift of 100 ppm allow 6",
		}},
		{name: "a deletion that takes no token", verdict: Violated, make: func(w *world) {
			w.forgeKind(record.EntityDelete, 10*ms, 10*ms, 3*nano)
		}, want: []string{
			"wrong-level [] 10 ms: tenant 2 slot 0: the entity-delete at seq 3, admitted at 10 ms (node clock 10 ms), carries a level of 3000000000 nano-tokens, want 2000000000",
		}},
		{name: "creations overrun a window", verdict: Violated, make: func(w *world) {
			for i := range int64(5) {
				w.forgeKind(record.EntityPut, 10*ms, 10*ms, max(0, 2-i)*nano)
			}
		}, want: []string{
			"window [] 10 ms: tenant 2 slot 0: 5 operations took a token from 10 ms to 10 ms, where the last is seq 7; rate 1000 per second and burst 3 at a drift of 0 ppm allow 4",
			"wrong-level [] 10 ms: tenant 2 slot 0: the entity-put at seq 6, admitted at 10 ms (node clock 10 ms), carries a level of 0 nano-tokens, want -1000000000",
			"wrong-level [] 10 ms: tenant 2 slot 0: the entity-put at seq 7, admitted at 10 ms (node clock 10 ms), carries a level of 0 nano-tokens, want -1000000000",
			"tenant-window [] 10 ms: tenant 2: 5 operations in its 1 slots took a token from 10 ms to 10 ms, where the last is seq 7 of slot 0; rate 1000 per second and burst 3, the largest that may be in force then, at a drift of 0 ppm allow 4",
		}},
		{name: "refused for a cap where the rate comes first", verdict: Violated, make: func(w *world) {
			for i := range int64(3) {
				w.forge(10*ms, 10*ms, (2-i)*nano)
			}
			w.run.Capped(home, 0, observe.Refusal{Resource: observe.Bytes, Op: signal.Operation{Session: 2, Request: 9}}, 11*ms-1, 11*ms-1, 1)
			w.run.Capped(home, 0, observe.Refusal{Resource: observe.Bytes}, 11*ms, 11*ms, 1)
		}, want: []string{
			"refused-otherwise [] 10.999999 ms: tenant 2 slot 0: session 2 request 9 was refused for bytes at 10.999999 ms (node clock 10.999999 ms) although the bucket held 999999000 nano-tokens, less than a token",
		}},
		{name: "refused with a token", verdict: Violated, make: func(w *world) {
			w.signals(1)
			w.run.Refused(home, 0, w.tick(), w.clock, 1)
		}, want: []string{
			"refused-with-token [] 4 ms: tenant 2 slot 0: an operation was refused at 4 ms (node clock 4 ms) although the bucket held 3000000000 nano-tokens",
		}},
		{name: "refused in the words of the rule", verdict: Held, make: func(w *world) {
			w.refuseTelling(homeRate, ms)
		}},
		{name: "told to come again too late", verdict: Violated, make: func(w *world) {
			w.refuseTelling(homeRate, 1000*ms)
		}, want: []string{
			"wrong-figures [] 10 ms: tenant 2 slot 0: a refusal at 10 ms tells of a limit of 1000 with 3 used and to come again after 1000000000 ns; want 1000, 3 and 1000000 ns",
		}},
		{name: "told of another limit", verdict: Violated, make: func(w *world) {
			w.refuseTelling(homeRate+7, ms)
		}, want: []string{
			"wrong-figures [] 10 ms: tenant 2 slot 0: a refusal at 10 ms tells of a limit of 1007 with 3 used and to come again after 1000000 ns; want 1000, 3 and 1000000 ns",
		}},
		{name: "refused at the very nanosecond of the token", verdict: Violated, make: func(w *world) {
			for i := range int64(3) {
				w.forge(10*ms, 10*ms, (2-i)*nano)
			}
			w.run.Refused(home, 0, 11*ms, 11*ms, 1)
		}, want: []string{
			"refused-with-token [] 11 ms: tenant 2 slot 0: an operation was refused at 11 ms (node clock 11 ms) although the bucket held 1000000000 nano-tokens",
		}},
		{name: "instants count, not seqs", verdict: Violated, make: func(w *world) {
			for i := range int64(4) {
				w.forge(10*ms, 10*ms, max(0, 2-i)*nano)
			}
			w.forge(30*ms, 30*ms, 2*nano)
			w.forge(10*ms, 30*ms, nano)
		}, want: []string{
			"window [] 10 ms: tenant 2 slot 0: 5 operations took a token from 10 ms to 10 ms, where the last is seq 8; rate 1000 per second and burst 3 at a drift of 0 ppm allow 4",
			"wrong-level [] 10 ms: tenant 2 slot 0: the signal at seq 6, admitted at 10 ms (node clock 10 ms), carries a level of 0 nano-tokens, want -1000000000",
			"tenant-window [] 10 ms: tenant 2: 5 operations in its 1 slots took a token from 10 ms to 10 ms, where the last is seq 8 of slot 0; rate 1000 per second and burst 3, the largest that may be in force then, at a drift of 0 ppm allow 4",
		}},
		{name: "a bucket that is refilled by a restart", verdict: Violated, make: func(w *world) {
			for i := range int64(3) {
				w.forge(10*ms, 10*ms, (2-i)*nano)
			}
			w.run.Recovered(home, 0, 5, 11*ms, 0, 2)
			w.forge(11*ms, 0, 2*nano)
		}, want: []string{
			"wrong-level [] 11 ms: tenant 2 slot 0: the signal at seq 6, admitted at 11 ms (node clock 0 ms), carries a level of 2000000000 nano-tokens, want -1000000000",
		}},
		{name: "tokens minted by a clock that steps back and forth", verdict: Violated, make: func(w *world) {
			for i := range int64(3) {
				w.forge(10*ms, 10*ms, (2-i)*nano)
			}
			w.run.Refused(home, 0, 10*ms, 8*ms, 1) // the clock stepped back: no credit
			w.forge(10*ms, 10*ms, nano)            // and must not be given it again
		}, want: []string{
			"wrong-level [] 10 ms: tenant 2 slot 0: the signal at seq 6, admitted at 10 ms (node clock 10 ms), carries a level of 1000000000 nano-tokens, want -1000000000",
		}},
		{name: "a larger burst arrives full", verdict: Violated, make: func(w *world) {
			w.mayHave(tenant.Limits{Rate: homeRate, Burst: 9})
			w.config(1000, 9, 9*nano)
		}, want: []string{
			"wrong-level [] 3 ms: tenant 2 slot 0: the config at seq 3, admitted at 3 ms (node clock 3 ms), carries a level of 9000000000 nano-tokens, want 3000000000",
		}},
	})
}

// mayHave notes that an operator asks for limits of the tenant, which may be in force from then on.
func (w *world) mayHave(limits tenant.Limits) {
	w.run.Asked(observe.Command{Kind: observe.Configure, Tenant: home, Version: 2, Base: 1, Limits: limits})
}

// config appends a change of the limits with a level of the caller's.
func (w *world) config(rate, burst uint64, level int64) {
	end, now := w.log().End(), w.tick()
	rec := record.Record{Tenant: home, Kind: record.Config, Seq: end.Next(), Prev: end.Chain, Level: level,
		Limits: record.Limits{Version: uint64(end.Seq), Rate: rate, Burst: burst}}
	w.run.Admitted(home, 0, rec.Seq, now, now, 1)
	w.run.Append(&rec, record.ChainOf(record.Append(nil, &rec)), now, now, 1)
}

// overruns is R3 word for word: whether some window that ends with signal j
// holds more than burst + rate*w*(1+rho) + 1. In units of 1e-15 tokens.
func overruns(at []int64, j int, rate, burst uint64, drift int64) bool {
	unit := big.NewInt(nano * ppm)
	for i := 0; i <= j; i++ {
		allowed := new(big.Int).SetUint64(rate)
		allowed.Mul(allowed, big.NewInt(at[j]-at[i]))
		allowed.Mul(allowed, big.NewInt(ppm+drift))
		allowed.Add(allowed, new(big.Int).Mul(unit, new(big.Int).SetUint64(burst+1)))
		if allowed.Cmp(new(big.Int).Mul(unit, big.NewInt(int64(j-i+1)))) < 0 {
			return true
		}
	}
	return false
}

// A rate of 1.5 per second has a token every 666,666,666 2/3 ns; the third comes
// at two seconds exactly, if no third of a nanosecond got lost on the way.
func TestEnvelopeCarriesFractions(t *testing.T) {
	e := newEnvelope(1, 1, 500_000)
	for _, at := range []int64{0, 0, 666_666_667, 1_333_333_334, 2_000_000_000} {
		if !e.take(at) {
			t.Errorf("no token at %d", at)
		}
	}
	if e.take(2_666_666_666) {
		t.Error("a token at 2,666,666,666: two thirds of a nanosecond early")
	}
	full := newEnvelope(1, 1, 500_000)
	full.level, full.fresh = full.capacity-1, false
	if full.refill(1); full.level != full.capacity || full.part != 0 || !full.fresh {
		t.Errorf("filled by more than was missing: %+v", full)
	}
}

func TestEnvelopeIsTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.OneOf(rapid.Uint64Range(1, 3), rapid.Uint64Range(999, 1001), rapid.Uint64Range(1, tenant.MaxRate)).Draw(t, "rate")
		burst := rapid.OneOf(rapid.Uint64Range(1, 3), rapid.Uint64Range(1, tenant.MaxBurst)).Draw(t, "burst")
		drift := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 500), rapid.Int64Range(0, ppm)).Draw(t, "drift")
		// Steps near one token's worth of time are where the bound is.
		token := int64(nano / rate)
		step := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(max(0, token-2), token+2), rapid.Int64Range(0, 2*token+1), rapid.Int64Range(0, 1<<50))
		e, now := newEnvelope(rate, burst, drift), int64(0)
		var at []int64
		for j, d := range rapid.SliceOfN(step, 1, 40).Draw(t, "steps") {
			now += d
			at = append(at, now)
			if got, want := !e.take(now), overruns(at, j, rate, burst, drift); got != want {
				t.Fatalf("signals at %v, rate %d burst %d drift %d: overrun %v, by the definition %v", at, rate, burst, drift, got, want)
			}
		}
	})
}

// A run of the honest world holds whatever restarts and refusals are in it; the
// limiter here is written down independently, with a big burst of arithmetic.
func TestLevelsOfAnHonestLimiter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var run observe.Run
		rate, burst := rapid.Uint64Range(1, tenant.MaxRate).Draw(t, "rate"), rapid.Uint64Range(1, 5).Draw(t, "burst")
		run.SetLimits(home, tenant.Limits{Rate: rate, Burst: burst})
		full := new(big.Int).SetUint64(burst * nano)
		level, high, chain := new(big.Int).Set(full), int64(0), lineage.Chain(0)
		token := int64(nano / rate)
		run.Recovered(home, 0, 0, 0, 0, 1)
		share := record.Record{Tenant: home, Kind: record.Config, Seq: 1, Level: full.Int64(), Limits: record.Limits{Version: 1, Rate: rate, Burst: burst}}
		chain = record.ChainOf(record.Append(nil, &share))
		run.Admitted(home, 0, 1, 0, 0, 1)
		run.Append(&share, chain, 0, 0, 1)
		true64, seq := int64(0), lineage.Seq(1)
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			local := high + rapid.OneOf(rapid.Int64Range(-token, 2*token+1), rapid.Just(token), rapid.Int64Range(0, 1<<40)).Draw(t, "step")
			true64 += max(0, local-high)
			if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
				run.Recovered(home, 0, seq, true64, local, 1)
				level, high = big.NewInt(run.Log(home, 0).Entries[seq-1].Record.Level), local
				continue
			}
			if local > high {
				level.Add(level, new(big.Int).Mul(big.NewInt(local-high), new(big.Int).SetUint64(rate)))
				high = local
			}
			if level.Cmp(full) > 0 {
				level.Set(full)
			}
			if level.Cmp(big.NewInt(nano)) < 0 {
				run.Refused(home, 0, true64, local, 1)
				continue
			}
			level.Sub(level, big.NewInt(nano))
			seq++
			rec := record.Record{Tenant: home, Kind: record.Signal, Seq: seq, Prev: chain, Level: level.Int64()}
			chain = record.ChainOf(record.Append(nil, &rec))
			run.Admitted(home, 0, seq, true64, local, 1)
			run.Append(&rec, chain, true64, local, 1)
		}
		if r := judgeRate(&run, Options{}); r.Verdict != Held {
			t.Fatalf("an honest limiter: %s, %q %v", r.Verdict, r.Why, r.Findings)
		}
	})
}
