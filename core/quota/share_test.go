package quota_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// anyShare draws a share of numbers that tenants' limits come to, small ones above all.
func anyShare(t *rapid.T, name string) (s quota.Share) {
	for r := range s {
		s[r] = rapid.OneOf(rapid.Uint64Range(0, 9), rapid.Uint64Range(0, tenant.MaxBytes)).Draw(t, name)
	}
	return s
}

// Any limits are divided without loss or surplus. The parts differ by at most one, and the first
// slots get the larger ones.
func TestPartsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole, n := anyShare(t, "whole"), rapid.IntRange(1, 40).Draw(t, "slots")
		var sum quota.Share
		for i := range n {
			part := quota.Part(whole, i, n)
			sum = sum.Plus(part)
			if first := quota.Part(whole, 0, n); !part.Within(first) || !first.Within(part.Plus(quota.Share{1, 1, 1, 1})) {
				t.Fatalf("slot 0 of %d has %v of %v, slot %d %v", n, first, whole, i, part)
			}
			if i > 0 && !part.Within(quota.Part(whole, i-1, n)) {
				t.Fatalf("slot %d of %d has more of %v than the one before: %v", i, n, whole, part)
			}
			if enough := min(whole[quota.Rate], whole[quota.Burst]) >= uint64(n); enough != quota.Least().Within(part) && (enough || i == n-1) {
				t.Fatalf("%v for %d slots: slot %d has %v", whole, n, i, part)
			}
		}
		if sum != whole {
			t.Fatalf("%d parts of %v add up to %v", n, whole, sum)
		}
	})
}

// Every rule about shares holds for each of their numbers on its own.
func TestEachNumberIsOnItsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyShare(t, "a"), anyShare(t, "b")
		within := true
		for r := range a {
			if got, want := a.Max(b)[r], max(a[r], b[r]); got != want {
				t.Fatalf("number %d of the larger of %v and %v is %d, want %d", r, a, b, got, want)
			}
			if got, want := a.Min(b)[r], min(a[r], b[r]); got != want {
				t.Fatalf("number %d of the smaller of %v and %v is %d, want %d", r, a, b, got, want)
			}
			if got, want := a.Plus(b)[r], a[r]+b[r]; got != want {
				t.Fatalf("number %d of %v plus %v is %d, want %d", r, a, b, got, want)
			}
			within = within && a[r] <= b[r]
		}
		if a.Within(b) != within || !a.Within(a) || !a.Within(a.Max(b)) || !a.Min(b).Within(a) || !a.Within(a.Plus(b)) {
			t.Fatalf("%v is within %v: %t, want %t", a, b, a.Within(b), within)
		}
		if a.Max(b) != b.Max(a) || a.Min(b) != b.Min(a) || a.Plus(b) != b.Plus(a) {
			t.Fatalf("of %v and %v the order counts", a, b)
		}
	})
}

// The whole of a tenant's limits has no defaults: as the limits of a slot, a 0 stays 0, and the
// other numbers keep their meaning.
func TestAShareHasNoDefaults(t *testing.T) {
	for _, c := range []struct {
		limits tenant.Limits
		want   quota.Share
	}{
		{tenant.Limits{Rate: 7}, quota.Share{7, 7, tenant.MaxEntities, tenant.MaxBytes}},
		{tenant.Limits{Rate: 7, Burst: 3}, quota.Share{7, 3, tenant.MaxEntities, tenant.MaxBytes}},
		{tenant.Limits{Rate: 7, Burst: 3, Entities: 2, Bytes: 500}, quota.Share{7, 3, 2, 500}},
	} {
		whole := quota.Whole(c.limits)
		if whole != c.want {
			t.Errorf("all of %+v is %v, want %v", c.limits, whole, c.want)
		}
		if again := quota.Whole(whole.Limits()); again != whole {
			t.Errorf("%v as limits is %+v, all of which is %v", whole, whole.Limits(), again)
		}
	}
	if got := (quota.Share{}).Limits(); got != (tenant.Limits{}) {
		t.Errorf("nothing, as limits, is %+v", got)
	}
	if got := (quota.Share{1, 2, 3, 4}).Limits(); got != (tenant.Limits{Rate: 1, Burst: 2, Entities: 3, Bytes: 4}) {
		t.Errorf("limits are %+v", got)
	}
}
