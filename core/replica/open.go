package replica

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/core/wal"
)

// recovery is the data that opening collects; it is dropped when the slot serves.
type recovery struct {
	files []found      // manifest, newest snapshot, segments ascending
	next  int          // file being read
	list  diskops.List // reads the file
	end   wal.Recovery

	superfluous []found // covered by the snapshot; removed once every file is judged sound
}

type found struct {
	name  string
	first lineage.Seq // first seq of a segment; seq of a snapshot
	data  []byte
}

// Open begins to open the slot. started is when this incarnation of the node started; the bucket
// earns tokens from then on.
func (r *Replica) Open(e env.Env, started env.Time) {
	r.started = started
	r.phase = Making
	r.makeDirectories(e)
	r.run(e)
}

// makeDirectories adds the steps that make the directory of the log and its parents.
func (r *Replica) makeDirectories(e env.Env) {
	id := r.config.Identity
	chain := []string{wal.TenantDir(id.Tenant), wal.WALDir(id.Tenant), r.dir()}
	for i, dir := range chain {
		r.scriptAdd(r.at(e, env.OpMkdir, dir, uint64(i)))
	}
	for i, dir := range [...]string{wal.TenantsDir, chain[0], chain[1]} {
		// A directory counts only if its name is durable.
		//safety:directory-sync-after-mkdir by=durable-ack on=smoke
		r.scriptAdd(r.at(e, env.OpSyncDir, dir, uint64(i)))
	}
}

// advance enters the next phase when a script is done.
func (r *Replica) advance(e env.Env) {
	switch r.phase {
	case Making:
		r.look(e)
	case Creating:
		r.hit(e, fault.SlotCreated, 0)
		r.look(e)
	case Reading:
		r.readNext(e)
	case Repairing:
		r.sync(e)
	case Syncing:
		r.open(e)
	case Starting, Serving:
		r.advanceSnapshot(e)
	case Following:
		if r.begun {
			r.cut(e)
		} else {
			r.advanceSnapshot(e)
		}
	case Refetching:
		r.refetched(e)
	}
}

// look lists the directory and decides the next phase.
func (r *Replica) look(e env.Env) {
	var files, snapshots []found
	hasManifest := false
	for _, name := range e.List(r.dir()) {
		// A crash left it while the file was being written.
		if strings.HasSuffix(name, wal.TempSuffix) {
			r.scriptAdd(r.at(e, env.OpRemove, r.dir()+"/"+name, 0))
		}
		hasManifest = hasManifest || name == wal.ManifestName
		if seq, ok := wal.ParseSnapshotName(name); ok {
			snapshots = append(snapshots, found{name: name, first: seq})
		}
		if _, first, ok := wal.ParseSegmentName(name); ok {
			files = append(files, found{name: name, first: first})
		}
	}
	if !hasManifest {
		r.create(e, len(files)+len(snapshots) > 0)
		return
	}
	r.recovery = choose(files, snapshots)
	r.hit(e, fault.RecoveryReading, 0)
	r.phase = Reading
	r.run(e) // removes temporary files, then reads
}

// choose selects the files to read: the manifest, the newest snapshot, and the segments that it
// does not cover. Older files remain if a crash came between the snapshot and their removal; any of
// those may be gone already.
func choose(files, snapshots []found) *recovery {
	ascending := func(a, b found) int { return cmp.Compare(a.first, b.first) } // names are sorted as text
	slices.SortFunc(files, ascending)
	slices.SortFunc(snapshots, ascending)
	c := &recovery{files: []found{{name: wal.ManifestName}}}
	if last := len(snapshots) - 1; last >= 0 {
		newest := snapshots[last]
		c.files = append(c.files, newest)
		c.superfluous = snapshots[:last:last]
		for len(files) > 1 && files[1].first <= newest.first+1 {
			c.superfluous = append(c.superfluous, files[0])
			files = files[1:]
		}
	}
	c.files = append(c.files, files...)
	return c
}

// create writes the manifest of a new slot directory. The manifest is durable before the first
// segment exists, so a directory without a manifest is empty.
func (r *Replica) create(e env.Env, notEmpty bool) {
	if notEmpty {
		r.stop(&wal.CorruptError{Segment: r.dir() + "/" + wal.ManifestName, Reason: "missing, though there are segments or snapshots"})
		return
	}
	r.hit(e, fault.SlotCreating, 0)
	r.phase = Creating
	manifest := r.dir() + "/" + wal.ManifestName
	r.scriptWrite(e, manifest, wal.AppendManifest(nil, r.config.Identity), 0)
	r.scriptName(e, manifest, 0)
	r.run(e)
}

