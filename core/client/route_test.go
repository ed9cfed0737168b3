package client

import (
	"slices"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/placement"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// caller is a client among scripted nodes, on a network that takes no time. Nodes welcome it
// and open its sessions; what else they answer the test says. There is no jitter.
type caller struct {
	env.Env
	testing.TB
	*Client
	places *placement.Map
	now    env.Time
	timer  env.Time
	mail   []letter // under way
	// answers is what a node says to an attempt of the call; nil: nothing.
	answers func(to env.ID, m *wire.Message) *wire.Message
	tried   []attempt
}

// letter is a message to a node.
type letter struct {
	to      env.ID
	payload []byte
}

// attempt is one of the call.
type attempt struct {
	to env.ID
	at env.Time
}

func (c *caller) Now() env.Time                       { return c.now }
func (c *caller) Nonce() env.Nonce                    { return env.Nonce{A: 1} }
func (c *caller) Chance(env.Key) uint64               { return 0 }
func (c *caller) SetTimer(_ env.TimerID, at env.Time) { c.timer = at }
func (c *caller) Send(to env.ID, _ env.Key, payload []byte) {
	c.mail = append(c.mail, letter{to: to, payload: slices.Clone(payload)})
}

// deliver has every message answered.
func (c *caller) deliver() {
	for len(c.mail) > 0 {
		l := c.mail[0]
		c.mail = c.mail[1:]
		var m wire.Message
		if err := wire.Decode(l.payload, &m); err != nil {
			c.Fatal(err)
		}
		var answer *wire.Message
		switch m.Kind {
		case wire.Hello:
			answer = &wire.Message{Kind: wire.Welcome, Nonce: m.Nonce, Conn: uint64(l.to) + 1}
		case wire.OpenSession:
			answer = &wire.Message{Kind: wire.SessionOpen, Nonce: m.Nonce, Session: 3}
		default:
			c.tried = append(c.tried, attempt{l.to, c.now})
			answer = c.answers(l.to, &m)
		}
		if answer != nil {
			answer.Frame, answer.Request, answer.Tenant = m.Frame, m.Request, m.Tenant
			c.Step(&env.Event{Kind: env.Message, From: l.to, At: c.now, Data: wire.Append(nil, answer)})
		}
	}
}

// attempts lets a client make a call until it was sent so often.
func (c *caller) attempts(n int, call func()) []attempt {
	c.Helper()
	c.Client = New(c, c.places, DefaultPatience)
	call()
	for c.deliver(); len(c.tried) < n; c.deliver() {
		if c.timer == env.Never || c.Pending() == 0 {
			c.Fatalf("the call was sent to %v, and not again", c.tried)
		}
		c.now = max(c.now, c.timer)
		c.Step(&env.Event{Kind: env.Timer, At: c.now})
	}
	return c.tried[:n]
}

// nodes is where attempts went.
func nodes(list []attempt) (to []env.ID) {
	for _, a := range list {
		to = append(to, a.to)
	}
	return to
}

func calling(t testing.TB, places *placement.Map) *caller {
	places.Index()
	return &caller{TB: t, places: places, timer: env.Never}
}

// twoNodes places tenant 1 on node 0 and tenant 2 on node 1.
func twoNodes() *placement.Map {
	return &placement.Map{Placements: []placement.Entry{
		{Tenant: tenant.Config{ID: 1}, Epoch: 1}, {Tenant: tenant.Config{ID: 2}, Epoch: 1, Shard: 1, Node: 1},
	}}
}

// grouped is a caller of a cluster whose tenant 8 is in a group of nodes 0, 1 and 2; it
// believes node 0 to lead.
func grouped(t testing.TB) *caller {
	return calling(t, &placement.Map{
		Placements: []placement.Entry{{Tenant: tenant.Config{ID: 8}, Epoch: 1, Shard: 1}},
		Groups:     []placement.Group{{Shard: 1, Replicas: []env.ID{0, 1, 2}}},
	})
}

// A node that leads according to another node, and does not serve yet, is asked again a few
// times; then the call turns to others. Without such a word the call turns to others at once.
func TestACallInsistsForAWhile(t *testing.T) {
	refusal := func(code wire.Code, leader env.ID) *wire.Message {
		m := &wire.Message{Kind: wire.Refusal, Code: code}
		if code == wire.Moved {
			m.NotLeader = wire.NotLeader{Known: true, Leader: leader}
		}
		return m
	}
	notServing := refusal(wire.NotServing, 0)
	for _, c := range []struct {
		name    string
		answers func(to env.ID, n int) *wire.Message // of the call's n-th attempt, from 0
		want    []env.ID
	}{
		{"nobody says who leads", func(env.ID, int) *wire.Message { return notServing }, []env.ID{0, 1, 2, 0, 1}},
		{"node 0 says that node 1 leads", func(to env.ID, _ int) *wire.Message {
			if to == 0 {
				return refusal(wire.Moved, 1)
			}
			return notServing
		}, []env.ID{0, 1, 1, 1, 1, 1, 2, 0, 1, 1, 1, 1, 1, 2}},
		{"it is said once, and counts no longer when another node was asked", func(_ env.ID, n int) *wire.Message {
			if n == 0 {
				return refusal(wire.Moved, 1)
			}
			return notServing
		}, []env.ID{0, 1, 1, 1, 1, 1, 2, 0, 1, 2}},
		{"it is said of another node meanwhile", func(_ env.ID, n int) *wire.Message {
			switch n {
			case 0:
				return refusal(wire.Moved, 1)
			case 3:
				return refusal(wire.Moved, 2)
			}
			return notServing
		}, []env.ID{0, 1, 1, 1, 2, 2, 2, 2, 2, 0}},
		{"it sends the call on to nobody", func(_ env.ID, n int) *wire.Message {
			switch n {
			case 0:
				return refusal(wire.Moved, 1)
			case 1:
				return refusal(wire.NotYet, 0)
			}
			return notServing
		}, []env.ID{0, 1, 2, 0, 1}},
		{"it says nothing at last", func(_ env.ID, n int) *wire.Message {
			switch n {
			case 0:
				return refusal(wire.Moved, 1)
			case 1:
				return notServing
			}
			return nil
		}, []env.ID{0, 1, 1, 2, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := grouped(t)
			w.answers = func(to env.ID, _ *wire.Message) *wire.Message { return c.answers(to, len(w.tried)-1) }
			got := w.attempts(len(c.want), func() { w.Put(8, 1) })
			if !slices.Equal(nodes(got), c.want) {
				t.Errorf("asked %v, want %v", nodes(got), c.want)
			}
			for i := 1; i < len(got); i++ {
				if again := got[i].at.Sub(got[i-1].at); got[i].to == got[i-1].to && again > DefaultPatience.Attempt<<2 {
					t.Errorf("node %d, which is about to lead, is asked again after %d ns", got[i].to, again)
				}
			}
		})
	}
}

// How long a call waits for a node that says nothing grows with its attempts, but where
// another replica may answer only for so many: two of a query, three of a change.
func TestWhoSaysNothingIsWaitedForNotForLong(t *testing.T) {
	const ms = env.Millisecond
	alone := func(t testing.TB) *caller {
		return calling(t, twoNodes())
	}
	for _, c := range []struct {
		name    string
		cluster func(testing.TB) *caller
		id      tenant.ID
		call    func(c *caller, id tenant.ID)
		want    []env.Duration
	}{
		{"a change in a replica group", grouped, 8, func(c *caller, id tenant.ID) { c.Write(id, signal.Signal{Entity: 1, Weight: 1}) },
			[]env.Duration{10 * ms, 20 * ms, 40 * ms, 80 * ms, 80 * ms, 80 * ms}},
		{"a query in a replica group", grouped, 8, func(c *caller, id tenant.ID) { c.Query(id, 1, Query{Level: wire.Session}) },
			[]env.Duration{10 * ms, 20 * ms, 40 * ms, 40 * ms, 40 * ms}},
		{"a change of a slot that one node has", alone, 1, func(c *caller, id tenant.ID) { c.Write(id, signal.Signal{Entity: 1, Weight: 1}) },
			[]env.Duration{10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 200 * ms, 200 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.cluster(t)
			w.answers = func(env.ID, *wire.Message) *wire.Message { return nil }
			tried := w.attempts(len(c.want)+1, func() { c.call(w, c.id) })
			var got []env.Duration
			for i := 1; i < len(tried); i++ {
				got = append(got, tried[i].at.Sub(tried[i-1].at))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("waited %v, want %v", got, c.want)
			}
		})
	}
}
