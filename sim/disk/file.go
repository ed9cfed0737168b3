package disk

import (
	"bytes"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// maxOffset bounds the gap that a write may leave, which is kept in memory.
const maxOffset = 1 << 40

// inode is a file or a directory. It lives as long as an entry, a durable entry
// or a handle refers to it.
type inode struct {
	dir     bool
	gone    bool   // a file that no entry shows, only a handle
	mounted uint32 // the mount that last saw it, so that each sees it once
	// Directories: entries as processes see them and as a power failure leaves
	// them, sorted by name.
	seen, durable []entry
	// Files: content as processes see it, and on the platter.
	cache, platter []byte
	// Files: the writes since the last sync, in order, with their bytes.
	writes []write
	bytes  []byte
	// Files: the bytes on the platter when it was cut last, if old blocks may show, and the offset
	// up to which the present power failure has shown some.
	old   []byte
	shown int64
}

// write is one unsynced change of a file.
type write struct {
	key      env.Key
	offset   int64
	size     int64 // bytes of the write, in inode.bytes from from
	from     int64
	truncate bool // cut the file at offset instead
}

// written adds a change to the unsynced ones.
func (f *inode) written(key env.Key, offset int64) *write {
	n := len(f.writes)
	f.writes = slices.Grow(f.writes, 1)[:n+1]
	w := &f.writes[n]
	*w = write{}
	w.key, w.offset = key, offset
	return w
}

// slice returns the cached bytes in [offset, offset+length) as far as they exist.
func (f *inode) slice(offset, length int64) []byte {
	size := int64(len(f.cache))
	if offset < 0 || length <= 0 || offset >= size {
		return nil
	}
	return f.cache[offset:min(offset+length, size)]
}

func (d *Disk) write(h *handle, offset int64, data []byte, key env.Key) (int64, []byte, env.Errno) {
	if offset < 0 || offset > maxOffset {
		return 0, nil, env.IOError
	}
	f, err := h.node, env.OK
	grows := max(0, offset+int64(len(data))-int64(len(f.cache)))
	switch {
	case grows > max(0, d.Free()):
		return 0, nil, env.NoSpace
	case d.strikes(WriteFault, h.bound):
		data, err = data[:d.part(len(data), key)], env.IOError
		grows = max(0, offset+int64(len(data))-int64(len(f.cache)))
	}
	if len(data) == 0 {
		return 0, nil, err
	}
	d.account(f, grows)
	f.cache = put(f.cache, offset, data)
	w := f.written(key, offset)
	w.size, w.from = int64(len(data)), int64(len(f.bytes))
	f.bytes = append(f.bytes, data...)
	d.dirty++
	return int64(len(data)), nil, err
}

// part is how much of a write of size bytes a failing device writes: not all.
func (d *Disk) part(size int, key env.Key) int64 {
	return int64(chance.Below(d.decider.Uniform(chance.DiskPart, d.scope, key), uint64(max(1, size))))
}

func (d *Disk) truncate(f *inode, length int64, key env.Key) {
	if length < 0 || length >= int64(len(f.cache)) {
		return
	}
	d.account(f, length-int64(len(f.cache)))
	f.cache = f.cache[:length]
	f.written(key, length).truncate = true
	d.dirty++
}

// sync brings every unsynced write of a file to the platter. After a failure the
// cache shows them still, and as on Linux they count as clean: no later sync
// brings them to the platter, only writing them again.
func (d *Disk) sync(h *handle) env.Errno {
	if err := d.refuses(h.bound, SyncFault, SpaceFault); err != env.OK {
		d.forget(h.node)
		return err
	}
	for i := range h.node.writes {
		d.settleWrite(h.node, &h.node.writes[i])
	}
	d.forget(h.node)
	return env.OK
}

// settleWrite applies a write to the platter.
func (d *Disk) settleWrite(f *inode, w *write) {
	if w.truncate {
		if w.offset < int64(len(f.platter)) && d.decider.May(chance.DiskOld) {
			f.old = append(f.old[:0], f.platter...)
		}
		f.platter = f.platter[:min(w.offset, int64(len(f.platter)))]
		return
	}
	f.platter = put(f.platter, w.offset, f.bytes[w.from:w.from+w.size])
}

func (d *Disk) forget(f *inode) {
	d.dirty -= len(f.writes)
	f.writes = f.writes[:0]
	f.bytes = f.bytes[:0]
}

// put writes data at offset into b; a gap becomes zeros.
func put(b []byte, offset int64, data []byte) []byte {
	for int64(len(b)) < offset {
		b = append(b, 0)
	}
	n := copy(b[offset:], data)
	return append(b, data[n:]...)
}

// Durable reports whether the bytes [from, to) of the file at path would survive a power failure
// now: every entry on the way is durable, and the platter holds the same bytes as the page cache.
func (d *Disk) Durable(path string, from, to int64) bool {
	f := d.durable(path)
	return f != nil && !f.dir && to <= int64(len(f.platter)) && to <= int64(len(f.cache)) &&
		bytes.Equal(f.platter[from:to], f.cache[from:to])
}

// Platter returns the bytes that a power failure now would leave at path if it took
// everything that is not durable, or nil. It is valid until the next completion.
func (d *Disk) Platter(path string) []byte {
	if f := d.durable(path); f != nil {
		return f.platter
	}
	return nil
}

// Size returns the size of the file at path as processes see it, or -1.
func (d *Disk) Size(path string) int64 {
	f := d.lookUp(path)
	if f == nil || f.dir {
		return -1
	}
	return int64(len(f.cache))
}

// Content returns the bytes of the file at path as processes see them, or nil.
// It is valid until the next completion.
func (d *Disk) Content(path string) []byte {
	f := d.lookUp(path)
	if f == nil {
		return nil
	}
	return f.cache
}
