package scenarios

import (
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// The scenarios in which replica groups are hurt. They run for some seconds, so that
// leaders are replaced, and members leave and come back, while clients are at work.

// failover aims crashes at leaders and followers.
var failover = &Scenario{
	Name:   "failover",
	Story:  "nodes crash one after the other at every step of leading, following, joining and cutting; another member leads, nothing acknowledged is lost, and no read goes back",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3)
		p.World.Rates = crashRates(d)
		for i := range int(d.between("crashes", 0, 1, 4)) {
			f := plan.Disruption{Kind: plan.Power, Process: d.node(p, "crash node", i), When: d.amid(p, "crash", i), For: d.log("down", i, millisecond, 1024*millisecond)}
			if d.oneIn(2, "kill", i) {
				f.Kind = plan.Kill
			}
			p.World.Disruptions = append(p.World.Disruptions, f)
		}
	},
}

// partition cuts nodes off in every way, clients on both sides.
var partition = &Scenario{
	Name:   "partition",
	Story:  "links between nodes are cut, in one direction or both, so that what is on its way is lost or comes later; a leader that is cut off acknowledges nothing and shows nothing old",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3+int(d.between("more nodes", 0, 0, 2)))
		p.World.Rates[chance.NetLoss] = d.swarm(chance.NetLoss, 1000, 32_000)
		p.World.Rates[chance.NetDuplicate] = d.swarm(chance.NetDuplicate, 1000, 32_000)
		p.World.Rates[chance.NetDelay] = d.swarm(chance.NetDelay, 1000, 64_000)
		for i := range int(d.between("cuts", 0, 1, 4)) {
			d.cut(p, i)
		}
	},
}

// cut cuts a node off from all others, or from another node.
func (d *draw) cut(p *Plan, i int) {
	kinds := []plan.Kind{plan.CutDrop, plan.CutHold, plan.CutInto, plan.CutOutOf, plan.HoldInto, plan.HoldOutOf}
	f := plan.Disruption{
		Kind: kinds[d.between("cut kind", i, 0, int64(len(kinds)-1))], Process: d.node(p, "cut node", i), Peer: -1,
		When: d.amid(p, "cut", i), For: d.log("cut for", i, 16*millisecond, 2048*millisecond),
	}
	if d.oneIn(2, "one peer", i) {
		f.Peer = (int64(f.Process) + 1 + d.between("peer", i, 0, int64(p.Cluster.Nodes-2))) % int64(p.Cluster.Nodes)
		p.World.Disruptions = append(p.World.Disruptions, f)
		return
	}
	if d.oneIn(2, "clients too", i) {
		p.World.Disruptions = append(p.World.Disruptions, f)
		return
	}
	for peer := range p.Cluster.Nodes { // its clients still reach it
		if uint32(peer) != f.Process {
			f.Peer = int64(peer)
			p.World.Disruptions = append(p.World.Disruptions, f)
		}
	}
}

// slowFollower lets disks and processes of single nodes be slow, or stand still.
var slowFollower = &Scenario{
	Name:   "slow-follower",
	Story:  "a node's disk or process is slow or stands still; it leaves the set that is in sync, and comes back when it has caught up",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3)
		for i := range int(d.between("slow", 0, 1, 3)) {
			f := plan.Disruption{
				Kind: plan.SlowDisk, Process: d.node(p, "slow node", i), Amount: d.log("slower", i, 8, 512),
				When: d.amid(p, "slow", i), For: d.log("slow for", i, 64*millisecond, 4096*millisecond),
			}
			switch d.between("slow kind", i, 0, 3) {
			case 0:
				f.Kind, f.Amount = plan.Stall, 0
			case 1:
				f.Kind, f.Amount = plan.Pause, 0
			case 2:
				f.Kind, f.Amount = plan.DiskFull, 0
			}
			p.World.Disruptions = append(p.World.Disruptions, f)
		}
	},
}

