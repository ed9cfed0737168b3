package route_test

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/internal/golden"
)

// shards parses "1:10@eu 2:0@us": number, capacity, region.
func shards(t testing.TB, text string) []route.Shard {
	t.Helper()
	var all []route.Shard
	for _, f := range strings.Fields(text) {
		var s route.Shard
		var region string
		if _, err := fmt.Sscanf(f, "%d:%d@%s", &s.ID, &s.Capacity, &region); err != nil {
			t.Fatalf("%q: %v", f, err)
		}
		s.Region = tenant.Region(region)
		all = append(all, s)
	}
	return all
}

func candidates() *rapid.Generator[[]route.Shard] {
	one := rapid.Custom(func(t *rapid.T) route.Shard {
		return route.Shard{
			ID:       lineage.Shard(rapid.OneOf(rapid.Uint32Max(20), rapid.Uint32()).Draw(t, "id")),
			Region:   rapid.SampledFrom([]tenant.Region{"eu", "us", "ap"}).Draw(t, "region"),
			Capacity: rapid.OneOf(rapid.Uint32Range(0, 3), rapid.Uint32()).Draw(t, "capacity"),
		}
	})
	return rapid.SliceOfNDistinct(one, 2, 12, func(s route.Shard) lineage.Shard { return s.ID })
}

func residencies() *rapid.Generator[tenant.Residency] {
	return rapid.SampledFrom([]tenant.Residency{nil, {"eu"}, {"us", "ap"}, {"nowhere"}})
}

// cost is the logarithm of the score, from the definition and in floats, as a reference for the
// integers.
func cost(id tenant.ID, slot lineage.Slot, s route.Shard) float64 {
	tenantPart := new(big.Int).SetUint64(uint64(id))
	tenantPart = slowMix(wrap(tenantPart.Add(tenantPart, new(big.Int).SetBytes([]byte("td/home1")))))
	h := slowMix(tenantPart.Xor(tenantPart, slowMix(new(big.Int).SetUint64(uint64(slot)<<32|uint64(s.ID))))).Uint64()
	return (64 - math.Log2(float64(h|1))) / float64(s.Capacity)
}

// TestProposalIsTheBestScore: the proposal is eligible, and no eligible candidate
// has a score that is better by more than floats can tell.
func TestProposalIsTheBestScore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, slot := tenants().Draw(t, "tenant"), lineage.Slot(rapid.Uint32Max(route.MaxPartitions-1).Draw(t, "slot"))
		all, residency := candidates().Draw(t, "shards"), residencies().Draw(t, "residency")
		var eligible []route.Shard
		for _, s := range all {
			if s.Capacity > 0 && (len(residency) == 0 || slices.Contains(residency, s.Region)) {
				eligible = append(eligible, s)
			}
		}
		got, err := route.Propose(id, slot, residency, all)
		if len(eligible) == 0 {
			if !errors.Is(err, route.ErrResidency) && !errors.Is(err, route.ErrNoShard) {
				t.Fatalf("nothing is eligible, but: shard %d, %v", got, err)
			}
			return
		}
		at := slices.IndexFunc(eligible, func(s route.Shard) bool { return s.ID == got })
		if err != nil || at < 0 {
			t.Fatalf("shard %d, %v; eligible are %v", got, err, eligible)
		}
		for _, s := range eligible {
			if best, other := cost(id, slot, eligible[at]), cost(id, slot, s); best > other*(1+1e-9)+1e-9/float64(s.Capacity) {
				t.Fatalf("shard %d costs %g, but shard %d only %g", got, best, s.ID, other)
			}
		}
	})
}

// TestOnlyTheLoserMoves: without one candidate, only proposals for it change; with
// more capacity, a candidate only gains; the order of candidates means nothing.
func TestOnlyTheLoserMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, slot := tenants().Draw(t, "tenant"), lineage.Slot(rapid.Uint32Max(9).Draw(t, "slot"))
		all := candidates().Draw(t, "shards")
		before, err := route.Propose(id, slot, nil, all)
		if err != nil {
			t.Skip("no capacity anywhere; other draws have some")
		}
		shuffled := rapid.Permutation(all).Draw(t, "order")
		if got, err := route.Propose(id, slot, nil, shuffled); err != nil || got != before {
			t.Fatalf("in another order: shard %d, %v; want %d", got, err, before)
		}
		i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
		if without := slices.Delete(slices.Clone(all), i, i+1); all[i].ID != before {
			if got, err := route.Propose(id, slot, nil, without); err != nil || got != before {
				t.Fatalf("without shard %d: shard %d, %v; want %d as before", all[i].ID, got, err, before)
			}
		}
		grown := slices.Clone(all)
		grown[i].Capacity += rapid.Uint32Max(math.MaxUint32-grown[i].Capacity).Draw(t, "more")
		if got, err := route.Propose(id, slot, nil, grown); err != nil || got != before && got != all[i].ID {
			t.Fatalf("with more capacity of shard %d: shard %d, %v; want %d or %d", all[i].ID, got, err, before, all[i].ID)
		}
	})
}