// readNext begins to read the next file; after the last it judges them all.
func (r *Replica) readNext(e env.Env) {
	if r.recovery.next == len(r.recovery.files) {
		if err := r.judge(e); err != nil {
			r.stop(err)
		}
		return
	}
	file, b := r.file(2), uint64(r.recovery.next)
	open := r.at(e, env.OpOpen, r.dir()+"/"+r.recovery.files[b].name, b)
	open.File = file
	r.recovery.list.Add(open,
		env.Op{Kind: env.OpRead, File: file, Length: diskops.Whole, Key: open.Key},
		env.Op{Kind: env.OpClose, File: file, Key: open.Key})
	r.readTurn(e, r.recovery.list.Start())
}

func (r *Replica) readTurn(e env.Env, turn diskops.Turn) {
	c := r.recovery
	switch turn {
	case diskops.Submit:
		c.list.Op().Key.Kind += uint16(c.list.Kind())
		c.list.Submit(e, r.opID(forRead))
	case diskops.Ended:
		c.next++
		r.readNext(e)
	}
}

func (r *Replica) readDone(e env.Env, ev *env.Event) {
	c := r.recovery
	if ev.Err != env.OK {
		r.stop(fmt.Errorf("reading %s/%s: %w", r.dir(), c.files[c.next].name, ev.Err))
		return
	}
	if c.list.Kind() == env.OpRead {
		c.files[c.next].data = slices.Clone(ev.Data)
	}
	r.readTurn(e, c.list.Done(ev))
}

