package group_test

import (
	"slices"
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// drain has a node drained, or not any more, and every node know of it.
func (w *world) drain(id env.ID, drains bool) {
	w.Helper()
	kind := control.Undrain
	if drains {
		kind = control.Drain
	}
	w.must(control.Command{Kind: kind, Node: id})
	for _, n := range w.nodes {
		n.group.Drain(id, drains)
		n.group.Drain(id, drains) // once is enough
	}
}

// wantNoWish checks that no node wants anything in the meta log.
func (w *world) wantNoWish(why string) {
	w.Helper()
	for _, n := range w.nodes {
		if c, ok := n.group.Wish(n); ok {
			w.Fatalf("%s, and node %d wishes %v\n%v", why, n.id, &c, w)
		}
	}
}

// wantRemoval returns the leader's wish that a member leaves.
func (w *world) wantRemoval(leader env.ID, gone control.Member) control.Command {
	w.Helper()
	c, ok := w.nodes[leader].group.Wish(w.nodes[leader])
	if !ok || c.Kind != control.Remove || c.Member != gone || c.By != w.nodes[leader].self() {
		w.Fatalf("node %d wishes %v (%t), want that %v leaves\n%v", leader, &c, ok, gone, w)
	}
	return c
}

// Only the leader removes a drained member from the set. The leader still ships records to it. It
// does not join while it is drained, and joins afterwards.
func TestADrainedMemberLeavesAndComesBack(t *testing.T) {
	w := serving(t)
	w.drain(2, true)
	for _, n := range w.nodes[1:] {
		if c, ok := n.group.Wish(n); ok {
			t.Errorf("node %d, which does not lead, wishes %v", n.id, &c)
		}
	}
	w.must(w.wantRemoval(0, w.nodes[2].self()))
	w.run()
	w.nodes[0].mustWrite(0, 1)
	w.settle()
	w.nodes[0].want(1)
	if got, want := w.nodes[2].logs[0].End(), w.nodes[0].logs[0].End(); got != want {
		t.Errorf("the log of a drained node ends at %v, want %v", got, want)
	}
	w.wantNoWish("node 2 is drained")
	if !w.nodes[0].group.Settled() {
		t.Errorf("a drained node keeps the shard from being settled:\n%v", w)
	}
	w.drain(2, false)
	if w.nodes[0].group.Settled() {
		t.Errorf("node 2 is to be in the set, and the shard is settled:\n%v", w)
	}
	w.must(w.joins(0, 2))
	w.settle()
	w.wantNoWish("all is well")
}

// A drained member stays as long as too few would be left, and leaves when another one has
// joined.
func TestADrainedMemberStaysWhileTooFewAreLeft(t *testing.T) {
	w := serving(t)
	w.drain(2, true)
	w.without(1)
	w.held = with(1) // so that it cannot join
	w.settle()
	w.wantNoWish("two members are left, of which one is drained")
	w.messages, w.held = nil, nil
	w.settle()
	w.must(w.joins(0, 1))
	w.run()
	w.wantRemoval(0, w.nodes[2].self())
}

// The leader wants nothing about itself: another one is elected, and removes it.
func TestADrainedLeaderIsRemovedByTheNext(t *testing.T) {
	w := serving(t)
	w.drain(0, true)
	w.wantNoWish("the leader is drained")
	w.elect(1)
	w.settle()
	w.must(w.wantRemoval(1, w.nodes[0].self()))
	w.settle()
	w.wantNoWish("node 0 is drained")
}

// Of a drained node that has restarted the member leaves that its earlier life was.
func TestTheEarlierLifeOfADrainedMemberLeaves(t *testing.T) {
	w := serving(t)
	before := w.nodes[2].self()
	w.drain(2, true)
	w.restart(2)
	w.settle()
	w.must(w.wantRemoval(0, before))
	w.nodes[2].group.Drain(2, true) // it was told again
	w.settle()
	w.wantNoWish("node 2 is drained")
}

// A member that is about to join when its node is drained counts until the outcome is known: the
// control plane refuses the join.
func TestWhoIsAboutToJoinAndIsDrained(t *testing.T) {
	w := serving(t)
	w.without(2)
	w.settle()
	c := w.joins(0, 2)
	w.held = of(peer.KindAppended, 2)
	w.drain(2, true)
	w.nodes[0].mustWrite(0, 1)
	w.run()
	w.nodes[0].want()
	if again, ok := w.nodes[0].group.Wish(w.nodes[0]); !ok || again.Kind != control.Join || again.Member != c.Member {
		t.Errorf("nobody knows what became of %v, and the leader wishes %v, %t", &c, &again, ok)
	}
	got := w.do(c)
	if got.Refusal != control.IsDraining {
		t.Fatalf("the join of a drained node: %v", got.Refusal)
	}
	w.nodes[0].group.Refused(w.nodes[0], &c, &got)
	w.nodes[0].want(1)
	w.held = nil
	w.settle()
	w.wantNoWish("node 2 is drained")
}

// end has a log end on every node.
func (w *world) end(slot int) {
	for _, n := range w.nodes {
		n.group.End(slot)
	}
}

// A log that ends accepts no new changes. Changes under way complete, and then only the leader
// reports that the log has ended.
func TestALogEndsWhenWhatIsUnderWayIsDone(t *testing.T) {
	for _, late := range []func(*message) bool{nil, of(peer.KindAppended, 2)} {
		w := serving(t)
		w.held = late
		w.nodes[0].mustWrite(0, 1)
		w.nodes[0].mustWrite(1, 1)
		if w.nodes[0].group.Ended(0) {
			t.Error("nobody ends it, and it has ended")
		}
		w.end(0)
		w.run()
		for _, n := range w.nodes {
			if !n.group.Ending(0) || n.group.Ending(1) || n.group.Ended(1) {
				t.Errorf("node %d: slot 0 ends %t, slot 1 %t", n.id, n.group.Ending(0), n.group.Ending(1))
			}
			if want := n.id == 0 && late == nil; n.group.Ended(0) != want {
				t.Errorf("node %d says that the log has ended: %t, want %t", n.id, n.group.Ended(0), want)
			}
		}
		if code := w.nodes[0].write(0, 2); code == wire.NoError {
			t.Error("a log that ends takes a change")
		}
		if code := w.nodes[0].write(1, 2); code != wire.NoError {
			t.Errorf("the other log refuses a change: %v", code)
		}
		w.held = nil
		w.run()
		if got := w.nodes[0].acked(); !slices.Contains(got, 1) || len(got) != 3 {
			t.Errorf("acknowledged are %v, want what was under way in both logs", got)
		}
		if !w.nodes[0].group.Ended(0) {
			t.Errorf("nothing is under way, and the log has not ended:\n%v", w)
		}
	}
}

// A stopped log has nothing under way, although some of its changes are not committed.
func TestALogThatHasStoppedEnds(t *testing.T) {
	w := serving(t)
	w.held = of(peer.KindAppended, 2)
	w.fail(0, 0)
	if log := w.nodes[0].logs[0]; log.End() == log.State().Position {
		t.Fatalf("nothing is under way:\n%v", w)
	}
	w.end(0)
	w.settle()
	if !w.nodes[0].group.Ended(0) {
		t.Errorf("the log has stopped, and has not ended:\n%v", w)
	}
}

// No node begins to lead a log that ends. For the next leader it has ended at once.
func TestWhoLeadsNextDoesWithoutALogThatEnds(t *testing.T) {
	w := serving(t)
	w.held = to(2)
	w.nodes[0].mustWrite(0, 1) // which node 2 lacks
	w.run()
	w.messages, w.held = nil, nil
	w.end(0)
	w.nodes[0].deaf = true
	w.elect(1)
	w.run()
	w.nodes[0].deaf = false
	w.settle()
	n := w.nodes[1]
	if n.logs[0].Leads() || !n.group.Ended(0) {
		t.Errorf("node 1 leads the log that ends: %t; for it that has ended: %t\n%v", n.logs[0].Leads(), n.group.Ended(0), w)
	}
	if n.logs[1].Phase() != replica.Serving {
		t.Errorf("the other log is %s", n.logs[1].Phase())
	}
	w.without(2)
	w.settle()
	w.must(w.joins(1, 2)) // the missing records of the log that ends do not matter
	for _, n := range w.nodes {
		n.group.RemoveSlot(0)
	}
	w.settle()
	if !n.group.Settled() {
		t.Errorf("it does not settle without the log that ended:\n%v", w)
	}
}

// A set that is reformed settles without a log that ends.
func TestAReformSettlesWithoutALogThatEnds(t *testing.T) {
	w := serving(t)
	w.nodes[0].mustWrite(1, 1)
	w.settle()
	w.apart(0)
	w.end(0)
	w.settle()
	w.wishes()
	n := w.nodes[0]
	if w.config().Reformed || n.group.Role() != group.Leading || n.logs[0].Leads() || n.logs[1].Phase() != replica.Serving || !n.group.Ended(0) {
		t.Errorf("it does not settle:\n%v", w)
	}
	n.has(1, map[uint64]bool{1: true})
}

// When a log is forgotten its reads are refused, once; those of other logs are answered, of
// their own log: those that wait for a confirmation, for the leader's index, and for a record
// that the session has seen.
func TestReadsOfALogThatIsForgotten(t *testing.T) {
	const index, session = 0, 10 // the index that the reads wait for; the slot comes on top
	for gone := range slots {
		w := serving(t)
		w.nodes[0].mustWrite(0, 1) // so that the logs differ
		w.settle()
		w.held = func(m *message) bool { return m.Kind() == peer.KindConfirmed || m.Kind() == peer.KindIndex }
		want := map[env.ID][]uint64{}
		for slot := range uint64(slots) {
			for _, n := range w.nodes[:2] { // the leader, and one that asks it
				if code := n.read(int(slot), index+slot, wire.Linearizable, wire.Token{}, 0); code != wire.NoError {
					t.Fatalf("a read: %v", code)
				}
				want[n.id] = append(want[n.id], index+slot)
			}
			n := w.nodes[1]
			if code := n.read(int(slot), session+slot, wire.Session, wire.Token{Epoch: 1, Seq: n.logs[slot].End().Seq + 1}, 0); code != wire.NoError {
				t.Fatalf("a read: %v", code)
			}
			want[1] = append(want[1], session+slot)
		}
		w.run()
		for _, n := range w.nodes[:2] {
			n.group.RemoveSlot(gone)
			n.group.RemoveSlot(gone) // it is not there any more
			if len(n.reads) != len(want[n.id])/2 {
				t.Errorf("slot %d is forgotten, and node %d says %+v", gone, n.id, n.reads)
			}
		}
		w.held = nil
		w.nodes[0].mustWrite(1-gone, 2)
		w.settle()
		for _, n := range w.nodes[:2] {
			for _, request := range want[n.id] {
				got, slot, code, seq := n.readOf(request), int(request%session), wire.NoError, n.logs[request%session].End().Seq
				if slot == gone {
					code = wire.UnknownTenant
				}
				// Node 0 may have answered before the record was committed.
				if got == nil || got.code != code || slot != gone && got.seq != seq && got.seq != seq-1 {
					t.Errorf("slot %d is forgotten, and read %d of slot %d of node %d is told %+v, want %v at %d", gone, request, slot, n.id, got, code, seq)
				}
			}
			if len(n.reads) != len(want[n.id]) {
				t.Errorf("slot %d is forgotten, and node %d says %+v", gone, n.id, n.reads)
			}
		}
	}
}

// A removed log answers no questions of other replicas; they give up.
func TestAnotherReplicasReadOfALogThatIsForgotten(t *testing.T) {
	w := serving(t)
	w.held = func(m *message) bool { return m.Kind() == peer.KindConfirmed }
	w.nodes[1].mustRead(1, wire.Linearizable, wire.Token{}, 0)
	w.run()
	w.nodes[0].group.RemoveSlot(0)
	w.held = nil
	w.run()
	w.nodes[1].wantWaiting(1)
	w.settle()
	w.nodes[1].wantRead(1, wire.NotYet, 0)
	if len(w.nodes[0].reads) > 0 {
		t.Errorf("the leader tells somebody %+v", w.nodes[0].reads)
	}
}

// A read that waited for its turn while its tenant ended is told so.
func TestAReadOfALogThatIsForgotten(t *testing.T) {
	for gone := range slots {
		w := serving(t)
		for _, n := range w.nodes {
			n.group.RemoveSlot(gone)
			for slot := range slots {
				want := wire.NoError
				if slot == gone {
					want = wire.UnknownTenant
				}
				if got := n.read(slot, 1, wire.Linearizable, wire.Token{}, 0); got != want {
					t.Errorf("slot %d is forgotten, and node %d answers a read of slot %d with %v, want %v", gone, n.id, slot, got, want)
				}
			}
		}
	}
}

// Messages about a log that is forgotten change nothing, and the others go on.
func TestALogThatIsForgottenIsNotMissed(t *testing.T) {
	for gone := range slots {
		w := serving(t)
		w.held = func(m *message) bool { return true }
		for slot := range slots {
			w.nodes[0].mustWrite(slot, 1)
		}
		w.run()
		before := w.nodes[0].group.Changes()
		for _, n := range w.nodes {
			n.group.RemoveSlot(gone)
			if got := n.group.Numbers(); !slices.Equal(got, []int{1 - gone}) {
				t.Errorf("node %d has logs %v", n.id, got)
			}
		}
		if after := w.nodes[0].group.Changes(); after == before {
			t.Errorf("a log is gone, and %d changes were counted before and after", after)
		}
		w.held = nil
		w.settle()
		w.nodes[0].want(1)
		for _, n := range w.nodes {
			if n.logs[1-gone].State().Position != w.nodes[0].logs[1-gone].End() {
				t.Errorf("slot %d is forgotten, and the other log of node %d is not up to date:\n%v", gone, n.id, w)
			}
		}
		if !w.nodes[0].group.Settled() {
			t.Errorf("it does not settle without slot %d:\n%v", gone, w)
		}
	}
}

// bestApart returns a shard that node 2 is to lead after all nodes have restarted. Node 0 has the
// best log of slot 0, with request 1. Node 1 has the best log of slot 1, without it.
func bestApart(t *testing.T) *world {
	w := serving(t)
	w.held = func(m *message) bool { return m.to != 0 }
	for slot := range slots {
		w.nodes[0].mustWrite(slot, 1)
	}
	w.run()
	w.messages = nil
	w.nodes[0].deaf, w.nodes[2].deaf = true, true
	w.nodes[1].fails = func(op *env.Op) env.Errno { // it begins an epoch in the log of slot 1 only
		if slot, _ := replica.Owner(op.ID); slot == 0 && op.Kind == env.OpAppend {
			return env.IOError
		}
		return env.OK
	}
	w.elect(1)
	w.run()
	w.nodes[0].deaf, w.nodes[2].deaf, w.nodes[1].fails, w.held = false, false, nil, nil
	w.apart(2)
	return w
}

// A log is removed or added while the leader fetches the best logs. The leader still adopts the
// best ones of the other slots from the right nodes.
func TestLogsComeAndGoWhileTheBestAreFetched(t *testing.T) {
	for gone := range slots {
		w := bestApart(t)
		kept := 1 - gone
		w.held = of(peer.KindAppend, env.ID(kept)) // the node with the best log of the other slot
		w.settle()
		if got := w.nodes[2].group.Role(); got != group.Gathering {
			t.Fatalf("node 2 is %s before it has the best log of slot %d:\n%v", got, kept, w)
		}
		for _, n := range w.nodes {
			n.addSlot(slots)
			n.group.RemoveSlot(gone)
		}
		w.held = nil
		w.settle()
		w.wishes()
		for _, n := range w.nodes {
			n.has(kept, map[uint64]bool{1: kept == 0})
		}
		if n := w.nodes[2]; n.group.Role() != group.Leading || w.config().Reformed || !n.group.Settled() || n.logs[slots].Phase() != replica.Serving {
			t.Errorf("slot %d was forgotten and slot %d came, and it does not settle:\n%v", gone, slots, w)
		}
	}
}

// addSlot gives a node an empty log of another slot.
func (n *node) addSlot(slot int) {
	r := replica.New(replica.Config{
		Identity: wal.Identity{Tenant: owner, Slot: lineage.Slot(slot), Placement: 1, Shard: shard},
		Limits:   record.LimitsOf(1, tenant.Limits{Rate: 1_000_000}), Constants: n.constants, Index: uint32(slot),
	})
	n.logs = append(n.logs, r)
	n.group.AddSlot(slot, r)
	r.Open(n, n.now)
}

// A node that has not heard of the epoch from the control plane does not report its logs: it may
// lack a log that it has not heard of either.
func TestASurveyWaitsForTheControlPlane(t *testing.T) {
	w := serving(t)
	w.nodes[0].mustWrite(0, 1)
	w.settle()
	w.apart(0)
	n := w.nodes[1]
	n.deaf = true
	w.settle()
	if epoch, wants := n.group.Wants(); !wants || epoch != w.config().Epoch {
		t.Fatalf("node 1 wants epoch %d, %t, want %d by what others say", epoch, wants, w.config().Epoch)
	}
	n.adopt(w.config().Epoch) // durable, although only other nodes have named it
	w.held = of(peer.KindSurveyed, 1)
	w.settle()
	if told := w.waiting(w.held); len(told) > 0 || w.nodes[0].group.Role() != group.Gathering {
		t.Fatalf("node 1 was not told of the epoch, and tells %v\n%v", told, w)
	}
	n.deaf, w.held = false, nil
	w.settle()
	if got := w.nodes[0].group.Role(); got != group.Leading {
		t.Errorf("node 1 was told, and node 0 is %s:\n%v", got, w)
	}
}
