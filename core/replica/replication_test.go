package replica_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/replica"
)

// A follower receives records from the leader of its epoch. The log here has records 1..10,
// committed up to 5; the leader has the same records up to 12. The other tape, a fork after record
// 7, belongs to a later epoch.
func TestAFollowerTakesWhatItLacks(t *testing.T) {
	ours := newTape().begin(1).signals(9)
	fork := ours.fork(7).begin(2).signals(4)
	for _, c := range []struct {
		name             string
		tape             *tape
		from, to, commit int
		verdict          replica.Verdict
		// The log afterwards: its end, the last folded record, the last one known to equal the
		// leader's.
		end, fold, proven int
	}{
		{"the next two", ours, 10, 12, 5, replica.Took, 12, 5, 12},
		{"nothing, to compare the ends", ours, 10, 10, 5, replica.Took, 10, 5, 10},
		{"nothing, to tell what is committed", ours, 10, 10, 9, replica.Took, 10, 9, 10},
		{"a commit beyond what it proves", ours, 8, 9, 12, replica.Took, 10, 9, 10},
		{"what is here already", ours, 7, 9, 5, replica.Took, 10, 5, 10},
		{"some that is here and some that is not", ours, 8, 12, 11, replica.Took, 12, 11, 12},
		{"what is folded, and more", ours, 2, 11, 6, replica.Took, 11, 6, 11},
		{"only what is folded", ours, 1, 4, 12, replica.Took, 10, 5, 10},
		{"records behind a gap", ours, 11, 12, 12, replica.Behind, 10, 5, 10},
		{"what follows another record than is here", fork, 9, 10, 9, replica.Differs, 10, 5, 10},
		{"nothing, behind another record than is here", fork, 9, 9, 9, replica.Differs, 10, 5, 10},
		{"another record than is here", fork, 7, 8, 5, replica.Cutting, 7, 5, 7},
		{"the same, and behind that another one", fork, 5, 9, 9, replica.Cutting, 7, 5, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours := ours.fork(10).signals(2)
			if c.tape == nil || c.tape.end() == 10 {
				c.tape = ours
			}
			h := following(t, small, ours, 10, 5)
			if got := h.hear(c.tape, c.from, c.to, c.commit); got != c.verdict {
				t.Errorf("verdict %d, want %d", got, c.verdict)
			}
			h.run()
			if got, want := h.End(), ours.ends[c.end]; got != want || h.Durable() != want {
				t.Errorf("the log ends at %v, durably at %v, want %v", got, h.Durable(), want)
			}
			if got, want := h.State().Position, ours.ends[c.fold]; got != want {
				t.Errorf("folded is up to %v, want %v", got, want)
			}
			if got, want := h.Matched(), ours.ends[c.proven]; got != want {
				t.Errorf("the sequencer's is up to %v, want %v", got, want)
			}
		})
	}
}

// Until the records that differ from the leader's are gone, the log accepts nothing; then it
// accepts the leader's.
func TestAForkIsTakenOnceTheCutIsDone(t *testing.T) {
	ours := newTape().begin(1).signals(9)
	theirs := ours.fork(7).begin(2).signals(4)
	h := following(t, small, ours, 10, 5)
	h.Follow()
	h.hear(theirs, 7, 12, 8)
	for h.Busy() {
		if got := h.hear(theirs, 7, 12, 8); got != replica.Waiting {
			t.Fatalf("while it is cut the log says %d to records, want that it waits", got)
		}
		if !h.step() {
			t.Fatal("the cut does not end")
		}
	}
	if got := h.hear(theirs, 7, 12, 8); got != replica.Took {
		t.Fatalf("after the cut the log says %d to records", got)
	}
	h.run()
	if h.Durable() != theirs.ends[12] || h.State().Position != theirs.ends[8] || !h.holds(theirs) {
		t.Errorf("the log is durable up to %v and folded up to %v, want %v and %v", h.Durable(), h.State().Position, theirs.ends[12], theirs.ends[8])
	}
}

