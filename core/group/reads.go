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

// A linearizable read on the leader:
//
//  1. The read arrives.
//  2. The leader starts a round of confirmations, shared by all reads that wait.
//  3. Every member confirms that it knows no higher epoch. So no other leader has committed
//     anything before the read arrived.
//  4. The leader answers.
//
// A follower asks the leader for its commit index, waits until it has applied that much, and
// answers.

// Read is a read that waits.
type Read struct {
	From    env.ID
	Request wire.Origin
	Entity  signal.Entity
	Level   wire.Level
	Token   wire.Token   // Session
	Bound   env.Duration // Bounded: how old the answer may be

	slot  int // index in Group.slots
	came  env.Time
	round peer.Round // leading: the round that must confirm it
	// following: number of the question for the index; leading: the asker's number
	number peer.Question
	remote bool        // another replica asked
	needs  lineage.Seq // following, if ready: the seq that must be applied first
	ready  bool        // needs is known
}

// reads holds the reads that wait.
type reads struct {
	waiting []Read
	round   peer.Round // the current round of confirmations, or the last one
	under   bool       // a round is under way
	// verified is the last round in which a read of the meta log, begun after the round, found this
	// node leading.
	verified peer.Round
	number   uint64 // questions asked so far
	now      Read   // the read that is being answered
}

// maxReads bounds the waiting reads of a shard.
const maxReads = 1024

// Read answers a read as soon as its consistency level allows. A code other than NoError refuses
// it.
func (g *Group) Read(e env.Env, number int, r *Read) wire.Code {
	i, found := slices.BinarySearch(g.numbers, number)
	if !found { // the tenant was dropped while the read waited for its turn
		return wire.UnknownTenant
	}
	s := &g.slots[i]
	switch {
	case !s.r.IsOpen() && g.role == Leading && len(g.known.Replicas) == 1:
		return s.r.Refusal(e) // no other replica can serve it
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

// readSession answers a read that must see all that its session has seen.
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

// confirmFor lets the next round of confirmations answer a read.
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

// began returns how long ago a round began; false if the leader no longer remembers the round.
func (g *Group) began(e env.Env, round peer.Round) (env.Duration, bool) {
	return e.Now().Sub(g.rounds[round%kept]), round > 0 && round <= g.reads.round && round+kept > g.reads.round
}

// askToConfirm asks every member that has not confirmed the round. With all, it asks every replica,
// so that a node that has come back answers.
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

// Verified records that a read of the meta log, begun after this round, found this process leading
// in the epoch.
func (g *Group) Verified(e env.Env, epoch lineage.ShardEpoch, round peer.Round) {
	if g.role == Leading && epoch == g.epoch {
		g.reads.verified = max(g.reads.verified, round)
		g.confirmed(e)
	}
}

// answered handles a confirmation.
func (g *Group) answered(e env.Env, i int, m *peer.Confirmed) {
	if g.role != Leading || i < 0 || m.From != g.peers[i].incarnation {
		return
	}
	g.peers[i].round = max(g.peers[i].round, m.Round)
	g.confirmed(e)
}

// confirmed answers the reads of a round that every member has confirmed, and begins the next round
// if more reads have arrived.
func (g *Group) confirmed(e env.Env) {
	if g.role != Leading || !g.reads.under {
		return
	}
	g.quorum = g.view().Members(g.quorum[:0])
	if !quorum.Confirmed(g.quorum, g.confirmedBy) {
		return
	}
	// Below min the control plane may have made another node leader of a set of its own.
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

// confirmedBy reports whether a member has confirmed the current round. The leader needs no message
// from itself.
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
	if s.r.Phase() != replica.Serving { // the leader does not know its commit index yet
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

// askForIndex asks the leader for the seq that a read here must wait for.
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

// askedIndex handles such a question.
func (g *Group) askedIndex(e env.Env, from env.ID, m *peer.AskIndex) {
	i := g.find(m.Tenant, m.Slot)
	if g.role != Leading || i < 0 || g.slots[i].r.Phase() != replica.Serving || len(g.reads.waiting) >= maxReads {
		return
	}
	for j := range g.reads.waiting { // the question is a duplicate
		if r := &g.reads.waiting[j]; r.remote && r.number == m.Question && r.From == from {
			return
		}
	}
	g.confirmFor(e, &Read{From: from, slot: i, came: e.Now(), number: m.Question, remote: true})
}

// toldIndex handles the leader's answer.
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
		// An answer before that seq could miss records that other clients have seen.
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

// expireReads refuses reads that have waited too long: the client may ask another replica.
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
