package group_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/wire"
)

// alone returns a shard with only node 0 in its set: node 2 left first, then node 1, which is
// eligible.
func alone(t *testing.T) *world {
	w := serving(t)
	w.without(2)
	w.without(1)
	w.settle()
	if s := w.config(); len(s.InSync) != 1 || !s.IsEligible(1) {
		t.Fatalf("in sync %v, eligible %v", s.InSync, s.Eligible)
	}
	return w
}

// loseDisk kills a node and takes its disk away; it starts again with nothing.
func (w *world) loseDisk(id env.ID) {
	w.kill(id)
	w.lose(with(id))
	n := w.nodes[id]
	n.files, n.epoch = map[string][]byte{}, 0
	n.start()
}

// A write waits for a second copy. The member that had it loses its disk and restarts
// before its join is known: counting members would acknowledge the write with one copy.
func TestAWriteThatWaitsForASecondCopyIsNotToldWithoutIt(t *testing.T) {
	w := serving(t)
	// Nodes 1 and 2 are cut off; the leader removes both.
	w.held = func(m *message) bool { return with(1)(m) || with(2)(m) }
	w.nodes[1].deaf, w.nodes[2].deaf = true, true
	w.tick(4 * 300 * env.Millisecond) // a leader that hears no member waits for three bounds
	w.wishes()
	l := w.nodes[0]
	l.mustWrite(0, 1)
	w.run()
	if got := l.acked(); len(got) != 0 || len(w.config().InSync) != 1 {
		t.Fatalf("acknowledged %v with one copy, in sync %v", got, w.config().InSync)
	}
	// Node 1 comes back, has everything, and is about to join.
	w.lose(func(*message) bool { return true })
	w.held, w.nodes[1].deaf = with(2), false
	var c control.Command
	for i := 0; i < 50 && c.Kind != control.Join; i++ {
		w.tick(20 * env.Millisecond)
		c, _ = l.group.Wish(l)
	}
	if c.Kind != control.Join {
		t.Fatalf("nobody is to join:\n%v", w)
	}
	if got := l.acked(); len(got) != 0 {
		t.Fatalf("acknowledged %v although min is %d and in sync are %v", got, w.config().Min, w.config().InSync)
	}
	// It loses its disk and restarts; the leader hears of its new life, and then of the join.
	w.loseDisk(1)
	held := w.held
	w.held = func(m *message) bool { return held(m) || m.to == 1 }
	m := peer.Outdated{ShardHeader: onShard(w.nodes[1].self().Incarnation, 1)}
	w.nodes[1].Send(0, env.Key{}, m.Encode(nil))
	w.run()
	w.do(c)
	w.run()
	if got := l.acked(); len(got) != 0 {
		t.Errorf("requests %v are acknowledged, and node 0 has the only copy; min is %d, in sync %v", got, w.config().Min, w.config().InSync)
	}
}

// One disk is lost, and another member was silent for a moment before: an acknowledged
// record that this other member has, durably, must not be gone for good because a dead
// leader's proposal has left only the dead leader in the set.
func TestADeadLeadersRemovalDoesNotLeaveTheDeadLeader(t *testing.T) {
	w := serving(t)
	// Node 2 is away, and is removed: in sync are 0 and 1.
	w.held = with(2)
	w.nodes[2].deaf = true
	w.tick(400 * env.Millisecond)
	w.wishes()
	l := w.nodes[0]
	l.mustWrite(0, 1)
	w.settle()
	if got := l.acked(); len(got) != 1 {
		t.Fatalf("acked %v, in sync %v", got, w.config().InSync)
	}
	// Node 1 is silent for a moment. The leader asks for its removal; that is on its way.
	w.held = func(m *message) bool { return with(2)(m) || m.from == 1 }
	w.tick(301 * env.Millisecond)
	c, ok := l.group.Wish(l)
	if !ok || c.Kind != control.Remove {
		t.Fatalf("wish %v %v", c, ok)
	}
	w.held = with(2)
	w.run()
	// Node 1 is back, and has everything. The leader's disk is lost, and only then its
	// proposal arrives.
	w.loseDisk(0)
	w.do(c)
	w.appearElsewhere(0)
	for range 60 {
		w.coordinate()
		for _, n := range w.nodes[:2] {
			n.propose()
		}
		w.tick(20 * env.Millisecond)
	}
	if w.config().Leader.Node != 1 || len(w.config().InSync) != 2 {
		t.Fatalf("node 1 does not lead a set of two:\n%v", w)
	}
	w.nodes[1].has(0, map[uint64]bool{1: true})
	w.nodes[0].has(0, map[uint64]bool{1: true})
}

