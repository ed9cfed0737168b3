// Simrun runs seeds of scenarios against the real core and reports the verdict. See the README, or
// simrun help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/tidaldb/tidalsim/harness/artifacts"
	planted "github.com/tidaldb/tidalsim/harness/selftest"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/desired"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/harness/shrink"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// garbage is how much the heap may grow before garbage is collected, per cent. The
// heap of a worker is a few MiB, as worlds use their memory again, and at the usual
// 100 per cent a collection would be under way most of the time.
const garbage = 400

// enough is the memory of the process, bytes, up to which garbage is not collected more often than
// that: a fleet keeps one GiB.
const enough = 3 << 30

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
		if os.Getenv("GOMEMLIMIT") == "" { // four times the heap of a fleet would be too much
			debug.SetMemoryLimit(enough)
		}
	}
	ctx, signalled := interruptible()
	code := execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if code == campaign.ExitInterrupted && signalled.Load() == int32(syscall.SIGTERM) {
		code = campaign.ExitTerminated
	}
	os.Exit(code)
}

// interruptible returns a context that the first interrupt ends; the second ends
// the process at once.
func interruptible() (context.Context, *atomic.Int32) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	first := new(atomic.Int32)
	go func() {
		s, _ := (<-signals).(syscall.Signal)
		first.Store(int32(s))
		cancel()
		<-signals
		os.Exit(campaign.ExitInterrupted)
	}()
	return ctx, first
}

// command is the state that the subcommands share.
type command struct {
	in             io.Reader
	stdout, stderr io.Writer
	json           bool
	code           int // exit code of a command that ran
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, in io.Reader, stdout, stderr io.Writer) (code int) {
	out := &output{w: stdout}
	c := &command{in: in, stdout: out, stderr: stderr}
	defer func() {
		if failure := recover(); failure != nil {
			fmt.Fprintf(stderr, "simrun: internal error: %v\n%s", failure, debug.Stack())
			code = campaign.ExitInternal
		}
	}()
	root := c.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil && out.failed != nil {
		err = fmt.Errorf("the result could not be written: %w", out.failed)
	}
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "simrun: interrupted")
	case err != nil:
		fmt.Fprintf(stderr, "simrun: %v\n", err)
	default:
		return c.code
	}
	return exitCode(err)
}

// output is where results go. It remembers that one was lost, so that no command ends as if its
// results had been read.
type output struct {
	w      io.Writer
	failed error // the first
}

// Write writes to the writer behind it.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil && o.failed == nil {
		o.failed = err
	}
	return n, err
}

// exitCode returns the exit code for an error.
func exitCode(err error) int {
	var unknown *scenarios.UnknownError
	switch {
	case errors.Is(err, scenarios.ErrPlanFile), errors.Is(err, scenarios.ErrPlanVersion), errors.Is(err, errStale), errors.Is(err, shrink.ErrHolds):
		return campaign.ExitNotReproduced
	case errors.Is(err, plan.ErrInvalid), errors.Is(err, plan.ErrSeed), errors.Is(err, campaign.ErrUsage), errors.Is(err, artifacts.ErrDir), errors.As(err, &unknown),
		errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, planted.ErrNoSource), errors.Is(err, planted.ErrUnknown), errors.Is(err, wal.ErrForeign), errors.Is(err, desired.ErrInvalid), errors.Is(err, control.ErrCluster), isUsage(err):
		return campaign.ExitUsage
	case errors.Is(err, context.Canceled):
		return campaign.ExitInterrupted
	}
	return campaign.ExitInternal
}

// isUsage reports whether an error is cobra's about the command line; it has no
// type for them.
func isUsage(err error) bool {
	for _, start := range []string{"unknown ", "invalid argument", "flag needs", "accepts ", "requires ", "bad flag", "required flag", "if any flags"} {
		if strings.HasPrefix(err.Error(), start) {
			return true
		}
	}
	return false
}

const help = `simrun runs seeds of scenarios against the real core and says what held.

  simrun run                    a few hundred seeds of every default scenario
  simrun replay smoke:0x2a      one seed again, or a plan file, or "latest"
  simrun shrink latest          the smallest plan that fails in the same way
  simrun list                   scenarios, checkers, faults, fault points, safety lines
  simrun selftest               plants mistakes and expects the checkers to object
  try: simrun run
`

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use: "simrun", Short: "seeded simulation of a multi-tenant signal database", Long: help,
		SilenceErrors: true, SilenceUsage: true, Args: onlyCommands,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(c.stdout, help)
			return err
		},
		PersistentPreRunE: prepare,
	}
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print JSON lines instead of text")
	root.SetFlagErrorFunc(wrongFlag)
	root.AddCommand(c.run(), c.replay(), c.shrink(), c.report(), c.diff(), c.hash(), c.list(), c.selftest(), c.bench(), c.wal(), c.tenants(), c.live(), c.init(), c.serve(), c.liveNode(), c.version())
	root.InitDefaultCompletionCmd()
	if shells, _, err := root.Find([]string{"completion"}); err == nil {
		shells.Args = onlyCommands
		shells.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	return root
}

// fromEnvironment gives flags that were not set the value of SIMRUN_NAME. A flag of the command
// line outweighs the variable of a rival flag.
func fromEnvironment(cmd *cobra.Command) (failed error) {
	flags := cmd.Flags()
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value, ok := os.LookupEnv(name)
		if !ok || f.Changed || failed != nil || cmd.Name() == "run" && slices.ContainsFunc(rivals[f.Name], flags.Changed) {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			failed = fmt.Errorf("%s=%s: %w", name, value, &campaign.FlagError{Flag: f.Name, Value: value, Want: wantedOf(f)})
		}
	})
	return failed
}

// rivals are, of run, the flags that exclude each other: only one of them can hold.
var rivals = map[string][]string{"seed": {"seeds"}, "seeds": {"seed", "for"}, "for": {"seeds"}}

// program is how a reader calls this program again.
func program() string {
	name := os.Args[0]
	if strings.Contains(filepath.ToSlash(name), "/go-build") {
		return "go run ./cmd/simrun"
	}
	return name
}

func (c *command) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print what this binary is", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if c.json {
				return c.line(map[string]any{"schema": campaign.Schema, "type": "version", "version": artifacts.Version(), "build": artifacts.Build()})
			}
			_, err := fmt.Fprintln(c.stdout, "simrun", artifacts.Build())
			return err
		},
	}
}
