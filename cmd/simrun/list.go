package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	planted "github.com/tidaldb/tidalsim/harness/selftest"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/selftest"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// row is one thing that is listed.
type row struct {
	Type string `json:"type"`
	Name string `json:"name"`
	Text string `json:"text,omitempty"`
}

// catalogues are the arguments of list, in order.
var catalogues = []struct {
	name string
	rows func() ([]row, error)
}{
	{"scenarios", listScenarios}, {"checkers", listCheckers}, {"faults", listFaults},
	{"points", listPoints}, {"safety", listSafety}, {"runs", listRuns},
}

func (c *command) list() *cobra.Command {
	names := make([]string, len(catalogues))
	for i, l := range catalogues {
		names[i] = l.name
	}
	return &cobra.Command{
		Use: "list [scenarios|checkers|faults|points|safety|runs ...]", Short: "list what there is", ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error {
			for _, arg := range args {
				if !slices.Contains(names, arg) {
					return fmt.Errorf("unknown list %q%s; there are %s", arg, didYouMean(arg, "", names), strings.Join(names, ", "))
				}
			}
			return c.catalogues(args)
		},
	}
}

// catalogues prints the named lists, or all.
func (c *command) catalogues(names []string) error {
	for _, l := range catalogues {
		wanted := len(names) == 0
		for _, name := range names {
			wanted = wanted || name == l.name
		}
		if !wanted {
			continue
		}
		rows, err := l.rows()
		if errors.Is(err, planted.ErrNoSource) && len(names) == 0 {
			continue // safety lines are in the source only
		}
		if err != nil {
			return err
		}
		if err := c.rows(l.name, rows, len(names) != 1); err != nil {
			return err
		}
	}
	return nil
}

func (c *command) rows(name string, rows []row, titled bool) error {
	if titled && !c.json {
		fmt.Fprintf(c.stdout, "%s:\n", name)
	}
	for _, r := range rows {
		if c.json {
			if err := c.line(r); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(c.stdout, "  %-32s %s\n", r.Name, r.Text)
	}
	return nil
}

func listScenarios() (rows []row, err error) {
	for _, s := range scenarios.All() {
		rows = append(rows, row{"scenario", s.Name, s.Story})
	}
	for _, g := range scenarios.Groups() {
		members := ""
		for _, s := range g.Members {
			members += " " + s.Name
		}
		rows = append(rows, row{"group", g.Name, "runs" + members})
	}
	return rows, nil
}

func listCheckers() (rows []row, err error) {
	for _, k := range checker.All() {
		rows = append(rows, row{"checker", k.Name, k.Holds})
	}
	return append(rows, row{"checker", "determinism", "equal seeds give equal traces (--check-determinism, replay)"}), nil
}

func listFaults() (rows []row, err error) {
	for _, k := range plan.Kinds() {
		rows = append(rows, row{"disruption", k.String(), "aimed at a moment"})
	}
	for s := chance.Site(0); s < chance.Deviations; s++ {
		rows = append(rows, row{"deviation", s.String(), "by chance, at a rate"})
	}
	return rows, nil
}

func listPoints() (rows []row, err error) {
	for _, name := range fault.Names() {
		rows = append(rows, row{Type: "point", Name: name})
	}
	return rows, nil
}

func listSafety() (rows []row, err error) {
	root, err := sourceRoot()
	if err != nil {
		return nil, err
	}
	all, err := selftest.All(root)
	for _, m := range all {
		in := m.Scenario
		if in == "" {
			in = "a scenario of group " + scenarios.Default
		}
		text := fmt.Sprintf("%s; %s objects in %s (%s)", m.Rule, m.Expected, in, m.Where)
		if m.NotFound != "" {
			text = fmt.Sprintf("%s; no seed finds it: %s (%s)", m.Rule, m.NotFound, m.Where)
		}
		rows = append(rows, row{"safety", m.Name, text})
	}
	return rows, err
}

func listRuns() (rows []row, err error) {
	paths, err := filepath.Glob(filepath.Join(".simrun", "runs", "*"))
	for _, path := range paths {
		rows = append(rows, row{"run", filepath.Base(path), path})
	}
	return rows, err
}

// sourceRoot finds the source tree above the working directory.
func sourceRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	subject := selftest.Subject()
	return subject.Root(dir)
}
