package scenarios

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/client"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/runner"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// MinAcked is how many acknowledged operations a seed needs to count: fewer have
// shown nothing.
const MinAcked = 100

// WhyCutShort is why a run that Options.Until or Options.Steps ended is undecided.
const WhyCutShort = harness.WhyCutShort

// Options say how to run a plan.
type Options struct {
	Porcupine bool // search every partition, not only those with a failing witness
	Unjudged  bool // ask no checker
	Record    bool // keep the deviations, so that the plan can be written out
	Trace     bool // keep the trace's entries
	Story     bool // tell the run in words
	// StoryFrom and StoryTo, if not 0, bound the story, virtual ns: of a large run the whole story
	// takes gigabytes. Faults, lives of processes and findings are told always.
	StoryFrom, StoryTo int64
	Health             bool // keep the coordinator's report on the cluster at the end of the disruptive part
	// Until ends the run at this virtual time, ns, without judging it; 0 is never.
	Until int64
	// Steps ends the run after so many Steps, without judging it; 0 is never.
	Steps uint64
	// Lenient leaves the data of events as it is when their Steps have ended; else a node or a
	// client that keeps it finds it overwritten.
	Lenient bool
	// Unlimited lets every drawn fault happen, also faults that the budget forbids: to show the
	// loss that it avoids.
	Unlimited bool
	// Decorate, if not nil, wraps every node: for planted mistakes that are made
	// at the seam.
	Decorate func(env.Env) env.Env
}

// Result is the result of a run. It is valid until the Runner's next run.
type Result struct {
	harness.Result

	Plan    *Plan
	Reports []checker.Report // of every checker that judged
	History *history.History
	Story   []Told          // with Options.Story
	Leads   []Leads         // with Options.Story: the announced configurations, in order
	Health  []byte          // with Options.Health: JSON; nil if no node coordinated
	Dumps   []core.SlotDump // with Options.Story: the slots of the nodes that are up
}

// Runner runs plans, one at a time, and keeps its memory between them. Runners
// share nothing: use one per worker.
type Runner struct {
	world    *sim.World
	observer observer
	budget   budget
	history  history.History
	run      observe.Run
	scratch  checker.Scratch
	drivers  []*driver
	left     int
	plan     *Plan
	cluster  *core.Cluster    // as clients know it
	founded  *core.Cluster    // as nodes know it at first
	bound    bound            // methods that are handed out, made once
	lives    []*core.Node     // by process: the last incarnation of each node, running or not
	newest   *control.Plane   // the newest control plane that any node has known; nil: none yet
	applied  metalog.Position // of newest
	knower   *core.Node       // the node that newest belongs to; nil: none
	looked   uint64           // the entry of the control plane's log up to which moving was found out
	moving   bool             // shares are on their way, or a tenant to its end
	options  Options
	health   []byte // with Options.Health
	story    *story
	asking   asking
}

// NewRunner returns a runner.
func NewRunner() *Runner { return &Runner{world: new(sim.World)} }

