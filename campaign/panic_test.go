package campaign

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
)

// panics is the environment of a node that goes wrong when it sends anything.
type panics struct{ env.Env }

func (panics) Send(env.ID, env.Key, []byte) { panic("nothing can be sent") }

// A core that panics is found like one that loses data: the campaign goes on, and the report
// names process, instant and seed, where it happened, and how to repeat it.
func TestAMachineThatPanicsIsAFinding(t *testing.T) {
	s, err := Run(context.Background(), Options{
		Scenarios: light(t)[:2], Seeds: []Range{{1, 3}}, Workers: 2, decorate: func(e env.Env) env.Env { return panics{e} },
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
	text = regexp.MustCompile(`in core\S* \(N\)`).ReplaceAllString(text, "in core (N)")
	text = regexp.MustCompile(`and [0-9]+ more lines`).ReplaceAllString(text, "and N more lines")
	want := `FAIL smoke seed 0x1: panic objects (panic/runtime)
  N, virtual time T
  node 1, incarnation 1, panics at T: nothing can be sent
    in campaign.panics.Send (N)
    in core (N)
    in core (N)
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
	o := Options{Scenarios: light(t)[:1], Seeds: []Range{{1, 3}}, Workers: 2, decorate: func(env.Env) env.Env { return nil }}
	o.Found = func(*Finding) {}
	w := worker{campaign: &campaign{options: o}} // it has no runner
	out := w.safely(job{scenario: o.Scenarios[0], seed: 1})
	if out.err == nil || !strings.HasPrefix(out.err.Error(), "smoke:0x1: internal error: ") || w.runner == nil {
		t.Errorf("%+v", out)
	}
}
