package control

import (
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// This file divides a tenant's limits among its slots. Each number of a share follows these rules
// on its own:
//
//	command     effect                                    condition
//	Configure   lower grants at once, raise them only     -
//	            by amounts that no slot holds
//	Grant       one slot's grant changes                  all slots together hold no more than the
//	                                                      limits before and afterwards, or the grant
//	                                                      only shrinks
//	Hold        a slot's log has its grant: the slot      the grant is still the current one
//	            holds that, or its use, if larger
//
// A share moves decrease-first:
//
//  1. The donor's grant is lowered.
//  2. The donor's log has the lower grant, and the leader reports it.
//  3. Only then does another slot get the difference.
//
// So the slots never use more than the limits together, whichever nodes lead them.

// newTenantOf returns a tenant as an entry creates it, with its limits divided evenly. taken is the
// entry whose grants are in force in the logs.
func newTenantOf(c *tenant.Config, shards []lineage.Shard, index, taken uint64) Tenant {
	t := Tenant{Config: cloneConfig(c), Shards: append([]lineage.Shard(nil), shards...), Index: index}
	whole := quota.Whole(c.Limits)
	for i := range shards {
		part := quota.Part(whole, i, len(shards))
		t.Slots = append(t.Slots, Slot{Grant: part, Granted: index, Held: part, Taken: taken})
	}
	return t
}

// Granted returns the sum of the grants of all slots.
func (t *Tenant) Granted() (sum quota.Share) {
	for i := range t.Slots {
		sum = sum.Plus(t.Slots[i].Grant)
	}
	return sum
}

// Held returns the most that all slots together may use.
func (t *Tenant) Held() (sum quota.Share) {
	for i := range t.Slots {
		sum = sum.Plus(t.Slots[i].Held)
	}
	return sum
}

// Room returns how much may be granted beyond the amounts that the slots hold.
func (t *Tenant) Room() (room quota.Share) {
	whole, held := quota.Whole(t.Config.Limits), t.Held()
	for r := range room {
		room[r] = whole[r] - min(whole[r], held[r])
	}
	return room
}

// InForce reports whether the limits hold in every slot. Each log has its grant, and together the
// slots can use no more than the limits. If their use is above a lowered limit, no slot can grow.
func (t *Tenant) InForce() bool {
	for i := range t.Slots {
		if s := &t.Slots[i]; s.Taken != s.Granted {
			return false
		}
	}
	whole, held, granted := quota.Whole(t.Config.Limits), t.Held(), t.Granted()
	for r := range whole {
		if held[r] > whole[r] && granted[r] > 0 {
			return false
		}
	}
	return true
}

// Spent reports whether rate and burst are granted in full, so that every move between slots is
// complete.
func (t *Tenant) Spent() bool {
	whole, granted := quota.Whole(t.Config.Limits), t.Granted()
	return granted[quota.Rate] == whole[quota.Rate] && granted[quota.Burst] == whole[quota.Burst]
}

// regrant divides new limits. Grants that shrink do so at once. Slots that grow divide evenly the
// amount that no slot holds.
func (t *Tenant) regrant(index uint64) {
	whole, room := quota.Whole(t.Config.Limits), t.Room()
	granted := t.Granted()
	for i := range t.Slots {
		s := &t.Slots[i]
		part, more := quota.Part(whole, i, len(t.Slots)), quota.Part(room, i, len(t.Slots))
		grant := s.Grant
		for r := range grant {
			if granted[r] > whole[r] {
				grant[r] = min(grant[r], part[r])
			} else {
				grant[r] += more[r]
			}
		}
		s.grant(grant, index)
	}
}

// grant changes a slot's grant, by an entry.
func (s *Slot) grant(share quota.Share, index uint64) {
	if share == s.Grant {
		return
	}
	s.Grant, s.Granted = share, index
	held := share
	// An earlier grant may be in force until the log is known to have the new one.
	//safety:shares-decrease-first by=shares on=shares-under-fire
	held = held.Max(s.Held)
	s.Held = held
}

// slotOf returns the slot that a command is about, nil if there is none.
func (p *Plane) slotOf(x *change) *Slot {
	t := p.Tenant(x.Tenant)
	if t == nil || int64(x.Slot) >= int64(len(t.Slots)) {
		return nil
	}
	return &t.Slots[x.Slot]
}

func knownSlot(p *Plane, x *change) Refusal { return unless(p.slotOf(x) != nil, UnknownSlot) }

// sameGrant is the compare of compare-and-set: a command decided on another grant has no effect.
func sameGrant(p *Plane, x *change) Refusal { return unless(p.slotOf(x).Granted == x.Base, Stale) }

func newGrant(p *Plane, x *change) Refusal {
	switch s := p.slotOf(x); {
	case x.Share == s.Grant:
		return Already
	case !quota.Least().Within(x.Share):
		return InvalidConfig
	}
	return Done
}

// withinLimits: no slot is granted an amount that another slot may still use. While the slots hold
// more of a cap than a lowered limit, a slot whose grant was lowered does not grow again.
func withinLimits(p *Plane, x *change) Refusal {
	t, s := p.Tenant(x.Tenant), p.slotOf(x)
	whole, held, room := quota.Whole(t.Config.Limits), t.Held(), t.Room()
	for r := range x.Share {
		if x.Share[r] > s.Held[r] && x.Share[r]-s.Held[r] > room[r] {
			return OverLimits
		}
		if x.Share[r] > s.Grant[r] && held[r] > whole[r] {
			return OverLimits
		}
	}
	return Done
}

func grantShare(p *Plane, x *change) {
	t := p.Tenant(x.Tenant)
	t.Slots[x.Slot].grant(x.Share, x.index)
	t.Index = x.index
}

func notHeldYet(p *Plane, x *change) Refusal {
	s := p.slotOf(x)
	switch {
	case !s.Grant.Within(x.Share):
		return InvalidConfig // it holds at least its grant
	case s.Taken == s.Granted && s.Held.Within(x.Share):
		return Already
	}
	return Done
}

func holdShare(p *Plane, x *change) {
	t := p.Tenant(x.Tenant)
	s := &t.Slots[x.Slot]
	s.Taken, s.Held = s.Granted, s.Held.Min(x.Share)
	t.Index = x.index
}

// enoughForEach: every slot gets enough rate and burst to admit an operation.
func enoughForEach(p *Plane, x *change) Refusal {
	slots := len(x.Shards)
	if x.Kind == Configure {
		slots = len(p.Tenant(x.tenant()).Shards)
	}
	return unless(x.Config.ValidateSlots(slots) == nil, InvalidConfig)
}
