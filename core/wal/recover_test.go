package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wal"
)

// last is the file that the writer was at.
func last(files []wal.Segment) *wal.Segment { return &files[len(files)-1] }

// outcome is a recovery or an error on one line, with sizes left out.
func outcome(rec wal.Recovery, err error) string {
	var damage *wal.CorruptError
	switch {
	case errors.As(err, &damage):
		return fmt.Sprintf("corrupt %s: %s", damage.Segment, damage.Reason)
	case err != nil:
		return "error: " + err.Error()
	}
	text := fmt.Sprintf("end %d synced %d tail %q", rec.End.Seq, rec.Synced, rec.Tail)
	for _, r := range rec.Repairs {
		if r.Keep == 0 {
			text += " remove " + r.Name
		} else {
			text += " cut " + r.Name
		}
	}
	return text
}

// Each case writes a log, changes its files, and states the outcome of recovery. The tests after
// the table go through whole ranges of damage.
var recoverCases = []struct {
	name   string
	script string
	base   lineage.Seq // the snapshot's, of this very log
	damage func(w *writer, files []wal.Segment) []wal.Segment
	want   string // the outcome, or its beginning if it ends in "..."
}{
	// Clean.
	{name: "nothing there", want: `end 0 synced 0 tail ""`, script: "sync"},
	{name: "clean", script: "append 3, sync, append 2", want: `end 5 synced 3 tail "3-1.seg"`},
	{name: "clean, three segments", script: "append 3, rotate, append 2, rotate, append 1", want: `end 6 synced 5 tail "3-6.seg"`},
	{name: "a header and nothing else is a good tail", script: "append 3, rotate", want: `end 3 synced 3 tail "3-4.seg"`},
	{name: "a record without a payload", script: "append 1", want: `end 1 synced 0 tail "3-1.seg"`},
	{name: "ten is after nine", script: "append 8, rotate, append 1, rotate, append 1", want: `end 10 synced 9 tail "3-10.seg"`},

	// Snapshots.
	{name: "snapshot inside a segment", script: "append 3, rotate, append 3", base: 4, want: `end 6 synced 4 tail "3-4.seg"`},
	{name: "snapshot at the end", script: "append 3, rotate, append 3", base: 6, want: `end 6 synced 6 tail "3-4.seg"`},
	{name: "snapshot and no segments", script: "append 3", base: 3,
		damage: func(*writer, []wal.Segment) []wal.Segment { return nil },
		want:   `end 3 synced 3 tail ""`},
	{name: "segments below the snapshot are gone", script: "append 3, rotate, append 3, rotate, append 1", base: 5,
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { return f[1:] },
		want:   `end 7 synced 6 tail "3-7.seg"`},
	{name: "all segments up to the snapshot are gone", script: "append 3, rotate, append 3", base: 3,
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { return f[1:] },
		want:   `end 6 synced 3 tail "3-4.seg"`},
	{name: "gap between snapshot and first segment", script: "append 5, rotate, append 1", base: 3,
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { return f[1:] },
		want:   `corrupt 3-6.seg: records 4..5 are missing: the log before goes up to record 3, the segment begins at record 6`},
	{name: "no snapshot and no first segment", script: "append 5, rotate, append 1",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { return f[1:] },
		want:   `corrupt 3-6.seg: records 1..5 are missing: the log before goes up to record 0, the segment begins at record 6`},
	{name: "log ends below the snapshot", script: "append 5", base: 5,
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			f[0].Data = f[0].Data[:w.frame(4).offset]
			return f
		},
		want: `corrupt 3-1.seg: the log ends at record 3, but the snapshot confirms record 5`},
	{name: "torn below the snapshot", script: "append 5", base: 5,
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			f[0].Data = f[0].Data[:w.frame(4).end()-1]
			return f
		},
		want: `corrupt 3-1.seg: malformed log data: frame: body of 112 bytes, of which 111 are there; the snapshot at record 5 confirms that record 4 was durable`},

	// Torn tails.
	{name: "last frame short by a byte", script: "append 3",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment {
			f[0].Data = f[0].Data[:len(f[0].Data)-1]
			return f
		},
		want: `end 2 synced 0 tail "3-1.seg" cut 3-1.seg`},
	{name: "zeros behind the last frame", script: "append 3",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment {
			f[0].Data = append(f[0].Data, make([]byte, 4096)...)
			return f
		},
		want: `end 3 synced 0 tail "3-1.seg" cut 3-1.seg`},
	{name: "zeros in place of the last frame", script: "append 2, sync, append 1",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			clear(f[0].Data[w.frame(3).offset:])
			return f
		},
		want: `end 2 synced 0 tail "3-1.seg" cut 3-1.seg`},
	{name: "first lost, second kept", script: "append 2, sync, append 2",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			clear(f[0].Data[w.frame(3).offset:w.frame(3).end()])
			return f
		},
		want: `end 2 synced 2 tail "3-1.seg" cut 3-1.seg`},
	{name: "first lost, second kept in its place", script: "append 2, sync, append 2",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			f[0].Data = append(f[0].Data[:w.frame(3).offset], f[0].Data[w.frame(4).offset:]...)
			return f
		},
		want: `end 2 synced 2 tail "3-1.seg" cut 3-1.seg`},
	{name: "length far past the end", script: "append 3",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			copy(f[0].Data[w.frame(3).offset+8:], "\xff\xff\xff\xff")
			return f
		},
		want: `end 2 synced 0 tail "3-1.seg" cut 3-1.seg`},
	{name: "frame of another tenant at the tail, whatever it confirms", script: "append 3",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment {
			other := newWriter(wal.Identity{Tenant: 8, Slot: 2, Placement: 1, Shard: 3})
			other.append(5)
			other.synced = 5
			other.append(1)
			f[0].Data = append(f[0].Data, other.segments[0].Data[other.frame(6).offset:]...)
			return f
		},
		want: `end 3 synced 0 tail "3-1.seg" cut 3-1.seg`},
	{name: "frame that follows another history", script: "append 3",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			other := newWriter(home)
			other.salt = 1
			other.append(4)
			f[0].Data = append(f[0].Data, other.segments[0].Data[other.frame(4).offset:]...)
			return f
		},
		want: `end 3 synced 0 tail "3-1.seg" cut 3-1.seg`},
	{name: "last file empty", script: "append 3, rotate",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { f[1].Data = nil; return f },
		want:   `end 3 synced 3 tail "3-1.seg" remove 3-4.seg`},
	{name: "last file's header torn", script: "append 3, rotate, append 2",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { clear(f[1].Data[:20]); return f },
		want:   `end 3 synced 3 tail "3-1.seg" remove 3-4.seg`},
	{name: "only file's header torn", script: "append 2",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { clear(f[0].Data[:20]); return f },
		want:   `end 0 synced 0 tail "" remove 3-1.seg`},
	{name: "header torn right after the snapshot", script: "append 3, rotate, append 2", base: 3,
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { clear(f[1].Data[:20]); return f[1:] },
		want:   `end 3 synced 3 tail "" remove 3-4.seg`},

	{name: "old blocks of the segment before where the last one begins", script: "append 3, rotate, append 2",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment {
			f[1].Data = slices.Clone(f[0].Data)
			return f
		},
		want: `end 3 synced 3 tail "3-1.seg" remove 3-4.seg`},
	{name: "old blocks of another tenant's segment where the last one begins", script: "append 3, rotate, append 2",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment {
			other := newWriter(wal.Identity{Tenant: 8, Slot: 2, Placement: 1, Shard: 3})
			other.append(5)
			f[1].Data = slices.Clone(other.segments[0].Data)
			return f
		},
		want: `end 3 synced 3 tail "3-1.seg" remove 3-4.seg`},
	{name: "old blocks of the segment before behind the last frame", script: "append 3, rotate, append 2",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment {
			f[1].Data = append(f[1].Data, f[0].Data[100:]...)
			return f
		},
		want: `end 5 synced 3 tail "3-4.seg" cut 3-4.seg`},
	{name: "old blocks where a segment in the middle begins", script: "append 3, rotate, append 2, rotate, append 1",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment {
			f[1].Data = slices.Clone(f[0].Data)
			return f
		},
		want: "corrupt 3-4.seg: the header says first record 1, the name says 4"},

	{name: "junk over the border of two frames joins nothing", script: "append 2, sync, append 2",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			for i := w.frame(3).end() - 30; i < w.frame(4).offset+60; i++ {
				f[0].Data[i] = byte(i * 7)
			}
			return f
		},
		want: `end 2 synced 0 tail "3-1.seg" cut 3-1.seg`},
	{name: "a hole that makes one frame of two joins nothing", script: "append 2, sync, append 6",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			from := w.frame(3).offset + 40 // record 3 begins, record 5 ends: both are signals or the like
			f[0].Data = append(f[0].Data[:from], f[0].Data[w.frame(5).offset+40:]...)
			return f
		},
		want: `end 2 synced 2 tail "3-1.seg" cut 3-1.seg`},
	{name: "a batch that lost one in its middle", script: "append 2, sync, append 5",
		damage: func(w *writer, f []wal.Segment) []wal.Segment { f[0].Data[w.frame(5).offset+50] ^= 1; return f },
		want:   `end 4 synced 2 tail "3-1.seg" cut 3-1.seg`},
	{name: "a batch without its end", script: "append 2, sync, append 5",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			f[0].Data = f[0].Data[:w.frame(6).end()]
			return f
		},
		want: `end 6 synced 2 tail "3-1.seg"`},
	{name: "the first batch torn together with the header", script: "append 3",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment {
			f[0].Data = f[0].Data[:wal.HeaderSize+70]
			clear(f[0].Data[30:])
			return f
		},
		want: `end 0 synced 0 tail "" remove 3-1.seg`},

	// Damage of durable bytes.
	{name: "damage that a later frame confirms", script: "append 3, sync, append 1",
		damage: func(w *writer, f []wal.Segment) []wal.Segment { f[0].Data[w.frame(2).offset+50] ^= 1; return f },
		want:   `corrupt 3-1.seg: malformed log data: frame: checksum is...`},
	{name: "damage above what a later frame confirms", script: "append 2, sync, append 3",
		damage: func(w *writer, f []wal.Segment) []wal.Segment { f[0].Data[w.frame(3).offset+50] ^= 1; return f },
		want:   `end 2 synced 2 tail "3-1.seg" cut 3-1.seg`},
	{name: "damage, and more damage, and then a confirmation", script: "append 4, sync, append 2",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			clear(f[0].Data[w.frame(3).offset:w.frame(5).end()])
			return f
		},
		want: `corrupt 3-1.seg: malformed log data: frame: magic is...`},
	{name: "damage, and the frame that would confirm it damaged too", script: "append 3, sync, append 1, sync, append 1",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			f[0].Data[w.frame(4).offset+50] ^= 1
			f[0].Data[w.frame(5).offset+50] ^= 1
			return f
		},
		want: `end 3 synced 0 tail "3-1.seg" cut 3-1.seg`},
	{name: "header damaged, its records confirmed", script: "append 3, rotate, append 2, sync, append 1",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { clear(f[1].Data[:20]); return f },
		want:   `corrupt 3-4.seg: malformed log data: segment header: magic is...`},
	{name: "header damaged below the snapshot", script: "append 3, rotate, append 2", base: 4,
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { clear(f[1].Data[:20]); return f },
		want:   `corrupt 3-4.seg: malformed log data: segment header: magic is...`},
	{name: "sealed segment cut at a record's end", script: "append 3, rotate, append 1",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			f[0].Data = f[0].Data[:w.frame(3).offset]
			return f
		},
		want: `corrupt 3-4.seg: records 3..3 are missing: the log before goes up to record 2, the segment begins at record 4`},
	{name: "zeros behind a sealed segment", script: "append 3, rotate, append 1",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment {
			f[0].Data = append(f[0].Data, make([]byte, 64)...)
			return f
		},
		want: `corrupt 3-1.seg: malformed log data: frame: magic is...`},
	{name: "sealed segment's header damaged", script: "append 3, rotate, append 1",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { f[0].Data[20] ^= 4; return f },
		want:   `corrupt 3-1.seg: malformed log data: segment header: checksum is...`},
	{name: "segment missing in the middle", script: "append 3, rotate, append 1, rotate, append 1",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { return []wal.Segment{f[0], f[2]} },
		want:   `corrupt 3-5.seg: records 4..4 are missing: the log before goes up to record 3, the segment begins at record 5`},
	{name: "two tails: an unsealed segment before the last", script: "append 3, rotate, append 2, rotate, append 1",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			f[1].Data = f[1].Data[:w.frame(5).end()-1]
			return f
		},
		want: `corrupt 3-4.seg: malformed log data: frame: body of...`},
	{name: "sealed segment empty", script: "append 3, rotate, append 2, rotate, append 1",
		damage: func(_ *writer, f []wal.Segment) []wal.Segment { f[1].Data = nil; return f },
		want:   `corrupt 3-4.seg: malformed log data: segment header: 0 bytes, want...`},
	{name: "segment that begins before the last one ends", script: "append 3",
		damage: func(w *writer, f []wal.Segment) []wal.Segment {
			h := wal.Header{Identity: home, First: 3, Before: w.chains[2]}
			return append(f, wal.Segment{Name: "3-3.seg", Data: wal.AppendHeader(nil, &h)})
		},
		want: `corrupt 3-3.seg: the segment begins at record 3, but the log before goes up to record 3`},
}

