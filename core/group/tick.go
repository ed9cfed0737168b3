package group

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/quorum"
	"github.com/tidaldb/tidalsim/core/replica"
)

// Tick repeats unanswered messages and looks for changes to propose. The node calls it
// periodically.
func (g *Group) Tick(e env.Env) {
	g.ticks++
	switch g.role {
	case Leading:
		g.tickLeading(e)
	case Gathering:
		g.askForLogs(e)
		g.lookAtLogs(e)
	case Following:
		g.tickFollowing(e)
	}
	g.expireReads(e)
}

func (g *Group) tickLeading(e env.Env) {
	g.leadSlots(e)
	if beat := e.Now() >= g.beat; beat || g.reads.under {
		if beat {
			g.beat = e.Now().Add(g.patience.Silence / 6)
		}
		if !g.reads.under {
			g.nextRound(e)
		}
		g.askToConfirm(e, g.ticks, beat)
		g.confirmed(e)
	}
	for i := g.restless.next(0); i >= 0; i = g.restless.next(i + 1) {
		// The leader reminds a replica until it has the missing records and commit index.
		//safety:reminded-until-told negate by=liveness on=partition
		if g.remind(e, &g.slots[i]) {
			g.restless.remove(i)
		}
	}
}

// remind sends the end of the log and the commit index to every replica that lacks either. It
// reports whether no replica lacks anything.
func (g *Group) remind(e env.Env, s *slot) bool {
	if !s.r.Leads() {
		return false
	}
	// Trouble must inspect a log that does not rest.
	rests := s.r.Phase() != replica.Stopped && s.r.Durable() == s.r.End()
	end, commit := s.r.End(), s.r.State().Position.Seq
	hold, everywhere := commit, s.r.Durable().Seq
	for i := range g.peers {
		p := &g.progressOf(s)[i]
		hold, everywhere = min(hold, p.acked), min(everywhere, p.acked)
		if p.acked >= end.Seq && p.told >= commit {
			continue
		}
		rests = false
		m := peer.Append{LogHeader: g.logHeader(s), At: end, Commit: commit, Life: p.life}
		g.sendOf(e, s, g.peers[i].node, m.Encode(g.out[:0]), uint64(end.Seq), g.ticks)
	}
	s.marks.forget(everywhere)
	s.r.Hold(hold)
	if hold == commit {
		s.r.Release()
	}
	return rests
}

func (g *Group) tickFollowing(e env.Env) {
	for i := g.restless.next(0); i >= 0; i = g.restless.next(i + 1) {
		s := &g.slots[i]
		switch {
		case s.r.Phase() == replica.Stopped:
			g.wantsAnew(e, s)
		case s.pull.on && e.Now().Sub(s.pull.since) >= g.patience.Repeat, s.pull.later:
			g.ask(e, s)
		case !s.pull.on:
			g.restless.remove(i)
		}
	}
	g.readApplied(e)
}

// wantsAnew asks the leader to let a stopped log begin again, empty, unless this node knows a node
// that counts on it.
func (g *Group) wantsAnew(e env.Env, s *slot) {
	if g.counted(s) {
		return
	}
	if !g.knows || g.leader == g.self.Node || g.known.Epoch != g.epoch || g.wanted > g.epoch {
		return
	}
	m := peer.Appended{LogHeader: g.logHeader(s), Life: s.life + 1, Anew: true, Asked: g.echo}
	g.sendOf(e, s, g.leader, m.Encode(g.out[:0]), uint64(m.Life)<<16, g.ticks)
}

// Wish returns the command that the group wants in the meta log, if any. It returns the same
// command until the outcome is known.
func (g *Group) Wish(e env.Env) (control.Command, bool) {
	switch {
	case g.known.Index == 0 || g.known.Epoch != g.epoch || g.wanted > g.epoch:
		return control.Command{}, false
	case g.joining.on:
		return g.joining.command, true
	case g.asked.on:
		return g.asked.command, true
	}
	c, ok := g.wishFor(e)
	if !ok {
		return c, false
	}
	c.Shard, c.Epoch, c.Version = g.known.ID, g.known.Epoch, g.known.Version
	if c.Kind == control.Join {
		// Count the member before the command is proposed: it may become a member before this node
		// hears of it.
		g.joining = wish{true, c}
		fault.Hit(e, fault.MemberPending, env.Key{A: uint64(g.known.ID), B: uint64(c.Member.Node)})
	} else {
		g.asked = wish{true, c}
		if c.Kind == control.Readmit {
			fault.Hit(e, fault.MemberPending, env.Key{A: uint64(g.known.ID), B: uint64(c.Member.Node)})
		}
	}
	return c, true
}

