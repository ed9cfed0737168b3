package wire_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/internal/golden"
)

// kinds are all kinds of messages, by name.
func kinds() []wire.Kind {
	var all []wire.Kind
	for i, name := range wire.KindNames() {
		if name != "" {
			all = append(all, wire.Kind(i))
		}
	}
	return all
}

// codes are all codes of refusals: those that have a name.
func codes() []wire.Code {
	var all []wire.Code
	for c := wire.NoError + 1; !strings.HasPrefix(c.String(), "code-"); c++ {
		all = append(all, c)
	}
	return all
}

// levels are all levels of reads: those that have a name.
func levels() []wire.Level {
	var all []wire.Level
	for l := wire.Linearizable; !strings.HasPrefix(l.String(), "level-"); l++ {
		all = append(all, l)
	}
	return all
}

// maxBound is the largest bound of a read that a message carries, ns.
const maxBound = 1<<62 - 1

// full is a message in which every field of every layout has a number of its own.
func full(k wire.Kind) wire.Message {
	m := wire.Message{
		Kind: k, Nonce: 0x0101010101010101, Conn: 0x0202020202020202, Frame: 0x0303030303030303,
		Tenant: 0x0404040404040404, Slot: 0x05050505, Placement: 0x0606060606060606, Session: 0x0707070707070707,
		Request: 0x0808080808080808, Floor: 0x0909090909090909, Entity: 0x0a0a0a0a0a0a0a0a, Seq: 0x0b0b0b0b0b0b0b0b,
		Signal:  signal.Signal{Entity: 0x0c0c0c0c0c0c0c0c, ClientTime: -0x0d0d0d0d0d0d0d0d, Weight: -0x0e0e0e0e, Kind: 7},
		State:   signal.State{LastSeq: 0x0f0f0f0f0f0f0f0f, Applied: signal.Digest{Hi: 0x1010101010101010, Lo: 0x1111111111111111}},
		Code:    wire.QuotaExceeded,
		Facts:   quotaFacts(),
		Command: wire.Control,
		Epoch:   0x1c1c1c1c1c1c1c1c, Level: wire.Bounded, Token: wire.Token{Epoch: 0x1d1d1d1d1d1d1d1d, Seq: 0x1e1e1e1e1e1e1e1e}, Bound: 0x1f1f1f1f1f1f1f1f,
		Tail: []byte("tail"),
	}
	for i := range m.State.Totals {
		m.State.Totals[i] = signal.Total{Count: 0x2020202020202020 + uint64(i), Weight: -0x3030303030303030 - int64(i)}
	}
	return m
}

// sent is full with only the fields that the kind carries: what a reader gets.
func sent(t testing.TB, k wire.Kind) wire.Message {
	t.Helper()
	m := full(k)
	var back wire.Message
	if err := wire.Decode(wire.Append(nil, &m), &back); err != nil {
		t.Fatal(err)
	}
	return back
}