// Lineages are cut together with the records that began them.
func TestACutForgetsTheEpochsThatWereCut(t *testing.T) {
	ours := newTape().begin(1).signals(3).begin(2).signals(3).begin(3).signals(3)
	theirs := ours.fork(9).begin(5).signals(3)
	h := following(t, small, ours, ours.end(), 4)
	h.hear(theirs, 9, 13, 4)
	h.run()
	h.hear(theirs, 9, 13, 4)
	h.run()
	for seq, want := range map[lineage.Seq]lineage.ShardEpoch{6: 1, 7: 2, 9: 2, 10: 5, 13: 5} {
		if got := h.EpochAt(seq); got != want {
			t.Errorf("record %d is of epoch %d, said to be of %d", seq, want, got)
		}
		if !h.OnLineage(want, seq) || h.OnLineage(3, seq) {
			t.Errorf("record %d is of epoch %d: %t; of epoch 3: %t", seq, want, h.OnLineage(want, seq), h.OnLineage(3, seq))
		}
	}
	if got, want := fmt.Sprint(h.Ends(nil)), "[{{1 1} 6} {{1 2} 9} {{1 5} 13}]"; got != want {
		t.Errorf("epochs and their last records are %s, want %s", got, want)
	}
}

// Nothing that is told of a lower epoch's end proves anything in the next one.
func TestANewEpochProvesItsRecordsAnew(t *testing.T) {
	ours := newTape().begin(1).signals(9)
	h := following(t, small, ours, 10, 5)
	if got := h.Matched(); got != ours.ends[10] {
		t.Fatalf("the sequencer's is up to %v, want %v", got, ours.ends[10])
	}
	h.Follow()
	if got := h.Matched(); got != ours.ends[5] {
		t.Errorf("in a new epoch the sequencer's is up to %v, want what is committed, %v", got, ours.ends[5])
	}
	if got := h.Durable(); got != ours.ends[10] {
		t.Errorf("a new epoch takes records away: the log is durable up to %v, want %v", got, ours.ends[10])
	}
}

// A crash ends a process and decides which part of its disk survives.
var crashes = map[string]func(*host){"a kill": (*host).kill, "a power failure": (*host).power}

// everyCrash prepares a host, begins something, lets so many disk operations complete,
// for each number, ends the process, starts it again, and lets check look. ended says
// that nothing was left to do.
func everyCrash(t *testing.T, prepare func() *host, begin func(*host), check func(h *host, when string, ended bool)) {
	for how, crash := range crashes {
		ended := false
		for n := 0; !ended; n++ {
			h := prepare()
			begin(h)
			for range n {
				h.step()
			}
			ended = len(h.queue) == 0
			crash(h)
			h.restart()
			check(h, fmt.Sprintf("%s after %d operations", how, n), ended)
		}
	}
}

// A cut covers several segments, and ends within one, at the beginning of one, or before the first.
// If it is interrupted at any point, recovery finds a prefix of the old log with all committed
// records.
func TestACutIsInterrupted(t *testing.T) {
	ours := newTape().begin(1).signals(17)
	for _, at := range []int{6, 7, 8, 9, 10, 19} {
		theirs := ours.fork(at).begin(2).signals(5)
		for _, committed := range []int{2, 6} {
			prepare := func() *host {
				h := following(t, small, ours, 20, committed)
				if n := len(h.segments()); n < 5 {
					t.Fatalf("%d segments, want several", n)
				}
				return h
			}
			begin := func(h *host) {
				if got := h.hear(theirs, at, at+3, at); got != replica.Cutting {
					t.Fatalf("verdict %d, want that it is cutting", got)
				}
			}
			everyCrash(t, prepare, begin, func(h *host, when string, ended bool) {
				switch end := int(h.End().Seq); {
				case h.Phase() != replica.Following:
					t.Fatalf("cut at %d, %s: the log is %v: %v", at, when, h.Phase(), h.Failure())
				case !h.holds(ours) || end < max(committed, at):
					t.Fatalf("cut at %d, %s: the log ends at %v and is no beginning of what it was, with all up to %d", at, when, h.End(), at)
				case ended && end != at:
					t.Fatalf("cut at %d, %s: the cut was done, but the log ends at %d", at, when, end)
				}
			})
		}
	}
}

