package metalog_test

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// puppet says one thing to the member at 0, again and again, and notes the answers.
type puppet struct {
	env.Env
	from, until env.Duration // since its start: when it speaks
	say         func(n uint32) *raftpb.Message
	hear        func(m *raftpb.Message)
	origin      env.Time
	count       uint32
}

func (p *puppet) Status(st *env.Status) { st[0] = uint64(p.count) }

func (p *puppet) Step(ev *env.Event) {
	switch ev.Kind {
	case env.Started:
		p.origin = p.Now()
		p.SetTimer(0, p.Now().Add(p.from))
	case env.Timer:
		m := p.say(p.count)
		m.To, m.From = new(uint64(metalog.Founder(0))), new(uint64(metalog.Founder(p.Self())))
		p.Send(0, env.Key{Kind: 9, A: uint64(p.count)}, metalog.Encode('m', 77, m))
		if p.count++; p.Now().Sub(p.origin) < p.until {
			p.SetTimer(0, p.Now().Add(500*env.Microsecond))
		}
	case env.Message:
		if m := metalog.DecodeMessage(ev.Data); m != nil {
			p.hear(m)
		}
	}
}

// A member votes once in a term, whatever happens to it after it has voted: power
// fails at any of its disk operations, or when its vote has left.
func TestOneVoteInATermSurvivesPower(t *testing.T) {
	granted := 0
	for _, point := range points {
		for nth := uint32(1); nth <= 30; nth++ {
			s := newStage(uint64(nth), 3)
			s.clients, s.plan.Duration, s.plan.Calm = 0, 80*int64(env.Millisecond), 1
			s.plan.Rates[chance.DiskLost], s.plan.Rates[chance.DiskInFlight] = chance.Million, chance.Million/2
			s.plan.Disruptions = []plan.Disruption{{
				Kind: plan.Power, When: plan.Anchor{Point: point, Nth: nth, At: 20 * int64(env.Millisecond)}, For: int64(env.Millisecond),
			}}
			var votes [3]bool
			s.puppet = func(e env.Env) env.Machine {
				p := &puppet{Env: e, from: 30 * env.Millisecond, until: 34 * env.Millisecond}
				if e.Self() == 2 {
					p.from, p.until = 34*env.Millisecond, 70*env.Millisecond
				}
				p.say = func(uint32) *raftpb.Message {
					return &raftpb.Message{Type: raftpb.MsgVote.Enum(), Term: new(uint64(5)), LogTerm: new(uint64(4)), Index: new(uint64(100))}
				}
				p.hear = func(m *raftpb.Message) {
					votes[e.Self()] = votes[e.Self()] || m.GetType() == raftpb.MsgVoteResp && !m.GetReject() && m.GetTerm() == 5
				}
				return p
			}
			s.run(t)
			if votes[1] && votes[2] {
				t.Errorf("power at %s %d: two candidates got the vote of one term", point, nth)
			}
			if votes[1] || votes[2] {
				granted++
			}
		}
	}
	if granted < 40 {
		t.Errorf("a vote was granted in %d of 60 runs, want more", granted)
	}
}
