package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/report"
	"github.com/tidaldb/tidalsim/scenarios/suite"
)

// reported is the JSON of report.
type reported struct {
	Schema  int    `json:"schema"`
	Type    string `json:"type"` // "report"
	Page    string `json:"page"` // path
	Verdict string `json:"verdict,omitempty"`
}

func (c *command) report() *cobra.Command {
	var out, to string
	cmd := &cobra.Command{
		Use:   "report SCENARIO:SEED | FINDING | PLAN | RUN | latest",
		Short: "draw one seed, or a whole run, as an HTML page that opens without a network",
		Long: `Draw one seed, or a whole run, as one HTML file that opens from a disk, without a
network. FINDING is a directory of .simrun/latest/findings, PLAN the file of a plan, RUN
the directory of a run; "latest" is the first finding of the newest run, or that run if
it found nothing. Exit codes: 0 the page is written; 2 usage; 5 the plan is unreadable.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := reportTarget(args[0], out)
			if err != nil {
				return err
			}
			if target.run != "" {
				return c.reportRun(target, to)
			}
			return c.reportSeed(cmd.Context(), target, to)
		},
	}
	cmd.Flags().StringVar(&out, "out", ".simrun", "directory of artifacts, for latest and for pages of seeds")
	cmd.Flags().StringVar(&to, "to", "", "file of the page (default beside the plan, or in the directory of artifacts)")
	return cmd
}

// target is the run or the plan to draw.
type target struct {
	run  string // directory
	name string // of a seed, as replay wants it
	page string // path, unless --to says another
}

// reportTarget returns the run or the plan that an argument of report means.
func reportTarget(text, out string) (target, error) {
	if text == "latest" {
		if path, err := artifacts.Latest(out); err == nil {
			return target{name: path, page: filepath.Join(filepath.Dir(path), artifacts.PageName)}, nil
		}
		text = filepath.Join(out, "latest")
	}
	info, err := os.Stat(text)
	scenario, seed, isSeed := strings.Cut(text, ":")
	switch {
	case errors.Is(err, fs.ErrNotExist) && isSeed:
		return target{name: text, page: filepath.Join(out, "pages", scenario+"-"+seed+".html")}, nil
	case err != nil:
		if _, missing := find(text, out); missing != nil { // says which run or plan is missing, and how to get one
			err = missing
		}
		return target{}, err
	case !info.IsDir():
		return target{name: text, page: strings.TrimSuffix(text, filepath.Ext(text)) + ".html"}, nil
	}
	if plan := filepath.Join(text, "plan.json"); exists(plan) {
		return target{name: plan, page: filepath.Join(text, artifacts.PageName)}, nil
	}
	if !exists(filepath.Join(text, "run.json")) {
		return target{}, fmt.Errorf("%s: %w: neither a finding nor a run is in it; want a directory with plan.json or run.json", text, campaign.ErrUsage)
	}
	return target{run: text, page: filepath.Join(text, artifacts.PageName)}, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// reportSeed runs a plan and draws it. A large run takes minutes and cannot be stopped, so that
// an interrupt does not wait for it.
func (c *command) reportSeed(ctx context.Context, t target, to string) error {
	p, err := find(t.name, "")
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var drawn *report.Seed
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { // execute recovers from panics in its own goroutine only
			if failure := recover(); failure != nil {
				err = fmt.Errorf("internal error: %v\n%s", failure, debug.Stack())
			}
			done <- err
		}()
		drawn, err = report.Draw(p, harness.Name(p.Scenario, p.World.Seed), program()+" replay "+t.name, artifacts.Build())
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-done:
		if err != nil {
			return err
		}
	}
	return c.page(t, to, drawn.Verdict, drawn.Write)
}

// reportRun draws a run from its artifacts.
func (c *command) reportRun(t target, to string) error {
	run, err := campaign.ReadRun(suite.Tenants(), t.run)
	if err != nil {
		return err
	}
	return c.page(t, to, run.Verdict, run.Write)
}

// page writes a page and says where it is.
func (c *command) page(t target, to, verdict string, write func(w *bufio.Writer) error) error {
	if to == "" {
		to = t.page
	}
	if err := artifacts.WritePage(to, write); err != nil {
		return err
	}
	if c.json {
		return c.line(reported{campaign.Schema, "report", to, verdict})
	}
	_, err := fmt.Fprintf(c.stdout, "%s: %s\n", verdict, to)
	return err
}
