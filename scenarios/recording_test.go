package scenarios

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
)

var rewriteRecording = flag.Bool("rewrite-recording", false, "write testdata/recording.jsonl anew; read the difference before it is committed")

// tiny is a run of a page: one node, which loses power, one client, and a bad network.
func tiny() *Plan {
	p := &Plan{Format: Format, Version: Version, Scenario: "smoke"}
	p.Cluster = ClusterPlan{
		Nodes: 1, Clients: 1, Constants: replica.DefaultConstants,
		Tenants: []TenantPlan{{Config: tenant.Config{ID: 7, Version: 1, Limits: tenant.Limits{Rate: 1000}}}},
	}
	p.Workload = Workload{Operations: 6, Concurrency: 2, Think: millisecond, Entities: 1, ReadPermille: 300}
	p.alone()
	w := &p.World
	w.Seed, w.Duration, w.Calm = 7, second, 10*second
	w.Network, w.Disk = network.DefaultProfile, disk.DefaultProfile
	w.Rates[chance.NetLoss], w.Rates[chance.NetDelay] = chance.Million/16, chance.Million/16
	w.Rates[chance.NetDuplicate], w.Rates[chance.NetCorrupt] = chance.Million/16, chance.Million/16
	w.Rates[chance.DiskLost], w.Rates[chance.DiskTorn], w.Rates[chance.DiskInFlight] = chance.Million/2, chance.Million/2, chance.Million/2
	w.Disruptions = []plan.Disruption{
		{Kind: plan.Power, When: plan.Anchor{Point: fault.Name(fault.BatchSubmitting), Nth: 2, After: 4 * microsecond}, For: millisecond},
		{Kind: plan.CutHold, Peer: -1, When: plan.Anchor{At: 2 * millisecond}, For: 3 * millisecond},
	}
	return p
}

