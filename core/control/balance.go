package control

import (
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
)

// Need says how urgently a slot needs more of one number of its share.
type Need uint8

// The needs.
const (
	Content Need = iota // it can give some away
	Enough              // it has as much as it uses, and a little more
	Short               // it is below its low-water mark and asks ahead
	Starved             // it has refused something since its last report
)

// Use is the report of a slot's sequencer about the slot.
type Use struct {
	Known    bool
	Granted  uint64 // the version of the grant that is in force in the log
	Entities uint64 // live entities; they and the bytes are committed
	Bytes    uint64
	Needs    [quota.Resources]Need
}

// used returns how much of a resource is in use. It is 0 for rate and burst, which refill by
// themselves.
func (u *Use) used(r int) uint64 {
	switch r {
	case quota.LiveEntities:
		return u.Entities
	case quota.Bytes:
		return u.Bytes
	}
	return 0
}

// Balance returns the next grant for a tenant's slots, false if none is needed. It is a pure
// function of the tenant and of the last reports about its slots. It changes one slot at a time,
// all numbers of its share at once:
//
//	the slots use more than the limit         grant 0 to every slot until they use less
//	they could come to use more than it       grant no slot more than it uses
//	some is left                              grant it to the neediest slot, then to the smallest
//	none is left, and a slot is starved       the slot with most to spare gives half
//	none is left, and a slot is short         the same, but it stays above its low-water mark
//
// A slot keeps its grant while its log lacks the last one, or while its sequencer has not reported
// since.
func Balance(t *Tenant, uses []Use) (Command, bool) {
	b := balance{t: t, uses: uses, whole: quota.Whole(t.Config.Limits), room: t.Room()}
	if t.Dropping {
		return Command{}, false
	}
	best, share := -1, quota.Share{}
	for i := range t.Slots {
		if !b.ready(i) {
			continue
		}
		want := t.Slots[i].Grant
		for r := range want {
			want[r] = b.wanted(i, r)
		}
		// Grants that only shrink come first: only then can other slots have the difference.
		if want != t.Slots[i].Grant && (best < 0 || want.Within(t.Slots[i].Grant)) {
			best, share = i, want
		}
	}
	if best < 0 {
		return Command{}, false
	}
	s := &t.Slots[best]
	return Command{Kind: Grant, Tenant: t.Config.ID, Slot: lineage.Slot(best), Base: s.Granted, Share: share}, true
}

type balance struct {
	t     *Tenant
	uses  []Use
	whole quota.Share
	room  quota.Share
}

// ready reports whether a slot's log has its last grant and its sequencer has reported since.
func (b *balance) ready(i int) bool {
	s := &b.t.Slots[i]
	return s.Taken == s.Granted && b.uses[i].Known && b.uses[i].Granted == s.Granted
}

// wanted returns how much of a resource slot i is to have.
func (b *balance) wanted(i, r int) uint64 {
	grant := b.t.Slots[i].Grant[r]
	switch left := b.room[r]; {
	case b.overused(r):
		return 0
	case b.couldOveruse(r):
		return min(grant, b.uses[i].used(r))
	case left > 0 && b.first(i, r):
		return b.has(i, r) + b.portion(left, i, r)
	case left > 0:
		return grant
	default:
		return grant - b.gives(i, r)
	}
}

// overused reports whether the slots use more of a resource than the limit, as far as is known.
// Then no slot may grow.
func (b *balance) overused(r int) bool {
	used := uint64(0)
	for i := range b.uses {
		if !b.uses[i].Known {
			return false
		}
		used += b.uses[i].used(r)
	}
	return used > b.whole[r]
}

// couldOveruse reports whether the slots hold more of a cap than a lowered limit. Then one slot
// uses more than its grant, and another could still grow.
func (b *balance) couldOveruse(r int) bool {
	if r == quota.Rate || r == quota.Burst || b.t.Held()[r] <= b.whole[r] {
		return false
	}
	for i := range b.uses {
		if !b.ready(i) {
			return false
		}
	}
	return true
}

// neediest returns the largest need of a resource among the slots that are ready.
func (b *balance) neediest(r int) Need {
	most := Content
	for i := range b.uses {
		if b.ready(i) {
			most = max(most, b.uses[i].Needs[r])
		}
	}
	return most
}

// first reports whether slot i is next to get more: no ready slot needs the resource more, or has
// less of it at the same need.
func (b *balance) first(i, r int) bool {
	if b.uses[i].Needs[r] < b.neediest(r) {
		return false
	}
	for j := range b.uses {
		if j != i && b.ready(j) && b.uses[j].Needs[r] == b.uses[i].Needs[r] {
			if mine, its := b.has(i, r), b.has(j, r); its < mine || its == mine && j < i {
				return false
			}
		}
	}
	return true
}

// has is how much of a resource slot i has: its grant, or its use, if that is larger. A grant below
// its use would let nothing grow and would take nothing from other slots.
func (b *balance) has(i, r int) uint64 {
	s := &b.t.Slots[i]
	return max(s.Grant[r], min(s.Held[r], b.uses[i].used(r)))
}

// portion is how much of the rest goes to slot i, which has least. Each of the slots with the same
// need ends with the same amount, after one grant each.
func (b *balance) portion(left uint64, i, r int) uint64 {
	same, all := uint64(0), left
	for j := range b.uses {
		if b.uses[j].Needs[r] == b.uses[i].Needs[r] {
			same++
			all += b.has(j, r)
		}
	}
	return min(left, (all+same-1)/same-b.has(i, r))
}

// gives is how much of a resource slot i gives up for another slot.
func (b *balance) gives(i, r int) uint64 {
	need := b.neediest(r)
	if !b.canDoWithout(i, r, need) {
		return 0
	}
	spare := b.spare(i, r, need)
	for j := range b.uses { // the slot with most to spare gives
		if j != i && b.ready(j) && b.canDoWithout(j, r, need) {
			if its := b.spare(j, r, need); its > spare || its == spare && j < i {
				return 0
			}
		}
	}
	return spare
}

// canDoWithout reports whether slot i gives up some for a slot with this need.
func (b *balance) canDoWithout(i, r int, need Need) bool {
	switch mine := b.uses[i].Needs[r]; need {
	case Starved:
		return mine < Short
	case Short:
		return mine == Content
	}
	return false
}

// spare is how much slot i can give: half of its unused part. For a starved slot it gives even the
// last unit.
func (b *balance) spare(i, r int, need Need) uint64 {
	grant, least := b.t.Slots[i].Grant[r], quota.Least()[r]
	free := grant - min(grant, max(b.uses[i].used(r), least))
	if need == Starved {
		return (free + 1) / 2
	}
	return free / 2
}

// NeedOf returns a slot's need of a cap, from its grant and its use.
func NeedOf(granted, used uint64, refused bool) Need {
	free := granted - min(granted, used)
	switch low := max(1, granted/4); {
	case refused && free <= low:
		return Starved
	case free < low:
		return Short
	case free > 2*low:
		return Content
	}
	return Enough
}

// NeedOfRate returns a slot's need of rate and burst, from the level of its bucket and the level at
// which it is full.
func NeedOfRate(level, full int64, refused bool) Need {
	switch {
	case refused:
		return Starved
	case level < full/4:
		return Short
	case level >= full-full/4:
		return Content
	}
	return Enough
}
