package scenarios

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim/plan"
)

type fleetSize struct {
	regions, nodes, shards int // nodes and shards are those of each region
	tenants                int // in all
	clients, signals       int // in all
}

// wholeFleet is the size of the scenario.
var wholeFleet = fleetSize{regions: 5, nodes: 12, shards: 60, tenants: 10_000, clients: 50, signals: 100_000}

// fleet is a cluster of the size that matters.
var fleet = &Scenario{
	Name:   "fleet",
	Story:  "sixty nodes in five regions hold three hundred shards and ten thousand tenants; clients offer ten thousand signals a second while nodes crash, stand still and are cut off; all that holds in the small holds here",
	Faulty: true,
	draw:   func(d *draw, p *Plan) { d.fleet(p, wholeFleet) },
}

// The clients of a fleet begin when every slot has been founded, which takes a node of
// 600 up to two seconds, and are at work for fleetSpan, undisturbed; ns.
const (
	fleetFrom = 2 * second
	fleetSpan = 8 * second
)

func (d *draw) fleet(p *Plan, size fleetSize) {
	d.cluster(p)
	d.workload(p)
	p.Cluster.Nodes, p.Cluster.Clients = size.regions*size.nodes, size.clients
	c := &p.Cluster.Constants
	c.MaxSessions, c.MaxQueued = size.clients, 256
	p.Cluster.Topology = *fleetShards(size)
	d.fleetTenants(p, size)
	w := &p.Workload
	w.ReadPermille = d.between("reads", 0, 150, 250)
	w.Operations = size.signals * 1000 / int(1000-w.ReadPermille) / size.clients
	w.From, w.TenantsEach = fleetFrom, 2*size.tenants/size.clients
	w.Concurrency, w.Think = 16, fleetSpan/int64(w.Operations)
	w.Hot = d.between("hot", 0, 0, 10)
	w.SessionPermille, w.BoundedPermille = d.between("session reads", 0, 0, 400), d.between("bounded reads", 0, 0, 200)
	w.AnywherePermille, w.Bound = d.between("reads anywhere", 0, 0, 300), d.log("bound", 0, 10*millisecond, 640*millisecond)
	d.world(p)
	p.World.Duration, p.World.Calm = 12*second, 40*second
	p.World.Rates = crashRates(d)
	d.fleetTrouble(p, size)
}

// fleetShards spreads shards evenly: every node of a region leads as many of them, and
// follows as many others of it.
func fleetShards(size fleetSize) *Topology {
	s := &Topology{Silence: int64(300 * env.Millisecond), Replace: 5 * second, Slow: int64(600 * env.Millisecond), Meta: fleetMeta(size)}
	for region := range size.regions {
		name, first := tenant.Region(fmt.Sprintf("region-%d", region)), region*size.nodes
		for range size.nodes {
			s.Regions = append(s.Regions, name)
		}
		for i := range size.shards {
			c := control.ShardConfig{ID: lineage.Shard(region*size.shards + i), Region: name}
			apart := 1 + i/size.nodes%max(1, size.nodes/2-1)
			for _, at := range [...]int{0, apart, apart + size.nodes/2} {
				c.Replicas = append(c.Replicas, env.ID(first+(i+at)%size.nodes))
			}
			s.Shards = append(s.Shards, c)
		}
	}
	return s
}

// fleetMeta spreads five members of the meta log over the regions; three, if there are
// fewer than five.
func fleetMeta(size fleetSize) (members []env.ID) {
	n := 5
	if size.regions < n {
		n = 3
	}
	for i := range n {
		members = append(members, env.ID(i%size.regions*size.nodes+i/size.regions))
	}
	slices.Sort(members)
	return members
}

// fleetTenants places tenants: one in eight has two or three slots, and one in four may
// be in the region of its first slot only.
func (d *draw) fleetTenants(p *Plan, size fleetSize) {
	shards := p.Cluster.Shards
	p.Cluster.Tenants = make([]TenantPlan, size.tenants)
	for i := range p.Cluster.Tenants {
		first := &shards[i%len(shards)]
		t := &p.Cluster.Tenants[i]
		t.Config = tenant.Config{ID: tenant.ID(i), Version: 1, Limits: tenant.Limits{Rate: uint64(d.log("rate", i, 10, 10_240))}}
		t.Node, t.Slots, t.Shards = first.Replicas[0], 1, []lineage.Shard{first.ID}
		among := shards
		if d.oneIn(4, "resident", i) {
			t.Config.Residency = tenant.Residency{first.Region}
			from := int(first.ID) / size.shards * size.shards
			among = shards[from : from+size.shards]
		}
		if d.oneIn(8, "slots", i) {
			t.Slots = int(d.between("slots", i+size.tenants, 2, 3))
		}
		for slot := 1; slot < t.Slots; slot++ {
			t.Shards = append(t.Shards, among[d.between("shard", i*4+slot, 0, int64(len(among)-1))].ID)
		}
	}
}

// fleetTrouble lets a few nodes crash, and one each stand still and be cut off.
func (d *draw) fleetTrouble(p *Plan, size fleetSize) {
	add := func(f plan.Disruption) { p.World.Disruptions = append(p.World.Disruptions, f) }
	at := func(name string, i int) plan.Anchor {
		return plan.Anchor{At: fleetFrom + d.between(name+" at", i, 0, fleetSpan*3/4)}
	}
	for i := range int(d.between("crashes", 0, 2, 4)) {
		f := plan.Disruption{Kind: plan.Power, Process: d.node(p, "crash node", i), When: at("crash", i), For: d.log("down", i, 16*millisecond, 2048*millisecond)}
		if d.oneIn(2, "kill", i) {
			f.Kind = plan.Kill
		}
		add(f)
	}
	cut := plan.Disruption{Kind: plan.CutDrop, Process: d.node(p, "cut node", 0), When: at("cut", 0), For: d.log("cut for", 0, 64*millisecond, 2048*millisecond)}
	for peer := range p.Cluster.Nodes { // its clients still reach it
		if cut.Peer = int64(peer); uint32(peer) != cut.Process {
			add(cut)
		}
	}
	add(plan.Disruption{Kind: plan.Pause, Process: d.node(p, "paused node", 0), When: at("pause", 0), For: d.log("pause for", 0, 64*millisecond, 2048*millisecond)})
}
