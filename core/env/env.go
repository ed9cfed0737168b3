// Package env is the seam between the state machines of this project and the
// world they live in. A machine is told what happened (Step), asks its Env for
// what it wants, and never waits: answers come as later events. The virtual
// world of package sim and a real host implement the same interface, and one
// conformance suite (envtest) runs against both.
//
// The one rule to remember: everything a machine knows about the world enters
// through an Event or a method of Env, and nothing else. No goroutine, lock,
// channel, global variable, wall clock or map order may influence what it asks.
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

// WallTime is an instant of the wall clock, nanoseconds since 1970 UTC. It may
// step in both directions; nothing that is a safety rule may hang on it.
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

// Incarnation numbers the lives of a process. A node's is the index of the entry of the
// meta log that registered it (package control); a host that watches its processes may
// count their starts with it, which the machines never learn. Later lives have higher ones.
type Incarnation uint64

// Nonce is 128 bits that nobody else has. It names a start, or a data directory. The zero
// Nonce names nothing.
type Nonce struct{ A, B uint64 }

// String returns 32 hexadecimal digits.
func (n Nonce) String() string { return fmt.Sprintf("%016x%016x", n.A, n.B) }

// ErrNonce is wrapped by the errors about a text that is no Nonce.
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

// Key is the identity that the protocol gives to a send, a disk operation, a
// chance or a fault point, so that a world can decide about it without knowing
// what it means. Equal keys of one start of a process are decided equally, but for a send
// after one that a network lost, doubled, delayed or damaged; Attempt tells repetitions
// apart. A world adds the number of the start by itself.
type Key struct {
	Kind    uint16 // what it is about; the namespace belongs to the machine
	Attempt uint32 // 0 for the first time, counted up by each repetition
	A, B    uint64 // identity: tenant and seq, client and request, ...
}

// EventKind says what happened.
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

// Event is what a machine is told. It and its Data belong to the world and are
// valid during the Step only.
type Event struct {
	Kind  EventKind
	Timer TimerID // Timer: which
	Err   Errno   // DiskDone: why it failed, or OK
	From  ID      // Message: the sender's address
	At    Time    // when the event reached the process's input queue; before the run queue, so At <= Now
	Op    OpID    // DiskDone: which operation
	N     int64   // DiskDone: size of an opened file, bytes read or written
	Data  []byte  // Message: the payload; DiskDone of a read: the bytes
}

// OpID is chosen by the machine and comes back in the completion.
type OpID uint64

// File is a handle chosen by the machine: small, dense, bound by OpCreate or
// OpOpen, released by OpClose, and free to be bound again by an operation
// submitted after that. Handle 0 is never valid.
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
	OpSync                       // make durable what was submitted to File before
	OpRead                       // read Length bytes at Offset of File; fewer at its end
	OpCreate                     // create the file Path, which must not exist, and bind File
	OpOpen                       // bind File to the existing Path; N is its size
	OpClose                      // release File
	OpMkdir                      // create the directory Path; its parent must exist
	OpRename                     // rename Path to To, replacing a file there
	OpRemove                     // remove the file or the empty directory Path
	OpSyncDir                    // make durable the entries of directory Path submitted before
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
	// Quiet asks for an answer only if the operation fails: that it succeeded is told by
	// the answer to a later one on the same file, as a sync after an append (io_uring's
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

// Point is a fault point: an anchor for disruptions, a mark that a moment was
// reached, and a place where a fault can be injected. Names belong to the
// machine (package fault holds this project's).
type Point uint8

// Action is what a fault point is told to do.
type Action uint8

// The actions. After ActCrash the process is dead: every later ask of the Step
// is void, and the machine need not unwind.
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

// Status is what the world may see of a machine after each Step: a few plain
// numbers, cheap to produce. Their meaning belongs to the machine.
type Status [8]uint64

// Machine is a process's program. The world calls Step with one event at a time
// and never concurrently.
type Machine interface {
	Step(ev *Event)
	Status(s *Status)
}

// Env is everything a machine may ask. Asks are made during Step only.
type Env interface {
	// Self is the process's own address.
	Self() ID
	// Nonce is drawn at this start of the process: no other start, of this process or of
	// another one, has the same. It is constant until the process ends, and it is all that
	// tells a machine one start from another: there is no count that the disk could forget.
	Nonce() Nonce

	// Now is the monotonic clock. It is constant within a Step. It may drift
	// from true time; a broken one may even step back.
	Now() Time
	// Wall is the wall clock, constant within a Step; it may step.
	Wall() WallTime
	// SetTimer arms timer id for instant at, replacing what was armed. The event
	// comes at or after that instant, behind what is already in the input queue.
	// Never disarms; an event that already waits in the queue is withdrawn.
	SetTimer(id TimerID, at Time)
	// Charge accounts for CPU time that this Step used. Asks leave at the start
	// of the Step plus what was charged so far.
	Charge(cost Duration)

	// Send hands a message to the network, which may lose, delay, duplicate,
	// reorder or damage it. The payload is copied.
	Send(to ID, key Key, payload []byte)

	// Submit hands an operation to the disk. Data is copied; a sync covers what
	// was submitted to the same file before it.
	Submit(op Op)
	// List returns the names in directory dir in ascending order, directories
	// with a trailing slash; nil if there is no such directory. It sees what was
	// completed.
	List(dir string) []string
	// Free is the number of bytes that the disk still takes.
	Free() int64

	// Chance returns a number that is a function of the key and of the world,
	// uniform over all 64-bit values.
	Chance(key Key) uint64
	// Hit announces fault point p. ok is false if nobody decides about fault
	// points here, so that a process-wide registry may be asked instead.
	Hit(p Point, key Key) (a Action, ok bool)
	// Halt ends the process. Every later ask of the Step is void.
	Halt(reason string)
}