// diskLoss replaces the disk of one node, damages durable bytes on it, or lets its syncs fail.
var diskLoss = &Scenario{
	Name:   "disk-loss",
	Story:  "a node loses its disk, or a part of a log on it, or its syncs fail; it fetches what it lacks from the others, and until then nobody counts on it",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3)
		p.World.Rates = crashRates(d)
		// Decisions are announced late: meanwhile the leader knows better, or the others do.
		p.World.Rates[chance.NetLoss] = d.swarm(chance.NetLoss, 1000, 32_000)
		p.World.Rates[chance.NetDelay] = d.swarm(chance.NetDelay, 1000, 128_000)
		victim := d.node(p, "victim", 0)
		for i := range int(d.between("losses", 0, 1, 2)) {
			p.World.Disruptions = append(p.World.Disruptions, d.loss(p, i, victim))
		}
		if d.oneIn(2, "leader too", 0) { // another node is to lead then, and not the victim
			p.World.Disruptions = append(p.World.Disruptions, d.loseLeader(p, victim))
		}
		if d.oneIn(3, "counted and slow", 0) {
			d.slowAgain(p, victim)
		}
		if d.oneIn(3, "fails outside the set", 0) {
			d.failOutside(p, victim)
		}
		// A loss that the budget does not allow, because no other node has all records, is a crash.
		p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
			Kind: plan.Power, Process: victim, When: plan.Anchor{At: span(p)/2 + d.between("crash", 0, 0, span(p)/4)}, For: d.log("crash down", 0, millisecond, 256*millisecond),
		})
	},
}

// slowAgain lets the victim's disk stand still when a leader begins to count on it again.
func (d *draw) slowAgain(p *Plan, victim uint32) {
	for node := range uint32(p.Cluster.Nodes) {
		if node != victim {
			p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
				Kind: plan.Stall, Process: victim, For: d.log("slow again for", int(node), 4*millisecond, 256*millisecond),
				When: plan.Anchor{Point: fault.Name(fault.MemberPending), Of: plan.Other(node), At: foundedBy},
			})
		}
	}
}

// failOutside has the victim drained and undrained again and again, and lets its syncs fail
// meanwhile. While no leader counts on the victim its log begins anew, empty, though it was
// complete before; and the victim is to be in the set again soon.
func (d *draw) failOutside(p *Plan, victim uint32) {
	p.World.Rates[chance.NetDuplicate] = uint32(d.log("rate outside", 0, 16_000, 256_000))
	var commands []CommandPlan
	rounds := int(d.between("times outside", 0, 2, 5))
	for i := range rounds {
		commands = append(commands,
			CommandPlan{Kind: "drain", Node: int(victim), Think: d.between("outside again", i, millisecond, 128*millisecond)},
			CommandPlan{Kind: "undrain", Node: int(victim), Think: d.log("outside for", i, 4*millisecond, 128*millisecond)})
		p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
			Kind: plan.SyncFail, Process: victim, Files: ".seg", For: d.log("outside failing", i, 4*millisecond, 64*millisecond), Amount: d.between("outside amount", i, 1, 3),
			When: plan.Anchor{At: foundedBy + int64(i)*span(p)/int64(rounds), Point: fault.Name(fault.BatchSubmitting), Nth: uint32(d.log("outside nth", i, 1, 64))},
		})
	}
	p.Workload.Operators = append(p.Workload.Operators, OperatorPlan{Commands: commands})
}

// loseLeader kills another node, in three of four cases while the victim still lacks the lost
// records, fetches them, or is about to count again.
func (d *draw) loseLeader(p *Plan, victim uint32) plan.Disruption {
	f := plan.Disruption{
		Kind: plan.Kill, Process: (victim + 1 + uint32(d.between("who", 0, 0, int64(p.Cluster.Nodes-2)))) % uint32(p.Cluster.Nodes),
		When: plan.Anchor{At: foundedBy + span(p)/3 + d.between("leader", 0, 0, span(p)/2)}, For: d.log("leader down", 0, millisecond, 1024*millisecond),
	}
	switch d.between("leader that is needed", 0, 0, 3) {
	case 0:
		f.When = plan.Anchor{Point: fault.Name(fault.SlotRefetching), Of: plan.Other(victim), At: foundedBy, Nth: uint32(d.log("leader nth", 0, 1, 4)), After: d.log("leader after", 0, microsecond, 32*millisecond)}
		f.For = max(f.For, 512*millisecond)
	case 1:
		c := &p.Cluster.Constants
		c.SnapshotEvery, c.SegmentSize = min(c.SnapshotEvery, 2048), min(c.SegmentSize, 1024)
		f.When = plan.Anchor{Point: fault.Name(fault.SnapshotShipped), At: foundedBy, Nth: uint32(d.log("leader nth", 0, 1, 4)), After: d.log("leader after", 0, microsecond, 1024*microsecond)}
		f.For = max(f.For, 512*millisecond)
	case 2:
		f.When = plan.Anchor{Point: fault.Name(fault.MemberPending), At: foundedBy, Nth: uint32(d.log("leader nth", 0, 1, 4)), After: d.log("leader after", 0, microsecond, 32*millisecond)}
		f.For = max(f.For, 512*millisecond)
	}
	return f
}

