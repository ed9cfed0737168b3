package selftest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options say what to break and how long to look.
type Options struct {
	Root string   // of the module's source
	Only []string // names; empty for all
	// Seeds is the budget: how many seeds of the scenario a checker has. A
	// mistake that none of them shows has survived.
	Seeds int
	// Rate measures in how many of the first RateSeeds seeds the mistake is found;
	// only if it is in none of them, more are run.
	Rate bool
	// Shrink is how many of the seeds that show a mistake are shrunk, with the
	// mistake built in.
	Shrink int
	// Done is called after each mistake.
	Done func(Result)
}

// RateSeeds is the number of fixed seeds over which detection rates are measured.
const RateSeeds = 200

// DefaultSeeds is the budget of a mistake.
const DefaultSeeds = 6400

// Result is what became of one mistake.
type Result struct {
	Mistake
	Type    string   `json:"type"` // "mistake"
	Found   bool     `json:"found"`
	Checker string   `json:"checker"` // that objected: the expected one if it did
	Seeds   int      `json:"seeds"`   // that were run
	In      int      `json:"in"`      // seeds in which the expected checker objected
	CPU     int64    `json:"cpu_ns"`  // of running them, without the build
	Shrunk  []Shrunk `json:"shrunk,omitempty"`
	seeds   []string // in which a checker objected
}

// ErrNoSource is returned if the source or the go command is not there.
var ErrNoSource = errors.New("the self-test needs the source tree and the go command")

// All returns every mistake that can be planted, safety lines first.
func All(root string) ([]Mistake, error) {
	lines, err := Lines(root)
	if err != nil {
		return nil, err
	}
	all := append(lines, mistakes...)
	return all, distinct(all)
}

// Root returns the root of the module's source at or above dir.
func Root(dir string) (string, error) {
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte("module github.com/tidaldb/tidalsim\n")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("%w: no go.mod of this module here or above; run it in a clone", ErrNoSource)
		}
		dir = parent
	}
}

// Run plants one mistake after the other.
func Run(ctx context.Context, o Options) ([]Result, error) {
	chosen, err := o.chosen()
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSource, err)
	}
	dir, err := os.MkdirTemp("", "selftest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var results []Result
	for i := range chosen {
		r, err := o.plant(ctx, &chosen[i], dir)
		if err != nil {
			return results, fmt.Errorf("%s: %w", chosen[i].Name, err)
		}
		results = append(results, r)
		if o.Done != nil {
			o.Done(r)
		}
	}
	return results, nil
}

// ErrUnknown is returned for a name that no mistake has.
var ErrUnknown = errors.New("no such mistake")

func (o *Options) chosen() ([]Mistake, error) {
	all, err := All(o.Root)
	if err != nil || len(o.Only) == 0 {
		return all, err
	}
	var chosen []Mistake
	for _, name := range o.Only {
		i := slices.IndexFunc(all, func(m Mistake) bool { return m.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%w: %q; simrun list safety names them", ErrUnknown, name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// plant builds the command with the mistake in it and looks for the objection.
func (o *Options) plant(ctx context.Context, m *Mistake, dir string) (Result, error) {
	r := Result{Mistake: *m, Type: "mistake"}
	binary, err := o.build(ctx, m, dir)
	if err != nil {
		return r, err
	}
	if err := o.search(ctx, &r, binary); err != nil {
		return r, err
	}
	return r, r.shrink(ctx, binary, dir, o.Shrink)
}

// search runs seeds until the mistake is found.
func (o *Options) search(ctx context.Context, r *Result, binary string) error {
	piece := 50
	if o.Rate {
		piece = RateSeeds
	}
	// Ever larger pieces, so that what is found at once costs little.
	for first, size := 1, piece; first <= o.Seeds && !r.Found; first, size = first+size, 2*size {
		if err := r.look(ctx, binary, first, min(first+size-1, o.Seeds)); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) build(ctx context.Context, m *Mistake, dir string) (string, error) {
	broken, err := m.Files(o.Root)
	if err != nil {
		return "", err
	}
	overlay, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "simrun")
	replace := map[string]string{}
	for path, source := range broken {
		replace[path] = filepath.Join(dir, fmt.Sprintf("broken%d.go", len(replace)))
		if err := os.WriteFile(replace[path], source, 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", binary, "./cmd/simrun")
	cmd.Dir = o.Root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the source with the mistake does not build: %w\n%s", err, out)
	}
	return binary, nil
}

// pieceTime bounds one piece: a mistake may be an endless loop.
const pieceTime = 2 * time.Minute

// look runs seeds first..last with the mistake and counts objections.
func (r *Result) look(ctx context.Context, binary string, first, last int) error {
	ctx, cancel := context.WithTimeout(ctx, pieceTime)
	defer cancel()
	args := []string{"run", r.Scenario, "--seeds", strconv.Itoa(first) + "-" + strconv.Itoa(last), "--json", "--out=", "--regressions=", "--porcupine=0%"}
	if r.Expected == determinism {
		args = append(args, "--check-determinism=100%")
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	out, err := cmd.Output()
	if cmd.ProcessState != nil {
		r.CPU += int64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())
	}
	r.Seeds += last - first + 1
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

// exitNondeterminism is the command's exit code for runs that differ.
const exitNondeterminism = 6

// read counts the findings in the command's output.
func (r *Result) read(out []byte) error {
	in := bufio.NewScanner(bytes.NewReader(out))
	in.Buffer(nil, 16<<20)
	ended := false
	for in.Scan() {
		var line struct {
			Type     string   `json:"type"`
			Seed     string   `json:"seed"`
			Checkers []string `json:"checkers"`
			Exit     int      `json:"exit"`
		}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			return err
		}
		switch line.Type {
		case "finding":
			r.seeds = append(r.seeds, line.Seed)
			r.objected(line.Checkers)
		case "summary":
			ended = true
			if line.Exit == exitNondeterminism {
				r.objected([]string{determinism})
			}
		}
	}
	if !ended {
		return errors.New("the run has no summary")
	}
	return in.Err()
}

func (r *Result) objected(checkers []string) {
	if slices.Contains(checkers, r.Expected) {
		r.Found, r.Checker = true, r.Expected
		r.In++
	} else if r.Checker == "" && len(checkers) > 0 {
		r.Checker = checkers[0]
	}
}
