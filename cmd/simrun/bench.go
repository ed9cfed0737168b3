package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/scenarios/suite"
)

func (c *command) bench() *cobra.Command {
	var o campaign.BenchOptions
	cmd := &cobra.Command{
		Use:   "bench [SCENARIO]",
		Short: "measure what seeds cost: CPU per Step and per operation, seeds per second, allocations",
		Long: `Measure what seeds of a scenario (calm) cost, checkers and trace hashing included; --no-checkers leaves the checkers out.
CPU time is that of the whole process; quote it, and ratios within one run. Wall
time on a shared machine is noise.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(from(1, "seeds", o.Seeds, "a number from 1 on"), from(0, "workers", o.Workers, wantWorkers)); err != nil {
				return err
			}
			if o.For <= 0 {
				return &campaign.FlagError{Flag: "for", Value: o.For, Want: "a time like 5s, more than 0"}
			}
			found, err := scenarios.Find(append(args, "calm")[0])
			if err != nil {
				return err
			}
			o.Suite, o.Scenario = suite.Tenants(), found[0].Name
			b, err := campaign.RunBench(cmd.Context(), o)
			if err != nil {
				return err
			}
			if c.json {
				return c.line(b)
			}
			c.benchText(b)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Seeds, "seeds", 100, "seeds that are run over and over")
	flags.IntVar(&o.Workers, "workers", 1, "worlds at work at once; 0 is one per CPU")
	flags.DurationVar(&o.For, "for", 5*time.Second, "how long to measure")
	flags.BoolVar(&o.Porcupine, "porcupine", false, "search every partition of every seed")
	flags.BoolVar(&o.Unjudged, "no-checkers", false, "ask no checker: the machines, the world and the observer alone")
	cmd.MarkFlagsMutuallyExclusive("porcupine", "no-checkers")
	return cmd
}

func (c *command) benchText(b *campaign.Bench) {
	milli := func(n int64) float64 { return float64(n) / 1000 }
	w := c.stdout
	fmt.Fprintf(w, "%s, %d workers, %d seeds\n", b.Scenario, b.Workers, b.Seeds)
	fmt.Fprintf(w, "  %12.1f ns of CPU per Step\n", milli(b.CPUPerEvent))
	fmt.Fprintf(w, "  %12.1f ns of CPU per operation\n", milli(b.CPUPerOperation))
	fmt.Fprintf(w, "  %12.3f allocations per Step\n", milli(b.AllocsPerEvent))
	fmt.Fprintf(w, "  %12.1f seeds per second of CPU, %.1f per second\n", milli(b.SeedsPerCPUSec), milli(b.SeedsPerSec))
	fmt.Fprintf(w, "  %12d Steps per second, %d per simulated second\n", b.EventsPerSec, b.EventsPerSimulated)
	fmt.Fprintf(w, "  %12.1f simulated seconds per second\n", milli(b.SimulatedToReal))
	fmt.Fprintf(w, "  %12.1f MiB of memory at most\n", float64(b.PeakRSS)/(1<<20))
}
