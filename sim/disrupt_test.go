package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

const ms = int64(env.Millisecond)

// witness is a machine that does a little of everything twice a millisecond, and
// notes what comes of it.
type witness struct {
	env   env.Env
	world *sim.World
	notes *[]fact
	sent  uint64
	heard byte
}

// fact is one thing that came of it.
type fact struct {
	at   int64
	what string
}

func (w *witness) note(format string, args ...any) {
	*w.notes = append(*w.notes, fact{w.world.Time(), fmt.Sprintf("%d ", w.env.Self()) + fmt.Sprintf(format, args...)})
}

func (w *witness) Step(ev *env.Event) {
	e := w.env
	switch ev.Kind {
	case env.Started:
		w.note("starts")
		w.open()
		e.SetTimer(0, e.Now().Add(env.Millisecond/2))
	case env.Timer:
		w.note("ticks")
		w.sent++
		e.Send(1-e.Self(), env.Key{B: w.sent}, []byte{byte(w.sent)})
		e.Submit(env.Op{Kind: env.OpAppend, File: 1, Data: []byte("x"), ID: 2})
		e.Submit(env.Op{Kind: env.OpSync, File: 1, ID: 3})
		e.SetTimer(0, e.Now().Add(env.Millisecond/2))
	case env.Message:
		w.note("hears")
		if ev.Data[0] != w.heard+1 && ev.Data[0] != 1 {
			w.note("misses")
		}
		w.heard = ev.Data[0]
	case env.DiskDone:
		switch {
		case ev.Op == 1 && ev.Err != env.OK:
			w.open() // again
		case ev.Op != 1:
			w.note("%s: %s", [...]string{2: "append", 3: "sync"}[ev.Op], ev.Err.Error())
		}
	}
}

func (w *witness) open() {
	kind := env.OpCreate
	if slices.Contains(w.env.List(""), "log") {
		kind = env.OpOpen
	}
	w.env.Submit(env.Op{Kind: kind, File: 1, Path: "log", ID: 1})
}

func (w *witness) Status(*env.Status) {}

// witnessed lives through p with two witnesses, until 10 ms after the calm part began, and returns
// their notes and when it began.
func witnessed(t *testing.T, w *sim.World, p *plan.Plan, mayDamage func(env.ID, string, int64, int64) bool) ([]fact, int64) {
	t.Helper()
	var notes []fact
	newWitness := func(e env.Env) env.Machine { return &witness{env: e, world: w, notes: &notes} }
	config := sim.Config{Programs: []sim.Program{{New: newWitness}, {New: newWitness}}, MayDamage: mayDamage}
	if err := w.Reset(config, p); err != nil {
		t.Fatal(err)
	}
	calm := int64(-1)
	w.Run(func() bool {
		if w.Calm() && calm < 0 {
			calm = w.Time()
		}
		return w.Calm() && w.Time() > calm+10*ms
	})
	return notes, calm
}

