package core

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// tenancy is the list of tenants as a node knows it: the founding tenants and the
// later changes. The coordinator announces every change to every node, because a node may get a
// replica of any shard. A node takes the changes in the order of the decisions. So the leader of a
// shard knows each tenant that was created in it or dropped from it before the leader was elected.
//
//	change             a node with a replica of a slot's shard
//	a tenant           opens the slot
//	another grant      as the leader: appends a record with it, and reports when it is in force
//	a drop             stops serving the slot; as the leader: reports when no work of it is left
//	a tombstone        removes the slot with its files
type tenancy struct {
	changed []control.Tenant // ascending; those that were created or changed since the founding
	dropped []tenant.ID      // ascending
	drains  []env.ID         // nodes that are to have no duties, ascending
}

// tenant returns a tenant, nil if this node knows of none.
func (n *Node) tenant(id tenant.ID) *control.Tenant {
	if i, found := n.tenancy.find(id); found {
		return &n.tenancy.changed[i]
	}
	if n.tenancy.isDropped(id) {
		return nil
	}
	return n.cluster.founded.Tenant(id)
}

func (t *tenancy) find(id tenant.ID) (int, bool) {
	return slices.BinarySearchFunc(t.changed, id, func(t control.Tenant, id tenant.ID) int { return cmp.Compare(t.Config.ID, id) })
}

func (t *tenancy) isDropped(id tenant.ID) bool {
	_, found := slices.BinarySearch(t.dropped, id)
	return found
}

// home returns the shard of a slot; false if this node knows of no such slot.
func (n *Node) home(id tenant.ID, slot lineage.Slot) (lineage.Shard, bool) {
	if t := n.tenant(id); t != nil && int64(slot) < int64(len(t.Shards)) {
		return t.Shards[slot], true
	}
	return 0, false
}

// belongs reports whether an entity belongs into a slot.
func (n *Node) belongs(id tenant.ID, slot lineage.Slot, e signal.Entity) bool {
	t := n.tenant(id)
	if t == nil || len(t.Shards) == 1 {
		return slot == 0
	}
	want, err := route.SlotOf(id, e, uint32(len(t.Shards)))
	return err == nil && want == slot
}

// dropping reports whether this node knows of a tenant that is being dropped.
func (n *Node) dropping() bool {
	return slices.ContainsFunc(n.tenancy.changed, func(t control.Tenant) bool { return t.Dropping })
}

// absent says why a slot is not served here.
func (n *Node) absent(m *wire.Message) wire.Code {
	t := n.tenant(m.Tenant)
	switch {
	case n.tenancy.isDropped(m.Tenant) || t != nil && t.Dropping:
		return wire.UnknownTenant
	case t == nil: // it may have been created, and this node not been told yet
		return wire.BadEpoch
	case int64(m.Slot) >= int64(len(t.Shards)):
		return wire.WrongSlot
	case n.group(t.Shards[m.Slot]) == nil:
		return wire.Moved
	}
	return wire.NotServing
}

// ends reports whether a tenant is dropped or being dropped.
func (n *Node) ends(id tenant.ID) bool {
	if n.tenancy.isDropped(id) {
		return true
	}
	i, found := n.tenancy.find(id)
	return found && n.tenancy.changed[i].Dropping
}

// take applies the changes of the control plane, in order.
func (n *Node) take(changes []control.Change) {
	for i := range changes {
		switch c := &changes[i]; {
		case c.Node != nil:
			n.takeNode(c.Node)
		case c.Tenant != nil:
			n.takeTenant(c.Tenant)
		case c.Dropped != nil:
			n.takeTombstone(c.Dropped.Tenant)
		default:
			n.configureShard(c.Shard)
		}
	}
}

func (n *Node) takeNode(c *control.Node) {
	n.superseded(c)
	i, found := slices.BinarySearch(n.tenancy.drains, c.ID)
	switch {
	case c.Draining && !found:
		n.tenancy.drains = slices.Insert(n.tenancy.drains, i, c.ID)
	case !c.Draining && found:
		n.tenancy.drains = slices.Delete(n.tenancy.drains, i, i+1)
	default:
		return
	}
	for _, g := range n.groups {
		g.Drain(c.ID, c.Draining)
	}
}

