package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

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

// field is a part of a message's layout.
type field uint8

const (
	fNonce field = iota
	fConn
	fFrame
	fAddress // tenant, slot, placement epoch
	fSession
	fRequest
	fFloor
	fSignal // entity, client time, weight, kind
	fEntity
	fSeq
	fState   // last seq, digest high, digest low, 8 x (count, weight)
	fRefusal // code, resource, limit, used, retry after
	fVersion
	fBase
	fLimits // rate, burst, entities, bytes
	fShard
	fCommand
)

var fieldSize = [...]int{
	fNonce: 8, fConn: 8, fFrame: 8, fAddress: 24, fSession: 8, fRequest: 8, fFloor: 8,
	fSignal: 32, fEntity: 8, fSeq: 8, fState: 24 + 16*signal.Kinds, fRefusal: 40,
	fVersion: 8, fBase: 8, fLimits: 32, fShard: 8, fCommand: 8,
}

// layouts is the table of what each kind carries, in order.
var layouts = [kinds][]field{
	Hello:       {fNonce},
	Welcome:     {fNonce, fConn},
	Reset:       {fConn},
	OpenSession: {fConn, fFrame, fAddress, fRequest, fNonce},
	SessionOpen: {fConn, fFrame, fAddress, fRequest, fNonce, fSession},
	Write:       {fConn, fFrame, fAddress, fSession, fRequest, fFloor, fSignal},
	Put:         {fConn, fFrame, fAddress, fSession, fRequest, fFloor, fEntity},
	Delete:      {fConn, fFrame, fAddress, fSession, fRequest, fFloor, fEntity},
	Ack:         {fConn, fFrame, fAddress, fSession, fRequest, fSeq},
	Read:        {fConn, fFrame, fAddress, fRequest, fEntity},
	State:       {fConn, fFrame, fAddress, fRequest, fEntity, fSeq, fState},
	Refusal:     {fConn, fFrame, fAddress, fSession, fRequest, fRefusal},
	Configure:   {fConn, fFrame, fAddress, fRequest, fVersion, fBase, fLimits},
	Create:      {fConn, fFrame, fAddress, fRequest, fVersion, fLimits, fShard},
	Drop:        {fConn, fFrame, fAddress, fRequest, fBase},
	Done:        {fConn, fFrame, fAddress, fRequest, fCommand, fVersion, fSeq},
}

// MaxSize is the size of the largest message, a State.
const MaxSize = headerSize + 5*8 + 24 + 24 + 16*signal.Kinds

// ErrMalformed is wrapped by the errors of Decode for damaged bytes.
var ErrMalformed = errors.New("malformed message")

// ErrVersion is wrapped by the error of Decode for a version that this binary
// does not know.
var ErrVersion = errors.New("unknown message version")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, b[headerSize:])
}

// Append appends the bytes of m to dst.
func Append(dst []byte, m *Message) []byte {
	start := len(dst)
	dst = append(dst, magic, version, byte(m.Kind), 0, 0, 0, 0, 0)
	for _, f := range layouts[m.Kind] {
		dst = appendField(dst, m, f)
	}
	b := dst[start:]
	binary.LittleEndian.PutUint32(b[4:], checksum(b))
	return dst
}