// Run lets a world live through the plan and judges it. An error means that the
// plan cannot be run; everything that goes wrong in the run is a finding.
func (r *Runner) Run(p *Plan, o Options) (result *Result, err error) {
	if err := p.validateParts(); err != nil {
		return nil, err
	}
	r.plan, r.cluster, r.options = p, p.cluster(true), o
	r.founded = p.founded(r.cluster)
	r.looked, r.moving, r.health = 0, false, nil
	r.knower = nil
	r.newest, r.applied, r.lives = nil, metalog.Position{}, slices.Grow(r.lives[:0], p.Cluster.Nodes)[:p.Cluster.Nodes]
	clear(r.lives)
	if err := p.validateWorld(r.cluster); err != nil {
		return nil, err
	}
	r.run.Reset()
	r.history.Reset()
	r.run.History = &r.history
	r.run.DriftPPM, r.run.SlowPPM = p.drift(), p.slowness()
	s, a := &p.Cluster.Topology, &r.run.Availability
	for _, region := range s.Regions {
		r.run.Residency.Place(region)
	}
	a.Silence, a.Slow, a.Stall = s.Silence, s.Slow, int64(r.cluster.Meta.Stall)
	for i := range s.Shards {
		n := len(s.Shards[i].Replicas)
		a.Sets = append(a.Sets, observe.Set{Shard: s.Shards[i].ID, Size: n, Min: min(2, n)})
	}
	for _, id := range s.Meta {
		r.run.Causes.Meta = append(r.run.Causes.Meta, uint32(id))
	}
	for _, t := range p.Cluster.Tenants {
		for slot, shard := range t.Shards {
			if replicas := s.Shards[shard].Replicas; len(replicas) == 1 {
				sole := observe.Sole{Tenant: t.Config.ID, Slot: lineage.Slot(slot), Node: uint32(replicas[0])}
				r.run.Causes.Sole = append(r.run.Causes.Sole, sole)
			}
		}
		r.run.Residency.Allow(t.Config.ID, t.Config.Residency)
		r.run.SetLimits(t.Config.ID, t.Config.Limits)
		if !t.Created {
			r.run.Founded = append(r.run.Founded, t.Config.ID)
		}
	}
	r.story = nil
	if o.Story {
		r.story = newStory(r.world, p)
		r.story.from, r.story.to = o.StoryFrom, o.StoryTo
	}
	r.observer.reset(r.world, &r.run, p.Cluster.Nodes, p.processes(), r.story, r.view())
	r.observer.seed = uint64(p.World.Seed)
	r.observer.damage.reset(len(p.World.Terms) > 0)
	r.observer.residency.changes = p.changesResidency()
	r.left = p.total()
	r.asking.due = math.MaxInt64
	r.asking.reset(uint64(p.World.Seed), p.Cluster.Nodes)
	plane, _ := r.plane() // as it is founded
	for i := range plane.Shards() {
		r.observer.leaves(&plane.Shards()[i])
	}
	for i := range plane.Tenants() {
		r.observer.tellsTenant(&plane.Tenants()[i])
	}
	r.budget = budget{
		world: r.world, run: &r.run, rots: r.observer.rots, unlimited: o.Unlimited, spare: r.observer.maySpare, fails: r.observer.mayFail,
		sole: r.observer.isSole, older: r.observer.mayAge,
	}
	config := sim.Config{
		Programs: r.programs(), Points: fault.Names(), Observer: &r.observer, Poison: !o.Lenient, Record: o.Record, Trace: o.Trace || o.Story,
		MayDamage: r.budget.mayDamage, MayWipe: r.budget.mayWipe, MayRestore: r.budget.mayRestore, MayFail: r.budget.mayFail, Damaged: r.damaged, Forbidden: r.forbidden, Wiped: r.wiped,
		Until: o.Until, Steps: o.Steps,
	}
	if r.story != nil {
		config.Recorder = r.story
	}
	if err := r.world.Reset(config, &p.World); err != nil {
		return nil, err
	}
	if r.story != nil {
		r.story.lives = true
	}
	return r.live(), nil
}

// view is the observer's knowledge of replica groups.
func (r *Runner) view() *groupsView {
	v := &groupsView{plane: r.plane, quorums: r.metaQuorums, meta: r.founded.Control.Meta, lives: r.lives, metaAsked: make([]int64, r.plan.Cluster.Nodes)}
	for i := range r.cluster.Placements {
		p := &r.cluster.Placements[i]
		v.place(p.Tenant.ID, p.Slot, p.Shard)
		r.run.Availability.Homes = append(r.run.Availability.Homes, observe.Home{Tenant: p.Tenant.ID, Slot: p.Slot, Shard: p.Shard})
	}
	return v
}

// plane returns the control plane as it is, or was, where most of the meta log has been applied:
// decisions stand even if every node that knows them is down for a while.
func (r *Runner) plane() (*control.Plane, metalog.Position) {
	for _, member := range r.founded.Control.Meta { // only members of the meta log have one
		r.knows(r.lives[member])
	}
	if r.newest == nil {
		r.newest = control.New(r.founded.Control)
	}
	return r.newest, r.applied
}

