package campaign

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/page"
)

// maxShown bounds the text of a finding on the page of a run, bytes: a panic has a stack.
const maxShown = 2000

// maxNamed bounds the seeds of one kind of finding that a page names.
const maxNamed = 20

// ReadRun returns the page of a suite's run from its directory. It reads what finish has written.
func ReadRun(suite *harness.Suite, dir string) (*page.Run, error) {
	data, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		return nil, err
	}
	var summary *Summary
	record := artifacts.Record{Summary: &summary}
	if err := json.Unmarshal(data, &record); err != nil || record.Type != "run" {
		return nil, fmt.Errorf("%s: %w: run.json is none of a run: %w", dir, ErrUsage, err)
	}
	r := &page.Run{ID: record.ID, Build: record.Build, Started: record.Started, Command: strings.Join(record.Command, " "), Verdict: "not ended"}
	if summary != nil {
		summary.points = suite.Points
		summary.onto(r)
	}
	if err := readKinds(suite, dir, r); err != nil {
		return nil, err
	}
	return r, nil
}

// onto puts a summary on the page of its run.
func (s *Summary) onto(r *page.Run) {
	r.Verdict, r.Seeds, r.Held, r.Violated, r.Undecided = s.Word(), s.Seeds, s.Held, s.Violated, s.Undecided
	r.Operations, r.Acked, r.Wall, r.Simulated, r.Trace, r.Why = s.Operations, s.Acked, s.Wall, s.Simulated, s.Trace, s.Why
	for _, p := range s.Scenarios {
		r.Scenarios = append(r.Scenarios, page.PerScenario{
			Name: p.Name, Seeds: p.Seeds, Held: p.Held, Violated: p.Violated, Undecided: p.Undecided, Fired: p.Fired, Deviated: p.Deviated, Acked: p.Acked,
		})
	}
	for i := range s.Vetoed {
		r.Vetoed = append(r.Vetoed, s.Vetoed[i].String())
	}
	for _, name := range s.points {
		r.Points = append(r.Points, page.Reached{Name: name, Reached: !slices.Contains(s.NotReached, name)})
	}
}

// readKinds adds the kinds of findings, the most frequent first.
func readKinds(suite *harness.Suite, dir string, r *page.Run) error {
	file, err := os.Open(filepath.Join(dir, "seeds.jsonl"))
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), []byte(`"verdict":"violated"`)) { // nearly all
			continue
		}
		var l SeedLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("%s: seeds.jsonl: %w", dir, err)
		}
		i := slices.IndexFunc(r.Kinds, func(k page.Kind) bool { return k.Fingerprint == l.Fingerprint })
		if i < 0 {
			i = len(r.Kinds)
			r.Kinds = append(r.Kinds, kindOf(suite, dir, &l))
		}
		k := &r.Kinds[i]
		if k.Count++; k.Count <= maxNamed {
			k.Seeds = append(k.Seeds, l.name())
		}
	}
	slices.SortStableFunc(r.Kinds, func(a, b page.Kind) int { return b.Count - a.Count })
	return lines.Err()
}

// kindOf returns the kind of finding of the first seed that showed it.
func kindOf(suite *harness.Suite, dir string, l *SeedLine) page.Kind {
	k := page.Kind{Fingerprint: l.Fingerprint, Replay: suite.Command + " replay " + l.name()}
	in := filepath.Join("findings", artifacts.Directory(l.Fingerprint))
	if data, err := os.ReadFile(filepath.Join(dir, in, artifacts.FindingName)); err == nil {
		var f Finding
		if json.Unmarshal(data, &f) == nil {
			k.Text, k.At, k.LastFault, k.Replay = f.Text[:min(len(f.Text), maxShown)], f.At, f.LastFault, suite.Command+" "+f.Replay
		}
	}
	if _, err := os.Stat(filepath.Join(dir, in, artifacts.PageName)); err == nil {
		k.Page = filepath.ToSlash(filepath.Join(in, artifacts.PageName))
	}
	return k
}

// evidence runs a recorded plan once more and returns its history and its trace.
func (c *campaign) evidence(p harness.Plan) func() ([]artifacts.Evidence, error) {
	suite := c.options.Suite
	return func() ([]artifacts.Evidence, error) {
		got, err := suite.NewRunner().Run(p, harness.Options{Trace: true, Decorate: c.options.Decorate})
		if err != nil {
			return nil, err
		}
		all := []artifacts.Evidence{{Name: "trace", Write: func(w *bufio.Writer) error { return writeTrace(w, harness.Events(got.Entries, suite.Points)) }}}
		if got.WriteHistory != nil {
			all = append(all, artifacts.Evidence{Name: "history", Write: func(w *bufio.Writer) error { return got.WriteHistory(w) }})
		}
		return all, nil
	}
}

// writeTrace writes events as lines of JSON.
func writeTrace(w *bufio.Writer, events []string) error {
	enc := json.NewEncoder(w)
	for i, e := range events {
		if err := enc.Encode(struct {
			Event int    `json:"event"`
			Text  string `json:"text"`
		}{i, e}); err != nil {
			return err
		}
	}
	return nil
}

// picture draws a finding, if the suite can, and writes the page and finding.json beside its
// plan.
func (c *campaign) picture(f *Finding) {
	suite := c.options.Suite
	if suite.Picture == nil {
		c.store.Note(filepath.Dir(f.Plan), f)
		return
	}
	draw, err := suite.Picture(f.Result, harness.Name(f.Scenario, f.Seed), suite.Command+" "+f.Replay, artifacts.Build())
	if err != nil {
		c.store.Failed(err)
		return
	}
	f.Page = filepath.Join(filepath.Dir(f.Plan), artifacts.PageName)
	c.store.Page(f.Page, draw)
	c.store.Note(filepath.Dir(f.Plan), f)
}

// finish writes the summary in every form.
func (c *campaign) finish() error {
	s := &c.summary
	junit, err := s.junit().encode()
	if err != nil {
		return err
	}
	c.store.Finish(s, s.markdown(), junit)
	run, err := ReadRun(c.options.Suite, c.store.Dir())
	if err != nil {
		c.store.Failed(err)
	} else {
		c.store.Page(filepath.Join(c.store.Dir(), artifacts.PageName), run.Write)
	}
	return c.store.Err()
}
