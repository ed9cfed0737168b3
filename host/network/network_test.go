package network

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host/frame"
)

// heard collects the messages of a process.
type heard struct {
	mu       sync.Mutex
	messages []string
	news     chan struct{}
}

func newHeard() *heard { return &heard{news: make(chan struct{}, 10000)} }

func (h *heard) deliver(from env.ID, payload []byte) {
	h.mu.Lock()
	h.messages = append(h.messages, fmt.Sprintf("%d:%s", from, payload))
	h.mu.Unlock()
	h.news <- struct{}{}
}

func (h *heard) await(t *testing.T, n int) []string {
	t.Helper()
	for deadline := time.After(10 * time.Second); ; {
		h.mu.Lock()
		got := slices.Clone(h.messages)
		h.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-h.news:
		case <-deadline:
			t.Fatalf("only %q arrived", got)
		}
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// receiver is process 0 of a table in which 1 exists too.
func receiver(t *testing.T, h *heard) (*Network, string) {
	t.Helper()
	l := listen(t)
	address := l.Addr().String()
	n, err := Open(Config{Self: 0, Incarnation: 1, Listener: l, Deliver: h.deliver, Addresses: map[env.ID]string{0: address, 1: "127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n, address
}

// dial connects by hand and sends the given payloads.
func dial(t *testing.T, address string, payloads ...[]byte) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for _, p := range payloads {
		say(conn, p)
	}
	return conn
}

func say(conn net.Conn, payload []byte) { conn.Write(frame.Append(nil, payload)) }

func hello(from, to env.ID, incarnation env.Incarnation, connection uint64) []byte {
	return frame.AppendHello(nil, frame.Hello{From: from, To: to, Incarnation: incarnation, Connection: connection})
}

// isClosed waits for the other end to close the connection.
func isClosed(conn net.Conn) bool {
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err := conn.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, io.ErrNoProgress) && !isTimeout(err)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func TestNothingOfAFormerIncarnationComesAfterANewerHello(t *testing.T) {
	h := newHeard()
	_, address := receiver(t, h)
	old := dial(t, address, hello(1, 0, 1, 7), []byte("old"))
	h.await(t, 1)
	fresh := dial(t, address, hello(1, 0, 2, 1), []byte("new"))
	h.await(t, 2)
	say(old, []byte("late"))
	if !isClosed(old) {
		t.Error("the former incarnation's connection stays open")
	}
	late := dial(t, address, hello(1, 0, 1, 8), []byte("later"))
	if !isClosed(late) {
		t.Error("a hello of the former incarnation is accepted")
	}
	say(fresh, []byte("new again"))
	if got := h.await(t, 3); !slices.Equal(got, []string{"1:old", "1:new", "1:new again"}) {
		t.Errorf("heard %q", got)
	}
}

// Messages that have left the socket and wait for their turn are of a former incarnation too.
func TestWhatWaitsToBeDeliveredIsLostWithItsConnection(t *testing.T) {
	n := &Network{config: Config{Deliver: func(env.ID, []byte) { t.Error("delivered") }}}
	p := &peer{current: frame.Hello{From: 1, Incarnation: 2, Connection: 1}}
	if n.deliver(p, frame.Hello{From: 1, Incarnation: 1, Connection: 7}, []byte("late")) {
		t.Error("a connection that does not count any more goes on")
	}
}

func TestOfOneIncarnationTheNewestConnectionCounts(t *testing.T) {
	h := newHeard()
	_, address := receiver(t, h)
	first := dial(t, address, hello(1, 0, 1, 1))
	dial(t, address, hello(1, 0, 1, 2), []byte("second"))
	h.await(t, 1)
	if !isClosed(first) {
		t.Error("the earlier connection stays open")
	}
	if again := dial(t, address, hello(1, 0, 1, 2), []byte("copy")); !isClosed(again) {
		t.Error("a connection is accepted twice")
	}
}

func TestStrangersAreSentAway(t *testing.T) {
	h := newHeard()
	_, address := receiver(t, h)
	garbled := frame.Append(nil, []byte("garbled"))
	garbled[len(garbled)-1] ^= 1
	for _, c := range []struct {
		name string
		conn net.Conn
	}{
		{"not in the table", dial(t, address, hello(9, 0, 1, 1))},
		{"for another process", dial(t, address, hello(1, 1, 1, 1))},
		{"no hello", dial(t, address, []byte("message"))},
		{"another protocol", func() net.Conn {
			conn := dial(t, address)
			io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
			return conn
		}()},
		{"damage behind the hello", func() net.Conn {
			conn := dial(t, address, hello(1, 0, 1, 1))
			conn.Write(garbled)
			return conn
		}()},
	} {
		if !isClosed(c.conn) {
			t.Errorf("%s: stays open", c.name)
		}
	}
	for range MaxStrangers { // they say nothing
		dial(t, address)
	}
	if !isClosed(dial(t, address)) {
		t.Errorf("more than %d connections wait for a hello", MaxStrangers)
	}
	if len(h.messages) != 0 {
		t.Errorf("heard %q", h.messages)
	}
}

func TestOnlyThisMachineCanConnect(t *testing.T) {
	c := Config{Addresses: map[env.ID]string{0: ":0"}, Deliver: newHeard().deliver}
	if n, err := Open(c); !errors.Is(err, ErrNotLoopback) {
		t.Errorf("a listener at %q: %v, %v", c.Addresses[0], n, err)
	}
	c.Anywhere = true
	n, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
}

// A sender finds its peer again, whatever became of it. Messages may be lost meanwhile, and those
// that arrive are in order.
func TestASenderFindsItsPeerAgain(t *testing.T) {
	l, other := listen(t), listen(t)
	addresses := map[env.ID]string{0: l.Addr().String(), 1: other.Addr().String()}
	sender, err := Open(Config{Self: 1, Incarnation: 1, Listener: other, Addresses: addresses, Deliver: newHeard().deliver})
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	for round := range 3 {
		sender.Send(0, fmt.Append(nil, "before ", round)) // the peer may not be there yet
		h := newHeard()
		c := Config{Self: 0, Incarnation: env.Incarnation(round + 1), Addresses: addresses, Deliver: h.deliver}
		if round == 0 {
			c.Listener = l
		}
		n, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			sender.Send(0, fmt.Appendf(nil, "%d/%04d", round, i))
			h.mu.Lock()
			enough := len(h.messages) > 20
			h.mu.Unlock()
			if enough || i == 5000 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		n.Close()
		if len(h.messages) <= 20 {
			t.Fatalf("round %d: heard only %q", round, h.messages)
		}
		numbered := slices.DeleteFunc(slices.Clone(h.messages), func(m string) bool { return !strings.HasPrefix(m, fmt.Sprintf("1:%d/", round)) })
		if len(numbered) < 15 || !slices.IsSorted(numbered) || len(slices.Compact(numbered)) != len(numbered) {
			t.Errorf("round %d: heard %q", round, h.messages)
		}
	}
}

func TestWhatWaitsForAPeerIsBounded(t *testing.T) {
	l := &link{wake: make(chan struct{}, 1)}
	big := make([]byte, MaxQueue/8)
	for i := range 10 {
		big[0] = byte(i)
		l.send(big)
	}
	if len(l.queue) > MaxQueue || len(l.queue) < MaxQueue/2 {
		t.Errorf("%d bytes wait, the bound is %d", len(l.queue), MaxQueue)
	}
	if first, _, err := frame.Decode(l.queue); err != nil || first[0] != 0 {
		t.Errorf("the oldest message was dropped: %v", err)
	}
}

func TestMessagesToNobodyAreLost(t *testing.T) {
	h := newHeard()
	n, _ := receiver(t, h)
	n.Send(7, []byte("x"))
	n.Send(0, make([]byte, frame.MaxPayload+1))
	n.Send(0, []byte("to myself"))
	if got := h.await(t, 1); !slices.Equal(got, []string{"0:to myself"}) {
		t.Errorf("heard %q", got)
	}
}
