package replica

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
)

// script is a list of disk operations, executed one after the other. One script runs at a time;
// advance decides what follows it.
type script struct {
	ops     []env.Op
	next    uint32
	running bool
	paused  bool  // the disk was full at step next
	life    uint8 // counts the scripts that were abandoned during a step
}

// id names the current step, so that a late completion of an abandoned script does not match.
func (s *script) id() uint32 { return uint32(s.life)<<16 | s.next&0xffff }

// bound reports whether the running script has bound a handle or is about to.
func (s *script) bound(file env.File) (bound bool) {
	if !s.running {
		return false
	}
	for i := range s.ops[:min(int(s.next)+1, len(s.ops))] {
		if op := &s.ops[i]; op.File == file {
			bound = op.Kind != env.OpClose
		}
	}
	return bound
}

// scriptAdd appends an operation to the script.
func (r *Replica) scriptAdd(op env.Op) {
	if r.script.ops == nil {
		r.script.ops = borrow(&r.memory.scripts, usualScript)
	}
	r.script.ops = append(r.script.ops, op)
}

// run starts the script; an empty one ends at once.
func (r *Replica) run(e env.Env) {
	r.script.next, r.script.running, r.script.paused = 0, true, false
	r.stepScript(e)
}

func (r *Replica) stepScript(e env.Env) {
	s := &r.script
	if int(s.next) == len(s.ops) {
		r.memory.giveScript(s.ops)
		s.ops, s.running = nil, false
		r.advance(e)
		return
	}
	op := s.ops[s.next]
	op.ID = env.OpID(uint64(r.config.Index+1)<<32|forScript<<24) | env.OpID(s.id())
	op.Key.Kind += uint16(op.Kind)
	e.Submit(op)
}

func (r *Replica) scriptDone(e env.Env, ev *env.Event) {
	s := &r.script
	if !s.running || uint32(ev.Op&0xffffff) != s.id() {
		return
	}
	if ev.Err != env.OK && !tolerated(s.ops[s.next].Kind, ev.Err) {
		r.scriptFailed(e, &s.ops[s.next], ev.Err)
		return
	}
	s.next++
	r.stepScript(e)
}

// scriptFailed stops the slot, or waits for room on the disk: the failed step did nothing, and
// Resume repeats it.
func (r *Replica) scriptFailed(e env.Env, op *env.Op, err env.Errno) {
	isSync := op.Kind == env.OpSync || op.Kind == env.OpSyncDir
	switch {
	case err == env.NoSpace && r.abandonSnapshot(e, op.Kind):
		return
	// an operation from before the stop has created a file since
	case err == env.NotEmpty && r.phase == Refetching:
		r.script.ops = r.script.ops[:0]
		r.beginRefetch(e)
		return
	case err == env.NoSpace && (r.phase < Starting || r.phase > Stopped) && !isSync:
		r.script.paused = true
		return
	}
	r.stop(fmt.Errorf("%s in %s, step %d of %d while %v: %w", op.Kind, r.dir(), r.script.next+1, len(r.script.ops), r.phase, err))
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
	return r.script.paused || r.stuck || !r.config.Shared && r.phase == Starting && r.flight.waits == 0
}

// Resume repeats the step that WaitsForRoom reports; otherwise it does nothing.
func (r *Replica) Resume(e env.Env) {
	switch {
	case !r.WaitsForRoom():
	case r.script.paused:
		r.script.paused = false
		r.stepScript(e)
	case r.stuck:
		r.tryAgain(e)
	default:
		r.begin(e)
	}
}

// tolerated reports whether a failure means that the step was done already: a script may repeat
// steps of an earlier incarnation.
func tolerated(kind env.OpKind, err env.Errno) bool {
	return kind == env.OpMkdir && err == env.Exist || kind == env.OpRemove && err == env.NotExist
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
