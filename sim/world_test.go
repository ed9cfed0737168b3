package sim_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// diary is a machine that notes its events and writes to its disk every millisecond.
type diary struct {
	env    env.Env
	lines  *[]string
	starts *int
}

const pointWriting = env.Point(0)

func (d *diary) Step(ev *env.Event) {
	e := d.env
	switch ev.Kind {
	case env.Started:
		*d.starts++
		*d.lines = append(*d.lines, fmt.Sprintf("started %d with %v", *d.starts, e.List("")))
		e.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: fmt.Sprintf("f%d", *d.starts)})
		e.SetTimer(0, e.Now().Add(env.Millisecond))
	case env.Timer:
		e.Hit(pointWriting, env.Key{})
		e.Submit(env.Op{Kind: env.OpAppend, File: 1, Data: []byte("x")})
		e.SetTimer(0, e.Now().Add(env.Millisecond))
	}
}

func (d *diary) Status(*env.Status) {}

// diaryRun lives through p with one diary and returns its notes.
func diaryRun(t *testing.T, w *sim.World, p *plan.Plan, traced bool) []string {
	t.Helper()
	var lines []string
	var starts int
	config := sim.Config{Points: []string{"writing"}, Trace: traced, Programs: []sim.Program{
		{New: func(e env.Env) env.Machine { return &diary{env: e, lines: &lines, starts: &starts} }},
	}}
	if err := w.Reset(config, p); err != nil {
		t.Fatal(err)
	}
	w.Run(func() bool { return w.Time() > 30*int64(env.Millisecond) })
	return lines
}

