package host

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host/disk"
	"github.com/tidaldb/tidalsim/host/meter"
	"github.com/tidaldb/tidalsim/host/network"
)

// clock is a process's monotonic clock. Its origin differs between starts, so that a machine that
// keeps an instant beyond its own incarnation is found out.
type clock struct{ offset env.Time }

// maxOffset bounds where a clock begins, ns: about eleven days.
const maxOffset = 1 << 50

func newClock(seed uint64) *clock {
	var bytes [8]byte
	binary.LittleEndian.PutUint64(bytes[:], seed)
	return &clock{env.Time(xxh3.Hash(bytes[:])%maxOffset) - env.Time(monotonic())}
}

func (c *clock) now() env.Time { return c.offset + env.Time(monotonic()) }

// loop is the goroutine that steps the machine. It implements env.Env for it.
//
// Invariant: only that goroutine touches it between Start and Done.
type loop struct {
	self    env.ID
	nonce   env.Nonce
	seed    uint64
	clock   *clock
	disk    *disk.Disk
	network *network.Network
	meter   *meter.Meter
	machine env.Machine

	now    env.Time // constant within a Step
	wall   env.WallTime
	timers timers
	event  env.Event // the current one
	dead   bool
	halted string

	failure error
}

func newLoop(c *Config, nonce env.Nonce, clock *clock, p *Process) *loop {
	return &loop{
		self: c.ID, nonce: nonce, seed: c.Seed, clock: clock, disk: p.disk, network: p.network, meter: p.meter, timers: newTimers(),
	}
}

// run steps the machine until it halts or the inbox is closed.
func (l *loop) run(in *inbox) {
	for !l.dead {
		if l.timers.earliest <= l.clock.now() {
			l.timers.fire(l.clock.now(), in)
		}
		e, ok := in.take()
		if !ok {
			if !in.wait(l.sleep()) {
				return
			}
			continue
		}
		l.turn()
		switch {
		case e.look != nil:
			e.look()
		case e.event.Kind != env.Timer || l.timers.takes(&e):
			l.step(&e.event)
		}
	}
}

// sleep is how long the loop may wait for an event.
func (l *loop) sleep() time.Duration {
	if l.timers.earliest == env.Never {
		return time.Hour
	}
	return time.Duration(l.timers.earliest.Sub(l.clock.now()))
}

// turn looks at the clock, once for all that a Step asks.
func (l *loop) turn() {
	l.now, l.wall = l.clock.now(), env.WallTime(time.Now().UnixNano())
}

func (l *loop) step(ev *env.Event) {
	l.event = *ev
	began := time.Now()
	l.machine.Step(&l.event)
	l.meter.Step(ev, time.Since(began))
	l.event.Data = nil
}

// Self implements env.Env.
func (l *loop) Self() env.ID { return l.self }

// Nonce implements env.Env.
func (l *loop) Nonce() env.Nonce { return l.nonce }

// Now implements env.Env.
func (l *loop) Now() env.Time { return l.now }

// Wall implements env.Env.
func (l *loop) Wall() env.WallTime { return l.wall }

// SetTimer implements env.Env.
func (l *loop) SetTimer(id env.TimerID, at env.Time) {
	l.timers.set(id, at) // of no effect after a halt: no timer is looked at any more
}

// Charge implements env.Env. A real CPU charges by itself.
func (l *loop) Charge(env.Duration) {}

// Send implements env.Env.
func (l *loop) Send(to env.ID, _ env.Key, payload []byte) {
	if !l.dead {
		l.network.Send(to, payload)
		l.meter.Send(len(payload))
	}
}

// Submit implements env.Env.
func (l *loop) Submit(op env.Op) {
	if !l.dead {
		l.disk.Submit(op)
	}
}

// List implements env.Env. A directory that is there and cannot be read must not pass for a missing
// one: the process ends.
func (l *loop) List(dir string) []string {
	if l.dead {
		return nil
	}
	names, err := l.disk.List(dir)
	if err != nil {
		l.Halt(fmt.Sprintf("directory %q cannot be listed: %v", dir, err))
	}
	return names
}

// Free implements env.Env.
func (l *loop) Free() int64 {
	if l.dead {
		return 0
	}
	return l.disk.Free()
}

// Chance implements env.Env.
func (l *loop) Chance(key env.Key) uint64 {
	var bytes [30]byte
	b := binary.LittleEndian.AppendUint32(bytes[:0], uint32(l.self))
	b = binary.LittleEndian.AppendUint16(b, key.Kind)
	b = binary.LittleEndian.AppendUint32(b, key.Attempt)
	b = binary.LittleEndian.AppendUint64(b, key.A)
	b = binary.LittleEndian.AppendUint64(b, key.B)
	return xxh3.HashSeed(b, l.seed)
}

// Hit implements env.Env: a real host decides nothing at failpoints, so that the process's registry
// of failpoints is asked.
func (l *loop) Hit(env.Point, env.Key) (env.Action, bool) { return env.ActNone, false }

// Halt implements env.Env.
func (l *loop) Halt(reason string) {
	if !l.dead {
		l.dead, l.halted = true, reason
	}
}
