package host

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
)

// MaxInbox bounds the messages that wait for a process. Beyond it connections are not read, and in
// the end the sender's queue drops new messages. The requests of the machine bound completions and
// timers.
const MaxInbox = 4096

// entry is a waiting event, with the arming of its timer if it is one, or a waiting caller of
// Inspect.
type entry struct {
	event  env.Event
	arming uint64
	look   func()
}

// inbox holds the events that wait for the event loop, in order.
type inbox struct {
	wake  chan struct{} // holds one; an event came, or the inbox was closed
	alarm *time.Timer   // of the loop alone

	mu       sync.Mutex
	room     *sync.Cond // signalled when a message leaves
	queue    []entry    // from next on
	next     int
	messages int
	closed   bool
}

func newInbox() *inbox {
	in := &inbox{wake: make(chan struct{}, 1), alarm: time.NewTimer(time.Hour)}
	in.room = sync.NewCond(&in.mu)
	return in
}

func (in *inbox) put(ev env.Event) { in.add(entry{event: ev}) }

func (in *inbox) add(e entry) {
	in.mu.Lock()
	if !in.closed {
		in.queue = append(in.queue, e)
	}
	in.mu.Unlock()
	in.rouse()
}

// message adds a message, and waits as long as there is no room.
func (in *inbox) message(from env.ID, c *clock, payload []byte) {
	in.mu.Lock()
	for in.messages >= MaxInbox && !in.closed {
		in.room.Wait()
	}
	if !in.closed {
		in.messages++
		in.queue = append(in.queue, entry{event: env.Event{Kind: env.Message, From: from, At: c.now(), Data: bytes.Clone(payload)}})
	}
	in.mu.Unlock()
	in.rouse()
}

func (in *inbox) rouse() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// take returns the first event, false if there is none or the inbox is closed.
func (in *inbox) take() (entry, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.next == len(in.queue) || in.closed {
		return entry{}, false
	}
	e := in.queue[in.next]
	in.queue[in.next] = entry{}
	if in.next++; in.next == len(in.queue) || in.next > MaxInbox {
		in.queue, in.next = slices.Delete(in.queue, 0, in.next), 0
	}
	if e.event.Kind == env.Message {
		in.messages--
		in.room.Signal()
	}
	return e, true
}

// wait waits for an event, at most so long. It is false when the inbox is closed.
func (in *inbox) wait(longest time.Duration) bool {
	in.alarm.Reset(max(0, longest))
	select {
	case <-in.wake:
	case <-in.alarm.C:
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return !in.closed
}

// close drops waiting and future events.
func (in *inbox) close() {
	in.mu.Lock()
	in.closed = true
	in.room.Broadcast()
	in.mu.Unlock()
	in.rouse()
}

// timers are a machine's timers.
//
// Invariant: earliest is the least of due.
type timers struct {
	due      [env.MaxTimers]env.Time
	arming   [env.MaxTimers]uint64 // counts how often it was set
	earliest env.Time
}

func newTimers() (t timers) {
	for i := range t.due {
		t.due[i] = env.Never
	}
	t.earliest = env.Never
	return t
}

// set arms a timer. An event of an earlier arming that waits in the inbox is void.
func (t *timers) set(id env.TimerID, at env.Time) {
	t.arming[id]++
	t.due[id] = at
	t.earliest = slices.Min(t.due[:])
}

// fire puts the events of timers that are due behind the waiting ones, earliest first.
func (t *timers) fire(now env.Time, in *inbox) {
	for t.earliest <= now {
		id := slices.Index(t.due[:], t.earliest)
		t.due[id] = env.Never
		t.earliest = slices.Min(t.due[:])
		in.add(entry{event: env.Event{Kind: env.Timer, Timer: env.TimerID(id), At: now}, arming: t.arming[id]})
	}
}

// takes reports whether the event of a timer is of its last arming.
func (t *timers) takes(e *entry) bool { return e.arming == t.arming[e.event.Timer] }
