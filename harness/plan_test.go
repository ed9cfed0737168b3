package harness_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/counter"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

func TestPlanFilesReadBackAsWritten(t *testing.T) {
	s := counter.Suite()
	for _, scenario := range s.Scenarios {
		for seed := plan.Seed(1); seed <= 20; seed++ {
			p := s.Draw(scenario, seed)
			p.Note("a lesson", &harness.Recorded{Fingerprint: "a/b", Trace: "0", Build: "this"})
			got, err := s.Decode(p.Encode())
			if err != nil {
				t.Fatalf("%s: %v", harness.Name(scenario, seed), err)
			}
			if diff := cmp.Diff(p, got); diff != "" {
				t.Fatalf("%s (-drawn +read):\n%s", harness.Name(scenario, seed), diff)
			}
			if diff := cmp.Diff(p, p.Clone()); diff != "" {
				t.Fatalf("%s (-plan +copy):\n%s", harness.Name(scenario, seed), diff)
			}
		}
	}
}

func TestPlanFilesThatAreRefused(t *testing.T) {
	s := counter.Suite()
	good := string(s.Draw(counter.Smoke, 1).Encode())
	for name, c := range map[string]struct {
		text string
		err  error
		says string
	}{
		"cut off":               {good[:len(good)/2], harness.ErrPlanFile, "unexpected end"},
		"of another suite":      {strings.Replace(good, "counter-plan", "tidalsim-plan", 1), harness.ErrPlanFile, `format is "tidalsim-plan", want "counter-plan"`},
		"of the future":         {strings.Replace(good, `"version": 1`, `"version": 2`, 1), harness.ErrPlanVersion, "use the binary that wrote it"},
		"with an unknown field": {strings.Replace(good, `"body":`, `"colour": 1, "body":`, 1), harness.ErrPlanFile, `unknown field "colour"`},
		"of another scenario":   {strings.Replace(good, `"smoke"`, `"smokes"`, 1), harness.ErrPlanFile, `there is no scenario "smokes"`},
		"twice":                 {good + good, harness.ErrPlanFile, "after top-level value"},
		"with text for number":  {strings.Replace(good, `"clients": `, `"clients": "1", "replicas": `, 1), harness.ErrPlanFile, "line 7 column"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Decode([]byte(c.text)); !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v with %q", err, c.err, c.says)
			}
		})
	}
}

func TestSet(t *testing.T) {
	s := counter.Suite()
	p := s.Draw(counter.Lossy, 3)
	before := p.Encode()
	changed, err := harness.Set(p, s.Decode, []string{"body.requests=7", "world.rates.net.loss=5", "world.disk.depth=2"})
	if err != nil {
		t.Fatal(err)
	}
	q := changed.(*counter.Plan)
	if q.Body.Requests != 7 || q.World.Rates[chance.NetLoss] != 5 || q.World.Disk.Depth != 2 || !bytes.Equal(p.Encode(), before) {
		t.Errorf("%s", q.Encode())
	}
	for set, says := range map[string]string{
		"body.requests": "want path=value", "body.reqests=1": "did you mean body.requests?", "body.requests.deep=1": "nothing below",
		"world.disruptions.0=1": `"0" is no place in a list of 0`, "body.clients=0": "1..8 clients",
	} {
		p := s.Draw(counter.Calm, 3).(*counter.Plan)
		p.World.Disruptions = []plan.Disruption{}
		if _, err := harness.Set(p, s.Decode, []string{set}); !errors.Is(err, plan.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want one with %q", set, err, says)
		}
	}
}

// A recorded plan needs neither the seed's rates nor the code that drew it: it lists what
// chance decided, and its run is the same.
func TestARecordedPlanRepeatsItsRun(t *testing.T) {
	s := counter.Suite()
	runner := s.NewRunner()
	for seed := plan.Seed(1); seed <= 20; seed++ {
		p := s.Draw(counter.Lossy, seed)
		got, err := runner.Run(p, harness.Options{Record: true})
		if err != nil {
			t.Fatal(err)
		}
		trace, listed := got.Trace, harness.Record(p, got, "this")
		if w := listed.Parts().World; w.Rates != (plan.Rates{}) || len(w.Deviations) != got.Deviated || p.Parts().World.Deviations != nil {
			t.Fatalf("seed %s: %d of %d deviations are listed, at the rates %v", seed, len(w.Deviations), got.Deviated, w.Rates)
		}
		if got, err = runner.Run(listed, harness.Options{}); err != nil || got.Trace != trace || len(got.Unused) > 0 {
			t.Errorf("seed %s: %v: another trace, or unused entries: %v", seed, err, got.Unused)
		}
	}
}

// Equal entries have equal lines, and the lines name what the numbers stand for.
func TestEventsAreLines(t *testing.T) {
	s := counter.Suite()
	got, err := s.NewRunner().Run(s.Draw(counter.Smoke, 1), harness.Options{Trace: true})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(harness.Events(got.Entries, s.Points), "\n")
	for _, wanted := range []string{"step", "started detail", "replica.syncing key", "sync operation"} {
		if !strings.Contains(text, wanted) {
			t.Errorf("no line says %q", wanted)
		}
	}
}
