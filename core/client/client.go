// Package client holds the two machines that talk to nodes: the Client sends the signals and
// queries of an application, and the Operator the commands for tenants and nodes. Both are state
// machines over package env, as a node is, and know of a node only its messages.
//
// The one rule to remember: a call or command ends as Refused only if no attempt of it can still
// take effect; otherwise it is Unknown.
package client

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/placement"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// Outcome is how a call ended.
type Outcome uint8

// The outcomes of a call.
const (
	Acked   Outcome = iota + 1 // it has its answer
	Refused                    // every one of its attempts was refused definitely: it has no effect
	Unknown                    // it was given up with an attempt unresolved: it may have its effect, once
)

// Result is the end of one call.
type Result struct {
	Call    uint64 // as Write, Put, Delete and Query returned it
	Outcome Outcome
	Code    wire.Code        // why it was refused
	Seq     lineage.Seq      // acked: of its record; of a read: last record of the slot folded
	From    env.ID           // acked: the node that answered
	State   signal.State     // Query acked
	Op      signal.Operation // Write, Put, Delete: its identity; Session 0 if it was never sent
}

// Patience are the client's bounds in time.
type Patience struct {
	Attempt  env.Duration // first wait for an answer; doubles with each attempt
	Longest  env.Duration // wait between attempts, at most
	Deadline env.Duration // for a call, after which it is Unknown
}

// DefaultPatience suits one data centre.
var DefaultPatience = Patience{Attempt: 10 * env.Millisecond, Longest: 200 * env.Millisecond, Deadline: 10 * env.Second}

// Client sends signals and queries to the nodes that hold the slots. It repeats a
// request under the same number until it is answered, so that a request is
// applied at most once however often it arrives. It uses timer 0.
//
// Invariant: a call is in calls from when it is made until its Result is
// returned.
type Client struct {
	env      env.Env
	places   *placement.Map
	patience Patience

	links    keyed.List[link]    // by node
	linksDue env.Time            // the earliest instant at which one of links is
	leaders  keyed.List[env.ID]  // by shard: the leader that it has learned of, if it is another than at first
	sessions keyed.List[session] // by tenant and slot
	calls    []call
	results  []Result
	unread   Result
	spare    [][]uint64 // memory of the frames of calls that are over
	lastCall uint64
	frame    uint64 // of the last frame; increases over all connections
	nonce    uint64 // of the last connection or session

	in     wire.Message
	out    []byte
	routed routed
}

// routed is the last answer to where an entity lives; place is nil at first, and if the
// entity lives nowhere.
type routed struct {
	tenant tenant.ID
	entity signal.Entity
	place  *placement.Entry
}

// link is the client's end of its connection to a node.
type link struct {
	node     env.ID
	nonce    uint64
	conn     uint64 // 0: not connected
	attempts uint32
	due      env.Time // when hello is repeated; Never if it need not be
}

type session struct {
	id      uint64 // 0: not open
	nonce   uint64
	request uint64     // last number given out
	opening bool       // a call of kind OpenSession is under way
	token   wire.Token // the newest record of the slot that an answer showed
}

// call is a request under way.
type call struct {
	id       uint64
	kind     wire.Kind // Write, Put, Delete, Query, OpenSession
	place    *placement.Entry
	signal   signal.Signal    // of a Write; else the entity only
	op       signal.Operation // of a change: once it was sent
	nonce    uint64           // OpenSession
	query    Query            // Query
	frames   []uint64         // attempts that are not resolved
	attempts uint32
	hop      hop      // where it goes
	due      env.Time // when it is sent (again); Never: it waits for its link or session
	deadline env.Time
}

// New returns a client that knows where the slots are.
func New(e env.Env, places *placement.Map, p Patience) *Client {
	// Nonces order the connections of this start, and those of another one are far away.
	return &Client{env: e, places: places, patience: p, linksDue: env.Never, nonce: e.Nonce().A, out: make([]byte, 0, wire.MaxSize)}
}

// Write submits a signal. It returns the call's number, or false if the tenant is
// not placed anywhere.
func (c *Client) Write(id tenant.ID, s signal.Signal) (uint64, bool) {
	return c.ask(id, wire.Write, s)
}

// Put creates an entity; creating what exists changes nothing. It returns as Write
// does.
func (c *Client) Put(id tenant.ID, e signal.Entity) (uint64, bool) {
	return c.ask(id, wire.Put, signal.Signal{Entity: e})
}

// Delete removes an entity with all its signals. It returns as Write does.
func (c *Client) Delete(id tenant.ID, e signal.Entity) (uint64, bool) {
	return c.ask(id, wire.Delete, signal.Signal{Entity: e})
}

