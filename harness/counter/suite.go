package counter

import (
	"fmt"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/draw"
	"github.com/tidaldb/tidalsim/harness/runner"
	"github.com/tidaldb/tidalsim/harness/verdict"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Body is the part of a plan beside its world. Processes 0..Replicas-1 are replicas, then come
// the clients.
type Body struct {
	Replicas int `json:"replicas"`
	Clients  int `json:"clients"`
	Requests int `json:"requests"` // of each client
}

// Plan is one run of the counter.
type Plan = harness.File[Body]

const format = "counter-plan"

// The scenarios.
const (
	Smoke = "smoke" // a replica loses power, whenever a sync is under way
	Calm  = "calm"  // nothing goes wrong
	Lossy = "lossy" // messages are lost and doubled
)

var scenarios = []string{Smoke, Calm, Lossy}

// Suite returns the suite of the counter.
func Suite() *harness.Suite {
	return &harness.Suite{
		Command: "counter", Scenarios: scenarios, Points: points,
		Draw:      func(scenario string, seed plan.Seed) harness.Plan { return Draw(scenario, seed) },
		Decode:    decode,
		NewRunner: func() harness.Runner { return new(counted) },
	}
}

// Draw returns the plan of a seed.
func Draw(scenario string, seed plan.Seed) *Plan {
	d, w := draw.New(scenario, seed), plan.Quiet()
	w.Seed = seed
	b := Body{
		Replicas: int(d.Between("replicas", 0, 2, 4)),
		Clients:  int(d.Between("clients", 0, 1, 3)),
		Requests: int(d.Between("requests", 0, 10, 40)),
	}
	switch scenario {
	case Smoke:
		w.Rates[chance.DiskLost], w.Rates[chance.DiskEntry] = 500_000, 300_000
		w.Rates[chance.DiskTorn] = d.Swarm(chance.DiskTorn, 100_000, 800_000)
		for i := range int(d.Between("crashes", 0, 1, 4)) {
			w.Disruptions = append(w.Disruptions, loss(&d, i, b.Replicas))
		}
	case Lossy:
		w.Rates[chance.NetLoss] = uint32(d.Log("loss", 0, 1000, 200_000))
		w.Rates[chance.NetDuplicate] = d.Swarm(chance.NetDuplicate, 1000, 200_000)
	}
	return harness.NewFile(format, scenario, b, w)
}

// loss is the i-th loss of power: of any replica, at one of its syncs, or soon after.
func loss(d *draw.Draw, i, replicas int) plan.Disruption {
	return plan.Disruption{
		Kind: plan.Power, Process: uint32(d.Between("replica", i, 0, int64(replicas)-1)),
		For: d.Log("down", i, 1000, 4_000_000),
		When: plan.Anchor{
			Point: points[syncing], Nth: uint32(d.Between("sync", i, 1, 10)), After: d.Log("after", i, 1000, 1_000_000),
		},
	}
}

func decode(data []byte) (harness.Plan, error) {
	p, err := harness.DecodeFile[Body](data, format, scenarios)
	if err != nil {
		return nil, err
	}
	return p, validate(p)
}

// validate reports the first thing in the plan that cannot be run.
func validate(p *Plan) error {
	b := &p.Body
	if b.Replicas < 1 || b.Replicas > 8 || b.Clients < 1 || b.Clients > 8 || b.Requests < 0 || b.Requests > 1000 {
		return fmt.Errorf("%w: body %+v, want 1..8 replicas, 1..8 clients, 0..1000 requests", plan.ErrInvalid, *b)
	}
	for i := range p.World.Disruptions {
		if d := &p.World.Disruptions[i]; int(d.Process) >= b.Replicas && !d.Kind.OfLinks() {
			return fmt.Errorf("%w: world.disruptions[%d]: process %d is a client, want a replica", plan.ErrInvalid, i, d.Process)
		}
	}
	return p.World.Validate(b.Replicas+b.Clients, points)
}

// counted runs plans of the counter.
type counted struct {
	runner  runner.Runner
	clients []*client
}

// Run implements harness.Runner.
func (c *counted) Run(p harness.Plan, o harness.Options) (*harness.Result, error) {
	counters := p.(*Plan)
	if err := validate(counters); err != nil {
		return nil, err
	}
	b := counters.Body
	c.clients = c.clients[:0]
	life := runner.Life{
		Plan:   &counters.World,
		Config: sim.Config{Programs: c.programs(b, o.Decorate), Points: points, Poison: true},
		Done:   func() bool { return c.done(b) },
		Judge:  func(got *harness.Result, out sim.Outcome) { c.judge(b, got, out) },
		Rules:  runner.Rules{Acked: 1, Faulty: counters.Scenario == Smoke, Known: counters.Recorded != nil},
	}
	return c.runner.Run(&life, o)
}

func (c *counted) programs(b Body, decorate func(env.Env) env.Env) (programs []sim.Program) {
	if decorate == nil {
		decorate = func(e env.Env) env.Env { return e }
	}
	replica := func(e env.Env) env.Machine { return newReplica(decorate(e), b.Replicas) }
	for range b.Replicas {
		programs = append(programs, sim.Program{Name: "replica", New: replica})
	}
	newClient := func(e env.Env) env.Machine {
		one := &client{env: e, count: uint64(b.Requests)}
		c.clients = append(c.clients, one)
		return one
	}
	for range b.Clients {
		programs = append(programs, sim.Program{Name: "client", New: newClient})
	}
	return programs
}

// replica returns a replica, nil while it is down.
func (c *counted) replica(i int) *replica {
	r, _ := c.runner.World().Machine(env.ID(i)).(*replica)
	return r
}

func (c *counted) done(b Body) bool {
	if len(c.clients) < b.Clients {
		return false
	}
	for _, one := range c.clients {
		if !one.done() {
			return false
		}
	}
	for i := range b.Replicas {
		if r := c.replica(i); r == nil || !r.ready {
			return false
		}
	}
	return true
}

// judge looks at what clients were told, and at the replicas in the end: whatever was
// answered is counted everywhere, nothing is counted twice, and everybody has finished.
func (c *counted) judge(b Body, got *harness.Result, out sim.Outcome) {
	for _, one := range c.clients {
		got.Acked += len(one.acked)
		if !one.done() {
			got.Unknown++
		}
	}
	got.Operations = got.Acked + got.Unknown
	var up []*replica // others have not come to the end, which is told below
	for i := range b.Replicas {
		if r := c.replica(i); r != nil && r.ready {
			up = append(up, r)
		}
	}
	for _, r := range up {
		c.lost(r, got)
	}
	for _, r := range up {
		if n := len(r.log); len(r.place) != n {
			object(got, "exactly-once/doubled", "replica %d counts %d of its %d requests twice", r.env.Self(), n-len(r.place), n)
		}
	}
	if !out.Done {
		object(got, "liveness/stopped", "%d requests are answered, want %d", got.Acked, b.Clients*b.Requests)
	}
}

// lost objects to each request that a client was told of and that a replica does not count.
func (c *counted) lost(r *replica, got *harness.Result) {
	for _, one := range c.clients {
		for _, q := range one.acked {
			if _, counts := r.place[q]; !counts {
				object(got, "no-loss/lost", "client %d was told of request %d, and replica %d does not count it",
					q.client, q.number, r.env.Self())
			}
		}
	}
}

// object adds a finding with the fingerprint to a result.
func object(got *harness.Result, fingerprint, format string, args ...any) {
	checker, rule, _ := strings.Cut(fingerprint, "/")
	f := verdict.Finding{Checker: checker, Rule: rule, Text: fmt.Sprintf(format, args...)}
	got.Findings = append(got.Findings, f)
}
