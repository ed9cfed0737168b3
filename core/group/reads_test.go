package group_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/wire"
)

// mustRead asks a node for a read that it takes.
func (n *node) mustRead(request uint64, level wire.Level, token wire.Token, bound env.Duration) {
	n.Helper()
	if code := n.read(0, request, level, token, bound); code != wire.NoError {
		n.Fatalf("read %d of node %d: %v\n%v", request, n.id, code, n.world)
	}
}

// wantRead checks the answer of a read: the state at seq, or a code.
func (n *node) wantRead(request uint64, code wire.Code, seq lineage.Seq) {
	n.Helper()
	got := n.readOf(request)
	if got == nil || got.code != code || code == wire.NoError && got.seq != seq {
		n.Fatalf("read %d of node %d is told %+v, want %v, at record %d\n%v", request, n.id, got, code, seq, n.world)
	}
}

// wantWaiting checks that a read is told nothing yet.
func (n *node) wantWaiting(request uint64) {
	n.Helper()
	if got := n.readOf(request); got != nil {
		n.Fatalf("read %d of node %d is told %+v, want that it waits\n%v", request, n.id, got, n.world)
	}
}

// A linearizable read is answered when every member has confirmed a round that began
// after the read came: one that was under way does not count.
func TestAReadWaitsForARoundThatBeganAfterIt(t *testing.T) {
	w := serving(t)
	leader := w.nodes[0]
	w.held = func(m *message) bool { return m.Kind() == peer.KindConfirmed }
	leader.mustRead(1, wire.Linearizable, wire.Token{}, 0)
	w.run()
	leader.mustRead(2, wire.Linearizable, wire.Token{}, 0)
	w.run()
	first := w.waiting(func(m *message) bool { return m.Kind() == peer.KindConfirmed })
	if len(first) != 2 || as[peer.Confirmed](first[0]).Round != as[peer.Confirmed](first[1]).Round {
		t.Fatalf("confirmations on their way: %v", first)
	}
	w.messages = nil
	w.hand(&first[0])
	leader.wantWaiting(1)
	w.hand(&first[0]) // a copy
	leader.wantWaiting(1)
	w.hand(&first[1])
	leader.wantRead(1, wire.NoError, leader.logs[0].End().Seq)
	leader.wantWaiting(2)
	w.hand(&first[0]) // late copies of the first round
	w.hand(&first[1])
	w.run()
	leader.wantWaiting(2)
	w.held = nil
	w.run()
	leader.wantRead(2, wire.NoError, leader.logs[0].End().Seq)
}

// A replica that is about to join confirms too; a removed one does not.
func TestWhoConfirms(t *testing.T) {
	w := serving(t)
	w.without(2)
	w.settle()
	leader := w.nodes[0]
	w.held = of(peer.KindConfirmed, 2)
	leader.mustRead(1, wire.Linearizable, wire.Token{}, 0)
	w.run()
	leader.wantRead(1, wire.NoError, leader.logs[0].End().Seq)
	w.joins(0, 2)
	leader.mustRead(2, wire.Linearizable, wire.Token{}, 0)
	w.run()
	leader.wantWaiting(2)
	w.held = nil
	w.settle()
	leader.wantRead(2, wire.NoError, leader.logs[0].End().Seq)
}

// A leader that was deposed without knowing it answers no read: the members that would
// have to confirm follow another one.
func TestADeposedLeaderAnswersNoRead(t *testing.T) {
	w := serving(t)
	w.nodes[0].deaf = true
	w.elect(1)
	w.held = to(0)
	w.settle()
	w.nodes[0].mustRead(1, wire.Linearizable, wire.Token{}, 0)
	w.held = nil
	w.run()
	w.nodes[0].wantRead(1, wire.Moved, 0)
	if code := w.nodes[0].read(0, 2, wire.Linearizable, wire.Token{}, 0); code != wire.NotServing {
		t.Errorf("the next read is told %v", code)
	}
}

// Another replica asks the leader for its index, and waits until it has applied the log
// up to there.
func TestAFollowerWaitsForTheIndex(t *testing.T) {
	w := serving(t)
	follower := w.nodes[1]
	w.held = func(m *message) bool { return m.Kind() == peer.KindAppend && m.to == 1 && !ships(m) }
	w.nodes[0].mustWrite(0, 1)
	w.run() // node 1 has the record, and does not know that it is committed
	at := w.nodes[0].logs[0].State().Position.Seq
	if got := follower.logs[0].State().Position.Seq; got >= at {
		t.Fatalf("node 1 has applied the log up to %d, the leader has up to %d", got, at)
	}
	follower.mustRead(1, wire.Linearizable, wire.Token{}, 0)
	w.run()
	follower.wantWaiting(1)
	w.held = nil
	w.settle()
	follower.wantRead(1, wire.NoError, at)
}

// The index is told after a round that began after it was asked for.
func TestTheIndexIsConfirmed(t *testing.T) {
	w := serving(t)
	w.held = of(peer.KindConfirmed, 2)
	w.nodes[1].mustRead(1, wire.Linearizable, wire.Token{}, 0)
	w.run()
	w.nodes[1].wantWaiting(1)
	if got := w.waiting(of(peer.KindIndex, 0)); len(got) > 0 {
		t.Fatalf("the index is told without a confirmation: %v", got)
	}
	w.held = nil
	w.run()
	w.nodes[1].wantRead(1, wire.NoError, w.nodes[0].logs[0].End().Seq)
}

