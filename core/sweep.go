package core

import (
	"strings"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/wal"
)

// A sync of the directory above makes a directory durable. If that sync fails, a later one may not
// make up for it (docs/decisions/0008-failed-fsync.md). The node puts nothing into a directory
// before the sync has succeeded. So the sync of a directory that is empty at a start may have
// failed: the node removes the directory, and makes it again when it needs it.

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

// swept counts the removals, and sweeps again after the last one.
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
			// A directory that the disk lists need not be durable; an empty one holds nothing.
			//safety:empty-directories-made-anew by=durable-ack on=disk-trouble
			list = append(list, path)
			continue
		}
		list = emptyBelow(e, path, list)
	}
	return list
}
