// Package disk does a machine's disk operations in a directory of a real file system. It keeps the
// rules that the seam has for every host: operations on one handle complete in the order of
// submission, and so do operations in one directory; others go on at the same time, each in a
// worker of its own.
//
// It refuses to hide faults: an error comes back as it was, nothing is tried again, and the machine
// decides whether a failed sync ends anything.
//
// The one rule to remember: NoSpace means that nothing was written. A write that
// found room for a part is taken back before it says so; if that cannot be done it
// says IOError.
package disk

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
)

// Config says how to treat a directory. The zero value is right for a node.
type Config struct {
	Workers int // operations under way at once; 0 means DefaultWorkers
	// Reserve is how many zeros at most are written ahead at once of the end of a file that is
	// appended to after a sync; 0 means DefaultReserve, and below 0 none are. The machine does not
	// see them, and a close takes them away; a reader of the file after a crash finds some at its
	// end.
	Reserve int64
	// Keep, if not empty, is a directory outside of the disk's own, on the same file system, that
	// files move to when they are removed, for an observer: the file p becomes Keep/p/n, n counting
	// up. The machine does not notice.
	Keep string
	// Measure, if not nil, receives every operation that has ended: the time since its submission,
	// and the bytes that it wrote or read. Several goroutines call it at once.
	Measure func(kind env.OpKind, took time.Duration, bytes int64, err env.Errno)
}

// DefaultWorkers lets every slot of a small node wait for a sync of its own. More
// files than that which stall at once hold up the others.
const DefaultWorkers = 64

// DefaultReserve makes the sync of a batch ask the device for the batch alone, but for one batch in
// sixteen of 128 signals.
const DefaultReserve = 256 << 10

// Completion is the outcome of an operation.
type Completion struct {
	ID   env.OpID
	Err  env.Errno
	N    int64
	Data []byte // of a read; the receiver's own
}

// Disk is a directory and the operations under way in it.
//
// Invariant: a task is in ready, or has a worker, or waits for ahead > 0 others.
type Disk struct {
	config Config
	path   string
	root   *os.Root
	done   func(Completion)

	mu      sync.Mutex
	idle    *sync.Cond // signalled when workers falls to 0
	closed  bool
	workers int
	ready   []*task
	tails   map[chain]*task // the last task in each chain
	handles map[env.File]*handle
	parents map[env.File]string // of the file bound last, in the order of submission
	kept    uint64
}

// chain is an order that tasks keep: of one handle, or of one directory.
type chain struct {
	handle env.File // 0: of a directory
	dir    string
}

// task is an operation that is not done.
type task struct {
	op     env.Op
	since  time.Time // it was submitted, with Config.Measure
	chains [3]chain
	next   [3]*task // the next task in each
	n      int      // chains that it is in
	ahead  int      // tasks before it that are not done
}

// Open opens the directory at path, making it if it is missing. done is called with every
// completion, by several goroutines at once, and must not wait for the disk.
func Open(path string, c Config, done func(Completion)) (*Disk, error) {
	c.Workers = cmp.Or(c.Workers, DefaultWorkers)
	c.Reserve = cmp.Or(c.Reserve, DefaultReserve)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	d := &Disk{config: c, path: path, root: root, done: done, tails: map[chain]*task{}, handles: map[env.File]*handle{}, parents: map[env.File]string{}}
	d.idle = sync.NewCond(&d.mu)
	return d, nil
}

