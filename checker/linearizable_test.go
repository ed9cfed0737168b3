package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

func TestLinearizable(t *testing.T) {
	search := Options{Porcupine: true}
	judged(t, "linearizable", []given{
		{name: "reads see what was acknowledged before them", options: search, verdict: Held, make: func(w *world) {
			w.has(8, 5)
			w.wrote(7, 5)
			w.has(8, 5)
			w.wrote(7, 6)
			w.has(8, 5)
		}},
		{name: "a read beside a write may see it or not", options: search, verdict: Held, make: func(w *world) {
			i, before, after := w.write(7, 5), w.read(8, 5), w.read(9, 5)
			seq := w.apply(i)
			w.answer(before, 0)
			w.answer(after, seq)
			w.ack(i, seq)
		}},
		{name: "an unresolved write is seen from some instant on", options: search, verdict: Held, make: func(w *world) {
			i := w.write(7, 5)
			w.has(8, 5)
			w.apply(i)
			w.has(8, 5)
			w.end(i, history.Unknown, "deadline")
			w.has(8, 5)
		}},
		{name: "an unresolved write may take effect after the client gave up", options: search, verdict: Held, make: func(w *world) {
			i := w.write(7, 5)
			w.end(i, history.Unknown, "deadline")
			w.has(8, 5)
			w.apply(i)
			w.has(8, 5)
		}},
		{name: "unresolved writes and reads that nobody saw are dropped", options: search, verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.write(7, 5)
			w.end(w.read(8, 5), history.Unknown, "deadline")
		}},
		{name: "creation and deletion", options: search, verdict: Held, make: func(w *world) {
			w.done(w.put(7, 5))
			w.has(8, 5)
			w.done(w.put(7, 5)) // nothing happens
			w.wrote(7, 5)
			w.wrote(7, 6)
			w.has(8, 5)
			w.done(w.remove(7, 5))
			w.has(8, 5)
			w.done(w.remove(7, 5)) // nothing happens
			w.wrote(7, 5)
			w.has(8, 5)
		}},
		{name: "a read beside a deletion may see it or not", options: search, verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			i, before, after := w.remove(7, 5), w.read(8, 5), w.read(9, 5)
			seq := w.apply(i)
			w.answer(before, 3)
			w.answer(after, seq)
			w.ack(i, seq)
		}},
		{name: "an unresolved deletion is seen from some instant on", options: search, verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			i := w.remove(7, 5)
			w.end(i, history.Unknown, "deadline")
			w.has(8, 5)
			w.apply(i)
			w.has(8, 5)
		}},
		{name: "what was deleted needs no explanation", options: search, verdict: Held, make: func(w *world) {
			w.append(&record.Record{Kind: record.Signal, Client: 2, Request: 99, Signal: signal.Signal{Entity: 5, Weight: 1}})
			w.done(w.remove(7, 5))
			w.has(8, 5)
		}},
		{name: "what changes nothing needs no explanation", options: search, verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.append(&record.Record{Kind: record.EntityPut, Client: 2, Request: 99, Entity: 5})
			w.append(&record.Record{Kind: record.EntityDelete, Client: 2, Request: 98, Entity: 6})
			w.has(8, 5)
			w.has(8, 6)
		}},
		{name: "nothing answered", verdict: Undecided, why: "no operation was answered", make: func(w *world) { w.write(7, 5) }},
		{name: "the budget runs out", options: Options{Porcupine: true, StepBudget: 1}, verdict: Undecided,
			why: "the search of tenant 2 slot 0 entity 5 ran out of its budget", make: func(w *world) {
				w.wrote(7, 5)
				w.wrote(7, 5)
			}},
		{name: "too many clients to search, but the witness holds", options: search, verdict: Held,
			why: "1 partitions of more than 2000 operations or 16 clients were not searched", make: func(w *world) {
				open := w.write(99, 5)
				for client := range uint64(16) {
					w.wrote(client, 5)
				}
				w.done(open)
			}},
		{name: "a read that began before the write that it sees", options: search, verdict: Held, make: func(w *world) {
			read := w.read(8, 5)
			w.wrote(7, 5)
			w.answer(read, w.log().End().Seq)
		}},
		{name: "however many clients take turns, they have one order", options: search, verdict: Held, make: func(w *world) {
			for client := range uint64(17) {
				w.wrote(client, 5)
			}
		}},

		{name: "stale read", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.answer(w.read(8, 5), 2)
		}, want: []string{
			"stale-read [0 1] 6 ms: read #1 of client 8 (tenant 2 slot 0, entity 5) began at 6 ms and saw seq 0, although write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1), which had returned at 5 ms, is at seq 3",
		}},
		{name: "stale read, by a record", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.wrote(7, 5)
			w.answer(w.read(8, 5), 3)
		}, want: []string{
			"stale-read [1 2] 9 ms: read #2 of client 8 (tenant 2 slot 0, entity 5) began at 9 ms and saw seq 3, although write #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 2), which had returned at 8 ms, is at seq 4",
		}},
		{name: "read from the future", verdict: Violated, make: func(w *world) {
			read := w.read(8, 5)
			w.answer(read, 2)
			w.wrote(7, 5)
			w.hist.Ops[read].Seq, w.hist.Ops[read].State = 3, w.state(5, 3)
		}, want: []string{
			"future-read [0 1] 5 ms: write #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) began at 5 ms and is at seq 3, although read #0 of client 8 (tenant 2 slot 0, entity 5), which had returned at 4 ms, saw seq 3",
		}},
		{name: "a read saw an unresolved write before it began", verdict: Violated, make: func(w *world) {
			read := w.read(8, 5)
			w.answer(read, 2)
			w.apply(w.write(7, 5))
			w.hist.Ops[read].Seq, w.hist.Ops[read].State = 3, w.state(5, 3)
		}, want: []string{
			"future-read [0 1] 5 ms: write #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) began at 5 ms and is at seq 3, although read #0 of client 8 (tenant 2 slot 0, entity 5), which had returned at 4 ms, saw seq 3",
		}},
		{name: "reads go back", verdict: Violated, make: func(w *world) {
			i := w.write(7, 5)
			seq := w.apply(i)
			w.answer(w.read(8, 5), seq)
			w.answer(w.read(8, 5), 0)
			w.ack(i, seq)
		}, want: []string{
			"read-went-back [1 2] 7 ms: read #2 of client 8 (tenant 2 slot 0, entity 5) began at 7 ms and saw seq 0, although read #1 of client 8 (tenant 2 slot 0, entity 5), which had returned at 6 ms, saw seq 3",
		}},
		{name: "the digest shows a loss with a duplicate", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.wrote(7, 5)
			w.has(8, 5)
			first := w.hist.Ops[0].Op
			w.hist.Ops[2].State.Applied = signal.Digest{}.Add(first).Add(first)
		}, want: []string{
			"wrong-state [2] 9 ms: read #2 of client 8 (tenant 2 slot 0, entity 5) returned something else than the log adds up to: digest 3176b1cd0f8e45061b36bff4a32776fe, want 9bd8e55e3e92d2642fa1c70a31904c55",
		}},
		{name: "a read saw a record that was lost", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.apply(w.write(7, 5))
			w.has(8, 5)
			w.run.Recovered(home, 0, 3, w.tick(), 0, 2)
		}, want: []string{
			"no-such-record [2] 8 ms: read #2 of client 8 (tenant 2 slot 0, entity 5) was answered as of seq 4, which the final log does not have",
		}},
		{name: "a deletion is not seen", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.done(w.remove(7, 5))
			w.answer(w.read(8, 5), 3)
		}, want: []string{
			"stale-read [1 2] 9 ms: read #2 of client 8 (tenant 2 slot 0, entity 5) began at 9 ms and saw seq 3, although delete #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 2), which had returned at 8 ms, is at seq 4",
		}},
		{name: "a creation is not seen", verdict: Violated, make: func(w *world) {
			w.done(w.put(7, 5))
			w.answer(w.read(8, 5), 2)
		}, want: []string{
			"stale-read [0 1] 6 ms: read #1 of client 8 (tenant 2 slot 0, entity 5) began at 6 ms and saw seq 0, although put #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1), which had returned at 5 ms, is at seq 3",
		}},
		{name: "a deletion leaves something", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.done(w.remove(7, 5))
			w.wrote(7, 5)
			w.has(8, 5)
			s := &w.hist.Ops[3].State // as if the first write were still there
			s.Applied, s.Totals[0] = s.Applied.Add(w.hist.Ops[0].Op), signal.Total{Count: 2, Weight: 2}
		}, want: []string{
			"wrong-state [3] 12 ms: read #3 of client 8 (tenant 2 slot 0, entity 5) returned something else than the log adds up to: digest b4dec392f28879452d82940d596c8b38, want 9c236aac6ac156c21fe7341307d8cfb9",
		}},
		{name: "a deletion took effect before it was asked for", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			read := w.read(8, 5)
			w.answer(read, 3)
			w.done(w.remove(7, 5))
			w.hist.Ops[read].Seq, w.hist.Ops[read].State = 4, signal.State{}
		}, want: []string{
			"future-read [1 2] 8 ms: delete #2 of client 7 (tenant 2 slot 0, entity 5, session 2 request 2) began at 8 ms and is at seq 4, although read #1 of client 8 (tenant 2 slot 0, entity 5), which had returned at 7 ms, saw seq 4",
		}},
		{name: "a refused deletion took effect", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			i := w.remove(7, 5)
			w.apply(i)
			w.end(i, history.Refused, "quota")
			w.has(8, 5)
		}, want: []string{
			"unexplained [2] 9 ms: read #2 of client 8 (tenant 2 slot 0, entity 5) depends on the record at seq 4, which is no change of the history",
		}},
		{name: "a damaged slot serves wrong data", verdict: Violated, make: func(w *world) {
			w.run.Damage(home, 0)
			w.wrote(7, 5)
			w.has(8, 5)
			w.hist.Ops[1].State.Totals[0].Weight++
		}, want: []string{
			"wrong-state [1] 6 ms: read #1 of client 8 (tenant 2 slot 0, entity 5) returned something else than the log adds up to: kind 0: count 1 weight 2, want count 1 weight 1",
		}},
		{name: "a read names a record of another entity", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.wrote(7, 6)
			w.has(8, 5)
			w.hist.Ops[2].State.LastSeq = 4
			w.hist.Ops[2].State.Applied = signal.Digest{}
		}, want: []string{
			"wrong-state [2] 9 ms: read #2 of client 8 (tenant 2 slot 0, entity 5) returned something else than the log adds up to: last seq 4, want 3",
		}},
		{name: "a read saw a ghost", verdict: Violated, make: func(w *world) {
			w.append(&record.Record{Kind: record.Signal, Client: 2, Request: 99, Signal: signal.Signal{Entity: 5, Weight: 1}})
			w.has(8, 5)
		}, want: []string{
			"unexplained [0] 4 ms: read #0 of client 8 (tenant 2 slot 0, entity 5) depends on the record at seq 3, which is no change of the history",
		}},
		{name: "a read saw a refused write", verdict: Violated, make: func(w *world) {
			i := w.write(7, 5)
			w.apply(i)
			w.end(i, history.Refused, "quota")
			w.has(8, 5)
		}, want: []string{
			"unexplained [1] 6 ms: read #1 of client 8 (tenant 2 slot 0, entity 5) depends on the record at seq 3, which is no change of the history",
		}},
		{name: "a read saw a changed weight", verdict: Violated, make: func(w *world) {
			i := w.write(7, 5)
			w.hist.Ops[i].Signal.Weight = 2
			w.ack(i, w.apply(i))
			w.hist.Ops[i].Signal.Weight = 1
			w.has(8, 5)
		}, want: []string{
			"not-in-order [0] 3 ms: write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) was acknowledged at seq 3 at 5 ms, but the log has no such record",
			"unexplained [1] 6 ms: read #1 of client 8 (tenant 2 slot 0, entity 5) depends on the record at seq 3, which is no change of the history",
		}},
		{name: "a doubled record is seen", verdict: Violated, make: func(w *world) {
			w.apply(w.wrote(7, 5))
			w.has(8, 5)
		}, want: []string{
			"unexplained [1] 7 ms: read #1 of client 8 (tenant 2 slot 0, entity 5) depends on the record at seq 4, which is no change of the history",
		}},
		{name: "a doubled record whose second was acknowledged", verdict: Violated, make: func(w *world) {
			i := w.write(7, 5)
			w.apply(i)
			w.ack(i, w.apply(i))
			w.has(8, 5)
		}, want: []string{
			"unexplained [1] 7 ms: read #1 of client 8 (tenant 2 slot 0, entity 5) depends on the record at seq 3, which is no change of the history",
		}},
		{name: "one record answers two writes", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			i := w.write(8, 5)
			w.hist.Ops[i].Op = w.hist.Ops[0].Op
			w.ack(i, 3)
			w.has(8, 5)
		}, want: []string{
			"seq-order [0 1] 6 ms: write #1 of client 8 (tenant 2 slot 0, entity 5, session 2 request 1) began at 6 ms and is at seq 3, although write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1), which had returned at 5 ms, is at seq 3",
		}},
		{name: "a read without a record returned something", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.has(8, 5)
			w.hist.Ops[1].Seq, w.hist.Ops[1].State.LastSeq = 0, 0
			w.hist.Ops[1].State.Totals[1].Count = 1
		}, want: []string{
			"wrong-state [1] 6 ms: read #1 of client 8 (tenant 2 slot 0, entity 5) was answered before the first record and yet returned digest 18bb58e687c722830d9b5ffa5193bb7f, want 00000000000000000000000000000000",
		}},
		{name: "a lost acknowledgement that a read does not see", verdict: Violated, make: func(w *world) {
			w.ack(w.write(7, 5), 3)
			w.has(8, 5)
		}, want: []string{
			"not-in-order [0] 3 ms: write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) was acknowledged at seq 3 at 4 ms, but the log has no such record",
		}},

		{name: "only the position lies: something else had been acknowledged there", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.done(w.put(7, 5))
			w.answer(w.read(8, 5), 3)
		}, want: []string{
			"witness-disagrees [1 2] 9 ms: stale-read: read #2 of client 8 (tenant 2 slot 0, entity 5) began at 9 ms and saw seq 3, although put #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 2), which had returned at 8 ms, is at seq 4; yet the operations, without their seqs, have an order",
		}},
		{name: "only the last seq lies", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.wrote(7, 5)
			w.has(8, 5)
			w.hist.Ops[2].State.LastSeq = 3
		}, want: []string{
			"witness-disagrees [2] 9 ms: wrong-state: read #2 of client 8 (tenant 2 slot 0, entity 5) returned something else than the log adds up to: last seq 3, want 4; yet the operations, without their seqs, have an order",
		}},
		{name: "the order of seqs does not respect real time", verdict: Violated, make: func(w *world) {
			early, late := w.write(7, 5), w.write(8, 5)
			w.ack(early, 4)
			w.hist.Ops[late].Invoke, w.hist.Ops[early].Return = 3, 2
			w.apply(late)
			w.apply(early)
			w.ack(late, 3)
		}, want: []string{
			"witness-disagrees [0 1] 4 ms: seq-order: write #1 of client 8 (tenant 2 slot 0, entity 5, session 2 request 2) began at 4 ms and is at seq 3, although write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1), which had returned at 5 ms, is at seq 4; yet the operations, without their seqs, have an order",
		}},
		{name: "the search is out of its budget, the witness fails", options: Options{StepBudget: 1}, verdict: Violated,
			why: "the search of tenant 2 slot 0 entity 5 ran out of its budget", make: func(w *world) {
				w.wrote(7, 5)
				w.wrote(7, 5)
				w.answer(w.read(8, 5), 3)
			}, want: []string{
				"stale-read [1 2] 9 ms: read #2 of client 8 (tenant 2 slot 0, entity 5) began at 9 ms and saw seq 3, although write #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 2), which had returned at 8 ms, is at seq 4",
			}},
		{name: "one entity in two slots", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.has(8, 5)
			w.hist.Ops[1].Slot = 1
		}, want: []string{
			"split-entity [0 1] 6 ms: read #1 of client 8 (tenant 2 slot 1, entity 5) addresses another slot than write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1)",
		}},
	})
}

