package group

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// For any sequence of appends, the time of a record that a replica may lack is never too late, and
// too early by at most a millisecond or an eighth of its age. Few marks are kept.
func TestMarksAreNearlyExact(t *testing.T) {
	longest := 0
	rapid.Check(t, func(t *rapid.T) {
		var m marks
		now := env.Time(rapid.Int64Range(0, int64(env.Second)).Draw(t, "start"))
		m.begin(now)
		first, appended := lineage.Seq(rapid.Uint64Range(1, 1000).Draw(t, "first")), []env.Time{}
		everywhere := first - 1
		pace := rapid.SampledFrom([]env.Duration{0, env.Microsecond, env.Millisecond, env.Second}).Draw(t, "pace")
		for range rapid.IntRange(300, 900).Draw(t, "batches") {
			now = now.Add(env.Duration(rapid.Int64Range(int64(pace)/8, int64(pace)).Draw(t, "time")))
			m.add(first+lineage.Seq(len(appended)), now)
			for range rapid.IntRange(1, 3).Draw(t, "records") {
				appended = append(appended, now)
			}
			if rapid.IntRange(0, 400).Draw(t, "forget") == 400 {
				everywhere = lineage.Seq(rapid.Uint64Range(uint64(everywhere), uint64(first)+uint64(len(appended))-1).Draw(t, "everywhere"))
				m.forget(everywhere)
			}
			longest = max(longest, len(m.list))
			if len(m.list) > maxMarks || !slices.IsSortedFunc(m.list, func(a, b mark) int { return int(a.seq) - int(b.seq) }) {
				t.Fatalf("%d marks: %v", len(m.list), m.list)
			}
		}
		now = now.Add(env.Duration(rapid.Int64Range(0, int64(env.Second)).Draw(t, "later")))
		for seq := everywhere + 1; seq < first+lineage.Seq(len(appended)); seq++ {
			was := appended[seq-first]
			if got := m.of(seq); got > was || was.Sub(got) > max(now.Sub(was)/8, env.Millisecond) {
				t.Fatalf("record %d of %d..%d was appended at %d, said to be at %d; now is %d: %v", seq, everywhere+1, int(first)+len(appended)-1, was, got, now, m.list)
			}
		}
	})
	if longest < maxMarks {
		t.Errorf("at most %d marks were kept, want that %d are too many", longest, maxMarks)
	}
}

// Of records that were there when the leader began, and of those that everybody had once, it
// is known that they are as old as that.
func TestMarksBegin(t *testing.T) {
	var m marks
	m.begin(100)
	for seq := lineage.Seq(1); seq < 5; seq++ {
		if got := m.of(seq); got != 100 {
			t.Errorf("record %d was there, and is said to be of %d", seq, got)
		}
	}
	m.add(5, 200)
	m.add(7, 200) // of the same instant
	m.add(9, 300)
	for seq, want := range map[lineage.Seq]env.Time{4: 100, 5: 200, 8: 200, 9: 300, 20: 300} {
		if got := m.of(seq); got != want {
			t.Errorf("record %d is said to be of %d, want %d", seq, got, want)
		}
	}
	m.forget(8)
	if got := m.of(9); got != 300 {
		t.Errorf("record 9 is said to be of %d, want 300", got)
	}
	if got := m.of(3); got < 100 { // later than it was
		t.Errorf("record 3 is said to be of %d", got)
	}
	m.begin(400)
	if got := m.of(9); got != 400 {
		t.Errorf("of what was before nothing is known, and record 9 is said to be of %d", got)
	}
}
