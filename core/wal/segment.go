package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/layout"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
)

// Header is the beginning of a segment file.
//
// Body, little endian, part of the format; never change:
//
//	offset size
//	     0   24  identity
//	    24    8  first seq
//	    32    8  chain before the first record
//	    40    8  synced
type Header struct {
	Identity
	First  lineage.Seq   // seq of the first record, also in the file's name; never 0
	Before lineage.Chain // chain at First-1
	Synced lineage.Seq   // all records up to here were durable when this was written; below First
}

// HeaderSize is the size of a segment header in bytes: the offset of the first
// frame.
const HeaderSize = envelopeSize + headerBody

const headerBody = identitySize + 24

// AppendHeader appends the bytes of h to dst.
func AppendHeader(dst []byte, h *Header) []byte {
	assert.That(h.Synced < h.First, "header: synced is %d, first seq is %d", h.Synced, h.First)
	start := len(dst)
	dst = headerFormat.begin(slices.Grow(dst, HeaderSize))
	dst = appendIdentity(dst, h.Identity)
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(h.First))
	dst = le.AppendUint64(dst, uint64(h.Before))
	dst = le.AppendUint64(dst, uint64(h.Synced))
	headerFormat.finish(dst[start:])
	return dst
}

// IsHeader reports whether b claims to begin with a segment header. It checks only the magic and is
// cheap.
func IsHeader(b []byte) bool {
	return len(b) >= HeaderSize && binary.LittleEndian.Uint32(b) == headerFormat.magic
}

// DecodeHeader reads the header that b, a segment file, begins with. Its errors
// wrap ErrMalformed or ErrVersion. For every accepted b, AppendHeader of the
// result gives the first HeaderSize bytes of b again.
func DecodeHeader(b []byte) (Header, error) {
	body, err := headerFormat.open(b)
	if err != nil {
		return Header{}, err
	}
	r := layout.Of(body)
	h := Header{
		Identity: identityIn(&r),
		First:    lineage.Seq(r.Uint64()), Before: lineage.Chain(r.Uint64()), Synced: lineage.Seq(r.Uint64()),
	}
	if err := r.End(); err != nil {
		return Header{}, fmt.Errorf("%w: segment header: body of %d bytes: %w", ErrMalformed, len(body), err)
	}
	if h.Synced >= h.First {
		return Header{}, fmt.Errorf("%w: segment header: synced is %d, want below the first seq %d", ErrMalformed, h.Synced, h.First)
	}
	return h, nil
}

// A frame is one record in a segment file. Body, little endian, part of the
// format; never change:
//
//	offset size
//	     0    8  synced: all records up to here were durable when this was written
//	     8    n  record (package record)
//
// A record is not durable before it is written, so synced is below its seq.

// FrameOverhead is the size of a frame in bytes, less that of its record.
const FrameOverhead = envelopeSize + syncedSize

const (
	syncedSize   = 8
	frameBodyMin = syncedSize + record.HeaderSize
)

// AppendFrame appends the frame of r to dst and returns the chain at r. synced is the highest seq
// that this replica knows to be durable, below r.Seq. It does not allocate if dst has room for
// FrameOverhead+record.MaxSize bytes.
func AppendFrame(dst []byte, synced lineage.Seq, r *record.Record) ([]byte, lineage.Chain) {
	if synced >= r.Seq {
		assert.Fail("frame: synced is %d, seq is %d", synced, r.Seq)
	}
	start := len(dst)
	dst = frameFormat.begin(slices.Grow(dst, FrameOverhead+record.MaxSize))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(synced))
	dst = record.Append(dst, r)
	frameFormat.finish(dst[start:])
	return dst, record.ChainOf(dst[start+FrameOverhead:])
}

// DecodeFrame reads the first frame of b into r and returns its size in bytes, the seq that it
// confirms as durable, and the chain at r. It trusts no length and allocates only for the error.
// Errors wrap ErrMalformed or ErrVersion, and r is then undefined. For every accepted b,
// AppendFrame gives b[:size] again.
func DecodeFrame(b []byte, r *record.Record) (size int, synced lineage.Seq, chain lineage.Chain, err error) {
	body, err := frameFormat.open(b)
	if err != nil {
		return 0, 0, 0, err
	}
	bytes := body[syncedSize:]
	if err := record.Decode(bytes, r); err != nil {
		return 0, 0, 0, unreadable(err)
	}
	synced = lineage.Seq(binary.LittleEndian.Uint64(body))
	if synced >= r.Seq {
		return 0, 0, 0, fmt.Errorf("%w: frame: synced is %d, want below its seq %d", ErrMalformed, synced, r.Seq)
	}
	return envelopeSize + len(body), synced, record.ChainOf(bytes), nil
}

// unreadable is the error for a record that does not decode although the frame's checksum matches.
// A crash does not cause that: a writer used a record version or kind that this binary does not
// know.
func unreadable(err error) error {
	if errors.Is(err, record.ErrVersion) {
		return fmt.Errorf("%w: frame: %w", ErrVersion, err)
	}
	return fmt.Errorf("%w: frame with a matching checksum: %w", ErrVersion, err)
}
