package replica_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// large constants keep everything in one segment.
var large = replica.Constants{SegmentSize: unlimited, SnapshotEvery: unlimited, MaxSessions: 4, MaxPending: 64}

// Many wait for one sync, each for one that began after its write: the host
// checks every answer against the platter.
func TestGroupSync(t *testing.T) {
	h := serving(t, large)
	before := h.told
	h.ask(1)
	for h.queue[0].Kind != env.OpSync { // the first batch is written, not yet synced
		h.step()
	}
	for range 5 {
		h.ask(2)
	}
	if len(h.queue) != 1 {
		t.Fatalf("%d operations are in flight, want the first batch's sync only", len(h.queue))
	}
	h.step()
	if h.told != before+1 {
		t.Errorf("the first sync answers up to record %d, want %d", h.told, before+1)
	}
	syncs := 0
	for h.step() {
		syncs++
	}
	if h.told != before+6 || syncs != 2 {
		t.Errorf("after %d more operations record %d is answered, want 2 (an append, a sync) and %d", syncs, h.told, before+6)
	}
}

// A slow sync does not delay new requests, and new requests do not delay the sync.
func TestWritesGoOnWhileASyncIsSlow(t *testing.T) {
	h := serving(t, large)
	h.ask(1)
	h.runUntil(env.OpSync)
	for i := range 20 {
		if out := h.ask(1); !out.Later || out.Code != wire.NoError {
			t.Fatalf("write %d during the sync: %+v, want that its answer comes later", i, out)
		}
		if got, out := h.read(1); out.Code != wire.NoError || got.Totals[1].Count != 0 {
			t.Fatalf("a read during the sync: %+v, %v; want what is durable", got, out.Code)
		}
	}
	h.run()
	if got, _ := h.read(1); got.Totals[1].Count != 21 {
		t.Errorf("entity 1 has %d signals, want 21", got.Totals[1].Count)
	}
}

// A failed sync, of the file or of the directory, is final: no waiting or later request is
// acknowledged, the disk gets no further operations, and earlier acknowledged records are there
// after a restart.
func TestFailedSyncIsSticky(t *testing.T) {
	for _, kind := range []env.OpKind{env.OpSync, env.OpSyncDir} {
		for _, err := range []env.Errno{env.IOError, env.NoSpace} {
			t.Run(kind.String()+", "+err.Error(), func(t *testing.T) {
				h := serving(t, small)
				h.write(3)
				acked := len(h.acked)
				h.fail = failing(err, 0, false, on(kind))
				for range 9 { // the first is a batch, the others wait for the second, which begins a segment
					h.ask(1)
				}
				h.run()
				failed := h.Phase()
				if failed != replica.Stopped || !errors.Is(h.Failure(), err) {
					t.Fatalf("%v, want it stopped by the %v", h, err)
				}
				answered := len(h.acked)
				if kind == env.OpSync && answered != acked {
					t.Errorf("%d of the waiters are answered", answered-acked)
				}
				h.fail = nil
				if out := h.ask(1); out.Code != wire.StorageFault || len(h.queue) != 0 {
					t.Errorf("a later write: %+v, %d operations; want a refusal and none", out, len(h.queue))
				}
				h.power()
				h.restart()
				h.mustServe()
			})
		}
	}
}

// One operation of a batch fails, any one, in any batch: no request is acknowledged wrongly, and
// after a restart the log is readable and continues. A short append leaves a part of the batch in
// the file.
func TestFailedOrShortWrite(t *testing.T) {
	for _, constants := range []replica.Constants{small, large} {
		for at := range 10 {
			for _, part := range []int{0, 1, 2, 3} { // quarters of the append that reach the file
				h := serving(t, constants)
				n := at
				h.fail = func(op *env.Op) env.Errno {
					if op.Kind == env.OpClose { // the result of a close does not matter
						return env.OK
					}
					if n--; n != -1 {
						return env.OK
					}
					if f := h.handles[op.File]; op.Kind == env.OpAppend {
						f.seen = append(f.seen, op.Data[:len(op.Data)*part/4]...)
					}
					return env.IOError
				}
				for range 5 {
					h.ask(1)
					h.run()
				}
				if h.Phase() != replica.Stopped || !errors.Is(h.Failure(), env.IOError) {
					t.Fatalf("operation %d fails: %v, want it stopped", at, h)
				}
				h.fail = nil
				h.kill()
				h.restart()
				h.mustServe()
				h.openSession()
				h.write(2)
			}
		}
	}
}

