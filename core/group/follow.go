package group

import (
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
)

// Message handles a message of another node about this shard. It checks in this order: note that
// the sender is alive; adopt a higher epoch; reject a lower epoch; ignore everything while a higher
// epoch is being made durable.
func (g *Group) Message(e env.Env, from env.ID, m peer.ShardMessage) {
	said, i := m.OfShard(), g.peerOf(from)
	if i >= 0 {
		g.heardOf(e, i, m)
	}
	switch {
	case m.Kind() == peer.KindOutdated:
		// A node without a replica of the shard sends only this.
		if i >= 0 {
			g.hear(e, said.Epoch)
		}
		return
	case said.Epoch > g.epoch: // the higher epoch must be durable here first
		g.hear(e, said.Epoch)
		g.notYet(e, from, m)
		return
	}
	// A deposed leader may not know it yet, or this message was delayed.
	//safety:lower-epoch-refused false by=fence on=reconfigure-under-fire
	if said.Epoch < g.epoch {
		g.outdated(e, from, m)
		return
	}
	if g.wanted > g.epoch { // this epoch is over: an answer now would be stale
		return
	}
	switch m := m.(type) {
	case *peer.Append:
		g.records(e, from, m)
	case *peer.Chunk:
		g.part(e, from, m)
	case *peer.Confirm:
		g.confirm(e, from, m)
	case *peer.Survey:
		g.tellLogs(e, from, m)
	case *peer.Pull:
		g.pulled(e, from, m)
	case *peer.Appended:
		g.appended(e, i, m)
	case *peer.Confirmed:
		g.answered(e, i, m)
	case *peer.Surveyed:
		g.surveyed(e, i, m)
	case *peer.AskIndex:
		g.askedIndex(e, from, m)
	case *peer.Index:
		g.toldIndex(e, m)
	case *peer.Outdated: // handled above, in any epoch
	}
}

// heardOf records a sign of life. Messages and acknowledgements of an earlier incarnation do not
// count for a later one.
func (g *Group) heardOf(e env.Env, i int, m peer.ShardMessage) {
	said, o := m.OfShard(), &g.peers[i]
	if said.From < o.incarnation {
		return
	}
	if said.From > o.incarnation {
		*o = other{node: o.node, placed: o.placed, incarnation: said.From}
		// Acknowledged records of an earlier incarnation may be gone.
		//safety:restarted-acks-forgotten by=no-loss on=disk-loss
		g.forgetProgress(e, i)
		o.answered = e.Now()
	}
	o.heard = e.Now()
	if g.isAnswer(e, m) {
		o.answered = o.heard
	}
	o.spoke = o.spoke || said.Epoch == g.epoch
}

// isAnswer reports whether a message proves that its sender hears this node. A message that a
// replica sends on its own proves nothing, and neither does the confirmation of an old round.
func (g *Group) isAnswer(e env.Env, m peer.ShardMessage) bool {
	switch m := m.(type) {
	case *peer.Confirmed:
		age, known := g.began(e, m.Round)
		return m.Round == g.reads.round || known && age < g.patience.Silence
	case *peer.Appended:
		return !m.Anew
	case *peer.Surveyed:
		return true
	case *peer.Append, *peer.Pull, *peer.Chunk, *peer.Confirm, *peer.Survey, *peer.Outdated, *peer.AskIndex, *peer.Index:
	}
	return false
}

func (g *Group) forgetProgress(e env.Env, i int) {
	g.disturb()
	for s := range g.slots {
		g.progressOf(&g.slots[s])[i] = progress{life: firstLife(g.peers[i].placed), since: e.Now()}
	}
}

// outdated tells a leader that its epoch is over. Followers learn of the new epoch from their
// leader.
func (g *Group) outdated(e env.Env, to env.ID, m peer.ShardMessage) {
	switch m.(type) {
	case *peer.Append, *peer.Chunk, *peer.Confirm, *peer.Survey:
		answer := peer.Outdated{ShardHeader: g.header()}
		g.send(e, to, answer.Encode(g.out[:0]), uint64(m.OfShard().Epoch)<<32|uint64(g.epoch), g.ticks)
	case *peer.Pull, *peer.Appended, *peer.Confirmed, *peer.Surveyed, *peer.AskIndex, *peer.Index, *peer.Outdated:
	}
}