func TestRecover(t *testing.T) {
	for _, c := range recoverCases {
		t.Run(c.name, func(t *testing.T) {
			w := write(t, c.script)
			files, base := w.files(), w.position(c.base)
			if c.damage != nil {
				files = c.damage(w, files)
			}
			rec, err := recovered(t, w, base, files)
			got, want := outcome(rec, err), c.want
			if prefix, open := strings.CutSuffix(want, "..."); open && strings.HasPrefix(got, prefix) {
				want = got
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("outcome (-want +got):\n%s", diff)
			}
			if err == nil {
				mustGoOn(t, w, base, files, rec)
			}
		})
	}
}

// A header with a valid checksum was written as it is. If it belongs to another file, no crash
// explains it.
func TestRecoverRefusesForeignHeaders(t *testing.T) {
	w := write(t, "append 3, rotate, append 2")
	right := wal.Header{Identity: home, First: 4, Before: w.chains[3], Synced: 3}
	cases := []struct {
		change func(h *wal.Header)
		want   string
	}{
		{func(h *wal.Header) { h.Tenant = 8 }, "the header is of tenant 8 slot 2 placement 1 shard 3, the directory of tenant 7 slot 2 placement 1 shard 3"},
		{func(h *wal.Header) { h.Slot = 1 }, "the header is of tenant 7 slot 1 placement 1 shard 3, the directory of tenant 7 slot 2 placement 1 shard 3"},
		{func(h *wal.Header) { h.Placement = 2 }, "the header is of tenant 7 slot 2 placement 2 shard 3, the directory of tenant 7 slot 2 placement 1 shard 3"},
		{func(h *wal.Header) { h.Shard = 9 }, "the header is of tenant 7 slot 2 placement 1 shard 9, the directory of tenant 7 slot 2 placement 1 shard 3"},
		{func(h *wal.Header) { h.First = 5 }, "the header says first record 5, the name says 4"},
		{func(h *wal.Header) { h.Before = 1 }, fmt.Sprintf("the header says chain 0000000000000001 at record 3, the log before says %016x", uint64(w.chains[3]))},
	}
	for _, c := range cases {
		files := w.files()
		h := right
		c.change(&h)
		copy(files[1].Data, wal.AppendHeader(nil, &h))
		rec, err := recovered(t, w, lineage.Position{}, files)
		if diff := cmp.Diff("corrupt 3-4.seg: "+c.want, outcome(rec, err)); diff != "" {
			t.Errorf("outcome (-want +got):\n%s", diff)
		}
	}
}

