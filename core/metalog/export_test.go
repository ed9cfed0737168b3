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

// Encode returns the bytes in which a member carries a message of raft, after the prefix of its
// seat.
func Encode(prefix byte, cluster uint64, m *raftpb.Message) []byte {
	return EncodeIn(prefix, cluster, 1, env.Nonce{}, m)
}

// EncodeIn is Encode for a member that lives in some start.
func EncodeIn(prefix byte, cluster, number uint64, nonce env.Nonce, m *raftpb.Message) []byte {
	return encode(prefix, cluster, MemberID(m.GetFrom()), MemberID(m.GetTo()), start{number, nonce}, messageRaft, marshal(m))
}

// EncodeThat returns the answer of the founder at an address, in some start, to the member at 0
// that has asked for the nonce of an earlier start.
func EncodeThat(prefix byte, cluster, number uint64, nonce env.Nonce, at env.ID, asked uint64, told env.Nonce) []byte {
	return encode(prefix, cluster, Founder(at), Founder(0), start{number, nonce}, messageThat, appendStart(nil, start{asked, told}))
}

func encode(prefix byte, cluster uint64, from, to MemberID, in start, kind byte, body []byte) []byte {
	m := held{from: from, start: in, kind: kind, body: body}
	return m.append([]byte{prefix}, cluster, to)
}

// AskedFor returns the start for which a member asks the nonce, false if it asks for none.
func AskedFor(b []byte) (number uint64, asked bool) {
	kind, body := opened(b)
	if kind != messageWhich {
		return 0, false
	}
	return binary.LittleEndian.Uint64(body), true
}

// IsOutdated reports whether a message tells a member that it is outdated.
func IsOutdated(b []byte) bool {
	kind, _ := opened(b)
	return kind == messageOutdated
}

func opened(b []byte) (kind byte, body []byte) {
	envelope := messageEnvelope()
	body, err := envelope.Open(b[1:])
	if err != nil {
		return 0, nil
	}
	return body[messageHeader-1], body[messageHeader:]
}

// EncodeAdmission returns a leader's message that tells a directory its ID.
func EncodeAdmission(prefix byte, cluster uint64, from, id MemberID, directory env.Nonce) []byte {
	le := binary.LittleEndian
	body := le.AppendUint64(le.AppendUint64(nil, directory.A), directory.B)
	return encode(prefix, cluster, from, 0, start{number: 1}, messageAdmitted, le.AppendUint64(body, uint64(id)))
}

// DecodeMessage is the inverse of Encode; nil if it carries something else.
func DecodeMessage(b []byte) *raftpb.Message {
	kind, body := opened(b)
	m := new(raftpb.Message)
	if kind != messageRaft || proto.Unmarshal(body, m) != nil {
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
