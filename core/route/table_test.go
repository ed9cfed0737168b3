package route_test

import (
	"cmp"
	"errors"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// model is the table as a map.
type model map[tenant.ID][]route.Home

func (m model) placements() []route.Placement {
	all := []route.Placement{}
	for id, homes := range m {
		for slot, home := range homes {
			all = append(all, route.Placement{Tenant: id, Slot: lineage.Slot(slot), Home: home})
		}
	}
	slices.SortFunc(all, func(a, b route.Placement) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Slot, b.Slot))
	})
	return all
}

func empty(t testing.TB, text string) *route.Table {
	t.Helper()
	table, err := route.NewTable(0, shards(t, text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

const threeShards = "0:1@eu 1:1@us 4294967295:1@ap"

var shardIDs = []lineage.Shard{0, 1, 4294967295}

// TestTableIsAMap compares a table under random changes with a map. A version
// that was kept says the same after all that followed it.
func TestTableIsAMap(t *testing.T) {
	start := empty(t, threeShards)
	rapid.Check(t, func(t *rapid.T) {
		table, want := start, model{}
		kept, keptRows := table, table.Placements()
		ids := rapid.OneOf(rapid.SampledFrom([]tenant.ID{0, 1, largest}), rapid.Map(rapid.Uint64Max(40), func(n uint64) tenant.ID { return tenant.ID(n) }))
		step := func(next *route.Table, err error, legal bool) {
			if (err == nil) != legal {
				t.Fatalf("%v, want success: %v", err, legal)
			}
			if err == nil {
				if next.Version() != table.Version()+1 {
					t.Fatalf("version %d follows %d", next.Version(), table.Version())
				}
				table = next
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				id := ids.Draw(t, "tenant")
				homes := make([]route.Home, rapid.SampledFrom([]int{1, 2, 7, 300}).Draw(t, "P"))
				for i := range homes {
					homes[i] = route.Home{Shard: shardIDs[i%3], Epoch: 1}
				}
				next, err := table.WithTenant(table.Version(), id, homes)
				_, there := want[id]
				step(next, err, !there)
				if !there {
					want[id] = homes
				}
			},
			"move": func(t *rapid.T) {
				id, slot := ids.Draw(t, "tenant"), rapid.IntRange(0, 8).Draw(t, "slot")
				home := route.Home{Shard: rapid.SampledFrom(shardIDs).Draw(t, "shard"), Epoch: lineage.PlacementEpoch(rapid.IntRange(0, 9).Draw(t, "epoch"))}
				next, err := table.WithHome(table.Version(), id, lineage.Slot(slot), home)
				legal := slot < len(want[id]) && home.Epoch > want[id][slot].Epoch
				step(next, err, legal)
				if legal {
					want[id] = slices.Clone(want[id])
					want[id][slot] = home
				}
			},
			"drop": func(t *rapid.T) {
				id := ids.Draw(t, "tenant")
				next, err := table.WithoutTenant(table.Version(), id)
				_, there := want[id]
				step(next, err, there)
				delete(want, id)
			},
			"keep": func(t *rapid.T) { kept, keptRows = table, table.Placements() },
			"": func(t *rapid.T) {
				id, e := ids.Draw(t, "tenant"), entities().Draw(t, "entity")
				checkRoute(t, table, want, id, e)
			},
		})
		if diff := gocmp.Diff(want.placements(), table.Placements()); diff != "" {
			t.Fatalf("rows (-want +got):\n%s", diff)
		}
		if diff := gocmp.Diff(keptRows, kept.Placements()); diff != "" {
			t.Fatalf("version %d has changed (-then +now):\n%s", kept.Version(), diff)
		}
	})
}

func checkRoute(t *rapid.T, table *route.Table, want model, id tenant.ID, e signal.Entity) {
	got, err := route.NewTenantRouter(table).Route(id, e)
	homes := want[id]
	if n := table.Partitions(id); int(n) != len(homes) {
		t.Fatalf("tenant %d has P = %d, want %d", id, n, len(homes))
	}
	if len(homes) == 0 {
		if !errors.Is(err, route.ErrUnplaced) {
			t.Fatalf("tenant %d is not placed, but: %v, %v", id, got, err)
		}
		return
	}
	slot := slowHash(id, e) % uint64(len(homes))
	home := homes[slot]
	region := map[lineage.Shard]tenant.Region{0: "eu", 1: "us", 4294967295: "ap"}[home.Shard]
	if want := (route.Route{Slot: lineage.Slot(slot), Shard: home.Shard, Epoch: home.Epoch, Region: region}); err != nil || got != want {
		t.Fatalf("tenant %d entity %d: %+v, %v; want %+v", id, e, got, err, want)
	}
	if stored, ok := table.Home(id, lineage.Slot(slot)); !ok || stored != home {
		t.Fatalf("tenant %d slot %d: home %+v, %v; want %+v", id, slot, stored, ok, home)
	}
}

// TestTheDefaultTenantRoutesAsWithoutTenants: for every P and entity.
func TestTheDefaultTenantRoutesAsWithoutTenants(t *testing.T) {
	start := empty(t, threeShards)
	rapid.Check(t, func(t *rapid.T) {
		plainHomes := rapid.SliceOfN(rapid.SampledFrom(shardIDs), 1, 50).Draw(t, "homes")
		plain, err := route.NewShardRouter(plainHomes)
		if err != nil {
			t.Fatal(err)
		}
		homes := make([]route.Home, len(plainHomes))
		for i, s := range plainHomes {
			homes[i].Shard = s
		}
		table, err := start.WithTenant(0, tenant.Default, homes)
		if err != nil {
			t.Fatal(err)
		}
		e := entities().Draw(t, "entity")
		slot, shard := plain.Route(e)
		got, err := route.NewTenantRouter(table).Route(tenant.Default, e)
		if err != nil || got.Slot != slot || got.Shard != shard {
			t.Fatalf("entity %d: %+v, %v; without tenants: slot %d shard %d", e, got, err, slot, shard)
		}
	})
}

// TestTheStoredPlacementWins: a larger shard and a new one change proposals and
// move nothing.
func TestTheStoredPlacementWins(t *testing.T) {
	table := empty(t, "1:1@eu")
	var err error
	for id := range tenant.ID(50) {
		if table, err = table.WithTenant(table.Version(), id, []route.Home{{Shard: 1, Epoch: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	before := table.Placements()
	for _, s := range shards(t, "2:1000@eu 1:0@eu") {
		if table, err = table.WithShard(table.Version(), s); err != nil {
			t.Fatal(err)
		}
	}
	if diff := gocmp.Diff(shards(t, "1:0@eu 2:1000@eu"), table.Shards()); diff != "" {
		t.Errorf("shards (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(before, table.Placements()); diff != "" {
		t.Errorf("rows (-before +after):\n%s", diff)
	}
	if s, err := route.Propose(3, 0, nil, table.Shards()); err != nil || s != 2 {
		t.Errorf("the proposal is shard %d, %v; want the new one", s, err)
	}
}

// TestVersionsFork: changes of one table do not see each other, in shards and
// regions neither.
func TestVersionsFork(t *testing.T) {
	regions := []tenant.Region{"a", "b", "c", "d", "e", "f", "g", "h"}
	base := empty(t, "")
	for i, region := range regions[:len(regions)-2] {
		s := route.Shard{ID: lineage.Shard(10 * i), Region: region, Capacity: 1}
		before := base.Shards()
		last := func(n int) *route.Table {
			other := route.Shard{ID: lineage.Shard(1 + n), Region: regions[len(regions)-n], Capacity: uint32(n)}
			next, err := base.WithShard(base.Version(), other)
			if err != nil {
				t.Fatal(err)
			}
			if next, err = next.WithTenant(next.Version(), 7, []route.Home{{Shard: other.ID}}); err != nil {
				t.Fatal(err)
			}
			raised := other
			raised.Capacity = 99
			if _, err = next.WithShard(next.Version(), raised); err != nil {
				t.Fatal(err)
			}
			return next
		}
		one, two := last(1), last(2)
		for n, table := range map[int]*route.Table{1: one, 2: two} {
			at, err := route.NewTenantRouter(table).Route(7, 0)
			if want := regions[len(regions)-n]; err != nil || at.Region != want {
				t.Errorf("fork %d of %d shards: region %q, %v; want %q", n, i, at.Region, err, want)
			}
			all := table.Shards()
			if len(all) != i+1 || !slices.ContainsFunc(all, func(s route.Shard) bool { return s.ID == lineage.Shard(1+n) && s.Capacity == uint32(n) }) {
				t.Errorf("fork %d of %d shards has shards %v", n, i, all)
			}
		}
		if diff := gocmp.Diff(before, base.Shards()); diff != "" {
			t.Errorf("the forked table (-before +after):\n%s", diff)
		}
		var err error
		if base, err = base.WithShard(base.Version(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChangesAreCompareAndSet(t *testing.T) {
	table := empty(t, threeShards)
	home := []route.Home{{Shard: 1, Epoch: 1}}
	next, err := table.WithTenant(0, 7, home)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(route.Version) (*route.Table, error){
		"shard":  func(v route.Version) (*route.Table, error) { return next.WithShard(v, shards(t, "9:1@eu")[0]) },
		"tenant": func(v route.Version) (*route.Table, error) { return next.WithTenant(v, 8, home) },
		"home":   func(v route.Version) (*route.Table, error) { return next.WithHome(v, 7, 0, route.Home{Epoch: 2}) },
		"drop":   func(v route.Version) (*route.Table, error) { return next.WithoutTenant(v, 7) },
	} {
		for _, at := range []route.Version{0, 2} {
			_, err := change(at)
			var stale *route.StaleError
			if !errors.As(err, &stale) || !errors.Is(err, route.ErrStale) || *stale != (route.StaleError{Given: at, Current: 1}) {
				t.Errorf("%s decided on version %d: %v, want it to be stale", name, at, err)
			}
		}
		if got, err := change(1); err != nil || got.Version() != 2 {
			t.Errorf("%s decided on version 1: %v", name, err)
		}
	}
	r := route.NewTenantRouter(next)
	if err := r.Install(table); !errors.Is(err, route.ErrStale) || r.Version() != 1 {
		t.Errorf("an older table: %v, version %d; want it refused", err, r.Version())
	}
	newer, err := next.WithoutTenant(1, 7)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Install(newer); err != nil || r.Version() != 2 {
		t.Errorf("a newer table: %v, version %d", err, r.Version())
	}
}

func TestContradictionsAreRefused(t *testing.T) {
	table, err := empty(t, threeShards).WithTenant(0, 7, []route.Home{{Shard: 1, Epoch: 3}, {Shard: 0, Epoch: 3}})
	if err != nil {
		t.Fatal(err)
	}
	at := func(id tenant.ID, slot lineage.Slot, s lineage.Shard) route.Placement {
		return route.Placement{Tenant: id, Slot: slot, Home: route.Home{Shard: s}}
	}
	load := func(text string, rows ...route.Placement) error {
		_, err := route.NewTable(1, shards(t, text), rows)
		return err
	}
	second := func(_ *route.Table, err error) error { return err }
	for _, c := range []struct {
		got  error
		want error
		text string
	}{
		{second(table.WithTenant(1, 8, nil)), route.ErrPartitions, "tenant 8: invalid number of partitions: P is 0, want 1..65536"},
		{second(table.WithTenant(1, 8, make([]route.Home, route.MaxPartitions+1))), route.ErrPartitions, "tenant 8: invalid number of partitions: P is 65537, want 1..65536"},
		{second(table.WithTenant(1, tenant.Reserved, make([]route.Home, 1))), route.ErrPlacement, "invalid placement: tenant 18446744073709551615 is reserved"},
		{second(table.WithTenant(1, 7, make([]route.Home, 2))), route.ErrPlacement, "invalid placement: tenant 7 is placed already, with P = 2"},
		{second(table.WithTenant(1, 8, []route.Home{{Shard: 5}})), route.ErrPlacement, "invalid placement: tenant 8 slot 0: shard 5 does not exist; add it first"},
		{second(table.WithHome(1, 7, 0, route.Home{Shard: 5, Epoch: 4})), route.ErrPlacement, "invalid placement: tenant 7 slot 0: shard 5 does not exist; add it first"},
		{second(table.WithHome(1, 7, 0, route.Home{Shard: 0, Epoch: 3})), route.ErrPlacement, "invalid placement: tenant 7 slot 0: epoch 3 does not exceed the present 3"},
		{second(table.WithHome(1, 7, 2, route.Home{Shard: 0, Epoch: 4})), route.ErrUnplaced, "invalid placement: tenant 7 slot 2: no placement"},
		{second(table.WithoutTenant(1, 8)), route.ErrUnplaced, "invalid placement: tenant 8 in placement version 1: no placement"},
		{second(table.WithShard(1, shards(t, "1:1@eu")[0])), route.ErrPlacement, `invalid placement: shard 1 is in region "us" and cannot move to "eu"; add another shard there`},
		{second(table.WithShard(1, route.Shard{ID: 2, Region: "EU"})), tenant.ErrRegion, `invalid placement: shard 2: invalid region name "EU": want 1..32 of a-z, 0-9 and -, the first a letter`},
		{load("1:1@eu 1:2@eu"), route.ErrPlacement, "invalid placement: shard 1 is there already"},
		{load("1:1@eu", at(3, 1, 1)), route.ErrPlacement, "invalid placement: tenant 3: slot 1 follows 0 slots, want slots 0, 1, ... each once"},
		{load("1:1@eu", at(3, 0, 1), at(3, 0, 1)), route.ErrPlacement, "invalid placement: tenant 3: slot 0 follows 1 slots, want slots 0, 1, ... each once"},
		{load("1:1@eu", at(3, 0, 1), at(4, 0, 1), at(3, 1, 1)), route.ErrPlacement, "invalid placement: tenant 3: slot 1 follows 0 slots, want slots 0, 1, ... each once"},
	} {
		if !errors.Is(c.got, c.want) || c.got.Error() != c.text {
			t.Errorf("got  %v\nwant %s", c.got, c.text)
		}
	}
}

// TestTablesAreRestored: a table that is made of another one's parts is equal to it
// in all that can be asked, and takes the same changes.
func TestTablesAreRestored(t *testing.T) {
	table := empty(t, threeShards)
	var err error
	for id := range tenant.ID(3000) {
		homes := []route.Home{{Shard: shardIDs[id%3], Epoch: lineage.PlacementEpoch(id)}, {Shard: 0, Epoch: 1}}[:1+id%2]
		if table, err = table.WithTenant(table.Version(), id*id, homes); err != nil {
			t.Fatal(err)
		}
	}
	again, err := route.NewTable(table.Version(), table.Shards(), table.Placements())
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(table.Placements(), again.Placements()); diff != "" || again.Version() != table.Version() {
		t.Errorf("version %d (-stored +restored):\n%s", again.Version(), diff)
	}
	one, other := route.NewTenantRouter(table), route.NewTenantRouter(again)
	for id := range tenant.ID(3000) {
		a, err := one.Route(id*id, signal.Entity(id))
		b, again := other.Route(id*id, signal.Entity(id))
		if a != b || err != nil || again != nil {
			t.Errorf("tenant %d: %+v, %v; restored: %+v, %v", id*id, a, err, b, again)
		}
	}
}

// TestTheLargestTenant: P = MaxPartitions, every slot is found, and gone at the end.
func TestTheLargestTenant(t *testing.T) {
	homes := make([]route.Home, route.MaxPartitions)
	for i := range homes {
		homes[i] = route.Home{Shard: shardIDs[i%3], Epoch: lineage.PlacementEpoch(i)}
	}
	table, err := empty(t, threeShards).WithTenant(0, largest, homes)
	if err != nil {
		t.Fatal(err)
	}
	for slot, want := range homes {
		if got, ok := table.Home(largest, lineage.Slot(slot)); !ok || got != want {
			t.Fatalf("slot %d: %+v, %v; want %+v", slot, got, ok, want)
		}
	}
	if table, err = table.WithoutTenant(1, largest); err != nil || len(table.Placements()) != 0 {
		t.Errorf("dropped: %v, %d rows are left", err, len(table.Placements()))
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	table, err := empty(t, threeShards).WithTenant(0, 7, make([]route.Home, 5))
	if err != nil {
		t.Fatal(err)
	}
	if table, err = table.WithTenant(1, 0, make([]route.Home, 1)); err != nil {
		t.Fatal(err)
	}
	r, all, eu := route.NewTenantRouter(table), table.Shards(), tenant.Residency{"eu"}
	plain, err := route.NewShardRouter(shardIDs)
	if err != nil {
		t.Fatal(err)
	}
	e := signal.Entity(0)
	for name, call := range map[string]func(){
		"route":       func() { e++; _, err = r.Route(7, e) },
		"route P = 1": func() { e++; _, err = r.Route(0, e) },
		"plain route": func() { e++; plain.Route(e) },
		"slot":        func() { e++; _, err = route.SlotOf(7, e, 9) },
		"home":        func() { table.Home(7, 3) },
		"propose":     func() { _, err = route.Propose(7, 1, eu, all) },
	} {
		if n := testing.AllocsPerRun(100, call); n != 0 || err != nil {
			t.Errorf("%s allocates %v times, %v", name, n, err)
		}
	}
}
