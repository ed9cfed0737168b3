package quota_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/quota"
)

// The order of the checks is behaviour: rate, entities, bytes; and nothing is
// charged unless all hold.
func TestAdmitChecksInOrderAndChargesLast(t *testing.T) {
	const token = quota.Token
	for _, c := range []struct {
		name  string
		level int64
		caps  quota.Caps
		use   quota.Use
		ask   quota.Ask
		want  quota.ExceededError // the zero value: admitted
	}{
		{"all hold", token, quota.Caps{Entities: 3, Bytes: 303}, quota.Use{Entities: 2, Bytes: 202}, quota.Ask{Entities: 1, Bytes: 101}, quota.ExceededError{}},
		{"no token", token - 1, quota.Caps{Entities: 3, Bytes: 303}, quota.Use{}, quota.Ask{},
			quota.ExceededError{Resource: quota.SignalsPerSecond, Limit: 1000, Used: 4, RetryAfter: 1}},
		{"entities at the cap", token, quota.Caps{Entities: 3, Bytes: 303}, quota.Use{Entities: 3}, quota.Ask{Entities: 1},
			quota.ExceededError{Resource: quota.Entities, Limit: 3, Used: 3}},
		{"one byte too many", token, quota.Caps{Entities: 3, Bytes: 303}, quota.Use{Bytes: 203}, quota.Ask{Bytes: 101},
			quota.ExceededError{Resource: quota.StorageBytes, Limit: 303, Used: 203}},
		{"everything is over: the rate refuses", 0, quota.Caps{}, quota.Use{Entities: 9, Bytes: 9}, quota.Ask{Entities: 1, Bytes: 101},
			quota.ExceededError{Resource: quota.SignalsPerSecond, Limit: 1000, Used: 4, RetryAfter: 1_000_000}},
		{"both caps are over: entities refuse", token, quota.Caps{}, quota.Use{Entities: 9, Bytes: 9}, quota.Ask{Entities: 1, Bytes: 101},
			quota.ExceededError{Resource: quota.Entities, Used: 9}},
		{"limits lowered below the use: a deletion goes on", token, quota.Caps{Entities: 1, Bytes: 101}, quota.Use{Entities: 9, Bytes: 909}, quota.Ask{}, quota.ExceededError{}},
		{"limit of entities lowered: a signal on what exists goes on", token, quota.Caps{Entities: 1, Bytes: 2000}, quota.Use{Entities: 9, Bytes: 909}, quota.Ask{Bytes: 101}, quota.ExceededError{}},
		{"limit of bytes lowered: an empty entity can be created", token, quota.Caps{Entities: 10, Bytes: 101}, quota.Use{Entities: 9, Bytes: 909}, quota.Ask{Entities: 1}, quota.ExceededError{}},
		{"limit of bytes lowered: growth is refused", token, quota.Caps{Entities: 10, Bytes: 101}, quota.Use{Entities: 9, Bytes: 909}, quota.Ask{Bytes: 101},
			quota.ExceededError{Resource: quota.StorageBytes, Limit: 101, Used: 909}},
		{"nothing wraps", token, quota.Caps{Entities: math.MaxUint64, Bytes: math.MaxUint64 - 1}, quota.Use{Entities: math.MaxUint64 - 1, Bytes: math.MaxUint64 - 1}, quota.Ask{Entities: 1, Bytes: math.MaxUint64},
			quota.ExceededError{Resource: quota.StorageBytes, Limit: math.MaxUint64 - 1, Used: math.MaxUint64 - 1}},
		{"a share of nothing", token, quota.Caps{}, quota.Use{}, quota.Ask{Entities: 1}, quota.ExceededError{Resource: quota.Entities}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bucket(1000, 4)
			b.Restart(c.level, 50)
			level, over, ok := quota.Admit(b, 50, c.caps, c.use, c.ask)
			if diff := cmp.Diff(c.want, over); diff != "" || ok != (c.want == quota.ExceededError{}) {
				t.Errorf("ok %t, refusal (-want +got):\n%s", ok, diff)
			}
			left := c.level
			if ok {
				left -= token
			}
			if level != left || b.Level(50) != left {
				t.Errorf("level %d in the record, %d in the bucket, want %d", level, b.Level(50), left)
			}
		})
	}
}

