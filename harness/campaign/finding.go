package campaign

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/verdict"
	"github.com/tidaldb/tidalsim/sim/plan"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// Finding is one seed in which a checker objects.
type Finding struct {
	Type        string    `json:"type"` // "finding"
	Scenario    string    `json:"scenario"`
	Seed        plan.Seed `json:"seed"`
	Regression  string    `json:"regression,omitempty"`
	Checker     string    `json:"checker"`
	Checkers    []string  `json:"checkers"` // all that object
	Fingerprint string    `json:"fingerprint"`
	Text        string    `json:"text"`
	Step        uint64    `json:"step"`
	At          int64     `json:"at_ns"` // virtual
	LastFault   string    `json:"last_fault,omitempty"`
	More        int       `json:"more"`           // other findings of the run
	Plan        string    `json:"plan,omitempty"` // path
	Page        string    `json:"page,omitempty"` // path of its picture

	Replay string       `json:"replay"` // what to run, without the program's name
	Result harness.Plan `json:"-"`      // the plan with its deviations listed; nil if it held when it ran again
}

// investigate runs a violated plan once more, keeping the evidence that the first run had no
// time for.
func (w *worker) investigate(j *job, p harness.Plan, first *harness.Result) *Finding {
	f := &Finding{
		Type: "finding", Scenario: j.scenario, Seed: j.seed, Regression: j.regression,
		Fingerprint: first.Fingerprint(), More: len(first.Findings) - 1,
	}
	root := first.Findings[0]
	f.Checker, f.Text, f.At = root.Checker, root.Text, root.At
	for i := range first.Findings {
		if name := first.Findings[i].Checker; !slices.Contains(f.Checkers, name) {
			f.Checkers = append(f.Checkers, name)
		}
	}
	f.Replay = "replay " + j.name()
	got, err := w.runner.Run(p, harness.Options{Record: true, Trace: true, Decorate: w.campaign.options.Decorate})
	if err != nil || len(got.Findings) == 0 {
		return f
	}
	f.place(p, got)
	f.Result = harness.Record(p, got, artifacts.Build())
	return f
}

// again is the command that repeats a run with a plan changed by --set or --without: its seed alone
// stands for another plan.
func (f *Finding) again(set, without []string) string {
	if f.Plan != "" {
		return "replay " + f.Plan
	}
	text := fmt.Sprintf("run %s --seed %s --regressions= --out=", f.Scenario, f.Seed)
	for _, s := range set {
		text += " --set '" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	for _, family := range without {
		text += " --without " + family
	}
	return text
}

// place finds the step and the last fault before the finding.
func (f *Finding) place(p harness.Plan, got *harness.Result) {
	until := f.At
	if f.atTheEnd() {
		until = got.Simulated
	}
	for _, e := range got.Entries {
		if e.At > until {
			break
		}
		switch {
		case e.What == trace.Step:
			f.Step++
		case e.What == trace.Disrupt && e.Args[1] == 1:
			f.LastFault = fmt.Sprintf("%s, at %s", p.Parts().World.Disruptions[e.Args[0]], verdict.Instant(e.At))
		}
	}
}

// atTheEnd reports whether the finding was made when the run had ended, and so has no instant.
// A panic always has one, which may be 0.
func (f *Finding) atTheEnd() bool { return f.At == 0 && f.Checker != verdict.Panic }

// maxText bounds a line of a report, in bytes.
const maxText = 600

// Lines tells the finding in at most twelve lines; the last one, alone, repeats
// the run. program is how this program was called.
func (f *Finding) Lines(program string) []string {
	name := "seed " + f.Seed.String()
	if f.Regression != "" {
		name = "regression " + f.Regression
	}
	lines := []string{fmt.Sprintf("FAIL %s %s: %s objects (%s)", f.Scenario, name, f.Checker, f.Fingerprint)}
	where := fmt.Sprintf("  step %d, virtual time %s", f.Step, verdict.Instant(f.At))
	if f.atTheEnd() {
		where = fmt.Sprintf("  found when the run had ended, after %d steps", f.Step)
	}
	lines = append(lines, where)
	text := strings.Split(strings.TrimSpace(f.Text), "\n")
	for i, line := range text {
		if i == 4 {
			lines = append(lines, fmt.Sprintf("  ... and %d more lines", len(text)-i))
			break
		}
		lines = append(lines, "  "+line[:min(len(line), maxText)])
	}
	if f.LastFault != "" {
		lines = append(lines, "  last fault: "+f.LastFault)
	}
	if f.More > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more findings in this run", f.More))
	}
	if f.Plan != "" {
		lines = append(lines, "  plan: "+f.Plan)
	}
	if f.Page != "" {
		lines = append(lines, "  picture: "+f.Page)
	}
	return append(lines, program+" "+f.Replay)
}
