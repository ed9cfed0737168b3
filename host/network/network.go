// Package network carries messages between processes over TCP: one connection for
// each ordered pair, made by the sender, framed by package frame. Addresses are a
// static table.
//
// It promises exactly the guarantees of the seam. Messages may be lost: those beyond a bound that
// wait for an unreachable peer, and those that were under way when a connection broke. Those of one
// connection arrive in order and once.
//
// The one rule to remember: once a connection has said hello, nothing of an
// earlier one of that sender is delivered, so that a process never hears from a
// former incarnation after the newer one.
package network

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host/frame"
)

// Bounds of a network.
const (
	MaxQueue       = 8 << 20 // bytes that wait for one peer; beyond it the newest message is dropped
	MaxStrangers   = 64      // connections that have not said hello; more are closed at once
	HelloTimeout   = 2 * time.Second
	DialTimeout    = time.Second
	FirstBackoff   = time.Millisecond // wait after a dial that failed; doubles with each
	LongestBackoff = 50 * time.Millisecond
)

// Config describes a network.
type Config struct {
	Self env.ID
	// Incarnation orders the starts of the process: its connections of a lower one are of the past.
	Incarnation env.Incarnation
	Addresses   map[env.ID]string // host:port of every process
	// Listener, if not nil, is used instead of listening at Addresses[Self].
	Listener net.Listener
	// Anywhere allows a listener that others than this machine can reach. There is
	// neither authentication nor encryption.
	Anywhere bool
	// Deliver is called with every message, by several goroutines at once. It may block; payload is
	// valid until it returns.
	Deliver func(from env.ID, payload []byte)
}

// ErrNotLoopback is wrapped by the error for a listener that others can reach.
var ErrNotLoopback = errors.New("not a loopback address")

// Network is one process's end of all its connections.
type Network struct {
	config   Config
	listener net.Listener
	closing  chan struct{}
	running  sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	links     map[env.ID]*link
	inbound   map[net.Conn]bool
	strangers int
	peers     map[env.ID]*peer
}

// peer is a sender, as the receiver knows it.
type peer struct {
	mu      sync.Mutex
	current frame.Hello // the newest that was said; the zero value before
	conn    net.Conn    // its connection
}

// Open begins to listen.
func Open(c Config) (*Network, error) {
	if c.Listener == nil {
		l, err := net.Listen("tcp", c.Addresses[c.Self])
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", c.Self, err)
		}
		c.Listener = l
	}
	if a, ok := c.Listener.Addr().(*net.TCPAddr); !c.Anywhere && (!ok || !a.IP.IsLoopback()) {
		c.Listener.Close()
		return nil, fmt.Errorf("process %d listens at %s: %w; want 127.0.0.1 or [::1]", c.Self, c.Listener.Addr(), ErrNotLoopback)
	}
	n := &Network{
		config: c, listener: c.Listener, closing: make(chan struct{}),
		links: map[env.ID]*link{}, inbound: map[net.Conn]bool{}, peers: map[env.ID]*peer{},
	}
	n.running.Go(n.accept)
	return n, nil
}

// Send queues a message; the payload is copied. A message to an address that is not in the table,
// one that is too large, and one that finds the queue full are lost.
func (n *Network) Send(to env.ID, payload []byte) {
	if len(payload) > frame.MaxPayload {
		return
	}
	if l := n.link(to); l != nil {
		l.send(payload)
	}
}

func (n *Network) link(to env.ID) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	address, known := n.config.Addresses[to]
	if l := n.links[to]; l != nil || n.closed || !known {
		return l
	}
	l := &link{network: n, to: to, address: address, wake: make(chan struct{}, 1)}
	n.links[to] = l
	n.running.Go(l.run)
	return l
}

// Close ends all connections and returns when nothing is delivered any more.
// Deliver must not block from then on.
func (n *Network) Close() {
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		close(n.closing)
	}
	n.listener.Close()
	for _, l := range n.links {
		l.hangUp()
	}
	for conn := range n.inbound {
		conn.Close()
	}
	n.mu.Unlock()
	n.running.Wait()
}

// accept serves peers that connect.
func (n *Network) accept() {
	for {
		conn, err := n.listener.Accept()
		if err != nil {
			if n.pause(FirstBackoff) { // too many files are open, say
				continue
			}
			return
		}
		if n.admit(conn) {
			n.running.Go(func() { n.serve(conn) })
		}
	}
}

// admit notes a connection that has not said hello.
func (n *Network) admit(conn net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.strangers >= MaxStrangers {
		conn.Close()
		return false
	}
	n.strangers++
	n.inbound[conn] = true
	return true
}

func (n *Network) serve(conn net.Conn) {
	defer n.forget(conn)
	r := frame.NewReader(conn)
	p, hello := n.greet(conn, r)
	if p == nil {
		return
	}
	for {
		payload, err := r.Next()
		if err != nil || !n.deliver(p, hello, payload) {
			return
		}
	}
}

func (n *Network) forget(conn net.Conn) {
	conn.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.inbound, conn)
}

// greet reads a hello, and makes its connection the valid one. It returns nil if it does not: no
// hello, not for this process, or older than another one.
func (n *Network) greet(conn net.Conn, r *frame.Reader) (*peer, frame.Hello) {
	defer func() {
		n.mu.Lock()
		n.strangers--
		n.mu.Unlock()
	}()
	conn.SetReadDeadline(time.Now().Add(HelloTimeout))
	payload, err := r.Next()
	if err != nil {
		return nil, frame.Hello{}
	}
	hello, err := frame.DecodeHello(payload)
	p := n.peer(hello.From)
	if err != nil || hello.To != n.config.Self || p == nil {
		return nil, hello
	}
	conn.SetReadDeadline(time.Time{})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil && !p.current.Before(hello) {
		return nil, hello
	}
	if p.conn != nil {
		p.conn.Close()
	}
	p.current, p.conn = hello, conn
	return p, hello
}

// peer returns the sender of that address, nil if it is not in the table.
func (n *Network) peer(id env.ID) *peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.config.Addresses[id]; !known {
		return nil
	}
	if n.peers[id] == nil {
		n.peers[id] = new(peer)
	}
	return n.peers[id]
}

// deliver hands on a message if its connection still counts. The lock is held
// meanwhile: a newer hello is heard before or after, never in between.
func (n *Network) deliver(p *peer, hello frame.Hello, payload []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != hello {
		return false
	}
	n.config.Deliver(hello.From, payload)
	return true
}

// pause waits, and reports whether the network is still open.
func (n *Network) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-n.closing:
		return false
	case <-t.C:
		return true
	}
}