// loss is a loss of the victim's. Only one node has any: some member in sync has all committed
// records.
func (d *draw) loss(p *Plan, i int, victim uint32) plan.Disruption {
	when := d.amid(p, "loss", i)
	if d.oneIn(2, "wipe", i) {
		return plan.Disruption{Kind: d.lossKind(i), Process: victim, When: when, For: d.log("gone", i, millisecond, 1024*millisecond)}
	}
	return plan.Disruption{
		Kind: plan.SyncFail, Process: victim, Files: ".seg", When: when,
		For: d.log("failing", i, 4*millisecond, 256*millisecond), Amount: d.between("amount", i, 1, 3),
	}
}

// lossKind draws the replacement of a lost disk: an empty one or, in one of three cases, an older
// copy.
func (d *draw) lossKind(i int) plan.Kind {
	if d.oneIn(3, "older copy", i) {
		return plan.Restore
	}
	return plan.Wipe
}

// rejoin keeps a node away for long, while the log goes on and segments go.
var rejoin = &Scenario{
	Name:   "rejoin-after-long-absence",
	Story:  "a node is away while snapshots cover what it lacks; it comes back, fetches a snapshot or the log, and is in sync again, or another one holds its shards by then",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3+int(d.between("more nodes", 0, 0, 2)))
		p.World.Rates = crashRates(d)
		p.Cluster.Replace = d.log("replaced after", 0, 500*millisecond, 4*second)
		c := &p.Cluster.Constants
		c.SnapshotEvery, c.SegmentSize = d.log("snapshots", 0, 1024, 8192), d.log("segments", 0, 512, 2048)
		for i := range int(d.between("absences", 0, 1, 2)) {
			f := plan.Disruption{Kind: plan.Power, Process: d.node(p, "absent", i), When: d.amid(p, "absence", i), For: d.between("away", i, 500*millisecond, 3*second)}
			switch d.between("how", i, 0, 2) {
			case 0:
				f.Kind = plan.Kill
			case 1:
				f.Kind, f.Peer = plan.CutDrop, -1
			}
			p.World.Disruptions = append(p.World.Disruptions, f)
		}
	},
}

// allRestart stops all nodes, at one moment or one soon after the other.
var allRestart = &Scenario{
	Name:   "all-members-restart",
	Story:  "all nodes lose power or are killed, together or in a row; the best of the logs goes on, with all that was acknowledged",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3)
		p.World.Rates = crashRates(d)
		for round := range int(d.between("rounds", 0, 1, 3)) {
			d.restartAll(p, round, d.between("round at", round, foundedBy, p.World.Duration/6))
		}
	},
}

// restartAll stops all nodes about at an instant.
func (d *draw) restartAll(p *Plan, round int, at int64) {
	for node := range p.Cluster.Nodes {
		i := round*100 + node
		f := plan.Disruption{
			Kind: plan.Power, Process: uint32(node), For: d.log("down", i, millisecond, 512*millisecond),
			When: plan.Anchor{At: at + d.log("apart", i, microsecond, 256*millisecond)},
		}
		if d.oneIn(3, "kill", i) {
			f.Kind = plan.Kill
		}
		p.World.Disruptions = append(p.World.Disruptions, f)
	}
	if d.oneIn(2, "wipe", round) { // amid it, one of them loses its disk, or has an older copy of it
		p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
			Kind: d.lossKind(100 + round), Process: d.node(p, "wiped", 0), For: d.log("wiped for", round, millisecond, 256*millisecond),
			When: plan.Anchor{At: at + d.log("wiped after", round, microsecond, 256*millisecond)},
		})
	}
}

