package metalog

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
)

// This file keeps the member's file. One piece of work is under way at a time: a batch of raft's
// writes, or a new file that replaces the old one.

// drive is the state of the file and of the work on it.
type drive struct {
	handle, spare env.File // handles: of the file, if open; of the file being read or written
	open          bool
	size          int64 // bytes of the file
	synced        int64 // bytes of the file that are known to be durable
	whole         int64 // bytes of the file when it got its name

	queue  []*raftpb.Message // raft's writes, in order
	flight []*raftpb.Message // writes under way; for a new file the write that it serves

	work  work
	list  diskops.List // of the work
	since env.Time     // when the current operation began, or the one before ended
	count uint32       // operations since the start
	noted int          // sightings that are being written

	fresh   *content // the content being written as a new file
	length  int64    // of that file
	waiting int64    // if a compaction was given up: file size at which the next one begins
}

// work is the purpose of the operations.
type work uint8

const (
	idle       work = iota
	appending       // appends flight
	rewriting       // replaces the file by fresh
	compacting      // likewise, but it may be given up
	abandoning      // removes the partial file of a compaction
	preparing       // opens: makes the directory, reads the file
)

const fileName = "log"

func (l *Log) path() string { return l.config.Dir + "/" + fileName }
func (l *Log) temp() string { return l.path() + ".tmp" }

// run begins a work.
func (l *Log) run(e env.Env, w work, ops ...env.Op) {
	d := &l.disk
	d.list.Clear()
	d.list.Add(ops...)
	d.work = w
	l.diskTurn(e, d.list.Start())
}

func (l *Log) submit(e env.Env) {
	d := &l.disk
	d.list.Op().Key = env.Key{Kind: l.config.Seat.Key + keyDisk, A: l.config.Seat.Owner, B: uint64(d.size), Attempt: d.count}
	d.count++
	d.list.Submit(e, l.config.Seat.Op)
}

// diskDone handles the completion of the current operation.
func (l *Log) diskDone(e env.Env, ev *env.Event) {
	list := &l.disk.list
	if list.Kind() == env.OpRead && ev.Err == env.OK {
		if l.judge(e, ev.Data); l.phase == stopped {
			return
		}
	}
	turn := list.Done(ev)
	if turn == diskops.Failed {
		l.diskFailed(e, ev.Err)
		return
	}
	l.diskTurn(e, turn)
}

func (l *Log) diskTurn(e env.Env, turn diskops.Turn) {
	l.disk.since = e.Now()
	switch turn {
	case diskops.Submit:
		l.submit(e)
	case diskops.Ended:
		l.workDone(e)
	}
}

// diskFailed waits for room, or gives up a compaction when the disk is full. Every other failure
// ends the process: after a failed sync it is unknown which bytes are durable, and the next start
// reads the file and writes it again.
func (l *Log) diskFailed(e env.Env, err env.Errno) {
	d := &l.disk
	kind := d.list.Kind()
	isWrite := kind == env.OpAppend || kind == env.OpCreate || kind == env.OpMkdir
	switch {
	case err == env.NoSpace && isWrite && d.work == compacting:
		d.waiting = d.size + l.config.CompactBytes
		l.run(e, abandoning, env.Op{Kind: env.OpClose, File: d.spare}, env.Op{Kind: env.OpRemove, Path: l.temp()})
	case err == env.NoSpace && isWrite:
		d.list.Wait()
	case d.work == abandoning && err == env.BadHandle: // the file was not created
		d.list.Tolerate()
		l.submit(e)
	default:
		number, of := d.list.At()
		e.Halt(fmt.Sprintf("%v: %s, step %d of %d: %v", l, kind, number, of, err))
	}
}

// retryDisk repeats an operation that found the disk full.
func (l *Log) retryDisk(e env.Env) {
	if l.disk.list.Waits() {
		l.submit(e)
	}
}

func (l *Log) workDone(e env.Env) {
	d := &l.disk
	w := d.work
	d.work = idle
	switch w {
	case preparing:
		l.prepared(e)
	case appending:
		l.appended(e)
	case rewriting, compacting:
		l.renewed(e, w)
	}
}

// flush begins the next work if none is under way.
//
// raft asks for writes by messages with responses. A message is durable before its responses are
// sent; messages without responses need not be. The messages that arrive while the disk is busy
// form one batch, up to a snapshot from the leader, which needs a file of its own.
func (l *Log) flush(e env.Env) {
	d := &l.disk
	if d.work != idle {
		return
	}
	if len(d.queue) == 0 {
		if len(l.unwritten) > 0 {
			l.write(e)
			return
		}
		l.maybeCompact(e)
		return
	}
	n := slices.IndexFunc(d.queue, func(m *raftpb.Message) bool { return !raft.IsEmptySnap(m.GetSnapshot()) })
	switch n {
	case 0:
		d.flight, d.queue = d.queue[:1:1], d.queue[1:]
		l.install(e, d.flight[0])
		return
	case -1:
		n = len(d.queue)
	}
	d.flight, d.queue = d.queue[:n:n], d.queue[n:]
	l.write(e)
}

