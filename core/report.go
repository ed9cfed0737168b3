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

// What nodes tell the coordinator of themselves, so that it can say how the cluster is, and
// move shares to where they are needed. The coordinator asks all nodes again and again, and
// numbers its questions: when a figure is told, it was true after the question was sent.
// That is all that it says of a figure's age, whatever the network did to the messages.

// pollEvery is the time between two questions.
const pollEvery = 200 * env.Millisecond

// polls is what the coordinator knows of its questions.
type polls struct {
	round uint64       // of the last one
	next  env.Time     // when it asks again
	sent  [64]env.Time // when, by round modulo 64

	// confirmed: what the node has applied is all that was decided until then, if isConfirmed.
	confirmed   env.Time
	isConfirmed bool
}

// reporting is what a node keeps between two reports.
type reporting struct {
	reports  uint64
	figures  peer.Figures
	read     peer.Figures // that were told here
	windows  []window
	refusals []refusals // by slot here
}

// window is since when a node counts the signals of a shard.
type window struct {
	shard   lineage.Shard
	epoch   lineage.ShardEpoch
	slots   uint64 // changes of the set of slots
	from    env.Time
	signals uint64
}

// refusals are those of a slot that were told last.
type refusals [3]uint64

// poll asks all nodes for their figures, if it is time.
func (n *Node) poll() {
	now := n.env.Now()
	if now < n.polls.next {
		return
	}
	n.polls.next = now.Add(pollEvery)
	if n.polls.round>>32 != uint64(n.self.Incarnation) {
		n.polls.round = uint64(n.self.Incarnation) << 32
	}
	n.polls.round++
	n.polls.sent[n.polls.round%64] = now
	for i := range n.sightings {
		if to := n.sightings[i].Node; to != n.self.Node {
			m := peer.Message{Kind: peer.Poll, Round: n.polls.round}
			n.sendPeer(to, &m, uint64(to), m.Round)
		}
	}
	n.tell(n.self.Node, n.polls.round)
	_ = n.log.Read(n.env, n.polls.round) // refused: it is asked again
	n.outcomes()
}

// stillLeads takes note that the node still led the meta log after a question was sent.
func (n *Node) stillLeads(round uint64) {
	if at, ours := n.polls.asked(round); ours {
		n.polls.confirmed, n.polls.isConfirmed = max(at, n.polls.confirmed), true
	}
}

// asked returns when a question was sent, false if it was not, or too long ago.
func (p *polls) asked(round uint64) (env.Time, bool) {
	return p.sent[round%64], round <= p.round && round+64 > p.round && round>>32 == p.round>>32
}

// maxSlots is how many slots a report tells of at most.
const maxSlots = 3000

// tell tells who asked in a round what there is to tell here.
func (n *Node) tell(to env.ID, round uint64) {
	if !n.ready {
		return
	}
	f := &n.reporting.figures
	n.startFigures(f)
	slots := 0
	for _, g := range n.groups {
		if g.Role() != group.Leading {
			continue
		}
		whole := n.figuresOf(g)
		for rest := whole.Slots; ; rest = rest[len(whole.Slots):] {
			if room := maxSlots - slots; len(rest) > 0 && room <= 0 {
				n.sendReport(to, round, f)
				f.Led, slots = f.Led[:0], 0
			}
			whole.Slots = rest[:min(len(rest), maxSlots-slots)]
			f.Led = append(f.Led, whole)
			if slots += len(whole.Slots); len(whole.Slots) == len(rest) {
				break
			}
		}
	}
	n.sendReport(to, round, f)
}

// startFigures begins to tell what is not of a shard that the node leads.
func (n *Node) startFigures(f *peer.Figures) {
	f.Free, f.Copies, f.Led = uint64(max(n.env.Free(), 0)), f.Copies[:0], f.Led[:0]
	for _, g := range n.groups {
		f.Copies = append(f.Copies, n.copyOf(g))
	}
}