// metaQuorums returns the sets of members of the meta log, as they are where most of the log has
// been applied. A majority of each set has to agree.
func (r *Runner) metaQuorums() [][]metalog.MemberID {
	r.plane()
	if r.knower != nil {
		if quorums := r.knower.MetaQuorums(); len(quorums) > 0 {
			return quorums
		}
	}
	var founders []metalog.MemberID
	for _, address := range r.founded.Control.Meta {
		founders = append(founders, metalog.Founder(address))
	}
	return [][]metalog.MemberID{founders}
}

// damaged is called with the file that is about to be damaged.
func (r *Runner) damaged(id env.ID, path string) {
	if r.story != nil {
		r.story.damaged(id, path)
	}
	r.budget.damaged(id, path)
}

// wiped is called with the node that loses its disk, and whether an older copy takes its place.
func (r *Runner) wiped(id env.ID, restored bool) {
	r.observer.diskLost(id)
	if restored {
		r.observer.ages(id)
	}
}

// forbidden is called with a disruption that the budget forbids.
func (r *Runner) forbidden(disruption int) {
	r.budget.forbidden(disruption, r.plan.World.Disruptions[disruption].Kind)
}

// knows takes the control plane as a node has it, running or not, if it is the newest.
func (r *Runner) knows(n *core.Node) {
	if n == nil {
		return
	}
	if plane, applied := n.Plane(); plane != nil && (r.newest == nil || applied.Index >= r.applied.Index) {
		r.newest, r.applied, r.knower = plane, applied, n
	}
}

// bound holds methods of a runner as values, so that no run makes them anew.
type bound struct {
	role  func(process int) string
	done  func() bool
	write func(io.Writer) error
}

// live runs the world and judges. A panic of the code under test is a finding,
// and the world it happened in is not used again.
func (r *Runner) live() *Result {
	result := &Result{Plan: r.plan, History: &r.history}
	if r.bound.role == nil {
		r.bound = bound{r.role, r.done, r.history.Write}
	}
	result.WriteHistory = r.bound.write
	panicked := runner.Guard(r.world, r.bound.role, &result.Result, func() {
		outcome := r.world.Run(r.bound.done)
		r.causes()
		r.outages(outcome.CalmAt)
		r.collect(outcome)
		r.describe(result, outcome)
		if r.story != nil {
			result.Dumps = r.dumps()
		}
		r.judge(result, outcome.Cut)
	})
	if panicked {
		r.describe(result, sim.Outcome{Ended: r.world.Time()})
	}
	r.tell(result)
	if panicked {
		r.world = new(sim.World)
	}
	return result
}

// role is the kind of a process: node, client or operator.
func (r *Runner) role(process int) string {
	switch c := r.plan.Cluster; {
	case process < c.Nodes:
		return "node"
	case process < c.Nodes+c.Clients:
		return "client"
	}
	return "operator"
}

// tell completes the story, if there is one.
func (r *Runner) tell(result *Result) {
	if r.story != nil {
		result.Story, result.Leads = r.story.finish(result.Findings, r.history.Ops, result.Simulated), r.story.leads
	}
}

func (r *Runner) programs() []sim.Program {
	programs := make([]sim.Program, 0, r.plan.processes())
	node, driver, operator := r.newNode, r.newDriver, r.newOperator
	for id := range env.ID(r.plan.Cluster.Nodes) {
		name, content := core.Founded(clusterID, r.plan.directory(id))
		programs = append(programs, sim.Program{Name: "node", New: node, Disk: []sim.File{{Name: name, Data: content}}})
	}
	r.drivers = r.drivers[:0]
	for range r.plan.Cluster.Clients {
		programs = append(programs, sim.Program{Name: "client", New: driver})
	}
	for range r.plan.Workload.Operators {
		programs = append(programs, sim.Program{Name: "operator", New: operator})
	}
	return programs
}

func (r *Runner) newNode(e env.Env) env.Machine {
	r.asking.envs[e.Self()] = e
	if r.options.Decorate != nil {
		e = r.options.Decorate(e)
	}
	n, last := core.NewNode(e, r.founded), &r.lives[e.Self()]
	r.knows(*last)
	*last = n
	return n
}

func (r *Runner) newOperator(e env.Env) env.Machine { return newOperator(e, r) }

