package peer_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
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

// full is a message in which every field has a number of its own: the same numbers, in the
// order of the bytes, in every kind.
func full(k peer.Kind) peer.Message {
	of := peer.ShardHeader{From: 0x0101010101010101, Shard: 0x02020202, Epoch: 0x0303030303030303}
	log := peer.LogHeader{ShardHeader: of, Tenant: 0x0404040404040404, Slot: 0x05050505, Placement: 0x0606060606060606}
	at := lineage.Position{Seq: 0x0707070707070707, Chain: 0x0808080808080808}
	by, tail := peer.ControlHeader{From: of.From}, []byte("tail")
	switch k {
	case peer.KindAppend:
		return &peer.Append{LogHeader: log, At: at, Commit: 0x0909090909090909, Life: 0x0a0a0a0a0a0a0a0a, Records: tail}
	case peer.KindAppended:
		return &peer.Appended{LogHeader: log, At: at, Applied: 0x0909090909090909, Life: 0x0a0a0a0a0a0a0a0a, Anew: true, Asked: 0x0e0e0e0e0e0e0e0e}
	case peer.KindPull:
		return &peer.Pull{LogHeader: log, At: at, Snapshot: 0x0b0b0b0b0b0b0b0b, Offset: 0x0c0c0c0c0c0c0c0c, Ends: ends()}
	case peer.KindChunk:
		return &peer.Chunk{LogHeader: log, At: at, Offset: 0x0c0c0c0c0c0c0c0c, Size: 0x0d0d0d0d0d0d0d0d, Data: tail}
	case peer.KindConfirm:
		return &peer.Confirm{ShardHeader: of, Round: 0x0a0a0a0a0a0a0a0a}
	case peer.KindConfirmed:
		return &peer.Confirmed{ShardHeader: of, Round: 0x0a0a0a0a0a0a0a0a}
	case peer.KindSurvey:
		return &peer.Survey{ShardHeader: of, Attempt: 0x0a0a0a0a0a0a0a0a, First: 0x0c0c0c0c0c0c0c0c}
	case peer.KindSurveyed:
		return &peer.Surveyed{
			ShardHeader: of, Attempt: 0x0a0a0a0a0a0a0a0a, Changes: 0x0b0b0b0b0b0b0b0b, First: 0x0c0c0c0c0c0c0c0c, Size: 0x0d0d0d0d0d0d0d0d, Logs: logs(),
		}
	case peer.KindOutdated:
		return &peer.Outdated{ShardHeader: of}
	case peer.KindAskIndex:
		return &peer.AskIndex{LogHeader: log, Question: 0x0a0a0a0a0a0a0a0a}
	case peer.KindIndex:
		return &peer.Index{LogHeader: log, Question: 0x0a0a0a0a0a0a0a0a, At: at}
	case peer.KindHeartbeat:
		return &peer.Heartbeat{ControlHeader: by, Told: 0x0e0e0e0e0e0e0e0e, Heard: 0x0b0b0b0b0b0b0b0b, Troubles: troubles()}
	case peer.KindConfigs:
		return &peer.Configs{ControlHeader: by, Told: 0x0e0e0e0e0e0e0e0e, Last: 0x0a0a0a0a0a0a0a0a, Number: 0x0b0b0b0b0b0b0b0b, Changes: tail}
	case peer.KindPropose:
		return &peer.Propose{ControlHeader: by, Number: 0x0a0a0a0a0a0a0a0a, Client: 0x0e0e0e0e0e0e0e0e, Command: tail}
	case peer.KindProposed:
		return &peer.Proposed{ControlHeader: by, Number: 0x0a0a0a0a0a0a0a0a, Client: 0x0e0e0e0e0e0e0e0e, Result: tail}
	case peer.KindPoll:
		return &peer.Poll{ControlHeader: by, Number: 0x0a0a0a0a0a0a0a0a}
	case peer.KindReport:
		return &peer.Report{ControlHeader: by, Asked: 0x0a0a0a0a0a0a0a0a, Number: 0x0b0b0b0b0b0b0b0b, Figures: figures()}
	case peer.KindVerify:
		return &peer.Verify{ControlHeader: by, Shard: of.Shard, Epoch: of.Epoch, Round: 0x0a0a0a0a0a0a0a0a}
	case peer.KindVerified:
		return &peer.Verified{ControlHeader: by, Shard: of.Shard, Epoch: of.Epoch, Round: 0x0a0a0a0a0a0a0a0a}
	case peer.KindRegister:
		return &peer.Register{ControlHeader: by, Challenge: 0x0a0a0a0a0a0a0a0a, Command: tail}
	case peer.KindRegistered:
		return &peer.Registered{ControlHeader: by, Given: 0x0e0e0e0e0e0e0e0e, Challenge: 0x0a0a0a0a0a0a0a0a, Nonce: env.Nonce{A: 0x0f0f0f0f0f0f0f0f, B: 0x1010101010101010}}
	}
	return nil
}

