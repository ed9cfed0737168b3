package campaign

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/harness/counter"
)

// CI servers tell cases by their names from run to run, take a case that says nothing for one
// that passed, and a file without failures for green.
func TestJUnit(t *testing.T) {
	s := frequent()
	s.Wall = int64(90 * time.Second)
	s.Scenarios[0].wall = 1234567 * time.Microsecond
	s.Scenarios = append(s.Scenarios, PerName{Name: "failover"}, PerName{Name: "partition", Seeds: 2, Held: 1, Undecided: 1}, PerName{Name: "below-min", Seeds: 2, Held: 2})
	s.committed = []regressionRun{
		{"r/calm/well.json", "held", "", "", 5 * time.Millisecond}, {"r/calm/ill.json", "violated", "rate/over", "", 0},
		{"r/calm/old.json", "held", "", "none of its disruptions began", 0}, {"r/calm/long.json", "undecided", "", "", 0},
	}
	s.fail(ExitUndecided, "partition:0x1 is undecided: this")
	s.fail(ExitUndecided, "partition:0x2 is undecided: that")
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="simrun" tests="12" failures="7" errors="2" skipped="1" time="90.000">
 <testcase classname="simrun.scenarios" name="smoke" time="1.235">
  <failure message="20 of 60 seeds are violated; simrun.findings says how"></failure>
 </testcase>
 <testcase classname="simrun.scenarios" name="calm" time="0.000">
  <failure message="1 of 2 seeds are violated; simrun.findings says how"></failure>
 </testcase>
 <testcase classname="simrun.scenarios" name="failover" time="0.000">
  <skipped message="no seed ran"></skipped>
 </testcase>
 <testcase classname="simrun.scenarios" name="partition" time="0.000">
  <error message="1 of 2 seeds are undecided"></error>
 </testcase>
 <testcase classname="simrun.scenarios" name="below-min" time="0.000"></testcase>
 <testcase classname="simrun.regressions" name="r/calm/well.json" time="0.005"></testcase>
 <testcase classname="simrun.regressions" name="r/calm/ill.json" time="0.000">
  <failure message="violated: rate/over"></failure>
 </testcase>
 <testcase classname="simrun.regressions" name="r/calm/old.json" time="0.000">
  <failure message="none of its disruptions began"></failure>
 </testcase>
 <testcase classname="simrun.regressions" name="r/calm/long.json" time="0.000">
  <error message="undecided"></error>
 </testcase>
 <testcase classname="simrun.findings" name="no-loss/lost-ack" time="0.000">
  <failure message="no-loss/lost-ack: 20 times, first in smoke:0x11, smoke:0x12, smoke:0x13">TEXT</failure>
 </testcase>
 <testcase classname="simrun.findings" name="rate/over" time="0.000">
  <failure message="rate/over: calm:0x9">TEXT</failure>
 </testcase>
 <testcase classname="simrun" name="every run is decided" time="0.000">
  <failure message="partition:0x1 is undecided: this">TEXT</failure>
 </testcase>
</testsuite>
`
	data, err := s.junit().encode()
	got := regexp.MustCompile(`>[^<>\n]+(\n[^<>]+)?</failure>`).ReplaceAllString(string(data), ">TEXT</failure>")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestTheSuiteOfARun(t *testing.T) {
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	s, err := Run(stopped, Options{Suite: counter.Suite(), Scenarios: some[:1], Seeds: []Range{{1, 3}}})
	if got := s.junit(); err != nil || s.Exit != ExitInterrupted || got.Failures == 0 {
		t.Errorf("%v: an interrupted campaign is green: %+v", err, got)
	}
}
