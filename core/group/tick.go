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

// Tick repeats what was not answered and looks for what has to change; the node calls
// it again and again.
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
		// Who lacks something is reminded until it has it.
		//safety:reminded-until-told negate by=liveness on=partition
		if g.remind(e, &g.slots[i]) {
			g.restless.remove(i)
		}
	}
}

// remind tells replicas that lack something, or do not know what is committed, where
// the log is. It reports whether there is nothing to tell any more.
func (g *Group) remind(e env.Env, s *slot) bool {
	if !s.r.Leads() {
		return false
	}
	rests := s.r.Phase() != replica.Stopped && s.r.Durable() == s.r.End() // else Trouble looks at it
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

// wantsAnew tells the leader that a log that has stopped is to begin anew, if nobody
// here knows of anybody who counts on what is left of it.
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

// Wish returns the command that the group wants in the meta log, if there is one: the
// same until it is known what became of it.
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
		// Counted from before anybody is asked: it may be a member before that is known
		// here.
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

// Refused says that the meta log has refused a wish for good.
func (g *Group) Refused(e env.Env, c *control.Command, got *control.Result) {
	// If the shard has changed since, it may have been by this very wish, asked for
	// twice: the next configuration tells.
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
			g.slots[i].vain = c.Version // nobody else is whole: there is more to ask for
		}
		g.advanceAll(e) // who was to be readmitted counts no more
	}
}

// wishFor looks for what has to change.
func (g *Group) wishFor(e env.Env) (control.Command, bool) {
	for i := g.restless.next(0); i >= 0; i = g.restless.next(i + 1) { // what has stopped never rests
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

// recovered reports whether the records that begin the epoch are durable on all of a set
// that is formed anew, of every log that can be sequenced. Below min that is long before
// the leader serves: it cannot before somebody joins, and nobody joins before.
func (g *Group) recovered() bool {
	for i := range g.slots {
		if s := &g.slots[i]; s.r.Phase() != replica.Stopped && !s.ends && !s.blocked && !g.opened(s) {
			return false
		}
	}
	return true
}

// opened reports whether the records that begin the epoch of a log are durable on all
// members.
func (g *Group) opened(s *slot) bool {
	if !s.r.Leads() || s.r.Durable().Seq < s.r.Opening() {
		return false
	}
	// A member that lacks what the leader has adopted may lack what was committed.
	//safety:settled-when-durable-on-all false by=reform on=all-members-restart
	if !quorum.Has(g.acceptors(s), s.r.Opening()) {
		return false
	}
	return true
}

// readmitsItself returns the wish of a leader that has adopted another member's log in the
// place of its own.
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
		for _, old := range g.known.InSync { // its earlier life is no member any more
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

// silent returns the member on a node that has not answered for too long. A node that speaks
// and does not answer is deaf: to its set it is as good as gone.
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

// complete reports whether a replica has of a log all that a member must have: what is
// committed; and as long as the leader does not know what that is, because the records
// that begin its epoch are not committed, the leader's log through those records.
func (g *Group) complete(s *slot, i int) bool {
	switch acked := g.progressOf(s)[i].acked; s.r.Phase() {
	case replica.Serving:
		return acked >= s.r.State().Position.Seq
	case replica.Starting:
		// What the leader has adopted may be committed.
		//safety:joins-behind-the-opening false by=in-sync on=below-min
		if acked < s.r.Opening() {
			return false
		}
		return true
	}
	return false
}

// hasAll reports whether a replica has all that it must of every log. Of a log that has
// stopped here nobody knows it.
func (g *Group) hasAll(i int) bool {
	for j := range g.slots {
		s := &g.slots[j]
		if s.ends { // nobody will ever serve it
			continue
		}
		// Who is to be promoted one day has to have everything.
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
	for j := g.restless.next(0); j >= 0; j = g.restless.next(j + 1) { // a log that rests is everywhere
		s := &g.slots[j]
		p := &g.progressOf(s)[i]
		if s.r.Leads() && !g.lacks(g.peers[i].member(), s) && p.acked < s.r.End().Seq && e.Now().Sub(p.since) > bound {
			return true
		}
	}
	return false
}

// Settled reports whether nothing of the shard is under way here: every replica is in
// sync and has everything. Of who follows, that it has what it knows of.
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