// Refused handles the meta log's final refusal of a command.
func (g *Group) Refused(e env.Env, c *control.Command, got *control.Result) {
	// If the shard has changed since, this very command may have changed it, proposed twice. The
	// next configuration tells.
	if got.Epoch != c.Epoch || got.Version != c.Version {
		return
	}
	same := func(w *wish) bool {
		return w.on && w.command.Kind == c.Kind && w.command.Member == c.Member && w.command.Epoch == c.Epoch && w.command.Version == c.Version
	}
	if same(&g.joining) {
		g.joining = wish{}
		g.advanceAll(e)
		g.confirmed(e)
	}
	if same(&g.asked) {
		g.asked = wish{}
		if i := g.find(c.Tenant, c.Slot); c.Kind == control.Exclude && i >= 0 {
			g.slots[i].vain = c.Version // no other member is whole: do not retry at this version
		}
		g.advanceAll(e) // the member that was to be readmitted no longer counts
	}
}

// wishFor looks for a change to propose.
func (g *Group) wishFor(e env.Env) (control.Command, bool) {
	// A stopped log stays in restless.
	for i := g.restless.next(0); i >= 0; i = g.restless.next(i + 1) {
		s := &g.slots[i]
		member := g.known.IsInSync(g.self) && !g.lacks(g.self, s) || g.known.IsEligible(g.self.Node)
		if s.yields = s.yields && g.known.IsEligible(g.self.Node); s.yields && s.vain != g.known.Version {
			return control.Command{Kind: control.Exclude, Member: g.self, Tenant: s.tenant, Slot: s.slot, Base: uint64(s.life)}, true
		}
		if s.r.Phase() == replica.Stopped && s.failed && s.vain != g.known.Version && member {
			return control.Command{Kind: control.Exclude, Member: g.self, Tenant: s.tenant, Slot: s.slot, Base: uint64(s.life)}, true
		}
	}
	if g.role != Leading {
		return control.Command{}, false
	}
	if g.known.Reformed {
		return control.Command{Kind: control.Settle, By: g.self}, g.recovered()
	}
	for i := range g.peers {
		if c, ok := g.wishForPeer(e, i); ok {
			return c, true
		}
	}
	return g.readmitsItself()
}

// recovered reports whether, for every log that can be led, the records that begin the epoch are
// durable on all members of the reformed set. Below min this comes long before the leader can
// serve. It is enough: serving waits for a member to join, and a join waits for recovery.
func (g *Group) recovered() bool {
	for i := range g.slots {
		if s := &g.slots[i]; s.r.Phase() != replica.Stopped && !s.ends && !s.blocked && !g.opened(s) {
			return false
		}
	}
	return true
}

// opened reports whether the records that begin the epoch in this log are durable on all members.
func (g *Group) opened(s *slot) bool {
	if !s.r.Leads() || s.r.Durable().Seq < s.r.Opening() {
		return false
	}
	// A member that lacks the adopted records may lack committed ones.
	//safety:settled-when-durable-on-all false by=reform on=all-members-restart
	if !quorum.Has(g.acceptors(s), s.r.Opening()) {
		return false
	}
	return true
}

// readmitsItself returns the proposal of a leader that has replaced its own log by another
// member's.
func (g *Group) readmitsItself() (control.Command, bool) {
	for i := range g.slots {
		if s := &g.slots[i]; len(g.known.Excluded) > 0 && g.excluded(g.self, s) && s.r.Leads() && g.opened(s) {
			return control.Command{Kind: control.Readmit, Member: g.self, By: g.self, Tenant: s.tenant, Slot: s.slot}, true
		}
	}
	return control.Command{}, false
}

