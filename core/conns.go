package core

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/wire"
)

// conn is the node's end of the newest connection of one client. It is volatile:
// frames of connections that an earlier incarnation of the node accepted are
// dropped, as a TCP stack would.
type conn struct {
	client env.ID
	nonce  uint64
	number uint64 // incarnation << 32 | nonce below 2^32: never re-used
	frame  uint64 // of the last frame taken
}

// connOf returns the place of a client's connection among those known.
func (n *Node) connOf(client env.ID) (int, bool) {
	return slices.BinarySearchFunc(n.conns, client, func(c conn, client env.ID) int { return cmp.Compare(c.client, client) })
}

// hello accepts a connection. A repeated hello gets the same answer; one that is
// older than the newest, none. Nonces begin with 1: 0 is before any.
func (n *Node) hello(from env.ID, m *wire.Message) {
	if m.Nonce == 0 {
		n.malformed++
		return
	}
	i, known := n.connOf(from)
	if !known {
		n.conns = slices.Insert(n.conns, i, conn{client: from})
	}
	c := &n.conns[i]
	if m.Nonce < c.nonce {
		return
	}
	if m.Nonce > c.nonce {
		*c = conn{client: from, nonce: m.Nonce, number: uint64(n.env.Incarnation())<<32 | m.Nonce&(1<<32-1)}
	}
	n.send(from, &wire.Message{Kind: wire.Welcome, Nonce: m.Nonce, Conn: c.number})
}

// takeFrame reports whether a frame is to be handled: it belongs to the client's
// newest connection and comes after all that were taken.
func (n *Node) takeFrame(from env.ID, m *wire.Message) bool {
	i, known := n.connOf(from)
	if !known || n.conns[i].number != m.Conn {
		n.send(from, &wire.Message{Kind: wire.Reset, Conn: m.Conn})
		return false
	}
	c := &n.conns[i]
	// A frame counts once, and not behind a later one: a copy of what was refused may come when there are tokens again.
	//safety:frame-taken-once by=no-loss on=lossy-network
	if m.Frame <= c.frame {
		return false
	}
	c.frame = m.Frame
	return true
}
