package scenarios

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/client"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// CommandPlan is one command of an operator.
type CommandPlan struct {
	Kind   string        `json:"kind"`   // create, configure, drop, drain or undrain
	Tenant int           `json:"tenant"` // place in cluster.tenants; of a create, its configuration counts
	Limits tenant.Limits `json:"limits"` // of a configure
	// Residency is the residency of a configure; nil: the tenant's first one.
	Residency *tenant.Residency `json:"residency,omitempty"`
	// Step is the distance of the version from the version that the operator knows to be in force:
	// 1 or more is correct, 0 and less is a mistake that must be refused.
	Step int64 `json:"step,omitempty"`
	// Blind is a drop whatever the version.
	Blind bool  `json:"blind,omitempty"`
	Node  int   `json:"node,omitempty"` // of a drain and its end
	Think int64 `json:"think_ns"`       // pause before it
}

// OfNode reports whether the command is about a node, and not about a tenant.
func (c *CommandPlan) OfNode() bool {
	k, known := commandKinds(c.Kind)
	return known && k.ofNodes()
}

// OperatorPlan lists the commands of one operator process, one after the other.
type OperatorPlan struct {
	Commands []CommandPlan `json:"commands"`
}

func (p *Plan) validateOperators() error {
	for i, o := range p.Workload.Operators {
		for j := range o.Commands {
			c := &o.Commands[j]
			k, known := commandKinds(c.Kind)
			if !known || c.Tenant < 0 || c.Tenant >= len(p.Cluster.Tenants) || c.Think < 0 || c.Think > plan.MaxDuration {
				return fmt.Errorf("%w: workload.operators[%d].commands[%d] %+v: want create, configure or drop of one of %d tenants", plan.ErrInvalid, i, j, *c, len(p.Cluster.Tenants))
			}
			if c.Residency != nil && (k.control != control.Configure || c.Residency.Validate() != nil) {
				return fmt.Errorf("%w: workload.operators[%d].commands[%d] %+v: want the residency of a configure, of names of regions", plan.ErrInvalid, i, j, *c)
			}
			if k.ofNodes() && (c.Node < 0 || c.Node >= p.Cluster.Nodes) {
				return fmt.Errorf("%w: workload.operators[%d].commands[%d] %+v: want one of %d nodes", plan.ErrInvalid, i, j, *c, p.Cluster.Nodes)
			}
		}
	}
	return nil
}

// kinds are those of a command: for the control plane, and for the checkers.
type kinds struct {
	control control.Kind
	observe observe.CommandKind
}

// ofNodes reports whether the command is about a node, and not about a tenant.
func (k kinds) ofNodes() bool { return k.control == control.Drain || k.control == control.Undrain }

func commandKinds(name string) (kinds, bool) {
	switch name {
	case "create":
		return kinds{control.CreateTenant, observe.Create}, true
	case "configure":
		return kinds{control.Configure, observe.Configure}, true
	case "drop":
		return kinds{control.DropTenant, observe.Drop}, true
	case "drain":
		return kinds{control.Drain, observe.Drain}, true
	case "undrain":
		return kinds{control.Undrain, observe.Undrain}, true
	}
	return kinds{}, false
}

// operator is the program of an operator process. It knows the version of each tenant's limits from
// its last answer.
type operator struct {
	env      env.Env
	operator *client.Operator
	plan     *Plan
	commands []CommandPlan
	world    *sim.World
	run      *observe.Run
	left     *int
	story    *story

	toldOf func(*tenant.Config) // notes that the operator was told of a configuration
	known  []uint64             // by tenant's place
	next   int                  // number of the next command
	index  int                  // of the one under way, in run.Commands
	at     control.Command
}

