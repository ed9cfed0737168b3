package group_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/wire"
)

// apart lets every process restart, each log as it is then, and reforms the shard with
// a node as its leader.
func (w *world) apart(leader env.ID) {
	w.Helper()
	for id := range env.ID(3) {
		w.restart(id)
	}
	w.messages = nil
	w.must(control.Command{Kind: control.Reform, Member: w.nodes[leader].self()})
}

// has checks which requests are in the log of a slot of a node.
func (n *node) has(slot int, want map[uint64]bool) {
	n.Helper()
	for request, want := range want {
		if got := n.logs[slot].State().Entity(entityOf(request)).LastSeq != 0; got != want {
			n.Errorf("request %d is in the log of slot %d of node %d: %t, want %t", request, slot, n.id, got, want)
		}
	}
}

// When all have restarted, the leader adopts the best log of each slot, whosever it is:
// the longest one of the highest epoch.
func TestTheBestLogOfEachSlotIsAdopted(t *testing.T) {
	for leader := range env.ID(3) {
		w := serving(t)
		// Node 1 has request 1 of each slot, and node 0 two more.
		w.held = to(2)
		w.nodes[0].mustWrite(0, 1)
		w.nodes[0].mustWrite(1, 1)
		w.run()
		w.held = func(m *message) bool { return m.to != 0 }
		w.nodes[0].mustWrite(0, 2, 3)
		w.nodes[0].mustWrite(1, 2, 3)
		w.run()
		w.messages = nil
		// Node 2 begins an epoch, but only in the log of slot 1.
		w.nodes[0].deaf, w.nodes[1].deaf = true, true
		w.nodes[2].fails = func(op *env.Op) env.Errno {
			if slot, _ := replica.Owner(op.ID); slot == 0 && op.Kind == env.OpAppend {
				return env.IOError
			}
			return env.OK
		}
		w.elect(2)
		w.run()
		if w.nodes[2].group.Role() != group.Leading {
			t.Fatalf("%v", w)
		}
		w.nodes[0].deaf, w.nodes[1].deaf, w.nodes[2].fails, w.held = false, false, nil, nil
		w.apart(leader)
		w.settle()
		w.wishes()
		for _, n := range w.nodes {
			n.has(0, map[uint64]bool{1: true, 2: true, 3: true})
			n.has(1, map[uint64]bool{1: false, 2: false, 3: false})
		}
		if !w.nodes[leader].group.Settled() || w.config().Reformed {
			t.Errorf("led by node %d it does not settle:\n%v", leader, w)
		}
	}
}

// A log of the leader's that is damaged is worth less than any that is whole.
func TestADamagedLogIsNotAdopted(t *testing.T) {
	for damaged := range env.ID(3) {
		w := serving(t)
		w.nodes[0].mustWrite(0, 1)
		w.settle()
		for path, data := range w.nodes[damaged].files {
			if strings.Contains(path, "/0-1/") && strings.HasSuffix(path, ".seg") {
				data[100] ^= 1 // records that were synced later confirm it
			}
		}
		w.apart(0)
		w.run()
		if got := w.nodes[damaged].logs[0].Phase(); damaged != 0 && got != replica.Stopped {
			t.Fatalf("the damaged log is %s", got)
		}
		w.settle()
		w.wishes()
		for _, n := range w.nodes {
			n.has(0, map[uint64]bool{1: true})
		}
		if !w.nodes[0].group.Settled() {
			t.Errorf("with a damaged log on node %d it does not settle:\n%v", damaged, w)
		}
	}
}

// The leader does not adopt the log of a member that is excluded from its slot, because it lacks
// acknowledged records. The leader's own log stays, although it cannot be opened now.
func TestAnExcludedLogIsNotAdopted(t *testing.T) {
	w := serving(t)
	w.without(1)
	w.settle()
	w.nodes[0].mustWrite(0, 1)
	w.run()
	w.nodes[0].want(1)
	w.fail(2, 0)
	c, _ := w.nodes[2].group.Wish(w.nodes[2])
	w.must(c)
	w.held = of(peer.KindPull, 2)
	w.settle()
	if got := w.nodes[2].logs[0]; got.Phase() != replica.Following || got.End().Seq > 0 {
		t.Fatalf("the log has not begun anew:\n%v", w)
	}
	w.restart(0)
	w.must(control.Command{Kind: control.Reform, Member: w.nodes[0].self()})
	w.nodes[0].fails = syncsFail(0)
	w.settle()
	if got := w.nodes[0].logs[0].Phase(); got != replica.Stopped {
		t.Errorf("the only log that has what was acknowledged is %s:\n%v", got, w)
	}
	w.nodes[0].fails, w.held = nil, nil
	w.restart(0)
	w.must(control.Command{Kind: control.Reform, Member: w.nodes[0].self()})
	w.settle()
	w.wishes()
	for _, n := range w.nodes {
		n.has(0, map[uint64]bool{1: true})
	}
}