// write appends the writes in flight to the file.
func (l *Log) write(e env.Env) {
	d := &l.disk
	var data []byte
	d.noted = len(l.unwritten)
	for _, s := range l.unwritten {
		data = appendSighting(data, uint64(d.synced), s)
	}
	for _, m := range d.flight {
		for _, entry := range m.GetEntries() {
			data = appendEntry(data, uint64(d.synced), entry)
		}
		if votes := votesIn(m); votes != nil {
			data = appendVotes(data, uint64(d.synced), votes)
		}
	}
	e.Charge(env.Duration(len(data)/1024+1) * l.config.PerKiB)
	d.length = d.size + int64(len(data))
	ops := []env.Op{{Kind: env.OpAppend, File: d.handle, Data: data}}
	if d.awaited() || d.noted > 0 {
		// Make entries and votes durable before another member hears of them.
		ops = append(ops, env.Op{Kind: env.OpSync, File: d.handle})
	}
	l.run(e, appending, ops...)
}

// awaited reports whether a response waits until the writes in flight are durable.
func (d *drive) awaited() bool {
	return slices.ContainsFunc(d.flight, func(m *raftpb.Message) bool { return len(m.GetResponses()) > 0 })
}

// votesIn returns the hard state in a message, nil if there is none.
func votesIn(m *raftpb.Message) *raftpb.HardState {
	votes := &raftpb.HardState{Term: new(m.GetTerm()), Vote: new(m.GetVote()), Commit: new(m.GetCommit())}
	if raft.IsEmptyHardState(votes) {
		return nil
	}
	return votes
}

// appended adds the written entries to raft's storage and sends the responses.
func (l *Log) appended(e env.Env) {
	d := &l.disk
	d.size = d.length
	if d.awaited() || d.noted > 0 {
		d.synced = d.size
	}
	l.sawDurably(e, d.noted)
	flight := d.flight
	d.flight = nil
	for _, m := range flight {
		if votes := votesIn(m); votes != nil {
			must(l.storage.SetHardState(votes))
		}
		must(l.storage.Append(m.GetEntries()))
		l.deliver(e, m.GetResponses())
	}
}

// maybeCompact rewrites the file without the applied entries when it has grown enough.
func (l *Log) maybeCompact(e env.Env) {
	d := &l.disk
	if d.size < max(d.whole+l.config.CompactBytes, d.waiting) {
		return
	}
	snapshot, err := l.snapshot()
	if err != nil {
		return
	}
	votes, _, _ := l.storage.InitialState()
	l.rewrite(e, compacting, &content{
		base: base{snapshot: snapshot}, votes: votes, entries: l.entriesAfter(snapshot.GetMetadata().GetIndex()),
	})
}

func (l *Log) entriesAfter(index uint64) []*raftpb.Entry {
	last, _ := l.storage.LastIndex()
	if last <= index {
		return nil
	}
	entries, err := l.storage.Entries(index+1, last+1, 1<<62)
	must(err)
	return entries
}

// install replaces the whole file by a leader's snapshot.
func (l *Log) install(e env.Env, m *raftpb.Message) {
	votes, _, _ := l.storage.InitialState()
	if v := votesIn(m); v != nil {
		votes = v
	}
	l.rewrite(e, rewriting, &content{base: base{snapshot: m.GetSnapshot()}, votes: votes, entries: m.GetEntries()})
}

// rewrite replaces the file. The new file is whole and durable before it gets the name, and the
// name is durable before any message depends on it. After a crash at any point the name stands for
// the old file or the new one.
func (l *Log) rewrite(e env.Env, w work, c *content) {
	d := &l.disk
	c.cluster, c.member, c.directory, c.starts = l.config.Cluster, l.member, l.directory, l.starts
	c.seen = slices.Clone(l.seen)
	data := c.encode()
	d.fresh, d.length = c, int64(len(data))
	e.Charge(env.Duration(len(data)/1024+1) * l.config.PerKiB)
	ops := []env.Op{
		{Kind: env.OpRemove, Path: l.temp()},
		{Kind: env.OpCreate, Path: l.temp(), File: d.spare},
		{Kind: env.OpAppend, File: d.spare, Data: data},
		{Kind: env.OpSync, File: d.spare},
		{Kind: env.OpClose, File: d.spare},
		{Kind: env.OpRename, Path: l.temp(), To: l.path()},
		{Kind: env.OpSyncDir, Path: l.config.Dir},
		{Kind: env.OpOpen, Path: l.path(), File: d.spare},
	}
	if d.open {
		ops = append(ops, env.Op{Kind: env.OpClose, File: d.handle})
	}
	l.run(e, w, ops...)
}

// renewed continues in the new file.
func (l *Log) renewed(e env.Env, w work) {
	d := &l.disk
	c := d.fresh
	d.handle, d.spare, d.open, d.fresh = d.spare, d.handle, true, nil
	d.size, d.synced, d.whole, d.waiting = d.length, d.length, d.length, 0
	switch {
	case l.phase == naming:
		if err := l.start(e, c); err != nil {
			l.stop(&CorruptError{l.path(), 0, err.Error()})
		}
	case w == compacting:
		l.forget(Index(c.snapshot.GetMetadata().GetIndex()))
	default:
		l.installed(e, c)
	}
}

// forget drops entries from memory that a follower is unlikely to request.
func (l *Log) forget(applied Index) {
	if applied > l.config.KeepEntries {
		err := l.storage.Compact(uint64(applied - l.config.KeepEntries))
		if !errors.Is(err, raft.ErrCompacted) { // compacted already
			must(err)
		}
	}
}

// installed continues from a leader's snapshot.
func (l *Log) installed(e env.Env, c *content) {
	m := l.disk.flight[0]
	l.disk.flight = nil
	must(l.storage.SetHardState(c.votes))
	if err := l.restore(c.snapshot); err != nil {
		l.stop(&CorruptError{l.path(), 0, "the leader's snapshot: " + err.Error()})
		return
	}
	must(l.storage.Append(c.entries))
	l.deliver(e, m.GetResponses())
}
