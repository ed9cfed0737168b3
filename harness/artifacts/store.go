// Package artifacts keeps the results of a campaign on disk: its record, a line for each
// seed, and the evidence of each kind of finding. It reads plans, and knows which binary
// this is.
//
// The one rule to remember: what cannot be written never changes a verdict.
package artifacts

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Store keeps the artifacts of one campaign:
//
//	DIR/runs/<id>/run.json      options, build, and at the end the summary
//	DIR/runs/<id>/seeds.jsonl   a line when a seed begins, one when it ends
//	DIR/runs/<id>/summary.md    for a pull request
//	DIR/runs/<id>/junit.xml     for a CI server
//	DIR/runs/<id>/report.html   for a reader, by kind of finding
//	DIR/runs/<id>/findings/<fingerprint>/
//	    plan.json, history.jsonl.gz, trace.jsonl.gz   of the first seed
//	    finding.json, report.html                     the finding, and its picture
//	    <scenario>-<seed>.json                        plans of further seeds
//	DIR/latest                  link to the newest run
//
// A seed's beginning is written before it runs, so that a run that never ended
// can be found in the files that a killed process left behind.
type Store struct {
	root, dir string
	record    Record

	mu    sync.Mutex // workers write beginnings and findings
	seeds *os.File
	found map[string]int // plans kept, by fingerprint
	err   error          // the first that was met; reported at the end
}

// PlanName is the plan of the first seed of a kind of finding, in its directory.
const PlanName = "plan.json"

// The bounds of the stored runs.
const (
	KeptRuns     = 20 // runs
	KeptFindings = 20 // plans of one fingerprint
)

// Record is run.json.
type Record struct {
	Schema  int      `json:"schema"`
	Type    string   `json:"type"` // "run"
	ID      string   `json:"id"`
	Build   string   `json:"build"`
	Started string   `json:"started"` // RFC 3339
	Command []string `json:"command"`
	Workers int      `json:"workers"`
	Summary any      `json:"summary,omitempty"` // absent while it runs
}

// New makes the directory of a run below root and writes down how it began. Schema is the
// version of the stored files.
func New(root string, schema, workers int) (*Store, error) {
	runs := filepath.Join(root, "runs")
	if err := os.MkdirAll(runs, 0o755); err != nil {
		return nil, unusable(err)
	}
	id, err := claim(runs, time.Now().UTC())
	if err != nil {
		return nil, unusable(err)
	}
	s := &Store{root: root, dir: filepath.Join(runs, id), found: map[string]int{}}
	if s.seeds, err = os.Create(filepath.Join(s.dir, "seeds.jsonl")); err != nil {
		return nil, unusable(err)
	}
	s.record = Record{
		Schema: schema, Type: "run", ID: id, Build: Build(),
		Started: time.Now().UTC().Format(time.RFC3339), Command: os.Args, Workers: workers,
	}
	s.json("run.json", &s.record)
	s.link(id)
	s.prune(runs)
	if s.err != nil {
		return nil, errors.Join(unusable(s.err), s.seeds.Close())
	}
	return s, nil
}

// claim makes the directory of a run that began at the instant, and returns its name. Names
// ascend in time. Two runs of one process may begin in the same millisecond: the later takes
// the next free one.
func claim(runs string, began time.Time) (string, error) {
	for {
		id := fmt.Sprintf("%s-%d", began.Format("20060102T150405.000"), os.Getpid())
		err := os.Mkdir(filepath.Join(runs, id), 0o755)
		if !errors.Is(err, fs.ErrExist) {
			return id, err
		}
		began = began.Add(time.Millisecond)
	}
}

// ErrDir is wrapped by the errors for a directory that cannot take artifacts, met
// before anything ran.
var ErrDir = errors.New("artifacts have no place")

func unusable(err error) error {
	return fmt.Errorf("%w: %w; name another directory with --out, or none with --out=", ErrDir, err)
}

// link points latest at this run. It is made aside and renamed, so that there is
// always one.
func (s *Store) link(id string) {
	aside := filepath.Join(s.root, fmt.Sprintf("latest.%d", os.Getpid()))
	s.keep(os.Symlink(filepath.Join("runs", id), aside))
	s.keep(os.Rename(aside, filepath.Join(s.root, "latest")))
}

// prune removes all but the newest runs.
func (s *Store) prune(runs string) {
	entries, err := os.ReadDir(runs)
	s.keep(err)
	for i := 0; i < len(entries)-KeptRuns; i++ { // names ascend in time
		s.keep(os.RemoveAll(filepath.Join(runs, entries[i].Name())))
	}
}