// A leader with a stopped log lets no replica begin that log again: their logs may be the only ones
// left.
func TestALeaderWithoutALogLetsNobodyBeginItAnew(t *testing.T) {
	w := serving(t)
	w.without(1)
	w.settle()
	w.nodes[0].mustWrite(0, 1)
	w.run()
	w.nodes[0].want(1)
	w.fail(0, 0)
	c, _ := w.nodes[0].group.Wish(w.nodes[0])
	w.must(c)
	w.run()
	w.nodes[2].fails = syncsFail(0)
	w.restart(2)
	w.run()
	w.nodes[2].fails = nil
	w.settle()
	if got := w.nodes[2].logs[0].Phase(); got != replica.Stopped {
		t.Errorf("the only log that has what was acknowledged is %s:\n%v", got, w)
	}
	w.restart(2)
	w.must(control.Command{Kind: control.Reform, Member: w.nodes[2].self()})
	w.settle()
	w.wishes()
	for _, n := range w.nodes {
		n.has(0, map[uint64]bool{1: true})
	}
}

// Once a reformed set has committed, a log that fails then is counted on: it is excluded
// first, as everywhere.
func TestALogThatFailsAfterTheSetHasCommittedIsKept(t *testing.T) {
	w := serving(t)
	w.apart(0)
	w.settle()
	if !w.config().Reformed || w.nodes[0].logs[0].Phase() != replica.Serving {
		t.Fatalf("%v", w)
	}
	w.fail(2, 0)
	w.settle()
	if got := w.nodes[2].logs[0].Phase(); got != replica.Stopped {
		t.Errorf("a log of which the leader has counted records is %s", got)
	}
	w.wishes()
	if !w.nodes[0].group.Settled() {
		t.Errorf("it does not settle:\n%v", w)
	}
}

// The longest log of one epoch wins; no leader of a higher one is about.
func TestTheLongestLogIsAdopted(t *testing.T) {
	for leader := range env.ID(3) {
		w := serving(t)
		w.held = func(m *message) bool { return m.to != 0 }
		w.nodes[0].mustWrite(0, 1, 2)
		w.run()
		longest := w.nodes[0].logs[0].End()
		w.held = nil
		w.apart(leader)
		w.settle()
		w.wishes()
		for _, n := range w.nodes {
			if n.logs[0].State().Entity(entityOf(2)).LastSeq != uint64(longest.Seq) {
				t.Errorf("led by node %d, node %d has not adopted the longest log, which ended at %v\n%v", leader, n.id, longest, w)
			}
		}
	}
}

// No node leads until every member of the set has reported its logs.
func TestNobodyLeadsBeforeAllHaveBeenAsked(t *testing.T) {
	for missing := env.ID(1); missing < 3; missing++ {
		w := serving(t)
		w.apart(0)
		w.held = func(m *message) bool { return m.Kind() == peer.KindSurveyed && m.from == missing }
		w.settle()
		if got := w.nodes[0].group.Role(); got != group.Gathering {
			t.Fatalf("without the logs of node %d, node 0 is %s", missing, got)
		}
		if code := w.nodes[0].write(0, 1); code != wire.Moved {
			t.Errorf("a change is told %v", code)
		}
		if c, ok := w.nodes[0].group.Wish(w.nodes[0]); ok {
			t.Errorf("who gathers wishes %v", &c)
		}
		// A report of an earlier incarnation does not count.
		m := as[peer.Surveyed](w.waiting(w.held)[0])
		m.From--
		m.Logs = slices.Clone(m.Logs)
		m.Logs[0].End.Seq += 100 // it had a longer log
		w.hand(&message{from: missing, to: 0, bytes: m.Encode(nil)})
		if got := w.nodes[0].group.Role(); got != group.Gathering {
			t.Fatalf("with what the life of node %d before told, node 0 is %s", missing, got)
		}
		w.held = nil
		w.settle()
		if got := w.nodes[0].group.Role(); got != group.Leading {
			t.Errorf("with all logs node 0 is %s", got)
		}
	}
}

