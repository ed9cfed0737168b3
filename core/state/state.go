// Package state is what a slot's log adds up to: entities, client sessions with
// their table of duplicates, limits and bucket level. It is a fold of the
// durable records: the same records give the same state on every replica, from
// the log or from a snapshot.
package state

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

// Window is W: the answers of requests [floor, floor+Window) of a session are
// kept. It bounds how many requests of a session may be unanswered.
const Window = 16

// Answer is what a request was told.
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

	// InFlight counts the session's records that are appended and not yet
	// durable. It belongs to the slot's sequencer, not to the fold.
	InFlight int
	// Leaving is set once a record that evicts the session is appended. It
	// belongs to the sequencer too.
	Leaving bool
}

// Entity is an entity with its state.
type Entity struct {
	Entity signal.Entity
	State  signal.State
}

// Slot is the fold. Use New.
//
// Invariant: index[e] is the place of e in entities; sessionIndex likewise.
type Slot struct {
	Position lineage.Position // last record folded
	Epoch    lineage.ShardEpoch
	Level    int64 // bucket level that the last record carries, nano-tokens
	Limits   record.Limits

	entities     []Entity // in order of creation
	index        map[signal.Entity]uint32
	sessions     []Session // in no order that matters
	sessionIndex map[uint64]uint32
}

// New returns the state before the first record.
func New() *Slot {
	return &Slot{index: map[signal.Entity]uint32{}, sessionIndex: map[uint64]uint32{}}
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
	case record.Session:
		s.applySession(r)
	case record.Config:
		s.Limits = r.Limits
	case record.EpochStart:
		s.Epoch = r.Epoch
	}
}

func (s *Slot) applySignal(r *record.Record) {
	i, ok := s.index[r.Signal.Entity]
	if !ok {
		i = uint32(len(s.entities))
		s.index[r.Signal.Entity] = i
		s.entities = append(s.entities, Entity{Entity: r.Signal.Entity})
	}
	s.entities[i].State.Apply(uint64(r.Seq), r.Operation(), &r.Signal)
	if session := s.Session(r.Client); session != nil {
		session.Floor = max(session.Floor, r.Floor)
		session.LastSeq = r.Seq
		session.answers[r.Request%Window] = Answer{Request: r.Request, Seq: r.Seq}
	}
}

func (s *Slot) applySession(r *record.Record) {
	if r.Session.Evicted != 0 {
		s.evict(r.Session.Evicted)
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

// Entity returns the state of an entity; the zero state if it has received
// nothing.
func (s *Slot) Entity(e signal.Entity) signal.State {
	if i, ok := s.index[e]; ok {
		return s.entities[i].State
	}
	return signal.State{}
}

// Entities returns all entities in order of creation. It belongs to the slot.
func (s *Slot) Entities() []Entity { return s.entities }

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

// LeastRecent returns the session that was used least recently, by seq, among
// those with nothing in flight; nil if there is none.
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

// Answer returns what request was told, if it was applied and is in the window.
func (c *Session) Answer(request uint64) (lineage.Seq, bool) {
	a := c.answers[request%Window]
	return a.Seq, a.Request == request && request != 0
}

// String names the session for errors.
func (c *Session) String() string { return fmt.Sprintf("session %d of client %d", c.ID, c.Client) }