// A full disk keeps what was admitted and refuses what comes then: reads go on, and when there is
// room, what was admitted is written and answered. A crash before that loses only what was not answered.
func TestFullDisk(t *testing.T) {
	for _, c := range []struct {
		name      string
		constants replica.Constants
		fail      func(op *env.Op) bool
	}{
		{"at an append", large, on(env.OpAppend)},
		{"at a rotation, creating the segment", small, onPath(env.OpCreate, ".seg")},
		{"at a rotation, the header", small, func(op *env.Op) bool { return op.Kind == env.OpAppend && len(op.Data) == wal.HeaderSize }},
		{"at a rotation, the frames only", small, func(op *env.Op) bool { return op.Kind == env.OpAppend && len(op.Data) != wal.HeaderSize }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := serving(t, c.constants)
			h.write(3)
			h.fail = failing(env.NoSpace, 0, true, c.fail)
			asked := 0
			for !h.WaitsForRoom() {
				h.ask(1)
				h.ask(2) // waits for the next batch
				asked += 2
				h.run()
			}
			before, files, answered := h.fold(), h.List(home.Dir()), len(h.acked)
			for range 3 {
				if out := h.ask(1); out.Code != wire.DiskFull {
					t.Errorf("a write while the disk is full: %+v", out)
				}
				h.resume()
			}
			if h.Phase() != replica.Serving || !slices.Equal(before, h.fold()) || !slices.Equal(files, h.List(home.Dir())) {
				t.Fatalf("%v; want it serving, as before, with files %v", h, files)
			}
			if len(h.acked) != answered || answered == asked+3 {
				t.Errorf("%d writes are acknowledged, of %d; before the disk was full %d were", len(h.acked), asked+3, answered)
			}
			if _, out := h.read(1); out.Code != wire.NoError {
				t.Errorf("a read is refused: %v", out.Code)
			}
			crashed := h.copyOf()
			crashed.kill()
			crashed.restart()
			crashed.mustServe()
			if got, want := crashed.State().Position.Seq, h.State().Position.Seq+1; got != want {
				t.Errorf("after a crash the log ends at %d, want %d: what was answered, and an epoch", got, want)
			}
			h.fail = nil
			h.resume()
			if len(h.acked) != asked+3 {
				t.Errorf("there is room, and %d writes are acknowledged, want %d", len(h.acked), asked+3)
			}
			h.write(5)
			h.power()
			h.restart()
			h.mustServe()
		})
	}
}

// Space may come free between the header of a segment, which found none, and the
// frames behind it, which are then written. They are no records even if the
// process dies before it has removed the file.
func TestFramesWithoutAHeaderAreNoRecords(t *testing.T) {
	for _, power := range []bool{false, true} {
		h := serving(t, small)
		h.fail = failing(env.NoSpace, 0, false, func(op *env.Op) bool { return op.Kind == env.OpAppend && len(op.Data) == wal.HeaderSize })
		for !h.WaitsForRoom() {
			h.ask(99)
			for !h.WaitsForRoom() && h.step() {
			}
		}
		got, _ := h.read(99)
		name := h.segments()[len(h.segments())-1]
		if data := h.file(name); len(data) == 0 || string(data[1:4]) != "frm" {
			t.Fatalf("%s begins with %x, want a frame", name, data)
		}
		if power {
			h.power()
		} else {
			h.kill()
		}
		h.restart()
		h.mustServe()
		if again, _ := h.read(99); again != got {
			t.Errorf("power failure: %v: entity 99 is %+v, want %+v", power, again, got)
		}
	}
}

// A snapshot that covers everything keeps the last durable segment, though the next
// one is being begun: that one is abandoned, and of the removals a power failure
// takes back any. Without a segment at the end the rest would look damaged.
func TestAbandonedSegmentLeavesTheOneBefore(t *testing.T) {
	h := serving(t, replica.Constants{SegmentSize: 100, SnapshotEvery: 1000, MaxSessions: 4, MaxPending: 64})
	renaming := false
	h.hit = func(p env.Point, _ env.Key) { renaming = renaming || p == fault.SnapshotRenaming }
	for !renaming {
		h.ask(1)
		for !renaming && h.step() {
		}
	}
	h.runUntil(env.OpSyncDir) // that of the snapshot's name; when it is done, the removals begin
	before := h.segments()
	h.fail = failing(env.NoSpace, 0, true, on(env.OpAppend))
	h.ask(1)
	h.run()
	left := h.segments()
	if !h.WaitsForRoom() || len(left) != 1 || left[0] != before[len(before)-1] {
		t.Errorf("waits for room %t, segments %v; want true, and the last of %v", h.WaitsForRoom(), left, before)
	}
}

