// Package layout reads the fields of byte formats: messages, files, snapshots, commands. Numbers are
// little endian. A writer needs no package of its own: it uses the Append functions of
// encoding/binary, and AppendBool.
//
// The one rule to remember: a decoder reads all fields, then asks End, and uses no field that it
// read if End returns an error. Bytes that end too early, a number out of its range and bytes left
// over are errors; nothing is cut in silence. Count compares the length of a list with the bytes that
// are left before a caller takes memory for the list.
//
// Some decoders on hot paths read at fixed offsets instead, after one check of the size, because a
// Reader would make them slower: wire.Decode by half, record.Decode, and in core/wal the envelope and
// the frame. The checkers that judge a format read it by themselves, so that a mistake here does not
// hide from them: checker/observe and scenarios.
package layout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The errors of a Reader.
var (
	// ErrShort says that the bytes end within a field.
	ErrShort = errors.New("the bytes end within a field")
	// ErrRange says that a number does not fit its field.
	ErrRange = errors.New("a number is out of its range")
	// ErrOver is wrapped by the error for bytes behind the last field.
	ErrOver = errors.New("bytes follow the last field")
)

// Reader takes fields from the front of bytes. The first error stays: after it all fields are zero
// and no bytes are left. A Reader does not allocate, except for an error.
type Reader struct {
	b   []byte
	at  int   // offset of the next field; ended after an error
	err error // nil after an error: the bytes end within a field
}

// ended is the offset after an error: so far behind the end that no field is there.
const ended = math.MaxInt / 2

// Of returns a Reader of b.
func Of(b []byte) Reader { return Reader{b: b} }

// Uint64 takes 8 bytes.
func (r *Reader) Uint64() uint64 {
	if len(r.b)-r.at < 8 {
		r.at = ended
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b[r.at:])
	r.at += 8
	return v
}

// Uint32 takes 4 bytes.
func (r *Reader) Uint32() uint32 {
	if len(r.b)-r.at < 4 {
		r.at = ended
		return 0
	}
	v := binary.LittleEndian.Uint32(r.b[r.at:])
	r.at += 4
	return v
}

// Uint16 takes 2 bytes.
func (r *Reader) Uint16() uint16 {
	if len(r.b)-r.at < 2 {
		r.at = ended
		return 0
	}
	v := binary.LittleEndian.Uint16(r.b[r.at:])
	r.at += 2
	return v
}

// Uint8 takes one byte.
func (r *Reader) Uint8() uint8 {
	if len(r.b)-r.at < 1 {
		r.at = ended
		return 0
	}
	v := r.b[r.at]
	r.at++
	return v
}

// Bool takes one byte, 1 for true and 0 for false. Another value is ErrRange.
func (r *Reader) Bool() bool {
	v := r.Uint8()
	if v > 1 {
		r.Fail(ErrRange)
	}
	return v == 1
}

// Below takes 8 bytes. A number that is not below the limit is ErrRange.
func (r *Reader) Below(limit uint64) uint64 {
	v := r.Uint64()
	if v >= limit {
		r.Fail(ErrRange)
		return 0
	}
	return v
}

// Bytes takes n bytes, which alias those of the Reader.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 || n > len(r.b)-r.at {
		r.at = ended
		return nil
	}
	end := r.at + n
	b := r.b[r.at:end:end]
	r.at = end
	return b
}

// Tail takes all that is left, at most so many bytes; more is ErrRange. The bytes alias those of the
// Reader.
func (r *Reader) Tail(most int) []byte {
	n := len(r.b) - r.at
	if n > most {
		r.Fail(ErrRange)
	}
	return r.Bytes(n)
}

// Count takes the length of a list, 4 bytes. Each element has at least so many bytes.
func (r *Reader) Count(least int) int { return r.Fits(uint64(r.Uint32()), least) }

// Count64 takes the length of a list, 8 bytes. Each element has at least so many bytes.
func (r *Reader) Count64(least int) int { return r.Fits(r.Uint64(), least) }

// Fits returns n, the length of a list that follows, if the bytes that are left can hold as many
// elements of at least so many bytes. Otherwise it fails and returns 0: a damaged length takes no
// memory.
func (r *Reader) Fits(n uint64, least int) int {
	if n > uint64(r.Len()/least) {
		r.Fail(fmt.Errorf("%d elements of at least %d bytes in %d bytes: %w", n, least, r.Len(), ErrShort))
		return 0
	}
	return int(n)
}

// Whole returns how many elements of one size are all that is left. It fails if a part of an element
// is left over, or if there are more than most.
func (r *Reader) Whole(size, most int) int {
	n, odd := r.Len()/size, r.Len()%size
	switch {
	case odd > 0:
		r.Fail(fmt.Errorf("%d bytes hold no whole number of elements of %d bytes: %w", r.Len(), size, ErrShort))
		return 0
	case n > most:
		r.Fail(fmt.Errorf("%d elements, want at most %d: %w", n, most, ErrRange))
		return 0
	}
	return n
}

// Len returns the number of bytes that are left.
func (r *Reader) Len() int { return max(0, len(r.b)-r.at) }

// Fail notes an error, if there is none yet.
func (r *Reader) Fail(err error) {
	if r.at != ended {
		r.at, r.err = ended, err
	}
}

// Err returns the first error, nil if there is none so far.
func (r *Reader) Err() error {
	if r.at == ended && r.err == nil {
		return ErrShort
	}
	return r.err
}

// End returns the first error. Bytes that are left are one.
func (r *Reader) End() error {
	if r.at == len(r.b) {
		return nil
	}
	return r.unread()
}

// unread is the error of End. It is a function of its own so that End stays small.
func (r *Reader) unread() error {
	if n := r.Len(); n > 0 {
		return fmt.Errorf("%d %w", n, ErrOver)
	}
	return r.Err()
}

// AppendBool appends 1 for true and 0 for false, one byte.
func AppendBool(dst []byte, is bool) []byte {
	if is {
		return append(dst, 1)
	}
	return append(dst, 0)
}
