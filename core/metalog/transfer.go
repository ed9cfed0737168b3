package metalog

import (
	"encoding/binary"
	"math"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/layout"
	"github.com/tidaldb/tidalsim/core/wal"
)

// A leader sends a snapshot to a follower in chunks. It sends the next chunk when the follower has
// accepted the one before. Body of a chunk, little endian, part of the format; never change:
//
//	     0    8  transfer: incarnation of the sender << 32 | count
//	     8    8  length of the whole, bytes
//	    16    8  offset of the chunk
//	    24    n  bytes of raft's message
//
// and of the answer:
//
//	     0    8  transfer
//	     8    8  length of the part that was accepted so far

const (
	chunkHeader = 24

	resendTicks = 3       // without an answer, until a chunk is sent again
	giveUpTicks = 50      // without progress, until the snapshot is reported to raft as failed
	maxTransfer = 1 << 30 // bytes: control state is far smaller
)

func messageEnvelope() wal.Envelope {
	return wal.NewEnvelope("meta message", 0x736d6df5, messageHeader, math.MaxInt32) // f5 'm' 'm' 's'
}

// transfer is a snapshot on its way to a follower.
type transfer struct {
	to           MemberID
	number       uint64
	data         []byte
	offset       int    // of the first chunk without an answer
	sent, moving uint64 // ticks: of the last send; when offset last moved
}

// incoming is the snapshot that is arriving.
type incoming struct {
	from   MemberID
	number uint64
	data   []byte
	taken  bool // the whole snapshot has arrived
}

// transfer begins to send a snapshot. raft sends at most one at a time to each follower.
func (l *Log) transfer(e env.Env, m *raftpb.Message) {
	to := MemberID(m.GetTo())
	l.transfers = slices.DeleteFunc(l.transfers, func(t transfer) bool { return t.to == to })
	l.sent++
	l.transfers = append(l.transfers, transfer{
		to: to, number: lastOf(l.starts).number<<32 | l.sent, data: marshal(m), moving: l.ticks,
	})
	l.sendChunk(e, &l.transfers[len(l.transfers)-1])
}

func (l *Log) sendChunk(e env.Env, t *transfer) {
	t.sent = l.ticks
	l.post(e, t.to, messageChunk, uint64(t.offset), t.chunk(l.config.ChunkBytes))
}

// chunk returns the body of the next chunk, with at most so many bytes of the whole.
func (t *transfer) chunk(most int) []byte {
	le, part := binary.LittleEndian, t.data[t.offset:min(t.offset+most, len(t.data))]
	b := le.AppendUint64(make([]byte, 0, chunkHeader+len(part)), t.number)
	b = le.AppendUint64(b, uint64(len(t.data)))
	return append(le.AppendUint64(b, uint64(t.offset)), part...)
}

// resend repeats chunks without an answer, and gives up transfers without progress.
func (l *Log) resend(e env.Env) {
	l.transfers = slices.DeleteFunc(l.transfers, func(t transfer) bool {
		lost := l.ticks-t.moving >= giveUpTicks || !l.leads()
		if lost {
			l.raft.ReportSnapshot(uint64(t.to), raft.SnapshotFailure)
		}
		return lost
	})
	for i := range l.transfers {
		if t := &l.transfers[i]; l.ticks-t.sent >= resendTicks {
			l.sendChunk(e, t)
		}
	}
}

// takeChunk accepts the next chunk, and always answers with the length so far.
func (l *Log) takeChunk(e env.Env, from MemberID, body []byte) {
	le, r := binary.LittleEndian, layout.Of(body)
	number, length, offset, chunk := r.Uint64(), r.Uint64(), r.Uint64(), r.Bytes(r.Len())
	if r.End() != nil {
		return
	}
	in := &l.incoming
	if in.from != from || in.number < number {
		*in = incoming{from: from, number: number}
	}
	if in.number != number || length > maxTransfer {
		return // of an earlier transfer
	}
	if !in.taken && offset == uint64(len(in.data)) {
		in.data = append(in.data, chunk...)
	}
	have := uint64(len(in.data))
	if in.taken {
		have = length
	}
	l.post(e, from, messageTaken, have, le.AppendUint64(le.AppendUint64(nil, number), have))
	if !in.taken && have == length {
		data := in.data
		in.data, in.taken = nil, true
		l.stepRaft(e, from, data)
	}
}

// chunkTaken sends the next chunk, or tells raft that the transfer is complete.
func (l *Log) chunkTaken(e env.Env, from MemberID, body []byte) {
	r := layout.Of(body)
	number, have := r.Uint64(), r.Uint64()
	i := slices.IndexFunc(l.transfers, func(t transfer) bool { return t.to == from })
	if r.End() != nil || i < 0 || number != l.transfers[i].number {
		return
	}
	t := &l.transfers[i]
	switch {
	case have <= uint64(t.offset): // an answer to a repeated chunk
	case have >= uint64(len(t.data)):
		l.transfers = slices.Delete(l.transfers, i, i+1)
		l.raft.ReportSnapshot(uint64(from), raft.SnapshotFinish)
	default:
		t.offset, t.moving = int(have), l.ticks
		l.sendChunk(e, t)
	}
}
