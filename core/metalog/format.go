package metalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/layout"
	"github.com/tidaldb/tidalsim/core/wal"
)

// A member keeps one file, "log": a base, and the frames appended since, each in an envelope of
// package wal. Little endian, part of the format; never change:
//
//	base envelope:
//	     0    8  cluster
//	     8    8  member
//	    16    8  whole: length of the file when it got its name, bytes
//	    24    8  index of the last entry that the state includes
//	    32    8  its term
//	    40   16  data directory of the member
//	    56    4  number t of the last starts of the member, this one included
//	    60    4  length c of the configuration
//	    64    4  number s of the members whose starts were seen
//	    68    c  configuration, protobuf raftpb.ConfState
//	  68+c 24*t  starts, ascending, each: number 8, nonce 16
//	     . 32*s  each: member 8, the last start of it that was seen 24
//	     .    n  state, as fold.append wrote it
//
//	frame envelope:
//	     0    8  synced: the file was durable up to this byte when this was written
//	     8    1  kind: 1 votes, 2 entry, 3 a start of another member
//	votes:
//	     9    8  term
//	    17    8  vote
//	    25    8  commit
//	entry:
//	     9    8  index; earlier frames with this index or a higher one are void
//	    17    8  term
//	    25    1  type, as raft numbers it
//	    26    n  data
//	a start of another member:
//	     9    8  member
//	    17    8  number of the start
//	    25   16  its nonce
//
// The file gets its name when it is durable up to whole, so damage below that is corruption. So is
// damage below the synced of any good frame. Damage above is a torn tail, which no response was
// sent about.

const (
	baseMin   = 68
	frameMin  = 25
	startSize = 24
	seenSize  = 8 + startSize
)

const (
	frameVotes = 1
	frameEntry = 2
	frameSeen  = 3
)

func baseEnvelope() wal.Envelope {
	return wal.NewEnvelope("meta base", 0x62746df5, baseMin, math.MaxUint32) // f5 'm' 't' 'b'
}

func frameEnvelope() wal.Envelope {
	return wal.NewEnvelope("meta frame", 0x666d6df5, frameMin, 1<<24) // f5 'm' 'm' 'f'
}

// base is the beginning of a file.
type base struct {
	cluster   uint64
	member    MemberID
	whole     uint64
	directory env.Nonce
	starts    []start          // ascending
	seen      []sighting       // ascending
	snapshot  *raftpb.Snapshot // index, term, configuration and state; index 0: none
}

// content is the decoded content of a file.
type content struct {
	base
	votes   *raftpb.HardState
	entries []*raftpb.Entry // contiguous from the base on
}

// encode returns a whole new file.
func (c *content) encode() []byte {
	data := appendBase(nil, &c.base)
	first := len(data)
	for {
		data = appendVotes(data, c.whole, c.votes)
		for _, entry := range c.entries {
			data = appendEntry(data, c.whole, entry)
		}
		if c.whole == uint64(len(data)) {
			return data
		}
		// The file has its own length in the base; the length does not depend on the value.
		c.whole = uint64(len(data))
		data = appendBase(data[:0], &c.base)
		assert.That(len(data) == first, "a base of %d bytes became %d", first, len(data))
	}
}

func appendBase(dst []byte, b *base) []byte {
	start, le, envelope := len(dst), binary.LittleEndian, baseEnvelope()
	meta := b.snapshot.GetMetadata()
	configuration := marshal(raftpb.EnsureConfState(meta.GetConfState()))
	dst = envelope.Begin(dst)
	dst = le.AppendUint64(dst, b.cluster)
	dst = le.AppendUint64(dst, uint64(b.member))
	dst = le.AppendUint64(dst, b.whole)
	dst = le.AppendUint64(dst, meta.GetIndex())
	dst = le.AppendUint64(dst, meta.GetTerm())
	dst = appendNonce(dst, b.directory)
	dst = le.AppendUint32(dst, uint32(len(b.starts)))
	dst = le.AppendUint32(dst, uint32(len(configuration)))
	dst = le.AppendUint32(dst, uint32(len(b.seen)))
	dst = append(dst, configuration...)
	for _, s := range b.starts {
		dst = appendStart(dst, s)
	}
	for _, s := range b.seen {
		dst = appendStart(le.AppendUint64(dst, uint64(s.member)), s.start)
	}
	dst = append(dst, b.snapshot.GetData()...)
	envelope.Finish(dst[start:])
	return dst
}

