package core

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/peer"
)

// A node that sends heartbeats may itself hear nothing, and a process that answers may have a
// stalled disk. So the coordinator numbers its announcements, and a heartbeat repeats the last
// number that its node heard. A heartbeat also names the shards that the node leads and cannot
// serve:
//
//	1. Coordinator C sends Configs with number 7 at instant t.
//	2. Node A hears it; its next heartbeat repeats 7. C counts A as heard at t.
//	3. A goes deaf. Its heartbeats go on and repeat 7.
//	4. C still counts A as heard at t, and in time treats A as silent.

// saidKept is how many numbers the coordinator remembers. It begins a new number every Silence/16,
// so these cover two silences.
const saidKept = 32

// hearing is a node's knowledge of which nodes hear each other.
type hearing struct {
	// Of the coordinator: the last number, when it first announced each number (by number modulo
	// saidKept), and the troubles that leaders reported.
	number   peer.Announcement
	said     [saidKept]env.Time
	troubles []noticed

	// Of any node: the node that spoke last as the coordinator, its number, and when.
	from  env.ID
	mark  peer.Announcement
	heard env.Time
	hears bool // heard is valid

	found []peer.Trouble
	seen  []control.Trouble
}

// noticed is a trouble and when the coordinator heard of it.
type noticed struct {
	control.Trouble
	at env.Time
}

// say returns the present number of the coordinator's announcements. Two processes never use the
// same number.
func (n *Node) say() peer.Announcement {
	h, now := &n.hearing, n.env.Now()
	first := peer.Announcement(n.self.Incarnation) << 32
	fresh := h.number>>32 != first>>32
	if fresh {
		h.number = first
	}
	if fresh || now.Sub(h.said[h.number%saidKept]) >= n.cluster.Patience.Silence/16 {
		h.number++
		h.said[h.number%saidKept] = now
	}
	return h.number
}

// saidAt returns when this process, as the coordinator, first announced a number; false if it did
// not, or too long ago.
func (h *hearing) saidAt(number peer.Announcement) (env.Time, bool) {
	known := number > 0 && number <= h.number && number+saidKept > h.number && number>>32 == h.number>>32
	return h.said[number%saidKept], known
}

// echo returns the number that a heartbeat to a member of the meta log repeats, 0 if another
// member coordinates.
func (h *hearing) echo(to env.ID) peer.Announcement {
	if h.hears && h.from == to {
		return h.mark
	}
	return 0
}

// heardMeta notes a message of the coordinator.
func (n *Node) heardMeta(from env.ID, mark peer.Announcement) {
	h := &n.hearing
	if h.hears && h.from == from && mark < h.mark { // a delayed message
		return
	}
	h.from, h.mark, h.heard, h.hears = from, mark, n.env.Now(), true
}

// trustSightings lets a new coordinator count nodes as heard if it heard them before it led: until
// then it announced no number that they could repeat.
func (n *Node) trustSightings() {
	n.hearing.troubles = n.hearing.troubles[:0]
	for i := range n.sightings {
		if s := &n.sightings[i]; s.Known {
			s.At = s.heard
		}
	}
}

// isDeaf reports whether the coordinator treats a node as deaf to its announcements. A deaf node
// finds all others silent, and proposes to remove them.
func (n *Node) isDeaf(id env.ID) bool {
	i := n.sightingOf(id)
	return i < 0 || n.env.Now().Sub(n.sightings[i].At) >= n.cluster.Patience.Silence
}

// hearsMeta reports whether the node has heard the meta log lately. If it has, the silence of other
// nodes is not its own deafness.
func (n *Node) hearsMeta() bool {
	return n.hearing.hears && n.env.Now().Sub(n.hearing.heard) < n.cluster.Patience.Silence/2
}

// hearingBit marks the reads of the meta log that confirm that the coordinator hears a majority.
// The bits below it are the instant of the question.
const hearingBit = 1 << 62

// confirmHearing lets the meta log confirm, again and again, that the coordinator hears a
// majority of its members.
func (n *Node) confirmHearing() {
	if h := &n.hearing; !h.hears || h.from != n.self.Node || n.env.Now().Sub(h.heard) >= n.cluster.Patience.Silence/4 {
		h.from, h.mark = n.self.Node, 0
		_ = n.log.Read(n.env, hearingBit|uint64(n.env.Now())) // refused: it is asked again
		n.outcomes()
	}
}

// confirmed notes the outcome of such a read.
func (h *hearing) confirmed(token uint64, succeeded bool) {
	if succeeded {
		h.heard, h.hears = max(h.heard, env.Time(token&^hearingBit)), true
	}
}

// notice notes the troubles that a leader reports of its shards.
func (n *Node) notice(of control.Member, found []peer.Trouble) {
	h, now := &n.hearing, n.env.Now()
	for i := range found {
		t := &found[i]
		h.troubles = slices.DeleteFunc(h.troubles, func(old noticed) bool { return old.Shard == t.Shard && old.Leader == of })
		h.troubles = append(h.troubles, noticed{control.Trouble{Shard: t.Shard, Epoch: t.Epoch, Leader: of, Unconfirmed: t.Unconfirmed, Unsynced: t.Unsynced}, now})
	}
}

// lately returns the troubles that leaders reported lately, and forgets older ones: a leader no
// longer names a shard that has recovered.
func (h *hearing) lately(now env.Time, silence env.Duration) []control.Trouble {
	h.troubles = slices.DeleteFunc(h.troubles, func(t noticed) bool { return now.Sub(t.at) >= silence/2 })
	h.seen = h.seen[:0]
	for i := range h.troubles {
		h.seen = append(h.seen, h.troubles[i].Trouble)
	}
	return h.seen
}

// troubles returns the shards that the node leads and that are in trouble. It names a shard early,
// a slow one from half of its bound on: the coordinator applies the bounds.
func (n *Node) troubles() []peer.Trouble {
	n.hearing.found = n.hearing.found[:0]
	p := &n.cluster.Patience
	for _, g := range n.groups {
		unconfirmed, unsynced := g.Trouble(n.env)
		if unconfirmed < p.Silence && unsynced < p.Slow/2 {
			continue
		}
		n.hearing.found = append(n.hearing.found, peer.Trouble{Shard: g.Shard(), Epoch: g.Known().Epoch, Unconfirmed: unconfirmed, Unsynced: unsynced})
	}
	return n.hearing.found
}

// listen tells a group whether the node is deaf.
func (n *Node) listen(g *group.Group) { g.Deaf(n.env, !n.hearsMeta()) }
