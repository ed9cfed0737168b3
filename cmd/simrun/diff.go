package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// difference is one value that two plans have at one path, as JSON; empty where
// there is none.
type difference struct {
	Path string `json:"path"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// side is one run around the first event that differs.
type side struct {
	Name    string   `json:"name"`
	Verdict string   `json:"verdict"`
	Trace   string   `json:"trace"`
	Events  int      `json:"events"`
	Event   string   `json:"event,omitempty"` // the first that differs; empty if the run ended before
	After   []string `json:"after"`           // events that follow it
	Story   []string `json:"story"`           // the lines of the story just before
}

// compared is the JSON of diff.
type compared struct {
	Schema int          `json:"schema"`
	Type   string       `json:"type"` // "diff"
	Equal  bool         `json:"equal"`
	Plans  []difference `json:"plans"`
	More   int          `json:"more"`   // differences of the plans beyond those
	Step   int          `json:"event"`  // index of the first event that differs, from 0; -1 if none does
	At     int64        `json:"at_ns"`  // virtual
	Before []string     `json:"before"` // events just before, the same in both
	A      side         `json:"a"`
	B      side         `json:"b"`
	Exit   int          `json:"exit"`
}

// Bounds of the output of diff.
const (
	maxPlanDifferences = 40
	eventsAround       = 5
	toldBefore         = 8
)

func (c *command) diff() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "the first event in which two runs differ",
		Long: `Run two plans and print how the plans differ, then the first event in which the
runs do, with the events around it and what both runs tell just before. A and B
are SCENARIO:SEED, a plan file, or "latest". Exit codes: 0 the runs are equal, 1
they differ, 2 usage, 5 a file is unreadable.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := compare(args[0], args[1], out)
			if err != nil {
				return err
			}
			c.code = d.Exit
			if c.json {
				return c.line(d)
			}
			c.diffText(d)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", ".simrun", "directory of artifacts, for latest")
	return cmd
}

// compare runs both plans and looks for the first difference.
func compare(nameA, nameB, out string) (*compared, error) {
	a, planA, err := traced(nameA, out)
	if err != nil {
		return nil, err
	}
	b, planB, err := traced(nameB, out)
	if err != nil {
		return nil, err
	}
	d := &compared{Schema: campaign.Schema, Type: "diff", Step: trace.FirstDifference(a.Entries, b.Entries), Before: []string{}}
	d.Plans, err = planDifferences(planA, planB)
	if err != nil {
		return nil, err
	}
	d.More = max(0, len(d.Plans)-maxPlanDifferences)
	d.Plans = d.Plans[:len(d.Plans)-d.More]
	d.A, d.B = sideOf(nameA, a, d.Step), sideOf(nameB, b, d.Step)
	if d.Equal = d.Step < 0; d.Equal {
		return d, nil
	}
	d.Exit = campaign.ExitViolated
	d.Before = harness.Events(a.Entries[max(0, d.Step-eventsAround):d.Step], fault.Names())
	for _, r := range []*scenarios.Result{a, b} {
		if d.Step < len(r.Entries) && (d.At == 0 || r.Entries[d.Step].At < d.At) {
			d.At = r.Entries[d.Step].At
		}
	}
	return d, nil
}

// traced runs the plan that a name stands for. Each run has a world of its own, because both traces
// are kept.
func traced(name, out string) (*scenarios.Result, *scenarios.Plan, error) {
	p, err := find(name, out)
	if err != nil {
		return nil, nil, err
	}
	got, err := scenarios.NewRunner().Run(p, scenarios.Options{Trace: true, Story: true})
	return got, p, err
}

// sideOf describes one run around event first; -1 is none.
func sideOf(name string, r *scenarios.Result, first int) side {
	s := side{Name: name, Verdict: r.Verdict.String(), Trace: r.Trace.String(), Events: len(r.Entries), After: []string{}, Story: []string{}}
	if first < 0 {
		return s
	}
	if around := r.Entries[min(first, len(r.Entries)):min(first+eventsAround, len(r.Entries))]; len(around) > 0 {
		lines := harness.Events(around, fault.Names())
		s.Event, s.After = lines[0], lines[1:]
	}
	for _, told := range r.Story {
		if told.Event <= first {
			s.Story = append(s.Story, told.String())
		}
	}
	s.Story = s.Story[max(0, len(s.Story)-toldBefore):]
	return s
}

// planDifferences compares the inputs of two runs, value by value.
func planDifferences(a, b *scenarios.Plan) ([]difference, error) {
	flatA, err := flat(a)
	if err != nil {
		return nil, err
	}
	flatB, err := flat(b)
	if err != nil {
		return nil, err
	}
	differences := []difference{}
	paths := slices.Concat(slices.Collect(maps.Keys(flatA)), slices.Collect(maps.Keys(flatB)))
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(many(a)-many(b), cmp.Compare(a, b)) })
	for _, path := range slices.Compact(paths) {
		if flatA[path] != flatB[path] {
			differences = append(differences, difference{path, flatA[path], flatB[path]})
		}
	}
	return differences, nil
}

// many is 1 for paths that a plan has hundreds of; they come last.
func many(path string) int {
	if strings.HasPrefix(path, "world.deviations.") || strings.HasPrefix(path, "workload.skip.") {
		return 1
	}
	return 0
}

// flat returns the values of a plan by their paths, as --set takes them. The recorded result of the
// run is no input, and left out.
func flat(p *scenarios.Plan) (map[string]string, error) {
	bare := *p
	bare.Recorded, bare.Lesson = nil, ""
	dec := json.NewDecoder(bytes.NewReader(bare.Encode()))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	values := map[string]string{}
	flatten(values, "", tree)
	return values, nil
}

func flatten(values map[string]string, path string, node any) {
	below := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
	switch node := node.(type) {
	case map[string]any:
		for key, value := range node {
			flatten(values, below(key), value)
		}
	case []any:
		for i, value := range node {
			flatten(values, below(fmt.Sprint(i)), value)
		}
	default:
		text, err := json.Marshal(node)
		if err != nil {
			panic(err) // it was decoded from JSON
		}
		values[path] = string(text)
	}
}

func (c *command) diffText(d *compared) {
	w := c.stdout
	for _, p := range d.Plans {
		fmt.Fprintf(w, "plan %s: %s | %s\n", p.Path, orNone(p.A), orNone(p.B))
	}
	if d.More > 0 {
		fmt.Fprintf(w, "... and %d more differences of the plans\n", d.More)
	}
	if d.Equal {
		fmt.Fprintf(w, "EQUAL: %d events; trace %s\n", d.A.Events, d.A.Trace)
		return
	}
	for _, event := range d.Before {
		fmt.Fprintf(w, "    %s\n", event)
	}
	sides := []struct {
		mark string
		*side
	}{{"A", &d.A}, {"B", &d.B}}
	for _, s := range sides {
		fmt.Fprintf(w, "%s > %s\n", s.mark, orNone(s.Event))
		for _, event := range s.After {
			fmt.Fprintf(w, "%s   %s\n", s.mark, event)
		}
	}
	for _, s := range sides {
		fmt.Fprintf(w, "%s: %s, %s, tells before:\n", s.mark, s.Name, s.Verdict)
		for _, told := range s.Story {
			fmt.Fprintf(w, "    %s\n", told)
		}
	}
	fmt.Fprintf(w, "DIFFERENT from event %d on, at %s; of %d and %d events\n", d.Step, history.Instant(d.At), d.A.Events, d.B.Events)
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}
