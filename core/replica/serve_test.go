package replica_test

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// Records that are not folded are served from memory, up to the end, if all that is
// asked for is there.
func TestWhatIsServedFromMemory(t *testing.T) {
	ours := newTape().begin(1).signals(17)
	h := following(t, small, ours, 20, 12)
	for after := range 22 {
		at, records, ok := h.AfterInMemory([]byte("before"), lineage.Seq(after))
		if want := after >= 12 && after <= 20; ok != want {
			t.Errorf("after record %d: %t, want %t", after, ok, want)
			continue
		} else if !ok {
			continue
		}
		if want := append([]byte("before"), ours.between(after, 20)...); at != ours.ends[after] || !bytes.Equal(records, want) {
			t.Errorf("after record %d at %v: %d bytes, want those of %d records, %d bytes", after, at, len(records), 20-after, len(want))
		}
	}
}

// The answer to one request is bounded; the follower asks for the rest.
func TestWhatIsServedAtOnceIsBounded(t *testing.T) {
	const bound = 32<<10 + record.MaxSize + 4
	ours := newTape().begin(1).signals(600)
	constants := replica.DefaultConstants
	h := newHost(t, constants)
	h.follows = true
	h.restart()
	h.hear(ours, 0, ours.end(), 0)
	h.run()
	for name, served := range map[string]func(after int) []byte{
		"memory": func(after int) []byte {
			_, records, _ := h.AfterInMemory(nil, lineage.Seq(after))
			return records
		},
		"the disk": func(after int) []byte { return h.mustFetch(ours, after) },
	} {
		after, times := 0, 0
		for ; after < ours.end(); times++ {
			records := served(after)
			n := countRecords(records)
			if len(records) > bound || n == 0 || !bytes.Equal(records, ours.between(after, after+n)) {
				t.Fatalf("from %s, after record %d: %d records in %d bytes, want the next ones in at most %d", name, after, n, len(records), bound)
			}
			after += n
		}
		if times < 2 {
			t.Errorf("%s served %d records at once", name, after)
		}
	}
}

func countRecords(b []byte) (n int) {
	for ; len(b) > 0; n++ {
		b = b[4+int(b[0])+int(b[1])<<8:]
	}
	return n
}

// mustFetch requests the records after one on the disk, and returns the records found, which must
// follow it.
func (h *host) mustFetch(p *tape, after int) []byte {
	h.Helper()
	if !h.AfterOnDisk(h, 4, lineage.Seq(after)) {
		h.Fatalf("what follows record %d is not looked for on the disk", after)
	}
	h.run()
	to, at, records, ok := h.Fetched()
	if !ok || len(records) == 0 || to != 4 || at != p.ends[after] {
		h.Fatalf("what follows record %d: for node %d, at %v, %d bytes, %t; want for node 4, at %v", after, to, at, len(records), ok, p.ends[after])
	}
	if _, _, _, again := h.Fetched(); again {
		h.Fatalf("what follows record %d is told twice", after)
	}
	return slices.Clone(records)
}

// From any record on, the segments are read to their end, one after the other.
func TestWhatIsServedFromTheDisk(t *testing.T) {
	ours := newTape().begin(1).signals(17)
	h := following(t, small, ours, 20, 20)
	for first := range 20 {
		for after := first; after < 20; {
			records := h.mustFetch(ours, after)
			n := countRecords(records)
			if n == 0 || !bytes.Equal(records, ours.between(after, after+n)) {
				t.Fatalf("after record %d: %d records, and not those that follow", after, n)
			}
			after += n
		}
	}
}

// A follower that reads on begins where it ended, and reads no record twice.
func TestReadingOnDoesNotBeginAnew(t *testing.T) {
	constants := replica.DefaultConstants
	ours := newTape().begin(1).signals(1500)
	h := newHost(t, constants)
	h.follows = true
	h.restart()
	h.hear(ours, 0, ours.end(), 0)
	h.run()
	var offsets []int64
	h.submitted = func(op *env.Op) {
		if op.Kind == env.OpRead {
			offsets = append(offsets, op.Offset)
		}
	}
	after := 0
	for after < ours.end() {
		after += countRecords(h.mustFetch(ours, after))
	}
	for i := 1; i < len(offsets); i++ {
		if offsets[i] <= offsets[i-1] {
			t.Errorf("read at %v: some is read again", offsets)
			break
		}
	}
	if size := int64(len(h.file(h.segments()[0]))); len(offsets) < 4 || offsets[len(offsets)-1] < size/2 {
		t.Errorf("a segment of %d bytes was read at %v", size, offsets)
	}
}

