package shrink

import (
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/plan"
)

func drawSize(t *rapid.T, what string) size {
	n := rapid.SliceOfN(rapid.IntRange(0, 2), 4, 4).Draw(t, what)
	low := rapid.SampledFrom([]uint64{0, 1, 1<<64 - 1}).Draw(t, what)
	return size{n[0], n[1], n[2], n[3], sum{}.plus(low).plus(rapid.Uint64Range(0, 2).Draw(t, what))}
}

// Sizes are in a strict total order: nothing is smaller than itself, and of two that differ
// one is smaller. A shrinking cannot go round.
func TestSizesAreOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawSize(t, "a"), drawSize(t, "b"), drawSize(t, "c")
		if a.less(a) {
			t.Fatalf("%+v is smaller than itself", a)
		}
		if a != b && a.less(b) == b.less(a) {
			t.Fatalf("of %+v and %+v not just one is smaller", a, b)
		}
		if a.less(b) && b.less(c) && !a.less(c) {
			t.Fatalf("%+v < %+v < %+v, and the first is not smaller than the last", a, b, c)
		}
	})
}

// Each kind of cut makes a plan of any scenario smaller, and each simpler value does: what a
// size leaves out could never be cut.
func TestEveryCutIsSmaller(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := scenarios.All()
		p := all[rapid.IntRange(0, len(all)-1).Draw(t, "scenario")].Plan(plan.Seed(rapid.Uint64().Draw(t, "seed")))
		whole := sizeOf(p)
		smaller := func(what string, q *scenarios.Plan) {
			if hash(q) != hash(p) && !sizeOf(q).less(whole) {
				t.Fatalf("%s: %+v is not smaller than %+v", what, sizeOf(q), whole)
			}
		}
		without := func(what string, n int) []int {
			return slices.Delete(numbers(n), 0, min(n, rapid.IntRange(1, 3).Draw(t, what)))
		}
		smaller("nodes", onNodes(p, without("nodes", p.Cluster.Nodes), true))
		smaller("clients", ofClients(p, without("clients", p.Cluster.Clients)))
		smaller("tenants", ofTenants(p, without("tenants", len(p.Cluster.Tenants))))
		smaller("operators", ofOperators(p, without("operators", len(p.Workload.Operators))))
		if faults := faultsOf(p); len(faults) > 0 {
			smaller("faults", withFaults(p, faults[1:]))
		}
		if calls := callsOf(p); len(calls) > 0 {
			smaller("calls", withCalls(p, calls[:len(calls)-1]))
		}
		values := valuesOf(p)
		i := rapid.IntRange(0, len(values)-1).Draw(t, "value")
		q := clone(p)
		values[i].set(q, values[i].simple[0])
		smaller("a value", q)
	})
}

// Whatever is accepted is smaller than what it replaces, in a replica group too: there the
// same nodes with the workload of the beginning once were a candidate for ever.
func TestEveryAcceptedPlanIsSmaller(t *testing.T) {
	for _, name := range []string{"crash-restart", "failover"} {
		p := failing(t, name, withoutSync, 1)[0]
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		s := newSearch(ctx, Options{Decorate: withoutSync, Runs: 3000})
		if err := s.begin(p); err != nil {
			t.Fatal(err)
		}
		last, accepted := s.size, 0
		s.options.Progress = func(Progress) {
			if accepted++; !s.size.less(last) || s.size != sizeOf(s.best) {
				t.Errorf("%s: %+v was replaced by %+v", name, last, s.size)
			}
			last = s.size
		}
		if minimal := s.reduce(); !minimal || accepted == 0 {
			t.Errorf("%s: minimal %v after %d runs, %d accepted", name, minimal, s.runs, accepted)
		}
	}
}

// A candidate that fails and is no smaller changes nothing.
func TestTheSameSizeIsRefused(t *testing.T) {
	p := failing(t, "smoke", withoutSync, 1)[0]
	s := newSearch(context.Background(), Options{Decorate: withoutSync})
	if err := s.begin(p); err != nil {
		t.Fatal(err)
	}
	larger := clone(s.best)
	larger.Workload.Operations++
	for _, q := range []*scenarios.Plan{clone(s.best), larger} {
		if before := s.runs; s.try(q) || s.changes > 0 || s.runs != before {
			t.Errorf("%+v was taken in the place of %+v", sizeOf(q), s.size)
		}
	}
}
