// Package shape says how the plans of the tenants' scenarios become smaller: which nodes,
// clients, tenants, operators, commands and operations they can do without, and which of
// their numbers have simpler values. Package shrink of the harness tries the cuts.
//
// The one rule to remember: every cut of a valid plan is a valid plan.
package shape

import (
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/shrink"
	"github.com/tidaldb/tidalsim/scenarios"
)

// Shape returns the shape of the plans.
func Shape() shrink.Shape {
	return shrink.Shape{
		Groups: groups,
		Axes: []shrink.Axis{
			{Count: func(p harness.Plan) int { return of(p).Cluster.Nodes }, Bold: true, Keep: func(p harness.Plan, keep []int) []harness.Plan {
				return []harness.Plan{onNodes(of(p), keep, true), onNodes(of(p), keep, false)}
			}},
			{Count: func(p harness.Plan) int { return of(p).Cluster.Clients }, Bold: true, Keep: single(ofClients)},
			{Count: func(p harness.Plan) int { return len(of(p).Cluster.Tenants) }, Bold: true, Keep: single(ofTenants)},
			{Count: func(p harness.Plan) int { return len(of(p).Workload.Operators) }, Keep: single(ofOperators)},
		},
		Whole:   []func(harness.Plan) harness.Plan{withoutStorm},
		Faults:  shrink.Axis{Count: func(p harness.Plan) int { return len(commandsOf(of(p))) }, Keep: single(withCommands)},
		Calls:   shrink.Axis{Count: func(p harness.Plan) int { return len(of(p).Calls()) }, Keep: single(withCallsAt)},
		Halve:   func(p harness.Plan) harness.Plan { return orNil(halve(of(p))) },
		Restore: restore,
		Usual:   []func(harness.Plan){func(p harness.Plan) { of(p).Cluster.Constants = replica.DefaultConstants }},
		Values:  func(p harness.Plan) []shrink.Value { return valuesOf(of(p)) },
		Size:    func(p harness.Plan) shrink.Size { return sizeOf(of(p)) },
	}
}

// of returns the plan as a plan of the tenants' scenarios.
func of(p harness.Plan) *scenarios.Plan { return p.(*scenarios.Plan) }

// orNil turns a missing plan into one that is nil to the harness too.
func orNil(p *scenarios.Plan) harness.Plan {
	if p == nil {
		return nil
	}
	return p
}

// single is Keep of an axis with one way to keep members.
func single(keep func(*scenarios.Plan, []int) *scenarios.Plan) func(harness.Plan, []int) []harness.Plan {
	return func(p harness.Plan, members []int) []harness.Plan { return []harness.Plan{keep(of(p), members)} }
}

// withoutStorm returns the plan without its storm, nil if it has none.
func withoutStorm(p harness.Plan) harness.Plan {
	if of(p).Workload.Storm == nil {
		return nil
	}
	calm := of(p).Copy()
	calm.Workload.Storm = nil
	return calm
}

// restore gives a plan the operations of the whole one, as far as it has the clients.
func restore(p, whole harness.Plan) {
	q := of(p)
	w := of(whole).Copy().Workload
	w.Skip = within(w.Skip, q.Cluster.Clients)
	w.Storm, w.Loyal, w.Operators = q.Workload.Storm, q.Workload.Loyal, q.Workload.Operators
	q.Workload = w
}

// sizeOf measures a plan without its world. Entries are a storm, operators and their commands,
// and nodes, clients and tenants beyond one of each.
func sizeOf(p *scenarios.Plan) shrink.Size {
	c, storm := &p.Cluster, 0
	if p.Workload.Storm != nil {
		storm = 1
	}
	return shrink.Size{
		Entries: storm + len(p.Workload.Operators) + len(commandsOf(p)) + c.Nodes - 1 + c.Clients - 1 + len(c.Tenants) - 1,
		Parts:   parts(p), Calls: begun(p), Last: p.Workload.Operations,
	}
}

// parts counts the parts of shards and tenants.
func parts(p *scenarios.Plan) (n int) {
	for i := range p.Cluster.Tenants {
		n += max(1, p.Cluster.Tenants[i].Slots)
	}
	n += len(p.Cluster.Meta)
	for i := range p.Cluster.Shards {
		n += 1 + len(p.Cluster.Shards[i].Replicas)
	}
	return n
}
