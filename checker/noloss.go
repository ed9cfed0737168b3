package checker

import (
	"fmt"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

const nameNoLoss = "no-loss"

// judgeNoLoss compares the clients' answers with the logs, and the logs with the nodes' final
// states. Its rules:
//
//	lost-ack         an acknowledged change is not in the log
//	wrong-seq        it is there, at another seq than the client's answer has
//	doubled          it is there more than once
//	refused-present  a refused change is there
//	ghost            a record that no client submitted
//	changed-record   a record with another effect than the submitted operation
//	epoch           a record of a lower shard epoch, or an epoch that begins twice
//	broken-log       a hole, or a record that does not continue the chain
//	dump-...         a node's final state is not the fold of the log
//
// A change is refused if every attempt of it was, each definitely. If one attempt is unresolved the
// client does not know the outcome, and the change may be there. A slot whose durable bytes were
// damaged need not be served at the end, but its earlier answers are judged as ever. The same goes
// for a slot whose tenant was dropped.
func judgeNoLoss(run *observe.Run, o Options) Report {
	v, s, ops := newVerdict(nameNoLoss), o.scratch(), run.Ops()
	s.indexRecords(run)
	s.indexChanges(ops)
	acked := 0
	for i := range ops {
		op := &ops[i]
		if !op.Kind.Changes() {
			continue
		}
		v.report.Checked++
		switch op.Outcome {
		case history.Acked:
			acked++
			ackedIsThere(v, run, s, i)
		case history.Refused:
			refusedIsAbsent(v, run, s, i)
		}
	}
	for _, l := range run.Logs {
		epochsRise(v, l)
		for _, b := range l.Breaks {
			v.find("broken-log", b.At, nil, "%s: at %s %s", place(l.Tenant, l.Slot), instant(b.At), b.Text)
		}
		for i := range l.Entries {
			wasSubmitted(v, s, ops, l, &l.Entries[i])
		}
	}
	dumpsMatch(v, run, s)
	if acked == 0 {
		v.cannotTell("no change was acknowledged")
	}
	return v.done()
}

func ackedIsThere(v *verdict, run *observe.Run, s *Scratch, i int) {
	ops := run.Ops()
	op := &ops[i]
	first := none
	if op.Op.Session != 0 {
		first = s.records.first(operationKey(op.Tenant, op.Slot, op.Op))
	}
	if first == none {
		v.find("lost-ack", op.ReturnAt, []int{i}, "%s was acknowledged at seq %d at %s and is not in the final log: %s",
			describe(ops, i), op.Seq, instant(op.ReturnAt), whatIsThere(run, op))
		return
	}
	it := &s.records.items[first]
	if it.next != none {
		again := s.entryAt(run, s.records.items[it.next].value)
		v.find("doubled", again.At, []int{i}, "%s was acknowledged at seq %d and is in the final log at seq %d and again at seq %d, since %s",
			describe(ops, i), op.Seq, s.entryAt(run, it.value).Record.Seq, again.Record.Seq, instant(again.At))
		return
	}
	if seq := s.entryAt(run, it.value).Record.Seq; seq != op.Seq {
		v.find("wrong-seq", op.ReturnAt, []int{i}, "%s was acknowledged at seq %d at %s, but its record is at seq %d",
			describe(ops, i), op.Seq, instant(op.ReturnAt), seq)
	}
}

// whatIsThere describes the fate of an acknowledged change that is not in the log.
func whatIsThere(run *observe.Run, op *history.Op) string {
	at := run.Find(op.Tenant, op.Slot)
	switch {
	case op.Op.Session == 0:
		return "it was never sent"
	case at < 0:
		return "the slot has no log"
	}
	l := run.Logs[at]
	for i := range l.Cut {
		if rec := &l.Cut[i].Record; rec.Kind.IsOperation() && rec.Operation() == op.Op {
			return fmt.Sprintf("it was written at seq %d at %s and lost later", rec.Seq, instant(l.Cut[i].At))
		}
	}
	if op.Seq == 0 || int(op.Seq) > len(l.Entries) {
		return fmt.Sprintf("the log ends at seq %d", len(l.Entries))
	}
	rec := &l.Entries[op.Seq-1].Record
	return fmt.Sprintf("at that seq is %s %s of %s", article(rec.Kind), rec.Kind, identity(rec.Operation()))
}

func refusedIsAbsent(v *verdict, run *observe.Run, s *Scratch, i int) {
	ops := run.Ops()
	op := &ops[i]
	if op.Op.Session == 0 {
		return
	}
	first := s.records.first(operationKey(op.Tenant, op.Slot, op.Op))
	if first == none {
		return
	}
	e := s.entryAt(run, s.records.items[first].value)
	v.find("refused-present", e.At, []int{i}, "%s was refused (%s) at %s, but its record is in the final log at seq %d, since %s",
		describe(ops, i), op.Reason, instant(op.ReturnAt), e.Record.Seq, instant(e.At))
}

// epochsRise looks at the shard epochs of a log: they never go back, and each record that starts an
// epoch has an epoch that no record before it has.
func epochsRise(v *verdict, l *observe.Log) {
	for i := 1; i < len(l.Entries); i++ {
		before, e := l.Entries[i-1].Record.Epoch, &l.Entries[i]
		begins := e.Record.Kind == record.EpochStart
		if e.Record.Epoch < before || begins && e.Record.Epoch == before || !begins && e.Record.Epoch > before {
			v.find("epoch", e.At, nil, "%s: the %s at seq %d, appended at %s, is of shard epoch %d, and the record before it of %d",
				place(l.Tenant, l.Slot), e.Record.Kind, e.Record.Seq, instant(e.At), e.Record.Epoch, before)
			return
		}
	}
}

func wasSubmitted(v *verdict, s *Scratch, ops []history.Op, l *observe.Log, e *observe.Entry) {
	if !e.Record.Kind.IsOperation() {
		return
	}
	v.report.Checked++
	first := s.changes.first(operationKey(l.Tenant, l.Slot, e.Record.Operation()))
	if first == none {
		v.find("ghost", e.At, nil, "%s: the record at seq %d (%s, %s), appended at %s, was submitted by nobody",
			place(l.Tenant, l.Slot), e.Record.Seq, identity(e.Record.Operation()), does(&e.Record), instant(e.At))
		return
	}
	for i := first; i != none; i = s.changes.items[i].next {
		if holds(&e.Record, &ops[s.changes.items[i].value]) {
			return
		}
	}
	i := int(s.changes.items[first].value)
	v.find("changed-record", e.At, []int{i}, "%s sent %s, but its record at seq %d, appended at %s, has %s",
		describe(ops, i), asks(&ops[i]), e.Record.Seq, instant(e.At), does(&e.Record))
}

// dumpsMatch folds every log anew and compares it with the nodes' final states.
func dumpsMatch(v *verdict, run *observe.Run, s *Scratch) {
	for i := range run.Dumps {
		d := &run.Dumps[i]
		if run.Find(d.Tenant, d.Slot) < 0 && (d.Position.Seq != 0 || len(d.Entities) != 0) {
			v.find("dump-position", 0, nil, "%s: a node holds %d entities up to seq %d of a slot that has no log",
				place(d.Tenant, d.Slot), len(d.Entities), d.Position.Seq)
		}
	}
	s.indexDumps(run)
	for _, l := range run.Logs {
		first := s.dumps.first(slotKey(l.Tenant, l.Slot))
		if first != none {
			foldLog(s, l)
		}
		for i := first; i != none; i = s.dumps.items[i].next {
			dumpMatches(v, s, l, &run.Dumps[s.dumps.items[i].value])
		}
		if first == none && len(l.Entries) > 0 && !run.Damaged(l.Tenant, l.Slot) && !run.Dropped(l.Tenant) {
			v.cannotTell("there is no final dump of %s", place(l.Tenant, l.Slot))
		}
	}
}

func dumpMatches(v *verdict, s *Scratch, l *observe.Log, d *observe.Dump) {
	where := place(d.Tenant, d.Slot)
	if end := l.End(); d.Position.Seq != end.Seq {
		v.find("dump-position", 0, nil, "%s: the node ends at seq %d, the log at seq %d", where, d.Position.Seq, end.Seq)
	} else if d.Position.Chain != end.Chain {
		v.find("dump-chain", 0, nil, "%s: at seq %d the node has chain %016x, the log %016x", where, end.Seq, uint64(d.Position.Chain), uint64(end.Chain))
	}
	matched, live := 0, 0
	for i := range s.folds {
		if s.folds[i].live {
			live++
		}
	}
	for i := range d.Entities {
		e := &d.Entities[i]
		if i > 0 && d.Entities[i-1].Entity >= e.Entity {
			v.find("dump-order", 0, nil, "%s: in the dump entity %d follows entity %d", where, e.Entity, d.Entities[i-1].Entity)
		}
		number := s.dense.first(key{a: uint64(e.Entity)})
		if number == none {
			v.find("dump-entity", 0, nil, "%s: the node holds entity %d, of which the log has no record", where, e.Entity)
			continue
		}
		if !s.folds[number].live {
			v.find("dump-entity", 0, nil, "%s: the node holds entity %d, which the log deletes", where, e.Entity)
			continue
		}
		matched++
		if f := &s.folds[number]; f.state != e.State {
			v.find("dump-entity", 0, nil, "%s: the node's state of entity %d is not the fold of the log: %s", where, e.Entity, difference(&e.State, &f.state))
		}
	}
	v.report.Checked += len(d.Entities)
	if matched < live {
		missing(v, s, d, where)
	}
}

// missing names the entities of the log that the dump does not have.
func missing(v *verdict, s *Scratch, d *observe.Dump, where string) {
	held := make(map[signal.Entity]bool, len(d.Entities)) // asked, never ranged over
	for i := range d.Entities {
		held[d.Entities[i].Entity] = true
	}
	for i := range s.folds {
		if f := &s.folds[i]; f.live && !held[f.entity] {
			v.find("dump-entity", 0, nil, "%s: the node does not hold entity %d, last touched at seq %d", where, f.entity, f.state.LastSeq)
		}
	}
}
