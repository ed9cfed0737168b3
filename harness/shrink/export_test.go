package shrink

import (
	"context"

	"github.com/tidaldb/tidalsim/harness"
)

// What tests with plans of the counter, which imports this package, want to see of it.

const LeastSteps = leastSteps

var Hash = hash

// NewSearch is a search that has not begun.
func NewSearch(ctx context.Context, o Options) *Search { return newSearch(ctx, o) }

func (s *Search) Begin(p harness.Plan) error { return s.begin(p) }
func (s *Search) Reduce() bool               { return s.reduce() }
func (s *Search) Runs() int                  { return s.runs }
func (s *Search) Changes() int               { return s.changes }

// OnProgress is called after every accepted candidate.
func (s *Search) OnProgress(f func()) { s.options.Progress = func(Progress) { f() } }

// SmallerThan returns what a bold search tries of a plan.
func SmallerThan(shape *Shape, p harness.Plan) []harness.Plan {
	s := &Search{shape: shape, best: p, whole: p}
	return s.smaller()
}

// RunFor runs a candidate as one of a plan that took so many Steps.
func (s *Search) RunFor(p harness.Plan, steps uint64) (*harness.Result, error) {
	s.steps = steps
	return s.run(p, harness.Options{})
}
