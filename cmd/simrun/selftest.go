package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/campaign"
	"github.com/tidaldb/tidalsim/selftest"
)

// selftestSummary is the last line of selftest as JSON.
type selftestSummary struct {
	Schema   int    `json:"schema"`
	Type     string `json:"type"` // "summary"
	Mistakes int    `json:"mistakes"`
	Found    int    `json:"found"`
	CPU      int64  `json:"cpu_ns"`
	Exit     int    `json:"exit"`
}

func (c *command) selftest() *cobra.Command {
	var o selftest.Options
	var markdown bool
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "take one safety rule away at a time and expect its checker to object",
		Long: `Take one safety rule away at a time, build the command with the source so changed,
run seeds, and expect the checker that the rule names to object. The tree itself is
not touched. Needs the source tree and the go command. Exit codes: 0 every mistake
was found, 7 one survived, 2 there is no source.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Root, err = sourceRoot(); err != nil {
				return err
			}
			if o.Seeds < 1 {
				return fmt.Errorf("--budget %d: %w: want at least 1 seed", o.Seeds, campaign.ErrUsage)
			}
			return c.plant(cmd, o, markdown)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.Only, "only", nil, "a mistake's name; may be repeated")
	flags.IntVar(&o.Seeds, "budget", selftest.DefaultSeeds, "seeds that a checker has to find a mistake")
	flags.BoolVar(&o.Rate, "all", false, fmt.Sprintf("run %d fixed seeds of every mistake, more if none finds it, and tell the detection rate", selftest.RateSeeds))
	flags.IntVar(&o.Shrink, "shrink", 0, "shrink so many failing seeds of every mistake and print what became of them")
	flags.BoolVar(&markdown, "markdown", false, "print the table as Markdown")
	return cmd
}

func (c *command) plant(cmd *cobra.Command, o selftest.Options, markdown bool) error {
	o.Done = func(r selftest.Result) {
		fmt.Fprintf(c.stderr, "%-36s %s\n", r.Name, fate(&r))
		for _, s := range r.Shrunk {
			fmt.Fprintf(c.stderr, "%-36s seed %s: %d entries became %d, %d.%02d s of CPU\n", "", s.Seed, s.Before, s.After, s.CPU/1e9, s.CPU/1e7%100)
		}
	}
	results, err := selftest.Run(cmd.Context(), o)
	if interrupted := cmd.Context().Err(); interrupted != nil {
		return interrupted // and not what became of the build that it killed
	}
	if err != nil {
		return err
	}
	s := selftestSummary{Schema: campaign.Schema, Type: "summary", Mistakes: len(results)}
	for i := range results {
		s.CPU += results[i].CPU
		if results[i].Found {
			s.Found++
		}
	}
	if s.Found < s.Mistakes {
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
		table(c.stdout, results, "| %s | %s | %s | %s | %s | %s |\n", "| --- | --- | --- | --- | ---: | ---: |\n")
	default:
		table(c.stdout, results, "%-36[1]s %-14[3]s %-16[4]s %9[5]s %8[6]s\n", "")
	}
	fmt.Fprintf(c.stdout, "\n%d of %d mistakes found\n", s.Found, s.Mistakes)
	return nil
}

// fate tells in words what became of a mistake.
func fate(r *selftest.Result) string {
	switch {
	case r.Found:
		return fmt.Sprintf("found by %s, in %d of %d seeds", r.Checker, r.In, r.Seeds)
	case r.Checker != "":
		return fmt.Sprintf("SURVIVED: %s objects, but not %s, in %d seeds", r.Checker, r.Expected, r.Seeds)
	}
	return fmt.Sprintf("SURVIVED: nobody objects in %d seeds, want %s", r.Seeds, r.Expected)
}

// table prints name, rule, checker, scenario, seeds in which it was found, CPU.
func table(w io.Writer, results []selftest.Result, format, ruler string) {
	fmt.Fprintf(w, format, "name", "rule", "found by", "in", "seeds", "CPU s")
	fmt.Fprint(w, ruler)
	for i := range results {
		r := &results[i]
		by := r.Checker
		if !r.Found {
			by = strings.ToUpper("survived")
		}
		fmt.Fprintf(w, format, r.Name, r.Rule, by, r.Scenario, fmt.Sprintf("%d/%d", r.In, r.Seeds), fmt.Sprintf("%d.%02d", r.CPU/1e9, r.CPU/1e7%100))
	}
}