// Query asks for the state of an entity at a level.
func (c *Client) Query(id tenant.ID, e signal.Entity, q Query) (uint64, bool) {
	place := c.route(id, e)
	if place == nil {
		return 0, false
	}
	k := c.add(wire.Query, place)
	k.signal.Entity, k.query = e, q
	return c.begin(k), true
}

// ask makes a call that needs no more than s says: of s, all but a Write have the
// entity only.
func (c *Client) ask(id tenant.ID, kind wire.Kind, s signal.Signal) (uint64, bool) {
	place := c.route(id, s.Entity)
	if place == nil {
		return 0, false
	}
	k := c.add(kind, place)
	k.signal = s
	return c.begin(k), true
}

// begin sends the call that was added last, and returns its number.
func (c *Client) begin(k *call) uint64 {
	k.deadline = c.env.Now().Add(c.patience.Deadline)
	number := k.id
	c.aim(k)
	c.try(len(c.calls) - 1)
	c.rearm()
	return number
}

// add puts a call behind those under way. It is not due, and has no deadline.
func (c *Client) add(kind wire.Kind, place *placement.Entry) *call {
	c.lastCall++
	n := len(c.calls)
	c.calls = slices.Grow(c.calls, 1)[:n+1]
	k := &c.calls[n]
	*k = call{}
	k.id, k.kind, k.place, k.frames = c.lastCall, kind, place, c.noFrames()
	k.due, k.deadline = env.Never, env.Never
	return k
}

// noFrames returns an empty list of frames, in the memory of a call that is over if
// there is any.
func (c *Client) noFrames() []uint64 {
	n := len(c.spare)
	if n == 0 {
		return nil
	}
	frames := c.spare[n-1]
	c.spare = c.spare[:n-1]
	return frames
}

// Slot returns the slot in which an entity of a tenant lives; false if the tenant
// is not placed anywhere.
func (c *Client) Slot(id tenant.ID, e signal.Entity) (lineage.Slot, bool) {
	if p := c.route(id, e); p != nil {
		return p.Slot, true
	}
	return 0, false
}

// route returns where an entity lives, nil if its tenant is not placed. Whoever asks
// for the slot of an entity is about to make a call that names it.
func (c *Client) route(id tenant.ID, e signal.Entity) *placement.Entry {
	if l := &c.routed; l.place == nil || l.tenant != id || l.entity != e {
		l.tenant, l.entity, l.place = id, e, c.places.Route(id, e)
	}
	return c.routed.place
}

// Identity returns the identity of a change that is under way; false if no attempt
// of it was sent yet.
func (c *Client) Identity(call uint64) (signal.Operation, bool) {
	i := c.find(call)
	if i < 0 {
		return signal.Operation{}, false
	}
	return c.calls[i].op, c.calls[i].op.Session != 0
}

// Pending returns the number of calls under way, those of the client's own
// included.
func (c *Client) Pending() int { return len(c.calls) }

// Step handles one event and returns the calls that ended; valid until the next
// Step.
func (c *Client) Step(ev *env.Event) []Result {
	c.results = c.results[:0]
	switch ev.Kind {
	case env.Message:
		if wire.Decode(ev.Data, &c.in) == nil {
			c.message(ev.From, &c.in)
		}
	case env.Timer:
		if ev.Timer == 0 {
			c.timeouts()
		}
	}
	c.rearm()
	return c.results
}

func (c *Client) message(from env.ID, m *wire.Message) {
	switch m.Kind {
	case wire.Welcome:
		c.welcome(c.linkTo(from), m)
	case wire.Reset:
		if l := c.linkTo(from); l.conn != 0 && l.conn == m.Conn {
			c.connect(l)
		}
	case wire.SessionOpen:
		c.sessionOpen(m)
	case wire.Ack:
		if i := c.findChange(m); i >= 0 {
			c.saw(c.calls[i].place, m)
			r := c.finish(i)
			r.Outcome, r.Seq, r.From = Acked, m.Seq, from
		}
	case wire.State:
		if i := c.find(m.Request); i >= 0 && c.calls[i].kind == wire.Query {
			c.saw(c.calls[i].place, m)
			r := c.finish(i)
			r.Outcome, r.Seq, r.State, r.From = Acked, m.Seq, m.State, from
		}
	case wire.Refusal:
		c.refusal(m)
	}
}

// find returns the place of a call, -1 if it is over.
func (c *Client) find(id uint64) int {
	for i := range c.calls {
		if c.calls[i].id == id {
			return i
		}
	}
	return -1
}

// findChange returns the place of the change that m acknowledges, -1 if it is over.
func (c *Client) findChange(m *wire.Message) int {
	for i := range c.calls {
		k := &c.calls[i]
		if k.kind.Changes() && k.place.Tenant.ID == m.Tenant && k.place.Slot == m.Slot &&
			k.op == (signal.Operation{Session: m.Session, Request: m.Request}) {
			return i
		}
	}
	return -1
}

