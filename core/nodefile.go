package core

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/wal"
)

// nodeFile is the handle of the node file.
const nodeFile = env.File(1)

// The purposes of the node's own disk operations, as their names have them (diskops.Name).
const (
	stepMkdir   uint8  = iota + 1 // the root's sync, after the directory of tenants was made
	stepOpen                      // the node file, which may not exist
	stepRead                      // the node file
	stepWrite                     // an operation of the list that writes the node file
	stepRemove                    // an operation of the removal under way
	stepSwept                     // the removal of an empty directory
	stepIgnore                    // success or failure does not matter
	stepTenants                   // the making of the directory of tenants, which may exist
	stepLeave                     // the removal of a slot that others hold now
	stepMeta    = 0xfe            // any operation of the meta log, which has one under way at a time
)

// stepNames describes the steps that end the process if they fail.
var stepNames = [...]string{
	stepMkdir: "syncing the node's root directory", stepOpen: "opening the node file", stepRead: "reading the node file",
	stepSwept: "removing an empty directory", stepTenants: "making the directory of tenants",
}

// keyNodeFile is the kind of the keys of operations on node-wide files, plus the
// operation's kind.
const keyNodeFile uint16 = 0x180

// nodeScript is the list of operations that writes the node file.
type nodeScript struct {
	diskops.List
	written uint64 // how often this incarnation has begun to write the file
}

// submit asks for an operation that belongs to no list.
func (n *Node) submit(purpose uint8, op env.Op) {
	op.ID = diskops.Name{Purpose: purpose}.ID()
	op.Key = n.nodeFileKey(op.Kind, op.ID)
	n.env.Submit(op)
}

func (n *Node) nodeFileKey(kind env.OpKind, id env.OpID) env.Key {
	return env.Key{Kind: keyNodeFile + uint16(kind), A: nobody, B: n.script.written<<16 | uint64(id)}
}

// startCatalog begins to read the node file of earlier incarnations.
func (n *Node) startCatalog() {
	// Make the directory anew: if its sync failed, the directory that the disk lists need not be
	// durable.
	//safety:tenants-directory-made-anew by=durable-ack on=disk-trouble
	n.submit(stepIgnore, env.Op{Kind: env.OpRemove, Path: wal.TenantsDir}) // if it is empty; see sweep
	n.submit(stepTenants, env.Op{Kind: env.OpMkdir, Path: wal.TenantsDir})
	n.submit(stepMkdir, env.Op{Kind: env.OpSyncDir, Path: ""})
}

// nodeDone handles the completion of one of the node's own operations.
func (n *Node) nodeDone(ev *env.Event) {
	switch step := diskops.NameOf(ev.Op).Purpose; {
	case step == stepIgnore:
	case step == stepLeave:
		n.leavingDone(ev)
	case step == stepRemove:
		n.removalDone(ev)
	case step == stepWrite:
		n.scriptDone(ev)
	case step == stepTenants && (ev.Err == env.OK || ev.Err == env.Exist):
	case step == stepOpen && ev.Err == env.NotExist:
		n.identify()
	case ev.Err != env.OK: // without the directory of tenants every slot would stop
		n.env.Halt(fmt.Sprintf("%s: %v; check the disk, then start the node again", stepNames[step], ev.Err))
	case step == stepSwept:
		n.swept()
	case step == stepMkdir:
		n.submit(stepOpen, env.Op{Kind: env.OpOpen, File: nodeFile, Path: nodeName})
	case step == stepOpen:
		n.submit(stepRead, env.Op{Kind: env.OpRead, File: nodeFile, Length: ev.N})
		n.submit(stepIgnore, env.Op{Kind: env.OpClose, File: nodeFile})
	case step == stepRead:
		catalog, err := DecodeCatalog(ev.Data)
		if err != nil {
			n.fail(err)
			return
		}
		n.catalog = catalog
		n.identify()
	}
}

// scriptCatalog makes the list that replaces the node file: a new file under a
// temporary name, synced, renamed, and the directory synced.
func (n *Node) scriptCatalog(c *Catalog) {
	s := &n.script
	s.written++
	s.Add(
		env.Op{Kind: env.OpRemove, Path: nodeTemp},
		env.Op{Kind: env.OpCreate, File: nodeFile, Path: nodeTemp},
		env.Op{Kind: env.OpAppend, File: nodeFile, Data: c.Append(nil)},
		env.Op{Kind: env.OpSync, File: nodeFile},
		env.Op{Kind: env.OpClose, File: nodeFile},
		env.Op{Kind: env.OpRename, Path: nodeTemp, To: nodeName},
		env.Op{Kind: env.OpSyncDir, Path: ""})
}

// runScript begins the list; after its last operation the content is durable.
func (n *Node) runScript() { n.scriptTurn(n.script.Start()) }

func (n *Node) scriptTurn(turn diskops.Turn) {
	s := &n.script
	switch turn {
	case diskops.Submit:
		id := diskops.Name{Purpose: stepWrite, Number: s.Number()}.ID()
		s.Op().Key = n.nodeFileKey(s.Kind(), id)
		s.Submit(n.env, id)
	case diskops.Ended:
		n.catalogDurable()
	}
}

func (n *Node) scriptDone(ev *env.Event) {
	turn := n.script.Done(ev)
	if turn == diskops.Failed {
		n.scriptFailed(ev.Err)
		return
	}
	n.scriptTurn(turn)
}

// scriptFailed gives the file up if the disk has no room for it and the node can try again later.
// Any other failure ends the process: after a failed sync the content of the disk is unknown.
func (n *Node) scriptFailed(err env.Errno) {
	names, adopts := n.identity.writing, len(n.adopting) > 0
	if err != env.NoSpace || !names && !adopts {
		n.env.Halt(fmt.Sprintf("node file: %s: %v", n.script.Kind(), err))
		return
	}
	// No later start can see any of this yet.
	n.submit(stepIgnore, env.Op{Kind: env.OpClose, File: nodeFile})
	n.submit(stepIgnore, env.Op{Kind: env.OpRemove, Path: nodeTemp})
	n.script.Clear()
	if names {
		n.identity.again = true // the next tick tries again
		return
	}
	n.adopting, n.unadopted = n.adopting[:0], true // the next message, or tick, tries again
}

// catalogDurable continues the work that waited for the node file.
func (n *Node) catalogDurable() {
	if n.identity.writing {
		n.identityDurable()
		return
	}
	n.adopted() // also if the node has released all these shards meanwhile
}
