package group_test

import (
	"slices"
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/wire"
)

// want checks which requests a node has acknowledged.
func (n *node) want(requests ...uint64) {
	n.Helper()
	if got := n.acked(); !slices.Equal(got, requests) {
		n.Fatalf("node %d has acknowledged %v, want %v\n%v", n.id, got, requests, n.world)
	}
}

// A change is acknowledged when it is durable on every in-sync member, the leader included, in any
// order.
func TestAnAckWaitsForEveryMember(t *testing.T) {
	for _, last := range []env.ID{0, 1, 2} {
		w := serving(t)
		w.nodes[last].stuck = true
		w.nodes[0].mustWrite(0, 1)
		w.run()
		w.settle()
		w.nodes[0].want()
		w.nodes[last].stuck = false
		w.run()
		w.nodes[0].want(1)
	}
	for _, late := range []env.ID{1, 2} {
		w := serving(t)
		w.held = of(peer.KindAppended, late)
		w.nodes[0].mustWrite(0, 1)
		w.run()
		w.nodes[0].want()
		w.held = nil
		w.run()
		w.nodes[0].want(1)
	}
}

// An acknowledgement of a record that is not the leader's does not count.
func TestAnAckOfAnotherRecordDoesNotCount(t *testing.T) {
	w := serving(t)
	w.held = of(peer.KindAppended, 2)
	w.nodes[0].mustWrite(0, 1)
	w.run()
	acks := w.waiting(of(peer.KindAppended, 2))
	if len(acks) == 0 {
		t.Fatal("node 2 does not acknowledge")
	}
	wrong := as[peer.Appended](acks[0])
	wrong.At.Chain ^= 1
	w.hand(&message{from: 2, to: 0, bytes: wrong.Encode(nil)})
	wrong.At.Seq = 1000
	w.hand(&message{from: 2, to: 0, bytes: wrong.Encode(nil)})
	old := as[peer.Appended](acks[0])
	old.From--
	w.hand(&message{from: 2, to: 0, bytes: old.Encode(nil)})
	w.nodes[0].want()
	w.held = nil
	w.run()
	w.nodes[0].want(1)
}

// without takes a member out of the set, which then does not hear of anything.
func (w *world) without(id env.ID) {
	w.Helper()
	w.must(control.Command{Kind: control.Remove, Member: w.nodes[id].self(), By: w.plane.Shard(shard).Leader})
	w.run()
}

// joins returns the leader's wish that a node joins.
func (w *world) joins(leader, id env.ID) control.Command {
	w.Helper()
	c, ok := w.nodes[leader].group.Wish(w.nodes[leader])
	if !ok || c.Kind != control.Join || c.Member != w.nodes[id].self() || c.By != w.nodes[leader].self() {
		w.Fatalf("node %d wishes %v (%t), want that node %d joins\n%v", leader, &c, ok, id, w)
	}
	return c
}

// A replica that is about to join counts from before the leader proposes it until the leader knows
// the outcome.
func TestWhoIsAboutToJoinCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		become func(w *world, c control.Command)
		counts bool // afterwards
	}{
		{"asked, nothing known", func(*world, control.Command) {}, true},
		{"joined", func(w *world, c control.Command) { w.must(c) }, true},
		{"joined, but the leader is not told, and asks again", func(w *world, c control.Command) {
			w.nodes[0].deaf = true
			w.must(c)
			for range 2 {
				w.nodes[0].propose()
			}
		}, true},
		{"refused", func(w *world, c control.Command) { w.nodes[0].refuse(c) }, false},
		{"another wish refused", func(w *world, c control.Command) { c.Version++; w.nodes[0].refuse(c) }, true},
		{"overtaken by another change", func(w *world, _ control.Command) {
			w.must(control.Command{Kind: control.Exclude, Member: w.nodes[1].self(), Tenant: owner, Slot: 1})
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := serving(t)
			w.without(2)
			w.settle()
			command := w.joins(0, 2)
			log := w.nodes[0].logs[0]
			before := log.State().Position
			w.held = of(peer.KindAppended, 2)
			w.nodes[0].mustWrite(0, 1)
			w.run()
			if got := log.State().Position; got != before {
				t.Fatalf("committed up to %v without who is about to join, want %v", got, before)
			}
			c.become(w, command)
			w.run()
			want := log.End()
			if c.counts {
				want = before
			}
			if got := log.State().Position; got != want {
				t.Fatalf("committed up to %v, want %v", got, want)
			}
			w.held, w.nodes[0].deaf = nil, false
			w.settle()
			w.wishes()
			w.nodes[0].want(1)
		})
	}
}

