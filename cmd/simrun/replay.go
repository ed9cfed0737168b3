package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/harness/replay"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/scenarios/suite"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// errStale is returned for a recording whose run has another result than the recorded one.
var errStale = errors.New("the recording is stale")

// replayed is the JSON of replay.
type replayed struct {
	Schema      int               `json:"schema"`
	Type        string            `json:"type"` // "replay"
	Scenario    string            `json:"scenario"`
	Seed        plan.Seed         `json:"seed"`
	Verdict     string            `json:"verdict"`
	Why         string            `json:"why,omitempty"`
	Trace       string            `json:"trace"`
	Recorded    string            `json:"recorded_trace,omitempty"`
	Reproduced  bool              `json:"reproduced"`
	Mended      bool              `json:"mended"`  // the recording failed, and its run no longer does
	Entries     int               `json:"entries"` // disruptions and deviations that the plan lists
	Unused      []string          `json:"unused"`  // entries that had no effect
	Findings    []checker.Finding `json:"findings"`
	Simulated   int64             `json:"simulated_ns"`
	Operations  int               `json:"operations"`
	Acked       int               `json:"acked"`
	Disruptions []string          `json:"disruptions"`
	Exit        int               `json:"exit"`
}

func (c *command) replay() *cobra.Command {
	var until time.Duration
	var trace traceFlags
	var dump bool
	var out string
	cmd := &cobra.Command{
		Use:   "replay SCENARIO:SEED | FILE | latest",
		Short: "run one seed or stored plan again and compare its trace",
		Long: `Run one seed or stored plan again, twice, and compare the traces with each other
and with the recorded one. "latest" is a finding of the newest run. Exit codes: 0 it
held, as recorded, or it is a committed regression (a plan with a lesson), whose
bug is gone; 1 the checker objects, as recorded; 2 usage; 3 undecided, --until
included; 5 it does not reproduce: it no longer fails, or shows something else than
was recorded, or the file is stale, unreadable or not there; 6 the two runs differ.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if until < 0 {
				return fmt.Errorf("--until %s: %w: want no negative time", until, campaign.ErrUsage)
			}
			p, err := find(args[0], out)
			if err != nil {
				return err
			}
			traced, err := trace.read(cmd)
			if err != nil {
				return err
			}
			o := scenarios.Options{Porcupine: true, Story: traced || dump, Until: int64(until)}
			if !traced {
				return c.show(args[0], p, o, nil, dump)
			}
			return c.show(args[0], p, o, &trace, dump)
		},
	}
	cmd.Flags().DurationVar(&until, "until", 0, "stop at this virtual time, if the run goes on for so long, and do not judge, e.g. 12ms")
	trace.add(cmd)
	cmd.Flags().BoolVar(&dump, "dump", false, "print the state of every slot at the end")
	cmd.Flags().StringVar(&out, "out", ".simrun", "directory of artifacts, for latest")
	return cmd
}

// find returns the plan that an argument of replay means.
func find(text, out string) (*scenarios.Plan, error) {
	if text == "latest" {
		path, err := artifacts.Latest(out)
		if err != nil {
			return nil, err
		}
		return readPlan(path)
	}
	scenario, seed, ok := strings.Cut(text, ":")
	if _, err := os.Stat(text); errors.Is(err, fs.ErrNotExist) && !ok {
		if filepath.Ext(text) != "" || strings.ContainsRune(text, filepath.Separator) {
			return nil, fmt.Errorf("%w: %w; want the file of a plan that is there, SCENARIO:SEED, or latest", scenarios.ErrPlanFile, err)
		}
		return nil, fmt.Errorf("%w; want SCENARIO:SEED, the file of a plan, or latest", err)
	} else if err == nil || !ok {
		return readPlan(text)
	}
	found, err := scenarios.Find(scenario)
	if err != nil {
		return nil, err
	}
	parsed, err := plan.ParseSeed(seed)
	if err != nil {
		return nil, err
	}
	return found[0].Plan(parsed), nil
}

func readPlan(path string) (*scenarios.Plan, error) {
	p, err := artifacts.ReadPlan(suite.Tenants(), path)
	if err != nil {
		return nil, err
	}
	return p.(*scenarios.Plan), nil
}

// show replays the plan that the argument name means. It prints the lines of the story that trace
// chooses, if trace is not nil, and then the result of the run.
func (c *command) show(name string, p *scenarios.Plan, o scenarios.Options, trace *traceFlags, dump bool) error {
	runner := scenarios.NewRunner()
	first, err := runner.Run(p, scenarios.Options{Until: o.Until})
	if err != nil {
		return err
	}
	hash := first.Trace
	got, err := runner.Run(p, o)
	if err != nil {
		return err
	}
	outcome := replay.Compare(program(), name, p, &got.Result)
	if hash != got.Trace {
		outcome.Differ(hash.String(), got.Trace.String())
	}
	r := replayOf(p, got, &outcome)
	c.code = r.Exit
	if trace != nil {
		if err := trace.print(c, got.Story); err != nil {
			return err
		}
	}
	if dump {
		if err := c.dump(got); err != nil {
			return err
		}
	}
	if c.json {
		return c.line(r)
	}
	c.replayText(r)
	return nil
}

// replayOf is the result of a replay, and its consequences, as they are printed.
func replayOf(p *scenarios.Plan, got *scenarios.Result, o *replay.Outcome) *replayed {
	r := &replayed{
		Schema: campaign.Schema, Type: "replay", Scenario: p.Scenario, Seed: p.World.Seed, Verdict: got.Verdict.String(), Why: o.Why, Exit: o.Exit,
		Trace: got.Trace.String(), Recorded: o.Recorded, Reproduced: o.Reproduced, Mended: o.Mended,
		Unused: append([]string{}, got.Unused...), Findings: append([]checker.Finding{}, got.Findings...),
		Entries:   len(p.World.Disruptions) + len(p.World.Deviations),
		Simulated: got.Simulated, Operations: got.Operations, Acked: got.Acked, Disruptions: []string{},
	}
	for _, d := range p.World.Disruptions {
		r.Disruptions = append(r.Disruptions, d.String())
	}
	return r
}

// dump prints the slots as JSON, one a line.
func (c *command) dump(got *scenarios.Result) error {
	enc := json.NewEncoder(c.stdout)
	for i := range got.Dumps {
		d := &got.Dumps[i]
		failure := ""
		if d.Failure != nil {
			failure = d.Failure.Error()
		}
		if err := enc.Encode(map[string]any{
			"type": "slot", "tenant": d.Tenant, "slot": d.Slot, "phase": d.Phase.String(), "failure": failure,
			"seq": d.Position.Seq, "chain": fmt.Sprintf("%016x", uint64(d.Position.Chain)), "entities": d.Entities,
		}); err != nil {
			return err
		}
	}
	return nil
}

// maxUnused bounds the entries without effect that are listed.
const maxUnused = 5

func (c *command) replayText(r *replayed) {
	w := c.stdout
	fmt.Fprintf(w, "%s seed %s: %s\n", r.Scenario, r.Seed, r.Verdict)
	for _, d := range r.Disruptions {
		fmt.Fprintf(w, "  fault: %s\n", d)
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		when := "at " + history.Instant(f.At)
		if f.AtTheEnd() {
			when = "at the end"
		}
		fmt.Fprintf(w, "  %s %s: %s\n", f.Fingerprint(), when, f.Text)
	}
	if r.Why != "" {
		fmt.Fprintf(w, "  %s\n", r.Why)
	}
	if len(r.Unused) > 0 {
		fmt.Fprintf(w, "  %d of the plan's %d entries had no effect:\n", len(r.Unused), r.Entries)
		for i, u := range r.Unused {
			if i == maxUnused {
				fmt.Fprintf(w, "    ... and %d more\n", len(r.Unused)-i)
				break
			}
			fmt.Fprintf(w, "    %s\n", u)
		}
	}
	fmt.Fprintf(w, "  %d operations, %d acknowledged, %s simulated; trace %s\n", r.Operations, r.Acked, history.Instant(r.Simulated), r.Trace)
	if r.Recorded != "" && r.Recorded != r.Trace && r.Reproduced {
		fmt.Fprintln(w, "  reproduced by another binary than the one that recorded it; the trace was", r.Recorded)
	}
}

// hashed is the JSON of hash, a line for each seed.
type hashed struct {
	Schema int      `json:"schema"`
	Type   string   `json:"type"` // "hash"
	Name   string   `json:"name"`
	Trace  string   `json:"trace"`
	Events []string `json:"events,omitempty"`
}

func (c *command) hash() *cobra.Command {
	var events bool
	cmd := &cobra.Command{
		Use:   "hash SCENARIO:SEED ... | -",
		Short: "print the trace hash of seeds, to compare processes and machines",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" {
				in := bufio.NewScanner(c.in)
				args = args[:0]
				for in.Scan() {
					args = append(args, in.Text())
				}
			}
			runner, w := scenarios.NewRunner(), bufio.NewWriter(c.stdout)
			for _, name := range args {
				if err := cmd.Context().Err(); err != nil {
					return errors.Join(w.Flush(), err)
				}
				p, err := find(name, "")
				if err != nil {
					return err
				}
				got, err := runner.Run(p, scenarios.Options{Trace: events})
				if err != nil {
					return err
				}
				told := harness.Events(got.Entries, fault.Names())
				switch {
				case c.json:
					err = json.NewEncoder(w).Encode(hashed{campaign.Schema, "hash", name, got.Trace.String(), told})
				case events:
					_, err = fmt.Fprintln(w, strings.Join(told, "\n"))
				default:
					_, err = fmt.Fprintln(w, name, got.Trace)
				}
				if err != nil {
					return err
				}
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&events, "events", false, "print every event of the trace instead")
	return cmd
}
