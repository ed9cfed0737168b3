package scenarios

import (
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// The observer of the judge progress: when a Step has ended it compares the records that nodes
// count on, in memory, with the replicas' acknowledgements, in messages.

// acknowledged is the last acknowledgement of a replica: the epoch, the incarnation of the node,
// the generation of the log, and the highest record.
type acknowledged struct {
	epoch lineage.ShardEpoch
	from  env.Incarnation
	life  peer.Life
	seq   lineage.Seq
}

// believed is the generation of a replica's log that the leader knew at the last look.
type believed struct {
	by    observe.Process
	epoch lineage.ShardEpoch
	of    env.Incarnation
	life  peer.Life
}

// acknowledges notes an acknowledgement that a replica sends.
func (o *observer) acknowledges(from env.ID, m *peer.Appended) {
	w := o.writesOf(from, m.Tenant, m.Slot)
	if a := &w.acks; a.epoch != m.Epoch || a.from != m.From || a.life != m.Life {
		*a = acknowledged{m.Epoch, m.From, m.Life, 0}
	}
	w.acks.seq = max(w.acks.seq, m.At.Seq)
}

// reckonsAt notes that a fault point calls for a look at the records that its node counts on.
func (o *observer) reckonsAt(id env.ID, p env.Point, key env.Key) {
	switch p {
	case fault.BatchDurable, fault.SlotLeading, fault.LogCut:
		o.reckons(id, tenant.ID(key.A), lineage.Slot(key.Kind))
	}
}

func (o *observer) reckons(id env.ID, t tenant.ID, slot lineage.Slot) {
	for i := range o.beliefs {
		if b := &o.beliefs[i]; b.node == id && b.tenant == t && b.slot == slot {
			return
		}
	}
	o.beliefs = append(o.beliefs, look{node: id, tenant: t, slot: slot})
}

// acknowledgedTo notes an acknowledgement that a leader receives. The observer looks at the
// leader's conclusion if the log has another generation than the leader knew, or is to begin a new
// one.
func (o *observer) acknowledgedTo(to, from env.ID, m *peer.Appended) {
	if w := o.writesOf(from, m.Tenant, m.Slot); m.Anew || m.Life != w.believed.life {
		o.reckons(to, m.Tenant, m.Slot)
	}
}

// reckon takes the looks that the last Step called for.
func (r *Runner) reckon() {
	o := &r.observer
	for i := range o.beliefs {
		b := &o.beliefs[i]
		if n := r.node(int(b.node)); n != nil {
			o.looksAt(n, b.node, b.tenant, b.slot)
		}
	}
	o.beliefs = o.beliefs[:0]
}

func (o *observer) looksAt(n *core.Node, id env.ID, t tenant.ID, slot lineage.Slot) {
	o.run.Progress.Count++
	if told, end, ok := n.Committed(t, slot); ok && told > end {
		o.run.Progress.Believes(observe.Belief{
			Kind: observe.BeyondTheLog, Tenant: t, Slot: slot, Node: uint32(id), Of: uint32(id), Seq: told, Last: end, At: o.world.Time(),
		})
	}
	counted, epoch, leads := n.AppendCounted(o.counted[:0], t, slot)
	o.counted = counted
	for i := 0; leads && i < len(counted); i++ {
		o.countsOn(id, t, slot, epoch, &counted[i])
	}
}

// countsOn compares the records that a leader counts on in a replica with the replica's
// acknowledgements.
func (o *observer) countsOn(id env.ID, t tenant.ID, slot lineage.Slot, epoch lineage.ShardEpoch, c *group.Counted) {
	w := o.writesOf(c.Member.Node, t, slot)
	now := believed{o.process(id), epoch, c.Member.Incarnation, c.Life}
	before := w.believed
	w.believed = now
	if c.Seq == 0 {
		return
	}
	b := observe.Belief{Tenant: t, Slot: slot, Node: uint32(id), Of: uint32(c.Member.Node), Epoch: epoch, Seq: c.Seq, At: o.world.Time()}
	if before.by == now.by && before.epoch == epoch && before.of == now.of && now.life < before.life {
		b.Kind = observe.OfAnEarlierLife
		w.believed.life = before.life
		o.run.Progress.Believes(b)
		return
	}
	switch a := &w.acks; {
	case a.epoch > epoch, a.epoch == epoch && a.from > now.of, a.epoch == epoch && a.from == now.of && a.life > now.life:
		return // the leader has not heard of it yet
	case a.epoch == epoch && a.from == now.of && a.life == now.life:
		b.Last = a.seq
	}
	if b.Kind = observe.Unacknowledged; c.Seq > b.Last {
		o.run.Progress.Believes(b)
	}
}
