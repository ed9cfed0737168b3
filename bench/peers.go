package main

import (
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"
	tidwall "github.com/tidwall/wal"
	etcdwal "go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/record"
)

// payload is what the peers store for each signal: as many bytes as our record.
// They get it ready made; ours is encoded in the measured time.
var payload = func() []byte {
	p := make([]byte, record.Size(record.Signal))
	for i := range p {
		p[i] = byte(i*7 + 1)
	}
	return p
}()

// tidwallLog is tidwall/wal: fsync, no choice; files grow by appending.
type tidwallLog struct {
	log   *tidwall.Log
	batch tidwall.Batch
	last  uint64
}

func newTidwall(dir string, limit int64) (*tidwallLog, error) {
	options := *tidwall.DefaultOptions
	options.SegmentSize = int(limit)
	log, err := tidwall.Open(dir, &options)
	return &tidwallLog{log: log}, err
}

// Append implements engine.
func (l *tidwallLog) Append(n int) error {
	for range n {
		l.last++
		l.batch.Write(l.last, payload)
	}
	return l.log.WriteBatch(&l.batch)
}

// Close implements engine.
func (l *tidwallLog) Close() error { return l.log.Close() }

// raftLog is hashicorp/raft-wal: fsync, no choice; segments are preallocated.
type raftLog struct {
	log  *raftwal.WAL
	logs []*raft.Log
	last uint64
}

func newRaftWAL(dir string, limit int64) (*raftLog, error) {
	log, err := raftwal.Open(dir, raftwal.WithSegmentSize(int(limit)), raftwal.WithLogger(hclog.NewNullLogger()))
	return &raftLog{log: log}, err
}

// Append implements engine.
func (l *raftLog) Append(n int) error {
	for len(l.logs) < n {
		l.logs = append(l.logs, &raft.Log{Term: 1, Type: raft.LogCommand, Data: payload})
	}
	for _, entry := range l.logs[:n] {
		l.last++
		entry.Index = l.last
	}
	return l.log.StoreLogs(l.logs[:n])
}

// Close implements engine.
func (l *raftLog) Close() error { return l.log.Close() }

// etcdLog is etcd's: fdatasync; segments are preallocated, the next one in the
// background.
type etcdLog struct {
	log     *etcdwal.WAL
	entries []*raftpb.Entry
	last    uint64
}

func newEtcd(dir string, limit int64) (*etcdLog, error) {
	etcdwal.SegmentSizeBytes = limit
	log, err := etcdwal.Create(nil, filepath.Join(dir, "wal"), nil)
	return &etcdLog{log: log}, err
}

// Append implements engine.
func (l *etcdLog) Append(n int) error {
	for len(l.entries) < n {
		l.entries = append(l.entries, &raftpb.Entry{Term: new(uint64(1)), Index: new(uint64), Type: new(raftpb.EntryNormal), Data: payload})
	}
	for _, entry := range l.entries[:n] {
		l.last++
		*entry.Index = l.last
	}
	return l.log.Save(nil, l.entries[:n])
}

// Close implements engine.
func (l *etcdLog) Close() error { return l.log.Close() }
