// Package peer holds the messages between nodes and their bytes, for shipping a
// slot's log, for confirming the leader, and for the control plane. Each may be lost,
// doubled, late or damaged; their meaning must not depend on their order.
//
// Each kind is a type with its fields, the drawing of its bytes and its codec beside it.
// A sender encodes a message by its method Encode. A receiver decodes it in an Inbox and
// switches over its type.
//
// The one rule to remember: a message counts under its shard epoch and its sender's
// incarnation, and says nothing about any other.
package peer

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
)

// Message is one message between nodes: a pointer to the type of its kind. Each is either a
// ShardMessage or a ControlMessage.
type Message interface {
	// Kind returns which kind it is.
	Kind() Kind
	// Encode appends the bytes of the message to dst.
	Encode(dst []byte) []byte
	// Sender returns the incarnation of the node that says it: what an earlier incarnation
	// said does not count.
	Sender() env.Incarnation

	// decode takes the fields from behind the header. It sets every field.
	decode(from env.Incarnation, r *reader)
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
//	    16    n  the fields, as they are drawn at the type of the kind
//
// A field that is a number takes 8 bytes, whatever its type. The last field of some kinds
// takes all that is left.
const (
	magic      = 0x7e
	version    = 2
	headerSize = 16
)

// MaxTail bounds the last field of a message, if it takes all that is left, bytes.
const MaxTail = 256 << 10

// maxFields is an upper bound of the numbers of any kind, bytes.
const maxFields = 12 * 8

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

// begin appends the header of a message whose last field takes so many bytes.
func begin(dst []byte, k Kind, from env.Incarnation, tail int) []byte {
	dst = slices.Grow(dst, headerSize+maxFields+tail)
	dst = append(dst, magic, version, byte(k), 0, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint64(dst, uint64(from))
}

// seal puts the checksum into the message that begins at start and is all that follows.
func seal(dst []byte, start int) []byte {
	b := dst[start:]
	binary.LittleEndian.PutUint32(b[4:], checksum(b))
	return dst
}

func checksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, b[8:])
}
