package campaign

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness/counter"
)

// panics is the environment of a machine that goes wrong when it sends anything.
type panics struct{ env.Env }

func (panics) Send(env.ID, env.Key, []byte) { panic("nothing can be sent") }

// A machine that panics is found like one that loses data: the campaign goes on, and the report
// names process, instant and seed, where it happened, and how to repeat it.
func TestAMachineThatPanicsIsAFinding(t *testing.T) {
	s, err := Run(context.Background(), Options{
		Suite: counter.Suite(), Scenarios: some, Seeds: []Range{{1, 3}}, Workers: 2, Decorate: func(e env.Env) env.Env { return panics{e} },
	})
	if err != nil || s.Violated != 6 || s.Exit != ExitViolated {
		t.Fatalf("%v: %+v", err, s)
	}
	lines := s.Findings[0].Lines("simrun")
	if len(lines) > 12 {
		t.Errorf("%d lines", len(lines))
	}
	text := regexp.MustCompile(`[0-9.]+ ms`).ReplaceAllString(strings.Join(lines, "\n"), "T")
	text = regexp.MustCompile(`step [0-9]+|[a-z_]+\.go:[0-9]+`).ReplaceAllString(text, "N")
	text = regexp.MustCompile(`in harness/counter\S* \(N\)`).ReplaceAllString(text, "in harness/counter (N)")
	text = regexp.MustCompile(`and [0-9]+ more lines`).ReplaceAllString(text, "and N more lines")
	text = regexp.MustCompile(`\n  last fault: [^\n]*`).ReplaceAllString(text, "")
	want := `FAIL smoke seed 0x1: panic objects (panic/runtime)
  N, virtual time T
  replica 0, incarnation 1, panics at T: nothing can be sent
    in harness/campaign.panics.Send (N)
    in harness/counter (N)
    in harness/counter (N)
  ... and N more lines
simrun replay smoke:0x1`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, strings.Join(lines, "\n"))
	}
	if all := s.Findings[0].Text; strings.Contains(all, "goroutine") || strings.Contains(all, "sim.(*process)") || strings.Contains(all, "/work") {
		t.Errorf("the stack is not trimmed:\n%s", all)
	}
}

// A panic outside the simulated world ends the campaign with an error, and does not crash the
// program.
func TestAPanicAroundARunEndsTheCampaign(t *testing.T) {
	o := Options{Suite: counter.Suite(), Scenarios: some[:1], Seeds: []Range{{1, 3}}, Workers: 2, Decorate: func(env.Env) env.Env { return nil }}
	o.Found = func(*Finding) {}
	w := worker{campaign: &campaign{options: o}} // it has no runner
	out := w.safely(job{scenario: o.Scenarios[0], seed: 1})
	if out.err == nil || !strings.HasPrefix(out.err.Error(), "smoke:0x1: internal error: ") || w.runner == nil {
		t.Errorf("%+v", out)
	}
}
