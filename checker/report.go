package checker

import (
	"fmt"
	"strings"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// verdict collects the findings of one checker.
type verdict struct {
	report  Report
	unsure  []string  // reasons why nothing else than Undecided may be said
	omitted []string  // the parts that were left out although the verdict stands
	room    [2]string // of omitted: most checkers leave out one thing at most
}

func newVerdict(name string) *verdict { return &verdict{report: Report{Checker: name}} }

// find adds a finding; its text is made only if there is room for it.
func (v *verdict) find(rule string, at int64, ops []int, format string, operands ...any) {
	if len(v.report.Findings) == MaxFindings {
		v.report.More++
		return
	}
	v.report.Findings = append(v.report.Findings, Finding{
		Checker: v.report.Checker, Rule: rule, Text: fmt.Sprintf(format, operands...), Ops: ops, At: at,
	})
}

func (v *verdict) cannotTell(format string, operands ...any) {
	v.unsure = append(v.unsure, fmt.Sprintf(format, operands...))
}

func (v *verdict) leftOut(format string, operands ...any) {
	if v.omitted == nil {
		v.omitted = v.room[:0]
	}
	if len(operands) > 0 {
		format = fmt.Sprintf(format, operands...)
	}
	v.omitted = append(v.omitted, format)
}

// done decides: a finding outweighs every doubt, a doubt outweighs a pass.
func (v *verdict) done() Report {
	switch {
	case len(v.report.Findings) > 0:
		v.report.Verdict = Violated
	case len(v.unsure) > 0:
		v.report.Verdict = Undecided
	default:
		v.report.Verdict = Held
	}
	if len(v.unsure) == 0 {
		v.report.Why = strings.Join(v.omitted, "; ")
		return v.report
	}
	v.report.Why = strings.Join(append(v.unsure, v.omitted...), "; ")
	return v.report
}

// instant writes true time.
func instant(ns int64) string { return history.Instant(ns) }

func place(t tenant.ID, slot lineage.Slot) string { return slotPlace{t, slot}.String() }

// slotPlace is place for a position that is named only if there is a finding: it costs nothing
// before.
type slotPlace struct {
	tenant tenant.ID
	slot   lineage.Slot
}

// String returns tenant and slot: "tenant 2 slot 0".
func (p slotPlace) String() string { return fmt.Sprintf("tenant %s slot %d", p.tenant, p.slot) }

func identity(op signal.Operation) string {
	return fmt.Sprintf("session %d request %d", op.Session, op.Request)
}

// describe names operation i of the history in words.
func describe(ops []history.Op, i int) string {
	op := &ops[i]
	who := fmt.Sprintf("%s #%d of client %d (%s, entity %d", op.Kind, i, op.Client, place(op.Tenant, op.Slot), op.Signal.Entity)
	if op.Kind.Changes() {
		who += ", " + identity(op.Op)
	}
	return who + ")"
}

func content(s *signal.Signal) string {
	return fmt.Sprintf("entity %d kind %d weight %d client time %d", s.Entity, s.Kind, s.Weight, s.ClientTime)
}

// does describes the effect of a record.
func does(rec *record.Record) string {
	switch rec.Kind {
	case record.Signal:
		return content(&rec.Signal)
	case record.EntityPut:
		return fmt.Sprintf("creation of entity %d", rec.Entity)
	case record.EntityDelete:
		return fmt.Sprintf("deletion of entity %d", rec.Entity)
	}
	return rec.Kind.String()
}

// asks describes the request of an operation, in the words of does.
func asks(op *history.Op) string {
	rec := recordFor(op)
	return does(&rec)
}

// article is the word before the name of a kind of records.
func article(k record.Kind) string {
	if strings.ContainsRune("aeiou", rune(k.String()[0])) {
		return "an"
	}
	return "a"
}

// difference names the first field in which two states differ.
func difference(got, want *signal.State) string {
	switch {
	case got.LastSeq != want.LastSeq:
		return fmt.Sprintf("last seq %d, want %d", got.LastSeq, want.LastSeq)
	case got.Applied != want.Applied:
		return fmt.Sprintf("digest %s, want %s", got.Applied, want.Applied)
	}
	for k := range got.Totals {
		if g, w := got.Totals[k], want.Totals[k]; g != w {
			return fmt.Sprintf("kind %d: count %d weight %d, want count %d weight %d", k, g.Count, g.Weight, w.Count, w.Weight)
		}
	}
	return "no difference"
}