// The eligible member leads when the only one in sync cannot. It adopts its whole log, and
// shows nothing before another member has joined.
func TestTheEligibleMemberLeads(t *testing.T) {
	w := alone(t)
	w.nodes[0].mustWrite(0, 1) // shipped, and never committed
	w.run()
	w.held, w.nodes[0].deaf = with(0), true
	w.elect(1)
	if s := w.config(); len(s.InSync) != 1 || s.Leader != w.nodes[1].self() || !s.IsEligible(0) || s.Reformed {
		t.Fatalf("%v", w)
	}
	w.tick(20 * env.Millisecond)
	n := w.nodes[1]
	if n.group.Role() != group.Leading || n.logs[0].Phase() != replica.Starting || n.group.Epoch() != 2 {
		t.Fatalf("%v", w)
	}
	if code := n.read(0, 10, wire.Linearizable, wire.Token{}, 0); code != wire.NotServing {
		t.Errorf("a read below min, in an epoch whose beginning is not committed: %v", code)
	}
	w.settle()
	w.wishes()
	if s := w.config(); len(s.InSync) != 2 || len(s.Eligible) > 0 || n.logs[0].Phase() != replica.Serving {
		t.Fatalf("node 2 does not join:\n%v", w)
	}
	n.has(0, map[uint64]bool{1: true})
	w.held, w.nodes[0].deaf = nil, false
	w.settle()
	w.wishes()
	w.nodes[0].has(0, map[uint64]bool{1: true})
}

// A leader that is alone in the set reads the meta log before it answers a read: the
// eligible member may lead a set of its own.
func TestBelowMinAReadIsConfirmedByTheMetaLog(t *testing.T) {
	w := alone(t)
	l := w.nodes[0]
	if code := l.read(0, 1, wire.Linearizable, wire.Token{}, 0); code != wire.NoError {
		t.Fatal(code)
	}
	if got := l.readOf(1); got != nil {
		t.Fatalf("it is answered without the meta log: %+v", got)
	}
	w.run()
	if got := l.readOf(1); got == nil || got.code != wire.NoError {
		t.Fatalf("a read while the leadership is in force: %+v", got)
	}
	// Node 1 is made the leader, and node 0 is not told.
	l.deaf, w.held = true, with(0)
	w.elect(1)
	w.run()
	l.read(0, 2, wire.Linearizable, wire.Token{}, 0)
	for range len(l.questions) {
		l.verify()
	}
	w.settle()
	if got := l.readOf(2); got != nil && got.code == wire.NoError {
		t.Errorf("node 0 answers a read while node 1 leads: %+v", got)
	}
}

// An eligible member with a failed log gives up its eligibility before any part of the log is
// removed.
func TestAnEligibleMemberWhoseLogFailsAsksForItsExclusion(t *testing.T) {
	w := alone(t)
	n := w.nodes[1]
	w.nodes[0].mustWrite(0, 1)
	n.fails = syncsFail(0)
	w.run()
	w.settle()
	if got := n.logs[0].Phase(); got != replica.Stopped {
		t.Fatalf("the log of an eligible member is %s, want that it waits\n%v", got, w)
	}
	n.fails = nil
	w.held = func(m *message) bool { return isAnew(m) }
	w.settle()
	if asks := w.waiting(w.held); len(asks) > 0 {
		t.Fatalf("an eligible member asks to begin its log anew: %v", asks)
	}
	w.held = nil
	c, ok := n.group.Wish(n)
	if !ok || c.Kind != control.Exclude || c.Member != n.self() {
		t.Fatalf("wish %v %v", &c, ok)
	}
	w.must(c)
	if len(w.config().Eligible) > 0 || len(w.config().Excluded) > 0 {
		t.Fatalf("%v", w)
	}
	w.settle()
	w.wishes()
	w.nodes[0].want(1)
	n.has(0, map[uint64]bool{1: true})
}

// Acknowledgements of a log from before it failed do not readmit it, although the leader learns of
// the exclusion together with its own leadership.
func TestALogThatFailedBeforeTheLeaderKnewIsNotReadmitted(t *testing.T) {
	w := serving(t)
	w.nodes[0].mustWrite(0, 1)
	w.settle()
	w.nodes[1].deaf = true
	w.elect(1)
	w.held = func(m *message) bool { return m.to == 1 }
	w.run() // node 2 has adopted the epoch, and reports its log to node 1
	w.nodes[2].adopt(2)
	const life = 1 << 16 // of the log: the first one on a founder
	w.must(control.Command{Kind: control.Exclude, Member: w.nodes[2].self(), Tenant: owner, Slot: 0, Base: life})
	w.nodes[1].deaf = false
	w.run()
	m := peer.Appended{LogHeader: onLog(w.nodes[2].self().Incarnation, 2), Life: life}
	w.held = func(m *message) bool { return m.from == 2 }
	w.nodes[2].stuck = true
	w.lose(of(peer.KindAppended, 2))
	w.settle() // the epoch's first record is committed without node 2
	m.At, m.Applied = w.nodes[1].logs[0].State().Position, w.nodes[1].logs[0].State().Position.Seq
	w.held = nil
	w.nodes[2].Send(1, env.Key{}, m.Encode(nil))
	w.run()
	if c, ok := w.nodes[1].group.Wish(w.nodes[1]); ok && c.Kind == control.Readmit && c.Slot == 0 {
		t.Errorf("node 2 is to be readmitted on the strength of a log that has failed: %v\n%v", &c, w)
	}
}

