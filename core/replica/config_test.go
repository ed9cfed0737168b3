package replica_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// configure sets limits of a version as the group of a leader does: what waits comes first.
func (h *host) configure(version uint64, limits tenant.Limits) {
	h.Helper()
	h.Entitle(record.LimitsOf(version, limits))
	if !h.Outdated() {
		h.Fatalf("limits of version %d are no news to a log with %+v", version, h.State().Limits)
	}
	h.Renew(h)
	h.Flush(h)
}

var (
	wide   = tenant.Limits{Rate: 1_000_000, Burst: 50, Entities: 40, Bytes: 5000}
	narrow = tenant.Limits{Rate: 10, Burst: 5, Entities: 2, Bytes: 303}
)

func TestLimitsAreThoseOfTheLogAfterARestart(t *testing.T) {
	h := serving(t, small)
	h.configure(3, narrow)
	h.run()
	h.power()
	h.restart() // with limits of version 1
	h.mustServe()
	want := record.Limits{Version: 3, Rate: 10, Burst: 5, Entities: 2, Bytes: 303}
	if diff := cmp.Diff(want, h.State().Limits); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}

// A limit below the use refuses growth, and nothing is deleted.
func TestALoweredLimitRefusesGrowthOnly(t *testing.T) {
	h := serving(t, small)
	h.write(4)
	h.configure(2, tenant.Limits{Rate: 1_000_000, Burst: 50, Entities: 2, Bytes: 303})
	h.run()
	if live, bytes := h.State().Live(), h.State().Bytes(); live != 4 || bytes != 404 {
		t.Errorf("%d entities and %d bytes are left, want 4 and 404", live, bytes)
	}
	for _, c := range []struct {
		kind   wire.Kind
		entity uint64
		want   replica.Outcome
	}{
		{wire.Put, 9, replica.Outcome{Code: wire.QuotaExceeded, Facts: wire.Facts{Quota: quota.ExceededError{Resource: quota.Entities, Limit: 2, Used: 4}}}},
		{wire.Write, 0, replica.Outcome{Code: wire.QuotaExceeded, Facts: wire.Facts{Quota: quota.ExceededError{Resource: quota.StorageBytes, Limit: 303, Used: 404}}}},
		{wire.Put, 0, replica.Outcome{Later: true, Admitted: true}},
		{wire.Delete, 0, replica.Outcome{Later: true, Admitted: true}},
	} {
		m := h.message(c.entity)
		m.Kind, m.Entity = c.kind, m.Signal.Entity
		if diff := cmp.Diff(c.want, h.change(m)); diff != "" {
			t.Errorf("%s of entity %d (-want +got):\n%s", c.kind, c.entity, diff)
		}
		h.run()
	}
}

// The bucket keeps its level: a smaller burst cuts it, a larger one arrives empty.
// Time stands still here but for the operations on the disk.
func TestTheBucketKeepsItsLevel(t *testing.T) {
	h := serving(t, small)
	slow := func(burst uint64) tenant.Limits { return tenant.Limits{Rate: 1, Burst: burst} }
	h.configure(2, slow(3))
	h.run()
	h.configure(3, slow(40))
	h.run()
	h.write(3)
	if out := h.ask(0); out.Code != wire.QuotaExceeded || out.Facts.Quota.Resource != quota.SignalsPerSecond {
		t.Errorf("a fourth write after the burst was raised from 3 to 40: %+v", out)
	}
}

// Changes charged under the old limits come before the new limits in the log: the caller appends
// them first.
func TestWhatWaitsComesBeforeNewLimits(t *testing.T) {
	h := serving(t, small)
	for i := range uint64(3) {
		if out := h.Admit(h, client, h.message(i)); !out.Admitted {
			t.Fatalf("write %d: %+v", i, out)
		}
	}
	for waiting := 3; waiting > 0; waiting-- {
		if h.Waiting() != waiting {
			t.Fatalf("%d changes wait, want %d", h.Waiting(), waiting)
		}
		h.AppendNext(h)
	}
	h.configure(2, narrow)
	h.run()
	if len(h.acked) != 3 || h.State().Limits.Version != 2 || h.State().Live() != 3 {
		t.Errorf("%d writes acknowledged, limits of version %d, %d entities; want 3, 2, 3", len(h.acked), h.State().Limits.Version, h.State().Live())
	}
}