// within lists the notes in [from, to), each once, in order.
func within(notes []fact, from, to int64) (list []string) {
	for _, n := range notes {
		if n.at >= from && n.at < to {
			list = append(list, n.what)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// usual is what two undisturbed witnesses note.
var usual = []string{"0 append: ok", "0 hears", "0 sync: ok", "0 ticks", "1 append: ok", "1 hears", "1 sync: ok", "1 ticks"}

// Each kind that lasts has its effect while it lasts, ends when its time is over,
// and ends in the calm part if its time is not over.
func TestWhatLastsHasItsEffectAndEnds(t *testing.T) {
	const eio, full = "input/output error", "no space left on device"
	silent := []string{"0 append: ok", "0 hears", "0 sync: ok", "0 ticks", "1 hears"}
	for _, c := range []struct {
		d            plan.Disruption
		lacks, shows []string // while it lasts, compared with the usual
		misses       []string // in all
	}{
		{plan.Disruption{Kind: plan.Kill}, silent, nil, []string{"0 misses"}},
		{plan.Disruption{Kind: plan.Power}, silent, nil, []string{"0 misses"}},
		{plan.Disruption{Kind: plan.Wipe}, silent, nil, []string{"0 misses"}},
		{plan.Disruption{Kind: plan.Restore}, silent, nil, []string{"0 misses"}},
		{plan.Disruption{Kind: plan.Pause}, silent, nil, nil},
		{plan.Disruption{Kind: plan.Suspend}, silent, nil, []string{"0 misses"}},
		{plan.Disruption{Kind: plan.CutDrop, Peer: -1}, []string{"0 hears", "1 hears"}, nil, []string{"0 misses", "1 misses"}},
		{plan.Disruption{Kind: plan.CutHold, Peer: 1}, []string{"0 hears", "1 hears"}, nil, nil},
		{plan.Disruption{Kind: plan.CutInto, Peer: 1}, []string{"0 hears"}, nil, []string{"0 misses"}},
		{plan.Disruption{Kind: plan.CutOutOf, Peer: -1}, []string{"1 hears"}, nil, []string{"1 misses"}},
		{plan.Disruption{Kind: plan.HoldInto, Peer: -1}, []string{"0 hears"}, nil, nil},
		{plan.Disruption{Kind: plan.HoldOutOf, Peer: 1}, []string{"1 hears"}, nil, nil},
		{plan.Disruption{Kind: plan.Shut, Peer: -1}, []string{"0 hears", "1 hears"}, nil, []string{"0 misses", "1 misses"}},
		{plan.Disruption{Kind: plan.ShutInto, Peer: 1}, []string{"0 hears"}, nil, []string{"0 misses"}},
		{plan.Disruption{Kind: plan.ShutOutOf, Peer: -1}, []string{"1 hears"}, nil, []string{"1 misses"}},
		{plan.Disruption{Kind: plan.SlowLink, Peer: -1, Amount: 2}, nil, nil, nil},
		{plan.Disruption{Kind: plan.SlowDisk, Amount: 1000}, []string{"0 sync: ok"}, nil, nil},
		{plan.Disruption{Kind: plan.Stall}, []string{"0 append: ok", "0 sync: ok"}, nil, nil},
		{plan.Disruption{Kind: plan.DiskFull}, []string{"0 append: ok"}, []string{"0 append: " + full}, nil},
		{plan.Disruption{Kind: plan.SyncFail}, []string{"0 sync: ok"}, []string{"0 sync: " + eio}, nil},
		{plan.Disruption{Kind: plan.SyncFail, Files: "og", Amount: 1}, nil, []string{"0 sync: " + eio}, nil},
		{plan.Disruption{Kind: plan.WriteFail, Files: "log"}, []string{"0 append: ok"}, []string{"0 append: " + eio}, nil},
		{plan.Disruption{Kind: plan.Drift, Amount: 1000}, nil, nil, nil},
		{plan.Disruption{Kind: plan.SlowDisk, Files: "log", Amount: 1000}, []string{"0 sync: ok"}, nil, nil},
		{plan.Disruption{Kind: plan.SlowDisk, Files: "another", Amount: 1000}, nil, nil, nil},
		{plan.Disruption{Kind: plan.Stall, Files: "log"}, []string{"0 append: ok", "0 sync: ok"}, nil, nil},
		{plan.Disruption{Kind: plan.Stall, Files: "another"}, nil, nil, nil},
		{plan.Disruption{Kind: plan.NoSpace, Files: "log"}, []string{"0 sync: ok"}, []string{"0 sync: " + full}, nil},
		{plan.Disruption{Kind: plan.NoSpace, Amount: 2}, nil, []string{"0 sync: " + full}, nil},
	} {
		for name, span := range map[string]int64{"its time": 5 * ms, "the calm part": 3000 * ms} {
			t.Run(fmt.Sprintf("%s until %s", c.d.Kind, name), func(t *testing.T) {
				p := plan.Quiet()
				p.Duration = 20 * ms
				c.d.When.At, c.d.For = 9*ms, span
				p.Disruptions = []plan.Disruption{c.d}
				var w sim.World
				notes, calm := witnessed(t, &w, p, func(env.ID, string, int64, int64) bool { return true })
				want := slices.DeleteFunc(slices.Clone(usual), func(s string) bool { return slices.Contains(c.lacks, s) })
				want = append(want, c.shows...)
				slices.Sort(want)
				from, until := 9*ms, 14*ms
				if len(c.lacks) > 0 && c.d.Amount == 0 {
					from += ms / 2 // messages on their way may still arrive
				}
				ended := min(9*ms+span, calm) + ms
				for _, part := range []struct {
					name     string
					from, to int64
					want     []string
				}{{"before", ms, 9 * ms, usual}, {"meanwhile", from, until, want}, {"afterwards", ended, ended + 5*ms, usual}} {
					got := slices.DeleteFunc(within(notes, part.from, part.to), func(s string) bool {
						return strings.HasSuffix(s, "misses") || strings.HasSuffix(s, "starts")
					})
					if diff := cmp.Diff(part.want, got); diff != "" {
						t.Errorf("%s (-want +got):\n%s", part.name, diff)
					}
				}
				misses := slices.DeleteFunc(within(notes, 0, 1<<62), func(s string) bool { return !strings.HasSuffix(s, "misses") })
				if diff := cmp.Diff(c.misses, misses); diff != "" && len(c.misses)+len(misses) > 0 {
					t.Errorf("misses (-want +got):\n%s", diff)
				}
				if w.Fired() != 1 || len(w.Unused()) != 0 {
					t.Errorf("%d fired, unused: %v", w.Fired(), w.Unused())
				}
			})
		}
	}
}

// Of disruptions that overlap, the one that ends first does not end the other.
func TestWhatOverlapsEndsOneByOne(t *testing.T) {
	for _, c := range []struct {
		kind   plan.Kind
		amount int64
		peer   int64
		lacks  string
	}{
		{plan.Pause, 0, 0, "0 ticks"}, {plan.Stall, 0, 0, "0 sync: ok"}, {plan.SlowDisk, 1000, 0, "0 sync: ok"},
		{plan.DiskFull, 0, 0, "0 append: ok"}, {plan.CutDrop, 0, -1, "0 hears"}, {plan.HoldOutOf, 0, 1, "1 hears"},
		{plan.WriteFail, 0, 0, "0 append: ok"},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			p := plan.Quiet()
			p.Duration = 20 * ms
			for _, span := range []int64{8 * ms, 2 * ms} {
				p.Disruptions = append(p.Disruptions, plan.Disruption{Kind: c.kind, Peer: c.peer, Amount: c.amount, When: plan.Anchor{At: 5 * ms}, For: span})
			}
			var w sim.World
			notes, _ := witnessed(t, &w, p, nil)
			if got := within(notes, 8*ms, 13*ms); slices.Contains(got, c.lacks) {
				t.Errorf("the longer one ended with the shorter one: %q", got)
			}
			if got := within(notes, 13*ms, 19*ms); !slices.Contains(got, c.lacks) {
				t.Errorf("it never ends: %q", got)
			}
		})
	}
}

// A stall delays the operations that the device has begun, too, and every operation is answered
// once.
func TestAStallHoldsUpWhatIsInFlight(t *testing.T) {
	for _, kind := range []plan.Disruption{{Kind: plan.Stall}, {Kind: plan.SlowDisk, Amount: 1000}} {
		t.Run(kind.Kind.String(), func(t *testing.T) {
			p := plan.Quiet()
			p.Duration = 20 * ms
			kind.When.At, kind.For = 9*ms+50*us, 3000*ms // a sync is under way
			p.Disruptions = []plan.Disruption{kind}
			var w sim.World
			notes, calm := witnessed(t, &w, p, nil)
			count := map[string]int{}
			for _, n := range notes {
				count[n.what]++
			}
			if got := within(notes, 9*ms+50*us, calm); slices.Contains(got, "0 sync: ok") {
				t.Errorf("meanwhile: %q", got)
			}
			if ticks, syncs := count["0 ticks"], count["0 sync: ok"]; syncs != ticks && syncs != ticks-1 || count["0 append: ok"] < syncs || count["0 append: ok"] > ticks {
				t.Errorf("noted %v, want as many answers as there were ticks", count)
			}
		})
	}
}

// What finds nothing to disrupt is no fault that happened, and is reported.
func TestWhatFindsNothingIsUnused(t *testing.T) {
	down := plan.Disruption{Kind: plan.Power, When: plan.Anchor{At: 2 * ms}, For: 20 * ms}
	for name, d := range map[string]plan.Disruption{
		"a kill of what is down":          {Kind: plan.Kill},
		"a step back of no clock":         {Kind: plan.MonoStep, Amount: ms},
		"a failing sync that nobody asks": {Kind: plan.SyncFail, For: 5 * ms},
		"a failing write to no file":      {Kind: plan.WriteFail, Process: 1, Files: ".no", For: 5 * ms},
		"a failing read that nobody asks": {Kind: plan.ReadFail, Process: 1, For: 5 * ms},
		"an entry that nobody wants":      {Kind: plan.EntryFail, Process: 1, For: 5 * ms},
		"rot without a budget":            {Kind: plan.Rot},
		"a wipe without a budget":         {Kind: plan.Wipe},
		"a restore without a budget":      {Kind: plan.Restore},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Quiet()
			p.Duration = 30 * ms
			d.When.At = 3 * ms
			p.Disruptions = []plan.Disruption{down, d}
			var w sim.World
			witnessed(t, &w, p, nil)
			want := []string{"disruptions[1]: " + d.String()}
			if diff := cmp.Diff(want, w.Unused()); diff != "" || w.Fired() != 1 {
				t.Errorf("%d fired; unused (-want +got):\n%s", w.Fired(), diff)
			}
		})
	}
}

