package placement

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// A map in any order, with or without gaps, answers as a walk over its placements does.
func TestLookUpsAreWalks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Map{}
		for id := range tenant.ID(rapid.IntRange(0, 4).Draw(t, "tenants")) {
			for slot := range lineage.Slot(rapid.IntRange(0, 4).Draw(t, "slots")) {
				if gap := rapid.IntRange(0, 9).Draw(t, "gap") == 0; gap {
					continue
				}
				shard := rapid.Uint32Range(0, 3).Draw(t, "shard")
				m.Placements = append(m.Placements, Entry{Tenant: tenant.Config{ID: id}, Slot: slot, Epoch: 1, Shard: lineage.Shard(shard), Node: env.ID(shard + 10)})
			}
		}
		m.Placements = rapid.Permutation(m.Placements).Draw(t, "placements")
		m.Index()
		for id := range tenant.ID(5) {
			slots := walk(&m, func(p *Entry) bool { return p.Tenant.ID == id })
			if m.Has(id) != (len(slots) > 0) {
				t.Fatalf("tenant %d: Has is %t, and it has %d slots", id, m.Has(id), len(slots))
			}
			for slot := range lineage.Slot(5) {
				want := walk(&m, func(p *Entry) bool { return p.Tenant.ID == id && p.Slot == slot })
				if got := m.Find(id, slot); (got == nil) != (len(want) == 0) || got != nil && got != &m.Placements[want[0]] {
					t.Fatalf("tenant %d slot %d: found %+v, want it at %v", id, slot, got, want)
				}
			}
			routesAsComputed(t, &m, id, slots)
		}
		for shard := range lineage.Shard(4) {
			want := walk(&m, func(p *Entry) bool { return p.Shard == shard })
			home := env.ID(99)
			if len(want) > 0 {
				home = m.Placements[want[0]].Node
			}
			if got := m.InShard(shard); !slices.Equal(got, want) || m.HomeOf(shard, 99) != home {
				t.Fatalf("shard %d: placements %v of node %d, want %v of node %d", shard, got, m.HomeOf(shard, 99), want, home)
			}
		}
	})
}

// walk returns where in the placements those are that a look-up should find, ascending.
func walk(m *Map, wanted func(*Entry) bool) (at []int) {
	for i := range m.Placements {
		if wanted(&m.Placements[i]) {
			at = append(at, i)
		}
	}
	return at
}

// routesAsComputed compares the route of entities with the slot that package route computes.
func routesAsComputed(t *rapid.T, m *Map, id tenant.ID, slots []int) {
	for e := range signal.Entity(8) {
		slot := lineage.Slot(0)
		if len(slots) > 1 {
			computed, err := route.SlotOf(id, e, uint32(len(slots)))
			if err != nil {
				t.Fatal(err)
			}
			slot = computed
		}
		want := m.Find(id, slot)
		if got := m.Route(id, e); got != want || !m.Owns(id, slot, e) || m.Owns(id, slot+1, e) {
			t.Fatalf("tenant %d entity %d: routed to %+v, want %+v", id, e, got, want)
		}
	}
}

// A group says which nodes hold a shard; a shard without one is on the node of its placements.
func TestReplicas(t *testing.T) {
	m := Map{
		Placements: []Entry{{Shard: 1, Node: 5}, {Slot: 1, Shard: 2, Node: 6}, {Slot: 2, Shard: 2, Node: 6}},
		Groups:     []Group{{1, []env.ID{5, 6, 7}}, {3, []env.ID{7, 5}}},
	}
	m.Index()
	for shard, want := range map[lineage.Shard][]env.ID{1: {5, 6, 7}, 2: {6}, 3: {7, 5}, 4: nil} {
		if got := m.Replicas(shard); !m.Grouped() || !slices.Equal(got, want) {
			t.Errorf("shard %d is on %v, want %v", shard, got, want)
		}
	}
	if alone := (&Map{Placements: m.Placements}); alone.Grouped() {
		t.Error("a map without groups is grouped")
	}
	if m.HomeOf(3, 9) != 9 || m.HomeOf(1, 9) != 5 {
		t.Errorf("homes %d and %d, want 9, since nothing is placed in shard 3, and 5", m.HomeOf(3, 9), m.HomeOf(1, 9))
	}
}

func TestContradictions(t *testing.T) {
	entry := func(id tenant.ID, slot lineage.Slot, shard lineage.Shard, node env.ID) Entry {
		return Entry{Tenant: tenant.Config{ID: id, Version: 1, Limits: tenant.Limits{Rate: 1}}, Slot: slot, Shard: shard, Node: node}
	}
	for _, c := range []struct {
		name       string
		placements []Entry
		want       string // how the error begins; "" if there is none
	}{
		{"nothing is placed", nil, ""},
		{"two slots in one shard", []Entry{entry(1, 0, 1, 5), entry(1, 1, 1, 5)}, ""},
		{"a slot twice", []Entry{entry(1, 0, 1, 5), entry(2, 0, 1, 5), entry(1, 0, 2, 6)}, "placements[0] and placements[2] both place tenant 1 slot 0"},
		{"a shard on two nodes", []Entry{entry(1, 0, 1, 5), entry(1, 1, 1, 6)}, "placements[1]: shard 1 is on nodes 5 and 6, want one"},
		{"a tenant without a rate", []Entry{entry(1, 0, 1, 5), {Tenant: tenant.Config{ID: 2, Version: 1}}}, "placements[1]: invalid tenant configuration: tenant 2: limits.rate is 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := Map{Placements: c.placements}
			err := m.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// BenchmarkRoute looks up where an entity of one of a million tenants lives, as a client
// does, in an order that no cache foresees.
func BenchmarkRoute(b *testing.B) {
	const million = 1_000_000
	m := Map{Placements: make([]Entry, million)}
	for i := range m.Placements {
		m.Placements[i] = Entry{Tenant: tenant.Config{ID: tenant.ID(i)}, Epoch: 1, Shard: lineage.Shard(i % 1000)}
	}
	m.Index()
	b.ResetTimer()
	at := 0
	for i := range b.N {
		if at = (at + 611_953) % million; m.Route(tenant.ID(at), signal.Entity(i)) == nil {
			b.Fatalf("tenant %d is not placed", at)
		}
	}
}
