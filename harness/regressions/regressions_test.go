package regressions

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/counter"
)

// A plan that no run replays proves nothing, so that every file has to be in its place and
// readable, whichever scenarios run.
func TestARegressionThatWouldNotRunIsAnError(t *testing.T) {
	plan := string(counter.Draw(counter.Smoke, 5).Encode())
	for _, c := range []struct {
		name, path, text string
		err              error
		says             string // after the directory
	}{
		{"in no directory", "x.json", plan, harness.ErrUsage, "/x.json: cannot be understood: it lies in no scenario's directory, so it would never run; move it to DIR/smoke/"},
		{"one too deep", "smoke/old/x.json", plan, harness.ErrUsage, "/smoke/old/x.json: cannot be understood: it lies in no scenario's directory, so it would never run; move it to DIR/smoke/"},
		{"of no scenario", "smoek/x.json", plan, harness.ErrUsage, `/smoek/x.json: cannot be understood: there is no scenario "smoek" (did you mean "smoke"?), so it would never run; move it to DIR/smoke/`},
		{"of no scenario, and broken", "gone/x.json", "{", harness.ErrUsage, `/gone/x.json: cannot be understood: there is no scenario "gone", so it would never run; move it to DIR/SCENARIO/NAME.json, or remove it`},
		{"with another name", "smoke/x.jsn", plan, harness.ErrUsage, "/smoke/x.jsn: cannot be understood: its name does not end in .json, so it would never run; move it to DIR/smoke/"},
		{"broken, of a scenario that does not run", "lossy/x.json", "{", harness.ErrPlanFile, "/lossy/x.json: "},
		{"of another scenario", "calm/x.json", plan, harness.ErrPlanFile, `it is a plan of scenario "smoke"; move it to that directory`},
		{"for people", "smoke/README.md", "read me", nil, ""},
		{"hidden", ".DS_Store", "", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, c.path)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(c.text), 0o600)); err != nil {
				t.Fatal(err)
			}
			_, err := Read(counter.Suite(), dir)
			if !errors.Is(err, c.err) || err != nil && !strings.Contains(strings.ReplaceAll(err.Error(), dir, "DIR"), c.says) {
				t.Errorf("%v, want %v: %s", err, c.err, c.says)
			}
		})
	}
}

func TestRegressionsThatAreNowhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nowhere")
	_, err := Read(counter.Suite(), dir)
	if !errors.Is(err, harness.ErrUsage) || !strings.Contains(err.Error(), "--regressions "+dir) || !strings.Contains(err.Error(), "none with --regressions=") {
		t.Errorf("%v", err)
	}
}
