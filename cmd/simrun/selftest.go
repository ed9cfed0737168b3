package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	planted "github.com/tidaldb/tidalsim/harness/selftest"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/selftest"
)

// selftestSummary is the last line of selftest as JSON.
type selftestSummary struct {
	Schema     int    `json:"schema"`
	Type       string `json:"type"` // "summary"
	Mistakes   int    `json:"mistakes"`
	Found      int    `json:"found"`
	AsExpected int    `json:"found_as_expected"` // by a checker that was expected to
	Problems   int    `json:"problems"`          // that could not be planted, or did not end
	CPU        int64  `json:"cpu_ns"`
	Exit       int    `json:"exit"`
}

// selftestShare is the share of mistakes in files that have not changed which selftest
// plants, in per cent.
const selftestShare = 20

func (c *command) selftest() *cobra.Command {
	o := planted.Options{Subject: selftest.Subject()}
	var markdown, all bool
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "take one safety rule away at a time and expect its checker to object",
		Long: `Take one safety rule away at a time, build the command with the source so changed,
run seeds, and expect a checker to object. The tree itself is not touched. Planted are
the mistakes in files that differ from the revision --since, and a share of the others
that the tree's hash chooses; with --all, all, which a table of docs/selftest.md shows.
Needs the source tree and the go command. Exit codes: 0 every mistake was found, 7 one
survived, 2 there is no source, or a mistake does not fit it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Root, err = sourceRoot(); err != nil {
				return err
			}
			if err := selftestBounds(&o); err != nil {
				return err
			}
			if all {
				o.Share = 100
				if !cmd.Flags().Changed("rate") {
					o.Rate = planted.RateSeeds
				}
			}
			return c.plant(cmd, o, markdown)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.Only, "only", nil, "a mistake's name; may be repeated")
	flags.StringVar(&o.Kind, "kind", "", "only mistakes of this kind: "+strings.Join(selftest.Kinds(), ", "))
	flags.IntVar(&o.Seeds, "budget", planted.DefaultSeeds, fmt.Sprintf("seeds that checkers have to find a mistake; at most %d of each scenario if its scenario is not known", planted.WideSeeds))
	flags.IntVar(&o.Rate, "rate", 0, "tell in how many of so many first seeds a mistake is found")
	flags.BoolVar(&all, "all", false, fmt.Sprintf("plant all mistakes; --rate is %d if it is not given", planted.RateSeeds))
	flags.IntVar(&o.Share, "share", selftestShare, "share of mistakes in unchanged files, in per cent")
	flags.StringVar(&o.Since, "since", "HEAD~1", "the git revision from which files are said to have changed")
	flags.IntVar(&o.Workers, "workers", 0, "worlds at work at once (default one per CPU)")
	flags.IntVar(&o.Shrink, "shrink", 0, "shrink so many failing seeds of every mistake and print what became of them")
	flags.BoolVar(&markdown, "markdown", false, "print the table as Markdown")
	return cmd
}

// selftestBounds refuses numbers that cannot be.
func selftestBounds(o *planted.Options) error {
	if o.Share > 100 {
		return &campaign.FlagError{Flag: "share", Value: o.Share, Want: wantShare}
	}
	return errors.Join(
		from(1, "budget", o.Seeds, "at least 1 seed"), from(0, "rate", o.Rate, "a number of seeds, or 0 for none"), from(0, "share", o.Share, wantShare),
		from(0, "workers", o.Workers, wantWorkers), from(0, "shrink", o.Shrink, "a number of seeds, or 0 for none"),
	)
}

const wantShare = "a share of 0 to 100, in per cent"

func (c *command) plant(cmd *cobra.Command, o planted.Options, markdown bool) error {
	o.Done = func(r planted.Result) {
		fmt.Fprintf(c.stderr, "%-36s %s\n", r.Name, fate(&r))
		for _, s := range r.Shrunk {
			fmt.Fprintf(c.stderr, "%-36s seed %s: %d entries became %d, %d.%02d s of CPU\n", "", s.Seed, s.Before, s.After, s.CPU/1e9, s.CPU/1e7%100)
		}
	}
	results, err := planted.Run(cmd.Context(), o)
	if interrupted := cmd.Context().Err(); interrupted != nil {
		return interrupted // and not the failure of the build that it killed
	}
	if err != nil {
		return err
	}
	s := selftestSummary{Schema: campaign.Schema, Type: "summary", Mistakes: len(results)}
	for i := range results {
		s.add(&results[i])
	}
	switch {
	case s.Problems > 0:
		s.Exit = campaign.ExitUsage
	case s.Found < s.Mistakes:
		s.Exit = campaign.ExitSurvived
	}
	if s.Mistakes == 0 {
		s.Exit = campaign.ExitNothingRan
	}
	c.code = s.Exit
	switch {
	case o.Shrink > 0 && !c.json:
		c.shrinkTable(results)
	case c.json:
		for i := range results {
			if err := c.line(&results[i]); err != nil {
				return err
			}
		}
		return c.line(&s)
	case markdown:
		table(c.stdout, results, "| %s | %s | %s | %s | %s | %s | %s |\n", "| --- | --- | --- | --- | ---: | ---: | ---: |\n")
	default:
		table(c.stdout, results, "%-36[1]s %-14[3]s %-26[4]s %6[5]s %9[6]s %8[7]s\n", "")
	}
	fmt.Fprintf(c.stdout, "\n%d of %d mistakes found, %d of them by a checker that was expected to\n", s.Found, s.Mistakes, s.AsExpected)
	return nil
}

// add counts a mistake.
func (s *selftestSummary) add(r *planted.Result) {
	s.CPU += r.CPU
	if r.Found {
		s.Found++
	}
	if r.AsExpected() {
		s.AsExpected++
	}
	if r.Problem != "" {
		s.Problems++
	}
}

// fate says whether a mistake was found, and by which checker.
func fate(r *planted.Result) string {
	switch {
	case r.Problem != "":
		return "PROBLEM: " + r.Problem
	case r.AsExpected():
		return fmt.Sprintf("found by %s, in %d of %d seeds, first in %s:%d", r.Checker, r.In, r.Seeds, r.FoundIn, r.First)
	case r.Found:
		return fmt.Sprintf("found by %s, in %d of %d seeds, first in %s:%d; expected was %s", r.Checker, r.In, r.Seeds, r.FoundIn, r.First, r.Expected)
	case r.Checker != "":
		return fmt.Sprintf("SURVIVED: %s objects, but not %s, in %d seeds", r.Checker, r.Expected, r.Seeds)
	}
	return fmt.Sprintf("SURVIVED: nobody objects in %d seeds, want %s", r.Seeds, r.Expected)
}

// table prints name, rule, checker, scenario, number of the first seed and number of seeds
// in which the mistake was found, CPU.
func table(w io.Writer, results []planted.Result, format, ruler string) {
	fmt.Fprintf(w, format, "name", "rule", "found by", "in", "first", "seeds", "CPU s")
	fmt.Fprint(w, ruler)
	for i := range results {
		r := &results[i]
		by, in := r.Checker, r.FoundIn
		if !r.Found {
			by, in = strings.ToUpper("survived"), r.Scenario
		}
		if r.Problem != "" {
			by = strings.ToUpper("problem")
		}
		fmt.Fprintf(w, format, r.Name, r.Rule, by, in, strconv.Itoa(r.First), fmt.Sprintf("%d/%d", r.In, r.Seeds), fmt.Sprintf("%d.%02d", r.CPU/1e9, r.CPU/1e7%100))
	}
}
