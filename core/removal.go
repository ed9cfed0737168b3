package core

import (
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
)

// removal removes the files of dropped tenants, one tenant after the other and one operation at a
// time, so that it costs the other tenants as little as possible. It works in the tenant's own
// directory only. Every step begins with a listing of the directory, so that a start after a crash
// continues from there.
//
//	tenants/{tenant}/wal            is renamed, durably, to
//	tenants/{tenant}/trash          its files are removed one by one,
//	tenants/{tenant}                and then the directories themselves
type removal struct {
	waiting []tenant.ID  // the first one is under way
	list    diskops.List // of the step under way
	number  uint64       // of the operation, in this incarnation

	// paused: an operation failed; the removal goes on when removalTimer fires. The disk may remove
	// later a file that it does not remove now, and until then bytes of a dropped tenant are there.
	paused bool
	wait   diskops.Pause // the last pause; 0: there was none since something was removed
}

// removalTimer lets a removal go on.
const removalTimer env.TimerID = 4

// keyRemoval is the kind of the keys of a removal's operations, plus the
// operation's kind.
const keyRemoval uint16 = 0x1c0

// trashDir returns the directory where the data of a dropped tenant waits for its removal.
func trashDir(id tenant.ID) string { return wal.TenantDir(id) + "/trash" }

// remove removes the files of a tenant. Its tombstone must be durable.
func (n *Node) remove(id tenant.ID) {
	r := &n.removal
	if r.paused && slices.Contains(r.waiting, id) { // the disk may be able to remove it by now
		n.resumeRemoval()
		return
	}
	r.waiting = append(r.waiting, id)
	if len(r.waiting) == 1 {
		n.beginRemoval()
	}
}

func (n *Node) beginRemoval() {
	n.hitTenant(fault.TenantRemoving, n.removal.waiting[0], 0)
	n.lookAtRemoval()
}

// lookAtRemoval lists the tenant's directory and decides about the next step.
func (n *Node) lookAtRemoval() {
	r := &n.removal
	id := r.waiting[0]
	home, trash := wal.TenantDir(id), trashDir(id)
	rest := n.env.List(home)
	switch {
	case slices.Contains(rest, "trash/"):
		n.emptyTrash(trash)
	case slices.Contains(rest, "wal/"):
		r.list.Add(
			env.Op{Kind: env.OpRename, Path: wal.WALDir(id), To: trash},
			env.Op{Kind: env.OpSyncDir, Path: home})
	case slices.Contains(n.env.List(wal.TenantsDir), id.String()+"/"):
		r.list.Add(
			env.Op{Kind: env.OpRemove, Path: home},
			env.Op{Kind: env.OpSyncDir, Path: wal.TenantsDir})
	default:
		n.endRemoval()
		return
	}
	n.removalTurn(r.list.Start())
}

// emptyTrash removes the files of every slot, then the directories.
func (n *Node) emptyTrash(trash string) {
	r := &n.removal
	for _, slot := range n.env.List(trash) {
		dir := trash + "/" + strings.TrimSuffix(slot, "/")
		for _, name := range n.env.List(dir) {
			r.list.Add(env.Op{Kind: env.OpRemove, Path: dir + "/" + name})
		}
		r.list.Add(env.Op{Kind: env.OpRemove, Path: dir})
	}
	r.list.Add(env.Op{Kind: env.OpRemove, Path: trash})
}

func (n *Node) removalTurn(turn diskops.Turn) {
	r := &n.removal
	switch turn {
	case diskops.Submit:
		op := r.list.Op()
		op.Key = env.Key{Kind: keyRemoval + uint16(op.Kind), A: uint64(r.waiting[0]), B: r.number}
		if op.Path == wal.TenantsDir { // it belongs to no tenant
			op.Key.A, op.Key.B = nobody, uint64(r.waiting[0])
		}
		r.list.Submit(n.env, diskops.Name{Purpose: stepRemove, Number: uint32(r.number)}.ID())
		r.number++
	case diskops.Ended:
		n.lookAtRemoval()
	case diskops.Failed:
		r.list.Clear()
		n.pauseRemoval()
	}
}

func (n *Node) removalDone(ev *env.Event) {
	turn := n.removal.list.Done(ev)
	if turn == diskops.Failed && ev.Err == env.NotExist { // the next listing finds the rest
		turn = n.removal.list.Tolerate()
	}
	n.removalTurn(turn)
}

// pauseRemoval continues the removal later, with another tenant if others wait: the disk may not be
// able to remove the files of this one for long.
func (n *Node) pauseRemoval() {
	r := &n.removal
	if slices.Contains(r.waiting[1:], r.waiting[0]) { // it is to be removed again anyway
		n.nextRemoval()
		return
	}
	r.waiting = append(r.waiting[1:], r.waiting[0])
	r.paused = true
	n.env.SetTimer(removalTimer, n.env.Now().Add(r.wait.Longer()))
}

// resumeRemoval goes on after a pause.
func (n *Node) resumeRemoval() {
	if n.removal.paused {
		n.removal.paused = false
		n.beginRemoval()
	}
}

func (n *Node) endRemoval() {
	n.removal.wait = 0
	n.hitTenant(fault.TenantRemoved, n.removal.waiting[0], 0)
	n.nextRemoval()
}

func (n *Node) nextRemoval() {
	r := &n.removal
	r.waiting = r.waiting[:copy(r.waiting, r.waiting[1:])]
	if len(r.waiting) > 0 {
		n.beginRemoval()
	}
}

// hitTenant announces a moment in a tenant's life.
func (n *Node) hitTenant(p env.Point, id tenant.ID, version uint64) {
	fault.Hit(n.env, p, env.Key{A: uint64(id), B: version})
}
