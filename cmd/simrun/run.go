package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/scenarios/suite"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// line prints one line of JSON.
func (c *command) line(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "%s\n", data)
	return err
}

// runFlags are the flags of run as they were written.
type runFlags struct {
	seeds, shard, porcupine, determinism string
	seed, set, without                   []string
	regressions, out                     string
	duration                             time.Duration
	workers, maxViolated                 int
	failFast, requireReached             bool
	health                               string
}

func (c *command) run() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [SCENARIO or GROUP ...]",
		Short: "run seeds of scenarios and judge them; committed regressions first", ValidArgsFunction: completeScenarios,
		Long: `Run seeds of scenarios and judge them. Without names the group "default" runs.
Committed regressions of the scenarios run first. Exit codes: 0 all held, 1 a
checker objects, 2 usage, 3 undecided, 4 nothing ran, 5 a regression is stale,
6 not deterministic, 8 something required was not reached, 130/143 interrupted.
Every flag can be set by the environment: SIMRUN_SEEDS, SIMRUN_WORKERS, ... What
the command line says outweighs it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.options(args)
			if err == nil {
				err = exclusive(cmd.Flags())
			}
			if err != nil {
				return err
			}
			c.withoutRegressions(cmd.Flags(), &o)
			if f.health != "" {
				if err := writeHealth(&o, f.health); err != nil {
					return err
				}
			}
			return c.campaign(cmd, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.health, "health", "", "write what the coordinator says of the cluster to this file, as JSON: of the first seed, at the end of its disruptive part")
	flags.StringVar(&f.seeds, "seeds", "200", "seeds of each scenario: N for 1..N, or A-B")
	flags.StringArrayVar(&f.seed, "seed", nil, "one seed: decimal, 0x..., or a git hash; may be repeated")
	flags.DurationVar(&f.duration, "for", 0, "run seeds until this time is over, e.g. 30s, from --seed on, or from a base that is printed")
	flags.IntVar(&f.workers, "workers", 0, "worlds at work at once (default one per CPU)")
	flags.BoolVar(&f.failFast, "fail-fast", false, "stop at the first violation")
	flags.IntVar(&f.maxViolated, "max-violated", 20, "stop a scenario after so many violated seeds; 0 is never")
	flags.StringVar(&f.shard, "shard", "", "run part k of n: k/n")
	flags.StringArrayVar(&f.set, "set", nil, "override a value of every drawn plan: workload.operations=500; the names are those of plan.json; may be repeated")
	flags.StringSliceVar(&f.without, "without", nil, "leave families of faults out of every drawn plan: kinds of disruptions, deviations, or single-links, which is all cuts between two processes; with commas between, or repeated")
	flags.StringVar(&f.determinism, "check-determinism", "0%", "share of seeds to run again here and in another process")
	flags.StringVar(&f.porcupine, "porcupine", "10%", "share of seeds of which porcupine searches every partition")
	flags.BoolVar(&f.requireReached, "require-reached", false, "fail if a fault point was not reached")
	flags.StringVar(&f.regressions, "regressions", regressions, "directory of committed plans, DIR/SCENARIO/NAME.json; empty for none")
	flags.StringVar(&f.out, "out", ".simrun", "directory of artifacts; empty for none")
	return cmd
}

// regressions is the directory of committed plans, unless a flag names another.
const regressions = "testdata/regressions"

// withoutRegressions lets seeds run in a directory without committed plans, and says so, unless
// the flag names some.
func (c *command) withoutRegressions(flags *pflag.FlagSet, o *campaign.Options) {
	if _, err := os.Stat(regressions); flags.Changed("regressions") || !errors.Is(err, fs.ErrNotExist) {
		return
	}
	o.Regressions = ""
	fmt.Fprintf(c.stderr, "no committed regressions run: there is no %s here; --regressions names another directory\n", regressions)
}

// writeHealth runs the first seed once more than the campaign does, and writes the health of
// its cluster at the end of its disruptive part.
func writeHealth(o *campaign.Options, file string) error {
	found, err := scenarios.Find(o.Scenarios[0])
	if err != nil {
		return err
	}
	first := found[0]
	drawn, err := o.Plan(first.Name, o.Seeds[0].First)
	if err != nil {
		return err
	}
	p := drawn.(*scenarios.Plan)
	got, err := scenarios.NewRunner().Run(p, scenarios.Options{Health: true})
	switch {
	case err != nil:
		return err
	case got.Health == nil:
		return fmt.Errorf("--health: nobody coordinates the cluster of %s:%s when its disruptive part ends; choose another seed", first.Name, o.Seeds[0].First)
	}
	return os.WriteFile(file, got.Health, 0o644)
}

// options reads the flags.
func (f *runFlags) options(names []string) (o campaign.Options, err error) {
	o.Suite = suite.Tenants()
	if o.Scenarios, err = selected(names); err != nil {
		return o, err
	}
	if o.Seeds, err = f.ranges(); err != nil {
		return o, err
	}
	if f.shard != "" {
		if o.Shard, err = campaign.ParseShard(f.shard); err != nil {
			return o, err
		}
	}
	if o.Porcupine, err = campaign.ParseShare("porcupine", f.porcupine); err != nil {
		return o, err
	}
	if o.Determinism, err = campaign.ParseShare("check-determinism", f.determinism); err != nil {
		return o, err
	}
	if err := f.bounds(); err != nil {
		return o, err
	}
	self, err := os.Executable()
	if err != nil {
		return o, err
	}
	o.Command = []string{self}
	o.For, o.Workers, o.FailFast, o.Set, o.Without = f.duration, f.workers, f.failFast, f.set, f.without
	o.MaxViolated = f.maxViolated
	o.RequireReached, o.Regressions, o.Dir = f.requireReached, f.regressions, f.out
	return o, nil
}

// bounds refuses numbers below 0.
func (f *runFlags) bounds() error {
	if f.duration < 0 {
		return &campaign.FlagError{Flag: "for", Value: f.duration, Want: "a time like 30s, or 0 for the seeds of --seeds"}
	}
	return errors.Join(from(0, "workers", f.workers, wantWorkers), from(0, "max-violated", f.maxViolated, "a number from 1 on, or 0 for no bound"))
}

const wantWorkers = "a number from 1 on, or 0 for one per CPU"

// exclusive refuses flags that exclude each other.
func exclusive(flags *pflag.FlagSet) error {
	for _, pair := range [][2]string{{"seed", "seeds"}, {"for", "seeds"}} {
		if flags.Changed(pair[0]) && flags.Changed(pair[1]) {
			return fmt.Errorf("--%s and --%s: %w: both say which seeds run; want one of them", pair[0], pair[1], campaign.ErrUsage)
		}
	}
	return nil
}

// completeScenarios gives a shell the names that run takes.
func completeScenarios(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
	for _, s := range scenarios.All() {
		names = append(names, s.Name+"\t"+s.Story)
	}
	for _, g := range scenarios.Groups() {
		names = append(names, g.Name+"\tgroup")
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// selected returns the named scenarios, each once, in list order.
func selected(names []string) (list []string, err error) {
	if len(names) == 0 {
		names = []string{scenarios.Default}
	}
	var chosen []*scenarios.Scenario
	for _, name := range names {
		found, err := scenarios.Find(name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, found...)
	}
	for _, s := range scenarios.All() {
		if slices.Contains(chosen, s) {
			list = append(list, s.Name)
		}
	}
	return list, nil
}

// ranges returns the seeds to run. A campaign that ends by time begins at a base of its own, unless
// a flag sets it, so that it is not the same every day.
func (f *runFlags) ranges() (ranges []campaign.Range, err error) {
	for _, text := range f.seed {
		seed, err := plan.ParseSeed(text)
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, campaign.Range{First: seed, Last: seed})
	}
	if f.duration > 0 {
		base := plan.Seed(time.Now().UnixNano()) & math.MaxUint32 << 16
		if len(ranges) > 0 {
			base = ranges[0].First
		}
		return []campaign.Range{{First: base, Last: math.MaxUint64}}, nil
	}
	if len(ranges) > 0 {
		return ranges, nil
	}
	r, err := campaign.ParseSeeds(f.seeds)
	return []campaign.Range{r}, err
}

func (c *command) campaign(cmd *cobra.Command, o campaign.Options) error {
	if o.For > 0 {
		fmt.Fprintf(c.stderr, "seeds from %s on; to begin there again: --for %s --seed %s\n", o.Seeds[0].First, o.For, o.Seeds[0].First)
	}
	screen := newScreen(c.stderr)
	o.Progress = screen.show
	var failed error
	told := map[string]int{} // findings, by fingerprint; asked, never ranged over
	o.Found = func(f *campaign.Finding) {
		screen.clear()
		if c.json {
			failed = errors.Join(failed, c.line(f))
			return
		}
		if told[f.Fingerprint]++; told[f.Fingerprint] == 1 { // the others are counted in the summary
			fmt.Fprintf(c.stdout, "%s\n\n", strings.Join(f.Lines(program()), "\n"))
		}
	}
	summary, err := campaign.Run(cmd.Context(), o)
	screen.clear()
	if summary == nil || err != nil && exitCode(err) != campaign.ExitInternal {
		return err
	}
	word := summary.Word()
	if err != nil { // the results of the seeds hold all the same
		summary.Exit = campaign.ExitInternal
	}
	if err != nil && !errors.Is(err, artifacts.ErrArtifact) { // not all seeds could be run
		word = summary.Word()
	}
	c.code = summary.Exit
	if c.json {
		return errors.Join(failed, c.line(summary), err)
	}
	c.text(summary, &o, word)
	return errors.Join(failed, err)
}

// text prints a summary for people, with a verdict of one word.
func (c *command) text(s *campaign.Summary, o *campaign.Options, word string) {
	w := c.stdout
	fmt.Fprintf(w, "%-25s %8s %8s %8s %9s %11s %10s %12s\n", "scenario", "seeds", "held", "violated", "undecided", "disruptions", "deviations", "acknowledged")
	for _, p := range s.Scenarios {
		fmt.Fprintf(w, "%-25s %8d %8d %8d %9d %11d %10d %12d\n", p.Name, p.Seeds, p.Held, p.Violated, p.Undecided, p.Fired, p.Deviated, p.Acked)
	}
	c.found(s)
	for _, why := range s.Why {
		fmt.Fprintf(w, "%s\n", why)
	}
	if len(s.NotReached) > 0 && !o.RequireReached && s.Seeds > 0 {
		fmt.Fprintf(w, "fault points not reached: %d of %d; --require-reached names them\n", len(s.NotReached), fault.Points)
	}
	printPauses(w, "writes paused %d times while leaders were replaced", s.Pauses)
	printPauses(w, "  %d of them with one node hurt", s.Singles)
	if s.Unjudged > 0 {
		fmt.Fprintf(w, "  %d times they stopped for longer than three silences with several nodes hurt, or at min: liveness judges those\n", s.Unjudged)
	}
	if q := s.Queries; q != nil {
		asked := q.Count + s.Unanswered
		printPauses(w, fmt.Sprintf("%.3f %%%% of %d queries were answered, %%d", 100*float64(q.Count)/float64(asked), asked), q)
	}
	for i := range s.Vetoed {
		fmt.Fprintf(w, "vetoed by the fault budget: %v\n", &s.Vetoed[i])
	}
	if s.Regressions > 0 {
		violated := s.Violated
		for _, p := range s.Scenarios {
			violated -= p.Violated
		}
		fmt.Fprintf(w, "%d committed regressions ran first", s.Regressions)
		if violated > 0 {
			fmt.Fprintf(w, "; %d of them violated", violated)
		}
		fmt.Fprintln(w)
	}
	if s.Compared > 0 {
		fmt.Fprintf(w, "%d seeds ran again here and in another process\n", s.Compared)
	}
	seconds := float64(s.Wall) / 1e9
	fmt.Fprintf(w, "%s: %d seeds, %d operations, %d acknowledged; %.1f s, %.0f seeds/s, %.0f s simulated; trace %s\n",
		strings.ToUpper(word), s.Seeds, s.Operations, s.Acked, seconds, float64(s.Seeds)/seconds, float64(s.Simulated)/1e9, s.Trace)
	if o.Dir != "" {
		fmt.Fprintf(w, "artifacts: %s\n", o.Dir+"/latest")
		if s.Exit != campaign.ExitHeld {
			fmt.Fprintf(w, "page of the run: %s\n", o.Dir+"/latest/"+artifacts.PageName)
		}
	}
}

// found prints the findings by fingerprint, and the scenarios that have stopped because of them.
func (c *command) found(s *campaign.Summary) {
	for _, k := range s.Kinds {
		fmt.Fprintf(c.stdout, "found %s\n", k)
	}
	for _, line := range s.Stops() {
		fmt.Fprintln(c.stdout, line)
	}
}

// printPauses prints a distribution, if there is one.
func printPauses(w io.Writer, what string, p *campaign.Pauses) {
	if p == nil {
		return
	}
	ms := func(ns int64) int64 { return (ns + 999_999) / 1_000_000 }
	in := ""
	if p.MaxIn != "" {
		in = " (" + p.MaxIn + ")"
	}
	fmt.Fprintf(w, what+": p50 %d ms, p99 %d ms, p99.9 %d ms, max %d ms%s\n", p.Count, ms(p.P50), ms(p.P99), ms(p.P999), ms(p.Max), in)
}
