package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/counter"
	"github.com/tidaldb/tidalsim/sim/plan"
)

func TestSeedsAsWritten(t *testing.T) {
	for text, want := range map[string]Range{
		"1": {1, 1}, "20": {1, 20}, "7-9": {7, 9}, "0x10-0x1f": {16, 31}, "0-18446744073709551615": {0, 1<<64 - 1},
	} {
		if got, err := ParseSeeds(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-", "3-", "-3", "9-8", "0", "1-2-3", "x", "1.5"} {
		if got, err := ParseSeeds(text); !errors.Is(err, ErrUsage) {
			t.Errorf("%q parses to %v, %v", text, got, err)
		}
	}
}

func TestSharesAsWritten(t *testing.T) {
	for text, want := range map[string]int{"0%": 0, "5%": 50_000, "100%": 1_000_000, "0.01%": 100, "12.5%": 125_000} {
		if got, err := ParseShare("x", text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", "5", "101%", "-1%", "1.00001%", "x%"} {
		if got, err := ParseShare("x", text); !errors.Is(err, ErrUsage) {
			t.Errorf("%q parses to %d, %v", text, got, err)
		}
	}
}

// some are scenarios of the counter, which the tests run.
var some = []string{counter.Smoke, counter.Calm}

// names lists the jobs of a campaign.
func names(t *testing.T, o *Options) (all []string) {
	t.Helper()
	s, err := newSource(o)
	if err != nil {
		t.Fatal(err)
	}
	for {
		j, ok := s.next()
		if !ok {
			if s.total != len(all) {
				t.Errorf("total is %d, but there were %d jobs", s.total, len(all))
			}
			return all
		}
		if j.index != len(all) {
			t.Errorf("job %d has index %d", len(all), j.index)
		}
		all = append(all, j.name())
	}
}

func TestShardsPartTheSeeds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := Options{Suite: counter.Suite(), Scenarios: some, Seeds: []Range{
			{5, 5 + plan.Seed(rapid.Uint64Range(0, 20).Draw(rt, "length"))}, {1 << 40, 1 << 40},
		}}
		whole := names(t, &o)
		n := rapid.IntRange(1, 7).Draw(rt, "shards")
		var parts []string
		for k := range n {
			o.Shard = Shard{k + 1, n}
			parts = append(parts, names(t, &o)...)
		}
		slices.Sort(whole)
		slices.Sort(parts)
		if diff := cmp.Diff(whole, parts); diff != "" {
			rt.Fatalf("(-whole +parts):\n%s", diff)
		}
	})
}

func TestResultsCountInTheOrderOfJobs(t *testing.T) {
	o := order{waiting: map[int]*outcome{}}
	var counted []int
	for _, i := range rand.Perm(500) {
		for _, r := range o.add(&outcome{job: job{index: i}}) {
			counted = append(counted, r.job.index)
		}
	}
	if len(counted) != 500 || !slices.IsSorted(counted) {
		t.Errorf("%d counted, sorted %v", len(counted), slices.IsSorted(counted))
	}
}

