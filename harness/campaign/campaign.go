// Package campaign runs many seeds. It hands plans to workers, puts their results
// back in order, compares traces with those of another process, and says with one
// exit code the result of a campaign.
//
// Goroutines and the wall clock begin here; a run itself knows neither. Worlds
// share nothing, so workers need no lock.
//
// The one rule to remember: the report does not depend on how many workers
// there were. Results count in the order of their jobs.
package campaign

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/verdict"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Options say what to run.
type Options struct {
	// Suite is what runs.
	Suite *harness.Suite
	// Scenarios of the suite run in this order.
	Scenarios []string
	// Seeds are run of each scenario, in order.
	Seeds []Range
	// For, if not 0, ends the campaign after this time; the last range then has
	// no end, and scenarios take turns.
	For time.Duration
	// Shard selects every n-th seed.
	Shard Shard
	// Set overrides values of every drawn plan: "workload.operations=500".
	Set []string
	// Without names families of faults that every drawn plan lacks (harness.Families).
	Without []string
	// Regressions is the directory of committed plans that run first, "" for none.
	Regressions string
	// Workers is the number of worlds at work at once; 0 is one per CPU.
	Workers int
	// MaxViolated ends a scenario after this many violated seeds, in the order of seeds. Later
	// seeds do not count, even if they ran. 0 is no bound.
	MaxViolated int
	// FailFast ends the campaign at the first violation.
	FailFast bool
	// Porcupine and Determinism are shares of the seeds, in millionths, that are
	// searched by porcupine, or run again here and in another process.
	Porcupine, Determinism int
	// RequireReached makes it a failure that a fault point was not reached.
	RequireReached bool
	// Command runs this program's other process: the executable and what comes
	// before a subcommand, which is hash, as simrun has it. Needed for Determinism.
	Command []string
	// Dir is where artifacts go, "" for nowhere.
	Dir string
	// Found is called for each violation, in order.
	Found func(*Finding)
	// Decorate, if not nil, wraps every machine under test: for planted mistakes.
	Decorate func(env.Env) env.Env
	// Progress is called about ten times per second.
	Progress func(Progress)
}

// Progress is how far a campaign is.
type Progress struct {
	Done, Violated, Undecided int
	Total                     int // 0 if it ends by time
	Elapsed                   time.Duration
	Scenario                  string
}

// campaign is one run of Run.
type campaign struct {
	options Options
	source  *source
	store   *artifacts.Store
	started time.Time
	summary Summary
	order   order
	checks  []Recorded // whose traces another process must confirm
	failed  error      // what made results impossible
}

// order puts results back into the order of their jobs.
//
// Invariant: waiting holds no result with index next.
type order struct {
	next    int
	waiting map[int]*outcome
}

// add takes a result and returns those that can be counted now.
func (o *order) add(r *outcome) (ready []*outcome) {
	o.waiting[r.job.index] = r
	for {
		r, ok := o.waiting[o.next]
		if !ok {
			return ready
		}
		delete(o.waiting, o.next)
		o.next++
		ready = append(ready, r)
	}
}

