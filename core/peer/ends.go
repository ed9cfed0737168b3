package peer

import (
	"encoding/binary"
	"fmt"

	"github.com/tidaldb/tidalsim/core/lineage"
)

// The ends of a log in the tail of a Pull, little endian, part of the format; never
// change. For each, ascending:
//
//	8  placement epoch
//	8  shard epoch
//	8  last seq
const endSize = 3 * 8

// AppendEnds appends the bytes of ends to dst.
func AppendEnds(dst []byte, ends []lineage.End) []byte {
	le := binary.LittleEndian
	for _, e := range ends {
		dst = le.AppendUint64(dst, uint64(e.Placement))
		dst = le.AppendUint64(dst, uint64(e.Epoch))
		dst = le.AppendUint64(dst, uint64(e.Last))
	}
	return dst
}

// DecodeEnds appends the ends whose bytes are exactly b to dst. It is an ErrMalformed if
// they are none.
func DecodeEnds(dst []lineage.End, b []byte) ([]lineage.End, error) {
	if len(b)%endSize != 0 {
		return dst, fmt.Errorf("%w: %d bytes of ends", ErrMalformed, len(b))
	}
	for r := (reader{b: b}); len(r.b) > 0; {
		dst = append(dst, lineage.End{
			Lineage: lineage.Lineage{Placement: lineage.PlacementEpoch(r.next()), Epoch: lineage.ShardEpoch(r.next())},
			Last:    lineage.Seq(r.next()),
		})
	}
	return dst, nil
}
