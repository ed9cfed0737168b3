package scenarios

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// The observer of the in-sync judge looks, of each slot, at the last record that any node has
// announced, and at the devices that have to have it. It reads messages when they are sent, bytes
// on devices, and the control plane as it was applied. It asks no group for the members that it
// counts.

// utmost is the last announced record of a slot.
type utmost struct {
	seq   lineage.Seq
	chain lineage.Chain // at it, on the node that announced it first; 0: not known
}

// pendingMember is a member that a leader has asked to let join, or to readmit. It stays
// until the shard has another version, or the answer is on its way that nothing comes of
// the command.
type pendingMember struct {
	client, number uint64 // of the proposal
	kind           control.Kind
	shard          lineage.Shard
	epoch          lineage.ShardEpoch
	version        uint64
	member         control.Member
	tenant         tenant.ID    // Readmit
	slot           lineage.Slot // likewise
}

// tellsOf notes that a node announces that the log of a slot has a record for good, and looks at
// the copies if that is news, or if a client is answered.
func (o *observer) tellsOf(from env.ID, t tenant.ID, slot lineage.Slot, seq lineage.Seq, when observe.Occasion) {
	if seq == 0 {
		return
	}
	l := o.groups.leader(t, slot)
	news := seq > l.utmost.seq
	if !news && when != observe.AtAck {
		return
	}
	w := o.writesOf(from, t, slot)
	if news {
		l.utmost.seq = seq
		l.utmost.chain, _ = w.chainAt(seq)
	}
	o.run.InSync.Count++
	if lacks := o.missing(from, w, seq); lacks != "" {
		o.run.InSync.Lacking(observe.Short{
			Standing: observe.Teller, When: when, Tenant: t, Slot: slot, Seq: seq, Node: uint32(from), Lacks: lacks, At: o.world.Time(),
		})
	}
	if news {
		o.reviewCopies(t, slot, l.utmost, when)
	}
	o.review(t, slot, l.utmost, when)
}

// keepsInSnapshot notes that a leader is about to write a snapshot: its records are committed, and
// may be announced first by a later start of the node, when a copy that counted is gone.
//
//  1. Nodes A, the leader, and B have a record; A commits it and writes a snapshot.
//  2. A is killed before it sends its commit index, and B loses its disk.
//  3. A is eligible, leads alone, and sends the commit index of its snapshot.
func (o *observer) keepsInSnapshot(id env.ID, t tenant.ID, slot lineage.Slot, seq lineage.Seq) {
	if o.leads(id, t, slot) {
		o.tellsOf(id, t, slot, seq, observe.AtSnapshot)
	}
}

// reviewCopies counts the devices that have a record that is announced for the first time. A record
// on fewer replicas than the shard's minimum is lost with fewer disks than are promised. A lost
// disk counts if its member had acknowledged the record before the loss:
//
//  1. Node B has a record, and tells the leader, node A. The leader asks to let it join.
//  2. B loses its disk.
//  3. A hears that B has joined, commits, and announces the record. No node knows yet that the
//     record of B is gone.
func (o *observer) reviewCopies(t tenant.ID, slot lineage.Slot, told utmost, when observe.Occasion) {
	plane, _ := o.groups.plane()
	id := o.groups.shardOf(t, slot)
	shard := plane.Shard(id)
	if shard == nil || !serves(plane, t) {
		return
	}
	o.run.InSync.Count++
	copies := 0
	for _, node := range shard.Replicas {
		if o.lacksTold(node, t, slot, told) == "" || o.wentWithItsDisk(shard, node, t, slot, told) || o.hadInSet(shard, node, t, slot, told.seq) {
			copies++
		}
	}
	if copies < shard.Min {
		o.run.InSync.Lacking(observe.Short{
			Standing: observe.TooFew, When: when, Tenant: t, Slot: slot, Seq: told.seq, Shard: id, Epoch: shard.Epoch, Version: shard.Version,
			Lacks: fmt.Sprintf("%d of %d replicas have it, and %d have to", copies, len(shard.Replicas), shard.Min), At: o.world.Time(),
		})
	}
}

