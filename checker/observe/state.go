package observe

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Window is how many answers the table of duplicates keeps of a session; MaxSpans is how
// many spans of epochs a slot knows, the newest.
const (
	Window   = 16
	MaxSpans = 64
)

// Sizes of a slot's encoded state, in bytes, as it is drawn in core/state/codec.go.
const (
	stateHead    = 8 + 10*8
	spanImage    = 3 * 8
	entityImage  = 5*8 + signal.Kinds*16
	sessionImage = 5*8 + Window*16
)

// Parts is a slot's state at one record as a comparable value: its larger parts are digests. A
// digest is the sum of those of its members; 0 is none.
type Parts struct {
	Entities uint64 // live entities: place in the slot's order, logical bytes, the sum of their signals
	Sessions uint64 // sessions: client, nonce, last use
	Floors   uint64 // the lowest request number that each session still uses
	Answers  uint64 // the table of duplicates
	Lineage  uint64 // the spans of epochs that are known
	Live     uint64 // number of entities
	Open     uint64 // number of sessions
	Spans    uint64 // number of spans
	Level    int64  // of the bucket, nano-tokens
	Limits   record.Limits
}

// mix folds a number into a digest.
func mix(h, v uint64) uint64 {
	h = (h ^ v) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// EntityDigest is the digest of an entity in a place of its slot's order.
func EntityDigest(place int, entity signal.Entity, bytes uint64, s *signal.State) uint64 {
	var image [entityImage]byte
	le := binary.LittleEndian
	for i, v := range [...]uint64{uint64(entity), bytes, s.LastSeq, s.Applied.Hi, s.Applied.Lo} {
		le.PutUint64(image[8*i:], v)
	}
	for i, t := range s.Totals {
		le.PutUint64(image[40+16*i:], t.Count)
		le.PutUint64(image[48+16*i:], uint64(t.Weight))
	}
	return entityDigest(place, image[:])
}

func entityDigest(place int, image []byte) uint64 { return mix(uint64(place)+1, xxh3.Hash(image)) }

// SpanDigest is the digest of a run of records that one sequencer wrote.
func SpanDigest(s lineage.Span) uint64 {
	return mix(mix(mix(1, uint64(s.Placement)), uint64(s.Epoch)), uint64(s.First))
}

// Answer is the answer to a request of a session.
type Answer struct {
	Request uint64 // 0: none
	Seq     lineage.Seq
}

// SessionDigest is the digest of a session's identity and of its last use.
func SessionDigest(id, client, nonce uint64, last lineage.Seq) uint64 {
	return mix(mix(mix(id, client), nonce), uint64(last))
}

// FloorDigest is the digest of a session's floor.
func FloorDigest(id, floor uint64) uint64 { return mix(id, floor) }

// AnswersDigest is the digest of a session's table of duplicates.
func AnswersDigest(id uint64, answers *[Window]Answer) uint64 {
	var image [Window * 16]byte
	for i, a := range answers {
		binary.LittleEndian.PutUint64(image[16*i:], a.Request)
		binary.LittleEndian.PutUint64(image[16*i+8:], uint64(a.Seq))
	}
	return mix(id, xxh3.Hash(image[:]))
}

// ParseState reads a slot's encoded state: the position of its last record and its
// parts. It is false if the bytes are no state.
func ParseState(b []byte) (at lineage.Position, p Parts, ok bool) {
	if len(b) < stateHead+8 || binary.LittleEndian.Uint64(b) != 2 {
		return at, p, false
	}
	word := func(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	at = lineage.Position{Seq: lineage.Seq(word(b, 1)), Chain: lineage.Chain(word(b, 2))}
	p.Spans, p.Level = word(b, 3), int64(word(b, 4))
	p.Limits = record.Limits{
		Version: word(b, 5), Rate: word(b, 6), Burst: word(b, 7), Entities: word(b, 8), Bytes: word(b, 9), Feature: word(b, 10),
	}
	if b = b[stateHead:]; p.Spans > MaxSpans || len(b) < int(p.Spans)*spanImage+8 {
		return at, p, false
	}
	for range p.Spans {
		l := lineage.Lineage{Placement: lineage.PlacementEpoch(word(b, 0)), Epoch: lineage.ShardEpoch(word(b, 1))}
		p.Lineage += SpanDigest(lineage.Span{Lineage: l, First: lineage.Seq(word(b, 2))})
		b = b[spanImage:]
	}
	p.Live = word(b, 0)
	if b = b[8:]; p.Live > uint64(len(b)/entityImage) {
		return at, p, false
	}
	for i := range int(p.Live) {
		p.Entities += entityDigest(i, b[:entityImage])
		b = b[entityImage:]
	}
	if len(b) < 8 {
		return at, p, false
	}
	p.Open = word(b, 0)
	if b = b[8:]; p.Open > uint64(len(b)/sessionImage) {
		return at, p, false
	}
	for range p.Open {
		id := word(b, 0)
		p.Sessions += SessionDigest(id, word(b, 1), word(b, 2), lineage.Seq(word(b, 4)))
		p.Floors += FloorDigest(id, word(b, 3))
		p.Answers += mix(id, xxh3.Hash(b[40:sessionImage]))
		b = b[sessionImage:]
	}
	return at, p, len(b) == 0
}

// Moment says why a replica was looked at.
type Moment uint8

// The moments.
const (
	Drawn      Moment = iota + 1 // at a record that was drawn
	Opened                       // the log was found on the disk, or fetched, and is open
	Led                          // the node began to sequence the log
	Served                       // the slot began to serve
	AfterCut                     // the end of the log was cut
	Ended                        // the run has ended
	InSnapshot                   // the state stands in a snapshot on its way to the disk
)

var momentNames = [...]string{"", "at a record that was drawn", "when its log was open", "when it began to lead", "when it began to serve", "when its log had been cut", "in the end", "in a snapshot"}

// String says when, in words.
func (m Moment) String() string { return momentNames[m] }

// Sample is the state of one replica at one instant.
type Sample struct {
	Process
	Tenant tenant.ID
	Slot   lineage.Slot
	At     int64 // true time, ns
	Moment Moment
	// Position is that of the last record folded.
	Position lineage.Position
	Parts    Parts
	// Unreadable says that the bytes are no state; Position and Parts mean nothing then.
	Unreadable bool
}

// States holds samples of the states of replicas. The zero value is empty and ready.
type States struct {
	Samples []Sample
}

func (s *States) reset() { s.Samples = s.Samples[:0] }

// Add notes the encoded state of a replica.
func (s *States) Add(sample Sample, encoded []byte) {
	var ok bool
	sample.Position, sample.Parts, ok = ParseState(encoded)
	sample.Unreadable = !ok
	s.Samples = append(s.Samples, sample)
}
