package scenarios

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// The observer of shares notes the records that grant them, which of those are durable on the whole
// set, and the coordinator's announcements of grants.

// grants is the observer's knowledge of a slot's shares.
type grants struct {
	records  []grantAt // CONFIG records of the slot's log, ascending by epoch, then by seq
	granted  uint64    // the last announced grant
	share    quota.Share
	reported uint64 // the grant that its leader last reported as in force
	closed   bool   // its leader has reported it as closed
}

// grantAt is a CONFIG record in a log of the slot.
type grantAt struct {
	version uint64
	epoch   lineage.ShardEpoch
	at      lineage.Position
	share   quota.Share
	// whole: the record was seen on the devices of the whole set. It is committed, and stays
	// so if one of them is lost.
	whole bool
}

// divided is the last announcement of a tenant's limits.
type divided struct {
	version uint64 // of its configuration; 0: none was announced
	slots   int
	ended   bool
}

func (v *groupsView) grantsOf(t tenant.ID, slot lineage.Slot) *grants {
	if g := v.grants.Find(slotKey(t, slot)); g != nil {
		return g
	}
	g := v.grants.Add(slotKey(t, slot))
	*g = grants{records: g.records[:0]}
	return g
}

func (v *groupsView) dividedOf(t tenant.ID) *divided {
	k := keyed.Key{A: uint64(t)}
	if d := v.divided.Find(k); d != nil {
		return d
	}
	d := v.divided.Add(k)
	*d = divided{}
	return d
}

// grantWritten notes a CONFIG record that is on its way to a node's disk.
func (v *groupsView) grantWritten(r *record.Record, chain lineage.Chain) {
	g := v.grantsOf(r.Tenant, r.Slot)
	at := lineage.Position{Seq: r.Seq, Chain: chain}
	for i := len(g.records) - 1; i >= 0; i-- {
		if g.records[i].at == at {
			return
		}
	}
	l := &r.Limits
	i := len(g.records) // a deposed leader may write a record that is older than the known ones
	for i > 0 && (g.records[i-1].epoch > r.Epoch || g.records[i-1].epoch == r.Epoch && g.records[i-1].at.Seq > r.Seq) {
		i--
	}
	g.records = slices.Insert(g.records, i, grantAt{l.Version, r.Epoch, at, quota.Share{l.Rate, l.Burst, l.Entities, l.Bytes}, false})
}

// lackedInSync describes the parts that the members in sync lack of a slot's log up to a position,
// in the order of the set; "" if nothing. A chain of 0 matches any record.
func (o *observer) lackedInSync(t tenant.ID, slot lineage.Slot, at lineage.Position) string {
	plane, _ := o.groups.plane()
	shard := plane.Shard(o.groups.shardOf(t, slot))
	for _, m := range shard.InSync {
		if shard.Excludes(m, t, slot) {
			continue
		}
		w := o.writesOf(m.Node, t, slot)
		if w.hadThen(m.Incarnation, at.Seq) {
			continue // it was there when that member still lived
		}
		if lacks := o.missing(m.Node, w, at.Seq); lacks != "" {
			return fmt.Sprintf("node %d, in sync, lacks %s", m.Node, lacks)
		}
		if chain, known := w.chainAt(at.Seq); known && at.Chain != 0 && chain != at.Chain {
			return fmt.Sprintf("node %d, in sync, has another record there", m.Node)
		}
	}
	return ""
}

// reportsSlot looks at a report that the leader of a slot is about to send to the control plane.
func (o *observer) reportsSlot(id env.ID, key env.Key) {
	t, slot := tenant.ID(key.A), lineage.Slot(key.Kind)
	g := o.groups.grantsOf(t, slot)
	switch control.Kind(key.B) {
	case control.Close:
		g.closed = true
	case control.Hold:
		last := g.lastOn(o.writesOf(id, t, slot))
		if last == nil || last.version == g.reported {
			return
		}
		g.reported = last.version
		o.run.Shares.Count++
		lacks := o.lackedInSync(t, slot, last.at)
		last.whole = last.whole || lacks == ""
		if lacks != "" {
			o.run.Shares.Found(observe.SharesFault{
				Flaw: observe.HeldEarly, Tenant: t, Slot: slot, Node: uint32(id), Seq: last.at.Seq, Version: last.version, Detail: lacks, At: o.world.Time(),
			})
		}
	}
}

// lastOn returns the newest CONFIG record of a node's log; nil if none is known.
func (g *grants) lastOn(w *slotWrites) *grantAt {
	for i := len(g.records) - 1; i >= 0; i-- {
		r := &g.records[i]
		if chain, known := w.chainAt(r.at.Seq); known && chain == r.at.Chain {
			return r
		}
	}
	return nil
}

// mayUse returns the most that a slot may use of each resource, under whichever leader: the grant
// in its last committed record, those in records behind it, and the last announced one.
func (o *observer) mayUse(t tenant.ID, slot lineage.Slot, granted quota.Share) quota.Share {
	g := o.groups.grantsOf(t, slot)
	for i := len(g.records) - 1; i >= 0; i-- {
		granted = granted.Max(g.records[i].share)
		if r := &g.records[i]; r.whole || o.lackedInSync(t, slot, r.at) == "" {
			r.whole = true
			break
		}
	}
	return granted
}

// tellsTenant looks at grants that the coordinator announces.
func (o *observer) tellsTenant(t *control.Tenant) {
	id := t.Config.ID
	d := o.groups.dividedOf(id)
	grown, same := -1, d.version == t.Config.Version
	var more quota.Share
	for i := range t.Slots {
		s, g := &t.Slots[i], o.groups.grantsOf(id, lineage.Slot(i))
		if s.Granted <= g.granted {
			continue
		}
		for r := range s.Grant {
			if same && s.Grant[r] > g.share[r] {
				grown, more[r] = i, 1
			}
		}
		g.granted, g.share = s.Granted, s.Grant
	}
	d.version, d.slots = t.Config.Version, len(t.Slots)
	if grown < 0 || t.Dropping {
		return
	}
	o.run.Shares.Count++
	var sum quota.Share
	for i := range t.Slots {
		sum = sum.Plus(o.mayUse(id, lineage.Slot(i), t.Slots[i].Grant))
	}
	for r, limit := range quota.Whole(t.Config.Limits) {
		if more[r] > 0 && sum[r] > limit {
			o.run.Shares.Found(observe.SharesFault{
				Flaw: observe.GrantedFar, Tenant: id, Slot: lineage.Slot(grown), Version: t.Slots[grown].Granted,
				Detail: shareNames[r], Sum: sum[r], Limit: limit, At: o.world.Time(),
			})
		}
	}
}

var shareNames = [quota.Resources]string{"rate", "burst", "entities", "bytes"}

// tellsEnd looks at the end of a tenant that the coordinator announces.
func (o *observer) tellsEnd(end *control.Tombstone) {
	d := o.groups.dividedOf(end.Tenant)
	if d.ended {
		return
	}
	d.ended = true
	o.run.Shares.Count++
	for slot := range d.slots {
		if !o.groups.grantsOf(end.Tenant, lineage.Slot(slot)).closed {
			o.run.Shares.Found(observe.SharesFault{
				Flaw: observe.EndedEarly, Tenant: end.Tenant, Slot: lineage.Slot(slot), Version: end.Index, At: o.world.Time(),
			})
		}
	}
}
