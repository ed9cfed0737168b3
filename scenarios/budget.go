package scenarios

import (
	"strings"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Row is a case that the cluster does not promise to survive: a row of docs/failure-model.md. A
// fault that would bring it about is vetoed.
type Row = harness.Row

// The rows.
const (
	// LastWholeMember: the disk is lost while no other member of one of its shards has all
	// announced records.
	LastWholeMember Row = "last-whole-member"
	// MetaMajority: the disk is lost while fewer than a majority of the other members of the
	// meta log have their files, or none of them has all that was applied.
	MetaMajority Row = "meta-majority"
	// NodeFile: the node's own file or a manifest is damaged. Each has one copy.
	NodeFile Row = "node-file"
	// OnlyCopyTwice: the only copy of a slot is damaged in a second place.
	OnlyCopyTwice Row = "only-copy-twice"
	// Unconfirmed: bytes are damaged, and nothing durable behind them confirms them, so that the
	// damage looks like a torn tail.
	Unconfirmed Row = "unconfirmed-bytes"
)

// Rows returns all rows.
func Rows() []Row {
	return []Row{LastWholeMember, MetaMajority, NodeFile, OnlyCopyTwice, Unconfirmed}
}

// Veto is a disruption of a plan that came to nothing because of the budget.
type Veto = harness.Veto

// budget is the oracle that decides which bytes may rot, and which disks may be lost: damage beyond
// the failures that nodes promise to survive shows nothing. The only copy of a slot is damaged in
// one place at most. A copy is damaged only where other durable bytes confirm the damaged record,
// so that the damage is corruption and cannot be taken for a torn tail. The node's own file and
// manifests are never damaged: a node that cannot read them asks for help.
//
// It trusts the contents of the disks, never a node's own account.
type budget struct {
	world  *sim.World
	run    *observe.Run
	record record.Record
	rots   func(env.ID, string) // called with each file that is about to be damaged
	// spare returns the row by which the disk of a node may not be lost; "" if it may.
	spare func(env.ID) Row
	// fails likewise returns the row by which the disk of a node may not fail for a while.
	fails func(env.ID) Row
	sole  func(tenant.ID, lineage.Slot) bool // a slot has one replica
	// older likewise returns the row by which an older copy may not take the place of a disk.
	older func(env.ID) Row
	// unlimited: nothing is vetoed, to show the loss that a veto avoids.
	unlimited bool

	why    Row // of the last veto
	vetoes []Veto
}

// mayDamage implements sim.Config.MayDamage.
func (b *budget) mayDamage(id env.ID, path string, from, to int64) bool {
	row := b.forbids(id, path, from, to)
	if row != "" && b.why == "" {
		b.why = row
	}
	return row == "" || b.unlimited
}

// mayWipe implements sim.Config.MayWipe.
func (b *budget) mayWipe(id env.ID) bool {
	b.why = b.spare(id)
	return b.why == "" || b.unlimited
}

// mayRestore implements sim.Config.MayRestore. An older copy lacks the promises that the node has
// made since.
func (b *budget) mayRestore(id env.ID) bool {
	b.why = b.older(id)
	return b.why == "" || b.unlimited
}

// mayFail implements sim.Config.MayFail.
func (b *budget) mayFail(id env.ID) bool {
	b.why = b.fails(id)
	return b.why == "" || b.unlimited
}

// forbidden implements sim.Config.Forbidden: the disruption is vetoed by the first row that
// forbade it.
func (b *budget) forbidden(disruption int, kind plan.Kind) {
	b.vetoes = append(b.vetoes, Veto{Kind: kind, Row: b.why})
	b.why = ""
}

// forbids returns the row by which bytes may not be damaged; "" if they may.
func (b *budget) forbids(id env.ID, path string, _, to int64) Row {
	d := b.world.Disk(id)
	identity, ok := identityOf(d, path)
	if !ok {
		return NodeFile
	}
	if b.sole(identity.Tenant, identity.Slot) {
		if b.run.Damaged(identity.Tenant, identity.Slot) {
			return OnlyCopyTwice
		}
	} else if row := b.spare(id); row != "" {
		return row
	}
	if _, ok := snapshotAt(path); ok {
		return unless(isDurable(d, path) && newestSnapshot(d.List(dirOf(path)), dirOf(path)) == path, Unconfirmed)
	}
	n, ok := b.recordAt(d.Content(path), to-1)
	return unless(ok && b.confirmed(d, path, to, n), Unconfirmed)
}

// unless returns a row if a condition does not hold.
func unless(holds bool, row Row) Row {
	if holds {
		return ""
	}
	return row
}

// damaged implements sim.Config.Damaged.
func (b *budget) damaged(id env.ID, path string) {
	b.rots(id, path)
	switch identity, ok := identityOf(b.world.Disk(id), path); {
	case !ok:
	case b.sole(identity.Tenant, identity.Slot):
		b.run.Damage(identity.Tenant, identity.Slot)
	default:
		b.run.Rot(identity.Tenant, identity.Slot)
	}
}

// identityOf returns the slot of a segment or a snapshot; false for other files and for unreadable
// ones.
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

// newestSnapshot returns the path of the snapshot that covers most, "" if there is none. The names
// are those of the files in dir.
func newestSnapshot(names []string, dir string) (newest string) {
	most := lineage.Seq(0)
	for _, name := range names {
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

// confirmed reports whether durable bytes, other than those before to of the segment at path,
// confirm that record n, and so all before it, was durable: a snapshot that covers it, a later
// segment with a record in it, or a later frame of the same segment.
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
