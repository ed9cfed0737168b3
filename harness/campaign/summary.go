package campaign

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/verdict"
	"github.com/tidaldb/tidalsim/sim/plan"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// Schema is the version of everything that is printed or stored as JSON.
const Schema = 1

// Summary is the result of a campaign. Its JSON is part of the command's contract.
type Summary struct {
	Schema     int       `json:"schema"`
	Type       string    `json:"type"` // "summary"
	Scenarios  []PerName `json:"scenarios"`
	Seeds      int       `json:"seeds"`
	Held       int       `json:"held"`
	Violated   int       `json:"violated"`
	Undecided  int       `json:"undecided"`
	Events     uint64    `json:"events"` // Steps of nodes and clients
	Simulated  int64     `json:"simulated_ns"`
	Wall       int64     `json:"wall_ns"`
	Operations int       `json:"operations"`
	Acked      int       `json:"acked"`
	Refused    int       `json:"refused"`
	Unknown    int       `json:"unknown"`
	Fired      int       `json:"disruptions"`
	Deviated   int       `json:"deviations"`
	// Trace is all trace hashes folded, scenarios in list order, then seeds.
	Trace string `json:"trace"`
	// Pauses says how long changes were not acknowledged while leaders were replaced.
	Pauses *Pauses `json:"write_pauses,omitempty"`
	// Singles are those of them in which one node only was hurt.
	Singles *Pauses `json:"write_pauses_one_node,omitempty"`
	// Queries says how long reads of replica groups took that were answered; Unanswered
	// counts the others.
	Queries    *Pauses `json:"queries,omitempty"`
	Unanswered int     `json:"queries_unanswered,omitempty"`
	// Vetoed are the kinds of disruptions of which the fault budget vetoed some.
	Vetoed []Vetoed `json:"vetoed,omitempty"`
	// Unjudged counts the times in which changes stopped for longer than three silences and
	// that availability leaves to liveness: several nodes were hurt, or the set was at min.
	Unjudged    int      `json:"write_gaps_left_to_liveness,omitempty"`
	Regressions int      `json:"regressions"` // committed plans that ran; in Violated if they failed, not in Seeds
	Compared    int      `json:"compared"`    // seeds that ran again here and in another process
	NotReached  []string `json:"not_reached"` // fault points
	Why         []string `json:"why,omitempty"`
	// MaxViolated is after how many violated seeds a scenario stops; 0: never.
	MaxViolated int `json:"max_violated"`
	// Kinds are the findings by fingerprint, in the order in which they were met.
	Kinds []*Kind `json:"kinds,omitempty"`
	Exit  int     `json:"exit"`

	Findings []*Finding `json:"-"`

	committed []regressionRun
	whyCodes  []int // exit codes of Why

	command  string // the suite's
	current  string
	points   []string
	hits     []uint64
	pauses   pauses
	singles  pauses
	queries  histogram
	vetoes   vetoes
	codes    []int
	building map[string]int // index in Scenarios; asked, never ranged over
}

// Pauses is a distribution of times, ns.
type Pauses struct {
	Count int   `json:"count"`
	P50   int64 `json:"p50_ns"`
	P99   int64 `json:"p99_ns"`
	P999  int64 `json:"p99_9_ns"`
	Max   int64 `json:"max_ns"`
	// MaxIn is the run that had the longest, as replay wants it; "" if it is not known.
	MaxIn string `json:"max_in,omitempty"`
}

// pauses are times, ns, and the run that had the longest.
type pauses struct {
	times []int64
	max   int64
	maxIn string
}

// add adds those of a run. Of runs with equal ones the first by name counts, whoever ends
// first.
func (p *pauses) add(times []int64, in string) {
	p.times = append(p.times, times...)
	for _, ns := range times {
		if ns > p.max || ns == p.max && in < p.maxIn {
			p.max, p.maxIn = ns, in
		}
	}
}

// distribution returns their distribution, nil if there are none. It sorts them. A quantile
// is the least time that so many of them do not exceed.
func (p *pauses) distribution() *Pauses {
	n := len(p.times)
	if n == 0 {
		return nil
	}
	slices.Sort(p.times)
	at := func(permille int) int64 { return p.times[(n*permille+999)/1000-1] }
	return &Pauses{Count: n, P50: at(500), P99: at(990), P999: at(999), Max: p.max, MaxIn: p.maxIn}
}

// PerName is one scenario's share.
type PerName struct {
	Name      string `json:"name"`
	Seeds     int    `json:"seeds"`
	Held      int    `json:"held"`
	Violated  int    `json:"violated"`
	Undecided int    `json:"undecided"`
	Acked     int    `json:"acked"`
	Fired     int    `json:"disruptions"`
	Deviated  int    `json:"deviations"`
	// Stopped says that seeds were left out as MaxViolated of those before were violated.
	Stopped bool `json:"stopped,omitempty"`

	fold uint64
	wall time.Duration // of its seeds, one after the other
}