// syncsFail makes every sync of a log fail.
func syncsFail(slot int) func(*env.Op) env.Errno {
	return func(op *env.Op) env.Errno {
		if owner, _ := replica.Owner(op.ID); op.Kind == env.OpSync && int(owner) == slot {
			return env.IOError
		}
		return env.OK
	}
}

// fail lets a log of a node fail: a sync of it does, with request 7.
func (w *world) fail(id env.ID, slot int) {
	w.Helper()
	n := w.nodes[id]
	n.fails = syncsFail(slot)
	w.nodes[0].mustWrite(slot, 7)
	w.run()
	n.fails = nil
	if got := n.logs[slot].Phase(); got != replica.Stopped {
		w.Fatalf("a log whose sync failed is %s", got)
	}
}

// A member with a failed log is excluded from that slot, fetches the log again, and is readmitted.
// Meanwhile commits of the slot do not wait for it; those of the other slot do.
func TestAFailedLogIsExcludedFetchedAndReadmitted(t *testing.T) {
	w := serving(t)
	w.fail(2, 0)
	w.settle()
	w.nodes[0].want()
	c, ok := w.nodes[2].group.Wish(w.nodes[2])
	if !ok || c.Kind != control.Exclude || c.Member != w.nodes[2].self() || c.Tenant != owner || c.Slot != 0 {
		t.Fatalf("who has a failed log wishes %v, %t", &c, ok)
	}
	if w.nodes[2].logs[0].Phase() != replica.Stopped {
		t.Fatalf("a log that others count on is %s", w.nodes[2].logs[0].Phase())
	}
	w.must(c)
	w.held = func(m *message) bool { return m.isOf(0) && m.from == 2 } // its log is not fetched yet
	w.run()
	if got := len(w.nodes[0].acked()); got != 1 {
		t.Fatalf("the slot does without node 2, but %d changes are acknowledged\n%v", got, w)
	}
	w.nodes[2].stuck = true
	w.nodes[0].mustWrite(1, 1)
	w.run()
	if got := len(w.nodes[0].acked()); got != 1 {
		t.Fatalf("the other slot does without node 2 too: %v", w.nodes[0].acked())
	}
	w.nodes[2].stuck, w.held = false, nil
	w.settle()
	w.wishes()
	if len(w.config().Excluded) > 0 || w.nodes[2].logs[0].End() != w.nodes[0].logs[0].End() || !w.nodes[0].group.Settled() {
		t.Errorf("node 2 is not readmitted:\n%v", w)
	}
}

// A failed log may be the only one left. While other nodes count on it, its member neither asks to
// begin it again nor does so, even if a message from another time permits it.
func TestAFailedLogIsKeptWhileItIsCounted(t *testing.T) {
	w := serving(t)
	w.fail(2, 0)
	n := w.nodes[2]
	w.held = func(m *message) bool { return m.Kind() == peer.KindAppended && m.from == 2 }
	w.settle()
	if asks := w.waiting(func(m *message) bool { return isAnew(m) }); len(asks) > 0 {
		t.Errorf("a member that is counted wants to begin anew: %v", asks)
	}
	end := n.logs[0].End()
	allow := peer.Append{
		LogHeader: onLog(w.nodes[0].incarnation, 1), At: w.nodes[0].logs[0].End(), Life: peer.Life(w.config().Since[2]<<16 + 1), // its second life there
	}
	w.hand(&message{from: 0, to: 2, bytes: allow.Encode(nil)})
	w.run()
	if n.logs[0].Phase() != replica.Stopped || n.logs[0].End() != end {
		t.Errorf("the log of a member that is counted begins anew:\n%v", w)
	}
	c, _ := n.group.Wish(n)
	w.must(c)
	w.run()
	w.hand(&message{from: 0, to: 2, bytes: allow.Encode(nil)})
	w.run()
	if n.logs[0].Phase() != replica.Following {
		t.Errorf("the log of a member that is excluded does not begin anew:\n%v", w)
	}
}

