package group

import (
	"encoding/binary"
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// When every member that was in sync has restarted, none of them knows what is
// committed, and one may have lost what another has. The one that is to lead asks all
// of them what they have, adopts for each slot the best log, by the epoch of its last
// record, then by length, and only then begins.

// gathering is what is known of the others' logs.
type gathering struct {
	answered []control.Member
	logs     []logAt
	chosen   bool
	sources  []env.ID // by slot: whose log is the best
	targets  []lineage.Position
}

// logAt is a log of one member.
type logAt struct {
	node   env.ID
	tenant tenant.ID
	slot   lineage.Slot
	whole  bool // it is open and was not found damaged
	end    lineage.Position
	epoch  lineage.ShardEpoch // of its last record
}

func (a *logAt) better(b *logAt) bool {
	switch {
	case a.whole != b.whole:
		return a.whole
	case a.epoch != b.epoch:
		return a.epoch > b.epoch
	}
	return a.end.Seq > b.end.Seq
}

func (g *Group) startGathering(e env.Env) {
	g.role = Gathering
	g.gather = gathering{}
	g.askForLogs(e)
	g.choose(e)
}

// askForLogs asks every member that has not answered.
func (g *Group) askForLogs(e env.Env) {
	for _, m := range g.known.InSync {
		if m != g.self && !slices.Contains(g.gather.answered, m) {
			ask := peer.Message{Kind: peer.Survey, From: g.self.Incarnation, Shard: g.known.ID, Epoch: g.epoch, Round: uint64(g.ticks)}
			g.send(e, m.Node, &ask, uint64(g.epoch), g.ticks)
		}
	}
}

// ready reports whether what is on the disk is known of every log.
func (g *Group) ready() bool {
	for i := range g.slots {
		if r := g.slots[i].r; r.Phase() != replica.Stopped && (!r.IsOpen() || r.Busy()) {
			return false
		}
	}
	return true
}

// An answer to a survey has for each log: tenant 8, slot 8, whole 8, seq 8, chain 8,
// epoch of the last record 8.
const surveyEntry = 48

// tellLogs answers a survey once all logs are open here.
func (g *Group) tellLogs(e env.Env, to env.ID, m *peer.Message) {
	if !g.ready() {
		return
	}
	// Who has not been told of the epoch by the control plane may not have been told of a
	// tenant that was created before it either, and would not name its log.
	if g.known.Epoch != g.epoch {
		return
	}
	le := binary.LittleEndian
	tail := make([]byte, 0, surveyEntry*len(g.slots))
	for i := range g.slots {
		s := &g.slots[i]
		l := s.log(g.self.Node)
		whole := uint64(0)
		if l.whole {
			whole = 1
		}
		for _, v := range [...]uint64{uint64(s.tenant), uint64(s.slot), whole, uint64(l.end.Seq), uint64(l.end.Chain), uint64(l.epoch)} {
			tail = le.AppendUint64(tail, v)
		}
	}
	answer := peer.Message{Kind: peer.Surveyed, From: g.self.Incarnation, Shard: g.known.ID, Epoch: g.epoch, Round: m.Round, Tail: tail}
	g.send(e, to, &answer, uint64(g.epoch), g.ticks)
}

// log describes a log here.
func (s *slot) log(self env.ID) logAt {
	return logAt{
		node: self, tenant: s.tenant, slot: s.slot, whole: s.r.IsOpen(),
		end: s.r.End(), epoch: s.r.EpochAt(s.r.End().Seq),
	}
}

// surveyed takes an answer.
func (g *Group) surveyed(e env.Env, i int, m *peer.Message) {
	if g.role != Gathering || i < 0 || g.gather.chosen || len(m.Tail)%surveyEntry != 0 {
		return
	}
	who := control.Member{Node: g.peers[i].node, Incarnation: m.From}
	if !g.known.IsInSync(who) || slices.Contains(g.gather.answered, who) {
		return
	}
	le := binary.LittleEndian
	for b := m.Tail; len(b) > 0; b = b[surveyEntry:] {
		l := logAt{
			node: who.Node, tenant: tenant.ID(le.Uint64(b)), slot: lineage.Slot(le.Uint64(b[8:])), whole: le.Uint64(b[16:]) == 1,
			end: lineage.Position{Seq: lineage.Seq(le.Uint64(b[24:])), Chain: lineage.Chain(le.Uint64(b[32:]))}, epoch: lineage.ShardEpoch(le.Uint64(b[40:])),
		}
		// Who is excluded lacks what was acknowledged, and has begun the log anew.
		if at := g.find(l.tenant, l.slot); at >= 0 && !g.lacks(who, &g.slots[at]) {
			g.gather.logs = append(g.gather.logs, l)
		}
	}
	g.gather.answered = append(g.gather.answered, who)
	g.choose(e)
}

// choose decides whose log is adopted for each slot, when all have answered.
func (g *Group) choose(e env.Env) {
	if g.gather.chosen || !g.ready() {
		return
	}
	for _, m := range g.known.InSync {
		// A member that was not asked may be the only one that has what was committed.
		//safety:all-in-sync-asked by=no-loss on=all-members-restart
		if m != g.self && !slices.Contains(g.gather.answered, m) {
			return
		}
	}
	g.gather.chosen = true
	for i := range g.slots {
		s := &g.slots[i]
		best := s.log(g.self.Node)
		for j := range g.gather.logs {
			l := &g.gather.logs[j]
			//safety:best-log-adopted by=no-loss on=all-members-restart
			if l.tenant == s.tenant && l.slot == s.slot && l.better(&best) {
				best = *l
			}
		}
		g.gather.sources = append(g.gather.sources, best.node)
		g.gather.targets = append(g.gather.targets, best.end)
	}
	g.lookAtLogs(e)
}

// lookAtLogs begins to lead when every log is the best one.
func (g *Group) lookAtLogs(e env.Env) {
	if !g.gather.chosen {
		g.choose(e)
		return
	}
	all := true
	for i := range g.slots {
		s := &g.slots[i]
		if g.gather.sources[i] == g.self.Node {
			continue
		}
		if s.r.IsOpen() && s.r.End() == g.gather.targets[i] && s.r.Durable() == s.r.End() && !s.r.Busy() {
			continue
		}
		all = false
		switch {
		case s.r.Phase() == replica.Stopped:
			_ = s.r.Refetch(e, nil) // nothing of it is worth more than what another member has
		case s.r.IsOpen():
			g.ask(e, s)
		}
	}
	if all {
		g.gather = gathering{}
		g.role, g.isSole = Leading, false
		g.leadSlots(e)
	}
}

// gathered takes what a member sends whose log is adopted.
func (g *Group) gathered(e env.Env, from env.ID, m *peer.Message) {
	i := g.find(m.Tenant, m.Slot)
	if i < 0 || !g.gather.chosen || g.gather.sources[i] != from {
		return
	}
	s := &g.slots[i]
	switch m.Kind {
	case peer.Append:
		switch s.r.Receive(e, m.At, m.Commit, m.Tail) {
		case replica.Took:
			s.pull.on = false
		case replica.Cutting:
			s.pull.later = true
		}
	case peer.Chunk:
		g.chunk(e, s, from, m)
	}
	g.lookAtLogs(e)
}
