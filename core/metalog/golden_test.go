package metalog

import (
	"encoding/hex"
	"flag"
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/internal/golden"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/v1 anew; right only as long as no data of version 1 exists anywhere")

// goldenContent has each part of a file.
func goldenContent() *content {
	f, _ := newFold(2)
	f.applied.Chain = 0x11
	f.sessions = []session{{client: 0x12, number: 0x13, index: 0x14, result: []byte("result")}, {client: 0x15}}
	f.members = []admittance{{Founder(1), env.Nonce{A: 0x16, B: 0x17}}}
	f.machine.(*tape).told = []byte("machine")
	return &content{
		base: base{
			cluster: 0x21, member: Founder(2), directory: env.Nonce{A: 0x22, B: 0x23},
			starts: []start{{1, env.Nonce{A: 0x24, B: 0x25}}, {2, env.Nonce{A: 0x26, B: 0x27}}},
			seen:   []sighting{{Founder(1), start{3, env.Nonce{A: 0x28, B: 0x29}}}},
			snapshot: &raftpb.Snapshot{Data: f.append(nil), Metadata: &raftpb.SnapshotMetadata{
				Index: new(uint64(9)), Term: new(uint64(5)), ConfState: &raftpb.ConfState{Voters: []uint64{1, 2, 3}},
			}},
		},
		votes: &raftpb.HardState{Term: new(uint64(6)), Vote: new(uint64(7)), Commit: new(uint64(10))},
		entries: []*raftpb.Entry{
			{Index: new(uint64(10)), Term: new(uint64(5)), Type: raftpb.EntryNormal.Enum(), Data: appendCommand(nil, 0x31, 0x32, []byte("command"))},
			{Index: new(uint64(11)), Term: new(uint64(6)), Type: raftpb.EntryConfChangeV2.Enum(), Data: marshal(replacement(Founder(1), joiner(1, 1), env.Nonce{A: 0x33, B: 0x34}))},
		},
	}
}

// TestGoldenFile: the file of a member, whole, and with a sighting appended.
func TestGoldenFile(t *testing.T) {
	c := goldenContent()
	data := c.encode()
	data = appendSighting(data, c.whole, sighting{Founder(1), start{4, env.Nonce{A: 0x41, B: 0x42}}})
	golden.Text(t, "testdata/v1/file.txt", "# The file of a member, version 1. It holds for ever.\n"+hex.Dump(data), *rewrite)
	got, err := decode("log", data)
	if err != nil || len(got.entries) != 2 || seenOf(got.seen, Founder(1)).number != 4 || string(got.snapshot.GetData()) != string(c.snapshot.GetData()) {
		t.Fatalf("%+v, error %v", got, err)
	}
	f, machine := newFold(2)
	if err := f.restore(9, got.snapshot.GetData()); err != nil || string(machine.told) != "machine" || len(f.sessions) != 2 || len(f.members) != 1 {
		t.Errorf("state: %+v, error %v", f, err)
	}
}

// TestGoldenMessages: one message of each kind, behind the prefix of a seat.
func TestGoldenMessages(t *testing.T) {
	number, own := []byte{8, 7, 6, 5, 4, 3, 2, 1}, start{2, env.Nonce{A: 0x51, B: 0x52}}
	directory := appendNonce(nil, env.Nonce{A: 0x53, B: 0x54})
	moving := transfer{number: 0x55, data: []byte("a snapshot in chunks"), offset: 2}
	raft := &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(3)), Commit: new(uint64(4))}
	var b strings.Builder
	b.WriteString("# Messages of version 1, by kind. They hold for ever.\n")
	for i, body := range [][]byte{
		marshal(raft), moving.chunk(8), append(append([]byte(nil), number...), number...), append(directory[:16:16], number...), number,
		append(directory[:16:16], number...), appendStart(nil, own), number, appendStart(nil, own), nil,
	} {
		m := held{from: Founder(1), start: own, kind: byte(messageRaft + i), body: body}
		fmt.Fprintf(&b, "%d %x\n", m.kind, m.append([]byte{0x7c}, 0x61, Founder(2)))
	}
	golden.Text(t, "testdata/v1/messages.txt", b.String(), *rewrite)
}
