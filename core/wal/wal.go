// Package wal holds the rules of a slot's log on disk: the places of its files, the bytes of
// segments, frames, manifests and snapshots, and the judgement of these files after a crash. It
// does no I/O and knows no time; package replica writes and syncs the bytes.
//
// A slot's log is a sequence of segment files in the slot's directory. A segment is one header and
// then frames. Each frame is one record (package record) with the seq that this replica knew to be
// durable when it wrote the frame. The frame is local; replicas agree only on the record inside.
//
// The one rule to remember: damage above the last confirmed seq is a torn tail and is cut; damage
// at or below it is corruption and is never cut. Recover lists the confirmations.
//
// Demands on the writer, so that the judgement is right:
//
//   - Segments are append-only. A new one is created only after every record
//     before its first seq is durable, and after the old one got its last byte.
//   - Segments that a snapshot covers are removed only when its name is durable,
//     and never the last segment that is durable. A crash may undo any of the
//     removals, so Recover is given only segments that are not covered.
//   - A Repair is durable, with the directory's entry, before the log is appended
//     to or served.
package wal

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Identity names the slot directory that a file belongs to. Every segment header, manifest and
// snapshot has it, so that a file restored or moved to the wrong place is never taken for this
// slot's.
type Identity struct {
	Tenant    tenant.ID
	Slot      lineage.Slot
	Placement lineage.PlacementEpoch // of the directory; a record has its own, which may be higher
	Shard     lineage.Shard
}

// String returns the identity for messages.
func (id Identity) String() string {
	return fmt.Sprintf("tenant %d slot %d placement %d shard %d", id.Tenant, id.Slot, id.Placement, id.Shard)
}

// Names of files. Paths are slash-separated and relative to the data directory:
//
//	tenants/{tenant}/wal/{slot}-{placement epoch}/manifest
//	tenants/{tenant}/wal/{slot}-{placement epoch}/{shard}-{first seq}.seg
//	tenants/{tenant}/wal/{slot}-{placement epoch}/{seq}.snap
//
// Numbers are decimal without leading zeros. Part of the format; never change.
const (
	// ManifestName is the name of the manifest in a slot directory.
	ManifestName = "manifest"
	// TempSuffix ends the name of a file that is being written. A rename makes the file valid; a
	// leftover is removed at the next start.
	TempSuffix = ".tmp"

	// TenantsDir is the directory of all tenants' directories.
	TenantsDir = "tenants"

	tenantsPrefix  = TenantsDir + "/"
	segmentSuffix  = ".seg"
	snapshotSuffix = ".snap"
)

// TenantDir returns the directory of all files of t.
func TenantDir(t tenant.ID) string { return tenantsPrefix + t.String() }

// WALDir returns the directory that holds t's slot directories.
func WALDir(t tenant.ID) string { return TenantDir(t) + "/wal" }

// Dir returns the slot directory of id.
func (id Identity) Dir() string {
	var dir [64]byte // one allocation
	return string(id.AppendDir(dir[:0]))
}

// AppendDir appends the result of Dir to dst.
func (id Identity) AppendDir(dst []byte) []byte {
	dst = strconv.AppendUint(append(dst, tenantsPrefix...), uint64(id.Tenant), 10)
	dst = strconv.AppendUint(append(dst, "/wal/"...), uint64(id.Slot), 10)
	return strconv.AppendUint(append(dst, '-'), uint64(id.Placement), 10)
}

// SegmentName returns the name, within the slot directory, of the segment that begins with record
// first. Text order is not the order of first: sort by number.
func SegmentName(shard lineage.Shard, first lineage.Seq) string {
	var name [len("4294967295-18446744073709551615") + len(segmentSuffix)]byte
	return string(AppendSegmentName(name[:0], shard, first))
}

// AppendSegmentName appends the result of SegmentName to dst.
func AppendSegmentName(dst []byte, shard lineage.Shard, first lineage.Seq) []byte {
	dst = strconv.AppendUint(dst, uint64(shard), 10)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, uint64(first), 10)
	return append(dst, segmentSuffix...)
}

// ParseSegmentName is the inverse of SegmentName. It returns false for every other text, including
// a first seq of 0 and a number that is not in canonical form.
func ParseSegmentName(name string) (lineage.Shard, lineage.Seq, bool) {
	stem, found := strings.CutSuffix(name, segmentSuffix)
	if !found {
		return 0, 0, false
	}
	left, right, _ := strings.Cut(stem, "-")
	shard, shardOK := parseDecimal(left)
	first, firstOK := parseDecimal(right)
	if !shardOK || !firstOK || shard > math.MaxUint32 || first == 0 {
		return 0, 0, false
	}
	return lineage.Shard(shard), lineage.Seq(first), true
}

// SnapshotName returns the name, within the slot directory, of the snapshot of all records up to
// and including seq.
func SnapshotName(seq lineage.Seq) string {
	var name [len("18446744073709551615") + len(snapshotSuffix)]byte
	return string(append(strconv.AppendUint(name[:0], uint64(seq), 10), snapshotSuffix...))
}

// ParseSnapshotName is the inverse of SnapshotName. It returns false for every other text.
func ParseSnapshotName(name string) (lineage.Seq, bool) {
	stem, found := strings.CutSuffix(name, snapshotSuffix)
	seq, ok := parseDecimal(stem)
	if !found || !ok {
		return 0, false
	}
	return lineage.Seq(seq), true
}

// TenantOfPath returns the tenant of a path, which is the tenant's directory or is in it. It does
// not allocate: a checker calls it for every disk operation.
func TenantOfPath(path string) (tenant.ID, bool) {
	rest, found := strings.CutPrefix(path, tenantsPrefix)
	if !found {
		return tenant.Reserved, false
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		rest = rest[:i]
	}
	n, ok := parseDecimal(rest)
	if !ok || tenant.ID(n) == tenant.Reserved {
		return tenant.Reserved, false
	}
	return tenant.ID(n), true
}

// SlotOfPath returns the tenant and the slot of a path in a slot directory, and the name of the
// file there. Like TenantOfPath it does not allocate.
func SlotOfPath(path string) (id tenant.ID, slot lineage.Slot, file string, ok bool) {
	id, ok = TenantOfPath(path)
	rest := strings.TrimPrefix(path, tenantsPrefix)
	_, rest, _ = strings.Cut(rest, "/")
	rest, isWAL := strings.CutPrefix(rest, "wal/")
	dir, file, isFile := strings.Cut(rest, "/")
	left, right, _ := strings.Cut(dir, "-")
	n, slotOK := parseDecimal(left)
	_, epochOK := parseDecimal(right)
	if !ok || !isWAL || !isFile || !slotOK || !epochOK || n > math.MaxUint32 || strings.Contains(file, "/") {
		return tenant.Reserved, 0, "", false
	}
	return id, lineage.Slot(n), file, true
}

// parseDecimal is the inverse of decimal. strconv accepts forms that are not canonical, and
// allocates to complain.
func parseDecimal(s string) (uint64, bool) {
	if s == "" || (s[0] == '0' && len(s) > 1) {
		return 0, false
	}
	var n uint64
	for i := range len(s) {
		digit := uint64(s[i] - '0') // wraps below '0', which the next line refuses
		if digit > 9 || n > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, true
}
