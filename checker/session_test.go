package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
)

// asks begins a read at a level.
func (w *world) asks(client uint64, entity signal.Entity, level history.Level, bound int64) int {
	i := w.read(client, entity)
	w.hist.Ops[i].Level, w.hist.Ops[i].Bound = level, bound
	return i
}

// saw is a whole read at a session's level that is answered from seq.
func (w *world) saw(client uint64, entity signal.Entity, seq lineage.Seq) {
	w.answer(w.asks(client, entity, history.Session, 0), seq)
}

// token lets a node tell a client of a record in an epoch; request 0 is a read.
func (w *world) token(node uint32, request uint64, seq lineage.Seq, epoch lineage.ShardEpoch) {
	t := w.run.Tokens.Told()
	t.Tenant, t.Seq, t.Epoch, t.Node, t.At = home, seq, epoch, node, w.tick()
	if request > 0 {
		t.Op = signal.Operation{Session: 2, Request: request}
	}
}

func TestSession(t *testing.T) {
	judged(t, "session", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "only an operation", verdict: Held, make: func(w *world) { w.has(7, 5) }},
		{name: "no read", verdict: Undecided, why: "no read was answered", make: func(w *world) {
			w.wrote(7, 5)
			w.shared()
		}},
		{name: "its own, and never less", verdict: Held, make: func(w *world) {
			w.wrote(7, 5) // seq 3
			w.saw(7, 5, 3)
			w.wrote(8, 5) // seq 4
			w.saw(7, 5, 3)
			w.saw(7, 6, 4)
			w.saw(9, 5, 0)
		}},
		{name: "what was told after it began", verdict: Held, make: func(w *world) {
			i := w.asks(7, 5, history.Session, 0)
			w.wrote(7, 5)
			w.answer(i, 0)
		}},
		{name: "another slot's", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			i := w.asks(7, 5, history.Session, 0)
			w.hist.Ops[i].Slot = 1
			w.answer(i, 0)
			w.hist.Ops[i].State = signal.State{}
		}},
		{name: "a token names the epoch of its record, or none", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.saw(7, 5, 3)
			w.token(0, 0, 3, w.log().Entries[2].Record.Epoch)
			w.token(1, 0, 3, 0)
			w.token(1, 0, 0, 9)
			w.token(1, 0, 99, 9) // of answer-ahead
		}},
		{name: "a token names another epoch", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.saw(7, 5, 3)
			w.token(1, 0, 3, w.log().Entries[2].Record.Epoch+4)
		}, want: []string{
			"wrong-epoch [] 8 ms: tenant 2 slot 0: at 8 ms node 1 told a client of seq 3 in epoch 4, and the record was written in epoch 0",
		}},
		{name: "it does not see its own", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.saw(7, 6, 2)
		}, want: []string{
			"went-back [1] 7 ms: read #1 of client 7 (tenant 2 slot 0, entity 6) was answered at 7 ms from seq 2, and its client had been told of seq 3 before it began, at 6 ms",
		}},
		{name: "it sees less than before", verdict: Violated, make: func(w *world) {
			w.wrote(8, 5)
			w.saw(7, 6, 3)
			w.saw(7, 5, 2)
		}, want: []string{
			"went-back [2] 9 ms: read #2 of client 7 (tenant 2 slot 0, entity 5) was answered at 9 ms from seq 2, and its client had been told of seq 3 before it began, at 8 ms",
		}},
		{name: "a linearizable answer counts as told", verdict: Violated, make: func(w *world) {
			w.wrote(8, 5)
			w.has(7, 5)
			w.saw(7, 5, 2)
		}, want: []string{
			"went-back [2] 9 ms: read #2 of client 7 (tenant 2 slot 0, entity 5) was answered at 9 ms from seq 2, and its client had been told of seq 3 before it began, at 8 ms",
		}},
		{name: "old, within the bound", verdict: Held, make: func(w *world) {
			w.wrote(8, 5) // acknowledged at 5 ms
			w.answer(w.asks(7, 5, history.Bounded, ms), 2)
		}},
		{name: "older than the bound", verdict: Violated, make: func(w *world) {
			w.wrote(8, 5) // acknowledged at 5 ms
			w.tick()
			w.answer(w.asks(7, 5, history.Bounded, ms), 2)
		}, want: []string{
			"too-old [1] 8 ms: read #1 of client 7 (tenant 2 slot 0, entity 5) was answered at 8 ms from seq 2; seq 3 had been acknowledged before 6 ms, and it may be 1 ms old",
		}},
		{name: "older than the bound, by a clock that runs slow", verdict: Held, make: func(w *world) {
			w.run.SlowPPM = 500_000
			w.wrote(8, 5)
			w.tick()
			w.answer(w.asks(7, 5, history.Bounded, ms), 2)
		}},
		{name: "older than the bound, by a clock that stands", verdict: Held, make: func(w *world) {
			w.run.SlowPPM = 1_000_000
			w.wrote(8, 5)
			w.clock += 1000 * ms
			w.answer(w.asks(7, 5, history.Bounded, ms), 2)
		}},
		{name: "another slot's change", verdict: Held, make: func(w *world) {
			i := w.wrote(8, 5)
			w.hist.Ops[i].Slot = 1
			w.tick()
			w.answer(w.asks(7, 5, history.Bounded, ms), 2)
		}},
		{name: "a state that the log does not add up to", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			for _, level := range []history.Level{history.Session, history.Bounded, history.Linearizable} {
				i := w.asks(8, 5, level, ms)
				w.answer(i, 3)
				w.hist.Ops[i].State.LastSeq = 2
			}
		}, want: []string{
			"answer-wrong [1] 7 ms: read #1 of client 8 (tenant 2 slot 0, entity 5) was answered at 7 ms from seq 3, where the log adds up to something else: last seq 2, want 3",
			"answer-wrong [2] 9 ms: read #2 of client 8 (tenant 2 slot 0, entity 5) was answered at 9 ms from seq 3, where the log adds up to something else: last seq 2, want 3",
			"answer-wrong [3] 11 ms: read #3 of client 8 (tenant 2 slot 0, entity 5) was answered at 11 ms from seq 3, where the log adds up to something else: last seq 2, want 3",
		}},
		{name: "an entity that was deleted", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.done(w.remove(7, 5))
			w.saw(8, 5, 3)
			w.saw(8, 5, 4)
		}},
		{name: "a position that is not there", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.saw(8, 5, 3)
			w.hist.Ops[1].Seq = 4
		}, want: []string{
			"answer-ahead [1] 7 ms: read #1 of client 8 (tenant 2 slot 0, entity 5) was answered at 7 ms from seq 4, and the final log ends at seq 3",
		}},
	})
}