// Records that a snapshot covers are no longer on the disk: a follower without them gets the
// snapshot.
func TestWhatIsGoneIsNotServedFromTheDisk(t *testing.T) {
	ours := newTape().begin(1).signals(17)
	constants := small
	constants.SnapshotEvery = 1000
	h := following(t, constants, ours, 20, 20)
	if len(h.segments()) > 6 {
		t.Fatalf("%v are left, want fewer", h.segments())
	}
	if h.AfterOnDisk(h, 4, 1) {
		t.Error("what follows record 1 is looked for, though it is covered by a snapshot and gone")
	}
	h.mustFetch(ours, 19)
}

// A search that finds nothing of use ends, and the next one begins at the beginning.
func TestASearchThatFails(t *testing.T) {
	ours := newTape().begin(1).signals(17)
	h := following(t, small, ours, 20, 20)
	for _, kind := range []env.OpKind{env.OpOpen, env.OpRead} {
		h.fail = failing(env.IOError, 0, false, on(kind))
		h.AfterOnDisk(h, 4, 8)
		h.run()
		if to, _, records, ended := h.Fetched(); !ended || to != 4 || len(records) > 0 {
			t.Errorf("%v failed: ended %t, for node %d, %d bytes; want that nothing was found for node 4", kind, ended, to, len(records))
		}
		h.fail = nil
		h.mustFetch(ours, 8)
	}
}

// A search of a log that is then cut does not hold up the cut.
func TestASearchDoesNotHoldUpACut(t *testing.T) {
	ours := newTape().begin(1).signals(17)
	theirs := ours.fork(15).begin(2)
	for steps := range 5 {
		h := following(t, small, ours, 20, 10)
		h.AfterOnDisk(h, 4, 8)
		for range steps {
			h.step()
		}
		h.hear(theirs, 15, 16, 15)
		h.run()
		h.Fetched() // as the owner asks after each operation
		h.run()
		if h.Busy() || h.End() != ours.ends[15] {
			t.Errorf("the log was searched for %d operations when it was to be cut: busy %t, ends at %v, want %v", steps, h.Busy(), h.End(), ours.ends[15])
		}
	}
}

// A snapshot is handed out in parts, each once, and stays the same while the log goes on.
func TestASnapshotIsHandedOutInParts(t *testing.T) {
	ours := newTape().begin(1).signals(2000)
	h := newHost(t, replica.DefaultConstants)
	h.follows = true
	h.restart()
	h.hear(ours, 0, 1990, 1990)
	h.run()
	at, from, size, part := h.Chunk(h, 0, 0)
	if from != 0 || at != ours.ends[1990] {
		t.Fatalf("a snapshot begins at offset %d and is of %v", from, at)
	}
	whole := slices.Clone(part)
	for parts := 1; len(whole) < size; parts++ {
		h.hear(ours, 1989+parts, 1990+parts, 1990+parts)
		h.run()
		next, from, all, part := h.Chunk(h, at.Seq, uint64(len(whole)))
		if next != at || from != uint64(len(whole)) || all != size {
			t.Fatalf("part %d is of %v from %d of %d, want of %v from %d of %d", parts, next, from, all, at, len(whole), size)
		}
		whole = append(whole, part...)
	}
	other := following(t, small, ours, 0, 0)
	other.mustRefetch(whole)
	if other.State().Position != at {
		t.Errorf("the parts together are a snapshot at %v, want %v", other.State().Position, at)
	}
	// Another snapshot, or an offset that it does not have, begins at the start.
	for _, c := range []struct {
		mark   lineage.Seq
		offset uint64
	}{{at.Seq + 1, 10}, {at.Seq, uint64(size)}} {
		if _, from, _, _ := h.Chunk(h, c.mark, c.offset); from != 0 {
			t.Errorf("who asks for offset %d of a snapshot at %d gets it from %d", c.offset, c.mark, from)
		}
	}
}

