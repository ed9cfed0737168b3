package quota_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// bucket returns a bucket with limits, full at instant 0.
func bucket(rate, burst uint64) *quota.Bucket {
	var b quota.Bucket
	b.Limit(rate, burst)
	return &b
}

func TestABurstThenTheRate(t *testing.T) {
	b := bucket(1000, 3) // a token each millisecond
	var told []string
	take := func(now env.Time) {
		level, wait, ok := b.Take(now)
		told = append(told, fmt.Sprintf("%d: %t level %d wait %d", now, ok, level, wait))
	}
	for _, now := range []env.Time{0, 0, 0, 0, 999_999, 1_000_000, 1_000_001, 10_000_000} {
		take(now)
	}
	want := []string{
		"0: true level 2000000000 wait 0",
		"0: true level 1000000000 wait 0",
		"0: true level 0 wait 0",
		"0: false level 0 wait 1000000",
		"999999: false level 999999000 wait 1",
		"1000000: true level 0 wait 0",
		"1000001: false level 1000 wait 999999",
		"10000000: true level 2000000000 wait 0", // no more than the burst was saved
	}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", told, want)
	}
}

// The zero value admits nothing, and says that waiting does not help.
func TestABucketWithoutALimitAdmitsNothing(t *testing.T) {
	var b quota.Bucket
	for _, now := range []env.Time{0, 1, math.MaxInt64} {
		if level, wait, ok := b.Take(now); ok || level != 0 || wait != 0 {
			t.Errorf("at %d: level %d, wait %d, ok %t", now, level, wait, ok)
		}
	}
}

// Every window of true time: admitted <= burst + rate * w * (1 + rho) + 1, also
// while the clock drifts and steps back. The oracle counts in integers and knows no
// bucket. (A clock that leaps ahead of true time cannot be seen through by any
// limiter: then the bound holds in the time that the clock has shown, as below.)
func TestNoWindowAdmitsTooMuch(t *testing.T) {
	const ppm = 1000
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Uint64Range(1, 5000).Draw(t, "rate")
		burst := rapid.Uint64Range(1, 6).Draw(t, "burst")
		b := bucket(rate, burst)
		truth, local := int64(0), rapid.Int64Range(-1e12, 1e12).Draw(t, "origin")
		b.Restart(int64(burst)*quota.Token, env.Time(local))
		var admitted []int64
		for range 60 {
			passed := rapid.Int64Range(0, 3_000_000).Draw(t, "ns")
			truth += passed
			local += passed + passed*rapid.Int64Range(-ppm, ppm).Draw(t, "drift")/1_000_000
			local -= rapid.SampledFrom([]int64{0, 0, 0, 1, 100_000, 5_000_000}).Draw(t, "step back")
			for range rapid.IntRange(1, 3).Draw(t, "asks") {
				if _, _, ok := b.Take(env.Time(local)); ok {
					admitted = append(admitted, truth)
				}
			}
		}
		windows(t, admitted, rate, burst, ppm)
	})
}

// With steps back and forth of any size, the same bound without drift in the time
// that the clock has shown: its highest reading so far.
func TestNoWindowOfShownTimeAdmitsTooMuch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Uint64Range(1, 5000).Draw(t, "rate")
		burst := rapid.Uint64Range(1, 6).Draw(t, "burst")
		b := bucket(rate, burst)
		var admitted []int64
		local, shown := int64(0), int64(0)
		for range 60 {
			local += rapid.Int64Range(-4_000_000, 5_000_000).Draw(t, "step")
			shown = max(shown, local)
			for range rapid.IntRange(1, 3).Draw(t, "asks") {
				if _, _, ok := b.Take(env.Time(local)); ok {
					admitted = append(admitted, shown)
				}
			}
		}
		windows(t, admitted, rate, burst, 0)
	})
}

// windows checks every window that begins and ends at an admission.
func windows(t *rapid.T, admitted []int64, rate, burst uint64, ppm int64) {
	for i := range admitted {
		for j := i; j < len(admitted); j++ {
			// (n - burst - 1) * 1e15 <= rate * w * (1e6 + ppm)
			over := big.NewInt(int64(j-i) + 1 - int64(burst) - 1)
			over.Mul(over, big.NewInt(1e15))
			allowed := new(big.Int).Mul(new(big.Int).SetUint64(rate), big.NewInt(admitted[j]-admitted[i]))
			if over.Cmp(allowed.Mul(allowed, big.NewInt(1_000_000+ppm))) > 0 {
				t.Fatalf("%d admitted from %d to %d: rate %d, burst %d", j-i+1, admitted[i], admitted[j], rate, burst)
			}
		}
	}
}