// copyOf tells of the replica of a shard here.
func (n *Node) copyOf(g *group.Group) peer.CopyFigures {
	c := peer.CopyFigures{Shard: g.Shard(), Known: true}
	for _, i := range g.Numbers() {
		size, known := n.slots[i].DiskBytes()
		c.Bytes += uint64(size)
		c.Known = c.Known && known
	}
	return c
}

// figuresOf tells of a shard that the node leads.
func (n *Node) figuresOf(g *group.Group) peer.ShardFigures {
	s := peer.ShardFigures{Shard: g.Shard(), Epoch: g.Epoch(), Whole: true}
	total := uint64(0)
	for _, i := range g.Numbers() {
		r := n.slots[i]
		total += r.Counts().Signals
		if r.Phase() != replica.Serving {
			s.Whole = s.Whole && g.Ending(i)
			continue
		}
		s.Slots = append(s.Slots, n.slotFigures(i))
		s.Entities += r.State().Live()
		s.Bytes += r.State().Bytes()
	}
	s.Signals, s.Window = n.throughput(g, total)
	s.Others = g.Others(n.env, s.Others)
	return s
}

// throughput returns how many signals were committed since the last report, and how long
// that is; nothing if the node has not led all the while, or slots came and went.
func (n *Node) throughput(g *group.Group, total uint64) (uint64, env.Duration) {
	i := slices.IndexFunc(n.reporting.windows, func(w window) bool { return w.shard == g.Shard() })
	if i < 0 {
		i = len(n.reporting.windows)
		n.reporting.windows = append(n.reporting.windows, window{shard: g.Shard()})
	}
	w := &n.reporting.windows[i]
	last, now := *w, n.env.Now()
	*w = window{shard: g.Shard(), epoch: g.Epoch(), slots: g.Changes(), from: now, signals: total}
	if last.epoch != w.epoch || last.slots != w.slots {
		return 0, 0
	}
	return total - last.signals, now.Sub(last.from)
}

// slotFigures tells of a slot.
func (n *Node) slotFigures(i int) peer.SlotFigures {
	r := n.slots[i]
	at, id, counts := r.State(), r.Identity(), r.Counts()
	for len(n.reporting.refusals) <= i {
		n.reporting.refusals = append(n.reporting.refusals, refusals{})
	}
	last := &n.reporting.refusals[i]
	refused := func(r quota.Resource) bool { return counts.Refused[r-1] > last[r-1] }
	rate := control.NeedOfRate(levels(r, n.env.Now(), refused(quota.SignalsPerSecond)))
	s := peer.SlotFigures{
		Tenant: id.Tenant, Slot: id.Slot, Granted: at.Limits.Version, Seq: at.Position.Seq,
		Entities: at.Live(), Bytes: at.Bytes(), Refused: counts.Refused,
		Needs: [4]uint8{
			quota.Rate: uint8(rate), quota.Burst: uint8(rate),
			quota.LiveEntities: uint8(control.NeedOf(at.Limits.Entities, at.Live(), refused(quota.Entities))),
			quota.Bytes:        uint8(control.NeedOf(at.Limits.Bytes, at.Bytes(), refused(quota.StorageBytes))),
		},
	}
	*last = counts.Refused
	return s
}

func levels(r *replica.Replica, now env.Time, refused bool) (level, full int64, _ bool) {
	level, full = r.Level(now)
	return level, full, refused
}

// sendReport sends what is to be told, or takes it, if it is this node that asks.
func (n *Node) sendReport(to env.ID, round uint64, f *peer.Figures) {
	n.reporting.reports++
	number := n.reporting.reports
	fault.Hit(n.env, fault.ReportMaking, env.Key{Attempt: uint32(n.env.Incarnation()), A: nobody, B: number})
	if to == n.self.Node {
		n.reported(to, n.self.Incarnation, round, number, f)
		return
	}
	m := peer.Message{Kind: peer.Report, Round: round, Mark: lineage.Seq(number), Tail: f.Append(n.tail[:0])}
	n.tail = m.Tail
	n.sendPeer(to, &m, uint64(n.self.Node), number)
}
