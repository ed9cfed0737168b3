package harness

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tidaldb/tidalsim/sim/plan"
)

// Plan is one run as data: a world with its faults, and whatever a suite adds, such as a
// topology and a workload. It needs neither a seed nor the code that drew it to be
// replayed.
type Plan interface {
	// Parts returns what every plan has. World is the plan's own: what is changed there is
	// changed in the plan.
	Parts() Parts
	// Note says what the plan taught, "" for nothing, and how its run ended; nil: that is not
	// known.
	Note(lesson string, r *Recorded)
	// Clone returns a copy that shares nothing with the plan that may be changed.
	Clone() Plan
	// Encode returns the plan as a file, which the suite's Decode reads. Equal plans have
	// equal files.
	Encode() []byte
}

// Parts are the parts that every plan has.
type Parts struct {
	Scenario string
	Lesson   string // committed regressions: what it taught
	World    *plan.Plan
	Recorded *Recorded // nil if nothing was recorded
}

// Recorded is how the run ended when the plan was written.
type Recorded struct {
	Fingerprint string `json:"fingerprint"` // of the first finding, empty if all held
	Trace       string `json:"trace"`
	Build       string `json:"build"` // of the binary that wrote it
}

// Name is what replay takes: SCENARIO:SEED.
func Name(scenario string, seed plan.Seed) string { return scenario + ":" + seed.String() }

// Record returns the plan of a run with everything that chance decided written out, so
// that it needs neither its seed's rates nor the code that drew it. The run must have
// been recorded (Options.Record), or have had its deviations listed. build names the
// binary that ran it.
func Record(p Plan, r *Result, build string) Plan {
	q := p.Clone()
	w := q.Parts().World
	if w.Deviations == nil {
		w.Deviations = append([]plan.Deviation{}, r.Deviations...)
	}
	w.Rates = plan.Rates{}
	q.Note(q.Parts().Lesson, &Recorded{Fingerprint: r.Fingerprint(), Trace: r.Trace.String(), Build: build})
	return q
}

var (
	// ErrPlanFile is wrapped by the errors for a file that is no plan.
	ErrPlanFile = errors.New("not a readable plan")
	// ErrPlanVersion is wrapped by the error for a plan of a newer binary.
	ErrPlanVersion = errors.New("plan of a newer version")
)

// Marshal returns a plan as a file: indented JSON.
func Marshal(p any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		panic(err) // a plan is plain data
	}
	return b.Bytes()
}

// Unmarshal reads a plan that Marshal wrote and that has the fields format and version.
// Unknown fields, another format and a newer version are errors that name the place.
func Unmarshal(data []byte, format string, version int, p any) error {
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("%w: %w", ErrPlanFile, locate(data, err))
	}
	if head.Format != format {
		return fmt.Errorf("%w: format is %q, want %q; is it a plan.json or shrunk.json of a run?", ErrPlanFile, head.Format, format)
	}
	if head.Version > version {
		return fmt.Errorf("%w: version %d, this binary reads up to %d; use the binary that wrote it", ErrPlanVersion, head.Version, version)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(p); err != nil {
		return fmt.Errorf("%w: %w", ErrPlanFile, locate(data, err))
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: something follows the plan", ErrPlanFile)
	}
	return nil
}

// locate adds line and column to an error of package json, if it knows an offset.
func locate(data []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var offset int64
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	default:
		return err
	}
	before := data[:min(int(offset), len(data))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := len(before) - bytes.LastIndexByte(before, '\n') - 1
	return fmt.Errorf("line %d column %d: %w", line, column, err)
}
