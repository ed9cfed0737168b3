package scenarios

import (
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// The observer of the judge reform notes the logs that the members of a reformed set report, the
// log with which the leader begins its epoch, and the contents of the devices when the reform is
// over.

// survey is a member's report of its logs to a leader, in one epoch. Parts come in order.
type survey struct {
	shard   lineage.Shard
	epoch   lineage.ShardEpoch
	to      env.ID
	from    control.Member
	changes uint64 // how often the set of the member's logs had changed
	size    uint64
	logs    []peer.Log
}

// surveyedBy notes a part that a leader is handed.
func (o *observer) surveyedBy(to, from env.ID, m *peer.Surveyed) {
	s := o.surveyOf(m.Shard, m.Epoch, to, control.Member{Node: from, Incarnation: m.From})
	if m.Changes > s.changes || len(s.logs) == 0 {
		s.changes, s.size, s.logs = m.Changes, m.Size, s.logs[:0]
	}
	if m.Changes == s.changes && m.First == uint64(len(s.logs)) {
		s.logs = append(s.logs, m.Logs...)
	}
}

// surveyOf returns a member's report, and makes an empty one if there is none. Surveys of epochs of
// the shard that are over are forgotten.
func (o *observer) surveyOf(shard lineage.Shard, epoch lineage.ShardEpoch, to env.ID, from control.Member) *survey {
	all := slices.DeleteFunc(o.groups.surveys, func(s survey) bool { return s.shard == shard && s.epoch < epoch })
	i := slices.IndexFunc(all, func(s survey) bool { return s.shard == shard && s.epoch == epoch && s.to == to && s.from == from })
	if i < 0 {
		i, all = len(all), append(all, survey{shard: shard, epoch: epoch, to: to, from: from, size: ^uint64(0)})
	}
	o.groups.surveys = all
	return &all[i]
}

// told returns the entry of a slot's log in a survey; false if the survey is not complete.
func (s *survey) told(t tenant.ID, slot lineage.Slot) (l peer.Log, whole bool) {
	for i := range s.logs {
		if s.logs[i].Tenant == t && s.logs[i].Slot == slot {
			l = s.logs[i]
		}
	}
	return l, uint64(len(s.logs)) >= s.size
}

// adopts looks at the log with which a leader begins an epoch, up to a record.
func (o *observer) adopts(id env.ID, t tenant.ID, slot lineage.Slot, epoch lineage.ShardEpoch, seq lineage.Seq) {
	plane, _ := o.groups.plane()
	if shard := plane.Shard(o.groups.shardOf(t, slot)); shard != nil && shard.Reformed && shard.Epoch == epoch && shard.Leader.Node == id {
		o.adoptsIn(shard, id, t, slot, seq)
	}
}

// adoptsIn looks at it under the configuration of the shard that is in force.
func (o *observer) adoptsIn(shard *control.Shard, id env.ID, t tenant.ID, slot lineage.Slot, seq lineage.Seq) {
	epoch := shard.Epoch
	o.run.Reforms.Count++
	x := observe.Reform{Tenant: t, Slot: slot, Shard: shard.ID, Epoch: epoch, Leader: uint32(id), Seq: seq, At: o.world.Time()}
	last, known := o.writesOf(id, t, slot).epochAt(seq)
	for _, m := range shard.InSync {
		if m.Node == id {
			continue
		}
		x.Of = uint32(m.Node)
		l, whole := o.surveyOf(shard.ID, epoch, id, m).told(t, slot)
		if !whole {
			x.Kind = observe.Unasked
			o.run.Reforms.Hasty(x)
			continue
		}
		better := l.Lineage.Epoch > last || l.Lineage.Epoch == last && l.End.Seq > seq
		if known && l.Whole && better && !isExcluded(shard, m, t, slot) {
			x.Kind, x.Better = observe.WorseLog, l.End.Seq
			o.run.Reforms.Hasty(x)
		}
	}
}

// epochAt returns the shard epoch of a record that the node wrote, if the observer saw the
// write.
func (w *slotWrites) epochAt(seq lineage.Seq) (lineage.ShardEpoch, bool) {
	if seq == 0 {
		return 0, true
	}
	if i, found := w.find(seq); found {
		return w.places[i].epoch, true
	}
	return 0, false
}

// reformBegins looks at the members of a set that is formed anew: on each node the disk is the
// one on which the set before counted.
func (o *observer) reformBegins(s *control.Shard, before []control.Member) {
	for _, m := range s.InSync {
		i := slices.IndexFunc(before, func(b control.Member) bool { return b.Node == m.Node })
		if i < 0 {
			continue
		}
		o.run.Reforms.Count++
		if o.lostSince(before[i], m) {
			o.run.Reforms.Hasty(observe.Reform{
				Kind: observe.LostCounted, Shard: s.ID, Epoch: s.Epoch, Leader: uint32(s.Leader.Node), Of: uint32(m.Node), At: o.world.Time(),
			})
		}
	}
}

// reformEnds looks at the devices of a set after its reform: each member has, of each log, the
// records that the leader adopted, and the record that begins the epoch.
func (o *observer) reformEnds(s *control.Shard, before []control.Member) {
	plane, _ := o.groups.plane()
	for i := range o.groups.shards.All() {
		placed := &o.groups.shards.All()[i]
		t, slot := placed.tenant, placed.slot
		l := o.groups.leading.Find(slotKey(t, slot))
		if placed.shard != s.ID || l == nil || l.epoch != s.Epoch || !serves(plane, t) || o.stopped(l.node, t, slot) {
			continue
		}
		begins := utmost{seq: l.adopted + 1}
		begins.chain, _ = o.writesOf(l.node, t, slot).chainAt(begins.seq)
		for _, m := range s.InSync {
			if !slices.Contains(before, m) || !o.present(m) || isExcluded(s, m, t, slot) {
				continue
			}
			o.run.Reforms.Count++
			if lacks := o.lacksTold(m.Node, t, slot, begins); lacks != "" {
				o.run.Reforms.Hasty(observe.Reform{
					Kind: observe.SettledEarly, Tenant: t, Slot: slot, Shard: s.ID, Epoch: s.Epoch, Leader: uint32(l.node), Of: uint32(m.Node),
					Seq: begins.seq, Lacks: lacks, At: o.world.Time(),
				})
			}
		}
	}
}

// stopped reports whether a slot's log has failed on a node, which runs.
func (o *observer) stopped(id env.ID, t tenant.ID, slot lineage.Slot) bool {
	n := o.groups.lives[id]
	if n == nil || o.world.Machine(id) == nil {
		return true
	}
	phase, _ := n.Phase(t, slot)
	return phase == replica.Stopped
}