func recordedLines(t *testing.T, p *Plan) *Result {
	t.Helper()
	got, err := NewRunner().Run(p, Options{Story: true})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestARecordingOfATinyPlan(t *testing.T) {
	const path = "testdata/recording.jsonl"
	got := recordedLines(t, tiny())
	var b strings.Builder
	for i := range got.Story {
		line, err := got.Story[i].JSON(1, i)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	if *rewriteRecording {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); diff != "" {
		t.Errorf("the recording of a tiny plan has changed (-golden +today); if you can explain it: go test ./scenarios -run Recording -rewrite-recording\n%s", diff)
	}
}

// Every message has one end or, if it is doubled, two; each line follows from an earlier
// one; and every fault of chance that the trace has is told.
func TestARecordingTellsEverything(t *testing.T) {
	for _, name := range []string{"lossy-network", "disk-trouble", "partition", "disk-loss", "late-messages", "staggered-cuts"} {
		s, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for seed := plan.Seed(1); seed <= 3; seed++ {
			p := s[0].Plan(seed)
			plain, err := NewRunner().Run(p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			hash, deviated := plain.Trace, plain.Deviated
			got := recordedLines(t, p)
			if got.Trace != hash {
				t.Errorf("%s:%s: to record the run changes its trace", name, seed)
			}
			told, sent := 0, 0
			ends := map[uint64]int{} // arrivals and losses, by message; of one that is late, also that it is
			for i := range got.Story {
				line := &got.Story[i]
				if line.Of >= i {
					t.Fatalf("%s:%s: line %d follows from line %d", name, seed, i, line.Of)
				}
				switch line.Kind {
				case Send:
					sent++
				case Arrive, Lose:
					if line.Text != "" && got.Story[line.Of].Kind == Send && got.Story[line.Of].Message == line.Message {
						ends[line.Message]++
					}
				}
				if line.Kind == Chance && strings.Contains(line.Text, "which arrives after") {
					ends[line.Message]++ // it may be on its way when the run ends
				}
				if line.Kind == Chance && !strings.Contains(line.Text, "ROT") || line.Kind == Lose && strings.Contains(line.Text, "chance") {
					told++
				}
			}
			flying := sent - len(ends)
			if limit := sent / 100; flying > limit+20 {
				t.Errorf("%s:%s: %d of %d messages have no end", name, seed, flying, sent)
			}
			if told != deviated {
				t.Errorf("%s:%s: %d faults of chance are told, the run had %d", name, seed, told, deviated)
			}
		}
	}
}

// A finding stands at its instant, or behind everything.
func TestFindingsAreMarked(t *testing.T) {
	told := []Told{{At: 1, Of: none}, {At: 5, Of: 0}, {At: 9, Of: 1}}
	all := merge(told, []Told{{At: 5, Of: 1, Kind: Object}, {At: 20, Of: none, Kind: Object}})
	kinds := make([]Kind, len(all))
	for i := range all {
		kinds[i] = all[i].Kind
	}
	if want := []Kind{0, 0, Object, 0, Object}; !slices.Equal(kinds, want) || all[2].Of != 1 || all[3].Of != 1 {
		t.Errorf("kinds %v, want %v; lines follow from %d and %d, want 1 and 1", kinds, want, all[2].Of, all[3].Of)
	}
	s := newStory(nil, tiny())
	f := s.finding(&checker.Finding{Checker: "rate", Rule: "window", Text: "tenant 7 slot 3 took too much\nmore"}, nil, 42)
	if f.At != 42 || f.Tenant != 7 || f.Slot != 3 || f.Text != ">>>>>>>> FINDING rate/window: tenant 7 slot 3 took too much" {
		t.Errorf("%+v", f)
	}
}

// panicking ends its process by a panic at the third operation of its disk.
type panicking struct {
	env.Env
	left *int
}

func (b panicking) Submit(op env.Op) {
	if *b.left--; *b.left == 0 {
		assert.Fail("the third operation")
	}
	b.Env.Submit(op)
}

// What led to a panic is told, and the panic is marked.
func TestAPanicIsTold(t *testing.T) {
	left := 3
	got, err := NewRunner().Run(tiny(), Options{Story: true, Decorate: func(e env.Env) env.Env { return panicking{e, &left} }})
	if err != nil {
		t.Fatal(err)
	}
	last := got.Story[len(got.Story)-1]
	if len(got.Story) < 4 || last.Kind != Object || !strings.Contains(last.Text, "FINDING panic/assertion") {
		t.Errorf("%d lines, the last one %q", len(got.Story), last.Text)
	}
}

// Of a large run a part can be told: its lines are those of the whole, and links to lines outside
// are left out.
func TestAPartOfARunIsTold(t *testing.T) {
	found, err := Find("failover")
	if err != nil {
		t.Fatal(err)
	}
	whole := recordedLines(t, found[0].Plan(5)).Story
	const from, to = 230 * millisecond, 250 * millisecond
	got, err := NewRunner().Run(found[0].Plan(5), Options{Story: true, StoryFrom: from, StoryTo: to})
	if err != nil {
		t.Fatal(err)
	}
	var want, told []string
	alone := []Kind{Point, Call, Ack, Deny, Submit, Start, Stop} // they say nothing of an earlier line
	for i := range whole {
		if x := &whole[i]; x.At >= from && x.At <= to && slices.Contains(alone, x.Kind) {
			want = append(want, x.String())
		}
	}
	for i := range got.Story {
		x := &got.Story[i]
		if outside := x.At < from || x.At > to; outside && x.About != Fault && x.About != Life && x.Kind != Configure {
			t.Fatalf("it is told that %s", x)
		}
		if x.Of >= i {
			t.Fatalf("line %d follows from line %d", i, x.Of)
		}
		if x.At >= from && x.At <= to && slices.Contains(alone, x.Kind) {
			told = append(told, x.String())
		}
	}
	if diff := cmp.Diff(want, told); diff != "" || len(want) < 50 {
		t.Errorf("%d lines (-of the whole +told):\n%s", len(want), diff)
	}
}
