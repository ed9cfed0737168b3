package checker

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// toldLog is a log, with the times at which clients received its records.
type toldLog struct {
	log  *observe.Log
	told []int64 // by seq, from 0: when a client first received that record or a later one
}

// toldFrom returns when a client first received the record at seq or a later one.
func (x *toldLog) toldFrom(seq lineage.Seq) int64 {
	if int(seq) >= len(x.told) {
		return never
	}
	return x.told[seq]
}

// reset prepares for a run.
func (x *truth) reset(run *observe.Run) {
	x.current, x.decided, x.uses = x.current[:0], 0, x.uses[:0]
	total := 0
	for _, l := range run.Logs {
		total += len(l.Entries) + 1
	}
	x.instants = slices.Grow(x.instants[:0], total)[:total]
	for i := range x.instants {
		x.instants[i] = never
	}
	x.logs = x.logs[:0]
	rest := x.instants
	for _, l := range run.Logs {
		x.logs = append(x.logs, toldLog{l, rest[:len(l.Entries)+1]})
		rest = rest[len(l.Entries)+1:]
	}
	x.toldBy(run)
}

// toldBy notes the clients' answers.
func (x *truth) toldBy(run *observe.Run) {
	ops := run.Ops()
	for i := range ops {
		op := &ops[i]
		if op.Outcome != history.Acked {
			continue
		}
		if l := x.find(run, op.Tenant, op.Slot); l != nil && int(op.Seq) < len(l.told) {
			l.told[op.Seq] = min(l.told[op.Seq], op.ReturnAt)
		}
	}
	for i := range x.logs {
		told := x.logs[i].told
		for seq := len(told) - 2; seq >= 0; seq-- {
			told[seq] = min(told[seq], told[seq+1])
		}
	}
}

// find returns the log of a slot, nil if there is none.
func (x *truth) find(run *observe.Run, t tenant.ID, slot lineage.Slot) *toldLog {
	if i := run.Find(t, slot); i >= 0 {
		return &x.logs[i]
	}
	return nil
}

// tenants looks at the leaders' figures of slots, and at the places of the tenants.
func (j *telling) tenants() {
	for i := range j.t.Tenants {
		t := &j.t.Tenants[i]
		j.compliance(t)
		for k := range t.Slots {
			slot := &t.Slots[k]
			if j.aged(slot.Seq, slot.Age, "seq of a slot of tenant", uint64(t.ID)) {
				j.use(t.ID, slot)
			}
			if slot.Refused != [3]observe.Figure{} {
				j.refusals(t.ID, slot)
			}
		}
	}
}

// use is the reported use of a slot at a seq.
type use struct {
	log     int32
	telling int32
	seq     lineage.Seq
	told    usage
	age     uint64
}

// use looks at the reported seq of a slot, and keeps the reported use for a recount.
func (j *telling) use(t tenant.ID, slot *observe.ToldSlot) {
	at, seq, age := j.run.Find(t, slot.Slot), lineage.Seq(slot.Seq.Value), slot.Age.Value
	if at < 0 {
		if seq > 0 {
			j.wrong("early-use", age, "%s is at seq %d, and nothing was ever appended", place(t, slot.Slot), seq)
		}
		return
	}
	x := &j.truth.logs[at]
	if entries := x.log.Entries; int(seq) > len(entries) || seq > 0 && entries[seq-1].At > j.t.At {
		j.wrong("early-use", age, "%s is at seq %d, and nobody had appended that record", place(t, slot.Slot), seq)
		return
	}
	if told := x.toldFrom(seq + 1); told < j.since(age) {
		j.wrong("old-use", age, "%s is at seq %d, and a client had been told of a later record at %s, before %s",
			place(t, slot.Slot), seq, instant(told), instant(j.since(age)))
	}
	if slot.Entities.Known && slot.Bytes.Known {
		j.truth.uses = append(j.truth.uses, use{int32(at), j.place, seq, usage{slot.Entities.Value, slot.Bytes.Value}, age})
	}
}

// recount adds up each log once, and compares the reported uses of slots with it.
func (x *truth) recount(v *verdict, run *observe.Run, c *recount) {
	slices.SortFunc(x.uses, func(a, b use) int {
		return cmp.Or(cmp.Compare(a.log, b.log), cmp.Compare(a.seq, b.seq), cmp.Compare(a.telling, b.telling))
	})
	last, folded := int32(-1), lineage.Seq(0)
	for i := range x.uses {
		u := &x.uses[i]
		l := run.Logs[u.log]
		if u.log != last {
			c.reset(len(l.Entries))
			last, folded = u.log, 0
		}
		for ; folded < u.seq; folded++ {
			rec := &l.Entries[folded].Record
			entity, _ := rec.Subject()
			c.add(rec.Seq, rec.Kind, entity, &rec.Limits)
		}
		if u.told != c.held {
			j := telling{verdict: v, run: run, t: &run.Health.Tellings[u.telling]}
			j.wrong("wrong-use", u.age, "%s at seq %d has %d entities and %d bytes, and its log adds up to %d and %d",
				place(l.Tenant, l.Slot), u.seq, u.told.entities, u.told.bytes, c.held.entities, c.held.bytes)
		}
	}
}

// refusals compares how many requests the leader of a slot has refused for each quota.
func (j *telling) refusals(t tenant.ID, slot *observe.ToldSlot) {
	s := j.shardTold(slot.Shard)
	if s == nil || !s.Configured {
		j.wrong("unheard", slot.Age.Value, "%s has refused requests, and who leads it is not known", place(t, slot.Slot))
		return
	}
	since, least, most := j.since(slot.Age.Value), [3]uint64{}, [3]uint64{}
	if k := j.run.Health.TrackOf(s.Leader.Node, t, slot.Slot); k != nil {
		least, most = k.TallyAt(s.Epoch, since), k.TallyAt(s.Epoch, j.t.At)
	}
	for r, told := range slot.Refused {
		if !j.aged(told, slot.Age, "refusals of a slot of tenant", uint64(t)) || least[r] <= told.Value && told.Value <= most[r] {
			continue
		}
		j.wrong("wrong-refusals", slot.Age.Value, "%s has refused %d requests for %s; since %s it was %d to %d",
			place(t, slot.Slot), told.Value, [...]string{"the rate", "entities", "bytes"}[r], instant(since), least[r], most[r])
	}
}
