package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/record"
)

func TestUnknown(t *testing.T) {
	unknown := func(reason string, change func(w *world)) func(*world) {
		return func(w *world) {
			w.wrote(7, 5)
			w.end(w.write(7, 5), history.Unknown, reason) // from 6 ms to 7 ms
			w.run.Causes.Sole = append(w.run.Causes.Sole, observe.Sole{Tenant: home, Node: 0})
			w.run.Causes.Meta = append(w.run.Causes.Meta, 1)
			change(w)
		}
	}
	hurt := func(process uint32, peer, from, to int64) func(*world) {
		return func(w *world) {
			w.run.Causes.Hurt = append(w.run.Causes.Hurt, observe.Hurt{Process: process, Peer: peer, From: from, To: to})
		}
	}
	nothing := func(*world) {}
	gaveUp := func(rule, reason string) []string {
		return []string{rule + " [1] 7 ms: write #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 2) was given up at 7 ms (" + reason + "), asked at 6 ms"}
	}
	judged(t, "unknown", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "everything is known", verdict: Held, make: func(w *world) { w.wrote(7, 5) }},
		{name: "a deadline, and its node was down before", verdict: Held, make: unknown("deadline", hurt(0, -1, ms, 2*ms))},
		{name: "a deadline, and its client was cut off", verdict: Held, make: unknown("deadline", hurt(7, -1, ms, 9*ms))},
		{name: "a deadline, and the link to its node was cut", verdict: Held, make: unknown("deadline", hurt(4, 0, ms, 9*ms))},
		{name: "a deadline, and messages were lost", verdict: Held, make: unknown("deadline", func(w *world) { w.run.Causes.Deviated = true })},
		{name: "a deadline, and the coordinator was down", verdict: Held, make: unknown("deadline", hurt(1, -1, ms, 2*ms))},
		{name: "a deadline of several replicas, and some node was down", verdict: Held, make: unknown("deadline", func(w *world) {
			w.run.Causes.Sole = w.run.Causes.Sole[:0]
			hurt(4, -1, ms, 2*ms)(w)
		})},
		{name: "a deadline, and nothing was wrong", verdict: Violated, make: unknown("deadline", nothing), want: gaveUp("unknown-in-peace", "deadline")},
		{name: "a deadline, and another node was down", verdict: Violated, make: unknown("deadline", hurt(4, -1, ms, 9*ms)), want: gaveUp("unknown-in-peace", "deadline")},
		{name: "a deadline, and its node was down later", verdict: Violated, make: unknown("deadline", hurt(0, -1, 8*ms, 9*ms)), want: gaveUp("unknown-in-peace", "deadline")},
		{name: "a deadline, and its node was down long before", verdict: Violated, make: unknown("deadline", hurt(0, -1, -9000*ms, -8000*ms)), want: gaveUp("unknown-in-peace", "deadline")},
		{name: "a refusal behind an attempt that a drained leader did not answer", verdict: Held, make: unknown("quota-exceeded", func(w *world) {
			w.run.Commands = append(w.run.Commands, observe.Command{Kind: observe.Drain, Node: 1, AskedAt: ms})
		})},
		{name: "a drain that is asked for later", verdict: Violated, make: unknown("quota-exceeded", func(w *world) {
			w.run.Commands = append(w.run.Commands, observe.Command{Kind: observe.Drain, Node: 1, AskedAt: 9000 * ms})
		}), want: gaveUp("unknown-in-peace", "quota-exceeded")},
		{name: "a tenant that an operator creates", verdict: Held, make: unknown("unknown-tenant", func(w *world) { w.run.Founded = nil })},
		{name: "a tenant that was always there", verdict: Violated, make: unknown("unknown-tenant", func(w *world) { w.run.Founded = append(w.run.Founded, home) }), want: gaveUp("unknown-in-peace", "unknown-tenant")},
		{name: "a session that was evicted", verdict: Held, make: unknown("session-expired", func(w *world) {
			w.append(&record.Record{Kind: record.Session, Session: record.SessionStart{Client: 9, Nonce: 1, Evicted: 2}})
		})},
		{name: "a session that was evicted by a record that was cut off", verdict: Held, make: unknown("session-expired", func(w *world) {
			rec := record.Record{Kind: record.Session, Session: record.SessionStart{Client: 9, Nonce: 1, Evicted: 2}}
			w.log().Cut = append(w.log().Cut, observe.Entry{Record: rec})
		})},
		{name: "a session that nothing evicted", verdict: Violated, make: unknown("session-expired", func(w *world) {
			w.append(&record.Record{Kind: record.Session, Session: record.SessionStart{Client: 9, Nonce: 1, Evicted: 1}})
		}), want: gaveUp("expired-in-vain", "session-expired")},
		{name: "a request that is said to be too old", verdict: Violated, make: unknown("superseded", hurt(0, -1, ms, 9*ms)), want: gaveUp("superseded-in-vain", "superseded")},
		{name: "a leader that denies that it leads", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.run.Causes.Denied(observe.Denial{Tenant: home, Node: 1, Epoch: 3, Reason: "moved", At: 6 * ms, Before: 5 * ms, After: 7 * ms})
		}, want: []string{
			"denied-by-its-leader [] 6 ms: tenant 2 slot 0: node 1 refused a request at 6 ms (moved), and in epoch 3 it acknowledged changes at 5 ms and at 7 ms",
		}},
	})
}
