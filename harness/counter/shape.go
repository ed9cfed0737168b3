package counter

import (
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/shrink"
)

// Shape says how a plan becomes smaller: it can do without replicas beyond the leader, without
// clients beyond one, and with fewer requests.
func Shape() shrink.Shape {
	return shrink.Shape{
		Axes: []shrink.Axis{
			{Bold: true, Count: func(p harness.Plan) int { return body(p).Replicas }, Keep: keeping(onReplicas)},
			{Bold: true, Count: func(p harness.Plan) int { return body(p).Clients }, Keep: keeping(ofClients)},
		},
		Calls: shrink.Axis{
			Count: func(p harness.Plan) int { return body(p).Requests },
			Keep:  keeping(func(q *Plan, keep []int) { q.Body.Requests = len(keep) }),
		},
		Restore: func(p, whole harness.Plan) { body(p).Requests = body(whole).Requests },
		Size: func(p harness.Plan) shrink.Size {
			b := body(p)
			return shrink.Size{Entries: b.Replicas - 1 + b.Clients - 1, Calls: b.Clients * b.Requests, Last: b.Requests}
		},
	}
}

func body(p harness.Plan) *Body { return &p.(*Plan).Body }

// keeping is Keep of an axis: it changes a copy of the plan.
func keeping(change func(q *Plan, keep []int)) func(harness.Plan, []int) []harness.Plan {
	return func(p harness.Plan, keep []int) []harness.Plan {
		q := p.Clone().(*Plan)
		change(q, keep)
		return []harness.Plan{q}
	}
}

// onReplicas leaves out the replicas that are not kept.
func onReplicas(q *Plan, keep []int) {
	processes := append([]int{}, keep...)
	for i := range q.Body.Clients {
		processes = append(processes, q.Body.Replicas+i)
	}
	shrink.Renumber(&q.World, processes)
	q.Body.Replicas = len(keep)
}

// ofClients leaves out the clients that are not kept.
func ofClients(q *Plan, keep []int) {
	var processes []int
	for i := range q.Body.Replicas {
		processes = append(processes, i)
	}
	for _, i := range keep {
		processes = append(processes, q.Body.Replicas+i)
	}
	shrink.Renumber(&q.World, processes)
	q.Body.Clients = len(keep)
}
