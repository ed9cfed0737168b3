package replica_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// snapping constants make snapshots and new segments all the time.
var snapping = replica.Constants{SegmentSize: 512, SnapshotEvery: 1024, MaxSessions: 4, MaxPending: 64}

// Every file that a slot or another program may have left at a start.
func TestLeftovers(t *testing.T) {
	torn := func(h *host, name string, size int) {
		data := h.file(name)
		h.put(name, data[:len(data)-size])
	}
	lastOf := func(h *host) string { return slices.Max(h.segments()) } // all firsts have one digit here
	for _, c := range []struct {
		name   string
		leave  func(h *host)
		gone   []string // names that must not be there afterwards
		kept   []string // names that must
		failed error    // why the slot stops instead, nil if it serves
	}{
		{name: "nothing", leave: func(*host) {}},
		{name: "temporary files of an interrupted start or snapshot", leave: func(h *host) {
			h.put("manifest.tmp", []byte("half"))
			h.put("4.snap.tmp", nil)
			h.put("3-1.seg.tmp", []byte("half"))
		}, gone: []string{"manifest.tmp", "4.snap.tmp", "3-1.seg.tmp"}},
		{name: "foreign files and directories", leave: func(h *host) {
			h.put("notes.txt", []byte("mine"))
			h.put("03-4.seg", []byte("not canonical"))
			h.put("3-0.seg", []byte("no such record"))
			h.put(".snap", nil)
			h.dirs[home.Dir()+"/lost+found"] = true
		}, kept: []string{"notes.txt", "03-4.seg", "3-0.seg", ".snap", "lost+found/"}},
		{name: "a segment that was created and not written", leave: func(h *host) {
			h.put(wal.SegmentName(home.Shard, h.State().Position.Next()), nil)
		}},
		{name: "a segment whose header is half written", leave: func(h *host) {
			h.put(wal.SegmentName(home.Shard, h.State().Position.Next()), make([]byte, wal.HeaderSize/2))
		}},
		{name: "zeros of a length that was set before the data", leave: func(h *host) {
			name := lastOf(h)
			h.put(name, append(slices.Clone(h.file(name)), make([]byte, 1000)...))
		}},
		{name: "a segment of another shard", leave: func(h *host) { h.put("4-2.seg", nil) }, failed: wal.ErrCorrupt},
		{name: "no manifest, but segments", leave: func(h *host) { h.take(wal.ManifestName) }, failed: wal.ErrCorrupt},
		{name: "no manifest, but a snapshot", leave: func(h *host) {
			for _, name := range append(h.segments(), wal.ManifestName) {
				h.take(name)
			}
			h.put("4.snap", wal.AppendSnapshot(nil, home, h.State().Position, h.fold()))
		}, failed: wal.ErrCorrupt},
		{name: "an empty manifest", leave: func(h *host) { h.put(wal.ManifestName, nil) }, failed: wal.ErrCorrupt},
		{name: "the manifest of another slot", leave: func(h *host) {
			other := home
			other.Tenant++
			h.put(wal.ManifestName, wal.AppendManifest(nil, other))
		}, failed: wal.ErrCorrupt},
		{name: "a file where the directory should be", leave: func(h *host) {
			delete(h.dirs, home.Dir())
			h.names[home.Dir()] = &content{}
		}, failed: env.NotDir},
		{name: "the first segment missing", leave: func(h *host) { h.take(h.segments()[0]) }, failed: wal.ErrCorrupt},
		{name: "a segment in the middle missing", leave: func(h *host) { h.take(h.segments()[1]) }, failed: wal.ErrCorrupt},
		{name: "a sealed segment cut", leave: func(h *host) { torn(h, h.segments()[0], 1) }, failed: wal.ErrCorrupt},
		{name: "a sealed segment empty", leave: func(h *host) { h.put(h.segments()[1], nil) }, failed: wal.ErrCorrupt},
		{name: "two tails", leave: func(h *host) {
			h.put(wal.SegmentName(home.Shard, h.State().Position.Seq), h.file(lastOf(h))[:wal.HeaderSize])
		}, failed: wal.ErrCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := serving(t, small)
			h.write(5)
			h.kill()
			c.leave(h)
			before := h.bytes()
			h.restart()
			files := h.List(home.Dir())
			for _, name := range c.gone {
				if slices.Contains(files, name) {
					t.Errorf("%s is still there", name)
				}
			}
			for _, name := range c.kept {
				if !slices.Contains(files, name) {
					t.Errorf("%s is gone", name)
				}
			}
			if c.failed != nil {
				h.mustStop(c.failed, before)
				return
			}
			h.mustServe()
			h.openSession()
			h.write(5)
			h.power()
			h.restart()
			h.mustServe()
		})
	}
}

