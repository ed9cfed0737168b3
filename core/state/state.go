// Package state is the fold of a slot's log: entities, client sessions with their table of
// duplicates, limits and bucket level. The same committed records give the same state on every
// replica, from the log or from a snapshot.
package state

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

// Window is W: the slot keeps the answers of requests [floor, floor+Window) of a session. It bounds
// the unanswered requests of a session.
const Window = 16

// Answer is the stored answer of a request.
type Answer struct {
	Request uint64 // 0: none
	Seq     lineage.Seq
}

// Session is one client session within the slot.
type Session struct {
	ID      uint64 // seq of its SESSION record
	Client  uint64
	Nonce   uint64
	Floor   uint64 // requests below are never applied again
	LastSeq lineage.Seq
	answers [Window]Answer // by request number modulo Window

	// InFlight counts the session's records that are appended and not yet durable. It belongs to
	// the slot's leader, not to the fold.
	InFlight int
	// Leaving is set once a record that evicts the session is appended. It belongs to the leader
	// too.
	Leaving bool
}

// Entity is a live entity with its state.
type Entity struct {
	Entity signal.Entity
	Bytes  uint64 // logical: the encoded sizes of its Signal records, as first logged
	State  signal.State
}

// Slot is the fold. Use New.
//
// Invariants: index[e] is the index of e in entities; sessionIndex likewise. bytes is the sum over
// entities. Spans ascend, and there are at most MaxSpans.
type Slot struct {
	Position lineage.Position // the last record folded
	Level    int64            // bucket level in the last record, nano-tokens
	Limits   record.Limits

	entities     []Entity // in order of creation, but the last fills the gap of a deleted one
	bytes        uint64
	index        map[signal.Entity]uint32
	sessions     []Session // in any order
	sessionIndex map[uint64]uint32
	spans        []lineage.Span // the newest; lineages of older records are unknown
}

// New returns the state before the first record. It makes its maps on first use.
func New() *Slot {
	return &Slot{}
}

// Apply folds the next record.
func (s *Slot) Apply(r *record.Record, chain lineage.Chain) {
	if r.Seq != s.Position.Next() || r.Prev != s.Position.Chain {
		assert.Fail("fold of record %d (prev %x) onto position %d (chain %x)", r.Seq, r.Prev, s.Position.Seq, s.Position.Chain)
	}
	s.Position = lineage.Position{Seq: r.Seq, Chain: chain}
	s.Level = r.Level
	switch r.Kind {
	case record.Signal:
		s.applySignal(r)
	case record.EntityPut:
		s.put(r.Entity, r.Seq)
	case record.EntityDelete:
		s.remove(r.Entity)
	case record.Session:
		s.applySession(r)
	case record.Config:
		s.Limits = r.Limits
	case record.EpochStart:
		s.begin(lineage.Span{Lineage: r.Lineage(), First: r.Seq})
	default:
		assert.Fail("fold of record %d of %v, a kind that no state knows", r.Seq, r.Kind)
	}
	if r.Kind.IsOperation() {
		s.answer(r)
	}
}

func (s *Slot) applySignal(r *record.Record) {
	size := uint64(record.Size(record.Signal))
	e := s.put(r.Signal.Entity, r.Seq)
	e.State.Apply(uint64(r.Seq), r.Operation(), &r.Signal)
	e.Bytes += size
	s.bytes += size
}

// put returns an entity; if there is none, the record at seq creates it.
func (s *Slot) put(id signal.Entity, seq lineage.Seq) *Entity {
	i, ok := s.index[id]
	if !ok {
		i = uint32(len(s.entities))
		if s.index == nil {
			s.index = map[signal.Entity]uint32{}
		}
		s.index[id] = i
		s.entities = append(s.entities, Entity{Entity: id, State: signal.State{LastSeq: uint64(seq)}})
	}
	return &s.entities[i]
}

// remove drops an entity with all its signals, if there is one. The last entity fills the gap, so
// the order depends only on the log.
func (s *Slot) remove(id signal.Entity) {
	i, ok := s.index[id]
	if !ok {
		return
	}
	// A deleted entity's bytes are free again.
	//safety:bytes-refunded by=caps on=quota-storm
	s.bytes -= s.entities[i].Bytes
	last := len(s.entities) - 1
	s.entities[i] = s.entities[last]
	s.index[s.entities[i].Entity] = i
	s.entities = s.entities[:last]
	delete(s.index, id)
}

