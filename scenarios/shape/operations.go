package shape

import (
	"github.com/tidaldb/tidalsim/scenarios"
)

// withCalls returns the plan with only the operations that are kept: those behind the last one are
// cut off, those between them are left out.
func withCalls(p *scenarios.Plan, keep []scenarios.Begun) *scenarios.Plan {
	q := p.Copy()
	w := &q.Workload
	w.Operations, w.Skip = 0, nil
	for _, c := range keep {
		w.Operations = max(w.Operations, c.Number+1)
	}
	for client := range p.Ordinary() {
		from := 0
		for _, c := range keep {
			if c.Client != client {
				continue
			}
			if c.Number > from {
				w.Skip = append(w.Skip, scenarios.Skip{Client: client, From: from, To: c.Number})
			}
			from = c.Number + 1
		}
		if from < w.Operations {
			w.Skip = append(w.Skip, scenarios.Skip{Client: client, From: from, To: w.Operations})
		}
	}
	return q
}

// withCallsAt returns the plan with only the operations that are kept, by their places in
// Plan.Calls.
func withCallsAt(p *scenarios.Plan, keep []int) *scenarios.Plan {
	all, kept := p.Calls(), make([]scenarios.Begun, 0, len(keep))
	for _, i := range keep {
		kept = append(kept, all[i])
	}
	return withCalls(p, kept)
}

// halve returns the plan without the second half of each client's calls, nil if each makes one call
// at most.
func halve(p *scenarios.Plan) *scenarios.Plan {
	if p.Workload.Operations <= 1 {
		return nil
	}
	q := p.Copy()
	q.Workload.Operations /= 2
	q.Workload.Skip = before(q.Workload.Skip, q.Workload.Operations)
	return q
}

// before keeps the skipped operations of a list that come before operation n.
func before(skip []scenarios.Skip, n int) (kept []scenarios.Skip) {
	for _, k := range skip {
		if k.To = min(k.To, n); k.From < k.To {
			kept = append(kept, k)
		}
	}
	return kept
}

// begun counts the operations of ordinary clients that are not left out, and the reads of
// loyal ones.
func begun(p *scenarios.Plan) int {
	n := len(p.Calls())
	if l := p.Workload.Loyal; l != nil {
		n += l.Clients * l.Reads
	}
	return n
}
