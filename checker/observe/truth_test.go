package observe

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/lineage"
)

// A list reaches in a window the values that it reaches at its instants.
func TestWithin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []Extent
		at := int64(0)
		for range rapid.IntRange(0, 8).Draw(t, "entries") {
			at += rapid.Int64Range(0, 3).Draw(t, "later")
			list = append(list, Extent{at, lineage.Seq(rapid.Uint64Range(0, 5).Draw(t, "seq"))})
		}
		from := rapid.Int64Range(0, at+2).Draw(t, "from")
		to := from + rapid.Int64Range(0, 6).Draw(t, "span")
		reached := func(at int64) (seq lineage.Seq) {
			for _, e := range list {
				if e.At <= at {
					seq = e.Seq
				}
			}
			return seq
		}
		least, most := reached(from), reached(from)
		for _, e := range list { // of several entries of one instant each counts
			if e.At > from && e.At <= to {
				least, most = min(least, e.Seq), max(most, e.Seq)
			}
		}
		if gotLeast, gotMost := Within(list, from, to); gotLeast != least || gotMost != most {
			t.Fatalf("%v within %d..%d: %d to %d, want %d to %d", list, from, to, gotLeast, gotMost, least, most)
		}
	})
}

func TestTrackOfALeader(t *testing.T) {
	var h Health
	k := h.Track(1, 2, 3, 4)
	k.Refuse(1, 5) // it does not lead
	k.Lead(7, 20, 10)
	k.Serve(12)
	k.Serve(13) // once is enough
	k.Append(21, 14)
	k.Refuse(1, 15)
	k.Refuse(3, 16)
	k.Lead(9, 21, 20)
	k.Refuse(2, 25)
	if again := h.Track(1, 2, 3, 4); len(again.Leads) != 2 || h.TrackOf(1, 2, 4) != nil || h.TrackOf(0, 2, 3) != nil {
		t.Error("a track is of one node and one slot")
	}
	if diff := gocmp.Diff([]Lead{{7, 10, 20, 12}, {9, 20, 21, 0}}, k.Leads); diff != "" {
		t.Error(diff)
	}
	if diff := gocmp.Diff([]Extent{{10, 20}, {14, 21}, {20, 21}}, k.Ends); diff != "" {
		t.Error(diff)
	}
	if lead := k.LeadOf(9); lead == nil || lead.At != 20 || k.LeadOf(8) != nil {
		t.Errorf("led in epoch 9 since %v, and in 8 since %v", lead, k.LeadOf(8))
	}
	for _, c := range []struct {
		epoch lineage.ShardEpoch
		at    int64
		want  [3]uint64
	}{
		{7, 9, [3]uint64{}}, {7, 14, [3]uint64{}}, {7, 15, [3]uint64{1, 0, 0}}, {7, 16, [3]uint64{1, 0, 1}}, {7, 30, [3]uint64{1, 0, 1}},
		{9, 16, [3]uint64{}}, {9, 20, [3]uint64{}}, {9, 25, [3]uint64{0, 1, 0}}, {8, 30, [3]uint64{}},
	} {
		if got := k.TallyAt(c.epoch, c.at); got != c.want {
			t.Errorf("refused in epoch %d up to %d: %v, want %v", c.epoch, c.at, got, c.want)
		}
	}
}

func TestTrackOfAFollower(t *testing.T) {
	var h Health
	k := h.Track(1, 2, 3, 4)
	for _, e := range []Extent{{1, 0}, {2, 5}, {3, 5}, {4, 3}} {
		k.Persist(e.Seq, e.At)
	}
	if diff := gocmp.Diff([]Extent{{1, 0}, {2, 5}, {4, 3}}, k.Durable); diff != "" {
		t.Error(diff)
	}
}

func TestReportsThatArrive(t *testing.T) {
	var h Health
	a, b := Process{Node: 1, Incarnation: 1}, Process{Node: 2, Incarnation: 5}
	r := h.AddReport(a, 1, 10, 100)
	r.Copy(3).Bytes = 7
	r.Copy(3).Waits = 1
	h.AddReport(a, 2, 20, 200)
	h.Delivered(b, a, 1, 21)
	h.Delivered(b, a, 3, 22) // the observer has not seen it leave
	h.Delivered(b, b, 1, 23)
	h.Delivered(a, a, 2, 24)
	if diff := gocmp.Diff([]Delivery{{b, 0, 21}, {a, 1, 24}}, h.Deliveries); diff != "" {
		t.Error(diff)
	}
	if got := h.Reports[0].Of(3); got != (Copy{3, 7, 1}) || h.Reports[0].Of(4) != (Copy{Shard: 4}) {
		t.Errorf("shard 3 takes %+v, and shard 4 %+v", got, h.Reports[0].Of(4))
	}
}

func TestHowFarTheMetaLogIs(t *testing.T) {
	var h Health
	for at, index := range []uint64{4, 4, 9, 7, 9} {
		h.Reached(index, int64(at))
	}
	h.LedBy(2)
	h.LedBy(2)
	if diff := gocmp.Diff([]Applied{{0, 4}, {2, 9}}, h.Applied); diff != "" || len(h.Led) != 1 {
		t.Error(diff, h.Led)
	}
}

// Reports of an earlier run are not seen again, and reports beyond the bound are counted.
func TestTellingsBeginEmpty(t *testing.T) {
	var run Run
	for range 2 {
		for i := range maxTellings + 3 {
			told := run.Health.AddTelling()
			if i >= maxTellings {
				if told != nil {
					t.Fatalf("telling %d is kept", i)
				}
				continue
			}
			if len(told.Nodes)+len(told.Shards)+len(told.Tenants)+len(told.Objects)+len(told.Regions) > 0 {
				t.Fatalf("telling %d has something of an earlier run: %+v", i, told)
			}
			s, n, x := told.AddShard(), told.AddTenant(2), told.AddObject(NodeObject, 1, 3)
			if len(s.Replicas)+len(s.InSync)+len(x.Numbers) > 0 || n.Slots[0] != (ToldSlot{}) || n.Slots[1] != (ToldSlot{}) {
				t.Fatalf("telling %d has rows of an earlier run", i)
			}
			s.Replicas, s.InSync = append(s.Replicas, ToldReplica{}), append(s.InSync, Process{})
			n.Slots[0].Age, x.Numbers = Is(1), append(x.Numbers, 1)
			told.AddNode().ID = 1
		}
		if run.Health.More != 3 {
			t.Errorf("%d tellings are too many, want 3", run.Health.More)
		}
		run.Reset()
	}
}