func appendVotes(dst []byte, synced uint64, votes *raftpb.HardState) []byte {
	start, le, envelope := len(dst), binary.LittleEndian, frameEnvelope()
	dst = le.AppendUint64(envelope.Begin(dst), synced)
	dst = append(dst, frameVotes)
	dst = le.AppendUint64(dst, votes.GetTerm())
	dst = le.AppendUint64(dst, votes.GetVote())
	dst = le.AppendUint64(dst, votes.GetCommit())
	envelope.Finish(dst[start:])
	return dst
}

func appendSighting(dst []byte, synced uint64, s sighting) []byte {
	start, le, envelope := len(dst), binary.LittleEndian, frameEnvelope()
	dst = le.AppendUint64(envelope.Begin(dst), synced)
	dst = append(dst, frameSeen)
	dst = appendStart(le.AppendUint64(dst, uint64(s.member)), s.start)
	envelope.Finish(dst[start:])
	return dst
}

func appendStart(dst []byte, s start) []byte {
	return appendNonce(binary.LittleEndian.AppendUint64(dst, s.number), s.nonce)
}

func appendNonce(dst []byte, n env.Nonce) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, n.A), n.B)
}

// reader takes the fields of the log's files and messages from bytes.
type reader struct{ layout.Reader }

func (r *reader) nonce() env.Nonce { return env.Nonce{A: r.Uint64(), B: r.Uint64()} }

func (r *reader) start() start { return start{r.Uint64(), r.nonce()} }

func (r *reader) sighting() sighting { return sighting{MemberID(r.Uint64()), r.start()} }

func appendEntry(dst []byte, synced uint64, entry *raftpb.Entry) []byte {
	start, le, envelope := len(dst), binary.LittleEndian, frameEnvelope()
	dst = le.AppendUint64(envelope.Begin(dst), synced)
	dst = append(dst, frameEntry)
	dst = le.AppendUint64(dst, entry.GetIndex())
	dst = le.AppendUint64(dst, entry.GetTerm())
	dst = append(dst, byte(entry.GetType()))
	dst = append(dst, entry.GetData()...)
	envelope.Finish(dst[start:])
	return dst
}

// decodeBase reads a base and returns the number of its bytes.
func decodeBase(b []byte) (base, int, error) {
	envelope := baseEnvelope()
	body, err := envelope.Open(b)
	if err != nil {
		return base{}, 0, err
	}
	r, meta := reader{layout.Of(body)}, new(raftpb.SnapshotMetadata)
	out := base{cluster: r.Uint64(), member: MemberID(r.Uint64()), whole: r.Uint64()}
	meta.Index, meta.Term = new(r.Uint64()), new(r.Uint64())
	out.directory = r.nonce()
	starts, size, sightings := r.Uint32(), r.Uint32(), r.Uint32()
	configuration := r.Bytes(int(size))
	for range r.Fits(uint64(starts), startSize) {
		out.starts = append(out.starts, r.start())
	}
	for range r.Fits(uint64(sightings), seenSize) {
		out.seen = append(out.seen, r.sighting())
	}
	state := r.Bytes(r.Len())
	if err := r.End(); err != nil {
		return base{}, 0, fmt.Errorf("%w: configuration of %d bytes, %d starts and %d members in a base of %d: %w",
			wal.ErrMalformed, size, starts, sightings, len(body), err)
	}
	meta.ConfState = new(raftpb.ConfState)
	if err := proto.Unmarshal(configuration, meta.ConfState); err != nil {
		return base{}, 0, fmt.Errorf("%w: configuration: %w", wal.ErrMalformed, err)
	}
	out.snapshot = &raftpb.Snapshot{Data: append([]byte(nil), state...), Metadata: meta}
	return out, wal.EnvelopeSize + len(body), nil
}

// marshal returns the bytes of a message. Equal messages have equal bytes.
func marshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	assert.That(err == nil, "a message of our own does not marshal: %v", err)
	return b
}

