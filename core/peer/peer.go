// Package peer holds the messages between nodes and their bytes: what shipping a
// slot's log, confirming who leads, and the control plane need. Each may be lost,
// doubled, late or damaged; what they mean must not hang on their order.
//
// The one rule to remember: a message counts under its shard epoch and its sender's
// incarnation, and says nothing about any other.
package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Kind is the kind of a message between nodes. The numbers are part of the format.
type Kind uint8

// The kinds of messages between nodes. L: from who leads the shard in the message's
// epoch; R: from another replica of it; N: from a node; M: from a member of the meta
// log. The fields that a kind carries are in layouts.
const (
	Append     Kind = iota + 1 // L ships the records after At; Commit says what is committed; Round: see Appended
	Appended                   // R has records up to At durably, and they are the leader's, in life Round of its log. Mark 1: it is about to begin that life, with nothing, once an append says the same Round
	Pull                       // R asks for what follows its log; Tail: its ends. Offset: of the snapshot at Mark that it is fetching
	Chunk                      // L answers with a part of a snapshot at At, from Offset on; Size: of all
	Confirm                    // L asks whether it still leads
	Confirmed                  // R knows of no higher epoch
	Survey                     // L asks a member for its logs, from number Offset on
	Surveyed                   // R answers with a part: its logs from number Offset on, of Size; Mark: how often the set of them has changed; Tail: the logs
	Outdated                   // R knows of a higher epoch: Epoch
	AskIndex                   // R asks up to where a read must have applied the log
	Index                      // L answers, after a confirmation
	Heartbeat                  // N lives, and knows the meta log up to Index; to every member of it. Mark: number of the last Configs that it heard from this member, 0 if from another one; Tail: shards that it leads and that are in trouble
	Configs                    // the member that leads the meta log tells what has changed, up to Index; Round: up to where there is something to tell; Mark: number of what it says, which a heartbeat repeats; Tail: the changes
	Propose                    // N wants a command, in Tail, in the meta log, as client Index under number Round
	Proposed                   // the member that leads the meta log answers; Tail: the result, empty if it has to be sent again
	Poll                       // the member that leads the meta log asks a node for its figures
	Report                     // N answers, by what Round it was asked for; Mark: number of the report; Tail: the figures
	Verify                     // N asks a member of the meta log whether it leads the shard in Epoch; Round: of its confirmations
	Verified                   // the member answers: it did so after it was asked
	Register                   // N, which has no incarnation yet, wants one; Round: the challenge that it was given last; Tail: the command; to every member of the meta log
	Registered                 // the member that leads the meta log answers; Index: the incarnation; 0: Round is a challenge, which is to be repeated; Tail: the nonce of the start, 16
	kinds
)

var kindNames = [kinds]string{"", "append", "appended", "pull", "chunk", "confirm", "confirmed", "survey", "surveyed", "outdated",
	"ask-index", "index", "heartbeat", "configs", "propose", "proposed", "poll", "report", "verify", "verified", "register", "registered"}

// String returns the name of k.
func (k Kind) String() string {
	if k > 0 && k < kinds {
		return kindNames[k]
	}
	return fmt.Sprintf("message-%d", uint8(k))
}

// KindNames returns the names of the kinds, indexed by Kind.
func KindNames() []string { return kindNames[:] }

// Message is one decoded message between nodes. Of its fields those that its Kind's
// layout names are meaningful; the others are zero. Tail aliases the bytes it was
// decoded from.
type Message struct {
	Kind      Kind
	From      env.Incarnation // of the sender: what an earlier life of a node said does not count
	Shard     lineage.Shard
	Epoch     lineage.ShardEpoch
	Tenant    tenant.ID
	Slot      lineage.Slot
	Placement lineage.PlacementEpoch
	At        lineage.Position
	Commit    lineage.Seq // Append: of the leader, as far as it is committed; Appended: applied
	Round     uint64
	Mark      lineage.Seq
	Offset    uint64
	Size      uint64
	Index     uint64 // of the meta log; Propose, Proposed: the client; Appended: the last round of confirmations that R was asked for, 0 if it may have more than it says
	Tail      []byte
}