// TestProposalsFollowCapacity: 100,000 tenants over shards. Chi-square of n shards has n-1 degrees
// of freedom; the bounds are exceeded in less than one of 10,000 random experiments. No shard gets
// more than 2 % over its share.
func TestProposalsFollowCapacity(t *testing.T) {
	const n = 100_000
	for _, c := range []struct {
		shards string
		bound  uint64
	}{
		{"1:1@eu 2:1@eu", 16},
		{"1:1@eu 2:3@eu", 16},
		{"0:5@eu 1:5@eu 2:5@eu 3:5@eu 4:5@eu 5:5@eu 6:5@eu 7:5@eu 8:5@eu 9:5@eu", 34},
		{"1:10@eu 2:20@eu 3:30@eu 4:40@eu", 22},
		{"7:4000000000@eu 9:1000000000@eu 4294967295:3000000000@eu", 19},
	} {
		all := shards(t, c.shards)
		counts, weights := make([]uint64, len(all)), make([]uint64, len(all))
		for id := range tenant.ID(n) {
			got, err := route.Propose(id, 0, nil, all)
			if err != nil {
				t.Fatal(err)
			}
			counts[slices.IndexFunc(all, func(s route.Shard) bool { return s.ID == got })]++
		}
		var total uint64
		for i, s := range all {
			weights[i] = uint64(s.Capacity)
			if s.Capacity >= 1e9 {
				weights[i] /= 1e9
			}
			total += weights[i]
		}
		if x := chiSquare(counts, weights); x > c.bound {
			t.Errorf("%s: counts %v, chi-square %d, want at most %d", c.shards, counts, x, c.bound)
		}
		for i := range counts {
			if share := n * weights[i] / total; counts[i]*100 > share*102 {
				t.Errorf("%s: shard %d has %d tenants, want at most 2 %% over %d", c.shards, all[i].ID, counts[i], share)
			}
		}
	}
}

func TestResidencyHasNoFallback(t *testing.T) {
	for _, c := range []struct {
		name, shards string
		residency    tenant.Residency
		want         error
		text         string
	}{
		{"any region", "1:1@us", nil, nil, ""},
		{"a region that is there", "1:1@us 2:1@eu", tenant.Residency{"eu"}, nil, ""},
		{"no such region", "1:1@us 2:1@ap 3:1@us", tenant.Residency{"eu", "ch"}, route.ErrResidency,
			"tenant 7 slot 2: residency allows no available shard: it allows [eu ch], shards with capacity are in [ap us]; add capacity there or allow more regions"},
		{"no capacity there", "1:1@us 2:0@eu", tenant.Residency{"eu"}, route.ErrResidency,
			"tenant 7 slot 2: residency allows no available shard: it allows [eu], shards with capacity are in [us]; add capacity there or allow more regions"},
		{"no capacity anywhere", "1:0@us 2:0@eu", tenant.Residency{"eu"}, route.ErrNoShard,
			"tenant 7 slot 2: no shard has capacity: 2 candidates; add a shard or raise a capacity"},
		{"no candidates", "", nil, route.ErrNoShard, "tenant 7 slot 2: no shard has capacity: 0 candidates; add a shard or raise a capacity"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := route.Propose(7, 2, c.residency, shards(t, c.shards))
			if !errors.Is(err, c.want) || err != nil && err.Error() != c.text {
				t.Errorf("got %v\nwant %v: %s", err, c.want, c.text)
			}
		})
	}
	_, err := route.Propose(7, 2, tenant.Residency{"eu"}, shards(t, "1:1@us"))
	var typed *route.ResidencyError
	if !errors.As(err, &typed) {
		t.Fatalf("%v is no ResidencyError", err)
	}
	want := &route.ResidencyError{Tenant: 7, Slot: 2, Wanted: tenant.Residency{"eu"}, Have: []tenant.Region{"us"}}
	if diff := cmp.Diff(want, typed); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGoldenProposals(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Proposals of version 1: shards are number:capacity@region.\n# tenant slot proposal | shards\n")
	for _, text := range []string{
		"0:1@eu",
		"0:1@eu 1:1@eu 2:1@us",
		"1:1@eu 2:10@eu 3:100@us 4:1000@us",
		"1:4294967295@eu 2:1@eu 4294967295:4294967294@us",
	} {
		for _, id := range []tenant.ID{0, 1, 2, 3, 7, 1 << 32, 1<<63 + 1, largest} {
			for _, slot := range []lineage.Slot{0, 1, route.MaxPartitions - 1} {
				got, err := route.Propose(id, slot, nil, shards(t, text))
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "%d %d %d | %s\n", id, slot, got, text)
			}
		}
	}
	golden.Text(t, "testdata/v1/proposals.txt", b.String(), *rewrite)
}
