// Package replay runs a plan again and says whether it shows the recorded result.
//
// The one rule to remember: a plan that shows nothing any more is never silently green. It
// is mended, a regression that holds, or stale.
package replay

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/harness/verdict"
)

// Outcome is the outcome of a replay.
type Outcome struct {
	Exit       int    // a code of package campaign
	Why        string // what is not as it was recorded, or why the run is undecided
	Recorded   string // the trace that was recorded; "" if none was, or it was not compared
	Reproduced bool   // the run shows what was recorded, or nothing was
	Mended     bool   // what was recorded failed, and does not any more
}

// Run runs a plan twice, as runs of one plan must not differ, and compares the second run
// with the recording. Name is the user's name for the plan.
func Run(s *harness.Suite, p harness.Plan, o harness.Options, name string) (*harness.Result, Outcome, error) {
	runner := s.NewRunner()
	first, err := runner.Run(p, harness.Options{Steps: o.Steps, Decorate: o.Decorate})
	if err != nil {
		return nil, Outcome{}, err
	}
	trace := first.Trace
	got, err := runner.Run(p, o)
	if err != nil {
		return nil, Outcome{}, err
	}
	out := Compare(s.Command, name, p, got)
	if trace != got.Trace {
		out.Differ(trace.String(), got.Trace.String())
	}
	return got, out, nil
}

// Differ notes that two runs of the plan had different traces.
func (o *Outcome) Differ(first, second string) {
	o.Exit, o.Why = campaign.ExitNondeterminism, fmt.Sprintf("two runs have different traces: %s and %s", first, second)
}

// Compare compares the result of a plan with its recording. Command is how this program was called,
// and name the user's name for the plan.
func Compare(command, name string, p harness.Plan, got *harness.Result) Outcome {
	o := Outcome{Why: got.Why, Reproduced: true}
	switch got.Verdict {
	case verdict.Violated:
		o.Exit = campaign.ExitViolated
	case verdict.Undecided:
		o.Exit = campaign.ExitUndecided
	}
	if p.Parts().Recorded != nil && got.Why != harness.WhyCutShort {
		o.compare(command, name, p, got)
	}
	return o
}

// compare says whether a run shows the recorded result of its plan.
func (o *Outcome) compare(command, name string, p harness.Plan, got *harness.Result) {
	parts := p.Parts()
	rec := parts.Recorded
	o.Recorded = rec.Trace
	shown := slices.ContainsFunc(got.Findings, func(f verdict.Finding) bool { return f.Fingerprint() == rec.Fingerprint })
	if rec.Fingerprint == "" && got.Verdict == verdict.Held || rec.Fingerprint != "" && shown {
		if got.Trace.String() != rec.Trace && rec.Build == artifacts.Build() {
			o.Exit, o.Reproduced = campaign.ExitNondeterminism, false
			o.Why = "this very binary recorded another trace: something else than the plan decides"
		}
		return
	}
	o.Reproduced = false
	o.Mended = IsMended(p, got)
	switch {
	case parts.Lesson != "" && o.Mended && got.Verdict == verdict.Held:
		o.Why = fmt.Sprintf("a committed regression: it once showed %q, and holds; what it taught: %s", rec.Fingerprint, parts.Lesson)
		return
	case o.Mended && parts.Lesson == "" && rec.Build != artifacts.Build():
		o.Why = fmt.Sprintf(`it no longer fails: %q was recorded, by another binary, and this one does not show it. If that is the fix, keep the plan: %s shrink %s --keep NAME --lesson "WHAT IT TAUGHT" puts it among the regressions`,
			rec.Fingerprint, command, name)
	case got.Verdict != verdict.Violated && rec.Fingerprint != "" && !hasMoment(p, got):
		o.Why = fmt.Sprintf("the plan is stale: recorded was %q, and now none of its disruptions begins, since what they wait for does not come; shrink a failing seed again", rec.Fingerprint)
	default:
		o.Why = fmt.Sprintf("recorded was %q, and now the run is %s; the code has changed since, or the plan is stale", rec.Fingerprint, got.Verdict)
	}
	if o.Exit != campaign.ExitViolated || rec.Fingerprint != "" {
		o.Exit = campaign.ExitNotReproduced
	}
}

// IsMended reports whether a plan that failed when it was recorded does not any more, though
// what it does to the machines still happens.
func IsMended(p harness.Plan, got *harness.Result) bool {
	rec := p.Parts().Recorded
	return rec != nil && rec.Fingerprint != "" && got.Verdict != verdict.Violated && got.Why != harness.WhyCutShort && hasMoment(p, got)
}

// hasMoment reports whether any of the plan's disruptions began, if it has some.
func hasMoment(p harness.Plan, got *harness.Result) bool {
	return got.Fired > 0 || len(p.Parts().World.Disruptions) == 0
}
