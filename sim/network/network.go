// Package network is the virtual network: one directed link per ordered pair of
// processes, with latency, bandwidth, a bounded queue and cuts. It keeps the
// messages in flight; when they arrive is the caller's to schedule.
//
// A link sends one message after the other at its bandwidth. Messages in flight beyond its queue
// are dropped.
//
// A link keeps its order unless a deviation delays a message. Whether a message is lost, doubled or
// late is decided when it is sent; whether a cut stops it when it arrives, so that a cut hits
// messages in flight. A link that is shut takes no new messages, and those in flight arrive.
package network

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// Profile is the speed and the capacity of links. Spans are nanoseconds.
type Profile struct {
	Latency  int64 `json:"latency_ns"`      // one way
	Jitter   int64 `json:"jitter_permille"` // up to so many thousandths are added
	PerKiB   int64 `json:"per_kib_ns"`      // transfer of 1024 bytes: bandwidth of a link
	Queue    int64 `json:"queue_bytes"`     // more in flight on one link is dropped
	MaxDelay int64 `json:"max_delay_ns"`    // a deviation delays by up to this
	Header   int64 `json:"header_bytes"`    // added to each payload
	// MaxLate is the longest time, ns, for which a deviation holds a message back while its link
	// goes on. The shortest is a quarter of it.
	MaxLate int64 `json:"max_late_ns,omitempty"`
}

// LinkProfile is the speed of one link, if it differs from the Profile.
type LinkProfile struct {
	From    uint32 `json:"from"`
	To      uint32 `json:"to"`
	Latency int64  `json:"latency_ns"`
	PerKiB  int64  `json:"per_kib_ns"`
}

// DefaultProfile is one data centre; docs/calibration.md compares it with loopback.
var DefaultProfile = Profile{Latency: 150_000, Jitter: 200, PerKiB: 800, Queue: 4 << 20, MaxDelay: 20_000_000, Header: 64}

// CutMode says how a cut link treats arriving messages.
type CutMode uint8

// The modes of a cut.
const (
	Open CutMode = iota // not cut
	Drop                // arriving messages are lost
	Hold                // arriving messages are kept until the link heals
)

// Packet is one message in flight.
type Packet struct {
	From, To env.ID
	Key      env.Key
	Data     []byte // owned by the network; valid until Release
	Damaged  bool   // Data differs from the bytes that were sent
	Sum      uint64 // the caller's, a hash of the bytes that were sent
	Message  uint64 // the caller's, its number
}

type link struct {
	mode   CutMode
	shut   bool  // it takes nothing new
	slow   int64 // times slower
	delay  int64 // latency
	perKiB int64
	sent   int64 // when the last message has left
	last   int64 // arrival of the last message in order
	queued int64 // bytes in flight
	held   []uint32
}

// Network is the network of one world. Use Reset before the first Send.
type Network struct {
	profile Profile
	decider *chance.Decider
	size    int // number of processes
	links   []link
	packets []Packet
	free    []uint32
	sent    []Arrival // of the last Send
}

// Reset prepares for a world of n processes and keeps memory.
func (n *Network) Reset(p Profile, processes int, decider *chance.Decider) {
	n.profile, n.decider, n.size = p, decider, processes
	n.packets, n.free, n.sent = n.packets[:0], n.free[:0], n.sent[:0]
	for len(n.links) < processes*processes {
		n.links = append(n.links, link{})
	}
	for i := range n.links {
		n.links[i] = link{held: n.links[i].held[:0], slow: 1, delay: p.Latency, perKiB: p.PerKiB}
	}
}

// SetLink gives a link a profile of its own.
func (n *Network) SetLink(p *LinkProfile) {
	l := n.link(env.ID(p.From), env.ID(p.To))
	l.delay, l.perKiB = p.Latency, p.PerKiB
}

// SetPace makes a link slow times slower than its profile says; 1 is full speed. Messages in
// flight are not affected.
func (n *Network) SetPace(from, to env.ID, slow int64) { n.link(from, to).slow = slow }

// Shut makes a link lose messages sent from now on, or ends that. Messages on their way arrive.
func (n *Network) Shut(from, to env.ID, shut bool) { n.link(from, to).shut = shut }

func (n *Network) link(from, to env.ID) *link { return &n.links[int(from)*n.size+int(to)] }

// Arrival is a packet and the time at which Arrive must be called with it.
type Arrival struct {
	Ref uint32
	At  int64
}