// Two followers that fetch a snapshot at once, while the log grows, both finish: the later one
// begins with the newest snapshot, and then both fetch the same.
func TestTwoFetchASnapshotWhileTheLogGoesOn(t *testing.T) {
	ours := newTape().begin(1).signals(3000)
	h := newHost(t, replica.DefaultConstants)
	h.follows = true
	h.restart()
	end := 1990
	h.hear(ours, 0, end, end)
	h.run()
	type fetcher struct {
		mark lineage.Seq
		have uint64
		done bool
	}
	fetchers := []*fetcher{{}, {}}
	for round := range 40 {
		for i, f := range fetchers {
			if f.done || round < 2*i { // the second one begins later
				continue
			}
			mark := f.mark
			if f.have == 0 {
				mark = 0
			}
			at, from, size, part := h.Chunk(h, mark, f.have)
			if at.Seq != f.mark {
				f.mark, f.have = at.Seq, 0
			}
			if from == f.have {
				f.have += uint64(len(part))
			}
			f.done = f.have == uint64(size)
			h.hear(ours, end, end+1, end+1)
			h.run()
			end++
		}
	}
	for i, f := range fetchers {
		if !f.done {
			t.Errorf("fetcher %d has %d bytes of the snapshot at %d, after 40 rounds", i, f.have, f.mark)
		}
	}
}

// Two logs begin with the same records and continue in different epochs. From the ends of one, the
// other finds the last common record.
func TestCommonFindsTheLastSharedRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		epoch := lineage.ShardEpoch(1)
		grow := func(p *tape, name string, step lineage.ShardEpoch) *tape {
			for range rapid.IntRange(0, 3).Draw(t, name+" epochs") {
				epoch += step
				p.begin(epoch).signals(rapid.IntRange(0, 5).Draw(t, name+" records"))
			}
			return p
		}
		stem := grow(newTape().begin(1).signals(rapid.IntRange(2, 6).Draw(t, "first")), "shared", 1)
		// One of the two went on in the last epoch of the stem; the other was cut off.
		shared := stem.end()
		ours := stem.fork(shared).signals(rapid.IntRange(0, 4).Draw(t, "went on"))
		grow(ours, "ours", 2)
		epoch++
		theirs := grow(stem.fork(shared), "theirs", 2)
		if rapid.Bool().Draw(t, "swapped") {
			ours, theirs = theirs, ours
		}
		last := 0
		for last < min(ours.end(), theirs.end()) && ours.ends[last+1] == theirs.ends[last+1] {
			last++
		}
		ourCommit := rapid.IntRange(0, last).Draw(t, "committed here")
		theirCommit := rapid.IntRange(0, last).Draw(t, "committed there")
		here := following(t, small, ours, ours.end(), ourCommit)
		there := following(t, small, theirs, theirs.end(), theirCommit)
		base := there.State().Position.Seq
		if got := here.Common(base, there.Ends(nil)); got != lineage.Seq(last) {
			t.Fatalf("the last shared record is %d, said to be %d; the other log tells %v above %d", last, got, there.Ends(nil), base)
		}
	})
}

// lead lets a log that follows lead in an epoch.
func (h *host) lead(epoch lineage.ShardEpoch) {
	h.Follow()
	h.Lead(h, epoch)
}

