package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
)

// scarce is a file on a disk with room for so many bytes more.
type scarce struct {
	*os.File
	room     int
	stubborn bool // and it cannot be cut
	err      error
}

func (s *scarce) WriteAt(data []byte, offset int64) (int, error) {
	if len(data) <= s.room {
		return s.File.WriteAt(data, offset)
	}
	n, _ := s.File.WriteAt(data[:s.room], offset)
	return n, &os.PathError{Op: "write", Path: "f", Err: s.err}
}

func (s *scarce) Truncate(size int64) error {
	if s.stubborn {
		return syscall.EIO
	}
	return s.File.Truncate(size)
}

func TestAFullDiskTakesNothingOrSaysIOError(t *testing.T) {
	for _, c := range []struct {
		name   string
		file   scarce
		offset int64
		want   env.Errno
		n      int64
		left   string
	}{
		{"no room at all", scarce{err: syscall.ENOSPC}, 4, env.NoSpace, 0, "abcd"},
		{"room for a part", scarce{room: 3, err: syscall.ENOSPC}, 4, env.NoSpace, 0, "abcd"},
		{"room for a part behind a gap", scarce{room: 3, err: syscall.ENOSPC}, 6, env.NoSpace, 0, "abcd"},
		{"over a quota of the file system", scarce{room: 3, err: syscall.EDQUOT}, 4, env.NoSpace, 0, "abcd"},
		{"the part cannot be taken back", scarce{room: 3, stubborn: true, err: syscall.ENOSPC}, 4, env.IOError, 3, "abcdXYZ"},
		{"the part replaced something", scarce{room: 3, err: syscall.ENOSPC}, 2, env.IOError, 3, "abXYZ"},
		{"nothing was replaced", scarce{err: syscall.ENOSPC}, 2, env.NoSpace, 0, "abcd"},
		{"the device fails", scarce{room: 3, err: syscall.EIO}, 4, env.IOError, 3, "abcdXYZ"},
		{"there is room", scarce{room: 9}, 4, env.OK, 6, "abcdXYZXYZ"},
		{"an offset beyond all", scarce{room: 9}, maxOffset + 1, env.IOError, 0, "abcd"},
		{"an offset before all", scarce{room: 9}, -1, env.IOError, 0, "abcd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, []byte("abcd"), 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			c.file.File = file
			n, errno := write(&c.file, 4, c.offset, []byte("XYZXYZ"))
			left, _ := os.ReadFile(path)
			if errno != c.want || n != c.n || string(left) != c.left {
				t.Errorf("%v, %d bytes, the file has %q; want %v, %d, %q", errno, n, left, c.want, c.n, c.left)
			}
		})
	}
}

func TestErrorsOfTheSystem(t *testing.T) {
	for err, want := range map[error]env.Errno{
		nil:               env.OK,
		syscall.ENOENT:    env.NotExist,
		syscall.EEXIST:    env.Exist,
		syscall.ENOTDIR:   env.NotDir,
		syscall.ENOTEMPTY: env.NotEmpty,
		syscall.ENOSPC:    env.NoSpace,
		syscall.EDQUOT:    env.NoSpace,
		syscall.EIO:       env.IOError,
		syscall.EROFS:     env.IOError,
		os.ErrClosed:      env.IOError,
		&os.PathError{Op: "open", Err: syscall.EMFILE}:   env.IOError,
		&os.LinkError{Op: "rename", Err: syscall.ENOENT}: env.NotExist,
	} {
		if got := errnoOf(err); got != want {
			t.Errorf("%v is %v, want %v", err, got, want)
		}
	}
	if got := afterSync(syscall.ENOSPC); got != env.IOError {
		t.Errorf("a sync that finds no room says %v; what it did write nobody knows", got)
	}
}

// rig is a disk that collects its completions.
type rig struct {
	*Disk
	dir string

	mu    sync.Mutex
	came  []Completion
	hold  map[env.OpID]chan struct{} // completions that are not taken before
	held  chan struct{}              // told when one waits for that
	news  chan struct{}
	count int
}

