package history

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Format names the file format in its first line.
const Format = "tidalsim-history"

// Version is the version of the file format that this package writes and reads.
const Version = 1

// MaxLine bounds one line of a stored history, in bytes.
const MaxLine = 1 << 20

// ErrFormat is wrapped by every error about the contents of a stored history.
var ErrFormat = errors.New("not a history")

// The lines of a stored history, JSON objects; part of the format:
//
//	{"format":"tidalsim-history","version":1}
//	{"invoke":1,"return":2,"invoke_at_ns":5,...}     one per operation, by invoke
//
// Numbers that use all 64 bits are strings, because JSON numbers lose precision
// beyond 2^53 in other languages.
type header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

type line struct {
	Invoke   uint64       `json:"invoke"`
	Return   uint64       `json:"return,omitempty"`
	InvokeAt int64        `json:"invoke_at_ns"`
	ReturnAt int64        `json:"return_at_ns,omitempty"`
	Client   uint64       `json:"client"`
	Kind     string       `json:"kind"`
	Outcome  string       `json:"outcome"`
	Tenant   tenant.ID    `json:"tenant"`
	Slot     lineage.Slot `json:"slot"`
	Entity   uint64       `json:"entity,string"`
	Signal   *signalLine  `json:"signal,omitempty"`
	Session  uint64       `json:"session,omitempty"`
	Request  uint64       `json:"request,omitempty"`
	Seq      lineage.Seq  `json:"seq,omitempty"`
	State    *stateLine   `json:"state,omitempty"`
	Reason   string       `json:"reason,omitempty"`
}

type signalLine struct {
	Kind       signal.Kind `json:"kind"`
	Weight     int32       `json:"weight"`
	ClientTime int64       `json:"client_time_ns,string"`
}

type stateLine struct {
	LastSeq uint64      `json:"last_seq"`
	Applied string      `json:"applied"`
	Totals  []totalLine `json:"totals,omitempty"` // only kinds that occurred, ascending
}

type totalLine struct {
	Kind   signal.Kind `json:"kind"`
	Count  uint64      `json:"count"`
	Weight int64       `json:"weight,string"`
}

// Write stores h as JSON Lines. Equal histories give equal bytes.
func (h *History) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	if err := enc.Encode(header{Format: Format, Version: Version}); err != nil {
		return fmt.Errorf("history: write the header: %w", err)
	}
	for i := range h.Ops {
		if err := enc.Encode(toLine(&h.Ops[i])); err != nil {
			return fmt.Errorf("history: write operation %d: %w", i, err)
		}
	}
	return nil
}

func toLine(op *Op) line {
	l := line{
		Invoke: op.Invoke, Return: op.Return, InvokeAt: op.InvokeAt, ReturnAt: op.ReturnAt,
		Client: op.Client, Kind: op.Kind.String(), Outcome: op.Outcome.String(),
		Tenant: op.Tenant, Slot: op.Slot, Entity: uint64(op.Signal.Entity),
		Session: op.Op.Session, Request: op.Op.Request, Seq: op.Seq, Reason: op.Reason,
	}
	if op.Kind == Write {
		s := op.Signal
		l.Signal = &signalLine{Kind: s.Kind, Weight: s.Weight, ClientTime: s.ClientTime}
	}
	if op.Kind == Read && op.Outcome == Acked {
		l.State = &stateLine{LastSeq: op.State.LastSeq, Applied: op.State.Applied.String()}
		for k, t := range op.State.Totals {
			if t != (signal.Total{}) {
				l.State.Totals = append(l.State.Totals, totalLine{Kind: signal.Kind(k), Count: t.Count, Weight: t.Weight})
			}
		}
	}
	return l
}

// Load reads a stored history. It accepts only histories that a recorder can have written: unknown
// fields, event numbers out of order and answers that do not belong to their operation are errors,
// which name the line.
func Load(r io.Reader) (*History, error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 4096), MaxLine)
	h, n := &History{}, 0
	seen := map[uint64]int{} // event number: its line
	for in.Scan() {
		n++
		var err error
		if n == 1 {
			err = checkHeader(in.Bytes())
		} else {
			err = h.load(in.Bytes(), n, seen)
		}
		if err != nil {
			return nil, fmt.Errorf("history line %d: %w", n, err)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("history line %d: %w", n+1, err)
	}
	if n == 0 {
		return nil, fmt.Errorf("history line 1: %w: the file is empty", ErrFormat)
	}
	return h, nil
}

func checkHeader(text []byte) error {
	var head header
	if err := decode(text, &head); err != nil {
		return err
	}
	if head.Format != Format {
		return fmt.Errorf("%w: format is %q, want %q", ErrFormat, head.Format, Format)
	}
	if head.Version != Version {
		return fmt.Errorf("%w: version is %d, this program reads %d", ErrFormat, head.Version, Version)
	}
	return nil
}

