package campaign

import (
	"testing"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// The share of a kind is told of what began and what was vetoed, with the rows; a kind of
// which nothing was vetoed is not told.
func TestVetoesAreToldByKindAndRow(t *testing.T) {
	const last, majority = harness.Row("last-whole-member"), harness.Row("meta-majority")
	v := vetoes{rows: []harness.Row{last, majority}}
	began := [plan.KindCount]int{plan.Kill: 7, plan.Wipe: 5}
	v.add(&began, []harness.Veto{{Kind: plan.Wipe, Row: majority}, {Kind: plan.Wipe, Row: last}})
	v.add(&[plan.KindCount]int{}, []harness.Veto{{Kind: plan.Wipe, Row: majority}})
	list := v.list()
	if len(list) != 1 {
		t.Fatalf("told: %v", list)
	}
	const want = "3 of 8 wipe (37.5 %: last-whole-member 1, meta-majority 2)"
	if got := list[0].String(); got != want {
		t.Errorf("told: %s, want %s", got, want)
	}
}