// A clock that steps back, and forth again to where it was, mints nothing: seen
// from the highest reading so far the bucket is the same as without the steps.
func TestClockStepsMintNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Uint64Range(1, 5000).Draw(t, "rate")
		burst := rapid.Uint64Range(1, 6).Draw(t, "burst")
		stepped, steady := bucket(rate, burst), bucket(rate, burst)
		highest := env.Time(0)
		for range 80 {
			now := env.Time(rapid.Int64Range(-2_000_000, 4_000_000).Draw(t, "step")) + highest
			highest = max(highest, now)
			l1, w1, ok1 := stepped.Take(now)
			l2, w2, ok2 := steady.Take(highest)
			if l1 != l2 || w1 != w2 || ok1 != ok2 {
				t.Fatalf("at %d after %d: level %d wait %d %t; without the step %d %d %t", now, highest, l1, w1, ok1, l2, w2, ok2)
			}
		}
	})
}

// The level, to the nano-token, against unbounded integers, at extreme limits and
// times too: the arithmetic never wraps and never rounds.
func TestTheLevelIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Uint64Range(1, tenant.MaxRate).Draw(t, "rate")
		burst := rapid.Uint64Range(1, tenant.MaxBurst).Draw(t, "burst")
		b := bucket(rate, burst)
		full := new(big.Int).Mul(new(big.Int).SetUint64(burst), big.NewInt(quota.Token))
		level, at := new(big.Int).Set(full), big.NewInt(0)
		for range 30 {
			now := env.Time(rapid.OneOf(rapid.Int64(), rapid.Int64Range(at.Int64(), min(at.Int64(), math.MaxInt64-5_000_000)+5_000_000)).Draw(t, "now"))
			if big.NewInt(int64(now)).Cmp(at) > 0 {
				earned := new(big.Int).Sub(big.NewInt(int64(now)), at)
				level.Add(level, earned.Mul(earned, new(big.Int).SetUint64(rate)))
				at.SetInt64(int64(now))
			}
			if level.Cmp(full) > 0 {
				level.Set(full)
			}
			_, wait, ok := b.Take(now)
			if want := level.Cmp(big.NewInt(quota.Token)) >= 0; ok != want {
				t.Fatalf("at %d with level %s: admitted %t", now, level, ok)
			}
			if ok {
				level.Sub(level, big.NewInt(quota.Token))
			} else if wait < 1 || wait > env.Duration(quota.Token) {
				t.Fatalf("at %d with level %s: wait %d", now, level, wait)
			}
			if got := b.Level(now); level.Cmp(big.NewInt(got)) != 0 {
				t.Fatalf("at %d: level %d, want %s", now, got, level)
			}
		}
	})
}

// A refused operation succeeds exactly when it is told to come again, not before.
func TestTheWaitIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Uint64Range(1, tenant.MaxRate).Draw(t, "rate")
		b := bucket(rate, 1)
		b.Restart(rapid.Int64Range(0, quota.Token-1).Draw(t, "level"), 0)
		_, wait, ok := b.Take(0)
		if ok {
			t.Fatal("admitted without a token")
		}
		early := *b
		if _, _, ok := early.Take(env.Time(wait) - 1); ok {
			t.Fatalf("told to wait %d ns, admitted before", wait)
		}
		if _, _, ok := b.Take(env.Time(wait)); !ok {
			t.Fatalf("told to wait %d ns, refused then", wait)
		}
	})
}

// A change of the leader mints no tokens: the next leader begins with the level in the last record,
// cut to the burst in force.
func TestRestartCarriesTheLevel(t *testing.T) {
	b := bucket(1000, 5)
	b.Restart(1_500_000_000, 7_000_000)
	if got := b.Level(6_000_000); got != 1_500_000_000 {
		t.Errorf("before the restart's instant the level is %d, want what was carried", got)
	}
	if got := b.Level(7_500_000); got != 2_000_000_000 {
		t.Errorf("half a millisecond later the level is %d, want half a token more", got)
	}
	b.Restart(9*quota.Token, 8_000_000)
	if got := b.Level(8_000_000); got != 5*quota.Token {
		t.Errorf("a level above the burst becomes %d, want the burst", got)
	}
}

func TestLimitsChangeWithoutMinting(t *testing.T) {
	b := bucket(1000, 5)
	b.Limit(1000, 2)
	if got := b.Level(0); got != 2*quota.Token {
		t.Errorf("after the burst was lowered to 2 the level is %d", got)
	}
	b.Limit(2000, 9)
	if got := b.Level(0); got != 2*quota.Token {
		t.Errorf("a raised burst arrives with %d, want the 2 tokens there were", got)
	}
	if got := b.Level(500_000); got != 3*quota.Token {
		t.Errorf("half a millisecond at the new rate: %d, want one token more", got)
	}
}

func BenchmarkTakeAccept(b *testing.B) {
	q := bucket(1_000_000_000, 1_000_000_000)
	now := env.Time(0)
	b.ReportAllocs()
	for b.Loop() {
		now++
		if _, _, ok := q.Take(now); !ok {
			b.Fatal("refused")
		}
	}
}

func BenchmarkTakeReject(b *testing.B) {
	q := bucket(1, 1)
	q.Restart(0, 0)
	now := env.Time(0)
	b.ReportAllocs()
	for b.Loop() {
		now = (now + 1) % 1000
		if _, _, ok := q.Take(now); ok {
			b.Fatal("admitted")
		}
	}
}
