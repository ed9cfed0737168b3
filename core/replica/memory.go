package replica

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/wal"
)

// Memory is a pool of buffers for the replicas of a node. A node has many replicas, few of them
// work at a time, and an idle replica holds no buffers. The zero value is ready. The node calls its
// replicas one at a time.
type Memory struct {
	done    []Pending // records to answer after the last call of any replica; for its caller
	header  []byte    // of the newest segment
	lists   [][]Pending
	buffers [][]byte
	scripts [][]env.Op

	constants *Constants // of the replica that was made last

	paths    [32]path // recently used paths: an idle replica stores no names
	nextPath int      // the entry to replace next
}

// path is the path of a log's directory or of a file in it.
type path struct {
	of   wal.Identity
	file file
	text string // "": the entry is unused
}

// file is a file in a log's directory; the zero value is the directory itself.
type file struct {
	kind  fileKind
	first lineage.Seq   // first seq of a segment; seq of a snapshot
	shard lineage.Shard // of a segment: the shard that began it
}

type fileKind uint8

const (
	segmentFile fileKind = iota + 1
	snapshotFile
)

// path returns the path of a file of a log.
func (m *Memory) path(of *wal.Identity, f file) string {
	for i := range m.paths {
		if p := &m.paths[i]; p.file == f && p.text != "" && p.of == *of {
			return p.text
		}
	}
	p := &m.paths[m.nextPath]
	m.nextPath = (m.nextPath + 1) % len(m.paths)
	*p = path{*of, f, f.in(of)}
	return p.text
}

// in returns the path of a file.
func (f file) in(of *wal.Identity) string {
	var buf [128]byte // one allocation
	dir := of.AppendDir(buf[:0])
	switch f.kind {
	case segmentFile:
		dir = wal.AppendSegmentName(append(dir, '/'), f.shard, f.first)
	case snapshotFile:
		dir = append(append(dir, '/'), wal.SnapshotName(f.first)...)
	}
	return string(dir)
}

// constantsOf returns a shared copy of equal constants.
func (m *Memory) constantsOf(c *Constants) *Constants {
	if m.constants == nil || *m.constants != *c {
		kept := *c
		m.constants = &kept
	}
	return m.constants
}

// Bounds of the free lists.
const (
	keptFree = 64        // lists of each kind
	keptSize = 128 << 10 // bytes of one, about
)

// borrow returns an empty list from the pool, or a new one with this capacity.
func borrow[T any](free *[][]T, room int) []T {
	n := len(*free)
	if n == 0 {
		return make([]T, 0, room)
	}
	list := (*free)[n-1]
	*free = (*free)[:n-1]
	return list
}

// giveBack returns a list, with entries of size bytes, to the pool. Its caller no longer uses it.
func giveBack[T any](free *[][]T, list []T, size int) {
	if cap(list) > 0 && cap(list)*size <= keptSize && len(*free) < keptFree {
		*free = append(*free, list[:0])
	}
}

const (
	pendingSize = 288 // bytes, about
	opSize      = 112
)

// Usual capacities.
const (
	usualBuffer = 512 // bytes
	usualList   = 4
	usualScript = 8
)

func (m *Memory) giveList(list []Pending) { giveBack(&m.lists, list, pendingSize) }
func (m *Memory) giveBuffer(b []byte)     { giveBack(&m.buffers, b, 1) }

// giveScript returns the memory of a script to the pool. The script has cleared it.
func (m *Memory) giveScript(ops []env.Op) { giveBack(&m.scripts, ops, opSize) }

// buffer returns the buffer, or one from the pool if it is nil.
func (m *Memory) buffer(b []byte) []byte {
	if b == nil {
		b = borrow(&m.buffers, usualBuffer)
	}
	return b
}

// extendPending adds a zero entry to a list, which it borrows first if needed, and returns the
// entry.
func (m *Memory) extendPending(list *[]Pending) *Pending {
	if *list == nil {
		*list = borrow(&m.lists, usualList)
	}
	n := len(*list)
	if n < cap(*list) {
		*list = (*list)[:n+1]
		(*list)[n] = Pending{}
	} else {
		*list = append(*list, Pending{})
	}
	return &(*list)[n]
}

// settle returns an empty list to the pool.
func (m *Memory) settle(list *[]Pending) {
	if len(*list) == 0 && *list != nil {
		m.giveList(*list)
		*list = nil
	}
}
