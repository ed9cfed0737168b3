package scenarios

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/placement"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Format and Version identify a plan file.
const (
	Format  = "tidalsim-plan"
	Version = 2
)

// Plan is one run as data: the world with its faults, the cluster and the
// workload. It needs neither a seed nor the scenario's code to be replayed.
type Plan struct {
	Format   string      `json:"format"`
	Version  int         `json:"version"`
	Scenario string      `json:"scenario"`
	Lesson   string      `json:"lesson,omitempty"` // committed regressions: the lesson of the bug
	Cluster  ClusterPlan `json:"cluster"`
	Workload Workload    `json:"workload"`
	World    plan.Plan   `json:"world"`
	Recorded *Recorded   `json:"recorded,omitempty"`
}

// Recorded is how the run ended when the plan was written.
type Recorded = harness.Recorded

// ClusterPlan is the topology. Processes 0..Nodes-1 are nodes, then come the
// clients.
type ClusterPlan struct {
	Nodes     int               `json:"nodes"`
	Clients   int               `json:"clients"`
	Tenants   []TenantPlan      `json:"tenants"`
	Constants replica.Constants `json:"constants"`
	Topology
	// Grouped is where plans of version 1 have the topology, if they have one.
	Grouped *Topology `json:"shared,omitempty"`
}

// Topology says where shards are, which nodes decide about them, and how long nodes wait for each other.
type Topology struct {
	Meta    []env.ID              `json:"meta"`    // founding members of the meta log
	Regions []tenant.Region       `json:"regions"` // by node
	Shards  []control.ShardConfig `json:"shards"`
	// Silence and Replace are the control plane's patience, and Slow that of leaders.
	Silence int64 `json:"silence_ns"`
	Replace int64 `json:"replace_ns"`
	Slow    int64 `json:"slow_ns"`
}

// TenantPlan is one tenant and where it lives.
type TenantPlan struct {
	Config tenant.Config `json:"config"`
	Node   env.ID        `json:"node"`
	// Created tenants are not there at first; clients know where they are going to be.
	Created bool `json:"created,omitempty"`
	// Slots is the number of the tenant's slots, all on that node; 0 means 1. The
	// limits are those of each slot.
	Slots int `json:"slots,omitempty"`
	// Shards has the shard of each slot.
	Shards []lineage.Shard `json:"shards,omitempty"`
}

// Workload is the same for every client.
type Workload struct {
	Operations   int   `json:"operations"`    // of each client
	Concurrency  int   `json:"concurrency"`   // calls of one client under way at once
	Think        int64 `json:"think_ns"`      // mean pause between two calls
	ReadPermille int64 `json:"read_permille"` // reads among the calls
	Entities     int64 `json:"entities"`      // of each tenant
	// Puts and deletes among the changes, in thousandths; the others are signals.
	PutPermille    int64 `json:"put_permille,omitempty"`
	DeletePermille int64 `json:"delete_permille,omitempty"`
	// Hot is the share, in thousandths, of calls that go to the first tenant's
	// first entity.
	Hot  int64 `json:"hot_permille"`
	From int64 `json:"from_ns,omitempty"` // when they begin; storms have their own
	// TenantsEach is how many tenants each client works on, some of them those of the
	// next client too; 0 is all.
	TenantsEach int `json:"tenants_each,omitempty"`
	// Reads at a session's level, and those that may be old, among the reads, in thousandths; the
	// others are linearizable. Anywhere is the share of linearizable reads that do not go to the
	// leader.
	SessionPermille  int64 `json:"session_permille,omitempty"`
	BoundedPermille  int64 `json:"bounded_permille,omitempty"`
	AnywherePermille int64 `json:"anywhere_permille,omitempty"`
	Bound            int64 `json:"bound_ns,omitempty"` // how old those may be
	// Skip lists operations that are left out.
	Skip []Skip `json:"skip,omitempty"`
	// Storm, if not nil, turns the last clients into a storm.
	Storm *Storm `json:"storm,omitempty"`
	// Loyal, if not nil, lets the last clients ask the disrupted node, and no other node first.
	// Only without a storm.
	Loyal *Loyal `json:"loyal,omitempty"`
	// Operators change tenants and their limits meanwhile. Their processes come
	// behind the clients.
	Operators []OperatorPlan `json:"operators,omitempty"`
}

