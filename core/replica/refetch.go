package replica

import (
	"fmt"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/core/wal"
)

// A replica that is damaged, or too far behind, is replaced as a whole: its files are
// removed, and it goes on from a snapshot of another replica, or from nothing.

// Refetch replaces the log by a snapshot file of another replica, or by nothing if
// that is nil. A replica that stopped begins a new life with it. It is an error if the
// snapshot is not one of this slot, and nothing happens then.
func (r *Replica) Refetch(e env.Env, snapshot []byte) error {
	if snapshot != nil {
		id, at, encoded, err := wal.DecodeSnapshot(snapshot)
		switch {
		case err != nil:
			return fmt.Errorf("a snapshot for %s: %w", r.dir(), err)
		case id != r.config.Identity:
			return fmt.Errorf("a snapshot for %s is of %v", r.dir(), id)
		// A late copy must not take away what others count on.
		case r.IsOpen() && at.Seq < r.Matched().Seq:
			return fmt.Errorf("a snapshot for %s at record %d is behind record %d, which is the sequencer's", r.dir(), at.Seq, r.Matched().Seq)
		}
		if _, err := state.Decode(encoded); err != nil {
			return fmt.Errorf("a snapshot for %s: %w", r.dir(), err)
		}
	}
	if r.begun && r.phase != Stopped { // a cut is under way; the snapshot will be offered again
		return nil
	}
	r.task, r.moves().installed = refetching, snapshot
	if r.phase == Stopped { // what it had under way is nobody's any more
		r.abandon(e)
	}
	r.doTask(e)
	return nil
}

// abandon forgets what was under way when the replica stopped. Completions that still
// come are told by their numbers. What reads and writes whole files may have been cut
// off with a file open: its handles are needed again.
func (r *Replica) abandon(e env.Env) {
	for _, file := range [...]env.File{r.file(2), r.file(3)} {
		e.Submit(env.Op{Kind: env.OpClose, File: file, ID: r.opID(forNobody), Key: r.key(e, keyScript+uint16(env.OpClose), uint64(file)<<32)})
	}
	r.number++
	r.flight = batch{number: r.number & 0xffffff}
	r.script = script{life: r.script.life + 1, ops: r.script.ops[:0]}
	m := r.moves()
	m.fetch, m.outgoing = fetch{life: m.fetch.life + 1}, outgoing{}
	r.recovery, r.snapshot = nil, snapshot{}
	r.frames, r.written, r.stuck, r.begun = r.frames[:0], r.written[:0], false, false
	r.phase = Refetching
}

// beginRefetch removes every file of the log, the newest first, and writes the
// snapshot. Until it has its name there is no log here that anybody relies upon.
func (r *Replica) beginRefetch(e env.Env) {
	r.phase, r.task = Refetching, nothing
	r.frames = r.frames[:0] // what was not written is not there
	r.hit(e, fault.SlotRefetching, r.end.Seq)
	if r.handle != 0 {
		e.Submit(env.Op{Kind: env.OpClose, File: r.handle, ID: r.opID(forNobody), Key: r.key(e, keyScript+uint16(env.OpClose), uint64(r.end.Seq))})
		r.handle = 0
	}
	names := e.List(r.dir())
	for i := len(names) - 1; i >= 0; i-- { // names ascend as text, so the order is told by numbers
		if name := names[i]; !strings.HasSuffix(name, ".seg") {
			r.scriptAdd(r.at(e, env.OpRemove, r.dir()+"/"+name, uint64(i)))
		}
	}
	for _, f := range newestFirst(names) {
		r.scriptAdd(r.at(e, env.OpRemove, r.dir()+"/"+f.name, uint64(f.first)))
	}
	if r.doubted {
		// A power failure may bring back every file that is seen to be gone: the failed sync has
		// dropped the removals, and no later sync covers them. So the directory itself is removed and
		// made anew.
		r.scriptAdd(r.at(e, env.OpRemove, r.dir(), 2))
	}
	if r.doubted || names == nil { // or it stopped before it had a directory
		r.makeDirectories(e)
	}
	r.scriptAdd(r.at(e, env.OpSyncDir, r.dir(), 1))
	manifest := r.dir() + "/" + wal.ManifestName
	r.scriptWrite(e, manifest, wal.AppendManifest(nil, r.config.Identity), 0)
	r.scriptName(e, manifest, 0)
	if installed := r.moved.installed; installed != nil {
		_, at, _, _ := wal.DecodeSnapshot(installed)
		path := r.snapshotPath(at.Seq)
		r.scriptWrite(e, path, installed, uint64(at.Seq))
		r.scriptName(e, path, uint64(at.Seq))
	}
	r.run(e)
}

// newestFirst returns the segments among some names, the one with the last records
// first.
func newestFirst(names []string) (files []found) {
	for _, name := range names {
		if _, first, ok := wal.ParseSegmentName(name); ok {
			i := 0
			for i < len(files) && files[i].first > first {
				i++
			}
			files = append(files, found{})
			copy(files[i+1:], files[i:])
			files[i] = found{name: name, first: first}
		}
	}
	return files
}

// refetched goes on with what was fetched.
func (r *Replica) refetched(e env.Env) {
	r.state, r.failure, r.doubted = state.New(), nil, false
	r.pending, r.frames, r.segments = r.pending[:0], r.frames[:0], r.segments[:0]
	r.snapshot = snapshot{}
	if installed := r.moved.installed; installed != nil {
		_, at, encoded, _ := wal.DecodeSnapshot(installed)
		restored, err := state.Decode(encoded)
		if err != nil {
			r.stop(err)
			return
		}
		r.state = restored
		r.snapshot = snapshot{seq: at.Seq, size: int64(len(installed))}
	}
	r.moved.installed = nil
	r.open(e)
	r.received = e.Now() // what was earned before is in the level already
}
