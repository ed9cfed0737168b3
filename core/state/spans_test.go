package state_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/state"
)

// epochs is a slot in which so many leaders wrote two records each.
func epochs(n int) *log {
	l := newLog()
	for i := range n {
		l.fold(record.Record{Kind: record.EpochStart, Placement: 1, Epoch: lineage.ShardEpoch(i + 1)})
		e := put(1)
		e.Placement, e.Epoch = 1, lineage.ShardEpoch(i+1)
		l.fold(e)
	}
	return l
}

// A snapshot has the spans: a replica that begins from it names the lineage of each record
// that the log names it for, and of an older one says that it is not known.
func TestALineageIsRightOrNotKnown(t *testing.T) {
	for _, leaders := range []int{1, 2, state.MaxSpans, state.MaxSpans + 1, 3 * state.MaxSpans} {
		l := epochs(leaders)
		restored, err := state.Decode(l.slot.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		forgotten := max(0, leaders-state.MaxSpans)
		for i := range l.records {
			r := &l.records[i]
			want := r.Lineage()
			if int(r.Epoch) <= forgotten {
				want = lineage.Lineage{}
			}
			for _, s := range []*state.Slot{l.slot, restored} {
				if got := s.LineageAt(r.Seq); got != want {
					t.Fatalf("%d leaders: record %d of %v is said to be of %v", leaders, r.Seq, r.Lineage(), got)
				}
				if last, known := s.LastOf(r.Lineage()); known != want.Known() || known && last != lineage.Seq(2*r.Epoch) {
					t.Fatalf("%d leaders: the last record of %v is said to be %d, %t", leaders, r.Lineage(), last, known)
				}
			}
		}
		end := l.slot.Position.Seq
		if got := l.slot.LineageAt(end + 1); got.Known() || l.slot.LineageAt(0).Known() {
			t.Errorf("%d leaders: record %d, which is not there, is said to be of %v", leaders, end+1, got)
		}
	}
}
