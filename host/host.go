// Package host runs a state machine on a real machine: the real clock, the files of
// one directory, TCP connections. It is the second host of the seam; package sim is
// the first, and both pass the same conformance suite.
//
// A Process is an event loop: one goroutine calls Step with one event at a time, and all other
// goroutines - disk workers, connections - only put events into its queue. It refuses to know the
// purpose of its machine.
//
// The one rule to remember: the machine decides. A host loses messages and reports
// errors as they come; it never tries again on its own.
package host

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/host/disk"
	"github.com/tidaldb/tidalsim/host/meter"
	"github.com/tidaldb/tidalsim/host/network"
)

// Config describes a process.
type Config struct {
	ID env.ID
	// Dir is the process's own directory, made if it is missing: the machine's files
	// are in Dir/data.
	Dir string
	// Addresses says where every process listens, host:port.
	Addresses map[env.ID]string
	Listener  net.Listener // if not nil, used instead of listening at Addresses[ID]
	Anywhere  bool         // allow a listener that others than this machine can reach
	// Seed is the seed of Chance, besides the process and its key.
	Seed uint64
	Disk disk.Config
	// New returns the program. It must not make requests yet.
	New func(env.Env) env.Machine
}

// Process is a machine that runs.
type Process struct {
	loop    *loop
	inbox   *inbox
	network *network.Network
	disk    *disk.Disk
	meter   *meter.Meter
	home    *home
	looking chan struct{} // holds one for each inspection that waits in the inbox
	done    chan struct{}
}

// Start starts a process.
func Start(c Config) (p *Process, err error) {
	h, err := openHome(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", c.ID, err)
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	p = &Process{home: h, meter: meter.New(), inbox: newInbox(), looking: make(chan struct{}, MaxInspections), done: make(chan struct{})}
	clock := newClock(c.Seed ^ uint64(h.start))
	p.inbox.put(env.Event{Kind: env.Started, At: clock.now()}) // before a message can be there
	c.Disk.Measure = p.meter.Did
	p.disk, err = disk.Open(filepath.Join(c.Dir, dataName), c.Disk, func(d disk.Completion) {
		p.inbox.put(env.Event{Kind: env.DiskDone, At: clock.now(), Op: d.ID, Err: d.Err, N: d.N, Data: d.Data})
	})
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", c.ID, err)
	}
	p.network, err = network.Open(network.Config{
		Self: c.ID, Incarnation: h.start, Addresses: c.Addresses, Listener: c.Listener, Anywhere: c.Anywhere,
		Deliver: func(from env.ID, payload []byte) { p.inbox.message(from, clock, payload) },
	})
	if err != nil {
		return nil, errors.Join(err, p.disk.Close())
	}
	p.loop = newLoop(&c, NewNonce(), clock, p)
	p.loop.machine = c.New(p.loop)
	go p.run()
	return p, nil
}

// run lives until the machine halts or the process is killed, and then frees its resources: the
// lock last, so that the next holder of the lock finds address and files free.
//
// Nothing is deferred: a machine that panics must take the program with it, before a caller that
// waits for Done can end it as if all were well.
func (p *Process) run() {
	p.loop.run(p.inbox)
	p.inbox.close()
	err := p.disk.Close()
	p.network.Close()
	p.loop.failure = cmp.Or(err, p.home.close())
	close(p.done)
}

// Meter returns the counts of this start of the process.
func (p *Process) Meter() *meter.Meter { return p.meter }

// MaxInspections bounds the inspections that wait for a process to come to them, those
// included that were given up. Beyond it more wait for these.
const MaxInspections = 16

// ErrEnded is returned for an inspection of a process that has ended.
var ErrEnded = errors.New("the process has ended")

// Inspect lets look look at the machine between two Steps, behind all waiting events, and returns
// when it has. Time is then as in a Step. look may ask the machine's Env for immediate answers,
// must change nothing, and must keep nothing of the machine's: it goes on.
//
// If ctx ends first, that is the error, and look may still be called, or be running: the caller
// must not read its results then.
func (p *Process) Inspect(ctx context.Context, look func(env.Machine)) error {
	select {
	case p.looking <- struct{}{}:
	case <-ctx.Done():
		return p.unanswered(ctx)
	case <-p.done:
		return p.ended()
	}
	looked := make(chan struct{})
	p.inbox.add(entry{look: func() {
		<-p.looking
		if ctx.Err() == nil { // else the caller no longer waits
			look(p.loop.machine)
			close(looked)
		}
	}})
	select {
	case <-looked:
		return nil
	case <-ctx.Done():
		return p.unanswered(ctx)
	case <-p.done:
		return p.ended()
	}
}

func (p *Process) unanswered(ctx context.Context) error {
	return fmt.Errorf("process %d does not let anybody look at it: %w", p.loop.self, context.Cause(ctx))
}

func (p *Process) ended() error { return fmt.Errorf("process %d: %w", p.loop.self, ErrEnded) }

// NewNonce draws 128 bits that are unique: the name of a start, or of a data directory.
func NewNonce() env.Nonce {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it ends the program rather than fail
	return env.Nonce{A: binary.BigEndian.Uint64(b[:]), B: binary.BigEndian.Uint64(b[8:])}
}

// Nonce returns the name of this start.
func (p *Process) Nonce() env.Nonce { return p.loop.nonce }

// Kill ends the process as a signal would: after the Step that it is in, no waiting event is
// handled. It does not wait; see Done.
func (p *Process) Kill() { p.inbox.close() }

// Done is closed when the process has ended and its directory and address are free.
func (p *Process) Done() <-chan struct{} { return p.done }

// Halted returns why the machine ended the process, "" if it was killed. To be
// asked after Done.
func (p *Process) Halted() string { return p.loop.halted }

// Failure returns the fault that arose while the process ended. Call it after Done.
func (p *Process) Failure() error { return p.loop.failure }