// Power that fails after a kill takes the page cache that the kill left, while
// the process is down as well as when it runs again.
func TestKillThenPower(t *testing.T) {
	for name, c := range map[string]struct {
		second plan.Disruption
		starts []int64
	}{
		"while it is down":    {plan.Disruption{Kind: plan.Power, When: plan.Anchor{At: 6 * ms}, For: 2 * ms}, []int64{0, 9 * ms}},
		"down for longer":     {plan.Disruption{Kind: plan.Power, When: plan.Anchor{At: 6 * ms}, For: 5 * ms}, []int64{0, 11 * ms}},
		"after it has begun":  {plan.Disruption{Kind: plan.Power, When: plan.Anchor{At: 9*ms + 50_000}, For: ms}, []int64{0, 9 * ms, 10*ms + 50_000}},
		"of a replaced disk":  {plan.Disruption{Kind: plan.Wipe, When: plan.Anchor{At: 6 * ms}, For: 2 * ms}, []int64{0, 9 * ms}},
		"only a second start": {plan.Disruption{Kind: plan.Pause, When: plan.Anchor{At: 6 * ms}, For: 5 * ms}, []int64{0, 11 * ms}},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Quiet()
			p.Duration, p.Rates = 20*ms, plan.Rates{chance.DiskEntry: chance.Million}
			p.Disruptions = []plan.Disruption{{Kind: plan.Kill, When: plan.Anchor{At: 5 * ms}, For: 4 * ms}, c.second}
			var w sim.World
			notes, _ := witnessed(t, &w, p, func(env.ID, string, int64, int64) bool { return true })
			var starts []int64
			for _, n := range notes {
				if n.what == "0 starts" {
					starts = append(starts, n.at)
				}
			}
			if diff := cmp.Diff(c.starts, starts); diff != "" {
				t.Errorf("starts (-want +got):\n%s", diff)
			}
			// 40 entries a life: whoever opens an old log has a long one.
			old := w.Disk(0).Size("log") > 45
			if keeps := c.second.Kind == plan.Pause; old != keeps {
				t.Errorf("the log has %d bytes", w.Disk(0).Size("log"))
			}
		})
	}
}

