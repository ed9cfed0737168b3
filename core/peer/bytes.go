package peer

import (
	"encoding/binary"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/layout"
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

// reader takes the fields of a message, or of figures, from its bytes.
type reader struct{ layout.Reader }

// is reads a number that is 1 for true and 0 for false.
func (r *reader) is() bool { return r.Below(2) == 1 }

func (r *reader) shard() lineage.Shard { return lineage.Shard(r.Below(1 << 32)) }

func (r *reader) slot() lineage.Slot { return lineage.Slot(r.Below(1 << 32)) }

// duration reads one that is not negative.
func (r *reader) duration() env.Duration { return env.Duration(r.Below(1 << 63)) }

func (r *reader) position() lineage.Position {
	return lineage.Position{Seq: lineage.Seq(r.Uint64()), Chain: lineage.Chain(r.Uint64())}
}
