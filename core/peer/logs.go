package peer

import (
	"encoding/binary"
	"fmt"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// MaxLogs bounds the logs that one answer to a survey tells of. A shard with more is told
// of in parts.
const MaxLogs = 1024

// Log is what a member tells of one of its logs.
type Log struct {
	Tenant  tenant.ID
	Slot    lineage.Slot
	Whole   bool             // it is open and was not found damaged
	End     lineage.Position // its last record
	Lineage lineage.Lineage  // of that record
}

// The logs in the tail of a Surveyed, little endian, part of the format; never change.
// For each:
//
//	8  tenant
//	8  slot
//	8  1 if it is whole, else 0
//	8  seq of the last record
//	8  chain of the last record
//	8  placement epoch of the last record
//	8  shard epoch of the last record
const logSize = 7 * 8

// AppendLog appends the bytes of l to dst.
func AppendLog(dst []byte, l *Log) []byte {
	whole := uint64(0)
	if l.Whole {
		whole = 1
	}
	for _, v := range [...]uint64{
		uint64(l.Tenant), uint64(l.Slot), whole, uint64(l.End.Seq), uint64(l.End.Chain), uint64(l.Lineage.Placement), uint64(l.Lineage.Epoch),
	} {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	return dst
}

// DecodeLogs returns the logs whose bytes are exactly b. It is an ErrMalformed if they are
// none, or more than MaxLogs.
func DecodeLogs(b []byte) ([]Log, error) {
	if len(b)%logSize != 0 || len(b)/logSize > MaxLogs {
		return nil, fmt.Errorf("%w: %d bytes of logs", ErrMalformed, len(b))
	}
	logs := make([]Log, len(b)/logSize)
	r := reader{b: b}
	for i := range logs {
		l := &logs[i]
		l.Tenant, l.Slot = tenant.ID(r.next()), lineage.Slot(r.below(1<<32))
		l.Whole = r.below(2) == 1
		l.End = lineage.Position{Seq: lineage.Seq(r.next()), Chain: lineage.Chain(r.next())}
		l.Lineage = lineage.Lineage{Placement: lineage.PlacementEpoch(r.next()), Epoch: lineage.ShardEpoch(r.next())}
	}
	if r.bad {
		return nil, fmt.Errorf("%w: a number of a log is out of its range", ErrMalformed)
	}
	return logs, nil
}
