package core

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// A node's side of its replica groups: the groups, the epochs that are durable here, and the
// exchange with the control plane (meta.go).

// tickTimer fires periodically: the node repeats its unanswered messages.
const (
	tickTimer env.TimerID = 3
	tickEvery             = 20 * env.Millisecond
)

// Kinds of keys: that of a message between nodes is its peer.Kind, offset by keyPeer.
const (
	keyPeer uint16 = 0x280
	keyMeta uint16 = 0x2c0
)

// firstReplica is the number of a node's first replica. A replica with a lower number would have
// the file handles of the meta log.
const firstReplica = 1

// shards is the state of a node's replica groups.
type shards struct {
	self     control.Member
	groups   []*group.Group
	groupAt  keyed.List[int] // by shard: where in groups it was when it was asked for last
	groupBy  []*group.Group  // by slot
	adopting []adoption
	// unadopted: the node could adopt no epoch when it last asked the groups.
	unadopted bool
	ticks     uint32
	released  []released
	leavings  []wal.Identity // slots that other nodes hold now, to be removed
	leaving   int            // operations of that under way
	left      uint64         // operations of that so far

	leaveFailed bool          // an operation of the slot that is being removed has failed
	leavePause  diskops.Pause // the last pause; 0: there was none since a slot was removed
	leaveAgain  env.Time      // until then the node removes nothing
	reading     group.Read    // that is being handed to its group
	inbox       peer.Inbox
	peerOut     []byte
	tenancy     tenancy
	reporting
	changes []control.Change // of a message in the making, or from the plane
	meta
}

// adoption is an epoch that is being made durable.
type adoption struct {
	shard lineage.Shard
	epoch lineage.ShardEpoch
}

// released is a shard that the node held once, and the index of the meta log's entry that took it
// away.
type released struct {
	shard lineage.Shard
	index uint64
}

// owner is the node as its groups see it. It implements group.Owner.
type owner Node

// stepPeers handles an event of the meta log or a message of another node, and reports whether it
// was one.
func (n *Node) stepPeers(ev *env.Event) bool {
	if n.stepMeta(ev) {
		return true
	}
	if ev.Kind != env.Message || !peer.Is(ev.Data) {
		return false
	}
	n.env.Charge(n.cluster.Constants.Costs.Check)
	m, err := n.inbox.Decode(ev.Data)
	if err != nil {
		n.malformed++
		return true
	}
	wants := n.unadopted
	switch m := m.(type) {
	case peer.ControlMessage:
		n.metaMessage(ev.From, m)
		wants = true
	case peer.ShardMessage:
		if g := n.group(m.OfShard().Shard); g != nil && n.ready {
			n.works(m)
			g.Message(n.env, ev.From, m)
			_, higher := g.Wants()
			wants = wants || higher
		}
	}
	if wants { // otherwise no group has heard of another epoch since
		n.adoptEpochs()
	}
	return true
}

// works notes the slot that a message is about. A message about a whole shard counts as work for
// slot 0 of tenant 0: the status of a node is part of its trace, and was always so.
func (n *Node) works(m peer.ShardMessage) {
	var of peer.LogHeader
	if log, ok := m.(peer.LogMessage); ok {
		of = *log.OfLog()
	}
	if i := n.slotOf(of.Tenant, of.Slot); i >= 0 {
		n.worked = i
	}
}

// group returns the group of a shard, nil if the node has none.
func (n *Node) group(shard lineage.Shard) *group.Group {
	k := keyed.Key{A: uint64(shard)}
	at := n.groupAt.Find(k)
	if at != nil && *at < len(n.groups) && n.groups[*at].Shard() == shard {
		return n.groups[*at]
	}
	i := slices.IndexFunc(n.groups, func(g *group.Group) bool { return g.Shard() == shard })
	if i < 0 {
		return nil
	}
	if at == nil {
		at = n.groupAt.Add(k)
	}
	*at = i
	return n.groups[i]
}

// groupOf returns the group of a slot here.
func (n *Node) groupOf(i int) *group.Group { return n.groupBy[i] }

// openShards opens the shards that the founding configuration places here. The coordinator
// announces later decisions.
func (n *Node) openShards() {
	plane := n.cluster.founded
	for i := range plane.Shards() {
		// Open the slots to know their logs. The founding configuration is void until an
		// incarnation appears in it; then the coordinator announces it.
		if s := &plane.Shards()[i]; slices.Contains(s.Replicas, n.self.Node) {
			n.openGroup(s)
		}
	}
	n.configureFromPlane()
	n.adoptEpochs()
	n.beat()
	if n.leads { // the coordinator's own shards need not wait for a tick
		n.coordinate()
	}
}

