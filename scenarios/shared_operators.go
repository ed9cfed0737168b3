package scenarios

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// The scenarios in which operators steer a cluster of replica groups.

// nodeDrain drains nodes, one after the other, while clients are at work, and nothing else
// happens.
var nodeDrain = &Scenario{
	Name:  "node-drain",
	Story: "nodes are drained one after the other under load, and have duties again, no faults; others lead, every query is answered in its deadline, and no set is left with too few",
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3+int(d.between("more nodes", 0, 0, 2)))
		d.drains(p, false)
		p.World.Disruptions = []plan.Disruption{}
	},
}

// drainCancel ends drains before they are done, while nodes crash.
var drainCancel = &Scenario{
	Name:   "drain-cancel",
	Story:  "drains are begun and called off by another operator, while nodes crash, the one that is drained and the one that coordinates among them, and disks stand still as somebody else begins to lead; every node ends with or without duties as was said last, and nothing is lost",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3+int(d.between("more nodes", 0, 0, 2)))
		d.drains(p, true)
		p.World.Rates = crashRates(d)
		for i := range int(d.between("crashes", 0, 1, 3)) {
			f := plan.Disruption{Kind: plan.Kill, Process: d.node(p, "crash node", i), When: d.amid(p, "crash", i), For: d.log("down", i, millisecond, 1024*millisecond)}
			if d.oneIn(2, "power", i) {
				f.Kind = plan.Power
			}
			p.World.Disruptions = append(p.World.Disruptions, f)
		}
		if d.oneIn(2, "neighbour", 0) {
			d.neighbour(p)
		}
		if d.oneIn(3, "slow start", 0) {
			d.slowStart(p)
		}
	},
}

// neighbour lets another node than the first drained one go down for long, from shortly before the
// drain on, so that a set loses two members at once, one of them on purpose.
func (d *draw) neighbour(p *Plan) {
	first := p.Workload.Operators[0].Commands[0]
	other := (first.Node + int(d.between("neighbour's place", 0, 1, int64(p.Cluster.Nodes-1)))) % p.Cluster.Nodes
	p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
		Kind: plan.Kill, Process: uint32(other), For: d.log("neighbour down", 0, 512*millisecond, 2048*millisecond),
		When: plan.Anchor{At: max(foundedBy, first.Think-d.between("neighbour ahead", 0, 0, 400*millisecond))},
	})
}

// slowStart lets the disk of the new leader, or of another member, stand still as the epoch begins:
// the epoch is delayed, though every member confirms the leader. Clients read the last written
// entities again and again.
func (d *draw) slowStart(p *Plan) {
	w := &p.Workload
	w.Operations, w.ReadPermille, w.Hot = 2*w.Operations, max(w.ReadPermille, 500), max(w.Hot, 500)
	for leader := range p.Cluster.Nodes {
		slow := (leader + int(d.between("slow disk", leader, 0, int64(p.Cluster.Nodes-1)))) % p.Cluster.Nodes
		p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
			Kind: plan.Stall, Process: uint32(slow), For: d.log("slow for", leader, 128*millisecond, 2048*millisecond),
			When: plan.Anchor{Point: fault.Name(fault.SlotLeading), Of: plan.Other(uint32(leader)), At: 10 * foundedBy, Nth: uint32(d.log("slow nth", leader, 1, 4))},
		})
	}
}

// drains draws an operator that drains nodes, and lets each have duties again; or another
// one does, at any time.
func (d *draw) drains(p *Plan, rival bool) {
	var commands, others []CommandPlan
	for i := range int(d.between("drains", 0, 1, 3)) {
		node := int(d.node(p, "drained", i))
		commands = append(commands, CommandPlan{Kind: "drain", Node: node})
		if rival {
			others = append(others, CommandPlan{Kind: "undrain", Node: node})
			if d.oneIn(4, "one more", i) {
				others = append(others, CommandPlan{Kind: "drain", Node: int(d.node(p, "another", i))})
			}
		} else {
			commands = append(commands, CommandPlan{Kind: "undrain", Node: node})
		}
	}
	p.Workload.Operators = append(p.Workload.Operators, OperatorPlan{Commands: commands})
	if !rival && d.oneIn(2, "both at once", 0) { // the second drain waits
		node := int(d.node(p, "second's node", 0))
		p.Workload.Operators = append(p.Workload.Operators, OperatorPlan{Commands: []CommandPlan{{Kind: "drain", Node: node}, {Kind: "undrain", Node: node}}})
	}
	if rival { // in the end every node has duties
		for node := range p.Cluster.Nodes {
			others = append(others, CommandPlan{Kind: "undrain", Node: node})
		}
		p.Workload.Operators = append(p.Workload.Operators, OperatorPlan{Commands: others})
	}
	d.pauses(p)
}

