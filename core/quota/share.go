package quota

import "github.com/tidaldb/tidalsim/core/tenant"

// Resources is the number of resources in a share.
const Resources = 4

// Share is one slot's part of its tenant's limits, in absolute numbers: rate (operations per
// second), burst (operations), live entities, logical bytes. 0 allows no growth; it does not mean
// "no limit".
//
// It is an array because each rule about shares applies to every resource in the same way, and the
// resources are independent.
type Share [Resources]uint64

// The indexes in a share.
const (
	Rate = iota
	Burst
	LiveEntities
	Bytes
)

// least is the smallest share: a slot without rate or burst would refuse for ever, although its
// tenant has some.
var least = Share{Rate: 1, Burst: 1}

// Least returns the smallest share that a slot may have.
func Least() Share { return least }

// Whole returns a tenant's limits as one share.
func Whole(l tenant.Limits) Share {
	return Share{l.Rate, l.EffectiveBurst(), l.EffectiveEntities(), l.EffectiveBytes()}
}

// Limits returns the share as the limits of a slot. A 0 in it stands for 0 and not for a default.
func (s Share) Limits() tenant.Limits {
	return tenant.Limits{Rate: s[Rate], Burst: s[Burst], Entities: s[LiveEntities], Bytes: s[Bytes]}
}

// Part returns the share of slot i of n when limits are divided evenly. The first slots get the
// remainder, so the parts add up to the limits.
func Part(whole Share, i, n int) (part Share) {
	for r := range whole {
		part[r] = whole[r] / uint64(n)
		if uint64(i) < whole[r]%uint64(n) {
			part[r]++
		}
	}
	return part
}

// Max returns the larger value of each resource.
func (s Share) Max(o Share) Share {
	for r := range s {
		s[r] = max(s[r], o[r])
	}
	return s
}

// Min returns the smaller value of each resource.
func (s Share) Min(o Share) Share {
	for r := range s {
		s[r] = min(s[r], o[r])
	}
	return s
}

// Plus returns the sum of each resource. Shares are bounded by present and past limits of a tenant,
// so no sum overflows.
func (s Share) Plus(o Share) Share {
	for r := range s {
		s[r] += o[r]
	}
	return s
}

// Within reports whether s is at most o in every resource.
func (s Share) Within(o Share) bool {
	for r := range s {
		if s[r] > o[r] {
			return false
		}
	}
	return true
}
