package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/layout"
)

// Version is the version of the framing and of the hello.
const Version = 1

// Hello is the payload of the first frame of a connection. It names the sender of the bytes that
// follow, and the order in which it made connections.
//
// A hello, little-endian. Part of the format; never change.
//
//	offset size
//	 0     8    magic "tidalnet"
//	 8     2    version
//	10     2    zero
//	12     4    address of the sender
//	16     4    address of the receiver
//	20     8    incarnation of the sender
//	28     8    number of the connection, from 1, counted by the sender in this incarnation
type Hello struct {
	From, To    env.ID
	Incarnation env.Incarnation
	Connection  uint64
}

var magic = [8]byte{'t', 'i', 'd', 'a', 'l', 'n', 'e', 't'}

// The reasons why a payload is no hello.
var (
	ErrHello   = errors.New("the stream does not begin with a hello of this protocol")
	ErrVersion = fmt.Errorf("the peer speaks another version of the protocol than %d", Version)
)

// AppendHello appends the payload of h.
func AppendHello(dst []byte, h Hello) []byte {
	dst = append(dst, magic[:]...)
	dst = binary.LittleEndian.AppendUint16(dst, Version)
	dst = binary.LittleEndian.AppendUint16(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.From))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.To))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Incarnation))
	return binary.LittleEndian.AppendUint64(dst, h.Connection)
}

// DecodeHello is the inverse of AppendHello.
func DecodeHello(payload []byte) (Hello, error) {
	r := layout.Of(payload)
	magicRead, version := r.Bytes(len(magic)), r.Uint16()
	if !bytes.Equal(magicRead, magic[:]) || r.Err() != nil {
		return Hello{}, ErrHello
	}
	if version != Version {
		return Hello{}, ErrVersion
	}
	zero := r.Uint16()
	h := Hello{
		From: env.ID(r.Uint32()), To: env.ID(r.Uint32()),
		Incarnation: env.Incarnation(r.Uint64()), Connection: r.Uint64(),
	}
	if r.End() != nil || zero != 0 {
		return Hello{}, ErrHello
	}
	return h, nil
}

// Before reports whether h is of an earlier connection than o, of the same sender.
func (h Hello) Before(o Hello) bool {
	if h.Incarnation != o.Incarnation {
		return h.Incarnation < o.Incarnation
	}
	return h.Connection < o.Connection
}
