package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/harness/verdict"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/scenarios/suite"
)

// asCommand makes the test binary the command itself: for the other process of
// the determinism check, and for signals.
const asCommand = "TIDALSIM_TEST_AS_COMMAND"

// liar makes that other process report wrong hashes.
const liar = "TIDALSIM_TEST_LIAR"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(liar) != "" && len(os.Args) > 1 && os.Args[1] == "hash":
		var out bytes.Buffer
		code := execute(context.Background(), os.Args[1:], os.Stdin, &out, os.Stderr)
		os.Stdout.WriteString(strings.ReplaceAll(out.String(), "a", "b"))
		os.Exit(code)
	case os.Getenv(asCommand) != "" && len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test."):
		main()
	}
	os.Setenv(asCommand, "1")
	os.Exit(m.Run())
}

// simrun runs one command line in this process, with artifacts in a directory of
// the test's own.
func simrun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, complaint bytes.Buffer
	code = execute(context.Background(), args, strings.NewReader(""), &out, &complaint)
	return code, out.String(), complaint.String()
}

// small keeps a campaign short, and its artifacts out of the tree.
func small(t *testing.T, args ...string) []string {
	return append(args, "--seeds=3", "--regressions=", "--out="+t.TempDir())
}

func TestExitCodes(t *testing.T) {
	stalls := []string{"--set", "world.duration_ns=2000000", "--set", "world.calm_ns=1"}
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"format":"tidalsim-plan",`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		says string // on stdout or stderr
	}{
		{"all held", small(t, "run", "smoke"), campaign.ExitHeld, "HELD: 3 seeds"},
		{"a checker objects", small(t, append([]string{"run", "smoke"}, stalls...)...), campaign.ExitViolated, "liveness"},
		{"an unknown scenario", small(t, "run", "smokes"), campaign.ExitUsage, `no scenario or group "smokes"; did you mean smoke?`},
		{"a malformed seed", small(t, "run", "--seed", "0xzz"), campaign.ExitUsage, `seed "0xzz"`},
		{"a malformed range", []string{"run", "--seeds", "9-3", "--out="}, campaign.ExitUsage, "--seeds 9-3: want N from 1 on"},
		{"seeds named twice", small(t, "run", "smoke", "--seed", "7"), campaign.ExitUsage, "both say which seeds run"},
		{"a number of seeds and a time", small(t, "run", "smoke", "--for", "1s"), campaign.ExitUsage, "want one of them"},
		{"artifacts in a file", []string{"run", "smoke", "--seeds=1", "--out", "main.go"}, campaign.ExitUsage, "name another directory with --out"},
		{"a malformed shard", small(t, "run", "--shard", "3/2"), campaign.ExitUsage, "want k/n"},
		{"a malformed share", small(t, "run", "--porcupine", "ten"), campaign.ExitUsage, "want a share"},
		{"an unknown flag", []string{"run", "--fast"}, campaign.ExitUsage, "unknown flag: --fast"},
		{"an unknown command", []string{"runn"}, campaign.ExitUsage, `unknown command "runn"`},
		{"a value that is not in plans", small(t, "run", "smoke", "--set", "workload.operation=5"), campaign.ExitUsage, `unknown field "operation"`},
		{"a value out of range", small(t, "run", "smoke", "--set", "workload.concurrency=99"), campaign.ExitUsage, "99 at once; want"},
		{"too little was acknowledged", small(t, "run", "calm", "--set", "workload.operations=2"), campaign.ExitUndecided, "want at least 100"},
		{"nothing ran", []string{"run", "smoke", "--seeds=1", "--shard=2/2", "--regressions=", "--out="}, campaign.ExitNothingRan, "no seed was run"},
		{"a plan file that breaks off", []string{"replay", broken}, campaign.ExitNotReproduced, "unexpected end of JSON input"},
		{"no such plan file", []string{"replay", "nowhere.json"}, campaign.ExitNotReproduced, "nowhere.json: no such file or directory; want the file of a plan that is there"},
		{"no such directory of plans", []string{"replay", "nowhere/plan"}, campaign.ExitNotReproduced, "nowhere/plan"},
		{"replay of a malformed seed", []string{"replay", "smoke:x"}, campaign.ExitUsage, `seed "x"`},
		{"replay of a scenario without a seed", []string{"replay", "smoke"}, campaign.ExitUsage, "want SCENARIO:SEED"},
		{"replay until before the beginning", []string{"replay", "smoke:1", "--until=-1s"}, campaign.ExitUsage, "want no negative time"},
		{"replay of the beginning", []string{"replay", "smoke:1", "--until=2ms"}, campaign.ExitUndecided, "stopped before its end"},
		{"an unknown shell", []string{"completion", "cmd.exe"}, campaign.ExitUsage, "unknown command"},
		{"nothing to replay", []string{"replay", "latest", "--out", t.TempDir()}, campaign.ExitUsage, "has no finding"},
		{"something required was not reached", small(t, "run", "calm", "--require-reached"), campaign.ExitNotReached, "recovery.cut"},
		{"an unknown mistake", []string{"selftest", "--only", "nothing"}, campaign.ExitUsage, "no such mistake"},
		{"a bench of nothing", []string{"bench", "--for", "0s"}, campaign.ExitUsage, "--for 0s: want a time like 5s"},
		{"a file that is no log", []string{"wal", "main.go"}, campaign.ExitUsage, "not a file of a slot's log"},
		{"a segment", []string{"wal", "../../core/wal/testdata/v1/3-41.seg"}, campaign.ExitHeld, `"is":"header"`},
		{"an unknown list", []string{"list", "things"}, campaign.ExitUsage, "things"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := simrun(t, c.args...)
			if code != c.code || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("exit %d, want %d and %q in:\n%s%s", code, c.code, c.says, stdout, stderr)
			}
		})
	}
}

// run refuses a regression that no run would replay, and says which file it is and where it
// belongs.
func TestRegressionsHaveAPlace(t *testing.T) {
	dir := t.TempDir()
	stray := filepath.Join(dir, "x.json")
	if err := os.WriteFile(stray, scenarioPlan(t, "smoke", 5).Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	run := []string{"run", "smoke", "--seeds=1", "--out="}
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{append(run, "--regressions", dir), campaign.ExitUsage, "",
			"simrun: " + stray + ": cannot be understood: it lies in no scenario's directory, so it would never run; move it to " + filepath.Join(dir, "smoke") + "/\n"},
		{append(run, "--regressions", dir+"/no"), campaign.ExitUsage, "",
			"simrun: --regressions " + dir + "/no: cannot be understood: stat " + dir + "/no: no such file or directory; name the directory of the committed plans, or none with --regressions=\n"},
		{run, campaign.ExitHeld, "HELD", "no committed regressions run: there is no testdata/regressions here; --regressions names another directory\n"},
	} {
		code, stdout, stderr := simrun(t, c.args...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || stderr != c.stderr {
			t.Errorf("%v: exit %d, want %d:\n%s%swant %s", c.args, code, c.code, stdout, stderr, c.stderr)
		}
	}
}

func TestAnotherProcessConfirms(t *testing.T) {
	args := small(t, "run", "smoke", "crash-restart", "--check-determinism=100%")
	if code, stdout, stderr := simrun(t, args...); code != campaign.ExitHeld || !strings.Contains(stdout, "6 seeds ran again") {
		t.Errorf("exit %d:\n%s%s", code, stdout, stderr)
	}
	t.Setenv(liar, "1")
	code, stdout, _ := simrun(t, args...)
	if code != campaign.ExitNondeterminism || !strings.Contains(stdout, "differ in event") {
		t.Errorf("another process reports other hashes, yet exit %d:\n%s", code, stdout)
	}
}

func TestASurvivingMistakeIsReported(t *testing.T) {
	// One seed is not enough for what needs a crash in the right place.
	code, stdout, stderr := simrun(t, "selftest", "--only", "names-durable-before-removal", "--budget", "1", "--json")
	if code != campaign.ExitSurvived || !strings.Contains(stdout, `"found":false`) {
		t.Errorf("exit %d:\n%s%s", code, stdout, stderr)
	}
}

// panicky is a terminal that goes wrong.
type panicky struct{}

func (panicky) Write([]byte) (int, error) { panic("the terminal is gone") }

func TestAPanicIsAnInternalError(t *testing.T) {
	var complaint bytes.Buffer
	code := execute(context.Background(), []string{"version"}, nil, panicky{}, &complaint)
	if code != campaign.ExitInternal || !strings.Contains(complaint.String(), "the terminal is gone") {
		t.Errorf("exit %d: %s", code, &complaint)
	}
}

// full is a disk, or a pipe, that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A lost result has not been read: the command must not end as if it had.
func TestALostResultIsAnError(t *testing.T) {
	for _, args := range [][]string{small(t, "run", "smoke"), small(t, "run", "smoke", "--json"), {"list", "points"}, {"version"}, {"replay", "smoke:1"}, {"hash", "smoke:1"}, {}} {
		var complaint bytes.Buffer
		if code := execute(context.Background(), args, nil, full{}, &complaint); code != campaign.ExitInternal || !strings.Contains(complaint.String(), "no space left") {
			t.Errorf("%v: exit %d: %s", args, code, &complaint)
		}
	}
}

// One mistake may fail every seed; a log of thousands of reports is not read.
func TestAFrequentBugIsToldOnce(t *testing.T) {
	args := []string{"run", "calm", "--seeds=40", "--regressions=", "--out=", "--set", "world.duration_ns=2000000", "--set", "world.calm_ns=1"}
	for _, c := range []struct {
		flag  string
		seeds int
		says  string
	}{
		{"--max-violated=20", 20, "calm stopped after 20 seeds, as 20 of them were violated; --max-violated 0 goes on\n"},
		{"--max-violated=3", 3, "calm stopped after 3 seeds, as 3 of them were violated; --max-violated 0 goes on\n"},
		{"--max-violated=0", 40, "VIOLATED: 40 seeds"},
	} {
		code, stdout, _ := simrun(t, append(args, c.flag)...)
		for _, want := range []string{c.says, fmt.Sprintf("VIOLATED: %d seeds", c.seeds), "\nfound liveness/"} {
			if code != campaign.ExitViolated || !strings.Contains(stdout, want) {
				t.Errorf("%s: exit %d, no %q in:\n%s", c.flag, code, want, stdout)
			}
		}
		if told, kinds := strings.Count(stdout, "FAIL calm"), strings.Count(stdout, "\nfound "); told != kinds {
			t.Errorf("%s: %d seeds are told in full, of %d kinds", c.flag, told, kinds)
		}
		_, stdout, _ = simrun(t, append(args, c.flag, "--json")...)
		s, counted := summaryOf(t, stdout), 0
		for _, k := range s.Kinds {
			counted += k.Count
		}
		if s.Scenarios[0].Seeds != c.seeds || s.Scenarios[0].Stopped != (c.seeds < 40) || counted != c.seeds || strings.Count(stdout, `"type":"finding"`) != c.seeds {
			t.Errorf("%s: %s", c.flag, stdout)
		}
	}
	// Twenty is the rule.
	if _, stdout, _ := simrun(t, append(args, "--json")...); summaryOf(t, stdout).Seeds != 20 {
		t.Errorf("without a flag: %s", stdout)
	}
}

// A replay that is cut short ends at that very time, also while a disruption waits for its
// moment; one that ends before is judged.
func TestReplayUntil(t *testing.T) {
	for _, c := range []struct {
		name, until string
		code        int
		simulated   int64 // ns; -1: whenever the run ends
	}{
		{"smoke:3", "2ms", campaign.ExitUndecided, 2_000_000},
		{"partition:3", "2ms", campaign.ExitUndecided, 2_000_000},
		{"partition:3", "1.5s", campaign.ExitUndecided, 1_500_000_000},
		{"smoke:3", "10m", campaign.ExitHeld, -1},
	} {
		code, stdout, stderr := simrun(t, "replay", c.name, "--until", c.until, "--json")
		var got replayed
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != c.code || c.simulated >= 0 && got.Simulated != c.simulated {
			t.Errorf("%s until %s: exit %d, want %d at %d ns, %v: %s%s", c.name, c.until, code, c.code, c.simulated, err, stdout, stderr)
		}
	}
}

func TestHashesAsJSON(t *testing.T) {
	_, text, _ := simrun(t, "hash", "smoke:1")
	_, stdout, _ := simrun(t, "hash", "smoke:1", "--json")
	var got hashed
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Name+" "+got.Trace+"\n" != text || len(got.Events) != 0 {
		t.Errorf("%v: %s, want %s", err, stdout, text)
	}
	_, stdout, _ = simrun(t, "hash", "smoke:1", "--json", "--events")
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || len(got.Events) < 1000 {
		t.Errorf("%v: %d events", err, len(got.Events))
	}
}

func TestInterruptsLeaveValidResults(t *testing.T) {
	for signal, want := range map[os.Signal]int{os.Interrupt: campaign.ExitInterrupted, syscall.SIGTERM: campaign.ExitTerminated} {
		t.Run(signal.String(), func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0], "run", "smoke", "--for=60s", "--json", "--regressions=", "--out="+dir)
			var out bytes.Buffer
			cmd.Stdout = &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, filepath.Join(dir, "latest", "seeds.jsonl"))
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != want {
				t.Fatalf("%v, want exit %d", err, want)
			}
			if s := summaryOf(t, out.String()); s.Seeds == 0 || s.Exit != campaign.ExitInterrupted {
				t.Errorf("summary %+v", s)
			}
			if _, err := os.Stat(filepath.Join(dir, "latest", "junit.xml")); err != nil {
				t.Error(err)
			}
		})
	}
}

// Whatever a command is at, the first interrupt ends it soon.
func TestEveryLongCommandCanBeInterrupted(t *testing.T) {
	for _, args := range [][]string{
		{"bench", "calm", "--for", "60s"}, {"hash", "smoke:1"}, {"report", "smoke:1"}, {"selftest", "--only", "ack-after-sync"}, {"live", "--rounds", "1000"},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		var out, complaint bytes.Buffer
		if code := execute(ctx, args, strings.NewReader(""), &out, &complaint); code != campaign.ExitInterrupted || !strings.Contains(complaint.String(), "interrupted") {
			t.Errorf("%v: exit %d: %s%s", args, code, &out, &complaint)
		}
	}
}

// waitFor waits until the file holds a finished seed.
func waitFor(t *testing.T, path string) {
	t.Helper()
	for range 500 {
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(`"type":"seed"`)) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no seed ended in %s", path)
}

func summaryOf(t *testing.T, out string) campaign.Summary {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var s campaign.Summary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil || s.Type != "summary" {
		t.Fatalf("%v: the last line is %s", err, lines[len(lines)-1])
	}
	return s
}

// The contract that scripts rely on: names of fields and their sums.
func TestJSONContract(t *testing.T) {
	code, stdout, _ := simrun(t, small(t, "run", "smoke", "lossy-network", "--json")...)
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s", code, err, stdout)
	}
	for _, name := range []string{
		"schema", "type", "scenarios", "seeds", "held", "violated", "undecided", "events", "simulated_ns", "wall_ns", "operations", "acked", "trace", "exit",
	} {
		if _, ok := got[name]; !ok {
			t.Errorf("the summary has no %s", name)
		}
	}
	if got["seeds"] != 6.0 || got["held"] != 6.0 || got["schema"] != 1.0 {
		t.Errorf("%v", got)
	}
}

func TestAFindingIsReplayedFromSeedAndFromFile(t *testing.T) {
	dir := t.TempDir()
	args := []string{"run", "smoke", "--seed=7", "--regressions=", "--out=" + dir, "--set", "world.duration_ns=2000000", "--set", "world.calm_ns=1"}
	_, stdout, _ := simrun(t, args...)
	if lines := strings.Split(strings.SplitN(stdout, "\n\n", 2)[0], "\n"); len(lines) > 12 || !strings.Contains(lines[len(lines)-1], " replay "+dir) {
		t.Errorf("a finding has %d lines, the last is not the replay line alone:\n%s", len(lines), stdout)
	}
	_, stdout, _ = simrun(t, append(args, "--json")...)
	var finding struct{ Type, Scenario, Seed, Checker, Fingerprint, Plan string }
	if err := json.Unmarshal([]byte(strings.SplitN(stdout, "\n", 2)[0]), &finding); err != nil || finding.Type != "finding" || finding.Seed != "0x7" {
		t.Fatalf("%v: %s", err, stdout)
	}
	for _, argument := range []string{finding.Plan, "latest"} {
		code, stdout, stderr := simrun(t, "replay", argument, "--out", dir)
		if code != campaign.ExitViolated || !strings.Contains(stdout, finding.Fingerprint) {
			t.Errorf("replay %s: exit %d:\n%s%s", argument, code, stdout, stderr)
		}
	}
}

func TestRecordingsThatDoNotReproduce(t *testing.T) {
	p, got := record(t, scenarioPlan(t, "crash-restart", 5))
	if got.Verdict.String() != "held" {
		t.Fatal(got.Verdict)
	}
	for _, c := range []struct {
		name   string
		change func(*scenarios.Plan)
		code   int
		says   string
	}{
		{"as recorded", func(*scenarios.Plan) {}, campaign.ExitHeld, "held"},
		{"recorded as violated", func(p *scenarios.Plan) { p.Recorded.Fingerprint = "no-loss/lost-ack" }, campaign.ExitNotReproduced, "recorded was"},
		{"violated, with a lesson: its bug is gone", func(p *scenarios.Plan) { p.Recorded.Fingerprint, p.Lesson = "no-loss/lost-ack", "sync first" }, campaign.ExitHeld, "sync first"},
		{"with a lesson, and its moments are gone", func(p *scenarios.Plan) {
			p.Recorded.Fingerprint, p.Lesson = "no-loss/lost-ack", "sync first"
			for i := range p.World.Disruptions {
				p.World.Disruptions[i].When.Nth, p.World.Disruptions[i].When.By = 1<<30, 0
			}
		}, campaign.ExitNotReproduced, "the plan is stale"},
		{"violated, by another binary: its bug is gone", func(p *scenarios.Plan) { p.Recorded.Fingerprint, p.Recorded.Build = "no-loss/lost-ack", "old" }, campaign.ExitNotReproduced, `it no longer fails: "no-loss/lost-ack" was recorded`},
		{"violated, by another binary, and its moments are gone", func(p *scenarios.Plan) {
			p.Recorded.Fingerprint, p.Recorded.Build = "no-loss/lost-ack", "old"
			for i := range p.World.Disruptions {
				p.World.Disruptions[i].When.Nth, p.World.Disruptions[i].When.By = 1<<30, 0
			}
		}, campaign.ExitNotReproduced, "the plan is stale"},
		{"recorded with another trace by this binary", func(p *scenarios.Plan) { p.Recorded.Trace = "0" }, campaign.ExitNondeterminism, "another trace"},
		{"recorded with another trace by another binary", func(p *scenarios.Plan) { p.Recorded.Trace, p.Recorded.Build = "0", "old" }, campaign.ExitHeld, "another binary"},
		{"of a future version", func(p *scenarios.Plan) { p.Version = 99 }, campaign.ExitNotReproduced, fmt.Sprintf("version 99, this binary reads up to %d", scenarios.Version)},
		{"of another format", func(p *scenarios.Plan) { p.Format = "kubernetes" }, campaign.ExitNotReproduced, `format is "kubernetes"`},
		{"of a scenario that is gone", func(p *scenarios.Plan) { p.Scenario = "gone" }, campaign.ExitNotReproduced, `"gone"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed, err := scenarios.DecodePlan(p.Encode())
			if err != nil {
				t.Fatal(err)
			}
			c.change(changed)
			path := filepath.Join(t.TempDir(), "plan.json")
			if err := os.WriteFile(path, changed.Encode(), 0o600); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := simrun(t, "replay", path)
			if code != c.code || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("exit %d, want %d and %q:\n%s%s", code, c.code, c.says, stdout, stderr)
			}
		})
	}
}

