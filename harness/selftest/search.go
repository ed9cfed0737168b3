package selftest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidaldb/tidalsim/harness/campaign"
)

// search runs seeds until the mistake is found.
func (o *Options) search(ctx context.Context, r *Result, binary string) error {
	if r.Scenario == "" {
		return o.searchAll(ctx, r, binary)
	}
	return o.searchIn(ctx, r, binary, r.Scenario, o.Seeds)
}

// searchIn runs seeds of one scenario, in ever larger pieces, so that a mistake that is
// found at once costs little.
func (o *Options) searchIn(ctx context.Context, r *Result, binary, scenario string, budget int) error {
	piece := 50
	if o.Rate > 0 {
		piece = o.Rate
	}
	for first, size := 1, piece; first <= budget && !r.Found; first, size = first+size, 2*size {
		if err := o.look(ctx, r, binary, scenario, first, min(first+size-1, budget)); err != nil {
			return err
		}
	}
	return nil
}

// wide is how many seeds of each scenario are run, one stage after the other, for a mistake
// whose scenario is not known.
var wide = []int{10, 50, WideSeeds}

// searchAll runs seeds of all scenarios that run by default, a few of each first. With a
// rate to be told, that is measured where the mistake was found.
func (o *Options) searchAll(ctx context.Context, r *Result, binary string) error {
	done, budget := 0, min(o.Seeds, WideSeeds)
	for _, most := range wide {
		last := min(most, budget)
		if r.Found || done == last {
			break
		}
		if err := o.look(ctx, r, binary, "", done+1, last); err != nil {
			return err
		}
		done = last
	}
	if !r.Found || o.Rate == 0 {
		return nil
	}
	in := Result{Mistake: r.Mistake}
	if err := o.searchIn(ctx, &in, binary, r.FoundIn, o.Rate); err != nil {
		return err
	}
	r.In, r.Seeds, r.seeds, r.CPU = in.In, in.Seeds, in.seeds, r.CPU+in.CPU
	return nil
}

// pieceTime bounds one piece: a mistake may be an endless loop.
const pieceTime = 10 * time.Minute

// look runs seeds first..last of a scenario, or of all, with the mistake and counts
// objections.
func (o *Options) look(ctx context.Context, r *Result, binary, scenario string, first, last int) error {
	ctx, cancel := context.WithTimeout(ctx, pieceTime)
	defer cancel()
	args := []string{"run", "--seeds", strconv.Itoa(first) + "-" + strconv.Itoa(last), "--json", "--out=", "--regressions=", "--porcupine=0%", "--max-violated=0"}
	if scenario != "" {
		args = append(args, scenario)
	} else if !r.isLine() {
		args = append(args, "--fail-fast") // every objection counts, and the first one says where
	}
	if o.Workers > 0 {
		args = append(args, "--workers", strconv.Itoa(o.Workers))
	}
	if slices.Contains(r.checkers(), determinism) {
		args = append(args, "--check-determinism=100%")
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	out, err := cmd.Output()
	if cmd.ProcessState != nil {
		r.CPU += int64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())
	}
	if ctx.Err() != nil {
		return fmt.Errorf("seeds %d to %d did not end: %w", first, last, ctx.Err())
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	if err := r.read(out); err != nil {
		return fmt.Errorf("%w; the command said: %s", err, firstLine(err, cmd))
	}
	return nil
}

func firstLine(err error, cmd *exec.Cmd) string {
	return strings.TrimSpace(fmt.Sprintf("%s (%v)", strings.Join(cmd.Args, " "), cmd.ProcessState))
}

const determinism = "determinism"

// line holds the fields that are read of a line of the command's output.
type line struct {
	Type     string   `json:"type"`
	Scenario string   `json:"scenario"`
	Seed     string   `json:"seed"`
	Checkers []string `json:"checkers"`
	Seeds    int      `json:"seeds"`
	Exit     int      `json:"exit"`
}

// read counts the findings in the command's output.
func (r *Result) read(out []byte) error {
	in := bufio.NewScanner(bytes.NewReader(out))
	in.Buffer(nil, 16<<20)
	ended := false
	for in.Scan() {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return err
		}
		switch l.Type {
		case "finding":
			r.objected(&l)
		case "summary":
			ended = true
			r.Seeds += l.Seeds
			if l.Exit == campaign.ExitNondeterminism {
				r.objected(&line{Scenario: r.Scenario, Checkers: []string{determinism}})
			}
		}
	}
	if !ended {
		return errors.New("the run has no summary")
	}
	return in.Err()
}

// objected takes note of a seed to which checkers object.
func (r *Result) objected(l *line) {
	for _, c := range l.Checkers {
		if !slices.Contains(r.Others, c) {
			r.Others = append(r.Others, c)
		}
	}
	by, expected := r.expects(l.Checkers)
	switch {
	case expected:
		r.Checker = by
	case r.Checker == "" && len(l.Checkers) > 0:
		r.Checker = l.Checkers[0]
	}
	if !expected && (r.isLine() || len(l.Checkers) == 0) {
		return
	}
	r.In++
	if !r.Found {
		r.Found, r.FoundIn = true, l.Scenario
		n, _ := strconv.ParseUint(l.Seed, 0, 63) // "": of all seeds together
		r.First = int(n)
	}
	if l.Scenario == r.FoundIn && l.Seed != "" {
		r.seeds = append(r.seeds, l.Seed)
	}
}

// AsExpected reports whether a checker objected by which the mistake was to be found.
func (r *Result) AsExpected() bool {
	_, expected := r.expects([]string{r.Checker})
	return r.Found && expected
}