// Submit hands an operation to the disk. Its data is copied.
func (d *Disk) Submit(op env.Op) {
	op.Data = bytes.Clone(op.Data)
	t := &task{op: op}
	if d.config.Measure != nil {
		t.since = time.Now()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.enqueue(t)
	if t.ahead == 0 {
		d.start(t)
	}
}

// enqueue puts a task into its chains.
func (d *Disk) enqueue(t *task) {
	switch op := &t.op; op.Kind {
	case env.OpCreate, env.OpOpen:
		d.parents[op.File] = parentOf(op.Path)
		d.join(t, chain{handle: op.File})
		d.join(t, chain{dir: parentOf(op.Path)})
	case env.OpMkdir, env.OpRemove: // of a directory: behind the operations in it
		d.join(t, chain{dir: parentOf(op.Path)})
		d.join(t, chain{dir: clean(op.Path)})
	case env.OpRename:
		d.join(t, chain{dir: parentOf(op.Path)})
		d.join(t, chain{dir: parentOf(op.To)})
		d.join(t, chain{dir: clean(op.Path)})
	case env.OpClose:
		d.join(t, chain{handle: op.File})
		if dir, bound := d.parents[op.File]; bound {
			d.join(t, chain{dir: dir})
			delete(d.parents, op.File)
		}
	case env.OpSyncDir:
		d.join(t, chain{dir: clean(op.Path)})
	default:
		d.join(t, chain{handle: op.File})
	}
}

func (d *Disk) join(t *task, c chain) {
	if slices.Contains(t.chains[:t.n], c) {
		return
	}
	if last := d.tails[c]; last != nil {
		last.next[slices.Index(last.chains[:last.n], c)] = t
		t.ahead++
	}
	d.tails[c] = t
	t.chains[t.n] = c
	t.n++
}

// start gives a task to a worker, a new one if there may be one more.
func (d *Disk) start(t *task) {
	d.ready = append(d.ready, t)
	d.hire()
}

func (d *Disk) hire() {
	if d.workers < d.config.Workers {
		d.workers++
		go d.work()
	}
}

// work does tasks until none is ready.
func (d *Disk) work() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.ready) > 0 && !d.closed {
		t := d.ready[0]
		d.ready = slices.Delete(d.ready, 0, 1)
		d.mu.Unlock()
		c := Completion{ID: t.op.ID}
		c.N, c.Data, c.Err = d.apply(&t.op)
		if d.config.Measure != nil {
			d.config.Measure(t.op.Kind, time.Since(t.since), c.N, c.Err)
		}
		if !t.op.Quiet || c.Err != env.OK {
			d.done(c) // before those behind it can begin: completions of a chain are in order
		}
		d.mu.Lock()
		d.finish(t)
	}
	if d.workers--; d.workers == 0 {
		d.idle.Broadcast()
	}
}

// finish takes a task out of its chains. Of the tasks that may begin now the calling worker does
// one itself.
func (d *Disk) finish(t *task) {
	freed := 0
	for i, c := range t.chains[:t.n] {
		next := t.next[i]
		if next == nil {
			delete(d.tails, c)
			continue
		}
		if next.ahead--; next.ahead == 0 {
			d.ready = append(d.ready, next)
			if freed++; freed > 1 {
				d.hire()
			}
		}
	}
}

// Close ends the disk as the death of a process does: waiting operations are not done, running ones
// are, and none is reported. It returns when no operation is running.
func (d *Disk) Close() error {
	d.mu.Lock()
	d.closed = true
	for d.workers > 0 {
		d.idle.Wait()
	}
	handles := d.handles
	d.handles = nil
	d.mu.Unlock()
	var failed error
	for _, h := range handles {
		failed = errors.Join(failed, h.file.Close())
	}
	return errors.Join(failed, d.root.Close())
}

// List returns the names in the directory at path in ascending order, those of directories with a
// trailing slash; nil if there is no such directory. Any other failure is an error.
func (d *Disk) List(path string) ([]string, error) {
	dir, err := d.root.Open(clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if errnoOf(err) == env.NotDir {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
		if e.IsDir() {
			names[i] += "/"
		}
	}
	return names, nil
}

// Free returns the number of bytes that the file system still takes.
func (d *Disk) Free() int64 { return freeBytes(d.path) }

// keep moves a file that is to be removed to where an observer finds it.
func (d *Disk) keep(path string) error {
	d.mu.Lock()
	d.kept++
	n := d.kept
	d.mu.Unlock()
	dir := filepath.Join(d.config.Keep, filepath.FromSlash(path))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for ; ; n++ { // an earlier process may have kept others
		to := filepath.Join(dir, fmt.Sprint(n))
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			return os.Rename(filepath.Join(d.path, filepath.FromSlash(path)), to)
		}
	}
}
