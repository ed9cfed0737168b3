package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// A message, little endian, part of the format; never change:
//
//	offset size
//	     0    1  magic 0x7d
//	     1    1  version (1)
//	     2    1  kind
//	     3    1  zero
//	     4    4  CRC-32C of all bytes but these four
//	     8    n  the fields of the kind's layout, 8 bytes each, signals and
//	             states as drawn at their codecs
const (
	magic      = 0x7d
	version    = 1
	headerSize = 8
)

// field is a part of a message's layout. What most messages have in common is one
// field, not several: nodes and clients spend much of their time here.
type field uint8

const (
	fNonce   field = iota
	fConn          // of the messages that have no frame
	fFrame         // connection, frame, tenant, slot, placement epoch
	fChange        // session, request, floor
	fSession       //
	fRequest       //
	fSignal        // entity, client time, weight, kind
	fEntity        //
	fSeq           //
	fState         // last seq, digest high, digest low, 8 x (count, weight)
	fRefusal       // code and facts, as drawn at refusalSize
	fCommand       //
	fRetired       // zero
	fEpoch         //
	fLevel         // level, epoch and seq of the token, bound
	fTail          // all that is left, at most MaxTail
	fields
)

var fieldSize = [fields]int{
	fNonce: 8, fConn: 8, fFrame: 40, fChange: 24, fSession: 8, fRequest: 8,
	fSignal: 32, fEntity: 8, fSeq: 8, fState: 24 + 16*signal.Kinds, fRefusal: refusalSize,
	fCommand: 8, fRetired: 8, fEpoch: 8, fLevel: 32,
}

// layouts is the table of the fields of each kind, in order.
var layouts = [kinds][]field{
	Hello:       {fNonce},
	Welcome:     {fNonce, fConn},
	Reset:       {fConn},
	OpenSession: {fFrame, fRequest, fNonce},
	SessionOpen: {fFrame, fRequest, fNonce, fSession},
	Write:       {fFrame, fChange, fSignal},
	Put:         {fFrame, fChange, fEntity},
	Delete:      {fFrame, fChange, fEntity},
	Refusal:     {fFrame, fSession, fRequest, fRefusal},
	Done:        {fFrame, fRequest, fCommand, fRetired, fSeq},
	Query:       {fFrame, fRequest, fEntity, fLevel},
	Ack:         {fFrame, fSession, fRequest, fSeq, fEpoch},
	State:       {fFrame, fRequest, fEntity, fSeq, fState, fEpoch},
	Control:     {fFrame, fRequest, fTail},
}

// sizes is the size of a message of each kind, and heads the checksum of its first
// four bytes.
var sizes, heads = headers()

func headers() (sizes [kinds]int, heads [kinds]uint32) {
	for k := range kinds {
		sizes[k] = headerSize
		for _, f := range layouts[k] {
			sizes[k] += fieldSize[f]
		}
		heads[k] = crc32.Checksum([]byte{magic, version, byte(k), 0}, castagnoli)
	}
	return sizes, heads
}

// MaxSize is the size of the largest message, a State.
const MaxSize = headerSize + 5*8 + 24 + 24 + 16*signal.Kinds + 8

// MaxTail bounds the tail of a Control, bytes: a command about a tenant with as many slots
// and regions as there may be is smaller.
const MaxTail = 8 << 10

// ErrMalformed is wrapped by the errors of Decode for damaged bytes.
var ErrMalformed = errors.New("malformed message")

// ErrVersion is wrapped by the error of Decode for a version that this binary
// does not know.
var ErrVersion = errors.New("unknown message version")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the checksum that belongs in the header of message b, of this version.
func checksum(b []byte) uint32 {
	return crc32.Update(heads[b[2]], castagnoli, b[headerSize:])
}

// Append appends the bytes of m to dst.
func Append(dst []byte, m *Message) []byte {
	start, size := len(dst), sizes[m.Kind]
	if m.Kind == Control { // the only one that has a tail
		size += len(m.Tail)
	}
	dst = slices.Grow(dst, size)[:start+size]
	b := dst[start:]
	b[0], b[1], b[2], b[3] = magic, version, byte(m.Kind), 0
	at := headerSize
	for _, f := range layouts[m.Kind] {
		m.put(b[at:], f)
		at += fieldSize[f]
	}
	binary.LittleEndian.PutUint32(b[4:], checksum(b))
	return dst
}

// put writes a field at the beginning of b.
func (m *Message) put(b []byte, f field) {
	switch f {
	case fNonce:
		put(b, m.Nonce)
	case fConn:
		put(b, m.Conn)
	case fFrame:
		b = b[:40]
		put(b, m.Conn)
		put(b[8:], m.Frame)
		put(b[16:], uint64(m.Tenant))
		put(b[24:], uint64(m.Slot))
		put(b[32:], uint64(m.Placement))
	case fChange:
		b = b[:24]
		put(b, m.Session)
		put(b[8:], m.Request)
		put(b[16:], m.Floor)
	case fSession:
		put(b, m.Session)
	case fRequest:
		put(b, m.Request)
	case fSignal:
		b = b[:32]
		put(b, uint64(m.Signal.Entity))
		put(b[8:], uint64(m.Signal.ClientTime))
		put(b[16:], uint64(int64(m.Signal.Weight)))
		put(b[24:], uint64(m.Signal.Kind))
	case fEntity:
		put(b, uint64(m.Entity))
	case fSeq:
		put(b, uint64(m.Seq))
	case fState:
		putState(b, &m.State)
	case fRefusal:
		putRefusal(b, m.Code, &m.Facts)
	case fCommand:
		put(b, uint64(m.Command))
	case fRetired:
		put(b, 0)
	case fEpoch:
		put(b, uint64(m.Epoch))
	case fLevel:
		b = b[:32]
		put(b, uint64(m.Level))
		put(b[8:], uint64(m.Token.Epoch))
		put(b[16:], uint64(m.Token.Seq))
		put(b[24:], uint64(m.Bound))
	case fTail:
		copy(b, m.Tail)
	}
}