const pointBooting = env.Point(0)

// mayfly reaches a fault point before its first Step, asks, and lives on if it can.
type mayfly struct{ env env.Env }

func (m *mayfly) Step(*env.Event) {}

func (m *mayfly) Status(*env.Status) {}

func TestACrashDuringBoot(t *testing.T) {
	for _, at := range []string{"in New", "in the first step"} {
		t.Run(at, func(t *testing.T) {
			p := plan.Quiet()
			p.Disruptions = []plan.Disruption{{Kind: plan.Kill, When: plan.Anchor{Point: "booting", Nth: 2}, For: ms}}
			p.Terms = []plan.Term{{Point: "booting", Term: "1*return(crash)"}}
			lives := 0
			boots := func(e env.Env) {
				lives++
				e.Hit(pointBooting, env.Key{})
				e.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: "f"})
			}
			config := sim.Config{Points: []string{"booting"}, Programs: []sim.Program{{New: func(e env.Env) env.Machine {
				if at == "in New" {
					boots(e)
					return &mayfly{e}
				}
				return &starter{e, boots}
			}}}}
			var w sim.World
			if err := w.Reset(config, p); err != nil {
				t.Fatal(err)
			}
			w.Run(func() bool { return w.Time() > 50*ms })
			if lives != 3 || !w.Up(0) || w.Disk(0).Size("f") != 0 {
				t.Errorf("it lived %d times, is up: %v, wrote: %v", lives, w.Up(0), w.Disk(0).Files())
			}
		})
	}
}

// starter calls a function in its first Step.
type starter struct {
	env   env.Env
	boots func(env.Env)
}

func (s *starter) Step(ev *env.Event) {
	if ev.Kind == env.Started {
		s.boots(s.env)
	}
}

