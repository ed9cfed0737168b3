package peer

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// Life numbers the lives of one replica's log: it begins anew with nothing, in the next life,
// when its bytes are lost. Acknowledgements of one life do not count in the next.
type Life uint64

// Append ships records: from the leader of the shard to a replica, or from a replica to the
// one that is to lead and adopts its log. Without records it says where the log ends.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16   40  shard, epoch and log, as drawn at LogHeader
//	    56    8  seq before the first record
//	    64    8  its chain
//	    72    8  seq up to which the log is committed
//	    80    8  life
//	    88    n  records, each: length 4, then the record as drawn in core/record
type Append struct {
	LogHeader
	At      lineage.Position // the record before the first one in Records; without any, the last one of the log
	Commit  lineage.Seq      // the log is committed up to here, as far as the sender knows
	Life    Life             // of the receiver's log, which it may begin; 0: nothing is said of that
	Records []byte
}

// Kind implements Message.
func (*Append) Kind() Kind { return KindAppend }

// Encode implements Message.
func (m *Append) Encode(dst []byte) []byte {
	start := len(dst)
	dst = m.append(begin(dst, KindAppend, m.From, len(m.Records)))
	dst = appendNumber(appendNumber(appendPosition(dst, m.At), m.Commit), m.Life)
	return seal(append(dst, m.Records...), start)
}

func (m *Append) decode(from env.Incarnation, r *reader) {
	m.LogHeader.decode(from, r)
	m.At, m.Commit, m.Life, m.Records = r.position(), lineage.Seq(r.Uint64()), Life(r.Uint64()), r.Tail(MaxTail)
}

// Appended answers an Append: up to where the replica has the leader's log durably. With Anew it says that the replica's log is lost.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16   40  shard, epoch and log, as drawn at LogHeader
//	    56    8  seq up to which the records are durable
//	    64    8  its chain
//	    72    8  seq up to which the records are applied
//	    80    8  life
//	    88    8  1 if the log is to begin anew, else 0
//	    96    8  round of confirmations
type Appended struct {
	LogHeader
	At      lineage.Position // durable up to here; nothing, if Anew
	Applied lineage.Seq      // the replica knows that the log is committed up to here; nothing, if Anew
	Life    Life             // of the log; if Anew, the one that it is to begin once an Append names it
	Anew    bool             // the log has failed, and is to begin Life with nothing
	Asked   Round            // the last round that the leader asked the replica to confirm; 0: more may be durable than At
}

// Kind implements Message.
func (*Appended) Kind() Kind { return KindAppended }

// Encode implements Message.
func (m *Appended) Encode(dst []byte) []byte {
	start := len(dst)
	dst = m.append(begin(dst, KindAppended, m.From, 0))
	dst = appendNumber(appendNumber(appendPosition(dst, m.At), m.Applied), m.Life)
	return seal(appendNumber(appendNumber(dst, number(m.Anew)), m.Asked), start)
}

func (m *Appended) decode(from env.Incarnation, r *reader) {
	m.LogHeader.decode(from, r)
	m.At, m.Applied, m.Life, m.Anew, m.Asked = r.position(), lineage.Seq(r.Uint64()), Life(r.Uint64()), r.is(), Round(r.Uint64())
}

// Pull asks for what follows a replica's log: a replica asks the leader, or the next
// leader asks the member whose log it adopts. An Append or a Chunk answers it.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16   40  shard, epoch and log, as drawn at LogHeader
//	    56    8  seq of the last record that is applied
//	    64    8  its chain
//	    72    8  seq of the snapshot
//	    80    8  bytes of it
//	    88    n  ends of the log, each as drawn at endSize
type Pull struct {
	LogHeader
	At       lineage.Position // the sender has applied the log up to here
	Snapshot lineage.Seq      // the snapshot that it is fetching; 0: none
	Offset   uint64           // bytes of that snapshot that it has
	Ends     []lineage.End    // of the sender's log, ascending
}

// Kind implements Message.
func (*Pull) Kind() Kind { return KindPull }

// Encode implements Message.
func (m *Pull) Encode(dst []byte) []byte {
	start := len(dst)
	dst = m.append(begin(dst, KindPull, m.From, len(m.Ends)*endSize))
	dst = appendNumber(appendNumber(appendPosition(dst, m.At), m.Snapshot), m.Offset)
	return seal(appendEnds(dst, m.Ends), start)
}

func (m *Pull) decode(from env.Incarnation, r *reader) {
	m.LogHeader.decode(from, r)
	m.At, m.Snapshot, m.Offset = r.position(), lineage.Seq(r.Uint64()), r.Uint64()
	m.Ends = decodeEnds(m.Ends[:0], r)
}

// The ends of a log, little endian, part of the format; never change. For each, ascending:
//
//	8  placement epoch
//	8  shard epoch
//	8  last seq
const endSize = 3 * 8

func appendEnds(dst []byte, ends []lineage.End) []byte {
	for i := range ends {
		e := &ends[i]
		dst = appendNumber(appendNumber(appendNumber(dst, e.Placement), e.Epoch), e.Last)
	}
	return dst
}

func decodeEnds(dst []lineage.End, r *reader) []lineage.End {
	for range r.Whole(endSize, MaxTail/endSize) {
		dst = append(dst, lineage.End{Lineage: r.lineage(), Last: lineage.Seq(r.Uint64())})
	}
	return dst
}

func (r *reader) lineage() lineage.Lineage {
	return lineage.Lineage{Placement: lineage.PlacementEpoch(r.Uint64()), Epoch: lineage.ShardEpoch(r.Uint64())}
}

// Chunk answers a Pull with a part of a snapshot, if the sender does not have the records.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16   40  shard, epoch and log, as drawn at LogHeader
//	    56    8  seq of the snapshot
//	    64    8  its chain
//	    72    8  offset of the part
//	    80    8  size of the snapshot
//	    88    n  the part
type Chunk struct {
	LogHeader
	At     lineage.Position // of the snapshot: the last record in it
	Offset uint64           // of Data in the snapshot, bytes
	Size   uint64           // of the whole snapshot, bytes
	Data   []byte
}

// Kind implements Message.
func (*Chunk) Kind() Kind { return KindChunk }

// Encode implements Message.
func (m *Chunk) Encode(dst []byte) []byte {
	start := len(dst)
	dst = m.append(begin(dst, KindChunk, m.From, len(m.Data)))
	dst = appendNumber(appendNumber(appendPosition(dst, m.At), m.Offset), m.Size)
	return seal(append(dst, m.Data...), start)
}

func (m *Chunk) decode(from env.Incarnation, r *reader) {
	m.LogHeader.decode(from, r)
	m.At, m.Offset, m.Size, m.Data = r.position(), r.Uint64(), r.Uint64(), r.Tail(MaxTail)
}
