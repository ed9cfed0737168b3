// Package trace folds everything that happens in a run into hash chains, so that
// two runs can be compared by three numbers, and on request keeps the entries, so
// that the first difference can be named.
//
// A thin trace misses leaks: every event, every ask and every deviation goes in. Only integers do;
// the reader of a trace renders text.
package trace

import (
	"fmt"
	"math/bits"
)

// What names the kind of an entry. Its arguments are in the comment.
type What uint8

// The kinds of entries.
const (
	Step      What = iota + 1 // a process steps: event kind, event detail, data hash, backlog
	Status                    // its status after the Step: hash of the eight numbers
	Send                      // asks: to, key hash, payload hash, leaves at
	Submit                    // asks: operation kind, id, key hash, hash of data and paths
	SetTimer                  // asks: timer, instant
	Hit                       // fault point: point, key hash, action
	Halt                      // the process ends itself
	Crash                     // the process is ended: 1 by itself, 2 kill, 3 power, 4 wipe, 5 restore
	Boot                      // the process starts: incarnation
	Disrupt                   // disruption: index in the plan, 1 begins 2 ends 3 comes to nothing, operations that failed
	Deviation                 // decision that is not benign: site, scope, key hash, value
	Calm                      // the calm part begins
	Client                    // a client's observation: four numbers of the driver's choice
	Done                      // a disk operation succeeded without an event for the process: id, bytes
)

var whatNames = [...]string{"", "step", "status", "send", "submit", "set-timer", "hit", "halt", "crash", "boot", "disrupt", "deviation", "calm", "client", "done"}

// String returns the name of w.
func (w What) String() string {
	if int(w) < len(whatNames) {
		return whatNames[w]
	}
	return "unknown"
}

// chain says which of the three chains an entry belongs to.
func (w What) chain() int {
	switch w {
	case Crash, Boot, Disrupt, Deviation, Calm:
		return 0
	case Client:
		return 2
	}
	return 1
}

// Entry is one link of a chain, kept on request.
type Entry struct {
	At      int64 // true time, ns
	Process uint32
	What    What
	Args    [4]uint64
}

// String renders the bare numbers.
func (e Entry) String() string {
	return fmt.Sprintf("%12d ns  process %d  %-9s %x %x %x %x", e.At, e.Process, e.What, e.Args[0], e.Args[1], e.Args[2], e.Args[3])
}

// Hash is the fold of a run: three chains, so that a difference says at once whether the world
// decided differently, the machines behaved differently, or the clients got other answers.
type Hash struct {
	Decisions, State, Clients uint64
}

// Fold reduces the three chains to one number.
func (h Hash) Fold() uint64 { return mix(mix(h.Decisions^k0, h.State^k1), h.Clients^k2) }

// String returns 48 hex digits.
func (h Hash) String() string {
	return fmt.Sprintf("%016x%016x%016x", h.Decisions, h.State, h.Clients)
}

// Trace is the record of one run. The zero value is ready.
type Trace struct {
	chains  [3]uint64
	count   uint64
	keep    bool
	entries []Entry
}

const (
	k0 = 0xa0761d6478bd642f
	k1 = 0xe7037ed1a0b428db
	k2 = 0x8ebc6af09c88c6e3
)

// Reset starts a new run. With keep the entries are stored.
func (t *Trace) Reset(keep bool) {
	*t = Trace{chains: [3]uint64{k0, k1, k2}, keep: keep, entries: t.entries[:0]}
}

// Note folds one entry.
func (t *Trace) Note(at int64, process uint32, what What, a, b, c, d uint64) {
	h := &t.chains[what.chain()]
	x := mix(*h^uint64(at), k0^uint64(process)<<8^uint64(what))
	x = mix(x^a, k1^b)
	*h = mix(x^c, k2^d)
	t.count++
	if t.keep {
		t.entries = append(t.entries, Entry{At: at, Process: process, What: what, Args: [4]uint64{a, b, c, d}})
	}
}

// mix multiplies to 128 bits and folds the halves (wyhash's mum); folding an
// operand in again keeps a zero factor from forgetting the past.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo ^ bits.RotateLeft64(a, 23) ^ b
}

// Mix folds b into the hash a; for arguments that do not fit four numbers.
func Mix(a, b uint64) uint64 { return mix(a^k0, b^k1) }

// Hash returns the chains so far.
func (t *Trace) Hash() Hash {
	return Hash{Decisions: t.chains[0], State: t.chains[1], Clients: t.chains[2]}
}

// Count returns the number of entries so far.
func (t *Trace) Count() uint64 { return t.count }

// Entries returns the kept entries. It is valid until the next Reset.
func (t *Trace) Entries() []Entry { return t.entries }

// FirstDifference returns the index of the first entry in which a and b differ,
// or -1 if they are equal. One being a prefix of the other is a difference.
func FirstDifference(a, b []Entry) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return n
	}
	return -1
}