// Attempts that a full disk refused do not count as written: the segment fills as without them.
func TestFullDiskFillsNoSegment(t *testing.T) {
	c := large
	c.SegmentSize = 4096
	h, calm := serving(t, c), serving(t, c)
	for range 40 {
		h.fail = failing(env.NoSpace, 0, true, on(env.OpAppend))
		h.ask(1)
		h.run()
		h.resume()
		h.fail = nil
		h.resume()
		calm.write(1)
	}
	if !slices.Equal(h.segments(), calm.segments()) || len(h.segments()) < 2 {
		t.Errorf("the segments are %v, want %v and more than one", h.segments(), calm.segments())
	}
}

// A change that the disk had no room for is charged once, however often the batch is tried: a token,
// an entity and its bytes.
func TestFullDiskChargesOnce(t *testing.T) {
	h := newHost(t, large)
	h.limits = tenant.Limits{Rate: 1, Burst: 5, Entities: 3}
	h.restart()
	h.openSession()
	h.fail = failing(env.NoSpace, 0, true, on(env.OpAppend))
	for i := range uint64(3) {
		if out := h.ask(100 + i); !out.Admitted {
			t.Fatalf("write %d: %+v", i, out)
		}
	}
	for range 4 {
		h.resume()
	}
	h.fail = nil
	h.resume()
	if out := h.ask(0); out.Facts.Quota.Resource != quota.Entities {
		t.Errorf("a fourth entity: %+v, want a refusal for entities", out)
	}
	if len(h.acked) != 3 || h.State().Live() != 3 {
		t.Fatalf("there is room: %d writes are acknowledged, %d entities; want 3 and 3", len(h.acked), h.State().Live())
	}
	for range 2 {
		if out := h.ask(100); !out.Admitted {
			t.Errorf("tokens 4 and 5: %+v", out)
		}
		h.run()
	}
	if out := h.ask(100); out.Facts.Quota.Resource != quota.SignalsPerSecond {
		t.Errorf("a sixth write: %+v, want a refusal for the rate", out)
	}
}

// An eviction that the disk has no room for happens when there is room.
func TestFullDiskPutsAnEvictionOff(t *testing.T) {
	c := large
	c.MaxSessions = 1
	h := serving(t, c)
	old := h.session
	h.fail = failing(env.NoSpace, 0, true, on(env.OpAppend))
	h.open(77)
	if out := h.ask(1); out.Code != wire.SessionExpired {
		t.Errorf("a change of the session that leaves: %+v", out)
	}
	h.run()
	if h.resume(); h.session != old || h.State().Sessions() != 1 {
		t.Fatalf("session %d of %d is open, want still %d", h.session, h.State().Sessions(), old)
	}
	h.fail = nil
	if h.resume(); h.session == old || h.State().Sessions() != 1 {
		t.Errorf("session %d of %d is open, want a new one of 1", h.session, h.State().Sessions())
	}
	h.write(1)
}

// A disk that is full when the slot starts: it serves when there is space again,
// without a restart, and no half-made file stays.
func TestFullDiskAtTheStart(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(op *env.Op) bool
	}{
		{"making a directory", on(env.OpMkdir)},
		{"creating the manifest", onPath(env.OpCreate, wal.ManifestName+wal.TempSuffix)},
		{"writing the manifest", on(env.OpAppend)},
		{"naming the manifest", on(env.OpRename)},
		{"creating the first segment", onPath(env.OpCreate, ".seg")},
		{"the first segment's header", func(op *env.Op) bool { return op.Kind == env.OpAppend && len(op.Data) == wal.HeaderSize }},
		{"the first record", func(op *env.Op) bool { return op.Kind == env.OpAppend && len(op.Data) > wal.HeaderSize }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, small)
			h.fail = failing(env.NoSpace, 0, true, c.fail)
			h.restart()
			if _, out := h.read(1); out.Code != wire.NotServing {
				t.Fatalf("a read: %v, want not serving", out.Code)
			}
			h.run()
			if !h.WaitsForRoom() {
				t.Fatalf("%v; want it to wait for space", h)
			}
			h.fail = nil
			h.resume()
			h.mustServe()
			h.Resume(h)
			if len(h.queue) > 0 || h.WaitsForRoom() {
				t.Errorf("%d operations of a slot that serves already", len(h.queue))
			}
			h.openSession()
			h.write(2)
			for _, name := range h.List(home.Dir()) {
				if name != wal.ManifestName && !slices.Contains(h.segments(), name) {
					t.Errorf("%s is left over", name)
				}
			}
			h.power()
			h.restart()
			h.mustServe()
		})
	}
}