func (r *Runner) newDriver(e env.Env) env.Machine {
	d := &driver{
		env: e, client: client.New(e, &r.cluster.Map, client.DefaultPatience),
		plan: r.plan, storm: r.plan.stormOf(e.Self()), loyal: r.plan.loyalOf(e.Self()), world: r.world, history: &r.history, left: &r.left, story: r.story,
	}
	r.drivers = append(r.drivers, d)
	return d
}

// done reports whether every operation has ended and, in the calm part, every
// slot serves and has nothing under way.
func (r *Runner) done() bool {
	r.sample()
	r.reckon()
	r.recoveries()
	if r.world.Time() >= r.asking.due {
		r.ask()
	}
	if r.options.Health && r.health == nil && (r.left == 0 || r.world.Calm()) {
		r.health = r.healthNow()
	}
	if r.left > 0 || !r.sharesSettled() {
		return false
	}
	return !r.world.Calm() || r.allSettled()
}

// healthNow returns the coordinator's report on the cluster; nil if no node coordinates.
func (r *Runner) healthNow() []byte {
	var h health.Cluster
	for i := range r.plan.Cluster.Nodes {
		n := r.node(i)
		if n == nil {
			continue
		}
		if n.Health(&h); h.Coordinator == health.Of(env.ID(i)) {
			return health.AppendJSON(nil, &h)
		}
	}
	return nil
}

// sharesSettled reports whether every slot holds its grant, and the whole limits are granted:
// nothing is on its way from one slot to another.
func (r *Runner) sharesSettled() bool {
	plane, _ := r.plane()
	if at := plane.Index(); at != r.looked {
		r.looked, r.moving = at, slices.ContainsFunc(plane.Tenants(), func(t control.Tenant) bool {
			return t.Dropping || t.Index > 1 && !(t.InForce() && t.Spent())
		})
	}
	return !r.moving
}

func (r *Runner) allSettled() bool {
	plane, _ := r.plane()
	newest := plane.Index()
	for i := range r.plan.Cluster.Nodes {
		if n := r.node(i); n == nil || !n.Settled() || n.Told() < newest {
			return false
		}
	}
	return r.setsNameTheLiving()
}

// setsNameTheLiving reports whether every set names the incarnations of nodes that run now. If a
// set names an earlier incarnation, the node's log is not compared yet: a node that came back with
// an older copy of its disk has less than its set says, although no message is on its way.
func (r *Runner) setsNameTheLiving() bool {
	plane, _ := r.plane()
	return !slices.ContainsFunc(plane.Shards(), func(s control.Shard) bool {
		return slices.ContainsFunc(s.InSync, func(m control.Member) bool { return r.node(int(m.Node)).Member() != m })
	})
}

// node returns the node of process i, nil while it is down.
func (r *Runner) node(i int) *core.Node {
	n, _ := r.world.Machine(env.ID(i)).(*core.Node)
	return n
}

// collect takes the final state of every slot, and notes the slots and calls that have not
// finished.
func (r *Runner) collect(outcome sim.Outcome) {
	r.observer.looksAtAllDisks()
	for i := range r.plan.Cluster.Nodes {
		n := r.node(i)
		if n == nil {
			r.stall("node %d is down", i)
			continue
		}
		if err := n.Failure(); err != nil {
			r.stall("node %d answers nothing: %v", i, err)
		}
		for _, d := range n.Dump() {
			if d.Phase != replica.Serving && d.Phase != replica.Following {
				if d.Failure != nil {
					r.run.Stopped(observe.Stop{
						Tenant: d.Tenant, Slot: d.Slot, Corrupt: errors.Is(d.Failure, wal.ErrCorrupt), Text: fmt.Sprintf("node %d: %v", i, d.Failure),
					})
				} else if !outcome.Done {
					r.stall("node %d: tenant %s slot %d is still %s", i, d.Tenant, d.Slot, d.Phase)
				}
				continue
			}
			dump := r.run.AddDump(d.Tenant, d.Slot, d.Position)
			dump.Node = uint32(i)
			// A rotted log may have a damaged part that no node has read since.
			if r.observer.harmTo(env.ID(i), d.Tenant, d.Slot)&observe.Rotted == 0 {
				retain(&r.run, r.world.Disk(env.ID(i)), dump.Node, d.Tenant, d.Slot)
			}
			dump.Counts = observe.Counts{Known: true, Live: d.Live, Bytes: d.Bytes, Limits: d.Limits}
			for _, e := range d.Entities {
				dump.Entities = append(dump.Entities, observe.EntityState{Entity: e.Entity, State: e.State})
			}
		}
	}
	r.sampleAll()
	r.tombstones()
	if !outcome.Done && r.left > 0 {
		r.stall("%d operations have not ended", r.left)
	}
	if !outcome.Done && len(r.run.Stalls)+len(r.run.Stops) == 0 {
		r.unsettled()
	}
}

