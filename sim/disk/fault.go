package disk

import (
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
)

// FaultKind is the kind of operation that a Fault makes fail.
type FaultKind uint8

// The kinds of faults.
const (
	SyncFault  FaultKind = iota + 1 // syncs of files and directories
	WriteFault                      // appends and writes, after a part was written
	ReadFault                       // reads
	EntryFault                      // changes and look-ups of entries, and truncates: nothing happens
	SpaceFault                      // syncs, and operations that make a new entry: env.NoSpace
)

// errno is the error of an operation that such a fault hits.
func (k FaultKind) errno() env.Errno {
	if k == SpaceFault {
		return env.NoSpace
	}
	return env.IOError
}

// Fault makes operations fail from Inject to Withdraw: by SpaceFault with env.NoSpace, by
// the others with env.IOError.
type Fault struct {
	Kind   FaultKind
	Suffix string // of the path by which the file was bound, or of the path that the operation names: see aims
	Limit  int64  // of operations that fail; 0 is none
	Struck int64  // operations that failed so far
}

// Inject puts f in force. It must not be in force.
func (d *Disk) Inject(f *Fault) { d.faults = append(d.faults, f) }

// Withdraw ends f.
func (d *Disk) Withdraw(f *Fault) {
	d.faults = slices.DeleteFunc(d.faults, func(other *Fault) bool { return other == f })
}

// aims reports whether suffix hits a path: one that ends so or, if suffix ends with a slash, that
// directory and all that is below it.
func aims(suffix, path string) bool {
	if strings.HasSuffix(suffix, "/") {
		return strings.HasPrefix(path, suffix) || path == suffix[:len(suffix)-1]
	}
	return strings.HasSuffix(path, suffix)
}

// strikes reports whether an operation fails, and counts it.
func (d *Disk) strikes(kind FaultKind, path string) bool {
	for _, f := range d.faults {
		if f.Kind == kind && (f.Limit == 0 || f.Struck < f.Limit) && aims(f.Suffix, path) {
			f.Struck++
			d.failures = append(d.failures, Failure{kind, path})
			return true
		}
	}
	return false
}

// refuses returns how an operation fails to which the first kind of fault applies that is in
// force, env.OK if it does not.
func (d *Disk) refuses(path string, kinds ...FaultKind) env.Errno {
	if len(d.faults) == 0 { // most of the time
		return env.OK
	}
	for _, kind := range kinds {
		if d.strikes(kind, path) {
			return kind.errno()
		}
	}
	return env.OK
}

// refusesEntry is refuses for operations on entries; a rename names two paths.
func (d *Disk) refusesEntry(op *env.Op) env.Errno {
	kinds := []FaultKind{EntryFault, SpaceFault}
	if op.Kind == env.OpOpen || op.Kind == env.OpRemove {
		kinds = kinds[:1]
	}
	err := d.refuses(op.Path, kinds...)
	if err == env.OK && op.Kind == env.OpRename {
		err = d.refuses(op.To, kinds...)
	}
	return err
}

// Failure is an operation that failed because a Fault was in force.
type Failure struct {
	Kind FaultKind
	Path string // by which the file was bound, or that the operation names
}

// Failures returns the failures so far, in order. It belongs to the disk.
func (d *Disk) Failures() []Failure { return d.failures }

// Wipes is how often everything on the disk was lost, or replaced by an older copy.
func (d *Disk) Wipes() int { return d.wipes }

// SetFull makes the disk take no more bytes, or ends that.
func (d *Disk) SetFull(full bool) { d.full = full }

// Extend makes the disk take capacity bytes in all, if it took fewer.
func (d *Disk) Extend(capacity int64) { d.profile.Capacity = max(d.profile.Capacity, capacity) }

// File is a file as processes see it.
type File struct {
	Path string
	Size int64 // bytes
}

// Files lists every file in ascending order of its path's elements.
func (d *Disk) Files() []File { return files(d.root, "", nil) }

func files(dir *inode, prefix string, list []File) []File {
	for _, e := range dir.seen {
		if e.node.dir {
			list = files(e.node, prefix+e.name+"/", list)
			continue
		}
		list = append(list, File{Path: prefix + e.name, Size: int64(len(e.node.cache))})
	}
	return list
}

// Sector is the number of bytes that a device writes at once.
func (d *Disk) Sector() int64 { return d.profile.Sector }

// Damage flips the bits of mask in the file at path, from offset on: in the page cache, on the
// platter and in writes that wait for a sync, so that every read shows it until the place is
// written again.
func (d *Disk) Damage(path string, offset int64, mask []byte) {
	f := d.lookUp(path)
	if f == nil || f.dir {
		return
	}
	flip(f.cache, offset, mask)
	flip(f.platter, offset, mask)
	for i := range f.writes {
		if w := &f.writes[i]; !w.truncate {
			flip(f.bytes[w.from:w.from+w.size], offset-w.offset, mask)
		}
	}
}

// flip flips the bits of mask in b, as far as b reaches; offset may be negative.
func flip(b []byte, offset int64, mask []byte) {
	for i, m := range mask {
		if at := offset + int64(i); at >= 0 && at < int64(len(b)) {
			b[at] ^= m
		}
	}
}
