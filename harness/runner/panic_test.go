package runner

import (
	"errors"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/verdict"
	"github.com/tidaldb/tidalsim/sim"
)

// A panic outside every machine's code is reported as one of the simulator.
func TestAPanicOfTheSimulator(t *testing.T) {
	var w sim.World
	result := &harness.Result{Findings: []verdict.Finding{{Checker: "an earlier one"}}}
	role := func(int) string { return "node" }
	if !Guard(&w, role, result, func() { panic(errors.New("boom")) }) {
		t.Fatal("the panic is not told")
	}
	f := result.Findings[0]
	if len(result.Findings) != 1 || result.Verdict != verdict.Violated || f.Fingerprint() != "panic/simulator" ||
		!strings.HasPrefix(f.Text, "the simulator itself, in no process, panics at 0 ms: boom\n  in harness/runner.TestAPanicOfTheSimulator") {
		t.Errorf("%s: %+v", result.Verdict, result.Findings)
	}
	if Guard(&w, role, result, func() {}) {
		t.Error("a body that returns is said to panic")
	}
}

// A run that nobody objects to counts only if it has shown something.
func TestWhatARunShows(t *testing.T) {
	for _, c := range []struct {
		name   string
		result harness.Result
		rules  Rules
		want   verdict.Verdict
		why    string
	}{
		{"nothing is asked of it", harness.Result{}, Rules{}, verdict.Held, ""},
		{"enough is acknowledged", harness.Result{Acked: 3}, Rules{Acked: 3}, verdict.Held, ""},
		{"too little is acknowledged", harness.Result{Acked: 2}, Rules{Acked: 3}, verdict.Undecided, "2 operations were acknowledged, want at least 3"},
		{"a fault happened", harness.Result{Deviated: 1}, Rules{Faulty: true}, verdict.Held, ""},
		{"no fault happened", harness.Result{}, Rules{Faulty: true}, verdict.Undecided, "no fault happened"},
		{"it was recorded", harness.Result{}, Rules{Acked: 3, Faulty: true, Known: true}, verdict.Held, ""},
		{"a judge cannot tell", harness.Result{Verdict: verdict.Undecided, Why: "too long"}, Rules{}, verdict.Undecided, "too long"},
		{"a judge objects", harness.Result{Verdict: verdict.Undecided, Findings: make([]verdict.Finding, 1)}, Rules{Acked: 3}, verdict.Violated, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if Conclude(&c.result, c.rules); c.result.Verdict != c.want || c.result.Why != c.why {
				t.Errorf("%s, %q; want %s, %q", c.result.Verdict, c.result.Why, c.want, c.why)
			}
		})
	}
}