// What each kind carries, as the client and the node count on.
func TestWhatEachKindCarries(t *testing.T) {
	address := []string{"Tenant", "Slot", "Placement"}
	frame := append([]string{"Conn", "Frame"}, address...)
	want := map[string][]string{
		"hello":        {"Nonce"},
		"welcome":      {"Nonce", "Conn"},
		"reset":        {"Conn"},
		"open-session": append(slices.Clone(frame), "Nonce", "Request"),
		"session-open": append(slices.Clone(frame), "Nonce", "Request", "Session"),
		"write":        append(slices.Clone(frame), "Session", "Request", "Floor", "Signal"),
		"put":          append(slices.Clone(frame), "Session", "Request", "Floor", "Entity"),
		"delete":       append(slices.Clone(frame), "Session", "Request", "Floor", "Entity"),
		"refusal":      append(slices.Clone(frame), "Session", "Request", "Code", "Facts"),
		"done":         append(slices.Clone(frame), "Request", "Command", "Seq"),
		"query":        append(slices.Clone(frame), "Request", "Entity", "Level", "Token", "Bound"),
		"ack":          append(slices.Clone(frame), "Session", "Request", "Seq", "Epoch"),
		"state":        append(slices.Clone(frame), "Request", "Entity", "Seq", "State", "Epoch"),
		"control":      append(slices.Clone(frame), "Request", "Tail"),
	}
	got := map[string][]string{}
	for _, k := range kinds() {
		got[k.String()] = carried(sent(t, k))
	}
	for _, fields := range want {
		slices.Sort(fields)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

// carried names the fields of m that are not zero, sorted.
func carried(m wire.Message) []string {
	var fields []string
	note := func(name string, set bool) {
		if set {
			fields = append(fields, name)
		}
	}
	note("Nonce", m.Nonce != 0)
	note("Conn", m.Conn != 0)
	note("Frame", m.Frame != 0)
	note("Tenant", m.Tenant != 0)
	note("Slot", m.Slot != 0)
	note("Placement", m.Placement != 0)
	note("Session", m.Session != 0)
	note("Request", m.Request != 0)
	note("Floor", m.Floor != 0)
	note("Signal", m.Signal != signal.Signal{})
	note("Entity", m.Entity != 0)
	note("Seq", m.Seq != 0)
	note("State", m.State != signal.State{})
	note("Code", m.Code != 0)
	note("Facts", m.Facts != wire.Facts{})
	note("Command", m.Command != 0)
	note("Epoch", m.Epoch != 0)
	note("Level", m.Level != 0)
	note("Token", m.Token != wire.Token{})
	note("Bound", m.Bound != 0)
	note("Tail", len(m.Tail) > 0)
	slices.Sort(fields)
	return fields
}

func TestMessagesReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := func(name string) uint64 { return rapid.Uint64().Draw(t, name) }
		m := wire.Message{
			Kind: rapid.SampledFrom(kinds()).Draw(t, "kind"), Nonce: word("nonce"), Conn: word("conn"), Frame: word("frame"),
			Tenant: tenant.ID(word("tenant")), Slot: lineage.Slot(rapid.Uint32().Draw(t, "slot")), Placement: lineage.PlacementEpoch(word("placement")),
			Session: word("session"), Request: word("request"), Floor: word("floor"), Entity: signal.Entity(word("entity")), Seq: lineage.Seq(word("seq")),
			Signal: signal.Signal{
				Entity: signal.Entity(word("subject")), ClientTime: rapid.Int64().Draw(t, "client time"),
				Weight: rapid.Int32().Draw(t, "weight"), Kind: signal.Kind(rapid.Uint8().Draw(t, "signal kind")),
			},
			State:   signal.State{LastSeq: word("last seq"), Applied: signal.Digest{Hi: word("hi"), Lo: word("lo")}},
			Code:    rapid.SampledFrom(codes()).Draw(t, "code"),
			Facts:   anyFacts(t),
			Command: rapid.SampledFrom(kinds()).Draw(t, "command"),
			Epoch:   lineage.ShardEpoch(word("epoch")), Level: rapid.SampledFrom(levels()).Draw(t, "level"),
			Token: wire.Token{Epoch: lineage.ShardEpoch(word("token's epoch")), Seq: lineage.Seq(word("token's seq"))},
			Bound: env.Duration(rapid.Int64Range(0, maxBound).Draw(t, "bound")),
			Tail:  rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "tail"),
		}
		for i := range m.State.Totals {
			m.State.Totals[i] = signal.Total{Count: word("count"), Weight: rapid.Int64().Draw(t, "sum")}
		}
		b := wire.Append([]byte("before"), &m)[len("before"):]
		back := full(wire.State) // what stood there before must not show through
		if err := wire.Decode(b, &back); err != nil {
			t.Fatal(err)
		}
		if again := wire.Append(nil, &back); !slices.Equal(again, b) {
			t.Fatalf("%+v is read back as %+v", m, back)
		}
		if wire.KindOf(b) != m.Kind {
			t.Fatalf("a %s claims to be a %s", m.Kind, wire.KindOf(b))
		}
	})
}

func TestMaxSize(t *testing.T) {
	largest := 0
	for _, k := range kinds() {
		m := full(k)
		if k != wire.Control {
			largest = max(largest, len(wire.Append(nil, &m)))
		}
	}
	if largest != wire.MaxSize {
		t.Errorf("the largest message without a tail has %d bytes, MaxSize is %d", largest, wire.MaxSize)
	}
}

