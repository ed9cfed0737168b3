package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/host/live"
)

// nodeCommand is the hidden command that is a node process of live.
const nodeCommand = "live-node"

// lived is the JSON of live.
type lived struct {
	Schema   int               `json:"schema"`
	Type     string            `json:"type"` // "live"
	Seed     uint64            `json:"seed,string"`
	Verdict  string            `json:"verdict"`
	Why      string            `json:"why,omitempty"`
	Kills    int               `json:"kills"`
	Struck   int               `json:"kills_with_calls_under_way"`
	Unserved int               `json:"kills_before_any_answer"`
	Acked    int               `json:"acked"`
	Refused  int               `json:"refused"`
	Unknown  int               `json:"unknown"`
	Records  int               `json:"records"`
	Elapsed  int64             `json:"elapsed_ns"`
	Findings []checker.Finding `json:"findings"`
	Dir      string            `json:"dir,omitempty"`
	Exit     int               `json:"exit"`
}

func (c *command) live() *cobra.Command {
	var o live.Options
	cmd := &cobra.Command{
		Use:   "live",
		Short: "kill a real node again and again and judge what its clients were told",
		Long: `Run a real node, a process of its own on real files and loopback TCP, under load;
kill it with SIGKILL at random moments and start it again; then read every entity
and the whole log, and ask the checkers for losses, doubled changes and reads out
of order. A kill leaves the operating system's cache as it is: what a sync is good
for is shown by the virtual world, which has power failures. The same seed gives
the same workload and the same moments, on a machine that goes its own way: nothing
is replayed. Exit codes are those of run.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := liveBounds(&o); err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Command = []string{self, nodeCommand}
			return c.lives(cmd, o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Rounds, "rounds", 20, "how often the node is killed")
	f.DurationVar(&o.Round, "round", 100*time.Millisecond, "mean time from a start to the kill")
	f.IntVar(&o.Clients, "clients", 3, "client processes")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the workload and of the moments")
	f.StringVar(&o.Dir, "dir", "", "empty directory for everything, which stays; otherwise a temporary one, which stays if a checker objects")
	return cmd
}

// liveBounds refuses numbers that cannot be.
func liveBounds(o *live.Options) error {
	switch {
	case o.Rounds < 1 || o.Rounds > live.MaxRounds:
		return &campaign.FlagError{Flag: "rounds", Value: o.Rounds, Want: fmt.Sprintf("1..%d", live.MaxRounds)}
	case o.Clients < 1 || o.Clients > live.MaxClients:
		return &campaign.FlagError{Flag: "clients", Value: o.Clients, Want: fmt.Sprintf("1..%d", live.MaxClients)}
	case o.Round <= 0 || o.Round > time.Minute:
		return &campaign.FlagError{Flag: "round", Value: o.Round, Want: "a time like 100ms, up to a minute"}
	}
	return nil
}

// liveNode is the node process of live. It is not for people.
func (c *command) liveNode() *cobra.Command {
	return &cobra.Command{
		Use: nodeCommand + " CONFIG", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return live.ServeNode(args[0], c.in, nil) },
	}
}

func (c *command) lives(cmd *cobra.Command, o live.Options) error {
	stays := o.Dir != ""
	if !stays {
		dir, err := os.MkdirTemp("", "simrun-live-")
		if err != nil {
			return err
		}
		o.Dir = dir
	}
	screen := newScreen(c.stderr)
	began := time.Now()
	o.Progress = func(round int) {
		screen.line(fmt.Sprintf("live: %d of %d rounds, %s", round, o.Rounds, time.Since(began).Round(time.Second)), time.Since(began))
	}
	r, err := live.Run(cmd.Context(), o)
	screen.clear()
	if err == nil && r.Verdict == checker.Violated {
		stays = true
		err = keepHistory(r, o.Dir)
	}
	if !stays {
		err = errors.Join(err, os.RemoveAll(o.Dir))
		o.Dir = ""
	}
	if errors.Is(err, live.ErrUsage) {
		return fmt.Errorf("%w: %w", campaign.ErrUsage, err)
	}
	if err != nil {
		return err
	}
	return c.tellLife(r, &o)
}

func keepHistory(r *live.Result, dir string) error {
	file, err := os.Create(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		return err
	}
	return errors.Join(r.History.Write(file), file.Close())
}

// exitOf is the exit code of a verdict.
func exitOf(v checker.Verdict) int {
	switch v {
	case checker.Held:
		return campaign.ExitHeld
	case checker.Violated:
		return campaign.ExitViolated
	}
	return campaign.ExitUndecided
}

func (c *command) tellLife(r *live.Result, o *live.Options) error {
	c.code = exitOf(r.Verdict)
	if c.json {
		return c.line(lived{
			Schema: campaign.Schema, Type: "live", Seed: o.Seed, Verdict: r.Verdict.String(), Why: r.Why,
			Kills: r.Kills, Struck: r.Struck, Unserved: r.Unserved, Acked: r.Acked, Refused: r.Refused, Unknown: r.Unknown,
			Records: r.Records, Elapsed: int64(r.Elapsed), Findings: r.Findings, Dir: o.Dir, Exit: c.code,
		})
	}
	words := map[checker.Verdict]string{checker.Held: "HELD", checker.Violated: "VIOLATED", checker.Undecided: "UNDECIDED"}
	fmt.Fprintf(c.stdout, "%s: %d kills (%d with calls under way, %d before any answer), %d operations: %d acked, %d refused, %d unknown; %d records; %s\n",
		words[r.Verdict], r.Kills, r.Struck, r.Unserved, r.Acked+r.Refused+r.Unknown, r.Acked, r.Refused, r.Unknown, r.Records, r.Elapsed.Round(time.Millisecond))
	if r.Why != "" {
		fmt.Fprintf(c.stdout, "  %s\n", r.Why)
	}
	for i := range r.Findings {
		fmt.Fprintf(c.stdout, "  %s: %s\n", r.Findings[i].Fingerprint(), r.Findings[i].Text)
	}
	if o.Dir != "" {
		fmt.Fprintf(c.stdout, "  everything is in %s\n", o.Dir)
	}
	return nil
}
