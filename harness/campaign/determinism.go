package campaign

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Recorded is a seed and the trace that it gave.
type Recorded struct {
	Scenario string
	Seed     plan.Seed
	Trace    string
}

// confirm lets another process run the seeds that were selected, and compares.
// What differs there and nowhere else is something that a process keeps: an
// address, a hash seed, the environment.
func (c *campaign) confirm(ctx context.Context) error {
	if len(c.checks) == 0 {
		return nil
	}
	var names strings.Builder
	for _, r := range c.checks {
		fmt.Fprintln(&names, harness.Name(r.Scenario, r.Seed))
	}
	lines, err := c.child(ctx, names.String(), "hash", "--json=false", "--events=false", "-")
	if err != nil {
		return err
	}
	if len(lines) != len(c.checks) {
		return fmt.Errorf("the other process ran %d of %d seeds", len(lines), len(c.checks))
	}
	for i, r := range c.checks {
		if want := harness.Name(r.Scenario, r.Seed) + " " + r.Trace; lines[i] != want {
			return c.diverged(ctx, &r)
		}
	}
	return nil
}

// diverged names the first event in which another process differs.
func (c *campaign) diverged(ctx context.Context, r *Recorded) error {
	name := harness.Name(r.Scenario, r.Seed)
	there, err := c.child(ctx, "", "hash", "--json=false", "--events", name)
	if err != nil {
		return err
	}
	suite := c.options.Suite
	got, err := suite.NewRunner().Run(suite.Draw(r.Scenario, r.Seed), harness.Options{Trace: true})
	if err != nil {
		return err
	}
	c.summary.fail(ExitNondeterminism, difference(name, harness.Events(got.Entries, suite.Points), there, "this process and another"))
	return nil
}

// child runs this program's other process and returns its lines.
func (c *campaign) child(ctx context.Context, input string, arguments ...string) ([]string, error) {
	command := append(append([]string{}, c.options.Command...), arguments...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(input)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(complaint.String()))
	}
	return readLines(&out)
}

func readLines(r io.Reader) (lines []string, err error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		lines = append(lines, in.Text())
	}
	return lines, in.Err()
}

// difference tells the first event in which two runs of one seed differ.
func difference(name string, a, b []string, where string) string {
	for i := range max(len(a), len(b)) {
		left, right := eventAt(a, i), eventAt(b, i)
		if left == right {
			continue
		}
		return fmt.Sprintf("%s is not deterministic: %s differ in event %d:\n  %s\n  %s", name, where, i, left, right)
	}
	return fmt.Sprintf("%s is not deterministic: %s had different traces; run once more, they were equal in all %d events", name, where, len(a))
}

func eventAt(events []string, i int) string {
	if i < len(events) {
		return events[i]
	}
	return "(ended)"
}
