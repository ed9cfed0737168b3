package group

import (
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
)

// Message takes a message of another node about this shard.
func (g *Group) Message(e env.Env, from env.ID, m *peer.Message) {
	i := g.peerOf(from)
	if i >= 0 {
		g.heardOf(e, i, m)
	}
	switch {
	case m.Kind == peer.Outdated:
		// A node that holds no replica of the shard answers nobody of it.
		if i >= 0 {
			g.hear(e, m.Epoch)
		}
		return
	case m.Epoch > g.epoch: // not before it is durable here
		g.hear(e, m.Epoch)
		g.notYet(e, from, m)
		return
	}
	// Who was deposed does not know it, or knows it and has said this before.
	//safety:lower-epoch-refused false by=fence on=reconfigure-under-fire
	if m.Epoch < g.epoch {
		g.outdated(e, from, m)
		return
	}
	if g.wanted > g.epoch { // what is said now would be said in an epoch that is over
		return
	}
	switch m.Kind {
	case peer.Append, peer.Chunk, peer.Confirm, peer.Survey:
		g.fromLeader(e, from, m)
	case peer.Pull:
		g.pulled(e, from, m)
	case peer.Appended:
		g.appended(e, i, m)
	case peer.Confirmed:
		g.answered(e, i, m)
	case peer.Surveyed:
		g.surveyed(e, i, m)
	case peer.AskIndex:
		g.askedIndex(e, from, m)
	case peer.Index:
		g.toldIndex(e, m)
	}
}

// heardOf takes note of a sign of life. What an earlier life of a node had or said
// does not count for a later one.
func (g *Group) heardOf(e env.Env, i int, m *peer.Message) {
	o := &g.peers[i]
	if m.From < o.incarnation {
		return
	}
	if m.From > o.incarnation {
		*o = other{node: o.node, placed: o.placed, incarnation: m.From}
		// What an earlier life acknowledged may be gone.
		//safety:restarted-acks-forgotten by=no-loss on=disk-loss
		g.forgetProgress(e, i)
		o.answered = e.Now()
	}
	o.heard = e.Now()
	if g.isAnswer(e, m) {
		o.answered = o.heard
	}
	o.spoke = o.spoke || m.Epoch == g.epoch
}

func (g *Group) forgetProgress(e env.Env, i int) {
	g.disturb()
	for s := range g.slots {
		g.progressOf(&g.slots[s])[i] = progress{life: firstLife(g.peers[i].placed), since: e.Now()}
	}
}

// outdated tells who speaks in an epoch that is over.
func (g *Group) outdated(e env.Env, to env.ID, m *peer.Message) {
	if m.Kind == peer.Append || m.Kind == peer.Confirm || m.Kind == peer.Survey || m.Kind == peer.Chunk {
		answer := peer.Message{Kind: peer.Outdated, From: g.self.Incarnation, Shard: g.known.ID, Epoch: g.epoch}
		g.send(e, to, &answer, uint64(m.Epoch)<<32|uint64(g.epoch), g.ticks)
	}
}

// fromLeader takes what only the leader of the epoch says.
func (g *Group) fromLeader(e env.Env, from env.ID, m *peer.Message) {
	if g.role == Leading {
		return // there is one leader in an epoch, and it is this one
	}
	if g.role == Gathering {
		g.gathered(e, from, m)
		return
	}
	g.leader, g.knows = from, true
	switch m.Kind {
	case peer.Confirm:
		g.echo = max(g.echo, m.Round)
		answer := peer.Message{Kind: peer.Confirmed, From: g.self.Incarnation, Shard: g.known.ID, Epoch: g.epoch, Round: m.Round}
		g.send(e, from, &answer, m.Round, g.ticks)
	case peer.Survey:
		g.tellLogs(e, from, m)
	case peer.Append:
		if s := g.find(m.Tenant, m.Slot); s >= 0 {
			g.mayBeginAnew(e, &g.slots[s], m)
			g.receive(e, &g.slots[s], m)
		}
	case peer.Chunk:
		if s := g.find(m.Tenant, m.Slot); s >= 0 {
			g.chunk(e, &g.slots[s], from, m)
		}
	}
}

