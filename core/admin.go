package core

import (
	"errors"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/placement"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// An operator's commands: create a tenant, change its limits, drop it. An operator may repeat a
// command at any time: the node carries it out once and answers each repetition alike. A command
// compares before it sets: limits have versions, and a node never creates a dropped tenant again.
// The node answers only once the change is durable.

// nodeChange is a command under way: the node writes its change into the node file.
type nodeChange struct {
	from    env.ID
	request wire.Message
	next    Catalog
}

// birth is a creation that is durable and not yet answered: the tenant's slot is still opening.
type birth struct {
	slot    int
	from    env.ID
	request wire.Message
}

func (n *Node) command(from env.ID, m *wire.Message) {
	if !n.ready {
		n.refuse(from, m, replica.Outcome{Code: wire.NotServing})
		return
	}
	if n.sharing != nil { // the control plane decides which tenants exist, and their limits
		n.refuse(from, m, replica.Outcome{Code: wire.Invalid})
		return
	}
	switch m.Kind {
	case wire.Configure:
		n.configure(from, m)
	case wire.Create:
		n.create(from, m)
	case wire.Drop:
		n.drop(from, m)
	}
}

// configure sets a slot's limits. The order of the checks is part of the contract: the node has the
// slot, the limits are legal, then the slot's own checks.
func (n *Node) configure(from env.ID, m *wire.Message) {
	i := n.slotOf(m.Tenant, m.Slot)
	if i < 0 {
		n.refuse(from, m, replica.Outcome{Code: n.unknown(m)})
		return
	}
	if !n.legal(from, m) {
		return
	}
	if n.slots[i].Waiting() == 0 || n.slots[i].Closed() {
		n.setLimits(i, from, m)
		n.flush(i)
		return
	}
	// The log must hold every change that was charged under the old limits before it holds the new
	// limits. So the new limits wait for the slot's turn, and the slot charges nothing meanwhile.
	if n.queue.Full(i) {
		n.refuse(from, m, replica.Outcome{Code: wire.Overloaded})
		return
	}
	n.slots[i].Close()
	n.wait(i, from, m, &work{does: answers, from: from, request: *m})
}

// setLimits gives a slot new limits to decide about; the next Flush writes them.
func (n *Node) setLimits(i int, from env.ID, m *wire.Message) {
	out := n.slots[i].Configure(n.env, from, m)
	switch {
	case out.Code != wire.NoError:
		n.refuse(from, m, out)
	case !out.Later:
		n.accomplished(from, m, 0)
	}
}

// legal reports whether a command's configuration is valid. If it is not, the node refuses the
// command and names the field at fault.
func (n *Node) legal(from env.ID, m *wire.Message) bool {
	config := tenant.Config{ID: m.Tenant, Version: m.Version, Limits: m.Limits}
	var wrong *tenant.ConfigError
	if !errors.As(config.Validate(), &wrong) {
		return true
	}
	n.refuse(from, m, replica.Outcome{Code: wire.InvalidConfig, Facts: wire.Facts{BadField: badField(wrong)}})
	return false
}

// badField returns the facts of a refusal about a field that is out of its range.
func badField(wrong *tenant.ConfigError) wire.BadField {
	return wire.BadField{Field: wrong.Number(), Value: wrong.Value}
}

// create makes a tenant with its slot 0. The order of the checks is part of the contract: the
// configuration is valid, the ID was never dropped, slot and shard are right for this node, the
// tenant does not exist or is exactly as the command wants it, the node has room.
func (n *Node) create(from env.ID, m *wire.Message) {
	if !n.legal(from, m) {
		return
	}
	p := &placement.Entry{
		Tenant: tenant.Config{ID: m.Tenant, Version: m.Version, Limits: m.Limits},
		Slot:   m.Slot, Epoch: m.Placement, Shard: m.Shard, Node: n.env.Self(),
	}
	if code := n.creatable(p); code != wire.NoError {
		n.refuse(from, m, replica.Outcome{Code: code})
		return
	}
	if i := n.slotOf(m.Tenant, m.Slot); i >= 0 {
		n.createdBefore(i, from, m)
		return
	}
	n.writing = &nodeChange{from: from, request: *m, next: n.catalog.clone()}
	n.writing.next.create(p)
	n.hitTenant(fault.TenantCreating, m.Tenant, m.Version)
	// Once the node acknowledges a creation, every later start finds the tenant.
	//safety:catalog-before-create-answer by=durable-ack on=tenant-lifecycle
	n.scriptCatalog(&n.writing.next)
	n.runScript()
}

// creatable says why the node cannot create a tenant. It returns NoError also if the tenant exists
// exactly as the command wants it.
func (n *Node) creatable(p *placement.Entry) wire.Code {
	// A client that asks for data by this ID must not find another tenant's.
	//safety:dropped-id-never-created by=lifecycle on=tenant-lifecycle
	if n.catalog.Dropped(p.Tenant.ID) {
		return wire.TenantDropped
	}
	there := n.catalog.Created(p.Tenant.ID)
	if n.cluster.Has(p.Tenant.ID) {
		there = n.cluster.Find(p.Tenant.ID, p.Slot)
	}
	switch {
	case p.Slot != 0 || p.Epoch == 0 || n.cluster.HomeOf(p.Shard, p.Node) != p.Node:
		return wire.Invalid
	case there != nil && placedAs(there, p, n.env.Self()):
		return wire.NoError
	case there != nil || n.cluster.Has(p.Tenant.ID):
		return wire.TenantExists
	case n.writing != nil:
		return wire.Overloaded
	case len(n.cluster.Placements)+len(n.catalog.created)+len(n.catalog.dropped) >= MaxCatalog:
		return wire.CatalogFull
	}
	return wire.NoError
}

// placedAs reports whether p is on node self and is exactly the placement that a creation wants.
func placedAs(p, want *placement.Entry, self env.ID) bool {
	return p.Node == self && IdentityOf(p) == IdentityOf(want) &&
		p.Tenant.Version == want.Tenant.Version && p.Tenant.Limits == want.Tenant.Limits
}

// createdBefore answers the repetition of a creation, once the slot serves.
func (n *Node) createdBefore(i int, from env.ID, m *wire.Message) {
	if n.slots[i].Phase() != replica.Serving {
		n.refuse(from, m, replica.Outcome{Code: wire.NotServing})
		return
	}
	n.accomplished(from, m, 0)
}

// drop removes a tenant with everything that it has here. The order of the checks is part of the
// contract: the tenant was dropped before, it is here, the version is the one that the operator
// saw, no other change of the node file is under way.
func (n *Node) drop(from env.ID, m *wire.Message) {
	if n.catalog.Dropped(m.Tenant) {
		n.accomplished(from, m, 0)
		return
	}
	if out := n.droppable(m); out.Code != wire.NoError {
		n.refuse(from, m, out)
		return
	}
	n.writing = &nodeChange{from: from, request: *m, next: n.catalog.clone()}
	n.writing.next.drop(m.Tenant)
	n.eachOf(m.Tenant, (*replica.Replica).Close)
	n.hitTenant(fault.TenantDropping, m.Tenant, m.Base)
	// A dropped tenant never comes back, even if a crash interrupts the removal of its files.
	//safety:tombstone-before-drop-answer by=durable-ack on=tenant-lifecycle
	n.scriptCatalog(&n.writing.next)
	n.runScript()
}

// droppable says why a tenant cannot be dropped now.
func (n *Node) droppable(m *wire.Message) (out replica.Outcome) {
	here := false
	for _, r := range n.slots {
		if r.Identity().Tenant != m.Tenant {
			continue
		}
		here = true
		if out = r.MayDrop(n.env, m); out.Code != wire.NoError {
			return out
		}
	}
	switch {
	case !here:
		out.Code = n.unknown(m)
	case n.writing != nil:
		out.Code = wire.Overloaded
	}
	return out
}

// eachOf calls do for every slot of a tenant here.
func (n *Node) eachOf(id tenant.ID, do func(*replica.Replica)) {
	for _, r := range n.slots {
		if r.Identity().Tenant == id {
			do(r)
		}
	}
}

// changed continues a command once its change of the node file is durable.
func (n *Node) changed() {
	c := n.writing
	n.writing, n.catalog = nil, c.next
	id := c.request.Tenant
	if c.request.Kind == wire.Create {
		n.hitTenant(fault.TenantCreated, id, c.request.Version)
		n.births = append(n.births, birth{slot: len(n.slots), from: c.from, request: c.request})
		n.openSlot(n.catalog.Created(id))
		return
	}
	n.hitTenant(fault.TenantDropped, id, c.request.Base)
	for _, r := range n.slots {
		if r.Identity().Tenant == id {
			r.Drop(n.env)
		}
	}
	n.accomplished(c.from, &c.request, 0)
	n.remove(id)
}

// abandonChange refuses the command under way: the disk has no room for the node file.
func (n *Node) abandonChange() {
	c := n.writing
	n.writing = nil
	if c.request.Kind == wire.Drop {
		n.eachOf(c.request.Tenant, (*replica.Replica).Reopen)
	}
	n.refuse(c.from, &c.request, replica.Outcome{Code: wire.DiskFull})
}

// born answers the creation of a tenant once its slot serves.
func (n *Node) born(slot int) {
	for i := range n.births {
		b := &n.births[i]
		if b.slot == slot && n.slots[slot].Phase() == replica.Serving {
			n.accomplished(b.from, &b.request, 0)
			n.births = append(n.births[:i], n.births[i+1:]...)
			return
		}
	}
}

// accomplished tells an operator that the effect of its command is durable. seq is that of the
// record with the effect, 0 if there is none or the node no longer knows it.
func (n *Node) accomplished(to env.ID, m *wire.Message, seq lineage.Seq) {
	n.reply(to, &wire.Message{Kind: wire.Done, Command: m.Kind, Version: m.Version, Seq: seq}, m)
}