// regionOutage stops all nodes of a region. Shards and tenants live in two of them.
var regionOutage = &Scenario{
	Name:   "region-outage",
	Story:  "six nodes in two regions, tenants that may be in one of them only; all nodes of a region are gone or cut off for a while, and the other region serves; one node may be gone for long, and nobody takes its place; no byte ever leaves where it may be",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 6)
		d.regions(p)
		region := d.between("region", 0, 0, 1)
		at := d.between("outage at", 0, 100*millisecond, 800*millisecond)
		for i := range 3 {
			node := uint32(region*3) + uint32(i)
			f := plan.Disruption{Kind: plan.Power, Process: node, When: plan.Anchor{At: at + d.log("apart", i, microsecond, 32*millisecond)}, For: d.between("outage", 0, 200*millisecond, 2*second)}
			if d.oneIn(2, "cut off", 0) {
				f.Kind = plan.CutDrop
				for peer := range 3 {
					f.Peer = int64(1-region)*3 + int64(peer)
					p.World.Disruptions = append(p.World.Disruptions, f)
				}
				continue
			}
			p.World.Disruptions = append(p.World.Disruptions, f)
		}
		if d.oneIn(2, "one for long", 0) { // its replacement would have to be in the other region
			p.Cluster.Replace = d.log("replaced after", 0, 400*millisecond, second)
			p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
				Kind: plan.Power, Process: uint32(1-region)*3 + uint32(d.between("one", 0, 0, 2)),
				When: d.amid(p, "one", 0), For: d.between("one gone", 0, 1500*millisecond, 4*second),
			})
		}
	},
}

// regions puts three nodes into each of two regions, and every shard into one.
func (d *draw) regions(p *Plan) {
	s := &p.Cluster.Topology
	names := []tenant.Region{"east", "west"}
	for i := range s.Regions {
		s.Regions[i] = names[i/3]
	}
	s.Meta = []env.ID{0, 1, 3} // no region has a majority for sure: three of six
	if d.oneIn(2, "five members", 1) {
		s.Meta = []env.ID{0, 1, 2, 3, 4}
	}
	for i := range s.Shards {
		region := int(d.between("shard region", i, 0, 1))
		s.Shards[i] = control.ShardConfig{ID: lineage.Shard(i), Region: names[region]}
		first := int(d.between("first in region", i, 0, 2))
		for r := range 3 {
			s.Shards[i].Replicas = append(s.Shards[i].Replicas, env.ID(region*3+(first+r)%3))
		}
	}
	for i := range p.Cluster.Tenants {
		t := &p.Cluster.Tenants[i]
		shard := s.Shards[i%3]
		t.Shards = t.Shards[:1]
		t.Slots = 1
		t.Shards[0] = shard.ID
		t.Node = shard.Replicas[0]
		if d.oneIn(2, "resident", i) {
			t.Config.Residency = tenant.Residency{shard.Region}
		}
	}
}

// controlChurn hurts only the members of the meta log, if there are other nodes.
var controlChurn = &Scenario{
	Name:   "control-plane-churn",
	Story:  "members of the meta log crash, lose their disks and are cut off from each other again and again; transitions wait, and what is acknowledged and read is right all the while",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 5)
		members := p.Cluster.Meta
		for i := range int(d.between("churns", 0, 2, 6)) {
			f := plan.Disruption{
				Kind: plan.Power, Process: uint32(members[d.between("member", i, 0, int64(len(members)-1))]), Peer: 0,
				When: plan.Anchor{At: d.between("churn at", i, foundedBy, p.World.Duration/5)}, For: d.log("churn for", i, millisecond, 1024*millisecond),
			}
			kind := d.between("churn kind", i, 0, 4)
			if i == 0 { // it is sure to come
				kind = min(kind, 2)
			}
			switch kind {
			case 0:
				f.Kind = plan.Kill
			case 1:
				f.Kind = plan.Pause
			case 2:
				f.Kind = plan.CutDrop
				f.Peer = (int64(f.Process) + 1) % int64(p.Cluster.Nodes)
			case 3:
				f.Kind, f.When.Point, f.When.At = plan.Kill, fault.Name(fault.MetaLeading), foundedBy
			}
			if i > 0 && d.oneIn(4, "churn disk", i) {
				f.Kind, f.Peer, f.When = d.lossKind(i), 0, plan.Anchor{At: settledBy + d.between("churn disk at", i, 0, p.World.Duration/5)}
			}
			p.World.Disruptions = append(p.World.Disruptions, f)
		}
	},
}

