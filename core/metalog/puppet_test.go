package metalog_test

import (
	"cmp"
	"errors"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// puppet says one thing to the member at 0, again and again, and notes the answers.
type puppet struct {
	env.Env
	cluster     uint64           // 0: that of the member
	claims      metalog.MemberID // to be; 0: the founder at its address
	admits      metalog.MemberID // the ID that the member is told first of all; 0: none
	directory   func() env.Nonce // of admits
	to          metalog.MemberID // 0: the founder at 0
	from, until env.Duration     // since its start: when it speaks
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
		if p.admits != 0 {
			p.Send(0, env.Key{Kind: 10}, metalog.EncodeAdmission('m', 77, metalog.Founder(p.Self()), p.admits, p.directory()))
			p.admits = 0
			p.SetTimer(0, p.Now().Add(10*env.Millisecond))
			return
		}
		m := p.say(p.count)
		m.To, m.From = new(uint64(cmp.Or(p.to, metalog.Founder(0)))), new(uint64(cmp.Or(p.claims, metalog.Founder(p.Self()))))
		p.Send(0, env.Key{Kind: 9, A: uint64(p.count)}, metalog.Encode('m', cmp.Or(p.cluster, 77), m))
		if p.count++; p.Now().Sub(p.origin) < p.until {
			p.SetTimer(0, p.Now().Add(500*env.Microsecond))
		}
	case env.Message:
		if m := metalog.DecodeMessage(ev.Data); m != nil {
			p.hear(m)
		}
	}
}

// A member votes once in a term, even if power fails at any of its disk operations or after its
// vote has left.
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

// A member that is not in the configuration it knows cannot stand for election. It
// must not believe in its leader for ever either, or it would refuse the others the
// vote that they may need.
func TestWhoCannotStandForgetsTheLeader(t *testing.T) {
	s := newStage(1, 3)
	s.clients, s.plan.Duration, s.plan.Calm = 0, 600*ms, 1
	s.plan.Disruptions = []plan.Disruption{{Kind: plan.Kill, When: plan.Anchor{Point: "disk"}, For: ms}}
	granted := false
	s.puppet = func(e env.Env) env.Machine {
		p := &puppet{Env: e, to: 2<<32 | metalog.Founder(0), admits: 2<<32 | metalog.Founder(0), directory: func() env.Nonce { return s.directories[0] }, from: 20 * env.Millisecond, until: 31 * env.Millisecond}
		p.say = func(uint32) *raftpb.Message {
			return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Term: new(uint64(5))}
		}
		if e.Self() == 2 {
			p.admits = 0
			p.from, p.until = 40*env.Millisecond, 500*env.Millisecond
			p.say = func(uint32) *raftpb.Message {
				return &raftpb.Message{Type: raftpb.MsgVote.Enum(), Term: new(uint64(6)), LogTerm: new(uint64(4)), Index: new(uint64(100))}
			}
		}
		p.hear = func(m *raftpb.Message) { granted = granted || m.GetType() == raftpb.MsgVoteResp && !m.GetReject() }
		return p
	}
	s.run(t)
	if got := s.node(0).log.Status(); !got.Joining || got.Term < 5 {
		t.Fatalf("the member is %+v, want one that joins and has heard the leader", got)
	}
	if !granted {
		t.Error("the candidate never got its vote")
	}
}

// An admission is for one directory. An admission for an earlier directory at the same address
// is ignored: the new directory would otherwise speak as a member that has voted.
func TestAnAdmissionIsOfOneDirectory(t *testing.T) {
	for _, c := range []struct {
		name      string
		directory func(s *stage) env.Nonce
		serves    bool
	}{
		{"of the one that is there", func(s *stage) env.Nonce { return s.directories[0] }, true},
		{"of the one before", func(*stage) env.Nonce { return founders(1)[0] }, false},
		{"of none", func(*stage) env.Nonce { return env.Nonce{} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(1, 3)
			s.clients, s.plan.Duration, s.plan.Calm = 0, 100*ms, 1
			s.plan.Disruptions = []plan.Disruption{{Kind: plan.Kill, When: plan.Anchor{Point: "disk"}, For: ms}}
			id := 2<<32 | metalog.Founder(0)
			s.puppet = func(e env.Env) env.Machine {
				return &puppet{
					Env: e, to: id, admits: id, directory: func() env.Nonce { return c.directory(s) }, from: 20 * env.Millisecond, until: 31 * env.Millisecond,
					say: func(uint32) *raftpb.Message {
						return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Term: new(uint64(5))}
					},
					hear: func(*raftpb.Message) {},
				}
			}
			s.run(t)
			if got := s.node(0).log.Status(); got.Serving != c.serves || c.serves && got.Member != id {
				t.Errorf("the member is %+v, serves: want %v", got, c.serves)
			}
		})
	}
}

