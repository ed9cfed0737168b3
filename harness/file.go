package harness

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/sim/plan"
)

// File is a Plan for suites that need no form of their own: what every plan has, and a
// body, plain data that JSON can hold, for everything else.
type File[B any] struct {
	Format   string    `json:"format"`
	Version  int       `json:"version"`
	Scenario string    `json:"scenario"`
	Lesson   string    `json:"lesson,omitempty"`
	Body     B         `json:"body"`
	World    plan.Plan `json:"world"`
	Recorded *Recorded `json:"recorded,omitempty"`
}

// fileVersion is that of File.
const fileVersion = 1

// NewFile returns the plan of a scenario. Format names the suite's plans in their files.
func NewFile[B any](format, scenario string, body B, world *plan.Plan) *File[B] {
	return &File[B]{Format: format, Version: fileVersion, Scenario: scenario, Body: body, World: *world}
}

// DecodeFile reads a File of one of the scenarios. What the body and the world may hold,
// the suite's runner says.
func DecodeFile[B any](data []byte, format string, scenarios []string) (*File[B], error) {
	f := new(File[B])
	if err := Unmarshal(data, format, fileVersion, f); err != nil {
		return nil, err
	}
	if !slices.Contains(scenarios, f.Scenario) {
		return nil, fmt.Errorf("%w: there is no scenario %q", ErrPlanFile, f.Scenario)
	}
	return f, nil
}

// Parts implements Plan.
func (f *File[B]) Parts() Parts {
	return Parts{Scenario: f.Scenario, Lesson: f.Lesson, World: &f.World, Recorded: f.Recorded}
}

// Note implements Plan.
func (f *File[B]) Note(lesson string, r *Recorded) { f.Lesson, f.Recorded = lesson, r }

// Encode implements Plan.
func (f *File[B]) Encode() []byte { return Marshal(f) }

// Clone implements Plan.
func (f *File[B]) Clone() Plan {
	c := new(File[B])
	if err := json.Unmarshal(f.Encode(), c); err != nil {
		panic(err) // it was written just now
	}
	return c
}
