package replica_test

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// tear is a power failure that keeps an arbitrary part of the unsynced data: of each file a prefix,
// with sectors that may be zeros; of the names each one on its own.
func (h *host) tear(t *rapid.T) {
	h.kill()
	after := maps.Clone(h.durable)
	for _, path := range slices.Sorted(maps.Keys(h.names)) {
		if rapid.Bool().Draw(t, "keeps "+path) {
			after[path] = h.names[path]
		}
	}
	for _, path := range slices.Sorted(maps.Keys(h.durable)) {
		if h.names[path] == nil && rapid.Bool().Draw(t, "loses "+path) {
			delete(after, path)
		}
	}
	h.names = after
	torn := map[*content]bool{} // a file may have two names
	for _, path := range slices.Sorted(maps.Keys(after)) {
		f := after[path]
		if torn[f] || len(f.seen) == f.clean {
			f.seen = slices.Clone(f.synced)
		} else {
			f.tear(t)
		}
		torn[f] = true
		f.synced = slices.Clone(f.seen)
	}
	h.durable = maps.Clone(after)
	h.forgive()
}

func (f *content) tear(t *rapid.T) {
	from := len(f.synced)
	f.seen = f.seen[:rapid.IntRange(from, len(f.seen)).Draw(t, "size")]
	for at := from; at < len(f.seen); at = at - at%512 + 512 {
		if rapid.IntRange(0, 3).Draw(t, "sector") == 0 {
			clear(f.seen[at:min(at-at%512+512, len(f.seen))])
		}
	}
}

// kept is a client's record of an acknowledged write.
type kept struct {
	message wire.Message
	seq     lineage.Seq
}

// Full disks, failed writes and syncs, kills and power failures come in any order, many times, at
// any operation. The slot recovers, answered writes are there, a repeated request gets the same
// answer, and no write is applied twice. What the disk had no room for is answered when there is room.
func TestNothingAnsweredIsLost(t *testing.T) {
	crashes, waits := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		h := newHost(t, replica.Constants{
			SegmentSize:   rapid.Int64Range(100, 2000).Draw(t, "segment"),
			SnapshotEvery: rapid.Int64Range(300, 4000).Draw(t, "every"),
			MaxSessions:   2, MaxPending: 8,
		})
		asked, answered := map[uint64]*wire.Message{}, map[uint64]kept{}
		h.restart()
		h.openSession()
		for range rapid.IntRange(1, 6).Draw(t, "incarnations") {
			waits += trouble(t, h, asked, answered)
			h.fail = nil
			if h.WaitsForRoom() && rapid.Bool().Draw(t, "room") {
				h.mustFindRoom(asked, answered)
			}
			if rapid.Bool().Draw(t, "power") {
				h.tear(t)
			} else {
				h.kill()
			}
			crashes++
			h.restart()
			h.mustServe()
			h.mustRemember(answered)
		}
	})
	if crashes < 100 || waits < 100 {
		t.Errorf("%d crashes and %d full disks in all, want more", crashes, waits)
	}
}

// trouble sends writes and lets operations complete; some of them fail. It returns how often the
// slot waited for room.
func trouble(t *rapid.T, h *host, asked map[uint64]*wire.Message, answered map[uint64]kept) (waits int) {
	for range rapid.IntRange(1, 12).Draw(t, "rounds") {
		fault := rapid.SampledFrom([]env.Errno{env.OK, env.OK, env.OK, env.NoSpace, env.NoSpace, env.NoSpace, env.NoSpace, env.IOError}).Draw(t, "fault")
		kinds := []env.OpKind{env.OpAppend, env.OpCreate, env.OpRename}
		if fault == env.IOError {
			kinds = append(kinds, env.OpSync, env.OpSyncDir)
		}
		kind, all := rapid.SampledFrom(kinds).Draw(t, "kind"), rapid.Bool().Draw(t, "all")
		h.fail = failing(fault, rapid.IntRange(0, 2).Draw(t, "after"), all && fault == env.NoSpace, on(kind))
		for range rapid.IntRange(0, 4).Draw(t, "writes") {
			m := h.message(h.request)
			m.Signal.Entity = signal.Entity(m.Request) // each write its own entity
			asked[m.Request] = m
			h.change(m)
		}
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			h.step()
		}
		h.note(asked, answered)
		if h.WaitsForRoom() {
			waits++
			h.Resume(h)
		}
	}
	return waits
}

// note adds the new answers to those that must be remembered.
func (h *host) note(asked map[uint64]*wire.Message, answered map[uint64]kept) {
	for request, seq := range h.acked {
		answered[request] = kept{*asked[request], seq}
	}
}

// mustFindRoom checks that a slot that waited for room writes all that it has admitted.
func (h *host) mustFindRoom(asked map[uint64]*wire.Message, answered map[uint64]kept) {
	h.Helper()
	h.resume()
	h.note(asked, answered)
	if h.WaitsForRoom() || h.State().Position.Seq != h.Appended() {
		h.Fatalf("there is room: %v, waits %t, and the log ends at %d", h, h.WaitsForRoom(), h.Appended())
	}
}

// mustRemember checks that every answer within the session's window is unchanged, and that every
// answered write is applied once.
func (h *host) mustRemember(answered map[uint64]kept) {
	h.Helper()
	for _, request := range slices.Sorted(maps.Keys(answered)) {
		k := answered[request]
		got, _ := h.read(request)
		if got.Totals[1].Count != 1 || got.LastSeq != uint64(k.seq) {
			h.Fatalf("request %d was acknowledged at record %d; its entity is %+v", request, k.seq, got)
		}
		out := h.change(&k.message)
		if out.Seq != k.seq && out.Code != wire.Superseded || out.Later {
			h.Fatalf("request %d again: %+v, want its answer %d", request, out, k.seq)
		}
	}
	if len(h.queue) > 0 {
		h.Fatalf("repeated requests made %d operations", len(h.queue))
	}
}