// takeTenant opens the slots of a tenant that belong here, and notes their grants.
func (n *Node) takeTenant(c *control.Tenant) {
	i, found := n.tenancy.find(c.Config.ID)
	if !found {
		n.tenancy.changed = slices.Insert(n.tenancy.changed, i, control.Tenant{})
	}
	isNew := !found && n.cluster.founded.Tenant(c.Config.ID) == nil
	ends := c.Dropping && !n.tenancy.changed[i].Dropping
	n.tenancy.changed[i] = c.Clone()
	t := &n.tenancy.changed[i]
	switch {
	case ends:
		n.hitTenant(fault.TenantDropping, c.Config.ID, c.Config.Version)
	case isNew:
		n.hitTenant(fault.TenantCreating, c.Config.ID, c.Config.Version)
		defer n.hitTenant(fault.TenantCreated, c.Config.ID, c.Config.Version)
	}
	for slot, shard := range t.Shards {
		g := n.group(shard)
		if g == nil {
			continue
		}
		at := n.slotOf(t.Config.ID, lineage.Slot(slot))
		switch {
		case t.Dropping && at >= 0:
			g.End(at)
		case at < 0:
			n.openSlot(g, t, lineage.Slot(slot))
		default:
			n.slots[at].Entitle(entitled(&t.Slots[slot]))
			n.renew(at)
		}
	}
}

// entitled returns the limits of a slot by its grant.
func entitled(s *control.Slot) record.Limits {
	return record.Limits{
		Version: s.Granted, Rate: s.Grant[quota.Rate], Burst: s.Grant[quota.Burst],
		Entities: s.Grant[quota.LiveEntities], Bytes: s.Grant[quota.Bytes],
	}
}

// takeTombstone removes the slots and the files of a tenant that ended. An earlier incarnation may
// have left files of slots that are not open.
func (n *Node) takeTombstone(id tenant.ID) {
	if i, found := n.tenancy.find(id); found {
		n.tenancy.changed = slices.Delete(n.tenancy.changed, i, i+1)
	}
	i, found := slices.BinarySearch(n.tenancy.dropped, id)
	if found {
		return
	}
	n.tenancy.dropped = slices.Insert(n.tenancy.dropped, i, id)
	n.hitTenant(fault.TenantDropped, id, 0)
	for i, r := range n.slots {
		if r.Identity().Tenant == id && !r.Dropped() {
			n.groupBy[i].RemoveSlot(i)
			n.place(id, r.Identity().Slot, -1)
			r.Drop(n.env)
		}
	}
	n.removeRest(id)
}

// removeRest removes the files of a tenant that ended.
func (n *Node) removeRest(id tenant.ID) {
	if slices.Contains(n.env.List(wal.TenantsDir), id.String()+"/") {
		n.remove(id)
	}
}

// removeLate removes the files of an ended tenant once more if its slot was still opening when the
// tenant ended. The operation under way then may have made a file that the removal did not see.
func (n *Node) removeLate(i int) {
	r := n.slots[i]
	id := r.Identity().Tenant
	if !r.Dropped() || !n.tenancy.isDropped(id) || len(n.removal.waiting) > 0 && slices.Contains(n.removal.waiting[1:], id) {
		return
	}
	n.removeRest(id)
}

// openHomes opens every slot of a shard that belongs here.
func (n *Node) openHomes(g *group.Group) {
	for _, i := range n.cluster.InShard(g.Shard()) {
		p := &n.cluster.Placements[i]
		if t := n.tenant(p.Tenant.ID); t != nil {
			n.openSlot(g, t, p.Slot)
		}
	}
	for i := range n.tenancy.changed {
		t := &n.tenancy.changed[i]
		if n.cluster.Has(t.Config.ID) {
			continue
		}
		for slot, shard := range t.Shards {
			if shard == g.Shard() {
				n.openSlot(g, t, lineage.Slot(slot))
			}
		}
	}
}