// A new leader adopts its tail: the new epoch begins after the tail, and the leader serves when all
// of it is committed.
func TestLeadingBeginsBehindTheTail(t *testing.T) {
	ours := newTape().begin(1).signals(9)
	h := following(t, small, ours, 12, 7)
	h.lead(5)
	if h.Phase() != replica.Starting || h.End().Seq != 13 || h.EpochAt(13) != 5 || h.EpochAt(12) != 1 {
		t.Fatalf("who leads in epoch 5 is %v, its log ends at %d in epoch %d", h.Phase(), h.End().Seq, h.EpochAt(h.End().Seq))
	}
	at, records := h.Outbox()
	var first record.Record
	if err := record.Decode(records[4:], &first); err != nil || at != ours.ends[12] || countRecords(records) != 1 {
		t.Fatalf("shipped behind %v: %d records, %v", at, countRecords(records), err)
	}
	if first.Kind != record.EpochStart || first.Epoch != 5 || first.Seq != 13 || first.Prev != ours.ends[12].Chain {
		t.Errorf("an epoch begins with %+v", first)
	}
	h.run()
	for _, c := range []struct {
		committed lineage.Seq
		want      wire.Code
	}{{12, wire.NotServing}, {13, wire.NoError}} {
		h.Commit(h, c.committed)
		if _, out := h.read(5); out.Code != c.want {
			t.Errorf("with record %d committed a read gets %v, want %v", c.committed, out.Code, c.want)
		}
	}
	if h.Phase() != replica.Serving {
		t.Errorf("with everything committed it is %v", h.Phase())
	}
	if out := h.change(&wire.Message{Kind: wire.Write, Placement: home.Placement, Session: 3, Request: 99, Floor: 90}); out.Code != wire.NoError || !out.Later {
		t.Errorf("a change: %+v", out)
	}
}

// A log without a record begins with its limits too.
func TestTheFirstLeaderSetsTheLimits(t *testing.T) {
	h := following(t, small, newTape(), 0, 0)
	h.lead(1)
	_, records := h.Outbox()
	if n := countRecords(records); n != 2 || h.End().Seq != 2 {
		t.Fatalf("%d records begin a log, want the epoch's and the limits", n)
	}
	h.run()
	h.Commit(h, 2)
	if got := h.State().Limits; got.Rate != h.limits.Rate || got.Version != 1 {
		t.Errorf("the limits are %+v", got)
	}
}

// levelAt is the level that the bucket has when the log leads in an epoch: that which
// the first record of the epoch carries.
func (h *host) levelAt(epoch lineage.ShardEpoch) int64 {
	h.lead(epoch)
	_, records := h.Outbox()
	var first record.Record
	if err := record.Decode(records[4:4+record.Size(record.EpochStart)], &first); err != nil {
		h.Fatalf("%v", err)
	}
	return first.Level
}

// drained returns a tape that leaves the bucket of its slot empty. The bucket earns one operation a
// second and holds a hundred.
func drained() *tape {
	p := newTape()
	p.epoch = 1
	p.add(record.Record{Kind: record.EpochStart})
	p.add(record.Record{Kind: record.Config, Limits: record.Limits{Version: 1, Rate: 1, Burst: 100, Entities: 100, Bytes: 100000}})
	p.add(record.Record{Kind: record.Session, Level: 1}) // as little as can be told from nothing
	return p
}

// The leader's bucket continues from the last record and its time of arrival: neither earlier
// earnings nor tokens that another leader spent come back.
func TestTheBucketGoesOnFromTheLastRecord(t *testing.T) {
	const second = 1_000_000_000
	empty := drained()
	for _, c := range []struct {
		name string
		host func() *host
		want int64 // tokens
	}{
		{"received 30 s before", func() *host {
			h := following(t, small, newTape(), 0, 0)
			h.hear(empty, 0, empty.end(), 2)
			h.run()
			h.skip(30 * second)
			return h
		}, 30},
		{"found on the disk at a start 20 s before", func() *host {
			h := following(t, small, newTape(), 0, 0)
			h.hear(empty, 0, empty.end(), 2)
			h.run()
			h.skip(50 * second)
			h.kill()
			h.restart()
			h.skip(20 * second)
			return h
		}, 20},
		{"followed by the first one of an epoch that it led, 40 s before", func() *host {
			h := following(t, small, newTape(), 0, 0)
			h.hear(empty, 0, empty.end(), 2)
			h.run()
			h.levelAt(5)
			h.run()
			h.skip(40 * second)
			h.Follow()
			return h
		}, 40},
		{"fetched with a snapshot 10 s before", func() *host {
			h := following(t, small, newTape(), 0, 0)
			h.skip(70 * second)
			h.mustRefetch(snapshotAt(t, empty, empty.end()))
			h.skip(10 * second)
			return h
		}, 10},
	} {
		got := c.host().levelAt(9)
		if slack := int64(second / 10); got < (c.want-1)*second || got > c.want*second+slack {
			t.Errorf("the last record left nothing; %s it leaves %d tokens, want %d", c.name, got/second, c.want)
		}
	}
}