// field is a part of a message's layout.
type field uint8

const (
	pShard  field = iota // shard, epoch
	pSlot                // tenant, slot, placement epoch
	pAt                  // seq, chain
	pCommit              //
	pRound               //
	pMark                //
	pOffset              //
	pSize                //
	pIndex               //
	pTail                // all that is left
	fields
)

var fieldSize = [fields]int{
	pShard: 16, pSlot: 24, pAt: 16, pCommit: 8, pRound: 8, pMark: 8, pOffset: 8, pSize: 8, pIndex: 8,
}

// layouts is the table of what each kind carries, in order.
var layouts = [kinds][]field{
	Append:     {pShard, pSlot, pAt, pCommit, pRound, pTail},
	Appended:   {pShard, pSlot, pAt, pCommit, pRound, pMark, pIndex},
	Pull:       {pShard, pSlot, pAt, pMark, pOffset, pTail},
	Chunk:      {pShard, pSlot, pAt, pOffset, pSize, pTail},
	Confirm:    {pShard, pRound},
	Confirmed:  {pShard, pRound},
	Survey:     {pShard, pRound, pOffset},
	Surveyed:   {pShard, pRound, pMark, pOffset, pSize, pTail},
	Outdated:   {pShard},
	AskIndex:   {pShard, pSlot, pRound},
	Index:      {pShard, pSlot, pRound, pAt},
	Heartbeat:  {pIndex, pMark, pTail},
	Configs:    {pIndex, pRound, pMark, pTail},
	Propose:    {pRound, pIndex, pTail},
	Proposed:   {pRound, pIndex, pTail},
	Poll:       {pRound},
	Report:     {pRound, pMark, pTail},
	Verify:     {pShard, pRound},
	Verified:   {pShard, pRound},
	Register:   {pRound, pTail},
	Registered: {pIndex, pRound, pTail},
}

// A message between nodes, little endian, part of the format; never change:
//
//	offset size
//	     0    1  magic 0x7e
//	     1    1  version (2)
//	     2    1  kind
//	     3    1  zero
//	     4    4  CRC-32C of all bytes but these four
//	     8    8  incarnation of the sender
//	    16    n  the fields of the kind's layout, 8 bytes each number, and the tail
const (
	magic      = 0x7e
	version    = 2
	headerSize = 16
)

// MaxTail bounds the tail of a message, bytes.
const MaxTail = 256 << 10

// ErrMalformed is wrapped by the errors of Decode for damaged bytes.
var ErrMalformed = errors.New("malformed message between nodes")

// ErrVersion is wrapped by the error of Decode for a version that this binary
// does not know.
var ErrVersion = errors.New("unknown version of messages between nodes")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Is reports whether b claims to be a message between nodes.
func Is(b []byte) bool { return len(b) >= headerSize && b[0] == magic }

// KindOf returns the kind that b claims to be, 0 if it is no message between
// nodes. It does not look at the rest.
func KindOf(b []byte) Kind {
	if !Is(b) || b[1] != version || Kind(b[2]) >= kinds {
		return 0
	}
	return Kind(b[2])
}

// Encode appends the bytes of m to dst.
func Encode(dst []byte, m *Message) []byte {
	start := len(dst)
	dst = slices.Grow(dst, headerSize+12*8+len(m.Tail))
	dst = append(dst, magic, version, byte(m.Kind), 0, 0, 0, 0, 0)
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(m.From))
	for _, f := range layouts[m.Kind] {
		dst = m.put(dst, f)
	}
	b := dst[start:]
	le.PutUint32(b[4:], checksum(b))
	return dst
}

func checksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, b[8:])
}

