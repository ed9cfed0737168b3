package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

func TestNoLoss(t *testing.T) {
	judged(t, "no-loss", []given{
		{name: "an acknowledged write is there", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.dump()
		}},
		{name: "a refused write is not there, an unknown one may be", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.end(w.write(7, 5), history.Refused, "quota")
			a, b := w.write(8, 6), w.write(9, 6)
			w.apply(a)
			w.end(a, history.Unknown, "deadline")
			w.end(b, history.Unknown, "deadline")
			w.dump()
		}},
		{name: "entities are created and deleted", verdict: Held, make: func(w *world) {
			w.done(w.put(7, 5))
			w.done(w.put(7, 6))
			w.wrote(7, 6)
			w.wrote(7, 7)
			w.done(w.remove(7, 6))
			w.done(w.remove(7, 8))
			w.done(w.put(7, 6))
			w.end(w.remove(7, 7), history.Refused, "quota")
			w.dump()
		}},
		{name: "with an attempt unresolved it may be there, whatever the others were told", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			for _, i := range []int{w.write(7, 5), w.put(7, 6), w.remove(7, 5)} {
				w.apply(i)
				w.end(i, history.Unknown, "quota-exceeded")
			}
			w.dump()
		}},
		{name: "a damaged slot need not be served in the end", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.run.Damage(home, 0)
		}},
		{name: "what was lost unacknowledged is no loss", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.apply(w.write(8, 5))
			w.run.Recovered(home, 0, 3, w.tick(), 0, 2)
			w.dump()
		}},
		{name: "nothing asked", verdict: Undecided, why: "there is no final dump of tenant 2 slot 0; no change was acknowledged", make: func(w *world) {}},
		{name: "nothing acknowledged", verdict: Undecided, why: "no change was acknowledged", make: func(w *world) {
			w.apply(w.write(7, 5))
			w.dump()
		}},
		{name: "no dump", verdict: Undecided, why: "there is no final dump of tenant 2 slot 0", make: func(w *world) { w.wrote(7, 5) }},

		{name: "lost: never written", verdict: Violated, make: func(w *world) {
			w.ack(w.write(7, 5), 3)
			w.dump()
		}, want: []string{
			"lost-ack [0] 4 ms: write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) was acknowledged at seq 3 at 4 ms and is not in the final log: the log ends at seq 2",
		}},
		{name: "lost: cut by a crash after the acknowledgement", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.wrote(7, 5)
			w.run.Recovered(home, 0, 3, w.tick(), 0, 2)
			w.dump()
		}, want: []string{
			"lost-ack [1] 8 ms: write #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 2) was acknowledged at seq 4 at 8 ms and is not in the final log: it was written at seq 4 at 7 ms and lost later",
		}},
		{name: "lost: another record took its place", verdict: Violated, make: func(w *world) {
			i := w.write(7, 5)
			w.ack(i, w.apply(w.write(8, 5)))
			w.dump()
		}, want: []string{
			"lost-ack [0] 6 ms: write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) was acknowledged at seq 3 at 6 ms and is not in the final log: at that seq is a signal of session 2 request 2",
		}},
		{name: "acknowledged at another seq", verdict: Violated, make: func(w *world) {
			i := w.write(7, 5)
			w.ack(i, w.apply(i)-1)
			w.dump()
		}, want: []string{
			"wrong-seq [0] 5 ms: write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) was acknowledged at seq 2 at 5 ms, but its record is at seq 3",
		}},
		{name: "acknowledged though never sent", verdict: Violated, make: func(w *world) {
			i := w.write(7, 5)
			w.hist.Ops[i].Op = signal.Operation{}
			w.ack(i, 3)
			w.dump()
		}, want: []string{
			"lost-ack [0] 4 ms: write #0 of client 7 (tenant 2 slot 0, entity 5, session 0 request 0) was acknowledged at seq 3 at 4 ms and is not in the final log: it was never sent",
		}},
		{name: "doubled record", verdict: Violated, make: func(w *world) {
			w.apply(w.wrote(7, 5))
			w.dump()
		}, want: []string{
			"doubled [0] 6 ms: write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) was acknowledged at seq 3 and is in the final log at seq 3 and again at seq 4, since 6 ms",
		}},
		{name: "refused and present", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			i := w.write(7, 5)
			w.apply(i)
			w.end(i, history.Refused, "quota")
			w.dump()
		}, want: []string{
			"refused-present [1] 7 ms: write #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 2) was refused (quota) at 8 ms, but its record is in the final log at seq 4, since 7 ms",
		}},
		{name: "ghost record", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.append(&record.Record{Kind: record.Signal, Client: 2, Request: 99, Signal: signal.Signal{Entity: 5, Weight: 1}})
			w.dump()
		}, want: []string{
			"ghost [] 6 ms: tenant 2 slot 0: the record at seq 4 (session 2 request 99, entity 5 kind 0 weight 1 client time 0), appended at 6 ms, was submitted by nobody",
		}},
		{name: "changed weight", verdict: Violated, make: func(w *world) {
			i := w.write(7, 5)
			w.hist.Ops[i].Signal.Weight = 2
			seq := w.apply(i)
			w.hist.Ops[i].Signal.Weight = 1
			w.ack(i, seq)
			w.dump()
		}, want: []string{
			"changed-record [0] 4 ms: write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) sent entity 5 kind 0 weight 1 client time 0, but its record at seq 3, appended at 4 ms, has entity 5 kind 0 weight 2 client time 0",
		}},
		{name: "a deletion of another entity", verdict: Violated, make: func(w *world) {
			i := w.remove(7, 5)
			w.hist.Ops[i].Signal.Entity = 6
			seq := w.apply(i)
			w.hist.Ops[i].Signal.Entity = 5
			w.ack(i, seq)
			w.dump()
		}, want: []string{
			"changed-record [0] 4 ms: delete #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) sent deletion of entity 5, but its record at seq 3, appended at 4 ms, has deletion of entity 6",
		}},
		{name: "a creation that became a deletion", verdict: Violated, make: func(w *world) {
			i := w.put(7, 5)
			w.hist.Ops[i].Kind = history.Delete
			seq := w.apply(i)
			w.hist.Ops[i].Kind = history.Put
			w.ack(i, seq)
			w.dump()
		}, want: []string{
			"changed-record [0] 4 ms: put #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) sent creation of entity 5, but its record at seq 3, appended at 4 ms, has deletion of entity 5",
		}},
		{name: "lost creation, ghost deletion", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.ack(w.put(7, 6), 4)
			w.append(&record.Record{Kind: record.EntityDelete, Client: 2, Request: 99, Entity: 5})
			w.dump()
		}, want: []string{
			"lost-ack [1] 7 ms: put #1 of client 7 (tenant 2 slot 0, entity 6, session 2 request 2) was acknowledged at seq 4 at 7 ms and is not in the final log: at that seq is an entity-delete of session 2 request 99",
			"ghost [] 8 ms: tenant 2 slot 0: the record at seq 4 (session 2 request 99, deletion of entity 5), appended at 8 ms, was submitted by nobody",
		}},
		{name: "a refused deletion is there", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			i := w.remove(7, 5)
			w.apply(i)
			w.end(i, history.Refused, "quota")
			w.dump()
		}, want: []string{
			"refused-present [1] 7 ms: delete #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 2) was refused (quota) at 8 ms, but its record is in the final log at seq 4, since 7 ms",
		}},
		{name: "the node keeps what was deleted, and lacks what was created", verdict: Violated, make: func(w *world) {
			w.done(w.remove(7, 9))
			w.wrote(7, 5)
			w.done(w.put(7, 6))
			w.dump()
			w.run.Dumps[0].Entities[1].Entity = 7
			w.done(w.put(7, 7))
			w.done(w.remove(7, 7))
			w.run.Dumps[0].Position = w.log().End()
		}, want: []string{
			"dump-entity [] 0 ms: tenant 2 slot 0: the node holds entity 7, which the log deletes",
			"dump-entity [] 0 ms: tenant 2 slot 0: the node does not hold entity 6, last touched at seq 5",
		}},
		{name: "a damaged slot that lost what it had acknowledged, and serves", verdict: Violated, make: func(w *world) {
			w.run.Damage(home, 0)
			w.wrote(7, 5)
			w.wrote(7, 5)
			w.run.Recovered(home, 0, 3, w.tick(), 0, 2)
		}, want: []string{
			"lost-ack [1] 8 ms: write #1 of client 7 (tenant 2 slot 0, entity 5, session 2 request 2) was acknowledged at seq 4 at 8 ms and is not in the final log: it was written at seq 4 at 7 ms and lost later",
		}},
		{name: "a damaged slot that serves wrong data", verdict: Violated, make: func(w *world) {
			w.run.Damage(home, 0)
			w.wrote(7, 5)
			w.dump().Entities[0].State.Totals[0].Weight++
		}, want: []string{
			"dump-entity [] 0 ms: tenant 2 slot 0: the node's state of entity 5 is not the fold of the log: kind 0: count 1 weight 2, want count 1 weight 1",
		}},
		{name: "hole in the log", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.run.Append(&record.Record{Tenant: home, Kind: record.EpochStart, Seq: 9}, 1, w.tick(), 0, 1)
			w.dump()
		}, want: []string{
			"broken-log [] 6 ms: tenant 2 slot 0: at 6 ms seq 9 follows seq 3: there is a hole",
		}},
		{name: "an epoch begins twice", verdict: Violated, make: func(w *world) {
			w.append(&record.Record{Kind: record.EpochStart, Epoch: 4})
			w.append(&record.Record{Kind: record.EpochStart, Epoch: 5})
			w.append(&record.Record{Kind: record.EpochStart, Epoch: 5})
			w.dump()
		}, why: "no change was acknowledged", want: []string{
			"epoch [] 5 ms: tenant 2 slot 0: the epoch-start at seq 5, appended at 5 ms, is of shard epoch 5, and the record before it of 5",
		}},
		{name: "an epoch goes back", verdict: Violated, make: func(w *world) {
			w.append(&record.Record{Kind: record.EpochStart, Epoch: 5})
			w.append(&record.Record{Kind: record.EpochStart, Epoch: 4})
			w.dump()
		}, why: "no change was acknowledged", want: []string{
			"epoch [] 4 ms: tenant 2 slot 0: the epoch-start at seq 4, appended at 4 ms, is of shard epoch 4, and the record before it of 5",
		}},
		{name: "a record runs ahead of its epoch", verdict: Violated, make: func(w *world) {
			w.append(&record.Record{Kind: record.EpochStart, Epoch: 5})
			w.append(&record.Record{Kind: record.Config, Epoch: 6})
			w.dump()
		}, why: "no change was acknowledged", want: []string{
			"epoch [] 4 ms: tenant 2 slot 0: the config at seq 4, appended at 4 ms, is of shard epoch 6, and the record before it of 5",
		}},
		{name: "chain does not continue", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.run.Append(&record.Record{Tenant: home, Kind: record.EpochStart, Epoch: 1, Seq: 4, Prev: 1}, 1, w.tick(), 0, 1)
			w.dump()
		}, want: []string{
			"broken-log [] 6 ms: tenant 2 slot 0: at 6 ms seq 4 continues chain 0000000000000001, but the chain at seq 3 is 2eae7abaff675d4e",
		}},
		{name: "the digest shows a loss with a duplicate", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.wrote(7, 5)
			s := &w.dump().Entities[0].State // as if the first had been applied twice
			s.Applied = signal.Digest{}.Add(w.hist.Ops[0].Op).Add(w.hist.Ops[0].Op)
		}, want: []string{
			"dump-entity [] 0 ms: tenant 2 slot 0: the node's state of entity 5 is not the fold of the log: digest 3176b1cd0f8e45061b36bff4a32776fe, want 9bd8e55e3e92d2642fa1c70a31904c55",
		}},
		{name: "the node ends elsewhere", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.dump().Position.Seq = 2
		}, want: []string{
			"dump-position [] 0 ms: tenant 2 slot 0: the node ends at seq 2, the log at seq 3",
		}},
		{name: "the node's chain is another", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.log().Entries[2].Chain = 0xabc
			w.dump().Position.Chain = 0xdef
		}, want: []string{
			"dump-chain [] 0 ms: tenant 2 slot 0: at seq 3 the node has chain 0000000000000def, the log 0000000000000abc",
		}},
		{name: "the node lacks one entity and invents another", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.dump().Entities[0].Entity = 6
		}, want: []string{
			"dump-entity [] 0 ms: tenant 2 slot 0: the node holds entity 6, of which the log has no record",
			"dump-entity [] 0 ms: tenant 2 slot 0: the node does not hold entity 5, last touched at seq 3",
		}},
		{name: "the dump is out of order", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.wrote(7, 6)
			d := w.dump()
			d.Entities[0], d.Entities[1] = d.Entities[1], d.Entities[0]
		}, want: []string{
			"dump-order [] 0 ms: tenant 2 slot 0: in the dump entity 5 follows entity 6",
		}},
		{name: "a dump of a slot without a log", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.dump()
			w.run.AddDump(home, 1, w.log().End())
		}, want: []string{
			"dump-position [] 0 ms: tenant 2 slot 1: a node holds 0 entities up to seq 3 of a slot that has no log",
		}},
	})
}

