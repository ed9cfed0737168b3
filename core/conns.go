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

// hello accepts a connection. The node answers a repeated hello alike, and ignores an older one of
// the client's present start. A delayed hello of an earlier start may replace the newest
// connection. That does no harm: the new connection has a new number, so the node takes no frame
// that was sent before, and its reset makes the client connect again.
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
	// A client draws a nonce at each start and counts up from it, so the nonces of another start
	// are far away.
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

// takeFrame reports whether the node handles a frame: it belongs to the client's newest connection
// and follows all frames that the node took.
func (n *Node) takeFrame(from env.ID, m *wire.Message) bool {
	i, known := n.connOf(from)
	if !known || n.conns[i].number != m.Conn {
		n.send(from, &wire.Message{Kind: wire.Reset, Conn: m.Conn})
		return false
	}
	c := &n.conns[i]
	// Take each frame once and in order: a copy of a refused frame may arrive when the bucket has
	// tokens again.
	//safety:frame-taken-once by=no-loss on=lossy-network
	if m.Frame <= c.frame {
		return false
	}
	c.frame = m.Frame
	return true
}
