package scenarios

import (
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
)

// broken is the environment of a machine that panics when it takes a look at its disk.
type broken struct {
	env.Env
	with any
}

func (b broken) List(string) []string { panic(b.with) }

func TestAPanicNamesItsProcess(t *testing.T) {
	for _, c := range []struct {
		with              any
		fingerprint, says string
	}{
		{"boom", "panic/runtime", "node 0, incarnation 1, panics at "},
		{assert.Failure{Text: "1 < 0"}, "panic/assertion", "assertion failed: 1 < 0"},
	} {
		runner := NewRunner()
		got, err := runner.Run(smoke.Plan(1), Options{Decorate: func(e env.Env) env.Env {
			if e.Self() != 0 {
				return e
			}
			return broken{e, c.with}
		}})
		if err != nil || got.Fingerprint() != c.fingerprint || !strings.Contains(got.Findings[0].Text, c.says) || !strings.Contains(got.Findings[0].Text, "\n  in scenarios.broken.List (panic_test.go:") {
			t.Errorf("%v: %s, want %s: %v", err, got.Fingerprint(), c.fingerprint, got.Findings)
		}
		if again, err := runner.Run(smoke.Plan(1), Options{}); err != nil || len(again.Findings) > 0 {
			t.Errorf("the run after it: %v, %v", err, again.Findings)
		}
	}
}