func TestExactlyOnce(t *testing.T) {
	judged(t, "exactly-once", []given{
		{name: "each once", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.wrote(8, 5)
			w.end(w.write(7, 5), history.Refused, "quota")
		}},
		{name: "a lost acknowledgement is not counted twice", verdict: Held, make: func(w *world) { w.ack(w.write(7, 5), 3) }},
		{name: "nothing written", verdict: Undecided, why: "nothing was written and nothing acknowledged", make: func(w *world) { w.has(7, 5) }},
		{name: "told again, with less", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.token(0, 1, 3, 0)
			w.token(0, 1, 3, 4)
			w.token(1, 1, 3, 4)
			w.token(2, 1, 3, 0)
			w.token(1, 2, 4, 5)
		}},
		{name: "told again, in another epoch", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.token(0, 1, 3, 4)
			w.token(1, 1, 3, 6)
			w.token(2, 1, 5, 4)
		}, want: []string{
			"other-token [] 7 ms: tenant 2 slot 0: session 2 request 1 was acknowledged at seq 3 in epoch 4 by node 0 at 6 ms, and at seq 3 in epoch 6 by node 1 at 7 ms",
			"other-token [] 8 ms: tenant 2 slot 0: session 2 request 1 was acknowledged at seq 3 in epoch 4 by node 0 at 6 ms, and at seq 5 in epoch 4 by node 2 at 8 ms",
		}},
		{name: "doubled record", verdict: Violated, make: func(w *world) {
			w.apply(w.wrote(7, 5))
		}, want: []string{
			"applied-twice [] 6 ms: tenant 2 slot 0: session 2 request 1 is in the log at seq 3 and again at seq 4, appended at 6 ms",
		}},
		{name: "doubled deletion, and a creation told another seq", verdict: Violated, make: func(w *world) {
			w.apply(w.done(w.remove(7, 5)))
			i := w.put(7, 6)
			w.apply(i)
			w.ack(i, 4)
		}, want: []string{
			"applied-twice [] 6 ms: tenant 2 slot 0: session 2 request 1 is in the log at seq 3 and again at seq 4, appended at 6 ms",
			"other-answer [1] 9 ms: put #1 of client 7 (tenant 2 slot 0, entity 6, session 2 request 2) was answered with seq 4 at 9 ms, but it was applied at seq 5",
		}},
		{name: "tripled record", verdict: Violated, make: func(w *world) {
			i := w.wrote(7, 5)
			w.apply(i)
			w.apply(i)
		}, want: []string{
			"applied-twice [] 6 ms: tenant 2 slot 0: session 2 request 1 is in the log at seq 3 and again at seq 4, appended at 6 ms",
			"applied-twice [] 7 ms: tenant 2 slot 0: session 2 request 1 is in the log at seq 4 and again at seq 5, appended at 7 ms",
		}},
		{name: "the retry was told another seq", verdict: Violated, make: func(w *world) {
			i := w.write(7, 5)
			w.apply(i)
			w.ack(i, 4)
		}, want: []string{
			"other-answer [0] 5 ms: write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) was answered with seq 4 at 5 ms, but it was applied at seq 3",
		}},
		{name: "two writes with one identity", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			i := w.write(8, 5)
			w.hist.Ops[i].Op = w.hist.Ops[0].Op
			w.ack(i, 3)
		}, want: []string{
			"shared-identity [0 1] 7 ms: write #1 of client 8 (tenant 2 slot 0, entity 5, session 2 request 1) was acknowledged at seq 3 at 7 ms, and so was write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) at seq 3",
			"shared-seq [0 1] 7 ms: write #1 of client 8 (tenant 2 slot 0, entity 5, session 2 request 1) was acknowledged at seq 3 at 7 ms, and so was write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) at seq 3",
		}},
		{name: "two writes told one seq", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.ack(w.write(8, 5), 3)
		}, want: []string{
			"shared-seq [0 1] 7 ms: write #1 of client 8 (tenant 2 slot 0, entity 5, session 2 request 2) was acknowledged at seq 3 at 7 ms, and so was write #0 of client 7 (tenant 2 slot 0, entity 5, session 2 request 1) at seq 3",
		}},
	})
}