func (s *starter) Status(*env.Status) {}

// scribe makes a directory and reads its file twice a millisecond, and notes what comes of it.
type scribe struct {
	env   env.Env
	world *sim.World
	notes *[]fact
	made  int
}

func (s *scribe) Step(ev *env.Event) {
	switch e := s.env; ev.Kind {
	case env.Started:
		e.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: "log", ID: 1})
		e.Submit(env.Op{Kind: env.OpAppend, File: 1, Data: []byte("text"), ID: 1})
		e.SetTimer(0, e.Now().Add(env.Millisecond/2))
	case env.Timer:
		s.made++
		e.Submit(env.Op{Kind: env.OpRead, File: 1, Length: 4, ID: 2})
		e.Submit(env.Op{Kind: env.OpMkdir, Path: fmt.Sprint("d", s.made), ID: 3})
		e.SetTimer(0, e.Now().Add(env.Millisecond/2))
	case env.DiskDone:
		if ev.Op != 1 {
			*s.notes = append(*s.notes, fact{s.world.Time(), [...]string{2: "read ", 3: "mkdir "}[ev.Op] + ev.Err.Error()})
		}
	}
}

func (s *scribe) Status(*env.Status) {}

func TestReadsAndEntriesFail(t *testing.T) {
	const eio, full = "input/output error", "no space left on device"
	for text, want := range map[string][]string{
		"read-fail process 0 at 5ms for 5ms":                  {"mkdir ok", "read " + eio},
		"read-fail process 0 files log at 5ms for 5ms":        {"mkdir ok", "read " + eio},
		"entry-fail process 0 at 5ms for 5ms":                 {"mkdir " + eio, "read ok"},
		"entry-fail process 0 files log at 5ms for 5ms":       {"mkdir ok", "read ok"},
		"no-space process 0 at 5ms for 5ms":                   {"mkdir " + full, "read ok"},
		"no-space process 0 files d15 at 5ms for 5ms":         {"mkdir " + full, "mkdir ok", "read ok"},
		"read-fail process 0 at 5ms for 5ms amount 3":         {"mkdir ok", "read " + eio, "read ok"},
		"stall-disk process 0 files log at 5ms for 5ms":       {"mkdir ok"},
		"slow-disk process 0 files d at 5ms for 5ms amount 9": {"mkdir ok", "read ok"},
	} {
		t.Run(text, func(t *testing.T) {
			d, err := plan.ParseDisruption(text)
			if err != nil {
				t.Fatal(err)
			}
			p := plan.Quiet()
			p.Duration, p.Disruptions = 20*ms, []plan.Disruption{d}
			var w sim.World
			var notes []fact
			config := sim.Config{Programs: []sim.Program{{New: func(e env.Env) env.Machine { return &scribe{env: e, world: &w, notes: &notes} }}}}
			if err := w.Reset(config, p); err != nil {
				t.Fatal(err)
			}
			w.Run(func() bool { return w.Time() > 15*ms })
			usual := []string{"mkdir ok", "read ok"}
			for _, part := range []struct {
				name     string
				from, to int64
				want     []string
			}{{"before", ms, 5 * ms, usual}, {"meanwhile", 5*ms + ms/4, 10 * ms, want}, {"afterwards", 10*ms + ms/4, 15 * ms, usual}} {
				if diff := cmp.Diff(part.want, within(notes, part.from, part.to)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", part.name, diff)
				}
			}
		})
	}
}

// A process that dies on a machine that sleeps starts when the machine wakes.
func TestNothingStartsOnAMachineThatSleeps(t *testing.T) {
	p := plan.Quiet()
	p.Duration = 20 * ms
	p.Disruptions = []plan.Disruption{
		{Kind: plan.Suspend, When: plan.Anchor{At: 5 * ms}, For: 6 * ms},
		{Kind: plan.Kill, When: plan.Anchor{At: 7 * ms}, For: ms},
	}
	var w sim.World
	notes, _ := witnessed(t, &w, p, nil)
	for _, n := range notes {
		if n.what == "0 starts" && n.at > 0 && n.at != 11*ms {
			t.Errorf("it starts at %d ns, want when the machine wakes, at %d ns", n.at, 11*ms)
		}
	}
	if got := within(notes, 12*ms, 18*ms); !slices.Equal(got, usual) {
		t.Errorf("afterwards: %q, want %q", got, usual)
	}
}
