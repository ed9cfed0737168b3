package route_test

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

const million = 1_000_000

// large returns a table of a million tenants with P = 1, their random IDs, and
// the bytes that it keeps per tenant.
func large(tb testing.TB) (*route.Table, []tenant.ID, uint64) {
	tb.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	placements := make([]route.Placement, million)
	id := uint64(0)
	for i := range placements {
		placements[i] = route.Placement{Tenant: tenant.ID(id), Home: route.Home{Shard: lineage.Shard(i % 1000), Epoch: 1}}
		id += 1 + rng.Uint64N(1<<44)
	}
	shards := make([]route.Shard, 1000)
	for i := range shards {
		shards[i] = route.Shard{ID: lineage.Shard(i), Region: []tenant.Region{"eu-west", "us-east", "ap-south"}[i%3], Capacity: 1}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table, err := route.NewTable(1, shards, placements)
	if err != nil {
		tb.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	ids := make([]tenant.ID, len(placements))
	for i, at := range rng.Perm(len(placements)) {
		ids[i] = placements[at].Tenant
	}
	return table, ids, (after.HeapAlloc - before.HeapAlloc) / million
}

// BenchmarkRoute looks a million tenants up in random order: each misses the
// caches of the processor.
func BenchmarkRoute(b *testing.B) {
	table, ids, bytes := large(b)
	r := route.NewTenantRouter(table)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if _, err := r.Route(ids[i%million], signal.Entity(i)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(bytes), "bytes/tenant")
}

// BenchmarkRouteHot looks 4096 of a million tenants up, again and again.
func BenchmarkRouteHot(b *testing.B) {
	table, ids, _ := large(b)
	r := route.NewTenantRouter(table)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if _, err := r.Route(ids[i%4096], signal.Entity(i)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRouteDependent makes each look-up wait for the one before it.
func BenchmarkRouteDependent(b *testing.B) {
	table, ids, _ := large(b)
	r := route.NewTenantRouter(table)
	b.ReportAllocs()
	b.ResetTimer()
	at := 0
	for range b.N {
		home, err := r.Route(ids[at], 0)
		if err != nil {
			b.Fatal(err)
		}
		if at += int(home.Epoch); at >= million {
			at = 0
		}
	}
}

func BenchmarkRouteSlots(b *testing.B) {
	table, err := route.NewTable(1, []route.Shard{{ID: 1, Region: "eu-west"}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	homes := make([]route.Home, 64)
	for i := range homes {
		homes[i].Shard = 1
	}
	table, err = table.WithTenant(1, 7, homes)
	if err != nil {
		b.Fatal(err)
	}
	r := route.NewTenantRouter(table)
	b.ReportAllocs()
	for i := range b.N {
		if _, err := r.Route(7, signal.Entity(i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	var sum uint64
	for i := range b.N {
		sum += route.Hash(tenant.ID(i), signal.Entity(sum))
	}
	if sum == 1 {
		b.Log(sum)
	}
}

// BenchmarkWithHome moves one slot of a table of a million.
func BenchmarkWithHome(b *testing.B) {
	table, ids, _ := large(b)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		next, err := table.WithHome(table.Version(), ids[i%million], 0, route.Home{Shard: 3, Epoch: lineage.PlacementEpoch(2 + i/million)})
		if err != nil {
			b.Fatal(err)
		}
		table = next
	}
}

func BenchmarkPropose(b *testing.B) {
	shards := make([]route.Shard, 10)
	for i := range shards {
		shards[i] = route.Shard{ID: lineage.Shard(i), Region: "eu-west", Capacity: uint32(10 + i)}
	}
	b.ReportAllocs()
	for i := range b.N {
		if _, err := route.Propose(tenant.ID(i), 0, nil, shards); err != nil {
			b.Fatal(err)
		}
	}
}