// unsettled names the unfinished work of the cluster, where all slots are open and every operation
// has ended.
func (r *Runner) unsettled() {
	if !r.sharesSettled() {
		r.stall("shares of limits, or a drop, are still under way")
	}
	for i := range r.plan.Cluster.Nodes {
		if n := r.node(i); n != nil && !n.Settled() {
			r.stall("something is still under way on node %d", i)
		}
	}
}

// causes notes the events that may have kept clients from knowing how their calls ended.
func (r *Runner) causes() {
	c := &r.run.Causes
	for i := range r.plan.World.Disruptions {
		d := &r.plan.World.Disruptions[i]
		if from, to, struck := r.world.Struck(i); struck {
			h := observe.Hurt{Process: d.Process, Peer: -1, From: from, To: to}
			if d.Kind.OfLinks() {
				h.Peer = d.Peer
			}
			c.Hurt = append(c.Hurt, h)
		}
	}
	c.Deviated = r.world.Taken() > 0
}

// outages notes the disruptions that had an effect, and their consequences. Lasting ones end when
// the calm part begins.
func (r *Runner) outages(calmAt int64) {
	a := &r.run.Availability
	for i := range r.plan.World.Disruptions {
		d := &r.plan.World.Disruptions[i]
		from, to, struck := r.world.Struck(i)
		if !struck {
			continue
		}
		stops := d.Kind == plan.Kill || d.Kind == plan.Power
		if !stops { // a process that is down starts when its time has come
			to = min(to, calmAt)
		}
		isNode := int(d.Process) < r.plan.Cluster.Nodes
		outage := observe.Outage{Node: d.Process, Peer: d.Peer, Alone: (stops || d.Kind == plan.Pause || d.Kind == plan.Suspend) && isNode, From: from, To: to}
		switch d.Kind {
		case plan.SlowDisk, plan.Stall, plan.DiskFull, plan.SyncFail, plan.WriteFail, plan.ReadFail, plan.EntryFail, plan.NoSpace:
			outage.Disk = true
		case plan.WallStep, plan.MonoStep, plan.Drift:
			outage.Unbounded = true
		}
		// The member of the meta log there is outdated: it stops until an operator removes its
		// directory, and no operator of these runs does.
		outage.Away = d.Kind == plan.Restore && slices.Contains(r.plan.Cluster.Meta, env.ID(d.Process))
		outage.Still = d.Kind == plan.Stall && d.Files == ""
		outage.Partial = r.isPartial(d)
		switch d.Kind {
		case plan.CutDrop, plan.CutHold, plan.CutInto, plan.HoldInto, plan.Shut, plan.ShutInto:
			outage.Deaf = isNode && !outage.Partial && (d.Peer < 0 || d.Peer < int64(r.plan.Cluster.Nodes))
		}
		outage.Unbounded = outage.Unbounded || !isNode || d.Peer >= int64(r.plan.Cluster.Nodes)
		a.Outages = append(a.Outages, outage)
	}
	slices.SortFunc(a.Outages, func(x, y observe.Outage) int { return cmp.Compare(x.From, y.From) })
	for site := range chance.Deviations {
		a.Lossy = a.Lossy || site.OfLink() && r.plan.World.Rates[site] > 0
	}
	a.Lossy = a.Lossy || len(r.plan.World.Deviations) > 0
	a.Hit()
	for i := range a.Pauses {
		if p := &a.Pauses[i]; p.From < p.To {
			p.From = max(p.From, r.firstWaiting(p.Shard, p.To))
		}
	}
	for i := range a.Gaps {
		g := &a.Gaps[i]
		g.From = max(g.From, r.firstWaiting(g.Shard, g.To))
	}
}

