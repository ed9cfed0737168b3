package group

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/quorum"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// A linearizable read is answered when every member has confirmed, after the read
// came, that it knows of no higher epoch: then nobody else can have committed anything
// before. Many reads share a round of confirmations. A replica that does not lead asks
// the leader up to where it has to have applied the log, and waits for that.

// Read is a read that waits.
type Read struct {
	From    env.ID
	Request wire.Origin
	Entity  signal.Entity
	Level   wire.Level
	Token   wire.Token   // Session
	Bound   env.Duration // Bounded: how old the answer may be

	slot   int // place in the group
	came   env.Time
	round  peer.Round    // leading: the round that confirms it
	number peer.Question // following: of the question for the index; leading: the asker's
	remote bool          // another replica asked
	needs  lineage.Seq   // following: the log has to be applied up to here, once it is known
	ready  bool          // needs is known
}

// reads are those that wait.
type reads struct {
	waiting []Read
	round   peer.Round // of the confirmations under way, or of the last ones
	under   bool       // they are under way
	// verified is the last round for which the meta log was read, after it began: the
	// leadership was in force then.
	verified peer.Round
	number   uint64 // of questions so far
	now      Read   // that is being answered
}

// maxReads bounds the reads of a shard that wait.
const maxReads = 1024

// Read lets the shard answer a read as soon as its level allows. A code says why it
// cannot.
func (g *Group) Read(e env.Env, number int, r *Read) wire.Code {
	i, found := slices.BinarySearch(g.numbers, number)
	if !found { // it waited for its turn, and its tenant has ended meanwhile
		return wire.UnknownTenant
	}
	s := &g.slots[i]
	switch {
	case !s.r.IsOpen():
		return wire.NotServing
	case len(g.reads.waiting) >= maxReads:
		return wire.Overloaded
	}
	r.slot, r.came = i, e.Now()
	if g.role == Leading {
		return g.readLeading(e, s, r)
	}
	switch r.Level {
	case wire.Session:
		return g.readSession(s, r)
	case wire.Bounded:
		if age := e.Now().Sub(s.fresh); s.isFresh && age <= r.Bound {
			g.owner.AnswerRead(g.number(s), r, wire.NoError)
			return wire.NoError
		}
	}
	return g.askForIndex(e, s, r)
}

func (g *Group) readLeading(e env.Env, s *slot, r *Read) wire.Code {
	if s.r.Phase() != replica.Serving {
		return wire.NotServing
	}
	if r.Level == wire.Session {
		return g.readSession(s, r)
	}
	g.confirmFor(e, r)
	return wire.NoError
}

// readSession answers a read that wants to see what its session has seen.
func (g *Group) readSession(s *slot, r *Read) wire.Code {
	applied := s.r.State().Position.Seq
	// A session never sees less than it has seen.
	//safety:token-waited-for by=session on=failover
	if applied < r.Token.Seq {
		r.needs, r.ready = r.Token.Seq, true
		g.reads.waiting = append(g.reads.waiting, *r)
		return wire.NoError
	}
	if !s.r.OnLineage(r.Token.Epoch, r.Token.Seq) {
		return wire.TokenLost
	}
	g.owner.AnswerRead(g.number(s), r, wire.NoError)
	return wire.NoError
}

// confirmFor lets the next round of confirmations answer for a read.
func (g *Group) confirmFor(e env.Env, r *Read) {
	r.round = g.reads.round + 1
	g.reads.waiting = append(g.reads.waiting, *r)
	if !g.reads.under {
		g.startRound(e)
	}
}

func (g *Group) startRound(e env.Env) {
	g.nextRound(e)
	g.askToConfirm(e, 0, false)
	g.confirmed(e)
}

// nextRound begins a round of confirmations.
func (g *Group) nextRound(e env.Env) {
	g.reads.round++
	g.reads.under = true
	g.rounds[g.reads.round%kept] = e.Now()
}

