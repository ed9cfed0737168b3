package client

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/placement"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// try sends call i if its connection, and for a change its session, is there;
// otherwise it sees to them, and the call waits.
func (c *Client) try(i int) {
	k := &c.calls[i]
	k.due = env.Never
	l := c.linkTo(c.target(k))
	if l.conn == 0 {
		if l.due == env.Never {
			c.connect(l)
		}
		c.lookElsewhere(k)
		return
	}
	if k.kind.Changes() && k.op.Session == 0 {
		s := c.sessionOf(k.place)
		if s.id == 0 {
			c.openSession(k.place)
			return
		}
		s.request++
		k.op = signal.Operation{Session: s.id, Request: s.request}
	}
	c.transmit(l, k)
}

// transmit sends one attempt of a call.
func (c *Client) transmit(l *link, k *call) {
	c.frame++
	k.frames = append(k.frames, c.frame)
	var m wire.Message // a literal would be built elsewhere and copied
	m.Kind, m.Conn, m.Frame, m.Request = k.kind, l.conn, c.frame, k.id
	m.Tenant, m.Slot, m.Placement = k.place.Tenant.ID, k.place.Slot, k.place.Epoch
	m.Entity, m.Nonce = k.signal.Entity, k.nonce
	if k.kind.Changes() {
		m.Session, m.Request, m.Floor, m.Signal = k.op.Session, k.op.Request, c.floor(k), k.signal
	}
	if k.kind == wire.Query {
		m.Level, m.Bound, m.Token = k.query.Level, k.query.Bound, c.sessionOf(k.place).token
	}
	c.send(l.node, &m, k.attempts)
	k.hop.sent = l.node
	k.due = c.env.Now().Add(c.backoff(c.patient(k), k.id))
	k.attempts++
}

// floor is the lowest number of the call's session that is still in use.
func (c *Client) floor(k *call) uint64 {
	floor := k.op.Request
	for i := range c.calls {
		if o := &c.calls[i]; o.kind.Changes() && o.place == k.place && o.op.Session == k.op.Session {
			floor = min(floor, o.op.Request)
		}
	}
	return floor
}

func (c *Client) send(to env.ID, m *wire.Message, attempt uint32) {
	c.out = wire.Append(c.out[:0], m)
	c.env.Send(to, env.Key{Kind: wire.KeyMessage + uint16(m.Kind), Attempt: attempt, A: uint64(m.Tenant)<<32 ^ m.Session, B: m.Request}, c.out)
}

// linkTo returns the link to a node, making it if it is the first use.
func (c *Client) linkTo(node env.ID) *link {
	k := keyed.Key{A: uint64(node)}
	l := c.links.Find(k)
	if l == nil {
		l = c.links.Add(k)
		*l = link{node: node, due: env.Never}
	}
	return l
}

// connect begins a new connection.
func (c *Client) connect(l *link) {
	c.nextNonce()
	*l = link{node: l.node, nonce: c.nonce}
	c.hello(l)
}

func (c *Client) hello(l *link) {
	c.send(l.node, &wire.Message{Kind: wire.Hello, Nonce: l.nonce}, l.attempts)
	l.due = c.env.Now().Add(c.backoff(l.attempts, l.nonce))
	l.attempts++
	c.lookForDue()
}

// lookForDue finds the earliest instant at which a link is due.
func (c *Client) lookForDue() {
	c.linksDue = env.Never
	for i := range c.links.All() {
		c.linksDue = min(c.linksDue, c.links.All()[i].due)
	}
}

// welcome completes a connection and sends the calls that waited for it, and once more
// those sent over the connection before.
func (c *Client) welcome(l *link, m *wire.Message) {
	if l.conn != 0 || l.nonce != m.Nonce {
		return
	}
	l.conn, l.due = m.Conn, env.Never
	c.lookForDue()
	for i := range len(c.calls) { // not those that trying adds: they were tried
		if c.target(&c.calls[i]) == l.node {
			c.try(i)
		}
	}
}

// sessionOf returns the session in a slot, making it if it is the first use.
func (c *Client) sessionOf(p *placement.Entry) *session {
	k := keyed.Key{A: uint64(p.Tenant.ID), B: uint64(p.Slot)}
	s := c.sessions.Find(k)
	if s == nil {
		s = c.sessions.Add(k)
		*s = session{}
	}
	return s
}

// openSession makes a call of the client's own that opens the session in a slot.
func (c *Client) openSession(p *placement.Entry) {
	s := c.sessionOf(p)
	if s.opening {
		return
	}
	s.opening = true
	c.nextNonce()
	s.nonce = c.nonce
	k := c.add(wire.OpenSession, p)
	k.nonce = s.nonce
	c.aim(k)
	c.try(len(c.calls) - 1)
}

// sessionOpen takes the session and sends the changes that waited for it.
func (c *Client) sessionOpen(m *wire.Message) {
	i := c.find(m.Request)
	if i < 0 || c.calls[i].kind != wire.OpenSession || c.calls[i].nonce != m.Nonce {
		return
	}
	place := c.calls[i].place
	c.finish(i)
	s := c.sessionOf(place)
	s.id, s.opening, s.request = m.Session, false, 0
	for i := 0; i < len(c.calls); i++ {
		if k := &c.calls[i]; k.kind.Changes() && k.place == place && k.op.Session == 0 {
			c.try(i)
		}
	}
}

// nextNonce counts on to the nonce of another connection or session. 0 is none.
func (c *Client) nextNonce() { c.nonce = max(c.nonce+1, 1) }
