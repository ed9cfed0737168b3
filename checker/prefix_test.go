package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
)

// shared makes the run one of replica groups.
func (w *world) shared() *observe.Copies {
	return &w.run.Copies
}

// epochStart is a record that differs from others by its epoch and its level.
func epochStart(seq lineage.Seq, prev lineage.Chain, epoch lineage.ShardEpoch, level int64) (record.Record, lineage.Chain) {
	rec := record.Record{Tenant: home, Kind: record.EpochStart, Seq: seq, Prev: prev, Epoch: epoch, Level: level}
	return rec, record.ChainOf(record.Append(nil, &rec))
}

// copied lets a node write a record behind prev, and returns its chain.
func (w *world) copied(node uint32, seq lineage.Seq, prev lineage.Chain, epoch lineage.ShardEpoch, level int64) lineage.Chain {
	rec, chain := epochStart(seq, prev, epoch, level)
	w.run.Copies.Wrote(node, &rec, chain, w.tick())
	return chain
}

// row lets a node write records 1 to n of epoch 1, and returns their chains.
func (w *world) row(node uint32, n int) []lineage.Chain {
	chains := []lineage.Chain{0}
	for i := range n {
		chains = append(chains, w.copied(node, lineage.Seq(i+1), chains[i], 1, 0))
	}
	return chains
}

// replicas lets three nodes have the records of the log, and hold them to the end.
func (w *world) replicas() {
	w.shared()
	l := w.log()
	for node := range uint32(3) {
		r := w.run.Copies.AddRetained(node, home, 0)
		r.First = 1
		for i := range l.Entries {
			w.run.Copies.Wrote(node, &l.Entries[i].Record, l.Entries[i].Chain, l.Entries[i].At)
			r.Chains = append(r.Chains, l.Entries[i].Chain)
		}
	}
}

