// Package shrink makes a failing plan small: the fewest entries, the shortest
// workload and the simplest values with which a run still fails in the same way.
//
// Two failures are the same if their fingerprints are: checker and rule of the
// first finding. Checkers report in an order in which the likely root of the
// others comes first, so the first finding is what the run is about, and a text
// or an instant would change with every cut. The price: a small plan may show
// another mistake of the same rule than the plan it came from.
//
// It refuses to search. No seed is drawn anew and no fault is added: a candidate
// lacks something of the plan, or has a simpler value. What is too small to count
// as a seed, for want of acknowledged operations, is right here: only a finding
// counts.
//
// The one rule to remember: every candidate is run, and only what is smaller and was
// seen to fail replaces what is known to fail.
package shrink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/verdict"
)

// Bounds of one shrinking, unless told otherwise.
const (
	DefaultBudget = 30 * time.Second // of CPU time
	DefaultRuns   = 100_000
)

// Options name the suite of the plans, and say how long to try.
type Options struct {
	Suite  *harness.Suite
	Shape  Shape         // of the suite's plans
	Budget time.Duration // CPU time of this process; 0 means DefaultBudget
	Runs   int           // candidates at most; 0 means DefaultRuns
	Build  string        // of this binary, for the recording
	// Acked is how many operations a candidate acknowledges at least, if the plan does: with
	// none, a run is undecided once its bug is mended.
	Acked int
	// Decorate wraps every machine under test, as harness.Options.Decorate does.
	Decorate func(env.Env) env.Env
	// Progress, if not nil, is called after every accepted candidate.
	Progress func(Progress)
}

// Progress is how far a shrinking is.
type Progress struct {
	Runs, Entries, Operations int
	CPU                       time.Duration
}

// Result is a small plan and what its run showed.
type Result struct {
	Plan        harness.Plan // recorded
	Fingerprint string
	Finding     verdict.Finding // the first one
	Before      int             // entries of the plan as it was recorded; see Shape.Entries
	After       int
	Operations  int // that clients began
	Runs        int
	CPU         time.Duration
	// Minimal: without any one of its entries the plan does not fail so. False if
	// the budget was used up before that was known.
	Minimal bool
	Brief   []string // the run and the finding, in at most 24 lines
}

var (
	// ErrHolds is wrapped by the error for a plan in which nothing fails.
	ErrHolds = errors.New("the plan does not fail")
	// ErrUnstable is wrapped by the error for a plan that fails in another way when
	// it is run again.
	ErrUnstable = errors.New("the plan does not fail in the same way again")
)

// Shrink makes the plan small. Its deviations are listed first, if they are not.
// When ctx ends, what has been reached is the result, as if the budget were used
// up.
func Shrink(ctx context.Context, p harness.Plan, o Options) (*Result, error) {
	s := newSearch(ctx, o)
	if err := s.begin(p); err != nil {
		return nil, err
	}
	before := s.shape.Entries(s.best)
	minimal := s.reduce()
	return s.result(before, minimal)
}

// Search is one shrinking under way.
//
// Invariant: best was run, its first finding has fingerprint want, and each plan that
// replaces it is smaller: see size.
type Search struct {
	ctx     context.Context
	options Options
	shape   *Shape
	runner  harness.Runner
	want    string
	best    harness.Plan
	size    size          // of best
	steps   uint64        // of the run of the plan as it was recorded; see patience
	whole   harness.Plan  // as recorded, before anything was cut
	began   time.Duration // CPU time
	runs    int
	taken   uint64                // Steps of all candidates
	onCalls uint64                // of those that cut operations one by one
	onBold  uint64                // of those with deviations elsewhere
	seen    map[xxh3.Uint128]bool // candidates that were run, and whether they fail
	usual   bool                  // profiles were made the usual ones
	changes int                   // accepted candidates
}

func newSearch(ctx context.Context, o Options) *Search {
	o.Budget, o.Runs = cmp.Or(o.Budget, DefaultBudget), cmp.Or(o.Runs, DefaultRuns)
	return &Search{ctx: ctx, options: o, shape: &o.Shape, runner: o.Suite.NewRunner(), began: cpuTime(), seen: map[xxh3.Uint128]bool{}}
}