// Storm is a tenant that offers more than its share: clients that send it signals
// at a fixed rate, whatever becomes of them, beside the others' work.
type Storm struct {
	Tenant  int   `json:"tenant"`  // place in cluster.tenants
	Clients int   `json:"clients"` // the last so many
	Rate    int64 `json:"rate"`    // signals per second that all of them offer together
	From    int64 `json:"from_ns"`
	For     int64 `json:"for_ns"`
}

// Loyal are clients that only read the first tenant's first entity, and ask the node that a
// disruption hits, when it begins and when it ends: they receive the answers of a deposed leader.
type Loyal struct {
	Clients int   `json:"clients"`   // the last so many
	Reads   int   `json:"reads"`     // of each, at most
	Every   int64 `json:"every_ns"`  // mean pause between two reads
	Around  int64 `json:"around_ns"` // how long before and after a disruption begins they read, and before and after it ends
	// BoundedPermille is the share of reads that may be old, in thousandths; the others
	// are linearizable.
	BoundedPermille int64 `json:"bounded_permille"`
}

// loyalOf returns the task of a loyal client, nil for the other processes.
func (p *Plan) loyalOf(id env.ID) *Loyal {
	l := p.Workload.Loyal
	if l == nil || int(id) < p.Cluster.Nodes+p.Cluster.Clients-l.Clients {
		return nil
	}
	return l
}

// operations is how many signals each client of the storm sends.
func (s *Storm) operations() int { return int(s.Rate * (s.For / 1000) / 1_000_000 / int64(s.Clients)) }

// interval is the time between two signals of one client, ns.
func (s *Storm) interval() int64 { return second * int64(s.Clients) / s.Rate }

// stormOf returns the storm that a client process is part of, or nil.
func (p *Plan) stormOf(id env.ID) *Storm {
	s := p.Workload.Storm
	if s == nil || int(id) < p.Cluster.Nodes+p.Cluster.Clients-s.Clients {
		return nil
	}
	return s
}

func (p *Plan) processes() int {
	return p.Cluster.Nodes + p.Cluster.Clients + len(p.Workload.Operators)
}

// total is how many operations all clients and operators begin.
func (p *Plan) total() int {
	s, w := p.Workload.Storm, &p.Workload
	commands := 0
	for i := range w.Operators {
		commands += len(w.Operators[i].Commands)
	}
	if l := w.Loyal; l != nil {
		return commands + (p.Cluster.Clients-l.Clients)*w.Operations + l.Clients*l.Reads
	}
	if s == nil {
		return commands + p.Cluster.Clients*w.Operations
	}
	return commands + (p.Cluster.Clients-s.Clients)*w.Operations + s.Clients*s.operations()
}

// Bounds of a plan's cluster and workload.
const (
	maxProcesses   = 1000
	maxSlots       = 64 // of one tenant
	maxOperations  = 1_000_000
	maxConcurrency = 32
	maxStorm       = 10_000_000  // signals per second
	maxStormFor    = 60 * second // ns
)

var (
	// ErrPlanFile is wrapped by the errors for a file that is no plan.
	ErrPlanFile = harness.ErrPlanFile
	// ErrPlanVersion is wrapped by the error for a plan of a newer binary.
	ErrPlanVersion = harness.ErrPlanVersion
)

// DecodePlan reads a plan that Encode wrote. Unknown fields, another format, a
// newer version, an unknown scenario and values out of their range are errors
// that name the place.
func DecodePlan(data []byte) (*Plan, error) {
	p := new(Plan)
	if err := harness.Unmarshal(data, Format, Version, p); err != nil {
		return nil, err
	}
	if _, err := Find(p.Scenario); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlanFile, err)
	}
	if p.Version == 1 {
		p.renew()
	}
	return p, p.Validate()
}

// renew turns a plan of version 1 into one of today. Where it names no topology, each node had the
// only replica of one shard, and no control plane.
func (p *Plan) renew() {
	p.Version = Version
	if t := p.Cluster.Grouped; t != nil {
		p.Cluster.Topology, p.Cluster.Grouped = *t, nil
		return
	}
	p.alone()
}

// Validate reports the first thing in the plan that cannot be run.
func (p *Plan) Validate() error {
	if err := p.validateParts(); err != nil {
		return err
	}
	return p.validateWorld(p.cluster(true))
}