// Send accepts a message at time now. It returns the arrivals to schedule, valid
// until the next Send: none if the message is lost, two if it is doubled.
// restarts is how often the sender was started before its present start.
func (n *Network) Send(now int64, from, to env.ID, restarts uint64, key env.Key, data []byte) []Arrival {
	n.sent = n.sent[:0]
	l := n.link(from, to)
	scope := chance.InStart(uint64(from)<<32|uint64(to), restarts)
	size := int64(len(data)) + n.profile.Header
	if l.shut || l.queued+size > n.profile.Queue || n.decider.DeviateEach(chance.NetLoss, scope, key) != 0 {
		return n.sent
	}
	n.sent = append(n.sent, n.dispatch(now, l, scope, from, to, key, data))
	if n.decider.DeviateEach(chance.NetDuplicate, scope, key) != 0 {
		again := key
		again.Attempt |= 1 << 31 // the copy is delayed and damaged on its own
		n.sent = append(n.sent, n.dispatch(now, l, scope, from, to, again, data))
	}
	return n.sent
}

func (n *Network) dispatch(now int64, l *link, scope uint64, from, to env.ID, key env.Key, data []byte) Arrival {
	p := &n.profile
	size := int64(len(data)) + p.Header
	l.sent = max(l.sent, now) + size*l.perKiB/1024*l.slow
	at := l.sent + l.delay*l.slow
	if p.Jitter > 0 {
		h := n.decider.Uniform(chance.NetJitter, scope, key)
		at += int64(chance.Below(h, uint64(l.delay*p.Jitter/1000)+1)) * l.slow
	}
	if v := n.decider.DeviateEach(chance.NetDelay, scope, key); v != 0 {
		at += 1 + int64(chance.Below(v, uint64(p.MaxDelay)))
	} else if v := n.decider.DeviateEach(chance.NetLate, scope, key); v != 0 {
		at += p.MaxLate/4 + 1 + int64(chance.Below(v, uint64(p.MaxLate-p.MaxLate/4+1)))
	} else {
		at = max(at, l.last+1)
		l.last = at
	}
	l.queued += size
	ref := n.slot()
	packet := &n.packets[ref]
	packet.From, packet.To, packet.Key = from, to, key
	packet.Data, packet.Damaged = append(packet.Data[:0], data...), false
	if v := n.decider.DeviateEach(chance.NetCorrupt, scope, key); v != 0 && len(data) > 0 {
		packet.Data[chance.Below(v, uint64(len(data)))] ^= 1 << (v >> 1 % 8)
		packet.Damaged = true
	}
	return Arrival{Ref: ref, At: at}
}

func (n *Network) slot() uint32 {
	if k := len(n.free); k > 0 {
		ref := n.free[k-1]
		n.free = n.free[:k-1]
		return ref
	}
	if len(n.packets) < cap(n.packets) {
		n.packets = n.packets[:len(n.packets)+1] // keeps the slot's buffer of an earlier run
	} else {
		n.packets = append(n.packets, Packet{})
	}
	return uint32(len(n.packets) - 1)
}

// Arrive judges packet ref at its arrival. It returns nil if a cut stops it.
// Otherwise the packet must be given back with Release.
func (n *Network) Arrive(ref uint32) *Packet {
	p := &n.packets[ref]
	l := n.link(p.From, p.To)
	switch l.mode {
	case Drop:
		n.Release(ref)
		return nil
	case Hold:
		l.held = append(l.held, ref)
		return nil
	}
	return p
}

// Holds reports whether a cut keeps packet ref, which did not arrive.
func (n *Network) Holds(ref uint32) bool {
	p := &n.packets[ref]
	held := n.link(p.From, p.To).held
	return len(held) > 0 && held[len(held)-1] == ref
}

// Packet returns packet ref, which was not released.
func (n *Network) Packet(ref uint32) *Packet { return &n.packets[ref] }

// Release gives packet ref back.
func (n *Network) Release(ref uint32) {
	p := &n.packets[ref]
	n.link(p.From, p.To).queued -= int64(len(p.Data)) + n.profile.Header
	n.free = append(n.free, ref)
}

// Cut stops the link from one process to another.
func (n *Network) Cut(from, to env.ID, mode CutMode) { n.link(from, to).mode = mode }

// Heal opens the link again and returns, in order, the packets that it held;
// they arrive now.
func (n *Network) Heal(from, to env.ID) []uint32 {
	l := n.link(from, to)
	l.mode = Open
	held := l.held
	l.held = l.held[:0]
	return held
}
