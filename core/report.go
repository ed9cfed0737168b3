package core

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/replica"
)

// Reports of nodes to the coordinator, which needs them to show the cluster's health and to move
// shares to the slots that need them. The coordinator polls all nodes again and again, and numbers
// its polls. A reported figure was true after its poll was sent. That bounds the figure's age,
// whatever the network did to the messages.

// pollEvery is the time between two polls.
const pollEvery = 200 * env.Millisecond

// polls is the coordinator's record of its polls.
type polls struct {
	round peer.PollNumber // of the last one
	next  env.Time        // when it asks again
	sent  [64]env.Time    // when, by round modulo 64

	// confirmed: the node has applied every entry that was decided until then; valid if
	// isConfirmed.
	confirmed   env.Time
	isConfirmed bool
}

// reporting is a node's state between two reports.
type reporting struct {
	asker   env.ID // the coordinator that polled last, and its round; 0: none yet
	round   peer.PollNumber
	reports peer.ReportNumber
	figures peer.Figures        // of the report in the making
	others  []peer.OtherFigures // of all shards in figures, which hold slices of this list
	slots   []peer.SlotFigures
	windows []window
	told    []told // by slot here
	divided []int  // slots here of tenants with several slots
	urgent  []*group.Group
}

// window is the start of a count of a shard's signals.
type window struct {
	shard   lineage.Shard
	epoch   lineage.ShardEpoch
	slots   uint64 // changes of the set of slots
	from    env.Time
	signals uint64
}

// told is the last report of a slot.
type told struct {
	refused [3]uint64
	needs   [quota.Resources]control.Need
}

// poll asks all nodes for their figures, if it is time.
func (n *Node) poll() {
	now := n.env.Now()
	if now < n.polls.next {
		return
	}
	n.polls.next = now.Add(pollEvery)
	if first := peer.PollNumber(n.self.Incarnation) << 32; n.polls.round>>32 != first>>32 {
		n.polls.round = first
	}
	n.polls.round++
	n.polls.sent[n.polls.round%64] = now
	for i := range n.sightings {
		if to := n.sightings[i].Node; to != n.self.Node {
			m := peer.Poll{ControlHeader: n.says(), Number: n.polls.round}
			n.sendPeer(to, m.Encode(n.peerOut[:0]), uint64(to), uint64(m.Number))
		}
	}
	n.tell(n.self.Node, n.polls.round)
	_ = n.log.Read(n.env, uint64(n.polls.round)) // refused: it is asked again
	n.outcomes()
}

// stillLeads notes that the node still led the meta log after a poll was sent.
func (n *Node) stillLeads(round peer.PollNumber) {
	if at, ours := n.polls.asked(round); ours {
		n.polls.confirmed, n.polls.isConfirmed = max(at, n.polls.confirmed), true
	}
}

// asked returns when a poll was sent; false if it was not, or too long ago.
func (p *polls) asked(round peer.PollNumber) (env.Time, bool) {
	return p.sent[round%64], round <= p.round && round+64 > p.round && round>>32 == p.round>>32
}

// maxFigures bounds the entries of a report. A shard, another replica, a slot, and four copies each
// take at most 72 bytes of the tail of a message.
const maxFigures = 3000

// tell reports everything here to the coordinator that polled.
func (n *Node) tell(to env.ID, round peer.PollNumber) {
	if !n.ready {
		return
	}
	r := &n.reporting
	r.asker, r.round = to, round
	f := &r.figures
	f.Own, f.Free, f.Copies = true, uint64(max(n.env.Free(), 0)), f.Copies[:0]
	for _, g := range n.groups {
		f.Copies = append(f.Copies, n.copyOf(g))
	}
	n.tellOf(n.groups)
}

// askAhead reports, without a poll, the shards here with a slot that needs more of its tenant's
// limits than the last report said. The report names the last poll, and its figures count as that
// old.
func (n *Node) askAhead() {
	r := &n.reporting
	if r.round == 0 {
		return
	}
	r.urgent = r.urgent[:0]
	for _, i := range r.divided {
		g := n.groupBy[i]
		if g.Role() != group.Leading || n.slots[i].Phase() != replica.Serving || slices.Contains(r.urgent, g) {
			continue
		}
		if needs := n.needs(i); worse(needs, r.told[i].needs) {
			r.urgent = append(r.urgent, g)
		}
	}
	if len(r.urgent) > 0 {
		f := &r.figures
		f.Own, f.Free, f.Copies = false, 0, f.Copies[:0]
		n.tellOf(r.urgent)
	}
}

// worse reports whether a slot is short of a resource, and needs it more than the last report said.
func worse(needs, told [quota.Resources]control.Need) bool {
	for r := range needs {
		if needs[r] >= control.Short && needs[r] > told[r] {
			return true
		}
	}
	return false
}

// tellOf reports, to the coordinator that polled last, the given groups that the node leads. A
// deposed leader may not know it yet, so the report says when the leader was last certain.
func (n *Node) tellOf(groups []*group.Group) {
	r := &n.reporting
	f := &r.figures
	f.Led, r.others, r.slots = f.Led[:0], r.others[:0], r.slots[:0]
	told := len(f.Copies) / 4
	for _, g := range groups {
		sole, certain := g.Sole(n.env)
		if !certain {
			continue
		}
		s := n.figuresOf(g)
		s.Sole = sole
		for all := false; !all; {
			if s.Slots, told, all = pack(f, told, s); !all {
				n.sendReport(r.asker, r.round, f)
				f.Own, f.Free, f.Copies, f.Led, told = false, 0, f.Copies[:0], f.Led[:0], 0
			}
		}
	}
	n.sendReport(r.asker, r.round, f)
}

