package replica

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/wal"
)

// Memory is what the replicas of a node lend each other, so that one with nothing under
// way need hold none of it: a node has many, and few of them are at work at a time. The zero
// value is ready. Its replicas are told things one at a time.
type Memory struct {
	done    []Pending // answered by the last call to any of them; for its caller
	header  []byte    // of the segment that was begun last
	lists   [][]Pending
	buffers [][]byte
	scripts [][]env.Op

	constants *Constants // of the replica that was made last

	paths    [32]path // that were asked for lately: a replica that rests keeps no names
	nextPath int      // the one that is replaced next
}

// path is the path of a log's directory or of a file in it.
type path struct {
	of   wal.Identity
	file file
	text string // "" if there is none
}

// file is what is in a log's directory; the zero value is the directory.
type file struct {
	kind  fileKind
	first lineage.Seq   // of a segment; of a snapshot, the record that it is at
	shard lineage.Shard // of a segment: that began it
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
	var buf [128]byte // so that it allocates once
	dir := of.AppendDir(buf[:0])
	switch f.kind {
	case segmentFile:
		dir = wal.AppendSegmentName(append(dir, '/'), f.shard, f.first)
	case snapshotFile:
		dir = append(append(dir, '/'), wal.SnapshotName(f.first)...)
	}
	return string(dir)
}

// constantsOf returns constants of which there is one copy, as long as they are equal.
func (m *Memory) constantsOf(c *Constants) *Constants {
	if m.constants == nil || *m.constants != *c {
		kept := *c
		m.constants = &kept
	}
	return m.constants
}

// Bounds of what nobody has borrowed.
const (
	keptFree = 64        // of each kind
	keptSize = 128 << 10 // bytes of one, about
)

// borrow takes an empty list, made with room for so many if there is none.
func borrow[T any](free *[][]T, room int) []T {
	n := len(*free)
	if n == 0 {
		return make([]T, 0, room)
	}
	list := (*free)[n-1]
	*free = (*free)[:n-1]
	return list
}

// giveBack lets others borrow a list of which an entry has so many bytes. Nothing in it
// is used any more.
func giveBack[T any](free *[][]T, list []T, size int) {
	if cap(list) > 0 && cap(list)*size <= keptSize && len(*free) < keptFree {
		*free = append(*free, list[:0])
	}
}

const (
	pendingSize = 288 // bytes, about
	opSize      = 112
)

// What most need.
const (
	usualBuffer = 512 // bytes
	usualList   = 4
	usualScript = 8
)

func (m *Memory) giveList(list []Pending) { giveBack(&m.lists, list, pendingSize) }
func (m *Memory) giveBuffer(b []byte)     { giveBack(&m.buffers, b, 1) }

// giveScript lets others borrow the list of a script. What its steps refer to is not kept
// alive.
func (m *Memory) giveScript(ops []env.Op) {
	clear(ops)
	giveBack(&m.scripts, ops, opSize)
}

// buffer returns a buffer, borrowed if there is none yet.
func (m *Memory) buffer(b []byte) []byte {
	if b == nil {
		b = borrow(&m.buffers, usualBuffer)
	}
	return b
}

// extendPending adds an entry to a list that may not have been borrowed yet, and returns
// it: zero.
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

// settle gives back a list that has nothing in it any more.
func (m *Memory) settle(list *[]Pending) {
	if len(*list) == 0 && *list != nil {
		m.giveList(*list)
		*list = nil
	}
}