// ends, logs and troubles are lists whose numbers are of their own.
func ends() []lineage.End {
	return []lineage.End{
		{Lineage: lineage.Lineage{Placement: 0x1111111111111111, Epoch: 0x1212121212121212}, Last: 0x1313131313131313},
		{Lineage: lineage.Lineage{Placement: 0x1414141414141414, Epoch: 0x1515151515151515}, Last: 0x1616161616161616},
	}
}

func logs() []peer.Log {
	return []peer.Log{
		{
			Tenant: 0x1111111111111111, Slot: 0x12121212, Whole: true, End: lineage.Position{Seq: 0x1313131313131313, Chain: 0x1414141414141414},
			Lineage: lineage.Lineage{Placement: 0x1515151515151515, Epoch: 0x1616161616161616},
		},
		{Tenant: 0x1717171717171717},
	}
}

func troubles() []peer.Trouble {
	return []peer.Trouble{{Shard: 0x11111111, Epoch: 0x1212121212121212, Unconfirmed: 0x1313131313131313, Unsynced: 0x1414141414141414}, {Shard: 0x15151515}}
}

// encoded is the bytes of a full message.
func encoded(k peer.Kind) []byte { return full(k).Encode(nil) }

// read decodes in an inbox of its own.
func read(b []byte) (peer.Message, error) { return new(peer.Inbox).Decode(b) }

// unexported leaves out what types keep of their memory.
var unexported = cmp.Options{cmpopts.IgnoreUnexported(peer.Figures{}), cmpopts.EquateEmpty()}

// A message of each kind arrives as it was sent, by a sender that it names, and as one of a
// shard or one of the control plane.
func TestEachKindReadsBackAsWritten(t *testing.T) {
	for _, k := range kinds() {
		want := full(k)
		got, err := read(encoded(k))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, unexported); diff != "" {
			t.Errorf("a %s (-written +read):\n%s", k, diff)
		}
		if got.Kind() != k || got.Sender() != 0x0101010101010101 {
			t.Errorf("a %s arrives as a %s of incarnation %#x", k, got.Kind(), got.Sender())
		}
		_, ofShard := got.(peer.ShardMessage)
		_, ofControl := got.(peer.ControlMessage)
		if ofShard == ofControl {
			t.Errorf("a %s is about a shard (%t) and about the control plane (%t)", k, ofShard, ofControl)
		}
	}
}

// Of the messages about a shard some are about one log of it.
func TestWhichMessagesAreAboutALog(t *testing.T) {
	for k, want := range map[peer.Kind]bool{
		peer.KindAppend: true, peer.KindAppended: true, peer.KindPull: true, peer.KindChunk: true, peer.KindAskIndex: true, peer.KindIndex: true,
		peer.KindConfirm: false, peer.KindConfirmed: false, peer.KindSurvey: false, peer.KindSurveyed: false, peer.KindOutdated: false,
	} {
		if _, is := full(k).(peer.LogMessage); is != want {
			t.Errorf("a %s is about a log: %t", k, is)
		}
	}
}

// Whatever the fields hold, they are read back; and nothing of the message that was in the
// inbox before shows through.
func TestMessagesReadBackAsWritten(t *testing.T) {
	var in peer.Inbox
	rapid.Check(t, func(t *rapid.T) {
		m := anyMessage(t)
		b := m.Encode([]byte("before"))[len("before"):]
		back, err := in.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, back, unexported); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
		if again := back.Encode(nil); !bytes.Equal(again, b) {
			t.Fatalf("%+v is read back as %+v", m, back)
		}
		if !peer.Is(b) || peer.KindOf(b) != m.Kind() {
			t.Fatalf("a %s claims to be a %s; a message between nodes: %t", m.Kind(), peer.KindOf(b), peer.Is(b))
		}
	})
}

// anyMessage is a message of any kind. Its numbers are drawn by their types: a test of each
// field by hand would forget the next one.
func anyMessage(t *rapid.T) peer.Message {
	k := rapid.SampledFrom(kinds()).Draw(t, "kind")
	m := full(k)
	fill(t, reflect.ValueOf(m).Elem())
	if report, ok := m.(*peer.Report); ok {
		report.Figures = anyFigures(t)
	}
	return m
}