func put(b []byte, v uint64) { binary.LittleEndian.PutUint64(b, v) }

func putState(b []byte, s *signal.State) {
	put(b, s.LastSeq)
	put(b[8:], s.Applied.Hi)
	put(b[16:], s.Applied.Lo)
	b = b[24:]
	for i := range s.Totals {
		put(b[16*i:], s.Totals[i].Count)
		put(b[16*i+8:], uint64(s.Totals[i].Weight))
	}
}

// Decode reads the message that is exactly b into m. It accepts only what Append
// writes.
func Decode(b []byte, m *Message) error {
	if len(b) < headerSize {
		return fmt.Errorf("%w: %d bytes, want at least %d", ErrMalformed, len(b), headerSize)
	}
	if b[0] != magic {
		return fmt.Errorf("%w: starts with %#x, want %#x; not a message of this protocol", ErrMalformed, b[0], magic)
	}
	if b[1] != version {
		return fmt.Errorf("%w: version %d, this binary reads %d", ErrVersion, b[1], version)
	}
	kind := Kind(b[2])
	if kind >= kinds || layouts[kind] == nil || b[3] != 0 {
		return fmt.Errorf("%w: kind %d, reserved byte %d", ErrMalformed, b[2], b[3])
	}
	if len(b) != sizes[kind] && (kind != Control || len(b) < sizes[kind] || len(b) > sizes[kind]+MaxTail) {
		return fmt.Errorf("%w: a %s has %d bytes, want %d", ErrMalformed, kind, len(b), sizes[kind])
	}
	if got, want := checksum(b), binary.LittleEndian.Uint32(b[4:]); got != want {
		return fmt.Errorf("%w: checksum of a %s is %#x, want %#x", ErrMalformed, kind, got, want)
	}
	*m = Message{}
	m.Kind = kind
	r := reader{b: b[headerSize:]}
	for _, f := range layouts[kind] {
		r.field(m, f)
	}
	if r.bad {
		return fmt.Errorf("%w: a field of a %s is out of its range", ErrMalformed, kind)
	}
	return nil
}

// reader reads 8-byte numbers; the size was checked before.
type reader struct {
	b   []byte
	bad bool // a number does not fit its field
}

func (r *reader) next() uint64 {
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// below reads a number and notes if it is not below limit.
func (r *reader) below(limit uint64) uint64 {
	v := r.next()
	r.bad = r.bad || v >= limit
	return v
}

func (r *reader) field(m *Message, f field) {
	switch f {
	case fNonce:
		m.Nonce = r.next()
	case fConn:
		m.Conn = r.next()
	case fFrame:
		m.Conn, m.Frame = r.next(), r.next()
		m.Tenant = tenant.ID(r.next())
		m.Slot = lineage.Slot(r.below(1 << 32))
		m.Placement = lineage.PlacementEpoch(r.next())
	case fChange:
		m.Session, m.Request, m.Floor = r.next(), r.next(), r.next()
	case fSession:
		m.Session = r.next()
	case fRequest:
		m.Request = r.next()
	case fSignal:
		m.Signal.Entity = signal.Entity(r.next())
		m.Signal.ClientTime = int64(r.next())
		weight := int64(r.next())
		m.Signal.Weight = int32(weight)
		r.bad = r.bad || weight != int64(m.Signal.Weight)
		m.Signal.Kind = signal.Kind(r.below(1 << 8))
	case fEntity:
		m.Entity = signal.Entity(r.next())
	case fSeq:
		m.Seq = lineage.Seq(r.next())
	case fState:
		r.state(&m.State)
	case fRefusal:
		m.Code, m.Facts = r.refusal()
	case fCommand:
		m.Command = Kind(r.below(uint64(kinds)))
	case fRetired:
		r.below(1)
	case fEpoch:
		m.Epoch = lineage.ShardEpoch(r.next())
	case fLevel:
		m.Level = Level(r.below(uint64(levels)))
		m.Token = Token{Epoch: lineage.ShardEpoch(r.next()), Seq: lineage.Seq(r.next())}
		m.Bound = env.Duration(r.below(1 << 62))
	case fTail:
		m.Tail = r.b
	}
}

func (r *reader) state(s *signal.State) {
	s.LastSeq = r.next()
	s.Applied = signal.Digest{Hi: r.next(), Lo: r.next()}
	for i := range s.Totals {
		s.Totals[i] = signal.Total{Count: r.next(), Weight: int64(r.next())}
	}
}

// KindOf returns the kind that b claims to be, 0 if it is no message. It does not
// look at the rest.
func KindOf(b []byte) Kind {
	if len(b) < headerSize || b[0] != magic || b[1] != version || Kind(b[2]) >= kinds || layouts[b[2]] == nil || b[3] != 0 {
		return 0
	}
	return Kind(b[2])
}

// FrameOf returns the frame number of b, if it claims to be of a kind that has one.
// It is much cheaper than Decode, and looks at nothing else either.
func FrameOf(b []byte) (uint64, bool) {
	if kind := KindOf(b); kind < OpenSession || len(b) != sizes[kind] && (kind != Control || len(b) < sizes[kind]) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b[headerSize+8:]), true // layouts begin with connection and frame
}