// answer stores the answer of the record's request in its session.
func (s *Slot) answer(r *record.Record) {
	session := s.Session(r.Client)
	if session == nil {
		return
	}
	session.Floor = max(session.Floor, r.Floor)
	session.LastSeq = r.Seq
	session.answers[r.Request%Window] = Answer{Request: r.Request, Seq: r.Seq}
}

func (s *Slot) applySession(r *record.Record) {
	if r.Session.Evicted != 0 {
		s.evict(r.Session.Evicted)
	}
	if s.sessionIndex == nil {
		s.sessionIndex = map[uint64]uint32{}
	}
	s.sessionIndex[uint64(r.Seq)] = uint32(len(s.sessions))
	s.sessions = append(s.sessions, Session{
		ID: uint64(r.Seq), Client: r.Session.Client, Nonce: r.Session.Nonce, LastSeq: r.Seq,
	})
}

func (s *Slot) evict(id uint64) {
	i, ok := s.sessionIndex[id]
	if !ok {
		return
	}
	last := len(s.sessions) - 1
	s.sessions[i] = s.sessions[last]
	s.sessionIndex[s.sessions[i].ID] = i
	s.sessions = s.sessions[:last]
	delete(s.sessionIndex, id)
}

// Entity returns the state of an entity. If there is none, it returns the zero state, with LastSeq
// 0.
func (s *Slot) Entity(e signal.Entity) signal.State {
	if i, ok := s.index[e]; ok {
		return s.entities[i].State
	}
	return signal.State{}
}

// Find returns a live entity; false if there is none.
func (s *Slot) Find(e signal.Entity) (Entity, bool) {
	if known := s.find(e); known != nil {
		return *known, true
	}
	return Entity{}, false
}

// find is Find without a copy; nil if there is none.
func (s *Slot) find(e signal.Entity) *Entity {
	if i, ok := s.index[e]; ok {
		return &s.entities[i]
	}
	return nil
}

// Entities returns all live entities, in an order that depends only on the log. It belongs to the
// slot.
func (s *Slot) Entities() []Entity { return s.entities }

// Live returns the number of live entities.
func (s *Slot) Live() uint64 { return uint64(len(s.entities)) }

// Bytes returns the logical bytes of the slot: the sum over its live entities.
func (s *Slot) Bytes() uint64 { return s.bytes }

// Session returns a session, nil if there is none. It is valid until the next
// Apply.
func (s *Slot) Session(id uint64) *Session {
	if i, ok := s.sessionIndex[id]; ok {
		return &s.sessions[i]
	}
	return nil
}

// SessionOf returns the session that a client opened with nonce, nil if there is
// none.
func (s *Slot) SessionOf(client, nonce uint64) *Session {
	for i := range s.sessions {
		if s.sessions[i].Client == client && s.sessions[i].Nonce == nonce {
			return &s.sessions[i]
		}
	}
	return nil
}

// Sessions returns the number of sessions.
func (s *Slot) Sessions() int { return len(s.sessions) }

// LeastRecent returns the session with the oldest last record, among those with nothing in flight;
// nil if there is none.
func (s *Slot) LeastRecent() *Session {
	var least *Session
	for i := range s.sessions {
		c := &s.sessions[i]
		if c.InFlight == 0 && !c.Leaving && (least == nil || c.LastSeq < least.LastSeq) {
			least = c
		}
	}
	return least
}

// Forget clears the fields of the leader, because another replica leads now.
func (s *Slot) Forget() {
	for i := range s.sessions {
		s.sessions[i].InFlight, s.sessions[i].Leaving = 0, false
	}
}

// Answer returns the stored answer of a request, if it was applied and is in the window.
func (c *Session) Answer(request uint64) (lineage.Seq, bool) {
	a := c.answers[request%Window]
	return a.Seq, a.Request == request && request != 0
}

// String names the session for errors.
func (c *Session) String() string { return fmt.Sprintf("session %d of client %d", c.ID, c.Client) }
