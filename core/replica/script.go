package replica

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
)

// The script is the replica's list of disk operations, beside those of its batches. One script runs
// at a time; advance decides what follows it.

// scriptAdd appends an operation to the script.
func (r *Replica) scriptAdd(op env.Op) {
	if !r.script.HasRoom() {
		r.script.Borrow(borrow(&r.memory.scripts, usualScript))
	}
	op.Key.Kind += uint16(op.Kind)
	r.script.Add(op)
}

// run starts the script; an empty one ends at once.
func (r *Replica) run(e env.Env) { r.scriptTurn(e, r.script.Start()) }

func (r *Replica) scriptTurn(e env.Env, turn diskops.Turn) {
	switch turn {
	case diskops.Submit:
		r.script.Submit(e, r.operation(forScript, r.script.Number()))
	case diskops.Ended:
		r.memory.giveScript(r.script.GiveBack())
		r.advance(e)
	}
}

func (r *Replica) scriptDone(e env.Env, ev *env.Event) {
	turn := r.script.Done(ev)
	if turn == diskops.Failed {
		r.scriptFailed(e, ev.Err)
		return
	}
	r.scriptTurn(e, turn)
}

// scriptFailed stops the slot, or waits for room on the disk: the failed operation did nothing, and
// Resume repeats it.
func (r *Replica) scriptFailed(e env.Env, err env.Errno) {
	op := *r.script.Op()
	isSync := op.Kind == env.OpSync || op.Kind == env.OpSyncDir
	switch {
	case err == env.NoSpace && r.abandonSnapshot(e, op.Kind):
		return
	// An operation from before the stop has created a file since.
	case err == env.NotEmpty && r.phase == Refetching:
		r.script.Clear()
		r.beginRefetch(e)
		return
	case err == env.NoSpace && (r.phase < Starting || r.phase > Stopped) && !isSync:
		r.script.Wait()
		return
	}
	number, of := r.script.At()
	r.stop(fmt.Errorf("%s in %s, step %d of %d while %v: %w", op.Kind, r.dir(), number, of, r.phase, err))
	r.doubted = r.doubted || op.Kind == env.OpSyncDir
	if op.Kind == env.OpSyncDir && op.Path != r.dir() {
		// Other slots use this directory too. They would trust their next sync, although this
		// failed one has dropped their changes.
		//safety:shared-directory-halts by=durable-ack on=disk-trouble
		e.Halt(r.failure.Error())
	}
}

// WaitsForRoom reports whether the slot cannot continue because the disk is full. Resume tries
// again.
func (r *Replica) WaitsForRoom() bool {
	return r.script.Waits() || r.stuck
}

// Resume repeats the step that WaitsForRoom reports; otherwise it does nothing.
func (r *Replica) Resume(e env.Env) {
	switch {
	case !r.WaitsForRoom():
	case r.script.Waits():
		r.scriptTurn(e, diskops.Submit)
	default:
		r.tryAgain(e)
	}
}

// at returns a step on path; b tells steps of one kind apart in keys. The directory of all tenants
// belongs to no tenant, so its key has the reserved one.
func (r *Replica) at(e env.Env, kind env.OpKind, path string, b uint64) env.Op {
	op := env.Op{Kind: kind, Path: path, Key: r.key(e, keyScript, b)}
	if path == wal.TenantsDir {
		op.Key.A, op.Key.B = uint64(tenant.Reserved), uint64(r.config.Identity.Tenant)
	}
	return op
}

// scriptWrite adds the steps that write a synced file under a temporary name.
func (r *Replica) scriptWrite(e env.Env, path string, data []byte, b uint64) {
	temp := path + wal.TempSuffix
	r.scriptAdd(r.at(e, env.OpRemove, temp, b))
	create := r.at(e, env.OpCreate, temp, b)
	create.File = r.file(2)
	r.scriptAdd(create)
	key := r.key(e, keyScript, b)
	r.scriptAdd(env.Op{Kind: env.OpAppend, File: r.file(2), Data: data, Key: key})
	// A final name must never stand for a partial file.
	//safety:file-synced-before-rename by=liveness on=crash-restart
	r.scriptAdd(env.Op{Kind: env.OpSync, File: r.file(2), Key: key})
	r.scriptAdd(env.Op{Kind: env.OpClose, File: r.file(2), Key: key})
}

// scriptRename adds the step that renames a synced temporary file into place.
func (r *Replica) scriptRename(e env.Env, path string, b uint64) {
	rename := r.at(e, env.OpRename, path+wal.TempSuffix, b)
	rename.To = path
	r.scriptAdd(rename)
}

// scriptName adds the steps that rename a synced temporary file into place, durably.
func (r *Replica) scriptName(e env.Env, path string, b uint64) {
	r.scriptRename(e, path, b)
	// A crash may undo a rename that is not durable.
	//safety:directory-sync-after-rename by=liveness on=crash-restart
	r.scriptAdd(r.at(e, env.OpSyncDir, r.dir(), b))
}