// wentWithItsDisk reports whether a record was durable on a disk that is lost, in the very
// incarnation that the set names.
func (o *observer) wentWithItsDisk(s *control.Shard, node env.ID, t tenant.ID, slot lineage.Slot, told utmost) bool {
	w := o.writesOf(node, t, slot)
	return s.IsInSync(control.Member{Node: node, Incarnation: w.goneIn}) &&
		slices.ContainsFunc(w.gone, func(p lineage.Position) bool {
			return p.Seq == told.seq && (told.chain == 0 || p.Chain == told.chain)
		})
}

// hadInSet reports whether the incarnation of a node that the set names had a record when it ended,
// and the disk was lost after that: no node has heard of the next incarnation, which may not be
// registered yet.
func (o *observer) hadInSet(s *control.Shard, node env.ID, t tenant.ID, slot lineage.Slot, seq lineage.Seq) bool {
	i := slices.IndexFunc(s.InSync, func(m control.Member) bool { return m.Node == node })
	return i >= 0 && o.world.Disk(node).Wipes() > o.diskOf(s.InSync[i]) && o.writesOf(node, t, slot).hadThen(s.InSync[i].Incarnation, seq)
}

// review looks at all copies of a slot that have to be whole.
func (o *observer) review(t tenant.ID, slot lineage.Slot, told utmost, when observe.Occasion) {
	plane, _ := o.groups.plane()
	id := o.groups.shardOf(t, slot)
	shard := plane.Shard(id)
	if shard == nil || told.seq == 0 || !serves(plane, t) {
		return
	}
	short := observe.Short{
		When: when, Tenant: t, Slot: slot, Seq: told.seq, Shard: id, Epoch: shard.Epoch, Version: shard.Version, At: o.world.Time(),
	}
	if shard.Reformed {
		o.reviewReformed(shard, told, short)
		return
	}
	for _, m := range shard.InSync {
		if o.present(m) && !isExcluded(shard, m, t, slot) {
			o.run.InSync.Members++
			o.reviewCopy(m.Node, told, short, observe.InSet)
		}
	}
	for _, m := range shard.Eligible {
		if o.present(m) {
			o.reviewCopy(m.Node, told, short, observe.Eligible)
		}
	}
	for i := range o.groups.pending {
		if p := &o.groups.pending[i]; p.shard == id && o.mayComeTrue(p, plane) && (p.kind == control.Join || p.tenant == t && p.slot == slot) {
			o.reviewCopy(p.member.Node, told, short, observe.Pending)
		}
	}
}

// serves reports whether a tenant is there to stay. No node serves the slots of a tenant that is
// being dropped again, and a member may join without them.
func serves(plane *control.Plane, t tenant.ID) bool {
	x := plane.Tenant(t)
	return x != nil && !x.Dropping
}

// reviewReformed looks for a member of a reformed set that has all announced records: each may lack
// records that another one has, until the leader has settled it.
func (o *observer) reviewReformed(shard *control.Shard, told utmost, short observe.Short) {
	o.run.InSync.Count++
	for _, m := range shard.InSync {
		lacks := o.lacksTold(m.Node, short.Tenant, short.Slot, told)
		if lacks == "" {
			return
		}
		short.Lacks = fmt.Sprintf("the last of them, node %d: %s", m.Node, lacks)
	}
	short.Standing = observe.Anybody
	o.run.InSync.Lacking(short)
}

func (o *observer) reviewCopy(node env.ID, told utmost, short observe.Short, as observe.Standing) {
	o.run.InSync.Count++
	if lacks := o.lacksTold(node, short.Tenant, short.Slot, told); lacks != "" {
		short.Standing, short.Node, short.Lacks = as, uint32(node), lacks
		o.run.InSync.Lacking(short)
	}
}

