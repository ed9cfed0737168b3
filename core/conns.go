package core

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/wire"
)

// conn is the node's end of the newest connection of one client. It is volatile:
// frames of connections that an earlier start of the node accepted are dropped, as a TCP
// stack would. The numbers of connections begin with a number that each start draws, and are
// counted up with each connection, so that none is used twice.
type conn struct {
	client env.ID
	nonce  uint64
	number uint64
	frame  uint64 // of the last frame taken
}

// connOf returns the place of a client's connection among those known.
func (n *Node) connOf(client env.ID) (int, bool) {
	return slices.BinarySearchFunc(n.conns, client, func(c conn, client env.ID) int { return cmp.Compare(c.client, client) })
}

// hello accepts a connection. A repeated hello gets the same answer; an older one of the
// client's present start, none. One of an earlier start, which came late, may take the place
// of the newest: its number is new, so that nothing that was sent before is taken, and the
// client is told to connect again. Nonce 0 is none.
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
	// A client counts its nonces up from one that its start drew: those of another start are
	// far away.
	switch ahead := int64(m.Nonce - c.nonce); {
	case known && ahead < 0 && ahead > -nearby:
		return
	case !known || ahead != 0:
		*c = conn{client: from, nonce: m.Nonce, number: n.newConn()}
	}
	n.send(from, &wire.Message{Kind: wire.Welcome, Nonce: m.Nonce, Conn: c.number})
}

// nearby bounds how far apart the nonces of one start of a client are.
const nearby = 1 << 40

// newConn returns the number of a connection; 0 is none.
func (n *Node) newConn() uint64 {
	if n.accepted == 0 {
		n.accepted = n.env.Nonce().A
	}
	n.accepted = max(n.accepted+1, 1)
	return n.accepted
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
