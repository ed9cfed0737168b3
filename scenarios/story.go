package scenarios

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/plan"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// Told is one line of a run told in words.
type Told struct {
	At    int64 // virtual time, ns
	About About
	Op    int // Called and Ended: index of the operation in the history
	Event int // how many events of the trace came before
	Text  string
}

// About says what kind of thing a line tells.
type About uint8

// What lines are about.
const (
	Detail About = iota // a disk operation, a message, a fault point
	Fault               // a disruption begins or is over, the calm part begins
	Life                // a process starts or ends
	Called              // a client calls
	Ended               // a call ends
)

// String returns the line as it is printed.
func (t Told) String() string { return fmt.Sprintf("%8d.%06d ms  %s", t.At/1e6, t.At%1e6, t.Text) }

// story tells a run in words: what was asked and answered, what went to disks and
// wires, which moments were passed. It is only for reading; nothing is judged by it.
type story struct {
	world          *sim.World
	nodes, clients int
	notes          []note
	in             wire.Message
	peer           peer.Message
}

// note is a line and its place among the entries of the trace.
type note struct {
	entry uint64
	told  Told
}

func (s *story) add(format string, operands ...any) { s.call(Detail, 0, format, operands...) }

// call adds a line about an operation of a client.
func (s *story) call(about About, op int, format string, operands ...any) {
	s.notes = append(s.notes, note{s.world.Trace().Count(), Told{
		At: s.world.Time(), About: about, Op: op, Text: fmt.Sprintf(format, operands...),
	}})
}

// who names a process: nodes and clients are counted apart.
func (s *story) who(id env.ID) string {
	if int(id) < s.nodes {
		return fmt.Sprintf("node %d", id)
	}
	if int(id) >= s.nodes+s.clients {
		return fmt.Sprintf("operator %d", id)
	}
	return fmt.Sprintf("client %d", id)
}

func (s *story) hit(id env.ID, p env.Point, key env.Key) {
	if tenant.ID(key.A) == tenant.Reserved {
		s.add("%-9s reaches %s", s.who(id), fault.Name(p))
		return
	}
	if s.hitOfShard(id, p, key) {
		return
	}
	s.add("%-9s reaches %s (tenant %d slot %d, %d)", s.who(id), fault.Name(p), key.A, key.Kind, key.B)
}

func (s *story) submitted(id env.ID, op *env.Op, path string) {
	switch op.Kind {
	case env.OpAppend, env.OpWrite:
		s.add("%-9s disk: %s %d bytes to %s", s.who(id), op.Kind, len(op.Data), path)
	case env.OpRename:
		s.add("%-9s disk: rename %s to %s", s.who(id), path, op.To)
	default:
		s.add("%-9s disk: %s %s", s.who(id), op.Kind, path)
	}
}

func (s *story) sent(from, to env.ID, payload []byte) {
	if s.sentToPeer(from, to, payload) {
		return
	}
	m := &s.in
	if err := wire.Decode(payload, m); err != nil {
		s.add("%-9s sends %d bytes to %s that are no message: %v", s.who(from), len(payload), s.who(to), err)
		return
	}
	s.add("%-9s sends %s to %s: %s", s.who(from), m.Kind, s.who(to), describe(m))
}

// describe names what of a message tells it from others.
func describe(m *wire.Message) string {
	switch m.Kind {
	case wire.Hello, wire.Welcome, wire.Reset:
		return fmt.Sprintf("connection %x", m.Conn)
	case wire.Refusal:
		return fmt.Sprintf("%s, tenant %s slot %d session %d request %d", m.Code, m.Tenant, m.Slot, m.Session, m.Request)
	}
	text := fmt.Sprintf("tenant %s slot %d session %d request %d", m.Tenant, m.Slot, m.Session, m.Request)
	if m.Seq != 0 {
		text += fmt.Sprintf(" seq %d", m.Seq)
	}
	return text
}

func (s *story) asks(id env.ID, index int, op *history.Op) {
	s.call(Called, index, "%-9s CALLS #%d %s tenant %s slot %d entity %d", s.who(id), index, op.Kind, op.Tenant, op.Slot, op.Signal.Entity)
}

func (s *story) told(id env.ID, index int, op *history.Op) {
	text := op.Outcome.String()
	switch {
	case op.Reason != "":
		text += " (" + op.Reason + ")"
	case op.Kind.Changes():
		text += fmt.Sprintf(" at seq %d", op.Seq)
	default:
		text += fmt.Sprintf(": last seq %d, digest %s", op.State.LastSeq, op.State.Applied)
	}
	s.call(Ended, index, "%-9s ENDS  #%d %s %s", s.who(id), index, op.Kind, text)
}

// lines returns the story with what the world did put in its place.
func (s *story) lines(p *plan.Plan) []Told {
	for i, e := range s.world.Trace().Entries() {
		text, about := "", Life
		switch e.What {
		case trace.Boot:
			text = fmt.Sprintf("%-9s STARTS, incarnation %d", s.who(env.ID(e.Process)), e.Args[0])
		case trace.Crash:
			text = fmt.Sprintf("%-9s ENDS", s.who(env.ID(e.Process)))
		case trace.Calm:
			about = Fault
			text = "the calm part begins: everything is healed"
		case trace.Disrupt:
			about = Fault
			verb := [...]string{"?", "BEGINS", "IS OVER", "COMES TO NOTHING"}[e.Args[1]&3]
			text = fmt.Sprintf("FAULT %d %s: %s", e.Args[0], verb, p.Disruptions[e.Args[0]])
		}
		if text != "" {
			s.notes = append(s.notes, note{uint64(i), Told{At: e.At, About: about, Text: text}})
		}
	}
	slices.SortStableFunc(s.notes, func(a, b note) int { return int(int64(a.entry) - int64(b.entry)) })
	told := make([]Told, len(s.notes))
	for i := range s.notes {
		told[i] = s.notes[i].told
		told[i].Event = int(s.notes[i].entry)
	}
	return told
}