// Run runs a campaign. When ctx is done no further seed is begun and the summary
// is of those that ended within Grace. An error means that the campaign could not
// be run; what its seeds show is in the summary.
func Run(ctx context.Context, o Options) (*Summary, error) {
	if err := o.known(); err != nil {
		return nil, err
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	source, err := newSource(&o)
	if err != nil {
		return nil, err
	}
	c := &campaign{options: o, source: source, started: time.Now(), order: order{waiting: map[int]*outcome{}}}
	c.summary.begin(o.Suite, o.Scenarios, o.MaxViolated)
	if o.Dir != "" {
		if c.store, err = artifacts.New(o.Dir, Schema, o.Workers); err != nil {
			return nil, err
		}
		defer c.store.Close()
	}
	c.work(ctx)
	if c.failed == nil && ctx.Err() == nil {
		c.failed = c.confirm(ctx)
	}
	c.summary.end(&c.options, time.Since(c.started), ctx.Err() != nil)
	if c.failed == nil && c.store != nil {
		c.failed = c.finish()
	}
	return &c.summary, c.failed
}

// known returns an error for a scenario that the suite does not have.
func (o *Options) known() error {
	for _, name := range o.Scenarios {
		if !slices.Contains(o.Suite.Scenarios, name) {
			return fmt.Errorf("%w: there is no scenario %q; the suite has %s", ErrUsage, name, strings.Join(o.Suite.Scenarios, ", "))
		}
	}
	return nil
}

// Grace is how long an interrupted campaign waits for the seeds under way.
const Grace = 2 * time.Second

// work hands jobs to workers and counts their results.
func (c *campaign) work(ctx context.Context) {
	jobs, results, stop := make(chan job), make(chan *outcome, c.options.Workers), make(chan struct{})
	var workers sync.WaitGroup
	for range c.options.Workers {
		workers.Go(func() { c.worker(jobs, results) })
	}
	go c.hand(ctx, jobs, stop)
	go func() {
		workers.Wait()
		close(results)
	}()
	c.collect(ctx, results, stop)
}

// hand gives out jobs until there are no more, time is up, or it is told to stop.
func (c *campaign) hand(ctx context.Context, jobs chan<- job, stop <-chan struct{}) {
	defer close(jobs)
	for {
		if c.options.For > 0 && time.Since(c.started) >= c.options.For {
			return
		}
		j, ok := c.source.next()
		if !ok {
			return
		}
		select {
		case jobs <- j:
		case <-ctx.Done():
			return
		case <-stop:
			return
		}
	}
}

// collect counts results in the order of their jobs.
func (c *campaign) collect(ctx context.Context, results <-chan *outcome, stop chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	interrupted, stopped := ctx.Done(), false
	var patience <-chan time.Time
	for {
		select {
		case r, ok := <-results:
			if !ok {
				return
			}
			for _, ready := range c.order.add(r) {
				if stopped = stopped || c.count(ready); stopped {
					break
				}
			}
			if stopped && stop != nil {
				close(stop)
				stop = nil
			}
		case <-tick.C:
			c.report()
		case <-interrupted:
			interrupted, patience = nil, time.After(Grace)
		case <-patience:
			return
		}
	}
}

func (c *campaign) report() {
	if c.options.Progress == nil {
		return
	}
	s := &c.summary
	c.options.Progress(Progress{
		Done: s.Seeds + s.Regressions, Violated: s.Violated, Undecided: s.Undecided,
		Total: c.source.total - c.summary.notRun(c.source.each), Elapsed: time.Since(c.started), Scenario: s.current,
	})
}

// count takes one result and reports whether the campaign is to end.
func (c *campaign) count(r *outcome) (stop bool) {
	if c.summary.stopped(&r.job) {
		if c.store != nil {
			c.store.Dropped(r.job.scenario, r.job.seed)
		}
		return false
	}
	if r.err != nil {
		c.failed = r.err
		return true
	}
	c.summary.add(r)
	if c.summary.stopped(&r.job) {
		c.source.stop(r.job.scenario)
	}
	if c.store != nil {
		c.store.Seed(&r.line)
	}
	if r.check {
		c.checks = append(c.checks, Recorded{Scenario: r.job.scenario, Seed: r.job.seed, Trace: r.line.Trace})
	}
	if r.finding != nil {
		c.keep(r.finding)
		c.summary.Findings = append(c.summary.Findings, r.finding)
		if c.options.Found != nil {
			c.options.Found(r.finding)
		}
	}
	return c.options.FailFast && (r.finding != nil || r.nondeterminism != "")
}

// keep stores the evidence of a finding and says how its run is repeated. It is
// called in the order of jobs, so that the plan.json of a fingerprint is that of
// its first seed, however many workers there are.
func (c *campaign) keep(f *Finding) {
	if c.store != nil && f.Result != nil {
		f.Plan = c.store.Finding(f.Fingerprint, f.Result, c.evidence(f.Result))
	}
	if o := c.options; f.Regression == "" && len(o.Set)+len(o.Without) > 0 {
		f.Replay = f.again(o.Set, o.Without)
	}
	if filepath.Base(f.Plan) == artifacts.PlanName { // the first of its kind
		c.picture(f)
	}
}

// worker runs jobs in one world after the other.
func (c *campaign) worker(jobs <-chan job, results chan<- *outcome) {
	w := worker{campaign: c, runner: c.options.Suite.NewRunner()}
	for j := range jobs {
		if c.store != nil {
			c.store.Start(j.scenario, j.seed)
		}
		began := time.Now()
		out := w.safely(j)
		out.wall = time.Since(began)
		results <- out
	}
}

// outcome is the outcome of a job.
type outcome struct {
	job            job
	line           SeedLine
	wall           time.Duration // that the worker took
	hits           []uint64
	pauses         []int64 // ns
	singles        []int64 // those of them in which one node only was hurt
	queries        []int64 // ns
	struck         [plan.KindCount]int
	vetoes         []harness.Veto
	unanswered     int
	unjudged       int // gaps
	finding        *Finding
	check          bool   // another process must confirm the trace
	nondeterminism string // the first difference between two runs here
	stale          string // regressions: what of the plan had no effect any more
	err            error  // the plan cannot be run
}

// safely runs a job. A panic outside the simulated world is a bug of this program: it ends the
// campaign, which still reports the seeds before it.
func (w *worker) safely(j job) (out *outcome) {
	defer func() {
		if failure := recover(); failure != nil {
			w.runner = w.campaign.options.Suite.NewRunner()
			out = &outcome{job: j, err: fmt.Errorf("%s: internal error: %v\n%s", j.name(), failure, debug.Stack())}
		}
	}()
	return w.run(j)
}

type worker struct {
	campaign *campaign
	runner   harness.Runner
}

func (w *worker) run(j job) *outcome {
	o := &w.campaign.options
	out := &outcome{job: j}
	p, err := w.campaign.source.plan(&j)
	if err != nil {
		out.err = err
		return out
	}
	got, err := w.runner.Run(p, harness.Options{Porcupine: o.sampled("porcupine", &j, o.Porcupine), Decorate: o.Decorate})
	if err != nil {
		out.err = fmt.Errorf("%s: %w", j.name(), err)
		return out
	}
	out.line = seedLine(&j, got)
	out.hits = append(out.hits, got.Hits...)
	for _, p := range got.Pauses {
		out.pauses = append(out.pauses, p.To-p.From)
		if p.Single {
			out.singles = append(out.singles, p.To-p.From)
		}
	}
	out.queries, out.unanswered, out.unjudged = got.Queries, got.Unanswered, got.Unjudged
	out.struck, out.vetoes = got.Struck, got.Vetoes
	trace := got.Trace
	if j.regression != "" && got.Fired == 0 && len(p.Parts().World.Disruptions) > 0 {
		out.stale = fmt.Sprintf("%s: none of its disruptions began; what they wait for is gone, so the plan proves nothing: record it anew", j.regression)
	}
	if got.Verdict == verdict.Violated {
		out.finding = w.investigate(&j, p, got)
	}
	if j.regression == "" && o.sampled("determinism", &j, o.Determinism) {
		out.check = true
		if again, err := w.runner.Run(p, harness.Options{Decorate: o.Decorate}); err == nil && again.Trace != trace {
			out.nondeterminism = w.divergence(&j, p)
		}
	}
	return out
}

// divergence names the first event in which two runs of p here differ.
func (w *worker) divergence(j *job, p harness.Plan) string {
	events := func() []string {
		got, err := w.runner.Run(p, harness.Options{Trace: true, Decorate: w.campaign.options.Decorate})
		if err != nil {
			return nil
		}
		return harness.Events(got.Entries, w.campaign.options.Suite.Points)
	}
	return difference(j.name(), events(), events(), "two runs in one process")
}

// name is how the user calls the job.
func (j *job) name() string {
	if j.regression != "" {
		return j.regression
	}
	return harness.Name(j.scenario, j.seed)
}
