package wal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/wal"
)

var home = wal.Identity{Tenant: 7, Slot: 2, Placement: 1, Shard: 3}

// piece is a header (seq 0) or a frame of a written log.
type piece struct {
	segment, offset, size int
	seq, synced           lineage.Seq
}

func (p piece) end() int { return p.offset + p.size }

// writer writes a log as a node would, and remembers the place of each part.
type writer struct {
	id       wal.Identity
	at       lineage.Position
	synced   lineage.Seq
	salt     uint64 // of the records' contents
	segments []wal.Segment
	pieces   []piece
	chains   []lineage.Chain // by seq
}

func newWriter(id wal.Identity) *writer { return &writer{id: id, chains: make([]lineage.Chain, 1)} }

// tester is the common part of testing.TB and *rapid.T.
type tester interface {
	Helper()
	Fatalf(format string, operands ...any)
}

// write returns a writer that followed a script: "append 3, sync, rotate, append 1". The first
// append begins the first segment.
func write(t testing.TB, script string) *writer {
	t.Helper()
	w := newWriter(home)
	for step := range strings.SplitSeq(script, ", ") {
		var n int
		switch {
		case step == "sync":
			w.synced = w.at.Seq
		case step == "rotate":
			w.rotate()
		case strings.HasPrefix(step, "append "):
			if _, err := fmt.Sscanf(step, "append %d", &n); err != nil {
				t.Fatal(err)
			}
			w.append(n)
		default:
			t.Fatalf("unknown step %q", step)
		}
	}
	return w
}

// rotate starts the next segment, when all before is durable.
func (w *writer) rotate() {
	w.synced = w.at.Seq
	h := wal.Header{Identity: w.id, First: w.at.Next(), Before: w.at.Chain, Synced: w.synced}
	w.segments = append(w.segments, wal.Segment{Name: wal.SegmentName(w.id.Shard, h.First), Data: wal.AppendHeader(nil, &h)})
	w.pieces = append(w.pieces, piece{segment: len(w.segments) - 1, size: wal.HeaderSize})
}

func (w *writer) append(n int) {
	if len(w.segments) == 0 {
		w.rotate()
	}
	for range n {
		r := w.next()
		s := &w.segments[len(w.segments)-1]
		before := len(s.Data)
		s.Data, w.at.Chain = wal.AppendFrame(s.Data, w.synced, &r)
		w.at.Seq = r.Seq
		w.chains = append(w.chains, w.at.Chain)
		w.pieces = append(w.pieces, piece{len(w.segments) - 1, before, len(s.Data) - before, r.Seq, w.synced})
	}
}

// next is the record that follows; the kinds take turns, so that sizes differ.
func (w *writer) next() record.Record {
	seq := w.at.Next()
	r := record.Record{
		Tenant: w.id.Tenant, Slot: w.id.Slot, Placement: w.id.Placement, Epoch: 4,
		Seq: seq, Prev: w.at.Chain, Level: int64(w.salt),
	}
	switch seq % 6 {
	case 1:
		r.Kind = record.EpochStart
	case 2:
		r.Kind, r.Limits = record.Config, record.Limits{Version: uint64(seq), Rate: 100, Burst: 10, Entities: 7, Bytes: 4096, Feature: 1}
	case 3:
		r.Kind, r.Client, r.Request = record.Signal, 4, uint64(seq)
		r.Signal = signal.Signal{Entity: signal.Entity(seq), ClientTime: -1, Weight: -5, Kind: 1}
	case 4:
		r.Kind, r.Session = record.Session, record.SessionStart{Client: 11, Nonce: uint64(seq)}
	case 5:
		r.Kind, r.Client, r.Request, r.Entity = record.EntityPut, 4, uint64(seq), signal.Entity(seq)
	case 0:
		r.Kind, r.Client, r.Request, r.Entity = record.EntityDelete, 4, uint64(seq), signal.Entity(seq-1)
	}
	return r
}

