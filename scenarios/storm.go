package scenarios

import (
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// storm lets a few families of faults meet in each seed, within the budget.
var storm = &Scenario{
	Name:   "storm",
	Story:  "nodes of groups of one, two, three or five replicas crash in every seed, and each of these joins in one seed of three: links are cut, all at once or one by one, files are slow, disks fail, rot, are lost, are slow or are full, machines sleep, clients freeze, nodes are drained, all nodes restart, clocks are wrong; in many seeds messages are lost, doubled, late or damaged too; no disk is taken that holds the only copy, nothing acknowledged is lost, and in the end everything is answered and equal",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		replicas := []int{1, 2, 3, 3, 3, 3, 5, 5}[d.between("replicas", 0, 0, 7)]
		d.unhurried(p, max(3, replicas)+int(d.between("more nodes", 0, 0, 2)))
		for i := range p.Cluster.Tenants {
			p.Cluster.Tenants[i].Shards = nil
		}
		d.share(p, replicas)
		d.weather(p)
		d.tight(p)
		kinds := d.families(replicas)
		for i := range int(d.between("troubles", 0, 2, 6)) {
			kinds[d.between("trouble", i, 0, int64(len(kinds)-1))](p, i)
		}
		// If the budget vetoes all else, or nothing meets it, the seed still has this crash.
		p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
			Kind: plan.Power, Process: d.node(p, "sure crash", 0), When: plan.Anchor{At: max(foundedBy, span(p)/3) + d.between("sure crash at", 0, 0, span(p)/4)}, For: d.log("sure crash down", 0, millisecond, 256*millisecond),
		})
	},
}

// tight draws small capacities and short patience.
func (d *draw) tight(p *Plan) {
	c, s := &p.Cluster.Constants, &p.Cluster.Topology
	if d.oneIn(2, "tight files", 0) {
		c.SnapshotEvery, c.SegmentSize = d.log("tight snapshots", 0, 1024, 8192), d.log("tight segments", 0, 512, 2048)
	}
	if d.oneIn(2, "tight portions", 0) {
		c.ShipBytes, c.ChunkBytes = int(d.log("tight ship", 0, 256, 2048)), int(d.log("tight chunk", 0, 64, 512))
	}
	r := &p.World.Rates
	// The bound on a pause of writes follows from Silence, and a lost message is sent again later
	// than a short bound allows.
	if r[chance.NetLoss]+r[chance.NetCorrupt]+r[chance.NetLate] == 0 && d.oneIn(2, "tight patience", 0) {
		s.Silence, s.Slow = d.between("silence", 0, 150*millisecond, 300*millisecond), d.between("slow", 0, 300*millisecond, 600*millisecond)
	}
	if d.oneIn(4, "replaced soon", 0) {
		s.Replace = d.log("replaced after", 0, 500*millisecond, 4*second)
	}
	p.Workload.Concurrency = int(d.log("tight concurrency", 0, 1, 32))
}

// weather draws the faults of messages and of power failures, and the distances between nodes.
func (d *draw) weather(p *Plan) {
	r := &p.World.Rates
	*r = crashRates(d)
	r[chance.NetLoss] = d.swarm(chance.NetLoss, 500, 16_000)
	r[chance.NetDuplicate] = d.swarm(chance.NetDuplicate, 500, 32_000)
	r[chance.NetDelay] = d.swarm(chance.NetDelay, 500, 32_000)
	r[chance.NetCorrupt] = d.swarm(chance.NetCorrupt, 500, 8_000)
	if r[chance.NetLate] = d.swarm(chance.NetLate, 250, 8_000); r[chance.NetLate] > 0 {
		p.World.Network.MaxLate = d.log("late by", 0, 500*millisecond, 4*second)
	}
	if !d.oneIn(3, "regions apart", 0) {
		return
	}
	far := d.log("far", 0, 2*millisecond, 32*millisecond)
	for from := range uint32(p.Cluster.Nodes) {
		for to := range uint32(p.Cluster.Nodes) {
			if from%2 != to%2 {
				p.World.Links = append(p.World.Links, network.LinkProfile{From: from, To: to, Latency: far, PerKiB: p.World.Network.PerKiB})
			}
		}
	}
}

// families draws which families of faults meet: each is left out in two of three seeds, but
// crashes never are. The disk of a shard's only replica neither fails nor is lost: the budget
// would veto it.
func (d *draw) families(replicas int) []func(p *Plan, i int) {
	all := []func(p *Plan, i int){
		d.cut, d.staggered, d.slowFile, d.stalling, d.sleeping, d.freezing, d.draining, d.restarting, d.drifting,
	}
	if replicas > 1 {
		all = append(all, d.failing, d.losing)
	}
	met := []func(p *Plan, i int){d.crashing}
	for k, family := range all {
		if d.oneIn(3, "family", k) {
			met = append(met, family)
		}
	}
	return met
}

func (d *draw) strikes(p *Plan, f plan.Disruption) {
	p.World.Disruptions = append(p.World.Disruptions, f)
}

