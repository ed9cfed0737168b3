package sim_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/plan"
)

const us = int64(env.Microsecond)

// scripted is a machine made of a function.
type scripted struct {
	env  env.Env
	step func(e env.Env, ev *env.Event)
}

func (s *scripted) Step(ev *env.Event) { s.step(s.env, ev) }

func (s *scripted) Status(*env.Status) {}

// play lives through p with machines made of functions, without jitter, for 50 ms
// of the disruptive part. Lines are noted with the true time in microseconds.
func play(t *testing.T, p *plan.Plan, programs ...func(e env.Env, ev *env.Event, note func(string))) []string {
	t.Helper()
	var w sim.World
	var lines []string
	note := func(what string) { lines = append(lines, fmt.Sprintf("%d %s", w.Time()/us, what)) }
	config := sim.Config{Points: []string{"p"}}
	for _, program := range programs {
		step := func(e env.Env, ev *env.Event) { program(e, ev, note) }
		config.Programs = append(config.Programs, sim.Program{New: func(e env.Env) env.Machine { return &scripted{e, step} }})
	}
	p.Duration, p.Network.Jitter, p.Network.PerKiB = 50*ms, 0, 0
	if err := w.Reset(config, p); err != nil {
		t.Fatal(err)
	}
	w.Run(func() bool { return w.Calm() })
	return lines
}

func expectLines(t *testing.T, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// sendAt sends one message to process 0 at each of the instants, in us after its
// start; the network takes 150 us.
func sendAt(instants ...int64) func(env.Env, *env.Event, func(string)) {
	return func(e env.Env, ev *env.Event, _ func(string)) {
		if ev.Kind == env.Started {
			for i, at := range instants {
				e.SetTimer(env.TimerID(i), e.Now().Add(env.Duration(at*us)))
			}
		} else if ev.Kind == env.Timer {
			e.Send(0, env.Key{B: uint64(ev.Timer)}, []byte{byte(ev.Timer)})
		}
	}
}

// What finds the CPU busy waits for it, first come, first served, and is told
// since when.
func TestEventsWaitForTheCPU(t *testing.T) {
	lines := play(t, plan.Quiet(), func(e env.Env, ev *env.Event, note func(string)) {
		if ev.Kind != env.Message {
			return
		}
		note(fmt.Sprintf("message %d waited %d", ev.Data[0], int64(e.Now().Sub(ev.At))/us))
		e.Charge(env.Millisecond)
	}, sendAt(850, 950, 1350, 9850))
	expectLines(t, []string{
		"1000 message 0 waited 0",
		"2000 message 1 waited 900",
		"3000 message 2 waited 1500",
		"10000 message 3 waited 0",
	}, lines)
}

// clock is an observer that notes since when a message has waited.
type clock struct {
	w    *sim.World
	note func(string)
}

func (c *clock) Received(to, from env.ID, payload []byte, since int64) {
	if to != 0 {
		return
	}
	c.note(fmt.Sprintf("message %d from %d to %d: since %d, now %d, thawed %d", payload[0], from, to, since/us, c.w.Time()/us, c.w.Thawed(to)/us))
}
func (c *clock) Sent(from, _ env.ID, _ env.Key, _ []byte) {
	if from == 0 {
		c.note(fmt.Sprintf("answered, charged %d", c.w.Charged()/us))
	}
}
func (c *clock) Submitted(env.ID, *env.Op, string)        {}
func (c *clock) Hit(env.ID, env.Point, env.Key, env.Time) {}
func (c *clock) Booted(env.ID, env.Incarnation, env.Time) {}

// Observers can measure how long a reply took, pauses of the whole process left
// out.
func TestObserversKnowSinceWhenAMessageWaits(t *testing.T) {
	p := plan.Quiet()
	p.Disruptions = []plan.Disruption{{Kind: plan.Pause, When: plan.Anchor{At: 1100 * us}, For: 3 * ms}}
	p.Duration, p.Network.Jitter, p.Network.PerKiB = 50*ms, 0, 0
	var w sim.World
	var lines []string
	receive := func(e env.Env, ev *env.Event) {
		if ev.Kind == env.Message {
			e.Charge(300 * env.Microsecond)
			e.Send(2, env.Key{}, []byte{9})
		}
	}
	send := func(e env.Env, ev *env.Event) { sendAt(350, 450, 1350)(e, ev, nil) }
	idle := func(env.Env, *env.Event) {}
	config := sim.Config{Observer: &clock{&w, func(line string) { lines = append(lines, line) }}}
	for _, step := range []func(env.Env, *env.Event){receive, send, idle} {
		config.Programs = append(config.Programs, sim.Program{New: func(e env.Env) env.Machine { return &scripted{e, step} }})
	}
	if err := w.Reset(config, p); err != nil {
		t.Fatal(err)
	}
	w.Run(func() bool { return w.Calm() })
	expectLines(t, []string{
		"message 0 from 1 to 0: since 500, now 500, thawed 0", "answered, charged 300",
		"message 1 from 1 to 0: since 600, now 800, thawed 0", "answered, charged 300",
		"message 2 from 1 to 0: since 1500, now 4100, thawed 4100", "answered, charged 300",
	}, lines)
	if w.Charged() != 0 {
		t.Errorf("%d charged outside of a step", w.Charged())
	}
}

// Asks leave when the CPU time that was charged so far has been used.
func TestAsksLeaveAfterWhatWasCharged(t *testing.T) {
	lines := play(t, plan.Quiet(), func(e env.Env, ev *env.Event, note func(string)) {
		if ev.Kind == env.Message {
			note(fmt.Sprintf("message %d", ev.Data[0]))
		}
	}, func(e env.Env, ev *env.Event, _ func(string)) {
		if ev.Kind == env.Started {
			e.Send(0, env.Key{B: 1}, []byte{1})
			e.Charge(2 * env.Millisecond)
			e.Send(0, env.Key{B: 2}, []byte{2})
		}
	})
	expectLines(t, []string{"150 message 1", "2150 message 2"}, lines)
}

// A timer at Now() is no short cut past messages that have arrived.
func TestATimerAtNowGoesBehindWhatHasArrived(t *testing.T) {
	lines := play(t, plan.Quiet(), func(e env.Env, ev *env.Event, note func(string)) {
		switch ev.Kind {
		case env.Message:
			note(fmt.Sprintf("message %d", ev.Data[0]))
			if ev.Data[0] == 0 {
				e.Charge(env.Millisecond)
			} else if ev.Data[0] == 1 {
				e.SetTimer(5, e.Now())
			}
		case env.Timer:
			note("timer")
		}
	}, sendAt(850, 900, 910))
	expectLines(t, []string{"1000 message 0", "2000 message 1", "2000 message 2", "2000 timer"}, lines)
}

func TestTimersThatAreArmedAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(e env.Env, now env.Time)
		want []string
	}{
		{"earlier", func(e env.Env, now env.Time) { e.SetTimer(0, now.Add(2*env.Millisecond)) }, []string{"3000 timer 0"}},
		{"later", func(e env.Env, now env.Time) { e.SetTimer(0, now.Add(9*env.Millisecond)) }, []string{"10000 timer 0"}},
		{"later, then earlier", func(e env.Env, now env.Time) {
			e.SetTimer(0, now.Add(9*env.Millisecond))
			e.SetTimer(0, now.Add(env.Millisecond))
		}, []string{"2000 timer 0"}},
		{"never", func(e env.Env, _ env.Time) { e.SetTimer(0, env.Never) }, nil},
		{"never, then at the same instant", func(e env.Env, now env.Time) {
			e.SetTimer(0, env.Never)
			e.SetTimer(0, now.Add(4*env.Millisecond))
		}, []string{"5000 timer 0"}},
		{"in the past", func(e env.Env, now env.Time) { e.SetTimer(0, now.Add(-env.Millisecond)) }, []string{"1000 timer 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			expectLines(t, c.want, play(t, plan.Quiet(), func(e env.Env, ev *env.Event, note func(string)) {
				switch {
				case ev.Kind == env.Started:
					e.SetTimer(0, e.Now().Add(5*env.Millisecond))
					e.SetTimer(1, e.Now().Add(env.Millisecond))
				case ev.Timer == 1:
					c.act(e, e.Now())
				default:
					note(fmt.Sprintf("timer %d", ev.Timer))
				}
			}))
		})
	}
}

