package scenarios

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	draws "github.com/tidaldb/tidalsim/harness/draw"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
)

const (
	microsecond = int64(env.Microsecond)
	millisecond = int64(env.Millisecond)
	second      = int64(env.Second)
)

// draw draws the properties of a plan.
type draw struct{ draws.Draw }

func newDraw(scenario string, seed plan.Seed) *draw { return &draw{draws.New(scenario, seed)} }

// between draws uniformly from lo..hi.
func (d *draw) between(name string, i int, lo, hi int64) int64 { return d.Between(name, i, lo, hi) }

// oneIn is true in one of n seeds.
func (d *draw) oneIn(n int64, name string, i int) bool { return d.OneIn(n, name, i) }

// log draws log-uniformly from lo..hi by powers of two, 0 < lo <= hi.
func (d *draw) log(name string, i int, lo, hi int64) int64 { return d.Log(name, i, lo, hi) }

// swarm draws the rate of a fault family: off in half of the seeds, else log-uniform.
func (d *draw) swarm(site chance.Site, lo, hi int64) uint32 { return d.Swarm(site, lo, hi) }

// cluster draws the usual topology: three nodes, three tenants, some clients,
// small capacities.
func (d *draw) cluster(p *Plan) {
	p.Cluster = ClusterPlan{Nodes: 3, Clients: int(d.between("clients", 0, 2, 4))}
	for i := range 3 {
		limits := tenant.Limits{Rate: 100_000}
		if d.oneIn(3, "tight quota", i) {
			limits = tenant.Limits{Rate: uint64(d.log("rate", i, 100, 3200)), Burst: uint64(d.between("burst", i, 1, 40))}
		}
		p.Cluster.Tenants = append(p.Cluster.Tenants, TenantPlan{
			Config: tenant.Config{ID: tenant.ID(i), Version: 1, Limits: limits},
			Node:   env.ID(i % p.Cluster.Nodes),
		})
	}
	sessions := p.Cluster.Clients
	if d.oneIn(8, "evictions", 0) {
		sessions = max(1, sessions-1)
	}
	p.Cluster.Constants = replica.Constants{
		SegmentSize:   d.log("segment size", 0, 512, 16384),
		SnapshotEvery: d.log("snapshot every", 0, 1024, 65536),
		MaxSessions:   sessions,
		MaxPending:    256,
		MaxQueued:     int(d.log("max queued", 0, 4, 256)),
		Costs:         replica.DefaultCosts,
	}
}

// workload draws the usual workload: enough operations for a seed to count.
func (d *draw) workload(p *Plan) {
	p.Workload = Workload{
		Operations:   int(d.between("operations", 0, 100, 160)) * 3 / min(3, p.Cluster.Clients),
		Concurrency:  int(d.between("concurrency", 0, 1, 4)),
		Think:        d.log("think", 0, 50*microsecond, 3200*microsecond),
		ReadPermille: d.between("reads", 0, 300, 500),
		Entities:     d.between("entities", 0, 1, 6),
		Hot:          d.between("hot", 0, 0, 300),
	}
	if d.oneIn(2, "puts", 0) {
		p.Workload.PutPermille = d.log("put", 0, 10, 320)
	}
	if d.oneIn(2, "deletes", 0) {
		p.Workload.DeletePermille = d.log("delete", 0, 10, 320)
	}
}

// slots splits some tenants into several slots.
func (d *draw) slots(p *Plan) {
	for i := range p.Cluster.Tenants {
		if d.oneIn(4, "slots", i) {
			p.Cluster.Tenants[i].Slots = int(d.between("slots", i+1000, 2, 4))
		}
	}
}

// caps draws hard caps for some tenants, low enough to be met.
func (d *draw) caps(p *Plan) {
	for i := range p.Cluster.Tenants {
		limits := &p.Cluster.Tenants[i].Config.Limits
		if d.oneIn(2, "entity cap", i) {
			limits.Entities = uint64(d.between("entities", i, 1, max(1, p.Workload.Entities)))
		}
		if d.oneIn(2, "storage cap", i) {
			limits.Bytes = uint64(d.log("bytes", i, 256, 16384))
		}
	}
}

// world sets the part of the world that is not disrupted.
func (d *draw) world(p *Plan) {
	w := &p.World
	w.Duration, w.Calm = 20*second, 30*second
	w.Network, w.Disk = network.DefaultProfile, disk.DefaultProfile
	w.Network.Latency = d.log("latency", 0, 50*microsecond, 1600*microsecond)
	w.Disk.Sync = d.log("sync", 0, 60*microsecond, 1920*microsecond)
	w.Disk.Sector = d.log("sector", 0, 64, 4096)
	w.Disruptions = []plan.Disruption{}
}

// base draws the common part of most scenarios.
func (d *draw) base(p *Plan) {
	d.cluster(p)
	d.workload(p)
	if d.oneIn(4, "caps", 0) {
		d.caps(p)
	}
	d.world(p)
}

// span is about how long the clients will be at work, undisturbed.
func span(p *Plan) int64 {
	each := p.Workload.Think + p.Workload.Think/2 + 4*p.World.Network.Latency/int64(p.Workload.Concurrency)
	return int64(p.Workload.Operations) * each
}

func (d *draw) node(p *Plan, name string, i int) uint32 {
	return uint32(d.between(name, i, 0, int64(p.Cluster.Nodes-1)))
}

// moment draws when disruption i strikes: mostly at a fault point of the node or while its disk has
// unsynced writes, rarely at a time. The first disruption of a plan is sure to come.
func (d *draw) moment(p *Plan, name string, i int, points []env.Point) plan.Anchor {
	a := plan.Anchor{At: d.between(name+" at", i, 0, span(p)/2)}
	kind := d.between(name+" kind", i, 0, 9)
	if i == 0 {
		a.At = d.between(name+" at", i, 0, span(p)/8)
		kind = min(kind, 4)
	}
	switch {
	case kind == 0 && i > 0:
		return a
	case kind < 4:
		a.Unsynced = true
		a.Nth = uint32(d.between(name+" nth", i, 1, 8))
	case kind < 6: // between the write and its sync
		a.Point = fault.Name(fault.BatchSubmitting)
		a.Nth = uint32(d.log(name+" nth", i, 1, 8))
		a.After = d.between(name+" in the batch", i, p.World.Disk.Write, p.World.Disk.Write+p.World.Disk.Sync)
		return a
	default:
		point := points[d.between(name+" point", i, 0, int64(len(points)-1))]
		a.Point = fault.Name(point)
		a.Nth = uint32(d.log(name+" nth", i, 1, 8))
		if point < fault.RecordAppended { // reached once per start and slot
			a.At, a.Nth = 0, uint32(d.between(name+" nth", i, 1, 2))
		}
	}
	if d.oneIn(3, name+" late", i) {
		a.After = d.log(name+" after", i, 10*microsecond, 5120*microsecond)
	}
	return a
}
