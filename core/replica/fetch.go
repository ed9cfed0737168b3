package replica

import (
	"encoding/binary"
	"slices"

	"github.com/tidaldb/tidalsim/core/diskops"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wal"
)

// This file finds the records that another replica lacks. They are in memory if they are not
// folded; otherwise in the segments on the disk; if the segments are gone, a snapshot of the state
// replaces them.

// Bounds of the answer to one request.
const (
	maxShipped = 32 << 10 // bytes of records
	maxChunk   = 64 << 10 // bytes of a snapshot
	fetchBytes = 64 << 10 // bytes of a segment that one read returns
)

// Common returns the last record that this log shares with another log of the slot. theirs are the
// ends of the other log above record base, ascending by lineage. Both logs have the records up to
// base.
func (r *Replica) Common(base lineage.Seq, theirs []lineage.End) lineage.Seq {
	for i := len(theirs) - 1; i >= 0; i-- {
		if last, ok := r.lastOf(theirs[i].Lineage); ok {
			return max(base, min(last, theirs[i].Last))
		}
	}
	return base
}

// lastOf returns the last record of a lineage in the log; false if it is unknown.
func (r *Replica) lastOf(l lineage.Lineage) (lineage.Seq, bool) {
	for i := len(r.pending) - 1; i >= 0; i-- {
		if rec := &r.pending[i].Record; rec.Lineage() == l {
			return rec.Seq, true
		}
	}
	return r.state.LastOf(l)
}

// MaxEnds bounds the ends that a replica reports about its log. A log with more above its last
// folded record leaves out the oldest; the leader then sends some records again.
const MaxEnds = 1024

// Ends appends the ends of the lineages above the last folded record, as input for Common: the
// newest, at most MaxEnds.
func (r *Replica) Ends(dst []lineage.End) []lineage.End {
	first := len(dst)
	for i := range r.pending {
		rec := &r.pending[i].Record
		if n := len(dst); n > first && dst[n-1].Lineage == rec.Lineage() {
			dst[n-1].Last = rec.Seq
		} else {
			dst = append(dst, lineage.End{Lineage: rec.Lineage(), Last: rec.Seq})
		}
	}
	if n := len(dst) - first; n > MaxEnds {
		dst = dst[:first+copy(dst[first:], dst[first+n-MaxEnds:])]
	}
	return dst
}

// AfterInMemory appends the records after seq, encoded as in messages, and returns the record
// before them. It returns false if they are not all in memory.
func (r *Replica) AfterInMemory(dst []byte, seq lineage.Seq) (lineage.Position, []byte, bool) {
	if seq < r.state.Position.Seq || seq > r.end.Seq {
		return lineage.Position{}, dst, false
	}
	for i := int(seq - r.state.Position.Seq); i < len(r.pending) && len(dst) < r.config.shipBytes(); i++ {
		rec := &r.pending[i].Record
		dst = binary.LittleEndian.AppendUint32(dst, uint32(record.Size(rec.Kind)))
		dst = record.Append(dst, rec)
	}
	return r.position(seq), dst, true
}

// fetch is a search in the segments for another node.
type fetch struct {
	list    diskops.List // opens the segment, reads once or more, closes it
	ended   bool         // Fetched has not returned the result yet
	to      env.ID       // the node that asked
	after   lineage.Seq  // it needs the records after this one
	segment int64        // first seq of the segment
	offset  int64        // of the next read
	rest    []byte       // unread bytes: the beginning of a frame
	at      lineage.Position
	found   []byte // records, encoded as in messages

	// cursor is the place where the next search probably continues.
	cursor struct {
		seq     lineage.Seq
		segment int64
		offset  int64
	}
}

// AfterOnDisk begins to read the records after seq for another node; Fetched returns them later. It
// returns false if they are not all on the disk. While another search runs it begins none, and the
// node asks again.
func (r *Replica) AfterOnDisk(e env.Env, to env.ID, seq lineage.Seq) bool {
	i := slices.IndexFunc(r.segments, func(s segment) bool { return s.first > seq+1 })
	if i < 0 {
		i = len(r.segments)
	}
	i--
	if i < 0 || r.task != nothing || !r.IsOpen() {
		return false
	}
	f := &r.moves().fetch
	if f.list.Busy() || f.ended {
		return true
	}
	*f = fetch{list: f.list, to: to, after: seq, segment: int64(r.segments[i].first), offset: wal.HeaderSize, cursor: f.cursor, rest: f.rest[:0], found: f.found[:0]}
	if f.cursor.seq == seq && f.cursor.segment == f.segment {
		f.offset = f.cursor.offset
	}
	file := r.file(3)
	f.list.Add(
		env.Op{Kind: env.OpOpen, File: file, Path: r.segmentPath(&r.segments[i])},
		env.Op{Kind: env.OpRead, File: file, Offset: f.offset, Length: fetchBytes},
		env.Op{Kind: env.OpClose, File: file})
	r.fetchTurn(e, f.list.Start())
	return true
}