// Where the witness fails, the search must find every order that explains the answers: the log may
// be wrong about where a change stands, and a deleted entity does not show its former state. Each
// row has an order that is not the log's.
func TestNarrowingLosesNoOrder(t *testing.T) {
	for name, make := range map[string]func(*world){
		"a write that the log has before a deletion came after it": func(w *world) {
			write := w.write(7, 5)
			w.apply(write)
			w.done(w.remove(8, 5))
			w.has(9, 5) // nothing there
			w.has(9, 5)
			w.ack(write, 3)
			w.has(9, 5)
			last := &w.hist.Ops[4].State
			last.Apply(3, w.hist.Ops[write].Op, &w.hist.Ops[write].Signal)
		},
		"a write that the log has behind a deletion came before it": func(w *world) {
			write := w.write(7, 5)
			w.done(w.remove(8, 5))
			w.has(9, 5) // nothing there
			w.ack(write, w.apply(write))
			w.has(9, 5)
			w.hist.Ops[3].State = signal.State{}
		},
		"likewise, before a deletion that nobody acknowledged": func(w *world) {
			remove := w.remove(8, 5)
			w.end(remove, history.Unknown, "deadline")
			write := w.write(7, 5)
			w.apply(remove)
			w.has(9, 5) // the write, see below
			w.has(9, 5) // nothing there
			w.ack(write, w.apply(write))
			w.hist.Ops[2].State.Apply(4, w.hist.Ops[write].Op, &w.hist.Ops[write].Signal)
		},
		"a creation that the log has before a deletion came after it": func(w *world) {
			w.done(w.put(7, 5))
			put := w.put(8, 5)
			w.apply(put)
			w.has(9, 5)
			w.has(9, 5)
			w.done(w.remove(7, 5))
			w.ack(put, 4)
			w.has(9, 5)
			w.hist.Ops[5].State.LastSeq = 4
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			make(w)
			r := judgeLinearizable(&w.run, Options{})
			if len(r.Findings) != 1 || r.Findings[0].Rule != "witness-disagrees" {
				t.Errorf("want that the witness fails and the search finds an order: %v", r.Findings)
			}
		})
	}
}

