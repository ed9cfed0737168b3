package campaign

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Vetoed says how many of the disruptions of one kind that reached their moments the fault budget
// vetoed, by which rows of docs/failure-model.md. A campaign that vetoes many shows less than
// its plans say.
type Vetoed struct {
	Kind     string  `json:"kind"`
	Drawn    int     `json:"drawn"` // that began, or were vetoed
	Vetoed   int     `json:"vetoed"`
	Permille int     `json:"permille"`
	Rows     []ByRow `json:"rows"`
}

// ByRow is how many were vetoed by one row.
type ByRow struct {
	Row    harness.Row `json:"row"`
	Vetoed int         `json:"vetoed"`
}

// vetoes counts disruptions that began and that were vetoed, by kind and by place among the suite's
// rows.
type vetoes struct {
	rows   []harness.Row
	began  [plan.KindCount]int
	vetoed [plan.KindCount][]int
}

// add counts those of a run.
func (v *vetoes) add(began *[plan.KindCount]int, vetoed []harness.Veto) {
	for kind, n := range began {
		v.began[kind] += n
	}
	for _, veto := range vetoed {
		if v.vetoed[veto.Kind] == nil {
			v.vetoed[veto.Kind] = make([]int, len(v.rows))
		}
		v.vetoed[veto.Kind][slices.Index(v.rows, veto.Row)]++
	}
}

// list returns the kinds of which some were vetoed.
func (v *vetoes) list() (list []Vetoed) {
	for kind, rows := range v.vetoed {
		of := Vetoed{Kind: plan.Kind(kind).String(), Drawn: v.began[kind]}
		for i, n := range rows {
			if n > 0 {
				of.Rows = append(of.Rows, ByRow{v.rows[i], n})
				of.Vetoed += n
			}
		}
		if of.Vetoed > 0 {
			of.Drawn += of.Vetoed
			of.Permille = of.Vetoed * 1000 / of.Drawn
			list = append(list, of)
		}
	}
	return list
}

// String tells the share and the rows.
func (v *Vetoed) String() string {
	var rows []string
	for _, r := range v.Rows {
		rows = append(rows, fmt.Sprintf("%s %d", r.Row, r.Vetoed))
	}
	return fmt.Sprintf("%d of %d %s (%d.%d %%: %s)", v.Vetoed, v.Drawn, v.Kind, v.Permille/10, v.Permille%10, strings.Join(rows, ", "))
}