// SeedLine is one run as a line of JSON.
type SeedLine struct {
	Type        string    `json:"type"` // "seed"
	Scenario    string    `json:"scenario"`
	Seed        plan.Seed `json:"seed"`
	Regression  string    `json:"regression,omitempty"`
	Verdict     string    `json:"verdict"`
	Why         string    `json:"why,omitempty"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	Trace       string    `json:"trace"`
	Events      uint64    `json:"events"`
	Simulated   int64     `json:"simulated_ns"`
	Operations  int       `json:"operations"`
	Acked       int       `json:"acked"`
	Refused     int       `json:"refused"`
	Unknown     int       `json:"unknown"`
	Fired       int       `json:"disruptions"`
	Deviated    int       `json:"deviations"`

	fold uint64
}

func seedLine(j *job, r *harness.Result) SeedLine {
	return SeedLine{
		Type: "seed", Scenario: j.scenario, Seed: j.seed, Regression: j.regression,
		Verdict: r.Verdict.String(), Why: r.Why, Fingerprint: r.Fingerprint(), Trace: r.Trace.String(), fold: r.Trace.Fold(),
		Events: r.Steps, Simulated: r.Simulated, Operations: r.Operations, Acked: r.Acked, Refused: r.Refused, Unknown: r.Unknown,
		Fired: r.Fired, Deviated: r.Deviated,
	}
}

// name is how replay wants the run.
func (l *SeedLine) name() string {
	if l.Regression != "" {
		return l.Regression
	}
	return harness.Name(l.Scenario, l.Seed)
}

func (s *Summary) begin(suite *harness.Suite, list []string, maxViolated int) {
	*s = Summary{Schema: Schema, Type: "summary", MaxViolated: maxViolated, command: suite.Command, points: suite.Points, hits: make([]uint64, len(suite.Points)), building: map[string]int{}}
	s.vetoes.rows = suite.Rows
	for i, scenario := range list {
		s.building[scenario] = i
		s.Scenarios = append(s.Scenarios, PerName{Name: scenario})
	}
}

// add counts one run.
func (s *Summary) add(o *outcome) {
	l := &o.line
	s.current = l.Scenario
	s.Events += l.Events
	s.Simulated += l.Simulated
	s.Operations += l.Operations
	s.Acked += l.Acked
	s.Refused += l.Refused
	s.Unknown += l.Unknown
	s.Fired += l.Fired
	s.Deviated += l.Deviated
	for i, n := range o.hits {
		s.hits[i] += n
	}
	s.pauses.add(o.pauses, l.name())
	s.singles.add(o.singles, l.name())
	for _, ns := range o.queries {
		s.queries.add(ns)
	}
	s.Unanswered += o.unanswered
	s.Unjudged += o.unjudged
	if o.check {
		s.Compared++
	}
	if o.nondeterminism != "" {
		s.fail(ExitNondeterminism, o.nondeterminism)
	}
	if o.stale != "" {
		s.fail(ExitNotReproduced, o.stale)
	}
	if o.finding != nil {
		s.kind(o.finding)
	}
	if l.Regression != "" {
		s.Regressions++
		s.committed = append(s.committed, regressionRun{l.Regression, l.Verdict, l.Fingerprint, o.stale, o.wall})
		s.verdict(l, nil)
		return
	}
	s.Seeds++
	s.vetoes.add(&o.struck, o.vetoes)
	per := &s.Scenarios[s.building[l.Scenario]]
	per.Seeds++
	per.Acked += l.Acked
	per.Fired += l.Fired
	per.Deviated += l.Deviated
	per.fold = trace.Mix(per.fold, l.fold)
	per.wall += o.wall
	s.verdict(l, per)
	per.Stopped = s.MaxViolated > 0 && per.Violated >= s.MaxViolated
}

// stopped reports whether a job is a seed of a scenario that has stopped.
func (s *Summary) stopped(j *job) bool {
	return j.regression == "" && s.Scenarios[s.building[j.scenario]].Stopped
}

// notRun returns how many seeds the stopped scenarios leave out, with so many seeds for each
// scenario.
func (s *Summary) notRun(each int) (n int) {
	for i := range s.Scenarios {
		if per := &s.Scenarios[i]; per.Stopped && each > per.Seeds {
			n += each - per.Seeds
		}
	}
	return n
}

// verdict counts how a run ended; per is nil for a regression.
func (s *Summary) verdict(l *SeedLine, per *PerName) {
	if per == nil {
		per = new(PerName)
	}
	switch l.Verdict {
	case verdict.Held.String():
		per.Held++
		if l.Regression == "" {
			s.Held++
		}
	case verdict.Violated.String():
		per.Violated++
		s.Violated++
		s.code(ExitViolated)
	default:
		per.Undecided++
		s.Undecided++
		s.fail(ExitUndecided, fmt.Sprintf("%s is undecided: %s", l.name(), l.Why))
	}
}

// maxWhy bounds the reasons that are kept.
const maxWhy = 20

func (s *Summary) code(code int) {
	if !slices.Contains(s.codes, code) {
		s.codes = append(s.codes, code)
	}
}

// histogram counts times by the millisecond, because there are too many to keep.
type histogram struct {
	count int
	max   int64   // ns
	by    []int64 // how many took so many ms, rounded up; the last one: or more
}

// longest is the last row of a histogram, ms: longer than any deadline.
const longest = 20_000

func (h *histogram) add(ns int64) {
	if h.by == nil {
		h.by = make([]int64, longest+1)
	}
	h.count++
	h.max = max(h.max, ns)
	h.by[min((ns+999_999)/1_000_000, longest)]++
}

// distribution returns the quantiles, to the millisecond; nil if there are none.
func (h *histogram) distribution() *Pauses {
	if h.count == 0 {
		return nil
	}
	at := func(permille int) int64 {
		left := int64((h.count*permille + 999) / 1000)
		for ms, n := range h.by {
			if left -= n; left <= 0 {
				return min(int64(ms)*1_000_000, h.max)
			}
		}
		return h.max
	}
	return &Pauses{Count: h.count, P50: at(500), P99: at(990), P999: at(999), Max: h.max}
}

func (s *Summary) fail(code int, why string) {
	s.code(code)
	if len(s.Why) < maxWhy {
		s.Why, s.whyCodes = append(s.Why, why), append(s.whyCodes, code)
	}
}

// end completes the summary.
func (s *Summary) end(o *Options, wall time.Duration, interrupted bool) {
	s.Wall = int64(wall)
	fold := uint64(0)
	for i := range s.Scenarios {
		fold = trace.Mix(fold, s.Scenarios[i].fold)
	}
	s.Trace = fmt.Sprintf("%016x", fold)
	s.Pauses, s.Singles = s.pauses.distribution(), s.singles.distribution()
	s.Queries = s.queries.distribution()
	s.Vetoed = s.vetoes.list()
	s.NotReached = []string{}
	for p, name := range s.points {
		if s.hits[p] == 0 {
			s.NotReached = append(s.NotReached, name)
		}
	}
	if o.RequireReached && len(s.NotReached) > 0 {
		s.fail(ExitNotReached, "fault points that no seed reached: "+strings.Join(s.NotReached, ", "))
	}
	if s.Seeds+s.Regressions == 0 {
		s.fail(ExitNothingRan, "no seed was run")
	}
	s.Exit = Worst(s.codes...)
	if interrupted {
		s.Exit = ExitInterrupted
		s.Why, s.whyCodes = append(s.Why, "interrupted: only what ended before is counted"), append(s.whyCodes, ExitInterrupted)
	}
}

// Word is the verdict in a word.
func (s *Summary) Word() string {
	switch s.Exit {
	case ExitHeld:
		return "held"
	case ExitViolated:
		return "violated"
	case ExitUndecided:
		return "undecided"
	case ExitNothingRan:
		return "nothing ran"
	case ExitNotReproduced:
		return "a regression is stale"
	case ExitNondeterminism:
		return "not deterministic"
	case ExitNotReached:
		return "not everything was reached"
	case ExitInterrupted, ExitTerminated:
		return "interrupted"
	}
	return "failed"
}

// markdown renders the summary for a pull request.
func (s *Summary) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s: %s\n\n", s.command, s.Word())
	fmt.Fprintln(&b, "| scenario | seeds | held | violated | undecided | disruptions | acknowledged |")
	fmt.Fprintln(&b, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, p := range s.Scenarios {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d |\n", p.Name, p.Seeds, p.Held, p.Violated, p.Undecided, p.Fired, p.Acked)
	}
	fmt.Fprintf(&b, "\ntrace `%s`\n", s.Trace)
	for _, k := range s.Kinds {
		fmt.Fprintf(&b, "\n- %s; `%s`: %s\n", k, k.finding.Replay, strings.SplitN(k.finding.Text, "\n", 2)[0])
	}
	for _, line := range s.Stops() {
		fmt.Fprintf(&b, "\n- %s\n", line)
	}
	for _, why := range s.Why {
		fmt.Fprintf(&b, "\n- %s\n", strings.ReplaceAll(why, "\n", " "))
	}
	return b.String()
}
