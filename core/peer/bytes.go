package peer

import (
	"encoding/binary"
	"fmt"

	"github.com/tidaldb/tidalsim/core/lineage"
)

// The numbers of messages: 8 bytes each, little endian.

// appendNumber appends a number of any type.
func appendNumber[T ~uint8 | ~uint32 | ~uint64 | ~int64](dst []byte, v T) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(v))
}

// appendPosition appends a seq and its chain.
func appendPosition(dst []byte, at lineage.Position) []byte {
	return appendNumber(appendNumber(dst, at.Seq), at.Chain)
}

// number returns 1 for true and 0 for false.
func number(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

// reader takes the fields of a message from its bytes. After the first field that is not
// there all are 0.
type reader struct {
	b     []byte
	short bool  // the bytes end within a field
	bad   bool  // a number does not fit its field
	err   error // the last field does not hold what it should
}

func (r *reader) next() uint64 {
	if r.short = r.short || len(r.b) < 8; r.short {
		return 0
	}
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

// is reads a number that is 1 for true and 0 for false.
func (r *reader) is() bool { return r.below(2) == 1 }

func (r *reader) shard() lineage.Shard { return lineage.Shard(r.below(1 << 32)) }

func (r *reader) slot() lineage.Slot { return lineage.Slot(r.below(1 << 32)) }

func (r *reader) position() lineage.Position {
	return lineage.Position{Seq: lineage.Seq(r.next()), Chain: lineage.Chain(r.next())}
}

// tail takes all that is left.
func (r *reader) tail() []byte {
	b := r.b
	r.b = nil
	if r.bad = r.bad || len(b) > MaxTail; r.bad || r.short {
		return nil
	}
	return b
}

// list takes all that is left, elements of one size of which there are at most so many. It
// refuses a part of one: nothing is cut in silence.
func (r *reader) list(size, most int, what string) reader {
	b := r.tail()
	if r.err == nil && (len(b)%size != 0 || len(b)/size > most) {
		r.err = fmt.Errorf("%w: %d bytes of %s; each takes %d, and there are at most %d", ErrMalformed, len(b), what, size, most)
		b = nil
	}
	return reader{b: b}
}

// check takes note if an element of a list has a number out of its range.
func (r *reader) check(of *reader, what string) {
	if of.bad && r.err == nil {
		r.err = fmt.Errorf("%w: a number of %s is out of its range", ErrMalformed, what)
	}
}
