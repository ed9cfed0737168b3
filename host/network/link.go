package network

import (
	"io"
	"net"
	"sync"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host/frame"
)

// link is the sender's end of the connection to one peer. It connects when the first message waits,
// and again when the connection breaks.
type link struct {
	network *Network
	to      env.ID
	address string
	wake    chan struct{} // holds one; a message is queued

	mu     sync.Mutex
	queue  []byte // frames that wait
	conn   net.Conn
	closed bool

	connections uint64 // made so far; of run alone
}

// send queues a message. When the queue is full the newest is dropped: waiting messages keep their
// places, and a sender that needs an answer asks again.
func (l *link) send(payload []byte) {
	l.mu.Lock()
	if len(l.queue)+frame.HeaderSize+len(payload) <= MaxQueue {
		l.queue = frame.Append(l.queue, payload)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run sends queued messages until the network closes.
func (l *link) run() {
	var frames []byte
	for {
		select {
		case <-l.network.closing:
			return
		case <-l.wake:
		}
		conn := l.connected()
		if conn == nil {
			return
		}
		frames = l.take(frames)
		if _, err := conn.Write(frames); err != nil {
			l.broken(conn) // the written bytes may have arrived in part; they are not sent again
		}
	}
}

// take returns the queued messages, and leaves old for later ones.
func (l *link) take(old []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	frames := l.queue
	l.queue = old[:0]
	return frames
}

// connected returns a connection that has said hello, nil when the network closes.
func (l *link) connected() net.Conn {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn != nil {
		return conn
	}
	for wait := FirstBackoff; ; wait = min(2*wait, LongestBackoff) {
		if conn := l.dial(); conn != nil {
			return conn
		}
		if !l.network.pause(wait) {
			return nil
		}
	}
}

func (l *link) dial() net.Conn {
	conn, err := net.DialTimeout("tcp", l.address, DialTimeout)
	if err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		conn.Close()
		return nil
	}
	l.connections++
	hello := frame.Hello{From: l.network.config.Self, To: l.to, Incarnation: l.network.config.Incarnation, Connection: l.connections}
	if _, err := conn.Write(frame.Append(nil, frame.AppendHello(nil, hello))); err != nil {
		conn.Close()
		return nil
	}
	l.conn = conn
	l.network.running.Go(func() { l.watch(conn) })
	return conn
}

// watch learns when the peer is gone. Nothing is ever sent this way.
func (l *link) watch(conn net.Conn) {
	io.Copy(io.Discard, conn)
	l.broken(conn)
}

// broken gives up a connection; the next message makes another.
func (l *link) broken(conn net.Conn) {
	conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == conn {
		l.conn = nil
	}
}

// hangUp ends the link for good.
func (l *link) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.conn != nil {
		l.conn.Close()
	}
}
