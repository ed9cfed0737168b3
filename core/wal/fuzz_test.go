package wal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wal"
)

// The decoders never panic, say which of the two errors it is, and accept only
// what the encoders write.

func FuzzDecodeFrame(f *testing.F) {
	w := write(f, "append 3, sync, append 2")
	for _, p := range w.pieces[1:] {
		frame := w.segments[0].Data[p.offset:p.end()]
		f.Add(frame)
		f.Add(frame[:len(frame)/2])
		newer := bytes.Clone(frame)
		asNewer(newer)
		f.Add(newer)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record.Record
		size, synced, chain, err := wal.DecodeFrame(b, &r)
		if err != nil {
			mustBeOneOf(t, err)
			return
		}
		if again, wrote := wal.AppendFrame(nil, synced, &r); !bytes.Equal(again, b[:size]) || wrote != chain {
			t.Fatalf("%x is encoded as %x", b[:size], again)
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	w := write(f, "append 3, rotate, append 1")
	for _, s := range w.segments {
		f.Add(s.Data)
		f.Add(s.Data[:wal.HeaderSize])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := wal.DecodeHeader(b)
		if err != nil {
			mustBeOneOf(t, err)
			return
		}
		if again := wal.AppendHeader(nil, &h); !bytes.Equal(again, b[:wal.HeaderSize]) {
			t.Fatalf("%x is encoded as %x", b[:wal.HeaderSize], again)
		}
	})
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add(wal.AppendManifest(nil, home))
	f.Add(wal.AppendManifest(nil, wal.Identity{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := wal.DecodeManifest(b)
		if err != nil {
			mustBeOneOf(t, err)
			return
		}
		if again := wal.AppendManifest(nil, id); !bytes.Equal(again, b) {
			t.Fatalf("%x is encoded as %x", b, again)
		}
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add(wal.AppendSnapshot(nil, home, lineage.Position{}, nil))
	f.Add(wal.AppendSnapshot(nil, home, lineage.Position{Seq: 5, Chain: 6}, []byte("state")))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, at, state, err := wal.DecodeSnapshot(b)
		if err != nil {
			mustBeOneOf(t, err)
			return
		}
		if again := wal.AppendSnapshot(nil, id, at, state); !bytes.Equal(again, b) {
			t.Fatalf("%x is encoded as %x", b, again)
		}
	})
}

func mustBeOneOf(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, wal.ErrMalformed) == errors.Is(err, wal.ErrVersion) {
		t.Fatalf("error is %v, want one of ErrMalformed and ErrVersion", err)
	}
}

// Two segments of arbitrary bytes. reseal makes every envelope in them that has
// a length that fits sound, as random bytes never have a checksum that matches.
func FuzzRecover(f *testing.F) {
	for _, script := range []string{"append 3, rotate, append 3", "append 2, rotate, append 3, sync, append 2"} {
		w := write(f, script)
		first := uint64(w.pieces[len(w.pieces)-1].seq)
		for _, base := range []lineage.Seq{0, 1, 3} {
			f.Add(w.segments[0].Data, w.segments[1].Data, first, uint64(base), uint64(w.chains[base]), false)
		}
		_, first4, _ := wal.ParseSegmentName(w.segments[1].Name)
		f.Add(w.segments[0].Data, w.segments[1].Data, uint64(first4), uint64(0), uint64(0), true)
		f.Add(w.segments[0].Data, []byte(nil), uint64(first4), uint64(0), uint64(0), true)
		f.Add(w.segments[0].Data, w.segments[1].Data[:wal.HeaderSize+50], uint64(first4), uint64(2), uint64(w.chains[2]), true)
	}
	f.Fuzz(func(t *testing.T, one, two []byte, first, baseSeq, baseChain uint64, sound bool) {
		if baseSeq == 0 {
			baseChain = 0
		}
		base := lineage.Position{Seq: lineage.Seq(baseSeq), Chain: lineage.Chain(baseChain)}
		segments := clone([]wal.Segment{{Name: "3-1.seg", Data: one}, {Name: wal.SegmentName(3, lineage.Seq(max(first, 2))), Data: two}})
		for _, s := range segments {
			if sound {
				resealAll(s.Data)
			}
		}
		rec, err := recoverAny(t, base, segments)
		if err != nil {
			return
		}
		files := repaired(t, segments, rec.Repairs)
		for _, s := range files {
			if !bytes.Equal(reencodedSegment(t, s.Data), s.Data) {
				t.Fatalf("%s is kept but is not what would be written", s.Name)
			}
		}
		again, err := recoverAny(t, base, files)
		if err != nil || again.End != rec.End || again.Repairs != nil || again.Tail != rec.Tail {
			t.Fatalf("recovered %+v, again %+v, %v", rec, again, err)
		}
	})
}

// Every target has seeds that are kept for ever: bytes as version 1 wrote them,
// whole, cut, with flipped bits, lost sectors and huge lengths.
func TestSeedsAreKept(t *testing.T) {
	for _, target := range []string{"FuzzDecodeFrame", "FuzzDecodeHeader", "FuzzDecodeManifest", "FuzzDecodeSnapshot", "FuzzRecover", "FuzzDump"} {
		seeds, err := os.ReadDir(filepath.Join("testdata", "fuzz", target))
		if err != nil || len(seeds) < 5 {
			t.Errorf("%s has %d seeds, %v; want at least 5", target, len(seeds), err)
		}
	}
}

// A dump of any bytes covers them.
func FuzzDump(f *testing.F) {
	f.Add(write(f, "append 3, sync, append 4").segments[0].Data)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := wal.Dump(nil, "3-1.seg", b)
		if err != nil {
			t.Fatal(err)
		}
		mustCover(t, got, int64(len(b)))
	})
}

func resealAll(b []byte) {
	for at := 0; at+16 <= len(b); {
		end := at + 16 + int(b[at+8]) + int(b[at+9])<<8
		if end > len(b) {
			return
		}
		reseal(b[at:end])
		at = end
	}
}

// recoverAny recovers files of any content and checks that apply gets an unbroken
// row of records, and that an error is of a known kind.
func recoverAny(t *testing.T, base lineage.Position, segments []wal.Segment) (wal.Recovery, error) {
	t.Helper()
	at := base
	rec, err := wal.Recover(home, base, segments, func(r *record.Record, chain lineage.Chain) error {
		if r.Seq != at.Next() || r.Prev != at.Chain || r.Tenant != home.Tenant || r.Slot != home.Slot {
			t.Fatalf("record %+v is applied after %+v", r, at)
		}
		at = lineage.Position{Seq: r.Seq, Chain: chain}
		return nil
	})
	switch {
	case err == nil:
		if rec.End != at || rec.Synced > rec.End.Seq {
			t.Fatalf("recovery is %+v, applied up to %+v", rec, at)
		}
	case errors.Is(err, wal.ErrCorrupt) == errors.Is(err, wal.ErrVersion):
		t.Fatalf("error is %v, want one of ErrCorrupt and ErrVersion", err)
	}
	return rec, err
}