func TestPrefix(t *testing.T) {
	judged(t, "prefix", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "nothing written", verdict: Undecided, why: "no record was seen on its way to a disk", make: func(w *world) {
			w.shared()
			w.read(7, 5)
		}},
		{name: "three equal replicas", verdict: Held, make: func(w *world) {
			w.wrote(7, 5)
			w.replicas()
			for node := range uint32(3) {
				w.dump().Node = node
			}
		}},
		{name: "a tail of a lower epoch is cut and replaced", verdict: Held, make: func(w *world) {
			c := w.shared()
			a, b := w.row(0, 3), w.row(1, 2)
			w.copied(1, 3, b[2], 2, 0)
			c.Cutting(0, home, 0, 2, w.tick())
			c.Cut(0, home, 0, 2)
			w.copied(0, 3, a[2], 2, 0)
		}},
		{name: "what is cut comes back before anything is in its place", verdict: Held, make: func(w *world) {
			c := w.shared()
			w.row(0, 3)
			c.Cutting(0, home, 0, 2, w.tick())
			c.Recovered(0, home, 0, 3, w.tick())
		}},
		{name: "a recovery writes anew", verdict: Held, make: func(w *world) {
			c := w.shared()
			chains := w.row(0, 3)
			c.Recovered(0, home, 0, 2, w.tick())
			w.copied(0, 2, chains[1], 1, 0)
			w.copied(0, 3, chains[2], 1, 0)
		}},
		{name: "a snapshot of another replica", verdict: Held, make: func(w *world) {
			c := w.shared()
			chains := w.row(0, 5)
			w.row(1, 2)
			c.Refetching(1, home, 0)
			c.Refetched(1, home, 0, lineage.Position{Seq: 4, Chain: chains[4]})
			w.copied(1, 5, chains[4], 1, 0)
		}},
		{name: "a wiped node begins anew", verdict: Held, make: func(w *world) {
			c := w.shared()
			w.row(0, 3)
			c.Created(0, home, 0)
			w.row(0, 2)
		}},
		{name: "two records of one epoch", verdict: Violated, make: func(w *world) {
			w.shared()
			chains := w.row(0, 2)
			w.row(1, 1)
			w.copied(1, 2, chains[1], 1, 9)
		}, want: []string{
			"two-records [] 6 ms: tenant 2 slot 0: in shard epoch 1 node 0 wrote a record with chain cf96c7bc6ab46c21 at seq 2, at 4 ms, and node 1 one with chain d3ffa14921f568e5, at 6 ms",
		}},
		{name: "two records of an epoch that is not the first there", verdict: Violated, make: func(w *world) {
			w.shared()
			w.row(0, 2)
			one, two := w.row(1, 1), w.row(2, 1)
			w.copied(1, 2, one[1], 2, 0)
			w.copied(2, 2, two[1], 2, 9)
		}, want: []string{
			"two-records [] 8 ms: tenant 2 slot 0: in shard epoch 2 node 1 wrote a record with chain a591ddde9e5936b6 at seq 2, at 7 ms, and node 2 one with chain 7262dc65cccf0082, at 8 ms",
		}},
		{name: "a log with a hole", verdict: Violated, make: func(w *world) {
			w.shared()
			w.row(0, 2)
			w.copied(0, 4, 7, 1, 0)
			w.copied(0, 5, 8, 1, 0)
		}, want: []string{
			"hole [] 5 ms: tenant 2 slot 0 on node 0: seq 4 was written at 5 ms, where the log ends at seq 2",
			"unlinked [] 6 ms: tenant 2 slot 0 on node 0: seq 5, written at 6 ms, does not continue what is at seq 4 there",
		}},
		{name: "a record that does not fit", verdict: Violated, make: func(w *world) {
			w.shared()
			w.row(0, 2)
			w.copied(0, 3, 7, 2, 0)
		}, want: []string{
			"unlinked [] 5 ms: tenant 2 slot 0 on node 0: seq 3, written at 5 ms, does not continue what is at seq 2 there",
		}},
		{name: "a record that does not fit behind a snapshot", verdict: Violated, make: func(w *world) {
			c := w.shared()
			chains := w.row(0, 5)
			c.Refetching(1, home, 0)
			c.Refetched(1, home, 0, lineage.Position{Seq: 4, Chain: 99})
			w.copied(1, 5, chains[4], 1, 0)
		}, want: []string{
			"unlinked [] 8 ms: tenant 2 slot 0 on node 1: seq 5, written at 8 ms, does not continue what is at seq 4 there",
		}},
		{name: "replaced without a cut", verdict: Violated, make: func(w *world) {
			w.shared()
			chains := w.row(0, 3)
			w.copied(0, 2, chains[1], 2, 0)
		}, want: []string{
			"overwritten [] 6 ms: tenant 2 slot 0 on node 0: another record was written at seq 2, at 6 ms, where the log goes on to seq 3",
		}},
		{name: "a cut that is not durable", verdict: Violated, make: func(w *world) {
			c := w.shared()
			w.row(0, 4)
			c.Cutting(0, home, 0, 2, w.tick())
			c.Undone(0, home, 0, 2, w.tick())
		}, want: []string{
			"cut-undone [] 8 ms: tenant 2 slot 0 on node 0: at 8 ms the log had been cut behind seq 2, and a power failure would have brought back what follows",
		}},
		{name: "what was replaced comes back", verdict: Violated, make: func(w *world) {
			c := w.shared()
			chains := w.row(0, 4)
			c.Cutting(0, home, 0, 2, w.tick())
			w.copied(0, 3, chains[2], 2, 0)
			c.Recovered(0, home, 0, 4, w.tick())
		}, want: []string{
			"came-back [] 9 ms: tenant 2 slot 0 on node 0: at 9 ms a recovery found records up to seq 4, where the log had ended at seq 3",
		}},
		{name: "a replica that lags in the end", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.replicas()
			w.dump()
			d := w.dump()
			d.Node, d.Position = 1, lineage.Position{Seq: 2, Chain: w.log().Entries[1].Chain}
			w.run.Copies.Retained[1].Chains = w.run.Copies.Retained[1].Chains[:2]
		}, want: []string{
			"end-differs [] 0 ms: tenant 2 slot 0: in the end node 0 is at seq 3 with chain 2eae7abaff675d4e, and node 1 at seq 2 with chain 5bee55a1f3da692f",
		}},
		{name: "a run that never settled", verdict: Held, make: func(w *world) {
			w.replicas()
			w.dump()
			w.dump().Position.Seq = 1
			w.run.Stalls = append(w.run.Stalls, "something")
		}},
		{name: "states that differ", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.replicas()
			w.dump()
			w.dump()
			w.dump()
			three := w.dump()
			one, two := &w.run.Dumps[1], &w.run.Dumps[2]
			one.Node, one.Entities[0].State.LastSeq = 1, 2
			two.Node, two.Entities = 2, two.Entities[:0]
			three.Node, three.Counts.Live = 3, 7
		}, want: []string{
			"state-differs [] 0 ms: tenant 2 slot 0: at seq 3 node 0 holds entity 5 and node 1 entity 5: of the second, last seq 2, want 3",
			"state-differs [] 0 ms: tenant 2 slot 0: at seq 3 node 0 has 1 entities, and node 2 has 0",
			"state-differs [] 0 ms: tenant 2 slot 0: at seq 3 node 0 counts {Known:true Live:1 Bytes:101 Limits:{Version:1 Rate:1000 Burst:3 Entities:65533 Bytes:6618833 Feature:0}}, and node 3 {Known:true Live:7 Bytes:101 Limits:{Version:1 Rate:1000 Burst:3 Entities:65533 Bytes:6618833 Feature:0}}",
		}},
		{name: "files that differ", verdict: Violated, make: func(w *world) {
			w.wrote(7, 5)
			w.replicas()
			w.run.Copies.Retained[1].Chains[1] = 9
			r := &w.run.Copies.Retained[2]
			r.First, r.Chains = 2, r.Chains[1:]
			r.Damage = "x.seg: it begins with seq 9"
			w.dump().Position.Chain = 8
		}, want: []string{
			"files-differ [] 0 ms: tenant 2 slot 0 on node 0: its files end at seq 3 with chain 2eae7abaff675d4e, and it says that it is at seq 3 with chain 0000000000000008",
			"record-differs [] 0 ms: tenant 2 slot 0: on the disks of nodes 0 and 1 the records at seq 2 have chains 5bee55a1f3da692f and 0000000000000009",
			"files-differ [] 0 ms: tenant 2 slot 0 on node 2: x.seg: it begins with seq 9",
			"record-differs [] 0 ms: tenant 2 slot 0: on the disks of nodes 1 and 2 the records at seq 2 have chains 0000000000000009 and 5bee55a1f3da692f",
		}},
		{name: "files of a damaged slot", verdict: Held, make: func(w *world) {
			w.replicas()
			w.run.Copies.Retained[1].Chains[1] = 9
			w.run.Damage(home, 0)
		}},
	})
}