func (g *Group) wishForPeer(e env.Env, i int) (control.Command, bool) {
	o := &g.peers[i]
	m := o.member()
	if gone, ok := g.drained(e, o); ok {
		return control.Command{Kind: control.Remove, Member: gone, By: g.self}, true
	}
	if !g.known.IsInSync(m) {
		if o.spoke && !slices.Contains(g.drains, o.node) && e.Now().Sub(o.answered) < g.patience.Silence/2 && g.hasAll(i) && !g.nodeInSync(o.node) && slices.Contains(g.known.Replicas, o.node) {
			return control.Command{Kind: control.Join, Member: m, By: g.self}, true
		}
		// The earlier incarnation of this node is still in the set.
		for _, old := range g.known.InSync {
			if old.Node == o.node && old.Incarnation < o.incarnation {
				return control.Command{Kind: control.Remove, Member: old, By: g.self}, true
			}
		}
		if old, ok := g.silent(e, o); ok {
			return control.Command{Kind: control.Remove, Member: old, By: g.self}, true
		}
		return control.Command{}, false
	}
	if old, ok := g.silent(e, o); ok {
		return control.Command{Kind: control.Remove, Member: old, By: g.self}, true
	}
	if g.slow(e, i) && len(g.known.InSync) > g.known.Min {
		return control.Command{Kind: control.Remove, Member: m, By: g.self}, true
	}
	for j := 0; j < len(g.slots) && len(g.known.Excluded) > 0; j++ {
		if s := &g.slots[j]; g.lacks(m, s) && g.complete(s, i) {
			return control.Command{Kind: control.Readmit, Member: m, By: g.self, Tenant: s.tenant, Slot: s.slot}, true
		}
	}
	return control.Command{}, false
}

func (g *Group) nodeInSync(node env.ID) bool {
	return slices.ContainsFunc(g.known.InSync, func(m control.Member) bool { return m.Node == node })
}

// silent returns the in-sync member on a node that has not answered for too long. A node that sends
// messages but does not answer is deaf, so the set must do without it.
func (g *Group) silent(e env.Env, o *other) (control.Member, bool) {
	if e.Now().Sub(o.answered) <= g.bound(e, g.patience.Silence) {
		return control.Member{}, false
	}
	for _, m := range g.known.InSync {
		if m.Node == o.node {
			return m, true
		}
	}
	return control.Member{}, false
}

// complete reports whether a replica has every record of a log that a member must have: the log up
// to the commit index. While the leader does not know the commit index, because the records that
// begin its epoch are not committed, it is the leader's log through those records.
func (g *Group) complete(s *slot, i int) bool {
	switch acked := g.progressOf(s)[i].acked; s.r.Phase() {
	case replica.Serving:
		return acked >= s.r.State().Position.Seq
	case replica.Starting:
		// The records that the leader has adopted may be committed.
		//safety:joins-behind-the-opening false by=in-sync on=below-min
		if acked < s.r.Opening() {
			return false
		}
		return true
	}
	return false
}

// hasAll reports whether a replica is complete for every log. For a log that has stopped on the
// leader, that is unknown.
func (g *Group) hasAll(i int) bool {
	for j := range g.slots {
		s := &g.slots[j]
		if s.ends { // no node will serve it again
			continue
		}
		// A member may be promoted later, so it must have every committed record.
		//safety:joins-when-complete by=in-sync on=reconfigure-under-fire
		if !g.complete(s, i) {
			return false
		}
	}
	return true
}

// slow reports whether a member has lacked a record for too long.
func (g *Group) slow(e env.Env, i int) bool {
	bound := g.bound(e, g.patience.Slow)
	// An idle log is on every replica.
	for j := g.restless.next(0); j >= 0; j = g.restless.next(j + 1) {
		s := &g.slots[j]
		p := &g.progressOf(s)[i]
		if s.r.Leads() && !g.lacks(g.peers[i].member(), s) && p.acked < s.r.End().Seq && e.Now().Sub(p.since) > bound {
			return true
		}
	}
	return false
}

// Settled reports whether the shard has nothing under way here: every replica is in sync and has
// the whole log. A follower judges by its own logs.
func (g *Group) Settled() bool {
	if g.known.Index == 0 || g.known.Epoch != g.epoch || g.wanted > g.epoch || g.known.Reformed || len(g.known.Excluded) > 0 {
		return false
	}
	for _, node := range g.known.Replicas {
		if !g.nodeInSync(node) && !slices.Contains(g.drains, node) {
			return false
		}
	}
	if g.joining.on || len(g.reads.waiting) > 0 || g.role == Gathering || (g.known.Leader == g.self) != (g.role == Leading) {
		return false
	}
	for i := range g.slots {
		s := &g.slots[i]
		if s.r.Busy() || s.r.End() != s.r.State().Position {
			return false
		}
		want := replica.Following
		if g.role == Leading && !s.ends {
			want = replica.Serving
		}
		if s.r.Phase() != want {
			return false
		}
		for _, p := range g.progressOf(s) {
			if g.role == Leading && (p.acked < s.r.End().Seq || p.told < s.r.End().Seq) {
				return false
			}
		}
	}
	return true
}
