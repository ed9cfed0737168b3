package core

import (
	"strings"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/wal"
)

// A directory is made durable by a sync of the one above it, and if that fails,
// nobody knows whether a later one makes up for it (docs/decisions/0008-failed-fsync.md).
// Nothing is put into a directory before its sync succeeded, so one that is empty at
// a start may be such a one: it is removed, and made anew when it is needed.

// sweep removes empty directories, the deepest first, and then opens the slots.
func (n *Node) sweep() {
	empty := emptyBelow(n.env, wal.TenantsDir, nil)
	n.sweeping = len(empty)
	for i, dir := range empty {
		owner, _ := wal.TenantOfPath(dir)
		key := env.Key{Kind: keyNodeFile + uint16(env.OpRemove), A: uint64(owner), B: uint64(i)}
		n.env.Submit(env.Op{Kind: env.OpRemove, Path: dir, ID: diskops.Name{Purpose: stepSwept}.ID(), Key: key})
	}
	if n.sweeping == 0 {
		n.openSlots()
	}
}

// swept goes on when one of the directories is removed.
func (n *Node) swept() {
	if n.sweeping--; n.sweeping == 0 {
		n.sweep()
	}
}

// emptyBelow appends the paths of the directories below dir that hold nothing.
func emptyBelow(e env.Env, dir string, list []string) []string {
	for _, name := range e.List(dir) {
		name, isDir := strings.CutSuffix(name, "/")
		if !isDir {
			continue
		}
		path := dir + "/" + name
		if len(e.List(path)) == 0 {
			// A directory that is seen need not be durable; one that is empty holds nothing.
			//safety:empty-directories-made-anew by=durable-ack on=disk-trouble
			list = append(list, path)
			continue
		}
		list = emptyBelow(e, path, list)
	}
	return list
}
