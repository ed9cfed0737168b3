package metalog_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

const ms = int64(env.Millisecond)

func at(instant int64) plan.Anchor { return plan.Anchor{At: instant * ms} }

func cut(kind plan.Kind, process uint32, from, until int64) plan.Disruption {
	return plan.Disruption{Kind: kind, Process: process, Peer: -1, When: at(from), For: (until - from) * ms}
}

// first is the first leader of a run without disruptions, and of every run with the
// same seed until something is disrupted.
func first(t *testing.T, seed uint64, members int) uint32 {
	s := newStage(seed, members)
	s.verify(t, s.run(t))
	for term := metalog.Term(2); term < 100; term++ {
		if leader, ok := s.leaders[term]; ok {
			return uint32(leader.Address())
		}
	}
	t.Fatalf("seed %d has no leader", seed)
	return 0
}

// The calls last for about a second. Members that are cut off or gone are back at 900 ms or with
// the calm part. The number of terms shows whether the able members took over, and whether a member
// that could not win disturbed them.
func TestAimed(t *testing.T) {
	for seed := range uint64(4) {
		l := first(t, seed, 3)
		f, g := (l+1)%3, (l+2)%3
		for _, c := range []struct {
			name        string
			least, most int // terms with a leader
			d           []plan.Disruption
		}{
			{"the leader is isolated", 2, 2, []plan.Disruption{cut(plan.CutDrop, l, 300, 900)}},
			{"the leader is isolated, and all it said arrives later", 2, 2, []plan.Disruption{cut(plan.CutHold, l, 300, 900)}},
			{"the leader sends but hears nothing", 2, 2, []plan.Disruption{cut(plan.CutInto, l, 300, 900)}},
			{"the leader hears but says nothing", 2, 2, []plan.Disruption{cut(plan.CutOutOf, l, 300, 900)}},
			{"a follower sends but hears nothing", 1, 1, []plan.Disruption{cut(plan.CutInto, f, 300, 900)}},
			{"a follower hears but says nothing", 1, 1, []plan.Disruption{cut(plan.CutOutOf, f, 300, 900)}},
			{"a follower is away during compactions", 1, 1, []plan.Disruption{cut(plan.CutDrop, f, 100, 900)}},
			{"the leader is paused", 2, 2, []plan.Disruption{cut(plan.Pause, l, 300, 900)}},
			{"a minority is gone", 2, 2, []plan.Disruption{{Kind: plan.Power, Process: l, When: at(300), For: 5000 * ms}}},
			{"a majority is gone for a while", 2, 3, []plan.Disruption{cut(plan.Kill, l, 300, 900), cut(plan.Kill, f, 300, 900)}},
			{"nobody hears anybody", 2, 3, []plan.Disruption{cut(plan.CutDrop, l, 300, 900), cut(plan.CutDrop, f, 300, 900), cut(plan.CutDrop, g, 300, 900)}},
			{"the power fails everywhere", 2, 3, []plan.Disruption{
				{Kind: plan.Power, Process: 0, When: at(300), For: 2 * ms}, {Kind: plan.Power, Process: 1, When: at(300), For: 3 * ms},
				{Kind: plan.Power, Process: 2, When: at(300), For: 2 * ms},
			}},
			{"the leader's disk is slow", 1, 2, []plan.Disruption{{Kind: plan.SlowDisk, Process: l, Amount: 300, When: at(200), For: 700 * ms}}},
			{"the leader's disk stalls", 2, 2, []plan.Disruption{cut(plan.Stall, l, 300, 900)}},
			{"the leader's disk is full", 1, 2, []plan.Disruption{cut(plan.DiskFull, l, 300, 900)}},
			{"every disk is full", 1, 2, []plan.Disruption{cut(plan.DiskFull, 0, 300, 900), cut(plan.DiskFull, 1, 300, 900), cut(plan.DiskFull, 2, 300, 900)}},
			{"the leader loses its disk", 2, 3, []plan.Disruption{{Kind: plan.Wipe, Process: l, When: at(400), For: 5 * ms}}},
			{"two lose their disks, one after the other", 2, 4, []plan.Disruption{
				{Kind: plan.Wipe, Process: f, When: at(290), For: 5 * ms}, {Kind: plan.Wipe, Process: l, When: at(850), For: 5 * ms},
			}},
		} {
			s := newStage(seed, 3)
			s.think, s.calls, s.plan.Disruptions = 100*env.Millisecond, 60, c.d
			s.verify(t, s.run(t))
			if t.Failed() {
				t.Fatalf("seed %d: %s", seed, c.name)
			}
			if n := len(s.leaders); n < c.least || n > c.most {
				t.Errorf("seed %d: %s: leaders in %d terms, want %d..%d", seed, c.name, n, c.least, c.most)
			}
			if fired := s.world.Fired(); fired != len(c.d) {
				t.Errorf("seed %d: %s: %d of %d disruptions happened", seed, c.name, fired, len(c.d))
			}
		}
	}
}