func newRig(t *testing.T, c Config) *rig {
	t.Helper()
	r := &rig{dir: filepath.Join(t.TempDir(), "data"), hold: map[env.OpID]chan struct{}{}, held: make(chan struct{}, 10), news: make(chan struct{}, 1000)}
	d, err := Open(r.dir, c, func(c Completion) {
		if gate := r.hold[c.ID]; gate != nil {
			r.held <- struct{}{}
			<-gate
		}
		r.mu.Lock()
		r.came = append(r.came, c)
		r.mu.Unlock()
		r.news <- struct{}{}
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Disk = d
	return r
}

// await returns the first n completions.
func (r *rig) await(t *testing.T, n int) []Completion {
	t.Helper()
	for ; r.count < n; r.count++ {
		select {
		case <-r.news:
		case <-time.After(10 * time.Second):
			t.Fatalf("only %d of %d operations completed", r.count, n)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.came)
}

func TestAStalledFileHoldsUpNoOther(t *testing.T) {
	r := newRig(t, Config{})
	defer r.Close()
	r.Submit(env.Op{Kind: env.OpMkdir, Path: "x"})
	r.Submit(env.Op{Kind: env.OpMkdir, Path: "y"})
	r.await(t, 2)
	gate := make(chan struct{})
	r.hold[1] = gate
	r.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: "x/f", ID: 1})
	r.Submit(env.Op{Kind: env.OpAppend, File: 1, Data: []byte("x"), ID: 2}) // behind it: same handle
	r.Submit(env.Op{Kind: env.OpMkdir, Path: "x/d", ID: 3})                 // behind it: same directory
	r.Submit(env.Op{Kind: env.OpCreate, File: 2, Path: "y/f", ID: 4})
	r.Submit(env.Op{Kind: env.OpSync, File: 2, ID: 5})
	var free []env.OpID
	for _, c := range r.await(t, 4)[2:] {
		free = append(free, c.ID)
	}
	if !slices.Equal(free, []env.OpID{4, 5}) {
		t.Errorf("while x stalls, %v complete, want [4 5]", free)
	}
	close(gate)
	order := map[env.OpID]int{}
	for i, c := range r.await(t, 7) {
		order[c.ID] = i
	}
	if order[2] < order[1] || order[3] < order[1] {
		t.Errorf("the order was %v", order)
	}
}

func TestCloseDoesWhatIsUnderWayAndNothingElse(t *testing.T) {
	r := newRig(t, Config{Workers: 1})
	gate := make(chan struct{})
	r.hold[1] = gate
	r.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: "f", ID: 1})
	r.Submit(env.Op{Kind: env.OpAppend, File: 1, Data: []byte("late"), ID: 2})
	<-r.held // it is under way
	closed := make(chan error)
	go func() { closed <- r.Close() }()
	for isOpen := true; isOpen; { // until Close has begun
		r.Disk.mu.Lock()
		isOpen = !r.Disk.closed
		r.Disk.mu.Unlock()
	}
	r.Submit(env.Op{Kind: env.OpMkdir, Path: "d", ID: 3})
	close(gate)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(filepath.Join(r.dir, "f"))
	if err != nil || len(data) != 0 {
		t.Errorf("the file has %q, %v; what waited was done", data, err)
	}
	if len(r.came) != 1 {
		t.Errorf("completed: %v", r.came)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "d")); err == nil {
		t.Error("a closed disk made a directory")
	}
}