// lacksTold describes the part that a node's device lacks of the records up to the last announced
// one; "" if nothing.
func (o *observer) lacksTold(node env.ID, t tenant.ID, slot lineage.Slot, told utmost) string {
	w := o.writesOf(node, t, slot)
	if w.refetching {
		return "the log is being replaced"
	}
	if lacks := o.missing(node, w, told.seq); lacks != "" {
		return lacks
	}
	if chain, known := w.chainAt(told.seq); known && told.chain != 0 && chain != told.chain {
		return fmt.Sprintf("another record is there, with chain %016x instead of %016x", uint64(chain), uint64(told.chain))
	}
	return ""
}

// present reports whether a member is the incarnation that its node runs now.
func (o *observer) present(m control.Member) bool {
	return o.memberOf(m.Node) == m && o.world.Machine(m.Node) != nil
}

func isExcluded(s *control.Shard, m control.Member, t tenant.ID, slot lineage.Slot) bool {
	return len(s.Excluded) > 0 && s.Excludes(m, t, slot)
}

// mayComeTrue reports whether the command that makes a member count can still be applied, and the
// member's process still runs.
func (o *observer) mayComeTrue(p *pendingMember, plane *control.Plane) bool {
	s := plane.Shard(p.shard)
	return s.Epoch == p.epoch && s.Version == p.version && o.present(p.member)
}

// asksToCount notes the command by which a leader lets a member count, and looks at the member's
// log: the leader asks when the member is whole.
func (o *observer) asksToCount(m *peer.Propose, c *control.Command) {
	if c.Kind != control.Join && c.Kind != control.Readmit {
		return
	}
	o.forgetPending(m.Client, ^uint64(0))
	p := pendingMember{
		client: m.Client, number: m.Number, kind: c.Kind, shard: c.Shard, epoch: c.Epoch, version: c.Version,
		member: c.Member, tenant: c.Tenant, slot: c.Slot,
	}
	o.groups.pending = append(o.groups.pending, p)
	if plane, _ := o.groups.plane(); !o.mayComeTrue(&p, plane) {
		return
	}
	if c.Kind == control.Readmit {
		o.review(c.Tenant, c.Slot, o.groups.leader(c.Tenant, c.Slot).utmost, observe.AtProposal)
		return
	}
	o.reviewShards(observe.AtProposal, func(s *control.Shard) bool { return s.ID == c.Shard })
}

// forgetPending drops the commands of a client of the meta log, up to a number.
func (o *observer) forgetPending(client, number uint64) {
	o.groups.pending = slices.DeleteFunc(o.groups.pending, func(p pendingMember) bool { return p.client == client && p.number <= number })
}

// reviewEntries looks at the slots of all shards that the control plane has changed since
// it was looked at last.
func (o *observer) reviewEntries() {
	plane, _ := o.groups.plane()
	since := o.groups.reviewed
	if plane.Index() == since {
		return
	}
	o.groups.reviewed = plane.Index()
	o.reviewShards(observe.AtEntry, func(s *control.Shard) bool { return s.Index > since })
}

// reviewShards looks at the slots of some shards.
func (o *observer) reviewShards(when observe.Occasion, concerns func(*control.Shard) bool) {
	plane, _ := o.groups.plane()
	if !anyOf(plane.Shards(), concerns) {
		return
	}
	for i := range o.groups.shards.All() {
		s := &o.groups.shards.All()[i]
		shard := plane.Shard(s.shard)
		if shard == nil || !concerns(shard) {
			continue
		}
		if l := o.groups.leading.Find(slotKey(s.tenant, s.slot)); l != nil {
			o.review(s.tenant, s.slot, l.utmost, when)
		}
	}
}

func anyOf(shards []control.Shard, concerns func(*control.Shard) bool) bool {
	for i := range shards {
		if concerns(&shards[i]) {
			return true
		}
	}
	return false
}
