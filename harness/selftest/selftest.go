package selftest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Subject is the module whose judges are tested.
type Subject struct {
	Module  string   // its path
	Command string   // package, below the root, of a command with simrun's run and shrink
	Lists   string   // command line that lists checkers and safety, for errors
	Lines   string   // directory, slash-separated, below which safety lines are; "": the root
	Dir     string   // directory of the files of mistakes, likewise; "": there are none
	Kinds   []string // directories of Dir: the rule that is broken is about this
	// Checkers names the judges; a mistake that names another one would survive for ever.
	Checkers []string
	// Scenario returns an error for a name that is neither a scenario nor a group.
	Scenario func(name string) error
}

// Options say what to break and how long to look.
type Options struct {
	Subject
	Root string   // of the module's source
	Only []string // names; empty for all
	Kind string   // of mistakes with files; "" for all, and safety lines
	// Share is the share of mistakes, in per cent, that are planted although their files
	// have not changed since the revision Since; the tree decides which. 100: all.
	Share int
	Since string
	// Seeds is the budget: how many seeds of the scenario a checker has. A
	// mistake that none of them shows has survived.
	Seeds int
	// Rate, if not 0, measures in how many of so many first seeds the mistake is found;
	// only if it is in none of them, more are run.
	Rate int
	// Shrink is how many of the seeds that show a mistake are shrunk, with the
	// mistake built in.
	Shrink  int
	Workers int // of the runs; 0: one per CPU
	// Done is called after each mistake.
	Done func(Result)
}

// RateSeeds is the number of fixed seeds over which detection rates are measured.
const RateSeeds = 200

// DefaultSeeds is the budget of a mistake whose scenario is known.
const DefaultSeeds = 6400

// WideSeeds is the budget, in each scenario, of a mistake whose scenario is not known.
const WideSeeds = 300

// Result is what became of one mistake.
type Result struct {
	Mistake
	Type    string   `json:"type"` // "mistake"
	Found   bool     `json:"found"`
	Checker string   `json:"checker"`              // that objected: the expected one if it did
	Others  []string `json:"objected,omitempty"`   // all that objected, in any seed
	FoundIn string   `json:"found_in,omitempty"`   // the scenario in which it was found first
	First   int      `json:"first_seed,omitempty"` // the number of the seed in which it was
	Seeds   int      `json:"seeds"`                // that were run
	In      int      `json:"in"`                   // seeds in which it was found
	CPU     int64    `json:"cpu_ns"`               // of running them, without the build
	Problem string   `json:"problem,omitempty"`    // why the mistake could not be planted, or run to the end
	Shrunk  []Shrunk `json:"shrunk,omitempty"`
	seeds   []string // in which it was found
}

// ErrNoSource is returned if the source or the go command is not there.
var ErrNoSource = errors.New("the self-test needs the source tree and the go command")

// All returns every mistake that can be planted in the source at root, safety lines first.
func (s *Subject) All(root string) ([]Mistake, error) {
	all, err := s.safetyLines(root)
	if err != nil {
		return nil, err
	}
	more, err := s.files(root)
	if err != nil {
		return nil, err
	}
	all = append(all, more...)
	if err := s.known(all); err != nil {
		return nil, err
	}
	return all, distinct(all)
}

// Root returns the root of the module's source at or above dir.
func (s *Subject) Root(dir string) (string, error) {
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte("module "+s.Module+"\n")) {
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
		r := o.plant(ctx, &chosen[i], dir)
		if err := ctx.Err(); err != nil {
			return results, err
		}
		results = append(results, r)
		if o.Done != nil {
			o.Done(r)
		}
	}
	return results, nil
}

// plant builds the command with the mistake in it and looks for the objection.
func (o *Options) plant(ctx context.Context, m *Mistake, dir string) Result {
	r := Result{Mistake: *m, Type: "mistake"}
	binary, err := o.build(ctx, m, dir)
	if err == nil {
		err = o.search(ctx, &r, binary)
	}
	if err == nil {
		err = r.shrink(ctx, binary, dir, o.Shrink)
	}
	if err != nil {
		r.Problem = err.Error()
	}
	return r
}

func (o *Options) build(ctx context.Context, m *Mistake, dir string) (string, error) {
	broken, err := m.Files(o.Root)
	if err != nil {
		return "", err
	}
	overlay, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "command")
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
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", binary, "./"+o.Command)
	cmd.Dir = o.Root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the source with the mistake does not build: %w\n%s", err, out)
	}
	return binary, nil
}