// A deposed leader refuses admitted changes that are not in the log. Another leader decides about
// those in the log, so their clients get no answer here.
func TestWhoIsDeposedRefusesWhatHasNoPlace(t *testing.T) {
	ours := newTape().begin(1).signals(9)
	h := following(t, small, ours, 12, 12)
	h.lead(5)
	h.run()
	h.Commit(h, 13)
	for request := range uint64(3) {
		m := wire.Message{Kind: wire.Write, Placement: home.Placement, Session: 3, Request: 90 + request, Floor: 90}
		if out := h.Admit(h, client, &m); !out.Admitted {
			t.Fatalf("request %d: %+v", m.Request, out)
		}
	}
	h.AppendNext(h)
	h.Flush(h)
	h.Outbox()
	refused := slices.Clone(h.Follow())
	if len(refused) != 2 || refused[0].Record.Request != 91 || refused[1].Record.Request != 92 {
		t.Fatalf("refused is %+v, want requests 91 and 92", refused)
	}
	for _, p := range refused {
		if p.Refused != wire.Moved || p.Request.Request != p.Record.Request || p.From != client {
			t.Errorf("request %d is refused with %v, to %d", p.Record.Request, p.Refused, p.From)
		}
	}
	h.run()
	for _, p := range h.Commit(h, 14) {
		if p.Request.Kind != 0 {
			t.Errorf("request %d is answered by who does not lead any more", p.Record.Request)
		}
	}
	if h.State().Position.Seq != 14 {
		t.Errorf("what had a place in the log is folded up to %v", h.State().Position)
	}
	if refused := h.Follow(); len(refused) != 0 {
		t.Errorf("who does not lead refuses %d changes", len(refused))
	}
	// Its sessions are as they were: a later leader takes the next request.
	h.lead(7)
	h.run()
	h.Commit(h, h.End().Seq)
	if out := h.Admit(h, client, &wire.Message{Kind: wire.Write, Placement: home.Placement, Session: 3, Request: 91, Floor: 90}); !out.Admitted {
		t.Errorf("the refused request again: %+v", out)
	}
}

// A session that was to make room for another one stays, if the record that says so is
// cut.
func TestAnEvictionThatIsCutIsNone(t *testing.T) {
	ours := newTape().begin(1)
	h := following(t, small, ours, 3, 3)
	h.lead(5)
	h.run()
	h.Commit(h, h.End().Seq)
	for nonce := range uint64(small.MaxSessions - 1) {
		h.open(10 + nonce)
		h.run()
		h.Commit(h, h.End().Seq)
	}
	before := h.End()
	write := &wire.Message{Kind: wire.Write, Placement: home.Placement, Session: 3, Request: 1, Floor: 1}
	if out := h.open(99); !out.Later {
		t.Fatalf("a session that makes another one leave: %+v", out)
	}
	if out := h.Admit(h, client, write); out.Code != wire.SessionExpired {
		t.Fatalf("a change of the session that leaves: %+v", out)
	}
	h.run()
	h.Follow()
	h.Cut(h, before.Seq)
	h.run()
	h.lead(7)
	h.run()
	h.Commit(h, h.End().Seq)
	if out := h.Admit(h, client, write); !out.Admitted {
		t.Errorf("its eviction was cut, but a change of the session: %+v", out)
	}
}

