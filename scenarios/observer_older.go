package scenarios

import (
	"slices"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
)

// What the observer knows of older copies that take the place of disks: when each was made, and
// what its logs hold.

// olderCopy is a copy that took the place of a node's disk.
type olderCopy struct {
	node  env.ID
	wipes int    // how often the disk had been lost then, this loss included
	start uint64 // at whose beginning the copy was made
}

// lostSince reports whether the node lost what it had on its disk in the life before, until the
// life m began. An older copy that was made after the life before had ended has all of it.
func (o *observer) lostSince(before, m control.Member) bool {
	over, had := o.startOf(before), o.diskOf(before)
	for loss := o.diskOf(m); loss > had; { // the last one decides what there is
		i := slices.IndexFunc(o.shared.copies, func(c olderCopy) bool { return c.node == m.Node && c.wipes == loss && c.start > over })
		if i < 0 {
			return true
		}
		loss = o.wipesAt(m.Node, o.shared.copies[i].start)
	}
	return false
}

// wipesAt returns how often a node's disk had been lost when a start of it began.
func (o *observer) wipesAt(id env.ID, start uint64) int {
	if start == uint64(o.boots[id].incarnation) {
		return o.boots[id].wipes
	}
	for i := range o.shared.starts {
		if s := &o.shared.starts[i]; s.member.Node == id && s.number == start {
			return s.wipes
		}
	}
	return 0
}

// mayAge returns the row by which an older copy may not take the place of a node's disk, "" if
// it may. A member of the meta log on such a copy is outdated to all who know of its last start,
// as if its disk were lost. One that does not know of that start, because it was away, would count
// on the copy, so it has to have all that the member has, and no election may be under way.
func (o *observer) mayAge(id env.ID) Row {
	if row := o.maySpare(id); row != "" || !slices.Contains(o.shared.meta, id) {
		return row
	}
	own, err := metalog.HeldBy(o.world.Disk(id).Platter(core.MetaFile))
	if err != nil { // it has promised nothing under its identity
		return ""
	}
	_, applied := o.shared.plane()
	for _, members := range o.shared.quorums() {
		for _, m := range members {
			if m.Address() == id || slices.Contains(o.shared.aged, m) {
				continue
			}
			if held, ok := o.metaHeld(m); !ok || !held.Knows(&own) && !hasAllOf(&held, &own, applied.Index) {
				return MetaMajority
			}
		}
	}
	return ""
}

// hasAllOf reports whether a member of the meta log has all that another one has, and that was
// applied, and neither has heard of an election that is not over.
func hasAllOf(held, other *metalog.Holding, applied metalog.Index) bool {
	return held.Last >= max(other.Last, applied) && held.LastTerm >= other.Term && held.Term <= held.LastTerm
}

// ages notes that an older copy is about to take the place of a node's disk. Its member of the
// meta log is not counted on any more under its identity.
func (o *observer) ages(id env.ID) {
	o.shared.copies = append(o.shared.copies, olderCopy{id, o.world.Disk(id).Wipes() + 1, uint64(o.boots[id].incarnation)})
	for _, members := range o.shared.quorums() {
		for _, m := range members {
			if m.Address() == id {
				o.shared.aged = append(o.shared.aged, m)
			}
		}
	}
}

// reopened notes that a log of a lost disk is open again, from an older copy.
func (o *observer) reopened(id env.ID, t tenant.ID, slot lineage.Slot) {
	o.writesOf(id, t, slot).lost = false
}

// copied takes what the logs of a node hold when it starts from an older copy of its disk for
// what it has of them: all of that is durable, and what the lost disk had is not there.
func (o *observer) copied(id env.ID) {
	wipes := o.world.Disk(id).Wipes()
	if !slices.ContainsFunc(o.shared.copies, func(c olderCopy) bool { return c.node == id && c.wipes == wipes }) {
		return
	}
	for i := range o.writes.All() {
		if w := &o.writes.All()[i]; w.node == id {
			o.readsCopy(w)
		}
	}
}

// readsCopy replaces what is known of a log by what its files hold.
func (o *observer) readsCopy(w *slotWrites) {
	w.places, w.passed, w.durable, w.snapshot, w.covers = w.places[:0], 0, 0, "", 0
	w.refetching, w.letGo = false, false
	var chains []lineage.Chain
	from, last := o.walk(w.node, w.tenant, w.slot, func(p place) {
		w.batch++
		p.batch = w.batch
		w.places, chains = append(w.places, p), append(chains, p.chain)
	})
	w.durable = last
	dir := slotDir(w.tenant, w.slot) + "/"
	o.names = o.world.Disk(w.node).AppendList(o.names[:0], dir)
	if path := newestSnapshot(o.names, dir); path != "" && last > 0 {
		w.snapshot = path
		w.covers, _ = wal.ParseSnapshotName(path[len(dir):])
	}
	if from.Seq+lineage.Seq(len(chains)) < last { // the snapshot goes on beyond the segments
		from, chains = o.snapshotAt(w.node, w.tenant, w.slot, last), nil
	}
	o.run.Copies.Copied(uint32(w.node), w.tenant, w.slot, from, chains)
}
