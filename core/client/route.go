package client

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/placement"
	"github.com/tidaldb/tidalsim/core/wire"
)

// Where a call goes. The client knows the replicas of a shard,
// and believes one of them to lead: the founding leader, the one that a redirect names, or, if
// no answer comes, the next one. A wrong guess costs a redirect, never an error.

// maxRedirects is how often a call follows redirects before it waits.
const maxRedirects = 3

// maxInsists is how often a call asks a node again that does not serve yet, and leads by what
// another node says, before it turns to others. They may not answer at all.
const maxInsists = 4

// Query is how a read is to be answered.
type Query struct {
	Level wire.Level
	Bound env.Duration // Bounded: how old the answer may be
	// Anywhere sends it to any replica, and not to the one that leads.
	Anywhere bool
	// Chosen: To is the replica that an Anywhere query goes to first, if it is one.
	Chosen bool
	To     env.ID
}

// hop is where a call is on its way.
type hop struct {
	to        env.ID // of a read that goes anywhere
	sent      env.ID // where it was sent last
	redirects int
	waits     uint32 // for a connection or a session
	named     bool   // another node says that the one where it was sent leads
	insists   int    // how often that node was asked again
	stays     bool   // it goes there once more
}

// believe takes a node for the leader of a placement's shard from here on.
func (c *Client) believe(p *placement.Entry, leader env.ID) {
	k := keyed.Key{A: uint64(p.Shard)}
	known := c.leaders.Find(k)
	if known == nil {
		known = c.leaders.Add(k)
	}
	*known = leader
}

// aim chooses the replica for a call that goes anywhere.
func (c *Client) aim(k *call) {
	if k.kind != wire.Query || !k.query.Anywhere {
		return
	}
	replicas := c.places.Replicas(k.place.Shard)
	if k.query.Chosen && slices.Contains(replicas, k.query.To) {
		k.hop.to = k.query.To
		return
	}
	draw := c.env.Chance(env.Key{Kind: wire.KeyMessage + uint16(wire.Query), A: k.id})
	k.hop.to = replicas[int(draw>>32*uint64(len(replicas))>>32)]
}

// target returns where a call goes: to the node of its placement, unless the client has learned of
// another leader since. Most clients never do, so that they keep nothing of a shard.
func (c *Client) target(k *call) env.ID {
	if k.query.Anywhere {
		return k.hop.to
	}
	if leader := c.leaders.Find(keyed.Key{A: uint64(k.place.Shard)}); leader != nil {
		return *leader
	}
	return k.place.Node
}

// lookElsewhere makes sure that a call which waits for a connection, or for its
// session, does not wait for ever for a node that is gone.
func (c *Client) lookElsewhere(k *call) {
	k.hop.sent = c.target(k)
	k.due = c.env.Now().Add(c.backoff(min(k.hop.waits, 2), k.id))
	k.hop.waits++
}

// patient bounds the attempts by which the wait for an answer grows. A call that another
// replica may answer does not wait long for a silent node. A change waits a little longer than
// a query, since a slow leader may still answer it. No other node can take the change of a shard
// with one replica, and the client does not ask a busy node more often.
func (c *Client) patient(k *call) uint32 {
	switch {
	case k.kind == wire.Query:
		return min(k.attempts, 2)
	case len(c.places.Replicas(k.place.Shard)) > 1:
		return min(k.attempts, 3)
	}
	return k.attempts
}

// goOn sends a call that was not answered somewhere else: to the next replica.
func (c *Client) goOn(k *call) {
	stays := k.hop.stays
	k.hop.stays = false
	if stays || k.hop.sent != c.target(k) {
		return
	}
	k.hop.redirects = 0
	c.next(k)
}

// insists reports whether a call that was refused for now stays with the node that refused
// it: one that is about to lead.
func (c *Client) insists(k *call) bool {
	if !k.hop.named || k.hop.insists >= maxInsists || k.hop.sent != c.target(k) {
		return false
	}
	k.hop.insists++
	k.hop.stays = true
	return true
}

// next turns to the replica after the one that a call goes to.
func (c *Client) next(k *call) {
	k.hop.named = false
	replicas, from := c.places.Replicas(k.place.Shard), c.target(k)
	switch to := replicas[(slices.Index(replicas, from)+1)%len(replicas)]; {
	case k.query.Anywhere:
		k.hop.to = to
	case to != from:
		c.believe(k.place, to)
	}
}

// redirected follows a refusal that says where to go, and reports whether it was one.
func (c *Client) redirected(i int, m *wire.Message) bool {
	k := &c.calls[i]
	switch m.Code {
	case wire.Moved:
		if m.NotLeader.Known && !k.query.Anywhere {
			c.believe(k.place, m.NotLeader.Leader)
			k.hop.named, k.hop.insists = true, 0
		} else if k.hop.sent == c.target(k) {
			c.next(k)
		}
	case wire.NotYet:
		if k.hop.sent == c.target(k) {
			c.next(k)
		}
	default:
		return false
	}
	k.hop.redirects++
	if k.hop.redirects > maxRedirects || m.Code == wire.Moved && !m.NotLeader.Known {
		k.hop.redirects = 0
		k.due = c.env.Now().Add(c.backoff(min(k.attempts, 2), k.id))
		return true
	}
	c.try(i)
	return true
}

// saw keeps the newest record that an answer showed, for session reads.
func (c *Client) saw(p *placement.Entry, m *wire.Message) {
	if s := c.sessionOf(p); m.Seq > s.token.Seq {
		s.token = wire.Token{Epoch: m.Epoch, Seq: m.Seq}
	}
}