// A sound frame must be of this slot and follow the record before in number and in chain. Otherwise
// it is a torn tail, unless the missing record is confirmed; a frame of this slot may itself
// confirm it.
func TestRecoverTakesOnlyTheRecordThatFollows(t *testing.T) {
	cases := []struct {
		name   string
		change func(r *record.Record)
		synced lineage.Seq
		want   string
	}{
		{"the right one", func(r *record.Record) {}, 2, `end 3 synced 2 tail "3-1.seg"`},
		{"another placement epoch is no matter", func(r *record.Record) { r.Placement = 9 }, 2, `end 3 synced 2 tail "3-1.seg"`},
		{"another tenant", func(r *record.Record) { r.Tenant = 8 }, 2, `end 2 synced 0 tail "3-1.seg" cut 3-1.seg`},
		{"another slot", func(r *record.Record) { r.Slot = 5 }, 2, `end 2 synced 0 tail "3-1.seg" cut 3-1.seg`},
		{"another chain", func(r *record.Record) { r.Prev++ }, 1, `end 2 synced 1 tail "3-1.seg" cut 3-1.seg`},
		{"a seq too far", func(r *record.Record) { r.Seq = 4 }, 2, `end 2 synced 2 tail "3-1.seg" cut 3-1.seg`},
		{"a seq again", func(r *record.Record) { r.Seq = 2 }, 1, `end 2 synced 1 tail "3-1.seg" cut 3-1.seg`},
		{"a seq too far that confirms the missing one", func(r *record.Record) { r.Seq = 4 }, 3,
			`corrupt 3-1.seg: record 4, want record 3; the frame of record 4 at offset 320 confirms records up to 3, so record 3 was durable`},
	}
	for _, c := range cases {
		w := write(t, "append 2")
		files := w.files()
		r := w.next()
		c.change(&r)
		var chain lineage.Chain
		files[0].Data, chain = wal.AppendFrame(files[0].Data, c.synced, &r)
		w.chains = append(w.chains, chain)
		rec, err := recovered(t, w, lineage.Position{}, files)
		if diff := cmp.Diff(c.want, outcome(rec, err)); diff != "" {
			t.Errorf("%s: outcome (-want +got):\n%s", c.name, diff)
		}
	}
}