// New records in place of cut ones are never next to an old one: the log is a prefix of one of the
// two.
func TestWhatWasCutDoesNotComeBack(t *testing.T) {
	ours := newTape().begin(1).signals(17)
	for _, at := range []int{7, 8, 9} {
		theirs := ours.fork(at).begin(2).signals(6)
		prepare := func() *host {
			h := following(t, small, ours, 20, 4)
			h.hear(theirs, at, at+3, at)
			h.run()
			return h
		}
		begin := func(h *host) {
			if got := h.hear(theirs, at, theirs.end(), at); got != replica.Took {
				t.Fatalf("verdict %d", got)
			}
		}
		everyCrash(t, prepare, begin, func(h *host, when string, ended bool) {
			if h.Phase() != replica.Following || !h.holds(theirs) || int(h.End().Seq) < at {
				t.Fatalf("cut at %d, %s: %v, ends at %v, want a beginning of the new log", at, when, h, h.End())
			}
			if ended && h.End() != theirs.ends[theirs.end()] {
				t.Fatalf("cut at %d, %s: %v is the end of what was durable, want %v", at, when, h.End(), theirs.ends[theirs.end()])
			}
		})
	}
}

// The same by chance: a log is cut and continues, repeatedly, and power failures keep any part of
// the unsynced data.
func TestForksOnADiskThatTears(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		constants := small
		constants.SegmentSize = rapid.Int64Range(100, 1500).Draw(t, "segment")
		log := newTape().begin(1).signals(rapid.IntRange(3, 12).Draw(t, "records"))
		committed := rapid.IntRange(0, 5).Draw(t, "committed")
		h := following(t, constants, log, log.end(), committed)
		for epoch := range rapid.IntRange(1, 4).Draw(t, "epochs") {
			at := rapid.IntRange(max(committed, 3), log.end()).Draw(t, "fork")
			next := log.fork(at).begin(lineage.ShardEpoch(epoch + 2)).signals(rapid.IntRange(0, 8).Draw(t, "more"))
			h.Follow()
			for range 3 { // cut; the rest; the commit
				h.hear(next, at, next.end(), committed)
				for range rapid.IntRange(0, 30).Draw(t, "operations") {
					h.step()
				}
			}
			if rapid.Bool().Draw(t, "crash") {
				durable := h.Durable()
				h.tear(t)
				h.restart()
				if h.Phase() != replica.Following || h.End().Seq < durable.Seq && !h.holds(next) && !h.holds(log) {
					t.Fatalf("%v, end %v, durable was %v", h, h.End(), durable)
				}
			}
			h.run()
			switch {
			case h.holds(next):
				log = next.fork(int(h.End().Seq))
			case h.holds(log):
				log = log.fork(int(h.End().Seq))
			default:
				t.Fatalf("the log ends at %v, and is neither what it was nor what came instead", h.End())
			}
			if log.end() < 3 {
				return // its session is not durable, so nothing can follow
			}
		}
	})
}

// A snapshot of the sequencer's, whole.
func snapshotAt(t tester, p *tape, seq int) []byte {
	h := following(t, small, p, seq, seq)
	_, _, size, part := h.Chunk(h, 0, 0)
	if size != len(part) {
		t.Fatalf("a snapshot of %d bytes comes in parts", size)
	}
	return part
}

// damaged returns a host with a stopped log: one bit has rotted below records that later segments
// confirm.
func damaged(t tester, p *tape, records int) *host {
	h := following(t, small, p, records, 4)
	h.file(h.segments()[1])[100] ^= 1
	h.kill()
	h.restart()
	if h.Phase() != replica.Stopped {
		h.Fatalf("a log whose second segment is damaged is %v", h.Phase())
	}
	return h
}

