package shrink

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/scenarios"
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

func TestAPlantedMistakeShrinks(t *testing.T) {
	for _, p := range failing(t, "crash-restart", withoutSync, 3) {
		r, err := Shrink(context.Background(), p, Options{Decorate: withoutSync, Build: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if !r.Minimal || r.After > 8 || r.After >= r.Before || r.After != Entries(r.Plan) {
			t.Errorf("seed %s: %d entries became %d, minimal %v", p.World.Seed, r.Before, r.After, r.Minimal)
		}
		stored, err := scenarios.DecodePlan(r.Plan.Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := scenarios.NewRunner().Run(stored, scenarios.Options{Decorate: withoutSync})
		if err != nil || got.Fingerprint() != r.Fingerprint || got.Trace.String() != r.Plan.Recorded.Trace || r.Plan.Recorded.Fingerprint != r.Fingerprint {
			t.Errorf("seed %s: the stored plan shows %q, %v; want %q", p.World.Seed, got.Fingerprint(), err, r.Fingerprint)
		}
		if got, err = scenarios.NewRunner().Run(stored, scenarios.Options{}); err != nil || len(got.Findings) > 0 {
			t.Errorf("seed %s: without the mistake the plan shows %q, %v", p.World.Seed, got.Fingerprint(), err)
		}
	}
}

// What is called minimal is: without any one entry the plan holds or fails otherwise.
func TestMinimalMeansMinimal(t *testing.T) {
	for _, name := range []string{"crash-restart", "failover"} {
		p := failing(t, name, withoutSync, 1)[0]
		small, err := Shrink(context.Background(), p, Options{Decorate: withoutSync})
		if err != nil || !small.Minimal {
			t.Fatalf("%+v, %v", small, err)
		}
		s := &search{best: small.Plan, whole: small.Plan}
		r := scenarios.NewRunner()
		for _, q := range s.smaller() {
			if got, err := r.Run(q, scenarios.Options{Decorate: withoutSync}); err == nil && got.Fingerprint() == small.Fingerprint && Entries(q) < small.After {
				t.Errorf("%s: one entry less fails in the same way: %q", name, Words(q))
			}
		}
	}
}

// A candidate that goes on and on is stopped, and does not count, whatever it has shown.
func TestPatienceEnds(t *testing.T) {
	p := failing(t, "failover", withoutSync, 1)[0]
	s := newSearch(context.Background(), Options{Decorate: withoutSync})
	if err := s.begin(p); err != nil {
		t.Fatal(err)
	}
	got, err := s.run(p, scenarios.Options{})
	if err != nil || got.Fingerprint() != s.want {
		t.Fatalf("within its patience: %q, %v; want %s", got.Fingerprint(), err, s.want)
	}
	if got.Steps <= leastSteps {
		t.Fatalf("%d Steps are too few to show anything", got.Steps)
	}
	s.steps = 0 // as if the first run had been short
	if got, err = s.run(p, scenarios.Options{}); err != nil || got.Steps != leastSteps || got.Why != scenarios.WhyCutShort || got.Fingerprint() != "" {
		t.Errorf("without patience: %d Steps, %q, %s, %v", got.Steps, got.Fingerprint(), got.Why, err)
	}
}

func TestShrinkingIsRepeatable(t *testing.T) {
	p := failing(t, "smoke", withoutSync, 1)[0]
	var plans []string
	for range 2 {
		r, err := Shrink(context.Background(), p, Options{Decorate: withoutSync})
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
	found, _ := scenarios.Find("smoke")
	if _, err := Shrink(context.Background(), found[0].Plan(1), Options{}); !errors.Is(err, ErrHolds) {
		t.Errorf("error %v for a plan that holds, want ErrHolds", err)
	}
	broken := found[0].Plan(1)
	broken.Cluster.Nodes = 0
	if _, err := Shrink(context.Background(), broken, Options{}); !errors.Is(err, plan.ErrInvalid) {
		t.Errorf("error %v for an invalid plan, want plan.ErrInvalid", err)
	}
}

// A budget that is used up gives what there is: a plan that fails, not called minimal.
func TestTheBudgetEnds(t *testing.T) {
	p := failing(t, "crash-restart", withoutSync, 1)[0]
	ended, end := context.WithCancel(context.Background())
	end()
	for name, c := range map[string]struct {
		ctx     context.Context
		options Options
	}{
		"runs":        {context.Background(), Options{Runs: 3, Decorate: withoutSync}},
		"time":        {context.Background(), Options{Budget: time.Nanosecond, Decorate: withoutSync}},
		"interrupted": {ended, Options{Decorate: withoutSync}},
	} {
		r, err := Shrink(c.ctx, p, c.options)
		if name == "runs" && err == nil && r.Runs > 3 {
			t.Errorf("%d runs, want at most 3", r.Runs)
		}
		if err != nil || r.Minimal || r.Fingerprint == "" {
			t.Errorf("%s: %+v, %v", name, r, err)
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
	r, err := Shrink(context.Background(), p, Options{Decorate: decorate})
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
		r, err := Shrink(context.Background(), p, Options{Decorate: decorate, Acked: wanted})
		if err != nil || !r.Minimal {
			t.Fatalf("%+v, %v", r, err)
		}
		got, err := scenarios.NewRunner().Run(r.Plan, scenarios.Options{Decorate: decorate})
		if err != nil || got.Acked < wanted || wanted == 0 && got.Acked > 0 {
			t.Errorf("%d operations are acknowledged, want at least %d, and no more than that, %v", got.Acked, wanted, err)
		}
	}
}

// Every cut of a valid plan is valid.
func TestCutsAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := scenarios.All()
		p := all[rapid.IntRange(0, len(all)-1).Draw(t, "scenario")].Plan(plan.Seed(rapid.Uint64().Draw(t, "seed")))
		keep := func(what string, n int) []int {
			return slices.DeleteFunc(numbers(n), func(i int) bool { return i > 0 && !rapid.Bool().Draw(t, what) })
		}
		whole := len(p.Cluster.Tenants)
		p = onNodes(p, keep("node", p.Cluster.Nodes), true)
		if len(p.Cluster.Tenants) != whole {
			t.Fatalf("%d tenants moved, %d arrived", whole, len(p.Cluster.Tenants))
		}
		valid(t, "nodes", p)
		p = ofClients(p, keep("client", p.Cluster.Clients))
		valid(t, "clients", p)
		p = ofTenants(p, keep("tenant", len(p.Cluster.Tenants)))
		valid(t, "tenants", p)
		p = ofOperators(p, keep("operator", len(p.Workload.Operators)))
		valid(t, "operators", p)
		var faults []fault
		everything := faultsOf(p)
		for _, i := range keep("fault", len(everything)) {
			if i < len(everything) {
				faults = append(faults, everything[i])
			}
		}
		p = withFaults(p, faults)
		valid(t, "faults", p)
		var calls []call
		for _, c := range callsOf(p) {
			if chosen := (c.client+1)*7919 + c.number*104729; chosen%3 == 0 {
				calls = append(calls, c)
			}
		}
		p = withCalls(p, calls)
		valid(t, "operations", p)
		if got := callsOf(p); !slices.Equal(got, calls) {
			t.Fatalf("operations %v are left, want %v", got, calls)
		}
	})
}

func valid(t *rapid.T, what string, p *scenarios.Plan) {
	if err := p.Validate(); err != nil {
		t.Fatalf("%s cut: %v", what, err)
	}
}

// Processes that stay keep their faults under their new numbers.
func TestFaultsFollowTheirProcesses(t *testing.T) {
	p := &scenarios.Plan{Cluster: scenarios.ClusterPlan{Nodes: 3, Clients: 2}}
	p.World.Disruptions = []plan.Disruption{
		{Kind: plan.Kill, Process: 0}, {Kind: plan.Power, Process: 2}, {Kind: plan.CutDrop, Process: 2, Peer: 4}, {Kind: plan.CutDrop, Process: 2, Peer: 1}, {Kind: plan.CutDrop, Process: 2, Peer: -1},
	}
	p.World.Clocks = []plan.Clock{{Process: 1}, {Process: 4, DriftPPM: 7}}
	p.World.Deviations = []plan.Deviation{{Site: 0, Scope: 4<<32 | 2}, {Site: 0, Scope: 1<<32 | 2}, {Site: 5, Scope: 2}, {Site: 5, Scope: 1}}
	q := renumber(p, []int{2, 4})
	var got []string
	for i := range q.World.Disruptions {
		got = append(got, q.World.Disruptions[i].String())
	}
	for _, d := range q.World.Deviations {
		from, to, link := ends(&d)
		if link && (from != 1 || to != 0) || !link && to != 0 {
			t.Errorf("deviation %+v", d)
		}
	}
	want := "power process 0 at 0ms; cut-drop process 0 peer 1 at 0ms; cut-drop process 0 peer all at 0ms"
	if strings.Join(got, "; ") != want || len(q.World.Deviations) != 2 || len(q.World.Clocks) != 1 || q.World.Clocks[0] != (plan.Clock{Process: 1, DriftPPM: 7}) {
		t.Errorf("disruptions %q\nwant %q\nclocks %+v, deviations %+v", strings.Join(got, "; "), want, q.World.Clocks, q.World.Deviations)
	}
}

func TestABriefStory(t *testing.T) {
	p := failing(t, "crash-restart", withoutSync, 1)[0]
	r, err := Shrink(context.Background(), p, Options{Decorate: withoutSync})
	if err != nil {
		t.Fatal(err)
	}
	brief := r.Brief()
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

// The emitted test compiles, and passes when the plan holds. That one of a plan that
// fails does not is a test of cmd/simrun.
func TestEmittedTests(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a test binary")
	}
	found, _ := scenarios.Find("smoke")
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	inTree, path, binary := filepath.Join(root, "shrink", "emitted", "emitted_test.go"), filepath.Join(t.TempDir(), "emitted_test.go"), filepath.Join(t.TempDir(), "emitted.test")
	text, err := Test(found[0].Plan(1), inTree)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "test", "-C", root, "-vet=off", "-c", "-o", binary, "-overlay", overlay(t, inTree, path), "./shrink/emitted")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command(binary).CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("a test of a plan that holds: %v\n%s", err, out)
	}
}

// overlay lets the go command see a file of the tree that is not there.
func overlay(t *testing.T, path, file string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{path: file}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