// A search that is stopped half way must end, whatever is open.
func TestSearchEndsWhenItsBudgetDoes(t *testing.T) {
	w := newWorld()
	for client := range uint64(15) {
		w.apply(w.write(client, 5))
	}
	w.has(99, 5)
	w.hist.Ops[15].State.Totals[0].Weight++
	r := judgeLinearizable(&w.run, Options{StepBudget: 5000})
	if r.Verdict != Violated || r.Why == "" {
		t.Errorf("verdict %s, why %q: want a violation that says that the search gave up", r.Verdict, r.Why)
	}
}

// Writes without an acknowledgement are open for ever. The reads that saw them bound the search
// nevertheless.
func TestUnresolvedWritesDoNotExplodeTheSearch(t *testing.T) {
	w := newWorld()
	var open []int
	for range 200 {
		open = append(open, w.write(7, 5))
	}
	for _, i := range open {
		w.has(8, 5)
		w.apply(i)
		w.has(9, 5)
	}
	if r := judgeLinearizable(&w.run, Options{Porcupine: true, StepBudget: 3000}); r.Verdict != Held || r.Why != "" {
		t.Errorf("%s, %q, %v", r.Verdict, r.Why, r.Findings)
	}
}

func TestNoStepIsTakenOverTheBudget(t *testing.T) {
	steps := 0
	m := model(&steps, 2, new([]signal.State))
	state, write := m.Init(), &history.Op{Kind: history.Write}
	for i, want := range []bool{true, true, false, false} {
		if ok, _ := m.Step(state, write, nil); ok != want {
			t.Errorf("step %d of 2: %v", i+1, ok)
		}
	}
}
