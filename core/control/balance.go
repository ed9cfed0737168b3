package control

import (
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
)

// Need is how much a slot is in want of one number of its share.
type Need uint8

// The needs.
const (
	Content Need = iota // it could do without some
	Enough              // it has what it uses, and a little
	Short               // it is at its low-water mark: it asks ahead
	Starved             // it has refused something since it told last
)

// Use is what the sequencer of a slot's log tells of it.
type Use struct {
	Known    bool
	Granted  uint64 // the grant that is in force in the log
	Entities uint64 // live, and bytes, both committed
	Bytes    uint64
	Needs    [quota.Resources]Need
}

// used returns how much of a resource is taken up; nothing is of rate and burst, which
// come back by themselves.
func (u *Use) used(r int) uint64 {
	switch r {
	case quota.LiveEntities:
		return u.Entities
	case quota.Bytes:
		return u.Bytes
	}
	return 0
}

// Balance returns the next grant that a tenant's slots need, false if there is none. It is
// a pure function of the tenant and of what was told of its slots last, and changes one
// slot at a time, all numbers of its share at once:
//
//	the slots use more than the limit         nobody is granted any, until they use less
//	they could come to use more than it       nobody is granted more than it uses
//	something is left                         to who is starved, or short, or has least
//	nothing is left, and a slot is starved    the one that can best do without gives half
//	nothing is left, and a slot is short      the same, but not below its own low-water mark
//
// A slot whose log has not its last grant yet, or that has told nothing since, is left as
// it is.
func Balance(t *Tenant, uses []Use) (Command, bool) {
	b := balance{t: t, uses: uses, whole: quota.Whole(t.Config.Limits), room: t.Room(), granted: t.Granted()}
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
		// Who gives comes first: only then can others have it.
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
	t             *Tenant
	uses          []Use
	whole         quota.Share
	room, granted quota.Share
}

// ready reports whether a slot's log has its last grant, and its sequencer has told of
// it since.
func (b *balance) ready(i int) bool {
	s := &b.t.Slots[i]
	return s.Taken == s.Granted && b.uses[i].Known && b.uses[i].Granted == s.Granted
}

// wanted returns what slot i is to have of a resource.
func (b *balance) wanted(i, r int) uint64 {
	grant := b.t.Slots[i].Grant[r]
	switch left := min(b.room[r], b.whole[r]-min(b.whole[r], b.granted[r])); {
	case b.overused(r):
		return 0
	case b.couldOveruse(r):
		return min(grant, b.uses[i].used(r))
	case left > 0 && b.first(i, r):
		return grant + b.portion(left, i, r)
	case left > 0:
		return grant
	default:
		return grant - b.gives(i, r)
	}
}

// overused reports whether the slots have more of a resource than the limit, as far as is
// known: then nothing of it may grow anywhere.
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

// couldOveruse reports whether the slots hold more of a cap than the limit, since it was
// lowered: one uses more than it is granted, and another one could still grow.
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

// neediest returns the largest need of a resource among the slots that can be granted any.
func (b *balance) neediest(r int) Need {
	most := Content
	for i := range b.uses {
		if b.ready(i) {
			most = max(most, b.uses[i].Needs[r])
		}
	}
	return most
}

// first reports whether slot i is to have of what is left: nobody that can be granted any
// needs it more, or has less at the same need.
func (b *balance) first(i, r int) bool {
	if b.uses[i].Needs[r] < b.neediest(r) {
		return false
	}
	for j := range b.uses {
		if j != i && b.ready(j) && b.uses[j].Needs[r] == b.uses[i].Needs[r] {
			if mine, its := b.t.Slots[i].Grant[r], b.t.Slots[j].Grant[r]; its < mine || its == mine && j < i {
				return false
			}
		}
	}
	return true
}

// portion is how much of what is left goes to slot i: an even part, so that others in
// need find some.
func (b *balance) portion(left uint64, i, r int) uint64 {
	same := uint64(0)
	for j := range b.uses {
		if b.uses[j].Needs[r] == b.uses[i].Needs[r] {
			same++
		}
	}
	return (left + same - 1) / same
}

// gives is how much of a resource slot i gives up for another one.
func (b *balance) gives(i, r int) uint64 {
	need := b.neediest(r)
	if need < Short || b.uses[i].Needs[r] >= Short || need == Short && b.uses[i].Needs[r] > Content {
		return 0
	}
	spare := b.spare(i, r, need)
	for j := range b.uses { // the one that has most to spare
		if j != i && b.ready(j) && b.uses[j].Needs[r] < Short {
			if its := b.spare(j, r, need); its > spare || its == spare && j < i {
				return 0
			}
		}
	}
	return spare
}

// spare is what slot i could do without: half of what it does not use. To who is starved
// it gives the last one too.
func (b *balance) spare(i, r int, need Need) uint64 {
	grant, least := b.t.Slots[i].Grant[r], quota.Least()[r]
	free := grant - min(grant, max(b.uses[i].used(r), least))
	if need == Starved {
		return (free + 1) / 2
	}
	return free / 2
}

// NeedOf returns how much a slot is in want of a cap: of so much granted, so much is used.
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

// NeedOfRate returns how much a slot is in want of rate and burst, by the level of its
// bucket, which is full at the other number.
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
