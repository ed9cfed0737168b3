package scenarios

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/sim/disk"
)

// What the observer notes of replica groups: what every replica writes, cuts and
// replaces, and what nodes say to each other.

// noteReplica notes what a fault point says of one replica.
func (o *observer) noteReplica(id env.ID, p env.Point, key env.Key) {
	t, slot, seq := tenant.ID(key.A), lineage.Slot(key.Kind), lineage.Seq(key.B)
	c, node, now := &o.run.Copies, uint32(id), o.world.Time()
	switch p {
	case fault.SlotCreating:
		c.Created(node, t, slot)
	case fault.RecoverySyncing:
		c.Recovered(node, t, slot, seq, now)
	case fault.LogCutting:
		c.Cutting(node, t, slot, seq, now)
	case fault.LogCut:
		c.Cut(node, t, slot, seq)
	case fault.SlotRefetching:
		c.Refetching(node, t, slot)
	case fault.SlotFollowing:
		if c.Replaces(node, t, slot) {
			c.Refetched(node, t, slot, o.snapshotAt(id, t, slot, seq))
		}
	}
}

// snapshotAt returns the position of a node's snapshot at a record; its chain is 0 if
// there is none.
func (o *observer) snapshotAt(id env.ID, t tenant.ID, slot lineage.Slot, seq lineage.Seq) lineage.Position {
	path := wal.Identity{Tenant: t, Slot: slot, Placement: 1}.Dir() + "/" + wal.SnapshotName(seq)
	if _, at, _, err := wal.DecodeSnapshot(o.world.Disk(id).Content(path)); err == nil && at.Seq == seq {
		return at
	}
	return lineage.Position{Seq: seq}
}

// retain notes the records that a node has of a slot on its disk.
func retain(run *observe.Run, d *disk.Disk, node uint32, t tenant.ID, slot lineage.Slot) {
	dir := wal.Identity{Tenant: t, Slot: slot, Placement: 1}.Dir() + "/"
	var segments []segmentFile
	for _, name := range d.List(dir) {
		if _, first, ok := wal.ParseSegmentName(name); ok {
			segments = append(segments, segmentFile{first, dir + name})
		}
	}
	slices.SortFunc(segments, func(a, b segmentFile) int { return cmp.Compare(a.first, b.first) })
	r := run.Copies.AddRetained(node, t, slot)
	for _, s := range segments {
		if r.Damage = readSegment(r, d.Content(s.path)); r.Damage != "" {
			r.Damage = s.path + ": " + r.Damage
			return
		}
	}
}

type segmentFile struct {
	first lineage.Seq
	path  string
}

// readSegment adds the records of a segment, and says what is wrong with it.
func readSegment(r *observe.Retained, data []byte) string {
	h, err := wal.DecodeHeader(data)
	if err != nil {
		return err.Error()
	}
	if next := r.First + lineage.Seq(len(r.Chains)); len(r.Chains) > 0 && h.First != next {
		return fmt.Sprintf("it begins with seq %d, and the one before it ends before seq %d", h.First, next)
	}
	if len(r.Chains) == 0 {
		r.First = h.First
	}
	before := h.Before
	var rec record.Record
	for data = data[wal.HeaderSize:]; len(data) > 0; {
		size, _, chain, err := wal.DecodeFrame(data, &rec)
		if next := r.First + lineage.Seq(len(r.Chains)); err != nil || rec.Seq != next || rec.Prev != before {
			return fmt.Sprintf("what should be seq %d is not, or does not continue what is before it (%v)", next, err)
		}
		r.Chains = append(r.Chains, chain)
		before, data = chain, data[size:]
	}
	return ""
}