// underFire changes the in-sync sets as often as it can, while members crash amid it.
var underFire = &Scenario{
	Name:   "reconfigure-under-fire",
	Story:  "members leave and join all the time, because they are paused and cut off for about as long as it takes to be removed, and nodes crash at the worst moments of that",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3+int(d.between("more nodes", 0, 0, 1)))
		s := &p.Cluster.Topology
		s.Silence, s.Slow = d.log("silence", 0, 100*millisecond, 400*millisecond), d.log("slow", 0, 100*millisecond, 400*millisecond)
		p.World.Rates[chance.NetLoss] = d.swarm(chance.NetLoss, 1000, 32_000)
		for i := range int(d.between("absences", 0, 3, 8)) {
			f := plan.Disruption{
				Kind: plan.Pause, Process: d.node(p, "absent", i), When: plan.Anchor{At: d.between("absent at", i, 0, p.World.Duration/4)},
				For: s.Silence/2 + d.between("absent for", i, 0, s.Silence*2),
			}
			if d.oneIn(2, "cut off", i) {
				f.Kind, f.Peer = plan.CutHold, (int64(f.Process)+1)%int64(p.Cluster.Nodes)
			}
			p.World.Disruptions = append(p.World.Disruptions, f)
		}
		for i := range int(d.between("crashes", 0, 0, 3)) {
			points := []env.Point{fault.MemberPending, fault.MemberPending, fault.EpochAdopted, fault.SlotLeading, fault.LogCutting, fault.LogCut, fault.SnapshotShipped}
			p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
				Kind: plan.Kill, Process: d.node(p, "crash node", i), For: d.log("down", i, millisecond, 256*millisecond),
				When: plan.Anchor{
					Point: fault.Name(points[d.between("crash point", i, 0, int64(len(points)-1))]), Nth: uint32(d.log("crash nth", i, 1, 8)),
					After: d.log("crash after", i, microsecond, 4096*microsecond), At: 50 * millisecond,
				},
			})
		}
	},
}

// unhurried is replicated with clients that take their time: leaders are replaced
// while they are at work.
func (d *draw) unhurried(p *Plan, nodes int) {
	d.replicated(p, nodes)
	p.Workload.Think = d.log("long think", 0, 2*millisecond, 16*millisecond)
}

// foundedBy is when the founders of the meta log have made durable that they are. A
// majority of them that restarts before, with nothing, never forms.
const foundedBy = 20 * millisecond

// amid draws when a disruption strikes a node that shares its shards: at a moment of
// replication, or at a time. The first one of a plan is sure to come.
func (d *draw) amid(p *Plan, name string, i int) plan.Anchor {
	a := plan.Anchor{At: d.between(name+" at", i, foundedBy, max(foundedBy, span(p)*2/3))}
	if d.oneIn(3, name+" at a time", i) {
		return a
	}
	points := []env.Point{
		fault.RecordAppended, fault.RecordReceived, fault.BatchSubmitting, fault.BatchDurable, fault.AckSending, fault.ReadConfirmed,
		fault.SlotLeading, fault.EpochAdopted, fault.MemberPending, fault.LogCutting, fault.LogCut, fault.SnapshotWriting, fault.SnapshotShipped,
		fault.SlotRefetching, fault.MetaLeading, fault.RecoverySyncing, fault.SlotFollowing,
	}
	a.Point, a.Nth = fault.Name(points[d.between(name+" point", i, 0, int64(len(points)-1))]), uint32(d.log(name+" nth", i, 1, 8))
	if d.oneIn(2, name+" early", i) {
		a.At = foundedBy
	}
	if d.oneIn(2, name+" late", i) {
		a.After = d.log(name+" after", i, 10*microsecond, 5120*microsecond)
	}
	if i == 0 {
		a.By = max(a.At, span(p)/2)
	}
	return a
}
