package checker

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/signal"
)

// Bounds of a partition that is searched. Beyond them a search takes minutes and
// gigabytes, and its budget would run out anyway.
const (
	maxSearchOps     = 2000
	maxSearchClients = 16
)

// maxStatesKept is how many states of one search are memory for the next.
const maxStatesKept = 4096

// answer is the result of a search.
type answer uint8

const (
	orderFound answer = iota
	noOrder
	gaveUp   // the budget ran out
	tooLarge // the partition was not searched
)

// decide turns the failures of the witness into findings, partition by
// partition, after a second opinion.
func decide(v *verdict, run *observe.Run, w *witnesses, o Options) {
	ops, skipped := run.Ops(), 0
	for i := range w.parts {
		p := &w.parts[i]
		if p.failures == 0 && !o.Porcupine {
			continue
		}
		found := w.search(ops, p, o.StepBudget)
		name := fmt.Sprintf("%s entity %d", place(p.tenant, p.slot), p.fold.entity)
		if found == tooLarge {
			skipped++
		}
		switch {
		case p.failures > 0 && found == gaveUp:
			v.leftOut("the search of %s ran out of its budget", name)
			fallthrough
		case p.failures > 0:
			w.report(v, ops, int32(i), found)
		case found == noOrder:
			v.find("search-objects", ops[p.first].InvokeAt, nil, "%s: the log is an order of its %d operations, but the search finds none", name, p.ops)
		case found == gaveUp:
			v.cannotTell("the search of %s ran out of its budget", name)
		}
	}
	if skipped > 0 {
		v.leftOut("%d partitions of more than %d operations or %d clients were not searched", skipped, maxSearchOps, maxSearchClients)
	}
}

// report makes findings of the failures of one partition.
func (w *witnesses) report(v *verdict, ops []history.Op, part int32, found answer) {
	kept := 0
	for i := range w.failures {
		f := &w.failures[i]
		if f.part != part {
			continue
		}
		kept++
		at, indexes := ops[f.op].InvokeAt, []int{int(f.op)}
		if f.other != none {
			indexes = []int{int(f.other), int(f.op)}
		}
		if found == orderFound {
			v.find("witness-disagrees", at, indexes, "%s: %s; yet the operations, without their seqs, have an order", f.rule, w.explain(ops, f))
			return
		}
		v.find(f.rule, at, indexes, "%s", w.explain(ops, f))
	}
	v.report.More += w.parts[part].failures - kept
}

func (w *witnesses) explain(ops []history.Op, f *failure) string {
	if f.other == none {
		return describe(ops, int(f.op)) + " " + f.detail
	}
	stands := func(i int32) string {
		if ops[i].Kind == history.Read {
			return fmt.Sprintf("saw seq %d", w.seq[i])
		}
		return fmt.Sprintf("is at seq %d", w.seq[i])
	}
	return fmt.Sprintf("%s began at %s and %s, although %s, which had returned at %s, %s",
		describe(ops, int(f.op)), instant(ops[f.op].InvokeAt), stands(f.op),
		describe(ops, int(f.other)), instant(ops[f.other].ReturnAt), stands(f.other))
}

// search asks porcupine for an order of the operations of p.
func (w *witnesses) search(ops []history.Op, p *partition, budget int) answer {
	if p.ops > maxSearchOps {
		return tooLarge
	}
	if budget == 0 {
		budget = DefaultStepBudget
	}
	if cap(w.states) > maxStatesKept {
		w.states = nil
	}
	steps, ok := 0, false
	switch m := model(&steps, budget, &w.states); {
	case w.inTurn(ops, p):
		ok = w.replayed(ops, p, m)
	case w.clients(ops, p) > maxSearchClients:
		return tooLarge
	case p.failures > 0:
		ok = porcupine.CheckOperations(m, w.narrowed(ops, p))
	default:
		ok = porcupine.CheckOperations(m, w.along(ops, p))
	}
	switch {
	case steps > budget:
		return gaveUp
	case ok:
		return orderFound
	}
	return noOrder
}

// clients returns the number of clients that have operations in p.
func (w *witnesses) clients(ops []history.Op, p *partition) int {
	var clients [maxSearchClients + 1]uint64
	n := 0
	for i := p.first; i != none && n < len(clients); i = w.next[i] {
		if !slices.Contains(clients[:n], ops[i].Client) {
			clients[n] = ops[i].Client
			n++
		}
	}
	return n
}

// inTurn reports whether each operation of p returned before the next began. Such a
// partition has one order, and nothing is to be searched.
func (w *witnesses) inTurn(ops []history.Op, p *partition) bool {
	back := uint64(0)
	for i := p.first; i != none; i = w.next[i] {
		if ops[i].Invoke < back {
			return false
		}
		if back = ops[i].Return; ops[i].Unresolved() {
			back = math.MaxUint64
		}
	}
	return true
}

// replayed reports whether the operations of p, in the order in which they began, produce the
// results that they returned.
func (w *witnesses) replayed(ops []history.Op, p *partition, m porcupine.Model) bool {
	ok, state := true, m.Init()
	for i := p.first; ok && i != none; i = w.next[i] {
		ok, state = m.Step(state, &ops[i], nil)
	}
	return ok
}

