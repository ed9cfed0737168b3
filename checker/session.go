package checker

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
)

const nameSession = "session"

// judgeSession looks at the reads that promise less than linearizable ones, which linearizable
// judges, and at the answers of replica groups at any level. Its rules:
//
//	went-back     a session read returned less than its client had seen before it began
//	too-old       a bounded read lacks a change that was acknowledged, to any client, its
//	              bound and more before it began
//	answer-wrong  a read returned another state than the fold of the log where it stands
//	answer-ahead  a read returned a position that the final log does not have
//	wrong-epoch   an answer named an epoch in which the record at its position was not
//	              written
//
// Positions are compared by seq alone, since all of them are on one lineage: a token that
// is not names the wrong epoch. A node that does not know an epoch names none.
//
// A node measures the age of its answer with a clock that may run slow. The judge takes the bound
// to be as long as the slowest clock makes it.
func judgeSession(run *observe.Run, o Options) Report {
	v, s := newVerdict(nameSession), o.scratch()
	s.session.gather(run)
	if len(s.session.reads) > 0 {
		seesItsOwn(v, run, &s.session)
		recentEnough(v, run, &s.session)
		answersAddUp(v, run, s)
	}
	tokensAreOfTheLog(v, run)
	ofGroups(v, run, "no read was answered")
	return v.done()
}

// sessions is the working memory of the session checker.
type sessions struct {
	index index
	seen  []lineage.Seq // by client and slot: the last seq that the client received
	reads []int32       // answered reads of replica groups
	ends  []int32       // answered operations by the end
	next  []int32       // reads in the order in which one judgement visits them
}

func (x *sessions) gather(run *observe.Run) {
	ops := run.Ops()
	x.reads, x.ends, x.next, x.seen = x.reads[:0], x.ends[:0], x.next[:0], x.seen[:0]
	for i := range ops {
		if ops[i].Outcome != history.Acked {
			continue
		}
		x.ends = append(x.ends, int32(i))
		if ops[i].Kind == history.Read {
			x.reads = append(x.reads, int32(i))
		}
	}
	slices.SortFunc(x.ends, func(a, b int32) int { return cmp.Compare(ops[a].Return, ops[b].Return) })
}

// slotOf returns the number of a client's view of a slot, or of the view of all clients.
func (x *sessions) slotOf(op *history.Op, client uint64) int32 {
	number, fresh := x.index.dense(key{uint64(op.Tenant), uint64(op.Slot), client, 0})
	if fresh {
		x.seen = append(x.seen, 0)
	}
	return number
}

// seesItsOwn walks through beginnings and ends in their order.
func seesItsOwn(v *verdict, run *observe.Run, x *sessions) {
	ops := run.Ops()
	x.index.reset(2 * len(ops))
	x.seen = x.seen[:0]
	ended := 0
	for _, i := range x.reads {
		op := &ops[i]
		if op.Level != history.Session {
			continue
		}
		for ; ended < len(x.ends) && ops[x.ends[ended]].Return < op.Invoke; ended++ {
			told := &ops[x.ends[ended]]
			at := x.slotOf(told, told.Client)
			x.seen[at] = max(x.seen[at], told.Seq)
		}
		v.report.Checked++
		if seen := x.seen[x.slotOf(op, op.Client)]; op.Seq < seen {
			v.find("went-back", op.ReturnAt, []int{int(i)}, "%s was answered at %s from seq %d, and its client had been told of seq %d before it began, at %s",
				describe(ops, int(i)), instant(op.ReturnAt), op.Seq, seen, instant(op.InvokeAt))
		}
	}
}

// tokensAreOfTheLog compares the epoch of every token with that of the record in the final
// log, whether the answer arrived or not.
func tokensAreOfTheLog(v *verdict, run *observe.Run) {
	at := -1 // of the log in run.Logs
	for i := range run.Tokens.List {
		t := &run.Tokens.List[i]
		if at < 0 || run.Logs[at].Tenant != t.Tenant || run.Logs[at].Slot != t.Slot {
			if at = run.Find(t.Tenant, t.Slot); at < 0 {
				continue
			}
		}
		entries := run.Logs[at].Entries
		if t.Seq == 0 || t.Epoch == 0 || t.Seq > lineage.Seq(len(entries)) {
			continue
		}
		v.report.Checked++
		if epoch := entries[t.Seq-1].Record.Epoch; epoch != t.Epoch {
			v.find("wrong-epoch", t.At, nil, "%s: at %s node %d told a client of seq %d in epoch %d, and the record was written in epoch %d",
				place(t.Tenant, t.Slot), instant(t.At), t.Node, t.Seq, t.Epoch, epoch)
		}
	}
}

