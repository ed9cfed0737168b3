package main

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/host/disk"
)

// hostLog asks host/disk for what core/replica asks for, in the same order, and
// waits for the answers.
type hostLog struct {
	encoder
	disk    *disk.Disk
	limit   int64
	done    chan disk.Completion
	waits   int // for completions that are certain to come
	lastID  env.OpID
	handle  env.File // of the last segment, 0 if there is none
	written int64    // bytes of it
}

// maxAsked is more than a batch ever asks for.
const maxAsked = 16

// newHostLog begins a log in dir, which is empty.
func newHostLog(dir string, limit, reserve int64) (*hostLog, error) {
	l := &hostLog{limit: limit, done: make(chan disk.Completion, maxAsked)}
	d, err := disk.Open(dir, disk.Config{Reserve: reserve}, func(c disk.Completion) { l.done <- c })
	l.disk = d
	return l, err
}

// Append implements engine.
func (l *hostLog) Append(n int) error {
	before := l.end
	frames := l.batch(n)
	if l.handle == 0 || l.written+int64(len(frames)) > l.limit {
		l.rotate(before)
	}
	l.written += int64(len(frames))
	l.submit(env.Op{Kind: env.OpAppend, File: l.handle, Data: frames, Quiet: true})
	l.submit(env.Op{Kind: env.OpSync, File: l.handle})
	return l.wait()
}

func (l *hostLog) rotate(before lineage.Position) {
	if l.handle != 0 {
		l.submit(env.Op{Kind: env.OpClose, File: l.handle})
	}
	l.handle++
	first := header(before)
	l.written = int64(len(first))
	l.submit(env.Op{Kind: env.OpCreate, File: l.handle, Path: wal.SegmentName(identity.Shard, before.Next()), Quiet: true})
	l.submit(env.Op{Kind: env.OpAppend, File: l.handle, Data: first, Quiet: true})
	l.submit(env.Op{Kind: env.OpSyncDir, Path: "."})
}

func (l *hostLog) submit(op env.Op) {
	l.lastID++
	op.ID = l.lastID
	if !op.Quiet { // the sync behind a quiet operation reports its success
		l.waits++
	}
	l.disk.Submit(op)
}

// wait returns when all that was asked for is done, with the first error.
func (l *hostLog) wait() error {
	var failed error
	for ; l.waits > 0; l.waits-- {
		if c := <-l.done; c.Err != env.OK && failed == nil {
			failed = fmt.Errorf("operation %d: %w", c.ID, c.Err)
		}
	}
	return failed
}

// Close implements engine.
func (l *hostLog) Close() error { return l.disk.Close() }
