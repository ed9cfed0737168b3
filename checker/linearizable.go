package checker

import (
	"fmt"

	"github.com/anishathalye/porcupine"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

const nameLinearizable = "linearizable"

// judgeLinearizable looks for one order of the operations on each entity that respects real time
// and explains every answer. The log proposes one, a witness. A change (a write, a creation, a
// deletion) stands at its record. A read stands behind the last record of its entity up to the slot
// position of its answer. A test in O(n log n) decides whether that order explains all answers. If
// it does not, or on request, a search (porcupine) looks for any order at all, and does not believe
// the seqs of the answers. Rules of the witness:
//
//	not-in-order    an acknowledged change has no record that could be its place
//	no-such-record  a read returned a position that the final log does not have
//	wrong-state     a read returned another state than the fold of the log there
//	unexplained     a read depends on a record that no change explains
//	stale-read      a read does not see a change acknowledged before it began
//	read-went-back  a read does not see a change that an earlier read saw
//	future-read     a read saw a change that began after it had returned
//	seq-order       a change has a lower seq than one acknowledged before it began
//
// and of both together:
//
//	witness-disagrees  the witness fails, yet the search finds an order: the seqs
//	                   are wrong, or a checker is
//	search-objects     the witness holds, yet the search finds no order
//	split-entity       one entity was addressed in two slots
//
// An unacknowledged change counts if the log has it, and is dropped if not. An unanswered read says
// nothing.
func judgeLinearizable(run *observe.Run, o Options) Report {
	v, s := newVerdict(nameLinearizable), o.scratch()
	s.indexRecords(run)
	s.witness.reset(run)
	placeOperations(v, run, s)
	replay(run, s)
	s.witness.sweep(run.Ops())
	decide(v, run, &s.witness, o)
	if v.report.Checked == 0 {
		v.cannotTell("no operation was answered")
	}
	return v.done()
}

// partition is one entity of one tenant.
type partition struct {
	tenant      tenant.ID
	slot        lineage.Slot
	fold        fold        // of the records replayed so far
	touched     lineage.Seq // the last of them that names the entity, whether it changed it or not
	deleted     lineage.Seq // the last of them that deleted it, 0 if none
	unexplained lineage.Seq // the first since then that made a difference and that no change explains, 0 if none
	top         uint64      // the furthest position of an operation that has returned
	topOp       int32       // that operation
	ops         int         // operations, linked from first by next
	first, last int32
	failures    int // of the witness
}

// failure is one reason why the witness is none.
type failure struct {
	part   int32
	rule   string
	op     int32  // at fault
	other  int32  // the operation that it contradicts, or none
	detail string // if there is no other
}

// maxKept bounds the failures of one partition that are kept.
const maxKept = 2

// witnesses is the working memory of the linearizable checker.
type witnesses struct {
	explained []bool // by place of the record: a change explains it
	readers   []int32
	nextRead  []int32 // lists of reads by the place of the last record before them

	parts    []partition
	of       []int32       // by operation: its partition, or none
	next     []int32       // by operation: the next one of its partition, or none
	seq      []lineage.Seq // by operation: where it stands
	born     []lineage.Seq // by read: the last deletion before it, 0 if none
	placed   []bool        // by operation: whether it stands anywhere
	open     returns
	failures []failure

	order  []int32               // of the search: the operations of a partition
	input  []porcupine.Operation // likewise
	states []signal.State        // that the search has met
}

func (w *witnesses) reset(run *observe.Run) {
	records, n := 0, len(run.Ops())
	for _, l := range run.Logs {
		records += len(l.Entries)
	}
	w.explained = sized(w.explained, records)
	w.readers = sized(w.readers, records)
	w.nextRead, w.of, w.next = sized(w.nextRead, n), sized(w.of, n), sized(w.next, n)
	w.seq, w.born, w.placed = sized(w.seq, n), sized(w.born, n), sized(w.placed, n)
	for i := range w.readers {
		w.readers[i] = none
	}
	w.parts, w.open, w.failures = w.parts[:0], w.open[:0], w.failures[:0]
}

// sized returns n zero elements, in the memory of old if that is enough.
func sized[T any](old []T, n int) []T {
	if cap(old) < n {
		return make([]T, n)
	}
	old = old[:n]
	clear(old)
	return old
}

func (w *witnesses) fail(rule string, op, other int32, detail string) {
	part := w.of[op]
	p := &w.parts[part]
	p.failures++
	if p.failures <= maxKept {
		w.failures = append(w.failures, failure{part: part, rule: rule, op: op, other: other, detail: detail})
	}
}

// placeOperations assigns operations to partitions, changes to their records, and queues reads at
// the slot positions of their answers.
func placeOperations(v *verdict, run *observe.Run, s *Scratch) {
	ops, w := run.Ops(), &s.witness
	s.dense.reset(len(ops))
	for i := range ops {
		op, at := &ops[i], int32(i)
		w.of[i] = none
		switch {
		case op.Kind == history.Read && op.Level != history.Linearizable:
		case op.Kind == history.Read && op.Outcome == history.Acked:
			if w.join(v, s, ops, at) {
				w.queue(run, op, at)
			}
		case op.Kind.Changes() && (op.Outcome == history.Acked || op.Unresolved()):
			place := recordOf(run, s, op)
			if place == none && op.Outcome != history.Acked || !w.join(v, s, ops, at) {
				continue
			}
			if place == none {
				w.fail("not-in-order", at, none, fmt.Sprintf("was acknowledged at seq %d at %s, but the log has no such record", op.Seq, instant(op.ReturnAt)))
				continue
			}
			w.explained[place] = true
			w.seq[i], w.placed[i] = s.entryAt(run, place).Record.Seq, true
		}
	}
}

// recordOf returns the place of the record that applies op, or none. Of several records it returns
// the one with the seq of the client's answer.
func recordOf(run *observe.Run, s *Scratch, op *history.Op) int32 {
	if op.Op.Session == 0 {
		return none
	}
	found := none
	for it := s.records.first(operationKey(op.Tenant, op.Slot, op.Op)); it != none; it = s.records.items[it].next {
		place := s.records.items[it].value
		rec := &s.entryAt(run, place).Record
		if holds(rec, op) && (found == none || rec.Seq == op.Seq) {
			found = place
		}
	}
	return found
}

// join adds operation i to the partition of its entity.
func (w *witnesses) join(v *verdict, s *Scratch, ops []history.Op, i int32) bool {
	op := &ops[i]
	part, fresh := s.dense.dense(key{a: uint64(op.Tenant), b: uint64(op.Signal.Entity)})
	if fresh {
		w.parts = append(w.parts, partition{tenant: op.Tenant, slot: op.Slot, fold: fold{entity: op.Signal.Entity}, topOp: none, first: i, last: none})
	}
	p := &w.parts[part]
	v.report.Checked++
	if p.slot != op.Slot {
		v.find("split-entity", op.InvokeAt, []int{int(p.first), int(i)}, "%s addresses another slot than %s", describe(ops, int(i)), describe(ops, int(p.first)))
		return false
	}
	if p.last != none {
		w.next[p.last] = i
	}
	w.of[i], w.next[i], p.last = part, none, i
	p.ops++
	return true
}

// queue puts read i on the list of the record that is its slot position. If that is
// the beginning of the log it is placed at once.
func (w *witnesses) queue(run *observe.Run, op *history.Op, i int32) {
	if op.Seq == 0 {
		if op.State != (signal.State{}) {
			w.fail("wrong-state", i, none, "was answered before the first record and yet returned "+difference(&op.State, &signal.State{}))
			return
		}
		w.placed[i] = true
		return
	}
	place := int32(0)
	for _, l := range run.Logs {
		if l.Tenant == op.Tenant && l.Slot == op.Slot && op.Seq <= lineage.Seq(len(l.Entries)) {
			place += int32(op.Seq - 1)
			w.nextRead[i], w.readers[place] = w.readers[place], i
			return
		}
		place += int32(len(l.Entries))
	}
	w.fail("no-such-record", i, none, fmt.Sprintf("was answered as of seq %d, which the final log does not have", op.Seq))
}

// replay adds up the logs, and compares each read with the state at its place.
func replay(run *observe.Run, s *Scratch) {
	w, place := &s.witness, 0
	for _, l := range run.Logs {
		for i := range l.Entries {
			rec := &l.Entries[i].Record
			if p := w.touches(s, l, rec); p != nil {
				p.replay(rec, w.explained[place])
			}
			for read := w.readers[place]; read != none; read = w.nextRead[read] {
				w.compare(run.Ops(), read)
			}
			place++
		}
	}
}

// touches returns the partition that a record is about, nil if there is none.
func (w *witnesses) touches(s *Scratch, l *observe.Log, rec *record.Record) *partition {
	entity, ok := rec.Subject()
	if !ok || len(w.parts) == 0 {
		return nil
	}
	part := s.dense.first(key{a: uint64(l.Tenant), b: uint64(entity)})
	if part == none || w.parts[part].slot != l.Slot {
		return nil
	}
	return &w.parts[part]
}

// replay adds a record. A deleted state cannot be missed any more, and a record that changes
// nothing needs no explanation.
func (p *partition) replay(rec *record.Record, explained bool) {
	switch {
	case !explained && p.unexplained == 0 && p.fold.changes(rec.Kind):
		p.unexplained = rec.Seq
	case explained && rec.Kind == record.EntityDelete:
		p.unexplained = 0
	}
	if rec.Kind == record.EntityDelete {
		p.deleted = rec.Seq
	}
	p.touched = rec.Seq
	p.fold.apply(rec)
}

// compare judges a read. All records before its place are replayed.
func (w *witnesses) compare(ops []history.Op, read int32) {
	p := &w.parts[w.of[read]]
	switch {
	case ops[read].State != p.fold.state:
		w.fail("wrong-state", read, none, "returned something else than the log adds up to: "+difference(&ops[read].State, &p.fold.state))
	case p.unexplained != 0:
		w.fail("unexplained", read, none, fmt.Sprintf("depends on the record at seq %d, which is no change of the history", p.unexplained))
	default:
		w.seq[read], w.born[read], w.placed[read] = p.touched, p.deleted, true
	}
}

// position is where operation i stands: a change at its record, a read between
// that record and the next.
func (w *witnesses) position(op *history.Op, i int32) uint64 {
	at := 2 * uint64(w.seq[i])
	if op.Kind == history.Read {
		at++
	}
	return at
}

// sweep goes through the history in real time. Whatever has returned before an
// operation begins must not stand behind it.
func (w *witnesses) sweep(ops []history.Op) {
	for i := range ops {
		at := int32(i)
		if w.of[i] == none || !w.placed[i] {
			continue
		}
		op := &ops[i]
		for len(w.open) > 0 && w.open[0].event < op.Invoke {
			w.returned(ops, w.open.pop())
		}
		p, mine := &w.parts[w.of[i]], w.position(op, at)
		if p.topOp != none && (p.top > mine || p.top == mine && op.Kind.Changes()) {
			w.fail(contradiction(&ops[p.topOp], op), at, p.topOp, "")
		}
		if op.Outcome == history.Acked {
			w.open.push(returning{event: op.Return, op: at})
		}
	}
}

func (w *witnesses) returned(ops []history.Op, i int32) {
	p, at := &w.parts[w.of[i]], w.position(&ops[i], i)
	if p.topOp == none || at > p.top {
		p.top, p.topOp = at, i
	}
}

// contradiction names the violation when later stands before earlier.
func contradiction(earlier, later *history.Op) string {
	switch {
	case earlier.Kind.Changes() && later.Kind == history.Read:
		return "stale-read"
	case earlier.Kind == history.Read && later.Kind == history.Read:
		return "read-went-back"
	case earlier.Kind == history.Read:
		return "future-read"
	}
	return "seq-order"
}

// returning is an operation that has begun, and the event of its return.
type returning struct {
	event uint64
	op    int32
}

// returns is a heap of operations, the first to return on top.
type returns []returning

func (h *returns) push(r returning) {
	*h = append(*h, r)
	q := *h
	for i := len(q) - 1; i > 0; {
		parent := (i - 1) / 2
		if q[parent].event <= q[i].event {
			return
		}
		q[parent], q[i] = q[i], q[parent]
		i = parent
	}
}

func (h *returns) pop() int32 {
	q := *h
	top, last := q[0].op, len(q)-1
	q[0] = q[last]
	q = q[:last]
	*h = q
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if q[child].event < q[least].event {
				least = child
			}
		}
		if least == i {
			return top
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
}
