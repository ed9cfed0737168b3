// Package env is the interface between the state machines of this project and the world around
// them. A machine receives an event (Step), makes requests to its Env, and never waits: answers
// arrive as later events. The virtual world of package sim and a real host implement the same
// interface, and one conformance suite (envtest) runs against both.
//
// The one rule to remember: a machine learns of the world only through an Event or a method of Env.
// No goroutine, lock, channel, global variable, wall clock or map order may influence its requests.
package env

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
)

// Time is an instant of one process's monotonic clock in nanoseconds. Its origin
// is arbitrary and differs between incarnations: never store it, never send it.
type Time int64

// Duration is a span of time in nanoseconds.
type Duration int64

// WallTime is an instant of the wall clock, nanoseconds since 1970 UTC. It may step in both
// directions; no safety rule may depend on it.
type WallTime int64

// Common spans.
const (
	Microsecond Duration = 1000
	Millisecond          = 1000 * Microsecond
	Second               = 1000 * Millisecond
)

// Never is the instant of a timer that is not armed.
const Never Time = math.MaxInt64

// Add returns t shifted by d.
func (t Time) Add(d Duration) Time { return t + Time(d) }

// Sub returns the span from u to t.
func (t Time) Sub(u Time) Duration { return Duration(t - u) }

// ID is the network address of a process: a node or a client.
type ID uint32

// Incarnation numbers the runs of a process; later runs have higher numbers. For a node it is the
// index of the meta log entry that registered it (package control). A host that watches its
// processes may count their starts with it, which the machines never learn.
type Incarnation uint64

// Nonce is a unique number of 128 bits. It names a start, or a data directory. The zero Nonce names
// nothing.
type Nonce struct{ A, B uint64 }

// String returns 32 hexadecimal digits.
func (n Nonce) String() string { return fmt.Sprintf("%016x%016x", n.A, n.B) }

// ErrNonce is wrapped by the errors about a text that is not a Nonce.
var ErrNonce = errors.New("not 32 hexadecimal digits")

// ParseNonce is the inverse of String.
func ParseNonce(s string) (n Nonce, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 16 {
		return Nonce{}, fmt.Errorf("%w: %q", ErrNonce, s)
	}
	return Nonce{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, nil
}

// MarshalText implements encoding.TextMarshaler, as String does.
func (n Nonce) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler, as ParseNonce does.
func (n *Nonce) UnmarshalText(text []byte) (err error) {
	*n, err = ParseNonce(string(text))
	return err
}

// TimerID names one of a machine's timers. Machines choose small dense numbers
// below MaxTimers.
type TimerID uint8

// MaxTimers bounds the timers of one machine.
const MaxTimers = 16

// Key is the identity that the protocol gives to a send, a disk operation, a chance or a fault
// point, so that a world can decide about it without knowing its meaning. A world decides equally
// about equal keys of one start of a process, except for a send after one that a network lost,
// doubled, delayed or damaged. Attempt tells repetitions apart. The world adds the number of the
// start itself.
type Key struct {
	Kind    uint16 // the kind of thing; the namespace belongs to the machine
	Attempt uint32 // 0 for the first time, incremented by each repetition
	A, B    uint64 // identity: tenant and seq, client and request, ...
}

// EventKind is the kind of an event.
type EventKind uint8

// The kinds of events. Every incarnation gets Started first.
const (
	Started  EventKind = iota + 1 // the process runs; its disk is as the last incarnation left it
	Timer                         // Event.Timer fired
	Message                       // Event.From sent Event.Data
	DiskDone                      // operation Event.Op completed
)

// String returns the name of k.
func (k EventKind) String() string {
	switch k {
	case Started:
		return "started"
	case Timer:
		return "timer"
	case Message:
		return "message"
	case DiskDone:
		return "disk-done"
	}
	return "unknown"
}

// Event is one input of a machine. It and its Data belong to the world and are valid only during
// the Step.
type Event struct {
	Kind  EventKind
	Timer TimerID // Timer: which
	Err   Errno   // DiskDone: the failure, or OK
	From  ID      // Message: the sender's address
	// At is when the event reached the process's input queue, before the run queue, so At <= Now.
	At   Time
	Op   OpID   // DiskDone: which operation
	N    int64  // DiskDone: size of an opened file, bytes read or written
	Data []byte // Message: the payload; DiskDone of a read: the bytes
}

// OpID is chosen by the machine and comes back in the completion.
type OpID uint64

// File is a handle chosen by the machine: small and dense. OpCreate or OpOpen binds it, OpClose
// releases it, and an operation submitted later may bind it again. Handle 0 is never valid.
type File uint32

// OpKind is a disk operation.
type OpKind uint8

// The disk operations. Operations on one file complete in the order of
// submission; so do operations on one directory. Operations on different files
// complete in any order.
const (
	OpAppend   OpKind = iota + 1 // write Data at the end of File
	OpWrite                      // write Data at Offset of File
	OpTruncate                   // cut File to Length bytes
	OpSync                       // make all earlier submissions to File durable
	OpRead                       // read Length bytes at Offset of File; fewer at its end
	OpCreate                     // create the file Path, which must not exist, and bind File
	OpOpen                       // bind File to the existing Path; N is its size
	OpClose                      // release File
	OpMkdir                      // create the directory Path; its parent must exist
	OpRename                     // rename Path to To, replacing a file there
	OpRemove                     // remove the file or the empty directory Path
	OpSyncDir                    // make all earlier entries of directory Path durable
)

var opNames = [...]string{"", "append", "write", "truncate", "sync", "read", "create", "open", "close", "mkdir", "rename", "remove", "sync-directory"}

// String returns the name of k.
func (k OpKind) String() string {
	if int(k) < len(opNames) {
		return opNames[k]
	}
	return "unknown"
}

// Op is one request to the disk. The world copies Data. Every Op is answered by
// one DiskDone event, unless the process dies first, or the Op is Quiet.
type Op struct {
	Kind OpKind
	// Quiet asks for an answer only if the operation fails. The answer of a later operation on the
	// same file, such as a sync after an append, then proves success (io_uring's
	// IOSQE_CQE_SKIP_SUCCESS).
	Quiet  bool
	File   File
	ID     OpID
	Path   string // slash-separated, relative to the process's own root
	To     string // OpRename: the new name
	Offset int64  // bytes
	Length int64  // bytes
	Data   []byte
	Key    Key
}

// Errno is the outcome of a disk operation.
type Errno uint8

// The outcomes of disk operations.
const (
	OK        Errno = iota
	NotExist        // no such file or directory
	Exist           // the name is taken
	NotDir          // a path element is not a directory
	NotEmpty        // the directory has entries
	NoSpace         // the disk is full; nothing was written
	IOError         // the device failed; after a failed sync the dirty data may be gone
	BadHandle       // the File is not bound
)

var errnoText = [...]string{"ok", "no such file or directory", "file exists", "not a directory", "directory not empty", "no space left on device", "input/output error", "file handle not open"}

// Error returns the text of e; an Errno other than OK is an error.
func (e Errno) Error() string {
	if int(e) < len(errnoText) {
		return errnoText[e]
	}
	return "unknown disk error"
}

// Point is a fault point: an anchor for disruptions, a mark that a moment was reached, and a place
// to inject a fault. Names belong to the machine (package fault has this project's).
type Point uint8

// Action is the instruction to a fault point.
type Action uint8

// The actions. After ActCrash the process is dead: every later request of the Step is void, and the
// machine need not unwind.
const (
	ActNone  Action = iota
	ActError        // pretend that the guarded operation failed
	ActCrash        // the process dies here
	ActDelay        // take longer: the guarded work is done at the next opportunity
	ActTorn         // do half of the guarded work
)

var actionNames = [...]string{"none", "error", "crash", "delay", "torn"}

// String returns the name of a.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "unknown"
}