// A timer that has fired and waits for the CPU is withdrawn by arming it again.
func TestATimerThatWaitsIsWithdrawn(t *testing.T) {
	for name, want := range map[string][]string{"never": nil, "later": {"9000 timer"}} {
		t.Run(name, func(t *testing.T) {
			expectLines(t, want, play(t, plan.Quiet(), func(e env.Env, ev *env.Event, note func(string)) {
				switch {
				case ev.Kind == env.Started:
					e.SetTimer(0, e.Now().Add(env.Millisecond))
					e.SetTimer(1, e.Now().Add(2*env.Millisecond))
				case ev.Timer == 0:
					e.Charge(3 * env.Millisecond) // timer 1 comes meanwhile
					e.SetTimer(2, e.Now())        // and stands behind this one
				case ev.Timer == 2 && name == "never":
					e.SetTimer(1, env.Never)
				case ev.Timer == 2:
					e.SetTimer(1, e.Now().Add(5*env.Millisecond))
				default:
					note("timer")
				}
			}))
		})
	}
}

// A paused process is told afterwards, in order, what came meanwhile, and that it
// came meanwhile; a pause within a Step begins when the Step returns.
func TestAPausedProcessCatchesUp(t *testing.T) {
	for _, c := range []struct {
		when plan.Anchor
		want []string
	}{
		{plan.Anchor{At: 500 * us}, []string{"3500 message 0 waited 2500", "3500 message 1 waited 1500", "4000 message 2 waited 0"}},
		{plan.Anchor{Point: "p"}, []string{"1000 message 0 waited 0", "4000 message 1 waited 2000", "4000 message 2 waited 0"}},
	} {
		t.Run(c.when.String(), func(t *testing.T) {
			p := plan.Quiet()
			p.Disruptions = []plan.Disruption{{Kind: plan.Pause, When: c.when, For: 3 * ms}}
			expectLines(t, c.want, play(t, p, func(e env.Env, ev *env.Event, note func(string)) {
				if ev.Kind == env.Message {
					e.Hit(0, env.Key{})
					note(fmt.Sprintf("message %d waited %d", ev.Data[0], int64(e.Now().Sub(ev.At))/us))
				}
			}, sendAt(850, 1850, 3850)))
		})
	}
}

