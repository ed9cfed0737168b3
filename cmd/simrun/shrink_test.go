package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/harness/campaign"
)

// stalling writes a plan that fails by itself: it has no time to end.
func stalling(t *testing.T, dir string) string {
	t.Helper()
	p, err := scenarioPlan(t, "smoke", 7).Set([]string{"world.duration_ns=2000000", "world.calm_ns=1"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "plan.json")
	if err := os.WriteFile(path, p.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestShrinkWritesAPlanThatFailsSo(t *testing.T) {
	dir := t.TempDir()
	path := stalling(t, dir)
	code, stdout, stderr := simrun(t, "shrink", path)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	small := filepath.Join(dir, "shrunk.json")
	if code != campaign.ExitViolated || len(lines) > 26 || !strings.HasSuffix(lines[len(lines)-1], " replay "+small) || !strings.Contains(lines[0], "1-minimal") {
		t.Fatalf("exit %d, %d lines:\n%s%s", code, len(lines), stdout, stderr)
	}
	code, stdout, _ = simrun(t, "replay", small, "--json")
	var replay struct {
		Findings   []struct{ Checker string }
		Reproduced bool
	}
	if err := json.Unmarshal([]byte(stdout), &replay); err != nil || code != campaign.ExitViolated || !replay.Reproduced || replay.Findings[0].Checker != "liveness" {
		t.Errorf("exit %d, %v: %s", code, err, stdout)
	}
}

// A plan of replica groups becomes small as well: it comes to an end, with three nodes, one
// shard and no fault.
func TestShrinkOfReplicaGroupsEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.json")
	p, err := scenarioPlan(t, "failover", 2).Set([]string{"world.duration_ns=2000000", "world.calm_ns=1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, p.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := simrun(t, "shrink", path, "--json")
	var got shrunk
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != campaign.ExitViolated || !got.Minimal || got.Before <= 2 || got.After != 2 {
		t.Fatalf("exit %d, %v: %s%s", code, err, stdout, stderr)
	}
	small, err := readPlan(got.Plan)
	if err != nil {
		t.Fatal(err)
	}
	if c := &small.Cluster; c.Nodes != 3 || len(c.Shards) != 1 || len(c.Tenants) != 1 || len(small.World.Disruptions) != 0 {
		t.Errorf("%d nodes, %d shards, %d tenants, disruptions %v", c.Nodes, len(c.Shards), len(c.Tenants), small.World.Disruptions)
	}
}

// The contract that scripts rely on.
func TestShrinkJSON(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "small.json")
	code, stdout, _ := simrun(t, "shrink", stalling(t, dir), "--json", "--out", out)
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != campaign.ExitViolated {
		t.Fatalf("exit %d, %v: %s", code, err, stdout)
	}
	for name, want := range map[string]any{"schema": 1.0, "type": "shrunk", "minimal": true, "plan": out, "scenario": "smoke", "seed": "0x7", "exit": 1.0} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	for _, name := range []string{"entries_before", "entries_after", "runs", "cpu_ns", "fingerprint"} {
		if _, ok := got[name]; !ok {
			t.Errorf("there is no %s", name)
		}
	}
	if got["entries_after"].(float64) >= got["entries_before"].(float64) {
		t.Errorf("%v entries became %v", got["entries_before"], got["entries_after"])
	}
}

func TestShrinkExitCodes(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"a plan that holds", []string{"shrink", "smoke:1"}, campaign.ExitNotReproduced, "the plan does not fail: smoke seed 0x1 is held"},
		{"a broken file", []string{"shrink", broken}, campaign.ExitNotReproduced, "not a readable plan"},
		{"no file", []string{"shrink", "nowhere.json"}, campaign.ExitNotReproduced, "nowhere.json"},
		{"no budget", []string{"shrink", "smoke:1", "--budget", "0s"}, campaign.ExitUsage, "--budget"},
		{"a test that is none", []string{"shrink", "smoke:1", "--emit-test", "plan.go"}, campaign.ExitUsage, "_test.go"},
		{"nothing", []string{"shrink"}, campaign.ExitUsage, "accepts 1 arg"},
		{"latest of nothing", []string{"shrink", "latest", "--artifacts", dir}, campaign.ExitUsage, "has no finding"},
		{"a budget that is used up", []string{"shrink", stalling(t, dir), "--runs", "2"}, campaign.ExitViolated, "budget used up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if code, stdout, stderr := simrun(t, c.args...); code != c.code || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("exit %d, want %d and %q:\n%s%s", code, c.code, c.says, stdout, stderr)
			}
		})
	}
}

