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
