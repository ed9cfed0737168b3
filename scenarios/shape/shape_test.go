package shape

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Every cut of a valid plan is valid.
func TestCutsAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := scenarios.All()
		p := all[rapid.IntRange(0, len(all)-1).Draw(t, "scenario")].Plan(plan.Seed(rapid.Uint64().Draw(t, "seed")))
		keep := func(what string, n int) []int {
			return slices.DeleteFunc(numbers(n), func(i int) bool { return i > 0 && !rapid.Bool().Draw(t, what) })
		}
		whole := len(p.Cluster.Tenants)
		p = onNodes(p, keep("node", p.Cluster.Nodes), true)
		if len(p.Cluster.Tenants) != whole {
			t.Fatalf("%d tenants moved, %d arrived", whole, len(p.Cluster.Tenants))
		}
		valid(t, "nodes", p)
		p = ofClients(p, keep("client", p.Cluster.Clients))
		valid(t, "clients", p)
		p = ofTenants(p, keep("tenant", len(p.Cluster.Tenants)))
		valid(t, "tenants", p)
		p = ofOperators(p, keep("operator", len(p.Workload.Operators)))
		valid(t, "operators", p)
		p = withCommands(p, slices.DeleteFunc(keep("command", len(commandsOf(p))), func(i int) bool { return i >= len(commandsOf(p)) }))
		valid(t, "commands", p)
		var calls []scenarios.Begun
		for _, c := range p.Calls() {
			if chosen := (c.Client+1)*7919 + c.Number*104729; chosen%3 == 0 {
				calls = append(calls, c)
			}
		}
		p = withCalls(p, calls)
		valid(t, "operations", p)
		if got := p.Calls(); !slices.Equal(got, calls) {
			t.Fatalf("operations %v are left, want %v", got, calls)
		}
	})
}

func valid(t *rapid.T, what string, p *scenarios.Plan) {
	if err := p.Validate(); err != nil {
		t.Fatalf("%s cut: %v", what, err)
	}
}

// Each kind of cut makes a plan of any scenario smaller, and each simpler value does: a part that
// the size does not count could never be cut.
func TestEveryCutIsSmaller(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := scenarios.All()
		p := all[rapid.IntRange(0, len(all)-1).Draw(t, "scenario")].Plan(plan.Seed(rapid.Uint64().Draw(t, "seed")))
		shape := Shape()
		smaller := func(what string, q *scenarios.Plan) {
			if !bytes.Equal(q.Encode(), p.Encode()) && !shape.IsSmaller(q, p) {
				t.Fatalf("%s: %+v is not smaller than %+v", what, sizeOf(q), sizeOf(p))
			}
		}
		without := func(what string, n int) []int {
			return slices.Delete(numbers(n), 0, min(n, rapid.IntRange(1, 3).Draw(t, what)))
		}
		smaller("nodes", onNodes(p, without("nodes", p.Cluster.Nodes), true))
		smaller("clients", ofClients(p, without("clients", p.Cluster.Clients)))
		smaller("tenants", ofTenants(p, without("tenants", len(p.Cluster.Tenants))))
		smaller("operators", ofOperators(p, without("operators", len(p.Workload.Operators))))
		if commands := commandsOf(p); len(commands) > 0 {
			smaller("commands", withCommands(p, numbers(len(commands)-1)))
		}
		if calls := p.Calls(); len(calls) > 0 {
			smaller("calls", withCalls(p, calls[:len(calls)-1]))
		}
		values := valuesOf(p)
		i := rapid.IntRange(0, len(values)-1).Draw(t, "value")
		q := p.Copy()
		values[i].Set(q, values[i].Simple[0])
		smaller("a value", q)
	})
}