// began returns how long ago a round began; false if that is too long ago to be known.
func (g *Group) began(e env.Env, round peer.Round) (env.Duration, bool) {
	return e.Now().Sub(g.rounds[round%kept]), round > 0 && round <= g.reads.round && round+kept > g.reads.round
}

// askToConfirm asks every member that has not confirmed the round; or every replica,
// so that one that has come back speaks.
func (g *Group) askToConfirm(e env.Env, attempt uint32, all bool) {
	m := peer.Confirm{ShardHeader: g.header(), Round: g.reads.round}
	g.out = m.Encode(g.out[:0])
	key := env.Key{Kind: g.key + uint16(peer.KindConfirm), Attempt: attempt, A: uint64(m.Shard), B: uint64(m.Round)}
	for i := range g.peers {
		if o := &g.peers[i]; all || g.counts(o) && o.round < m.Round {
			e.Send(o.node, key, g.out)
		}
	}
	if g.belowMin() && g.reads.verified < m.Round {
		g.owner.Verify(g.known.ID, g.epoch, m.Round)
	}
}

// Verified says that a read of the meta log, which began after a round of confirmations,
// found this process leading in an epoch.
func (g *Group) Verified(e env.Env, epoch lineage.ShardEpoch, round peer.Round) {
	if g.role == Leading && epoch == g.epoch {
		g.reads.verified = max(g.reads.verified, round)
		g.confirmed(e)
	}
}

// answered takes a confirmation.
func (g *Group) answered(e env.Env, i int, m *peer.Confirmed) {
	if g.role != Leading || i < 0 || m.From != g.peers[i].incarnation {
		return
	}
	g.peers[i].round = max(g.peers[i].round, m.Round)
	g.confirmed(e)
}

// confirmed answers the reads of a round that every member has confirmed, and begins
// the next one if reads have come meanwhile.
func (g *Group) confirmed(e env.Env) {
	if g.role != Leading || !g.reads.under {
		return
	}
	g.quorum = g.view().Members(g.quorum[:0])
	if !quorum.Confirmed(g.quorum, g.confirmedBy) {
		return
	}
	// Below min another node may have been made the leader of a set of its own.
	//safety:below-min-verified false by=linearizable on=below-min
	if g.belowMin() && g.reads.verified < g.reads.round {
		return
	}
	g.reads.under = false
	g.sole, g.isSole = g.rounds[g.reads.round%kept], true
	fault.Hit(e, fault.ReadConfirmed, env.Key{A: uint64(g.known.ID), B: uint64(g.reads.round)})
	done := g.reads.waiting
	g.reads.waiting = nil
	for i := range done {
		r := &done[i]
		if r.ready || r.round > g.reads.round {
			g.reads.waiting = append(g.reads.waiting, *r)
			continue
		}
		g.answerRead(e, r)
	}
	if g.reads.waiting == nil {
		g.reads.waiting = done[:0]
		return
	}
	if !g.reads.under && g.unconfirmed() {
		g.startRound(e)
	}
}

// confirmedBy reports whether a member has confirmed the round that is under way. The leader
// follows nobody else.
func (g *Group) confirmedBy(m control.Member) bool {
	if m == g.self {
		return true
	}
	i := g.peerOf(m.Node)
	return i >= 0 && g.peers[i].incarnation == m.Incarnation && g.peers[i].round >= g.reads.round
}

// unconfirmed reports whether a read waits for a round that has not begun.
func (g *Group) unconfirmed() bool {
	for i := range g.reads.waiting {
		if !g.reads.waiting[i].ready && g.reads.waiting[i].round > g.reads.round {
			return true
		}
	}
	return false
}

// answerRead answers a read that is confirmed.
func (g *Group) answerRead(e env.Env, r *Read) {
	s := &g.slots[r.slot]
	if s.r.Phase() != replica.Serving { // what is committed is not known yet
		if !r.remote {
			g.owner.AnswerRead(g.number(s), r, wire.NotServing)
		}
		return
	}
	if !r.remote {
		g.owner.AnswerRead(g.number(s), r, wire.NoError)
		return
	}
	m := peer.Index{LogHeader: g.logHeader(s), Question: r.number, At: s.r.State().Position}
	g.sendOf(e, s, r.From, m.Encode(g.out[:0]), uint64(r.number), 0)
}

