package state_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/internal/golden"
)

// A state from a snapshot goes on like one that never was in it: same bytes, same
// answers, same order, also while entities come and go afterwards.
func TestASnapshotGoesOnLikeTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := workload(t, 60)
		bytes := l.slot.Append(nil)
		if len(bytes) != l.slot.Size() {
			t.Fatalf("a state of %d bytes says that it has %d", len(bytes), l.slot.Size())
		}
		restored, err := state.Decode(bytes)
		if err != nil {
			t.Fatal(err)
		}
		if again := restored.Append([]byte("before")); string(again) != "before"+string(bytes) {
			t.Fatalf("a snapshot of\n%s\nis read as\n%s", holds(l.slot), holds(restored))
		}
		var ids []uint64
		for range rapid.IntRange(0, 40).Draw(t, "more") {
			r := l.next(operation(t, &ids, l))
			l.slot.Apply(&r, chainOf(&r))
			restored.Apply(&r, chainOf(&r))
		}
		if diff := cmp.Diff(holds(l.slot), holds(restored)); diff != "" {
			t.Fatalf("entities (-from the log +from the snapshot):\n%s", diff)
		}
		if !slices.Equal(l.slot.Append(nil), restored.Append(nil)) {
			t.Fatal("from the snapshot on, the same records give another state")
		}
	})
}