// sharedLifecycle lets operators create, configure and drop tenants of replica groups.
var sharedLifecycle = &Scenario{
	Name:   "shared-lifecycle",
	Story:  "operators create tenants of one or several slots in replica groups, change their limits and drop them while clients work on them, and nodes crash at every step of it; what an operator was told holds cluster-wide, and what was dropped never comes back",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.unhurried(p, 3+int(d.between("more nodes", 0, 0, 2))) // one of them may coordinate drops that it has no part in
		d.founders(p)
		p.Workload.Operators = append(p.Workload.Operators, OperatorPlan{Commands: d.sharedLife(p)})
		if d.oneIn(2, "rival", 0) {
			p.Workload.Operators = append(p.Workload.Operators, OperatorPlan{Commands: d.rival(p)})
		}
		d.enough(p)
		d.pauses(p)
		p.Workload.Operations = p.Workload.Operations * 3 / 2
		p.World.Rates = crashRates(d)
		if d.oneIn(3, "all restart", 0) { // late announcements then arrive in order
			p.World.Rates[chance.NetLoss] = d.swarm(chance.NetLoss, 1000, 64_000)
			d.restartAll(p, 0, d.between("restart at", 0, span(p)/4, span(p)*3/4))
		}
		for i := range int(d.between("lifecycle faults", 0, 1, 3)) {
			f := plan.Disruption{Kind: plan.Kill, Process: d.node(p, "crash node", i), When: d.amidLife(p, i), For: d.log("down", i, millisecond, 1024*millisecond)}
			switch d.between("fault", i, 0, 3) {
			case 0:
				f.Kind = plan.Power
			case 1:
				f.Kind, f.Peer = plan.CutDrop, -1
			case 2: // the coordinator and a leader may not hear of each other, while all other nodes hear both
				f.Kind, f.Peer = plan.CutDrop, (int64(f.Process)+d.between("cut from", i, 1, int64(p.Cluster.Nodes-1)))%int64(p.Cluster.Nodes)
			}
			p.World.Disruptions = append(p.World.Disruptions, f)
		}
		if d.oneIn(2, "unheard", 0) {
			d.unheard(p)
		}
	},
}

// unheard cuts the leader of a dropped tenant's slot off from the nodes that have no part in its
// shard, if one of them coordinates the drop. The leader hears of the drop late, and of nothing
// else that would keep it from serving.
func (d *draw) unheard(p *Plan) {
	commands, shared := p.Workload.Operators[0].Commands, &p.Cluster.Topology
	i := slices.IndexFunc(commands, func(c CommandPlan) bool { return c.Kind == "drop" })
	if i < 0 {
		return
	}
	t := &p.Cluster.Tenants[commands[i].Tenant]
	replicas := shared.Shards[t.Shards[d.between("unheard slot", 0, 0, int64(len(t.Shards)-1))]].Replicas
	for node := range p.Cluster.Nodes {
		if slices.Contains(replicas, env.ID(node)) {
			continue
		}
		p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
			Kind: plan.CutDrop, Process: uint32(node), Peer: int64(replicas[0]), For: d.log("unheard for", node, 32*millisecond, 1024*millisecond),
			When: plan.Anchor{At: foundedBy, Point: fault.Name(fault.CommandHeeding), Nth: uint32(i + 1)},
		})
	}
}

// founders adds tenants that are not there at first to the founding ones. The first tenant has an
// ample rate and is never dropped, so that a seed has enough operations.
func (d *draw) founders(p *Plan) {
	p.Cluster.Tenants[0].Config.Limits = tenant.Limits{Rate: 100_000}
	for i := range int(d.between("more tenants", 0, 1, 3)) {
		t := TenantPlan{Config: tenant.Config{ID: tenant.ID(3 + i), Version: 1, Limits: d.generous("first limits", i)}, Created: true, Slots: int(d.between("slots of new", i, 1, 3))}
		for slot := range t.Slots {
			t.Shards = append(t.Shards, lineage.Shard((i+slot)%len(p.Cluster.Shards)))
		}
		t.Node = p.Cluster.Shards[t.Shards[0]].Replicas[0]
		p.Cluster.Tenants = append(p.Cluster.Tenants, t)
	}
}

// sharedLife is lifecycle, with a drop that is begun anew if the first one is not answered.
func (d *draw) sharedLife(p *Plan) []CommandPlan {
	commands := d.lifecycle(p)
	if d.oneIn(2, "dropped again", 0) {
		if i := slices.IndexFunc(commands, func(c CommandPlan) bool { return c.Kind == "drop" }); i >= 0 {
			commands = append(commands, commands[i])
		}
	}
	return commands
}

// enough lets every limit that an operator sets be enough for the slots, in most cases.
func (d *draw) enough(p *Plan) {
	for i := range p.Workload.Operators {
		for j := range p.Workload.Operators[i].Commands {
			c := &p.Workload.Operators[i].Commands[j]
			slots := uint64(max(1, p.Cluster.Tenants[c.Tenant].Slots))
			if l := &c.Limits; c.Kind == "configure" && l.Rate > 0 && !d.oneIn(16, "not enough", 100*i+j) {
				l.Rate = max(l.Rate, slots)
				if l.Burst > 0 {
					l.Burst = max(l.Burst, slots)
				}
			}
		}
	}
}

// amidLife draws when a disruption strikes while tenants come and go.
func (d *draw) amidLife(p *Plan, i int) plan.Anchor {
	if d.oneIn(3, "amid", i) {
		return d.amid(p, "life fault", i)
	}
	points := []env.Point{fault.CommandHeeding, fault.CommandHeeding, fault.SlotReporting, fault.SlotReporting, fault.ConfigAppended, fault.SlotCreating, fault.TenantRemoving, fault.TenantRemoved, fault.SlotFollowing}
	a := plan.Anchor{
		At: d.between("life at", i, foundedBy, max(foundedBy, span(p)/2)), Point: fault.Name(points[d.between("life point", i, 0, int64(len(points)-1))]),
		Nth: uint32(d.log("life nth", i, 1, 8)), After: d.log("life after", i, microsecond, 4096*microsecond),
	}
	if i == 0 {
		a.At, a.By = foundedBy, max(foundedBy, span(p)/2)
	}
	return a
}
