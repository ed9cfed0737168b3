package replica_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// configure asks for limits of a version, over those of a base version.
func (h *host) configure(version, base uint64, limits tenant.Limits) replica.Outcome {
	out := h.Configure(h, client, &wire.Message{
		Kind: wire.Configure, Tenant: home.Tenant, Slot: home.Slot, Placement: home.Placement, Version: version, Base: base, Limits: limits,
	})
	h.Flush(h)
	return out
}

var (
	wide   = tenant.Limits{Rate: 1000, Burst: 50, Entities: 40, Bytes: 5000}
	narrow = tenant.Limits{Rate: 10, Burst: 5, Entities: 2, Bytes: 303}
)

// Each row sends its command to a slot with durable limits of version 1 and pending limits of
// version 3, set as the row says.
func TestConfigureComparesBeforeItSets(t *testing.T) {
	conflict := replica.Outcome{Code: wire.VersionConflict, Facts: wire.Facts{Outdated: wire.Outdated{Version: 3}}}
	later := replica.Outcome{Later: true}
	for name, c := range map[string]struct {
		durable       bool
		version, base uint64
		limits        tenant.Limits
		want          replica.Outcome
		inForce       uint64 // in the end
	}{
		"the next version":              {true, 4, 3, narrow, later, 4},
		"a version further on":          {true, 9, 3, narrow, later, 9},
		"the next while one is pending": {false, 4, 3, narrow, later, 4},
		"the same again":                {true, 3, 1, wide, replica.Outcome{}, 3},
		"the same while it is pending":  {false, 3, 1, wide, later, 3},
		"other limits of that version":  {true, 3, 3, narrow, conflict, 3},
		"an older version":              {true, 2, 3, narrow, conflict, 3},
		"the first version again":       {true, 1, 3, tenant.Limits{Rate: 1_000_000, Burst: 1_000_000}, conflict, 3},
		"over another version":          {true, 4, 1, narrow, conflict, 3},
		"over one that is pending":      {false, 4, 1, narrow, conflict, 3},
	} {
		t.Run(name, func(t *testing.T) {
			h := serving(t, small)
			if out := h.configure(3, 1, wide); out != later {
				t.Fatalf("the first configuration: %+v", out)
			}
			if c.durable {
				h.run()
			}
			if diff := cmp.Diff(c.want, h.configure(c.version, c.base, c.limits)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			h.run()
			if got := h.State().Limits.Version; got != c.inForce {
				t.Errorf("version %d is in force, want %d", got, c.inForce)
			}
		})
	}
}

func TestLimitsAreThoseOfTheLogAfterARestart(t *testing.T) {
	h := serving(t, small)
	h.configure(3, 1, narrow)
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
	h.configure(2, 1, tenant.Limits{Rate: 1_000_000, Burst: 50, Entities: 2, Bytes: 303})
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
	h.configure(2, 1, slow(3))
	h.run()
	h.configure(3, 2, slow(40))
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
	h.configure(2, 1, narrow)
	h.run()
	if len(h.acked) != 3 || h.State().Limits.Version != 2 || h.State().Live() != 3 {
		t.Errorf("%d writes acknowledged, limits of version %d, %d entities; want 3, 2, 3", len(h.acked), h.State().Limits.Version, h.State().Live())
	}
}

// Limits that the disk has no room for are not in force, and changes admitted under them are
// refused.
func TestLimitsThatTheDiskHasNoRoomFor(t *testing.T) {
	h := serving(t, small)
	h.configure(2, 1, narrow)
	h.run()
	h.write(2)
	room := h.room
	h.room = 10
	h.configure(3, 2, wide)
	if out := h.Admit(h, client, h.message(7)); !out.Admitted {
		t.Fatalf("a third entity under the limits that are pending: %+v", out)
	}
	h.run()
	if len(h.refused) != 2 || h.refused[1] != h.request || h.State().Limits.Version != 2 {
		t.Fatalf("%d requests refused, version %d in force; want 2 and 2", len(h.refused), h.State().Limits.Version)
	}
	h.room = room
	if out := h.ask(8); out.Code != wire.QuotaExceeded || out.Facts.Quota.Limit != 2 {
		t.Errorf("a third entity under the limits that are in force: %+v", out)
	}
	if out := h.configure(3, 2, wide); !out.Later {
		t.Errorf("the same limits again: %+v", out)
	}
	h.run()
	if h.acked[h.refused[1]] != 0 {
		t.Error("what was refused is acknowledged after all")
	}
	h.write(1)
}

// wantRate writes until it is refused for the rate, which is to be this one.
func (h *host) wantRate(rate, burst uint64) {
	h.Helper()
	for range 100 {
		out := h.ask(0)
		h.run()
		if out.Code != wire.NoError {
			if out.Facts.Quota.Resource != quota.SignalsPerSecond || out.Facts.Quota.Limit != rate || out.Facts.Quota.Used != burst {
				h.Errorf("refused with %+v, want a rate of %d and a burst of %d", out, rate, burst)
			}
			return
		}
	}
	h.Errorf("a hundred writes, and none was refused")
}

// The rate is the one before, too.
func TestTheRateIsTheOneInForce(t *testing.T) {
	h := serving(t, small)
	h.configure(2, 1, tenant.Limits{Rate: 1000, Burst: 50})
	h.run()
	room := h.room
	h.room = 10
	h.configure(3, 2, narrow)
	h.run()
	h.room = room
	h.wantRate(1000, 50)
}

// Nor is it the one before both, if others were set before the ones that there was no room
// for, and became durable meanwhile.
func TestTheRateThatBecameDurableStays(t *testing.T) {
	h := serving(t, small)
	h.configure(2, 1, tenant.Limits{Rate: 1000, Burst: 50})
	h.runUntil(env.OpSync) // of the part that is written already
	room := h.room
	if out := h.configure(3, 2, narrow); !out.Later {
		t.Fatalf("limits over ones that are not durable yet: %+v", out)
	}
	h.room = 10
	h.run()
	h.room = room
	if version := h.State().Limits.Version; version != 2 {
		t.Fatalf("version %d is in force, want 2", version)
	}
	h.wantRate(1000, 50)
}

// A slot that is being dropped begins no operation. Operations under way complete, and afterwards
// every request is told that there is no such tenant.
func TestTheEndOfASlot(t *testing.T) {
	h := serving(t, small)
	h.write(2)
	for _, c := range []struct {
		base uint64
		want wire.Code
	}{{0, wire.NoError}, {1, wire.NoError}, {2, wire.VersionConflict}} {
		if out := h.MayDrop(h, &wire.Message{Base: c.base}); out.Code != c.want {
			t.Errorf("a drop over version %d: %v, want %v", c.base, out.Code, c.want)
		}
	}
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
		"write": h.ask(1), "session": h.open(9), "read": read, "configuration": h.configure(2, 1, wide),
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

// A slot that stopped has no version to compare.
func TestTheEndOfASlotThatStopped(t *testing.T) {
	h := serving(t, small)
	h.fail = func(op *env.Op) env.Errno {
		if op.Kind == env.OpSync {
			return env.IOError
		}
		return env.OK
	}
	h.ask(1)
	h.run()
	for base, want := range map[uint64]wire.Code{0: wire.NoError, 1: wire.StorageFault} {
		if out := h.MayDrop(h, &wire.Message{Base: base}); out.Code != want {
			t.Errorf("a drop over version %d: %v, want %v", base, out.Code, want)
		}
	}
}

// Limits that the disk has no room for earn no tokens: with the old limits the bucket has its old
// level again.
func TestLimitsThatAreTakenBackEarnedNothing(t *testing.T) {
	h := serving(t, small)
	h.configure(2, 1, tenant.Limits{Rate: 1, Burst: 5})
	h.run()
	for h.ask(0).Admitted { // until the burst is used up
		h.run()
	}
	room := h.room
	h.room = 10
	h.configure(3, 2, tenant.Limits{Rate: 100_000, Burst: 1000})
	h.done += int(env.Millisecond) // its clock
	if out := h.Admit(h, client, h.message(1)); !out.Admitted {
		t.Fatalf("under the limits that are pending: %+v", out)
	}
	h.run()
	h.room = room
	if out := h.ask(2); out.Code != wire.QuotaExceeded || out.Facts.Quota.Resource != quota.SignalsPerSecond {
		t.Errorf("a write after the old limits are back: %+v", out)
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
