package sim

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// Recorder is notified of the fate of every message and disk operation, so that a run can be told
// and drawn. An ordinary run has none, and a recorder changes nothing in a run. As with an
// Observer, World.Time tells when, and arguments are valid during the call only.
type Recorder interface {
	// Flies is called when the network has taken a message, right behind Observer.Sent and
	// the deviations that hit it.
	Flies(f Flight)
	// Meets is called when a copy of a message arrives or is lost, or when a cut holds it.
	Meets(message uint64, to env.ID, fate Fate)
	// Steps is called before a Step; message is 0 if it is not about one.
	Steps(id env.ID, kind env.EventKind, message uint64)
	// Works is called when a disk has taken an operation, right behind Observer.Submitted.
	// ref names it until it is done.
	Works(id env.ID, ref uint32)
	// Worked is called when a disk operation is done, before the process's Step with its event if
	// there is one.
	Worked(id env.ID, ref uint32, err env.Errno)
	// Deviated is called with each fault of chance, during the operation that it hits.
	Deviated(d *chance.Deviation)
}

// Flight is a message on its way. Messages of a run are numbered from 1.
type Flight struct {
	Message  uint64
	From, To env.ID
	Leaves   int64 // true time, ns: when the earlier work of the Step is done
	Arrives  int64 // the first copy, unless a cut is met; 0 if there is none
	Copies   int   // 0: lost
	Damaged  bool  // the first copy
}

// Fate is the fate of a copy of a message where it should arrive.
type Fate uint8

// The fates.
const (
	Reached Fate = iota + 1 // it reached the process
	Cut                     // a cut lost it
	Held                    // a cut keeps it until the link heals
	Down                    // the process was down
	Died                    // the process ended before its turn came
)

// flies calls the recorder with the message that was handed to the network last.
func (w *World) flies(from, to env.ID, leaves int64) {
	f := Flight{Message: w.sent, From: from, To: to, Leaves: leaves, Copies: len(w.arrivals)}
	if f.Copies > 0 {
		f.Arrives = w.arrivals[0].At
		f.Damaged = w.net.Packet(w.arrivals[0].Ref).Damaged
	}
	w.config.Recorder.Flies(f)
}

// meets calls the recorder, if there is one.
func (w *World) meets(message uint64, to env.ID, fate Fate) {
	if w.config.Recorder != nil {
		w.config.Recorder.Meets(message, to, fate)
	}
}
