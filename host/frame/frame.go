// Package frame is the framing of messages on a TCP connection: where one ends, and whether it
// arrived as it was sent. It refuses to know the meaning of messages.
//
// The one rule to remember: bytes that are no frame end the connection. A stream
// that is damaged once has lost its place, and looking for it again could make a
// message out of the inside of another.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A frame, little-endian. Part of the format; never change.
//
//	offset size
//	 0     4    length of the payload in bytes, 0..MaxPayload
//	 4     4    CRC-32C of the length and the payload
//	 8     n    payload
const (
	// HeaderSize is the size of the header before the payload, in bytes.
	HeaderSize = 8
	// MaxPayload bounds a payload, in bytes. A length beyond it is damage.
	MaxPayload = 4 << 20
)

// The reasons why bytes are no frame.
var (
	ErrShort    = errors.New("the frame goes on")
	ErrLength   = fmt.Errorf("length of a frame is above %d", MaxPayload)
	ErrChecksum = errors.New("checksum of a frame does not match")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(length, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, payload)
}

// Append appends the frame of a payload, which is at most MaxPayload bytes.
func Append(dst, payload []byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint32(dst, checksum(dst[start:], payload))
	return append(dst, payload...)
}

// Decode returns the payload of the frame that data begins with, and the rest behind it; both are
// parts of data. ErrShort says that more bytes may complete it. Any other error is final.
func Decode(data []byte) (payload, rest []byte, err error) {
	if len(data) < HeaderSize {
		return nil, nil, ErrShort
	}
	length := binary.LittleEndian.Uint32(data)
	switch {
	case length > MaxPayload:
		return nil, nil, ErrLength
	case uint32(len(data)-HeaderSize) < length:
		return nil, nil, ErrShort
	}
	payload, rest = data[HeaderSize:HeaderSize+length], data[HeaderSize+length:]
	if checksum(data[:4], payload) != binary.LittleEndian.Uint32(data[4:]) {
		return nil, nil, ErrChecksum
	}
	return payload, rest, nil
}

// minBuffer is the size of a Reader's first buffer in bytes.
const minBuffer = 4096

// Reader takes frames from a stream.
//
// Invariant: its buffer is at most twice the size of the received bytes, or minBuffer: a length
// that lies costs nothing.
type Reader struct {
	source   io.Reader
	buffer   []byte
	from, to int // the bytes that are received and not yet returned
}

// NewReader returns a reader of source.
func NewReader(source io.Reader) *Reader {
	return &Reader{source: source, buffer: make([]byte, minBuffer)}
}

// Next returns the next payload, valid until the next call. io.EOF is an end
// between two frames, io.ErrUnexpectedEOF one inside.
func (r *Reader) Next() ([]byte, error) {
	for {
		payload, rest, err := Decode(r.buffer[r.from:r.to])
		if err == nil {
			r.from = r.to - len(rest)
			return payload, nil
		}
		if err != ErrShort {
			return nil, err
		}
		if err := r.receive(); err != nil {
			return nil, err
		}
	}
}

func (r *Reader) receive() error {
	r.to = copy(r.buffer, r.buffer[r.from:r.to])
	r.from = 0
	if r.to == len(r.buffer) {
		r.buffer = append(r.buffer, make([]byte, len(r.buffer))...)
	}
	n, err := r.source.Read(r.buffer[r.to:])
	r.to += n
	switch {
	case n > 0:
		return nil
	case err == io.EOF && r.to > 0:
		return io.ErrUnexpectedEOF
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}