// A full disk takes back no record of a shared log, because other replicas may have it. The record
// is written unchanged when there is room.
func TestAFullDiskKeepsWhatOthersMayHave(t *testing.T) {
	for name, kind := range map[string]env.OpKind{"an append": env.OpAppend, "a new segment": env.OpCreate} {
		for before := range 4 {
			ours := newTape().begin(1).signals(27)
			h := following(t, small, ours, 4+before, 2)
			h.fail = failing(env.NoSpace, 0, true, on(kind))
			// This batch finds no room, and records gather behind it.
			h.hear(ours, 4+before, 9, 2)
			h.hear(ours, 9, 10, 2)
			for end := 11; !h.WaitsForRoom() && end < 30; end++ {
				h.run()
				h.hear(ours, end-1, end, 2)
			}
			h.run()
			durable, end := h.Durable(), h.End()
			if !h.WaitsForRoom() || h.Phase() != replica.Following || end == durable {
				t.Fatalf("%s finds no room: %v, waits for room %t, durable %v, end %v", name, h, h.WaitsForRoom(), durable, end)
			}
			if got := h.hear(ours, int(end.Seq), int(end.Seq)+1, 2); got != replica.Waiting {
				t.Errorf("a log that waits for room says %d to more", got)
			}
			for range 3 { // still full
				h.Resume(h)
				h.run()
			}
			if !h.WaitsForRoom() || h.End() != end || h.Durable() != durable {
				t.Fatalf("%s finds no room again: ends at %v, want %v", name, h.End(), end)
			}
			h.fail = nil
			h.Resume(h)
			h.run()
			if h.WaitsForRoom() || h.Durable() != end || !h.holds(ours) {
				t.Fatalf("there is room for %s: durable is %v, want %v", name, h.Durable(), end)
			}
			h.power()
			h.restart()
			if h.End() != end || !h.holds(ours) {
				t.Fatalf("%s found room; after a power failure the log ends at %v, want %v", name, h.End(), end)
			}
		}
	}
}

// Where records are on the disk is known also after it was full: a cut takes exactly
// those behind it.
func TestACutAfterTheDiskWasFull(t *testing.T) {
	ours := newTape().begin(1).signals(27)
	for at := 5; at < 12; at++ {
		constants := small
		constants.SegmentSize = 4096
		h := following(t, constants, ours, 6, 2)
		h.fail = failing(env.NoSpace, 0, false, on(env.OpAppend))
		h.hear(ours, 6, 9, 2)
		h.run()
		h.Resume(h)
		h.run()
		h.hear(ours, 9, 12, 2)
		h.run()
		h.Cut(h, lineage.Seq(at))
		h.run()
		h.power()
		h.restart()
		if h.End() != ours.ends[at] {
			t.Errorf("cut at record %d the log ends at %v: %v", at, h.End(), h)
		}
		if h.hear(ours, at, 14, 2); h.Phase() != replica.Following {
			t.Fatalf("%v", h)
		}
		h.run()
		h.power()
		h.restart()
		if h.End() != ours.ends[14] {
			t.Errorf("cut at record %d and written anew the log ends at %v", at, h.End())
		}
	}
}

// The commit index of a recovered shared log is unknown: records above the snapshot stay unfolded
// and can be cut.
func TestARecoveredLogIsNotFolded(t *testing.T) {
	ours := newTape().begin(1).signals(5).begin(2).signals(9)
	for _, c := range []struct {
		every int64
		name  string
	}{{unlimited, "no snapshot"}, {1300, "a snapshot"}} {
		constants := small
		constants.SnapshotEvery = c.every
		h := following(t, constants, ours, 16, 14)
		h.kill()
		h.restart()
		covered := lineage.Seq(0)
		for _, name := range h.List(home.Dir()) {
			if seq, ok := wal.ParseSnapshotName(name); ok {
				covered = max(covered, seq)
			}
		}
		if (covered > 0) != (c.every < unlimited) || covered >= 14 {
			t.Fatalf("%s: the disk has one at %d", c.name, covered)
		}
		if h.State().Position != ours.ends[covered] || h.End() != ours.ends[16] || h.Durable() != h.End() {
			t.Errorf("%s at %d: folded up to %v, durable up to %v, ends at %v", c.name, covered, h.State().Position, h.Durable(), h.End())
		}
		if got := h.EpochAt(16); got != 2 {
			t.Errorf("%s: the log ends in epoch %d, want 2", c.name, got)
		}
		h.Cut(h, covered)
		h.run()
		if h.End() != ours.ends[covered] {
			t.Errorf("%s at %d: cut there the log ends at %v", c.name, covered, h.End())
		}
		h.hear(ours, int(covered), 16, 16)
		h.run()
		if h.State().Position != ours.ends[16] {
			t.Errorf("%s at %d: written anew the log is folded up to %v", c.name, covered, h.State().Position)
		}
	}
}
