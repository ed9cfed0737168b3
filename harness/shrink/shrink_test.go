package shrink_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/counter"
	"github.com/tidaldb/tidalsim/harness/shrink"
	"github.com/tidaldb/tidalsim/harness/verdict"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// lazy is an environment whose syncs complete and sync nothing: they read nothing
// instead.
type lazy struct{ env.Env }

func (l lazy) Submit(op env.Op) {
	if op.Kind == env.OpSync {
		op.Kind, op.Length = env.OpRead, 0
	}
	l.Env.Submit(op)
}

func withoutSync(e env.Env) env.Env { return lazy{e} }

// options shrink plans of the counter whose replicas never sync.
var options = shrink.Options{Suite: counter.Suite(), Shape: counter.Shape(), Decorate: withoutSync}

// failing returns the first seeds in which the planted mistake shows.
func failing(t *testing.T, n int) (plans []harness.Plan) {
	t.Helper()
	r := options.Suite.NewRunner()
	for seed := plan.Seed(1); seed <= 100 && len(plans) < n; seed++ {
		p := counter.Draw(counter.Smoke, seed)
		got, err := r.Run(p, harness.Options{Decorate: withoutSync})
		if err != nil {
			t.Fatal(err)
		}
		if got.Verdict == verdict.Violated {
			plans = append(plans, p)
		}
	}
	if len(plans) < n {
		t.Fatalf("%d of %d seeds show the mistake", len(plans), n)
	}
	return plans
}

func TestAPlantedMistakeShrinks(t *testing.T) {
	for _, p := range failing(t, 10) {
		seed := p.Parts().World.Seed
		r, err := shrink.Shrink(context.Background(), p, options)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Minimal || r.After > 4 || r.After >= r.Before || r.After != options.Shape.Entries(r.Plan) {
			t.Errorf("seed %s: %d entries became %d, minimal %v", seed, r.Before, r.After, r.Minimal)
		}
		stored, err := options.Suite.Decode(r.Plan.Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := options.Suite.NewRunner().Run(stored, harness.Options{Decorate: withoutSync})
		if rec := stored.Parts().Recorded; err != nil || got.Fingerprint() != r.Fingerprint || got.Trace.String() != rec.Trace || rec.Fingerprint != r.Fingerprint {
			t.Errorf("seed %s: the stored plan shows %q, %v; want %q", seed, got.Fingerprint(), err, r.Fingerprint)
		}
		if got, err = options.Suite.NewRunner().Run(stored, harness.Options{}); err != nil || len(got.Findings) > 0 {
			t.Errorf("seed %s: without the mistake the plan shows %q, %v", seed, got.Fingerprint(), err)
		}
	}
}

// What is called minimal is: without any one entry the plan holds or fails otherwise.
func TestMinimalMeansMinimal(t *testing.T) {
	for _, p := range failing(t, 5) {
		small, err := shrink.Shrink(context.Background(), p, options)
		if err != nil || !small.Minimal {
			t.Fatalf("%+v, %v", small, err)
		}
		r := options.Suite.NewRunner()
		for _, q := range shrink.SmallerThan(&options.Shape, small.Plan) {
			if got, err := r.Run(q, harness.Options{Decorate: withoutSync}); err == nil && got.Fingerprint() == small.Fingerprint && options.Shape.Entries(q) < small.After {
				t.Errorf("one entry less fails in the same way: %s", q.Encode())
			}
		}
	}
}

// A candidate that goes on and on is stopped, and does not count, whatever it has shown.
func TestPatienceEnds(t *testing.T) {
	p := counter.Draw(counter.Smoke, 1)
	p.Body.Clients, p.Body.Requests = 8, 1000
	p.World.Duration = 60e9
	s := shrink.NewSearch(context.Background(), options)
	got, err := s.RunFor(p, 1<<20)
	if err != nil || got.Steps <= shrink.LeastSteps {
		t.Fatalf("%d Steps are too few to show anything: %v", got.Steps, err)
	}
	if got, err = s.RunFor(p, 0); err != nil || got.Steps != shrink.LeastSteps || got.Why != harness.WhyCutShort || got.Fingerprint() != "" {
		t.Errorf("without patience: %d Steps, %q, %s, %v", got.Steps, got.Fingerprint(), got.Why, err)
	}
}

func TestShrinkingIsRepeatable(t *testing.T) {
	p := failing(t, 1)[0]
	var plans []string
	for range 2 {
		r, err := shrink.Shrink(context.Background(), p, options)
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, string(r.Plan.Encode()))
	}
	if plans[0] != plans[1] {
		t.Errorf("the same plan shrank to\n%s\nand to\n%s", plans[0], plans[1])
	}
}