// resume is a writer that goes on after a recovery of segments.
func (w *writer) resume(segments []wal.Segment, rec wal.Recovery, salt uint64) *writer {
	c := &writer{
		id: w.id, at: rec.End, synced: rec.End.Seq, salt: salt,
		segments: segments, chains: append([]lineage.Chain(nil), w.chains[:rec.End.Seq+1]...),
	}
	if rec.Tail == "" {
		c.rotate()
	}
	return c
}

// frame is the piece of record seq.
func (w *writer) frame(seq lineage.Seq) piece {
	for _, p := range w.pieces {
		if p.seq == seq {
			return p
		}
	}
	panic(fmt.Sprintf("no record %d", seq))
}

// files is a deep copy of the segments.
func (w *writer) files() []wal.Segment { return clone(w.segments) }

// position is the one after record seq.
func (w *writer) position(seq lineage.Seq) lineage.Position {
	return lineage.Position{Seq: seq, Chain: w.chains[seq]}
}

func clone(segments []wal.Segment) []wal.Segment {
	var c []wal.Segment
	for _, s := range segments {
		c = append(c, wal.Segment{Name: s.Name, Data: append([]byte(nil), s.Data...)})
	}
	return c
}

// repaired makes the repairs of a recovery, on a copy.
func repaired(t tester, segments []wal.Segment, repairs []wal.Repair) []wal.Segment {
	t.Helper()
	var kept []wal.Segment
	done := 0
	for _, s := range clone(segments) {
		for _, r := range repairs {
			if r.Name == s.Name {
				s.Data = s.Data[:r.Keep]
				done++
			}
		}
		if len(s.Data) > 0 {
			kept = append(kept, s)
		}
	}
	if done != len(repairs) {
		t.Fatalf("repairs %v name files that are not there", repairs)
	}
	return kept
}

// recovered is Recover, with a check of the records given to apply: the records of w above base, in
// order, with their chains.
func recovered(t tester, w *writer, base lineage.Position, segments []wal.Segment) (wal.Recovery, error) {
	t.Helper()
	next := base.Next()
	rec, err := wal.Recover(w.id, base, segments, func(r *record.Record, chain lineage.Chain) error {
		if r.Seq != next || chain != w.chains[next] {
			t.Fatalf("apply got record %d chain %x, want record %d chain %x", r.Seq, chain, next, w.chains[next])
		}
		next++
		return nil
	})
	if err == nil && (rec.End != w.position(next-1) || rec.Records != int(next-1-base.Seq)) {
		t.Fatalf("recovery ends at %v with %d records, but apply got %d..%d", rec.End, rec.Records, base.Next(), next-1)
	}
	return rec, err
}

// mustGoOn checks the duties of every successful recovery: a second one finds the same and nothing
// to repair, and a log that continues after it recovers whole.
func mustGoOn(t tester, w *writer, base lineage.Position, segments []wal.Segment, rec wal.Recovery) {
	t.Helper()
	if again, err := recovered(t, w, base, segments); err != nil || again.End != rec.End {
		t.Fatalf("recovery without repairs, again: %+v, %v; want end %v", again, err, rec.End)
	}
	files := repaired(t, segments, rec.Repairs)
	second, err := recovered(t, w, base, files)
	if err != nil || second.End != rec.End || second.Repairs != nil || second.Tail != rec.Tail || second.TailSize != rec.TailSize {
		t.Fatalf("recovery after repairs: %+v, %v; want that of %+v", second, err, rec)
	}
	if rec.Tail != "" && (files[len(files)-1].Name != rec.Tail || int64(len(files[len(files)-1].Data)) != rec.TailSize) {
		t.Fatalf("tail is %s of %d bytes, the last file is %s of %d", rec.Tail, rec.TailSize, files[len(files)-1].Name, len(files[len(files)-1].Data))
	}
	later := w.resume(files, rec, 99)
	later.append(3)
	if third, err := recovered(t, later, base, later.segments); err != nil || third.End != later.at || third.Repairs != nil {
		t.Fatalf("recovery after three more records: %+v, %v; want end %v", third, err, later.at)
	}
}
