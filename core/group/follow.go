package group

import (
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
)

// Message takes a message of another node about this shard. The order of the checks: the
// sender lives; an epoch above ours; an epoch below ours; an epoch that is to end.
func (g *Group) Message(e env.Env, from env.ID, m peer.ShardMessage) {
	said, i := m.OfShard(), g.peerOf(from)
	if i >= 0 {
		g.heardOf(e, i, m)
	}
	switch {
	case m.Kind() == peer.KindOutdated:
		// A node that holds no replica of the shard answers nobody of it.
		if i >= 0 {
			g.hear(e, said.Epoch)
		}
		return
	case said.Epoch > g.epoch: // not before it is durable here
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
	if g.wanted > g.epoch { // what is said now would be said in an epoch that is over
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
	case *peer.Outdated: // of any epoch: see above
	}
}

// heardOf takes note of a sign of life. What an earlier life of a node had or said
// does not count for a later one.
func (g *Group) heardOf(e env.Env, i int, m peer.ShardMessage) {
	said, o := m.OfShard(), &g.peers[i]
	if said.From < o.incarnation {
		return
	}
	if said.From > o.incarnation {
		*o = other{node: o.node, placed: o.placed, incarnation: said.From}
		// What an earlier life acknowledged may be gone.
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

// isAnswer reports whether a message shows that its sender hears this node. What replicas say
// unasked does not; nor does a confirmation of a round that was asked for long ago.
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

// outdated tells a leader that speaks in an epoch that is over. Others learn of the epoch
// from their leader.
func (g *Group) outdated(e env.Env, to env.ID, m peer.ShardMessage) {
	switch m.(type) {
	case *peer.Append, *peer.Chunk, *peer.Confirm, *peer.Survey:
		answer := peer.Outdated{ShardHeader: g.header()}
		g.send(e, to, answer.Encode(g.out[:0]), uint64(m.OfShard().Epoch)<<32|uint64(g.epoch), g.ticks)
	case *peer.Pull, *peer.Appended, *peer.Confirmed, *peer.Surveyed, *peer.AskIndex, *peer.Index, *peer.Outdated:
	}
}

// follows takes note of the leader of the epoch, which alone says what is said here. It
// reports whether the node follows: there is one leader in an epoch, and the node that is to
// lead takes only what it has asked for.
func (g *Group) follows(leader env.ID) bool {
	if g.role != Following {
		return false
	}
	g.leader, g.knows = leader, true
	return true
}

// confirm confirms a round to the leader.
func (g *Group) confirm(e env.Env, from env.ID, m *peer.Confirm) {
	if g.follows(from) {
		g.echo = max(g.echo, m.Round)
		g.confirmTo(e, from, m)
	}
}

// confirmTo answers that this node knows of no higher epoch.
func (g *Group) confirmTo(e env.Env, to env.ID, m *peer.Confirm) {
	answer := peer.Confirmed{ShardHeader: g.header(), Round: m.Round}
	g.send(e, to, answer.Encode(g.out[:0]), uint64(m.Round), g.ticks)
}

// records takes records: of the leader, or of the member whose log is adopted.
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

// part takes a part of a snapshot, likewise.
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

// mayBeginAnew removes what is left of a log that has stopped, once its leader says
// that nobody counts on it any more.
func (g *Group) mayBeginAnew(e env.Env, s *slot, m *peer.Append) {
	if s.r.Phase() == replica.Stopped && m.Life == s.life+1 && !g.counted(s) && s.r.Refetch(e, nil) == nil {
		s.life++
		s.failed, s.acked, s.isFresh = false, 0, false
		s.pull = pull{later: true, count: s.pull.count}
	}
}

// counted reports whether others count on the log here, as far as is known. A place in the
// set is the node's, in whatever life: when the earlier life leaves the set it may become
// eligible, with the log as it is then. On the log of an eligible member others count
// always. In a set that was reformed only its leader knows.
func (g *Group) counted(s *slot) bool {
	return g.nodeInSync(g.self.Node) && !g.lacks(g.self, s) && !g.known.Reformed || g.known.IsEligible(g.self.Node)
}

// holdsPlace reports whether a node is in the set in any life, or is about to be, or has
// the eligible member.
func (g *Group) holdsPlace(node env.ID) bool {
	return g.nodeInSync(node) || g.known.IsEligible(node) || g.joining.on && g.joining.command.Member.Node == node
}

// receive takes records of the leader's.
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

// acknowledge tells the leader what is durable here, if that is new, or if it asked.
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
	// More that is durable here may turn out to be the leader's.
	if at == s.r.Durable() {
		m.Asked = g.echo
	}
	attempt := uint32(0)
	if asked {
		attempt = g.ticks + 1
	}
	g.sendOf(e, s, g.leader, m.Encode(g.out[:0]), uint64(at.Seq), attempt)
}

// pull is what a follower lacks and has asked for.
type pull struct {
	on     bool
	later  bool // it is to be asked for when the log takes something again
	count  uint32
	since  env.Time
	coming *coming // nil: nothing has come of a snapshot
}

// coming is a snapshot that comes in parts.
type coming struct {
	at   lineage.Seq // its last record
	size uint64
	data []byte
}

// ask asks the leader, or whose log is being adopted, for what follows the log here.
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
	} else if !g.knows || to == g.self.Node { // its earlier life led
		return
	}
	s.pull.on, s.pull.later, s.pull.since = true, false, e.Now()
	s.pull.count++
	g.askPart(e, s, to)
}