// One that is about to join, and restarts, may be a member before that is known: it is
// waited for until it is known to be none, with commits and with reads.
func TestWhoIsAboutToJoinAndRestartsIsWaitedFor(t *testing.T) {
	w := serving(t)
	w.without(2)
	w.settle()
	w.joins(0, 2)
	w.restart(2)
	w.settle() // it is heard in its new life
	w.nodes[0].mustWrite(0, 1)
	w.settle()
	w.nodes[0].want()
	if code := w.nodes[0].read(0, 9, wire.Linearizable, wire.Token{}, 0); code != wire.NoError {
		t.Fatalf("the read is refused: %v", code)
	}
	w.settle()
	if got := w.nodes[0].readOf(9); got != nil {
		t.Errorf("a read is answered without who may be a member: %+v", got)
	}
	w.wishes() // the join is refused: that process is gone
	w.nodes[0].want(1)
}

// A replica that lacks a committed record does not join.
func TestWhoLacksSomethingDoesNotJoin(t *testing.T) {
	for slot := range slots {
		w := serving(t)
		w.without(2)
		w.held = func(m *message) bool { return m.to == 2 && m.isOf(lineage.Slot(slot)) && m.Kind() == peer.KindAppend }
		w.nodes[0].mustWrite(slot, 1)
		w.settle()
		w.nodes[0].want(1)
		if c, ok := w.nodes[0].group.Wish(w.nodes[0]); ok {
			t.Errorf("node 2 lacks a record of slot %d, and the leader wishes %v", slot, &c)
		}
		w.held = nil
		w.settle()
		w.joins(0, 2)
	}
}

// A node that was removed and placed again has deleted its logs. Its earlier acknowledgements do
// not count, even if the leader learns of both changes at once, and even if they arrive late.
func TestWhoIsPlacedAgainBeginsWithNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		late bool // its acknowledgement of the last record arrives when it has been placed again
	}{{"acknowledged before", false}, {"acknowledged before, and it arrives late", true}} {
		t.Run(c.name, func(t *testing.T) {
			w := serving(t)
			w.without(2)
			w.held = func(m *message) bool { return c.late && of(peer.KindAppended, 2)(m) }
			for slot := range slots {
				w.nodes[0].mustWrite(slot, 1)
			}
			w.settle()
			late := w.waiting(of(peer.KindAppended, 2))
			w.lose(of(peer.KindAppended, 2))
			w.nodes[0].deaf = true
			w.placeAgain(2)
			w.held = func(m *message) bool { return m.from == 2 && m.Kind() != peer.KindConfirmed }
			w.run()
			w.nodes[0].deaf = false
			w.settle()
			for i := range late {
				w.hand(&late[i])
			}
			if command, ok := w.nodes[0].group.Wish(w.nodes[0]); ok {
				t.Fatalf("node 2 has nothing, and the leader wishes %v\n%v", &command, w)
			}
			w.held = nil
			w.settle()
			w.wishes()
			if !w.config().IsInSync(w.nodes[2].self()) || w.nodes[2].logs[0].End() != w.nodes[0].logs[0].End() {
				t.Errorf("node 2 does not get what it lacks and join:\n%v", w)
			}
		})
	}
}

// The leader removes a silent member; with the others commits continue.
func TestARemovalLetsCommitsGoOn(t *testing.T) {
	w := serving(t)
	w.held = with(2)
	w.nodes[0].mustWrite(0, 1)
	w.settle()
	w.nodes[0].want()
	w.tick(group.DefaultPatience.Silence)
	w.tick(20 * env.Millisecond)
	w.wishes()
	w.nodes[0].want(1)
	if w.config().IsInSync(w.nodes[2].self()) {
		t.Errorf("node 2 was not heard, and is in sync: %v", w)
	}
	w.messages, w.held = nil, nil // the held messages never arrive
	w.settle()
	w.wishes()
	if !w.config().IsInSync(w.nodes[2].self()) || !w.nodes[0].group.Settled() {
		t.Errorf("node 2 is heard again, and does not join: %v", w)
	}
}