// The order of the sessions in memory depends on evictions and does not show.
func TestSessionsAscendInASnapshot(t *testing.T) {
	l := newLog()
	a := l.session(1, 0)
	l.session(2, 0)
	l.session(3, 0)
	l.session(4, a) // the last one takes a's place: in memory they are 3, 2, 4
	restored, err := state.Decode(l.slot.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(restored.Append(nil), l.slot.Append(nil)) || restored.Sessions() != 3 || restored.SessionOf(2, 1) == nil {
		t.Errorf("%d sessions are read back, want those of clients 2, 3 and 4", restored.Sessions())
	}
}

// sample is a slot with all that a slot can hold.
func sample() *log {
	l := newLog()
	l.fold(record.Record{Kind: record.EpochStart, Epoch: 4, Level: 5_000_000_000})
	l.fold(record.Record{Kind: record.Config, Level: 5_000_000_000, Limits: record.Limits{Version: 1, Rate: 1000, Burst: 5, Entities: 10, Bytes: 4096, Feature: 1}})
	a, b := l.session(1, 0), l.session(2, 0)
	for i, r := range []record.Record{on(7, -3), put(8), on(9, 1), on(7, 5), drop(8), on(1<<63, 2)} {
		r.Client, r.Request, r.Floor, r.Level = [2]uint64{a, b}[i%2], uint64(i+1), uint64(i/3), int64(4-i/2)*1_000_000_000
		r.Signal.Kind = signal.Kind(i)
		l.fold(r)
	}
	return l
}

// Where the numbers of a snapshot are that the damage below hits.
const (
	atLevel    = 8 + 3*8
	atSpans    = 8 + 10*8
	atEntities = atSpans + 24 // their number
	entitySize = 168
	sampleLive = 3
	atSessions = atEntities + 8 + sampleLive*entitySize
)

func TestDecodeRefuses(t *testing.T) {
	good := sample().slot.Append(nil)
	number := func(at int, v uint64) []byte {
		b := slices.Clone(good)
		binary.LittleEndian.PutUint64(b[at:], v)
		return b
	}
	firstSession := atSessions + 8
	for _, c := range []struct {
		bytes []byte
		want  string
	}{
		{nil, "malformed slot state: 0 bytes, want at least 96"},
		{good[:95], "malformed slot state: 95 bytes, want at least 96"},
		{number(0, 3), "malformed slot state: version 3, this binary reads 1 and 2"},
		{number(0, 257), "malformed slot state: version 257, this binary reads 1 and 2"},
		{number(atSpans-8*8, state.MaxSpans+1), "malformed slot state: 65 spans, want at most 64"},
		{number(atSpans-8*8, 48), "malformed slot state: 48 elements of at least 24 bytes in 1136 bytes: the bytes end within a field"},
		{number(atSpans+16, 11), "malformed slot state: a span {{0 4} 11} in a state of seq 10"},
		{number(atSpans-8*8, 2), "malformed slot state: a span {{3 7} 202} in a state of seq 10"},
		{number(atLevel, 1<<63), "malformed slot state: bucket level -9223372036854775808 is negative"},
		{number(atEntities, 1<<60), "malformed slot state: 1152921504606846976 elements of at least 168 bytes in 1104 bytes: the bytes end within a field"},
		{number(atEntities+8+entitySize, 7), "malformed slot state: an entity stands twice"},
		{number(atEntities+8+8, 1<<64-1), "malformed slot state: entity 9 has 101 bytes and was touched by record 7, in a state of seq 10 with 100 bytes so far"},
		{number(atEntities+8+16, 11), "malformed slot state: entity 7 has 202 bytes and was touched by record 11, in a state of seq 10 with 202 bytes so far"},
		{number(atSessions, 3), "malformed slot state: 3 elements of at least 296 bytes in 592 bytes: the bytes end within a field"},
		{number(atSessions, 1), "malformed slot state: 296 bytes follow the last field"},
		{number(firstSession, 0), "malformed slot state: session ids do not ascend at 0"},
		{number(firstSession+296, 3), "malformed slot state: session ids do not ascend at 3"},
		{number(firstSession+296, 11), "malformed slot state: session 11 of client 2 was last used by record 10, in a state of seq 10"},
		{number(firstSession+32, 11), "malformed slot state: session 3 of client 1 was last used by record 11, in a state of seq 10"},
		{number(firstSession+40+16, 2), "malformed slot state: session 3 of client 1 has the answer of request 2 (record 5) in place 1, in a state of seq 10"},
		{number(firstSession+40+24, 11), "malformed slot state: session 3 of client 1 has the answer of request 1 (record 11) in place 1, in a state of seq 10"},
		{good[:len(good)-1], "malformed slot state: 2 elements of at least 296 bytes in 591 bytes: the bytes end within a field"},
		{append(slices.Clone(good), 0), "malformed slot state: 1 bytes follow the last field"},
		{append(number(atSessions, 0)[:atSessions], make([]byte, 7)...), "malformed slot state: the bytes end within a field"},
	} {
		if _, err := state.Decode(c.bytes); !errors.Is(err, state.ErrMalformed) || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

// The envelope around a snapshot has the checksum (package wal). Here damage to a byte is refused
// or read as other values; it never passes for the original state.
func TestNoDamagedBytePassesForTheState(t *testing.T) {
	good := sample().slot.Append(nil)
	b := slices.Clone(good)
	for at := range b {
		for _, change := range []byte{0x01, 0x10, 0x80, 0xff} {
			b[at] ^= change
			if s, err := state.Decode(b); err == nil && !slices.Equal(s.Append(nil), b) {
				t.Fatalf("byte %d changed to %#x is read as another state than it says", at, b[at])
			}
			b[at] ^= change
		}
	}
	for cut := range good {
		if _, err := state.Decode(good[:cut]); err == nil {
			t.Fatalf("the first %d of %d bytes pass for a state", cut, len(good))
		}
	}
}

var rewrite = flag.Bool("rewrite", false, "write testdata/v2 anew; right only as long as no data of version 2 exists anywhere")

// The bytes of both versions as they were written when each was new. They must be read
// for ever, and today's code writes version 2. Version 1 knows the lineage of its last
// record and of no other.
func TestGoldenState(t *testing.T) {
	today := hexLines(sample().slot.Append(nil))
	first, err := os.ReadFile("testdata/v1/slot.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text  string
		spans []lineage.Span
	}{
		{string(first), []lineage.Span{{Lineage: lineage.Lineage{Placement: 1, Epoch: 4}, First: 10}}},
		{golden.Text(t, "testdata/v2/slot.txt", today, *rewrite), []lineage.Span{{Lineage: lineage.Lineage{Epoch: 4}, First: 1}}},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(c.text, "\n", ""))
		if err != nil {
			t.Fatal(err)
		}
		s, err := state.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.spans, s.Spans()); diff != "" {
			t.Errorf("spans (-written +read):\n%s", diff)
		}
		isSample(t, s)
	}
}

// isSample checks that a state is the sample's.
func isSample(t *testing.T, s *state.Slot) {
	t.Helper()
	if diff := cmp.Diff("3 entities, 404 bytes: 7:202 9:101 9223372036854775808:101", holds(s)); diff != "" {
		t.Errorf("entities (-written +read):\n%s", diff)
	}
	if diff := cmp.Diff(record.Limits{Version: 1, Rate: 1000, Burst: 5, Entities: 10, Bytes: 4096, Feature: 1}, s.Limits); diff != "" {
		t.Errorf("limits (-written +read):\n%s", diff)
	}
	if seq, ok := s.Session(4).Answer(6); !ok || seq != 10 || s.Session(3).Floor != 1 {
		t.Errorf("request 6 is answered %d, %t; floor %d", seq, ok, s.Session(3).Floor)
	}
}

func hexLines(b []byte) string {
	var text strings.Builder
	for word := range slices.Chunk(b, 8) {
		text.WriteString(hex.EncodeToString(word) + "\n")
	}
	return text.String()
}

func FuzzDecode(f *testing.F) {
	f.Add(state.New().Append(nil))
	f.Add(sample().slot.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := state.Decode(b)
		switch {
		case err != nil && !errors.Is(err, state.ErrMalformed):
			t.Errorf("%v is not ErrMalformed", err)
		case err == nil && b[0] == 2 && !slices.Equal(s.Append(nil), b): // version 1 is only read
			t.Errorf("%x is read as %s, which is written otherwise", b, holds(s))
		}
	})
}

// A count that lies cannot make the reader allocate: memory follows the bytes. The
// smallest of these lies would be 176 MB.
func TestALyingCountAllocatesNothing(t *testing.T) {
	b := sample().slot.Append(nil)
	for _, at := range []int{atEntities, atSessions} {
		for _, n := range []uint64{1 << 20, 1 << 40, 1<<64 - 1} {
			lie := slices.Clone(b)
			binary.LittleEndian.PutUint64(lie[at:], n)
			if got := allocated(func() { state.Decode(lie) }); got > 1<<16 {
				t.Errorf("%d items at byte %d: %d bytes allocated for %d", n, at, got, len(b))
			}
		}
	}
}

// allocated returns how many bytes f allocates, with those of other goroutines at the same time.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestAppendDoesNotAllocate(t *testing.T) {
	s := sample().slot
	buf := s.Append(nil)
	if n := testing.AllocsPerRun(100, func() { s.Append(buf[:0]) }); n != 0 {
		t.Errorf("writing a snapshot allocates %v times, want 0", n)
	}
}
