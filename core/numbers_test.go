package core

import (
	"math"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/wire"
)

// numbering is the world of one start of a client: it remembers the nonces of the sessions
// that the client asks for.
type numbering struct {
	env.Env
	testing.TB
	nonce  env.Nonce
	asked  wire.Message // the last message
	opened map[uint64]bool
}

func (n *numbering) Nonce() env.Nonce               { return n.nonce }
func (n *numbering) Now() env.Time                  { return 0 }
func (n *numbering) SetTimer(env.TimerID, env.Time) {}
func (n *numbering) Chance(env.Key) uint64          { return 0 }

func (n *numbering) Send(_ env.ID, _ env.Key, payload []byte) {
	if err := wire.Decode(payload, &n.asked); err != nil {
		n.Fatal(err)
	}
	if n.asked.Kind != wire.OpenSession {
		return
	}
	if n.opened[n.asked.Nonce] || n.asked.Nonce == 0 {
		n.Fatalf("after %d sessions of all starts the nonce %d is used again", len(n.opened), n.asked.Nonce)
	}
	n.opened[n.asked.Nonce] = true
}

// A start of a client names as many sessions as it likes. None of these names is 0, none is
// given twice, and no other start of that client gives one of them, also if counting passes the
// highest number there is.
func TestSessionsOfAClientAreNeverNamedAgain(t *testing.T) {
	opened, want := map[uint64]bool{}, 0
	for i, start := range []struct {
		first    uint64
		sessions int
	}{{1 << 63, 1<<20 + 1<<10}, {math.MaxUint64 - 1<<10, 1 << 11}, {1 << 40, 1 << 11}} {
		n := &numbering{TB: t, nonce: env.Nonce{A: start.first, B: uint64(i + 1)}, opened: opened}
		c := NewClient(n, twoNodes(), DefaultPatience)
		hear := func(m wire.Message) {
			c.Step(&env.Event{Kind: env.Message, From: 0, Data: wire.Append(nil, &m)})
		}
		c.Put(1, 1)
		hear(wire.Message{Kind: wire.Welcome, Nonce: n.asked.Nonce, Conn: 1})
		for session := range start.sessions {
			if session > 0 {
				c.Put(1, 1)
			}
			hear(wire.Message{Kind: wire.Refusal, Frame: n.asked.Frame, Code: wire.UnknownTenant})
		}
		if want += start.sessions; len(opened) != want || c.Pending() != 0 {
			t.Fatalf("%d sessions were asked for, want %d; %d calls are under way", len(opened), want, c.Pending())
		}
	}
}

// A node numbers the connections that it accepts. However often clients start, whatever they
// name their connections, and however often the node starts, no number is used twice: a frame
// that was sent over one connection is never taken on another.
func TestConnectionsAreNeverNumberedAgain(t *testing.T) {
	const starts = 4096 + 64
	h := newHost(t)
	numbers := map[uint64]bool{}
	accepted := func(what string, i int) {
		if h.conn == 0 || numbers[h.conn] {
			t.Fatalf("%s %d: the number %d is used again", what, i, h.conn)
		}
		numbers[h.conn] = true
	}
	hello := func(nonce uint64) {
		h.Step(&env.Event{Kind: env.Message, From: operatorID, Data: wire.Append(nil, &wire.Message{Kind: wire.Hello, Nonce: nonce})})
	}
	h.restart()
	accepted("start of the node", 0)
	for i := range starts {
		hello(uint64(i+1)<<20 + 1)
		accepted("start of the client", i)
	}
	for i := range starts {
		h.start()
		accepted("start of the node", i+1)
		hello(uint64(h.incarnation) + 1)
		accepted("second connection to a start of the node", i+1)
	}
}