// begin runs the plan, lists its deviations, and sees that it fails so again.
func (s *Search) begin(p harness.Plan) error {
	got, err := s.runner.Run(p, harness.Options{Record: true, Decorate: s.options.Decorate})
	if err != nil {
		return err
	}
	if s.runs++; len(got.Findings) == 0 {
		return fmt.Errorf("%w: %s seed %s is %s", ErrHolds, p.Parts().Scenario, p.Parts().World.Seed, got.Verdict)
	}
	s.want, s.steps = got.Fingerprint(), got.Steps
	listed := p.Clone()
	if p.Parts().World.Deviations == nil {
		listed = harness.Record(p, got, "")
	}
	listed.Note("", nil)
	s.runs++
	got, err = s.runner.Run(listed, harness.Options{Decorate: s.options.Decorate})
	if err != nil {
		return err
	}
	if got.Fingerprint() != s.want {
		return fmt.Errorf("%w: it was %s, and with its deviations listed it is %q", ErrUnstable, s.want, got.Fingerprint())
	}
	s.options.Acked = min(s.options.Acked, got.Acked)
	s.best, s.size, s.whole = listed, s.shape.measure(listed), listed.Clone()
	return nil
}

// spent reports whether the budget is used up.
func (s *Search) spent() bool {
	return s.runs >= s.options.Runs || s.ctx.Err() != nil || cpuTime()-s.began >= s.options.Budget
}

// Best is the smallest plan so far that fails as it should. It must not be changed.
func (s *Search) Best() harness.Plan { return s.best }

// Try runs a candidate that is smaller than the best plan and keeps it if it fails as it
// should. One that is not smaller is not looked at, else two plans could replace each
// other for ever.
func (s *Search) Try(p harness.Plan) bool {
	size := s.shape.measure(p)
	if !size.less(s.size) || !s.check(p) {
		return false
	}
	s.best, s.size = p, size
	s.changes++
	if s.options.Progress != nil {
		s.options.Progress(Progress{s.runs, size.entries, size.calls, cpuTime() - s.began})
	}
	return true
}

// check reports whether a candidate fails as it should. One that is no valid plan
// does not, and with the budget used up only what is known does.
func (s *Search) check(p harness.Plan) bool {
	key := hash(p)
	fails, known := s.seen[key]
	if known || s.spent() {
		return fails
	}
	got, err := s.run(p, harness.Options{})
	fails = err == nil && s.isSame(got)
	if err == nil {
		s.seen[key] = fails
	}
	return fails
}

// isSame reports whether a run fails as the plan does, and shows enough beside that.
func (s *Search) isSame(got *harness.Result) bool {
	return got.Fingerprint() == s.want && got.Acked >= s.options.Acked
}

// patience is how many times the Steps of the first run a candidate may take, and leastSteps
// how many it may take if that one was short. After a cut a cluster may wait until the end of
// the run for something that never comes. A bug that has not shown within patience is taken not
// to show.
const (
	patience   = 2
	leastSteps = 20_000
)

// run runs a candidate, for as long as patience lasts.
func (s *Search) run(p harness.Plan, o harness.Options) (*harness.Result, error) {
	o.Decorate, o.Steps = s.options.Decorate, max(patience*s.steps, leastSteps)
	got, err := s.runner.Run(p, o)
	if err == nil {
		s.runs++
		s.taken += got.Steps
	}
	return got, err
}

// reduce cuts until nothing more can be cut, the big cuts first, and reports
// whether it came to that end.
func (s *Search) reduce() (minimal bool) {
	for !s.spent() {
		before := s.changes
		s.entries()
		s.operations()
		s.values()
		if s.changes == before && !s.bold() {
			return !s.spent()
		}
	}
	return false
}

// entries cuts entries until none can be left out.
func (s *Search) entries() {
	for before := -1; s.changes != before; {
		before = s.changes
		s.axes()
		s.wholeFamilies()
		s.faults()
	}
}

// result runs the best plan once more and tells it.
func (s *Search) result(before int, minimal bool) (*Result, error) {
	got, err := s.runner.Run(s.best, harness.Options{Brief: true, Decorate: s.options.Decorate})
	if err != nil {
		return nil, err
	}
	if got.Fingerprint() != s.want {
		return nil, fmt.Errorf("%w: it was %s, and told it is %q", ErrUnstable, s.want, got.Fingerprint())
	}
	r := &Result{
		Plan: harness.Record(s.best, got, s.options.Build), Fingerprint: s.want, Finding: got.Findings[0], Operations: got.Operations,
		Before: before, After: s.shape.Entries(s.best), Runs: s.runs, CPU: cpuTime() - s.began, Minimal: minimal, Brief: got.Brief,
	}
	if r.Brief == nil {
		r.Brief = r.words()
	}
	return r, nil
}
