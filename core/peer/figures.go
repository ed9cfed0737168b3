package peer

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/layout"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Poll asks a node for its figures: from the coordinator.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16    8  number
type Poll struct {
	ControlHeader
	Number PollNumber
}

// PollNumber numbers the questions of a coordinator for figures. 0: none.
type PollNumber uint64

// ReportNumber numbers the reports of one start of a node.
type ReportNumber uint64

// Kind implements Message.
func (*Poll) Kind() Kind { return KindPoll }

// Encode implements Message.
func (m *Poll) Encode(dst []byte) []byte {
	start := len(dst)
	return seal(appendNumber(begin(dst, KindPoll, m.From, 0), m.Number), start)
}

func (m *Poll) decode(from env.Incarnation, r *reader) {
	m.From, m.Number = from, PollNumber(r.Uint64())
}

// Report answers a Poll with the node's figures.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16    8  number of the question
//	    24    8  number of the report
//	    32    n  figures, as drawn at Figures.Append
type Report struct {
	ControlHeader
	Asked   PollNumber // the last question that the node has heard
	Number  ReportNumber
	Figures Figures
}

// Kind implements Message.
func (*Report) Kind() Kind { return KindReport }

// Encode implements Message.
func (m *Report) Encode(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, KindReport, m.From, 0)
	return seal(m.Figures.Append(appendNumber(appendNumber(dst, m.Asked), m.Number)), start)
}

func (m *Report) decode(from env.Incarnation, r *reader) {
	m.From, m.Asked, m.Number = from, PollNumber(r.Uint64()), ReportNumber(r.Uint64())
	if r.Len() > MaxTail {
		r.Fail(layout.ErrRange)
	}
	m.Figures.read(r)
}

// Figures describe a node and the shards that it leads, all true in the Step in which it sends
// them. A node with many of them sends several messages.
type Figures struct {
	Own    bool          // whether it tells of itself: the two that follow
	Free   uint64        // bytes free on its disk
	Copies []CopyFigures // of every shard of which it has a replica
	Led    []ShardFigures

	// what DecodeFigures has read of all shards, which have parts of it
	others []OtherFigures
	slots  []SlotFigures
}

// CopyFigures are of a shard of which the node has a replica.
type CopyFigures struct {
	Shard lineage.Shard
	Bytes uint64 // of its files
	Known bool   // whether that is known: not while files are replaced
}

// ShardFigures are of a shard that the node leads.
type ShardFigures struct {
	Shard    lineage.Shard
	Epoch    lineage.ShardEpoch
	Sole     env.Duration // so long ago nobody led in a higher epoch; what follows may be so old, but for Others
	Entities uint64       // live, of all slots
	Bytes    uint64       // logical, of all slots
	Signals  uint64       // committed in Window, which ends now
	Window   env.Duration // 0: the node has not led for as long
	Whole    bool         // whether every slot serves; if not, the numbers before are of some
	Others   []OtherFigures
	Slots    []SlotFigures
}

// OtherFigures are a leader's knowledge of another replica.
type OtherFigures struct {
	Node    env.ID
	Heard   bool         // whether the replica was heard in this epoch
	Quiet   env.Duration // since then; what follows may be so old
	Records uint64       // that it lacks, of all slots
	Lag     env.Duration // since when it has lacked the oldest of them
}

// SlotFigures are of a slot.
type SlotFigures struct {
	Tenant   tenant.ID
	Slot     lineage.Slot
	Granted  uint64      // the grant in force in its log
	Seq      lineage.Seq // of the last record that these figures count
	Entities uint64
	Bytes    uint64
	Refused  [3]uint64 // for a quota, since the node began to lead it, by quota.Resource less one
	Needs    [4]uint8  // by the resources of a share, as package control numbers them
}

// The figures, little endian, part of the format; never change:
//
//	1  1 if own, else 0
//	8  free
//	4  number of copies, each: shard 4, bytes 8, and 1 if that is known, else 0
//	4  number of shards, each:
//	     4  shard
//	     8  epoch
//	     8  sole
//	     8  entities
//	     8  bytes
//	     8  signals
//	     8  window
//	     1  1 if whole, else 0
//	     4  number of others, each: node 4, 1 if heard, quiet 8, records 8, lag 8
//	     4  number of slots, each: tenant 8, slot 4, granted 8, seq 8, entities 8, bytes 8,
//	        refused 3 x 8, needs 4 x 1
const (
	copySize  = 13
	shardSize = 61
	otherSize = 29
	slotSize  = 72
)