// There is no history before the first record, even if a snapshot has one.
func TestRecoverRefusesAHistoryBeforeTheFirstRecord(t *testing.T) {
	w := newWriter(home)
	w.at.Chain = 5
	w.append(3)
	for _, base := range []lineage.Position{{}, w.position(2)} {
		rec, err := recovered(t, w, base, w.segments)
		want := "corrupt 3-1.seg: the header says chain 0000000000000005 at record 0, the log before says 0000000000000000"
		if diff := cmp.Diff(want, outcome(rec, err)); diff != "" {
			t.Errorf("snapshot at %d: outcome (-want +got):\n%s", base.Seq, diff)
		}
	}
}

func TestRecoverRefusesAFileNamedForAnotherShard(t *testing.T) {
	w := write(t, "append 3")
	files := w.files()
	files[0].Name = "4-1.seg"
	rec, err := recovered(t, w, lineage.Position{}, files)
	want := "corrupt 4-1.seg: the file is named for shard 4, the directory belongs to shard 3"
	if diff := cmp.Diff(want, outcome(rec, err)); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
}

// The snapshot and the log must tell the same history, at the record where they
// meet and where the log begins right behind the snapshot.
func TestRecoverRefusesASnapshotOfAnotherHistory(t *testing.T) {
	w := write(t, "append 3, rotate, append 3")
	for _, base := range []lineage.Seq{2, 3, 5} {
		for _, files := range [][]wal.Segment{w.segments, w.segments[1:]} {
			if base == 2 && len(files) == 1 {
				continue
			}
			_, err := wal.Recover(home, lineage.Position{Seq: base, Chain: 1}, files, func(*record.Record, lineage.Chain) error { return nil })
			if !errors.Is(err, wal.ErrCorrupt) || !strings.Contains(err.Error(), fmt.Sprintf("%016x", uint64(w.chains[base]))) || !strings.Contains(err.Error(), "0000000000000001") {
				t.Errorf("snapshot at %d, %d files: error is %v, want corruption that names both chains", base, len(files), err)
			}
		}
	}
}