// follows records the leader of the epoch, the only node that sends records in it, and reports
// whether this node follows. A node that is gathering accepts only the records that it asked for.
func (g *Group) follows(leader env.ID) bool {
	if g.role != Following {
		return false
	}
	g.leader, g.knows = leader, true
	return true
}

// confirm answers the leader's round of confirmations.
func (g *Group) confirm(e env.Env, from env.ID, m *peer.Confirm) {
	if g.follows(from) {
		g.echo = max(g.echo, m.Round)
		g.confirmTo(e, from, m)
	}
}

// confirmTo answers that this node knows no higher epoch.
func (g *Group) confirmTo(e env.Env, to env.ID, m *peer.Confirm) {
	answer := peer.Confirmed{ShardHeader: g.header(), Round: m.Round}
	g.send(e, to, answer.Encode(g.out[:0]), uint64(m.Round), g.ticks)
}

// records accepts records from the leader, or from the member whose log is being adopted.
func (g *Group) records(e env.Env, from env.ID, m *peer.Append) {
	if g.role == Gathering {
		g.gathered(e, from, m)
		return
	}
	if !g.follows(from) {
		return
	}
	if s := g.find(m.Tenant, m.Slot); s >= 0 {
		g.mayBeginAnew(e, &g.slots[s], m)
		g.receive(e, &g.slots[s], m)
	}
}

// part accepts a part of a snapshot from the same senders as records.
func (g *Group) part(e env.Env, from env.ID, m *peer.Chunk) {
	if g.role == Gathering {
		g.gatheredPart(e, from, m)
		return
	}
	if !g.follows(from) {
		return
	}
	if s := g.find(m.Tenant, m.Slot); s >= 0 {
		g.chunk(e, &g.slots[s], from, m)
	}
}

// mayBeginAnew deletes a log that has stopped, once the leader says that no node counts on it any
// more.
func (g *Group) mayBeginAnew(e env.Env, s *slot, m *peer.Append) {
	if s.r.Phase() == replica.Stopped && m.Life == s.life+1 && !g.counted(s) && s.r.Refetch(e, nil) == nil {
		s.life++
		s.failed, s.acked, s.isFresh = false, 0, false
		s.pull = pull{later: true, count: s.pull.count}
	}
}

// counted reports whether other nodes count on the log here, as far as this node knows. They do
// while the node is in the in-sync set with any incarnation: when the old incarnation leaves the
// set, it may become the eligible member, with the log as it is then. They always count on the log
// of the eligible member. In a reformed set only the leader knows.
func (g *Group) counted(s *slot) bool {
	return g.nodeInSync(g.self.Node) && !g.lacks(g.self, s) && !g.known.Reformed || g.known.IsEligible(g.self.Node)
}

// holdsPlace reports whether a node is in the set with any incarnation, is about to join, or is the
// eligible member.
func (g *Group) holdsPlace(node env.ID) bool {
	return g.nodeInSync(node) || g.known.IsEligible(node) || g.joining.on && g.joining.command.Member.Node == node
}

// receive accepts records that the leader ships.
func (g *Group) receive(e env.Env, s *slot, m *peer.Append) {
	switch s.r.Receive(e, m.At, m.Commit, m.Records) {
	case replica.Took:
		s.pull.on, s.pull.coming = false, nil
		g.acknowledge(e, s, len(m.Records) == 0)
		g.readApplied(e)
	case replica.Behind, replica.Differs:
		g.ask(e, s)
	case replica.Cutting:
		s.pull.later = true
	}
}

// acknowledge tells the leader which seq is durable here, if that is new or the leader asked.
func (g *Group) acknowledge(e env.Env, s *slot, asked bool) {
	if g.role != Following || !g.knows || g.leader == g.self.Node || g.wanted > g.epoch || !s.r.IsOpen() {
		return
	}
	at := s.r.Matched()
	if at.Seq <= s.acked && !asked {
		return
	}
	s.acked = at.Seq
	m := peer.Appended{LogHeader: g.logHeader(s), At: at, Applied: s.r.State().Position.Seq, Life: s.life}
	// At holds only the prefix that equals the leader's log; more of the durable log may match
	// later.
	if at == s.r.Durable() {
		m.Asked = g.echo
	}
	attempt := uint32(0)
	if asked {
		attempt = g.ticks + 1
	}
	g.sendOf(e, s, g.leader, m.Encode(g.out[:0]), uint64(at.Seq), attempt)
}

