package checker

import (
	"math"
	"slices"
	"testing"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
)

// linear makes a run from a correct execution: clients begin, take effect at one
// instant, and return, in any interleaving; some changes are never resolved. Either
// all changes are writes, or there are creations and deletions as well.
func linear(t *rapid.T) *world {
	w := newWorld()
	kinds := []func(uint64, signal.Entity) int{w.write, w.read}
	if rapid.Bool().Draw(t, "all kinds") {
		kinds = append(kinds, w.put, w.remove, w.read)
	}
	type busy struct{ op, seq int } // seq: 0 before it took effect
	var clients [4]*busy
	for range rapid.IntRange(4, 40).Draw(t, "steps") {
		c := rapid.IntRange(0, len(clients)-1).Draw(t, "client")
		switch b := clients[c]; {
		case b == nil:
			begin := kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "kind")]
			clients[c] = &busy{op: begin(uint64(c), signal.Entity(rapid.IntRange(5, 6).Draw(t, "entity")))}
		case w.hist.Ops[b.op].Kind == history.Read && b.seq == 0:
			b.seq = int(w.log().End().Seq)
		case w.hist.Ops[b.op].Kind == history.Read:
			w.answer(b.op, w.log().Entries[b.seq-1].Record.Seq)
			clients[c] = nil
		case rapid.IntRange(0, 5).Draw(t, "give up") == 0:
			if w.hist.Ops[b.op].Outcome == history.Open {
				w.end(b.op, history.Unknown, "deadline")
			}
			if b.seq != 0 || rapid.Bool().Draw(t, "never") {
				clients[c] = nil
			}
		case b.seq == 0:
			b.seq = int(w.apply(b.op))
			if w.hist.Ops[b.op].Outcome != history.Open {
				clients[c] = nil // took effect after the client gave up
			}
		default:
			w.ack(b.op, w.log().Entries[b.seq-1].Record.Seq)
			clients[c] = nil
		}
	}
	return w
}

// pick draws an operation that fits, or none.
func (w *world) pick(t *rapid.T, fits func(*history.Op) bool) *history.Op {
	var found []int
	for i := range w.hist.Ops {
		if fits(&w.hist.Ops[i]) {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return &w.hist.Ops[rapid.SampledFrom(found).Draw(t, "operation")]
}

func answered(changes bool) func(*history.Op) bool {
	return func(op *history.Op) bool { return op.Kind.Changes() == changes && op.Outcome == history.Acked }
}

// spoil makes one mistake. visible says that the mistake is one of answers, so
// that a search that does not know the seqs sees it exactly if the witness does.
// That is so only if every change leaves a trace: writes do.
func spoil(t *rapid.T, w *world) (visible bool) {
	traces := !slices.ContainsFunc(w.hist.Ops, func(op history.Op) bool { return op.Kind == history.Put || op.Kind == history.Delete })
	switch rapid.IntRange(0, 6).Draw(t, "mistake") {
	case 0: // a read of another instant
		if op := w.pick(t, answered(false)); op != nil {
			op.Seq = lineage.Seq(rapid.IntRange(0, int(w.log().End().Seq)).Draw(t, "instant"))
			op.State = w.state(op.Signal.Entity, op.Seq)
		}
		return traces
	case 1: // a read that misses one record and has another one twice
		if op := w.pick(t, answered(false)); op != nil && op.State.LastSeq != 0 {
			op.State.Applied = op.State.Applied.Add(signal.Operation{Session: 2, Request: 1})
		}
		return true
	case 2: // a refused change took effect
		if op := w.pick(t, answered(true)); op != nil {
			op.Outcome, op.Seq = history.Refused, 0
		}
		return traces
	case 3: // an acknowledged write took no effect
		i := w.write(9, 5)
		w.ack(i, 1)
		return false
	case 4: // a read lies about its last seq only
		if op := w.pick(t, answered(false)); op != nil {
			op.State.LastSeq++
		}
		return false
	case 5: // a read that lies about its position only
		if op := w.pick(t, answered(false)); op != nil {
			op.Seq = lineage.Seq(rapid.IntRange(0, int(w.log().End().Seq)+1).Draw(t, "instant"))
		}
		return false
	default: // two records change places
		entries := w.log().Entries
		i := rapid.IntRange(0, len(entries)-1).Draw(t, "one")
		j := rapid.IntRange(0, len(entries)-1).Draw(t, "other")
		entries[i].Record, entries[j].Record = entries[j].Record, entries[i].Record
		entries[i].Record.Seq, entries[j].Record.Seq = lineage.Seq(i+1), lineage.Seq(j+1)
		return false
	}
}

// ordered asks porcupine in the plainest way: all changes that are in the log,
// the unresolved ones open to the end.
func ordered(w *world) bool {
	byEntity := map[signal.Entity][]porcupine.Operation{}
	for i := range w.hist.Ops {
		op := &w.hist.Ops[i]
		back := int64(op.Return)
		switch {
		case op.Outcome == history.Acked:
		case op.Kind.Changes() && op.Unresolved() && w.inLog(op):
			back = math.MaxInt64
		default:
			continue
		}
		byEntity[op.Signal.Entity] = append(byEntity[op.Signal.Entity], porcupine.Operation{Input: op, Call: int64(op.Invoke), Return: back})
	}
	for _, ops := range byEntity {
		if steps := 0; !porcupine.CheckOperations(model(&steps, math.MaxInt, new([]signal.State)), ops) {
			return false
		}
	}
	return true
}

func (w *world) inLog(op *history.Op) bool {
	for _, e := range w.log().Entries {
		if e.Record.Kind.IsOperation() && e.Record.Operation() == op.Op {
			return true
		}
	}
	return false
}

func TestWitnessAgreesWithSearch(t *testing.T) {
	held, violated := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := linear(t)
		visible, spoiled := true, rapid.Bool().Draw(t, "spoiled")
		if spoiled {
			visible = spoil(t, w)
		}
		alone := judgeLinearizable(&w.run, Options{})
		both := judgeLinearizable(&w.run, Options{Porcupine: true})
		exists := ordered(w)
		switch {
		case !spoiled && alone.Verdict == Violated:
			t.Fatalf("a correct execution: %v", alone.Findings)
		case alone.Verdict != both.Verdict:
			t.Fatalf("the witness alone says %s, with the search %s: %v", alone.Verdict, both.Verdict, both.Findings)
		case !exists && alone.Verdict != Violated:
			t.Fatalf("no order exists, but the verdict is %s", alone.Verdict)
		case visible && exists && alone.Verdict == Violated:
			t.Fatalf("an order exists: %v", alone.Findings)
		}
		if alone.Verdict == Violated {
			violated++
			for _, f := range alone.Findings {
				if disagrees := f.Rule == "witness-disagrees"; disagrees != exists && len(alone.Findings) == 1 {
					t.Fatalf("an order exists: %v, but the finding is %v", exists, f)
				}
			}
			return
		}
		held++
	})
	if held == 0 || violated == 0 {
		t.Errorf("%d runs held and %d were violated: one half was never tried", held, violated)
	}
}
