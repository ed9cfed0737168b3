package checker

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/signal"
)

func TestDurableAck(t *testing.T) {
	judged(t, "durable-ack", []given{
		{name: "durable", verdict: Held, make: func(w *world) { w.run.DurableAck.Acked(home, 0, 3, 5*ms, true, "") }},
		{name: "nothing acknowledged", verdict: Undecided, why: "no acknowledgement was seen", make: func(w *world) {}},
		{name: "not durable", verdict: Violated, make: func(w *world) {
			w.run.DurableAck.Acked(home, 0, 3, 5*ms, true, "")
			w.run.DurableAck.Acked(home, 0, 4, 6*ms, false, "node 1 has synced up to seq 3")
		}, want: []string{
			"ack-before-durable [] 6 ms: tenant 2 slot 0: seq 4 was acknowledged at 6 ms before it was durable: node 1 has synced up to seq 3",
		}},
	})
}

func TestIslands(t *testing.T) {
	judged(t, "islands", []given{
		{name: "at home", verdict: Held, make: func(w *world) {
			w.run.Islands.Touched("tenants/2/wal/x", 2, true, 2, true, ms)
			w.run.Islands.Touched("node/meta", 0, false, 0, false, ms)
		}},
		{name: "nothing touched", verdict: Undecided, why: "no disk operation was seen", make: func(w *world) {}},
		{name: "foreign path", verdict: Violated, make: func(w *world) {
			w.run.Islands.Touched("tenants/3/wal/x", 3, true, 2, true, ms)
			w.run.Islands.Touched("tenants/0/wal/x", 0, true, 0, false, 2*ms)
			w.run.Islands.Touched("node/meta", 0, false, 0, true, 3*ms)
		}, want: []string{
			`foreign-path [] 1 ms: at 1 ms a disk operation for tenant 2 touched "tenants/3/wal/x", which belongs to tenant 3`,
			`foreign-path [] 2 ms: at 2 ms a disk operation for the node itself touched "tenants/0/wal/x", which belongs to tenant 0`,
			`foreign-path [] 3 ms: at 3 ms a disk operation for tenant 0 touched "node/meta", which belongs to the node itself`,
		}},
	})
}

func TestRefusalLatency(t *testing.T) {
	reply := observe.Reply{Tenant: home, Op: signal.Operation{Session: 2, Request: 1}, Arrived: 5 * ms}
	answered := func(w *world, left, paused int64) {
		reply.Left, reply.Paused = left, paused
		w.run.Refusals.Answered(reply)
	}
	judged(t, "refusal-latency", []given{
		{name: "within the bound, to the nanosecond", verdict: Held, make: func(w *world) {
			answered(w, 5*ms, 0)
			answered(w, 6*ms, 0)
		}},
		{name: "the node was paused", verdict: Held, make: func(w *world) { answered(w, 90*ms, 84*ms) }},
		{name: "no quota refused anything", verdict: Held, why: "no refusal for a quota was seen", make: func(w *world) { w.wrote(7, 5) }},
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(w *world) {}},
		{name: "refusals that nobody saw", verdict: Undecided, why: "clients were told of refusals for a quota, and none was seen to leave", make: func(w *world) {
			w.end(w.write(7, 5), history.Refused, "quota-exceeded")
		}},
		{name: "a nanosecond late", verdict: Violated, make: func(w *world) {
			answered(w, 6*ms, 0)
			answered(w, 6*ms+1, 0)
			answered(w, 90*ms, 84*ms-1)
		}, want: []string{
			"late [] 6.000001 ms: tenant 2 slot 0: session 2 request 1 arrived at 5 ms and was refused at 6.000001 ms, 1.000001 ms later without the node's pauses; the bound is 1 ms",
			"late [] 90 ms: tenant 2 slot 0: session 2 request 1 arrived at 5 ms and was refused at 90 ms, 1.000001 ms later without the node's pauses; the bound is 1 ms",
		}},
	})
}

func TestLiveness(t *testing.T) {
	judged(t, "liveness", []given{
		{name: "all returned", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.end(w.write(7, 5), history.Unknown, "deadline")
		}},
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(w *world) {}},
		{name: "nothing went wrong, and a client waited in vain", verdict: Violated, make: func(w *world) {
			w.run.Quiet = true
			w.wrote(7, 5)
			w.end(w.write(7, 5), history.Unknown, history.Deadline)
			w.end(w.write(7, 6), history.Unknown, "session-expired")
		}, want: []string{
			"gave-up [1] 7 ms: write #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 2) was given up at 7 ms, although nothing went wrong in the run",
		}},
		{name: "an operation waits", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.read(8, 6)
		}, want: []string{
			"never-returned [1] 6 ms: read #1 of client 8 (tenant 2 slot 0, entity 6) waits for its answer since 6 ms",
		}},
		{name: "a damaged slot stops, and its operations with it", verdict: Held, make: func(w *world) {
			w.run.Damage(home, 0)
			w.wrote(7, 5)
			w.read(8, 5)
			w.run.Stopped(observe.Stop{Tenant: home, Corrupt: true})
		}},
		{name: "an undamaged slot stops", verdict: Violated, make: func(w *world) {
			w.run.Damage(home, 1)
			w.wrote(7, 5)
			w.run.Stopped(observe.Stop{Tenant: home, Corrupt: true, Text: "node 1: segment x is corrupt"})
		}, want: []string{
			"stopped [] 0 ms: tenant 2 slot 0 stopped for good: node 1: segment x is corrupt",
		}},
		{name: "a damaged slot stops for another reason, and an operation elsewhere waits", verdict: Violated, make: func(w *world) {
			w.run.Damage(home, 0)
			w.wrote(7, 5)
			w.hist.Ops[w.read(8, 6)].Slot = 1
			w.run.Stopped(observe.Stop{Tenant: home, Text: "node 1: an operation of the disk failed"})
		}, want: []string{
			"never-returned [1] 6 ms: read #1 of client 8 (tenant 2 slot 1, entity 6) waits for its answer since 6 ms",
			"stopped [] 0 ms: tenant 2 slot 0 stopped for good: node 1: an operation of the disk failed",
		}},
		{name: "stall", verdict: Violated, why: "nothing was asked", make: func(w *world) {
			w.run.Stalls = append(w.run.Stalls, "node 1 to recover tenant 2 slot 0")
		}, want: []string{
			"stall [] 0 ms: the calm part waits for node 1 to recover tenant 2 slot 0",
		}},
	})
}

func TestDeterminism(t *testing.T) {
	for _, g := range []struct {
		a, b TraceHash
		want Report
	}{
		{TraceHash{1, 2, 3}, TraceHash{1, 2, 3}, Report{Checker: "determinism", Verdict: Held, Checked: 3}},
		{TraceHash{}, TraceHash{}, Report{Checker: "determinism", Verdict: Undecided, Why: "nothing was traced"}},
		{TraceHash{1, 2, 3}, TraceHash{1, 4, 5}, Report{Checker: "determinism", Verdict: Violated, Checked: 3, Findings: []Finding{{
			Checker: "determinism", Rule: "trace",
			Text: "two runs of one seed differ in the chain of state: 0000000000000002 and 0000000000000004",
		}}}},
	} {
		if diff := gocmp.Diff(g.want, Determinism(g.a, g.b)); diff != "" {
			t.Errorf("%v and %v (-want +got):\n%s", g.a, g.b, diff)
		}
	}
}
