package core

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/wire"
)

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
