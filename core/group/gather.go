package group

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
)

// When every in-sync member has restarted, none of them knows the commit index, and each may have
// lost records that another one has. So the member that is to lead recovers the set:
//
//  1. It asks every in-sync member for its logs.
//  2. It adopts the best log of each slot: the highest epoch in the last record, then the longest.
//  3. Then it begins to lead.

// gathering is the node's knowledge of the logs of the other members.
type gathering struct {
	answered []control.Member
	telling  []telling // members that have reported some of their logs
	logs     []logAt
	chosen   bool
	sources  []env.ID // by slot: the node with the best log
	targets  []lineage.Position
}

// telling is a member that reports its logs in parts.
type telling struct {
	who     control.Member
	next    uint64 // number of the first log in the next part
	changes uint64 // the member's count of changes to its set of logs
}

// tellingOf returns the progress of a member's report.
func (g *gathering) tellingOf(who control.Member) *telling {
	i := slices.IndexFunc(g.telling, func(t telling) bool { return t.who == who })
	if i < 0 {
		g.telling = append(g.telling, telling{who: who})
		i = len(g.telling) - 1
	}
	return &g.telling[i]
}

// forget drops the logs that a node has reported.
func (g *gathering) forget(node env.ID) {
	g.logs = slices.DeleteFunc(g.logs, func(l logAt) bool { return l.node == node })
}

// logAt is a log of one member.
type logAt struct {
	node env.ID
	peer.Log
}

// compareLogs orders logs by their slots.
func compareLogs(a, b logAt) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Slot, b.Slot))
}

func (a *logAt) better(b *logAt) bool {
	switch order := a.Lineage.Compare(b.Lineage); {
	case a.Whole != b.Whole:
		return a.Whole
	case order != 0:
		return order > 0
	}
	return a.End.Seq > b.End.Seq
}

func (g *Group) startGathering(e env.Env) {
	g.role = Gathering
	g.gather = gathering{}
	g.askForLogs(e)
	g.choose(e)
}

// askForLogs asks every member that has not reported all of its logs.
func (g *Group) askForLogs(e env.Env) {
	for _, m := range g.known.InSync {
		if m != g.self && !slices.Contains(g.gather.answered, m) {
			g.askForPart(e, m)
		}
	}
}

// askForPart asks a member for its next logs, from the first one that it has not reported.
func (g *Group) askForPart(e env.Env, m control.Member) {
	ask := peer.Survey{ShardHeader: g.header(), Attempt: uint64(g.ticks), First: g.gather.tellingOf(m).next}
	g.send(e, m.Node, ask.Encode(g.out[:0]), uint64(g.epoch)<<32^ask.First, g.ticks)
}

// ready reports whether every log here is open and idle, so that its end is known.
func (g *Group) ready() bool {
	for i := range g.slots {
		if r := g.slots[i].r; r.Phase() != replica.Stopped && (!r.IsOpen() || r.Busy()) {
			return false
		}
	}
	return true
}

// tellLogs answers a survey once all logs are open here. The answer begins with the requested log
// and holds as many logs as one message takes.
func (g *Group) tellLogs(e env.Env, to env.ID, m *peer.Survey) {
	if !g.follows(to) || !g.ready() {
		return
	}
	// The control plane tells of a tenant before it tells of the epoch. A node that has not heard
	// of the epoch may not know a tenant created before it, and would omit the tenant's logs.
	if g.known.Epoch != g.epoch {
		return
	}
	first, size := min(m.First, uint64(len(g.slots))), uint64(len(g.slots))
	part := g.slots[first:min(first+peer.MaxLogs, size)]
	logs := make([]peer.Log, len(part))
	for i := range part {
		logs[i] = part[i].log()
	}
	answer := peer.Surveyed{ShardHeader: g.header(), Attempt: m.Attempt, Changes: g.changes, First: first, Size: size, Logs: logs}
	g.send(e, to, answer.Encode(g.out[:0]), uint64(g.epoch)<<32^first, g.ticks)
}

// log describes this log in an answer to a survey.
func (s *slot) log() peer.Log {
	end := s.r.End()
	return peer.Log{Tenant: s.tenant, Slot: s.slot, Whole: s.r.IsOpen(), End: end, Lineage: s.r.LineageAt(end.Seq)}
}

