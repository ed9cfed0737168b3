package core

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/peer"
)

// The identity of a node. A start goes through these steps:
//
//  1. The node reads the name of its data directory. It gives a directory without a name one,
//     durably.
//  2. A member of the meta log opens the log. The directory's name identifies the member.
//  3. The node asks the leader of the meta log to register the start: directory, nonce of the
//     start, and the last incarnation that is durable here. It repeats the request until the
//     leader answers. The leader first answers with a challenge, which the next request carries.
//     A challenge is valid until another start of the node is registered. So a request that
//     arrives after its start has ended registers nothing once the next start is registered.
//     The index of the entry that registers the start is its incarnation.
//  4. The node makes the incarnation durable in the directory.
//  5. The node speaks: it sends heartbeats, takes configurations and opens its slots.
//
// An in-sync set names only incarnations that spoke, and these are durable in their directory.
// So a node that registers with an earlier incarnation than a set names has another directory, or
// an older copy.

// supports is the feature level of this binary.
const supports = 1

// identity is how far a start has come in these steps.
type identity struct {
	opened bool // the directory's name is durable
	asks   bool // to be registered
	given  env.Incarnation
	// challenge is the last challenge of the leader of the meta log, which the next request
	// repeats; 0: none has arrived yet.
	challenge peer.Challenge
	writing   bool // the node file, with the name or the incarnation
	again     bool // the disk had no room for it
}

// identify checks the name of the directory, and draws one if it has none.
func (n *Node) identify() {
	c := &n.catalog
	if named := c.Directory != (env.Nonce{}); named && c.Cluster != n.cluster.ID {
		n.fail(fmt.Errorf("%w: the data directory belongs to cluster %d, and this is cluster %d", ErrForeign, c.Cluster, n.cluster.ID))
		return
	} else if !named {
		c.Cluster, c.Directory = n.cluster.ID, n.env.Nonce()
		n.writeIdentity()
		return
	}
	n.identified()
}

func (n *Node) writeIdentity() {
	n.identity.writing = true
	next := n.catalog.clone()
	if n.identity.given > 0 {
		next.Given = n.identity.given
	}
	n.scriptCatalog(&next)
	n.runScript()
}

// identityDurable continues the start once the node file has the directory's name, or the
// incarnation.
func (n *Node) identityDurable() {
	n.identity.writing = false
	if !n.identity.opened {
		n.identified()
		return
	}
	n.speak()
}

// identified goes on in a directory that has a durable name.
func (n *Node) identified() {
	n.identity.opened = true
	n.startMeta()
	n.identity.asks = true
	n.askToRegister()
}

// askToRegister asks every member of the meta log for an incarnation; the leader answers.
func (n *Node) askToRegister() {
	c := control.Command{
		Kind: control.Register, Node: n.self.Node, Directory: n.catalog.Directory, Nonce: n.env.Nonce(),
		Given: n.catalog.Given, Supports: supports,
	}
	m := peer.Register{ControlHeader: n.says(), Challenge: n.identity.challenge, Command: c.Append(nil)}
	for _, to := range n.cluster.Control.Meta {
		if to != n.self.Node {
			n.sendPeer(to, m.Encode(n.peerOut[:0]), uint64(n.self.Node), uint64(to)<<32^uint64(m.Challenge)&(1<<32-1))
		}
	}
	n.register(n.self.Node, m.Challenge, m.Command)
}

// tickIdentity retries the write of the node file, or repeats the request to register.
func (n *Node) tickIdentity() {
	switch {
	case n.identity.again:
		n.identity.again = false
		n.writeIdentity()
	case n.identity.asks:
		n.askToRegister()
	}
}

// registration is the request of a start to this node, the leader of the meta log.
type registration struct {
	node  env.ID
	nonce env.Nonce
	sent  env.Time // when it was proposed last
}