// isPartial reports whether a disruption is a cut between a node and some of the others only:
// the cuts of its kind that wait for the same moment leave out another node.
func (r *Runner) isPartial(d *plan.Disruption) bool {
	if !d.Kind.OfLinks() || d.Peer < 0 {
		return false
	}
	others := 0
	for i := range r.plan.World.Disruptions {
		o := &r.plan.World.Disruptions[i]
		if o.Kind == d.Kind && o.Process == d.Process && o.When == d.When && o.For == d.For && o.Peer >= 0 && o.Peer < int64(r.plan.Cluster.Nodes) {
			others++
		}
	}
	return others < r.plan.Cluster.Nodes-1
}

// firstWaiting is the invocation of the first change that was still waiting, or that the end of the
// pause answered: before it no client noticed the pause. A change that waits for the creation of
// its tenant, or whose tenant is gone, does not wait for a leader.
func (r *Runner) firstWaiting(shard lineage.Shard, until int64) int64 {
	first := until
	for i := range r.history.Ops {
		op := &r.history.Ops[i]
		waited := op.InvokeAt <= until && (op.ReturnAt >= until || op.ReturnAt == 0) && op.ReturnAt != op.InvokeAt
		if waited && op.Kind.Changes() && slices.Contains(r.run.Founded, op.Tenant) && !r.run.MayBeDropped(op.Tenant) && r.observer.groups.shardOf(op.Tenant, op.Slot) == shard {
			first = min(first, op.InvokeAt)
		}
	}
	return first
}

// dumps returns every slot of every node that is up.
func (r *Runner) dumps() (all []core.SlotDump) {
	for i := range r.plan.Cluster.Nodes {
		if n := r.node(i); n != nil {
			all = append(all, n.Dump()...)
		}
	}
	return all
}

func (r *Runner) stall(format string, args ...any) {
	r.run.Stalls = append(r.run.Stalls, fmt.Sprintf(format, args...))
}

// describe fills in the facts from the world and the history.
func (r *Runner) describe(result *Result, outcome sim.Outcome) {
	runner.Describe(r.world, &r.plan.World, &result.Result, outcome, r.options.Record)
	result.Vetoes, result.Health = slices.Clone(r.budget.vetoes), r.health
	for i := range r.run.Availability.Pauses {
		p := &r.run.Availability.Pauses[i]
		result.Pauses = append(result.Pauses, harness.Pause{From: p.From, To: p.To, Single: p.Single})
	}
	result.Operations = len(r.history.Ops)
	for i := range r.history.Ops {
		if op := &r.history.Ops[i]; op.Kind == history.Read && op.Outcome == history.Acked {
			result.Queries = append(result.Queries, op.ReturnAt-op.InvokeAt)
		} else if op.Kind == history.Read && op.Outcome != history.Open {
			result.Unanswered++
		}
		switch r.history.Ops[i].Outcome {
		case history.Acked:
			result.Acked++
		case history.Refused:
			result.Refused++
		default:
			result.Unknown++
		}
	}
}

// judge asks the checkers, and decides whether the seed counts.
func (r *Runner) judge(result *Result, cut bool) {
	switch {
	case cut:
		result.Verdict, result.Why = checker.Undecided, WhyCutShort
		return
	case r.options.Unjudged:
		result.Verdict, result.Why = checker.Undecided, harness.WhyUnjudged
		return
	}
	r.run.Quiet = result.Fired+result.Deviated == 0
	result.Reports = checker.Judge(&r.run, checker.Options{Porcupine: r.options.Porcupine, Scratch: &r.scratch})
	result.Unjudged = r.run.Availability.Unjudged
	for i := range result.Reports {
		report := &result.Reports[i]
		result.Findings = append(result.Findings, report.Findings...)
		if report.Verdict == checker.Undecided && result.Why == "" {
			result.Verdict, result.Why = checker.Undecided, report.Checker+": "+report.Why
		}
	}
	scenario, _ := Find(r.plan.Scenario)
	runner.Conclude(&result.Result, runner.Rules{Acked: MinAcked, Faulty: scenario[0].Faulty, Known: r.plan.Recorded != nil})
}
