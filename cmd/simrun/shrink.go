package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/emit"
	planted "github.com/tidaldb/tidalsim/harness/selftest"
	"github.com/tidaldb/tidalsim/scenarios/brief"
	"github.com/tidaldb/tidalsim/scenarios/shape"
	"github.com/tidaldb/tidalsim/scenarios/suite"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/harness/shrink"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// shrunk is the JSON of shrink.
type shrunk struct {
	Schema      int       `json:"schema"`
	Type        string    `json:"type"` // "shrunk"
	Scenario    string    `json:"scenario"`
	Seed        plan.Seed `json:"seed"`
	Fingerprint string    `json:"fingerprint"`
	Before      int       `json:"entries_before"`
	After       int       `json:"entries_after"`
	Operations  int       `json:"operations"` // that the shrunk run began
	Runs        int       `json:"runs"`
	CPU         int64     `json:"cpu_ns"`
	Minimal     bool      `json:"minimal"`
	Plan        string    `json:"plan,omitempty"` // path; none if the plan was kept as it is
	Test        string    `json:"test,omitempty"`
	Kept        string    `json:"kept,omitempty"` // path among the regressions
	Exit        int       `json:"exit"`
}

type shrinkFlags struct {
	budget    time.Duration
	runs      int
	out, test string
	artifacts string
	keep      keepFlags
}

func (c *command) shrink() *cobra.Command {
	var f shrinkFlags
	cmd := &cobra.Command{
		Use:   "shrink FILE | SCENARIO:SEED | latest",
		Short: "the smallest plan that fails in the same way",
		Long: `Make a failing plan small: the fewest faults, nodes, clients and tenants, the
shortest workload, the simplest values with which the run still shows the same
fingerprint (checker/rule of the first finding). Deterministic; nothing is drawn
anew. The plan is written beside the file, or to shrunk-SCENARIO-SEED.json, or to
--out. With --keep NAME --lesson TEXT it is also put among the regressions, as
DIR/SCENARIO/NAME.json; a recorded plan that no longer fails, since its bug is
mended, is put there as it is. Exit codes: 1 shrunk (it fails, as it should), 0 kept
as it is, since it no longer fails, 5 the plan does not fail, is stale, unreadable or
not there, 2 usage, 130/143 interrupted (the smallest plan so far is written).`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.budget <= 0 || f.runs <= 0 {
				return fmt.Errorf("--budget %s --runs %d: %w: want more than 0", f.budget, f.runs, campaign.ErrUsage)
			}
			if f.test != "" && !strings.HasSuffix(f.test, "_test.go") {
				return fmt.Errorf("--emit-test %s: %w: want a name that ends in _test.go", f.test, campaign.ErrUsage)
			}
			if err := f.keep.validate(); err != nil {
				return err
			}
			return c.makeSmall(cmd, args[0], &f)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&f.budget, "budget", shrink.DefaultBudget, "CPU time to spend")
	flags.IntVar(&f.runs, "runs", shrink.DefaultRuns, "candidates to run at most")
	flags.StringVar(&f.out, "out", "", "file, or directory, to write the plan to")
	flags.StringVar(&f.test, "emit-test", "", "also write a Go test that replays the plan: FILE_test.go")
	flags.StringVar(&f.artifacts, "artifacts", ".simrun", "directory of artifacts, for latest")
	f.keep.add(flags)
	return cmd
}

// makeSmall shrinks the plan that an argument names, writes it and prints it.
func (c *command) makeSmall(cmd *cobra.Command, name string, f *shrinkFlags) error {
	p, err := find(name, f.artifacts)
	if err != nil {
		return err
	}
	path, err := shrunkPath(name, p, f)
	if err != nil {
		return err
	}
	if err := f.keep.isFree(p); err != nil {
		return err
	}
	screen := newScreen(c.stderr)
	r, err := shrink.Shrink(cmd.Context(), p, shrink.Options{
		Suite: suite.Tenants(), Shape: shape.Shape(),
		Budget: f.budget, Runs: f.runs, Build: artifacts.Build(), Progress: screen.shrinking, Acked: f.keep.acked(),
	})
	screen.clear()
	if errors.Is(err, shrink.ErrHolds) && f.keep.name != "" {
		return c.keepAsItIs(p, f)
	}
	if err != nil {
		return err
	}
	small := r.Plan.(*scenarios.Plan)
	kept, err := writeShrunk(cmd, small, path, f)
	if err != nil {
		return err
	}
	c.code = campaign.ExitViolated
	if cmd.Context().Err() != nil {
		c.code = campaign.ExitInterrupted
	}
	if c.json {
		return c.line(&shrunk{
			Schema: campaign.Schema, Type: "shrunk", Scenario: p.Scenario, Seed: p.World.Seed, Fingerprint: r.Fingerprint,
			Before: r.Before, After: r.After, Operations: r.Operations, Runs: r.Runs, CPU: int64(r.CPU), Minimal: r.Minimal, Plan: path, Test: f.test, Kept: kept, Exit: c.code,
		})
	}
	c.shrunkText(r, path, kept)
	return nil
}

