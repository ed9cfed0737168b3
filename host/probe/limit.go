package probe

import (
	"net"
	"sync"
)

// limit returns a listener that has at most n connections at once.
func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, open: make(chan struct{}, n), closing: make(chan struct{})}
}

type limited struct {
	net.Listener
	open    chan struct{} // holds one for each connection
	closing chan struct{}
	once    sync.Once
}

// Accept waits for room, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.closing:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &counted{Conn: c, left: func() { <-l.open }}, nil
}

// Close ends the listener and whoever waits for it.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closing) })
	return l.Listener.Close()
}

// counted is a connection that counts until it is closed.
type counted struct {
	net.Conn
	once sync.Once
	left func()
}

// Close closes the connection.
func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.left)
	return err
}
