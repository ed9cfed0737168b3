package scenarios

import (
	"fmt"

	"github.com/tidaldb/tidalsim/sim/plan"
)

// Skip stands for the operations From..To-1 of one client, which are left out; the
// others stay as they are, and when they are. Operations are counted from 0, and
// so are clients, the nodes left aside. Signals of a storm cannot be left out.
type Skip struct {
	Client int `json:"client"`
	From   int `json:"from"`
	To     int `json:"to"`
}

// Skips reports whether an operation of a client is left out.
func (w *Workload) Skips(client, operation int) bool {
	for _, k := range w.Skip {
		if k.Client == client && k.From <= operation && operation < k.To {
			return true
		}
	}
	return false
}

func (p *Plan) validateSkip() error {
	for i, k := range p.Workload.Skip {
		if k.Client < 0 || k.Client >= p.Cluster.Clients || k.From < 0 || k.From >= k.To || k.To > maxOperations {
			return fmt.Errorf("%w: workload.skip[%d] is %+v, want a client 0..%d and from < to", plan.ErrInvalid, i, k, p.Cluster.Clients-1)
		}
	}
	return nil
}

// Begun is one operation of one client, both counted from 0.
type Begun struct{ Client, Number int }

// Ordinary is the number of clients that are neither part of a storm nor loyal.
func (p *Plan) Ordinary() int {
	if p.Workload.Storm != nil {
		return p.Cluster.Clients - p.Workload.Storm.Clients
	}
	if p.Workload.Loyal != nil {
		return p.Cluster.Clients - p.Workload.Loyal.Clients
	}
	return p.Cluster.Clients
}

// Calls lists the operations that are not left out, client by client, without
// the signals of a storm.
func (p *Plan) Calls() (all []Begun) {
	clients, operations := p.Ordinary(), p.Workload.Operations
	skipped := make([]bool, clients*operations)
	for _, k := range p.Workload.Skip {
		for number := k.From; number < min(k.To, operations) && k.Client < clients; number++ {
			skipped[k.Client*operations+number] = true
		}
	}
	for i, skip := range skipped {
		if !skip {
			all = append(all, Begun{i / operations, i % operations})
		}
	}
	return all
}
