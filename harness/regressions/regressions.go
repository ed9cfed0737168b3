// Package regressions reads committed plans: runs that once showed a bug, each with the
// lesson that it taught. They run before any seed does.
//
// The one rule to remember: a plan that no run would replay is an error, not a warning.
package regressions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/internal/nearest"
)

// Regression is a committed plan: DIR/<scenario>/<name>.json.
type Regression struct {
	Path     string
	Scenario string
	Plan     harness.Plan
}

// Read reads all committed plans of a suite below a directory, in order of path. A plan outside the
// directory of a scenario is an error, as is one that cannot be read: no run would replay it,
// and every run would be green. Files that people read (README.md) and hidden ones may lie
// anywhere.
func Read(s *harness.Suite, dir string) (all []Regression, err error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("--regressions %s: %w: %w; name the directory of the committed plans, or none with --regressions=", dir, harness.ErrUsage, notADirectory(err))
	}
	var wrong []error
	walked := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("--regressions %s: %w: %w", dir, harness.ErrUsage, err)
		case path != dir && strings.HasPrefix(d.Name(), ".") && d.IsDir():
			return fs.SkipDir
		case d.IsDir() || strings.HasPrefix(d.Name(), ".") || filepath.Ext(d.Name()) == ".md":
			return nil
		}
		r, err := read(s, dir, path)
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

// read reads one file below dir.
func read(s *harness.Suite, dir, path string) (Regression, error) {
	p, unread := artifacts.ReadPlan(s, path)
	scenario, misplaced := placed(s, dir, path)
	switch {
	case misplaced != nil && unread == nil:
		return Regression{}, fmt.Errorf("%s: %w: %w, so it would never run; move it to %s", path, harness.ErrUsage, misplaced, filepath.Join(dir, p.Parts().Scenario)+string(filepath.Separator))
	case misplaced != nil:
		return Regression{}, fmt.Errorf("%s: %w: %w, so it would never run; move it to %s, or remove it", path, harness.ErrUsage, misplaced, filepath.Join(dir, "SCENARIO", "NAME.json"))
	case unread != nil:
		return Regression{}, fmt.Errorf("%w; record it anew, or remove it", unread)
	case p.Parts().Scenario != scenario:
		return Regression{}, fmt.Errorf("%s: %w: it is a plan of scenario %q; move it to that directory", path, harness.ErrPlanFile, p.Parts().Scenario)
	}
	return Regression{Path: path, Scenario: scenario, Plan: p}, nil
}

// placed returns the scenario whose directory holds a file, or why none does.
func placed(s *harness.Suite, dir, path string) (string, error) {
	below, err := filepath.Rel(dir, path)
	if err != nil {
		return "", err
	}
	parts := strings.Split(filepath.ToSlash(below), "/")
	if len(parts) != 2 {
		return "", errors.New("it lies in no scenario's directory")
	}
	if filepath.Ext(parts[1]) != ".json" {
		return "", errors.New("its name does not end in .json")
	}
	if slices.Contains(s.Scenarios, parts[0]) {
		return parts[0], nil
	}
	hint := ""
	if near := nearest.Name(parts[0], s.Scenarios); near != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", near)
	}
	return "", fmt.Errorf("there is no scenario %q%s", parts[0], hint)
}
