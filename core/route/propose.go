package route

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// ErrNoShard is wrapped by Propose's error when no candidate has capacity, in any region.
var ErrNoShard = errors.New("no shard has capacity")

// ErrResidency is wrapped by every refusal for residency.
var ErrResidency = errors.New("residency allows no available shard")

// ResidencyError says that no shard with capacity is in a region that the tenant permits. There is
// no fallback: the slot stays where it is, or unplaced.
type ResidencyError struct {
	Tenant tenant.ID
	Slot   lineage.Slot
	Wanted tenant.Residency // the tenant's permitted regions, not empty
	Have   []tenant.Region  // regions of the shards with capacity, sorted, distinct
}

// Error states the permitted regions, the available ones, and a remedy.
func (e *ResidencyError) Error() string {
	return fmt.Sprintf("tenant %s slot %d: %v: it allows %v, shards with capacity are in %v; add capacity there or allow more regions",
		e.Tenant, e.Slot, ErrResidency, e.Wanted, e.Have)
}

// Is makes errors.Is(e, ErrResidency) true.
func (e *ResidencyError) Is(target error) bool { return target == ErrResidency }

// Propose returns the home of a tenant's slot by rendezvous hashing (highest random weight, Thaler
// and Ravishankar): the candidate with the best score, among those with capacity in a permitted
// region. Each candidate is scored alone, so their order does not matter, and removing one changes
// only the proposals for it. Over many slots, candidates win in proportion to their capacities.
//
// If no candidate is eligible the error is a *ResidencyError, or ErrNoShard if residency is not the
// reason.
func Propose(id tenant.ID, slot lineage.Slot, residency tenant.Residency, candidates []Shard) (lineage.Shard, error) {
	var best Shard
	var bestCost uint64
	for _, c := range candidates {
		if c.Capacity == 0 || !residency.Permits(c.Region) {
			continue
		}
		if cost := homeCost(id, slot, c.ID); best.Capacity == 0 || beats(c, cost, best, bestCost) {
			best, bestCost = c, cost
		}
	}
	if best.Capacity == 0 {
		return 0, nothingEligible(id, slot, residency, candidates)
	}
	return best.ID, nil
}

func nothingEligible(id tenant.ID, slot lineage.Slot, residency tenant.Residency, candidates []Shard) error {
	have := []tenant.Region{}
	for _, c := range candidates {
		if c.Capacity > 0 {
			have = append(have, c.Region)
		}
	}
	if len(have) == 0 {
		return fmt.Errorf("tenant %s slot %d: %w: %d candidates; add a shard or raise a capacity", id, slot, ErrNoShard, len(candidates))
	}
	slices.Sort(have)
	return &ResidencyError{Tenant: id, Slot: slot, Wanted: slices.Clone(residency), Have: slices.Compact(have)}
}

// homeHash is a uniform number for a slot and a shard:
//
//	mix(mix(tenant + domainHome) XOR mix(slot * 2^32 + shard))
//
// Part of the format; never change.
func homeHash(id tenant.ID, slot lineage.Slot, shard lineage.Shard) uint64 {
	return mix(mix(uint64(id)+domainHome) ^ mix(uint64(slot)<<32|uint64(shard)))
}

// homeCost is minus the binary logarithm of the home hash as a fraction of one, in units of 2^-48:
// 1 <= cost <= 2^54. It is exponentially distributed.
func homeCost(id tenant.ID, slot lineage.Slot, shard lineage.Shard) uint64 {
	return 64<<logBits - log2(homeHash(id, slot, shard)|1)
}

// beats reports whether a has a better score than b.
//
// The score is capacity / cost. Among exponential variables cost / capacity, the i-th is the least
// with probability capacity(i) / sum of capacities. Scores are compared crosswise in 128-bit
// products, so there is no division and no rounding. For equal scores the lower shard number wins.
//
// The only error is in the cost, less than 1.001 units. It changes a winner only if two scores are
// that close: in less than 2^-47 * largest capacity / smallest capacity of the proposals.
func beats(a Shard, aCost uint64, b Shard, bCost uint64) bool {
	aHi, aLo := bits.Mul64(uint64(a.Capacity), bCost)
	bHi, bLo := bits.Mul64(uint64(b.Capacity), aCost)
	if aHi != bHi {
		return aHi > bHi
	}
	if aLo != bLo {
		return aLo > bLo
	}
	return a.ID < b.ID
}

// logBits is the number of fraction bits of log2. Part of the format of
// proposals; never change.
const logBits = 48

// log2 returns the binary logarithm of x >= 1 in units of 2^-48, rounded down, at most 1.001 units
// too low. Squaring a number doubles its logarithm, so the integer part of each square's logarithm
// is the next bit. Each square is cut to 63 fraction bits; the error of step i weighs 2^-i in the
// result.
func log2(x uint64) uint64 {
	whole := uint64(bits.Len64(x) - 1)
	m := x << (63 - whole) // 1 <= m / 2^63 < 2
	result := whole
	for range logBits {
		hi, lo := bits.Mul64(m, m) // m squared is hi / 2^62, below 4
		result <<= 1
		if hi >= 1<<63 {
			result |= 1
			m = hi
		} else {
			m = hi<<1 | lo>>63
		}
	}
	return result
}
