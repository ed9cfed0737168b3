package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/harness/campaign"
)

func linesOf(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

// A reader that knows where to look gets that part, and the faults that hit all.
func TestATraceIsChosenFrom(t *testing.T) {
	_, whole, _ := simrun(t, "replay", "failover:5", "--trace")
	for _, c := range []struct {
		args    []string
		has     string
		hasNot  string
		divisor int // of the whole trace at most so much is left
	}{
		{[]string{"--around", "237ms"}, "FAULT 0 BEGINS", " 231.", 10},
		{[]string{"--around", "237ms", "--window", "2ms"}, "FAULT 0 BEGINS", " 234.", 50},
		{[]string{"--tenant", "0"}, "tenant 0 slot", "tenant 1 slot 0 session", 1},
		{[]string{"--tenant", "0", "--slot", "1"}, "tenant 0 slot 1", "tenant 0 slot 0 session", 1},
		{[]string{"--node", "2"}, "node 2", "node 0    disk: ", 1},
	} {
		_, stdout, stderr := simrun(t, append([]string{"replay", "failover:5"}, c.args...)...)
		n, all := len(linesOf(stdout)), len(linesOf(whole))
		if !strings.Contains(stdout, c.has) || strings.Contains(stdout, c.hasNot) || n >= all/c.divisor || n < 5 {
			t.Errorf("%v: %d of %d lines, want %q and not %q\n%s", c.args, n, all, c.has, c.hasNot, stderr)
		}
	}
	code, _, stderr := simrun(t, "replay", "smoke:1", "--tenant", "x")
	if code != campaign.ExitUsage || !strings.Contains(stderr, "not a tenant ID") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// Each line of a trace is JSON with a schema; the verdict comes last, as without a trace.
func TestATraceAsJSON(t *testing.T) {
	_, stdout, _ := simrun(t, "replay", "lossy-network:3", "--trace", "--json")
	_, verdict, _ := simrun(t, "replay", "lossy-network:3", "--json")
	if !strings.HasSuffix(stdout, verdict) {
		t.Errorf("it does not end with the verdict: %s", verdict)
	}
	kinds := map[string]int{}
	for i, line := range linesOf(strings.TrimSuffix(stdout, verdict)) {
		var e struct {
			Schema, Line int
			Type, Kind   string
			Of           *int
			Message      uint64
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Schema != campaign.Schema || e.Type != "event" || e.Line != i {
			t.Fatalf("line %d: %v: %s", i, err, line)
		}
		if e.Kind == "arrive" && (e.Of == nil || e.Message == 0) {
			t.Errorf("an arrival does not say what arrives: %s", line)
		}
		kinds[e.Kind]++
	}
	for _, kind := range []string{"send", "arrive", "lose", "chance", "submit", "durable", "point", "start", "call", "ack", "fault-begins", "calm"} {
		if kinds[kind] == 0 {
			t.Errorf("no line of kind %s in %v", kind, kinds)
		}
	}
}

func TestATraceMarksTheFinding(t *testing.T) {
	dir := t.TempDir()
	simrun(t, "run", "smoke", "--seed=7", "--regressions=", "--out="+dir, "--set", "world.duration_ns=2000000", "--set", "world.calm_ns=1")
	code, stdout, _ := simrun(t, "replay", "latest", "--trace", "--out="+dir)
	if code != campaign.ExitViolated || !strings.Contains(stdout, ">>>>>>>> FINDING liveness/") {
		t.Errorf("exit %d, the finding is not marked in:\n%.2000s", code, stdout)
	}
}
