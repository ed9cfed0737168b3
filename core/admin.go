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

// Commands of operators: create a tenant, change its limits, drop it. A command
// may be sent again for ever: what it asks for is done once, and each repetition
// is told so. It compares before it sets: limits have versions, and a tenant that
// was dropped is never created again. What is answered is durable.

// nodeChange is the command whose change of the node file is being written.
type nodeChange struct {
	from    env.ID
	request wire.Message
	next    Catalog
}

// birth is a tenant whose creation is durable and not answered: its slot opens.
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
	if n.sharing != nil { // which tenants there are, and what they may, is the control plane's to say
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

// configure sets a slot's limits. The order of the checks is part of the
// contract: the slot is here, the limits are legal, then what the slot says.
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
	// What was charged under the old limits comes before the new ones in the log, so
	// they take their turn behind it, and until then nothing more is charged.
	if n.queue.Full(i) {
		n.refuse(from, m, replica.Outcome{Code: wire.Overloaded})
		return
	}
	n.slots[i].Close()
	n.wait(i, from, m, &work{does: answers, from: from, request: *m})
}

// setLimits lets a slot decide about new limits, to be written with the next Flush.
func (n *Node) setLimits(i int, from env.ID, m *wire.Message) {
	out := n.slots[i].Configure(n.env, from, m)
	switch {
	case out.Code != wire.NoError:
		n.refuse(from, m, out)
	case !out.Later:
		n.accomplished(from, m, 0)
	}
}

// legal reports whether the configuration that a command carries may be in force
// anywhere; otherwise it refuses the command with the field at fault.
func (n *Node) legal(from env.ID, m *wire.Message) bool {
	config := tenant.Config{ID: m.Tenant, Version: m.Version, Limits: m.Limits}
	var wrong *tenant.ConfigError
	if !errors.As(config.Validate(), &wrong) {
		return true
	}
	n.refuse(from, m, replica.Outcome{Code: wire.InvalidConfig, Facts: wire.Facts{BadField: badField(wrong)}})
	return false
}

// badField is what a refusal says of a field that is out of its range.
func badField(wrong *tenant.ConfigError) wire.BadField {
	return wire.BadField{Field: wrong.Number(), Value: wrong.Value}
}

// create makes a tenant with its slot 0. The order of the checks is part of the
// contract: a legal configuration and slot, an ID that was never dropped, that is
// not there or is there as the command wants it, a shard of this node, room.
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
	// A tenant that somebody was told of is found again by every later start.
	//safety:catalog-before-create-answer by=durable-ack on=tenant-lifecycle
	n.scriptCatalog(&n.writing.next)
	n.runScript()
}

// creatable says why a tenant cannot be made here; NoError also if it is here
// already, just as it is wanted.
func (n *Node) creatable(p *placement.Entry) wire.Code {
	// Who asks for data by this ID must not find somebody else's.
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

// placedAs reports whether p, which is on node self if it names none, is what a
// creation wants.
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

// drop removes a tenant with everything that it has here. The order of the checks
// is part of the contract: it was dropped before, it is here, the version is the
// one that the operator saw, nothing else is being changed.
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
	// What was dropped does not come back, whatever happens to the removal.
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

// eachOf does something to every slot of a tenant here.
func (n *Node) eachOf(id tenant.ID, do func(*replica.Replica)) {
	for _, r := range n.slots {
		if r.Identity().Tenant == id {
			do(r)
		}
	}
}

// changed goes on when the change of the node file is durable.
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

// abandonChange refuses the command under way: the disk has no room for it.
func (n *Node) abandonChange() {
	c := n.writing
	n.writing = nil
	if c.request.Kind == wire.Drop {
		n.eachOf(c.request.Tenant, (*replica.Replica).Reopen)
	}
	n.refuse(c.from, &c.request, replica.Outcome{Code: wire.DiskFull})
}

// born answers the creation of a tenant whose slot has begun to serve.
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

// accomplished tells an operator that what it asked for is durable; seq is the
// record that says so, 0 if there is none or it is not known any more.
func (n *Node) accomplished(to env.ID, m *wire.Message, seq lineage.Seq) {
	n.reply(to, &wire.Message{Kind: wire.Done, Command: m.Kind, Version: m.Version, Seq: seq}, m)
}