// A member counts again for a slot from before its leader asks to readmit it.
func TestWhoIsAboutToBeReadmittedCounts(t *testing.T) {
	w := serving(t)
	w.fail(2, 0)
	c, _ := w.nodes[2].group.Wish(w.nodes[2])
	w.must(c)
	w.settle()
	c, ok := w.nodes[0].group.Wish(w.nodes[0])
	if !ok || c.Kind != control.Readmit || c.Member != w.nodes[2].self() || c.Slot != 0 {
		t.Fatalf("the leader wishes %v, %t\n%v", &c, ok, w)
	}
	log := w.nodes[0].logs[0]
	before := log.State().Position
	w.held = func(m *message) bool { return m.Kind() == peer.KindAppended && m.from == 2 }
	w.nodes[0].mustWrite(0, 1)
	w.run()
	if got := log.State().Position; got != before {
		t.Fatalf("committed up to %v without who is about to be readmitted, want %v", got, before)
	}
	w.nodes[0].refuse(c)
	w.settle()
	if got := log.State().Position; got != log.End() {
		t.Errorf("the readmission is refused; committed up to %v, want %v", got, log.End())
	}
}

// Acknowledgements of a log from before it failed do not readmit its member, however late they
// arrive.
func TestWhatAFailedLogAcknowledgedDoesNotCount(t *testing.T) {
	w := serving(t)
	w.held = func(m *message) bool { return m.Kind() == peer.KindAppended && m.from == 2 && m.isOf(0) }
	w.nodes[0].mustWrite(0, 1)
	w.run()
	late := w.waiting(w.held)
	if len(late) == 0 {
		t.Fatal("node 2 acknowledges nothing")
	}
	w.messages = nil
	w.held = nil
	w.settle()
	w.nodes[1].stuck = true // so that no more is committed than node 2 had acknowledged
	w.fail(2, 0)
	c, _ := w.nodes[2].group.Wish(w.nodes[2])
	w.must(c)
	noReadmission := func(when string) {
		t.Helper()
		w.hand(&late[0])
		w.tick(20 * env.Millisecond)
		if c, ok := w.nodes[0].group.Wish(w.nodes[0]); ok && c.Kind == control.Readmit {
			t.Fatalf("%s the leader wishes %v\n%v", when, &c, w)
		}
	}
	w.held = func(m *message) bool { return m.from == 2 && m.isOf(0) }
	w.settle()
	if got := w.nodes[0].logs[0].State().Position.Seq; got > as[peer.Appended](late[0]).At.Seq {
		t.Fatalf("committed up to %d, node 2 had acknowledged %d", got, as[peer.Appended](late[0]).At.Seq)
	}
	noReadmission("when the log has failed")
	w.held = of(peer.KindPull, 2)
	w.settle()
	if got := w.nodes[2].logs[0]; got.Phase() != replica.Following || got.End().Seq > 0 {
		t.Fatalf("the log has not begun anew:\n%v", w)
	}
	noReadmission("when the log has begun anew")
}

// A set that was reformed is settled when every member has all that was adopted: until
// then one that lacks some of it must not be promoted.
func TestAReformedSetIsSettledWhenAllHaveEverything(t *testing.T) {
	w := serving(t)
	w.apart(0)
	w.held = func(m *message) bool { return m.Kind() == peer.KindAppended && m.from == 2 && m.isOf(1) }
	w.settle()
	if c, ok := w.nodes[0].group.Wish(w.nodes[0]); w.nodes[0].group.Role() != group.Leading || ok {
		t.Fatalf("node 2 may lack records of slot 1, and the leader wishes %v, %t\n%v", &c, ok, w)
	}
	w.held = nil
	w.settle()
	if c, ok := w.nodes[0].group.Wish(w.nodes[0]); !ok || c.Kind != control.Settle || c.By != w.nodes[0].self() {
		t.Errorf("all have everything, and the leader wishes %v, %t\n%v", &c, ok, w)
	}
}

// A log that was found damaged is not adopted, however long it says it is.
func TestALogThatIsNotWholeIsNotAdopted(t *testing.T) {
	w := serving(t)
	w.apart(0)
	w.held = func(m *message) bool { return m.Kind() == peer.KindSurveyed && m.from == 1 }
	w.settle()
	m := as[peer.Surveyed](w.waiting(w.held)[0])
	m.Logs = slices.Clone(m.Logs)
	m.Logs[0].Whole, m.Logs[0].End.Seq = false, 100
	w.hand(&message{from: 1, to: 0, bytes: m.Encode(nil)})
	w.run()
	if got := w.nodes[0].group.Role(); got != group.Leading {
		t.Errorf("a damaged log of 100 records keeps node 0 %s", got)
	}
}

