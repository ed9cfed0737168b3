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

// The observer of older copies that take the place of disks: when each was made, and the contents
// of its logs.

// olderCopy is a copy that took the place of a node's disk.
type olderCopy struct {
	node  env.ID
	wipes int    // how often the disk had been lost then, this loss included
	start uint64 // the process start at which the copy was made
}

// lostSince reports whether the node lost the disk of the incarnation before, until the incarnation
// m began. An older copy that was made after the incarnation before had ended has all of it.
func (o *observer) lostSince(before, m control.Member) bool {
	over, had := o.startOf(before), o.diskOf(before)
	for loss := o.diskOf(m); loss > had; { // the last one decides
		i := slices.IndexFunc(o.groups.copies, func(c olderCopy) bool { return c.node == m.Node && c.wipes == loss && c.start > over })
		if i < 0 {
			return true
		}
		loss = o.wipesAt(m.Node, o.groups.copies[i].start)
	}
	return false
}

// wipesAt returns how often a node's disk had been lost when a start of it began.
func (o *observer) wipesAt(id env.ID, start uint64) int {
	if start == uint64(o.boots[id].incarnation) {
		return o.boots[id].wipes
	}
	for i := range o.groups.starts {
		if s := &o.groups.starts[i]; s.member.Node == id && s.number == start {
			return s.wipes
		}
	}
	return 0
}

// mayAge returns the row by which an older copy may not take the place of a node's disk, "" if it
// may. A member of the meta log on such a copy is outdated to all members that know of its last
// start, as if its disk were lost. A member that was away and does not know of that start would
// count on the copy. So that member has to have all entries of the outdated one, and no election
// may be running.
func (o *observer) mayAge(id env.ID) Row {
	if row := o.maySpare(id); row != "" || !slices.Contains(o.groups.meta, id) {
		return row
	}
	own, err := metalog.HeldBy(o.world.Disk(id).Platter(core.MetaFile))
	if err != nil { // it has promised nothing under its identity
		return ""
	}
	_, applied := o.groups.plane()
	for _, members := range o.groups.quorums() {
		for _, m := range members {
			if m.Address() == id || slices.Contains(o.groups.aged, m) {
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
	o.groups.copies = append(o.groups.copies, olderCopy{id, o.world.Disk(id).Wipes() + 1, uint64(o.boots[id].incarnation)})
	for _, members := range o.groups.quorums() {
		for _, m := range members {
			if m.Address() == id {
				o.groups.aged = append(o.groups.aged, m)
			}
		}
	}
}

// reopened notes that a log of a lost disk is open again, from an older copy.
func (o *observer) reopened(id env.ID, t tenant.ID, slot lineage.Slot) {
	o.writesOf(id, t, slot).lost = false
}

// copied reads the contents of a node's logs when it starts from an older copy of its disk: all of
// them are durable, and the contents of the lost disk are gone.
func (o *observer) copied(id env.ID) {
	wipes := o.world.Disk(id).Wipes()
	if !slices.ContainsFunc(o.groups.copies, func(c olderCopy) bool { return c.node == id && c.wipes == wipes }) {
		return
	}
	for i := range o.writes.All() {
		if w := &o.writes.All()[i]; w.node == id {
			o.readsCopy(w)
		}
	}
}

// readsCopy replaces the observer's knowledge of a log by the contents of its files.
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
