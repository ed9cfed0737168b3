package health_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/core/tenant"
)

func f(v uint64) health.Figure { return health.Of(v) }

// An age is an upper bound, so it is rounded up; so is a lag, and 5 s and a nanosecond
// are more than 5,000 ms.
func TestMillisAreRoundedUp(t *testing.T) {
	for _, c := range []struct {
		span env.Duration
		want health.Figure
	}{
		{0, f(0)},
		{1, f(1)},
		{env.Millisecond - 1, f(1)},
		{env.Millisecond, f(1)},
		{5*env.Second + 1, f(5001)},
		{math.MaxInt64, f(9_223_372_036_855)},
		{-1, unknown}, // a clock stepped back
	} {
		if got := health.Millis(c.span); got != c.want {
			t.Errorf("%d ns are %+v, want %+v", c.span, got, c.want)
		}
	}
}

func TestSignalsPerSecond(t *testing.T) {
	for _, c := range []struct{ signals, window, want health.Figure }{
		{f(2999), f(2000), f(1499)},
		{f(0), f(1000), f(0)},
		{f(1), f(1001), f(0)},
		{f(5), f(0), unknown},
		{unknown, f(1000), unknown},
		{f(5), unknown, unknown},
		{f(math.MaxUint64), f(1000), f(math.MaxUint64)},
		{f(math.MaxUint64), f(999), f(math.MaxUint64)}, // no number can say it
	} {
		s := health.Shard{Signals: c.signals, WindowMs: c.window}
		if got := s.SignalsPerSecond(); got != c.want {
			t.Errorf("%+v signals in %+v ms are %+v per second, want %+v", c.signals, c.window, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		signals, window := rapid.Uint64().Draw(t, "signals"), rapid.Uint64Min(1).Draw(t, "window")
		want := new(big.Int).Mul(new(big.Int).SetUint64(signals), big.NewInt(1000))
		want.Div(want, new(big.Int).SetUint64(window))
		if most := new(big.Int).SetUint64(math.MaxUint64); want.Cmp(most) > 0 {
			want = most
		}
		if got := (&health.Shard{Signals: f(signals), WindowMs: f(window)}).SignalsPerSecond(); got != f(want.Uint64()) {
			t.Fatalf("got %+v, want %v", got, want)
		}
	})
}

// If a figure of one slot is unknown, the tenant's is unknown: a sum of the others would be too
// low.
func TestTotalKnowsWhatAllSlotsKnow(t *testing.T) {
	known := health.Slot{AgeMs: f(30), Used: health.Use{Entities: f(1), Bytes: f(2)}, Refused: health.Refusals{Rate: f(3), Entities: f(4), Bytes: f(5)}}
	partly := health.Slot{Slot: 1, AgeMs: f(20), Used: health.Use{Bytes: f(20)}, Refused: health.Refusals{Rate: f(30), Entities: f(40)}}
	blank := health.Slot{Slot: 2}
	type total struct {
		Used    health.Use
		Refused health.Refusals
		Age     health.Figure
	}
	for _, c := range []struct {
		name  string
		slots []health.Slot
		want  total
	}{
		{"no slots", nil, total{}},
		{"one", []health.Slot{known}, total{known.Used, known.Refused, f(30)}},
		{"two", []health.Slot{known, partly}, total{health.Use{Bytes: f(22)}, health.Refusals{Rate: f(33), Entities: f(44)}, f(30)}},
		{"one is not known", []health.Slot{known, blank}, total{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got total
			got.Used, got.Refused, got.Age = (&health.Tenant{Slots: c.slots}).Total()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error("-want +got\n" + diff)
			}
		})
	}
}

func TestLimitsAreThoseInEffect(t *testing.T) {
	want := health.Limits{Rate: f(7), Burst: f(7), Entities: f(tenant.MaxEntities), Bytes: f(tenant.MaxBytes)}
	if got := health.LimitsOf(tenant.Limits{Rate: 7}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
