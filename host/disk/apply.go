package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/tidaldb/tidalsim/core/env"
)

// clean returns the name of a path for the operating system: relative, without doubled slashes. A
// path that leads out of the root stays as it is, and os.Root refuses it.
func clean(p string) string { return path.Clean("./" + p) }

func parentOf(p string) string { return path.Dir(clean(p)) }

// errnoOf translates an error of the operating system for a machine.
func errnoOf(err error) env.Errno {
	switch {
	case err == nil:
		return env.OK
	case errors.Is(err, fs.ErrNotExist):
		return env.NotExist
	case errors.Is(err, syscall.ENOTEMPTY): // is also fs.ErrExist
		return env.NotEmpty
	case errors.Is(err, fs.ErrExist):
		return env.Exist
	case errors.Is(err, syscall.ENOTDIR):
		return env.NotDir
	case isFull(err):
		return env.NoSpace
	}
	return env.IOError
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// apply does an operation and returns its outcome.
func (d *Disk) apply(op *env.Op) (int64, []byte, env.Errno) {
	switch op.Kind {
	case env.OpCreate:
		return d.bind(op, os.O_CREATE|os.O_EXCL)
	case env.OpOpen:
		return d.bind(op, 0)
	case env.OpMkdir:
		return 0, nil, errnoOf(d.root.Mkdir(clean(op.Path), 0o700))
	case env.OpRename:
		return 0, nil, errnoOf(d.root.Rename(clean(op.Path), clean(op.To)))
	case env.OpRemove:
		return 0, nil, errnoOf(d.remove(clean(op.Path)))
	case env.OpSyncDir:
		return 0, nil, d.syncDir(clean(op.Path))
	}
	d.mu.Lock()
	h := d.handles[op.File]
	if op.Kind == env.OpClose {
		delete(d.handles, op.File)
	}
	d.mu.Unlock()
	if h == nil {
		return 0, nil, env.BadHandle
	}
	return d.applyFile(h, op)
}

func (d *Disk) applyFile(h *handle, op *env.Op) (int64, []byte, env.Errno) {
	switch op.Kind {
	case env.OpAppend:
		n, errno := h.append(op.Data, d.ahead)
		return n, nil, errno
	case env.OpWrite:
		n, errno := h.write(op.Offset, op.Data)
		return n, nil, errno
	case env.OpTruncate:
		return 0, nil, h.truncate(op.Length)
	case env.OpSync:
		h.isSynced = true
		return 0, nil, afterSync(syncData(h.file))
	case env.OpClose:
		return 0, nil, errnoOf(h.close())
	case env.OpRead:
		return h.read(op.Offset, op.Length)
	}
	return 0, nil, env.IOError
}

// bind opens a file and gives it the operation's handle.
func (d *Disk) bind(op *env.Op, flags int) (int64, []byte, env.Errno) {
	f, err := d.root.OpenFile(clean(op.Path), os.O_RDWR|flags, 0o600)
	if err != nil {
		return 0, nil, errnoOf(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = syscall.EISDIR
	}
	if err != nil {
		f.Close()
		return 0, nil, errnoOf(err)
	}
	d.mu.Lock()
	before := d.handles[op.File]
	d.handles[op.File] = &handle{file: f}
	d.mu.Unlock()
	if before != nil { // bound twice without a close: the older binding is gone
		before.file.Close()
	}
	return info.Size(), nil, env.OK
}

func (d *Disk) remove(name string) error {
	if d.config.Keep != "" {
		if info, err := d.root.Lstat(name); err == nil && info.Mode().IsRegular() {
			return d.keep(name)
		}
	}
	return d.root.Remove(name)
}

func (d *Disk) syncDir(name string) env.Errno {
	dir, err := d.root.Open(name)
	if err != nil {
		return errnoOf(err)
	}
	defer dir.Close()
	if info, err := dir.Stat(); err != nil {
		return errnoOf(err)
	} else if !info.IsDir() {
		return env.NotDir
	}
	return afterSync(dir.Sync())
}

// afterSync is the outcome of a sync. That the disk was full then does not mean
// that nothing was written.
func afterSync(err error) env.Errno {
	if err != nil {
		return env.IOError
	}
	return env.OK
}

// target is the interface of a file for write.
type target interface {
	io.WriterAt
	Truncate(size int64) error
	Stat() (os.FileInfo, error)
}

func sizeOf(f target) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// maxOffset bounds the gap that a write may leave.
const maxOffset = 1 << 40

// write writes data at offset of a file that is size bytes long, not counting zeros behind them. If
// the disk is full it takes the written part back.
func write(f target, size, offset int64, data []byte) (int64, env.Errno) {
	if offset < 0 || offset > maxOffset {
		return 0, env.IOError
	}
	n, err := f.WriteAt(data, offset)
	if err == nil {
		return int64(n), env.OK
	}
	if !isFull(err) {
		return int64(n), env.IOError
	}
	if n > 0 && (offset < size || f.Truncate(size) != nil) {
		return int64(n), env.IOError // the earlier bytes are gone
	}
	return 0, env.NoSpace
}