// A control has as much behind its fields as its command needs, up to a bound; no other
// message has anything there, whatever its sender left in the field.
func TestOnlyAControlHasATail(t *testing.T) {
	for _, k := range kinds() {
		for _, n := range []int{0, 1, wire.MaxTail} {
			m := full(k)
			m.Tail = make([]byte, n)
			var back wire.Message
			if err := wire.Decode(wire.Append(nil, &m), &back); err != nil {
				t.Fatal(err)
			}
			want := 0
			if k == wire.Control {
				want = n
			}
			if len(back.Tail) != want {
				t.Errorf("a %s with a tail of %d bytes arrives with one of %d, want %d", k, n, len(back.Tail), want)
			}
		}
	}
}

// The checksum covers every byte: none can be damaged, cut off or added unnoticed.
func TestNoDamagedByteIsAccepted(t *testing.T) {
	for _, k := range kinds() {
		m := full(k)
		b := wire.Append(nil, &m)
		var back wire.Message
		for at := range b {
			for change := 1; change < 256; change++ {
				b[at] ^= byte(change)
				if err := wire.Decode(b, &back); err == nil {
					t.Fatalf("a %s with byte %d changed to %#x is accepted", k, at, b[at])
				}
				b[at] ^= byte(change)
			}
			if err := wire.Decode(b[:at], &back); !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("the first %d bytes of a %s: %v", at, k, err)
			}
		}
		if err := wire.Decode(append(b, 0), &back); !errors.Is(err, wire.ErrMalformed) {
			t.Fatalf("a %s with a byte behind it: %v", k, err)
		}
	}
}

// forged returns a message with the number at an offset changed and the checksum
// made right again.
func forged(k wire.Kind, at int, v uint64) []byte {
	m := full(k)
	return forge(wire.Append(nil, &m), at, v)
}

// odd returns a refusal with a number at an offset that its code does not have.
func odd(code wire.Code, at int, v uint64) []byte {
	return forge(wire.Append(nil, &wire.Message{Kind: wire.Refusal, Code: code}), at, v)
}

// forge changes the number at an offset of b and makes the checksum right again.
func forge(b []byte, at int, v uint64) []byte {
	binary.LittleEndian.PutUint64(b[at:], v)
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(b[4:], crc32.Update(crc32.Checksum(b[:4], table), table, b[8:]))
	return b
}

