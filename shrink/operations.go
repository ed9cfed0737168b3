package shrink

import (
	"github.com/tidaldb/tidalsim/scenarios"
)

// call is one operation of one client, both counted from 0.
type call struct{ client, number int }

// ordinary is the number of clients that are neither part of a storm nor loyal.
func ordinary(p *scenarios.Plan) int {
	if p.Workload.Storm != nil {
		return p.Cluster.Clients - p.Workload.Storm.Clients
	}
	if p.Workload.Loyal != nil {
		return p.Cluster.Clients - p.Workload.Loyal.Clients
	}
	return p.Cluster.Clients
}

// callsOf lists the operations that are not left out, client by client, without
// the signals of a storm.
func callsOf(p *scenarios.Plan) (all []call) {
	clients, operations := ordinary(p), p.Workload.Operations
	skipped := make([]bool, clients*operations)
	for _, k := range p.Workload.Skip {
		for number := k.From; number < min(k.To, operations) && k.Client < clients; number++ {
			skipped[k.Client*operations+number] = true
		}
	}
	for i, skip := range skipped {
		if !skip {
			all = append(all, call{i / operations, i % operations})
		}
	}
	return all
}

// withCalls returns the plan with only the operations that are kept: what is
// behind the last one is cut off, what is between them is left out.
func withCalls(p *scenarios.Plan, keep []call) *scenarios.Plan {
	q := clone(p)
	w := &q.Workload
	w.Operations, w.Skip = 0, nil
	for _, c := range keep {
		w.Operations = max(w.Operations, c.number+1)
	}
	for client := range ordinary(p) {
		from := 0
		for _, c := range keep {
			if c.client != client {
				continue
			}
			if c.number > from {
				w.Skip = append(w.Skip, scenarios.Skip{Client: client, From: from, To: c.number})
			}
			from = c.number + 1
		}
		if from < w.Operations {
			w.Skip = append(w.Skip, scenarios.Skip{Client: client, From: from, To: w.Operations})
		}
	}
	return q
}

// effort bounds the Steps of the runs that cut operations, in all: operations are not entries,
// and it takes ten thousand runs to find that a hundred of them are all necessary.
const effort = 4_000_000

// operations cuts what clients do: first from the end, by halves, then whatever
// can be left out.
func (s *search) operations() {
	for s.best.Workload.Operations > 1 {
		q := clone(s.best)
		q.Workload.Operations /= 2
		q.Workload.Skip = before(q.Workload.Skip, q.Workload.Operations)
		if !s.try(q) {
			break
		}
	}
	base, began := s.best, s.taken
	minimize(s, callsOf(base), func(keep []call) []*scenarios.Plan {
		if s.onCalls+s.taken-began > effort {
			return nil
		}
		return []*scenarios.Plan{withCalls(base, keep)}
	})
	s.onCalls += s.taken - began
}

// before cuts off what is skipped from operation n on.
func before(skip []scenarios.Skip, n int) (kept []scenarios.Skip) {
	for _, k := range skip {
		if k.To = min(k.To, n); k.From < k.To {
			kept = append(kept, k)
		}
	}
	return kept
}
