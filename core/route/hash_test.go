package route_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/internal/golden"
)

const largest = tenant.Reserved - 1

// slowMix and slowHash are written from the definition, in numbers without bounds.
func slowMix(z *big.Int) *big.Int {
	step := func(z *big.Int, shift uint, factor string) *big.Int {
		f, _ := new(big.Int).SetString(factor, 0)
		z = new(big.Int).Xor(z, new(big.Int).Rsh(z, shift))
		return wrap(z.Mul(z, f))
	}
	return step(step(step(z, 30, "0xbf58476d1ce4e5b9"), 27, "0x94d049bb133111eb"), 31, "1")
}

func wrap(z *big.Int) *big.Int { return z.And(z, new(big.Int).SetUint64(math.MaxUint64)) }

func slowHash(id tenant.ID, e signal.Entity) uint64 {
	z := slowMix(new(big.Int).SetUint64(uint64(id)))
	z.Xor(z, new(big.Int).SetUint64(uint64(e)))
	z.Add(z, new(big.Int).SetBytes([]byte("td/slot1")))
	return slowMix(wrap(z)).Uint64()
}

func tenants() *rapid.Generator[tenant.ID] {
	return rapid.OneOf(
		rapid.SampledFrom([]tenant.ID{0, 1, 2, 3, largest}),
		rapid.Map(rapid.Uint64Max(uint64(largest)), func(n uint64) tenant.ID { return tenant.ID(n) }),
	)
}

func entities() *rapid.Generator[signal.Entity] {
	return rapid.OneOf(
		rapid.SampledFrom([]signal.Entity{0, 1, math.MaxUint64}),
		rapid.Map(rapid.Uint64(), func(n uint64) signal.Entity { return signal.Entity(n) }),
	)
}

func partitions() *rapid.Generator[uint32] {
	return rapid.OneOf(rapid.SampledFrom([]uint32{1, 2, 3, route.MaxPartitions}), rapid.Uint32Range(1, route.MaxPartitions))
}

func TestHashIsAsDefined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, e, p := tenants().Draw(t, "tenant"), entities().Draw(t, "entity"), partitions().Draw(t, "P")
		want := slowHash(id, e)
		if got := route.Hash(id, e); got != want {
			t.Fatalf("hash of tenant %d entity %d is %d, want %d", id, e, got, want)
		}
		slot, err := route.SlotOf(id, e, p)
		if err != nil || uint64(slot) != want%uint64(p) {
			t.Fatalf("tenant %d entity %d P %d: slot %d, %v; want %d", id, e, p, slot, err, want%uint64(p))
		}
	})
}

func TestPartitionsHaveBounds(t *testing.T) {
	for _, c := range []struct {
		p    uint32
		want error
	}{
		{0, route.ErrPartitions}, {1, nil}, {route.MaxPartitions, nil}, {route.MaxPartitions + 1, route.ErrPartitions}, {math.MaxUint32, route.ErrPartitions},
	} {
		if _, err := route.SlotOf(7, 1, c.p); !errors.Is(err, c.want) {
			t.Errorf("P = %d: %v, want %v", c.p, err, c.want)
		}
		if c.p > route.MaxPartitions+1 {
			continue
		}
		if _, err := route.NewShardRouter(make([]lineage.Shard, c.p)); !errors.Is(err, c.want) {
			t.Errorf("shard router with P = %d: %v, want %v", c.p, err, c.want)
		}
	}
}

// TestSlotsAreEven: entities that are numbered in sequence, in steps, or in the
// high bits only, fill 64 slots evenly. With 63 degrees of freedom chi-square
// exceeds 126 in less than one of 100,000 random experiments.
func TestSlotsAreEven(t *testing.T) {
	const p, n = 64, 64_000
	for _, id := range []tenant.ID{0, 1, 2, 1 << 32, largest} {
		for _, shift := range []uint{0, 1, 6, 16, 32, 48} {
			weights, counts := make([]uint64, p), make([]uint64, p)
			for i := range uint64(n) {
				slot, err := route.SlotOf(id, signal.Entity(i<<shift), p)
				if err != nil {
					t.Fatal(err)
				}
				counts[slot]++
			}
			for i := range weights {
				weights[i] = 1
			}
			if x := chiSquare(counts, weights); x > 126 {
				t.Errorf("tenant %d, entities in steps of 2^%d: chi-square is %d, want at most 126", id, shift, x)
			}
		}
	}
}

// chiSquare returns the sum of (observed - expected)^2 / expected, rounded down
// in each term, where counts are expected in proportion to the weights.
func chiSquare(counts, weights []uint64) uint64 {
	var n, total, x uint64
	for i := range counts {
		n, total = n+counts[i], total+weights[i]
	}
	for i := range counts {
		off := int64(counts[i]*total) - int64(n*weights[i])
		x += uint64(off*off) / (n * weights[i] * total)
	}
	return x
}

var rewrite = flag.Bool("rewrite", false, "write testdata/v1 anew; right only as long as nothing was ever stored by it")

func TestGoldenSlots(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Slots of version 1 of the partition hash. They hold for ever.\n# tenant entity P hash slot\n")
	for _, id := range []tenant.ID{0, 1, 2, 7, 1 << 32, 1<<63 + 1, largest} {
		for _, e := range []signal.Entity{0, 1, 2, 42, 1 << 32, 1 << 63, math.MaxUint64} {
			for _, p := range []uint32{1, 2, 3, 64, 1000, route.MaxPartitions} {
				slot, err := route.SlotOf(id, e, p)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "%d %d %d %016x %d\n", id, e, p, route.Hash(id, e), slot)
			}
		}
	}
	golden.Text(t, "testdata/v1/slots.txt", b.String(), *rewrite)
}
