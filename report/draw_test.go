package report

import (
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/scenarios"
)

func TestALargeRunIsDrawnInPart(t *testing.T) {
	found := func(at int64) []checker.Finding { return []checker.Finding{{At: at}} }
	for _, c := range []struct {
		name     string
		got      scenarios.Result
		from, to int64
	}{
		{"a small one", scenarios.Result{Result: harness.Result{Steps: 100, Simulated: 1000}}, 0, 0},
		{"a large one that held", scenarios.Result{Result: harness.Result{Steps: 1000, Simulated: 3000}}, 0, 300},
		{"a large one with a finding", scenarios.Result{Result: harness.Result{Steps: 1000, Simulated: 3000, Findings: found(1000)}}, 775, 1075},
		{"at its beginning", scenarios.Result{Result: harness.Result{Steps: 1000, Simulated: 3000, Findings: found(10)}}, 0, 300},
		{"at its end", scenarios.Result{Result: harness.Result{Steps: 1000, Simulated: 3000, Findings: found(0)}}, 2775, 3075},
	} {
		if from, to := window(&c.got, 300); from != c.from || to != c.to {
			t.Errorf("%s: %d to %d, want %d to %d", c.name, from, to, c.from, c.to)
		}
	}
	list, err := scenarios.Find("smoke")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Draw(list[0].Plan(3), "smoke:0x3", "simrun replay smoke:3", "test")
	if err != nil || s.To != 0 || len(s.Story) < 1000 || !strings.Contains(draw(t, s), `"name":"smoke:0x3"`) {
		t.Errorf("%v: %d lines to %d", err, len(s.Story), s.To)
	}
}