func newOperator(e env.Env, r *Runner) *operator {
	o := &operator{
		env: e, operator: client.NewOperator(e, client.DefaultPatience, r.plan.Cluster.Meta...), plan: r.plan, world: r.world, run: &r.run, left: &r.left, story: r.story,
		toldOf:   r.observer.toldOf,
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

func (o *operator) begin() {
	c := &o.commands[o.next]
	o.next++
	is, _ := commandKinds(c.Kind)
	t := &o.plan.Cluster.Tenants[c.Tenant]
	known := o.known[c.Tenant]
	o.at = control.Command{Kind: is.control, Tenant: t.Config.ID, Base: known, Config: t.Config, Shards: t.Shards, Node: env.ID(c.Node)}
	switch {
	case is.ofNodes():
	case is.control == control.CreateTenant:
		o.at.Base = 0
	case is.control == control.Configure:
		o.at.Config.Limits = c.Limits
		o.at.Config.Version = uint64(max(0, int64(known)+c.Step))
		if c.Residency != nil {
			o.at.Config.Residency = *c.Residency
		}
	case c.Blind:
		o.at.Base = 0
	}
	o.index = o.run.Asked(observe.Command{
		Kind: is.observe, Node: uint32(c.Node), Tenant: t.Config.ID, Version: o.at.Config.Version, Limits: o.at.Config.Limits, Base: o.at.Base, AskedAt: o.world.Time(),
	})
	if o.story != nil {
		o.story.line(Call, int(o.env.Self()), "%-9s WANTS %s, version %d over %d, %+v%s", o.story.who(o.env.Self()),
			&o.at, o.at.Config.Version, o.at.Base, o.at.Config.Limits, c.where())
	}
	o.operator.Begin(o.at)
	o.world.Saw(o.env.Self(), uint64(o.index), uint64(wire.Control), uint64(t.Config.ID), o.at.Config.Version)
}

// where describes the residency of a command, "" if it has none.
func (c *CommandPlan) where() string {
	switch {
	case c.Residency == nil:
		return ""
	case len(*c.Residency) == 0:
		return ", anywhere"
	}
	return fmt.Sprintf(", only in %v", *c.Residency)
}

// ended notes the end of a command, and goes on.
func (o *operator) ended(r *client.CommandResult) {
	place := o.commands[o.next-1].Tenant
	outcome := history.Unknown
	switch r.Outcome {
	case client.Acked:
		outcome = history.Acked
		if is, _ := commandKinds(o.commands[o.next-1].Kind); is.observe == observe.Create || is.observe == observe.Configure {
			o.known[place] = o.at.Config.Version
			o.toldOf(&o.at.Config)
		}
	case client.Refused:
		outcome = history.Refused
	}
	if r.Code == wire.VersionConflict {
		o.known[place] = r.Facts.Outdated.Version
	}
	o.run.Ended(o.index, outcome, o.world.Time())
	if o.story != nil {
		o.story.line(operatorKinds[outcome], int(o.env.Self()), "%-9s IS TOLD %s: %s %v", o.story.who(o.env.Self()), &o.at, outcome, r.Err(&o.at))
	}
	*o.left--
	o.world.Saw(o.env.Self(), uint64(o.index), uint64(r.Outcome), uint64(r.Code), numberOf(r))
	o.think()
}

// numberOf is the facts of a refusal in the trace: as the wire has them.
func numberOf(r *client.CommandResult) uint64 {
	switch f := &r.Facts; {
	case f.NotLeader.Known:
		return uint64(f.NotLeader.Leader) + 1
	case r.Code == wire.InvalidConfig:
		return f.BadField.Value
	case r.Code == wire.QuotaExceeded:
		return f.Quota.Used
	}
	return r.Facts.Outdated.Version
}

// operatorKinds are the kinds of the lines for the end of a command.
var operatorKinds = [...]Kind{history.Open: Deny, history.Acked: Ack, history.Refused: Deny, history.Unknown: Deny}

// Status reports how far the operator is.
func (o *operator) Status(s *env.Status) { *s = env.Status{uint64(o.next), uint64(o.index)} }

// tombstones notes which tenants the control plane has ended, and their remains.
func (r *Runner) tombstones() {
	plane, _ := r.plane()
	for _, t := range plane.Dropped() {
		r.run.Tombstone(t.Tenant)
		for i := range r.plan.Cluster.Nodes {
			if slices.Contains(r.world.Disk(env.ID(i)).List("tenants"), t.Tenant.String()+"/") {
				r.run.Leftovers = append(r.run.Leftovers, observe.Leftover{Tenant: t.Tenant, Path: fmt.Sprintf("tenants/%s/ on node %d", t.Tenant, i)})
			}
		}
	}
}