// askPart sends the question.
func (g *Group) askPart(e env.Env, s *slot, to env.ID) {
	g.ends = s.r.Ends(g.ends[:0])
	m := peer.Pull{LogHeader: g.logHeader(s), At: s.r.State().Position, Ends: g.ends}
	if c := s.pull.coming; c != nil {
		m.Snapshot, m.Offset = c.at, uint64(len(c.data))
	}
	g.sendOf(e, s, to, m.Encode(g.out[:0]), uint64(s.r.End().Seq)<<16^m.Offset, s.pull.count)
}

// chunk takes a part of a snapshot. They come in order, one at a time.
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
	// A crash while the log is replaced leaves no log at all. So a node does not replace its log
	// while it is in the in-sync set, as far as it knows, or while it is eligible or may become so
	// when its earlier life leaves the set. A member in sync that needs a snapshot was removed,
	// and will be told.
	s.yields = g.known.IsEligible(g.self.Node)
	if s.yields || g.counted(s) {
		return
	}
	if s.r.Refetch(e, c.data) != nil {
		*p = pull{count: p.count}
	}
}

// pulled answers who lacks something: the leader all others, and others the one that
// is to lead and adopts their logs.
func (g *Group) pulled(e env.Env, to env.ID, m *peer.Pull) {
	i := g.find(m.Tenant, m.Slot)
	if i < 0 || !g.slots[i].r.IsOpen() || g.slots[i].r.Busy() {
		return
	}
	if !g.serves(to) {
		return
	}
	s := &g.slots[i]
	// It is fetching a snapshot. If that is at hand no more, records may do by now.
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

// serves reports whether a node is to get from here what it lacks: anybody from the
// leader, and who is to lead from anybody.
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

// Done goes on with a log after one of its disk operations has completed.
func (g *Group) Done(e env.Env, number int) {
	s := g.at(number)
	if s == nil {
		return
	}
	switch to, at, records, ended := s.r.Fetched(); {
	case !ended || !g.serves(to): // somebody else may lead by now
	case len(records) > 0:
		g.sendRecords(e, s, to, at, records)
	default:
		g.sendChunk(e, s, to, 0, 0) // the segment was of no use
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

// appended takes the acknowledgement of a replica.
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

// beginsAnew takes note that a replica wants to begin a log anew, with nothing. It may,
// as the next append tells it, unless somebody counts on what it has: from here on
// nobody does.
func (g *Group) beginsAnew(s *slot, i int, m *peer.Appended) {
	if s.r.Phase() == replica.Stopped { // what is left there may be all there is
		return
	}
	o, p := &g.peers[i], &g.progressOf(s)[i]
	// In a set that was reformed the leader has adopted the best logs, and this one is
	// none; nothing is committed, so nobody counts on what was acknowledged here.
	adopted := g.known.Reformed && s.r.Phase() == replica.Starting
	if m.Life > p.life && (!g.holdsPlace(o.node) || g.lacks(o.member(), s) || adopted && !g.known.IsEligible(o.node)) {
		*p = progress{life: m.Life, since: p.since}
	}
}

// member returns a peer as a member.
func (o *other) member() control.Member {
	return control.Member{Node: o.node, Incarnation: o.incarnation}
}
