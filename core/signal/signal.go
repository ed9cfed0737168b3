// Package signal defines the data of a tenant: signals on entities, and the
// state of an entity that they add up to.
package signal

import (
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"
)

// Entity identifies the thing that signals are about, within one tenant. All
// values are legal, 0 and the largest included.
type Entity uint64

// Kind is the kind of a signal (a view, a like, ...): 0 <= Kind < Kinds.
type Kind uint8

// Kinds is the number of signal kinds.
const Kinds = 8

// Signal is one event on one entity.
type Signal struct {
	Entity Entity
	// ClientTime is the reading of the client's clock, nanoseconds since 1970 UTC. It
	// is stored and never interpreted.
	ClientTime int64
	// Weight adds to the entity's weight sum of this kind. Sums wrap.
	Weight int32
	Kind   Kind
}

// ErrInvalid is wrapped by every error of Validate.
var ErrInvalid = errors.New("invalid signal")

// Validate reports a kind that does not exist.
func (s *Signal) Validate() error {
	if s.Kind >= Kinds {
		return fmt.Errorf("%w: kind is %d, want 0..%d", ErrInvalid, s.Kind, Kinds-1)
	}
	return nil
}

// Operation identifies one applied request within a slot: the session that
// issued it and the request number in it.
type Operation struct {
	Session uint64 // seq of the SESSION record
	Request uint64 // request number within the session, from 1
}

// Digest is a 128-bit digest of a set of operations: the sum, modulo 2^128, of
// the hashes of its members. It does not depend on the order. Counters alone
// would hide a loss together with a duplicate; this does not.
type Digest struct {
	Hi, Lo uint64
}

// Add returns the digest of the set with op added.
func (d Digest) Add(op Operation) Digest {
	var buf [16]byte
	for i := range 8 {
		buf[i] = byte(op.Session >> (8 * i))
		buf[8+i] = byte(op.Request >> (8 * i))
	}
	h := xxh3.Hash128(buf[:])
	lo := d.Lo + h.Lo
	hi := d.Hi + h.Hi
	if lo < d.Lo {
		hi++
	}
	return Digest{Hi: hi, Lo: lo}
}

// String returns the 32 hex digits of d.
func (d Digest) String() string { return fmt.Sprintf("%016x%016x", d.Hi, d.Lo) }

// Total is the sum of the signals of one kind.
type Total struct {
	Count  uint64
	Weight int64 // sum of weights, wrapping
}

// State is the state of one entity. The zero value is an entity that has
// received nothing.
type State struct {
	// LastSeq is the seq of the last record that touched the entity.
	LastSeq uint64
	// Applied is the digest of the operations applied to the entity.
	Applied Digest
	// Totals is indexed by Kind.
	Totals [Kinds]Total
}

// Apply folds one signal into the state.
func (s *State) Apply(seq uint64, op Operation, sig *Signal) {
	s.LastSeq = seq
	s.Applied = s.Applied.Add(op)
	t := &s.Totals[sig.Kind]
	t.Count++
	t.Weight += int64(sig.Weight)
}
