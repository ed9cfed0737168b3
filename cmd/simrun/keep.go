package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/pflag"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/harness/replay"
	"github.com/tidaldb/tidalsim/scenarios"
)

// keepFlags are the flags of shrink that put a plan among the regressions.
type keepFlags struct {
	name, lesson, dir string
}

func (k *keepFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&k.name, "keep", "", "put the plan among the regressions under this name, e.g. ack-before-sync; wants --lesson")
	flags.StringVar(&k.lesson, "lesson", "", "with --keep: what the bug taught, in a sentence; run prints it when the plan fails again")
	flags.StringVar(&k.dir, "regressions", regressions, "with --keep: directory of committed plans")
}

// maxName bounds the name of a regression, bytes.
const maxName = 64

// regressionName matches the name of a regression: words of small letters and digits.
var regressionName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (k *keepFlags) validate() error {
	switch {
	case k.name == "" && k.lesson == "":
		return nil
	case k.name == "":
		return fmt.Errorf("--lesson: %w: it belongs to a plan that is kept; name it with --keep NAME", campaign.ErrUsage)
	case k.lesson == "":
		return fmt.Errorf(`--keep %s: %w: a regression says what it taught; add --lesson "..."`, k.name, campaign.ErrUsage)
	case len(k.name) > maxName || !regressionName.MatchString(k.name):
		return fmt.Errorf("--keep %q: %w: want words of small letters and digits with hyphens between them, at most %d bytes, like ack-before-sync", k.name, campaign.ErrUsage, maxName)
	}
	return nil
}

// path is where the regression of a plan goes.
func (k *keepFlags) path(p *scenarios.Plan) string {
	return filepath.Join(k.dir, p.Scenario, k.name+".json")
}

// isFree returns an error if a name is taken. It is asked before any work is done.
func (k *keepFlags) isFree(p *scenarios.Plan) error {
	if k.name == "" {
		return nil
	}
	_, err := os.Lstat(k.path(p))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return k.unusable(err)
	}
	return k.taken(p)
}

func (k *keepFlags) taken(p *scenarios.Plan) error {
	return fmt.Errorf("--keep %s: %w: %s is there already; choose another name, or remove it", k.name, campaign.ErrUsage, k.path(p))
}

func (k *keepFlags) unusable(err error) error {
	return fmt.Errorf("--keep %s: %w: %w; name the directory of the committed plans with --regressions", k.name, campaign.ErrUsage, err)
}

// acked is the least number of acknowledged operations of a plan that is kept. A run without
// any would be undecided, and prove nothing, once its bug is mended.
func (k *keepFlags) acked() int {
	if k.name == "" {
		return 0
	}
	return 1
}

// write puts a plan among the regressions. It makes the scenario's directory, and never
// writes over a file.
func (k *keepFlags) write(p *scenarios.Plan) (path string, err error) {
	kept := *p
	kept.Lesson = k.lesson
	path = k.path(p)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", k.unusable(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return "", k.taken(p)
	} else if err != nil {
		return "", fmt.Errorf("--keep %s: %w", k.name, err)
	}
	_, err = file.Write(kept.Encode())
	return path, errors.Join(err, file.Close())
}

// keepAsItIs puts a recorded plan that no longer fails among the regressions. A plan that proves
// nothing is refused.
func (c *command) keepAsItIs(p *scenarios.Plan, f *shrinkFlags) error {
	k := &f.keep
	got, err := scenarios.NewRunner().Run(p, scenarios.Options{Porcupine: true})
	if err != nil {
		return err
	}
	switch {
	case p.Recorded == nil || p.Recorded.Fingerprint == "":
		return fmt.Errorf("--keep %s: %w: %s seed %s does not fail, and there is no record that it did; keep the plan.json or shrunk.json of a finding", k.name, errStale, p.Scenario, p.World.Seed)
	case !replay.IsMended(p, &got.Result):
		return fmt.Errorf("--keep %s: %w: it once showed %q, and none of its disruptions begins any more; shrink a failing seed again", k.name, errStale, p.Recorded.Fingerprint)
	case got.Verdict != checker.Held:
		return fmt.Errorf("--keep %s: %w: it once showed %q, and now the run is undecided, so that it would prove nothing (%s); keep the plan from before it was shrunk", k.name, errStale, p.Recorded.Fingerprint, got.Why)
	}
	path, err := k.write(p)
	if err != nil {
		return err
	}
	if c.json {
		return c.line(&shrunk{
			Schema: campaign.Schema, Type: "shrunk", Scenario: p.Scenario, Seed: p.World.Seed, Fingerprint: p.Recorded.Fingerprint, Operations: got.Operations, Runs: 1, Kept: path,
		})
	}
	fmt.Fprintf(c.stdout, "%s seed %s no longer fails; it once showed %s\nkept as %s: run looks at it first from now on\n%s replay %s\n", p.Scenario, p.World.Seed, p.Recorded.Fingerprint, path, program(), path)
	return nil
}
