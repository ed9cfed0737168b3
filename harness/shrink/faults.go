package shrink

import (
	"slices"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// fault is the place of one entry that no axis but Shape.Faults has.
type fault struct {
	list  list
	index int
}

// list is one of a plan's lists of entries.
type list uint8

const (
	disruptions list = iota
	clocks
	terms
	links
	own // of the suite
	deviations
)

// faults lists the entries of a plan that are faults.
func (s *Shape) faults(p harness.Plan) (all []fault) {
	w := p.Parts().World
	for l, n := range []int{len(w.Disruptions), len(w.Clocks), len(w.Terms), len(w.Links), s.Faults.count(p), len(w.Deviations)} {
		for i := range n {
			all = append(all, fault{list(l), i})
		}
	}
	return all
}

// withFaults returns the plan with only the faults that are kept.
func (s *Shape) withFaults(p harness.Plan, keep []fault) harness.Plan {
	q, from := s.withOwn(p, keep), p.Parts().World
	w := q.Parts().World
	w.Disruptions, w.Clocks, w.Terms, w.Links, w.Deviations = []plan.Disruption{}, nil, nil, nil, []plan.Deviation{}
	for _, f := range keep {
		switch f.list {
		case disruptions:
			w.Disruptions = append(w.Disruptions, from.Disruptions[f.index])
		case clocks:
			w.Clocks = append(w.Clocks, from.Clocks[f.index])
		case terms:
			w.Terms = append(w.Terms, from.Terms[f.index])
		case links:
			w.Links = append(w.Links, from.Links[f.index])
		case deviations:
			w.Deviations = append(w.Deviations, from.Deviations[f.index])
		}
	}
	return q
}

// withOwn returns the plan with only those faults of the suite's own that are kept.
func (s *Shape) withOwn(p harness.Plan, keep []fault) harness.Plan {
	if s.Faults.Keep == nil {
		return p.Clone()
	}
	var kept []int
	for _, f := range keep {
		if f.list == own {
			kept = append(kept, f.index)
		}
	}
	return s.Faults.Keep(p, kept)[0]
}

// family tells which faults are cut together first: those of one list, and
// deviations of one site.
func (f fault) family(w *plan.Plan) int {
	if f.list == deviations {
		return int(deviations) + int(w.Deviations[f.index].Site)
	}
	return int(f.list)
}

// wholeFamilies cuts what the suite has whole, and whole families of faults.
func (s *Search) wholeFamilies() {
	for _, without := range s.shape.Whole {
		if p := without(s.best); p != nil {
			s.Try(p)
		}
	}
	for family := range int(deviations) + int(chance.Deviations) {
		base := s.best
		all := s.shape.faults(base)
		rest := slices.DeleteFunc(slices.Clone(all), func(f fault) bool { return f.family(base.Parts().World) == family })
		if len(rest) < len(all) {
			s.Try(s.shape.withFaults(base, rest))
		}
	}
}

// faults cuts single faults.
func (s *Search) faults() {
	base := s.best
	minimize(s, s.shape.faults(base), func(keep []fault) []harness.Plan {
		return []harness.Plan{s.shape.withFaults(base, keep)}
	})
}
