package scenarios

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// tenantLifecycle lets operators create, configure and drop tenants while clients
// work on them, and nodes crash at the steps of that.
var tenantLifecycle = &Scenario{
	Name:   "tenant-lifecycle",
	Story:  "operators create tenants, change their limits and drop them while clients work on them, and nodes crash at every step of it; what an operator was told holds, and what was dropped never comes back",
	Faulty: true,
	draw: func(d *draw, p *Plan) {
		d.base(p)
		d.slots(p) // a drop ends them all; limits are changed of the first
		for i := range int(d.between("more tenants", 0, 1, 3)) {
			p.Cluster.Tenants = append(p.Cluster.Tenants, TenantPlan{
				Config: tenant.Config{ID: tenant.ID(3 + i), Version: 1, Limits: d.generous("first limits", i)},
				Node:   env.ID(d.node(p, "new tenant's node", i)), Created: true,
			})
		}
		// The first tenant is never in need, so that a seed has enough to show.
		p.Cluster.Tenants[0].Config.Limits = tenant.Limits{Rate: 100_000}
		p.Workload.Operations = p.Workload.Operations * 3 / 2
		p.Workload.Operators = append(p.Workload.Operators, OperatorPlan{Commands: d.lifecycle(p)})
		if d.oneIn(2, "rival", 0) {
			p.Workload.Operators = append(p.Workload.Operators, OperatorPlan{Commands: d.rival(p)})
		}
		if d.oneIn(3, "slow nodes", 0) { // changes wait for their turn when limits change
			p.Cluster.Constants.Costs.Append = env.Duration(d.log("slow append", 0, 10*microsecond, 40*microsecond))
			p.Workload.Think, p.Workload.Concurrency = min(p.Workload.Think, 200*microsecond), 8
		}
		d.pauses(p)
		p.World.Rates = crashRates(d)
		if d.oneIn(4, "full disk", 0) {
			d.noRoom(p)
		}
		for i := range int(d.between("lifecycle crashes", 0, 1, 4)) {
			d.lifecycleCrash(p, i)
		}
		if d.oneIn(3, "removal fails", 0) {
			d.failsToRemove(p)
		}
	},
}

// failsToRemove lets a disk fail to remove the files of a tenant that was dropped.
func (d *draw) failsToRemove(p *Plan) {
	p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
		Kind: plan.EntryFail, Process: d.node(p, "fails to remove", 0), Files: "trash", Amount: d.between("failing removals", 0, 1, 3),
		When: plan.Anchor{Point: fault.Name(fault.TenantRemoving), Nth: uint32(d.log("nth removal", 0, 1, 4))},
		For:  d.log("removals fail for", 0, 16*millisecond, 1024*millisecond),
	})
}

// lifecycle draws an operator's commands: all tenants that are not there at first are created,
// limits change, some tenants are dropped, and one or two mistakes are made.
func (d *draw) lifecycle(p *Plan) (commands []CommandPlan) {
	for i, t := range p.Cluster.Tenants {
		if t.Created {
			commands = append(commands, CommandPlan{Kind: "create", Tenant: i})
			if d.oneIn(4, "created twice", i) {
				commands = append(commands, CommandPlan{Kind: "create", Tenant: i})
			}
		}
		for j := range int(d.between("changes", i, 0, 3)) {
			commands = append(commands, d.configure(i, 10*i+j))
		}
	}
	for i := range int(d.between("drops", 0, 1, 3)) {
		victim := int(d.between("victim", i, 1, int64(len(p.Cluster.Tenants)-1)))
		drop := CommandPlan{Kind: "drop", Tenant: victim, Blind: d.oneIn(2, "blind", i)}
		at := int(d.between("drop at", i, 1, int64(len(commands))))
		commands = slices.Insert(commands, at, drop)
		if d.oneIn(2, "created again", i) {
			commands = slices.Insert(commands, at+1, CommandPlan{Kind: "create", Tenant: victim})
		}
	}
	return commands
}

// rival draws an operator that gets in the way of the first.
func (d *draw) rival(p *Plan) (commands []CommandPlan) {
	for i := range int(d.between("rival commands", 0, 3, 9)) {
		victim := int(d.between("rival's tenant", i, 0, int64(len(p.Cluster.Tenants)-1)))
		commands = append(commands, d.configure(victim, 1000+i))
		if victim > 0 && d.oneIn(4, "rival drops", i) {
			commands = append(commands, CommandPlan{Kind: "drop", Tenant: victim})
		}
	}
	return commands
}

