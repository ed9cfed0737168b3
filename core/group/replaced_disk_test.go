package group_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
)

// A node with a replaced disk starts again before any other node has missed it. It is not the
// member that the others count on, and refuses that member's duties.
func TestAReplacedDiskIsNotTheMember(t *testing.T) {
	w := serving(t)
	w.nodes[0].mustWrite(0, 1, 2)
	w.settle()
	if got := w.nodes[0].acked(); len(got) != 2 {
		t.Fatalf("acknowledged: %v", got)
	}
	end := w.nodes[0].logs[0].End().Seq
	old := w.nodes[1].self()
	w.kill(1)
	w.lose(with(1))
	n := w.nodes[1]
	n.files, n.epoch = map[string][]byte{}, 0
	n.start()
	w.appearElsewhere(1)
	// Before it has fetched anything the leader is gone.
	w.held = func(m *message) bool { return m.from == 0 || m.to == 0 }
	w.nodes[0].deaf = true
	for _, m := range []control.Member{old, n.self()} {
		if got := w.do(control.Command{Kind: control.Elect, Member: m}); got.Holds() {
			t.Fatalf("%v is promoted", m)
		}
	}
	w.elect(2)
	for range 30 {
		for _, n := range w.nodes[1:] {
			n.propose()
		}
		w.tick(20 * env.Millisecond)
	}
	if got := n.logs[0].End().Seq; w.config().Leader.Node != 2 || got < end || w.config().IsInSync(old) {
		t.Errorf("records up to %d were acknowledged; node 1 has %d:\n%v", end, got, w)
	}
}
