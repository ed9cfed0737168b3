package metalog

import (
	"encoding/binary"
	"hash/crc32"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/tidaldb/tidalsim/core/env"
)

// Confirmed is how many bytes of the file were durable when it got its name: damage
// there is never taken for a torn tail.
func (l *Log) Confirmed() int64 { return l.disk.whole }

// Decode judges the bytes of a file and returns how many entries it has.
func Decode(name string, data []byte) (int, error) {
	c, err := decode(name, data)
	if err != nil {
		return 0, err
	}
	return len(c.entries), nil
}

// Encode returns what a member sends to carry a message of raft's, after the prefix
// of its seat.
func Encode(prefix byte, cluster uint64, m *raftpb.Message) []byte {
	le, envelope := binary.LittleEndian, messageEnvelope()
	b := le.AppendUint64(envelope.Begin([]byte{prefix}), cluster)
	b = le.AppendUint64(b, m.GetFrom())
	b = le.AppendUint64(b, m.GetTo())
	b = le.AppendUint64(b, 1)
	b = append(append(b, messageRaft), marshal(m)...)
	envelope.Finish(b[1:])
	return b
}

// EncodeAdmission returns what a leader sends to tell a directory under which ID it is
// admitted.
func EncodeAdmission(prefix byte, cluster uint64, from, id MemberID, directory env.Nonce) []byte {
	le, envelope := binary.LittleEndian, messageEnvelope()
	b := le.AppendUint64(envelope.Begin([]byte{prefix}), cluster)
	b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, uint64(from)), 0), 1)
	b = le.AppendUint64(le.AppendUint64(append(b, messageAdmitted), directory.A), directory.B)
	b = le.AppendUint64(b, uint64(id))
	envelope.Finish(b[1:])
	return b
}

// DecodeMessage is the inverse of Encode; nil if it carries something else.
func DecodeMessage(b []byte) *raftpb.Message {
	envelope := messageEnvelope()
	body, err := envelope.Open(b[1:])
	m := new(raftpb.Message)
	if err != nil || body[messageHeader-1] != messageRaft || proto.Unmarshal(body[messageHeader:], m) != nil {
		return nil
	}
	return m
}

// File returns a file with so many entries in its base part and after it.
func File(before, after int) (data []byte, whole int) {
	c := &content{base: base{cluster: 1, member: 2, snapshot: raftpb.EnsureSnapshot(nil)}, votes: &raftpb.HardState{Term: new(uint64(1)), Commit: new(uint64(9))}}
	c.snapshot.Metadata.Index, c.snapshot.Metadata.Term = new(uint64(9)), new(uint64(1))
	c.snapshot.Data = []byte("state")
	add := func(i int) *raftpb.Entry {
		return &raftpb.Entry{Index: new(uint64(10 + i)), Term: new(uint64(1)), Data: []byte{byte(i)}}
	}
	for i := range before {
		c.entries = append(c.entries, add(i))
	}
	data = c.encode()
	whole = len(data)
	synced := uint64(whole)
	for i := range after {
		at := uint64(len(data))
		data = appendEntry(data, synced, add(before+i))
		synced = at // each was synced before the next but one was written
	}
	return data, whole
}

// Resum makes the checksum of the envelope that b begins with right again.
func Resum(b []byte) {
	n := binary.LittleEndian.Uint32(b[8:])
	sum := crc32.Checksum(b[4:12], crc32.MakeTable(crc32.Castagnoli))
	sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), b[16:16+n])
	binary.LittleEndian.PutUint32(b[12:], sum)
}
