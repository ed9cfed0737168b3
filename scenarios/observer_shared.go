package scenarios

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// The observer of shards that are replica groups also knows which node sequences a slot in the
// highest epoch, and which members are in sync by the control plane.

// groupsView is the observer's knowledge of replica groups.
type groupsView struct {
	decided keyed.List[decided] // by client of the meta log
	members keyed.List[members] // by shard
	// plane returns the control plane as the member has it that has applied most of
	// the meta log.
	plane func() (*control.Plane, metalog.Position)
	// quorums returns the sets of members of the meta log, likewise. A majority of each set has to
	// agree.
	quorums func() [][]metalog.MemberID
	meta    []env.ID // founding members of the meta log
	// metaAsked is the last disk request of each node's meta log, true time, ns.
	metaAsked []int64
	aged      []metalog.MemberID    // members with an older copy in the place of their disk
	shards    keyed.List[slotShard] // by tenant and slot
	leading   keyed.List[leading]   // likewise
	voices    keyed.List[voice]     // by node and shard
	tellers   keyed.List[told]      // by shard
	drains    []drainAsked
	removals  []removalAsked
	grants    keyed.List[grants]  // likewise
	divided   keyed.List[divided] // by tenant
	inbox     peer.Inbox

	surveys  []survey
	pending  []pendingMember // asked for, and not known to be refused
	reviewed uint64          // the entry of the control plane's log up to which copies were looked at
	lives    []*core.Node    // by process: the last incarnation of each node, running or not
	starts   []start         // of nodes that are over
	copies   []olderCopy     // that took the place of disks
}

// start says which incarnation a start of a node had; the judges count starts.
type start struct {
	member control.Member
	number uint64
	wipes  int
}

// diskOf returns how often a member's node had lost its disk when the member's incarnation
// began.
func (o *observer) diskOf(m control.Member) int {
	if m.Incarnation > 0 && o.memberOf(m.Node) == m {
		return o.boots[m.Node].wipes
	}
	for i := range o.groups.starts {
		if s := &o.groups.starts[i]; s.member == m {
			return s.wipes
		}
	}
	return 0
}

// startOf returns the number of the start that had an incarnation, 0 if none had.
func (o *observer) startOf(m control.Member) uint64 {
	if m.Incarnation > 0 && o.memberOf(m.Node) == m {
		return uint64(o.boots[m.Node].incarnation)
	}
	for i := range o.groups.starts {
		if s := &o.groups.starts[i]; s.member == m {
			return s.number
		}
	}
	return 0
}

// slotShard says in which shard a slot is.
type slotShard struct {
	tenant tenant.ID
	slot   lineage.Slot
	shard  lineage.Shard
}

// leading is the sequencer of a slot, in the highest epoch that began.
type leading struct {
	node  env.ID
	epoch lineage.ShardEpoch
	told  lineage.Seq // the last record in an answer to a client
	// adopted is the last record of the log with which the leader began its epoch.
	adopted lineage.Seq

	utmost      utmost
	acked       lineage.ShardEpoch // of the node's last acknowledgement, at ackedAt
	ackedAt     int64              // true time, ns
	denied      observe.Denial     // of the node since; Before 0: there is none
	incarnation env.Incarnation    // of the node
}

func slotKey(t tenant.ID, slot lineage.Slot) keyed.Key {
	return keyed.Key{A: uint64(t), B: uint64(slot)}
}

// place says in which shard a slot is.
func (v *groupsView) place(t tenant.ID, slot lineage.Slot, shard lineage.Shard) {
	*v.shards.Add(slotKey(t, slot)) = slotShard{t, slot, shard}
}

func (v *groupsView) shardOf(t tenant.ID, slot lineage.Slot) lineage.Shard {
	if s := v.shards.Find(slotKey(t, slot)); s != nil {
		return s.shard
	}
	return 0
}

func (v *groupsView) leader(t tenant.ID, slot lineage.Slot) *leading {
	l := v.leading.Find(slotKey(t, slot))
	if l == nil {
		l = v.leading.Add(slotKey(t, slot))
	}
	return l
}

// sequences reports whether a node is the one that sequences a slot. Records of a replaced
// sequencer are not in the lineage.
func (o *observer) sequences(id env.ID, m *wire.Message) bool {
	return o.leads(id, m.Tenant, m.Slot)
}

// leads reports whether a node, in its present incarnation, sequences a slot in the highest epoch
// that began.
func (o *observer) leads(id env.ID, t tenant.ID, slot lineage.Slot) bool {
	l := o.groups.leader(t, slot)
	return l.node == id && l.incarnation == o.boots[id].incarnation
}