func TestPathsStayInside(t *testing.T) {
	r := newRig(t, Config{})
	defer r.Close()
	outside := filepath.Join(filepath.Dir(r.dir), "outside")
	if err := os.WriteFile(outside, []byte("not yours"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(r.dir, "link")); err != nil {
		t.Fatal(err)
	}
	ops := []env.Op{
		{Kind: env.OpOpen, File: 1, Path: "../outside"},
		{Kind: env.OpOpen, File: 2, Path: "link"},
		{Kind: env.OpCreate, File: 3, Path: "../created"},
		{Kind: env.OpRemove, Path: "../outside"},
		{Kind: env.OpMkdir, Path: "d/../../made"},
		{Kind: env.OpSyncDir, Path: ".."},
		{Kind: env.OpOpen, File: 4, Path: outside}, // a leading slash is the root of the disk
	}
	for i, op := range ops {
		op.ID = env.OpID(i)
		r.Submit(op)
	}
	for _, c := range r.await(t, len(ops)) {
		if c.Err == env.OK {
			t.Errorf("%s of %q succeeds", ops[c.ID].Kind, ops[c.ID].Path)
		}
	}
	if names, err := r.List(".."); names != nil || err == nil {
		t.Errorf("above the root is %q", names)
	}
	entries, _ := os.ReadDir(filepath.Dir(r.dir))
	if len(entries) != 2 {
		t.Errorf("beside the root there is now %v", entries)
	}
}

func TestADirectoryThatCannotBeListedIsNotMissing(t *testing.T) {
	r := newRig(t, Config{})
	defer r.Close()
	if names, err := r.List("nothing"); names != nil || err != nil {
		t.Errorf("what is missing lists %q, %v", names, err)
	}
	if err := os.Symlink("loop", filepath.Join(r.dir, "loop")); err != nil {
		t.Fatal(err)
	}
	if names, err := r.List("loop"); err == nil {
		t.Errorf("a directory that cannot be opened lists %q", names)
	}
}

func TestRemovedFilesAreKeptForAnObserver(t *testing.T) {
	keep := t.TempDir()
	r := newRig(t, Config{Keep: keep})
	defer r.Close()
	n := 0
	for round := range 2 {
		for _, op := range []env.Op{
			{Kind: env.OpMkdir, Path: "d"},
			{Kind: env.OpCreate, File: 1, Path: "d/f"},
			{Kind: env.OpAppend, File: 1, Data: fmt.Append(nil, "content ", round)},
			{Kind: env.OpClose, File: 1},
			{Kind: env.OpRemove, Path: "d/f"},
			{Kind: env.OpRemove, Path: "d"},
		} {
			r.Submit(op)
			n++
			if c := r.await(t, n)[n-1]; c.Err != env.OK {
				t.Fatalf("%s: %v", op.Kind, c.Err)
			}
		}
	}
	kept, _ := filepath.Glob(filepath.Join(keep, "d", "f", "*"))
	var contents []string
	for _, path := range kept {
		data, _ := os.ReadFile(path)
		contents = append(contents, string(data))
	}
	if got := strings.Join(contents, ", "); got != "content 0, content 1" {
		t.Errorf("kept %q", got)
	}
	if names, err := r.List(""); err != nil || len(names) != 0 {
		t.Errorf("the machine sees %q, %v", names, err)
	}
}

// sizeOnDisk is the size of the file f for another process.
func (r *rig) sizeOnDisk(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(r.dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestZerosAheadAreForLogsAndNobodySeesThem(t *testing.T) {
	const ahead = 1 << 12
	for _, c := range []struct {
		name    string
		ops     []env.Op
		content string // for the machine
		onDisk  int64
	}{
		{"a file written once has none", []env.Op{{Kind: env.OpAppend, Data: []byte("abc")}, {Kind: env.OpAppend, Data: []byte("def")}, {Kind: env.OpSync}}, "abcdef", 6},
		{"an append after a sync gets them", []env.Op{{Kind: env.OpSync}, {Kind: env.OpAppend, Data: []byte("abc")}}, "abc", ahead},
		{"the next one lies over them", []env.Op{{Kind: env.OpSync}, {Kind: env.OpAppend, Data: []byte("abc")}, {Kind: env.OpAppend, Data: []byte("def")}}, "abcdef", ahead},
		{"more when they are used up", []env.Op{{Kind: env.OpSync}, {Kind: env.OpAppend, Data: []byte("abc")}, {Kind: env.OpAppend, Data: make([]byte, ahead)}}, "abc" + string(make([]byte, ahead)), 2 * ahead},
		{"a long append needs none", []env.Op{{Kind: env.OpSync}, {Kind: env.OpAppend, Data: make([]byte, 2*ahead)}}, string(make([]byte, 2*ahead)), 2 * ahead},
		{"a cut takes them", []env.Op{{Kind: env.OpSync}, {Kind: env.OpAppend, Data: []byte("abc")}, {Kind: env.OpTruncate, Length: 1}}, "a", 1},
		{"a cut beyond the end is none", []env.Op{{Kind: env.OpSync}, {Kind: env.OpAppend, Data: []byte("abc")}, {Kind: env.OpTruncate, Length: 9}}, "abc", ahead},
		{"a write behind them makes them content", []env.Op{{Kind: env.OpSync}, {Kind: env.OpAppend, Data: []byte("abc")}, {Kind: env.OpWrite, Offset: 5, Data: []byte("f")}}, "abc\x00\x00f", ahead},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{Reserve: ahead})
			defer r.Close()
			r.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: "f"})
			for _, op := range c.ops {
				op.File = 1
				r.Submit(op)
			}
			r.Submit(env.Op{Kind: env.OpRead, File: 1, Length: 4 * ahead})
			came := r.await(t, len(c.ops)+2)
			if got := string(came[len(came)-1].Data); got != c.content {
				t.Errorf("the machine reads %.20q (%d bytes), want %.20q (%d)", got, len(got), c.content, len(c.content))
			}
			if got := r.sizeOnDisk(t); got != c.onDisk {
				t.Errorf("the file is %d bytes, want %d", got, c.onDisk)
			}
			r.Submit(env.Op{Kind: env.OpClose, File: 1})
			r.await(t, len(c.ops)+3)
			if got := r.sizeOnDisk(t); got != int64(len(c.content)) {
				t.Errorf("after the close the file is %d bytes, want %d", got, len(c.content))
			}
		})
	}
}

