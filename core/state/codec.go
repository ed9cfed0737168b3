package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/layout"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
)

// A slot's state in a snapshot, little endian, part of the format; never change:
//
//	version 2 (u8), zero (7 bytes)
//	seq, chain, number of spans, bucket level                               (8 bytes each)
//	config version, rate, burst, entities, bytes, feature level             (8 bytes each)
//	for each span, ascending: placement epoch, shard epoch, first seq       (24 bytes)
//	number of entities (u64), then for each, in the slot's order:
//	    entity, bytes, last seq, digest high, digest low, 8 x (count, weight)  (168 bytes)
//	number of sessions (u64), then for each, in ascending order of id:
//	    id, client, nonce, floor, last seq, 16 x (request, seq)                (296 bytes)
//
// Version 1 has the shard epoch of the last record in place of the number of spans, and no
// spans. It is still read.
const (
	codecVersion = 2
	firstVersion = 1
	spanSize     = 3 * 8
	headSize     = 8 + 10*8 // without the numbers of entities and sessions
	entitySize   = 5*8 + signal.Kinds*16
	sessionSize  = 5*8 + Window*16
)

// ErrMalformed is wrapped by every error of Decode.
var ErrMalformed = errors.New("malformed slot state")

// Size returns the number of bytes that Append appends.
func (s *Slot) Size() int {
	return headSize + 2*8 + len(s.spans)*spanSize + len(s.entities)*entitySize + len(s.sessions)*sessionSize
}

// Append appends the bytes of s to dst. Equal states have equal bytes.
func (s *Slot) Append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = slices.Grow(dst, s.Size())
	dst = append(dst, codecVersion, 0, 0, 0, 0, 0, 0, 0)
	for _, v := range [...]uint64{
		uint64(s.Position.Seq), uint64(s.Position.Chain), uint64(len(s.spans)), uint64(s.Level),
		s.Limits.Version, s.Limits.Rate, s.Limits.Burst, s.Limits.Entities, s.Limits.Bytes, s.Limits.Feature,
	} {
		dst = le.AppendUint64(dst, v)
	}
	for _, span := range s.spans {
		dst = le.AppendUint64(dst, uint64(span.Placement))
		dst = le.AppendUint64(dst, uint64(span.Epoch))
		dst = le.AppendUint64(dst, uint64(span.First))
	}
	dst = le.AppendUint64(dst, uint64(len(s.entities)))
	for i := range s.entities {
		dst = appendEntity(dst, &s.entities[i])
	}
	dst = le.AppendUint64(dst, uint64(len(s.sessions)))
	for last := uint64(0); ; {
		next := s.sessionAfter(last)
		if next == nil {
			return dst
		}
		dst = appendSession(dst, next)
		last = next.ID
	}
}

// sessionAfter returns the session with the lowest id above id.
func (s *Slot) sessionAfter(id uint64) *Session {
	var next *Session
	for i := range s.sessions {
		c := &s.sessions[i]
		if c.ID > id && (next == nil || c.ID < next.ID) {
			next = c
		}
	}
	return next
}

func appendEntity(dst []byte, e *Entity) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(e.Entity))
	dst = le.AppendUint64(dst, e.Bytes)
	dst = le.AppendUint64(dst, e.State.LastSeq)
	dst = le.AppendUint64(dst, e.State.Applied.Hi)
	dst = le.AppendUint64(dst, e.State.Applied.Lo)
	for _, t := range e.State.Totals {
		dst = le.AppendUint64(dst, t.Count)
		dst = le.AppendUint64(dst, uint64(t.Weight))
	}
	return dst
}

func appendSession(dst []byte, c *Session) []byte {
	le := binary.LittleEndian
	for _, v := range [...]uint64{c.ID, c.Client, c.Nonce, c.Floor, uint64(c.LastSeq)} {
		dst = le.AppendUint64(dst, v)
	}
	for _, a := range c.answers {
		dst = le.AppendUint64(dst, a.Request)
		dst = le.AppendUint64(dst, uint64(a.Seq))
	}
	return dst
}

// Decode reads a state from exactly the bytes b. For bytes of the present version, Append of it
// gives b again. It allocates no more than a small multiple of len(b). It rejects states that no
// log can produce, as far as it can tell: a seq beyond the state's, a duplicate entity or session,
// a sum of bytes that overflows, an answer in the wrong place.
func Decode(b []byte) (*Slot, error) {
	if len(b) < headSize+8 {
		return nil, fmt.Errorf("%w: %d bytes, want at least %d", ErrMalformed, len(b), headSize+8)
	}
	r := layout.Of(b)
	version := r.Uint64()
	if version != codecVersion && version != firstVersion {
		return nil, fmt.Errorf("%w: version %d, this binary reads %d and %d", ErrMalformed, version, firstVersion, codecVersion)
	}
	s := New()
	s.Position = lineage.Position{Seq: lineage.Seq(r.Uint64()), Chain: lineage.Chain(r.Uint64())}
	spans := r.Uint64()
	s.Level = int64(r.Uint64())
	s.Limits = record.Limits{
		Version: r.Uint64(), Rate: r.Uint64(), Burst: r.Uint64(), Entities: r.Uint64(), Bytes: r.Uint64(), Feature: r.Uint64(),
	}
	if s.Level < 0 {
		return nil, fmt.Errorf("%w: bucket level %d is negative", ErrMalformed, s.Level)
	}
	if version == firstVersion {
		s.spans = spansOfVersion1(lineage.ShardEpoch(spans), s.Position.Seq)
	} else if err := s.decodeSpans(&r, spans); err != nil {
		return nil, err
	}
	if err := s.decodeEntities(&r); err != nil {
		return nil, err
	}
	if err := s.decodeSessions(&r); err != nil {
		return nil, err
	}
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return s, nil
}