// hitGroup looks at a fault point of a node that shares its slots, and reports
// whether that was all.
func (o *observer) hitGroup(id env.ID, p env.Point, key env.Key, local env.Time) bool {
	t, slot, seq := tenant.ID(key.A), lineage.Slot(key.Kind), lineage.Seq(key.B)
	o.noteReplica(id, p, key)
	o.noteEpoch(id, p, key)
	o.hitHealth(id, p, key, local)
	switch p {
	case fault.SlotReporting:
		o.reportsSlot(id, key)
	case fault.SnapshotWriting:
		o.keepsInSnapshot(id, t, slot, seq)
	case fault.RecordAppended, fault.ChangeAdmitted, fault.ChangeAppended, fault.QuotaRefused:
		if p == fault.RecordAppended {
			o.writesOf(id, t, slot).received = local
		}
		return !o.leads(id, t, slot)
	case fault.RecordReceived:
		o.writesOf(id, t, slot).received = local
	case fault.RecoverySyncing, fault.LogCutting:
		o.recovered(id, t, slot, seq)
		o.writesOf(id, t, slot).refetching = false
		o.reopened(id, t, slot)
	case fault.SlotCreating: // whatever was here once is gone
		w := o.writesOf(id, t, slot)
		w.places, w.passed, w.durable, w.snapshot, w.covers, w.refetching = w.places[:0], 0, 0, "", 0, false
		w.lost = false
	case fault.SlotRefetching: // a crash amid it may leave the old files
		o.writesOf(id, t, slot).refetching = true
	case fault.SlotFollowing:
		if w := o.writesOf(id, t, slot); w.refetching {
			w.refetching, w.places, w.durable = false, w.places[:0], 0
			w.received = local // with the snapshot, which has the tokens earned before in its level
		}
	case fault.SlotLeading:
		l := o.groups.leader(t, slot)
		if epoch := lineage.ShardEpoch(key.Attempt); epoch > l.epoch {
			l.node, l.epoch, l.incarnation, l.adopted = id, epoch, o.boots[id].incarnation, seq
			o.adopts(id, t, slot, epoch, seq)
			w := o.writesOf(id, t, slot)
			o.run.Leads(t, slot, epoch, seq, w.chainAt, o.world.Time(), int64(w.received), uint64(o.boots[id].incarnation))
		}
	case fault.ConfigAppended:
		o.limitsTakeTheirTurn(id, t, slot)
		return false
	default:
		return false
	}
	return true
}

// limitsTakeTheirTurn forgets that a leader has just refused a call as not serving: new limits
// waited for their turn, and until then the leader admits nothing else
// (docs/decisions/0012-new-limits-take-their-turn.md).
func (o *observer) limitsTakeTheirTurn(id env.ID, t tenant.ID, slot lineage.Slot) {
	if l := o.groups.leader(t, slot); o.leads(id, t, slot) && l.denied.Reason == wire.NotServing.String() {
		l.denied.Before = 0
	}
}

// chainAt returns the chain that the node wrote at a seq, if that was seen.
func (w *slotWrites) chainAt(seq lineage.Seq) (lineage.Chain, bool) {
	i, found := w.find(seq)
	if !found {
		return 0, false
	}
	return w.places[i].chain, true
}

// find returns where a record is among the places.
func (w *slotWrites) find(seq lineage.Seq) (int, bool) {
	return slices.BinarySearchFunc(w.places, seq, func(p place, seq lineage.Seq) int { return cmp.Compare(p.seq, seq) })
}

// ackedByAll looks whether the record of an acknowledgement is on the platters of all
// members that are in sync, and of as many as the shard demands, before it leaves.
func (o *observer) ackedByAll(from env.ID, m *wire.Message) {
	l := o.groups.leader(m.Tenant, m.Slot)
	announced := l.utmost.seq >= m.Seq // the copies were counted then
	l.told = max(l.told, m.Seq)
	o.tellsOf(from, m.Tenant, m.Slot, m.Seq, observe.AtAck)
	if l.node == from {
		o.tells(from, o.groups.shardOf(m.Tenant, m.Slot), l.epoch)
	}
	plane, _ := o.groups.plane()
	shard := plane.Shard(o.groups.shardOf(m.Tenant, m.Slot))
	copies, missing := 0, ""
	for _, member := range shard.InSync {
		if shard.Excludes(member, m.Tenant, m.Slot) {
			continue
		}
		if w := o.writesOf(member.Node, m.Tenant, m.Slot); w.hadThen(member.Incarnation, m.Seq) {
			continue // it was there when that member still lived
		}
		if lacks := o.lacks(member.Node, m); lacks != "" && missing == "" {
			missing = fmt.Sprintf("of node %d, in sync: %s", member.Node, lacks)
		}
	}
	for _, node := range shard.Replicas { // also the members that have left the set since
		if o.lacks(node, m) == "" || o.hadInSet(shard, node, m.Tenant, m.Slot, m.Seq) {
			copies++
		}
	}
	if missing == "" && copies < shard.Min && !announced {
		missing = fmt.Sprintf("%d of %d copies", shard.Min-copies, shard.Min)
	}
	o.run.DurableAck.Acked(m.Tenant, m.Slot, m.Seq, o.world.Time(), missing == "", missing)
}