// An eligible member that can only go on from a snapshot gives the eligibility up before its
// log is replaced: a crash amid that would leave nothing.
func TestAnEligibleMemberIsNotReplacedByASnapshot(t *testing.T) {
	w := alone(t)
	n := w.offered(1)
	if got := n.logs[0].Phase(); got != replica.Following || n.logs[0].Busy() {
		t.Fatalf("the log of an eligible member is %s, busy %v", got, n.logs[0].Busy())
	}
	c, ok := n.group.Wish(n)
	if !ok || c.Kind != control.Exclude || c.Member != n.self() {
		t.Fatalf("wish %v %v", &c, ok)
	}
	w.must(c)
	w.held = nil
	w.settle()
	w.wishes()
	n.has(0, map[uint64]bool{1: true})
}

// offered lets a node lack a record, ask for it, and get a snapshot instead. The disk
// operations that follow are under way when it returns.
func (w *world) offered(i int) *node {
	w.held = of(peer.KindPull, env.ID(i))
	w.nodes[0].mustWrite(0, 1)
	w.run()
	w.lose(of(peer.KindPull, env.ID(i)))
	behind := peer.Append{LogHeader: onLog(1, 1), At: w.nodes[0].logs[0].End()}
	behind.At.Seq += 10
	w.nodes[0].Send(env.ID(i), env.Key{}, behind.Encode(nil))
	w.run() // the node requests the missing records
	at, from, size, part := w.nodes[0].logs[0].Chunk(w.nodes[0], 0, 0)
	chunk := peer.Chunk{LogHeader: onLog(1, 1), At: at, Offset: from, Size: uint64(size), Data: part}
	w.nodes[0].Send(env.ID(i), env.Key{}, chunk.Encode(nil))
	w.nodes[i].stuck = true
	w.run()
	w.nodes[i].stuck = false
	return w.nodes[i]
}

// A member in sync does not replace its log either: a crash amid that would leave a counted
// place without a log. It waits until it has heard that it was removed.
func TestAMemberInSyncIsNotReplacedByASnapshot(t *testing.T) {
	w := serving(t)
	n := w.offered(1)
	if got := n.logs[0].Phase(); got != replica.Following || n.logs[0].Busy() {
		t.Fatalf("the log of a member in sync is %s, busy %v", got, n.logs[0].Busy())
	}
	if c, ok := n.group.Wish(n); ok {
		t.Fatalf("wish %v, want none", &c)
	}
	w.held = nil
	w.settle()
	n.has(0, map[uint64]bool{1: true})
}

// A member that is about to join must have a record, and does not count towards min: the
// record is committed when the leader knows of the join.
func TestAPendingMemberDoesNotCountTowardsMin(t *testing.T) {
	w := alone(t)
	l := w.nodes[0]
	c := w.joins(0, 1)
	before := l.logs[0].State().Position
	l.mustWrite(0, 1)
	w.run()
	w.settle()
	if got := l.logs[0].State().Position; got != before || l.logs[0].End() == before {
		t.Fatalf("committed up to %v with a pending member, want %v\n%v", got, before, w)
	}
	l.deaf = true
	w.must(c)
	w.settle()
	if got := l.logs[0].State().Position; got != before {
		t.Fatalf("committed up to %v before the leader knows of the join, want %v", got, before)
	}
	l.deaf = false
	w.run()
	l.want(1)
}

// A node that has restarted holds its place in the set until the leader has removed its earlier
// incarnation. If that brings the set below min, the node becomes eligible with the log that it
// has. So it must not begin a failed log again before.
func TestARestartedMembersLogIsNotBegunAnewWhileItHoldsItsPlace(t *testing.T) {
	w := serving(t)
	w.without(1)
	w.nodes[0].mustWrite(0, 1)
	w.settle()
	w.nodes[0].want(1)
	n := w.nodes[2]
	before := n.incarnation
	n.fails = syncsFail(0)
	w.restart(2)
	w.run()
	n.fails = nil
	w.settle()
	if got := n.logs[0].Phase(); got != replica.Stopped {
		t.Fatalf("the log of a node that holds a place is %s, want that it waits\n%v", got, w)
	}
	w.must(control.Command{Kind: control.Remove, Member: control.Member{Node: 2, Incarnation: before}, By: w.nodes[0].self()})
	w.settle()
	if got := n.logs[0].Phase(); got != replica.Stopped || !w.config().IsEligible(2) {
		t.Fatalf("eligible %v, and the log is %s\n%v", w.config().Eligible, got, w)
	}
	w.wishes()
	w.settle()
	for _, n := range w.nodes {
		n.has(0, map[uint64]bool{1: true})
	}
	if len(w.config().InSync) != 3 {
		t.Errorf("%v", w)
	}
}