func (d *draw) crashing(p *Plan, i int) {
	f := plan.Disruption{Kind: plan.Power, Process: d.node(p, "crash node", i), When: d.amid(p, "crash", i), For: d.log("down", i, millisecond, 2048*millisecond)}
	if d.oneIn(2, "kill", i) {
		f.Kind = plan.Kill
	}
	d.strikes(p, f)
}

func (d *draw) failing(p *Plan, i int) {
	f := d.diskFault(p, "disk fault", i)
	f.Process = d.badDisk(p, "failing disk", i)
	d.strikes(p, f)
	if d.oneIn(3, "restart amid a disk fault", i) {
		d.restartAmid(p, i, f)
	}
}

// badDisk draws the node that a failing or lost disk belongs to: in three of four cases the same
// one, so that the others are whole.
func (d *draw) badDisk(p *Plan, name string, i int) uint32 {
	if d.oneIn(4, name+" of another node", i) {
		return d.node(p, name, i)
	}
	return d.node(p, "bad disk", 0)
}

func (d *draw) losing(p *Plan, i int) {
	when := d.amid(p, "loss", i)
	when.At = max(when.At, settledBy)
	if when.By > 0 {
		when.By = max(when.By, settledBy)
	}
	d.strikes(p, plan.Disruption{Kind: d.lossKind(i), Process: d.badDisk(p, "lost disk", i), When: when, For: d.log("gone", i, millisecond, 1024*millisecond)})
}

func (d *draw) stalling(p *Plan, i int) {
	f := plan.Disruption{
		Kind: plan.SlowDisk, Process: d.node(p, "slow node", i), Amount: d.log("slower", i, 8, 512),
		When: d.amid(p, "slow", i), For: d.log("slow for", i, 64*millisecond, 2048*millisecond),
	}
	switch d.between("slow kind", i, 0, 3) {
	case 0:
		f.Kind, f.Amount = plan.Stall, 0
	case 1:
		f.Kind, f.Amount = plan.Pause, 0
	case 2:
		f.Kind, f.Amount = plan.DiskFull, 0
	}
	d.strikes(p, f)
}

// sleeping lets a machine sleep, and wake with clocks that have jumped ahead.
func (d *draw) sleeping(p *Plan, i int) {
	d.strikes(p, plan.Disruption{Kind: plan.Suspend, Process: d.node(p, "sleeper", i), When: d.amid(p, "sleep", i), For: d.log("sleeps for", i, 16*millisecond, 4096*millisecond)})
}

// freezing keeps a client from running for seconds, and lets it go on as if nothing had been.
func (d *draw) freezing(p *Plan, i int) {
	f := plan.Disruption{
		Kind: plan.Pause, Process: uint32(p.Cluster.Nodes) + uint32(d.between("frozen", i, 0, int64(p.Cluster.Clients-1))),
		When: plan.Anchor{At: d.between("frozen at", i, 0, span(p)/2)}, For: d.log("frozen for", i, 64*millisecond, 4096*millisecond),
	}
	if d.oneIn(2, "client sleeps", i) {
		f.Kind = plan.Suspend
	}
	d.strikes(p, f)
}

// draining has an operator drain a node and give it duties again. In one of three cases that
// node, or the next one, loses its disk amid that.
func (d *draw) draining(p *Plan, i int) {
	node, at := int(d.node(p, "drained", i)), d.between("drained at", i, 0, span(p)/2)
	p.Workload.Operators = append(p.Workload.Operators, OperatorPlan{Commands: []CommandPlan{
		{Kind: "drain", Node: node, Think: at},
		{Kind: "undrain", Node: node, Think: d.log("drained for", i, millisecond, 512*millisecond)},
	}})
	if !d.oneIn(3, "loss amid a drain", i) || len(p.Cluster.Shards[0].Replicas) == 1 {
		return
	}
	next := int(d.between("loses amid a drain", i, 0, 1))
	d.strikes(p, plan.Disruption{
		Kind: d.lossKind(200 + i), Process: uint32((node + next) % p.Cluster.Nodes), For: d.log("gone amid a drain", i, millisecond, 256*millisecond),
		When: plan.Anchor{At: max(settledBy, at+d.log("lost after the drain", i, millisecond, 256*millisecond))},
	})
}

// restarting stops all nodes about at once.
func (d *draw) restarting(p *Plan, i int) {
	d.restartAll(p, i, d.between("round at", i, foundedBy, p.World.Duration/8))
}

// drifting lets clocks be wrong.
func (d *draw) drifting(p *Plan, i int) {
	f := plan.Disruption{
		Kind: plan.Drift, Process: d.node(p, "drifting", i), When: plan.Anchor{At: d.between("drift at", i, 0, span(p)/2)},
		For: d.log("drift for", i, 4*millisecond, 512*millisecond), Amount: d.log("drift by", i, 1000, 64_000) * (1 - 2*d.between("drift slower", i, 0, 1)),
	}
	if d.oneIn(2, "wall", i) {
		f.Kind, f.For, f.Amount = plan.WallStep, 0, d.between("wall step", i, -3600*second, 3600*second)
	}
	d.strikes(p, f)
}