// durableThere looks whether the records that a follower acknowledges to its leader are on its
// platter. Records that were there count for the leader, even if the disk is lost before the leader
// announces them.
func (o *observer) durableThere(from env.ID, m *peer.Appended) {
	missing := o.missing(from, o.writesOf(from, m.Tenant, m.Slot), m.At.Seq)
	o.run.DurableAck.Acked(m.Tenant, m.Slot, m.At.Seq, o.world.Time(), missing == "", missing)
}

// lacks names the records up to that of an acknowledgement that are not on a node's platter; "" if
// none.
func (o *observer) lacks(node env.ID, m *wire.Message) string {
	return o.missing(node, o.writesOf(node, m.Tenant, m.Slot), m.Seq)
}

// maySpare returns the row by which a node's disk may not be lost, "" if it may. Of each shard that
// counts on the node, another member, in sync or eligible, has to have all records that were
// acknowledged or read. Of the meta log a majority has to be whole without the node. So after a
// loss the next one waits until the later announced records are on another disk again.
func (o *observer) maySpare(id env.ID) Row {
	plane, _ := o.groups.plane()
	for i := range o.groups.shards.All() {
		s := &o.groups.shards.All()[i]
		shard := plane.Shard(s.shard)
		if countsOn(shard, id) && !o.isElsewhere(shard, s.tenant, s.slot, id) {
			return LastWholeMember
		}
	}
	return unless(o.metaSurvives(id), MetaMajority)
}

// mayFail returns the row by which a node's disk may not fail for a while, "" if it may. Nothing
// durable is lost with a failing disk. So the only replica of a shard, or the only member of the
// meta log, may have one: it goes on when its node has started again.
func (o *observer) mayFail(id env.ID) Row {
	plane, _ := o.groups.plane()
	for i := range o.groups.shards.All() {
		s := &o.groups.shards.All()[i]
		shard := plane.Shard(s.shard)
		if len(shard.Replicas) > 1 && countsOn(shard, id) && !o.isElsewhere(shard, s.tenant, s.slot, id) {
			return LastWholeMember
		}
	}
	return unless(len(o.groups.meta) == 1 || o.metaSurvives(id), MetaMajority)
}

// isSole reports whether a slot has one replica.
func (o *observer) isSole(t tenant.ID, slot lineage.Slot) bool {
	plane, _ := o.groups.plane()
	shard := plane.Shard(o.groups.shardOf(t, slot))
	return shard != nil && len(shard.Replicas) == 1
}

// countsOn reports whether a node is in sync for a shard, or has its eligible member.
func countsOn(s *control.Shard, id env.ID) bool {
	return s.IsEligible(id) || slices.ContainsFunc(s.InSync, func(m control.Member) bool { return m.Node == id })
}

// isElsewhere reports whether a member in sync, or the eligible one, on another node than but, has
// on its device every announced record of a slot. It may be down, and it may have restarted: its
// records are found when the set is formed anew.
func (o *observer) isElsewhere(shard *control.Shard, t tenant.ID, slot lineage.Slot, but env.ID) bool {
	told := lineage.Seq(0)
	if at := o.run.Find(t, slot); at >= 0 {
		told = o.groups.told(t, slot, o.run.Logs[at].End().Seq)
	}
	has := func(m control.Member) bool {
		w := o.writesOf(m.Node, t, slot)
		// A member that lost its disk is no member any more, though the node may have fetched all
		// since.
		if o.world.Disk(m.Node).Wipes() > o.diskOf(m) {
			return false
		}
		// A removal that the leader has asked for may be decided when the leader is gone.
		if slices.Contains(o.groups.removals, removalAsked{shard.ID, shard.Version, m.Node}) {
			return false
		}
		return m.Node != but && !w.lost && !o.hasRotted(w) && !o.world.Failing(m.Node) && !shard.IsExcluded(m) && (told == 0 || o.missing(m.Node, w, told) == "")
	}
	return slices.ContainsFunc(shard.InSync, has) || slices.ContainsFunc(shard.Eligible, has)
}