// writeShrunk writes the small plan, the test and, unless the shrinking was interrupted, the
// regression. It returns the path of the regression.
func writeShrunk(cmd *cobra.Command, p *scenarios.Plan, path string, f *shrinkFlags) (kept string, err error) {
	if err := os.WriteFile(path, p.Encode(), 0o644); err != nil {
		return "", err
	}
	if f.test != "" {
		if err := writeTest(p, f.test); err != nil {
			return "", err
		}
	}
	switch {
	case f.keep.name == "":
		return "", nil
	case cmd.Context().Err() != nil:
		fmt.Fprintf(cmd.ErrOrStderr(), "--keep %s: not kept, since shrinking was interrupted; shrink %s on\n", f.keep.name, path)
		return "", nil
	}
	return f.keep.write(p)
}

// shrunkPath is where the small plan goes: beside the large one, if that is a file.
func shrunkPath(name string, p *scenarios.Plan, f *shrinkFlags) (string, error) {
	switch {
	case isDirectory(f.out):
		return filepath.Join(f.out, "shrunk.json"), nil
	case f.out != "":
		return f.out, nil
	case name == "latest":
		found, err := artifacts.Latest(f.artifacts)
		return filepath.Join(filepath.Dir(found), "shrunk.json"), err
	}
	if _, err := os.Stat(name); err == nil {
		return filepath.Join(filepath.Dir(name), "shrunk.json"), nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return fmt.Sprintf("shrunk-%s-%s.json", p.Scenario, p.World.Seed), nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func writeTest(p *scenarios.Plan, path string) error {
	text, err := emit.Test(p, brief.Words(p), emit.From{Import: "github.com/tidaldb/tidalsim/scenarios/suite", Suite: "suite.Tenants"}, path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// shrunkText prints the small plan in at most 30 lines. The last line, alone, repeats its run. kept
// is its path among the regressions, if it is there.
func (c *command) shrunkText(r *shrink.Result, path, kept string) {
	w, end := c.stdout, "1-minimal"
	if !r.Minimal {
		end = "budget used up"
	}
	fmt.Fprintf(w, "%s seed %s: %d entries became %d, %s; %d runs, %.1f s of CPU\n",
		r.Plan.Parts().Scenario, r.Plan.Parts().World.Seed, r.Before, r.After, end, r.Runs, r.CPU.Seconds())
	for _, line := range r.Brief {
		fmt.Fprintln(w, line[:min(len(line), maxStory)])
	}
	if kept != "" {
		fmt.Fprintf(w, "kept as %s: run fails until its bug is mended\n", kept)
	}
	fmt.Fprintf(w, "%s replay %s\n", program(), path)
}

// maxStory bounds a line of a short story, in bytes.
const maxStory = 300

// shrinkTable prints, as Markdown, the results for the seeds that selftest shrank, and the two
// figures that count: how small, and how soon.
func (c *command) shrinkTable(results []planted.Result) {
	w := c.stdout
	fmt.Fprintf(w, "| mistake | seed | fingerprint | entries before | after | operations after | runs | CPU s | 1-minimal |\n")
	fmt.Fprintf(w, "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |\n")
	var after []int
	soon := 0
	for _, r := range results {
		for _, s := range r.Shrunk {
			fmt.Fprintf(w, "| `%s` | %s:%s | `%s` | %d | %d | %d | %d | %d.%02d | %s |\n", s.Mistake, s.Scenario, s.Seed, s.Fingerprint,
				s.Before, s.After, s.Operations, s.Runs, s.CPU/1e9, s.CPU/1e7%100, map[bool]string{true: "yes", false: "no"}[s.Minimal])
			after = append(after, s.After)
			if s.Minimal {
				soon++
			}
		}
	}
	if len(after) == 0 {
		return
	}
	slices.Sort(after)
	fmt.Fprintf(w, "\n%d failing seeds: median %d entries, at most %d; 1-minimal within %s of CPU: %d of %d\n",
		len(after), after[(len(after)-1)/2], after[len(after)-1], shrink.DefaultBudget, soon, len(after))
}
