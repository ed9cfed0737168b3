package core

import (
	"errors"
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// Commands of operators. The coordinator proposes them to the meta
// log; any other node names the coordinator. An operator repeats its command until the coordinator
// answers. At each repetition the coordinator looks at the state of the control plane, so that it
// need not remember any operator:
//
//	command                the coordinator answers when
//	CreateTenant           every slot's log has its limits
//	Configure              the limits hold in every slot
//	DropTenant             no node serves any slot, or ever will
//	Drain                  the node leads nothing and is in no in-sync set
//	Undrain                the node may have duties
//	AcceptLoss             the shard has a set that a leader can come from
//
// The coordinator refuses an illegal command at once, with no effect.

// steer handles an operator's command.
func (n *Node) steer(from env.ID, m *wire.Message) {
	c, err := control.DecodeCommand(m.Tail)
	switch {
	case err != nil || !steers(c.Kind):
		n.refuse(from, m, replica.Outcome{Code: wire.Invalid})
	case !n.leads:
		n.refuse(from, m, replica.Outcome{Code: wire.Moved, Facts: wire.Facts{NotLeader: n.coordinatorHint()}})
	case n.accomplishedBy(&c):
		n.accomplished(from, m)
	case n.underWay(&c):
		// A repetition of the command gets the answer.
	default:
		if refusal := n.plane.Judge(&c); refusal != control.Done {
			n.refuse(from, m, n.whyNot(&c, refusal))
			return
		}
		fault.Hit(n.env, fault.CommandHeeding, env.Key{A: uint64(c.Subject()), B: uint64(c.Kind)})
		n.want(steering|uint64(from)%wishes, &c, nil)
	}
}

// steers reports whether commands of a kind are an operator's to give.
func steers(k control.Kind) bool {
	return slices.Contains([]control.Kind{control.CreateTenant, control.Configure, control.DropTenant, control.Drain, control.Undrain, control.AcceptLoss}, k)
}

// coordinatorHint returns the other node that leads the meta log, if this node knows one.
func (n *Node) coordinatorHint() wire.NotLeader {
	if n.located && n.meta.leader != n.self.Node {
		return wire.NotLeader{Known: true, Leader: n.meta.leader}
	}
	return wire.NotLeader{}
}

// accomplishedBy reports whether the effect of a command is there.
func (n *Node) accomplishedBy(c *control.Command) bool {
	switch c.Kind {
	case control.CreateTenant, control.Configure:
		t := n.plane.Tenant(c.Config.ID)
		return t != nil && same(t, c) && t.InForce()
	case control.DropTenant:
		return n.plane.Tombstone(c.Tenant) != nil
	case control.Drain:
		return n.plane.IsDraining(c.Node) && n.plane.Idle(c.Node) && c.Node != n.self.Node
	case control.AcceptLoss:
		s := n.plane.Shard(c.Shard)
		return s != nil && !s.LossAccepted && !n.plane.IsStuck(s)
	}
	return n.plane.Node(c.Node) != nil && !n.plane.IsDraining(c.Node)
}

// underWay reports whether a command is decided and its effect is still to come.
func (n *Node) underWay(c *control.Command) bool {
	switch c.Kind {
	case control.CreateTenant, control.Configure:
		t := n.plane.Tenant(c.Config.ID)
		return t != nil && same(t, c)
	case control.DropTenant:
		t := n.plane.Tenant(c.Tenant)
		return t != nil && t.Dropping
	case control.Drain:
		return n.plane.IsDraining(c.Node)
	case control.AcceptLoss:
		s := n.plane.Shard(c.Shard)
		return s != nil && s.LossAccepted
	}
	return false
}

// same reports whether a tenant is as a command wants it.
func same(t *control.Tenant, c *control.Command) bool {
	return !t.Dropping && t.Config.Version == c.Config.Version && t.Config.Limits == c.Config.Limits &&
		slices.Equal(t.Config.Residency, c.Config.Residency) && (c.Kind == control.Configure || slices.Equal(t.Shards, c.Shards))
}

// codes maps the refusals of the control plane to the codes that an operator gets.
var codes = map[control.Refusal]wire.Code{
	control.UnknownTenant: wire.UnknownTenant, control.TenantExists: wire.TenantExists, control.TenantDropped: wire.TenantDropped,
	control.Dropping: wire.UnknownTenant, control.Stale: wire.VersionConflict, control.InvalidConfig: wire.InvalidConfig,
	control.Full: wire.CatalogFull, control.WrongResidency: wire.NoResidency, control.OtherDrains: wire.NotNow, control.BelowMin: wire.NotNow,
	control.NothingLost: wire.NotNow,
}

// whyNot returns the operator's answer for a refusal of the control plane.
func (n *Node) whyNot(c *control.Command, refusal control.Refusal) (out replica.Outcome) {
	code, known := codes[refusal]
	if !known {
		return replica.Outcome{Code: wire.Invalid}
	}
	out.Code = code
	var wrong *tenant.ConfigError
	switch {
	case refusal == control.Stale && n.plane.Tenant(c.Subject()) != nil:
		out.Facts.Outdated.Version = n.plane.Tenant(c.Subject()).Config.Version
	case refusal == control.InvalidConfig && errors.As(c.Config.Validate(), &wrong):
		out.Facts.BadField = badField(wrong)
	}
	return out
}

// badField returns the facts of a refusal about a field that is out of its range.
func badField(wrong *tenant.ConfigError) wire.BadField {
	return wire.BadField{Field: wrong.Number(), Value: wrong.Value}
}

// accomplished tells an operator that the effect of its command is durable.
func (n *Node) accomplished(to env.ID, m *wire.Message) {
	n.reply(to, &wire.Message{Kind: wire.Done, Command: m.Kind}, m)
}

// Uses of slots, as leaders reported them.

// balancers is how many tenants are balanced at once.
const balancers = 16

// tenantUse is the last reported use of a tenant's slots.
type tenantUse struct {
	tenant tenant.ID
	uses   []control.Use
}

// balance notes the use that the leader of a slot reports, and balances the tenant. A tenant with
// one slot needs no balance once the slot has all of the limits.
func (n *Node) balance(id tenant.ID, slot lineage.Slot, use control.Use) {
	t := n.plane.Tenant(id)
	if t == nil || int64(slot) >= int64(len(t.Slots)) || len(t.Slots) == 1 && t.InForce() && t.Room() == (quota.Share{}) {
		return
	}
	i, found := slices.BinarySearchFunc(n.uses, id, func(u tenantUse, id tenant.ID) int { return compareIDs(u.tenant, id) })
	if !found {
		n.uses = slices.Insert(n.uses, i, tenantUse{tenant: id})
	}
	u := &n.uses[i]
	if len(u.uses) != len(t.Slots) {
		u.uses = make([]control.Use, len(t.Slots))
	}
	u.uses[slot] = use
	n.grant(t, u.uses)
}

// rebalance balances the tenants that have changed since an entry: a slot may have given up a share
// that the others can have now.
func (n *Node) rebalance(since uint64) {
	if !n.leads {
		return
	}
	for i := range n.uses {
		u := &n.uses[i]
		if t := n.plane.Tenant(u.tenant); t != nil && t.Index > since && len(u.uses) == len(t.Slots) {
			n.grant(t, u.uses)
		}
	}
}

// grant proposes the next grant that a tenant's slots need, if there is one.
func (n *Node) grant(t *control.Tenant, uses []control.Use) {
	id := t.Config.ID
	if c, wants := control.Balance(t, uses); wants {
		n.want(coordinator|aside|uint64(id)%balancers, &c, nil)
	}
}

func compareIDs(a, b tenant.ID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