// askForIndex asks the leader up to where a read here must have applied the log.
func (g *Group) askForIndex(e env.Env, s *slot, r *Read) wire.Code {
	leader, known := g.Leader()
	if !known || g.role != Following || g.wanted > g.epoch || leader == g.self.Node {
		return wire.NotServing
	}
	g.reads.number++
	r.number = peer.Question(uint64(g.self.Incarnation)<<32 | g.reads.number)
	g.reads.waiting = append(g.reads.waiting, *r)
	m := peer.AskIndex{LogHeader: g.logHeader(s), Question: r.number}
	g.sendOf(e, s, leader, m.Encode(g.out[:0]), uint64(r.number), 0)
	return wire.NoError
}

// askedIndex takes such a question.
func (g *Group) askedIndex(e env.Env, from env.ID, m *peer.AskIndex) {
	i := g.find(m.Tenant, m.Slot)
	if g.role != Leading || i < 0 || g.slots[i].r.Phase() != replica.Serving || len(g.reads.waiting) >= maxReads {
		return
	}
	for j := range g.reads.waiting { // it was asked before
		if r := &g.reads.waiting[j]; r.remote && r.number == m.Question && r.From == from {
			return
		}
	}
	g.confirmFor(e, &Read{From: from, slot: i, came: e.Now(), number: m.Question, remote: true})
}

// toldIndex takes the answer.
func (g *Group) toldIndex(e env.Env, m *peer.Index) {
	for i := range g.reads.waiting {
		r := &g.reads.waiting[i]
		if r.number == m.Question && !r.remote && !r.ready {
			r.needs, r.ready = m.At.Seq, true
			g.readApplied(e)
			return
		}
	}
}

// readApplied answers the reads that waited for the log to be applied.
func (g *Group) readApplied(e env.Env) {
	if len(g.reads.waiting) == 0 {
		return
	}
	kept := g.reads.waiting[:0]
	for i := range g.reads.waiting {
		g.reads.now = g.reads.waiting[i]
		r := &g.reads.now
		s := &g.slots[r.slot]
		// Until then it may not show what was told to others.
		//safety:index-waited-for by=linearizable on=failover
		if !r.ready || s.r.State().Position.Seq < r.needs {
			kept = append(kept, *r)
			continue
		}
		switch {
		case r.Level == wire.Session && !s.r.OnLineage(r.Token.Epoch, r.Token.Seq):
			g.owner.AnswerRead(g.number(s), r, wire.TokenLost)
			continue
		case r.Level != wire.Session:
			if !s.isFresh || r.came > s.fresh {
				s.fresh, s.isFresh = r.came, true
			}
		}
		g.owner.AnswerRead(g.number(s), r, wire.NoError)
	}
	g.reads.waiting = kept
}

// expireReads refuses what has waited for too long: who asked may ask another replica.
func (g *Group) expireReads(e env.Env) {
	kept := g.reads.waiting[:0]
	for i := range g.reads.waiting {
		r := g.reads.waiting[i]
		patience := 2 * g.patience.Silence
		if g.role != Leading {
			patience = 2 * g.patience.Repeat
		}
		if e.Now().Sub(r.came) < patience {
			kept = append(kept, r)
		} else if !r.remote {
			g.owner.AnswerRead(g.numbers[r.slot], &r, wire.NotYet)
		}
	}
	g.reads.waiting = kept
}

// refuseReads refuses all that wait.
func (g *Group) refuseReads(code wire.Code) {
	for i := range g.reads.waiting {
		if r := &g.reads.waiting[i]; !r.remote {
			g.owner.AnswerRead(g.numbers[r.slot], r, code)
		}
	}
	g.reads = reads{number: g.reads.number, waiting: g.reads.waiting[:0]}
}
