package metalog

import (
	"path"
	"slices"
	"strings"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
)

// makeDirectory makes the member's directory, if it does not exist, and its name durable.
func (l *Log) makeDirectory(e env.Env) {
	l.phase = making
	parent := strings.TrimSuffix(path.Dir(l.config.Dir), ".")
	l.run(e, preparing, env.Op{Kind: env.OpMkdir, Path: l.config.Dir}, env.Op{Kind: env.OpSyncDir, Path: parent})
}

// prepared continues when the directory is made, or the file is read.
func (l *Log) prepared(e env.Env) {
	switch l.phase {
	case making:
		l.look(e)
	case reading:
		// The bytes may be only in the page cache, dropped by a failed sync and never to be
		// written. Rewrite the file before another member hears of them.
		l.phase = naming
		l.rewrite(e, rewriting, l.disk.fresh)
	}
}

// look reads the file, if there is one. Without a file, the process has never taken part under an
// ID that it could still use.
func (l *Log) look(e env.Env) {
	if !slices.Contains(e.List(l.config.Dir), fileName) {
		l.begin(e)
		return
	}
	l.phase = reading
	spare := l.disk.spare
	l.run(e, preparing,
		env.Op{Kind: env.OpOpen, Path: l.path(), File: spare},
		env.Op{Kind: env.OpRead, File: spare, Length: diskops.Whole},
		env.Op{Kind: env.OpClose, File: spare})
}

// judge decodes the file. It does not repair a file that another log or process wrote.
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
		// The rewritten file makes the start durable before the member sends a message.
		l.starts = startAgain(c.starts, e.Nonce())
	}
}

// begin writes the file of a founder that has none: it has sent no message, because the file is
// durable before the first one. All founders begin with the same state: their configuration and an
// empty machine, at index 1 of term 1. Any other directory asks to be admitted.
func (l *Log) begin(e env.Env) {
	l.starts = startAgain(nil, e.Nonce())
	at := slices.Index(l.config.Addresses, e.Self())
	// A lost directory may have voted, so its successor must not vote under the same ID.
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

// enter writes the file of a member that was admitted under an ID.
func (l *Log) enter(e env.Env, id MemberID) {
	l.member, l.phase = id, naming
	l.rewrite(e, rewriting, &content{base: base{snapshot: raftpb.EnsureSnapshot(nil)}, votes: new(raftpb.HardState)})
}