// The leader before has been silent for long when another one is elected, and is not
// waited for once more; the others are.
func TestANewLeaderDoesNotWaitForTheOneBeforeAgain(t *testing.T) {
	w := serving(t)
	w.held = with(0)
	w.tick(group.DefaultPatience.Silence + env.Millisecond)
	w.nodes[0].deaf = true
	w.elect(1)
	w.run()
	w.tick(20 * env.Millisecond)
	n := w.nodes[1]
	c, ok := n.group.Wish(n)
	if want := w.nodes[0].self(); !ok || c.Kind != control.Remove || c.Member != want {
		t.Fatalf("the new leader wishes %v (%t), want the removal of %v\n%v", &c, ok, want, w)
	}
	n.propose()
	w.tick(20 * env.Millisecond)
	if phase := n.logs[0].Phase(); phase != replica.Serving {
		t.Errorf("the leader before is removed, and the log is %v:\n%v", phase, w)
	}
	if !w.config().IsInSync(w.nodes[2].self()) {
		t.Errorf("node 2 was removed too: %v", w)
	}
}

// Below min, records are shipped and not committed. Reads are answered from the earlier committed
// state. A write is acknowledged when another member has the record.
func TestBelowTheMinimumNothingCommits(t *testing.T) {
	w := serving(t)
	w.without(2)
	w.without(1)
	w.held = to(1)
	w.messages = nil
	at := w.nodes[0].logs[0].State().Position.Seq
	w.nodes[0].mustWrite(0, 1, 2)
	w.run()
	w.nodes[0].want()
	if got := w.nodes[0].logs[0].State().Position.Seq; got != at {
		t.Fatalf("the last member commits up to %d, want %d\n%v", got, at, w)
	}
	if got := w.nodes[2].logs[0].Durable().Seq; got != w.nodes[0].logs[0].End().Seq {
		t.Fatalf("node 2 has records up to %d: nothing was shipped\n%v", got, w)
	}
	if code := w.nodes[0].read(0, 10, wire.Linearizable, wire.Token{}, 0); code != wire.NoError {
		t.Fatalf("a read: %v", code)
	}
	w.run()
	if got := w.nodes[0].readOf(10); got == nil || got.seq != at {
		t.Fatalf("a read of the last member is told %+v, want the state at %d", got, at)
	}
	again := wire.Message{Kind: wire.Write, Placement: 1, Session: session, Request: 1, Floor: 1}
	if out := w.nodes[0].logs[0].Admit(w.nodes[0], client, &again); !out.Later || out.Admitted {
		t.Fatalf("the request again, which may not be told yet: %+v", out)
	}
	w.held = func(m *message) bool { return m.to == 2 }
	w.settle()
	w.wishes()
	w.nodes[0].want(1, 2)
	if out := w.nodes[0].logs[0].Admit(w.nodes[0], client, &again); out.Later || out.Seq == 0 {
		t.Errorf("the request again, when it was told: %+v", out)
	}
}

// A leader of an old epoch is told so, steps down, and refuses changes that are not in its log. Its
// messages are rejected.
func TestALowerEpochIsAnswered(t *testing.T) {
	w := serving(t)
	w.nodes[0].deaf = true
	w.elect(1)
	w.held = to(0)
	w.run()
	if w.nodes[1].group.Role() != group.Leading || w.nodes[1].group.Epoch() != 2 {
		t.Fatalf("node 1 does not lead:\n%v", w)
	}
	w.messages = nil
	end := w.nodes[2].logs[0].End()
	w.nodes[0].mustWrite(0, 1)
	m := wire.Message{Kind: wire.Write, Placement: 1, Session: session, Request: 2, Floor: 1}
	if out := w.nodes[0].logs[0].Admit(w.nodes[0], client, &m); !out.Admitted {
		t.Fatalf("%+v", out)
	}
	w.run()
	if got := w.nodes[2].logs[0].End(); got != end {
		t.Fatalf("node 2 took %v from who does not lead any more, its log ended at %v", got, end)
	}
	if got := w.waiting(of(peer.KindOutdated, 2)); len(got) != 1 || got[0].epoch() != 2 {
		t.Fatalf("node 2 answers a lower epoch with %v", got)
	}
	w.held = nil
	w.run()
	if wanted, _ := w.nodes[0].group.Wants(); w.nodes[0].group.Role() != group.Following || wanted != 2 {
		t.Errorf("who was told of epoch 2 is %s, and wants %d", w.nodes[0].group.Role(), wanted)
	}
	w.nodes[0].want()
	if got := w.nodes[0].refused(); !slices.Equal(got, []uint64{2}) {
		t.Errorf("refused are requests %v, want the one that had no place, 2", got)
	}
	if code := w.nodes[0].write(0, 3); code != wire.Moved {
		t.Errorf("who does not lead refuses a change with %v", code)
	}
	// The record that was not committed makes room for those of the new leader.
	w.nodes[0].deaf = false
	w.settle()
	w.wishes()
	if w.nodes[0].logs[0].End() != w.nodes[1].logs[0].End() || !w.nodes[1].group.Settled() {
		t.Errorf("the logs differ:\n%v", w)
	}
}

