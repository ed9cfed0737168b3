package scenarios

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// What the observer does more if shards are replica groups: it knows which node
// sequences a slot in the highest epoch, and who is in sync by the control plane.

// sharedView is what the observer knows of replica groups.
type sharedView struct {
	// plane returns the control plane as the member has it that has applied most of
	// the meta log.
	plane   func() (*control.Plane, metalog.Position)
	shards  []slotShard
	leading []leading
	voices  []voice
	message peer.Message
}

// slotShard says in which shard a slot is.
type slotShard struct {
	tenant tenant.ID
	slot   lineage.Slot
	shard  lineage.Shard
}

// leading is who sequences a slot, in the highest epoch that began.
type leading struct {
	tenant tenant.ID
	slot   lineage.Slot
	node   env.ID
	epoch  lineage.ShardEpoch
}

func (v *sharedView) shardOf(t tenant.ID, slot lineage.Slot) lineage.Shard {
	for i := range v.shards {
		if s := &v.shards[i]; s.tenant == t && s.slot == slot {
			return s.shard
		}
	}
	return 0
}

func (v *sharedView) leader(t tenant.ID, slot lineage.Slot) *leading {
	for i := range v.leading {
		if l := &v.leading[i]; l.tenant == t && l.slot == slot {
			return l
		}
	}
	v.leading = append(v.leading, leading{tenant: t, slot: slot})
	return &v.leading[len(v.leading)-1]
}

// sequences reports whether a node is the one that sequences a slot. What one that was
// replaced does is not in the lineage.
func (o *observer) sequences(id env.ID, m *wire.Message) bool {
	return o.shared == nil || o.shared.leader(m.Tenant, m.Slot).node == id
}

// hitShared looks at a fault point of a node that shares its slots, and reports
// whether that was all.
func (o *observer) hitShared(id env.ID, p env.Point, key env.Key, local env.Time) bool {
	t, slot, seq := tenant.ID(key.A), lineage.Slot(key.Kind), lineage.Seq(key.B)
	o.noteReplica(id, p, key)
	o.noteEpoch(id, p, key)
	switch p {
	case fault.RecordAppended, fault.ChangeAdmitted, fault.ChangeAppended, fault.QuotaRefused:
		if p == fault.RecordAppended {
			o.writesOf(id, t, slot).received = local
		}
		return o.shared.leader(t, slot).node != id
	case fault.RecordReceived:
		o.writesOf(id, t, slot).received = local
	case fault.RecoverySyncing, fault.LogCutting:
		o.recovered(id, t, slot, seq)
	case fault.SlotRefetching:
		w := o.writesOf(id, t, slot)
		*w = slotWrites{node: id, tenant: t, slot: slot, places: w.places[:0], received: w.received}
	case fault.SlotLeading:
		l := o.shared.leader(t, slot)
		if epoch := lineage.ShardEpoch(key.Attempt); epoch > l.epoch {
			l.node, l.epoch = id, epoch
			o.run.Leads(t, slot, seq, o.world.Time(), int64(o.writesOf(id, t, slot).received), uint64(o.boots[id].incarnation))
		}
	default:
		return false
	}
	return true
}

// ackedByAll looks whether the record of an acknowledgement is on the platters of all
// members that are in sync, and of as many as the shard demands, before it leaves.
func (o *observer) ackedByAll(from env.ID, m *wire.Message) {
	plane, _ := o.shared.plane()
	shard := plane.Shard(o.shared.shardOf(m.Tenant, m.Slot))
	copies, missing := 0, ""
	for _, member := range shard.InSync {
		if slices.Contains(shard.Excluded, control.Exclusion{Member: member, Tenant: m.Tenant, Slot: m.Slot}) {
			continue
		}
		if lacks := o.lacks(member.Node, m); lacks != "" && missing == "" {
			missing = fmt.Sprintf("of node %d, in sync: %s", member.Node, lacks)
		}
	}
	for _, node := range shard.Replicas { // also of who has left the set since
		if o.lacks(node, m) == "" {
			copies++
		}
	}
	if missing == "" && copies < shard.Min {
		missing = fmt.Sprintf("%d of %d copies", shard.Min-copies, shard.Min)
	}
	o.run.DurableAck.Acked(m.Tenant, m.Slot, m.Seq, o.world.Time(), missing == "", missing)
}

// lacks says what of the records up to that of an acknowledgement is not on a node's
// platter; "" if nothing.
func (o *observer) lacks(node env.ID, m *wire.Message) string {
	return o.missing(node, o.writesOf(node, m.Tenant, m.Slot), m.Seq)
}