// A number that does not fit its field is refused, however right the checksum is.
func TestDecodeRefuses(t *testing.T) {
	whole := func(k wire.Kind) []byte { m := full(k); return wire.Append(nil, &m) }
	set := func(b []byte, at int, v byte) []byte { b[at] = v; return b }
	long := full(wire.Control)
	long.Tail = make([]byte, wire.MaxTail+1)
	const slot, weight, signalKind, code, resource, limit, used, retry, command, retired, level, bound = 32, 88, 96, 64, 72, 80, 88, 96, 56, 64, 64, 88
	for _, c := range []struct {
		bytes []byte
		is    error
		want  string
	}{
		{nil, wire.ErrMalformed, "malformed message: 0 bytes, want at least 8"},
		{set(whole(wire.Ack), 0, 'G'), wire.ErrMalformed, "malformed message: starts with 0x47, want 0x7d; not a message of this protocol"},
		{set(whole(wire.Ack), 1, 2), wire.ErrVersion, "unknown message version: version 2, this binary reads 1"},
		{set(whole(wire.Ack), 2, 0), wire.ErrMalformed, "malformed message: kind 0, reserved byte 0"},
		{set(whole(wire.Ack), 2, 99), wire.ErrMalformed, "malformed message: kind 99, reserved byte 0"},
		{set(whole(wire.Ack), 2, 9), wire.ErrMalformed, "malformed message: kind 9, reserved byte 0"}, // of an earlier release
		{set(whole(wire.Ack), 3, 1), wire.ErrMalformed, "malformed message: kind 18, reserved byte 1"},
		{whole(wire.Ack)[:79], wire.ErrMalformed, "malformed message: a ack has 79 bytes, want 80"},
		{forged(wire.Ack, slot, 1<<32), wire.ErrMalformed, "malformed message: a field of a ack is out of its range"},
		{forged(wire.Write, weight, 1<<31), wire.ErrMalformed, "malformed message: a field of a write is out of its range"},
		{forged(wire.Write, signalKind, 1<<8), wire.ErrMalformed, "malformed message: a field of a write is out of its range"},
		{forged(wire.Refusal, code, uint64(len(codes())+1)), wire.ErrMalformed, "malformed message: a field of a refusal is out of its range"},
		{forged(wire.Refusal, resource, 1<<8), wire.ErrMalformed, "malformed message: a field of a refusal is out of its range"},
		{odd(wire.Moved, resource, 1), wire.ErrMalformed, "malformed message: a field of a refusal is out of its range"},
		{odd(wire.Moved, used, 1<<32+1), wire.ErrMalformed, "malformed message: a field of a refusal is out of its range"},
		{odd(wire.VersionConflict, resource, 1), wire.ErrMalformed, "malformed message: a field of a refusal is out of its range"},
		{odd(wire.InvalidConfig, limit, 1), wire.ErrMalformed, "malformed message: a field of a refusal is out of its range"},
		{odd(wire.VersionConflict, retry, 1), wire.ErrMalformed, "malformed message: a field of a refusal is out of its range"},
		{odd(wire.NotServing, used, 1), wire.ErrMalformed, "malformed message: a field of a refusal is out of its range"},
		{forged(wire.Done, retired, 1), wire.ErrMalformed, "malformed message: a field of a done is out of its range"},
		{forged(wire.Done, command, uint64(len(wire.KindNames()))), wire.ErrMalformed, "malformed message: a field of a done is out of its range"},
		{forged(wire.Query, level, uint64(len(levels()))), wire.ErrMalformed, "malformed message: a field of a query is out of its range"},
		{forged(wire.Query, bound, maxBound+1), wire.ErrMalformed, "malformed message: a field of a query is out of its range"},
		{whole(wire.Control)[:55], wire.ErrMalformed, "malformed message: a control has 55 bytes, want 56"},
		{wire.Append(nil, &long), wire.ErrMalformed, "malformed message: a control has 8249 bytes, want 56"},
	} {
		var m wire.Message
		if err := wire.Decode(c.bytes, &m); !errors.Is(err, c.is) || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

func TestKindOfJudgesTheHeaderOnly(t *testing.T) {
	m := full(wire.Ack)
	b := wire.Append(nil, &m)
	b[len(b)-1] ^= 1
	if got := wire.KindOf(b); got != wire.Ack {
		t.Errorf("a damaged ack claims to be a %s", got)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "short": b[:7], "another magic": append([]byte{0}, b[1:]...),
		"another version": append([]byte{b[0], 9}, b[2:]...), "another kind": append([]byte{b[0], b[1], 99}, b[3:]...),
		"a kind of an earlier release": {b[0], b[1], 9, 0, 0, 0, 0, 0},
	} {
		if got := wire.KindOf(b); got != 0 {
			t.Errorf("%s claims to be a %s", name, got)
		}
		if frame, ok := wire.FrameOf(b); ok {
			t.Errorf("%s claims to have frame %d", name, frame)
		}
	}
}

// The table of codes as clients and checkers know it: definite (no effect, ever)
// and again (the same request may be sent again).
func TestEveryCodeHasItsRow(t *testing.T) {
	const no, yes = false, true
	type row struct {
		Number          wire.Code // part of the format
		Definite, Again bool
	}
	want := map[string]row{
		"quota-exceeded":   {1, yes, no},
		"unknown-tenant":   {2, yes, no},
		"wrong-slot":       {3, yes, no},
		"invalid":          {4, yes, no},
		"bad-epoch":        {5, yes, yes},
		"moved":            {6, yes, yes},
		"not-serving":      {7, yes, yes},
		"overloaded":       {8, yes, yes},
		"corrupt":          {9, yes, no},
		"storage-fault":    {10, yes, yes},
		"session-expired":  {11, no, no},
		"superseded":       {12, no, no},
		"window":           {13, yes, yes},
		"disk-full":        {14, yes, yes},
		"version-conflict": {15, yes, no},
		"invalid-config":   {16, yes, no},
		"tenant-exists":    {17, yes, no},
		"tenant-dropped":   {18, yes, no},
		"catalog-full":     {19, yes, no},
		"not-yet":          {20, yes, yes},
		"token-lost":       {21, yes, no},
		"residency":        {22, yes, no},
		"not-now":          {23, yes, yes},
	}
	got := map[string]row{}
	for _, c := range codes() {
		got[c.String()] = row{c, c.Definite(), c.Again()}
		problem, remedy, ok := strings.Cut(c.Advice(), "; ")
		if !ok || problem == "" || remedy == "" {
			t.Errorf("%s: advice %q, want what is wrong; what to do", c, c.Advice())
		}
		if c.Again() && !c.Definite() {
			t.Errorf("%s may be sent again although it may have had an effect", c)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	unknown := wire.Code(200)
	if unknown.Definite() || unknown.Again() || unknown.String() != "code-200" || !strings.Contains(unknown.Advice(), "newer") {
		t.Errorf("code 200: %s, definite %t, again %t, %q", unknown, unknown.Definite(), unknown.Again(), unknown.Advice())
	}
}

// What the levels are called, and by which number; both stand in what others keep.
func TestLevelsHaveNames(t *testing.T) {
	want := []string{"linearizable", "session", "bounded"}
	var got []string
	for number, l := range levels() {
		if l != wire.Level(number) {
			t.Errorf("level %s has number %d, want %d", l, l, number)
		}
		got = append(got, l.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("levels by number (-want +got):\n%s", diff)
	}
	if got := wire.Level(200).String(); got != "level-200" {
		t.Errorf("level 200 is called %s", got)
	}
}

func TestKindsHaveDistinctNames(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range kinds() {
		if name := k.String(); name == "" || seen[name] || name != wire.KindNames()[k] {
			t.Errorf("kind %d is called %q", k, name)
		} else {
			seen[name] = true
		}
	}
	if got := wire.Kind(99).String(); got != "message-99" {
		t.Errorf("kind 99 is called %s", got)
	}
}

// quotaFacts are those of a refusal for a quota.
func quotaFacts() wire.Facts {
	return wire.Facts{Quota: quota.ExceededError{
		Resource: quota.StorageBytes, Limit: 0x1212121212121212, Used: 0x1313131313131313, RetryAfter: 0x1414141414141414,
	}}
}

// anyFacts are facts of all codes at once: which of them travel, the code says.
func anyFacts(t *rapid.T) wire.Facts {
	word := func(name string) uint64 { return rapid.Uint64().Draw(t, name) }
	f := wire.Facts{
		Quota: quota.ExceededError{
			Resource: quota.Resource(rapid.Uint8().Draw(t, "resource")), Limit: word("limit"), Used: word("used"), RetryAfter: env.Duration(rapid.Int64().Draw(t, "retry")),
		},
		Outdated: wire.Outdated{Version: word("version in force")},
		BadField: wire.BadField{Field: rapid.Uint8().Draw(t, "field"), Value: word("value")},
	}
	if f.NotLeader.Known = rapid.Bool().Draw(t, "known"); f.NotLeader.Known {
		f.NotLeader.Leader = env.ID(rapid.Uint32().Draw(t, "leader"))
	}
	return f
}

// Each code takes its own fact along, and no other.
func TestARefusalCarriesTheFactOfItsCode(t *testing.T) {
	all := wire.Facts{
		Quota: quotaFacts().Quota, NotLeader: wire.NotLeader{Known: true, Leader: math.MaxUint32}, Outdated: wire.Outdated{Version: 7},
		BadField: wire.BadField{Field: 255, Value: 9},
	}
	for _, code := range codes() {
		var want wire.Facts
		switch code {
		case wire.QuotaExceeded:
			want.Quota = all.Quota
		case wire.Moved:
			want.NotLeader = all.NotLeader
		case wire.VersionConflict:
			want.Outdated = all.Outdated
		case wire.InvalidConfig:
			want.BadField = all.BadField
		}
		m := full(wire.Refusal)
		m.Code, m.Facts = code, all
		var back wire.Message
		if err := wire.Decode(wire.Append(nil, &m), &back); err != nil || back.Code != code || back.Facts != want {
			t.Errorf("%s: %+v, %v, want %+v", code, back.Facts, err, want)
		}
	}
}

// The bytes of the facts of refusals, as they were written when version 1 was new: behind the
// code, resource or field, limit, value, retry after.
func TestGoldenRefusals(t *testing.T) {
	const none = "0000000000000000"
	for _, c := range []struct {
		code  wire.Code
		facts wire.Facts
		want  string
	}{
		{wire.QuotaExceeded, quotaFacts(), "0100000000000000" + "0300000000000000" + "1212121212121212" + "1313131313131313" + "1414141414141414"},
		{wire.Moved, wire.Facts{}, "0600000000000000" + none + none + none + none},
		{wire.Moved, wire.Facts{NotLeader: wire.NotLeader{Known: true}}, "0600000000000000" + none + none + "0100000000000000" + none},
		{wire.Moved, wire.Facts{NotLeader: wire.NotLeader{Known: true, Leader: math.MaxUint32}}, "0600000000000000" + none + none + "0000000001000000" + none},
		{wire.VersionConflict, wire.Facts{Outdated: wire.Outdated{Version: 0x0102030405060708}}, "0f00000000000000" + none + none + "0807060504030201" + none},
		{wire.InvalidConfig, wire.Facts{BadField: wire.BadField{Field: 4, Value: 0x0102030405060708}}, "1000000000000000" + "0400000000000000" + none + "0807060504030201" + none},
		{wire.NotNow, wire.Facts{}, "1700000000000000" + none + none + none + none},
	} {
		m := wire.Message{Kind: wire.Refusal, Code: c.code, Facts: c.facts}
		b := wire.Append(nil, &m)
		if got := hex.EncodeToString(b[len(b)-40:]); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.code, got, c.want)
		}
		var back wire.Message
		if err := wire.Decode(b, &back); err != nil || back.Code != c.code || back.Facts != c.facts {
			t.Errorf("%s is read as %+v, %v", c.code, back, err)
		}
	}
}

var rewrite = flag.Bool("rewrite", false, "write testdata/v1 anew; right only as long as no data of version 1 exists anywhere")

// The bytes of version 1 as they were written when it was new. They must be read
// for ever, and today's code writes the same.
func TestGoldenMessages(t *testing.T) {
	const path = "testdata/v1/messages.txt"
	var today strings.Builder
	for _, k := range kinds() {
		m := full(k)
		fmt.Fprintf(&today, "%s %x\n", k, wire.Append(nil, &m))
	}
	for line := range strings.Lines(golden.Text(t, path, today.String(), *rewrite)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		var m wire.Message
		if err := wire.Decode(b, &m); err != nil || m.Kind.String() != name {
			t.Errorf("%s is read as a %s, %v", name, m.Kind, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, k := range kinds() {
		m := full(k)
		f.Add(wire.Append(nil, &m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m wire.Message
		err := wire.Decode(b, &m)
		if err != nil {
			if errors.Is(err, wire.ErrMalformed) == errors.Is(err, wire.ErrVersion) {
				t.Errorf("%x: %v is not exactly one of malformed and unknown version", b, err)
			}
			return
		}
		if !slices.Equal(wire.Append(nil, &m), b) || wire.KindOf(b) != m.Kind || len(b) > wire.MaxSize+wire.MaxTail {
			t.Errorf("%x is read as %+v, which is written otherwise", b, m)
		}
	})
}

func TestCodecDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, wire.MaxSize)
	for _, k := range kinds() {
		m := full(k)
		var back wire.Message
		n := testing.AllocsPerRun(100, func() {
			if err := wire.Decode(wire.Append(buf, &m), &back); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("a %s written and read allocates %v times, want 0", k, n)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, k := range []wire.Kind{wire.Write, wire.Ack} {
		b.Run(k.String(), func(b *testing.B) {
			m := full(k)
			buf := make([]byte, 0, wire.MaxSize)
			b.ReportAllocs()
			for b.Loop() {
				buf = wire.Append(buf[:0], &m)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, k := range []wire.Kind{wire.Write, wire.Ack} {
		b.Run(k.String(), func(b *testing.B) {
			m := full(k)
			text := wire.Append(nil, &m)
			b.ReportAllocs()
			for b.Loop() {
				if err := wire.Decode(text, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestFrameOf(t *testing.T) {
	for _, m := range everyKind() {
		m.Conn, m.Frame = 5, 7
		b := wire.Append(nil, &m)
		frame, ok := wire.FrameOf(b)
		if want := m.Kind > wire.Reset; ok != want || ok && frame != 7 {
			t.Errorf("%s: frame %d, %t; want %t", m.Kind, frame, ok, want)
		}
		if _, ok := wire.FrameOf(b[:min(len(b), 23)]); ok {
			t.Errorf("%s: a message cut short has a frame", m.Kind)
		}
	}
}

// everyKind returns an empty message of each kind.
func everyKind() (all []wire.Message) {
	for _, kind := range kinds() {
		all = append(all, wire.Message{Kind: kind})
	}
	return all
}
