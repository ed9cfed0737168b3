package campaign

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/harness/counter"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// The order of seeds alone decides which of them are reported, and not the order in which
// workers end.
func TestAScenarioStopsAfterEnoughViolatedSeeds(t *testing.T) {
	var first string
	for _, workers := range []int{1, 4, 7} {
		dir := t.TempDir()
		s, err := Run(context.Background(), Options{
			Suite: counter.Suite(), Scenarios: some, Seeds: []Range{{3, 100}}, Set: stalling, MaxViolated: 5, Workers: workers, Dir: dir,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Scenarios {
			if p.Seeds != 5 || p.Violated != 5 || !p.Stopped {
				t.Errorf("%d workers: %+v", workers, p)
			}
		}
		var told []string
		for _, f := range s.Findings {
			told = append(told, f.name())
		}
		if want := []string{"smoke:0x3", "smoke:0x4", "smoke:0x5", "smoke:0x6", "smoke:0x7", "calm:0x3", "calm:0x4", "calm:0x5", "calm:0x6", "calm:0x7"}; cmp.Diff(want, told) != "" {
			t.Errorf("%d workers told %v", workers, told)
		}
		s.Wall = 0
		text, _ := json.Marshal(s)
		if first == "" {
			first = string(text)
		}
		if diff := cmp.Diff(first, string(text)); diff != "" {
			t.Errorf("(-one worker +%d):\n%s", workers, diff)
		}
		text, err = os.ReadFile(filepath.Join(dir, "latest", "seeds.jsonl"))
		if begun, ended := strings.Count(string(text), `"start"`), strings.Count(string(text), `"seed","scenario"`)+strings.Count(string(text), `"dropped"`); err != nil || begun != ended {
			t.Errorf("%d workers: %d seeds began, and %d lines say how they ended: %v", workers, begun, ended, err)
		}
	}
}

// A scenario that stops does not stop the others, and the count of the remaining work is right.
func TestOthersGoOn(t *testing.T) {
	o := Options{Suite: counter.Suite(), Scenarios: some, Seeds: []Range{{1, 10}}}
	source, err := newSource(&o)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for j, ok := source.next(); ok; j, ok = source.next() {
		if j.index != len(all) {
			t.Errorf("job %d has index %d", len(all), j.index)
		}
		all = append(all, j.name())
		if len(all) == 3 {
			source.stop(j.scenario)
		}
	}
	if len(all) != 3+10 || all[3] != "calm:0x1" {
		t.Errorf("jobs %v", all)
	}
	var s Summary
	s.begin(o.Suite, o.Scenarios, 2)
	s.Scenarios[0] = PerName{Name: "smoke", Seeds: 3, Stopped: true}
	if n := s.notRun(source.each); n != 7 {
		t.Errorf("%d seeds do not run, want 7 of 10", n)
	}
}

func TestNoBoundOfViolatedSeeds(t *testing.T) {
	s, err := Run(context.Background(), Options{Suite: counter.Suite(), Scenarios: some[:1], Seeds: []Range{{1, 30}}, Set: stalling})
	if err != nil || s.Violated != 30 || s.Scenarios[0].Stopped || len(s.Stops()) != 0 {
		t.Errorf("%v: %+v", err, s)
	}
}

// frequent is the summary of a bug that two scenarios show in many seeds.
func frequent() *Summary {
	s := &Summary{command: "simrun", Scenarios: []PerName{{Name: "smoke", Seeds: 60, Violated: 20, Held: 40, Stopped: true}, {Name: "calm", Seeds: 2, Violated: 1, Held: 1}}}
	for i := range 21 {
		f := &Finding{Scenario: "smoke", Seed: plan.Seed(0x11 + i), Checker: "no-loss", Fingerprint: "no-loss/lost-ack", Text: "signal 7 is gone\nmore"}
		f.Replay = "replay " + f.name()
		if i == 20 {
			f.Scenario, f.Seed, f.Fingerprint, f.Checker, f.Replay = "calm", 9, "rate/over", "rate", "replay calm:0x9"
		}
		s.Findings = append(s.Findings, f)
		s.kind(f)
	}
	return s
}

func TestSummaryForAPullRequestIsShort(t *testing.T) {
	want := `## simrun: held

| scenario | seeds | held | violated | undecided | disruptions | acknowledged |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| smoke | 60 | 40 | 20 | 0 | 0 | 0 |
| calm | 2 | 1 | 1 | 0 | 0 | 0 |

trace ` + "``" + `

- no-loss/lost-ack: 20 times, first in smoke:0x11, smoke:0x12, smoke:0x13; ` + "`replay smoke:0x11`" + `: signal 7 is gone

- rate/over: calm:0x9; ` + "`replay calm:0x9`" + `: signal 7 is gone

- smoke stopped after 60 seeds, as 20 of them were violated; --max-violated 0 goes on
`
	if diff := cmp.Diff(want, frequent().markdown()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
