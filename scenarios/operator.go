package scenarios

import (
	"fmt"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// CommandPlan is one command of an operator.
type CommandPlan struct {
	Kind   string        `json:"kind"`   // create, configure or drop
	Tenant int           `json:"tenant"` // place in cluster.tenants; of a create, its configuration counts
	Limits tenant.Limits `json:"limits"` // of a configure
	// Step is by how much the version is above the one that the operator knows to be
	// in force: 1 or more is as it should be, 0 and less is a mistake that must be refused.
	Step int64 `json:"step,omitempty"`
	// Blind is a drop whatever the version.
	Blind bool  `json:"blind,omitempty"`
	Think int64 `json:"think_ns"` // pause before it
}

// OperatorPlan is what one operator process does, one command after the other.
type OperatorPlan struct {
	Commands []CommandPlan `json:"commands"`
}

func (p *Plan) validateOperators() error {
	for i, o := range p.Workload.Operators {
		for j := range o.Commands {
			c := &o.Commands[j]
			_, known := commandKinds(c.Kind)
			if !known || c.Tenant < 0 || c.Tenant >= len(p.Cluster.Tenants) || c.Think < 0 || c.Think > plan.MaxDuration {
				return fmt.Errorf("%w: workload.operators[%d].commands[%d] %+v: want create, configure or drop of one of %d tenants", plan.ErrInvalid, i, j, *c, len(p.Cluster.Tenants))
			}
		}
	}
	return nil
}

// kinds are those of a command: on the wire and for the checkers.
type kinds struct {
	wire    wire.Kind
	observe observe.CommandKind
}

func commandKinds(name string) (kinds, bool) {
	switch name {
	case "create":
		return kinds{wire.Create, observe.Create}, true
	case "configure":
		return kinds{wire.Configure, observe.Configure}, true
	case "drop":
		return kinds{wire.Drop, observe.Drop}, true
	}
	return kinds{}, false
}

// operator is the program of an operator process. It knows of each tenant the
// version of the limits that it was told last.
type operator struct {
	env      env.Env
	operator *core.Operator
	plan     *Plan
	commands []CommandPlan
	world    *sim.World
	run      *observe.Run
	left     *int
	story    *story

	known []uint64 // by tenant's place
	next  int      // number of the next command
	index int      // of the one under way, in run.Commands
	at    core.Command
}

func newOperator(e env.Env, r *Runner) *operator {
	o := &operator{
		env: e, operator: core.NewOperator(e, core.DefaultPatience), plan: r.plan, world: r.world, run: &r.run, left: &r.left, story: r.story,
		commands: r.plan.Workload.Operators[int(e.Self())-r.plan.Cluster.Nodes-r.plan.Cluster.Clients].Commands,
	}
	for i := range r.plan.Cluster.Tenants {
		o.known = append(o.known, r.plan.Cluster.Tenants[i].Config.Version)
	}
	return o
}

// Step implements env.Machine.
func (o *operator) Step(ev *env.Event) {
	if result, ended := o.operator.Step(ev); ended {
		o.ended(&result)
	}
	if ev.Kind == env.Timer && ev.Timer == thinkTimer && !o.operator.Busy() {
		o.begin()
	} else if ev.Kind == env.Started {
		o.think()
	}
	o.env.Charge(ClientCost)
}

func (o *operator) think() {
	if o.next < len(o.commands) {
		o.env.SetTimer(thinkTimer, o.env.Now().Add(env.Duration(o.commands[o.next].Think)+1))
	}
}

// begin sends the next command.
func (o *operator) begin() {
	c := &o.commands[o.next]
	o.next++
	is, _ := commandKinds(c.Kind)
	t := &o.plan.Cluster.Tenants[c.Tenant]
	known := o.known[c.Tenant]
	o.at = core.Command{Kind: is.wire, Place: o.plan.placement(t), Base: known}
	switch {
	case is.wire == wire.Configure:
		o.at.Place.Tenant.Limits = c.Limits
		o.at.Place.Tenant.Version = uint64(max(0, int64(known)+c.Step))
	case c.Blind:
		o.at.Base = 0
	}
	o.index = o.run.Asked(observe.Command{
		Kind: is.observe, Tenant: t.Config.ID, Version: o.at.Place.Tenant.Version, Limits: o.at.Place.Tenant.Limits, Base: o.at.Base, AskedAt: o.world.Time(),
	})
	if o.story != nil {
		o.story.add("%-9s WANTS %s tenant %s on node %d, version %d over %d, %+v", o.story.who(o.env.Self()),
			c.Kind, t.Config.ID, t.Node, o.at.Place.Tenant.Version, o.at.Base, o.at.Place.Tenant.Limits)
	}
	o.operator.Begin(o.at)
	o.world.Saw(o.env.Self(), uint64(o.index), uint64(is.wire), uint64(t.Config.ID), o.at.Place.Tenant.Version)
}

// ended notes the end of a command, and goes on.
func (o *operator) ended(r *core.CommandResult) {
	place := o.commands[o.next-1].Tenant
	outcome := history.Unknown
	switch r.Outcome {
	case core.Acked:
		outcome = history.Acked
		if o.at.Kind != wire.Drop {
			o.known[place] = o.at.Place.Tenant.Version
		}
	case core.Refused:
		outcome = history.Refused
	}
	if r.Code == wire.VersionConflict {
		o.known[place] = r.Value
	}
	o.run.Ended(o.index, outcome, o.world.Time())
	if o.story != nil {
		o.story.add("%-9s IS TOLD %s: %s %v", o.story.who(o.env.Self()), o.at.Kind, outcome, r.Err(&o.at))
	}
	*o.left--
	o.world.Saw(o.env.Self(), uint64(o.index), uint64(r.Outcome), uint64(r.Code), r.Value)
	o.think()
}

// Status reports how far the operator is.
func (o *operator) Status(s *env.Status) { *s = env.Status{uint64(o.next), uint64(o.index)} }

// tombstones notes which tenants are dropped by what is on the disks, and what is
// left of them.
func (r *Runner) tombstones() {
	for i := range r.plan.Cluster.Nodes {
		disk := r.world.Disk(env.ID(i))
		catalog, err := core.DecodeCatalog(disk.Content("node"))
		if err != nil {
			continue // others say what a node makes of that
		}
		names := disk.List("tenants")
		for j := range r.plan.Cluster.Tenants {
			id := r.plan.Cluster.Tenants[j].Config.ID
			if !catalog.Dropped(id) {
				continue
			}
			r.run.Tombstone(id)
			for _, name := range names {
				if name == id.String()+"/" {
					r.run.Leftovers = append(r.run.Leftovers, observe.Leftover{Tenant: id, Path: fmt.Sprintf("tenants/%s on node %d", name, i)})
				}
			}
		}
	}
}
