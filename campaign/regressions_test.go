package campaign

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/scenarios"
)

// A plan that no run replays proves nothing, so that every file has to be in its place and
// readable, whichever scenarios run.
func TestARegressionThatWouldNotRunIsAnError(t *testing.T) {
	plan := string(scenarios.All()[0].Plan(5).Encode())
	for _, c := range []struct {
		name, path, text string
		err              error
		says             string // after the directory
	}{
		{"in no directory", "x.json", plan, ErrUsage, "/x.json: cannot be understood: it lies in no scenario's directory, so it would never run; move it to DIR/smoke/"},
		{"one too deep", "smoke/old/x.json", plan, ErrUsage, "/smoke/old/x.json: cannot be understood: it lies in no scenario's directory, so it would never run; move it to DIR/smoke/"},
		{"of no scenario", "smoek/x.json", plan, ErrUsage, `/smoek/x.json: cannot be understood: there is no scenario "smoek" (did you mean "smoke"?), so it would never run; move it to DIR/smoke/`},
		{"of no scenario, and broken", "gone/x.json", "{", ErrUsage, `/gone/x.json: cannot be understood: there is no scenario "gone", so it would never run; move it to DIR/SCENARIO/NAME.json, or remove it`},
		{"with another name", "smoke/x.jsn", plan, ErrUsage, "/smoke/x.jsn: cannot be understood: its name does not end in .json, so it would never run; move it to DIR/smoke/"},
		{"broken, of a scenario that does not run", "failover/x.json", "{", scenarios.ErrPlanFile, "/failover/x.json: "},
		{"of another scenario", "calm/x.json", plan, scenarios.ErrPlanFile, `it is a plan of scenario "smoke"; move it to that directory`},
		{"for people", "smoke/README.md", "read me", nil, ""},
		{"hidden", ".DS_Store", "", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, c.path)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(c.text), 0o600)); err != nil {
				t.Fatal(err)
			}
			_, err := Run(context.Background(), Options{Scenarios: scenarios.All()[:1], Seeds: []Range{{1, 1}}, Regressions: dir})
			if !errors.Is(err, c.err) || err != nil && !strings.Contains(strings.ReplaceAll(err.Error(), dir, "DIR"), c.says) {
				t.Errorf("%v, want %v: %s", err, c.err, c.says)
			}
		})
	}
}

func TestRegressionsThatAreNowhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nowhere")
	_, err := Run(context.Background(), Options{Scenarios: scenarios.All()[:1], Seeds: []Range{{1, 1}}, Regressions: dir})
	if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "--regressions "+dir) || !strings.Contains(err.Error(), "none with --regressions=") {
		t.Errorf("%v", err)
	}
}
