package peer_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/internal/golden"
)

// kinds are all kinds of messages between nodes.
func kinds() []peer.Kind {
	var all []peer.Kind
	for i := range peer.KindNames()[1:] {
		all = append(all, peer.Kind(i+1))
	}
	return all
}

// full is a message in which every field of every layout has a number of its own.
func full(k peer.Kind) peer.Message {
	return peer.Message{
		Kind: k, From: 0x0101010101010101, Shard: 0x02020202, Epoch: 0x0303030303030303,
		Tenant: 0x0404040404040404, Slot: 0x05050505, Placement: 0x0606060606060606,
		At:     lineage.Position{Seq: 0x0707070707070707, Chain: 0x0808080808080808},
		Commit: 0x0909090909090909, Round: 0x0a0a0a0a0a0a0a0a, Mark: 0x0b0b0b0b0b0b0b0b,
		Offset: 0x0c0c0c0c0c0c0c0c, Size: 0x0d0d0d0d0d0d0d0d, Index: 0x0e0e0e0e0e0e0e0e,
		Tail: []byte("tail"),
	}
}

// encoded is the bytes of a full message.
func encoded(k peer.Kind) []byte {
	m := full(k)
	return peer.Encode(nil, &m)
}

// What each kind carries, beside who sent it: the sender's incarnation.
func TestWhatEachKindCarries(t *testing.T) {
	shard := []string{"Shard", "Epoch"}
	slot := append(slices.Clone(shard), "Tenant", "Slot", "Placement")
	want := map[string][]string{
		"append":    append(slices.Clone(slot), "At", "Commit", "Round", "Tail"),
		"appended":  append(slices.Clone(slot), "At", "Commit", "Round", "Mark", "Index"),
		"pull":      append(slices.Clone(slot), "At", "Mark", "Offset", "Tail"),
		"chunk":     append(slices.Clone(slot), "At", "Offset", "Size", "Tail"),
		"confirm":   append(slices.Clone(shard), "Round"),
		"confirmed": append(slices.Clone(shard), "Round"),
		"survey":    append(slices.Clone(shard), "Offset", "Round"),
		"surveyed":  append(slices.Clone(shard), "Mark", "Offset", "Round", "Size", "Tail"),
		"outdated":  slices.Clone(shard),
		"ask-index": append(slices.Clone(slot), "Round"),
		"index":     append(slices.Clone(slot), "Round", "At"),
		"heartbeat": {"Index", "Mark", "Tail"},
		"configs":   {"Index", "Mark", "Round", "Tail"},
		"propose":   {"Round", "Index", "Tail"},
		"proposed":  {"Round", "Index", "Tail"},
		"poll":      {"Round"},
		"report":    {"Round", "Mark", "Tail"},
		"verify":    append(slices.Clone(shard), "Round"),
		"verified":  append(slices.Clone(shard), "Round"),
		"register":  {"Round", "Tail"}, "registered": {"Index", "Round", "Tail"},
	}
	got := map[string][]string{}
	for _, k := range kinds() {
		var m peer.Message
		if err := peer.Decode(encoded(k), &m); err != nil {
			t.Fatal(err)
		}
		if m.Kind != k || m.From != full(k).From {
			t.Errorf("a %s of incarnation %#x arrives as a %s of incarnation %#x", k, full(k).From, m.Kind, m.From)
		}
		got[k.String()] = carried(&m)
	}
	for _, fields := range want {
		slices.Sort(fields)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

// carried names the fields of m that are not zero, sorted.
func carried(m *peer.Message) []string {
	var fields []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"At", m.At != lineage.Position{}}, {"Commit", m.Commit != 0}, {"Epoch", m.Epoch != 0}, {"Index", m.Index != 0},
		{"Mark", m.Mark != 0}, {"Offset", m.Offset != 0}, {"Placement", m.Placement != 0},
		{"Round", m.Round != 0}, {"Shard", m.Shard != 0}, {"Size", m.Size != 0}, {"Slot", m.Slot != 0},
		{"Tail", len(m.Tail) > 0}, {"Tenant", m.Tenant != 0},
	} {
		if f.set {
			fields = append(fields, f.name)
		}
	}
	return fields
}

func TestMessagesReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := func(name string) uint64 { return rapid.Uint64().Draw(t, name) }
		m := peer.Message{
			Kind: rapid.SampledFrom(kinds()).Draw(t, "kind"), From: env.Incarnation(word("from")),
			Shard: lineage.Shard(rapid.Uint32().Draw(t, "shard")), Epoch: lineage.ShardEpoch(word("epoch")),
			Tenant: tenant.ID(word("tenant")), Slot: lineage.Slot(rapid.Uint32().Draw(t, "slot")), Placement: lineage.PlacementEpoch(word("placement")),
			At:     lineage.Position{Seq: lineage.Seq(word("seq")), Chain: lineage.Chain(word("chain"))},
			Commit: lineage.Seq(word("commit")), Round: word("round"), Mark: lineage.Seq(word("mark")),
			Offset: word("offset"), Size: word("size"), Index: word("index"),
			Tail: rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "tail"),
		}
		b := peer.Encode([]byte("before"), &m)[len("before"):]
		back := full(peer.Append) // what stood there before must not show through
		if err := peer.Decode(b, &back); err != nil {
			t.Fatal(err)
		}
		if again := peer.Encode(nil, &back); !bytes.Equal(again, b) {
			t.Fatalf("%+v is read back as %+v", m, back)
		}
		if !peer.Is(b) || peer.KindOf(b) != m.Kind {
			t.Fatalf("a %s claims to be a %s; a message between nodes: %t", m.Kind, peer.KindOf(b), peer.Is(b))
		}
	})
}

// The checksum covers every byte: none can be damaged, cut off or added unnoticed.
func TestNoDamagedByteIsAccepted(t *testing.T) {
	for _, k := range kinds() {
		b := encoded(k)
		var back peer.Message
		for at := range b {
			for bit := range 8 {
				b[at] ^= 1 << bit
				if err := peer.Decode(b, &back); err == nil {
					t.Fatalf("a %s with bit %d of byte %d turned is accepted", k, bit, at)
				}
				b[at] ^= 1 << bit
			}
			if err := peer.Decode(b[:at], &back); !errors.Is(err, peer.ErrMalformed) {
				t.Fatalf("the first %d bytes of a %s: %v", at, k, err)
			}
		}
		if err := peer.Decode(append(b, 0), &back); !errors.Is(err, peer.ErrMalformed) {
			t.Fatalf("a %s with a byte behind it: %v", k, err)
		}
	}
}

// sealed makes the checksum of b right.
func sealed(b []byte) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(b[4:], crc32.Update(crc32.Checksum(b[:4], table), table, b[8:]))
	return b
}

// forged is a message with the number at an offset changed and a right checksum.
func forged(k peer.Kind, at int, v uint64) []byte {
	b := encoded(k)
	binary.LittleEndian.PutUint64(b[at:], v)
	return sealed(b)
}

// withTail is a message with a tail of so many bytes.
func withTail(k peer.Kind, n int) []byte {
	m := full(k)
	m.Tail = make([]byte, n)
	return peer.Encode(nil, &m)
}