func (r *Replica) fetchTurn(e env.Env, turn diskops.Turn) {
	f := &r.moved.fetch
	if turn != diskops.Submit {
		f.list.Clear()
		f.ended = true
		return
	}
	f.list.Op().Key = r.key(e, keyScript+uint16(f.list.Kind()), uint64(f.after)<<16|uint64(f.offset)&0xffff)
	f.list.Submit(e, r.operation(forFetch, uint32(f.list.Life())))
}

// fetchDone continues the search after one of its disk operations. It does not retry a failure: the
// node asks again, or gets a snapshot.
func (r *Replica) fetchDone(e env.Env, ev *env.Event) {
	f := &r.moved.fetch
	kind := f.list.Kind()
	turn := f.list.Done(ev)
	switch {
	case turn == diskops.Ignore:
		return
	case kind == env.OpRead && turn == diskops.Failed:
		turn = f.list.Tolerate() // the file is closed all the same
	case kind == env.OpRead && r.search(ev.Data):
		turn = f.list.Back()
		f.list.Op().Offset = f.offset + int64(len(f.rest))
	}
	r.fetchTurn(e, turn)
}

// search scans the bytes of a read for records, and reports whether to read on.
func (r *Replica) search(data []byte) bool {
	f, most := &r.moved.fetch, r.config.shipBytes()
	whole := len(data) == fetchBytes
	data = append(f.rest, data...)
	var rec record.Record
	for len(f.found) < most {
		size, _, _, err := wal.DecodeFrame(data, &rec)
		if err != nil {
			break
		}
		if rec.Seq > f.after {
			if len(f.found) == 0 {
				f.at = lineage.Position{Seq: rec.Seq - 1, Chain: rec.Prev}
			}
			f.found = binary.LittleEndian.AppendUint32(f.found, uint32(record.Size(rec.Kind)))
			f.found = record.Append(f.found, &rec)
			f.cursor.seq = rec.Seq
		}
		data = data[size:]
		f.offset += int64(size)
	}
	f.cursor.segment, f.cursor.offset = f.segment, f.offset
	f.rest = append(f.rest[:0], data...)
	return whole && len(f.found) < most
}

// Fetched returns the result of a search once; false if none has ended. The records are empty if
// the search failed.
func (r *Replica) Fetched() (to env.ID, at lineage.Position, records []byte, ended bool) {
	if r.moved == nil || !r.moved.fetch.ended {
		return 0, lineage.Position{}, nil, false
	}
	f := &r.moved.fetch
	f.ended = false
	if f.at.Seq != f.after {
		f.found = f.found[:0]
	}
	return f.to, f.at, f.found, true
}

// outgoing is the snapshot that is being sent to other replicas.
type outgoing struct {
	at   lineage.Position
	data []byte
}

// Chunk returns a part of a snapshot file of the committed state: from offset on, if the snapshot
// at record mark still exists, else the beginning of another snapshot. Mark 0 asks for the newest.
func (r *Replica) Chunk(e env.Env, mark lineage.Seq, offset uint64) (at lineage.Position, from uint64, size int, part []byte) {
	o := &r.moves().outgoing
	if o.data == nil || o.at.Seq != mark || offset >= uint64(len(o.data)) {
		offset = 0
		// A replica that fetched another snapshot starts again with this one. The snapshot is not
		// renewed for each such request: otherwise two replicas that fetch at once would never
		// finish.
		if o.data == nil || mark == 0 && o.at != r.state.Position {
			o.at = r.state.Position
			o.data = wal.BeginSnapshot(make([]byte, 0, wal.SnapshotOverhead+r.state.Size()), r.config.Identity, o.at)
			o.data = r.state.Append(o.data)
			wal.FinishSnapshot(o.data)
			e.Charge(env.Duration(len(o.data)/1024+1) * r.config.Costs.PerKiB)
		}
	}
	return o.at, offset, len(o.data), o.data[offset:min(offset+uint64(r.config.chunkBytes()), uint64(len(o.data)))]
}

// HandsOut reports whether the snapshot at a record still exists for further parts.
func (r *Replica) HandsOut(mark lineage.Seq) bool {
	return r.moved != nil && r.moved.outgoing.data != nil && r.moved.outgoing.at.Seq == mark
}

// Release frees the outgoing snapshot: no replica needs it any more.
func (r *Replica) Release() {
	if r.moved != nil {
		r.moved.outgoing = outgoing{}
	}
}