func (h *History) load(text []byte, n int, seen map[uint64]int) error {
	var l line
	if err := decode(text, &l); err != nil {
		return err
	}
	op, err := fromLine(&l)
	if err != nil {
		return err
	}
	if len(h.Ops) > 0 && op.Invoke <= h.Ops[len(h.Ops)-1].Invoke {
		return fmt.Errorf("%w: invoke is %d, want more than the line before", ErrFormat, op.Invoke)
	}
	for _, event := range [2]uint64{op.Invoke, op.Return} {
		if event == 0 {
			continue
		}
		if before, taken := seen[event]; taken {
			return fmt.Errorf("%w: event %d was on line %d already", ErrFormat, event, before)
		}
		seen[event] = n
		h.event = max(h.event, event)
	}
	h.Ops = append(h.Ops, op)
	return nil
}

func decode(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more text follows the object", ErrFormat)
	}
	return nil
}

func fromLine(l *line) (Op, error) {
	op := Op{
		Client: l.Client, Tenant: l.Tenant, Slot: l.Slot,
		Signal: signal.Signal{Entity: signal.Entity(l.Entity)},
		Op:     signal.Operation{Session: l.Session, Request: l.Request},
		Invoke: l.Invoke, Return: l.Return, InvokeAt: l.InvokeAt, ReturnAt: l.ReturnAt,
		Seq: l.Seq, Reason: l.Reason,
	}
	kind, ok := named(kindNames[:], l.Kind)
	if !ok {
		return op, fmt.Errorf("%w: kind is %q, want one of %q", ErrFormat, l.Kind, kindNames)
	}
	outcome, ok := named(outcomeNames[:], l.Outcome)
	if !ok {
		return op, fmt.Errorf("%w: outcome is %q, want one of %q", ErrFormat, l.Outcome, outcomeNames)
	}
	op.Kind, op.Outcome = Kind(kind), Outcome(outcome)
	if err := shape(l, &op); err != nil {
		return op, err
	}
	if l.Signal != nil {
		op.Signal.Kind, op.Signal.Weight, op.Signal.ClientTime = l.Signal.Kind, l.Signal.Weight, l.Signal.ClientTime
		if err := op.Signal.Validate(); err != nil {
			return op, fmt.Errorf("%w: %w", ErrFormat, err)
		}
	}
	if l.State == nil {
		return op, nil
	}
	return op, l.State.into(&op.State)
}

func named(names []string, name string) (int, bool) {
	for i, n := range names {
		if n == name {
			return i, true
		}
	}
	return 0, false
}

// shape checks which fields are there; whether they are true is for the checkers.
func shape(l *line, op *Op) error {
	switch {
	case op.Invoke == 0:
		return fmt.Errorf("%w: invoke is missing", ErrFormat)
	case (op.Outcome == Open) != (op.Return == 0):
		return fmt.Errorf("%w: outcome is %s, but return is %d", ErrFormat, op.Outcome, op.Return)
	case op.Return != 0 && op.Return < op.Invoke:
		return fmt.Errorf("%w: return %d comes before invoke %d", ErrFormat, op.Return, op.Invoke)
	case (op.Kind == Write) != (l.Signal != nil):
		return fmt.Errorf("%w: a write has a signal and nothing else has", ErrFormat)
	case op.Kind == Read && (l.Session != 0 || l.Request != 0):
		return fmt.Errorf("%w: a read has no session and no request", ErrFormat)
	case l.Seq != 0 && op.Outcome != Acked:
		return fmt.Errorf("%w: only an acked operation has a seq", ErrFormat)
	case (l.State != nil) != (op.Kind == Read && op.Outcome == Acked):
		return fmt.Errorf("%w: an acked read has a state and nothing else has", ErrFormat)
	}
	return nil
}

func (l *stateLine) into(s *signal.State) error {
	digest, err := hex.DecodeString(l.Applied)
	if err != nil || len(digest) != 16 {
		return fmt.Errorf("%w: applied is %q, want 32 hex digits", ErrFormat, l.Applied)
	}
	s.LastSeq = l.LastSeq
	s.Applied = signal.Digest{Hi: binary.BigEndian.Uint64(digest), Lo: binary.BigEndian.Uint64(digest[8:])}
	next := signal.Kind(0)
	for _, t := range l.Totals {
		if t.Kind < next || t.Kind >= signal.Kinds {
			return fmt.Errorf("%w: totals are of kinds 0..%d, ascending; found %d", ErrFormat, signal.Kinds-1, t.Kind)
		}
		s.Totals[t.Kind] = signal.Total{Count: t.Count, Weight: t.Weight}
		next = t.Kind + 1
	}
	return nil
}