// A configuration with a lower index than one that is known changes nothing.
func TestAnOlderConfigurationIsIgnored(t *testing.T) {
	w := serving(t)
	before := *w.config()
	before.InSync = slices.Clone(before.InSync)
	w.without(2)
	w.settle()
	known := *w.nodes[0].group.Known()
	w.nodes[0].group.Configure(w.nodes[0], &before)
	if got := w.nodes[0].group.Known(); got.Index != known.Index || got.IsInSync(w.nodes[2].self()) {
		t.Fatalf("known is %+v after an older configuration, want %+v", got, known)
	}
	w.held = with(2)
	w.nodes[0].mustWrite(0, 1)
	w.run()
	w.nodes[0].want(1)
	if wanted, wants := w.nodes[0].group.Wants(); wants {
		t.Errorf("epoch %d is wanted after an older configuration", wanted)
	}
}

// Before an epoch is durable here, the node sends no message in it and rejects its messages.
func TestNoRoleBeforeTheEpochIsDurable(t *testing.T) {
	w := serving(t)
	w.elect(1)
	w.nodes[1].deaf = true
	w.nodes[1].group.Configure(w.nodes[1], w.config())
	if wanted, wants := w.nodes[1].group.Wants(); !wants || wanted != 2 {
		t.Fatalf("the epoch to be made durable is %d, %t", wanted, wants)
	}
	w.held = of(peer.KindOutdated, 0)
	w.settle()
	spoke := w.waiting(func(m *message) bool { return m.from == 1 && m.epoch() == 2 })
	if w.nodes[1].group.Role() == group.Leading || len(spoke) > 0 || w.nodes[1].logs[0].Leads() {
		t.Fatalf("node 1 is %s before its epoch is durable, and says %v", w.nodes[1].group.Role(), spoke)
	}
	w.nodes[1].deaf = false
	w.run()
	if w.nodes[1].group.Role() != group.Leading {
		t.Errorf("node 1 is %s when its epoch is durable", w.nodes[1].group.Role())
	}
}

// A follower that has not made an epoch durable does not take its records.
func TestAFollowerTakesNothingBeforeTheEpochIsDurable(t *testing.T) {
	w := serving(t)
	w.nodes[2].deaf = true
	w.elect(1)
	w.run()
	w.settle()
	if got := w.nodes[2].logs[0].EpochAt(w.nodes[2].logs[0].End().Seq); got != 1 {
		t.Fatalf("node 2 took a record of epoch %d, durable is epoch 1", got)
	}
	if wanted, _ := w.nodes[2].group.Wants(); wanted != 2 {
		t.Fatalf("node 2 has heard of epoch %d", wanted)
	}
	w.nodes[2].deaf = false
	w.settle()
	if w.nodes[2].logs[0].End() != w.nodes[1].logs[0].End() {
		t.Errorf("the logs differ:\n%v", w)
	}
}

// A place of the founding is given to the first life that appears. An earlier life may have made
// the epoch durable, and has never led in it: it had not appeared.
func TestAFoundingPlaceIsLedByTheLifeThatAppears(t *testing.T) {
	w := serving(t)
	n := w.nodes[0]
	self := control.Member{Node: 0, Incarnation: 17}
	g := group.New(self, shard, 1, group.DefaultPatience, 0x100, n)
	s := control.Shard{
		ID: shard, Index: 3, Version: 3, Epoch: 1, Leader: control.Member{Node: 0, Incarnation: 1}, Min: 2,
		InSync: []control.Member{{Node: 0, Incarnation: 1}, {Node: 1, Incarnation: 6}}, Replicas: []env.ID{0, 1}, Since: []uint64{1, 1},
	}
	if g.Configure(n, &s); g.Role() != group.Following {
		t.Fatalf("the node is %s before its place is its own", g.Role())
	}
	s.Index, s.Version, s.Leader, s.InSync = 4, 4, self, []control.Member{self, {Node: 1, Incarnation: 6}}
	if g.Configure(n, &s); g.Role() != group.Leading {
		t.Errorf("the node is %s, and the place is its own", g.Role())
	}
}

// A process that led in an epoch does not lead in it again after a restart.
func TestWhoRestartedDoesNotLeadInTheSameEpoch(t *testing.T) {
	w := serving(t)
	w.restart(0)
	w.run()
	w.settle()
	if got := w.nodes[0].group.Role(); got != group.Following {
		t.Fatalf("node 0 is %s in epoch 1 again", got)
	}
	w.elect(2)
	w.settle()
	w.wishes()
	if !w.nodes[2].group.Settled() || !w.config().IsInSync(w.nodes[0].self()) {
		t.Errorf("node 2 leads, and the earlier life of node 0 is not replaced by the present one:\n%v", w)
	}
}