func TestWhatCannotShrink(t *testing.T) {
	o := options
	o.Decorate = nil
	if _, err := shrink.Shrink(context.Background(), counter.Draw(counter.Smoke, 1), o); !errors.Is(err, shrink.ErrHolds) {
		t.Errorf("error %v for a plan that holds, want ErrHolds", err)
	}
	broken := counter.Draw(counter.Smoke, 1)
	broken.Body.Replicas = 0
	if _, err := shrink.Shrink(context.Background(), broken, o); !errors.Is(err, plan.ErrInvalid) {
		t.Errorf("error %v for an invalid plan, want plan.ErrInvalid", err)
	}
}

// A budget that is used up gives what there is: a plan that fails, not called minimal.
func TestTheBudgetEnds(t *testing.T) {
	p := failing(t, 1)[0]
	ended, end := context.WithCancel(context.Background())
	end()
	for name, c := range map[string]struct {
		ctx    context.Context
		runs   int
		budget time.Duration
	}{
		"runs": {context.Background(), 3, 0}, "time": {context.Background(), 0, time.Nanosecond}, "interrupted": {ended, 0, 0},
	} {
		o := options
		o.Runs, o.Budget = c.runs, c.budget
		r, err := shrink.Shrink(c.ctx, p, o)
		if name == "runs" && err == nil && r.Runs > 3 {
			t.Errorf("%d runs, want at most 3", r.Runs)
		}
		if err != nil || r.Minimal || r.Fingerprint == "" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// Whatever is accepted is smaller than what it replaces: else two plans could replace each
// other for ever.
func TestEveryAcceptedPlanIsSmaller(t *testing.T) {
	for _, p := range failing(t, 5) {
		s := shrink.NewSearch(context.Background(), options)
		if err := s.Begin(p); err != nil {
			t.Fatal(err)
		}
		last, accepted := s.Best(), 0
		s.OnProgress(func() {
			if accepted++; !options.Shape.IsSmaller(s.Best(), last) {
				t.Errorf("%s was replaced by %s", last.Encode(), s.Best().Encode())
			}
			last = s.Best()
		})
		if minimal := s.Reduce(); !minimal || accepted == 0 {
			t.Errorf("minimal %v after %d runs, %d accepted", minimal, s.Runs(), accepted)
		}
	}
}

// A candidate that fails and is no smaller changes nothing.
func TestTheSameSizeIsRefused(t *testing.T) {
	s := shrink.NewSearch(context.Background(), options)
	if err := s.Begin(failing(t, 1)[0]); err != nil {
		t.Fatal(err)
	}
	larger := s.Best().Clone().(*counter.Plan)
	larger.Body.Requests++
	for _, q := range []harness.Plan{s.Best().Clone(), larger} {
		if before := s.Runs(); s.Try(q) || s.Changes() > 0 || s.Runs() != before {
			t.Errorf("%s was taken in the place of %s", q.Encode(), s.Best().Encode())
		}
	}
}

// Processes that stay keep their faults under their new numbers.
func TestFaultsFollowTheirProcesses(t *testing.T) {
	w := &plan.Plan{}
	w.Disruptions = []plan.Disruption{
		{Kind: plan.Kill, Process: 0}, {Kind: plan.Power, Process: 2}, {Kind: plan.CutDrop, Process: 2, Peer: 4}, {Kind: plan.CutDrop, Process: 2, Peer: 1}, {Kind: plan.CutDrop, Process: 2, Peer: -1},
	}
	w.Clocks = []plan.Clock{{Process: 1}, {Process: 4, DriftPPM: 7}}
	w.Deviations = []plan.Deviation{{Site: 0, Scope: 4<<32 | 2}, {Site: 0, Scope: 1<<32 | 2}, {Site: 5, Scope: 2}, {Site: 5, Scope: 1}}
	shrink.Renumber(w, []int{2, 4})
	var got []string
	for i := range w.Disruptions {
		got = append(got, w.Disruptions[i].String())
	}
	for _, d := range w.Deviations {
		from, to, link := shrink.Ends(&d)
		if link && (from != 1 || to != 0) || !link && to != 0 {
			t.Errorf("deviation %+v", d)
		}
	}
	want := "power process 0 at 0ms; cut-drop process 0 peer 1 at 0ms; cut-drop process 0 peer all at 0ms"
	if strings.Join(got, "; ") != want || len(w.Deviations) != 2 || len(w.Clocks) != 1 || w.Clocks[0] != (plan.Clock{Process: 1, DriftPPM: 7}) {
		t.Errorf("disruptions %q\nwant %q\nclocks %+v, deviations %+v", strings.Join(got, "; "), want, w.Clocks, w.Deviations)
	}
}