// configure draws limits: more, fewer than there are in use, the least that there may be, and in
// some cases limits that must be refused.
func (d *draw) configure(place, i int) CommandPlan {
	c := CommandPlan{Kind: "configure", Tenant: place, Step: d.between("versions", i, 1, 3), Limits: d.generous("limits", i)}
	switch l := &c.Limits; {
	case place == 0 || d.oneIn(3, "more", i):
	case d.oneIn(3, "least", i):
		*l = tenant.Limits{Rate: 1, Burst: 1, Entities: 1, Bytes: tenant.MinBytes}
	default:
		l.Rate, l.Burst = uint64(d.log("fewer", i, 100, 3200)), uint64(d.between("less burst", i, 1, 40))
		l.Entities, l.Bytes = uint64(d.between("fewer entities", i, 0, 3)), tenant.MinBytes*uint64(d.between("fewer bytes", i, 0, 20))
	}
	if d.oneIn(6, "older", i) {
		c.Step = d.between("step", i, -1, 0)
	}
	switch d.between("illegal", i, 0, 23) {
	case 0:
		c.Limits.Rate = 0
	case 1:
		c.Limits.Bytes = tenant.MinBytes - 1
	}
	return c
}

func (d *draw) generous(name string, i int) tenant.Limits {
	return tenant.Limits{Rate: 100_000, Burst: uint64(d.between(name+" burst", i, 0, 1)) * 1_000}
}

// pauses spreads the commands over the clients' work.
func (d *draw) pauses(p *Plan) {
	for i, o := range p.Workload.Operators {
		for j := range o.Commands {
			o.Commands[j].Think = d.between("command think", 100*i+j, 0, span(p)/int64(len(o.Commands)))
		}
	}
}

// noRoom fills a disk for a while, from a moment of a command on.
func (d *draw) noRoom(p *Plan) {
	commands := p.Workload.Operators[0].Commands
	for i := range int(d.between("times without room", 0, 1, 3)) {
		c := &commands[d.between("without room", i, 0, int64(len(commands)-1))]
		points := lifecyclePoints(c.Kind)
		p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
			Kind: plan.DiskFull, Process: uint32(p.Cluster.Tenants[c.Tenant].Node), For: d.log("no room for", i, millisecond, 64*millisecond),
			When: plan.Anchor{Point: fault.Name(points[0]), Nth: uint32(d.between("without room nth", i, 1, 2))},
		})
	}
}

// lifecyclePoints are the moments of a command, by its kind.
func lifecyclePoints(kind string) []env.Point {
	switch kind {
	case "create":
		return []env.Point{fault.TenantCreating, fault.TenantCreating, fault.TenantCreated, fault.SlotCreating, fault.SlotCreated}
	case "drop":
		return []env.Point{fault.TenantDropping, fault.TenantDropping, fault.TenantDropped, fault.TenantRemoving, fault.TenantRemoving, fault.TenantRemoved}
	}
	return []env.Point{fault.ConfigAppended, fault.ConfigAppended, fault.BatchDurable}
}

// lifecycleCrash aims a crash at a command, or soon after one of its moments; in a
// third of the cases power goes once more while the node recovers from a kill.
func (d *draw) lifecycleCrash(p *Plan, i int) {
	commands := p.Workload.Operators[0].Commands
	c := &commands[d.between("command", i, 0, int64(len(commands)-1))]
	points := lifecyclePoints(c.Kind)
	crash := plan.Disruption{
		Kind: plan.Kill, Process: uint32(p.Cluster.Tenants[c.Tenant].Node), For: d.log("lifecycle down", i, millisecond, 64*millisecond),
		When: plan.Anchor{Point: fault.Name(points[d.between("lifecycle point", i, 0, int64(len(points)-1))]), Nth: uint32(d.between("lifecycle nth", i, 1, 2))},
	}
	if i == 0 {
		crash.When.Nth, crash.When.By = 1, span(p)
	}
	if !d.oneIn(3, "at once", i) { // the operations behind a point take some time on the disk
		crash.When.After = d.between("lifecycle after", i, 0, 4*p.World.Disk.Sync+8*p.World.Disk.Meta)
	}
	again := d.oneIn(3, "power again", i)
	if !again && d.oneIn(2, "lifecycle power", i) {
		crash.Kind = plan.Power
	}
	p.World.Disruptions = append(p.World.Disruptions, crash)
	if again {
		second := []env.Point{fault.NodeStarted, fault.EpochPersisted, fault.TenantRemoving, fault.SlotServing}
		p.World.Disruptions = append(p.World.Disruptions, plan.Disruption{
			Kind: plan.Power, Process: crash.Process, For: crash.For,
			When: plan.Anchor{
				Point: fault.Name(second[d.between("second lifecycle point", i, 0, 3)]), Incarnation: 2, Nth: 1,
				After: d.between("second lifecycle after", i, 0, 4*p.World.Disk.Sync),
			},
		})
	}
}
