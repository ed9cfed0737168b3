package core

import (
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// The coordinator's knowledge: the figures that nodes reported, and when it asked for them. Each
// figure was true at some instant since then.

// knowledge is all of it. The maps serve look-ups only: no code ranges over them.
type knowledge struct {
	nodes  []nodeKnown // by place of the sighting
	shards map[lineage.Shard]*shardKnown
	slots  map[slotKey]*slotKnown
}

// nodeKnown is a node's report of itself.
type nodeKnown struct {
	known  bool
	asked  env.Time
	free   uint64
	copies []peer.CopyFigures
}

// shardKnown is a leader's report of its shard.
type shardKnown struct {
	by      control.Member
	asked   env.Time
	since   env.Time          // the leader's own figures were true then, or later
	figures peer.ShardFigures // without its slots
}

// slotKey names a tenant's slot.
type slotKey struct {
	tenant tenant.ID
	slot   lineage.Slot
}

// slotKnown is a leader's report of a slot.
type slotKnown struct {
	epoch   lineage.ShardEpoch
	since   env.Time
	figures peer.SlotFigures
}

// reported takes a node's report. A late report does not replace an answer to a later question.
func (n *Node) reported(from env.ID, life env.Incarnation, round peer.PollNumber, f *peer.Figures) {
	asked, ours := n.polls.asked(round)
	i := n.sightingOf(from)
	if !n.leads || !ours || i < 0 {
		return
	}
	k := &n.knowledge
	if k.nodes == nil {
		k.nodes = make([]nodeKnown, len(n.sightings))
		k.shards, k.slots = map[lineage.Shard]*shardKnown{}, map[slotKey]*slotKnown{}
	}
	if s := &k.nodes[i]; f.Own && (!s.known || asked >= s.asked) {
		s.known, s.asked, s.free = true, asked, f.Free
		s.copies = append(s.copies[:0], f.Copies...)
	}
	for j := range f.Led {
		n.ledBy(control.Member{Node: from, Incarnation: life}, asked, &f.Led[j])
	}
}

func (n *Node) ledBy(by control.Member, asked env.Time, f *peer.ShardFigures) {
	s := n.knowledge.shards[f.Shard]
	if s == nil {
		s = new(shardKnown)
		n.knowledge.shards[f.Shard] = s
	}
	if f.Epoch < s.figures.Epoch || f.Epoch == s.figures.Epoch && asked < s.asked {
		return
	}
	others := append(s.figures.Others[:0], f.Others...)
	s.by, s.asked, s.since, s.figures = by, asked, asked, *f
	// Another node may have led, and acknowledged more, since this leader last confirmed its epoch.
	//safety:leader-as-old-as-its-confirmation by=health-truth on=slow-follower
	s.since = asked.Add(-f.Sole)
	s.figures.Others, s.figures.Slots = others, nil
	for i := range f.Slots {
		n.sequencedBy(f.Epoch, s.since, &f.Slots[i])
	}
}

func (n *Node) sequencedBy(epoch lineage.ShardEpoch, since env.Time, f *peer.SlotFigures) {
	key := slotKey{f.Tenant, f.Slot}
	s := n.knowledge.slots[key]
	if s == nil {
		s = new(slotKnown)
		n.knowledge.slots[key] = s
	}
	*s = slotKnown{epoch, since, *f}
	use := control.Use{Known: true, Granted: f.Granted, Entities: f.Entities, Bytes: f.Bytes}
	for r := range use.Needs {
		use.Needs[r] = control.Need(f.Needs[r])
	}
	n.balance(f.Tenant, f.Slot, use)
}
