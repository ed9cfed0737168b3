package probe

import (
	"net"
	"sync"
)

// limit returns a listener that has at most n connections at once.
func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, open: make(chan struct{}, n)}
}

// limited is a listener. Its Close also closes its connections, and so ends an Accept that waits
// for room.
type limited struct {
	net.Listener
	open chan struct{} // holds one for each connection
}

// Accept waits for room, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	l.open <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &counted{Conn: c, left: func() { <-l.open }}, nil
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
