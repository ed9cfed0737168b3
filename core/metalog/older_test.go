package metalog_test

import (
	"errors"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// claim is the start that a process claims, and its answer about an earlier start.
type claim struct {
	number uint64
	nonce  env.Nonce
	before env.Nonce // the nonce that it tells if it is asked
}

// claimant sends heartbeats to the member at 0 as a founder that lives in one start, and later
// in another one.
type claimant struct {
	env.Env
	claims   [2]claim
	origin   env.Time
	outdated bool // it was told so in the second start
}

func (c *claimant) Status(*env.Status) {}

// now returns the start in which the process says that it lives, and the term of its heartbeats.
func (c *claimant) now() (claim, uint64) {
	if c.Now().Sub(c.origin) < 40*env.Millisecond {
		return c.claims[0], 50
	}
	return c.claims[1], 60
}

func (c *claimant) Step(ev *env.Event) {
	switch ev.Kind {
	case env.Started:
		c.origin = c.Now()
		c.SetTimer(0, c.Now().Add(30*env.Millisecond))
	case env.Timer:
		s, term := c.now()
		m := &raftpb.Message{
			Type: raftpb.MsgHeartbeat.Enum(), Term: new(term), To: new(uint64(metalog.Founder(0))), From: new(uint64(metalog.Founder(c.Self()))),
		}
		c.Send(0, env.Key{Kind: 9, A: uint64(c.Now())}, metalog.EncodeIn('m', 77, s.number, s.nonce, m))
		c.SetTimer(0, c.Now().Add(env.Millisecond))
	case env.Message:
		s, _ := c.now()
		if number, asked := metalog.AskedFor(ev.Data); asked {
			c.Send(0, env.Key{Kind: 10, A: uint64(c.Now())}, metalog.EncodeThat('m', 77, s.number, s.nonce, c.Self(), number, s.before))
		}
		c.outdated = c.outdated || metalog.IsOutdated(ev.Data) && s == c.claims[1]
	}
}

// A member accepts messages of another member in the start that it saw last, and in a later start
// that knows that one. It tells every other start that it is outdated.
func TestAStartComesAfterTheOneThatWasSeen(t *testing.T) {
	a, b, other := env.Nonce{A: 1, B: 2}, env.Nonce{A: 3, B: 4}, env.Nonce{A: 1, B: 9}
	for _, c := range []struct {
		name   string
		claims [2]claim
		heard  bool // in the second start
	}{
		{"the same start", [2]claim{{1, a, a}, {1, a, a}}, true},
		{"another start with its number", [2]claim{{1, a, a}, {1, b, a}}, false},
		{"the next start", [2]claim{{1, a, a}, {2, b, a}}, true},
		{"the next start, of a copy that was made before", [2]claim{{1, a, a}, {2, b, other}}, false},
		{"the next start, of a copy that knows of none", [2]claim{{1, a, a}, {2, b, env.Nonce{}}}, false},
		{"a much later start", [2]claim{{3, a, a}, {9, b, a}}, true},
		{"a much later start, of a copy that was made before", [2]claim{{3, a, a}, {9, b, other}}, false},
		{"an earlier start", [2]claim{{3, a, a}, {2, b, a}}, false},
		{"an earlier start, which knows of the later one", [2]claim{{3, a, a}, {2, a, a}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(1, 3)
			s.clients, s.plan.Duration, s.plan.Calm = 0, 60*ms, 1
			var at1 *claimant
			s.puppet = func(e env.Env) env.Machine {
				if e.Self() == 2 { // it never says anything
					return &puppet{Env: e, from: env.Second, hear: func(*raftpb.Message) {}}
				}
				at1 = &claimant{Env: e, claims: c.claims}
				return at1
			}
			s.run(t)
			if term := s.node(0).log.Status().Term; term < 50 || (term == 60) != c.heard || at1.outdated == c.heard {
				t.Errorf("the member is in term %d, and says outdated: %v; want the second start heard: %v", term, at1.outdated, c.heard)
			}
		})
	}
}

// A member whose disk was replaced by an older copy takes no part, however often the copy is
// started before another member hears of it. After its directory is removed, a new one is admitted.
func TestAnOlderCopyTakesNoPart(t *testing.T) {
	for seed := range uint64(4) {
		l := first(t, seed, 3)
		f := (l + 1) % 3
		for _, c := range []struct {
			name   string
			victim uint32
			d      []plan.Disruption
		}{
			{"a follower, as it was founded", f, nil},
			{"the leader, as it was founded", l, nil},
			{"a follower, as it was when it started again", f, []plan.Disruption{cut(plan.Kill, f, 200, 210)}},
			{"the leader, as it was when it started again", l, []plan.Disruption{cut(plan.Kill, l, 100, 110)}},
			{"a follower that is cut off then, and is killed twice", f, []plan.Disruption{
				cut(plan.CutDrop, f, 448, 700), cut(plan.Kill, f, 500, 510), cut(plan.Kill, f, 550, 560),
			}},
		} {
			s := newStage(seed, 3)
			s.think, s.calls = 100*env.Millisecond, 60
			s.plan.Disruptions = append(c.d, plan.Disruption{Kind: plan.Restore, Process: c.victim, When: at(450), For: 2 * ms})
			var told error
			s.failed = func(err error) { told = err }
			s.verify(t, s.run(t))
			if t.Failed() {
				t.Fatalf("seed %d: %s", seed, c.name)
			}
			if s.world.Fired() != len(c.d)+1 || !errors.Is(told, metalog.ErrOutdated) && !errors.Is(told, metalog.ErrCorrupt) {
				t.Errorf("seed %d: %s: %d of %d disruptions happened, and the member stops with %v", seed, c.name, s.world.Fired(), len(c.d)+1, told)
			}
		}
	}
}

// Every member durably knows the start of every other member, even followers that have no messages
// for each other. For a member that is not heard, they know its earlier start.
func TestAllMembersKnowOfEachStart(t *testing.T) {
	for _, c := range []struct {
		name string
		d    []plan.Disruption
		deaf bool // the others do not hear the last member
	}{
		{"they were founded", nil, false},
		{"each was started again", []plan.Disruption{cut(plan.Kill, 0, 200, 210), cut(plan.Kill, 1, 400, 410), cut(plan.Power, 2, 600, 610)}, false},
		{"the last one is not heard since it was started again", []plan.Disruption{cut(plan.CutOutOf, 2, 300, 3900), cut(plan.Kill, 2, 400, 410)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(1, 3)
			s.think, s.calls, s.plan.Disruptions = 100*env.Millisecond, 30, c.d
			s.run(t)
			held := func(at env.ID) metalog.Holding {
				h, err := metalog.HeldBy(s.world.Disk(at).Platter("meta/log"))
				if err != nil {
					t.Fatal(err)
				}
				return h
			}
			for i := range env.ID(3) {
				for j := range env.ID(3) {
					one, other := held(i), held(j)
					if want := !c.deaf || j != 2; i != j && one.Knows(&other) != want {
						t.Errorf("member %d knows of the last start of %d: %v, want %v", i, j, !want, want)
					}
				}
			}
		})
	}
}