func TestPausesAreQuantiles(t *testing.T) {
	times := make([]int64, 2000)
	for i := range times {
		times[i] = int64(2000 - i)
	}
	for _, c := range []struct {
		times []int64
		want  *Pauses
	}{
		{nil, nil},
		{[]int64{7}, &Pauses{1, 7, 7, 7, 7, "calm:0x1"}},
		{[]int64{9, 5}, &Pauses{2, 5, 9, 9, 9, "calm:0x1"}},
		{times, &Pauses{2000, 1000, 1980, 1998, 2000, "calm:0x1"}},
	} {
		var p pauses
		p.add(c.times, "calm:0x1")
		if diff := cmp.Diff(c.want, p.distribution()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// Whichever run ends first, the longest pause is of the same one.
func TestTheLongestPauseIsOfOneRun(t *testing.T) {
	runs := []struct {
		name  string
		times []int64
	}{{"calm:0x1", []int64{3, 8}}, {"calm:0x2", []int64{9}}, {"calm:0x3", []int64{9, 1}}, {"calm:0x4", nil}}
	for range 2 {
		var p pauses
		for _, r := range runs {
			p.add(r.times, r.name)
		}
		if got := p.distribution(); got.Max != 9 || got.MaxIn != "calm:0x2" {
			t.Errorf("the longest is %d ns in %s", got.Max, got.MaxIn)
		}
		slices.Reverse(runs)
	}
}

func TestWorkersDoNotMatter(t *testing.T) {
	var summaries []Summary
	for _, workers := range []int{1, 4} {
		s, err := Run(context.Background(), Options{
			Suite: counter.Suite(), Scenarios: counter.Suite().Scenarios, Seeds: []Range{{1, 12}}, Workers: workers, Porcupine: 500_000, Determinism: 0,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Wall = 0
		summaries = append(summaries, *s)
	}
	one, _ := json.Marshal(summaries[0])
	many, _ := json.Marshal(summaries[1])
	if diff := cmp.Diff(string(one), string(many)); diff != "" {
		t.Errorf("(-one worker +four):\n%s", diff)
	}
}

// stalling makes every run violated: the world ends before anything is answered.
var stalling = []string{"world.duration_ns=2000000", "world.calm_ns=1"}

func TestArtifacts(t *testing.T) {
	dir := t.TempDir()
	for range artifacts.KeptRuns + 2 {
		if _, err := Run(context.Background(), Options{Suite: counter.Suite(), Scenarios: some[:1], Seeds: []Range{{1, 1}}, Dir: dir}); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := os.ReadDir(filepath.Join(dir, "runs"))
	if err != nil || len(runs) != artifacts.KeptRuns {
		t.Errorf("%d runs are kept, want %d; %v", len(runs), artifacts.KeptRuns, err)
	}
	violated := 2 * artifacts.KeptFindings
	s, err := Run(context.Background(), Options{Suite: counter.Suite(), Scenarios: some[:1], Seeds: []Range{{1, plan.Seed(violated)}}, Dir: dir, Set: stalling})
	if err != nil || s.Violated != violated {
		t.Fatal(err, s)
	}
	var files []string
	latest, err := filepath.EvalSymlinks(filepath.Join(dir, "latest"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(latest, func(path string, d os.DirEntry, err error) error {
		if !d.IsDir() && !strings.Contains(path, "smoke-0x") && (!strings.Contains(path, "findings") || strings.Contains(path, "stopped")) {
			relative, _ := filepath.Rel(latest, path)
			files = append(files, relative)
		}
		return err
	})
	want := []string{
		"findings/liveness.stopped/finding.json", "findings/liveness.stopped/plan.json", "findings/liveness.stopped/trace.jsonl.gz",
		"junit.xml", "report.html", "run.json", "seeds.jsonl", "summary.md",
	}
	if diff := cmp.Diff(want, files); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if plans, _ := filepath.Glob(filepath.Join(latest, "findings", "liveness.stopped", "*.json")); len(plans)-1 != artifacts.KeptFindings { // finding.json beside them
		t.Errorf("%d plans of one fingerprint are kept, want %d", len(plans)-1, artifacts.KeptFindings)
	}
}

func TestFailFastEndsAtTheFirstViolation(t *testing.T) {
	found := 0
	s, err := Run(context.Background(), Options{
		Suite: counter.Suite(), Scenarios: some, Seeds: []Range{{1, 100}}, Set: stalling, FailFast: true, Found: func(*Finding) { found++ },
	})
	if err != nil || found != 1 || s.Violated != 1 || s.Seeds != 1 || s.Exit != ExitViolated {
		t.Errorf("%v: %d findings, summary %+v", err, found, s)
	}
}

func TestWorst(t *testing.T) {
	for _, c := range []struct {
		codes []int
		want  int
	}{
		{nil, ExitHeld}, {[]int{ExitUndecided, ExitViolated}, ExitViolated}, {[]int{ExitViolated, ExitNondeterminism}, ExitNondeterminism},
		{[]int{ExitNothingRan, ExitUndecided}, ExitUndecided}, {[]int{ExitNotReproduced, ExitNotReached}, ExitNotReproduced},
		{[]int{ExitSurvived, ExitInternal}, ExitInternal},
	} {
		if got := Worst(c.codes...); got != c.want {
			t.Errorf("%v: %d, want %d", c.codes, got, c.want)
		}
	}
}

// regression writes a plan below a directory of regressions.
func regression(t *testing.T, dir string, p harness.Plan) {
	t.Helper()
	path := filepath.Join(dir, "smoke", "one.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, p.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRegressionsRunFirst(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*counter.Plan)
		exit   int
		err    error
	}{
		{"one that holds", func(*counter.Plan) {}, ExitHeld, nil},
		{"one whose moment never comes", func(p *counter.Plan) {
			p.World.Disruptions = p.World.Disruptions[:1]
			p.World.Disruptions[0].When.Nth = 1 << 30
		}, ExitNotReproduced, nil},
		{"one that fails", func(p *counter.Plan) { p.World.Calm, p.World.Duration = 1, 2_000_000 }, ExitViolated, nil},
		{"one of another scenario", func(p *counter.Plan) { p.Scenario = "calm" }, 0, harness.ErrPlanFile},
		{"one of the future", func(p *counter.Plan) { p.Version = 9 }, 0, harness.ErrPlanVersion},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := harness.Plan(counter.Draw(counter.Smoke, 5))
			got, err := counter.Suite().NewRunner().Run(p, harness.Options{Record: true})
			if err != nil {
				t.Fatal(err)
			}
			p = harness.Record(p, got, "test")
			c.change(p.(*counter.Plan))
			dir := t.TempDir()
			regression(t, dir, p)
			s, err := Run(context.Background(), Options{Suite: counter.Suite(), Scenarios: some[:1], Seeds: []Range{{1, 2}}, Regressions: dir})
			if !errors.Is(err, c.err) || err == nil && (s.Exit != c.exit || s.Regressions != 1 || s.Seeds != 2) {
				t.Errorf("%v, want %v; summary %+v", err, c.err, s)
			}
		})
	}
}

func TestAFindingFitsTwelveLines(t *testing.T) {
	f := Finding{Scenario: "smoke", Text: strings.Repeat("words\n", 100), LastFault: "a fault", More: 3, Plan: "plan.json", Replay: "replay smoke:0x1"}
	lines := f.Lines("simrun")
	if len(lines) > 12 || lines[len(lines)-1] != "simrun replay smoke:0x1" {
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	if !strings.Contains(fmt.Sprint(lines), "96 more lines") {
		t.Error("what was left out is not said")
	}
}

// Four workers find violations in any order; what is kept and said is that of one.
func TestThePlanKeptIsTheFirstSeeds(t *testing.T) {
	dir := t.TempDir()
	s, err := Run(context.Background(), Options{Suite: counter.Suite(), Scenarios: some[:1], Seeds: []Range{{1, 30}}, Set: stalling, Workers: 4, Dir: dir})
	if err != nil || len(s.Findings) != 30 {
		t.Fatal(err, s)
	}
	first := map[string]bool{}
	for _, f := range s.Findings {
		if !first[f.Fingerprint] && filepath.Base(f.Plan) != "plan.json" {
			t.Errorf("the first finding of %s, seed %s, is in %s", f.Fingerprint, f.Seed, f.Plan)
		}
		first[f.Fingerprint] = true
	}
}

// A seed alone does not repeat a run whose plan was changed.
func TestAChangedPlanIsReplayedAsItWas(t *testing.T) {
	o := Options{Suite: counter.Suite(), Scenarios: some[:1], Seeds: []Range{{7, 7}}, Set: stalling}
	s, err := Run(context.Background(), o)
	if want := "run smoke --seed 0x7 --regressions= --out= --set 'world.duration_ns=2000000' --set 'world.calm_ns=1'"; err != nil || s.Findings[0].Replay != want {
		t.Errorf("%v: %s, want %s", err, s.Findings[0].Replay, want)
	}
	o.Without = []string{"power"}
	s, err = Run(context.Background(), o)
	if want := "run smoke --seed 0x7 --regressions= --out= --set 'world.duration_ns=2000000' --set 'world.calm_ns=1' --without power"; err != nil || s.Findings[0].Replay != want {
		t.Errorf("%v: %s, want %s", err, s.Findings[0].Replay, want)
	}
	o.Dir = t.TempDir()
	s, err = Run(context.Background(), o)
	if f := s.Findings[0]; err != nil || f.Plan == "" || f.Replay != "replay "+f.Plan {
		t.Errorf("%v: %s, want to replay %s", err, f.Replay, f.Plan)
	}
}

func TestADirectoryThatTakesNothingIsNamedBeforeAnythingRuns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken := t.TempDir()
	if err := os.MkdirAll(filepath.Join(taken, "latest"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, taken} {
		if s, err := Run(context.Background(), Options{Suite: counter.Suite(), Scenarios: some[:1], Seeds: []Range{{1, 1}}, Dir: dir}); !errors.Is(err, artifacts.ErrDir) || s != nil {
			t.Errorf("%s: %v, want %v and no summary", dir, err, artifacts.ErrDir)
		}
	}
	if _, err := Run(context.Background(), Options{Suite: counter.Suite(), Scenarios: some[:1], Seeds: []Range{{1, 1}}, Regressions: file}); !errors.Is(err, ErrUsage) {
		t.Errorf("regressions in a file: %v, want %v", err, ErrUsage)
	}
}