// By default a log has zeros ahead: as many as it has bytes, at least a page, at most DefaultReserve.
func TestZerosAheadGrowWithTheLog(t *testing.T) {
	for _, c := range []struct{ size, onDisk int64 }{
		{0, page}, {100, 100 + page}, {3 * page, 6 * page}, {2 * DefaultReserve, 3 * DefaultReserve},
	} {
		r := newRig(t, Config{})
		r.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: "f"})
		r.Submit(env.Op{Kind: env.OpAppend, File: 1, Data: make([]byte, c.size)})
		r.Submit(env.Op{Kind: env.OpSync, File: 1})
		r.Submit(env.Op{Kind: env.OpAppend, File: 1, Data: []byte("abc")})
		r.await(t, 4)
		if got := r.sizeOnDisk(t); got != c.onDisk {
			t.Errorf("a log of %d bytes lies in %d, want %d", c.size, got, c.onDisk)
		}
		if err := r.Close(); err != nil { // as a death does: it takes nothing away
			t.Fatal(err)
		}
		if got := r.sizeOnDisk(t); got != c.onDisk {
			t.Errorf("after a death a log of %d bytes lies in %d, want %d", c.size, got, c.onDisk)
		}
	}
}

func TestACloseComesBeforeWhatTheDirectoryIsAskedNext(t *testing.T) {
	r := newRig(t, Config{Reserve: 1 << 12})
	defer r.Close()
	gate := make(chan struct{})
	r.hold[3] = gate
	r.Submit(env.Op{Kind: env.OpMkdir, Path: "x", ID: 1})
	r.Submit(env.Op{Kind: env.OpCreate, File: 1, Path: "x/old", ID: 2})
	r.Submit(env.Op{Kind: env.OpAppend, File: 1, Data: []byte("a"), ID: 3})
	r.Submit(env.Op{Kind: env.OpClose, File: 1, ID: 4})
	r.Submit(env.Op{Kind: env.OpCreate, File: 2, Path: "x/new", ID: 5})
	r.Submit(env.Op{Kind: env.OpMkdir, Path: "y", ID: 6})
	r.await(t, 3) // 1, 2 and 6
	close(gate)
	order := map[env.OpID]int{}
	for i, c := range r.await(t, 6) {
		order[c.ID] = i
	}
	if order[5] < order[4] {
		t.Errorf("the new file is there before the old one is closed: %v", order)
	}
}
