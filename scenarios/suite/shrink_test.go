package suite_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness/shrink"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/scenarios/shape"
	"github.com/tidaldb/tidalsim/scenarios/suite"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// lazy is an environment that completes syncs without syncing: it reads nothing instead.
type lazy struct{ env.Env }

func (l lazy) Submit(op env.Op) {
	if op.Kind == env.OpSync {
		op.Kind, op.Length = env.OpRead, 0
	}
	l.Env.Submit(op)
}

func withoutSync(e env.Env) env.Env { return lazy{e} }

// failing returns the first seeds of a scenario in which a planted mistake shows.
func failing(t *testing.T, name string, decorate func(env.Env) env.Env, n int) (plans []*scenarios.Plan) {
	t.Helper()
	found, err := scenarios.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	r := scenarios.NewRunner()
	for seed := plan.Seed(1); seed <= 100 && len(plans) < n; seed++ {
		p := found[0].Plan(seed)
		got, err := r.Run(p, scenarios.Options{Decorate: decorate})
		if err != nil {
			t.Fatal(err)
		}
		if got.Verdict == checker.Violated {
			plans = append(plans, p)
		}
	}
	if len(plans) < n {
		t.Fatalf("%d of %d seeds show the mistake", len(plans), n)
	}
	return plans
}

// options shrink plans of the tenants' scenarios.
func options(decorate func(env.Env) env.Env) shrink.Options {
	return shrink.Options{Suite: suite.Tenants(), Shape: shape.Shape(), Build: "test", Decorate: decorate}
}

func TestAPlantedMistakeShrinks(t *testing.T) {
	tenants := shape.Shape()
	for _, p := range failing(t, "crash-restart", withoutSync, 3) {
		r, err := shrink.Shrink(context.Background(), p, options(withoutSync))
		if err != nil {
			t.Fatal(err)
		}
		if !r.Minimal || r.After > 8 || r.After >= r.Before || r.After != tenants.Entries(r.Plan) {
			t.Errorf("seed %s: %d entries became %d, minimal %v", p.World.Seed, r.Before, r.After, r.Minimal)
		}
		stored, err := scenarios.DecodePlan(r.Plan.Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := scenarios.NewRunner().Run(stored, scenarios.Options{Decorate: withoutSync})
		if err != nil || got.Fingerprint() != r.Fingerprint || got.Trace.String() != stored.Recorded.Trace || stored.Recorded.Fingerprint != r.Fingerprint {
			t.Errorf("seed %s: the stored plan shows %q, %v; want %q", p.World.Seed, got.Fingerprint(), err, r.Fingerprint)
		}
		if got, err = scenarios.NewRunner().Run(stored, scenarios.Options{}); err != nil || len(got.Findings) > 0 {
			t.Errorf("seed %s: without the mistake the plan shows %q, %v", p.World.Seed, got.Fingerprint(), err)
		}
	}
}

// panics is a machine that goes wrong when its node starts again.
type panics struct{ env.Env }

func (p panics) List(dir string) []string {
	names := p.Env.List(dir)
	if dir == "tenants" && len(names) > 0 {
		panic("started again")
	}
	return names
}

func TestAPanicShrinks(t *testing.T) {
	decorate := func(e env.Env) env.Env { return panics{e} }
	p := failing(t, "smoke", decorate, 1)[0]
	r, err := shrink.Shrink(context.Background(), p, options(decorate))
	if err != nil || r.Fingerprint != "panic/runtime" || r.After != 1 || !r.Minimal {
		t.Errorf("%+v, %v; want one crash, and panic/runtime", r, err)
	}
}

// A plan that is to prove something once its bug is mended acknowledges an operation; one
// that is only to be small need not.
func TestWhatIsToBeKeptAcknowledges(t *testing.T) {
	decorate := func(e env.Env) env.Env { return panics{e} }
	p := failing(t, "smoke", decorate, 1)[0]
	for _, wanted := range []int{0, 1} {
		o := options(decorate)
		o.Acked = wanted
		r, err := shrink.Shrink(context.Background(), p, o)
		if err != nil || !r.Minimal {
			t.Fatalf("%+v, %v", r, err)
		}
		got, err := scenarios.NewRunner().Run(r.Plan.(*scenarios.Plan), scenarios.Options{Decorate: decorate})
		if err != nil || got.Acked < wanted || wanted == 0 && got.Acked > 0 {
			t.Errorf("%d operations are acknowledged, want at least %d, and no more than that, %v", got.Acked, wanted, err)
		}
	}
}

func TestABriefStory(t *testing.T) {
	p := failing(t, "crash-restart", withoutSync, 1)[0]
	r, err := shrink.Shrink(context.Background(), p, options(withoutSync))
	if err != nil {
		t.Fatal(err)
	}
	brief := r.Brief
	text := strings.Join(brief, "\n")
	if len(brief) > 24 {
		t.Errorf("%d lines", len(brief))
	}
	for _, wanted := range []string{"1 node", "CALLS #", "ENDS  #", r.Fingerprint} {
		if !strings.Contains(text, wanted) {
			t.Errorf("the story never says %q:\n%s", wanted, text)
		}
	}
}

// Shrinking a plan of replica groups ends, and says that it has: there the same nodes with the
// workload of the beginning once were a candidate for ever.
func TestPlansOfReplicaGroupsShrink(t *testing.T) {
	o := options(withoutSync)
	r, err := shrink.Shrink(context.Background(), failing(t, "failover", withoutSync, 1)[0], o)
	if err != nil || !r.Minimal || r.After >= r.Before {
		t.Errorf("%+v, %v", r, err)
	}
}
