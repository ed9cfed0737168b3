package campaign

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/core/strict"
	"github.com/tidaldb/tidalsim/scenarios"
)

// Regression is a committed plan: DIR/<scenario>/<name>.json.
type Regression struct {
	Path     string
	Scenario *scenarios.Scenario
	Plan     *scenarios.Plan
}

// Regressions reads all committed plans below a directory, in order of path. A plan outside the
// directory of a scenario is an error, as is one that cannot be read: no run would replay it,
// and every run would be green. Files that people read (README.md) and hidden ones may lie
// anywhere.
func Regressions(dir string) (all []Regression, err error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("--regressions %s: %w: %w; name the directory of the committed plans, or none with --regressions=", dir, ErrUsage, notADirectory(err))
	}
	var wrong []error
	walked := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("--regressions %s: %w: %w", dir, ErrUsage, err)
		case path != dir && strings.HasPrefix(d.Name(), ".") && d.IsDir():
			return fs.SkipDir
		case d.IsDir() || strings.HasPrefix(d.Name(), ".") || filepath.Ext(d.Name()) == ".md":
			return nil
		}
		r, err := readRegression(dir, path)
		if err != nil {
			wrong = append(wrong, err)
		}
		all = append(all, r)
		return nil
	})
	return all, errors.Join(append(wrong, walked)...)
}

// notADirectory is the reason why a path cannot hold regressions.
func notADirectory(err error) error {
	if err != nil {
		return err
	}
	return errors.New("not a directory")
}

// readRegression reads one file below dir.
func readRegression(dir, path string) (Regression, error) {
	p, unread := ReadPlan(path)
	scenario, misplaced := placed(dir, path)
	switch {
	case misplaced != nil && unread == nil:
		return Regression{}, fmt.Errorf("%s: %w: %w, so it would never run; move it to %s", path, ErrUsage, misplaced, filepath.Join(dir, p.Scenario)+string(filepath.Separator))
	case misplaced != nil:
		return Regression{}, fmt.Errorf("%s: %w: %w, so it would never run; move it to %s, or remove it", path, ErrUsage, misplaced, filepath.Join(dir, "SCENARIO", "NAME.json"))
	case unread != nil:
		return Regression{}, fmt.Errorf("%w; record it anew, or remove it", unread)
	case p.Scenario != scenario.Name:
		return Regression{}, fmt.Errorf("%s: %w: it is a plan of scenario %q; move it to that directory", path, scenarios.ErrPlanFile, p.Scenario)
	}
	return Regression{Path: path, Scenario: scenario, Plan: p}, nil
}

// placed returns the scenario whose directory holds a file, or why none does.
func placed(dir, path string) (*scenarios.Scenario, error) {
	below, err := filepath.Rel(dir, path)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(filepath.ToSlash(below), "/")
	if len(parts) != 2 {
		return nil, errors.New("it lies in no scenario's directory")
	}
	if filepath.Ext(parts[1]) != ".json" {
		return nil, errors.New("its name does not end in .json")
	}
	list := scenarios.All()
	if i := slices.IndexFunc(list, func(s *scenarios.Scenario) bool { return s.Name == parts[0] }); i >= 0 {
		return list[i], nil
	}
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.Name
	}
	hint := ""
	if near := strict.Nearest(parts[0], names); near != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", near)
	}
	return nil, fmt.Errorf("there is no scenario %q%s", parts[0], hint)
}

// loadRegressions returns the jobs of the scenarios' committed plans, in the order of the
// scenarios, then of paths. A misplaced or unreadable plan of another scenario is an error too.
func loadRegressions(o *Options) (jobs []job, err error) {
	if o.Regressions == "" {
		return nil, nil
	}
	all, err := Regressions(o.Regressions)
	if err != nil {
		return nil, err
	}
	for _, scenario := range o.Scenarios {
		for _, r := range all {
			if r.Scenario == scenario {
				jobs = append(jobs, job{scenario: scenario, seed: r.Plan.World.Seed, regression: r.Path, stored: r.Plan})
			}
		}
	}
	return jobs, nil
}