// register answers a start with its incarnation, if this node leads the meta log. It proposes to
// register a start that has no incarnation yet.
func (n *Node) register(from env.ID, repeated peer.Challenge, command []byte) {
	if !n.leads {
		return
	}
	c, err := control.DecodeCommand(command)
	if err != nil || c.Kind != control.Register || c.Node != from {
		return
	}
	if n.plane.Judge(&c) != control.Done {
		n.answerRegistration(from, c.Nonce)
		return
	}
	if challenge := n.challengeOf(from); from != n.self.Node && repeated != challenge {
		answer := peer.Registered{ControlHeader: n.says(), Challenge: challenge, Nonce: c.Nonce}
		n.sendPeer(from, answer.Encode(n.peerOut[:0]), uint64(from), uint64(challenge))
		return
	}
	i, now := 0, n.env.Now()
	for ; i < len(n.registering) && n.registering[i].node != from; i++ {
	}
	if i == len(n.registering) {
		n.registering = append(n.registering, registration{node: from})
	}
	r := &n.registering[i]
	if r.nonce == c.Nonce && now.Sub(r.sent) < 4*tickEvery {
		return
	}
	r.nonce, r.sent = c.Nonce, now
	// No other leader has this term, so no number is used twice.
	n.count++
	number := uint64(n.log.Status().Term)<<32 | n.count&(1<<32-1)
	client := uint64(n.self.Node)<<32 | registers | uint64(from)%decisions
	_ = n.log.Propose(n.env, client, number, command) // refused: it is repeated
	n.metaStepped()
}

// challengeOf returns the challenge that the next start of a node has to repeat. It changes
// with each start of the leader and with each registered start of the node. It is never 0.
func (n *Node) challengeOf(id env.ID) peer.Challenge {
	registered := uint64(0)
	if x := n.plane.Node(id); x != nil {
		registered = uint64(x.Registered)
	}
	return peer.Challenge((n.env.Nonce().B+registered)<<1 | 1)
}

// answerRegistration sends a start its incarnation, if it has one.
func (n *Node) answerRegistration(to env.ID, nonce env.Nonce) {
	x := n.plane.Node(to)
	if x == nil || x.Nonce != nonce {
		return
	}
	if to == n.self.Node {
		n.registered(x.Registered, nonce)
		return
	}
	m := peer.Registered{ControlHeader: n.says(), Given: x.Registered, Nonce: nonce}
	n.sendPeer(to, m.Encode(n.peerOut[:0]), uint64(to), uint64(m.Given))
}

// answerRegistrations answers the starts that are registered by now.
func (n *Node) answerRegistrations() {
	if !n.leads {
		n.registering = n.registering[:0]
		return
	}
	for i := 0; i < len(n.registering); {
		r := n.registering[i]
		if x := n.plane.Node(r.node); x == nil || x.Nonce != r.nonce {
			i++
			continue
		}
		n.registering = append(n.registering[:i], n.registering[i+1:]...)
		n.answerRegistration(r.node, r.nonce)
	}
}

// answeredRegistration takes the incarnation of this start, or a challenge.
func (n *Node) answeredRegistration(m *peer.Registered) {
	id := &n.identity
	switch {
	case m.Given > 0:
		n.registered(m.Given, m.Nonce)
	case id.asks && m.Nonce == n.env.Nonce() && m.Challenge != id.challenge:
		id.challenge = m.Challenge
		n.askToRegister()
	}
}

// registered takes the incarnation of this start, and makes it durable.
func (n *Node) registered(incarnation env.Incarnation, nonce env.Nonce) {
	// Ignore an answer to an earlier start of this node.
	if nonce != n.env.Nonce() {
		return
	}
	if !n.identity.asks {
		return
	}
	n.identity.asks = false
	n.identity.given = incarnation
	n.writeIdentity()
}

// speak is the step from which other nodes hear of this start.
func (n *Node) speak() {
	n.catalog.Given = n.identity.given
	n.self.Incarnation = n.identity.given
	n.sweep()
}

// superseded ends the process if a later start of its node is registered.
func (n *Node) superseded(c *control.Node) {
	if c.ID == n.self.Node && c.Registered > n.self.Incarnation {
		n.env.Halt(fmt.Sprintf("node %d was started again, in incarnation %d; this start is of incarnation %d", c.ID, c.Registered, n.self.Incarnation))
	}
}

// Member returns the node and its incarnation. The incarnation is 0 before it is durable.
func (n *Node) Member() control.Member { return n.self }