// asker hosts a member and asks it for more than it takes.
type asker struct {
	env.Env
	log        *metalog.Log
	refused    []error
	outcomes   []metalog.Outcome
	early, had bool
}

func (a *asker) Status(st *env.Status) { st[0] = uint64(len(a.outcomes)) }

func (a *asker) Step(ev *env.Event) {
	switch {
	case ev.Kind == env.Started:
		a.refused = append(a.refused, a.log.Propose(a, 1, 1, nil), a.log.Read(a, 1))
		a.log.Open(a, founders(3)[a.Self()])
	case a.log.Owns(ev):
		a.log.Step(a, ev)
	}
	switch st := a.log.Status(); {
	case st.Serving && st.Leader == 0 && !a.early:
		a.early = true
		a.refused = append(a.refused, a.log.Propose(a, 1, 1, nil), a.log.Read(a, 1))
	case st.Leader != 0 && !a.had:
		a.had = true
		a.refused = append(a.refused, a.log.Propose(a, 1, 1, make([]byte, quick.MaxCommand+1)))
		for i := range uint64(quick.MaxPending) + 1 {
			if err := a.log.Propose(a, i, 1, nil); err != nil {
				a.refused = append(a.refused, err)
			}
			if err := a.log.Read(a, i); err != nil {
				a.refused = append(a.refused, err)
			}
		}
	}
	a.outcomes = append(a.outcomes, a.log.Outcomes()...)
}

// A member refuses at once a command that it cannot accept. An accepted command that no leader
// answers ends as unknown.
func TestRefusals(t *testing.T) {
	var a *asker
	s := newStage(1, 3)
	s.clients, s.plan.Duration, s.plan.Calm = 0, 600*ms, 1
	s.puppet = func(e env.Env) env.Machine {
		p := &puppet{Env: e, from: 30 * env.Millisecond, until: 31 * env.Millisecond, hear: func(*raftpb.Message) {}}
		p.say = func(uint32) *raftpb.Message {
			return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Term: new(uint64(5 + uint64(e.Self())))}
		}
		return p
	}
	s.host = func(e env.Env) env.Machine {
		a = &asker{Env: e, log: metalog.New(metalog.Config{
			Dir: "meta", Cluster: 77, Addresses: []env.ID{0, 1, 2}, Founders: founders(3), Machine: &registerMachine{}, Constants: quick,
			Seat: metalog.Seat{Prefix: 'm', Timer: 3, Op: 1000, File: 5, Key: 40},
		})}
		return a
	}
	s.run(t)
	want := []error{
		metalog.ErrNotServing, metalog.ErrNotServing, metalog.ErrNoLeader, metalog.ErrNoLeader,
		metalog.ErrTooLarge, metalog.ErrBusy, metalog.ErrBusy,
	}
	if !slices.Equal(a.refused, want) {
		t.Errorf("refusals %q, want %q", a.refused, want)
	}
	reads := 0
	for _, out := range a.outcomes {
		if out.Err != metalog.ErrUnknown {
			t.Errorf("outcome %+v, want unknown", out)
		}
		if out.Read {
			reads++
		}
	}
	if len(a.outcomes) != 2*quick.MaxPending || reads != quick.MaxPending {
		t.Errorf("%d outcomes, %d of them of reads, want %d of each kind", len(a.outcomes), reads, quick.MaxPending)
	}
}