func TestRecoverEndsWithTheErrorOfApply(t *testing.T) {
	w, full := write(t, "append 3"), errors.New("no room")
	calls := 0
	_, err := wal.Recover(home, lineage.Position{}, w.segments, func(r *record.Record, _ lineage.Chain) error {
		calls++
		if r.Seq == 2 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || errors.Is(err, wal.ErrCorrupt) || calls != 2 {
		t.Errorf("error is %v after %d calls, want %v after 2", err, calls, full)
	}
}

// Data of a newer version is not damage, confirmed or not: in a header, at the
// tail, and behind a torn frame.
func TestRecoverNeverCutsANewerVersion(t *testing.T) {
	w := write(t, "append 3, rotate, append 3")
	for _, p := range w.pieces {
		for _, torn := range []bool{false, true} {
			files := w.files()
			asNewer(files[p.segment].Data[p.offset:p.end()])
			if torn && p.seq == 6 {
				files[1].Data[w.frame(5).offset+40] ^= 1
			}
			rec, err := recovered(t, w, lineage.Position{}, files)
			if !errors.Is(err, wal.ErrVersion) || errors.Is(err, wal.ErrCorrupt) || !strings.Contains(err.Error(), files[p.segment].Name) {
				t.Errorf("record %d of a newer version: %s, want ErrVersion that names the segment", p.seq, outcome(rec, err))
			}
		}
	}
}

// A binary that is too old judges nothing, not even damage that lies before.
func TestRecoverReportsANewerVersionBeforeDamage(t *testing.T) {
	w := write(t, "append 3, rotate, append 3")
	files := w.files()
	files[0].Data[wal.HeaderSize+30] ^= 1
	asNewer(files[1].Data[:wal.HeaderSize])
	if rec, err := recovered(t, w, lineage.Position{}, files); !errors.Is(err, wal.ErrVersion) {
		t.Errorf("got %s, want ErrVersion", outcome(rec, err))
	}
}

func TestCorruptErrorSaysWhatWhereAndWhatToDo(t *testing.T) {
	err := error(&wal.CorruptError{Segment: "3-1.seg", Offset: 64, Reason: "bad weather"})
	want := "corrupt log: segment 3-1.seg at offset 64: bad weather; keep the files, fetch this slot from a replica or restore a backup"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(fmt.Errorf("slot 2: %w", err), wal.ErrCorrupt) {
		t.Error("a wrapped CorruptError is not ErrCorrupt")
	}
}

// For any place at which a crash cuts the written file, a prefix of the records remains, up to the
// end of one, and the log continues from there.
func TestEveryCutPoint(t *testing.T) {
	w := write(t, "append 4, rotate, append 3, rotate, append 5")
	for k := range w.segments {
		for size := range len(w.segments[k].Data) + 1 {
			files := w.files()[:k+1]
			files[k].Data = files[k].Data[:size]
			var want lineage.Seq
			for _, p := range w.pieces {
				if p.segment < k || (p.segment == k && p.end() <= size) {
					want = max(want, p.seq)
				}
			}
			rec, err := recovered(t, w, lineage.Position{}, files)
			if err != nil || rec.End.Seq != want {
				t.Fatalf("%s cut to %d bytes: %s, want end %d", files[k].Name, size, outcome(rec, err), want)
			}
			mustGoOn(t, w, lineage.Position{}, files, rec)
		}
	}
}

// A flipped bit is never returned as a record. In the confirmed part it is corruption at the end of
// the good records; above, it is a torn tail.
func TestEveryFlippedByte(t *testing.T) {
	w := write(t, "append 3, rotate, append 3, sync, append 2, sync, append 2")
	for k := range w.segments {
		for i := range w.segments[k].Data {
			files := w.files()
			files[k].Data[i] ^= 1 << (i % 8)
			expect(t, w, files, lineage.Position{})
		}
	}
}

// A disk loses whole sectors: one sector of the last record is zero, the rest of
// it is there.
func TestEveryZeroedSector(t *testing.T) {
	w := write(t, "append 12, sync, append 8")
	data := w.segments[0].Data
	for from := 0; from < len(data); from += 512 {
		files := w.files()
		clear(files[0].Data[from:min(from+512, len(data))])
		expect(t, w, files, lineage.Position{})
	}
	final := w.frame(20)
	for from := final.offset; from < final.end(); from++ {
		files := w.files()
		clear(files[0].Data[from:min(from+512, final.end())])
		expect(t, w, files, lineage.Position{})
	}
}

// expect compares a recovery with the rule. It knows the written bytes and which pieces were
// damaged.
func expect(t tester, w *writer, files []wal.Segment, base lineage.Position) {
	t.Helper()
	rec, err := recovered(t, w, base, files)
	first, corrupt, found := judge(w, base.Seq, files)
	switch {
	case !found:
		if err != nil || rec.End != w.at || rec.Repairs != nil {
			t.Fatalf("no damage: %s, want end %d and no repair", outcome(rec, err), w.at.Seq)
		}
	case corrupt:
		var e *wal.CorruptError
		if !errors.As(err, &e) || e.Segment != files[first.segment].Name || e.Offset != int64(first.offset) {
			t.Fatalf("damage of confirmed %+v: %s, want corruption there", first, outcome(rec, err))
		}
		return
	default:
		want := []wal.Repair{{Name: files[first.segment].Name, Keep: int64(first.offset)}}
		if err != nil || !cmp.Equal(want, rec.Repairs) || rec.CutBytes != int64(len(files[first.segment].Data)-first.offset) {
			t.Fatalf("damage of unconfirmed %+v: %s, repairs %v, want %v", first, outcome(rec, err), rec.Repairs, want)
		}
	}
	mustGoOn(t, w, base, files, rec)
}

// judge finds the first damaged piece and says whether it is confirmed: it lies
// before the last segment, or its record is one that the snapshot or a sound
// frame of the last segment confirms.
func judge(w *writer, base lineage.Seq, files []wal.Segment) (first piece, corrupt, found bool) {
	final := len(w.segments) - 1
	synced, previous, next := base, lineage.Seq(0), lineage.Seq(0)
	for _, p := range w.pieces {
		sound := bytes.Equal(files[p.segment].Data[p.offset:p.end()], w.segments[p.segment].Data[p.offset:p.end()])
		switch {
		case sound:
			if p.segment == final {
				synced = max(synced, p.synced)
			}
		case !found:
			first, found, next = p, true, previous+1
		}
		previous = max(previous, p.seq)
	}
	return first, found && (first.segment < final || next <= synced), found
}

// Bytes that a shorter record overwrites are gone: recovery has cut the rest of the torn record
// before, and it does not come back.
func TestShorterRecordAfterATornLongerOne(t *testing.T) {
	w := write(t, "append 4") // record 4 is a session; the one that takes its place has no payload
	files := w.files()
	files[0].Data[w.frame(4).offset] ^= 1
	rec, err := recovered(t, w, lineage.Position{}, files)
	if err != nil || rec.End.Seq != 3 {
		t.Fatalf("got %s, want end 3", outcome(rec, err))
	}
	later := w.resume(repaired(t, files, rec.Repairs), rec, 5)
	r := record.Record{Tenant: home.Tenant, Slot: home.Slot, Kind: record.EpochStart, Seq: 4, Prev: rec.End.Chain}
	data, chain := wal.AppendFrame(later.segments[0].Data, 3, &r)
	later.segments[0].Data, later.chains = data, append(later.chains, chain)
	rec, err = recovered(t, later, lineage.Position{}, later.segments)
	if err != nil || rec.End != (lineage.Position{Seq: 4, Chain: chain}) || rec.Repairs != nil {
		t.Errorf("got %s, want end 4, nothing to repair", outcome(rec, err))
	}
}

// Without the repair the torn bytes stay in front of the next append, and the records behind them
// are lost or in doubt. The repair is not optional.
func TestAppendingBehindATornTailIsNotALog(t *testing.T) {
	w := write(t, "append 3")
	files := w.files()
	files[0].Data = files[0].Data[:len(files[0].Data)-5]
	rec, err := recovered(t, w, lineage.Position{}, files)
	if err != nil || rec.End.Seq != 2 {
		t.Fatalf("got %s, want end 2", outcome(rec, err))
	}
	later := w.resume(files, rec, 1)
	later.append(1)
	later.synced = 3
	later.append(1)
	if rec, err := recovered(t, later, lineage.Position{}, later.segments); !errors.Is(err, wal.ErrCorrupt) {
		t.Errorf("got %s, want corruption", outcome(rec, err))
	}
}

// drawLog is a log of random appends, syncs and rotations, and a snapshot of it.
func drawLog(t *rapid.T) (*writer, lineage.Position) {
	w := newWriter(home)
	w.append(1)
	for range rapid.IntRange(0, 12).Draw(t, "steps") {
		switch rapid.IntRange(0, 4).Draw(t, "step") {
		case 0:
			w.rotateIfUsed()
		case 1:
			w.synced = w.at.Seq
		default:
			w.append(rapid.IntRange(1, 4).Draw(t, "records"))
		}
	}
	return w, w.position(lineage.Seq(rapid.Uint64Range(0, uint64(w.synced)).Draw(t, "snapshot")))
}

// rotateIfUsed rotates unless the segment is still empty: a name is used once.
func (w *writer) rotateIfUsed() {
	if len(last(w.segments).Data) > wal.HeaderSize {
		w.rotate()
	}
}

// Any set of damaged pieces, anywhere, gives the outcome of the rule.
func TestRecoverAgainstTheRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, base := drawLog(t)
		files := w.files()
		for range rapid.IntRange(0, 4).Draw(t, "damages") {
			p := rapid.SampledFrom(w.pieces).Draw(t, "piece")
			if b := files[p.segment].Data[p.offset:p.end()]; rapid.Bool().Draw(t, "zeros") {
				clear(b)
			} else {
				b[rapid.IntRange(0, p.size-1).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(t, "mask"))
			}
		}
		expect(t, w, files, base)
	})
}