// pull is a follower's request for records or a snapshot that it lacks.
type pull struct {
	on     bool
	later  bool // ask again as soon as the log accepts records
	count  uint32
	since  env.Time
	coming *coming // nil: no part of a snapshot has arrived
}

// coming is a snapshot that arrives in parts.
type coming struct {
	at   lineage.Seq // its last record
	size uint64
	data []byte
}

// ask asks the leader, or the member whose log is being adopted, for the records after this log's
// end.
func (g *Group) ask(e env.Env, s *slot) {
	switch {
	case s.pull.on && e.Now().Sub(s.pull.since) < g.patience.Repeat:
		return
	case !s.r.IsOpen() || s.r.Busy() || g.wanted > g.epoch:
		s.pull.later = true
		return
	}
	to := g.leader
	if g.role == Gathering {
		to = g.gather.sources[s.place]
	} else if !g.knows || to == g.self.Node { // the leader was an earlier incarnation of this node
		return
	}
	s.pull.on, s.pull.later, s.pull.since = true, false, e.Now()
	s.pull.count++
	g.askPart(e, s, to)
}

// askPart sends the request.
func (g *Group) askPart(e env.Env, s *slot, to env.ID) {
	g.ends = s.r.Ends(g.ends[:0])
	m := peer.Pull{LogHeader: g.logHeader(s), At: s.r.State().Position, Ends: g.ends}
	if c := s.pull.coming; c != nil {
		m.Snapshot, m.Offset = c.at, uint64(len(c.data))
	}
	g.sendOf(e, s, to, m.Encode(g.out[:0]), uint64(s.r.End().Seq)<<16^m.Offset, s.pull.count)
}

// chunk accepts a part of a snapshot. Parts arrive in order, one at a time.
func (g *Group) chunk(e env.Env, s *slot, from env.ID, m *peer.Chunk) {
	p := &s.pull
	if !p.on || m.Size == 0 || m.Offset+uint64(len(m.Data)) > m.Size {
		return
	}
	c := p.coming
	if m.Offset == 0 && (c == nil || c.at != m.At.Seq || c.size != m.Size) {
		c = &coming{at: m.At.Seq, size: m.Size}
		p.coming = c
	}
	if c == nil || c.at != m.At.Seq || m.Offset != uint64(len(c.data)) {
		return
	}
	c.data = append(c.data, m.Data...)
	p.since = e.Now()
	if uint64(len(c.data)) < m.Size {
		p.count++
		g.askPart(e, s, from)
		return
	}
	*p = pull{later: true, count: p.count}
	// A crash while the log is being replaced leaves no log at all. So a node keeps its log while
	// it knows itself in the in-sync set, while it is the eligible member, or while it may become
	// that when its earlier incarnation leaves the set. The leader removes an in-sync member that
	// needs a snapshot, and the configuration tells it.
	s.yields = g.known.IsEligible(g.self.Node)
	if s.yields || g.counted(s) {
		return
	}
	if s.r.Refetch(e, c.data) != nil {
		*p = pull{count: p.count}
	}
}

// pulled answers a request for records. The leader answers every replica; other members answer only
// the node that is to lead and adopts their logs.
func (g *Group) pulled(e env.Env, to env.ID, m *peer.Pull) {
	i := g.find(m.Tenant, m.Slot)
	if i < 0 || !g.slots[i].r.IsOpen() || g.slots[i].r.Busy() {
		return
	}
	if !g.serves(to) {
		return
	}
	s := &g.slots[i]
	// The requester is fetching a snapshot. If that snapshot is gone, records may be enough by now.
	if m.Snapshot > 0 && m.Offset > 0 && s.r.HandsOut(m.Snapshot) {
		g.sendChunk(e, s, to, m.Snapshot, m.Offset)
		return
	}
	common := s.r.Common(m.At.Seq, m.Ends)
	if at, records, ok := s.r.AfterInMemory(nil, common); ok {
		g.sendRecords(e, s, to, at, records)
		return
	}
	if !s.r.AfterOnDisk(e, to, common) {
		g.sendChunk(e, s, to, 0, 0)
	}
}