// fill draws a value for each number, list and array of bytes in v.
func fill(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[peer.Figures]() {
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Uint32:
		v.SetUint(uint64(rapid.Uint32().Draw(t, "number")))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "number"))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Uint8().Draw(t, "byte")))
	case reflect.Int64: // of a span of time
		v.SetInt(rapid.Int64Range(0, math.MaxInt64).Draw(t, "span"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "is"))
	case reflect.Slice:
		n := rapid.IntRange(0, 5).Draw(t, "elements")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(t, v.Index(i))
		}
	default:
		t.Fatalf("a field of the type %v", v.Type())
	}
}

// The checksum covers every byte: none can be damaged, cut off or added unnoticed.
func TestNoDamagedByteIsAccepted(t *testing.T) {
	for _, k := range kinds() {
		b := encoded(k)
		for at := range b {
			for bit := range 8 {
				b[at] ^= 1 << bit
				if _, err := read(b); err == nil {
					t.Fatalf("a %s with bit %d of byte %d turned is accepted", k, bit, at)
				}
				b[at] ^= 1 << bit
			}
			if _, err := read(b[:at]); !errors.Is(err, peer.ErrMalformed) {
				t.Fatalf("the first %d bytes of a %s: %v", at, k, err)
			}
		}
		if _, err := read(append(b, 0)); !errors.Is(err, peer.ErrMalformed) {
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

// withTail is a message whose last field takes so many bytes; false if that is no field of
// bytes.
func withTail(k peer.Kind, n int) ([]byte, bool) {
	m, tail := full(k), make([]byte, n)
	switch m := m.(type) {
	case *peer.Append:
		m.Records = tail
	case *peer.Chunk:
		m.Data = tail
	case *peer.Configs:
		m.Changes = tail
	case *peer.Propose:
		m.Command = tail
	case *peer.Proposed:
		m.Result = tail
	case *peer.Register:
		m.Command = tail
	default:
		return nil, false
	}
	return m.Encode(nil), true
}

// However right the checksum is, a message of another protocol or version, a number
// that does not fit its field, a part of an element of a list, and what is too short or too
// long are refused. Nothing is cut in silence.
func TestDecodeRefuses(t *testing.T) {
	const shard, slot, anew = 16, 40, 88
	set := func(b []byte, at int, v byte) []byte { b[at] = v; return b }
	beginning := func(k peer.Kind, n int) []byte { return sealed(encoded(k)[:n]) }
	without := func(k peer.Kind, n int) []byte { return beginning(k, len(encoded(k))-n) }
	many, _ := withTail(peer.KindChunk, peer.MaxTail+1)
	for _, c := range []struct {
		bytes []byte
		is    error
		want  string
	}{
		{nil, peer.ErrMalformed, "malformed message between nodes: 0 bytes, want at least 16"},
		{set(encoded(peer.KindConfirm), 0, 'G'), peer.ErrMalformed, "malformed message between nodes: starts with 0x47, want 0x7e; not a message of this protocol"},
		{set(encoded(peer.KindConfirm), 1, 1), peer.ErrVersion, "unknown version of messages between nodes: version 1, this binary reads 2"},
		{set(encoded(peer.KindConfirm), 2, 0), peer.ErrMalformed, "malformed message between nodes: kind 0, reserved byte 0"},
		{set(encoded(peer.KindConfirm), 2, 99), peer.ErrMalformed, "malformed message between nodes: kind 99, reserved byte 0"},
		{set(encoded(peer.KindConfirm), 3, 1), peer.ErrMalformed, "malformed message between nodes: kind 5, reserved byte 1"},
		{beginning(peer.KindConfirm, 39), peer.ErrMalformed, "malformed message between nodes: a message confirm of 39 bytes: the bytes end within a field"},
		{sealed(append(encoded(peer.KindConfirm), 0)), peer.ErrMalformed, "malformed message between nodes: a message confirm of 41 bytes: 1 bytes follow the last field"},
		{without(peer.KindRegistered, 1), peer.ErrMalformed, "malformed message between nodes: a message registered of 47 bytes: the bytes end within a field"},
		{forged(peer.KindConfirm, shard, 1<<32), peer.ErrMalformed, "malformed message between nodes: a message confirm of 40 bytes: a number is out of its range"},
		{forged(peer.KindAppend, slot, 1<<32), peer.ErrMalformed, "malformed message between nodes: a message append of 92 bytes: a number is out of its range"},
		{forged(peer.KindAppended, anew, 2), peer.ErrMalformed, "malformed message between nodes: a message appended of 104 bytes: a number is out of its range"},
		{many, peer.ErrMalformed, "malformed message between nodes: a message chunk of 262233 bytes: a number is out of its range"},
		{without(peer.KindPull, 1), peer.ErrMalformed, "malformed message between nodes: a message pull of 135 bytes: 47 bytes hold no whole number of elements of 24 bytes: the bytes end within a field"},
		{without(peer.KindSurveyed, 1), peer.ErrMalformed, "malformed message between nodes: a message surveyed of 175 bytes: 111 bytes hold no whole number of elements of 56 bytes: the bytes end within a field"},
		{without(peer.KindHeartbeat, 31), peer.ErrMalformed, "malformed message between nodes: a message heartbeat of 65 bytes: 33 bytes hold no whole number of elements of 32 bytes: the bytes end within a field"},
		{without(peer.KindReport, 1), peer.ErrMalformed, "malformed message between nodes: a message report of 326 bytes: the bytes end within a field"},
		{forged(peer.KindSurveyed, 64+8, 1<<32), peer.ErrMalformed, "malformed message between nodes: a message surveyed of 176 bytes: a number is out of its range"},
		{forged(peer.KindSurveyed, 64+16, 2), peer.ErrMalformed, "malformed message between nodes: a message surveyed of 176 bytes: a number is out of its range"},
		{forged(peer.KindHeartbeat, 32+16, 1<<63), peer.ErrMalformed, "malformed message between nodes: a message heartbeat of 96 bytes: a number is out of its range"},
	} {
		if _, err := read(c.bytes); !errors.Is(err, c.is) || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

// As many bytes, and as many elements of a list, as a message may have are read, and one more
// is not.
func TestTheLargestMessages(t *testing.T) {
	for _, k := range kinds() {
		for _, n := range []int{0, peer.MaxTail, peer.MaxTail + 1} {
			if b, has := withTail(k, n); has {
				if _, err := read(b); (err == nil) != (n <= peer.MaxTail) {
					t.Errorf("a %s whose last field has %d bytes: %v", k, n, err)
				}
			}
		}
	}
	for more := range 2 {
		for _, m := range []peer.Message{
			&peer.Surveyed{Logs: make([]peer.Log, peer.MaxLogs+more)}, &peer.Heartbeat{Troubles: make([]peer.Trouble, peer.MaxTroubles+more)},
			&peer.Pull{Ends: make([]lineage.End, peer.MaxTail/24+more)},
		} {
			if _, err := read(m.Encode(nil)); (err == nil) != (more == 0) || err != nil && !errors.Is(err, peer.ErrMalformed) {
				t.Errorf("a %s with %d elements more than it may have: %v", m.Kind(), more, err)
			}
		}
	}
}

// A node tells by the first bytes whether a message is a client's or a node's.
func TestKindOfJudgesTheHeaderOnly(t *testing.T) {
	b := encoded(peer.KindSurvey)
	b[len(b)-1] ^= 1
	if got := peer.KindOf(b); got != peer.KindSurvey {
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
	if m := encoded(peer.KindAppend); wire.KindOf(m) != 0 {
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
		m, err := read(b)
		if err != nil || m.Kind().String() != name {
			t.Errorf("%s is read as %v, %v", name, m, err)
			continue
		}
		if diff := cmp.Diff(full(m.Kind()), m, unexported); diff != "" {
			t.Errorf("a %s (-want +stored):\n%s", name, diff)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, k := range kinds() {
		f.Add(encoded(k))
	}
	for _, b := range [][]byte{nil, encoded(peer.KindAppend)[:50], forged(peer.KindAppend, 40, 1<<32), encoded(peer.KindSurveyed)[:70]} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := read(b)
		if err != nil {
			if errors.Is(err, peer.ErrMalformed) == errors.Is(err, peer.ErrVersion) {
				t.Errorf("%x: %v is not exactly one of malformed and unknown version", b, err)
			}
			return
		}
		if !bytes.Equal(m.Encode(nil), b) || peer.KindOf(b) != m.Kind() {
			t.Errorf("%x is read as %+v, which is written otherwise", b, m)
		}
	})
}

// A node reads and writes every kind in memory that it has already: only the lists of a
// shard in a report are new.
func TestCodecDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 4096)
	var in peer.Inbox
	for _, k := range kinds() {
		m := full(k)
		if report, ok := m.(*peer.Report); ok {
			report.Figures.Led = nil
		}
		n := testing.AllocsPerRun(100, func() {
			if _, err := in.Decode(m.Encode(buf)); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("a %s written and read allocates %v times, want 0", k, n)
		}
	}
}

// BenchmarkMessages writes and reads messages that are sent for every change and every read.
func BenchmarkMessages(b *testing.B) {
	buf := make([]byte, 0, 4096)
	var in peer.Inbox
	for _, k := range []peer.Kind{peer.KindAppend, peer.KindAppended, peer.KindConfirm, peer.KindConfirmed, peer.KindHeartbeat} {
		b.Run(k.String(), func(b *testing.B) {
			m := full(k)
			b.ReportAllocs()
			for range b.N {
				if _, err := in.Decode(m.Encode(buf)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