// configureShard takes the configuration of a shard. The configuration gives the node a replica,
// changes its set, or takes the replica away.
func (n *Node) configureShard(s *control.Shard) {
	for _, gone := range n.released {
		if gone.shard == s.ID && s.Index <= gone.index { // from before the node released the shard
			return
		}
	}
	g := n.group(s.ID)
	holds := slices.Contains(s.Replicas, n.self.Node) || s.IsInSync(n.self)
	if g == nil && holds {
		g = n.openGroup(s)
	}
	switch {
	case g == nil:
	case holds:
		g.Configure(n.env, s)
	case s.Index > g.Known().Index:
		n.release(g, s.Index)
	}
}

// release lets go of a shard that other nodes hold now, and removes its slots here. index is that
// of the meta log's entry that took the shard away.
func (n *Node) release(g *group.Group, index uint64) {
	n.released = slices.DeleteFunc(n.released, func(r released) bool { return r.shard == g.Shard() })
	n.released = append(n.released, released{g.Shard(), index})
	n.groups = slices.DeleteFunc(n.groups, func(other *group.Group) bool { return other == g })
	n.adopting = slices.DeleteFunc(n.adopting, func(a adoption) bool { return a.shard == g.Shard() })
	g.Release(n.env)
	for i, r := range n.slots {
		if n.groupBy[i] != g || r.Dropped() {
			continue
		}
		id := r.Identity()
		n.place(id.Tenant, id.Slot, -1)
		r.Drop(n.env)
		n.leavings = append(n.leavings, id)
	}
	n.removeLeavings()
}

// removeLeavings removes the directories of released slots, one after the other. A start that finds
// some of their files learns again that other nodes hold them.
func (n *Node) removeLeavings() {
	if n.leaving > 0 || len(n.leavings) == 0 || n.leaveAgain > n.env.Now() {
		return
	}
	id, dir := n.leavings[0], n.leavings[0].Dir()
	for _, name := range n.env.List(dir) {
		n.submitLeaving(id, env.OpRemove, dir+"/"+name)
	}
	n.submitLeaving(id, env.OpSyncDir, dir)
	n.submitLeaving(id, env.OpRemove, dir)
	n.submitLeaving(id, env.OpSyncDir, wal.WALDir(id.Tenant))
}

func (n *Node) submitLeaving(id wal.Identity, kind env.OpKind, path string) {
	n.leaving++
	n.left++
	key := env.Key{Kind: keyRemoval + uint16(kind), A: uint64(id.Tenant), B: n.left}
	n.env.Submit(env.Op{Kind: kind, Path: path, ID: diskops.Name{Purpose: stepLeave}.ID(), Key: key})
}

// isLeaving reports whether directories of released slots are being removed. Until they are gone
// the node takes no other configuration: a re-placement could create a directory while it is still
// being removed.
func (n *Node) isLeaving() bool { return n.leaving > 0 || len(n.leavings) > 0 }

// leavingDone handles the completion of one of these operations. If an operation of a slot has
// failed, the node removes the slot again after a pause.
func (n *Node) leavingDone(ev *env.Event) {
	n.leaveFailed = n.leaveFailed || ev.Err != env.OK && ev.Err != env.NotExist
	if n.leaving--; n.leaving > 0 {
		return
	}
	if n.leaveFailed {
		n.leaveFailed = false
		n.leaveAgain = n.env.Now().Add(n.leavePause.Longer())
		return
	}
	n.leavePause = 0
	n.leavings = n.leavings[:copy(n.leavings, n.leavings[1:])]
	n.removeLeavings()
}

// openGroup opens every slot of a shard that may be here.
func (n *Node) openGroup(s *control.Shard) *group.Group {
	epoch := lineage.ShardEpoch(0)
	if known := n.catalog.epochOf(s.ID); known != nil {
		epoch = known.epoch
	}
	g := group.New(n.self, s.ID, epoch, n.cluster.Group, keyPeer, (*owner)(n))
	n.groups = append(n.groups, g)
	for _, id := range n.tenancy.drains {
		g.Drain(id, true)
	}
	n.openHomes(g)
	return g
}