func (m *Message) put(dst []byte, f field) []byte {
	le := binary.LittleEndian
	switch f {
	case pShard:
		return le.AppendUint64(le.AppendUint64(dst, uint64(m.Shard)), uint64(m.Epoch))
	case pSlot:
		dst = le.AppendUint64(le.AppendUint64(dst, uint64(m.Tenant)), uint64(m.Slot))
		return le.AppendUint64(dst, uint64(m.Placement))
	case pAt:
		return le.AppendUint64(le.AppendUint64(dst, uint64(m.At.Seq)), uint64(m.At.Chain))
	case pCommit:
		return le.AppendUint64(dst, uint64(m.Commit))
	case pRound:
		return le.AppendUint64(dst, m.Round)
	case pMark:
		return le.AppendUint64(dst, uint64(m.Mark))
	case pOffset:
		return le.AppendUint64(dst, m.Offset)
	case pSize:
		return le.AppendUint64(dst, m.Size)
	case pIndex:
		return le.AppendUint64(dst, m.Index)
	}
	return append(dst, m.Tail...)
}

// Decode reads the message that is exactly b into m. It accepts only what
// Encode writes; what the tail holds is for others to judge.
func Decode(b []byte, m *Message) error {
	switch {
	case len(b) < headerSize:
		return fmt.Errorf("%w: %d bytes, want at least %d", ErrMalformed, len(b), headerSize)
	case b[0] != magic:
		return fmt.Errorf("%w: starts with %#x, want %#x; not a message of this protocol", ErrMalformed, b[0], magic)
	case b[1] != version:
		return fmt.Errorf("%w: version %d, this binary reads %d", ErrVersion, b[1], version)
	}
	kind := Kind(b[2])
	if kind == 0 || kind >= kinds || b[3] != 0 {
		return fmt.Errorf("%w: kind %d, reserved byte %d", ErrMalformed, b[2], b[3])
	}
	if got, want := checksum(b), binary.LittleEndian.Uint32(b[4:]); got != want {
		return fmt.Errorf("%w: checksum of a message %s is %#x, want %#x", ErrMalformed, kind, got, want)
	}
	return m.fill(b, kind)
}

// View is Decode of bytes that nobody has damaged: it does not look at the checksum.
func View(b []byte, m *Message) error {
	kind := KindOf(b)
	if kind == 0 {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	return m.fill(b, kind)
}

// fill takes the fields of a message of a kind from b.
func (m *Message) fill(b []byte, kind Kind) error {
	*m = Message{Kind: kind, From: env.Incarnation(binary.LittleEndian.Uint64(b[8:]))}
	rest := b[headerSize:]
	for _, f := range layouts[kind] {
		if len(rest) < fieldSize[f] {
			return fmt.Errorf("%w: a message %s of %d bytes ends within its fields", ErrMalformed, kind, len(b))
		}
		r := reader{b: rest}
		m.take(&r, f)
		if rest = rest[fieldSize[f]:]; f == pTail {
			rest = nil
		}
		if r.bad || len(m.Tail) > MaxTail {
			return fmt.Errorf("%w: a field of a message %s is out of its range", ErrMalformed, kind)
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes follow a message %s", ErrMalformed, len(rest), kind)
	}
	return nil
}

func (m *Message) take(r *reader, f field) {
	switch f {
	case pShard:
		m.Shard = lineage.Shard(r.below(1 << 32))
		m.Epoch = lineage.ShardEpoch(r.next())
	case pSlot:
		m.Tenant = tenant.ID(r.next())
		m.Slot = lineage.Slot(r.below(1 << 32))
		m.Placement = lineage.PlacementEpoch(r.next())
	case pAt:
		m.At = lineage.Position{Seq: lineage.Seq(r.next()), Chain: lineage.Chain(r.next())}
	case pCommit:
		m.Commit = lineage.Seq(r.next())
	case pRound:
		m.Round = r.next()
	case pMark:
		m.Mark = lineage.Seq(r.next())
	case pOffset:
		m.Offset = r.next()
	case pSize:
		m.Size = r.next()
	case pIndex:
		m.Index = r.next()
	case pTail:
		m.Tail = r.b
	}
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