// A process that was elected and ended before it had begun does not lead when it is back.
func TestWhoWasElectedInAnEarlierLifeDoesNotLead(t *testing.T) {
	w := serving(t)
	w.nodes[1].deaf = true
	w.elect(1)
	w.run()
	w.restart(1)
	w.nodes[1].deaf = false
	w.settle()
	if got := w.nodes[1].group; got.Epoch() != 2 || got.Role() != group.Following {
		t.Fatalf("node 1/2 is %s in epoch %d, for which node 1/1 was elected", got.Role(), got.Epoch())
	}
	w.elect(2)
	w.settle()
	w.wishes()
	if !w.nodes[2].group.Settled() {
		t.Errorf("the next leader does not settle:\n%v", w)
	}
}

// Changes that are committed and cannot be told yet are bounded with those that are not
// committed.
func TestWhatWaitsToBeToldIsBounded(t *testing.T) {
	w := serving(t)
	w.without(2)
	w.without(1)
	w.held = func(m *message) bool { return m.to != 0 }
	for request := range uint64(w.constants.MaxPending) {
		w.nodes[0].mustWrite(0, request+1)
		w.run()
	}
	if code := w.nodes[0].write(0, 1000); code != wire.Overloaded {
		t.Errorf("%d changes wait to be told, and the next one is told %v", w.constants.MaxPending, code)
	}
	w.held = nil
	w.settle()
	w.wishes()
	if got := len(w.nodes[0].acked()); got != w.constants.MaxPending {
		t.Errorf("with members again %d changes are acknowledged, want %d", got, w.constants.MaxPending)
	}
	if code := w.nodes[0].write(0, uint64(w.constants.MaxPending)+1); code != wire.NoError {
		t.Errorf("the next change: %v", code)
	}
}

// Records that only the deposed leader had are cut, and the followers' logs equal the new leader's.
// Committed records stay.
func TestFailoverAdoptsTheTail(t *testing.T) {
	w := serving(t)
	w.nodes[0].mustWrite(0, 1)
	w.run()
	w.held = func(m *message) bool { return m.to == 2 || m.to == 0 }
	w.nodes[0].mustWrite(0, 2) // with nodes 0 and 1
	w.run()
	w.messages = nil
	w.held = with(1)
	w.nodes[0].mustWrite(0, 3) // and this with node 0 and 2 only behind a gap
	w.run()
	w.messages, w.held = nil, nil
	w.elect(1)
	w.run()
	w.settle()
	log := w.nodes[1].logs[0]
	for _, n := range w.nodes {
		if n.logs[0].End() != log.End() || n.logs[0].State().Position != log.End() {
			t.Fatalf("node %d ends at %v, want %v\n%v", n.id, n.logs[0].End(), log.End(), w)
		}
	}
	for entity, want := range map[uint64]bool{1: true, 2: true, 3: false} {
		if got := log.State().Entity(entityOf(entity)).LastSeq != 0; got != want {
			t.Errorf("request %d is in the log: %t, want %t", entity, got, want)
		}
	}
	w.nodes[0].want(1) // it never learnt of the second, and the third is gone
}

// A deposed leader forgets waiting clients; the new leader answers clients that ask again.
func TestWhoAsksAgainIsAnsweredByTheNewLeader(t *testing.T) {
	w := serving(t)
	w.held = of(peer.KindAppended, 2)
	w.nodes[0].mustWrite(0, 1)
	w.run()
	w.messages, w.held = nil, nil
	w.elect(1)
	w.settle()
	m := wire.Message{Kind: wire.Write, Placement: 1, Session: session, Request: 1, Floor: 1}
	if out := w.nodes[1].logs[0].Admit(w.nodes[1], client, &m); out.Seq == 0 || out.Admitted {
		t.Errorf("the request again: %+v", out)
	}
	if len(w.nodes[0].acked())+len(w.nodes[1].acked()) > 0 {
		t.Errorf("somebody is told without asking: %v, %v", w.nodes[0].acked(), w.nodes[1].acked())
	}
}

// Only replica.Following is where a log without a leader stands.
func TestWithoutALeaderNobodyServes(t *testing.T) {
	w := serving(t)
	w.restart(0)
	w.run()
	for _, n := range w.nodes {
		for _, r := range n.logs {
			if r.Phase() != replica.Following {
				t.Errorf("a log of node %d is %s", n.id, r.Phase())
			}
		}
	}
}