func appendField(dst []byte, m *Message, f field) []byte {
	le := binary.LittleEndian
	switch f {
	case fNonce:
		return le.AppendUint64(dst, m.Nonce)
	case fConn:
		return le.AppendUint64(dst, m.Conn)
	case fFrame:
		return le.AppendUint64(dst, m.Frame)
	case fAddress:
		dst = le.AppendUint64(dst, uint64(m.Tenant))
		dst = le.AppendUint64(dst, uint64(m.Slot))
		return le.AppendUint64(dst, uint64(m.Placement))
	case fSession:
		return le.AppendUint64(dst, m.Session)
	case fRequest:
		return le.AppendUint64(dst, m.Request)
	case fFloor:
		return le.AppendUint64(dst, m.Floor)
	case fSignal:
		dst = le.AppendUint64(dst, uint64(m.Signal.Entity))
		dst = le.AppendUint64(dst, uint64(m.Signal.ClientTime))
		dst = le.AppendUint64(dst, uint64(int64(m.Signal.Weight)))
		return le.AppendUint64(dst, uint64(m.Signal.Kind))
	case fEntity:
		return le.AppendUint64(dst, uint64(m.Entity))
	case fSeq:
		return le.AppendUint64(dst, uint64(m.Seq))
	case fState:
		return appendState(dst, &m.State)
	case fRefusal:
		dst = le.AppendUint64(dst, uint64(m.Code))
		dst = le.AppendUint64(dst, uint64(m.Resource))
		dst = le.AppendUint64(dst, m.Limit)
		dst = le.AppendUint64(dst, m.Used)
		return le.AppendUint64(dst, uint64(m.Retry))
	case fVersion:
		return le.AppendUint64(dst, m.Version)
	case fBase:
		return le.AppendUint64(dst, m.Base)
	case fLimits:
		dst = le.AppendUint64(dst, m.Limits.Rate)
		dst = le.AppendUint64(dst, m.Limits.Burst)
		dst = le.AppendUint64(dst, m.Limits.Entities)
		return le.AppendUint64(dst, m.Limits.Bytes)
	case fShard:
		return le.AppendUint64(dst, uint64(m.Shard))
	case fCommand:
		return le.AppendUint64(dst, uint64(m.Command))
	}
	return dst
}

func appendState(dst []byte, s *signal.State) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, s.LastSeq)
	dst = le.AppendUint64(dst, s.Applied.Hi)
	dst = le.AppendUint64(dst, s.Applied.Lo)
	for i := range s.Totals {
		dst = le.AppendUint64(dst, s.Totals[i].Count)
		dst = le.AppendUint64(dst, uint64(s.Totals[i].Weight))
	}
	return dst
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
	if kind == 0 || kind >= kinds || b[3] != 0 {
		return fmt.Errorf("%w: kind %d, reserved byte %d", ErrMalformed, b[2], b[3])
	}
	size := headerSize
	for _, f := range layouts[kind] {
		size += fieldSize[f]
	}
	if len(b) != size {
		return fmt.Errorf("%w: a %s has %d bytes, want %d", ErrMalformed, kind, len(b), size)
	}
	if got, want := checksum(b), binary.LittleEndian.Uint32(b[4:]); got != want {
		return fmt.Errorf("%w: checksum of a %s is %#x, want %#x", ErrMalformed, kind, got, want)
	}
	*m = Message{Kind: kind}
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
		m.Frame = r.next()
	case fAddress:
		m.Tenant = tenant.ID(r.next())
		m.Slot = lineage.Slot(r.below(1 << 32))
		m.Placement = lineage.PlacementEpoch(r.next())
	case fSession:
		m.Session = r.next()
	case fRequest:
		m.Request = r.next()
	case fFloor:
		m.Floor = r.next()
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
		m.Code = Code(r.below(uint64(codes)))
		m.Resource = uint8(r.below(1 << 8))
		m.Limit, m.Used, m.Retry = r.next(), r.next(), env.Duration(r.next())
	case fVersion:
		m.Version = r.next()
	case fBase:
		m.Base = r.next()
	case fLimits:
		m.Limits = tenant.Limits{Rate: r.next(), Burst: r.next(), Entities: r.next(), Bytes: r.next()}
	case fShard:
		m.Shard = lineage.Shard(r.below(1 << 32))
	case fCommand:
		m.Command = Kind(r.below(uint64(kinds)))
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
	if len(b) < headerSize || b[0] != magic || b[1] != version || Kind(b[2]) >= kinds {
		return 0
	}
	return Kind(b[2])
}

// FrameOf returns the frame number of b, if it is of a kind that has one and its
// checksum matches. It is much cheaper than Decode.
func FrameOf(b []byte) (uint64, bool) {
	kind := KindOf(b)
	if kind < OpenSession || len(b) < headerSize+16 || checksum(b) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b[headerSize+8:]), true // layouts begin with connection and frame
}