// An honest crash: every byte below the last sync is as written, every sector
// above may be lost, and the file may end anywhere above. That is never
// corruption and never costs a durable record; several crashes neither.
func TestHonestCrashesLoseNothingDurable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, base := drawLog(t)
		for crash := range rapid.IntRange(1, 4).Draw(t, "crashes") {
			durable := w.synced
			files := crashed(t, w)
			rec, err := recovered(t, w, base, files)
			if err != nil || rec.End.Seq < durable {
				t.Fatalf("crash with %d records durable: %s", durable, outcome(rec, err))
			}
			mustGoOn(t, w, base, files, rec)
			w = w.resume(repaired(t, files, rec.Repairs), rec, uint64(crash+1))
			w.append(rapid.IntRange(0, 5).Draw(t, "more"))
		}
	})
}

// crashed is the files of w after a crash. Nothing of the last file is durable
// that is behind the last durable record, its header included.
func crashed(t *rapid.T, w *writer) []wal.Segment {
	files := w.files()
	s := last(files)
	from := durableBytes(w, s.Data)
	s.Data = s.Data[:rapid.IntRange(from, len(s.Data)).Draw(t, "size")]
	for at := from; at < len(s.Data); at = at - at%512 + 512 {
		if rapid.Bool().Draw(t, "lost") {
			clear(s.Data[at:min(at-at%512+512, len(s.Data))])
		}
	}
	return files
}

func durableBytes(w *writer, data []byte) int {
	var r record.Record
	durable := 0
	for at := wal.HeaderSize; at < len(data); {
		size, _, _, err := wal.DecodeFrame(data[at:], &r)
		if err != nil {
			panic(err)
		}
		at += size
		if r.Seq <= w.synced {
			durable = at
		}
	}
	return durable
}