// While a leader's own log of a slot has stopped, it cannot tell which replica has the committed
// records, so no member joins.
func TestNobodyJoinsWhileALogOfTheLeaderHasStopped(t *testing.T) {
	w := serving(t)
	w.without(2)
	w.settle()
	w.fail(0, 0)
	c, ok := w.nodes[0].group.Wish(w.nodes[0])
	if !ok || c.Kind != control.Exclude {
		t.Fatalf("the leader wishes %v, %t", &c, ok)
	}
	w.must(c)
	w.settle()
	if c, ok := w.nodes[0].group.Wish(w.nodes[0]); ok && c.Kind == control.Join {
		t.Errorf("the leader wishes %v, and knows nothing of slot 0\n%v", &c, w)
	}
}

// A log that begins again is behind its earlier state. It must not answer reads as if the earlier
// records were applied.
func TestABoundedReadOfALogThatBeganAnewWaits(t *testing.T) {
	const bound = 10 * env.Second
	w := serving(t)
	n := w.nodes[2]
	n.mustRead(1, wire.Bounded, wire.Token{}, bound)
	w.run()
	at := n.logs[0].End().Seq
	n.wantRead(1, wire.NoError, at)
	w.fail(2, 0)
	c, _ := n.group.Wish(n)
	w.must(c)
	w.held = func(m *message) bool {
		return ships(m) && m.to == 2 || m.Kind() == peer.KindAskIndex
	}
	w.settle()
	if got := n.logs[0]; got.Phase() != replica.Following || got.End().Seq != 0 {
		t.Fatalf("the log has not begun anew:\n%v", w)
	}
	n.mustRead(2, wire.Bounded, wire.Token{}, bound)
	n.wantWaiting(2)
	w.held = nil
	w.settle()
	n.wantRead(2, wire.NoError, n.logs[0].State().Position.Seq)
	if n.logs[0].State().Position.Seq < at {
		t.Errorf("the log is applied up to %d, was up to %d", n.logs[0].State().Position.Seq, at)
	}
}

// lagging is a shard led by a node, with another one that is no member and lacks the
// records of slot 0 that the others have folded.
func lagging(t *testing.T, leader, behind env.ID) *world {
	w := serving(t)
	if leader != 0 {
		w.elect(leader)
		w.settle()
	}
	w.without(behind)
	w.held = to(behind)
	w.nodes[leader].mustWrite(0, 1, 2, 3)
	w.settle()
	w.nodes[leader].want(1, 2, 3)
	w.messages = nil
	return w
}

// failReads lets a node read nothing.
func (n *node) failReads() {
	n.fails = func(op *env.Op) env.Errno {
		if op.Kind == env.OpRead {
			return env.IOError
		}
		return env.OK
	}
}

// A slow replica gets records from the segments, or a snapshot if the segments cannot be read,
// whatever its address.
func TestWhoLagsIsServedFromTheDiskOrASnapshot(t *testing.T) {
	for leader := range env.ID(3) {
		for behind := range env.ID(3) {
			for _, readable := range []bool{true, false} {
				if behind == leader {
					continue
				}
				w := lagging(t, leader, behind)
				if !readable {
					w.nodes[leader].failReads()
				}
				chunks := 0
				w.held = func(m *message) bool {
					if m.Kind() == peer.KindChunk {
						chunks++
					}
					return false
				}
				w.settle()
				w.wishes()
				if w.nodes[behind].logs[0].State().Position != w.nodes[leader].logs[0].State().Position || !w.nodes[leader].group.Settled() {
					t.Errorf("node %d, led by node %d whose segments can be read (%t), lacks records:\n%v", behind, leader, readable, w)
				}
				if readable == (chunks > 0) {
					t.Errorf("node %d, led by node %d whose segments can be read (%t), got %d parts of snapshots", behind, leader, readable, chunks)
				}
			}
		}
	}
}

// A deposed leader does not send records that it has read for another node: in the next epoch only
// the next leader ships records.
func TestWhoIsDeposedDoesNotServeOn(t *testing.T) {
	for _, readable := range []bool{true, false} {
		w := lagging(t, 0, 2)
		w.held = nil
		if !readable {
			w.nodes[0].failReads()
		}
		w.nodes[0].stuck = true
		w.settle() // node 2 asks, and node 0 begins to look
		w.elect(1)
		w.held = func(m *message) bool { return m.from == 0 && m.epoch() == 2 }
		w.run()
		w.nodes[0].stuck = false
		w.settle()
		if w.nodes[0].group.Epoch() != 2 || w.nodes[1].group.Role() != group.Leading {
			t.Fatalf("%v", w)
		}
		for _, m := range w.waiting(w.held) {
			if m.Kind() == peer.KindAppend || m.Kind() == peer.KindChunk {
				t.Errorf("node 0 was deposed and sends %s", &m)
			}
		}
	}
}