// readings notes both clocks every 5 ms of the machine's own time, less their readings at its
// start.
func readings() func(env.Env, *env.Event, func(string)) {
	var mono env.Time
	var wall env.WallTime
	return func(e env.Env, ev *env.Event, note func(string)) {
		if ev.Kind == env.Started {
			mono, wall = e.Now(), e.Wall()
		} else {
			note(fmt.Sprintf("monotonic %d wall %d", int64(e.Now().Sub(mono))/us, int64(e.Wall()-wall)/us))
		}
		e.SetTimer(0, e.Now().Add(5*env.Millisecond))
	}
}

func TestClocksCanBeTroubled(t *testing.T) {
	at := plan.Anchor{At: 7 * ms}
	for _, c := range []struct {
		name   string
		clocks []plan.Clock
		d      plan.Disruption
		want   []string // the first five
	}{
		{"the wall clock leaps ahead", nil, plan.Disruption{Kind: plan.WallStep, When: at, Amount: 3 * ms},
			[]string{"5000 monotonic 5000 wall 5000", "10000 monotonic 10000 wall 13000", "15000 monotonic 15000 wall 18000", "20000 monotonic 20000 wall 23000", "25000 monotonic 25000 wall 28000"}},
		{"the wall clock steps back", nil, plan.Disruption{Kind: plan.WallStep, When: at, Amount: -8 * ms},
			[]string{"5000 monotonic 5000 wall 5000", "10000 monotonic 10000 wall 2000", "15000 monotonic 15000 wall 7000", "20000 monotonic 20000 wall 12000", "25000 monotonic 25000 wall 17000"}},
		{"the monotonic clock steps back", nil, plan.Disruption{Kind: plan.MonoStep, When: at, Amount: 2 * ms},
			[]string{"5000 monotonic 5000 wall 5000", "12000 monotonic 10000 wall 12000", "17000 monotonic 15000 wall 17000", "22000 monotonic 20000 wall 22000", "27000 monotonic 25000 wall 27000"}},
		// From 7 ms to 12 ms it shows 5.5 ms: 10 ms are over at 7 + 3/1.1.
		{"for a while it runs fast", nil, plan.Disruption{Kind: plan.Drift, When: at, Amount: 100_000, For: 5 * ms},
			[]string{"5000 monotonic 5000 wall 5000", "9727 monotonic 10000 wall 9727", "14500 monotonic 15000 wall 14500", "19500 monotonic 20000 wall 19500", "24500 monotonic 25000 wall 24500"}},
		{"for a while it runs slow", nil, plan.Disruption{Kind: plan.Drift, When: at, Amount: -100_000, For: 5 * ms},
			[]string{"5000 monotonic 5000 wall 5000", "10333 monotonic 10000 wall 10333", "15500 monotonic 15000 wall 15500", "20500 monotonic 20000 wall 20500", "25500 monotonic 25000 wall 25500"}},
		// It is 10 % slow, then true for 5 ms, in which it shows 0.5 ms more than usual.
		{"a drift adds to the clock's own", []plan.Clock{{DriftPPM: -100_000}}, plan.Disruption{Kind: plan.Drift, When: at, Amount: 100_000, For: 5 * ms},
			[]string{"5555 monotonic 5000 wall 5555", "10700 monotonic 10000 wall 10700", "16111 monotonic 15000 wall 16111", "21666 monotonic 20000 wall 21666", "27222 monotonic 25000 wall 27222"}},
		{"no clock exceeds the bound", []plan.Clock{{DriftPPM: 100_000}}, plan.Disruption{Kind: plan.Drift, When: at, Amount: 100_000, For: 5 * ms},
			[]string{"4545 monotonic 5000 wall 4545", "9090 monotonic 10000 wall 9090", "13636 monotonic 15000 wall 13636", "18181 monotonic 20000 wall 18181", "22727 monotonic 25000 wall 22727"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plan.Quiet()
			p.Clocks, p.Disruptions = c.clocks, []plan.Disruption{c.d}
			expectLines(t, c.want, play(t, p, readings())[:5])
		})
	}
}