// validateParts looks at all that a cluster is made of.
func (p *Plan) validateParts() error {
	c, w := &p.Cluster, &p.Workload
	switch {
	case c.Nodes < 1 || c.Clients < 1 || p.processes() > maxProcesses:
		return fmt.Errorf("%w: cluster of %d nodes and %d clients, want at least 1 each and at most %d", plan.ErrInvalid, c.Nodes, c.Clients, maxProcesses)
	case w.Operations < 0 || w.Operations > maxOperations || w.Concurrency < 1 || w.Concurrency > maxConcurrency:
		return fmt.Errorf("%w: workload of %d operations, %d at once; want 0..%d, 1..%d", plan.ErrInvalid, w.Operations, w.Concurrency, maxOperations, maxConcurrency)
	case w.Think < 0 || w.Think > plan.MaxDuration || w.ReadPermille < 0 || w.ReadPermille > 1000 || w.Hot < 0 || w.Hot > 1000 || w.Entities < 1, w.TenantsEach < 0,
		w.From < 0, w.From > plan.MaxDuration,
		w.PutPermille < 0, w.DeletePermille < 0, w.PutPermille+w.DeletePermille > 1000:
		return fmt.Errorf("%w: workload %+v", plan.ErrInvalid, *w)
	case len(c.Tenants) == 0:
		return fmt.Errorf("%w: no tenants", plan.ErrInvalid)
	}
	if err := p.validateSkip(); err != nil {
		return err
	}
	if err := p.validateStorm(); err != nil {
		return err
	}
	if err := p.validateLoyal(); err != nil {
		return err
	}
	if err := p.validateOperators(); err != nil {
		return err
	}
	if len(c.Regions) != c.Nodes || c.Silence < 1 || c.Slow < 1 || c.Replace < 1 {
		return fmt.Errorf("%w: cluster: %d regions of %d nodes, patience %d, %d, %d ns; want one for each, at least 1", plan.ErrInvalid, len(c.Regions), c.Nodes, c.Silence, c.Slow, c.Replace)
	}
	for i, t := range c.Tenants {
		if t.Slots < 0 || t.Slots > maxSlots {
			return fmt.Errorf("%w: cluster.tenants[%d].slots is %d, want 0..%d", plan.ErrInvalid, i, t.Slots, maxSlots)
		}
		if int(t.Node) >= c.Nodes {
			return fmt.Errorf("%w: cluster.tenants[%d].node is %d, want 0..%d", plan.ErrInvalid, i, t.Node, c.Nodes-1)
		}
	}
	return nil
}

// validateWorld looks at the cluster of all tenants, and at the world that it lives in.
func (p *Plan) validateWorld(all *core.Cluster) error {
	c := &p.Cluster
	if err := all.Validate(); err != nil {
		return fmt.Errorf("%w: %w", plan.ErrInvalid, err)
	}
	for i := range p.World.Disruptions {
		d := &p.World.Disruptions[i]
		ends := d.Kind == plan.Kill || d.Kind == plan.Power || d.Kind == plan.Wipe || d.Kind == plan.Restore
		if ends && int(d.Process) >= c.Nodes && int(d.Process) < p.processes() { // a driver's calls are its memory
			return fmt.Errorf("%w: world.disruptions[%d]: process %d is a client or an operator, want one of the nodes 0..%d: only they restart", plan.ErrInvalid, i, d.Process, c.Nodes-1)
		}
	}
	return p.World.Validate(p.processes(), fault.Names())
}

func (p *Plan) validateStorm() error {
	s := p.Workload.Storm
	switch {
	case s == nil:
	case s.Tenant < 0 || s.Tenant >= len(p.Cluster.Tenants), s.Clients < 1 || s.Clients >= p.Cluster.Clients:
		return fmt.Errorf("%w: workload.storm: tenant %d of %d, %d clients of %d; one must be left", plan.ErrInvalid, s.Tenant, len(p.Cluster.Tenants), s.Clients, p.Cluster.Clients)
	case s.Rate < 1 || s.Rate > maxStorm, s.From < 0 || s.From > plan.MaxDuration, s.For < 1 || s.For > maxStormFor:
		return fmt.Errorf("%w: workload.storm %+v: want a rate of 1..%d, a time of 1..%d", plan.ErrInvalid, *s, maxStorm, maxStormFor)
	}
	return nil
}