// mayBeginAnew removes what is left of a log that has stopped, once its leader says
// that nobody counts on it any more.
func (g *Group) mayBeginAnew(e env.Env, s *slot, m *peer.Message) {
	if s.r.Phase() == replica.Stopped && m.Round == s.life+1 && !g.counted(s) && s.r.Refetch(e, nil) == nil {
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
func (g *Group) receive(e env.Env, s *slot, m *peer.Message) {
	switch s.r.Receive(e, m.At, m.Commit, m.Tail) {
	case replica.Took:
		s.pull.on, s.pull.coming = false, nil
		g.acknowledge(e, s, len(m.Tail) == 0)
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
	m := g.message(peer.Appended, s)
	m.At, m.Commit, m.Round = at, s.r.State().Position.Seq, s.life
	// More that is durable here may turn out to be the leader's.
	if at == s.r.Durable() {
		m.Index = g.echo
	}
	attempt := uint32(0)
	if asked {
		attempt = g.ticks + 1
	}
	g.send(e, g.leader, &m, uint64(at.Seq), attempt)
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
	mark lineage.Seq
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
	m := g.message(peer.Pull, s)
	m.At = s.r.State().Position
	if c := s.pull.coming; c != nil {
		m.Mark, m.Offset = c.mark, uint64(len(c.data))
	}
	g.ends = s.r.Ends(g.ends[:0])
	m.Tail = peer.AppendEnds(nil, g.ends)
	g.send(e, to, &m, uint64(s.r.End().Seq)<<16^m.Offset, s.pull.count)
}

// chunk takes a part of a snapshot. They come in order, one at a time.
func (g *Group) chunk(e env.Env, s *slot, from env.ID, m *peer.Message) {
	p := &s.pull
	if !p.on || m.Size == 0 || m.Offset+uint64(len(m.Tail)) > m.Size {
		return
	}
	c := p.coming
	if m.Offset == 0 && (c == nil || c.mark != m.At.Seq || c.size != m.Size) {
		c = &coming{mark: m.At.Seq, size: m.Size}
		p.coming = c
	}
	if c == nil || c.mark != m.At.Seq || m.Offset != uint64(len(c.data)) {
		return
	}
	c.data = append(c.data, m.Tail...)
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
func (g *Group) pulled(e env.Env, to env.ID, m *peer.Message) {
	i := g.find(m.Tenant, m.Slot)
	if i < 0 || !g.slots[i].r.IsOpen() || g.slots[i].r.Busy() {
		return
	}
	if !g.serves(to) {
		return
	}
	s := &g.slots[i]
	// It is fetching a snapshot. If that is at hand no more, records may do by now.
	if m.Mark > 0 && m.Offset > 0 && s.r.HandsOut(m.Mark) {
		g.sendChunk(e, s, to, m.Mark, m.Offset)
		return
	}
	ends, err := peer.DecodeEnds(g.ends[:0], m.Tail)
	if err != nil {
		return
	}
	g.ends = ends
	common := s.r.Common(m.At.Seq, g.ends)
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
	m := g.message(peer.Append, s)
	m.At, m.Commit, m.Tail = at, s.r.State().Position.Seq, records
	g.send(e, to, &m, uint64(at.Seq)<<16|uint64(len(records))&0xffff, g.ticks+1)
}

// sendChunk answers with a part of a snapshot.
func (g *Group) sendChunk(e env.Env, s *slot, to env.ID, mark lineage.Seq, offset uint64) {
	at, from, size, part := s.r.Chunk(e, mark, offset)
	fault.Hit(e, fault.SnapshotShipped, env.Key{Kind: uint16(s.slot), A: uint64(s.tenant), B: uint64(at.Seq)})
	m := g.message(peer.Chunk, s)
	m.At, m.Offset, m.Size, m.Tail = at, from, uint64(size), part
	g.send(e, to, &m, uint64(at.Seq)<<24^from, g.ticks+1)
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
func (g *Group) appended(e env.Env, i int, m *peer.Message) {
	at := g.find(m.Tenant, m.Slot)
	if g.role != Leading || i < 0 || at < 0 || m.From != g.peers[i].incarnation {
		return
	}
	s := &g.slots[at]
	if m.Mark == 1 {
		g.beginsAnew(s, i, m)
		return
	}
	if chain, known := s.r.ChainAt(m.At.Seq); known && chain != m.At.Chain || m.At.Seq > s.r.End().Seq {
		return
	}
	p := &g.progressOf(s)[i]
	if m.Round < p.life || g.barred(i, s, m.Round) {
		return
	}
	p.life = m.Round
	if m.At.Seq >= p.acked {
		p.at = max(p.at, m.Index)
	}
	if m.At.Seq > p.acked {
		p.acked, p.at, p.since = m.At.Seq, m.Index, e.Now()
		g.advance(e, s)
	}
	p.told = max(p.told, m.Commit)
}

// beginsAnew takes note that a replica wants to begin a log anew, with nothing. It may,
// as the next append tells it, unless somebody counts on what it has: from here on
// nobody does.
func (g *Group) beginsAnew(s *slot, i int, m *peer.Message) {
	if s.r.Phase() == replica.Stopped { // what is left there may be all there is
		return
	}
	o, p := &g.peers[i], &g.progressOf(s)[i]
	// In a set that was reformed the leader has adopted the best logs, and this one is
	// none; nothing is committed, so nobody counts on what was acknowledged here.
	adopted := g.known.Reformed && s.r.Phase() == replica.Starting
	if m.Round > p.life && (!g.holdsPlace(o.node) || g.lacks(o.member(), s) || adopted && !g.known.IsEligible(o.node)) {
		*p = progress{life: m.Round, since: p.since}
	}
}

// member returns a peer as a member.
func (o *other) member() control.Member {
	return control.Member{Node: o.node, Incarnation: o.incarnation}
}
