package campaign

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tidaldb/tidalsim/scenarios"
)

// store keeps the artifacts of one campaign:
//
//	DIR/runs/<id>/run.json      options, build, and at the end the summary
//	DIR/runs/<id>/seeds.jsonl   a line when a seed begins, one when it ends
//	DIR/runs/<id>/summary.md    for a pull request
//	DIR/runs/<id>/junit.xml     for a CI server
//	DIR/runs/<id>/report.html   for a reader, by kind of finding
//	DIR/runs/<id>/findings/<fingerprint>/
//	    plan.json, history.jsonl.gz, trace.jsonl.gz   of the first seed
//	    finding.json, report.html                     what was found there, and its picture
//	    <scenario>-<seed>.json                        plans of further seeds
//	DIR/latest                  link to the newest run
//
// A seed's beginning is written before it runs, so that a run that never ended
// can be found in what a killed process left behind.
type store struct {
	root, dir string
	record    runRecord

	mu    sync.Mutex // workers write beginnings and findings
	seeds *os.File
	found map[string]int // plans kept, by fingerprint
	err   error          // the first that was met; reported at the end
}

// planName is the plan of the first seed of a kind of finding, in its directory.
const planName = "plan.json"

const (
	keptRuns     = 20 // runs
	keptFindings = 20 // plans of one fingerprint
)

// runRecord is run.json.
type runRecord struct {
	Schema  int      `json:"schema"`
	Type    string   `json:"type"` // "run"
	ID      string   `json:"id"`
	Build   string   `json:"build"`
	Started string   `json:"started"` // RFC 3339
	Command []string `json:"command"`
	Workers int      `json:"workers"`
	Summary *Summary `json:"summary,omitempty"` // absent while it runs
}

func newStore(root string, o *Options) (*store, error) {
	runs := filepath.Join(root, "runs")
	id := fmt.Sprintf("%s-%d", time.Now().UTC().Format("20060102T150405.000"), os.Getpid())
	s := &store{root: root, dir: filepath.Join(runs, id), found: map[string]int{}}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, unusable(err)
	}
	var err error
	if s.seeds, err = os.Create(filepath.Join(s.dir, "seeds.jsonl")); err != nil {
		return nil, unusable(err)
	}
	s.record = runRecord{
		Schema: Schema, Type: "run", ID: id, Build: Build(),
		Started: time.Now().UTC().Format(time.RFC3339), Command: os.Args, Workers: o.Workers,
	}
	s.json("run.json", &s.record)
	s.link(id)
	s.prune(runs)
	if s.err != nil {
		return nil, errors.Join(unusable(s.err), s.seeds.Close())
	}
	return s, nil
}

// ErrDir is wrapped by the errors for a directory that cannot take artifacts, met
// before anything ran.
var ErrDir = errors.New("artifacts have no place")

func unusable(err error) error {
	return fmt.Errorf("%w: %w; name another directory with --out, or none with --out=", ErrDir, err)
}

// link points latest at this run. It is made aside and renamed, so that there is
// always one.
func (s *store) link(id string) {
	aside := filepath.Join(s.root, fmt.Sprintf("latest.%d", os.Getpid()))
	s.keep(os.Symlink(filepath.Join("runs", id), aside))
	s.keep(os.Rename(aside, filepath.Join(s.root, "latest")))
}

// prune removes all but the newest runs.
func (s *store) prune(runs string) {
	entries, err := os.ReadDir(runs)
	s.keep(err)
	for i := 0; i < len(entries)-keptRuns; i++ { // names ascend in time
		s.keep(os.RemoveAll(filepath.Join(runs, entries[i].Name())))
	}
}

// ErrArtifact is wrapped by the error for an artifact that could not be written. The verdicts
// of the seeds stand all the same.
var ErrArtifact = errors.New("an artifact could not be written")

func (s *store) keep(err error) {
	if s.err == nil && err != nil {
		s.err = err
	}
}

func (s *store) write(name string, data []byte) {
	s.keep(os.WriteFile(filepath.Join(s.dir, name), data, 0o644))
}

func (s *store) json(name string, v any) {
	data, err := json.MarshalIndent(v, "", " ")
	s.keep(err)
	s.write(name, append(data, '\n'))
}

// start notes that a job begins.
func (s *store) start(j *job) {
	line := fmt.Sprintf("{\"type\":\"start\",\"scenario\":%q,\"seed\":%q}\n", j.scenario.Name, j.seed)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.seeds.WriteString(line)
	s.keep(err)
}