// A slower, obviously right model: it keeps the content of a slot as sets and lists, and never lets
// them grow past a cap, while caps move up and down.
func TestCapsHoldAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		signals := map[int][]int{} // sizes of the signals of each live entity
		entities, bytes := func() int { return len(signals) }, func() (sum int) {
			for _, sizes := range signals {
				for _, size := range sizes {
					sum += size
				}
			}
			return sum
		}
		b := bucket(1, 1)
		for range 60 {
			b.Restart(quota.Token, 0)
			caps := quota.Caps{Entities: rapid.Uint64Range(0, 4).Draw(t, "cap on entities"), Bytes: rapid.Uint64Range(0, 600).Draw(t, "cap on bytes")}
			entity, size := rapid.IntRange(0, 6).Draw(t, "entity"), rapid.SampledFrom([]int{-1, 0, 101, 150}).Draw(t, "size")
			after := map[int][]int{}
			for e, sizes := range signals {
				after[e] = append([]int(nil), sizes...)
			}
			switch {
			case size < 0:
				delete(after, entity)
			case size == 0:
				after[entity] = append([]int(nil), after[entity]...)
			default:
				after[entity] = append(after[entity], size)
			}
			use := quota.Use{Entities: uint64(entities()), Bytes: uint64(bytes())}
			_, known := signals[entity]
			var ask quota.Ask
			if size >= 0 && !known {
				ask.Entities = 1
			}
			ask.Bytes = uint64(max(size, 0))
			_, over, ok := quota.Admit(b, 0, caps, use, ask)
			before := use
			if ok {
				signals = after
			}
			grewEntities, grewBytes := len(after) > int(before.Entities), size > 0
			want := quota.Resource(0)
			switch {
			case grewEntities && len(after) > int(caps.Entities):
				want = quota.Entities
			case grewBytes && before.Bytes+uint64(size) > caps.Bytes:
				want = quota.StorageBytes
			}
			if over.Resource != want || ok != (want == 0) {
				t.Fatalf("caps %+v, use %+v, ask %+v: ok %t, refused for %s, want %s", caps, use, ask, ok, over.Resource, want)
			}
		}
	})
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  quota.ExceededError
		want string
	}{
		{quota.ExceededError{Resource: quota.SignalsPerSecond, Limit: 3200, Used: 40, RetryAfter: 312_501},
			"quota exceeded: signals per second: limit 3200, burst of 40 used up; retry after 313 us"},
		{quota.ExceededError{Resource: quota.Entities, Limit: 3, Used: 4},
			"quota exceeded: entities: 4 used of 3; delete entities or raise the limit"},
		{quota.ExceededError{Resource: quota.StorageBytes, Limit: 1 << 20, Used: 1 << 20},
			"quota exceeded: storage bytes: 1048576 used of 1048576; delete entities or raise the limit"},
		{quota.ExceededError{Resource: 9}, "quota exceeded: resource-9: 0 used of 0; delete entities or raise the limit"},
	} {
		err := fmt.Errorf("tenant 7: %w", &c.err)
		var typed *quota.ExceededError
		if !errors.Is(err, quota.ErrQuotaExceeded) || !errors.As(err, &typed) || *typed != c.err {
			t.Errorf("%v: want an ErrQuotaExceeded with its fields", err)
		}
		if errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v is any error", err)
		}
		if diff := cmp.Diff("tenant 7: "+c.want, err.Error()); diff != "" {
			t.Errorf("text (-want +got):\n%s", diff)
		}
	}
}

func TestAdmitDoesNotAllocate(t *testing.T) {
	b := bucket(1, 1)
	for _, c := range []struct {
		name  string
		level int64
		ask   quota.Ask
	}{
		{"accepted", quota.Token, quota.Ask{Entities: 1, Bytes: 101}},
		{"over the rate", 0, quota.Ask{}},
		{"over the entities", quota.Token, quota.Ask{Entities: 9}},
		{"over the bytes", quota.Token, quota.Ask{Bytes: 999}},
	} {
		var over quota.ExceededError
		n := testing.AllocsPerRun(100, func() {
			b.Restart(c.level, 0)
			_, over, _ = quota.Admit(b, 0, quota.Caps{Entities: 1, Bytes: 101}, quota.Use{}, c.ask)
		})
		if n != 0 {
			t.Errorf("%s (%s): %v allocations, want 0", c.name, over.Resource, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { b.Restart(quota.Token, 0); b.Take(0); b.Take(0) }); n != 0 {
		t.Errorf("a bucket: %v allocations, want 0", n)
	}
}

func BenchmarkAdmitAccept(b *testing.B) {
	q := bucket(1_000_000_000, 1_000_000_000)
	now := env.Time(0)
	b.ReportAllocs()
	for b.Loop() {
		now++
		if _, _, ok := quota.Admit(q, now, quota.Caps{Entities: 9, Bytes: 999}, quota.Use{Entities: 1}, quota.Ask{Entities: 1, Bytes: 101}); !ok {
			b.Fatal("refused")
		}
	}
}

// The refusal is the cost that a noisy neighbour causes its node, 100,000 times a second.
func BenchmarkAdmitReject(b *testing.B) {
	for _, c := range []struct {
		name  string
		burst uint64
		ask   quota.Ask
	}{{"rate", 0, quota.Ask{}}, {"entities", 1, quota.Ask{Entities: 1}}, {"bytes", 1, quota.Ask{Bytes: 101}}} {
		b.Run(c.name, func(b *testing.B) {
			q := bucket(1, 1)
			q.Restart(int64(c.burst)*quota.Token, 0)
			now := env.Time(0)
			b.ReportAllocs()
			for b.Loop() {
				now = (now + 1) % 1000
				if _, _, ok := quota.Admit(q, now, quota.Caps{}, quota.Use{}, c.ask); ok {
					b.Fatal("admitted")
				}
			}
		})
	}
}