// Messages of another log, to another member or from where their sender is not are as
// good as lost.
func TestStrangersAreNotHeard(t *testing.T) {
	for _, c := range []struct {
		name     string
		cluster  uint64
		from, to metalog.MemberID
		heard    bool
	}{
		{"a peer", 77, metalog.Founder(1), metalog.Founder(0), true},
		{"another log", 78, metalog.Founder(1), metalog.Founder(0), false},
		{"a member at another address", 77, metalog.Founder(2), metalog.Founder(0), false},
		{"to an earlier member at this address", 77, metalog.Founder(1), 1<<32 | metalog.Founder(0), false},
	} {
		s := newStage(1, 3)
		s.clients, s.plan.Duration, s.plan.Calm = 0, 60*ms, 1
		s.puppet = func(e env.Env) env.Machine {
			p := &puppet{Env: e, cluster: c.cluster, claims: c.from, to: c.to, from: 30 * env.Millisecond, until: 32 * env.Millisecond}
			if e.Self() == 2 {
				p.until, p.from = 0, env.Second
			}
			p.hear = func(*raftpb.Message) {}
			p.say = func(uint32) *raftpb.Message {
				return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Term: new(uint64(50))}
			}
			return p
		}
		s.run(t)
		if got := s.node(0).log.Status().Term == 50; got != c.heard {
			t.Errorf("%s: heard %v, want %v", c.name, got, c.heard)
		}
	}
}

// A member that has fewer entries than a leader has acknowledgements of has lost some,
// and stops; a leader of an earlier term has nothing to say about it.
func TestLostEntriesAreNoticed(t *testing.T) {
	for _, c := range []struct {
		name           string
		commit, behind uint64 // behind: how many terms before that of another leader
		stops          bool
	}{
		{"what the founders have", 1, 0, false},
		{"more", 2, 0, true},
		{"more, in a term that is over", 2, 1, false},
	} {
		s := newStage(1, 3)
		s.clients, s.plan.Duration, s.plan.Calm = 0, 60*ms, 1
		s.plan.Disruptions = nil
		stopped := false
		s.failed = func(err error) { stopped = errors.Is(err, metalog.ErrCorrupt) }
		s.puppet = func(e env.Env) env.Machine {
			p := &puppet{Env: e, from: 30 * env.Millisecond, until: 32 * env.Millisecond, hear: func(*raftpb.Message) {}}
			commit, term := uint64(1), 9+c.behind
			if e.Self() == 2 {
				p.from, p.until, commit, term = 40*env.Millisecond, 42*env.Millisecond, c.commit, 9
			}
			p.say = func(uint32) *raftpb.Message {
				return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Term: new(term), Commit: new(commit)}
			}
			return p
		}
		s.run(t)
		if stopped != c.stops {
			t.Errorf("%s: stopped %v, want %v", c.name, stopped, c.stops)
		}
	}
}

// TestAnUnknownEntryStopsTheMember: a member that skipped an entry that other members apply would
// have another state than they.
func TestAnUnknownEntryStopsTheMember(t *testing.T) {
	for _, c := range []struct {
		name  string
		data  string
		stops bool
	}{
		{"a leader's empty entry", "", false},
		{"an entry that ends within its fields", "fifteen bytes..", true},
	} {
		s := newStage(1, 3)
		s.clients, s.plan.Duration, s.plan.Calm = 0, 60*ms, 1
		s.plan.Disruptions = nil
		stopped := false
		s.failed = func(err error) { stopped = errors.Is(err, wal.ErrVersion) }
		s.puppet = func(e env.Env) env.Machine {
			p := &puppet{Env: e, from: 30 * env.Millisecond, until: 32 * env.Millisecond, hear: func(*raftpb.Message) {}}
			p.say = func(uint32) *raftpb.Message {
				return &raftpb.Message{
					Type: raftpb.MsgApp.Enum(), Term: new(uint64(9)), Index: new(uint64(1)), LogTerm: new(uint64(1)), Commit: new(uint64(2)),
					Entries: []*raftpb.Entry{{Index: new(uint64(2)), Term: new(uint64(9)), Data: []byte(c.data)}},
				}
			}
			return p
		}
		s.run(t)
		if stopped != c.stops {
			t.Errorf("%s: stopped %v, want %v", c.name, stopped, c.stops)
		}
	}
}
