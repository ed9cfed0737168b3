package replica

import (
	"fmt"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/core/wal"
)

// This file replaces a replica that is damaged or too far behind: it removes the files of the log
// and continues from a snapshot of another replica, or from an empty log.

// Refetch replaces the log by a snapshot file of another replica, or by an empty log if snapshot is
// nil. A stopped replica begins a new generation. If the snapshot does not fit this slot, Refetch
// returns an error and changes nothing.
func (r *Replica) Refetch(e env.Env, snapshot []byte) error {
	if snapshot != nil {
		id, at, encoded, err := wal.DecodeSnapshot(snapshot)
		switch {
		case err != nil:
			return fmt.Errorf("a snapshot for %s: %w", r.dir(), err)
		case id != r.config.Identity:
			return fmt.Errorf("a snapshot for %s is of %v", r.dir(), id)
		// A delayed copy must not remove records that other nodes count on.
		case r.IsOpen() && at.Seq < r.Matched().Seq:
			return fmt.Errorf("a snapshot for %s at record %d is behind record %d, which is the sequencer's", r.dir(), at.Seq, r.Matched().Seq)
		}
		if _, err := state.Decode(encoded); err != nil {
			return fmt.Errorf("a snapshot for %s: %w", r.dir(), err)
		}
	}
	// A cut is under way; the leader will offer the snapshot again.
	if r.begun && r.phase != Stopped {
		return nil
	}
	r.task, r.moves().installed = refetching, snapshot
	if r.phase == Stopped { // drop its operations under way
		r.abandon(e)
	}
	r.doTask(e)
	return nil
}

// abandon forgets the operations that were under way when the replica stopped. Their numbers tell
// late completions apart. A read or write of a whole file may have stopped with the file open, and
// its handle is needed again.
func (r *Replica) abandon(e env.Env) {
	for _, file := range [...]env.File{r.file(2), r.file(3)} {
		e.Submit(env.Op{Kind: env.OpClose, File: file, ID: r.opID(forNobody), Key: r.key(e, keyScript+uint16(env.OpClose), uint64(file)<<32)})
	}
	r.number++
	r.flight = batch{number: r.number & 0xffffff}
	r.script.Abandon()
	m := r.moves()
	m.fetch.list.Abandon()
	m.fetch, m.outgoing = fetch{list: m.fetch.list}, outgoing{}
	r.recovery, r.snapshot = nil, snapshot{}
	r.frames, r.written, r.stuck, r.begun = r.frames[:0], r.written[:0], false, false
	r.phase = Refetching
}

// beginRefetch removes every file of the log, newest first, and writes the snapshot. No node counts
// on this log until the snapshot has its name.
func (r *Replica) beginRefetch(e env.Env) {
	r.phase, r.task = Refetching, nothing
	r.frames = r.frames[:0] // these were never written
	r.hit(e, fault.SlotRefetching, r.end.Seq)
	if r.handle != 0 {
		e.Submit(env.Op{Kind: env.OpClose, File: r.handle, ID: r.opID(forNobody), Key: r.key(e, keyScript+uint16(env.OpClose), uint64(r.end.Seq))})
		r.handle = 0
	}
	names := e.List(r.dir())
	for i := len(names) - 1; i >= 0; i-- { // the key numbers keep the order
		if name := names[i]; !strings.HasSuffix(name, ".seg") {
			r.scriptAdd(r.at(e, env.OpRemove, r.dir()+"/"+name, uint64(i)))
		}
	}
	for _, f := range newestFirst(names) {
		r.scriptAdd(r.at(e, env.OpRemove, r.dir()+"/"+f.name, uint64(f.first)))
	}
	if r.doubted {
		// The failed sync has dropped the removals, and no later sync of the directory covers them,
		// so a power failure could bring the removed files back. So remove the directory itself and
		// make it again.
		r.scriptAdd(r.at(e, env.OpRemove, r.dir(), 2))
	}
	if r.doubted || names == nil { // names is nil if the replica stopped before it had a directory
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

// newestFirst returns the segments among some names, newest first.
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

// refetched continues with the fetched snapshot.
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
	r.received = e.Now() // the snapshot's level includes tokens earned earlier
}