// ParseAction is the inverse of String.
func ParseAction(s string) (Action, bool) {
	for i, name := range actionNames {
		if s == name {
			return Action(i), true
		}
	}
	return ActNone, false
}

// Status is the observable state of a machine after each Step: a few plain numbers, cheap to
// produce. Their meaning belongs to the machine.
type Status [8]uint64

// Machine is a process's program. The world calls Step with one event at a time
// and never concurrently.
type Machine interface {
	Step(ev *Event)
	Status(s *Status)
}

// Env is the set of requests that a machine can make, only during Step.
type Env interface {
	// Self is the process's own address.
	Self() ID
	// Nonce is drawn at this start of the process: no other start of any process has the same. It
	// is constant until the process ends. A machine can tell starts apart only by it: there is no
	// count that the disk could forget.
	Nonce() Nonce

	// Now is the monotonic clock. It is constant within a Step. It may drift from true time; a
	// broken one may even step back.
	Now() Time
	// Wall is the wall clock, constant within a Step; it may step.
	Wall() WallTime
	// SetTimer arms timer id for instant at, replacing its earlier instant. The event comes at or
	// after that instant, behind events already in the input queue. Never disarms the timer and
	// withdraws an event of it that waits in the queue.
	SetTimer(id TimerID, at Time)
	// Charge accounts for CPU time that this Step used. A request leaves at the start of the Step
	// plus the charges so far.
	Charge(cost Duration)

	// Send hands a message to the network, which may lose, delay, duplicate,
	// reorder or damage it. The payload is copied.
	Send(to ID, key Key, payload []byte)

	// Submit hands an operation to the disk. Data is copied; a sync covers all operations submitted
	// to the same file before it.
	Submit(op Op)
	// List returns the names in directory dir in ascending order, directories with a trailing
	// slash; nil if there is no such directory. It sees completed operations.
	List(dir string) []string
	// Free is the number of bytes that the disk still takes.
	Free() int64

	// Chance returns a number that is a function of the key and of the world,
	// uniform over all 64-bit values.
	Chance(key Key) uint64
	// Hit announces fault point p. ok is false if this world does not decide about fault points;
	// the caller may then ask a process-wide registry.
	Hit(p Point, key Key) (a Action, ok bool)
	// Halt ends the process. Every later request of the Step is void.
	Halt(reason string)
}