// However right the checksum is, a message of another protocol or version, a number
// that does not fit its field, and what is too short or too long are refused.
func TestDecodeRefuses(t *testing.T) {
	const shard, slot = 16, 40
	set := func(b []byte, at int, v byte) []byte { b[at] = v; return b }
	beginning := func(k peer.Kind, n int) []byte { return sealed(encoded(k)[:n]) }
	for _, c := range []struct {
		bytes []byte
		is    error
		want  string
	}{
		{nil, peer.ErrMalformed, "malformed message between nodes: 0 bytes, want at least 16"},
		{set(encoded(peer.Confirm), 0, 'G'), peer.ErrMalformed, "malformed message between nodes: starts with 0x47, want 0x7e; not a message of this protocol"},
		{set(encoded(peer.Confirm), 1, 1), peer.ErrVersion, "unknown version of messages between nodes: version 1, this binary reads 2"},
		{set(encoded(peer.Confirm), 2, 0), peer.ErrMalformed, "malformed message between nodes: kind 0, reserved byte 0"},
		{set(encoded(peer.Confirm), 2, 99), peer.ErrMalformed, "malformed message between nodes: kind 99, reserved byte 0"},
		{set(encoded(peer.Confirm), 3, 1), peer.ErrMalformed, "malformed message between nodes: kind 5, reserved byte 1"},
		{beginning(peer.Confirm, 39), peer.ErrMalformed, "malformed message between nodes: a message confirm of 39 bytes ends within its fields"},
		{sealed(append(encoded(peer.Confirm), 0)), peer.ErrMalformed, "malformed message between nodes: 1 bytes follow a message confirm"},
		{forged(peer.Confirm, shard, 1<<32), peer.ErrMalformed, "malformed message between nodes: a field of a message confirm is out of its range"},
		{forged(peer.Append, slot, 1<<32), peer.ErrMalformed, "malformed message between nodes: a field of a message append is out of its range"},
		{withTail(peer.Chunk, peer.MaxTail+1), peer.ErrMalformed, "malformed message between nodes: a field of a message chunk is out of its range"},
	} {
		var m peer.Message
		if err := peer.Decode(c.bytes, &m); !errors.Is(err, c.is) || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
	for _, k := range []peer.Kind{peer.Append, peer.Pull, peer.Chunk, peer.Surveyed, peer.Heartbeat, peer.Configs, peer.Propose, peer.Proposed, peer.Report} {
		for _, n := range []int{0, peer.MaxTail} {
			var m peer.Message
			if err := peer.Decode(withTail(k, n), &m); err != nil || len(m.Tail) != n {
				t.Errorf("a %s with a tail of %d bytes: %d bytes, %v", k, n, len(m.Tail), err)
			}
		}
	}
}

// A node tells by the first bytes whether a message is a client's or a node's.
func TestKindOfJudgesTheHeaderOnly(t *testing.T) {
	b := encoded(peer.Survey)
	b[len(b)-1] ^= 1
	if got := peer.KindOf(b); got != peer.Survey {
		t.Errorf("a damaged survey claims to be a %s", got)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "short": b[:15], "a client's": wire.Append(nil, &wire.Message{Kind: wire.Write}),
		"another version": append([]byte{b[0], 9}, b[2:]...), "another kind": append([]byte{b[0], b[1], 99}, b[3:]...),
	} {
		if got := peer.KindOf(b); got != 0 {
			t.Errorf("%s claims to be a %s", name, got)
		}
	}
	if m := encoded(peer.Append); wire.KindOf(m) != 0 {
		t.Errorf("a message between nodes claims to be a client's %s", wire.KindOf(m))
	}
}

func TestKindsHaveDistinctNames(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range kinds() {
		if name := k.String(); name == "" || seen[name] || name != peer.KindNames()[k] {
			t.Errorf("kind %d is called %q", k, name)
		} else {
			seen[name] = true
		}
	}
	if got := peer.Kind(99).String(); got != "message-99" {
		t.Errorf("kind 99 is called %s", got)
	}
}

var rewrite = flag.Bool("rewrite", false, "write testdata/v2 anew; right only as long as no node of version 2 runs anywhere")

// The bytes of version 2 as they were written when it was new. Nodes of different
// builds talk with each other, so today's code writes and reads the same.
func TestGoldenMessages(t *testing.T) {
	const path = "testdata/v2/messages.txt"
	var today strings.Builder
	for _, k := range kinds() {
		fmt.Fprintf(&today, "%s %x\n", k, encoded(k))
	}
	for line := range strings.Lines(golden.Text(t, path, today.String(), *rewrite)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		var m peer.Message
		if err := peer.Decode(b, &m); err != nil || m.Kind.String() != name {
			t.Errorf("%s is read as a %s, %v", name, m.Kind, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, k := range kinds() {
		f.Add(encoded(k))
	}
	for _, b := range [][]byte{nil, encoded(peer.Append)[:50], forged(peer.Append, 40, 1<<32), withTail(peer.Chunk, peer.MaxTail+1)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m peer.Message
		err := peer.Decode(b, &m)
		if err != nil {
			if errors.Is(err, peer.ErrMalformed) == errors.Is(err, peer.ErrVersion) {
				t.Errorf("%x: %v is not exactly one of malformed and unknown version", b, err)
			}
			return
		}
		if !bytes.Equal(peer.Encode(nil, &m), b) || peer.KindOf(b) != m.Kind || len(m.Tail) > peer.MaxTail {
			t.Errorf("%x is read as %+v, which is written otherwise", b, m)
		}
	})
}

func TestCodecDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 4096)
	for _, k := range kinds() {
		m := full(k)
		var back peer.Message
		n := testing.AllocsPerRun(100, func() {
			if err := peer.Decode(peer.Encode(buf, &m), &back); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("a %s written and read allocates %v times, want 0", k, n)
		}
	}
}