// bytes is the content of every file of the slot directory.
func (h *host) bytes() map[string]string {
	all := map[string]string{}
	for path, f := range h.names {
		if strings.HasPrefix(path, home.Dir()+"/") {
			all[path] = string(f.seen)
		}
	}
	return all
}

// mustStop checks that the slot stopped for want, serves nothing, and left every
// file as it was.
func (h *host) mustStop(want error, before map[string]string) {
	h.Helper()
	if h.Phase() != replica.Stopped || !errors.Is(h.Failure(), want) {
		h.Fatalf("%v; want it stopped: %v", h, want)
	}
	code := wire.StorageFault
	if errors.Is(want, wal.ErrCorrupt) {
		code = wire.Corrupt
	}
	if _, out := h.read(0); out.Code != code {
		h.Errorf("a read: %v, want %v", out.Code, code)
	}
	if out := h.ask(0); out.Code != code {
		h.Errorf("a write: %v, want %v", out.Code, code)
	}
	if after := h.bytes(); !maps.Equal(before, after) {
		h.Errorf("the files were touched: %v", h.List(home.Dir()))
	}
}

// Damage of acknowledged records, at every byte: the slot stops, names the file and the place, and
// leaves the files alone. The last record alone is a torn tail: nothing on this disk shows that it
// was durable.
func TestDamageOfAcknowledgedRecordsStopsTheSlot(t *testing.T) {
	h := serving(t, small)
	h.write(6)
	h.kill()
	name := h.segments()[1]
	for at := range h.file(name) {
		c := h.copyOf()
		c.file(name)[at] ^= 0x40
		before := c.bytes()
		c.restart()
		c.mustStop(wal.ErrCorrupt, before)
		var damage *wal.CorruptError
		if !errors.As(c.Failure(), &damage) || damage.Segment != name || damage.Offset > int64(at) {
			t.Fatalf("byte %d of %s: %v, want damage there or before", at, name, c.Failure())
		}
	}
}

// A slot that is damaged does not hold up another one on the same node: it asks
// nothing of the disk once it stopped.
func TestDamagedSlotAsksNothingMore(t *testing.T) {
	h := serving(t, small)
	h.write(6)
	h.kill()
	h.file(h.segments()[0])[70] ^= 1
	h.restart()
	if len(h.queue) != 0 || h.Phase() != replica.Stopped {
		t.Errorf("%v, %d operations in flight", h, len(h.queue))
	}
	h.ask(1)
	if len(h.queue) != 0 {
		t.Errorf("a write makes %d operations", len(h.queue))
	}
}

