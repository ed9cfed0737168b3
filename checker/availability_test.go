package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
)

// took is a whole read at a level that takes so long.
func (w *world) took(level history.Level, ns int64) int {
	i := w.asks(7, 5, level, ms)
	w.clock += ns - ms
	w.answer(i, w.log().End().Seq)
	return i
}

func TestAvailability(t *testing.T) {
	const second = 1000 * ms
	out := func(w *world, node uint32, alone bool, from, to int64) {
		w.run.Shared, w.run.Availability.Silence = true, 300*ms
		w.run.Availability.Outages = append(w.run.Availability.Outages, observe.Outage{Node: node, Alone: alone, From: from, To: to})
	}
	late := func(w *world) {
		w.run.Availability.Silence = 300 * ms
		w.took(history.Linearizable, 1900*ms+1)
	}
	judged(t, "availability", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "no replica groups", verdict: Held, why: "no shard is a replica group", make: func(w *world) { w.has(7, 5) }},
		{name: "just in time", verdict: Held, make: func(w *world) {
			w.run.Availability.Silence = 300 * ms
			w.took(history.Linearizable, 1900*ms)
			w.took(history.Bounded, 1900*ms)
			w.took(history.Session, second)
		}},
		{name: "messages are lost", verdict: Held, why: "no read began while at most one node was hurt", make: func(w *world) {
			late(w)
			w.run.Availability.Lossy = true
		}},
		{name: "two nodes are hurt", verdict: Held, why: "no read began while at most one node was hurt", make: func(w *world) {
			out(w, 0, true, 0, 2*ms)
			out(w, 1, true, 500*ms, 600*ms)
			late(w)
		}},
		{name: "a node is cut off", verdict: Held, why: "no read began while at most one node was hurt", make: func(w *world) {
			out(w, 0, false, 0, 2*ms)
			late(w)
		}},
		{name: "late", verdict: Violated, make: late, want: []string{
			"late [0] 1903.000001 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level linearizable, began at 3 ms and was answered 1900.000001 ms later, although at most one node was hurt; its deadline is 1900 ms",
		}},
		{name: "late at a session's level", verdict: Violated, make: func(w *world) {
			w.run.Availability.Silence = 300 * ms
			w.took(history.Session, second+1)
		}, want: []string{
			"late [0] 1003.000001 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level session, began at 3 ms and was answered 1000.000001 ms later, although at most one node was hurt; its deadline is 1000 ms",
		}},
		{name: "late, and one node is down again and again", verdict: Violated, make: func(w *world) {
			out(w, 1, true, 0, 2*ms)
			out(w, 1, true, 100*ms, 900*ms)
			late(w)
		}, want: []string{
			"late [0] 1903.000001 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level linearizable, began at 3 ms and was answered 1900.000001 ms later, although at most one node was hurt; its deadline is 1900 ms",
		}},
		{name: "late, long after two nodes were down", verdict: Violated, make: func(w *world) {
			out(w, 0, true, 0, 2*ms)
			out(w, 1, true, 0, 2*ms)
			w.clock = 1903 * ms
			late(w)
		}, want: []string{
			"late [0] 3804.000001 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level linearizable, began at 1904 ms and was answered 1900.000001 ms later, although at most one node was hurt; its deadline is 1900 ms",
		}},
		{name: "never answered", verdict: Violated, make: func(w *world) {
			w.end(w.asks(7, 5, history.Bounded, ms), history.Refused, "not-serving")
			w.end(w.asks(7, 5, history.Linearizable, 0), history.Unknown, history.Deadline)
		}, want: []string{
			"unanswered [0] 4 ms: read #0 of client 7 (tenant 2 slot 0, entity 5), at level bounded, began at 3 ms and ended refused (not-serving) 1 ms later, although at most one node was hurt",
			"unanswered [1] 6 ms: read #1 of client 7 (tenant 2 slot 0, entity 5), at level linearizable, began at 5 ms and ended unknown (deadline) 1 ms later, although at most one node was hurt",
		}},
	})
}
