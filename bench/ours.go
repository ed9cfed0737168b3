package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/wal"
)

// identity is the slot that our logs are of.
var identity = wal.Identity{Tenant: 7, Slot: 3, Placement: 1, Shard: 3}

// encoder makes the batches of a slot's log as core/replica does: records chained
// to each other, each in a frame that says what was durable before the batch.
type encoder struct {
	end    lineage.Position // of the last record encoded
	frames []byte
}

// batch returns the frames of n more signals; valid until the next call.
func (c *encoder) batch(n int) []byte {
	c.frames = c.frames[:0]
	synced := c.end.Seq
	for range n {
		r := record.Record{
			Kind: record.Signal, Tenant: identity.Tenant, Slot: identity.Slot, Placement: identity.Placement, Epoch: 1,
			Seq: c.end.Next(), Prev: c.end.Chain, Client: 1, Request: uint64(c.end.Next()), Level: 1e9,
			Signal: signal.Signal{Entity: signal.Entity(c.end.Seq % 1000), ClientTime: 1e18, Weight: 1, Kind: 2},
		}
		c.frames, c.end.Chain = wal.AppendFrame(c.frames, synced, &r)
		c.end.Seq = r.Seq
	}
	return c.frames
}

// header returns the first bytes of a segment that begins behind at, all of which
// is durable.
func header(at lineage.Position) []byte {
	return wal.AppendHeader(nil, &wal.Header{Identity: identity, First: at.Next(), Before: at.Chain, Synced: at.Seq})
}

// ourLog writes the real bytes with the system calls of host/disk, without its
// queues, and into room that it has filled with zeros ahead: what is overwritten
// needs no journal commit to be durable, what is appended does, and what fallocate
// made does once for each block.
//
// Invariant: the file is zero from size to zeroed, and ends there. After a crash
// recovery takes the zeros for a torn tail. A segment that is followed by another
// has none.
type ourLog struct {
	encoder
	dir    string
	limit  int64  // bytes of a segment
	zeros  []byte // written ahead at once; empty: append
	file   *os.File
	size   int64
	zeroed int64
}

// newOurLog begins a log in dir, which is empty.
func newOurLog(dir string, limit int64, ahead int) (*ourLog, error) {
	return &ourLog{dir: dir, limit: limit, zeros: make([]byte, ahead)}, nil
}

// Append implements engine.
func (l *ourLog) Append(n int) error {
	before := l.end
	frames := l.batch(n)
	if l.file == nil || l.size+int64(len(frames)) > l.limit {
		if err := l.rotate(before); err != nil {
			return err
		}
	}
	if err := l.write(frames); err != nil {
		return err
	}
	return syncData(l.file)
}

// rotate begins a segment behind before. The old one is whole, and free of zeros,
// on the disk before there is a name for the new one.
func (l *ourLog) rotate(before lineage.Position) error {
	if err := l.seal(); err != nil {
		return err
	}
	name := filepath.Join(l.dir, wal.SegmentName(identity.Shard, before.Next()))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	l.file, l.size, l.zeroed = f, 0, 0
	if err := l.write(header(before)); err != nil {
		return err
	}
	return syncDir(l.dir)
}

// seal cuts what was zeroed ahead and closes the segment.
func (l *ourLog) seal() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Truncate(l.size)
	if err == nil {
		err = l.file.Sync()
	}
	return errors.Join(err, l.file.Close())
}

// write puts data behind the last byte, over zeros.
func (l *ourLog) write(data []byte) error {
	if end := l.size + int64(len(data)); end > l.zeroed {
		// No further than the segment may grow, but at least to where data ends.
		n := min(int64(len(l.zeros)), l.limit-l.zeroed)
		if n > 0 {
			if _, err := l.file.WriteAt(l.zeros[:n], l.zeroed); err != nil {
				return err
			}
			l.zeroed += n
		}
		l.zeroed = max(l.zeroed, end)
	}
	n, err := l.file.WriteAt(data, l.size)
	l.size += int64(n)
	return err
}

// Close implements engine.
func (l *ourLog) Close() error { return l.seal() }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