// A snapshot that finds no room is given up, and nothing half made stays; the log
// keeps its segments and the slot serves. The next one is written when there is
// space.
func TestFullDiskGivesUpTheSnapshot(t *testing.T) {
	for _, kind := range []env.OpKind{env.OpCreate, env.OpAppend, env.OpRename} {
		t.Run(kind.String(), func(t *testing.T) {
			c := small
			c.SnapshotEvery = 1024
			h := serving(t, c)
			h.fail = failing(env.NoSpace, 0, true, func(op *env.Op) bool {
				snapshot := strings.HasSuffix(op.Path, ".snap"+wal.TempSuffix) || isSnapshot(op.Data)
				return op.Kind == kind && snapshot
			})
			h.write(40)
			if h.Phase() != replica.Serving || h.WaitsForRoom() || len(h.segments())+1 != len(h.List(home.Dir())) {
				t.Fatalf("%v, waits for room %t; want it serving with its segments and no other file", h, h.WaitsForRoom())
			}
			h.fail = nil
			h.write(40)
			if n := len(h.List(home.Dir())) - len(h.segments()); n != 2 {
				t.Errorf("%v; want a manifest and a snapshot beside the segments", h)
			}
			h.power()
			h.restart()
			h.mustServe()
		})
	}
}

// isSnapshot tells by the magic.
func isSnapshot(data []byte) bool { return len(data) > 4 && string(data[1:4]) == "snp" }

// Requests out of order change nothing: a repeated one gets its old answer, one below the floor or
// too far ahead is refused; the right one works.
func TestRequestsOutOfOrder(t *testing.T) {
	h := serving(t, large)
	h.write(20)
	before := h.Appended()
	repeated := *h.message(1)
	repeated.Request = 20
	if out := h.change(&repeated); out.Seq != h.acked[20] || out.Code != wire.NoError {
		t.Errorf("request 20 again: %+v, want its answer %d", out, h.acked[20])
	}
	for request, want := range map[uint64]wire.Code{1: wire.Superseded, 20 + 16: wire.Window, 0: wire.Invalid} {
		m := *h.message(1)
		m.Request, m.Floor = request, min(request, 12)
		if out := h.change(&m); out.Code != want {
			t.Errorf("request %d: %+v, want %v", request, out, want)
		}
	}
	if h.Appended() != before || len(h.queue) != 0 {
		t.Errorf("the log went from record %d to %d", before, h.Appended())
	}
	h.request = 20
	h.write(1)
}

// After it stopped a slot refuses, takes late completions and does not panic.
func TestStoppedSlotIsQuiet(t *testing.T) {
	h := serving(t, small)
	h.ask(1)
	h.fail = failing(env.IOError, 0, false, on(env.OpAppend))
	h.run()
	if h.Phase() != replica.Stopped {
		t.Fatalf("%v, want it stopped", h)
	}
	for _, id := range []env.OpID{0, 1 << 32, 1<<32 | 1<<24, 1<<32 | 2<<24, 1<<32 | 3<<24, 1<<32 | 4<<24, 1<<32 | 5<<24} {
		for _, err := range []env.Errno{env.OK, env.NoSpace, env.IOError} {
			h.Done(h, &env.Event{Kind: env.DiskDone, Op: id, Err: err})
			if done := h.Commit(h, h.End().Seq); len(done) != 0 {
				t.Errorf("operation %x answers %d records", id, len(done))
			}
		}
	}
	session := h.open(5)
	_, read := h.read(1)
	if session.Code != wire.StorageFault || read.Code != wire.StorageFault || len(h.queue) != 0 {
		t.Errorf("session %v, read %v, %d operations; want refusals and none", session.Code, read.Code, len(h.queue))
	}
}

// Batches run over the ends of segments, which may be exactly as large as a
// batch, a byte larger, or smaller than any record.
func TestRotationLosesAndDoublesNothing(t *testing.T) {
	probe := serving(t, large)
	probe.write(1)
	name := probe.segments()[0]
	start := int64(len(probe.file(name)))
	probe.write(1)
	frame := int64(len(probe.file(name))) - start
	for size := int64(wal.HeaderSize); size <= wal.HeaderSize+3*frame+1; size += max(1, frame/7) {
		for _, exact := range []int64{0, wal.HeaderSize + frame, wal.HeaderSize + frame + 1, wal.HeaderSize + frame - 1} {
			c := large
			c.SegmentSize = max(size, exact)
			h := serving(t, c)
			for batch := range 6 {
				for range batch {
					h.ask(uint64(batch))
				}
				h.run()
			}
			count := h.State().Position.Seq
			if _, out := h.read(0); len(h.acked) != 15 || out.Seq != lineage.Seq(count) {
				t.Fatalf("segments of %d bytes: %d writes acknowledged, read at %d", c.SegmentSize, len(h.acked), out.Seq)
			}
			h.power()
			h.restart()
			h.mustServe()
			for batch := range 6 {
				if got, _ := h.read(uint64(batch)); got.Totals[1].Count != uint64(batch) {
					t.Fatalf("segments of %d bytes: entity %d has %d signals, want %d", c.SegmentSize, batch, got.Totals[1].Count, batch)
				}
			}
		}
	}
}
