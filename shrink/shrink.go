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

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/scenarios"
)

// Bounds of one shrinking, unless told otherwise.
const (
	DefaultBudget = 30 * time.Second // of CPU time
	DefaultRuns   = 100_000
)

// Options say how long to try. The zero value is right for every plan.
type Options struct {
	Budget time.Duration // CPU time of this process; 0 means DefaultBudget
	Runs   int           // candidates at most; 0 means DefaultRuns
	Build  string        // of this binary, for the recording
	// Acked is how many operations a candidate acknowledges at least, if the plan does: with
	// none, a run is undecided once its bug is mended.
	Acked int
	// Decorate wraps every node, as scenarios.Options.Decorate does.
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
	Plan        *scenarios.Plan // recorded
	Fingerprint string
	Finding     checker.Finding // the first one
	Before      int             // entries of the plan as it was recorded; see Entries
	After       int
	Operations  int // that clients began
	Runs        int
	CPU         time.Duration
	// Minimal: without any one of its entries the plan does not fail so. False if
	// the budget was used up before that was known.
	Minimal bool
	Story   []scenarios.Told  // the whole run in words; see Brief
	Leads   []scenarios.Leads // who led which shard
	History []Operation       // the operations of the finding
	focus   focus             // what the finding is about
}

// Operation is one operation at fault.
type Operation struct {
	Index            int // in the history
	Session, Request uint64
}

var (
	// ErrHolds is wrapped by the error for a plan in which nothing fails.
	ErrHolds = errors.New("the plan does not fail")
	// ErrUnstable is wrapped by the error for a plan that fails in another way when
	// it is run again.
	ErrUnstable = errors.New("the plan does not fail in the same way again")
)

// Entries counts what a plan can be made smaller by: disruptions, deviations,
// clocks, terms, a storm, operators and their commands, and nodes, clients and tenants beyond one of each.
func Entries(p *scenarios.Plan) int {
	w, c, storm := &p.World, &p.Cluster, 0
	if p.Workload.Storm != nil {
		storm = 1
	}
	return storm + len(p.Workload.Operators) + len(commandsOf(p)) + len(w.Disruptions) + len(w.Deviations) + len(w.Clocks) + len(w.Terms) + len(w.Links) + c.Nodes - 1 + c.Clients - 1 + len(c.Tenants) - 1
}

// Shrink makes the plan small. Its deviations are listed first, if they are not.
// When ctx ends, what has been reached is the result, as if the budget were used
// up.
func Shrink(ctx context.Context, p *scenarios.Plan, o Options) (*Result, error) {
	s := newSearch(ctx, o)
	if err := s.begin(p); err != nil {
		return nil, err
	}
	before := Entries(s.best)
	minimal := s.reduce()
	return s.result(before, minimal)
}

// search is one shrinking under way.
//
// Invariant: best was run, its first finding has fingerprint want, and each plan that
// replaces it is smaller: see size.
type search struct {
	ctx     context.Context
	options Options
	runner  *scenarios.Runner
	want    string
	best    *scenarios.Plan
	size    size            // of best
	steps   uint64          // of the run of the plan as it was recorded; see patience
	whole   *scenarios.Plan // as recorded, before anything was cut
	began   time.Duration   // CPU time
	runs    int
	taken   uint64                // Steps of all candidates
	onCalls uint64                // of those that cut operations one by one
	onBold  uint64                // of those with deviations elsewhere
	seen    map[xxh3.Uint128]bool // candidates that were run, and whether they fail
	usual   bool                  // profiles were made the usual ones
	changes int                   // accepted candidates
}

func newSearch(ctx context.Context, o Options) *search {
	o.Budget, o.Runs = cmp.Or(o.Budget, DefaultBudget), cmp.Or(o.Runs, DefaultRuns)
	return &search{ctx: ctx, options: o, runner: scenarios.NewRunner(), began: cpuTime(), seen: map[xxh3.Uint128]bool{}}
}

// begin runs the plan, lists its deviations, and sees that it fails so again.
func (s *search) begin(p *scenarios.Plan) error {
	got, err := s.runner.Run(p, scenarios.Options{Record: true, Decorate: s.options.Decorate})
	if err != nil {
		return err
	}
	if s.runs++; len(got.Findings) == 0 {
		return fmt.Errorf("%w: %s seed %s is %s", ErrHolds, p.Scenario, p.World.Seed, got.Verdict)
	}
	s.want, s.steps = got.Fingerprint(), got.Steps
	listed := p
	if p.World.Deviations == nil {
		listed = got.Recorded("")
	}
	listed = clone(listed)
	listed.Recorded, listed.Lesson = nil, ""
	s.runs++
	got, err = s.runner.Run(listed, scenarios.Options{Decorate: s.options.Decorate})
	if err != nil {
		return err
	}
	if got.Fingerprint() != s.want {
		return fmt.Errorf("%w: it was %s, and with its deviations listed it is %q", ErrUnstable, s.want, got.Fingerprint())
	}
	s.options.Acked = min(s.options.Acked, got.Acked)
	s.best, s.size, s.whole = listed, sizeOf(listed), clone(listed)
	return nil
}

// spent reports whether the budget is used up.
func (s *search) spent() bool {
	return s.runs >= s.options.Runs || s.ctx.Err() != nil || cpuTime()-s.began >= s.options.Budget
}

// try runs a candidate that is smaller than the best plan and keeps it if it fails as it
// should. One that is not smaller is not looked at, else two plans could replace each
// other for ever.
func (s *search) try(p *scenarios.Plan) bool {
	size := sizeOf(p)
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
func (s *search) check(p *scenarios.Plan) bool {
	key := hash(p)
	fails, known := s.seen[key]
	if known || s.spent() {
		return fails
	}
	got, err := s.run(p, scenarios.Options{})
	fails = err == nil && s.isSame(got)
	if err == nil {
		s.seen[key] = fails
	}
	return fails
}

// isSame reports whether a run fails as the plan does, and shows enough beside that.
func (s *search) isSame(got *scenarios.Result) bool {
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
func (s *search) run(p *scenarios.Plan, o scenarios.Options) (*scenarios.Result, error) {
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
func (s *search) reduce() (minimal bool) {
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
func (s *search) entries() {
	for before := -1; s.changes != before; {
		before = s.changes
		s.topology()
		s.wholeFamilies()
		s.faults()
	}
}

// result runs the best plan once more and tells it.
func (s *search) result(before int, minimal bool) (*Result, error) {
	got, err := s.runner.Run(s.best, scenarios.Options{Story: true, Decorate: s.options.Decorate})
	if err != nil {
		return nil, err
	}
	if got.Fingerprint() != s.want {
		return nil, fmt.Errorf("%w: it was %s, and told it is %q", ErrUnstable, s.want, got.Fingerprint())
	}
	root := got.Findings[0]
	r := &Result{
		Plan: got.Recorded(s.options.Build), Fingerprint: s.want, Finding: root,
		Operations: got.Operations,
		Before:     before, After: Entries(s.best), Runs: s.runs, CPU: cpuTime() - s.began, Minimal: minimal, Story: got.Story, Leads: got.Leads,
		focus: focusOf(&root, got.History.Ops, got.Plan),
	}
	for _, i := range root.Ops {
		if i < len(got.History.Ops) {
			id := got.History.Ops[i].Op
			r.History = append(r.History, Operation{Index: i, Session: uint64(id.Session), Request: uint64(id.Request)})
		}
	}
	return r, nil
}
