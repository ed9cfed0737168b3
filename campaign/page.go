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

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/report"
)

// PageName is the page of a finding, or of a run, in its directory.
const PageName = "report.html"

// WritePage writes a page, making its directory if there is none.
func WritePage(path string, write func(*bufio.Writer) error) (failed error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if err := file.Close(); failed == nil {
			failed = err
		}
	}()
	w := bufio.NewWriterSize(file, 1<<16)
	if err := write(w); err != nil {
		return err
	}
	return w.Flush()
}

// maxShown bounds what a page of a run says of a finding, bytes: a panic has a stack.
const maxShown = 2000

// maxNamed bounds the seeds of one kind of finding that a page names.
const maxNamed = 20

// ReadRun returns the page of a run from its directory. It reads what finish has written.
func ReadRun(dir string) (*report.Run, error) {
	data, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		return nil, err
	}
	var record runRecord
	if err := json.Unmarshal(data, &record); err != nil || record.Type != "run" {
		return nil, fmt.Errorf("%s: %w: run.json is none of a run: %w", dir, ErrUsage, err)
	}
	r := &report.Run{ID: record.ID, Build: record.Build, Started: record.Started, Command: strings.Join(record.Command, " "), Verdict: "not ended"}
	if s := record.Summary; s != nil {
		s.onto(r)
	}
	if err := readKinds(dir, r); err != nil {
		return nil, err
	}
	return r, nil
}

// onto puts a summary on the page of its run.
func (s *Summary) onto(r *report.Run) {
	r.Verdict, r.Seeds, r.Held, r.Violated, r.Undecided = s.Word(), s.Seeds, s.Held, s.Violated, s.Undecided
	r.Operations, r.Acked, r.Wall, r.Simulated, r.Trace, r.Why = s.Operations, s.Acked, s.Wall, s.Simulated, s.Trace, s.Why
	for _, p := range s.Scenarios {
		r.Scenarios = append(r.Scenarios, report.PerScenario{
			Name: p.Name, Seeds: p.Seeds, Held: p.Held, Violated: p.Violated, Undecided: p.Undecided, Fired: p.Fired, Deviated: p.Deviated, Acked: p.Acked,
		})
	}
	for i := range s.Vetoed {
		r.Vetoed = append(r.Vetoed, s.Vetoed[i].String())
	}
	for p := env.Point(0); p < fault.Points; p++ {
		r.Points = append(r.Points, report.Reached{Name: fault.Name(p), Reached: !slices.Contains(s.NotReached, fault.Name(p))})
	}
}

// readKinds adds the kinds of findings, the most frequent first.
func readKinds(dir string, r *report.Run) error {
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
		i := slices.IndexFunc(r.Kinds, func(k report.Kind) bool { return k.Fingerprint == l.Fingerprint })
		if i < 0 {
			i = len(r.Kinds)
			r.Kinds = append(r.Kinds, kindOf(dir, &l))
		}
		k := &r.Kinds[i]
		if k.Count++; k.Count <= maxNamed {
			k.Seeds = append(k.Seeds, l.name())
		}
	}
	slices.SortStableFunc(r.Kinds, func(a, b report.Kind) int { return b.Count - a.Count })
	return lines.Err()
}

// kindOf returns the kind of finding of the first seed that showed it.
func kindOf(dir string, l *SeedLine) report.Kind {
	k := report.Kind{Fingerprint: l.Fingerprint, Replay: "simrun replay " + l.name()}
	in := filepath.Join("findings", strings.ReplaceAll(l.Fingerprint, "/", "."))
	if data, err := os.ReadFile(filepath.Join(dir, in, "finding.json")); err == nil {
		var f Finding
		if json.Unmarshal(data, &f) == nil {
			k.Text, k.At, k.LastFault, k.Replay = f.Text[:min(len(f.Text), maxShown)], f.At, f.LastFault, "simrun "+f.Replay
		}
	}
	if _, err := os.Stat(filepath.Join(dir, in, PageName)); err == nil {
		k.Page = filepath.ToSlash(filepath.Join(in, PageName))
	}
	return k
}

// picture draws a finding and writes page and finding.json beside its plan.
func (s *store) picture(f *Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	drawn, err := report.Draw(f.Result, Name(f.Scenario, f.Seed), "simrun "+f.Replay, Build())
	if err != nil {
		s.keep(err)
		return
	}
	dir := filepath.Dir(f.Plan)
	f.Page = filepath.Join(dir, PageName)
	s.keep(WritePage(f.Page, drawn.Write))
	data, err := json.MarshalIndent(f, "", " ")
	s.keep(err)
	s.keep(os.WriteFile(filepath.Join(dir, "finding.json"), append(data, '\n'), 0o644))
}