// seed notes how a job ended.
func (s *store) seed(o *outcome) {
	data, err := json.Marshal(&o.line)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(err)
	_, err = s.seeds.Write(append(data, '\n'))
	s.keep(err)
}

// dropped notes that a seed does not count, though it began: its scenario had stopped.
func (s *store) dropped(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := fmt.Fprintf(s.seeds, "{\"type\":\"dropped\",\"scenario\":%q,\"seed\":%q}\n", j.scenario.Name, j.seed)
	s.keep(err)
}

// finding keeps the evidence of a finding, which has a plan, and returns the path
// of that, "" if there are enough of its kind already.
func (s *store) finding(f *Finding) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found[f.Fingerprint]++
	n := s.found[f.Fingerprint]
	if n > keptFindings {
		return ""
	}
	dir := filepath.Join("findings", strings.ReplaceAll(f.Fingerprint, "/", "."))
	s.keep(os.MkdirAll(filepath.Join(s.dir, dir), 0o755))
	name := planName
	if n > 1 {
		name = fmt.Sprintf("%s-%s.json", f.Scenario, f.Seed)
	}
	s.write(filepath.Join(dir, name), f.Result.Encode())
	if n == 1 {
		s.keep(s.evidence(dir, f.Result))
	}
	return filepath.Join(s.dir, dir, name)
}

// evidence runs a recorded plan once more and keeps its history and its trace,
// which are too large to be carried along for every finding.
func (s *store) evidence(dir string, p *scenarios.Plan) error {
	got, err := scenarios.NewRunner().Run(p, scenarios.Options{Trace: true})
	if err != nil {
		return err
	}
	s.zipped(filepath.Join(dir, "history.jsonl.gz"), func(w *bufio.Writer) error { return got.History.Write(w) })
	s.zipped(filepath.Join(dir, "trace.jsonl.gz"), func(w *bufio.Writer) error {
		enc := json.NewEncoder(w)
		for i, e := range scenarios.Events(got.Entries) {
			if err := enc.Encode(struct {
				Event int    `json:"event"`
				Text  string `json:"text"`
			}{i, e}); err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

func (s *store) zipped(name string, fill func(*bufio.Writer) error) {
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

// finish writes the summary in every form.
func (s *store) finish(summary *Summary) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record.Summary = summary
	s.json("run.json", &s.record)
	s.write("summary.md", []byte(summary.markdown()))
	data, err := summary.junit().encode()
	s.keep(err)
	s.write("junit.xml", data)
	if page, err := ReadRun(s.dir); err != nil {
		s.keep(err)
	} else {
		s.keep(WritePage(filepath.Join(s.dir, PageName), page.Write))
	}
	if s.err != nil {
		return fmt.Errorf("%w: %w; what is said of the seeds is true all the same; free the disk, or name another directory with --out", ErrArtifact, s.err)
	}
	return nil
}

func (s *store) close() { _ = s.seeds.Close() } // every line was written when it was known

// markdown renders the summary for a pull request.
func (s *Summary) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## simrun: %s\n\n", s.Word())
	fmt.Fprintln(&b, "| scenario | seeds | held | violated | undecided | disruptions | acknowledged |")
	fmt.Fprintln(&b, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, p := range s.Scenarios {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d |\n", p.Name, p.Seeds, p.Held, p.Violated, p.Undecided, p.Fired, p.Acked)
	}
	fmt.Fprintf(&b, "\ntrace `%s`\n", s.Trace)
	for _, k := range s.Kinds {
		fmt.Fprintf(&b, "\n- %s; `%s`: %s\n", k, k.finding.Replay, strings.SplitN(k.finding.Text, "\n", 2)[0])
	}
	for _, line := range s.Stops() {
		fmt.Fprintf(&b, "\n- %s\n", line)
	}
	for _, why := range s.Why {
		fmt.Fprintf(&b, "\n- %s\n", strings.ReplaceAll(why, "\n", " "))
	}
	return b.String()
}

// Word is the verdict in a word.
func (s *Summary) Word() string {
	switch s.Exit {
	case ExitHeld:
		return "held"
	case ExitViolated:
		return "violated"
	case ExitUndecided:
		return "undecided"
	case ExitNothingRan:
		return "nothing ran"
	case ExitNotReproduced:
		return "a regression is stale"
	case ExitNondeterminism:
		return "not deterministic"
	case ExitNotReached:
		return "not everything was reached"
	case ExitInterrupted, ExitTerminated:
		return "interrupted"
	}
	return "failed"
}