// A read that waits too long is refused: the client may ask another replica.
func TestAReadDoesNotWaitForEver(t *testing.T) {
	w := serving(t)
	w.held = func(m *message) bool { return m.Kind() == peer.KindConfirmed || m.Kind() == peer.KindIndex }
	for _, n := range w.nodes[:2] {
		n.mustRead(1, wire.Linearizable, wire.Token{}, 0)
		w.tick(2*group.DefaultPatience.Silence + 1)
		n.wantRead(1, wire.NotYet, 0)
	}
}

// A session read waits until the records that its session has seen are applied here.
func TestASessionReadWaitsForItsToken(t *testing.T) {
	w := serving(t)
	w.held = to(1)
	w.nodes[0].mustWrite(0, 1)
	w.run()
	w.held = nil
	before := w.nodes[1].logs[0].State().Position.Seq
	at := w.nodes[0].logs[0].End().Seq
	token := wire.Token{Epoch: 1, Seq: at}
	n := w.nodes[1]
	n.mustRead(1, wire.Session, wire.Token{Epoch: 1, Seq: before}, 0)
	n.wantRead(1, wire.NoError, before)
	n.mustRead(2, wire.Session, token, 0)
	n.wantWaiting(2)
	w.settle()
	n.wantRead(2, wire.NoError, at)
	n.mustRead(3, wire.Session, wire.Token{}, 0)
	n.wantRead(3, wire.NoError, at)
}

// A session that has seen a record that is not in the log is told that its token is lost, at once
// or when the log gets there.
func TestASessionIsToldThatItsTokenIsLost(t *testing.T) {
	w := serving(t)
	w.elect(1)
	w.settle()
	n := w.nodes[2]
	at := n.logs[0].State().Position.Seq
	if code := n.read(0, 1, wire.Session, wire.Token{Epoch: 7, Seq: at}, 0); code != wire.TokenLost {
		t.Errorf("a session that has seen record %d of epoch 7: %v", at, code)
	}
	n.mustRead(2, wire.Session, wire.Token{Epoch: 7, Seq: at + 1}, 0)
	w.nodes[1].mustWrite(0, 1)
	w.settle()
	n.wantRead(2, wire.TokenLost, 0)
}

// A follower answers a bounded read itself if it has applied every record that was committed within
// the bound; otherwise it treats the read as linearizable.
func TestABoundedReadIsAnsweredFromHereWhileFresh(t *testing.T) {
	const bound = 100 * env.Millisecond
	w := serving(t)
	n := w.nodes[1]
	n.mustRead(1, wire.Bounded, wire.Token{}, bound)
	n.wantWaiting(1) // nothing is known yet
	w.run()
	at := n.logs[0].End().Seq
	n.wantRead(1, wire.NoError, at)
	w.held = with(1)
	w.now = w.now.Add(bound)
	n.mustRead(2, wire.Bounded, wire.Token{}, bound)
	n.wantRead(2, wire.NoError, at)
	w.now = w.now.Add(1)
	n.mustRead(3, wire.Bounded, wire.Token{}, bound)
	n.wantWaiting(3)
	w.held = nil
	w.run()
	n.wantRead(3, wire.NoError, at)
}

// A replica that waits for the index of one leader and then leads itself does not answer before it
// knows its commit index.
func TestWhoBeginsToLeadDoesNotAnswerWhatWaited(t *testing.T) {
	w := serving(t)
	w.held = to(0)
	w.nodes[1].mustRead(1, wire.Linearizable, wire.Token{}, 0)
	w.run()
	w.nodes[2].stuck = true // so that the new epoch's first record is not committed
	w.elect(1)
	w.settle()
	if w.nodes[1].group.Role() != group.Leading {
		t.Fatalf("%v", w)
	}
	if got := w.nodes[1].readOf(1); got == nil || got.code == wire.NoError {
		t.Errorf("read 1 is told %+v by who does not know yet what is committed", got)
	}
	if code := w.nodes[1].read(0, 2, wire.Linearizable, wire.Token{}, 0); code != wire.NotServing {
		t.Errorf("a read is told %v before the epoch's first record is committed", code)
	}
}

// A log that has stopped answers no read that waited.
func TestALogThatStopsAnswersNoRead(t *testing.T) {
	w := serving(t)
	w.held = of(peer.KindConfirmed, 2)
	w.nodes[0].mustRead(1, wire.Linearizable, wire.Token{}, 0)
	w.run()
	w.fail(0, 0)
	w.held = nil
	w.settle()
	w.nodes[0].wantRead(1, wire.NotServing, 0)
}

// A member that is excluded from a log still confirms reads: it may follow another
// leader by now.
func TestWhoIsExcludedConfirms(t *testing.T) {
	w := serving(t)
	w.must(control.Command{Kind: control.Exclude, Member: w.nodes[2].self(), Tenant: owner, Slot: 0})
	w.run()
	w.held = of(peer.KindConfirmed, 2)
	w.nodes[0].mustRead(1, wire.Linearizable, wire.Token{}, 0)
	w.run()
	w.nodes[0].wantWaiting(1)
	w.held = nil
	w.run()
	w.nodes[0].wantRead(1, wire.NoError, w.nodes[0].logs[0].End().Seq)
}