// judge replays the files into the state and begins the repairs.
func (r *Replica) judge(e env.Env) error {
	files := r.recovery.files
	id, err := wal.DecodeManifest(files[0].data)
	switch {
	// A manifest gets its name only when it is whole and synced.
	case errors.Is(err, wal.ErrMalformed):
		return &wal.CorruptError{Segment: r.dir() + "/" + wal.ManifestName, Reason: err.Error()}
	case err != nil:
		return fmt.Errorf("%s/%s: %w", r.dir(), files[0].name, err)
	}
	if id != r.config.Identity {
		return &wal.CorruptError{Segment: r.dir() + "/" + wal.ManifestName, Reason: fmt.Sprintf("it is of %v, want %v", id, r.config.Identity)}
	}
	files = files[1:]
	if len(files) > 0 && !strings.HasSuffix(files[0].name, ".seg") {
		if err := r.restore(&files[0]); err != nil {
			return err
		}
		files = files[1:]
	}
	segments := make([]wal.Segment, len(files))
	r.snapshot.since = int64(len(files)) * wal.HeaderSize
	bytes := 0
	for i, f := range files {
		segments[i] = wal.Segment{Name: f.name, Data: f.data}
		bytes += len(f.data)
	}
	e.Charge(env.Duration(bytes/1024+1) * r.config.Costs.PerKiB)
	r.recovery.end, err = wal.Recover(id, r.state.Position, segments, func(rec *record.Record, chain lineage.Chain) error {
		r.adopt(rec, chain) // the commit index is not known yet
		r.snapshot.since += int64(wal.FrameOverhead + record.Size(rec.Kind))
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", r.dir(), err)
	}
	r.repair(e, files)
	return nil
}

// restore restores the state from a snapshot.
func (r *Replica) restore(f *found) error {
	id, at, encoded, err := wal.DecodeSnapshot(f.data)
	if err == nil && id != r.config.Identity {
		err = fmt.Errorf("it is of %v, want %v", id, r.config.Identity)
	}
	var restored *state.Slot
	if err == nil {
		restored, err = state.Decode(encoded)
	}
	if err == nil && restored.Position != at {
		err = fmt.Errorf("position %v in the state, %v around it", restored.Position, at)
	}
	if err != nil {
		return &wal.CorruptError{Segment: r.dir() + "/" + f.name, Reason: err.Error()}
	}
	r.state = restored
	r.snapshot.seq, r.snapshot.size = at.Seq, int64(len(f.data))
	return nil
}

// repair removes covered files, cuts a torn tail, and rewrites the tail that may not be durable,
// before the slot serves. Until here recovery has changed no file, so that an operator can inspect
// damage.
//
// Syncing the existing files is not enough: a sync of the previous incarnation may have failed.
// Then the page cache shows the dropped bytes as clean and never writes them again
// (docs/decisions/0008-failed-fsync.md).
func (r *Replica) repair(e env.Env, files []found) {
	r.phase = Repairing
	r.confirmNames(e)
	for _, f := range r.recovery.superfluous {
		r.scriptAdd(r.at(e, env.OpRemove, r.dir()+"/"+f.name, uint64(f.first)))
	}
	if fixes := r.recovery.end.Repairs; len(fixes) > 0 && len(r.recovery.superfluous) > 0 {
		// A repair may remove the last segment. If that removal became durable and an older one did
		// not, the rest of the log would end before the snapshot.
		r.scriptAdd(r.at(e, env.OpSyncDir, r.dir(), 3))
	}
	for _, fix := range r.recovery.end.Repairs {
		r.hit(e, fault.RecoveryCut, r.recovery.end.End.Seq)
		i := slices.IndexFunc(files, func(f found) bool { return f.name == fix.Name })
		files[i].data = files[i].data[:fix.Keep]
		if fix.Keep == 0 {
			r.scriptAdd(r.at(e, env.OpRemove, r.dir()+"/"+fix.Name, 0))
		}
	}
	for i := range files {
		f := &files[i]
		if f.name == r.recovery.end.Tail {
			// After a failed sync the page cache shows bytes that no later sync makes durable.
			//safety:recovered-tail-rewritten by=durable-ack on=disk-trouble
			r.scriptRewrite(e, f)
		}
		if len(f.data) > 0 {
			shard, first, _ := wal.ParseSegmentName(f.name)
			r.segments = append(r.segments, segment{shard: shard, first: first, size: int64(len(f.data))})
		}
	}
	r.run(e)
}

// confirmNames rewrites files whose names may not be durable, if other files depend on them. A
// manifest without other files is one. A snapshot is one while files that it covers remain: they
// must stay until its name is durable, or a power failure could keep the removals and lose the
// snapshot.
func (r *Replica) confirmNames(e env.Env) {
	files := r.recovery.files
	switch {
	case len(files) == 1:
		// A manifest that was read need not be durable.
		//safety:manifest-rewritten by=liveness on=disk-trouble
		r.scriptRewrite(e, &files[0])
	case len(r.recovery.superfluous) > 0:
		// A snapshot that was read need not be durable.
		//safety:snapshot-rewritten by=liveness on=disk-trouble
		r.scriptRewrite(e, &files[1])
		// Files that the snapshot covers stay until its name is durable.
		//safety:names-durable-before-removal by=damage on=crash-restart
		r.scriptAdd(r.at(e, env.OpSyncDir, r.dir(), 2))
	}
}

// scriptRewrite adds the steps that rewrite a file and rename it into place; the next sync of the
// directory makes the name durable.
func (r *Replica) scriptRewrite(e env.Env, f *found) {
	path := r.dir() + "/" + f.name
	r.scriptWrite(e, path, f.data, uint64(f.first))
	r.scriptRename(e, path, uint64(f.first))
}

// sync makes the names of the recovered files durable before the slot serves.
func (r *Replica) sync(e env.Env) {
	r.phase = Syncing
	r.hit(e, fault.RecoverySyncing, r.recovery.end.End.Seq)
	if tail := r.recovery.end.Tail; tail != "" {
		r.handle = r.file(0)
		open := r.at(e, env.OpOpen, r.dir()+"/"+tail, 0)
		open.File = r.handle
		r.scriptAdd(open)
	}
	// The log continues in the renamed file, so its name must be durable. A removed file that came
	// back would contradict the log, which continues without it.
	//safety:names-durable-before-serving by=durable-ack on=crash-restart
	r.scriptAdd(r.at(e, env.OpSyncDir, r.dir(), 1))
	r.run(e)
}

// start begins an epoch at the end of the log. The limits and the bucket's level there have held
// since an instant.
func (r *Replica) start(e env.Env, limits record.Limits, level int64, since env.Time) {
	r.phase = Starting
	r.limit(limits.Rate, limits.Burst)
	if r.end.Seq > 0 {
		r.bucket.Restart(level, since)
	}
	r.append(e, 0, nil, record.Record{Kind: record.EpochStart, Level: r.bucket.Level(e.Now())}, fault.RecordAppended)
	if wanted := r.config.Limits; wanted.Version > limits.Version {
		r.bucket.Limit(wanted.Rate, wanted.Burst)
		rec := record.Record{Kind: record.Config, Level: r.bucket.Level(e.Now()), Limits: wanted}
		r.overlay.Add(&rec)
		r.append(e, 0, nil, rec, fault.RecordAppended)
	}
	r.opening = r.end.Seq
	r.Flush(e)
}

// limit sets the bucket's limits: those of the log, or those of the configuration if the log has no
// record.
func (r *Replica) limit(rate, burst uint64) {
	if rate == 0 {
		rate, burst = r.config.Limits.Rate, r.config.Limits.Burst
	}
	r.bucket.Limit(rate, burst)
	r.bucket.Restart(int64(burst)*quota.Token, r.started)
}
