package peer

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Survey asks a member for its logs: from the node that is to lead a set of which every
// member has restarted.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16   16  shard and epoch, as drawn at ShardHeader
//	    32    8  attempt
//	    40    8  number of the first log
type Survey struct {
	ShardHeader
	Attempt uint64 // of the sender, to ask; the answer repeats it
	First   uint64 // number of the log from which on the member is to tell, from 0
}

// Kind implements Message.
func (*Survey) Kind() Kind { return KindSurvey }

// Encode implements Message.
func (m *Survey) Encode(dst []byte) []byte {
	start := len(dst)
	dst = m.append(begin(dst, KindSurvey, m.From, 0))
	return seal(appendNumber(appendNumber(dst, m.Attempt), m.First), start)
}

func (m *Survey) decode(from env.Incarnation, r *reader) {
	m.ShardHeader.decode(from, r)
	m.Attempt, m.First = r.Uint64(), r.Uint64()
}

// Surveyed answers a Survey with a part of the member's logs.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16   16  shard and epoch, as drawn at ShardHeader
//	    32    8  attempt
//	    40    8  changes of the set of logs
//	    48    8  number of the first log that follows
//	    56    8  number of all logs
//	    64    n  logs, each as drawn at logSize
type Surveyed struct {
	ShardHeader
	Attempt uint64 // of the Survey
	Changes uint64 // how often the set of the member's logs has changed: with each change they are numbered anew
	First   uint64 // number of the first one of Logs
	Size    uint64 // how many logs the member has in all
	Logs    []Log  // at most MaxLogs; a member with more tells of them in parts
}

// Kind implements Message.
func (*Surveyed) Kind() Kind { return KindSurveyed }

// Encode implements Message.
func (m *Surveyed) Encode(dst []byte) []byte {
	start := len(dst)
	dst = m.append(begin(dst, KindSurveyed, m.From, len(m.Logs)*logSize))
	dst = appendNumber(appendNumber(appendNumber(appendNumber(dst, m.Attempt), m.Changes), m.First), m.Size)
	for i := range m.Logs {
		dst = m.Logs[i].append(dst)
	}
	return seal(dst, start)
}

func (m *Surveyed) decode(from env.Incarnation, r *reader) {
	m.ShardHeader.decode(from, r)
	m.Attempt, m.Changes, m.First, m.Size = r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()
	m.Logs = m.Logs[:0]
	for range r.Whole(logSize, MaxLogs) {
		m.Logs = append(m.Logs, r.log())
	}
}

// MaxLogs bounds the logs that one answer to a survey tells of. A shard with more is told
// of in parts.
const MaxLogs = 1024

// Log is a member's description of one of its logs.
type Log struct {
	Tenant  tenant.ID
	Slot    lineage.Slot
	Whole   bool             // it is open and was not found damaged
	End     lineage.Position // its last record
	Lineage lineage.Lineage  // of that record
}

// The logs of a Surveyed, little endian, part of the format; never change. For each:
//
//	8  tenant
//	8  slot
//	8  1 if it is whole, else 0
//	8  seq of the last record
//	8  chain of the last record
//	8  placement epoch of the last record
//	8  shard epoch of the last record
const logSize = 7 * 8

func (l *Log) append(dst []byte) []byte {
	dst = appendNumber(appendNumber(appendNumber(dst, l.Tenant), l.Slot), number(l.Whole))
	return appendNumber(appendNumber(appendPosition(dst, l.End), l.Lineage.Placement), l.Lineage.Epoch)
}

func (r *reader) log() Log {
	return Log{Tenant: tenant.ID(r.Uint64()), Slot: r.slot(), Whole: r.is(), End: r.position(), Lineage: r.lineage()}
}