func scenarioPlan(t *testing.T, name string, seed uint64) *scenarios.Plan {
	t.Helper()
	p, err := find(fmt.Sprintf("%s:%d", name, seed), "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEnvironmentSetsFlags(t *testing.T) {
	t.Setenv("SIMRUN_SEEDS", "2")
	_, stdout, _ := simrun(t, "run", "smoke", "--regressions=", "--out=", "--json")
	if s := summaryOf(t, stdout); s.Seeds != 2 {
		t.Errorf("%d seeds, want the 2 of SIMRUN_SEEDS", s.Seeds)
	}
	_, stdout, _ = simrun(t, "run", "smoke", "--regressions=", "--out=", "--json", "--seeds=1")
	if s := summaryOf(t, stdout); s.Seeds != 1 {
		t.Errorf("%d seeds, want the 1 of the flag", s.Seeds)
	}
	_, stdout, _ = simrun(t, "run", "smoke", "--regressions=", "--out=", "--json", "--seed=1", "--seed=2", "--seed=3")
	if s := summaryOf(t, stdout); s.Seeds != 3 {
		t.Errorf("%d seeds, want the 3 of the flag, and not those of SIMRUN_SEEDS", s.Seeds)
	}
	t.Setenv("SIMRUN_SEED", "9")
	_, stdout, _ = simrun(t, "run", "smoke", "--regressions=", "--out=", "--json", "--seeds=4")
	if s := summaryOf(t, stdout); s.Seeds != 4 {
		t.Errorf("%d seeds, want the 4 of the flag, and not that of SIMRUN_SEED", s.Seeds)
	}
	t.Setenv("SIMRUN_WORKERS", "many")
	if code, _, stderr := simrun(t, "run", "smoke"); code != campaign.ExitUsage || !strings.Contains(stderr, "SIMRUN_WORKERS=many") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestBench(t *testing.T) {
	code, stdout, stderr := simrun(t, "bench", "smoke", "--for", "50ms", "--seeds", "3", "--json")
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s%s", code, err, stdout, stderr)
	}
	for _, name := range []string{
		"events_per_sec", "cpu_ns_per_event_milli", "cpu_ns_per_operation_milli", "operations_per_simulated_sec",
		"seeds_per_sec_milli", "simulated_to_real_milli", "events_per_simulated_sec", "peak_rss_bytes", "workers", "schema",
	} {
		if n, ok := got[name].(float64); !ok || n <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if _, ok := got["allocs_per_event_milli"]; !ok || got["type"] != "bench" || got["scenario"] != "smoke" {
		t.Errorf("%v", got)
	}
}

// Without checkers a bench measures the same runs, and no judge sees them.
func TestBenchWithoutCheckers(t *testing.T) {
	p := suite.Tenants().Draw("smoke", 3)
	judged, err := suite.Tenants().NewRunner().Run(p, harness.Options{})
	if err != nil || judged.Verdict != verdict.Held {
		t.Fatalf("judged: %+v, %v", judged, err)
	}
	alone, err := suite.Tenants().NewRunner().Run(p, harness.Options{Unjudged: true})
	if err != nil || alone.Verdict != verdict.Undecided || alone.Why != harness.WhyUnjudged || alone.Trace != judged.Trace || alone.Operations != judged.Operations {
		t.Errorf("without judges: %+v, %v", alone, err)
	}
	if code, stdout, stderr := simrun(t, "bench", "smoke", "--for", "20ms", "--seeds", "2", "--no-checkers"); code != 0 || !strings.Contains(stdout, "ns of CPU per operation") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	if code, _, stderr := simrun(t, "bench", "smoke", "--porcupine", "--no-checkers"); code != campaign.ExitUsage || !strings.Contains(stderr, "no-checkers") {
		t.Errorf("both flags: exit %d: %s", code, stderr)
	}
}

func TestHelpHasEightLines(t *testing.T) {
	_, stdout, _ := simrun(t)
	if n := strings.Count(stdout, "\n"); n != 8 {
		t.Errorf("%d lines:\n%s", n, stdout)
	}
}

func TestListsNameWhatThereIs(t *testing.T) {
	for list, wanted := range map[string]string{
		"scenarios": "crash-restart", "checkers": "linearizable", "faults": "disk.torn", "points": "ack.sending", "safety": "ack-after-sync",
	} {
		if code, stdout, stderr := simrun(t, "list", list); code != 0 || !strings.Contains(stdout, wanted) {
			t.Errorf("list %s: exit %d, no %q in:\n%s%s", list, code, wanted, stdout, stderr)
		}
	}
}

// A story is for reading: it has the lines that a reader looks for, and telling it changes nothing.
func TestAStoryTellsTheRun(t *testing.T) {
	_, plain, _ := simrun(t, "replay", "smoke:3")
	code, told, _ := simrun(t, "replay", "smoke:3", "--trace")
	if code != 0 || !strings.HasSuffix(told, plain) {
		t.Errorf("exit %d; the verdict with a story differs from the one without", code)
	}
	for _, wanted := range []string{"STARTS, incarnation 2", "FAULT 0 BEGINS", "CALLS #0", "acked at seq", "disk: sync", "sends ack to client"} {
		if !strings.Contains(told, wanted) {
			t.Errorf("the story never says %q", wanted)
		}
	}
	if diff := cmp.Diff(told, func() string { _, again, _ := simrun(t, "replay", "smoke:3", "--trace"); return again }()); diff != "" {
		t.Errorf("told twice (-first +second):\n%s", diff)
	}
}