// decode judges the bytes of a file. It leaves out a torn tail. For other damage it returns a
// CorruptError, or an error that wraps wal.ErrVersion if a newer binary wrote the file.
func decode(name string, data []byte) (*content, error) {
	b, at, err := decodeBase(data)
	if errors.Is(err, wal.ErrVersion) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err != nil {
		return nil, &CorruptError{name, 0, err.Error() + "; it was synced before the file got its name"}
	}
	c := &content{base: b, votes: new(raftpb.HardState)}
	confirmed := b.whole
	for at < len(data) {
		body, err := openFrame(data[at:])
		if err == nil {
			confirmed = max(confirmed, syncedIn(body))
			err = c.take(body)
		}
		if errors.Is(err, wal.ErrVersion) {
			return nil, fmt.Errorf("%s at offset %d: %w", name, at, err)
		}
		if err != nil {
			if err := tornOrCorrupt(name, data, at, confirmed, err); err != nil {
				return nil, err
			}
			return c, c.check(name)
		}
		at += wal.EnvelopeSize + len(body)
	}
	if uint64(at) < confirmed {
		return nil, &CorruptError{name, int64(at), fmt.Sprintf("the file ends here, and was synced up to %d", confirmed)}
	}
	return c, c.check(name)
}

func openFrame(b []byte) ([]byte, error) {
	envelope := frameEnvelope()
	return envelope.Open(b)
}

// syncedIn returns up to which byte the file was durable when a frame was written.
func syncedIn(frame []byte) uint64 {
	r := layout.Of(frame)
	return r.Uint64()
}

// take adds the content of one frame. The checksum of the frame matches, so no crash has left it with
// a kind or fields that this binary does not know: a newer binary wrote it, and the error wraps
// wal.ErrVersion.
func (c *content) take(body []byte) error {
	r := reader{layout.Of(body)}
	_ = r.Uint64() // synced
	switch kind := r.Uint8(); kind {
	case frameVotes:
		votes := &raftpb.HardState{Term: new(r.Uint64()), Vote: new(r.Uint64()), Commit: new(r.Uint64())}
		if err := r.End(); err != nil {
			return fmt.Errorf("%w: votes of %d bytes: %w", wal.ErrVersion, len(body), err)
		}
		c.votes = votes
	case frameSeen:
		seen := r.sighting()
		if err := r.End(); err != nil {
			return fmt.Errorf("%w: a start of a member in %d bytes: %w", wal.ErrVersion, len(body), err)
		}
		c.seen = see(c.seen, seen)
	case frameEntry:
		return c.takeEntry(&r)
	default:
		return fmt.Errorf("%w: frame of kind %d, this binary knows 1..%d", wal.ErrVersion, kind, frameSeen)
	}
	return nil
}

func (c *content) takeEntry(r *reader) error {
	index, term, kind := r.Uint64(), r.Uint64(), raftpb.EntryType(r.Uint8())
	data := append([]byte(nil), r.Bytes(r.Len())...)
	if err := r.End(); err != nil {
		return fmt.Errorf("%w: an entry: %w", wal.ErrVersion, err)
	}
	if _, known := raftpb.EntryType_name[int32(kind)]; !known {
		return fmt.Errorf("%w: entry %d is of type %d, this binary knows 0..%d", wal.ErrVersion, index, kind, len(raftpb.EntryType_name)-1)
	}
	first := c.snapshot.GetMetadata().GetIndex() + 1
	if index < first || index > first+uint64(len(c.entries)) {
		return fmt.Errorf("%w: entry %d where %d..%d are expected", wal.ErrMalformed, index, first, first+uint64(len(c.entries)))
	}
	c.entries = append(c.entries[:index-first], &raftpb.Entry{Index: &index, Term: &term, Type: kind.Enum(), Data: data})
	return nil
}

// tornOrCorrupt classifies damage at an offset: nil for a torn tail.
func tornOrCorrupt(name string, data []byte, at int, confirmed uint64, err error) error {
	for i := at + 1; i+wal.EnvelopeSize <= len(data); i++ {
		if body, err := openFrame(data[i:]); err == nil {
			confirmed = max(confirmed, syncedIn(body))
		}
	}
	if uint64(at) >= confirmed {
		return nil
	}
	return &CorruptError{name, int64(at), fmt.Sprintf("%v; the file was synced up to %d", err, confirmed)}
}

// check reports contradictions in a file although every checksum matches.
func (c *content) check(name string) error {
	first := c.snapshot.GetMetadata().GetIndex()
	last, commit := first+uint64(len(c.entries)), c.votes.GetCommit()
	if !raft.IsEmptyHardState(c.votes) && (commit < first || commit > last) {
		return &CorruptError{name, int64(c.whole), fmt.Sprintf("committed up to %d, but it has %d..%d", commit, first, last)}
	}
	return nil
}
