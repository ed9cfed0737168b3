package group_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/peer"
)

// After a restart of all members a shard recovers with any number of slots: a member reports its
// logs in parts, each within the size of a message.
func TestASurveyOfManySlotsTravelsInParts(t *testing.T) {
	// One message has room for this many logs, without their placement epochs.
	const oneMessage = peer.MaxTail / 48
	for _, slots := range []int{1, peer.MaxLogs, peer.MaxLogs + 1, oneMessage + 1} {
		w := newWorldOf(t, slots)
		w.run()
		w.openSession(0, slots-1)
		w.settle()
		w.apart(1)
		parts := 0
		w.held = func(m *message) bool {
			if m.Kind() == peer.KindSurveyed && m.from == 2 {
				parts++
			}
			return false
		}
		w.settle()
		if got := w.nodes[1].group.Role(); got != group.Leading {
			t.Fatalf("%d slots: node 1 is %s after all have told their logs", slots, got)
		}
		if want := (slots + peer.MaxLogs - 1) / peer.MaxLogs; parts != want {
			t.Errorf("%d slots: node 2 told of them in %d parts, want %d", slots, parts, want)
		}
		if l := w.nodes[1].logs[slots-1]; l.State().Sessions() != 1 {
			t.Errorf("%d slots: the session in the last slot is lost", slots)
		}
	}
}

// A part that is doubled, late or of an earlier set of logs is not counted: the leader
// begins to lead when it has been told of each log once.
func TestPartsOfASurveyCountOnceAndInOrder(t *testing.T) {
	const slots = peer.MaxLogs + 1
	w := newWorldOf(t, slots)
	w.run()
	w.settle()
	w.apart(1)
	w.held = func(m *message) bool { return m.Kind() == peer.KindSurveyed && m.from == 2 }
	w.settle()
	first := w.waiting(w.held)[0]
	again := func(change func(m *peer.Surveyed)) {
		m := as[peer.Surveyed](first)
		change(&m)
		for range 4 {
			w.hand(&message{from: 2, to: 1, bytes: m.Encode(nil)})
		}
		if got := w.nodes[1].group.Role(); got != group.Gathering {
			t.Fatalf("node 1 is %s after %d logs of %d", got, peer.MaxLogs, slots)
		}
	}
	again(func(*peer.Surveyed) {})
	again(func(m *peer.Surveyed) { m.First = peer.MaxLogs + 1 })
	again(func(m *peer.Surveyed) { m.First, m.Changes = peer.MaxLogs, m.Changes+1 })
	again(func(m *peer.Surveyed) { m.First, m.Size = 0, peer.MaxLogs-1 })
	w.held = nil
	w.settle()
	if got := w.nodes[1].group.Role(); got != group.Leading {
		t.Errorf("node 1 is %s after all parts", got)
	}
}