// Power fails at each of the first disk operations of one member: at its foundation,
// amid appends and compactions.
func TestPowerAtEveryOperation(t *testing.T) {
	for nth := uint32(1); nth <= 60; nth++ {
		s := newStage(uint64(nth), 3)
		loseHalf(s)
		s.plan.Disruptions = []plan.Disruption{{Kind: plan.Power, Process: nth % 3, When: plan.Anchor{Point: "disk", Nth: nth}, For: 3 * ms}}
		s.verify(t, s.run(t))
		if s.world.Fired() != 1 {
			t.Errorf("there was no operation %d", nth)
		}
	}
}

func loseHalf(s *stage) {
	for _, site := range []chance.Site{chance.DiskInFlight, chance.DiskLost, chance.DiskTorn, chance.DiskEntry} {
		s.plan.Rates[site] = chance.Million / 2
	}
}

// A follower that needs a snapshot loses power at each operation of installing it. The leader may
// still rely on every acknowledgement that it gave.
func TestPowerAtEveryOperationOfAnInstallation(t *testing.T) {
	installed := 0
	for seed := range uint64(3) {
		f := (first(t, seed, 3) + 1) % 3
		for nth := uint32(1); nth <= 16; nth++ {
			s := newStage(seed, 3)
			loseHalf(s)
			s.calls, s.think = 60, 40*env.Millisecond
			s.constants.CompactBytes, s.constants.KeepEntries = 300, 1
			s.plan.Disruptions = []plan.Disruption{
				cut(plan.CutDrop, f, 120, 350),
				{Kind: plan.Power, Process: f, When: plan.Anchor{Point: "disk", Nth: nth, At: 350 * ms}, For: 3 * ms},
			}
			s.verify(t, s.run(t))
			installed += s.installed
		}
	}
	if installed < 30 {
		t.Errorf("%d snapshots were installed, want more", installed)
	}
}

// A leader hands over on request, whether the leader, the future leader or a third member is asked.
// A request for a member that does not exist changes nothing.
func TestTransfer(t *testing.T) {
	for name, asked := range map[string]func(st metalog.Status, to env.ID) bool{
		"the leader":     func(st metalog.Status, to env.ID) bool { return st.Leader == st.Member },
		"who is to lead": func(st metalog.Status, to env.ID) bool { return st.Member.Address() == to },
		"a third": func(st metalog.Status, to env.ID) bool {
			return st.Leader != st.Member && st.Member.Address() != to && st.Leader.Address() != to
		},
	} {
		s := newStage(3, 3)
		s.calls, s.think, s.transferAt = 120, 20*env.Millisecond, asked
		s.verify(t, s.run(t))
		if len(s.leaders) < 4 {
			t.Errorf("%s is asked: leaders in %d terms, want more", name, len(s.leaders))
		}
	}
}

// A disk without room for a second file: compactions are given up, appends wait, and
// with a larger disk all goes on.
func TestNoRoomForACompaction(t *testing.T) {
	for capacity := int64(1500); capacity < 6000; capacity += 300 {
		s := newStage(uint64(capacity), 3)
		s.plan.Disk.Capacity, s.calls, s.plan.Duration = capacity, 40, 600*ms
		s.verify(t, s.run(t))
	}
}

// A disk that never holds two files, but a long one, is no reason to wait.
func TestCompactionsAreGivenUp(t *testing.T) {
	s := newStage(1, 3)
	s.ballast, s.constants.ChunkBytes, s.plan.Disk.Capacity = 20_000, 8000, 36_000
	out := s.run(t)
	s.verify(t, out)
	if out.CalmAt > 400*ms {
		t.Errorf("the calls were answered after %d ms, want 400 at most", out.CalmAt/ms)
	}
	if size := s.size(0); size < s.node(0).log.Confirmed()+quick.CompactBytes {
		t.Errorf("the file has %d bytes, too few for a compaction to begin", size)
	}
}

// Chunks of a snapshot that come twice, late or not at all make no other snapshot.
func TestChunksOnABadNetwork(t *testing.T) {
	installed := 0
	for seed := range uint64(12) {
		s := newStage(seed, 3)
		s.ballast, s.calls, s.think = 2000, 60, 40*env.Millisecond
		s.constants.CompactBytes, s.constants.KeepEntries = 300, 1
		s.plan.Rates[chance.NetDuplicate], s.plan.Rates[chance.NetLoss], s.plan.Rates[chance.NetDelay] = 300_000, 100_000, 200_000
		s.plan.Network.MaxDelay = 3 * ms
		s.plan.Disruptions = []plan.Disruption{cut(plan.CutDrop, 1, 120, 350), cut(plan.CutDrop, 2, 450, 600)}
		s.verify(t, s.run(t))
		installed += s.installed
	}
	if installed < 12 {
		t.Errorf("%d snapshots were installed, want more", installed)
	}
}
