// Package harness runs anybody's state machines through drawn plans. It holds the seam
// between the machinery, which is in the packages below it, and a suite of scenarios:
//
//	runner    lets a world live through one plan and returns the result
//	campaign  runs many seeds, with workers, regressions and exit codes
//	artifacts keeps the results of a campaign on disk
//	replay    runs a plan again and compares it with the recording
//	shrink    makes a failing plan small
//	selftest  plants mistakes in the source and expects a judge to object
//	draw      makes the properties of a plan from a seed
//
// One way through it: a Suite draws a Plan from a scenario and a seed; its Runner lets
// machines live in a world through the plan, has them judged, and returns a Result.
// The machines, the form of their plans and the judges are the suite's own.
//
// The one rule to remember: no package of the harness knows any suite. It imports
// nothing of core but core/env, the seam of the machines.
package harness

import (
	"bufio"
	"io"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness/verdict"
	"github.com/tidaldb/tidalsim/sim/plan"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// Suite is a set of scenarios for one kind of machines: all that the harness has to
// know of them. Its functions are called from several goroutines at once.
type Suite struct {
	// Command is the program's name, as reports tell how a run is repeated.
	Command string
	// Scenarios names all scenarios, in the order in which they are listed.
	Scenarios []string
	// Draw returns the plan of a seed of one of the scenarios. Equal arguments give
	// equal plans.
	Draw func(scenario string, seed plan.Seed) Plan
	// Decode reads what Plan.Encode wrote. Its errors wrap ErrPlanFile, ErrPlanVersion or
	// plan.ErrInvalid.
	Decode func(data []byte) (Plan, error)
	// NewRunner returns a runner. Runners share nothing: each worker has its own.
	NewRunner func() Runner
	// Points names the fault points of the machines, indexed by env.Point.
	Points []string
	// Rows names the cases that are not promised to be survived; see Veto. None is right for
	// machines that veto no fault.
	Rows []Row
	// Picture draws the run of a plan as one HTML file; nil: there is no picture. Name is the
	// plan's, replay the command line that repeats the run, build names the binary.
	Picture func(p Plan, name, replay, build string) (func(*bufio.Writer) error, error)
}

// Runner runs plans, one at a time.
type Runner interface {
	// Run lets a world live through the plan and judges it. The Result is valid until the
	// next call. An error means that the plan cannot be run; everything that goes wrong
	// in the run is a finding.
	Run(Plan, Options) (*Result, error)
}

// Options say how to run a plan. The zero value is right for every plan.
type Options struct {
	Porcupine bool // a judge that can search longer does, whatever it costs
	Record    bool // keep the deviations, so that the plan can be written out
	Trace     bool // keep the trace's entries
	Brief     bool // tell the run in a few lines
	Unjudged  bool // end without judging the run: to measure the machines and the world alone
	// Steps ends the run after so many Steps, without judging it; 0 is never.
	Steps uint64
	// Decorate, if not nil, wraps the environment of every machine under test: for planted
	// mistakes that are made at the seam.
	Decorate func(env.Env) env.Env
}

// WhyCutShort is why a run that was ended before its end is undecided.
const WhyCutShort = "the run was stopped before its end"

// WhyUnjudged is why a run with Options.Unjudged is undecided.
const WhyUnjudged = "no judge was asked"

// Result is the result of a run.
type Result struct {
	Verdict  verdict.Verdict
	Why      string // undecided: why
	Findings []verdict.Finding

	Trace     trace.Hash
	Entries   []trace.Entry // with Options.Trace
	Steps     uint64
	Simulated int64 // virtual ns
	CalmAt    int64 // when the calm part began, virtual ns

	Operations int // that clients began
	Acked      int
	Refused    int
	Unknown    int

	Fired      int                 // disruptions that began
	Vetoes     []Veto              // disruptions that came to nothing because of the budget of faults
	Struck     [plan.KindCount]int // disruptions that began, by kind
	Deviated   int                 // deviations that happened
	Unused     []string            // of a plan that lists its deviations: entries that had no effect
	Hits       []uint64            // of fault points
	Deviations []plan.Deviation    // with Options.Record

	// What clients felt, of machines that have leaders and answer reads.
	Pauses     []Pause // of changes, while leaders were replaced
	Queries    []int64 // how long each read took that was answered, ns
	Unanswered int     // reads that were refused or given up
	Unjudged   int     // times in which changes stopped that no judge of availability looks at

	// WriteHistory writes what clients asked and were told, as lines of JSON; nil if nothing
	// is kept of it.
	WriteHistory func(io.Writer) error
	Brief        []string // with Options.Brief: the run and its first finding, in at most 24 lines
}

// Fingerprint is that of the first finding, empty if there is none.
func (r *Result) Fingerprint() string {
	if len(r.Findings) == 0 {
		return ""
	}
	return r.Findings[0].Fingerprint()
}

// Pause is a time in which changes were not acknowledged, ns.
type Pause struct {
	From, To int64
	Single   bool // one node only was hurt
}

// Row is a case without a promise to survive it: a row of a failure model. A fault that
// would bring it about is vetoed.
type Row string

// Veto is a disruption of a plan that came to nothing because of the budget of faults.
type Veto struct {
	Kind plan.Kind
	Row  Row
}
