package suite_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/campaign"
	"github.com/tidaldb/tidalsim/harness/regressions"
	"github.com/tidaldb/tidalsim/harness/verdict"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/scenarios/suite"
)

const committed = "../../testdata/regressions"

// light names the scenarios of the default group.
func light(t *testing.T) (names []string) {
	t.Helper()
	found, err := scenarios.Find(scenarios.Default)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found {
		names = append(names, s.Name)
	}
	return names
}

func TestWorkersDoNotMatter(t *testing.T) {
	var summaries []string
	for _, workers := range []int{1, 4} {
		s, err := campaign.Run(context.Background(), campaign.Options{
			Suite: suite.Tenants(), Scenarios: light(t), Seeds: []campaign.Range{{First: 1, Last: 12}}, Workers: workers, Porcupine: 500_000,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Wall = 0
		text, _ := json.Marshal(s)
		summaries = append(summaries, string(text))
	}
	if diff := cmp.Diff(summaries[0], summaries[1]); diff != "" {
		t.Errorf("(-one worker +four):\n%s", diff)
	}
}

// The regressions of this project hold; each has a lesson.
func TestCommittedRegressions(t *testing.T) {
	all, err := regressions.Read(suite.Tenants(), committed)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d regressions: %v", len(all), err)
	}
	runner := suite.Tenants().NewRunner()
	for _, r := range all {
		t.Run(filepath.Base(r.Path), func(t *testing.T) {
			p := r.Plan.Parts()
			if p.Lesson == "" || p.Recorded == nil || p.Recorded.Fingerprint == "" {
				t.Error("it does not say what it taught, or what it was found by")
			}
			got, err := runner.Run(r.Plan, harness.Options{Porcupine: true})
			if err != nil {
				t.Fatal(err)
			}
			if got.Verdict != verdict.Held || got.Fired == 0 && len(p.World.Disruptions) > 0 {
				t.Errorf("%s, %d disruptions began: %s%v", got.Verdict, got.Fired, got.Why, got.Findings)
			}
		})
	}
}

// A campaign runs the committed regressions of its scenarios before its seeds.
func TestRegressionsRunBeforeSeeds(t *testing.T) {
	s, err := campaign.Run(context.Background(), campaign.Options{
		Suite: suite.Tenants(), Scenarios: []string{"disk-loss"}, Seeds: []campaign.Range{{First: 1, Last: 1}}, Regressions: committed,
	})
	if err != nil || s.Exit != campaign.ExitHeld || s.Regressions == 0 || s.Seeds != 1 {
		t.Errorf("%v: %s, %d regressions, %d seeds, %v", err, s.Word(), s.Regressions, s.Seeds, s.Why)
	}
}
