// Package history holds the operations of clients and the answers that clients received: one Op per
// request of an application, from its first attempt to its last answer. The checkers judge this
// evidence. The package knows nothing of the cluster's intentions; package observe tells whether a
// write is in the log.
//
// The one rule to remember: every beginning and every end has an event number of
// its own, strictly increasing over the whole history, so that "A returned
// before B began" is a comparison of integers and never a tie.
package history

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Kind is the kind of request.
type Kind uint8

// The kinds of operations.
const (
	Write  Kind = iota // one signal
	Read               // the state of one entity, at a Level
	Put                // the creation of one entity
	Delete             // the deletion of one entity with all its signals
)

var kindNames = [...]string{"write", "read", "put", "delete"}

// Changes reports whether operations of kind k are numbered requests that put a
// record into the slot's log.
func (k Kind) Changes() bool { return k != Read }

// String returns the name of k.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind-%d", uint8(k))
}

// Level is the consistency that a read asks for.
type Level uint8

// The levels.
const (
	Linearizable Level = iota // all that was acknowledged before it began
	Session                   // all that its client has seen of the slot
	Bounded                   // all that was acknowledged some time before it began
)

var levelNames = [...]string{"linearizable", "session", "bounded"}

// String returns the name of l.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("level-%d", uint8(l))
}

// Outcome is the client's final knowledge of an operation.
type Outcome uint8

// The outcomes. Open and Unknown changes may or may not have taken effect, and an
// Unknown one may do so after it returned.
const (
	Open    Outcome = iota // never returned
	Acked                  // answered
	Refused                // all its attempts were refused, each definitely
	Unknown                // given up with an attempt unresolved
)

var outcomeNames = [...]string{"open", "acked", "refused", "unknown"}

// String returns the name of o.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome-%d", uint8(o))
}

// Op is one operation of one client.
type Op struct {
	Client  uint64 // address of the client process
	Kind    Kind
	Outcome Outcome
	Tenant  tenant.ID
	Slot    lineage.Slot
	// Signal is the argument of a Write. Of the other kinds only Entity is meaningful.
	Signal signal.Signal
	// Op is the identity of a change. Session 0: no attempt of it was ever sent.
	Op signal.Operation

	Invoke, Return     uint64 // event numbers; Return is 0 while open
	InvokeAt, ReturnAt int64  // true time, ns

	// Level is the consistency that a Read asks for. Bound is the greatest age of the answer of a
	// bounded read, ns.
	Level Level
	Bound int64

	Seq    lineage.Seq  // Acked: that of its record; of a Read, the slot's last record that its answer includes
	State  signal.State // Read, Acked: the state that it returned
	Reason string       // Refused: the code; Unknown: why it gave up
}

// Unresolved reports whether the client does not know if o took effect.
func (o *Op) Unresolved() bool { return o.Outcome == Open || o.Outcome == Unknown }

// Deadline is the Reason of an operation that was given up because its time was
// over.
const Deadline = "deadline"

// Result is how an operation ended.
type Result struct {
	Outcome Outcome // not Open
	At      int64   // true time, ns
	Seq     lineage.Seq
	State   signal.State
	Reason  string
}

// History is a list of operations. The zero value is empty and ready.
//
// Invariant: Ops is in the order of Invoke, and no event number occurs twice.
type History struct {
	Ops   []Op
	event uint64 // the last event number given out
}

// Begin adds an operation that starts now and returns its index. Its event
// number, outcome and end are set here, whatever op says of them.
func (h *History) Begin(op Op) int {
	index, begun := h.Start()
	op.Invoke, op.Return, op.ReturnAt, op.Outcome = begun.Invoke, 0, 0, Open
	*begun = op
	return index
}

// Start is Begin for callers that fill in the operation in place: op is zero but for its event
// number, and valid until the next one starts.
func (h *History) Start() (index int, op *Op) {
	h.event++
	index = len(h.Ops)
	h.Ops = slices.Grow(h.Ops, 1)[:index+1]
	op = &h.Ops[index]
	*op = Op{}
	op.Invoke = h.event
	return index, op
}

// Sent notes the identity under which the operation at index is about to be sent for the first
// time. Repeating it with the same identity changes nothing. An operation never changes its
// identity, or its duplicates could not be recognised.
func (h *History) Sent(index int, id signal.Operation) {
	op := &h.Ops[index]
	if op.Op != id && op.Op.Session != 0 {
		assert.Fail("history: operation %d was sent as %+v and is now sent as %+v", index, op.Op, id)
	}
	op.Op = id
}

// End closes the operation at index, which must be open.
func (h *History) End(index int, r Result) {
	op := h.Close(index, r.Outcome, r.At)
	op.Seq, op.State, op.Reason = r.Seq, r.State, r.Reason
}

// Close is End for callers that note the answer in place: seq, state and reason of op still hold
// the values of the beginning.
func (h *History) Close(index int, o Outcome, at int64) (op *Op) {
	op = &h.Ops[index]
	if op.Outcome != Open || o == Open {
		assert.Fail("history: operation %d ends as %s, but it is %s", index, o, op.Outcome)
	}
	h.event++
	op.Return, op.ReturnAt, op.Outcome = h.event, at, o
	return op
}

// Reset empties h and keeps its memory.
func (h *History) Reset() {
	h.Ops = h.Ops[:0]
	h.event = 0
}
