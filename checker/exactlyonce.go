package checker

import (
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

const nameExactlyOnce = "exactly-once"

// judgeExactlyOnce looks for requests that count twice. Its rules:
//
//	applied-twice    one identity has two records in a log
//	other-answer     an acknowledgement names another seq than the record has
//	shared-identity  two acknowledged changes have one identity
//	shared-seq       two acknowledged changes have one seq
//	other-token      two acknowledgements of one request, whether they arrived or not, name
//	                 different places or different epochs; no epoch is a node's word that
//	                 it does not know it
func judgeExactlyOnce(run *observe.Run, o Options) Report {
	v, s, ops := newVerdict(nameExactlyOnce), o.scratch(), run.Ops()
	s.indexRecords(run)
	for i := range s.records.items {
		v.report.Checked++
		appliedOnce(v, run, s, int32(i))
	}
	answersAgree(v, run, s)
	sharedAnswers(v, s, ops, "shared-identity", func(op *history.Op) key {
		return operationKey(op.Tenant, op.Slot, op.Op)
	})
	sharedAnswers(v, s, ops, "shared-seq", func(op *history.Op) key {
		return seqKey(op.Tenant, op.Slot, op.Seq)
	})
	sameTokens(v, s, run.Tokens.List)
	if v.report.Checked == 0 {
		v.cannotTell("nothing was written and nothing acknowledged")
	}
	return v.done()
}

// sameTokens compares the acknowledgements of each request with the first one of it that
// names an epoch.
func sameTokens(v *verdict, s *Scratch, tokens []observe.Token) {
	s.answers.reset(len(tokens))
	for i := range tokens {
		t := &tokens[i]
		if t.Op.Session == 0 || t.Epoch == 0 {
			continue
		}
		v.report.Checked++
		k := operationKey(t.Tenant, t.Slot, t.Op)
		first := s.answers.first(k)
		if first == none {
			s.answers.add(k, int32(i))
			continue
		}
		if f := &tokens[s.answers.items[first].value]; f.Seq != t.Seq || f.Epoch != t.Epoch {
			v.find("other-token", t.At, nil, "%s: %s was acknowledged at seq %d in epoch %d by node %d at %s, and at seq %d in epoch %d by node %d at %s",
				place(t.Tenant, t.Slot), identity(t.Op), f.Seq, f.Epoch, f.Node, instant(f.At), t.Seq, t.Epoch, t.Node, instant(t.At))
		}
	}
}

func seqKey(t tenant.ID, slot lineage.Slot, seq lineage.Seq) key {
	return key{uint64(t), uint64(slot), uint64(seq), 0}
}

func appliedOnce(v *verdict, run *observe.Run, s *Scratch, i int32) {
	it := &s.records.items[i]
	if it.next == none {
		return
	}
	one, two := s.entryAt(run, it.value), s.entryAt(run, s.records.items[it.next].value)
	v.find("applied-twice", two.At, nil, "%s: %s is in the log at seq %d and again at seq %d, appended at %s",
		place(two.Record.Tenant, two.Record.Slot), identity(two.Record.Operation()), one.Record.Seq, two.Record.Seq, instant(two.At))
}

// answersAgree compares every acknowledgement with the first record of its
// identity. That a record is missing is for no-loss to say.
func answersAgree(v *verdict, run *observe.Run, s *Scratch) {
	ops := run.Ops()
	for i := range ops {
		op := &ops[i]
		if !op.Kind.Changes() || op.Outcome != history.Acked {
			continue
		}
		v.report.Checked++
		first := s.records.first(operationKey(op.Tenant, op.Slot, op.Op))
		if first == none {
			continue
		}
		if seq := s.entryAt(run, s.records.items[first].value).Record.Seq; seq != op.Seq {
			v.find("other-answer", op.ReturnAt, []int{i}, "%s was answered with seq %d at %s, but it was applied at seq %d",
				describe(ops, i), op.Seq, instant(op.ReturnAt), seq)
		}
	}
}

// sharedAnswers finds acknowledged changes that have the same key.
func sharedAnswers(v *verdict, s *Scratch, ops []history.Op, rule string, keyOf func(*history.Op) key) {
	s.answers.reset(len(ops))
	for i := range ops {
		op := &ops[i]
		if !op.Kind.Changes() || op.Outcome != history.Acked {
			continue
		}
		k := keyOf(op)
		if first := s.answers.first(k); first != none {
			other := int(s.answers.items[first].value)
			v.find(rule, op.ReturnAt, []int{other, i}, "%s was acknowledged at seq %d at %s, and so was %s at seq %d",
				describe(ops, i), op.Seq, instant(op.ReturnAt), describe(ops, other), ops[other].Seq)
			continue
		}
		s.answers.add(k, int32(i))
	}
}