// A replacement of the log by a snapshot, or by an empty log, is interrupted at every point. Then
// the log is open with the snapshot, or can be replaced again.
func TestARefetchIsInterrupted(t *testing.T) {
	ours := newTape().begin(1).signals(17)
	snapshot := snapshotAt(t, ours, 15)
	for name, prepare := range map[string]func() *host{
		"a log that is behind":     func() *host { return following(t, small, ours, 9, 4) },
		"a log that is damaged":    func() *host { return damaged(t, ours, 12) },
		"a log with a snapshot":    func() *host { h := following(t, small, ours, 2, 2); h.mustRefetch(snapshotAt(t, ours, 9)); return h },
		"a log that holds nothing": func() *host { return following(t, small, ours, 0, 0) },
	} {
		for with, data := range map[string][]byte{"a snapshot": snapshot, "nothing": nil} {
			t.Run(name+" by "+with, func(t *testing.T) {
				want := ours.ends[15]
				if data == nil {
					want = lineage.Position{}
				}
				begin := func(h *host) {
					if err := h.Refetch(h, data); err != nil {
						t.Fatal(err)
					}
				}
				everyCrash(t, prepare, begin, func(h *host, when string, ended bool) {
					if h.Phase() != replica.Following && h.Phase() != replica.Stopped {
						t.Fatalf("%s: %v", when, h)
					}
					if ended && (h.Phase() != replica.Following || h.State().Position != want || h.End() != want) {
						t.Fatalf("%s: it was done, but is %v, ends at %v", when, h, h.End())
					}
					if h.Phase() == replica.Following && h.End().Seq > 0 && h.End() != want && !h.holds(ours) {
						t.Fatalf("%s: the log ends at %v, and is no beginning of the sequencer's", when, h.End())
					}
					h.mustRefetch(data)
					if h.State().Position != want || h.End() != want {
						t.Fatalf("%s: refetched again it is folded up to %v, want %v", when, h.State().Position, want)
					}
					at := int(want.Seq)
					if got := h.hear(ours, at, 18, 17); got != replica.Took {
						t.Fatalf("%s: what follows the snapshot gets the verdict %d", when, got)
					}
					h.run()
					if h.Durable() != ours.ends[18] || h.State().Position != ours.ends[17] {
						t.Fatalf("%s: the log goes on to %v, folded up to %v", when, h.Durable(), h.State().Position)
					}
				})
			})
		}
	}
}

// mustRefetch replaces the log, and lets that end.
func (h *host) mustRefetch(snapshot []byte) {
	h.Helper()
	if err := h.Refetch(h, snapshot); err != nil {
		h.Fatalf("refetch: %v", err)
	}
	h.run()
	if h.Phase() != replica.Following || h.Busy() {
		h.Fatalf("after a refetch the log is %v", h)
	}
}

// An operation of a refetch fails, whichever. The log stops, and a later refetch works.
func TestARefetchFailsAndIsTriedAgain(t *testing.T) {
	ours := newTape().begin(1).signals(17)
	snapshot := snapshotAt(t, ours, 15)
	for n, all := 0, false; !all; n++ {
		h := damaged(t, ours, 12)
		h.fail = failing(env.IOError, n, false, func(op *env.Op) bool { return op.Kind != env.OpClose })
		if err := h.Refetch(h, snapshot); err != nil {
			t.Fatal(err)
		}
		h.run()
		h.fail = nil
		all = h.Phase() == replica.Following
		if !all {
			h.mustRefetch(snapshot)
		}
		if h.State().Position != ours.ends[15] {
			t.Fatalf("operation %d of a refetch failed; at last the log is at %v, want %v", n, h.State().Position, ours.ends[15])
		}
	}
}