// slowest returns how long a bound may be in true time.
func slowest(bound, slowPPM int64) int64 {
	const million = 1_000_000
	if slowPPM >= million {
		return 1 << 62
	}
	return bound + bound/(million-slowPPM)*slowPPM + slowPPM
}

// recentEnough walks through the reads by the instant that they must show at least.
func recentEnough(v *verdict, run *observe.Run, x *sessions) {
	ops := run.Ops()
	x.next = x.next[:0]
	for _, i := range x.reads {
		if ops[i].Level == history.Bounded {
			x.next = append(x.next, i)
		}
	}
	since := func(i int32) int64 { return ops[i].InvokeAt - slowest(ops[i].Bound, run.SlowPPM) }
	slices.SortFunc(x.next, func(a, b int32) int { return cmp.Or(cmp.Compare(since(a), since(b)), cmp.Compare(a, b)) })
	x.index.reset(2 * len(ops))
	x.seen = x.seen[:0]
	ended := 0
	for _, i := range x.next {
		op := &ops[i]
		for ; ended < len(x.ends) && ops[x.ends[ended]].ReturnAt < since(i); ended++ {
			if told := &ops[x.ends[ended]]; told.Kind.Changes() {
				at := x.slotOf(told, 0)
				x.seen[at] = max(x.seen[at], told.Seq)
			}
		}
		v.report.Checked++
		if seen := x.seen[x.slotOf(op, 0)]; op.Seq < seen {
			v.find("too-old", op.ReturnAt, []int{int(i)}, "%s was answered at %s from seq %d; seq %d had been acknowledged before %s, and it may be %s old",
				describe(ops, int(i)), instant(op.ReturnAt), op.Seq, seen, instant(since(i)), instant(op.Bound))
		}
	}
}

// answersAddUp adds up every log, and looks at the reads where they stand.
func answersAddUp(v *verdict, run *observe.Run, s *Scratch) {
	ops, x := run.Ops(), &s.session
	x.next = append(x.next[:0], x.reads...)
	slices.SortFunc(x.next, func(a, b int32) int {
		p, q := &ops[a], &ops[b]
		return cmp.Or(cmp.Compare(p.Tenant, q.Tenant), cmp.Compare(p.Slot, q.Slot), cmp.Compare(p.Seq, q.Seq), cmp.Compare(a, b))
	})
	for from := 0; from < len(x.next); {
		first, to := &ops[x.next[from]], from
		for to < len(x.next) && ops[x.next[to]].Tenant == first.Tenant && ops[x.next[to]].Slot == first.Slot {
			to++
		}
		var entries []observe.Entry
		if at := run.Find(first.Tenant, first.Slot); at >= 0 {
			entries = run.Logs[at].Entries
		}
		addUp(v, s, ops, entries, x.next[from:to])
		from = to
	}
}

// addUp looks at the reads of one slot, in the order of their places.
func addUp(v *verdict, s *Scratch, ops []history.Op, entries []observe.Entry, reads []int32) {
	s.dense.reset(len(entries) + len(reads))
	s.folds = s.folds[:0]
	of := func(k key) *fold {
		number, fresh := s.dense.dense(k)
		if fresh {
			s.folds = append(s.folds, fold{})
		}
		return &s.folds[number]
	}
	folded := 0
	for _, i := range reads {
		op := &ops[i]
		v.report.Checked++
		if op.Seq > lineage.Seq(len(entries)) {
			v.find("answer-ahead", op.ReturnAt, []int{int(i)}, "%s was answered at %s from seq %d, and the final log ends at seq %d",
				describe(ops, int(i)), instant(op.ReturnAt), op.Seq, len(entries))
			continue
		}
		for ; folded < int(op.Seq); folded++ {
			rec := &entries[folded].Record
			if entity, touches := rec.Subject(); touches {
				of(key{a: uint64(entity)}).apply(rec)
			}
		}
		if f := of(key{a: uint64(op.Signal.Entity)}); f.state != op.State {
			v.find("answer-wrong", op.ReturnAt, []int{int(i)}, "%s was answered at %s from seq %d, where the log adds up to something else: %s",
				describe(ops, int(i)), instant(op.ReturnAt), op.Seq, difference(&op.State, &f.state))
		}
	}
}