// ErrArtifact is wrapped by the error for an artifact that could not be written. The verdicts
// of the seeds stand all the same.
var ErrArtifact = errors.New("an artifact could not be written")

func (s *Store) keep(err error) {
	if s.err == nil && err != nil {
		s.err = err
	}
}

func (s *Store) write(name string, data []byte) {
	s.keep(os.WriteFile(filepath.Join(s.dir, name), data, 0o644))
}

func (s *Store) json(name string, v any) {
	data, err := json.MarshalIndent(v, "", " ")
	s.keep(err)
	s.write(name, append(data, '\n'))
}

// Dir is the directory of the run.
func (s *Store) Dir() string { return s.dir }

// Start notes that a seed begins.
func (s *Store) Start(scenario string, seed plan.Seed) { s.note("start", scenario, seed) }

// Dropped notes that a seed does not count, though it began: its scenario had stopped.
func (s *Store) Dropped(scenario string, seed plan.Seed) { s.note("dropped", scenario, seed) }

func (s *Store) note(what, scenario string, seed plan.Seed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := fmt.Fprintf(s.seeds, "{\"type\":%q,\"scenario\":%q,\"seed\":%q}\n", what, scenario, seed)
	s.keep(err)
}

// Seed notes how a seed ended: line is its description as JSON.
func (s *Store) Seed(line any) {
	data, err := json.Marshal(line)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(err)
	_, err = s.seeds.Write(append(data, '\n'))
	s.keep(err)
}

// Evidence writes a file of a finding, under the given name.
type Evidence struct {
	Name  string // the file is NAME.jsonl.gz
	Write func(*bufio.Writer) error
}

// Finding keeps the plan of a finding and, of the first of its kind, the evidence, and
// returns the path of the plan, "" if there are enough of its kind already. Evidence is too
// large to be carried along for every finding, so that it is asked for when it is needed.
func (s *Store) Finding(fingerprint string, p harness.Plan, evidence func() ([]Evidence, error)) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found[fingerprint]++
	n := s.found[fingerprint]
	if n > KeptFindings {
		return ""
	}
	dir := filepath.Join("findings", Directory(fingerprint))
	s.keep(os.MkdirAll(filepath.Join(s.dir, dir), 0o755))
	name := PlanName
	if n > 1 {
		name = fmt.Sprintf("%s-%s.json", p.Parts().Scenario, p.Parts().World.Seed)
	}
	s.write(filepath.Join(dir, name), p.Encode())
	if n == 1 {
		files, err := evidence()
		s.keep(err)
		for _, e := range files {
			s.zipped(filepath.Join(dir, e.Name+".jsonl.gz"), e.Write)
		}
	}
	return filepath.Join(s.dir, dir, name)
}

// Directory is the name of a kind of finding among the findings of a run.
func Directory(fingerprint string) string { return strings.ReplaceAll(fingerprint, "/", ".") }

func (s *Store) zipped(name string, fill func(*bufio.Writer) error) {
	file, err := os.Create(filepath.Join(s.dir, name))
	if err != nil {
		s.keep(err)
		return
	}
	zip := gzip.NewWriter(file)
	buffered := bufio.NewWriter(zip)
	s.keep(fill(buffered))
	s.keep(buffered.Flush())
	s.keep(zip.Close())
	s.keep(file.Close())
}

// Page writes a page.
func (s *Store) Page(path string, write func(*bufio.Writer) error) { s.Failed(WritePage(path, write)) }

// Note writes the description of a finding, as JSON, in its directory.
func (s *Store) Note(dir string, finding any) {
	data, err := json.MarshalIndent(finding, "", " ")
	s.Failed(errors.Join(err, os.WriteFile(filepath.Join(dir, FindingName), append(data, '\n'), 0o644)))
}

// Failed notes that something could not be written or drawn; nil notes nothing.
func (s *Store) Failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(err)
}

// Finish writes run.json, summary.md and junit.xml.
func (s *Store) Finish(summary any, markdown string, junit []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record.Summary = summary
	s.json("run.json", &s.record)
	s.write("summary.md", []byte(markdown))
	s.write("junit.xml", junit)
}

// Err is wrapped around the first thing that could not be written; nil if there is none.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w; what is said of the seeds is true all the same; free the disk, or name another directory with --out", ErrArtifact, s.err)
}

// Close closes seeds.jsonl. Its error does not matter: nothing is buffered, and each line was
// written at once.
func (s *Store) Close() { _ = s.seeds.Close() }
