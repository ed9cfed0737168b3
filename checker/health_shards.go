package checker

import (
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// shards looks at the figures of each shard's leader, and of its replicas.
func (j *telling) shards() {
	j.addUp()
	for i := range j.t.Shards {
		s := &j.t.Shards[i]
		if s.Age.Known && !j.isHeard(s.Leader, j.since(s.Age.Value)) {
			j.wrong("unheard", s.Age.Value, "shard %d is led by node %d in epoch %d, and nothing that it told since %s had come",
				s.ID, s.Leader.Node, s.Epoch, instant(j.since(s.Age.Value)))
		}
		j.unconfirmed(s)
		if j.aged(s.Entities, s.Age, "entities of shard", uint64(s.ID)) {
			j.sum(s, &j.truth.sums[i])
		}
		if j.aged(s.Signals, s.Age, "signals of shard", uint64(s.ID)) {
			j.throughput(s)
		}
		for k := range s.Replicas {
			p := &s.Replicas[k]
			if j.aged(p.Records, p.Age, "records that a replica lacks of shard", uint64(s.ID)) {
				j.lag(s, p)
			}
			if j.aged(p.Disk.Used, p.Disk.Age, "bytes that a replica takes of shard", uint64(s.ID)) {
				j.replicaDisk(s, p)
			}
		}
	}
}

// unconfirmed looks whether each member in sync has confirmed the leader since the instant of the
// leader's figures. A member that has not may follow another leader.
func (j *telling) unconfirmed(s *observe.ToldShard) {
	if !s.Age.Known || !s.Newest {
		return
	}
	for _, m := range s.InSync {
		i := slices.IndexFunc(s.Replicas, func(r observe.ToldReplica) bool { return r.Node == m.Node })
		since := j.since(s.Age.Value)
		if i < 0 || m.Node == s.Leader.Node || s.Replicas[i].Heard >= since || !j.inSyncSince(s, m, since) {
			continue
		}
		j.wrong("unconfirmed", s.Age.Value, "shard %d is led by node %d in epoch %d, and node %d, in sync, confirmed that last at %s",
			s.ID, s.Leader.Node, s.Epoch, m.Node, instant(s.Replicas[i].Heard))
		return
	}
}

// inSyncSince reports whether a member has been in the set of a shard since an instant: it is in
// the newest configuration that any node had then, and in each one up to the reported one.
func (j *telling) inSyncSince(s *observe.ToldShard, m observe.Process, since int64) bool {
	from := uint64(0)
	for i := range j.run.Configurations.List {
		if c := &j.run.Configurations.List[i]; c.Shard == s.ID && c.At <= since {
			from = max(from, c.Version)
		}
	}
	known := uint64(0)
	for i := range j.run.Configurations.List {
		c := &j.run.Configurations.List[i]
		if c.Shard != s.ID || c.Version < from || c.Version > s.Version {
			continue
		}
		if !c.Contains(m) {
			return false
		}
		known++
	}
	return from > 0 && known == s.Version-from+1
}

// sum adds up the slots of a shard whose figures are as old as those of the shard.
type sum struct {
	usage
	lacks *observe.ToldSlot // the first slot of another age that is surely in the shard's figures, nil if there is none
	of    tenant.ID         // the tenant of lacks
}

// addUp adds up the slots of every reported shard.
func (j *telling) addUp() {
	x := j.truth
	x.sums = slices.Grow(x.sums[:0], len(j.t.Shards))[:len(j.t.Shards)]
	clear(x.sums)
	for i := range j.t.Tenants {
		t := &j.t.Tenants[i]
		for k := range t.Slots {
			slot := &t.Slots[k]
			at := j.placeOf(slot.Shard)
			if at < 0 || !j.t.Shards[at].Entities.Known {
				continue
			}
			switch s, total := &j.t.Shards[at], &x.sums[at]; {
			case slot.Age == s.Age:
				total.entities, total.bytes = total.entities+slot.Entities.Value, total.bytes+slot.Bytes.Value
			case total.lacks == nil && j.counts(s, t.ID, slot):
				total.lacks, total.of = slot, t.ID
			}
		}
	}
}

// counts reports whether a slot is in the figures of its shard for sure: their leader has
// sequenced it all the while, and its tenant is not being dropped.
func (j *telling) counts(s *observe.ToldShard, t tenant.ID, slot *observe.ToldSlot) bool {
	k := j.run.Health.TrackOf(s.Leader.Node, t, slot.Slot)
	if k == nil || !s.Age.Known || j.isBehind() {
		return false
	}
	lead := k.LeadOf(s.Epoch)
	said := j.objectTold(observe.TenantObject, uint64(t))
	return lead != nil && lead.At <= j.since(s.Age.Value) && said != nil && said.Numbers[isDropping] == 0
}

// sum compares a shard with its slots of the same age: they are of one report, and of all slots
// that the leader sequences. A slot of a tenant that was dropped since is in the sum only. So is a
// slot of a tenant that the reporting node does not know yet.
func (j *telling) sum(s *observe.ToldShard, total *sum) {
	entities, bytes := s.Entities.Value, s.Bytes.Value
	switch {
	case total.lacks != nil:
		j.wrong("wrong-sum", s.Age.Value, "shard %d has %d entities and %d bytes, and of %s, which its leader sequences, nothing as old is told",
			s.ID, entities, bytes, place(total.of, total.lacks.Slot))
	case total.usage == usage{entities, bytes}:
	case (j.anyGone() || j.isBehind()) && total.entities <= entities && total.bytes <= bytes:
	default:
		j.wrong("wrong-sum", s.Age.Value, "shard %d has %d entities and %d bytes, its slots that are told as old have %d and %d",
			s.ID, entities, bytes, total.entities, total.bytes)
	}
}

// isBehind reports whether some node has applied more of the meta log than the report includes.
func (j *telling) isBehind() bool {
	reached := uint64(0)
	for i := range j.run.Health.Applied {
		if a := &j.run.Health.Applied[i]; a.At <= j.t.At {
			reached = a.Index
		}
	}
	return !j.t.Index.Known || j.t.Index.Value < reached
}

// throughput looks for two reports of the leader that are as far apart as the window is long. It
// compares the signals with the least and the most that the leader may have committed between the
// two. A report may be about other shards only.
func (j *telling) throughput(s *observe.ToldShard) {
	age, since := s.Age.Value, j.since(s.Age.Value)
	fewest, most, windows := uint64(never), uint64(0), 0
	for i, r := range j.reports(s.Leader.Node) {
		if r.At < since {
			break
		}
		if r.By != s.Leader {
			continue
		}
		for k := i - 1; k >= 0; k-- {
			before := &j.run.Health.Reports[k]
			if length := millis(r.Local - before.Local); before.By != r.By || length < s.Window.Value {
				continue
			} else if length > s.Window.Value {
				break
			}
			windows++
			least, highest := j.signals(s, before.At, r.At)
			if least <= s.Signals.Value && s.Signals.Value <= highest {
				return
			}
			fewest, most = min(fewest, least), max(most, highest)
		}
	}
	if windows == 0 {
		j.wrong("wrong-throughput", age, "shard %d has had %d signals in %d ms, and no two reports of node %d, one of them since %s, are so far apart",
			s.ID, s.Signals.Value, s.Window.Value, s.Leader.Node, instant(since))
		return
	}
	j.wrong("wrong-throughput", age, "shard %d has had %d signals in %d ms, and there were %d to %d", s.ID, s.Signals.Value, s.Window.Value, fewest, most)
}

func millis(ns int64) uint64 { return uint64(ns+999_999) / 1_000_000 }

// signals returns how many signals of a shard its leader had certainly committed between
// two instants and not before, and how many it may have.
func (j *telling) signals(s *observe.ToldShard, from, to int64) (least, most uint64) {
	for k, lead := range j.led(s) {
		x := j.truth.find(j.run, k.Tenant, k.Slot)
		if x == nil {
			continue
		}
		// While the leader commits the records that it has adopted, an earlier leader may have
		// reported them already. The same may happen when the leader is deposed and does not know
		// it.
		deposed := j.isDeposed(k, s.Epoch, to)
		settled := lead.Served > 0 && lead.Served <= from && !deposed
		for i := len(x.log.Entries) - 1; i >= 0; i-- {
			e, told := &x.log.Entries[i], x.toldFrom(lineage.Seq(i+1))
			if settled && e.At <= from && told <= from {
				break // so were all before it
			}
			if e.Record.Kind != record.Signal || e.At > to {
				continue
			}
			if most++; e.Record.Epoch == s.Epoch && e.At > from && told < to && !deposed {
				least++
			}
		}
	}
	return least, most
}

// isDeposed reports whether a node sequences a log in a higher epoch by an instant.
func (j *telling) isDeposed(k *observe.Track, epoch lineage.ShardEpoch, at int64) bool {
	for _, i := range j.tracksOf(k.Shard) {
		other := &j.run.Health.Tracks.All()[i]
		if other.Tenant != k.Tenant || other.Slot != k.Slot {
			continue
		}
		for _, lead := range other.Leads {
			if lead.Epoch > epoch && lead.At <= at {
				return true
			}
		}
	}
	return false
}

// lag compares the reported lag of a replica with the records that the leader appended and the
// replica made durable meanwhile.
func (j *telling) lag(s *observe.ToldShard, p *observe.ToldReplica) {
	age, since := p.Age.Value, j.since(p.Age.Value)
	if p.Node == s.Leader.Node {
		if p.Records.Value != 0 || p.Lag.Value != 0 {
			j.wrong("wrong-lag", age, "shard %d on node %d, its leader, lags by %d records and %d ms", s.ID, p.Node, p.Records.Value, p.Lag.Value)
		}
		return
	}
	if p.Heard < since {
		j.wrong("unheard", age, "shard %d on node %d lags by %d records and %d ms, and that node confirmed last at %s, in epoch %d",
			s.ID, p.Node, p.Records.Value, p.Lag.Value, instant(p.Heard), s.Epoch)
		return
	}
	b := bounds{}
	for k, lead := range j.led(s) {
		b.add(j, k, lead, j.run.Health.TrackOf(p.Node, k.Tenant, k.Slot), since)
	}
	if p.Records.Value < b.least || p.Records.Value > b.most {
		j.wrong("wrong-lag", age, "shard %d on node %d lags by %d records; since %s it was %d to %d", s.ID, p.Node, p.Records.Value, instant(since), b.least, b.most)
	}
	shortest, _ := j.spans(b.shortest)
	_, longest := j.spans(b.longest + b.longest/8 + 1_000_000) // it is known no better
	switch {
	case p.Records.Value == 0 && p.Lag.Value != 0:
		j.wrong("wrong-lag", age, "shard %d on node %d lags by %d records, and by %d ms", s.ID, p.Node, p.Records.Value, p.Lag.Value)
	case p.Lag.Value < shortest || p.Lag.Value > longest:
		j.wrong("wrong-lag", age, "shard %d on node %d lags by %d ms; since %s the oldest record that it lacked had been waiting for %d to %d ms",
			s.ID, p.Node, p.Lag.Value, instant(since), shortest, longest)
	}
}

// bounds are the least and the greatest lag of a replica in a window.
type bounds struct {
	least, most       uint64 // records
	shortest, longest int64  // ns, since the oldest of them has been waiting
}

// add adds a log of the shard: k is the leader's, and other the replica's, nil if the replica never
// had any of it. A log that began to be sequenced in the window need not be in the figure, nor need
// one that ends with its tenant.
func (b *bounds) add(j *telling, k *observe.Track, lead *observe.Lead, other *observe.Track, since int64) {
	from, now := max(since, lead.At), j.t.At
	least, most := observe.Within(k.Ends, from, now)
	lowest, highest := lineage.Seq(0), lineage.Seq(0)
	if other != nil {
		lowest, highest = observe.Within(other.Durable, from, now)
	}
	if most > lowest {
		b.most += uint64(most - lowest)
		if at := j.firstAt(k, lead, lowest+1); at != never {
			b.longest = max(b.longest, now-at)
		}
	}
	if lead.At <= since && least > highest && !j.isGone(k.Tenant) {
		b.least += uint64(least - highest)
		if at := j.firstAt(k, lead, highest+1); waits(other, highest, at, now) {
			b.shortest = max(b.shortest, since-at)
		}
	}
}

// waits reports whether a replica has lacked the records behind seq at every instant of a span. A
// replica that had them and lost them does not wait.
func waits(k *observe.Track, seq lineage.Seq, from, to int64) bool {
	if k == nil || len(k.Durable) == 0 || max(k.Durable[0].At, k.Created) > from {
		return false
	}
	_, had := observe.Within(k.Durable, from, to)
	return had <= seq
}
