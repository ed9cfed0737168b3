package counter_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/artifacts"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/harness/counter"
	"github.com/tidaldb/tidalsim/harness/replay"
	"github.com/tidaldb/tidalsim/harness/shrink"
	"github.com/tidaldb/tidalsim/harness/verdict"
)

// lazy is an environment whose syncs complete and sync nothing: they read nothing instead.
// A replica in it answers before anything is durable.
type lazy struct{ env.Env }

func (l lazy) Submit(op env.Op) {
	if op.Kind == env.OpSync {
		op.Kind, op.Length = env.OpRead, 0
	}
	l.Env.Submit(op)
}

func withoutSync(e env.Env) env.Env { return lazy{e} }

// The counter is right: a campaign over all of its scenarios finds nothing, and comes to
// every fault point.
func TestACampaignHolds(t *testing.T) {
	s := counter.Suite()
	got, err := campaign.Run(context.Background(), campaign.Options{
		Suite: s, Scenarios: s.Scenarios, Seeds: []campaign.Range{{First: 1, Last: 300}}, RequireReached: true,
	})
	if err != nil || got.Exit != campaign.ExitHeld || got.Held != 900 || got.Fired == 0 || got.Deviated == 0 {
		t.Errorf("%v: %s, %v", err, got.Word(), got.Why)
	}
}

// The whole way of a bug, with none of the tenants' code: a campaign finds it and keeps its
// plan, shrinking makes the plan small, a replay shows it again, and once it is mended the
// plan is a regression that holds.
func TestTheWayOfABug(t *testing.T) {
	s, dir := counter.Suite(), t.TempDir()
	got, err := campaign.Run(context.Background(), campaign.Options{
		Suite: s, Scenarios: []string{counter.Smoke}, Seeds: []campaign.Range{{First: 1, Last: 100}},
		MaxViolated: 3, Dir: dir, Decorate: withoutSync,
	})
	if err != nil || got.Exit != campaign.ExitViolated || got.Violated != 3 || got.Kinds[0].Fingerprint != "no-loss/lost" {
		t.Fatalf("%v: the mistake is not found: %s, %v", err, got.Word(), got.Kinds)
	}
	kept, err := artifacts.Latest(dir)
	if err != nil || kept != filepath.Join(dir, "latest", "findings", "no-loss.lost", artifacts.PlanName) {
		t.Fatalf("%s: %v", kept, err)
	}
	failing, err := artifacts.ReadPlan(s, kept)
	if err != nil {
		t.Fatal(err)
	}

	small, err := shrink.Shrink(context.Background(), failing, shrink.Options{
		Suite: s, Shape: counter.Shape(), Acked: 1, Build: "another", Decorate: withoutSync,
	})
	if err != nil {
		t.Fatal(err)
	}
	// A leader alone shows it, in one loss of power that takes one write.
	p := small.Plan.(*counter.Plan)
	alone := p.Body.Replicas == 1 && p.Body.Clients == 1 && len(p.World.Disruptions) == 1
	if small.Fingerprint != "no-loss/lost" || !small.Minimal || small.After != 2 || !alone {
		t.Errorf("%d entries became %d: %s", small.Before, small.After, p.Encode())
	}
	brief := strings.Join(small.Brief, "\n")
	for _, wanted := range []string{"fault 0: power process 0 ", "disk.lost on process 0, operation ", "no-loss/lost: client "} {
		if !strings.Contains(brief, wanted) {
			t.Errorf("nobody says %q:\n%s", wanted, brief)
		}
	}

	shown, out, err := replay.Run(s, small.Plan, harness.Options{Decorate: withoutSync}, "shrunk.json")
	if err != nil || shown.Fingerprint() != "no-loss/lost" || !out.Reproduced || out.Exit != campaign.ExitViolated {
		t.Errorf("with the mistake: %v, %+v, %+v", err, out, shown.Findings)
	}

	small.Plan.Note("an answer follows a sync", small.Plan.Parts().Recorded)
	committed := filepath.Join(t.TempDir(), counter.Smoke, "answer-after-sync.json")
	if err := os.MkdirAll(filepath.Dir(committed), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(committed, small.Plan.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	shown, out, err = replay.Run(s, small.Plan, harness.Options{}, committed)
	held := err == nil && shown.Verdict == verdict.Held && out.Exit == campaign.ExitHeld
	if !held || !out.Mended || !strings.Contains(out.Why, "an answer follows a sync") {
		t.Errorf("without it: %v, %+v, %+v", err, out, shown.Findings)
	}
	got, err = campaign.Run(context.Background(), campaign.Options{
		Suite: s, Scenarios: s.Scenarios, Seeds: []campaign.Range{{First: 1, Last: 1}},
		Regressions: filepath.Dir(filepath.Dir(committed)),
	})
	if err != nil || got.Exit != campaign.ExitHeld || got.Regressions != 1 {
		t.Errorf("as a regression: %v: %s, %v", err, got.Word(), got.Why)
	}
}
