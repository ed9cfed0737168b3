package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/tidaldb/tidalsim/core/assert"
)

// Every file and frame of this package is an envelope around a body, little endian, part of the
// format; never change:
//
//	offset size
//	     0    4  magic
//	     4    1  version (1)
//	     5    3  reserved, zero
//	     8    4  length of the body, n
//	    12    4  CRC-32C of bytes 4 to 11 and of the body
//	    16    n  body
//
// The envelope is the same in every version, and a new version only lengthens a body. So an old
// binary can tell newer data (the checksum matches, the version is unknown) from a damaged version
// byte (the checksum does not match).

const (
	version      = 1
	envelopeSize = 16
)

// format is one use of the envelope. The bounds hold for the bodies of all versions; they limit the
// checksum work that a damaged length can cause.
type format struct {
	name     string
	magic    uint32
	min, max int // bytes of body
}

// The first byte of a magic in the file is 0xf5, which no UTF-8 text contains.
var (
	headerFormat   = format{"segment header", 0x676573f5, headerBody, 1 << 16}       // f5 's' 'e' 'g'
	frameFormat    = format{"frame", 0x6d7266f5, frameBodyMin, 1 << 16}              // f5 'f' 'r' 'm'
	manifestFormat = format{"manifest", 0x6e616df5, manifestBody, 1 << 16}           // f5 'm' 'a' 'n'
	snapshotFormat = format{"snapshot", 0x706e73f5, snapshotBodyMin, math.MaxUint32} // f5 's' 'n' 'p'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// begin appends an envelope without length and checksum; the body is appended
// next, and then finish completes it.
func (f *format) begin(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, f.magic)
	return append(dst, version, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

// finish completes the envelope that is exactly b.
func (f *format) finish(b []byte) {
	n := len(b) - envelopeSize
	if n < f.min || n > f.max {
		assert.Fail("body of a %s is %d bytes, want %d..%d", f.name, n, f.min, f.max)
	}
	binary.LittleEndian.PutUint32(b[8:], uint32(n))
	binary.LittleEndian.PutUint32(b[12:], checksum(b))
}

// open returns the body of the envelope that b begins with; more may follow. The
// checksum matches if the error is nil or wraps ErrVersion.
func (f *format) open(b []byte) ([]byte, error) {
	if len(b) < envelopeSize {
		return nil, fmt.Errorf("%w: %s: %d bytes, want at least %d", ErrMalformed, f.name, len(b), envelopeSize)
	}
	le := binary.LittleEndian
	if m := le.Uint32(b); m != f.magic {
		return nil, fmt.Errorf("%w: %s: magic is %#08x, want %#08x", ErrMalformed, f.name, m, f.magic)
	}
	n := int64(le.Uint32(b[8:]))
	if n < int64(f.min) || n > int64(f.max) {
		return nil, fmt.Errorf("%w: %s: body of %d bytes, want %d..%d", ErrMalformed, f.name, n, f.min, f.max)
	}
	if have := int64(len(b) - envelopeSize); n > have {
		return nil, fmt.Errorf("%w: %s: body of %d bytes, of which %d are there", ErrMalformed, f.name, n, have)
	}
	b = b[:envelopeSize+n]
	if want, got := le.Uint32(b[12:]), checksum(b); got != want {
		return nil, fmt.Errorf("%w: %s: checksum is %#08x, want %#08x", ErrMalformed, f.name, got, want)
	}
	if b[4] != version || b[5] != 0 || b[6] != 0 || b[7] != 0 {
		return nil, fmt.Errorf("%w: %s: version %d, reserved bytes %x; this binary reads version %d, reserved bytes 000000",
			ErrVersion, f.name, b[4], b[5:8], version)
	}
	return b[envelopeSize:], nil
}

// openWhole is open for an envelope with nothing behind it.
func (f *format) openWhole(b []byte) ([]byte, error) {
	body, err := f.open(b)
	if err == nil && envelopeSize+len(body) != len(b) {
		return nil, fmt.Errorf("%w: %s: %d bytes follow its end", ErrMalformed, f.name, len(b)-envelopeSize-len(body))
	}
	return body, err
}

func checksum(envelope []byte) uint32 {
	sum := crc32.Update(0, castagnoli, envelope[4:12])
	return crc32.Update(sum, castagnoli, envelope[envelopeSize:])
}