// adoptEpochs begins to make the epochs durable that groups have heard of, all at once.
func (n *Node) adoptEpochs() {
	n.unadopted = !n.ready || len(n.adopting) > 0 || n.script.Busy()
	if n.unadopted {
		return
	}
	for _, g := range n.groups {
		if epoch, wants := g.Wants(); wants {
			n.adopting = append(n.adopting, adoption{g.Shard(), epoch})
		}
	}
	if len(n.adopting) == 0 {
		return
	}
	next := n.catalog.clone()
	for _, a := range n.adopting {
		next.lead(a.shard)
		next.epochOf(a.shard).epoch = a.epoch
	}
	// A node that has spoken in an epoch must reject lower ones, also after a restart.
	n.scriptCatalog(&next)
	n.runScript()
}

// adopted continues in the epochs that are durable now.
func (n *Node) adopted() {
	done := n.adopting
	n.adopting = nil
	for _, a := range done {
		n.catalog.lead(a.shard)
		n.catalog.epochOf(a.shard).epoch = a.epoch
	}
	for _, a := range done {
		if g := n.group(a.shard); g != nil { // it may have been let go meanwhile
			g.Adopt(n.env, a.epoch)
		}
	}
	n.adoptEpochs()
}

// ours reports whether a request to a slot here may be served here. The leader serves every
// request, and each replica serves queries.
func (n *Node) ours(i int, m *wire.Message) bool {
	return n.groupOf(i).Role() == group.Leading || m.Kind == wire.Query
}

// leaderOf returns the other node that leads the shard of a request's slot, if this node knows one.
func (n *Node) leaderOf(m *wire.Message) wire.NotLeader {
	shard, known := n.home(m.Tenant, m.Slot)
	if !known {
		return wire.NotLeader{}
	}
	if g := n.group(shard); g != nil {
		if leader, known := g.Leader(); known && leader != n.self.Node {
			return wire.NotLeader{Known: true, Leader: leader}
		}
	}
	return wire.NotLeader{}
}

// read lets a slot answer a read at its level.
func (n *Node) read(i int, from env.ID, m *wire.Message) {
	if code := n.slots[i].Placed(m); code != wire.NoError {
		n.refuse(from, m, replica.Outcome{Code: code})
		return
	}
	n.reading = group.Read{From: from, Request: m.Origin(), Entity: m.Entity, Level: m.Level, Token: m.Token, Bound: m.Bound}
	if code := n.groupOf(i).Read(n.env, i, &n.reading); code != wire.NoError {
		n.refuse(from, m, replica.Outcome{Code: code})
	}
}

// Answer implements group.Owner.
func (o *owner) Answer(p *replica.Pending) { (*Node)(o).answer(p) }

// Number implements group.Owner.
func (o *owner) Number(id tenant.ID, slot lineage.Slot) int { return (*Node)(o).slotOf(id, slot) }

// AnswerRead implements group.Owner.
func (o *owner) AnswerRead(slot int, r *group.Read, code wire.Code) {
	n := (*Node)(o)
	var m wire.Message
	r.Request.Restore(&m)
	if code != wire.NoError {
		n.refuse(r.From, &m, replica.Outcome{Code: code})
		return
	}
	at := n.slots[slot].State()
	n.reply(r.From, &wire.Message{
		Kind: wire.State, Entity: r.Entity, Seq: at.Position.Seq, Epoch: n.slots[slot].EpochAt(at.Position.Seq), State: at.Entity(r.Entity),
	}, &m)
}

// tick repeats unanswered messages, and gives the groups and the control plane their turn.
func (n *Node) tick() {
	n.ticks++
	n.env.SetTimer(tickTimer, n.env.Now().Add(tickEvery))
	n.tickIdentity()
	n.tickMeta()
	if !n.ready {
		return
	}
	for _, g := range n.groups {
		n.listen(g)
		g.Tick(n.env)
	}
	n.removeLeavings()
	n.proposeWishes()
	n.tickTenancy()
	n.askAhead()
	n.adoptEpochs()
}

// shardsSettled reports whether nothing is under way among the nodes, as far as this one knows.
func (n *Node) shardsSettled() bool {
	for _, g := range n.groups {
		if !g.Settled() {
			return false
		}
	}
	return len(n.adopting) == 0 && !n.isLeaving() && len(n.removal.waiting) == 0 && !n.dropping() && n.metaSettled()
}

// says returns the header of a message of this node about the control plane.
func (n *Node) says() peer.ControlHeader { return peer.ControlHeader{From: n.self.Incarnation} }

// sendPeer sends a message about the control plane to another node, which was encoded in
// out; a and b tell it from others of its kind.
func (n *Node) sendPeer(to env.ID, out []byte, a, b uint64) {
	n.peerOut = out
	n.env.Send(to, env.Key{Kind: keyPeer + uint16(peer.KindOf(out)), Attempt: n.ticks, A: a, B: b}, out)
}