// finish ends call i, and returns its result, in which the caller says how it ended.
// That of a call of the client's own goes nowhere.
func (c *Client) finish(i int) *Result {
	k, r := &c.calls[i], &c.unread
	if k.kind != wire.OpenSession {
		n := len(c.results)
		c.results = slices.Grow(c.results, 1)[:n+1]
		r = &c.results[n]
	}
	*r = Result{}
	r.Call, r.Op = k.id, k.op
	c.spare = append(c.spare, k.frames[:0])
	c.calls = append(c.calls[:i], c.calls[i+1:]...)
	return r
}

// giveUp ends call i without an answer.
func (c *Client) giveUp(i int, o Outcome, code wire.Code) {
	r := c.finish(i)
	r.Outcome, r.Code = o, code
}

// refusal handles the refusal of one attempt. The call is refused only if no
// other attempt of it is unresolved; otherwise its outcome is unknown.
func (c *Client) refusal(m *wire.Message) {
	i := c.findFrame(m.Frame)
	if i < 0 {
		return
	}
	k := &c.calls[i]
	if m.Code.Definite() {
		k.resolve(m.Frame)
	}
	if m.Code == wire.SessionExpired {
		if s := c.sessionOf(k.place); s.id == m.Session {
			*s = session{token: s.token}
		}
	}
	switch {
	case c.redirected(i, m):
	case m.Code.Again():
		attempts := k.attempts
		if c.insists(k) {
			attempts = min(attempts, 2)
		}
		k.due = c.env.Now().Add(c.backoff(attempts, k.id))
	case k.kind == wire.OpenSession:
		c.sessionRefused(i, m.Code)
	case len(k.frames) == 0:
		c.giveUp(i, Refused, m.Code)
	default:
		c.giveUp(i, Unknown, m.Code)
	}
}

// sessionRefused ends an opening that cannot succeed, and with it the changes
// that wait for it: none of them was sent.
func (c *Client) sessionRefused(i int, code wire.Code) {
	place := c.calls[i].place
	c.sessionOf(place).opening = false
	c.finish(i)
	for j := len(c.calls) - 1; j >= 0; j-- {
		if k := &c.calls[j]; k.kind.Changes() && k.place == place && k.op.Session == 0 {
			c.giveUp(j, Refused, code)
		}
	}
}

func (c *Client) findFrame(frame uint64) int {
	for i := range c.calls {
		for _, f := range c.calls[i].frames {
			if f == frame {
				return i
			}
		}
	}
	return -1
}

func (k *call) resolve(frame uint64) {
	for i, f := range k.frames {
		if f == frame {
			k.frames = append(k.frames[:i], k.frames[i+1:]...)
			return
		}
	}
}

// timeouts sends hellos and calls that are due again, and gives up calls past their deadline.
func (c *Client) timeouts() {
	now := c.env.Now()
	for i := 0; i < c.links.Len() && c.linksDue <= now; i++ {
		if l := &c.links.All()[i]; l.due <= now {
			c.hello(l)
		}
	}
	for i := len(c.calls) - 1; i >= 0; i-- {
		switch k := &c.calls[i]; {
		case k.kind != wire.OpenSession && k.deadline <= now:
			c.expire(i)
		case k.due <= now:
			c.goOn(k)
			c.try(i)
		}
	}
}

// expire gives a call up. If none of its attempts is unresolved it has no effect.
func (c *Client) expire(i int) {
	if k := &c.calls[i]; len(k.frames) == 0 {
		// The log may have been cut below the record that began the session, if an operator
		// has accepted a loss: then no node ever knows the session.
		if s := c.sessionOf(k.place); k.kind.Changes() && k.op.Session != 0 && s.id == k.op.Session {
			*s = session{token: s.token}
		}
		c.giveUp(i, Refused, wire.NotServing)
		return
	}
	c.giveUp(i, Unknown, wire.NoError)
}

// rearm sets the timer to the earliest instant at which something is due.
func (c *Client) rearm() {
	at := c.linksDue
	for i := range c.calls {
		at = min(at, c.calls[i].due)
		if c.calls[i].kind != wire.OpenSession {
			at = min(at, c.calls[i].deadline)
		}
	}
	c.env.SetTimer(0, at)
}

// backoff is how long to wait after so many attempts, with jitter.
func (c *Client) backoff(attempts uint32, identity uint64) env.Duration {
	wait := c.patience.Longest
	if attempts < 16 {
		wait = min(wait, c.patience.Attempt<<attempts)
	}
	jitter := c.env.Chance(env.Key{Kind: wire.KeyMessage, A: identity, B: uint64(attempts)})
	return wait + env.Duration(jitter>>32)*wait/4>>32
}