// surveyed handles a part of a member's answer and asks for the next part. Parts arrive in order,
// one at a time. If the member has added or removed a log meanwhile, its logs have other numbers,
// so the node asks for all of them again.
func (g *Group) surveyed(e env.Env, i int, m *peer.Surveyed) {
	if g.role != Gathering || i < 0 || g.gather.chosen {
		return
	}
	who := control.Member{Node: g.peers[i].node, Incarnation: m.From}
	if !g.known.IsInSync(who) || slices.Contains(g.gather.answered, who) {
		return
	}
	t := g.gather.tellingOf(who)
	if m.Changes > t.changes || t.next == 0 {
		g.gather.forget(who.Node)
		*t = telling{who: who, changes: m.Changes}
	}
	if m.First != t.next || t.changes != m.Changes || t.next+uint64(len(m.Logs)) > m.Size {
		return
	}
	for _, l := range m.Logs {
		// An excluded member lacks acknowledged records and has begun the log again.
		if at := g.find(l.Tenant, l.Slot); at >= 0 && !g.lacks(who, &g.slots[at]) {
			g.gather.logs = append(g.gather.logs, logAt{who.Node, l})
		}
	}
	t.next += uint64(len(m.Logs))
	switch {
	case t.next == m.Size:
		g.gather.answered = append(g.gather.answered, who)
		g.choose(e)
	case len(m.Logs) > 0:
		g.askForPart(e, who)
	}
}

// choose picks the best log of each slot once every member has answered.
func (g *Group) choose(e env.Env) {
	if g.gather.chosen || !g.ready() {
		return
	}
	for _, m := range g.known.InSync {
		// A member that was not asked may be the only one that has a committed record.
		//safety:all-in-sync-asked by=reform on=all-members-restart
		if m != g.self && !slices.Contains(g.gather.answered, m) {
			return
		}
	}
	g.gather.chosen = true
	slices.SortStableFunc(g.gather.logs, compareLogs)
	for i := range g.slots {
		s := &g.slots[i]
		best := logAt{g.self.Node, s.log()}
		// A log that lacks acknowledged records is better than none, but it must not pass for a
		// whole log.
		s.blocked = g.excluded(g.self, s)
		if s.blocked {
			best.Whole, best.Lineage, best.End = false, lineage.Lineage{}, lineage.Position{}
		}
		j, _ := slices.BinarySearchFunc(g.gather.logs, best, compareLogs)
		for ; j < len(g.gather.logs) && compareLogs(g.gather.logs[j], best) == 0; j++ {
			//safety:best-log-adopted by=reform on=all-members-restart
			if l := &g.gather.logs[j]; l.better(&best) {
				best, s.blocked = *l, s.blocked && !l.Whole
			}
		}
		g.gather.sources = append(g.gather.sources, best.node)
		g.gather.targets = append(g.gather.targets, best.End)
	}
	g.lookAtLogs(e)
}

// lookAtLogs begins to lead once every log here equals the best one.
func (g *Group) lookAtLogs(e env.Env) {
	if !g.gather.chosen {
		g.choose(e)
		return
	}
	all := true
	for i := range g.slots {
		s := &g.slots[i]
		if g.gather.sources[i] == g.self.Node || s.blocked {
			continue
		}
		if s.r.IsOpen() && s.r.End() == g.gather.targets[i] && s.r.Durable() == s.r.End() && !s.r.Busy() {
			continue
		}
		all = false
		switch {
		case s.r.Phase() == replica.Stopped:
			_ = s.r.Refetch(e, nil) // another member has a better log
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

// adoptedFrom returns the log that a message is about if it is being adopted from the sender, else
// nil.
func (g *Group) adoptedFrom(member env.ID, m *peer.LogHeader) *slot {
	i := g.find(m.Tenant, m.Slot)
	if i < 0 || !g.gather.chosen || g.gather.sources[i] != member {
		return nil
	}
	return &g.slots[i]
}

// gathered accepts records from the member whose log is being adopted.
func (g *Group) gathered(e env.Env, from env.ID, m *peer.Append) {
	s := g.adoptedFrom(from, &m.LogHeader)
	if s == nil {
		return
	}
	switch s.r.Receive(e, m.At, m.Commit, m.Records) {
	case replica.Took:
		s.pull.on = false
	case replica.Cutting:
		s.pull.later = true
	}
	g.lookAtLogs(e)
}

// gatheredPart accepts a part of a snapshot from that member.
func (g *Group) gatheredPart(e env.Env, from env.ID, m *peer.Chunk) {
	if s := g.adoptedFrom(from, &m.LogHeader); s != nil {
		g.chunk(e, s, from, m)
		g.lookAtLogs(e)
	}
}