// A sync of the directory fails amid a refetch, and the next attempt finds it empty. A power
// failure brings none of its files back.
func TestADirectoryWhoseSyncFailedIsMadeAnew(t *testing.T) {
	ours := newTape().begin(1).signals(17)
	snapshot := snapshotAt(t, ours, 15)
	for _, then := range [][]byte{nil, snapshot} {
		h := following(t, small, ours, 12, 12)
		h.fail = failing(env.IOError, 0, false, on(env.OpSyncDir))
		if err := h.Refetch(h, nil); err != nil {
			t.Fatal(err)
		}
		h.run()
		h.fail = nil
		if h.Phase() != replica.Stopped {
			t.Fatalf("after the sync failed the log is %v", h)
		}
		h.mustRefetch(then)
		want := h.List(home.Dir())
		h.power()
		if got := h.List(home.Dir()); !slices.Equal(got, want) {
			t.Errorf("after a power failure there is %q, want %q", got, want)
		}
	}
}

// A snapshot of another slot, invalid bytes, or a snapshot that would remove committed records is
// refused and changes nothing.
func TestARefetchRefuses(t *testing.T) {
	ours := newTape().begin(1).signals(17)
	good := snapshotAt(t, ours, 9)
	turned := append([]byte(nil), good...)
	turned[len(turned)/2] ^= 1
	for name, data := range map[string][]byte{
		"damaged": turned, "cut": good[:len(good)-1], "no snapshot": {}, "behind what is committed": good,
	} {
		h := following(t, small, ours, 14, 12)
		files := h.List(home.Dir())
		if err := h.Refetch(h, data); err == nil {
			t.Errorf("a snapshot that is %s is taken", name)
		}
		h.run()
		if h.Busy() || h.End() != ours.ends[14] || len(h.List(home.Dir())) != len(files) {
			t.Errorf("a snapshot that is %s is refused, but changes the log: %v", name, h)
		}
	}
}

// A log that stopped because a sync failed begins a new generation when it is replaced. Its earlier
// operations, a snapshot and a search among them, no longer belong to it.
func TestALogThatStoppedAmidEverythingIsReplaced(t *testing.T) {
	ours := newTape().begin(1).signals(27)
	snapshot := snapshotAt(t, ours, 15)
	constants := small
	constants.SnapshotEvery = 700
	stopped := 0
	for n := range 20 {
		h := following(t, constants, ours, 5, 0)
		h.hear(ours, 5, 12, 12)
		h.AfterOnDisk(h, 4, 1)
		for range n {
			h.step()
		}
		h.hear(ours, 12, 13, 12)
		h.fail = failing(env.IOError, 0, true, on(env.OpSync))
		for h.Phase() != replica.Stopped && h.step() {
		}
		h.fail = nil
		if h.Phase() != replica.Stopped { // nothing was left to be synced
			continue
		}
		stopped++
		h.mustRefetch(snapshot)
		if h.State().Position != ours.ends[15] {
			t.Fatalf("stopped after %d operations: %v", n, h)
		}
	}
	if stopped < 10 {
		t.Errorf("the log stopped %d times, want more", stopped)
	}
}

// A log with more leaders behind its last committed record than a message takes tells of the
// newest: a follower that is told less is sent records that it has.
func TestEndsAreBounded(t *testing.T) {
	for _, leaders := range []int{replica.MaxEnds, replica.MaxEnds + 1} {
		ours := newTape().begin(1)
		for epoch := 2; epoch <= leaders; epoch++ {
			ours.begin(lineage.ShardEpoch(epoch))
		}
		h := following(t, small, ours, ours.end(), 0)
		ends := h.Ends(nil)
		if len(ends) != replica.MaxEnds || ends[len(ends)-1].Epoch != lineage.ShardEpoch(leaders) {
			t.Errorf("%d leaders: %d ends are told, the last is %v", leaders, len(ends), ends[len(ends)-1])
		}
		if got := h.Common(0, ends[:1]); got != ends[0].Last {
			t.Errorf("%d leaders: of the oldest end that is told, %v, the log shares records up to %d", leaders, ends[0], got)
		}
	}
}