// pack adds a shard to a report that already has so many entries, with as many of its slots as
// there is room for. It returns the slots that are left, the entries now, and whether the report
// has all of the shard.
func pack(f *peer.Figures, told int, s peer.ShardFigures) (left []peer.SlotFigures, now int, all bool) {
	head := 1 + len(s.Others)
	if told > 0 && told+head+min(1, len(s.Slots)) > maxFigures {
		return s.Slots, told, false
	}
	fit := min(len(s.Slots), maxFigures-told-head)
	left, s.Slots = s.Slots[fit:], s.Slots[:fit]
	f.Led = append(f.Led, s)
	return left, told + head + fit, len(left) == 0
}

// copyOf returns the figures of the replica of a shard here.
func (n *Node) copyOf(g *group.Group) peer.CopyFigures {
	c := peer.CopyFigures{Shard: g.Shard(), Known: true}
	for _, i := range g.Numbers() {
		size, known := n.slots[i].DiskBytes()
		c.Bytes += uint64(size)
		c.Known = c.Known && known
	}
	return c
}

// figuresOf returns the figures of a shard that the node leads.
func (n *Node) figuresOf(g *group.Group) peer.ShardFigures {
	s := peer.ShardFigures{Shard: g.Shard(), Epoch: g.Epoch(), Whole: true}
	f, total := &n.reporting, uint64(0)
	others, slots := len(f.others), len(f.slots)
	for _, i := range g.Numbers() {
		r := n.slots[i]
		total += r.Counts().Signals
		if r.Phase() != replica.Serving {
			// Figures that lack a slot are not the totals of the shard.
			//safety:shard-told-whole by=health-truth on=reconfigure-under-fire
			s.Whole = s.Whole && g.Ending(i)
			continue
		}
		f.slots = append(f.slots, n.slotFigures(i))
		s.Entities += r.State().Live()
		s.Bytes += r.State().Bytes()
	}
	s.Signals, s.Window = n.throughput(g, total)
	f.others = g.Others(n.env, f.others)
	s.Others, s.Slots = slices.Clip(f.others[others:]), slices.Clip(f.slots[slots:])
	return s
}

// throughput returns how many signals were committed since the last report, and how long that is.
// Both are 0 if the node has not led throughout, or if the set of slots has changed.
func (n *Node) throughput(g *group.Group, total uint64) (uint64, env.Duration) {
	i := slices.IndexFunc(n.reporting.windows, func(w window) bool { return w.shard == g.Shard() })
	if i < 0 {
		i = len(n.reporting.windows)
		n.reporting.windows = append(n.reporting.windows, window{shard: g.Shard()})
	}
	w := &n.reporting.windows[i]
	last, now := *w, n.env.Now()
	*w = window{shard: g.Shard(), epoch: g.Epoch(), slots: g.Changes(), from: now, signals: total}
	// Signals of other slots, or from before this epoch, were not counted in the window.
	//safety:throughput-of-one-set false by=health-truth on=shared-lifecycle
	if last.epoch != w.epoch || last.slots != w.slots {
		return 0, 0
	}
	return total - last.signals, max(now.Sub(last.from), 0) // a clock may step back
}

// slotFigures returns the figures of a slot.
func (n *Node) slotFigures(i int) peer.SlotFigures {
	r, needs := n.slots[i], n.needs(i)
	at, id, counts := r.State(), r.Identity(), r.Counts()
	s := peer.SlotFigures{
		Tenant: id.Tenant, Slot: id.Slot, Granted: at.Limits.Version, Seq: at.Position.Seq,
		Entities: at.Live(), Bytes: at.Bytes(), Refused: counts.Refused,
	}
	for r, need := range needs {
		s.Needs[r] = uint8(need)
	}
	n.reporting.told[i] = told{counts.Refused, needs}
	return s
}

// needs returns how much a slot needs of each of its tenant's limits.
func (n *Node) needs(i int) (needs [quota.Resources]control.Need) {
	r, told := n.slots[i], &n.reporting.told[i]
	at, refused := r.State(), r.Counts().Refused
	more := func(of quota.Resource) bool { // a new leader counts from 0
		now, last := refused[of-1], told.refused[of-1]
		return now > last || now > 0 && now < last
	}
	level, full := r.Level(n.env.Now())
	rate := control.NeedOfRate(level, full, more(quota.SignalsPerSecond))
	needs[quota.Rate], needs[quota.Burst] = rate, rate
	needs[quota.LiveEntities] = control.NeedOf(at.Limits.Entities, at.Live(), more(quota.Entities))
	needs[quota.Bytes] = control.NeedOf(at.Limits.Bytes, at.Bytes(), more(quota.StorageBytes))
	return needs
}

// sendReport sends a report, or takes it if this node polled.
func (n *Node) sendReport(to env.ID, round peer.PollNumber, f *peer.Figures) {
	n.reporting.reports++
	number := n.reporting.reports
	fault.Hit(n.env, fault.ReportMaking, env.Key{A: nobody, B: uint64(number)})
	if to == n.self.Node {
		n.reported(to, n.self.Incarnation, round, f)
		return
	}
	m := peer.Report{ControlHeader: n.says(), Asked: round, Number: number, Figures: *f}
	n.sendPeer(to, m.Encode(n.peerOut[:0]), uint64(n.self.Node), uint64(number))
}
