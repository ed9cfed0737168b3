package client

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
	places := twoNodes()
	places.Index()
	for i, start := range []struct {
		first    uint64
		sessions int
	}{{1 << 63, 1<<20 + 1<<10}, {math.MaxUint64 - 1<<10, 1 << 11}, {1 << 40, 1 << 11}} {
		n := &numbering{TB: t, nonce: env.Nonce{A: start.first, B: uint64(i + 1)}, opened: opened}
		c := New(n, places, DefaultPatience)
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