// Every relation between the records in the snapshot and the records in the log.
func TestSnapshotAndLog(t *testing.T) {
	damaged := func(h *host, change func(b []byte)) {
		for _, name := range h.List(home.Dir()) {
			if _, ok := wal.ParseSnapshotName(name); ok {
				change(h.file(name))
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(h *host, old []byte, at lineage.Position) // old: a snapshot at a position before
		failed error
	}{
		{name: "as they are", change: func(*host, []byte, lineage.Position) {}},
		{name: "an older snapshot whose removal was lost", change: func(h *host, old []byte, at lineage.Position) {
			h.put(wal.SnapshotName(at.Seq), wal.AppendSnapshot(nil, home, at, old))
		}},
		{name: "a half-written newer one", change: func(h *host, _ []byte, _ lineage.Position) {
			h.put(wal.SnapshotName(h.State().Position.Seq)+wal.TempSuffix, []byte("half"))
		}},
		{name: "at the end of the log", change: func(h *host, _ []byte, _ lineage.Position) {
			at := h.State().Position
			h.put(wal.SnapshotName(at.Seq), wal.AppendSnapshot(nil, home, at, h.fold()))
		}},
		{name: "at the end, and all segments gone", change: func(h *host, _ []byte, _ lineage.Position) {
			at := h.State().Position
			h.put(wal.SnapshotName(at.Seq), wal.AppendSnapshot(nil, home, at, h.fold()))
			for _, name := range h.segments() {
				h.take(name)
			}
		}},
		{name: "newer than the log", change: func(h *host, _ []byte, _ lineage.Position) {
			at := h.State().Position
			h.put(wal.SnapshotName(at.Seq), wal.AppendSnapshot(nil, home, at, h.fold()))
			last := h.segments()[len(h.segments())-1]
			h.put(last, h.file(last)[:wal.HeaderSize])
		}, failed: wal.ErrCorrupt},
		{name: "lost, and the segments below it too", change: func(h *host, _ []byte, _ lineage.Position) {
			for _, name := range h.List(home.Dir()) {
				if _, ok := wal.ParseSnapshotName(name); ok {
					h.take(name)
				}
			}
		}, failed: wal.ErrCorrupt},
		{name: "damaged", failed: wal.ErrCorrupt, change: func(h *host, _ []byte, _ lineage.Position) {
			damaged(h, func(b []byte) { b[len(b)-1] ^= 1 })
		}},
		{name: "of another history", failed: wal.ErrCorrupt, change: func(h *host, _ []byte, at lineage.Position) {
			for _, name := range h.List(home.Dir()) {
				if seq, ok := wal.ParseSnapshotName(name); ok {
					at.Seq = seq
					h.put(name, wal.AppendSnapshot(nil, home, at, h.fold()))
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := serving(t, snapping)
			h.write(2)
			old, at := h.fold(), h.State().Position
			h.write(30)
			if len(h.List(home.Dir())) != len(h.segments())+2 || h.segments()[0] == "3-1.seg" {
				t.Fatalf("%v; want a snapshot, and the first segment gone", h)
			}
			h.kill()
			want := h.fold()
			c.change(h, old, at)
			before := h.bytes()
			h.restart()
			if c.failed != nil {
				h.mustStop(c.failed, before)
				return
			}
			h.mustServe()
			if h.State().Position.Seq != 1+lineage.Seq(bytesSeq(t, want)) {
				t.Errorf("the log ends at record %d, want one more than %d", h.State().Position.Seq, bytesSeq(t, want))
			}
			if n := len(h.List(home.Dir())) - len(h.segments()); n != 2 {
				t.Errorf("%v; want one snapshot and the manifest beside the segments", h)
			}
			h.openSession()
			h.write(40)
			h.power()
			h.restart()
			h.mustServe()
		})
	}
}

// bytesSeq is the seq of an encoded state.
func bytesSeq(t *testing.T, fold []byte) uint64 {
	t.Helper()
	s, err := state.Decode(fold)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(s.Position.Seq)
}

// Recovery itself crashes at each of its operations, repeatedly, by a kill or a power failure. The
// last recovery finds the same as an undisturbed one.
func TestRecoveryCrashesAtEveryStep(t *testing.T) {
	h := serving(t, snapping)
	h.write(1)
	at, old := h.State().Position, h.fold()
	h.write(25)
	h.kill()
	last := h.segments()[len(h.segments())-1]
	for _, c := range []struct {
		name  string
		leave func(h *host)
	}{
		{"clean", func(*host) {}},
		{"torn tail", func(h *host) {
			whole := h.file(last)
			h.put(last, append(slices.Clone(whole), whole[wal.HeaderSize:wal.HeaderSize+50]...))
		}},
		{"torn header", func(h *host) {
			h.put(wal.SegmentName(home.Shard, h.State().Position.Next()), make([]byte, 30))
		}},
		{"leftovers of a snapshot", func(h *host) {
			h.put(wal.SnapshotName(at.Seq), wal.AppendSnapshot(nil, home, at, old))
			now := h.State().Position
			h.put(wal.SnapshotName(now.Seq), wal.AppendSnapshot(nil, home, now, h.fold()))
			h.put(wal.SnapshotName(now.Seq)+wal.TempSuffix, []byte("half"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			left := h.copyOf()
			left.Replica = h.Replica
			c.leave(left)
			reference := left.copyOf()
			reference.restart()
			reference.mustServe()
			for first := range reference.done {
				for _, second := range []int{0, first / 2, first, first + 1} {
					crashed := left.copyOf()
					crashed.crashAfter(first, first%2 == 0)
					crashed.crashAfter(second, first%3 == 0)
					crashed.incarnation = left.incarnation // the same epoch, to compare
					crashed.restart()
					crashed.mustServe()
					mustAgree(t, fmt.Sprintf("crashes after %d and %d operations", first, second), reference, crashed)
				}
			}
		})
	}
}

// The very first start crashes, at each of its operations, twice: no half-made
// directory keeps the slot from coming up.
func TestStartCrashesAtEveryStep(t *testing.T) {
	whole := newHost(t, small)
	whole.restart()
	for first := range whole.done {
		for second := range whole.done {
			for _, power := range []bool{false, true} {
				h := newHost(t, small)
				h.crashAfter(first, power)
				h.crashAfter(second, !power)
				h.restart()
				h.mustServe()
				h.openSession()
				h.write(1)
			}
		}
	}
}

// crashAfter starts, completes n operations, and crashes.
func (h *host) crashAfter(n int, power bool) {
	h.start()
	for range n {
		h.step()
	}
	if power {
		h.power()
	} else {
		h.kill()
	}
}

// mustAgree compares the recovered states of two hosts: the same entities and sessions, and no torn
// record returns. An epoch may have begun in between.
func mustAgree(t *testing.T, what string, want, got *host) {
	t.Helper()
	extra := got.State().Position.Seq - want.State().Position.Seq
	if want.State().Position.Seq > got.State().Position.Seq || extra > 2 {
		t.Fatalf("%s: the log ends at record %d, want %d and up to two epochs more", what, got.State().Position.Seq, want.State().Position.Seq)
	}
	if !slices.Equal(want.State().Entities(), got.State().Entities()) || want.State().Sessions() != got.State().Sessions() {
		t.Fatalf("%s: the state differs", what)
	}
}

// After a torn tail new records are written over its place, the slot crashes at
// once, several times: the new ones are there, the torn ones never come back.
func TestTornRecordsDoNotComeBack(t *testing.T) {
	h := serving(t, large)
	h.write(3)
	for round := range 5 {
		torn := uint64(100 + round)
		h.ask(torn)
		h.runUntil(env.OpSync)
		name := h.segments()[0]
		data := h.file(name)
		h.kill()
		h.names[home.Dir()+"/"+name].seen = data[:len(data)-1-round*20]
		h.restart()
		h.mustServe()
		h.openSession()
		h.write(1)
		h.power()
		h.restart()
		h.mustServe()
		if got, _ := h.read(torn); got.LastSeq != 0 {
			t.Fatalf("round %d: the torn record is back at %d", round, got.LastSeq)
		}
		h.openSession()
	}
}

// A start removes segments that the snapshot covers, and the last one, because its header is torn.
// The first removals are durable before the last one. If a power failure undoes any of them, the
// next start finds the same.
func TestRemovalsOfAStartMayBeTakenBack(t *testing.T) {
	h := serving(t, small)
	h.write(12)
	h.kill()
	h.put(wal.SnapshotName(h.State().Position.Seq), wal.AppendSnapshot(nil, home, h.State().Position, h.fold()))
	h.put(wal.SegmentName(home.Shard, h.State().Position.Next()), make([]byte, 20))
	whole := h.segments()
	probe := h.copyOf()
	probe.restart()
	for steps := range probe.done {
		for _, back := range whole {
			c := h.copyOf()
			c.start()
			for range steps {
				c.step()
			}
			c.kill()
			if path := home.Dir() + "/" + back; c.durable[path] != nil { // its removal alone is lost
				c.names[path] = c.durable[path]
			}
			c.durable = maps.Clone(c.names)
			c.restart()
			if c.Phase() != replica.Serving {
				t.Fatalf("power failure after %d operations, %s is back: %v", steps, back, c)
			}
		}
	}
}

// A full disk at the repair of a torn tail lets the slot wait; the damaged file stays
// as it is until there is room for its good part.
func TestFullDiskAtTheRepair(t *testing.T) {
	for _, kind := range []env.OpKind{env.OpCreate, env.OpAppend, env.OpRename} {
		h := serving(t, large)
		h.write(3)
		h.kill()
		name := h.segments()[0]
		torn := append(slices.Clone(h.file(name)), 1, 2, 3)
		h.put(name, torn)
		h.fail = failing(env.NoSpace, 0, true, on(kind))
		h.restart()
		if !h.WaitsForRoom() || !bytes.Equal(h.file(name), torn) {
			t.Fatalf("%v at %v; want it to wait for space and the file as it was", h, kind)
		}
		h.fail = nil
		h.Resume(h)
		h.run()
		h.mustServe()
	}
}

// After a torn tail, epoch, limits, bucket level and sessions are those of the last good record.
func TestTermsAreTheLastGoodOnes(t *testing.T) {
	h := serving(t, large)
	h.write(4)
	want := h.State()
	h.ask(1)
	h.runUntil(env.OpSync)
	h.kill()
	name := h.segments()[0]
	h.names[home.Dir()+"/"+name].seen = h.file(name)[:len(h.file(name))-1]
	h.start()
	for h.Phase() < replica.Starting { // the opening record of the new epoch follows
		h.step()
	}
	got := h.State()
	if got.Lineage() != want.Lineage() || got.Limits != want.Limits || got.Level != want.Level || !bytes.Equal(got.Append(nil), want.Append(nil)) {
		t.Errorf("epoch %d, limits %+v, level %d; want %d, %+v, %d", got.Lineage(), got.Limits, got.Level, want.Lineage(), want.Limits, want.Level)
	}
}

// Opening again and again with nothing written costs one record a start and no
// file.
func TestOpenedTwice(t *testing.T) {
	h := serving(t, large)
	h.write(3)
	entities := slices.Clone(h.State().Entities())
	files, end := h.List(home.Dir()), h.State().Position.Seq
	for n := range lineage.Seq(4) {
		h.kill()
		h.restart()
		h.mustServe()
		if got := h.State().Position.Seq; got != end+n+1 || !slices.Equal(files, h.List(home.Dir())) || !slices.Equal(entities, h.State().Entities()) {
			t.Errorf("start %d: %v; want end %d, the same files and entities", n, h, end+n+1)
		}
	}
}

// The front of the log goes with each snapshot: whole segments that it covers,
// never the one that is written to. The first record that is left is right after
// the removal and after a restart.
func TestFrontIsCutBySnapshots(t *testing.T) {
	h := serving(t, snapping)
	fronts := 0
	for range 60 {
		before := h.segments()
		h.write(1)
		if len(h.segments()) == 0 {
			t.Fatal("all segments are gone")
		}
		if h.segments()[0] == before[0] {
			continue
		}
		fronts++
		c := h.copyOf()
		c.power()
		c.restart()
		c.mustServe()
		if got, want := c.segments()[0], h.segments()[0]; got != want {
			t.Errorf("after a restart the log begins with %s, want %s", got, want)
		}
	}
	if fronts < 5 {
		t.Errorf("the front was cut %d times, want more", fronts)
	}
}

// A sync fails, and the process is killed and starts again. The dropped bytes are visible, and no
// sync makes them durable. No answer from then on is lost in a power failure.
func TestWhatAFailedSyncDroppedIsWrittenAnew(t *testing.T) {
	for _, c := range []struct {
		name    string
		after   string // the rename of the file before, if the sync is of the directory
		failing env.OpKind
	}{
		{"a batch", "", env.OpSync},
		{"the name of a segment", "", env.OpSyncDir},
		{"the name of a snapshot", ".snap.tmp", env.OpSyncDir},
		{"the name of the manifest", "manifest.tmp", env.OpSyncDir},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, replica.Constants{SegmentSize: 512, SnapshotEvery: 2000, MaxSessions: 4, MaxPending: 64})
			armed := false
			h.fail = func(op *env.Op) env.Errno {
				switch {
				case op.Kind == env.OpRename && c.after != "" && strings.HasSuffix(op.Path, c.after):
					armed = true
				case op.Kind == env.OpCreate && c.after == "" && strings.HasSuffix(op.Path, ".seg"):
					armed = true
				case armed && op.Kind == c.failing && (op.Kind == env.OpSync || op.Path == home.Dir()):
					return env.IOError
				}
				return env.OK
			}
			h.restart()
			for range 20 {
				if h.Phase() != replica.Serving {
					break
				}
				h.open(1)
				h.ask(1)
				h.run()
			}
			if h.Phase() != replica.Stopped {
				t.Fatalf("%v, want it stopped by the sync", h)
			}
			h.fail = nil
			h.kill()
			h.restart()
			h.mustServe()
			h.openSession()
			h.write(3)
			h.power()
			h.restart()
			h.mustServe()
		})
	}
}
