package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/harness/campaign"
)

func readPage(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Everything that replay and run name can be drawn.
func TestReportDrawsWhatCanBeNamed(t *testing.T) {
	dir := t.TempDir()
	_, stdout, _ := simrun(t, "run", "smoke", "--seeds=3", "--regressions=", "--out="+dir, "--set", "world.duration_ns=2000000", "--set", "world.calm_ns=1")
	var finding string
	for _, line := range linesOf(stdout) {
		if path, ok := strings.CutPrefix(line, "  picture: "); ok {
			finding = path
			break
		}
	}
	if page := readPage(t, finding); !strings.Contains(page, `"verdict":"violated"`) || !strings.Contains(page, "liveness/") {
		t.Errorf("run left no picture of its finding:\n%s", stdout)
	}
	if !strings.Contains(stdout, "page of the run: "+dir+"/latest/report.html") {
		t.Errorf("a red run does not name its page:\n%s", stdout)
	}
	latest := filepath.Join(dir, "latest")
	if page := readPage(t, filepath.Join(latest, "report.html")); !strings.Contains(page, "open the picture") || !strings.Contains(page, "smoke:0x1") || len(page) > 1<<20 {
		t.Errorf("the run's page has %d bytes, and does not name the seed and the picture:\n%.3000s", len(page), page)
	}
	for _, argument := range []string{"smoke:3", filepath.Dir(finding), filepath.Join(filepath.Dir(finding), "plan.json"), latest, "latest"} {
		to := filepath.Join(t.TempDir(), "page.html")
		code, stdout, stderr := simrun(t, "report", argument, "--out="+dir, "--to="+to)
		if code != campaign.ExitHeld || !strings.HasSuffix(strings.TrimSpace(stdout), ": "+to) || !strings.HasPrefix(readPage(t, to), "<!doctype html>") {
			t.Errorf("report %s: exit %d: %s%s", argument, code, stdout, stderr)
		}
	}
	code, stdout, _ := simrun(t, "report", "latest", "--out="+dir, "--json")
	var got reported
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || filepath.Base(got.Page) != "report.html" || got.Verdict != "violated" || got.Schema != campaign.Schema {
		t.Errorf("exit %d, %v: %s", code, err, stdout)
	}
}

func TestReportOfWhatIsNot(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		argument string
		code     int
		says     string
	}{
		{"nowhere.json", campaign.ExitNotReproduced, "nowhere.json"},
		{"smoke:x", campaign.ExitUsage, `seed "x"`},
		{"smokes:1", campaign.ExitUsage, "no scenario"},
		{dir, campaign.ExitUsage, "want a directory with plan.json or run.json"},
	} {
		code, stdout, stderr := simrun(t, "report", c.argument, "--out="+dir)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("report %s: exit %d, want %d and %q: %s%s", c.argument, code, c.code, c.says, stdout, stderr)
		}
	}
}
