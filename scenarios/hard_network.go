package scenarios

import (
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// The scenarios in which the network between replica groups fails in the ways of real networks.

// lateMessages lets single messages come seconds late, when others have led since, while
// everything else on their links goes on.
var lateMessages = &Scenario{
	Name:   "late-messages",
	Story:  "single messages arrive seconds late, after leaders were replaced and members left and came back, while everything else on their links goes on; what is late changes nothing any more, and nothing that was told is lost",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3+int(d.between("more nodes", 0, 0, 2)))
		d.late(p)
		for i := range int(d.between("replacements", 0, 1, 4)) {
			d.replacement(p, i)
		}
	},
}

// late draws messages that are late, at a rate at which everything else goes on, and leaders
// that are replaced sooner than that.
func (d *draw) late(p *Plan) {
	p.World.Network.MaxLate = d.log("late by", 0, 500*millisecond, 4*second)
	p.World.Rates[chance.NetLate] = uint32(d.log("rate late", 0, 500, 32_000))
	p.World.Rates[chance.NetDuplicate] = d.swarm(chance.NetDuplicate, 1000, 64_000) // the first one is in time
	s := &p.Cluster.Topology
	s.Silence, s.Slow = d.between("silence", 0, 150*millisecond, 300*millisecond), d.between("slow", 0, 300*millisecond, 600*millisecond)
}

// replacement keeps a node away until another one has taken its duties over.
func (d *draw) replacement(p *Plan, i int) {
	f := plan.Disruption{
		Kind: plan.Power, Process: d.node(p, "replaced node", i), When: d.amid(p, "replaced", i),
		For: p.Cluster.Silence/2 + d.between("replaced for", i, 0, 3*p.Cluster.Silence),
	}
	switch d.between("replaced how", i, 0, 3) {
	case 0:
		f.Kind = plan.Kill
	case 1:
		f.Kind = plan.Pause
	case 2:
		f.Kind, f.Peer = plan.CutDrop, -1
	}
	p.World.Disruptions = append(p.World.Disruptions, f)
}

// staggeredCuts cuts a node off link by link: each cut begins and ends at an instant of its
// own, and acts where the message leaves or where it arrives.
var staggeredCuts = &Scenario{
	Name:   "staggered-cuts",
	Story:  "a node is cut off link by link, each link at its own instant and in its own way, so that some hear what others do not, what was sent before may still arrive, links are slow, and power fails amid that; who leads is certain, and nothing that was told is lost",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3+int(d.between("more nodes", 0, 0, 2)))
		p.World.Rates = crashRates(d)
		if d.oneIn(2, "links apart", 0) {
			d.links(p)
		}
		d.linkByLink(p, 0, d.sureLink(p))
		for i := 1; i < int(d.between("cuts", 0, 1, 3)); i++ {
			d.staggered(p, i)
		}
		for i := range int(d.between("power amid cuts", 0, 0, 2)) {
			p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
				Kind: plan.Power, Process: d.node(p, "power node", i), When: d.amid(p, "power amid cuts", i), For: d.log("power for", i, millisecond, 1024*millisecond),
			})
		}
	},
}

// cutKinds are all that can happen to links.
func cutKinds() []plan.Kind {
	return []plan.Kind{
		plan.CutDrop, plan.CutHold, plan.CutInto, plan.CutOutOf, plan.HoldInto, plan.HoldOutOf,
		plan.Shut, plan.ShutInto, plan.ShutOutOf, plan.Shut, plan.ShutInto, plan.ShutOutOf, plan.SlowLink,
	}
}

// noLink is no process: no link is sure to be cut.
const noLink = -1

// sureLink draws a peer of the first node. The link between them is cut first, and in any case.
// Without it, one seed of a thousand leaves every link as it is, or cuts some at moments that never
// come.
func (d *draw) sureLink(p *Plan) int64 {
	nodes := int64(p.Cluster.Nodes)
	return (int64(d.node(p, "cut node", 0)) + 1 + d.between("sure link", 0, 0, nodes-2)) % nodes
}

// staggered cuts a node off from the others, or from most of them, one after the other; the
// links come back one after the other too. Clients reach it, mostly.
func (d *draw) staggered(p *Plan, i int) { d.linkByLink(p, i, noLink) }

// linkByLink does what staggered does, but the link to one peer never stays: it is the first to
// be cut, and is not only slowed.
func (d *draw) linkByLink(p *Plan, i int, sure int64) {
	node, when := d.node(p, "cut node", i), d.amid(p, "cut", i)
	long, apart := d.log("cut for", i, 64*millisecond, 2048*millisecond), d.log("cuts apart", i, millisecond, 256*millisecond)
	kinds := cutKinds()
	kind := kinds[d.between("cut kind", i, 0, int64(len(kinds)-1))]
	for peer := range int64(p.Cluster.Nodes + p.Cluster.Clients) {
		k := 100*i + int(peer)
		isNode := peer < int64(p.Cluster.Nodes)
		stays := d.oneIn(6, "link stays", k) || !isNode && !d.oneIn(4, "client too", k)
		if peer == int64(node) || stays && peer != sure {
			continue
		}
		f := plan.Disruption{Kind: kind, Process: node, Peer: peer, When: when, For: long + d.between("link back", k, 0, apart)}
		if peer != sure {
			f.When.After += d.between("link cut", k, 0, apart)
		}
		if d.oneIn(4, "cut otherwise", k) {
			f.Kind = kinds[d.between("cut kind of link", k, 0, int64(len(kinds)-1))]
		}
		if f.Kind == plan.SlowLink && peer == sure {
			f.Kind = plan.Shut
		}
		if f.Kind == plan.SlowLink {
			f.Amount = d.log("slower link", k, 4, 256)
		}
		p.World.Disruptions = append(p.World.Disruptions, f)
	}
}

// links gives some pairs of nodes, and some directions, links of their own.
func (d *draw) links(p *Plan) {
	usual := p.World.Network
	for from := range uint32(p.Cluster.Nodes) {
		for to := range uint32(p.Cluster.Nodes) {
			k := int(100*from + to)
			if from == to || !d.oneIn(2, "link apart", k) {
				continue
			}
			p.World.Links = append(p.World.Links, network.LinkProfile{
				From: from, To: to, Latency: d.log("link latency", k, 50*microsecond, 12_800*microsecond), PerKiB: usual.PerKiB * d.log("link per KiB", k, 1, 256),
			})
		}
	}
}