func (p *Plan) validateLoyal() error {
	l := p.Workload.Loyal
	switch {
	case l == nil:
	case p.Workload.Storm != nil:
		return fmt.Errorf("%w: workload.loyal: there is a storm too", plan.ErrInvalid)
	case l.Clients < 1 || l.Clients >= p.Cluster.Clients, l.Reads < 0 || l.Reads > maxOperations:
		return fmt.Errorf("%w: workload.loyal: %d clients of %d, %d reads; one other client must be left, want 0..%d reads", plan.ErrInvalid, l.Clients, p.Cluster.Clients, l.Reads, maxOperations)
	case l.Every < 1 || l.Every > plan.MaxDuration, l.Around < 0 || l.Around > plan.MaxDuration, l.BoundedPermille < 0 || l.BoundedPermille > 1000:
		return fmt.Errorf("%w: workload.loyal %+v", plan.ErrInvalid, *l)
	}
	return nil
}

// cluster returns the configuration that nodes and clients share; all is with the
// tenants that are not there at first.
func (p *Plan) cluster(all bool) *core.Cluster {
	s := &p.Cluster.Topology
	c := &core.Cluster{
		Map:       placement.Map{Placements: make([]placement.Entry, 0, len(p.Cluster.Tenants))},
		Constants: p.Cluster.Constants, ID: clusterID, Control: p.founding(all), Pace: core.DefaultPace,
	}
	c.Patience.Silence, c.Patience.Replace = env.Duration(s.Silence), env.Duration(s.Replace)
	c.Group.Silence, c.Group.Slow = env.Duration(s.Silence), env.Duration(s.Slow)
	c.Patience.Slow = env.Duration(s.Slow)
	c.Place()
	c.Index()
	return c
}

// founded is cluster(false) if all is cluster(true).
func (p *Plan) founded(all *core.Cluster) *core.Cluster {
	created := func(t TenantPlan) bool { return t.Created }
	if slices.ContainsFunc(p.Cluster.Tenants, created) {
		return p.cluster(false)
	}
	return all
}

// founding returns the founding configuration of the control plane; all is with the tenants that are
// not there at first.
func (p *Plan) founding(all bool) *control.Cluster {
	s := &p.Cluster.Topology
	f := &control.Cluster{Meta: s.Meta, Shards: s.Shards}
	for i, region := range s.Regions {
		f.Nodes = append(f.Nodes, control.NodeConfig{ID: env.ID(i), Region: region, Directory: p.directory(env.ID(i))})
	}
	for i := range p.Cluster.Tenants {
		t := &p.Cluster.Tenants[i]
		if t.Created && !all {
			continue
		}
		f.Tenants = append(f.Tenants, control.TenantConfig{Config: t.Config, Shards: t.Shards})
	}
	return f
}

// clusterID is the number of every cluster in a plan.
const clusterID = 1

// directory returns the data directory that a node is founded in.
func (p *Plan) directory(id env.ID) env.Nonce {
	return env.Nonce{A: chance.Hash(uint64(p.World.Seed), chance.Draw, uint64(id), env.Key{Kind: 1}), B: uint64(id)}
}

// drift bounds how much faster than true time a node's clock ever runs, in parts per million: rho
// of the rate limit's bound. The additions of all disruptions are taken as if they came at once.
func (p *Plan) drift() int64 {
	rho := int64(0)
	for node := range p.Cluster.Nodes {
		rho = max(rho, p.driftOf(uint32(node)))
	}
	return rho
}

// slowness bounds how much slower than true time a node's clock ever runs, in parts per
// million.
func (p *Plan) slowness() int64 {
	slow := make([]int64, p.Cluster.Nodes)
	for _, c := range p.World.Clocks {
		if int(c.Process) < len(slow) {
			slow[c.Process] = -c.DriftPPM
		}
	}
	for i := range p.World.Disruptions {
		d := &p.World.Disruptions[i]
		switch {
		case int(d.Process) >= len(slow):
		case d.Kind == plan.MonoStep: // it goes back by any amount
			return 1_000_000
		case d.Kind == plan.Drift:
			slow[d.Process] = min(slow[d.Process]+max(-d.Amount, 0), plan.MaxDrift)
		}
	}
	return max(0, slices.Max(slow))
}

func (p *Plan) driftOf(process uint32) int64 {
	ppm := int64(0)
	for _, c := range p.World.Clocks {
		if c.Process == process {
			ppm = c.DriftPPM // the last one counts
		}
	}
	for i := range p.World.Disruptions {
		if d := &p.World.Disruptions[i]; d.Kind == plan.Drift && d.Process == process {
			ppm = min(ppm+max(d.Amount, 0), plan.MaxDrift)
		}
	}
	return ppm
}
