package replica_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// meter measures the terms of the formula for the disk use of a slot.
type meter struct {
	host                      *host
	log                       int64       // bytes of segments submitted so far
	began                     int64       // log when the snapshot that is being written was begun
	at                        lineage.Seq // of that snapshot, 0 if none is being written
	snapshots                 int
	snapshot, batch, meantime int64 // S, B and W: the largest so far
}

// submitted notes the size of an operation's data.
func (m *meter) submitted(op *env.Op) {
	n := int64(len(op.Data))
	switch {
	case op.Kind != env.OpAppend:
	case isSnapshot(op.Data):
		m.snapshot = max(m.snapshot, n)
	default:
		m.log, m.batch = m.log+n, max(m.batch, n)
	}
}

func (m *meter) hit(p env.Point, key env.Key) {
	if p == fault.SnapshotWriting {
		m.at, m.began = lineage.Seq(key.B), m.log
		m.snapshots++
	}
}

// check compares the disk with the bound.
func (m *meter) check() {
	h := m.host
	if m.at != 0 {
		m.meantime = max(m.meantime, m.log-m.began)
		if h.covered(m.at) {
			m.at = 0
		}
	}
	c := &h.constants
	bound := 3*m.snapshot + c.SnapshotEvery + 2*m.meantime + 2*c.SegmentSize + 3*m.batch + 1024
	if used := h.used(); used > bound {
		h.Fatalf("%d bytes on disk, want at most %d: snapshot %d, every %d, meanwhile %d, segment %d, batch %d; files %v",
			used, bound, m.snapshot, c.SnapshotEvery, m.meantime, c.SegmentSize, m.batch, h.List(home.Dir()))
	}
}

// covered says whether the snapshot at seq is there and nothing that it makes
// superfluous.
func (h *host) covered(seq lineage.Seq) bool {
	there := false
	for _, name := range h.List(home.Dir()) {
		if at, ok := wal.ParseSnapshotName(name); ok {
			if at != seq {
				return false
			}
			there = true
		}
	}
	segments := h.segments()
	if len(segments) < 2 {
		return there
	}
	_, second, _ := wal.ParseSegmentName(segments[1])
	return there && second > seq+1
}

// Over a long run of writes, on a disk that is slower or faster than they come,
// with restarts at any time, a slot stays within the bound of its disk use.
func TestDiskUseIsBounded(t *testing.T) {
	snapshots := 0
	rapid.Check(t, func(t *rapid.T) {
		h := newHost(t, replica.Constants{
			SegmentSize:   rapid.Int64Range(200, 4000).Draw(t, "segment"),
			SnapshotEvery: rapid.Int64Range(200, 8000).Draw(t, "every"),
			MaxSessions:   4, MaxPending: 16,
		})
		m := &meter{host: h}
		h.hit, h.submitted = m.hit, m.submitted
		h.restart()
		h.openSession()
		restarts := rapid.IntRange(0, 20).Draw(t, "of 20 rounds end with a restart")
		for round := range 60 {
			writes, steps := rapid.IntRange(0, 6).Draw(t, "writes"), rapid.IntRange(1, 30).Draw(t, "steps")
			for i := range writes {
				h.ask(uint64(round*i) % 30)
			}
			for range steps {
				h.step()
				m.check()
			}
			if round%20 < restarts {
				h.kill()
				m.at = 0
				h.start()
			}
		}
		h.run()
		m.check()
		h.mustServe()
		snapshots += m.snapshots
	})
	if snapshots < 100 {
		t.Errorf("only %d snapshots in all", snapshots)
	}
}

// Restarts that come faster than snapshots do not let the log grow without bound: log bytes found
// at the start count.
func TestRestartsDoNotPutOffTheSnapshot(t *testing.T) {
	c := small
	c.SnapshotEvery = 4096
	h := serving(t, c)
	for range 200 {
		h.kill()
		h.restart()
		h.mustServe()
		if out := h.ask(1); out.Code != wire.NoError && out.Code != wire.SessionExpired {
			t.Fatal(out)
		}
		if used := h.used(); used > 2*4096 {
			t.Fatalf("%d bytes on disk after many restarts", used)
		}
	}
}
