package control

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// tenant returns the ID of the tenant that a command is about.
func (x *change) tenant() tenant.ID {
	if kinds[x.Kind].has&hasConfig != 0 {
		return x.Config.ID
	}
	return x.Tenant
}

// absent returns the reason that there is no such tenant.
func (p *Plane) absent(x *change) Refusal {
	if p.Tombstone(x.tenant()) != nil {
		return TenantDropped
	}
	return UnknownTenant
}

func knownTenant(p *Plane, x *change) Refusal {
	if p.Tenant(x.tenant()) == nil {
		return p.absent(x)
	}
	return Done
}

// newTenant: an ID names one tenant for ever.
func newTenant(p *Plane, x *change) Refusal {
	switch {
	case p.Tenant(x.tenant()) != nil:
		return TenantExists
	case p.Tombstone(x.tenant()) != nil:
		return TenantDropped
	}
	return Done
}

func validConfig(_ *Plane, x *change) Refusal {
	return unless(x.Config.Validate() == nil, InvalidConfig)
}

func validHomes(p *Plane, x *change) Refusal {
	if n := len(x.Shards); n == 0 || n > MaxSlots {
		return InvalidConfig
	}
	for _, id := range x.Shards {
		if p.Shard(id) == nil {
			return UnknownShard
		}
	}
	return Done
}

func permittedHomes(p *Plane, x *change) Refusal {
	return p.permittedIn(x.Shards, &x.Config)
}

func (p *Plane) permittedIn(homes []lineage.Shard, c *tenant.Config) Refusal {
	for _, id := range homes {
		//safety:residency-permits-every-slot false by=residency on=residency-change
		if !c.Residency.Permits(p.Shard(id).Region) {
			return WrongResidency
		}
	}
	return Done
}

func roomForTenant(p *Plane, x *change) Refusal {
	return unless(len(p.tenants)+len(p.dropped) < MaxTenants && p.slots+len(x.Shards) <= MaxAllSlots, Full)
}

// asBased: a client that has not seen the latest configuration does not undo it, and versions
// increase.
func asBased(p *Plane, x *change) Refusal {
	version := p.Tenant(x.tenant()).Config.Version
	return unless(x.Base == version && x.Config.Version > version, Stale)
}

// permittedMove: a residency that forbids the region of one of the tenant's slots is refused. No
// other region has bytes of the tenant, on the disks of former replicas and of nodes that are down
// either: slots do not move, and all replicas that a shard ever had are in its region.
func permittedMove(p *Plane, x *change) Refusal {
	return p.permittedIn(p.Tenant(x.tenant()).Shards, &x.Config)
}

func createTenant(p *Plane, x *change) {
	i, _ := p.findTenant(x.Config.ID)
	p.tenants = slices.Insert(p.tenants, i, newTenantOf(&x.Config, x.Shards, x.index, 0))
	p.slots += len(x.Shards)
}

func configure(p *Plane, x *change) {
	t := p.Tenant(x.tenant())
	t.Config, t.Index = cloneConfig(&x.Config), x.index
	t.regrant(x.index)
}

// anyOrBased: a drop that names a configuration drops no other one.
func anyOrBased(p *Plane, x *change) Refusal {
	return unless(x.Base == 0 || x.Base == p.Tenant(x.Tenant).Config.Version, Stale)
}

func notYetDropping(p *Plane, x *change) Refusal {
	return unless(!p.Tenant(x.Tenant).Dropping, Already)
}

func notDropping(p *Plane, x *change) Refusal {
	return unless(!p.Tenant(x.tenant()).Dropping, Dropping)
}

func nowDropping(p *Plane, x *change) Refusal {
	return unless(p.Tenant(x.Tenant).Dropping, NotDropping)
}

func notYetClosed(p *Plane, x *change) Refusal { return unless(!p.slotOf(x).Closed, Already) }

// dropTenant begins to drop a tenant. The drop is answered when none of its slots is served any
// more.
func dropTenant(p *Plane, x *change) {
	t := p.Tenant(x.Tenant)
	t.Dropping, t.Index = true, x.index
}

// closeSlot records that a slot is served no more: every later leader of its shard knows of the
// drop before it leads. The last slot ends the tenant.
func closeSlot(p *Plane, x *change) {
	t := p.Tenant(x.Tenant)
	t.Slots[x.Slot].Closed, t.Index = true, x.index
	//safety:dropped-when-closed-everywhere true by=shares on=shared-lifecycle
	if !slices.ContainsFunc(t.Slots, func(s Slot) bool { return !s.Closed }) {
		p.endTenant(x)
	}
}

// endTenant leaves a tombstone and removes the exclusions that name a slot of the tenant.
func (p *Plane) endTenant(x *change) {
	i, _ := p.findTenant(x.Tenant)
	p.slots -= len(p.tenants[i].Slots)
	p.tenants = slices.Delete(p.tenants, i, i+1)
	i, _ = p.findDropped(x.Tenant)
	p.dropped = slices.Insert(p.dropped, i, Tombstone{x.Tenant, x.index})
	for i := range p.shards {
		s := &p.shards[i]
		before := len(s.Excluded)
		s.Excluded = slices.DeleteFunc(s.Excluded, func(e Exclusion) bool { return e.Tenant == x.Tenant })
		if len(s.Excluded) < before {
			s.changed(x.index)
		}
	}
}

func cloneConfig(c *tenant.Config) tenant.Config {
	clone := *c
	clone.Residency = slices.Clone(c.Residency)
	return clone
}
