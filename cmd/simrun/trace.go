package main

import (
	"bufio"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/scenarios"
)

// traceFlags choose the lines of a story that replay --trace prints.
type traceFlags struct {
	whole          bool
	around, window time.Duration
	tenant         string
	slot, node     int

	id tenant.ID // tenant, read
}

// none stands for a number that was not named.
const none = -1

func (f *traceFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.whole, "trace", false, "tell the whole run in words, or, with --json, as JSON lines")
	flags.DurationVar(&f.around, "around", 0, "of the trace only what is within --window of this virtual time, e.g. 96.5ms")
	flags.DurationVar(&f.window, "window", 5*time.Millisecond, "how far --around reaches in both directions")
	flags.StringVar(&f.tenant, "tenant", "", "of the trace only what is about this tenant")
	flags.IntVar(&f.slot, "slot", none, "of the trace only what is about this slot")
	flags.IntVar(&f.node, "node", none, "of the trace only what this process does, or is sent")
}

// read reports whether a trace is wanted. A flag that chooses lines of a trace asks for one.
func (f *traceFlags) read(cmd *cobra.Command) (wanted bool, err error) {
	f.id = tenant.Reserved
	if f.tenant != "" {
		if f.id, err = tenant.ParseID(f.tenant); err != nil {
			return false, fmt.Errorf("--tenant: %w: %w", campaign.ErrUsage, err)
		}
	}
	if f.around < 0 || f.window < 0 {
		return false, fmt.Errorf("--around %s --window %s: %w: want no negative times", f.around, f.window, campaign.ErrUsage)
	}
	wanted = f.whole
	for _, name := range []string{"around", "window", "tenant", "slot", "node"} {
		wanted = wanted || cmd.Flags().Changed(name)
	}
	if !cmd.Flags().Changed("around") {
		f.around = none
	}
	return wanted, nil
}

// shows reports whether a line is printed. A fault, a configuration and the finding are printed
// whichever node, tenant or slot is chosen.
func (f *traceFlags) shows(t *scenarios.Told) bool {
	if f.around >= 0 {
		if at := time.Duration(t.At); at < f.around-f.window || at > f.around+f.window {
			return false
		}
	}
	if t.About == scenarios.Fault || t.Kind == scenarios.Configure {
		return true
	}
	return (f.id == tenant.Reserved || t.Tenant == f.id) &&
		(f.slot == none || t.Slot == f.slot) &&
		(f.node == none || t.Process == f.node || t.Peer == f.node)
}

// print prints the lines of a story that are wanted.
func (f *traceFlags) print(c *command, story []scenarios.Told) error {
	w := bufio.NewWriter(c.stdout)
	for i := range story {
		if !f.shows(&story[i]) {
			continue
		}
		if !c.json {
			fmt.Fprintln(w, story[i])
			continue
		}
		line, err := story[i].JSON(campaign.Schema, i)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n", line)
	}
	return w.Flush()
}