// Limits that the disk has no room for yet are in force at once, and durable as soon as there is
// room; what was admitted under them is then acknowledged.
func TestLimitsThatTheDiskHasNoRoomFor(t *testing.T) {
	h := serving(t, small)
	h.configure(2, narrow)
	h.run()
	h.write(2)
	room := h.room
	h.room = 10
	h.configure(3, wide)
	if out := h.ask(7); !out.Admitted {
		t.Fatalf("a third entity under the limits that are pending: %+v", out)
	}
	third := h.request
	h.run()
	if h.Renew(h); !h.WaitsForRoom() || h.State().Limits.Version != 2 {
		t.Fatalf("%v: waits for room %t, version %d is committed; want true and 2", h, h.WaitsForRoom(), h.State().Limits.Version)
	}
	if out := h.ask(8); out.Code != wire.DiskFull || h.acked[third] != 0 {
		t.Errorf("while there is no room a change is answered with %+v; the one before at record %d", out, h.acked[third])
	}
	h.room = room
	h.resume()
	if h.acked[third] == 0 || h.State().Limits.Version != 3 || h.WaitsForRoom() {
		t.Errorf("there is room: %v, version %d, the change at record %d", h, h.State().Limits.Version, h.acked[third])
	}
	h.power()
	h.restart()
	if h.mustServe(); h.State().Limits.Version != 3 {
		t.Errorf("after a power failure version %d is in force, want 3", h.State().Limits.Version)
	}
}

// A slot that is being dropped begins no operation. Operations under way complete, and afterwards
// every request is told that there is no such tenant.
func TestTheEndOfASlot(t *testing.T) {
	h := serving(t, small)
	h.write(2)
	h.ask(5)
	pending := h.request
	h.Close()
	if out := h.ask(6); out.Code != wire.NotServing {
		t.Errorf("a write while the slot is closed: %+v", out)
	}
	h.run()
	if h.acked[pending] == 0 {
		t.Error("what was under way when the slot was closed is not acknowledged")
	}
	h.Reopen()
	h.write(1)
	h.ask(7)
	pending = h.request
	h.Close()
	h.Drop(h)
	h.run()
	if h.acked[pending] != 0 {
		t.Error("a write is acknowledged after the end of its slot")
	}
	_, read := h.read(1)
	for what, out := range map[string]replica.Outcome{
		"write": h.ask(1), "session": h.open(9), "read": read,
	} {
		if out.Code != wire.UnknownTenant {
			t.Errorf("a %s after the end: %+v", what, out)
		}
	}
	if len(h.handles) != 0 || len(h.queue) != 0 {
		t.Errorf("%d files are open, %d operations under way", len(h.handles), len(h.queue))
	}
	if !h.Dropped() || !errors.Is(h.Failure(), replica.ErrDropped) {
		t.Errorf("dropped %t, failure %v", h.Dropped(), h.Failure())
	}
}

// A request that leads to no record does not wait for the disk.
func TestReadsGoOnWhileTheDiskIsBehind(t *testing.T) {
	h := serving(t, replica.Constants{SegmentSize: 512, SnapshotEvery: unlimited, MaxSessions: 4, MaxPending: 2})
	h.ask(1)
	h.ask(2)
	if out := h.ask(3); out.Code != wire.Overloaded {
		t.Errorf("a third pending write: %+v", out)
	}
	if _, out := h.read(1); out.Code != wire.NoError {
		t.Errorf("a read: %+v", out)
	}
}