func TestShrinkLatest(t *testing.T) {
	dir := t.TempDir()
	simrun(t, "run", "smoke", "--seed=7", "--regressions=", "--out="+dir, "--set", "world.duration_ns=2000000", "--set", "world.calm_ns=1")
	code, stdout, stderr := simrun(t, "shrink", "latest", "--artifacts", dir)
	found, err := filepath.Glob(filepath.Join(dir, "latest", "findings", "*", "shrunk.json"))
	if code != campaign.ExitViolated || err != nil || len(found) != 1 {
		t.Errorf("exit %d, shrunk plans %q, %v:\n%s%s", code, found, err, stdout, stderr)
	}
}

// The test that is emitted compiles and fails, since the plan fails in every build.
func TestShrinkEmitsATest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "emitted")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "stall_test.go")
	if code, stdout, stderr := simrun(t, "shrink", stalling(t, t.TempDir()), "--emit-test", file); code != campaign.ExitViolated {
		t.Fatalf("exit %d:\n%s%s", code, stdout, stderr)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// The go command sees the file in the tree, where it is not.
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "emitted", "stall_test.go"): file}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "emitted.test")
	if out, err := exec.Command("go", "test", "-vet=off", "-c", "-o", binary, "-overlay", overlay, "./emitted").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(binary).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--- FAIL: TestSmokeLivenessNeverReturnedSeed7") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestDiff(t *testing.T) {
	recorded, _ := record(t, scenarioPlan(t, "lossy-network", 3))
	listed := filepath.Join(t.TempDir(), "listed.json")
	if err := os.WriteFile(listed, recorded.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := recorded
	changed.World.Disruptions[0].For++
	other := filepath.Join(t.TempDir(), "other.json")
	if err := os.WriteFile(other, changed.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		a, b string
		code int
		says []string
	}{
		{"equal", "smoke:1", "smoke:0x1", campaign.ExitHeld, []string{"EQUAL: "}},
		{"listed deviations", "lossy-network:3", listed, campaign.ExitHeld, []string{"EQUAL: ", "plan world.deviations.0.site: (none) | "}},
		{"other seeds", "smoke:1", "smoke:2", campaign.ExitViolated, []string{"DIFFERENT from event ", `plan world.seed: "0x1" | "0x2"`, "A >", "B >", "STARTS, incarnation 1"}},
		{"one value", listed, other, campaign.ExitViolated, []string{"DIFFERENT from event ", "plan world.disruptions.0.for_ns: "}},
		{"no file", "smoke:1", "nowhere.json", campaign.ExitNotReproduced, []string{"nowhere.json"}},
		{"no such scenario", "smoke:1", "smokes:1", campaign.ExitUsage, []string{"smokes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := simrun(t, "diff", c.a, c.b)
			if code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			for _, says := range c.says {
				if !strings.Contains(stdout+stderr, says) {
					t.Errorf("it never says %q:\n%s%s", says, stdout, stderr)
				}
			}
		})
	}
}

// The event that diff names is the first that differs.
func TestDiffNamesTheFirstDifference(t *testing.T) {
	code, stdout, _ := simrun(t, "diff", "smoke:1", "smoke:2", "--json")
	var d compared
	if err := json.Unmarshal([]byte(stdout), &d); err != nil || code != campaign.ExitViolated || d.Type != "diff" || d.Equal {
		t.Fatalf("exit %d, %v: %s", code, err, stdout)
	}
	_, a, _ := simrun(t, "hash", "smoke:1", "--events")
	_, b, _ := simrun(t, "hash", "smoke:2", "--events")
	linesA, linesB := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range d.Step {
		if linesA[i] != linesB[i] {
			t.Fatalf("event %d differs already: %s | %s", i, linesA[i], linesB[i])
		}
	}
	if linesA[d.Step] == linesB[d.Step] || d.A.Event != linesA[d.Step] || d.B.Event != linesB[d.Step] || d.Before[len(d.Before)-1] != linesA[d.Step-1] {
		t.Errorf("event %d: %s | %s", d.Step, d.A.Event, d.B.Event)
	}
}