// A delayed copy of a part of a snapshot removes no record that was acknowledged since.
func TestALateSnapshotTakesNothingAway(t *testing.T) {
	w := lagging(t, 0, 2)
	w.nodes[0].failReads()
	w.held = func(m *message) bool { return m.Kind() == peer.KindChunk }
	w.settle()
	chunks := w.waiting(w.held)
	if len(chunks) == 0 || int(as[peer.Chunk](chunks[0]).Size) != len(as[peer.Chunk](chunks[0]).Data) {
		t.Fatalf("parts of snapshots: %v", chunks)
	}
	w.messages = nil
	w.hand(&chunks[0])
	w.run()
	n, leader := w.nodes[2], w.nodes[0]
	installed := n.logs[0].State().Position
	if installed.Seq == 0 || n.logs[0].End() != installed {
		t.Fatalf("the snapshot is not installed:\n%v", w)
	}
	w.held = func(m *message) bool {
		return m.Kind() == peer.KindAppended && m.from == 1 || m.Kind() == peer.KindPull
	}
	leader.mustWrite(0, 4)
	w.run()
	acked := n.logs[0].Matched()
	leader.mustWrite(0, 5)
	w.lose(func(m *message) bool { return m.Kind() == peer.KindAppend && m.to == 2 })
	leader.mustWrite(0, 6)
	w.run() // behind a gap, so that node 2 asks
	if acked.Seq != installed.Seq+1 || n.logs[0].State().Position != installed || len(w.waiting(of(peer.KindPull, 2))) == 0 {
		t.Fatalf("node 2 has acknowledged record %d:\n%v", acked.Seq, w)
	}
	w.hand(&chunks[0])
	w.run()
	if got := n.logs[0].End(); got.Seq < acked.Seq {
		t.Errorf("a late snapshot at %d cut the log to %d, and %d was acknowledged", installed.Seq, got.Seq, acked.Seq)
	}
}

// A replica was fetching a snapshot that the leader has dropped. By now records are enough. The
// replica's request names the snapshot and its own offset. The first part of another snapshot would
// make it repeat the request for ever.
func TestAQuestionForASnapshotThatIsGoneIsAnsweredWithRecords(t *testing.T) {
	w := lagging(t, 0, 2)
	w.held = of(peer.KindPull, 2)
	w.settle()
	asked := w.waiting(w.held)
	if len(asked) == 0 {
		t.Fatalf("node 2 asks for nothing:\n%v", w)
	}
	m := asked[0]
	again := as[peer.Pull](m)
	again.Snapshot, again.Offset = 1, 100
	m.bytes = again.Encode(nil)
	w.messages = nil
	w.held = func(m *message) bool { return m.from == 0 && m.to == 2 }
	w.hand(&m)
	w.run()
	records := 0
	for _, m := range w.waiting(w.held) {
		switch m.Kind() {
		case peer.KindAppend:
			records += len(as[peer.Append](m).Records)
		case peer.KindChunk:
			t.Errorf("node 0 sends %s", &m)
		}
	}
	if records == 0 {
		t.Errorf("node 0 sends no records:\n%v", w)
	}
}

// A member that lacks a record for too long is removed, unless too few were left.
func TestASlowMemberIsRemovedWhileEnoughAreLeft(t *testing.T) {
	for _, members := range []int{3, 2} {
		w := serving(t)
		if members == 2 {
			w.without(2)
		}
		w.held = func(m *message) bool { return m.from == 2 && members == 2 }
		w.nodes[1].stuck = true
		w.nodes[0].mustWrite(0, 1)
		for range 50 { // it is heard, but its disk does nothing
			w.tick(20 * env.Millisecond)
		}
		c, ok := w.nodes[0].group.Wish(w.nodes[0])
		if want := members == 3; ok != want || ok && (c.Kind != control.Remove || c.Member != w.nodes[1].self()) {
			t.Errorf("of %d members one is slow, and the leader wishes %v, %t", members, &c, ok)
		}
	}
}
