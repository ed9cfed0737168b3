package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/scenarios"
)

// record runs a plan and returns it as recorded by this binary, with its result.
func record(t *testing.T, p *scenarios.Plan) (*scenarios.Plan, *scenarios.Result) {
	t.Helper()
	got, err := scenarios.NewRunner().Run(p, scenarios.Options{Record: true})
	if err != nil {
		t.Fatal(err)
	}
	return got.Recorded(artifacts.Build()), got
}

// mended writes the recording of a run that once failed, by another binary, and holds now.
func mended(t *testing.T, change func(*scenarios.Plan)) string {
	t.Helper()
	p, _ := record(t, scenarioPlan(t, "crash-restart", 5))
	p.Recorded.Fingerprint, p.Recorded.Build = "no-loss/lost-ack", "before the fix"
	if change != nil {
		change(p)
	}
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(path, p.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// From the replay that no longer fails to the regression that every run looks at.
func TestAMendedFindingIsKept(t *testing.T) {
	path, dir := mended(t, nil), t.TempDir()
	code, stdout, _ := simrun(t, "replay", path)
	line := program() + " shrink " + path + ` --keep NAME --lesson "WHAT IT TAUGHT"`
	if code != campaign.ExitNotReproduced || !strings.Contains(stdout, "it no longer fails") || !strings.Contains(stdout, line) || strings.Contains(stdout, "stale") {
		t.Fatalf("exit %d, want %d, that it no longer fails, and what to type:\n%s", code, campaign.ExitNotReproduced, stdout)
	}
	_, stdout, _ = simrun(t, "replay", path, "--json")
	var r replayed
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || !r.Mended || r.Reproduced || r.Exit != campaign.ExitNotReproduced {
		t.Errorf("%v: %s", err, stdout)
	}

	kept := filepath.Join(dir, "crash-restart", "acknowledged-and-lost.json")
	code, stdout, stderr := simrun(t, "shrink", path, "--keep", "acknowledged-and-lost", "--lesson", "sync first", "--regressions", dir)
	if code != campaign.ExitHeld || !strings.Contains(stdout, "no longer fails; it once showed no-loss/lost-ack\nkept as "+kept) {
		t.Fatalf("exit %d:\n%s%s", code, stdout, stderr)
	}
	code, stdout, _ = simrun(t, "replay", kept)
	if code != campaign.ExitHeld || !strings.Contains(stdout, "what it taught: sync first") {
		t.Errorf("replay of what was kept: exit %d:\n%s", code, stdout)
	}
	code, stdout, stderr = simrun(t, "run", "crash-restart", "--seeds=1", "--out=", "--regressions", dir)
	if code != campaign.ExitHeld || !strings.Contains(stdout, "1 committed regressions ran first") {
		t.Errorf("run: exit %d:\n%s%s", code, stdout, stderr)
	}
}

// A finding that still fails is shrunk and kept: run is red until its bug is mended.
func TestAFindingIsShrunkAndKept(t *testing.T) {
	path, dir := stalling(t, t.TempDir()), t.TempDir()
	code, stdout, _ := simrun(t, "shrink", path, "--keep", "never-ends", "--lesson", "give it time", "--regressions", dir, "--json")
	var got shrunk
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != campaign.ExitViolated || got.Kept != filepath.Join(dir, "smoke", "never-ends.json") {
		t.Fatalf("exit %d, %v: %s", code, err, stdout)
	}
	kept, err := readPlan(got.Kept)
	if err != nil || kept.Lesson != "give it time" || kept.Recorded.Fingerprint != got.Fingerprint {
		t.Errorf("%v: %+v", err, kept)
	}
	if code, stdout, _ := simrun(t, "run", "smoke", "--seeds=1", "--out=", "--regressions", dir); code != campaign.ExitViolated || !strings.Contains(stdout, "never-ends.json") {
		t.Errorf("run: exit %d:\n%s", code, stdout)
	}
}

// An interrupted shrinking writes its plan and does not keep it: it may be far from small.
func TestWhatIsInterruptedIsNotKept(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	path := stalling(t, dir)
	var out, complaint bytes.Buffer
	code := execute(ctx, []string{"shrink", path, "--keep", "never-ends", "--lesson", "x", "--regressions", dir}, strings.NewReader(""), &out, &complaint)
	if code != campaign.ExitInterrupted || !strings.Contains(complaint.String(), "not kept, since shrinking was interrupted") || strings.Contains(out.String(), "kept as") {
		t.Errorf("exit %d:\n%s%s", code, &out, &complaint)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*", "*.json")); len(found) > 0 {
		t.Errorf("there are %q", found)
	}
}

func TestWhatIsNotKept(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "crash-restart", "taken.json")
	if err := os.MkdirAll(filepath.Dir(taken), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(taken, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	never := func(p *scenarios.Plan) {
		for i := range p.World.Disruptions {
			p.World.Disruptions[i].When.Nth, p.World.Disruptions[i].When.By = 1<<30, 0
		}
	}
	idle := func(p *scenarios.Plan) { p.Workload.Operations, p.World.Disruptions = 0, nil }
	for _, c := range []struct {
		name, keep, lesson string
		change             func(*scenarios.Plan)
		code               int
		says               string
	}{
		{"a name that is taken", "taken", "x", nil, campaign.ExitUsage, taken + " is there already"},
		{"a name with a directory", "../taken", "x", nil, campaign.ExitUsage, "want words of small letters and digits"},
		{"a name with an ending", "name.json", "x", nil, campaign.ExitUsage, "want words of small letters and digits"},
		{"a name with capitals", "Name", "x", nil, campaign.ExitUsage, "want words of small letters and digits"},
		{"a name that is long", strings.Repeat("a", maxName+1), "x", nil, campaign.ExitUsage, "at most 64 bytes"},
		{"no lesson", "name", "", nil, campaign.ExitUsage, "says what it taught"},
		{"no name", "", "x", nil, campaign.ExitUsage, "name it with --keep NAME"},
		{"nothing that ever failed", "name", "x", func(p *scenarios.Plan) { p.Recorded = nil }, campaign.ExitNotReproduced, "no record that it did"},
		{"a plan whose moments are gone", "name", "x", never, campaign.ExitNotReproduced, "none of its disruptions begins any more"},
		{"a plan in which nothing is acknowledged", "name", "x", idle, campaign.ExitNotReproduced, "it would prove nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := simrun(t, "shrink", mended(t, c.change), "--keep", c.keep, "--lesson", c.lesson, "--regressions", dir)
			if code != c.code || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("exit %d, want %d and %q:\n%s%s", code, c.code, c.says, stdout, stderr)
			}
		})
	}
	if code, stdout, stderr := simrun(t, "shrink", mended(t, nil), "--keep", "name", "--lesson", "x", "--regressions", taken); code != campaign.ExitUsage || !strings.Contains(stderr, "not a directory; name the directory") {
		t.Errorf("regressions in a file: exit %d:\n%s%s", code, stdout, stderr)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	text, _ := os.ReadFile(taken)
	if err != nil || len(files) != 1 || string(text) != "theirs" {
		t.Errorf("%v: there are %q now, the first of which holds %q", err, files, text)
	}
}
