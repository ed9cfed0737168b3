package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wal"
)

// segmentsIn returns what is in dir, ascending by first seq.
func segmentsIn(t *testing.T, dir string) []wal.Segment {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []wal.Segment
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, wal.Segment{Name: e.Name(), Data: data})
	}
	slices.SortFunc(found, func(a, b wal.Segment) int {
		_, first, _ := wal.ParseSegmentName(a.Name)
		_, second, _ := wal.ParseSegmentName(b.Name)
		return int(first) - int(second)
	})
	return found
}

func recovered(t *testing.T, dir string) wal.Recovery {
	t.Helper()
	out, err := wal.Recover(identity, lineage.Position{}, segmentsIn(t, dir), func(*record.Record, lineage.Chain) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Segments of 16 KiB hold 130 signals: the batches rotate several times, end inside
// of what was zeroed ahead, and once are longer than that.
var batchSizes = []int{1, 8, 128, 1, 1, 40, 100, 3, 128, 7}

const smallSegment = 16 << 10

func TestWhatOurLogAcknowledgesIsRecoveredAfterAKill(t *testing.T) {
	for _, ahead := range []int{0, 4 << 10, 64 << 10} {
		dir := t.TempDir()
		l, err := newOurLog(dir, smallSegment, ahead)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range batchSizes {
			if err := l.Append(n); err != nil {
				t.Fatal(err)
			}
			out := recovered(t, dir) // as if the process had died here
			if out.End != l.end || out.CutBytes != l.zeroed-l.size {
				t.Fatalf("%d ahead: recovery ends at %v and cuts %d bytes, want %v and %d", ahead, out.End, out.CutBytes, l.end, l.zeroed-l.size)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if out := recovered(t, dir); out.End != l.end || out.Repairs != nil {
			t.Errorf("%d ahead: after the close recovery ends at %v with repairs %v", ahead, out.End, out.Repairs)
		}
		if n := len(segmentsIn(t, dir)); n < 3 {
			t.Errorf("%d ahead: only %d segments; the test rotates too little", ahead, n)
		}
	}
}

func TestWhatHostDiskAcknowledgesIsRecovered(t *testing.T) {
	dir := t.TempDir()
	l, err := newHostLog(dir, smallSegment, smallSegment)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range batchSizes {
		if err := l.Append(n); err != nil {
			t.Fatal(err)
		}
		if out := recovered(t, dir); out.End != l.end {
			t.Fatalf("recovery ends at %v, want %v", out.End, l.end)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPeersStoreEveryEntry: a contender that wrote less would win.
func TestPeersStoreEveryEntry(t *testing.T) {
	for _, c := range contenders(0, 0) {
		if !c.peer {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			e, err := c.open(dir, smallSegment)
			if err != nil {
				t.Fatal(err)
			}
			want := 0
			for _, n := range batchSizes {
				if err := e.Append(n); err != nil {
					t.Fatal(err)
				}
				want += n
				if got := stored(t, dir); got != want {
					t.Fatalf("after a batch of %d: %d entries are in the files, want %d", n, got, want)
				}
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// stored counts the payloads in the files under dir.
func stored(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		n += bytes.Count(data, payload)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEntriesAreEquallyLong(t *testing.T) {
	var c encoder
	if got := len(c.batch(10)); got != 10*(wal.FrameOverhead+len(payload)) {
		t.Errorf("ten frames are %d bytes, want payloads of %d", got, len(payload))
	}
}

// counting is an engine that remembers batches, and fails from one on.
type counting struct {
	batches []int
	failAt  int
}

var errBroken = errors.New("broken")

func (c *counting) Append(n int) error {
	c.batches = append(c.batches, n)
	if c.failAt > 0 && len(c.batches) >= c.failAt {
		return errBroken
	}
	return nil
}

func (c *counting) Close() error { return nil }

func TestGroupCommitTakesWhatWaits(t *testing.T) {
	asked := make(chan waiter, 2*maxGroup)
	waiters := make([]waiter, maxGroup+10)
	for i := range waiters {
		waiters[i] = make(waiter, 1)
		asked <- waiters[i]
	}
	close(asked)
	e := &counting{failAt: 2}
	commit(e, asked)
	if !slices.Equal(e.batches, []int{maxGroup, 10}) {
		t.Errorf("batches of %v", e.batches)
	}
	for i, w := range waiters {
		want := error(nil)
		if i >= maxGroup {
			want = errBroken
		}
		if got := <-w; got != want {
			t.Fatalf("writer %d is told %v, want %v", i, got, want)
		}
	}
}

func TestDriveMeasuresEveryAcknowledgement(t *testing.T) {
	e := &counting{}
	took, err := drive(e, 8, 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	for _, n := range e.batches {
		written += n
	}
	if len(took) != written || written < 8 {
		t.Errorf("%d acknowledgements of %d signals", len(took), written)
	}
	if _, err := drive(&counting{failAt: 3}, 8, time.Second); err != errBroken {
		t.Errorf("a log that breaks ends with %v", err)
	}
}

func TestTurnsAreFair(t *testing.T) {
	all := make([]*runner, 5)
	for i := range all {
		all[i] = &runner{}
	}
	first, last := map[*runner]int{}, map[*runner]int{}
	for round := range 2 * len(all) {
		var order []*runner
		inTurn(all, round, func(r *runner) error { order = append(order, r); return nil })
		first[order[0]]++
		last[order[len(order)-1]]++
	}
	for i, r := range all {
		if first[r] != 2 || last[r] != 2 {
			t.Errorf("runner %d is first %d times and last %d times in ten rounds of five", i, first[r], last[r])
		}
	}
}

func TestRatiosAreOfOneRound(t *testing.T) {
	// The machine was ten times slower in the second round; theirs takes twice ours.
	ours, theirs := []time.Duration{10, 100, 12}, []time.Duration{20, 200, 24}
	if got := paired(theirs, ours); got != 2 {
		t.Errorf("the ratio is %v, want 2", got)
	}
	if got := percentile([]time.Duration{5, 1, 4, 2, 3}, 50); got != 3 {
		t.Errorf("the median is %d, want 3", got)
	}
}

// BenchmarkAppend is for profiles of one log alone; for comparisons run the command.
func BenchmarkAppend(b *testing.B) {
	for _, c := range contenders(256<<10, 0) {
		for _, n := range []int{1, 128} {
			b.Run(fmt.Sprintf("%s/batch=%d", c.name, n), func(b *testing.B) { appendAlone(b, &c, n) })
		}
	}
}

func appendAlone(b *testing.B, c *contender, n int) {
	e, err := c.open(b.TempDir(), 64<<20)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := e.Append(n); err != nil {
			b.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkEncode is our share of it that is no system call.
func BenchmarkEncode(b *testing.B) {
	var c encoder
	for b.Loop() {
		c.batch(128)
	}
}
