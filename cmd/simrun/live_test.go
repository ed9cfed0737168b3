package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/host/live"
)

func TestLive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	code, stdout, stderr := simrun(t, "live", "--json", "--rounds=6", "--round=800ms", "--clients=8", "--dir", dir) // some of the kills find a call under way
	var told lived
	if err := json.Unmarshal([]byte(stdout), &told); err != nil {
		t.Fatalf("%v: exit code %d\n%s%s", err, code, stdout, stderr)
	}
	if code != campaign.ExitHeld || told.Exit != code || told.Verdict != "held" || told.Kills != 6 || told.Acked < live.MinAcked || told.Dir != dir {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if segments, _ := filepath.Glob(filepath.Join(dir, "node", "data", "tenants", "*", "wal", "*", "*.seg")); len(segments) == 0 {
		t.Error("the directory that was named does not stay")
	}
}

func TestLiveSaysWhatItCannot(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--rounds=0"}, campaign.ExitUsage, "--rounds 0: want 1..1000000"},
		{[]string{"--clients=99"}, campaign.ExitUsage, "--clients 99: want 1..16"},
		{[]string{"--round=-1s"}, campaign.ExitUsage, "--round -1s: want a time like 100ms, up to a minute"},
		{[]string{"now"}, campaign.ExitUsage, "unknown command"},
		{[]string{"--rounds=1", "--round=1us", "--clients=1"}, campaign.ExitUndecided, "UNDECIDED: 1 kills"},
	} {
		code, stdout, stderr := simrun(t, append([]string{"live"}, c.args...)...)
		if code != c.code || !strings.Contains(stdout+stderr, c.says) {
			t.Errorf("live %v: exit code %d, want %d and %q\n%s%s", c.args, code, c.code, c.says, stdout, stderr)
		}
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) != 0 {
		t.Errorf("temporary directories stay: %v", left)
	}
}

func TestLiveTellsWhatIsWrong(t *testing.T) {
	var out strings.Builder
	c := &command{stdout: &out}
	r := &live.Result{
		Kills: 7, Verdict: checker.Violated, Elapsed: time.Second, History: new(history.History),
		Findings: []checker.Finding{{Checker: "no-loss", Rule: "lost-ack", Text: "what is lost"}},
	}
	if err := c.tellLife(r, &live.Options{Dir: "here"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"VIOLATED: 7 kills", "no-loss/lost-ack: what is lost", "everything is in here"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
	if c.code != campaign.ExitViolated {
		t.Errorf("exit code %d", c.code)
	}
}