// serves reports whether this node answers requests of a node: the leader serves every node, and
// every node serves the one that is to lead.
func (g *Group) serves(to env.ID) bool {
	return g.role == Leading || g.known.Epoch == g.epoch && g.known.Leader.Node == to
}

// sendRecords answers with records.
func (g *Group) sendRecords(e env.Env, s *slot, to env.ID, at lineage.Position, records []byte) {
	m := peer.Append{LogHeader: g.logHeader(s), At: at, Commit: s.r.State().Position.Seq, Records: records}
	g.sendOf(e, s, to, m.Encode(g.out[:0]), uint64(at.Seq)<<16|uint64(len(records))&0xffff, g.ticks+1)
}

// sendChunk answers with a part of a snapshot.
func (g *Group) sendChunk(e env.Env, s *slot, to env.ID, snapshot lineage.Seq, offset uint64) {
	at, from, size, part := s.r.Chunk(e, snapshot, offset)
	fault.Hit(e, fault.SnapshotShipped, env.Key{Kind: uint16(s.slot), A: uint64(s.tenant), B: uint64(at.Seq)})
	m := peer.Chunk{LogHeader: g.logHeader(s), At: at, Offset: from, Size: uint64(size), Data: part}
	g.sendOf(e, s, to, m.Encode(g.out[:0]), uint64(at.Seq)<<24^from, g.ticks+1)
}

// Done continues with a log after one of its disk operations has completed.
func (g *Group) Done(e env.Env, number int) {
	s := g.at(number)
	if s == nil {
		return
	}
	switch to, at, records, ended := s.r.Fetched(); {
	case !ended || !g.serves(to): // another node may lead by now
	case len(records) > 0:
		g.sendRecords(e, s, to, at, records)
	default:
		g.sendChunk(e, s, to, 0, 0) // the segment did not hold the records
	}
	if s.r.Phase() == replica.Stopped {
		s.failed = true
	}
	switch {
	case g.role == Leading && s.r.Leads():
		g.shipped(e, s)
		g.advance(e, s)
	case g.role == Leading && !g.known.Reformed:
		g.leadSlots(e)
	case g.role == Gathering:
		g.lookAtLogs(e)
	default:
		g.acknowledge(e, s, false)
		g.readApplied(e)
	}
	if s.pull.later && s.r.IsOpen() && !s.r.Busy() {
		s.pull.on = false
		g.ask(e, s)
	}
}

// appended handles the acknowledgement of a replica.
func (g *Group) appended(e env.Env, i int, m *peer.Appended) {
	at := g.find(m.Tenant, m.Slot)
	if g.role != Leading || i < 0 || at < 0 || m.From != g.peers[i].incarnation {
		return
	}
	s := &g.slots[at]
	if m.Anew {
		g.beginsAnew(s, i, m)
		return
	}
	if chain, known := s.r.ChainAt(m.At.Seq); known && chain != m.At.Chain || m.At.Seq > s.r.End().Seq {
		return
	}
	p := &g.progressOf(s)[i]
	if m.Life < p.life || g.barred(i, s, m.Life) {
		return
	}
	p.life = m.Life
	if m.At.Seq >= p.acked {
		p.at = max(p.at, m.Asked)
	}
	if m.At.Seq > p.acked {
		p.acked, p.at, p.since = m.At.Seq, m.Asked, e.Now()
		g.advance(e, s)
	}
	p.told = max(p.told, m.Applied)
}

// beginsAnew handles a replica's request to begin a log again, empty. The leader grants it in the
// next append unless a node counts on the records there; once granted, none does.
func (g *Group) beginsAnew(s *slot, i int, m *peer.Appended) {
	if s.r.Phase() == replica.Stopped { // the replica's log may be the only one left
		return
	}
	o, p := &g.peers[i], &g.progressOf(s)[i]
	// In a reformed set the leader has adopted the best log, and it was not this one. Nothing is
	// committed yet, so no node counts on acknowledgements made here.
	adopted := g.known.Reformed && s.r.Phase() == replica.Starting
	if m.Life > p.life && (!g.holdsPlace(o.node) || g.lacks(o.member(), s) || adopted && !g.known.IsEligible(o.node)) {
		*p = progress{life: m.Life, since: p.since}
	}
}

// member returns the peer as a member.
func (o *other) member() control.Member {
	return control.Member{Node: o.node, Incarnation: o.incarnation}
}
