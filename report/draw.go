package report

import "github.com/tidaldb/tidalsim/scenarios"

// maxLines is about how many lines a page has at most. With more, a browser takes seconds and a
// story takes gigabytes. A Step makes about linesPerStep lines.
const (
	maxLines     = 1_000_000
	linesPerStep = 3
)

// Draw runs a plan and returns its page. The page of a run that is too large to be drawn whole
// shows the surroundings of the first finding or, if there is none, the beginning.
func Draw(p *scenarios.Plan, name, replay, build string) (*Seed, error) {
	runner := scenarios.NewRunner()
	first, err := runner.Run(p, scenarios.Options{})
	if err != nil {
		return nil, err
	}
	from, to := window(first, maxLines)
	got, err := runner.Run(p, scenarios.Options{Story: true, Porcupine: true, StoryFrom: from, StoryTo: to})
	if err != nil {
		return nil, err
	}
	s := Of(got, name, replay, build)
	s.From, s.To = from, to
	return s, nil
}

// window returns the part of a run that makes so many lines, in virtual ns; zeros for all of
// it.
func window(got *scenarios.Result, lines int64) (from, to int64) {
	all := int64(got.Steps) * linesPerStep
	if all <= lines {
		return 0, 0
	}
	span := int64(float64(got.Simulated) * float64(lines) / float64(all))
	if len(got.Findings) == 0 {
		return 0, span
	}
	at := got.Findings[0].At
	if at == 0 {
		at = got.Simulated
	}
	from = max(0, at-span*3/4)
	return from, from + span
}
