package quota

import "github.com/tidaldb/tidalsim/core/tenant"

// Resources is how many kinds of numbers a share has.
const Resources = 4

// Share is what one slot may use of its tenant's limits, in absolute numbers: rate
// (operations per second), burst (operations), live entities, logical bytes. 0 lets
// nothing grow; it does not mean "no limit".
//
// It is an array because every rule about shares is the same rule for each of them, and
// none moves because of another one.
type Share [Resources]uint64

// The places in a share.
const (
	Rate = iota
	Burst
	LiveEntities
	Bytes
)

// least is the smallest share of each: a slot without rate or burst would refuse for ever
// what the tenant may do.
var least = Share{Rate: 1, Burst: 1}

// Least returns the smallest share that a slot may have.
func Least() Share { return least }

// Whole returns a tenant's limits as a share of everything.
func Whole(l tenant.Limits) Share {
	return Share{l.Rate, l.EffectiveBurst(), l.EffectiveEntities(), l.EffectiveBytes()}
}

// Limits returns the share as the limits of a slot, none of which stands for a default:
// what is 0 is 0.
func (s Share) Limits() tenant.Limits {
	return tenant.Limits{Rate: s[Rate], Burst: s[Burst], Entities: s[LiveEntities], Bytes: s[Bytes]}
}

// Part returns the share of slot i of n when limits are divided evenly: the first slots
// have what is left over. The parts add up to the limits.
func Part(whole Share, i, n int) (part Share) {
	for r := range whole {
		part[r] = whole[r] / uint64(n)
		if uint64(i) < whole[r]%uint64(n) {
			part[r]++
		}
	}
	return part
}

// Max returns the larger of each.
func (s Share) Max(o Share) Share {
	for r := range s {
		s[r] = max(s[r], o[r])
	}
	return s
}

// Min returns the smaller of each.
func (s Share) Min(o Share) Share {
	for r := range s {
		s[r] = min(s[r], o[r])
	}
	return s
}

// Plus returns the sum of each. Shares are bounded by a tenant's limits, and what they
// hold by those of the past, so that no sum wraps.
func (s Share) Plus(o Share) Share {
	for r := range s {
		s[r] += o[r]
	}
	return s
}

// Within reports whether no number of s is above that of o.
func (s Share) Within(o Share) bool {
	for r := range s {
		if s[r] > o[r] {
			return false
		}
	}
	return true
}
