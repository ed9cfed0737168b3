package group_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// A leader that begins from a snapshot answers a repeated request with the epoch in which the
// record was written. A session that shows this token to another replica does not get TokenLost.
func TestARepeatedAnswerNamesTheEpochOfItsRecord(t *testing.T) {
	w := newWorld(t)
	w.constants.SnapshotEvery = 150
	for _, n := range w.nodes {
		n.files = map[string][]byte{}
		n.incarnation--
		n.start()
	}
	w.run()
	w.openSession(0, 0)
	w.settle()
	w.nodes[0].mustWrite(0, 1) // in epoch 1
	w.settle()
	at := w.nodes[0].logs[0].End().Seq
	w.elect(1)
	w.settle()
	w.nodes[1].mustWrite(0, 2, 3)
	w.settle()
	w.restart(0) // it begins from its snapshot, which has the record of epoch 1
	w.settle()
	w.wishes()
	w.elect(0)
	w.settle()
	l := w.nodes[0]
	again := wire.Message{Kind: wire.Write, Placement: 1, Session: session, Request: 1, Floor: 1, Signal: signal.Signal{Entity: 1, Weight: 1, Kind: 1}}
	out := l.logs[0].Admit(l, client, &again)
	token := wire.Token{Epoch: l.logs[0].EpochAt(out.Seq), Seq: out.Seq}
	if out.Seq != at || token.Epoch != 1 {
		t.Errorf("record %d of epoch 1 is told again as record %d of epoch %d", at, out.Seq, token.Epoch)
	}
	for _, n := range w.nodes {
		if code := n.read(0, 1, wire.Session, token, 0); code == wire.TokenLost {
			t.Errorf("node %d: a session that has seen record %d is told that it is lost", n.id, out.Seq)
		}
	}
}
