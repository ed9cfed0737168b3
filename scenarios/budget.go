package scenarios

import (
	"strings"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/disk"
)

// budget is the oracle that says which bytes may rot: damage beyond what a node
// promises to survive shows nothing. The only copy of a slot is damaged in one place
// at most, and only where what is durable elsewhere confirms the damaged record, so
// that the damage is corruption and cannot be taken for a torn tail. The node's own
// file and manifests are never damaged: a node that cannot read them asks for help.
//
// It trusts what is on the disk, never a node's own account.
type budget struct {
	world  *sim.World
	run    *observe.Run
	record record.Record
	// shared, if shards are replica groups, reports whether the others of a node have
	// all that its disk has.
	shared func(env.ID) bool
}

// mayDamage implements sim.Config.MayDamage.
func (b *budget) mayDamage(id env.ID, path string, _, to int64) bool {
	if b.shared != nil {
		return b.shared(id)
	}
	d := b.world.Disk(id)
	identity, ok := identityOf(d, path)
	if !ok || b.run.Damaged(identity.Tenant, identity.Slot) {
		return false
	}
	if _, ok := snapshotAt(path); ok {
		return isDurable(d, path) && newestSnapshot(d, dirOf(path)) == path
	}
	n, ok := b.recordAt(d.Content(path), to-1)
	return ok && b.confirmed(d, path, to, n)
}

// damaged implements sim.Config.Damaged.
func (b *budget) damaged(id env.ID, path string) {
	if b.shared != nil {
		return
	}
	if identity, ok := identityOf(b.world.Disk(id), path); ok {
		b.run.Damage(identity.Tenant, identity.Slot)
	}
}

// identityOf returns the slot that a segment or a snapshot is of; false for other
// files and for those that cannot be read.
func identityOf(d *disk.Disk, path string) (wal.Identity, bool) {
	if _, ok := snapshotAt(path); ok {
		id, _, _, err := wal.DecodeSnapshot(d.Content(path))
		return id, err == nil
	}
	if !isSegment(path) {
		return wal.Identity{}, false
	}
	h, err := wal.DecodeHeader(d.Content(path))
	return h.Identity, err == nil
}

func dirOf(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }

// snapshotAt returns the seq of the snapshot at path, false if it is none.
func snapshotAt(path string) (lineage.Seq, bool) {
	return wal.ParseSnapshotName(path[strings.LastIndexByte(path, '/')+1:])
}

func isDurable(d *disk.Disk, path string) bool { return d.Durable(path, 0, d.Size(path)) }

// newestSnapshot returns the path of the snapshot in dir that covers most, "" if
// there is none.
func newestSnapshot(d *disk.Disk, dir string) (newest string) {
	most := lineage.Seq(0)
	for _, name := range d.List(dir) {
		if seq, ok := wal.ParseSnapshotName(name); ok && seq >= most {
			newest, most = dir+name, seq
		}
	}
	return newest
}

// recordAt returns the record that the byte at an offset of a segment belongs to;
// of the header that is the first. It is false beyond the last good record.
func (b *budget) recordAt(segment []byte, at int64) (lineage.Seq, bool) {
	h, err := wal.DecodeHeader(segment)
	if err != nil || at < wal.HeaderSize {
		return h.First, err == nil
	}
	for end := int64(wal.HeaderSize); end < int64(len(segment)); {
		size, _, _, err := wal.DecodeFrame(segment[end:], &b.record)
		if err != nil {
			return 0, false
		}
		if end += int64(size); at < end {
			return b.record.Seq, true
		}
	}
	return 0, false
}

// confirmed reports whether something durable, other than the bytes before to of
// the segment at path, says that record n, and so all before it, was durable: a
// snapshot that covers it, a later segment with a record in it, or a later frame of
// the same segment.
func (b *budget) confirmed(d *disk.Disk, path string, to int64, n lineage.Seq) bool {
	dir := dirOf(path)
	for _, name := range d.List(dir) {
		if seq, ok := wal.ParseSnapshotName(name); ok && seq >= n && isDurable(d, dir+name) {
			return true
		}
		if _, first, ok := wal.ParseSegmentName(name); ok && first > n && b.holdsRecord(d, dir+name) {
			return true
		}
	}
	segment := d.Content(path)
	for end := int64(wal.HeaderSize); end < int64(len(segment)); {
		size, synced, _, err := wal.DecodeFrame(segment[end:], &b.record)
		if err != nil {
			return false
		}
		begin := end
		end += int64(size)
		if begin >= to && synced >= n && d.Durable(path, 0, end) {
			return true
		}
	}
	return false
}

// holdsRecord reports whether the segment at path has a record, and durably.
func (b *budget) holdsRecord(d *disk.Disk, path string) bool {
	segment := d.Content(path)
	if _, err := wal.DecodeHeader(segment); err != nil {
		return false
	}
	size, _, _, err := wal.DecodeFrame(segment[wal.HeaderSize:], &b.record)
	return err == nil && d.Durable(path, 0, int64(wal.HeaderSize+size))
}