// spansOfVersion1 returns the only span in version 1: the epoch of the last record. Slots did not
// move at that version, so the placement epoch is 1.
func spansOfVersion1(epoch lineage.ShardEpoch, at lineage.Seq) []lineage.Span {
	if epoch == 0 {
		return nil
	}
	return []lineage.Span{{Lineage: lineage.Lineage{Placement: 1, Epoch: epoch}, First: at}}
}

func (s *Slot) decodeSpans(r *layout.Reader, n uint64) error {
	if n > MaxSpans {
		return fmt.Errorf("%w: %d spans, want at most %d", ErrMalformed, n, MaxSpans)
	}
	for range r.Fits(n, spanSize) {
		span := lineage.Span{Lineage: lineage.Lineage{Placement: lineage.PlacementEpoch(r.Uint64()), Epoch: lineage.ShardEpoch(r.Uint64())}, First: lineage.Seq(r.Uint64())}
		if last := len(s.spans) - 1; last >= 0 && (span.First <= s.spans[last].First || span.Compare(s.spans[last].Lineage) <= 0) || span.First > s.Position.Seq {
			return fmt.Errorf("%w: a span %v in a state of seq %d", ErrMalformed, span, s.Position.Seq)
		}
		s.spans = append(s.spans, span)
	}
	return nil
}

func (s *Slot) decodeEntities(r *layout.Reader) error {
	n := r.Count64(entitySize)
	if n > 0 {
		s.entities, s.index = make([]Entity, n), make(map[signal.Entity]uint32, n)
	}
	for i := range s.entities {
		e := &s.entities[i]
		e.Entity = signal.Entity(r.Uint64())
		e.Bytes = r.Uint64()
		e.State.LastSeq = r.Uint64()
		e.State.Applied = signal.Digest{Hi: r.Uint64(), Lo: r.Uint64()}
		for k := range e.State.Totals {
			e.State.Totals[k] = signal.Total{Count: r.Uint64(), Weight: int64(r.Uint64())}
		}
		s.index[e.Entity] = uint32(i)
		s.bytes += e.Bytes
		if s.bytes < e.Bytes || e.State.LastSeq > uint64(s.Position.Seq) {
			return fmt.Errorf("%w: entity %d has %d bytes and was touched by record %d, in a state of seq %d with %d bytes so far",
				ErrMalformed, e.Entity, e.Bytes, e.State.LastSeq, s.Position.Seq, s.bytes)
		}
	}
	if len(s.index) != n {
		return fmt.Errorf("%w: an entity stands twice", ErrMalformed)
	}
	return nil
}

func (s *Slot) decodeSessions(r *layout.Reader) error {
	n := r.Count64(sessionSize)
	if n > 0 {
		s.sessions, s.sessionIndex = make([]Session, n), make(map[uint64]uint32, n)
	}
	for i := range s.sessions {
		c := &s.sessions[i]
		c.ID, c.Client, c.Nonce, c.Floor, c.LastSeq = r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), lineage.Seq(r.Uint64())
		for k := range c.answers {
			c.answers[k] = Answer{Request: r.Uint64(), Seq: lineage.Seq(r.Uint64())}
		}
		if c.ID == 0 || i > 0 && c.ID <= s.sessions[i-1].ID {
			return fmt.Errorf("%w: session ids do not ascend at %d", ErrMalformed, c.ID)
		}
		if err := c.check(s.Position.Seq); err != nil {
			return err
		}
		s.sessionIndex[c.ID] = uint32(i)
	}
	return nil
}

// check reports values in a session that no log up to end can produce.
func (c *Session) check(end lineage.Seq) error {
	if c.ID > uint64(end) || c.LastSeq > end {
		return fmt.Errorf("%w: %s was last used by record %d, in a state of seq %d", ErrMalformed, c, c.LastSeq, end)
	}
	for k, a := range c.answers {
		if a != (Answer{}) && (a.Request%Window != uint64(k) || a.Seq > end) {
			return fmt.Errorf("%w: %s has the answer of request %d (record %d) in place %d, in a state of seq %d", ErrMalformed, c, a.Request, a.Seq, k, end)
		}
	}
	return nil
}
