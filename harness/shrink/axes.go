package shrink

import (
	"slices"

	"github.com/tidaldb/tidalsim/harness"
)

// numbers returns 0..n-1.
func numbers(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// minimize finds a minimal part of items; make returns the plans that have just
// that part, of which one that fails is enough.
func minimize[T any](s *Search, items []T, make func(keep []T) []harness.Plan) {
	Minimize(items, func(keep []T) bool { return slices.ContainsFunc(make(keep), s.Try) })
}

// axes cuts members of the suite's axes. Numbers of processes shift when one goes, and with
// them what clients draw, so each cut is tried with the operations as they are and as they
// were in the beginning: fewer entries are worth more operations.
func (s *Search) axes() {
	if s.shape.Groups != nil {
		s.shape.Groups(s)
	}
	for _, whole := range []bool{false, true} {
		for i := range s.shape.Axes {
			a, base := &s.shape.Axes[i], s.best
			minimize(s, numbers(a.count(base)), func(keep []int) []harness.Plan { return s.with(whole, a.Keep(base, keep)) })
		}
	}
}

// with returns the plans, with all operations of the beginning if whole. A candidate that was
// run before costs nothing.
func (s *Search) with(whole bool, plans []harness.Plan) []harness.Plan {
	for _, p := range plans {
		if whole && s.shape.Restore != nil {
			s.shape.Restore(p, s.whole)
		}
	}
	return plans
}

// effort bounds the Steps of the runs that cut operations, in all: operations are not entries,
// and it takes ten thousand runs to find that a hundred of them are all necessary.
const effort = 4_000_000

// operations cuts what clients do: first from the end, by halves, then whatever
// can be left out.
func (s *Search) operations() {
	for s.shape.Halve != nil {
		if q := s.shape.Halve(s.best); q == nil || !s.Try(q) {
			break
		}
	}
	calls, base, began := &s.shape.Calls, s.best, s.taken
	minimize(s, numbers(calls.count(base)), func(keep []int) []harness.Plan {
		if s.onCalls+s.taken-began > effort {
			return nil
		}
		return calls.Keep(base, keep)
	})
	s.onCalls += s.taken - began
}
