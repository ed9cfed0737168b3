package route

import (
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// MaxPartitions is the largest P. Each slot has a log, a directory and a share of the tenant's
// quotas, so a larger P would cost more than it spreads.
const MaxPartitions = 1 << 16

// ErrPartitions is wrapped by every error about a P that is not 1..MaxPartitions.
var ErrPartitions = errors.New("invalid number of partitions")

// The domains make the two hashes independent: an entity's slot does not predict the slot's home.
// They are "td/slot1" and "td/home1" in ASCII, the first letter most significant. Part of the
// format; never change.
const (
	domainSlot = 0x74642f736c6f7431
	domainHome = 0x74642f686f6d6531
)

// mix is Stafford's variant 13 of the MurmurHash3 finalizer, as in SplitMix64: a permutation of the
// 64-bit numbers in which every input bit flips about half of the output bits. mix(0) = 0. Part of
// the format; never change.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Hash is the partition hash, with all arithmetic modulo 2^64:
//
//	Hash(tenant, entity) = mix((entity XOR mix(tenant)) + domainSlot)
//
// Because mix(0) = 0, the default tenant hashes as a database without tenants does: Hash(0, entity)
// = mix(entity + domainSlot). Part of the format; never change: existing logs hold records that
// this function sent there.
func Hash(id tenant.ID, e signal.Entity) uint64 {
	return mix((uint64(e) ^ mix(uint64(id))) + domainSlot)
}

// SlotOf returns the slot of an entity of a tenant with P = partitions:
// Hash(id, e) mod P. A P outside of 1..MaxPartitions is ErrPartitions.
func SlotOf(id tenant.ID, e signal.Entity, partitions uint32) (lineage.Slot, error) {
	if err := checkPartitions(uint64(partitions)); err != nil {
		return 0, fmt.Errorf("tenant %s: %w", id, err)
	}
	return slotOf(id, e, partitions), nil
}

// slotOf is SlotOf for a P that was checked when it was stored.
func slotOf(id tenant.ID, e signal.Entity, partitions uint32) lineage.Slot {
	return lineage.Slot(Hash(id, e) % uint64(partitions))
}

func checkPartitions(p uint64) error {
	if p == 0 || p > MaxPartitions {
		return fmt.Errorf("%w: P is %d, want 1..%d", ErrPartitions, p, MaxPartitions)
	}
	return nil
}