// along returns the operations of a partition whose witness holds, in its order: none begins before
// those that stand before it. The order itself is within these times, so nothing is lost. The
// search tries first the operation that begins first, and so meets the order at once. Without that
// it explodes where many changes overlap.
func (w *witnesses) along(ops []history.Op, p *partition) []porcupine.Operation {
	order := w.order[:0]
	for i := p.first; i != none; i = w.next[i] {
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int32) int { // reads of one position as they began
		return cmp.Or(cmp.Compare(w.position(&ops[a], a), w.position(&ops[b], b)), cmp.Compare(a, b))
	})
	w.order = order
	input := w.input[:0]
	unit, begun := int64(len(order)+1), int64(0) // room for all beginnings between two events
	for _, i := range order {
		begun = max(begun+1, unit*int64(ops[i].Invoke))
		back := int64(math.MaxInt64)
		if ops[i].Outcome == history.Acked {
			back = unit * int64(ops[i].Return)
		}
		input = append(input, porcupine.Operation{Input: &ops[i], Call: begun, Return: back})
	}
	w.input = input
	return input
}

// narrowed returns the operations of a partition whose witness fails, each with its interval as the
// answers narrow it.
func (w *witnesses) narrowed(ops []history.Op, p *partition) []porcupine.Operation {
	input := w.input[:0]
	for i := p.first; i != none; i = w.next[i] {
		call, back := 2*int64(ops[i].Invoke), 2*int64(ops[i].Return)
		if ops[i].Kind.Changes() && w.placed[i] {
			call, back = w.interval(ops, p, i)
		}
		input = append(input, porcupine.Operation{Input: &ops[i], Call: call, Return: back})
	}
	w.input = input
	return input
}

// interval narrows the time in which a change took effect: after the last beginning of a read that
// did not see it, before the first return of a read that did. Without it the search explodes where
// changes overlap: those that were never acknowledged, and those that were repeated through a
// crash. A read counts only if the log bears out its answer and the answer proves something, so
// that no order that explains the answers is lost.
func (w *witnesses) interval(ops []history.Op, p *partition, change int32) (call, back int64) {
	first, last := 2*int64(ops[change].Invoke), int64(math.MaxInt64)
	if ops[change].Outcome == history.Acked {
		last = 2 * int64(ops[change].Return)
	}
	call, back = first, last
	deleted := w.deletion(ops, p, change)
	for i := p.first; i != none; i = w.next[i] {
		op := &ops[i]
		switch {
		case op.Kind != history.Read || !w.placed[i] || !w.proves(ops, change, i, deleted):
		case w.seq[i] >= w.seq[change]:
			back = min(back, 2*int64(op.Return)+1)
		default:
			call = max(call, 2*int64(op.Invoke)+1)
		}
	}
	if call >= back { // the reads contradict each other; the search will find that
		return first, last
	}
	return call, back
}

// proves reports whether the digest that a read returned proves that it saw the change, or that it
// did not, whatever the order. It knows writes only. A write that the read has was not deleted in
// between. A write that the read lacks came later, or was deleted before the read: by a deletion
// that can stand between the two. The first such deletion begins at event deleted.
func (w *witnesses) proves(ops []history.Op, change, read int32, deleted uint64) bool {
	switch {
	case ops[change].Kind != history.Write:
		return false
	case w.seq[read] >= w.seq[change]:
		return w.born[read] < w.seq[change]
	}
	return deleted > ops[read].Return
}

// deletion returns the event at which the first deletion begins that can stand
// behind a change.
func (w *witnesses) deletion(ops []history.Op, p *partition, change int32) uint64 {
	first := uint64(math.MaxUint64)
	for i := p.first; i != none; i = w.next[i] {
		op := &ops[i]
		if op.Kind == history.Delete && (op.Unresolved() || op.Return > ops[change].Invoke) {
			first = min(first, op.Invoke)
		}
	}
	return first
}

// model is an entity to which operations add up. Its state is that of the core, but
// of the last seq it has only whether the entity exists, 1 or 0: which operations
// were applied since it was created, in whatever order. Every step counts; over the
// budget all are refused, which ends the search.
//
// The search is handed places in states instead of states: small numbers fit an
// interface without an allocation.
func model(steps *int, budget int, states *[]signal.State) porcupine.Model {
	*states = append((*states)[:0], signal.State{})
	at := func(state any) *signal.State { return &(*states)[state.(int)] }
	return porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, input, _ any) (bool, any) {
			if *steps++; *steps > budget {
				return false, state
			}
			have, op := *at(state), input.(*history.Op)
			switch op.Kind {
			case history.Write:
				have.Apply(exists, op.Op, &op.Signal)
			case history.Put:
				have.LastSeq = exists
			case history.Delete:
				have = signal.State{}
			default:
				want := op.State
				want.LastSeq = min(want.LastSeq, exists)
				return have == want, state
			}
			*states = append(*states, have)
			return true, len(*states) - 1
		},
		Equal: func(a, b any) bool { return *at(a) == *at(b) },
		Hash: func(state any) uint64 {
			s := at(state)
			return s.Applied.Lo ^ s.LastSeq
		},
	}
}

// exists is the last seq of every entity of the model that exists.
const exists = 1
