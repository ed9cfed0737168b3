package sim_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// A run that is cut short stops there, also while a disruption waits for a moment that never comes,
// and all events until then are as in the whole run.
func TestARunIsCutShort(t *testing.T) {
	waits := []plan.Disruption{{Kind: plan.Kill, When: plan.Anchor{Point: "writing", Nth: 1000}}}
	late := []plan.Disruption{{Kind: plan.Kill, When: plan.Anchor{At: 20 * ms}}}
	for _, c := range []struct {
		name        string
		disruptions []plan.Disruption
		until       int64
		steps       uint64
		cut         bool
		ended       int64
	}{
		{"at a time", nil, 5 * ms, 0, true, 5 * ms},
		{"at a time, between two moments", nil, 5*ms + 300*us, 0, true, 5*ms + 300*us},
		{"at a time, while a disruption waits for its moment", waits, 5 * ms, 0, true, 5 * ms},
		{"at a time, while a disruption waits for its time", late, 5 * ms, 0, true, 5 * ms},
		{"after some Steps, while a disruption waits", waits, 0, 9, true, -1},
		{"at a time behind the end", nil, 1000 * ms, 0, false, -1},
		{"never", nil, 0, 0, false, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole, _, _ := cutRun(t, c.disruptions, 0, 0)
			lines, out, w := cutRun(t, c.disruptions, c.until, c.steps)
			if out.Cut != c.cut || c.cut && out.Done || c.ended >= 0 && (out.Ended != c.ended || w.Time() != c.ended) {
				t.Errorf("%+v at %d, want cut %v at %d", out, w.Time(), c.cut, c.ended)
			}
			if c.steps > 0 && w.Steps() != c.steps {
				t.Errorf("%d Steps, want %d", w.Steps(), c.steps)
			}
			for i, at := range lines {
				if c.until > 0 && at > c.until || whole[i] != at {
					t.Errorf("the %d. write is at %d; want none behind %d, and %d as in the whole run", i, at, c.until, whole[i])
				}
			}
			if c.cut == (len(lines) == len(whole)) {
				t.Errorf("%d writes of %d", len(lines), len(whole))
			}
		})
	}
}

// cutRun lives through 30 ms of a diary, unless it is cut short, and returns when it wrote.
func cutRun(t *testing.T, disruptions []plan.Disruption, until int64, steps uint64) ([]int64, sim.Outcome, *sim.World) {
	t.Helper()
	var lines []string
	var starts int
	w, p := new(sim.World), plan.Quiet()
	p.Disruptions, p.Duration = disruptions, 30*ms
	hits := &times{w: w}
	if err := w.Reset(sim.Config{Points: []string{"writing"}, Until: until, Steps: steps, Observer: hits, Programs: []sim.Program{
		{New: func(e env.Env) env.Machine { return &diary{env: e, lines: &lines, starts: &starts} }},
	}}, p); err != nil {
		t.Fatal(err)
	}
	out := w.Run(func() bool { return w.Time() > 30*ms })
	return hits.at, out, w
}

// times notes when a fault point is reached.
type times struct {
	nobody
	w  *sim.World
	at []int64
}

func (s *times) Hit(env.ID, env.Point, env.Key, env.Time) { s.at = append(s.at, s.w.Time()) }

// nobody is an observer that looks away.
type nobody struct{}

func (nobody) Sent(_, _ env.ID, _ env.Key, _ []byte)    {}
func (nobody) Received(_, _ env.ID, _ []byte, _ int64)  {}
func (nobody) Submitted(env.ID, *env.Op, string)        {}
func (nobody) Hit(env.ID, env.Point, env.Key, env.Time) {}
func (nobody) Booted(env.ID, env.Incarnation, env.Time) {}

// A run that is done goes on for a disruption that begins at an instant, and for a second only
// for a moment that may never come.
func TestARunThatIsDoneLingers(t *testing.T) {
	never := plan.Anchor{Point: "writing", Nth: 1_000_000}
	by := never
	by.By = 3000 * ms
	for _, c := range []struct {
		name  string
		when  []plan.Anchor
		calms int64 // when the calm part begins
	}{
		{"no disruption", nil, 20 * ms},
		{"at an instant", []plan.Anchor{{At: 2000 * ms}}, 2000 * ms},
		{"at a moment that does not come", []plan.Anchor{never}, 1020 * ms},
		{"at a moment, or by an instant", []plan.Anchor{by}, 3000 * ms},
		{"one of each", []plan.Anchor{never, {At: 500 * ms}, by}, 3000 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines []string
			var starts int
			w, p := new(sim.World), plan.Quiet()
			p.Duration = 10_000 * ms
			for _, when := range c.when {
				p.Disruptions = append(p.Disruptions, plan.Disruption{Kind: plan.Pause, When: when, For: 1})
			}
			if err := w.Reset(sim.Config{Points: []string{"writing"}, Observer: nobody{}, Programs: []sim.Program{
				{New: func(e env.Env) env.Machine { return &diary{env: e, lines: &lines, starts: &starts} }},
			}}, p); err != nil {
				t.Fatal(err)
			}
			out := w.Run(func() bool { return w.Time() >= 20*ms })
			if out.CalmAt < c.calms || out.CalmAt > c.calms+ms {
				t.Errorf("the calm part began at %d, want it within 1 ms of %d", out.CalmAt, c.calms)
			}
		})
	}
}
