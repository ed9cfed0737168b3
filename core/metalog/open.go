package metalog

import (
	"path"
	"slices"
	"strings"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/env"
)

// makeDirectory makes the member's directory, if it is not there, and its name durable.
func (l *Log) makeDirectory(e env.Env) {
	l.phase = making
	parent := strings.TrimSuffix(path.Dir(l.config.Dir), ".")
	l.run(e, preparing, env.Op{Kind: env.OpMkdir, Path: l.config.Dir}, env.Op{Kind: env.OpSyncDir, Path: parent})
}

// look reads the file, if there is one. Without one the process has never been a
// member under any ID that it could still use.
func (l *Log) look(e env.Env) {
	if l.phase != making {
		return
	}
	if !slices.Contains(e.List(l.config.Dir), fileName) {
		l.begin(e)
		return
	}
	l.phase = reading
	l.run(e, preparing, env.Op{Kind: env.OpOpen, Path: l.path(), File: l.disk.spare})
}

// prepared takes what an operation of opening brings.
func (l *Log) prepared(e env.Env, kind env.OpKind, ev *env.Event) {
	d := &l.disk
	switch kind {
	case env.OpOpen:
		d.ops = append(d.ops, env.Op{Kind: env.OpRead, File: d.spare, Length: ev.N})
	case env.OpRead:
		l.judge(e, ev.Data)
		d.ops = append(d.ops, env.Op{Kind: env.OpClose, File: d.spare})
	case env.OpClose:
		// What was read may be in the page cache only, or dropped by a failed sync and
		// never to be written: it is written anew before anybody is told of it.
		l.phase = naming
		l.rewrite(e, rewriting, d.fresh)
	}
}

// judge decodes the file. One that another log or process wrote is not ours to cut.
func (l *Log) judge(e env.Env, data []byte) {
	c, err := decode(l.path(), data)
	switch {
	case err != nil:
		l.stop(err)
	case c.cluster != l.config.Cluster:
		l.stop(&CorruptError{l.path(), 0, "it is of another log"})
	case c.directory != l.directory:
		l.stop(&CorruptError{l.path(), 0, "it was written in another data directory"})
	default:
		l.member, l.seen, l.disk.fresh = c.member, c.seen, c
		// Durable with the file that is written anew, before anything is said.
		l.starts = startAgain(c.starts, e.Nonce())
	}
}

// begin makes the file of a founder that has none: it never said anything, because the
// file is durable before. All founders begin with the same: their configuration and an
// untouched machine, at index 1 of term 1. Any other directory asks to be admitted.
func (l *Log) begin(e env.Env) {
	l.starts = startAgain(nil, e.Nonce())
	at := slices.Index(l.config.Addresses, e.Self())
	// A directory that was lost had a vote, and its successor must not have it again.
	if at < 0 || l.config.Founders[at] != l.directory {
		l.phase = joining
		return
	}
	l.member = Founder(e.Self())
	c := &content{base: base{snapshot: raftpb.EnsureSnapshot(nil)}}
	meta := c.snapshot.Metadata
	meta.Index, meta.Term = new(uint64(1)), new(uint64(1))
	founded := fold{machine: l.config.Machine}
	for i, address := range l.config.Addresses {
		meta.ConfState.Voters = append(meta.ConfState.Voters, uint64(Founder(address)))
		founded.admit(Founder(address), l.config.Founders[i])
	}
	c.snapshot.Data = founded.append(nil)
	c.votes = &raftpb.HardState{Term: new(uint64(1)), Commit: new(uint64(1))}
	l.phase = naming
	l.rewrite(e, rewriting, c)
}

// enter makes the file of a member that was admitted under an ID.
func (l *Log) enter(e env.Env, id MemberID) {
	l.member, l.phase = id, naming
	l.rewrite(e, rewriting, &content{base: base{snapshot: raftpb.EnsureSnapshot(nil)}, votes: new(raftpb.HardState)})
}