// Append appends the bytes of f to dst.
func (f *Figures) Append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(le.AppendUint64(layout.AppendBool(dst, f.Own), f.Free), uint32(len(f.Copies)))
	for i := range f.Copies {
		c := &f.Copies[i]
		dst = layout.AppendBool(le.AppendUint64(le.AppendUint32(dst, uint32(c.Shard)), c.Bytes), c.Known)
	}
	dst = le.AppendUint32(dst, uint32(len(f.Led)))
	for i := range f.Led {
		dst = f.Led[i].append(dst)
	}
	return dst
}

func (s *ShardFigures) append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(s.Shard))
	for _, v := range [...]uint64{uint64(s.Epoch), uint64(s.Sole), s.Entities, s.Bytes, s.Signals, uint64(s.Window)} {
		dst = le.AppendUint64(dst, v)
	}
	dst = le.AppendUint32(layout.AppendBool(dst, s.Whole), uint32(len(s.Others)))
	for i := range s.Others {
		o := &s.Others[i]
		dst = layout.AppendBool(le.AppendUint32(dst, uint32(o.Node)), o.Heard)
		dst = le.AppendUint64(le.AppendUint64(le.AppendUint64(dst, uint64(o.Quiet)), o.Records), uint64(o.Lag))
	}
	dst = le.AppendUint32(dst, uint32(len(s.Slots)))
	for i := range s.Slots {
		dst = s.Slots[i].append(dst)
	}
	return dst
}

func (s *SlotFigures) append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(le.AppendUint64(dst, uint64(s.Tenant)), uint32(s.Slot))
	for _, v := range [...]uint64{s.Granted, uint64(s.Seq), s.Entities, s.Bytes, s.Refused[0], s.Refused[1], s.Refused[2]} {
		dst = le.AppendUint64(dst, v)
	}
	return append(dst, s.Needs[:]...)
}

// DecodeFigures reads what Append wrote into f, whose memory is used again. Errors wrap
// ErrMalformed.
func DecodeFigures(b []byte, f *Figures) error {
	r := reader{layout.Of(b)}
	f.read(&r)
	if err := r.End(); err != nil {
		return fmt.Errorf("%w: figures of %d bytes: %w", ErrMalformed, len(b), err)
	}
	return nil
}

func (f *Figures) read(r *reader) {
	f.Own, f.Free = r.Bool(), r.Uint64()
	f.Copies, f.Led, f.others, f.slots = f.Copies[:0], f.Led[:0], f.others[:0], f.slots[:0]
	for range r.Count(copySize) {
		f.Copies = append(f.Copies, CopyFigures{lineage.Shard(r.Uint32()), r.Uint64(), r.Bool()})
	}
	for range r.Count(shardSize) {
		f.Led = append(f.Led, r.shardFigures(f))
	}
}

func (r *reader) shardFigures(f *Figures) ShardFigures {
	s := ShardFigures{
		Shard: lineage.Shard(r.Uint32()), Epoch: lineage.ShardEpoch(r.Uint64()), Sole: r.duration(),
		Entities: r.Uint64(), Bytes: r.Uint64(), Signals: r.Uint64(), Window: r.duration(), Whole: r.Bool(),
	}
	others, slots := len(f.others), len(f.slots)
	for range r.Count(otherSize) {
		f.others = append(f.others, OtherFigures{env.ID(r.Uint32()), r.Bool(), r.duration(), r.Uint64(), r.duration()})
	}
	for range r.Count(slotSize) {
		f.slots = append(f.slots, r.slotFigures())
	}
	s.Others, s.Slots = slices.Clip(f.others[others:]), slices.Clip(f.slots[slots:])
	return s
}

func (r *reader) slotFigures() SlotFigures {
	s := SlotFigures{
		Tenant: tenant.ID(r.Uint64()), Slot: lineage.Slot(r.Uint32()), Granted: r.Uint64(), Seq: lineage.Seq(r.Uint64()),
		Entities: r.Uint64(), Bytes: r.Uint64(), Refused: [3]uint64{r.Uint64(), r.Uint64(), r.Uint64()},
	}
	copy(s.Needs[:], r.Bytes(4))
	return s
}