// diskLost takes note that everything on a node's disk is about to be lost.
func (o *observer) diskLost(id env.ID) {
	for i := range o.groups.shards.All() {
		s := &o.groups.shards.All()[i]
		w := o.writesOf(id, s.tenant, s.slot)
		told := lineage.Seq(0)
		if l := o.groups.leading.Find(slotKey(s.tenant, s.slot)); l != nil {
			told = l.utmost.seq
		}
		o.goes(w, told)
		w.lost = true
	}
}

// goes keeps the durable records of a log whose disk is about to be lost, beyond the announced
// ones: its node may have acknowledged them to the leader.
func (o *observer) goes(w *slotWrites, told lineage.Seq) {
	if w.lost && len(w.gone) > 0 { // nothing was there since it was lost before
		return
	}
	w.gone, w.goneIn = w.gone[:0], o.memberOf(w.node).Incarnation
	for i := range w.places {
		p := &w.places[i]
		if w.refetching || w.lost || p.seq <= told {
			continue
		}
		if o.missing(w.node, w, p.seq) != "" {
			return
		}
		w.gone = append(w.gone, lineage.Position{Seq: p.seq, Chain: p.chain})
	}
}

// metaSurvives reports whether the meta log survives the loss of a node's disk.
//
// A member counts if a power failure now would leave it its file, under the identity by which the
// members know it. A wiped member that is up again does not count before the others have admitted
// it, and it has caught up. A majority has to count. One of the counted members has to have every
// entry that any node has applied. If an older copy is among the members, only members with every
// such entry count: a new member knows of no start of the copy's node, and would count on the copy.
func (o *observer) metaSurvives(but env.ID) bool {
	if !slices.Contains(o.groups.meta, but) {
		return true
	}
	quorums := o.groups.quorums()
	_, applied := o.groups.plane()
	complete := false
	for _, members := range quorums {
		whole := 0
		older := slices.ContainsFunc(members, func(m metalog.MemberID) bool { return slices.Contains(o.groups.aged, m) })
		for _, m := range members {
			held, ok := o.metaHeld(m)
			if all := held.Last >= applied.Index; ok && m.Address() != but && !o.world.Failing(m.Address()) && (all || !older) {
				whole++
				complete = complete || all
			}
		}
		if whole <= len(members)/2 {
			return false
		}
	}
	return complete
}

// isMeta reports whether a path is the directory of the meta log, or of a file in it.
func isMeta(path string) bool {
	dir, _, _ := strings.Cut(core.MetaFile, "/")
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// metaHeld returns the entries that a power failure now would leave a member of the meta log; false
// if it has no file under this identity.
func (o *observer) metaHeld(m metalog.MemberID) (metalog.Holding, bool) {
	held, err := metalog.HeldBy(o.world.Disk(m.Address()).Platter(core.MetaFile))
	return held, err == nil && held.Member == m && !slices.Contains(o.groups.aged, m)
}

// told returns the last announced record of a slot's log; end is where the log ends.
func (v *groupsView) told(t tenant.ID, slot lineage.Slot, end lineage.Seq) lineage.Seq {
	return min(end, v.leader(t, slot).told)
}

// denies notes that a node refuses a request because it does not lead, or does not serve yet,
// although it has acknowledged changes of the slot in the highest epoch that began. It may have
// been deposed since: only another acknowledgement in that epoch shows that it was not. Sessions
// are opened one after the other, and a request that opens one may be told to come again.
func (o *observer) denies(from env.ID, m *wire.Message) {
	l := o.groups.leader(m.Tenant, m.Slot)
	if m.Session == 0 || !o.leads(from, m.Tenant, m.Slot) || l.acked != l.epoch || l.denied.Before != 0 {
		return
	}
	l.denied = observe.Denial{
		Tenant: m.Tenant, Slot: m.Slot, Node: uint32(from), Epoch: l.epoch, Reason: m.Code.String(), At: o.world.Time(), Before: l.ackedAt,
	}
}

// leadsOn notes an acknowledgement of a leader: its earlier refusals in this epoch were
// unjustified.
func (o *observer) leadsOn(from env.ID, m *wire.Message) {
	if !o.leads(from, m.Tenant, m.Slot) {
		return
	}
	l := o.groups.leader(m.Tenant, m.Slot)
	if l.denied.Before != 0 && l.denied.Epoch == l.epoch && l.denied.Node == uint32(from) {
		l.denied.After = o.world.Time()
		o.run.Causes.Denied(l.denied)
	}
	l.denied.Before, l.acked, l.ackedAt = 0, l.epoch, o.world.Time()
}
