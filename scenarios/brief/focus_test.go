package brief

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// The subject of a finding is read from its operations or from its words.
func TestFocus(t *testing.T) {
	p := sharedPlan()
	p.Cluster.Tenants[0].Config.ID, p.Cluster.Tenants[1].Config.ID = 2, 7
	ops := []history.Op{
		{Kind: history.Write, Tenant: 2, Slot: 1, Seq: 9}, {Kind: history.Read, Tenant: 7, Slot: 0}, {Kind: history.Write, Tenant: 2, Slot: 0, Seq: 4},
	}
	for _, c := range []struct {
		name string
		f    checker.Finding
		want focus
	}{
		{"durable-ack", checker.Finding{At: 5, Text: "tenant 2 slot 0: seq 4 was acknowledged at 70.2 ms before it was durable: of node 1, in sync: nothing"},
			focus{at: 5, tenant: 2, slot: 0, seq: 4, shard: 2, calls: []int{2}}},
		{"rate", checker.Finding{At: 6, Text: "tenant 2 slot 1: 7 operations took a token from 1 ms to 2 ms, where the last is seq 3; rate 1 per second"},
			focus{at: 6, tenant: 2, slot: 1, seq: 3, shard: 1}},
		{"a rate of all slots", checker.Finding{At: 6, Text: "tenant 7: 3 operations in its 1 slots took a token from 1 ms to 2 ms, where the last is seq 5 of slot 0; rate 1"},
			focus{at: 6, tenant: 7, slot: 0, seq: 5, shard: 2}},
		{"an operation", checker.Finding{At: 7, Ops: []int{0}, Text: "operation #0 was acknowledged at seq 9"},
			focus{at: 7, tenant: 2, slot: 1, seq: 9, shard: 1, calls: []int{0, 0}}},
		{"a shard", checker.Finding{At: 8, Text: "at 1 ms node 2 says that it leads shard 1 in epoch 3"},
			focus{at: 8, tenant: tenant.Reserved, slot: unnamed, shard: 1}},
		{"nothing", checker.Finding{Text: "node 1 is down"},
			focus{tenant: tenant.Reserved, slot: unnamed, shard: unnamed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, focusOf(&c.f, ops, p), cmp.AllowUnexported(focus{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhoLeads(t *testing.T) {
	leads := []scenarios.Leads{
		{Shard: 0, Epoch: 1, Leader: 2}, {Shard: 1, Epoch: 1, Leader: 0}, {Shard: 2, Epoch: 1, Leader: 1}, {Shard: 3, Epoch: 1, Leader: 1},
		{At: 1e6, Shard: 2, Epoch: 1, Version: 2, Leader: 1}, {At: 2_500_000, Shard: 2, Epoch: 2, Leader: 0},
	}
	for epoch := range 6 {
		leads = append(leads, scenarios.Leads{At: int64(epoch+3) * 1e6, Shard: 1, Epoch: 2 + 1, Leader: 1}, scenarios.Leads{At: int64(epoch+4) * 1e6, Shard: 1, Epoch: 4, Leader: 2})
	}
	r := telling{leads: leads, focus: focus{shard: 2}}
	want := "shard 2 is led by node 1 in epoch 1, node 0 in epoch 2 from 2.5 ms\nshard 0 is led by node 2 in epoch 1; and 2 shards more"
	if got := strings.Join(r.leaders(), "\n"); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	r.focus.shard = 1
	if got := r.leaders()[0]; !strings.HasPrefix(got, "shard 1 is led by node 0 in epoch 1, ... 9 epochs more ..., node 2 in epoch 4") || strings.Count(got, "node") != 4 {
		t.Errorf("of many epochs: %s", got)
	}
	if got := (&telling{}).leaders(); len(got) != 0 {
		t.Errorf("where nobody leads: %q", got)
	}
}

// hasty is an environment with a clock at ten times the speed, though nothing says so.
type hasty struct{ env.Env }

func (h hasty) Now() env.Time                        { return 10 * h.Env.Now() }
func (h hasty) SetTimer(id env.TimerID, at env.Time) { h.Env.SetTimer(id, at/10) }

// lazy is an environment that completes syncs without syncing: it reads nothing instead.
type lazy struct{ env.Env }

func (l lazy) Submit(op env.Op) {
	if op.Kind == env.OpSync {
		op.Kind, op.Length = env.OpRead, 0
	}
	l.Env.Submit(op)
}

func withoutSync(e env.Env) env.Env { return lazy{e} }

// told tells the run of the first seed that fails so.
func told(t *testing.T, scenario, fingerprint string, decorate func(env.Env) env.Env) *telling {
	t.Helper()
	found, err := scenarios.Find(scenario)
	if err != nil {
		t.Fatal(err)
	}
	r := scenarios.NewRunner()
	for seed := range plan.Seed(100) {
		p := found[0].Plan(seed + 1)
		got, err := r.Run(p, scenarios.Options{Decorate: decorate})
		if err != nil {
			t.Fatal(err)
		}
		if got.Fingerprint() != fingerprint {
			continue
		}
		if got, err = r.Run(p, scenarios.Options{Decorate: decorate, Story: true}); err != nil {
			t.Fatal(err)
		}
		return newTelling(got)
	}
	t.Fatalf("no seed of %s shows %s", scenario, fingerprint)
	return nil
}

// The story of a finding that names no operation is told around its instant, its slot and its
// record, with the leaders of the shard.
func TestBriefStories(t *testing.T) {
	for _, c := range []struct {
		name, scenario, fingerprint string
		decorate                    func(env.Env) env.Env
	}{
		{"durable-ack", "failover", "durable-ack/ack-before-durable", withoutSync},
		{"rate", "quota-storm", "rate/window", func(e env.Env) env.Env { return hasty{e} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := told(t, c.scenario, c.fingerprint, c.decorate)
			brief := r.lines()
			record := fmt.Sprintf("(tenant %s slot %d, %d)", r.focus.tenant, r.focus.slot, r.focus.seq)
			near := slices.ContainsFunc(r.matters(), func(i int) bool {
				return r.focus.isOf(&r.story[i]) && r.focus.distance(&r.story[i]) < int64(env.Millisecond)
			})
			if len(r.finding.Ops) > 0 || r.focus.seq == 0 || !near || !strings.Contains(strings.Join(brief, "\n"), record) || len(brief) > 24 {
				t.Errorf("%d lines, near the finding %v, want some about %s:\n%s", len(brief), near, record, strings.Join(brief, "\n"))
			}
			if leads := fmt.Sprintf("shard %d is led by node ", r.focus.shard); !strings.Contains(strings.Join(brief, "\n"), leads) {
				t.Errorf("the story never says %q:\n%s", leads, strings.Join(brief, "\n"))
			}
		})
	}
}

// Of a long story those lines are told that the finding is about, with the faults.
func TestABriefStoryIsToldAroundItsFinding(t *testing.T) {
	line := func(ms int, about scenarios.About, kind scenarios.Kind, seq uint64, text string) scenarios.Told {
		return scenarios.Told{At: int64(ms) * 1e6, About: about, Kind: kind, Op: 9, Tenant: 2, Slot: 0, Seq: seq, To: seq, Text: text}
	}
	var story []scenarios.Told
	for ms := range 200 {
		told := line(ms, scenarios.Detail, scenarios.Point, uint64(ms), fmt.Sprintf("node 0 reaches something %d", ms))
		told.Slot = 5
		story = append(story, told)
		switch ms {
		case 10:
			story = append(story, line(ms, scenarios.Fault, scenarios.Begin, 0, "FAULT 0 BEGINS"))
		case 20:
			story = append(story, line(ms, scenarios.Detail, scenarios.Send, 3, "node 0 sends record 3"))
		case 99:
			story = append(story, line(ms, scenarios.Detail, scenarios.Send, 4, "node 0 sends record 4"))
		case 100:
			story = append(story, line(ms, scenarios.Detail, scenarios.Send, 4, "node 0 sends ack of 4"))
		case 101:
			story = append(story, line(ms, scenarios.Detail, scenarios.Arrive, 4, "ack of 4 arrives"))
		case 105:
			story = append(story, line(ms, scenarios.Detail, scenarios.Durable, 4, "node 1 has 4 durably"))
		case 190:
			story = append(story, line(ms, scenarios.Fault, scenarios.Calm, 0, "the calm part begins"))
		}
	}
	p := sharedPlan()
	p.Cluster.Tenants[0].Config.ID, p.Cluster.Tenants[1].Config.ID = 2, 7
	p.Workload.Operators, p.World.Disruptions = nil, nil
	r := telling{
		plan: p, story: story, leads: []scenarios.Leads{{Shard: 2, Epoch: 3, Leader: 4}},
		finding: checker.Finding{Checker: "durable-ack", Rule: "ack-before-durable", At: 100e6, Text: "tenant 2 slot 0: seq 4 was acknowledged at 100 ms before it was durable: of node 1"},
	}
	r.focus = focusOf(&r.finding, nil, p)
	want := `
  5 nodes, 1 client, 2 tenants, 0 operations
  shard 2 is led by node 4 in epoch 3
               10 ms  node 0 reaches something 10
               10 ms  FAULT 0 BEGINS ...
               20 ms  node 0 sends record 3 ...
               99 ms  node 0 reaches something 99
               99 ms  node 0 sends record 4
              100 ms  node 0 reaches something 100
              100 ms  node 0 sends ack of 4
              101 ms  node 0 reaches something 101 ...
              105 ms  node 1 has 4 durably ...
              190 ms  node 0 reaches something 190
              190 ms  the calm part begins
  durable-ack/ack-before-durable: tenant 2 slot 0: seq 4 was acknowledged at 100 ms before it was durable: of node 1`
	if diff := cmp.Diff(strings.Split(want, "\n")[1:], r.lines()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The story names the commands of operators about nodes.
func TestWordsOfCommands(t *testing.T) {
	p := sharedPlan()
	p.Workload.Operators[0].Commands = append(p.Workload.Operators[0].Commands, scenarios.CommandPlan{Kind: "drop", Tenant: 1, Step: 1})
	words := strings.Join(Words(p), "\n")
	for _, wanted := range []string{"operator 0: drain node 3", "operator 0: undrain node 1", "operator 0: drop tenant 0, +1 versions"} {
		if !strings.Contains(words, wanted) {
			t.Errorf("nobody says %q:\n%s", wanted, words)
		}
	}
}
