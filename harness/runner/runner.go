// Package runner turns one life of a world into a Result: it lets the machines live, asks
// the judges, and makes a finding of a panic of the code under test. It knows neither the
// machines nor the judges.
//
// A suite whose machines need nothing around a run but a world uses Run. One that keeps
// more between runs uses its parts: Guard, Describe and Conclude.
//
// The one rule to remember: a world in which code has panicked is not used again.
package runner

import (
	"fmt"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/verdict"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Life is one life of a world: what lives in it, when it is over, and what judges say.
type Life struct {
	Plan *plan.Plan
	// Config is the world's; Run adds what harness.Options ask for.
	Config sim.Config
	// Role is the kind of a process, as a panic is told; nil: the name of its program.
	Role func(process int) string
	// Done is asked after every Step whether everything has finished.
	Done func() bool
	// Judge looks at a run that was not cut short, and adds to the result what clients were
	// told and the findings. A judge that cannot tell sets the verdict Undecided, and Why.
	Judge func(*harness.Result, sim.Outcome)
	// Rules say when a run without an objection has shown something.
	Rules Rules
}

// Rules are the conditions for a run to count. The zero value asks for nothing.
type Rules struct {
	Acked  int  // operations that are acknowledged, at least
	Faulty bool // something has to go wrong
	// Known: the plan was recorded. It was found by what it showed, may have been made small
	// since, and counts as it is.
	Known bool
}

// Runner runs lives, one at a time, and keeps the world's memory between them. The zero
// value is ready.
type Runner struct{ world sim.World }

// World is the world of the run under way, or of the last one.
func (r *Runner) World() *sim.World { return &r.world }

// Run lets the world live through a life and judges it. An error means that the plan
// cannot be run.
func (r *Runner) Run(l *Life, o harness.Options) (*harness.Result, error) {
	c := l.Config
	c.Record, c.Trace, c.Steps = o.Record, o.Trace, o.Steps
	if err := r.world.Reset(c, l.Plan); err != nil {
		return nil, err
	}
	role := l.Role
	if role == nil {
		role = func(process int) string { return c.Programs[process].Name }
	}
	result := new(harness.Result)
	panicked := Guard(&r.world, role, result, func() {
		outcome := r.world.Run(l.Done)
		Describe(&r.world, l.Plan, result, outcome, o.Record)
		if outcome.Cut {
			result.Verdict, result.Why = verdict.Undecided, harness.WhyCutShort
			return
		}
		if o.Unjudged {
			result.Verdict, result.Why = verdict.Undecided, harness.WhyUnjudged
			return
		}
		l.Judge(result, outcome)
		Conclude(result, l.Rules)
	})
	if panicked {
		Describe(&r.world, l.Plan, result, sim.Outcome{Ended: r.world.Time()}, o.Record)
		r.world = sim.World{}
	}
	return result, nil
}

// Describe fills in the facts that the world has of a run of p.
func Describe(w *sim.World, p *plan.Plan, result *harness.Result, outcome sim.Outcome, record bool) {
	result.Trace, result.Steps = w.Trace().Hash(), w.Steps()
	result.Entries = w.Trace().Entries()
	result.Simulated, result.CalmAt = outcome.Ended, outcome.CalmAt
	result.Fired, result.Deviated = w.Fired(), w.Taken()
	result.Struck = [plan.KindCount]int{}
	for i := range p.Disruptions {
		if _, _, struck := w.Struck(i); struck {
			result.Struck[p.Disruptions[i].Kind]++
		}
	}
	result.Hits = w.Hits()
	if record {
		result.Deviations = w.Deviations()
	}
	if p.Deviations != nil { // a stored plan must not have become stale
		result.Unused = w.Unused()
	}
}

// Conclude gives the verdict of a run whose findings are known, and whose verdict is
// Undecided if a judge could not tell. A run that shows nothing is undecided.
func Conclude(result *harness.Result, rules Rules) {
	undecided := result.Verdict == verdict.Undecided
	result.Verdict = verdict.Held
	switch {
	case len(result.Findings) > 0:
		result.Verdict = verdict.Violated
	case undecided:
		result.Verdict = verdict.Undecided
	case rules.Known:
	case result.Acked < rules.Acked:
		result.Verdict, result.Why = verdict.Undecided, fmt.Sprintf("%d operations were acknowledged, want at least %d", result.Acked, rules.Acked)
	case rules.Faulty && result.Fired+result.Deviated == 0:
		result.Verdict, result.Why = verdict.Undecided, "no fault happened"
	}
}
