package core

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
)

// The purposes of the node's own disk operations, in the lower 8 bits of their
// IDs; above them is a number that tells operations of one purpose apart.
const (
	nodeFile = env.File(1)

	stepMkdir   env.OpID = iota // the root's sync, after the directory of tenants was made
	stepOpen                    // the node file, which may not exist
	stepRead                    // the node file
	stepWrite                   // an operation of the script that writes the node file
	stepRemove                  // an operation of the removal under way
	stepSwept                   // the removal of an empty directory
	stepIgnore                  // success or failure does not matter
	stepTenants                 // the making of the directory of tenants, which may exist
	stepLeave                   // the removal of a slot that others hold now
	purposeMask = 0xff
)

// stepNames says, of the steps whose failure ends the process, what was tried.
var stepNames = [...]string{
	stepMkdir: "syncing the node's root directory", stepOpen: "opening the node file", stepRead: "reading the node file",
	stepSwept: "removing an empty directory", stepTenants: "making the directory of tenants",
}

// keyNodeFile is the kind of the keys of operations on node-wide files, plus the
// operation's kind.
const keyNodeFile uint16 = 0x180

// nodeScript is the list of operations that writes the node file, done one after
// the other.
type nodeScript struct {
	ops     []env.Op
	next    int
	written uint64 // how often the file was begun to be written in this incarnation
}

func (n *Node) submit(op env.Op) {
	op.Key = env.Key{
		Kind: keyNodeFile + uint16(op.Kind),
		A:    uint64(tenant.Reserved), B: n.script.written<<16 | uint64(op.ID),
	}
	n.env.Submit(op)
}

// startCatalog begins to read the node file of earlier incarnations.
func (n *Node) startCatalog() {
	// A name whose sync may have failed is made anew: what is seen need not be durable.
	//safety:tenants-directory-made-anew by=durable-ack on=disk-trouble
	n.submit(env.Op{Kind: env.OpRemove, Path: wal.TenantsDir, ID: stepIgnore}) // if it is empty; see sweep
	n.submit(env.Op{Kind: env.OpMkdir, Path: wal.TenantsDir, ID: stepTenants})
	n.submit(env.Op{Kind: env.OpSyncDir, Path: "", ID: stepMkdir})
}

// nodeDone goes on when one of the node's own operations is done.
func (n *Node) nodeDone(ev *env.Event) {
	switch step := ev.Op & purposeMask; {
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
		n.submit(env.Op{Kind: env.OpOpen, File: nodeFile, Path: nodeName, ID: stepOpen})
	case step == stepOpen:
		n.submit(env.Op{Kind: env.OpRead, File: nodeFile, Length: ev.N, ID: stepRead})
		n.submit(env.Op{Kind: env.OpClose, File: nodeFile, ID: stepIgnore})
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

// countEpochs counts up the epoch of every shard here and writes the node file.
func (n *Node) countEpochs() {
	for i := range n.cluster.Placements {
		if p := &n.cluster.Placements[i]; p.Node == n.env.Self() {
			n.catalog.lead(p.Shard)
		}
	}
	for i := range n.catalog.epochs {
		// No two starts lead a shard in one epoch.
		//safety:epoch-counted by=no-loss on=crash-restart
		n.catalog.epochs[i].epoch++
	}
	n.scriptCatalog(&n.catalog)
	n.runScript()
}

// scriptCatalog makes the script that replaces the node file: a new file under a
// temporary name, synced, renamed, and the directory synced.
func (n *Node) scriptCatalog(c *Catalog) {
	s := &n.script
	s.written++
	s.ops = append(s.ops,
		env.Op{Kind: env.OpRemove, Path: nodeTemp},
		env.Op{Kind: env.OpCreate, File: nodeFile, Path: nodeTemp},
		env.Op{Kind: env.OpAppend, File: nodeFile, Data: c.Append(nil)},
		env.Op{Kind: env.OpSync, File: nodeFile},
		env.Op{Kind: env.OpClose, File: nodeFile},
		env.Op{Kind: env.OpRename, Path: nodeTemp, To: nodeName},
		env.Op{Kind: env.OpSyncDir, Path: ""})
}

// runScript does the next operation; after the last the content is durable.
func (n *Node) runScript() {
	s := &n.script
	if s.next == len(s.ops) {
		s.ops, s.next = s.ops[:0], 0
		n.catalogDurable()
		return
	}
	op := s.ops[s.next]
	op.ID = stepWrite | env.OpID(s.next)<<8
	n.submit(op)
}

func (n *Node) scriptDone(ev *env.Event) {
	s := &n.script
	kind := s.ops[s.next].Kind
	switch {
	case ev.Err == env.OK, kind == env.OpRemove && ev.Err == env.NotExist:
		s.next++
		n.runScript()
	case n.identity.writing && n.sharing != nil && ev.Err == env.NoSpace:
		n.submit(env.Op{Kind: env.OpClose, File: nodeFile, ID: stepIgnore})
		n.submit(env.Op{Kind: env.OpRemove, Path: nodeTemp, ID: stepIgnore})
		s.ops, s.next = s.ops[:0], 0
		n.identity.again = true // the next tick tries again
	case (n.writing != nil || n.sharing != nil && len(n.adopting) > 0) && ev.Err == env.NoSpace:
		// Nothing happened yet that another start could see.
		n.submit(env.Op{Kind: env.OpClose, File: nodeFile, ID: stepIgnore})
		n.submit(env.Op{Kind: env.OpRemove, Path: nodeTemp, ID: stepIgnore})
		s.ops, s.next = s.ops[:0], 0
		if n.writing == nil {
			n.adopting, n.unadopted = n.adopting[:0], true // the next message, or tick, tries again
			return
		}
		n.abandonChange()
	default: // after a failed sync nobody knows what the disk holds
		n.env.Halt(fmt.Sprintf("node file: %s: %v", kind, ev.Err))
	}
}

// catalogDurable goes on with what the node file was written for.
func (n *Node) catalogDurable() {
	if n.identity.writing {
		n.identityDurable()
		return
	}
	if n.sharing != nil { // also if all that it was written for was let go meanwhile
		n.adopted()
		return
	}
	if n.writing == nil {
		n.sweep()
		return
	}
	n.changed()
}