func TestDisruptions(t *testing.T) {
	lose := plan.Rates{chance.DiskEntry: chance.Million}
	for _, c := range []struct {
		name  string
		d     plan.Disruption
		rates plan.Rates
		want  []string
	}{
		{"a kill at a moment", plan.Disruption{Kind: plan.Kill, When: plan.Anchor{Point: "writing", Nth: 3}, For: 1e6}, lose,
			[]string{"started 1 with []", "started 2 with [f1]"}},
		{"power at a moment", plan.Disruption{Kind: plan.Power, When: plan.Anchor{Point: "writing"}, For: 1e6}, lose,
			[]string{"started 1 with []", "started 2 with []"}},
		{"power while something is unsynced", plan.Disruption{Kind: plan.Power, When: plan.Anchor{Unsynced: true}}, lose,
			[]string{"started 1 with []", "started 2 with []"}},
		{"a kill at a time", plan.Disruption{Kind: plan.Kill, When: plan.Anchor{At: 5e6}, For: 1e6}, lose,
			[]string{"started 1 with []", "started 2 with [f1]"}},
		{"a kill some time after a moment", plan.Disruption{Kind: plan.Kill, When: plan.Anchor{Point: "writing", After: 5e5}}, lose,
			[]string{"started 1 with []", "started 2 with [f1]"}},
		{"a moment that comes in the second incarnation only", plan.Disruption{Kind: plan.Kill, When: plan.Anchor{Point: "writing", Incarnation: 2}}, lose,
			[]string{"started 1 with []"}},
		{"a moment that never comes, and a time by which it strikes", plan.Disruption{Kind: plan.Kill, When: plan.Anchor{Point: "writing", Nth: 1000, By: 5e6}}, lose,
			[]string{"started 1 with []", "started 2 with [f1]"}},
		{"a moment that comes before the time by which it strikes", plan.Disruption{Kind: plan.Kill, When: plan.Anchor{Point: "writing", Nth: 2, By: 9e6}}, lose,
			[]string{"started 1 with []", "started 2 with [f1]"}},
		{"a moment that never comes", plan.Disruption{Kind: plan.Kill, When: plan.Anchor{Point: "writing", Nth: 1000}}, lose,
			[]string{"started 1 with []"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plan.Quiet()
			p.Disruptions, p.Rates = []plan.Disruption{c.d}, c.rates
			p.Duration = 60 * int64(env.Millisecond)
			var w sim.World
			lines := diaryRun(t, &w, p, false)
			if diff := cmp.Diff(c.want, lines); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// One process is disrupted when another one has come to something.
func TestAMomentOfAnotherProcess(t *testing.T) {
	for _, moment := range []plan.Anchor{{Point: "writing"}, {Point: "writing", After: 5e5}, {Unsynced: true}} {
		for _, who := range []uint32{0, 1} {
			moment.Of, moment.Nth = plan.Other(1-who), 3
			p := plan.Quiet()
			p.Disruptions = []plan.Disruption{{Kind: plan.Kill, Process: who, When: moment, For: 1e6}}
			p.Duration = 60 * int64(env.Millisecond)
			var lines [2][]string
			var starts [2]int
			config := sim.Config{Points: []string{"writing"}}
			for i := range lines {
				config.Programs = append(config.Programs, sim.Program{New: func(e env.Env) env.Machine { return &diary{env: e, lines: &lines[i], starts: &starts[i]} }})
			}
			var w sim.World
			if err := w.Reset(config, p); err != nil {
				t.Fatal(err)
			}
			w.Run(func() bool { return w.Time() > 30*int64(env.Millisecond) })
			if len(lines[who]) != 2 || len(lines[1-who]) != 1 {
				t.Errorf("%s: process %d notes %q, and process %d notes %q", &p.Disruptions[0], who, lines[who], 1-who, lines[1-who])
			}
		}
	}
}

func TestOneSeedOneRun(t *testing.T) {
	busy := func(seed plan.Seed) *plan.Plan {
		p := plan.Quiet()
		p.Seed = seed
		p.Rates = plan.Rates{chance.DiskEntry: 500_000, chance.DiskLost: 500_000}
		p.Disruptions = []plan.Disruption{
			{Kind: plan.Power, When: plan.Anchor{Unsynced: true, Nth: 4}, For: 2e6},
			{Kind: plan.Pause, When: plan.Anchor{Point: "writing", Nth: 3}, For: 3e6},
		}
		return p
	}
	var w, other sim.World
	run := func(w *sim.World, seed plan.Seed) ([]trace.Entry, trace.Hash) {
		diaryRun(t, w, busy(seed), true)
		return append([]trace.Entry{}, w.Trace().Entries()...), w.Trace().Hash()
	}
	entries, a := run(&w, 1)
	_, b := run(&w, 2)
	again, a2 := run(&w, 1) // A-B-A in one world
	_, fresh := run(&other, 1)
	if a == b {
		t.Error("two seeds have one trace")
	}
	if a != a2 || a != fresh {
		t.Errorf("one seed has three traces: %s, %s, %s; first difference at entry %d", a, a2, fresh, trace.FirstDifference(entries, again))
	}
}

// A run from a plan that lists its deviations is the run that it was taken from.
func TestRecordedDeviationsReplay(t *testing.T) {
	p := plan.Quiet()
	p.Seed = 9
	p.Rates = plan.Rates{chance.DiskEntry: 500_000, chance.DiskLost: 500_000, chance.DiskTorn: 300_000}
	p.Disruptions = []plan.Disruption{{Kind: plan.Power, When: plan.Anchor{At: 9e6}, For: 1e6}}
	var w sim.World
	var lines []string
	var starts int
	config := sim.Config{Points: []string{"writing"}, Record: true, Programs: []sim.Program{
		{New: func(e env.Env) env.Machine { return &diary{env: e, lines: &lines, starts: &starts} }},
	}}
	run := func() trace.Hash {
		starts = 0
		if err := w.Reset(config, p); err != nil {
			t.Fatal(err)
		}
		w.Run(func() bool { return w.Time() > 30*int64(env.Millisecond) })
		return w.Trace().Hash()
	}
	rates := p.Rates
	p.Rates = plan.Rates{}
	benign := run()
	p.Rates = rates
	drawn := run()
	p.Deviations, p.Rates = w.Deviations(), plan.Rates{}
	if len(p.Deviations) == 0 {
		t.Fatal("nothing deviated")
	}
	if drawn.Decisions == benign.Decisions {
		t.Error("the chain of decisions does not show deviations")
	}
	if listed := run(); listed != drawn || len(w.Unused()) != 0 {
		t.Errorf("drawn %s, listed %s, unused %v", drawn, listed, w.Unused())
	}
	p.Disruptions = append(p.Disruptions, plan.Disruption{Kind: plan.Kill, When: plan.Anchor{Point: "writing", Nth: 999}})
	run()
	if unused := w.Unused(); len(unused) != 1 {
		t.Errorf("a disruption whose moment never comes is not reported: %v", unused)
	}
}

func TestTermsAreFailpointsWithoutChance(t *testing.T) {
	p := plan.Quiet()
	p.Terms = []plan.Term{{Point: "writing", Term: "4*off->1*return(crash)"}}
	var w sim.World
	diaryRun(t, &w, p, false)
	if got := w.Hits()[pointWriting]; got < 6 {
		t.Errorf("the point was reached %d times", got)
	}
	for _, term := range []string{"50%return(crash)", "sleep(10)", "panic", "return(nonsense)", "print", "break", "", "return(crash)->"} {
		p.Terms[0].Term = term
		if err := w.Reset(sim.Config{Points: []string{"writing"}, Programs: make([]sim.Program, 1)}, p); !errors.Is(err, plan.ErrInvalid) {
			t.Errorf("term %q: error %v", term, err)
		}
	}
}

// BenchmarkPingPong is three machines, each with a timer, that send each other
// messages: the cost of the engine alone, per Step.
func BenchmarkPingPong(b *testing.B) {
	p := plan.Quiet()
	p.Duration = plan.MaxDuration
	var w sim.World
	steps := uint64(0)
	newPeer := func(e env.Env) env.Machine { return &peer{env: e} }
	config := sim.Config{Programs: []sim.Program{{New: newPeer}, {New: newPeer}, {New: newPeer}}}
	if err := w.Reset(config, p); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	w.Run(func() bool { steps++; return steps > uint64(b.N) })
}

type peer struct {
	env env.Env
	buf [48]byte
	n   uint64
}

func (p *peer) Step(ev *env.Event) {
	if ev.Kind == env.Message || ev.Kind == env.Started {
		p.n++
		p.env.Send((p.env.Self()+1)%3, env.Key{B: p.n}, p.buf[:])
		p.env.SetTimer(0, p.env.Now().Add(env.Second))
	}
}

func (p *peer) Status(s *env.Status) { s[0] = p.n }