// openSlot opens a slot of a shard, unless its tenant is being dropped: no node will ever serve
// it.
func (n *Node) openSlot(g *group.Group, t *control.Tenant, slot lineage.Slot) {
	// No byte of a tenant reaches a region outside its residency, whatever the placement says.
	if t.Dropping || !t.Config.Residency.Permits(n.cluster.region(n.self.Node)) {
		return
	}
	i := len(n.slots)
	r := replica.New(replica.Config{
		Identity: wal.Identity{Tenant: t.Config.ID, Slot: slot, Placement: 1, Shard: g.Shard()}, Limits: entitled(&t.Slots[slot]),
		Constants: n.cluster.Constants, Index: uint32(i) + firstReplica, Memory: &n.memory,
	})
	n.place(t.Config.ID, slot, i)
	n.slots = append(n.slots, r)
	n.groupBy = append(n.groupBy, g)
	n.reporting.told = append(n.reporting.told, told{})
	if len(t.Slots) > 1 {
		n.reporting.divided = append(n.reporting.divided, i)
	}
	g.AddSlot(i, r)
	r.Open(n.env, n.started)
}

// tickTenancy does the duties of slots' leaders towards the control plane, slot by slot: it appends
// grants that a log lacks, and reports those in force.
func (n *Node) tickTenancy() {
	for i := range n.tenancy.changed {
		t := &n.tenancy.changed[i]
		for slot, shard := range t.Shards {
			g, at := n.group(shard), n.slotOf(t.Config.ID, lineage.Slot(slot))
			switch {
			case g == nil || g.Role() != group.Leading:
			case t.Dropping:
				n.close(t, lineage.Slot(slot), g, at)
			case at >= 0:
				n.renew(at)
				n.report(t, lineage.Slot(slot), at)
			}
		}
	}
}

// close reports that a slot of a dropped tenant is not served here: its work is done, or the slot
// is not here.
func (n *Node) close(t *control.Tenant, slot lineage.Slot, g *group.Group, at int) {
	if !t.Slots[slot].Closed && (at < 0 || g.Ended(at)) {
		k := g.Known()
		n.wantAside(&control.Command{Kind: control.Close, Shard: k.ID, Epoch: k.Epoch, By: n.self, Tenant: t.Config.ID, Slot: slot})
	}
}

// renew appends the grant of a slot to its log. The log must hold every change that was charged
// under the earlier grant before it holds this one. So the grant waits for the slot's turn, and the
// slot charges nothing meanwhile.
func (n *Node) renew(at int) {
	r := n.slots[at]
	if !r.Outdated() || r.Closed() {
		return
	}
	if r.Waiting() == 0 {
		n.renewed(at)
		n.flush(at)
		return
	}
	if n.enqueue(at, &work{does: renews}) { // else again with the next tick
		r.Close()
	}
}

// renewInTurn is renew once all changes that were charged before are in the log.
func (n *Node) renewInTurn(at int) {
	if !n.ends(n.slots[at].Identity().Tenant) {
		n.slots[at].Reopen()
		n.renewed(at)
	}
}

// renewed appends the record of the grant.
func (n *Node) renewed(at int) {
	if r := n.slots[at]; r.Outdated() {
		r.Renew(n.env)
	}
}

// report reports the grant that is in force in a slot's log.
func (n *Node) report(t *control.Tenant, slot lineage.Slot, at int) {
	s, r := &t.Slots[slot], n.slots[at]
	// Report only a committed grant: another one may never be committed, and then the next leader
	// uses the grant before it.
	//safety:grant-held-when-committed false by=shares on=shares-under-fire
	if r.Phase() != replica.Serving || r.State().Limits.Version != s.Granted {
		return
	}
	holds := quota.Share{quota.LiveEntities: r.State().Live(), quota.Bytes: r.State().Bytes()}.Max(s.Grant)
	if s.Taken == s.Granted && s.Held.Within(holds) {
		return
	}
	n.wantAside(&control.Command{Kind: control.Hold, Tenant: t.Config.ID, Slot: slot, Base: s.Granted, Share: holds})
}

// wantAside proposes a command about a slot, one at a time.
func (n *Node) wantAside(c *control.Command) {
	fault.Hit(n.env, fault.SlotReporting, env.Key{Kind: uint16(c.Slot), A: uint64(c.Tenant), B: uint64(c.Kind)})
	n.want(aside, c, nil)
}
