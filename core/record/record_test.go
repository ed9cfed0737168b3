package record_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/internal/golden"
)

var kinds = []record.Kind{record.Signal, record.Session, record.Config, record.EpochStart, record.EntityPut, record.EntityDelete}

// records draws any record that can be in a log.
var records = rapid.Custom(func(t *rapid.T) record.Record {
	word := func(name string) uint64 { return rapid.Uint64().Draw(t, name) }
	r := record.Record{
		Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Tenant: tenant.ID(word("tenant")),
		Slot: lineage.Slot(rapid.Uint32().Draw(t, "slot")), Placement: lineage.PlacementEpoch(word("placement")),
		Epoch: lineage.ShardEpoch(word("epoch")), Seq: lineage.Seq(word("seq")), Prev: lineage.Chain(word("prev")),
		Client: word("client"), Request: word("request"), Floor: word("floor"), Level: rapid.Int64Min(0).Draw(t, "level"),
	}
	switch r.Kind {
	case record.Signal:
		r.Signal = signal.Signal{
			Entity: signal.Entity(word("entity")), ClientTime: rapid.Int64().Draw(t, "client time"),
			Weight: rapid.Int32().Draw(t, "weight"), Kind: signal.Kind(rapid.IntRange(0, signal.Kinds-1).Draw(t, "signal kind")),
		}
	case record.Session:
		r.Session = record.SessionStart{Client: word("who"), Nonce: word("nonce"), Evicted: word("evicted")}
	case record.Config:
		r.Limits = record.Limits{Version: word("version"), Rate: word("rate"), Burst: word("burst"), Entities: word("entities"), Bytes: word("bytes"), Feature: word("feature")}
	case record.EntityPut, record.EntityDelete:
		r.Entity = signal.Entity(word("entity"))
	}
	return r
})

// samples has one record of each kind, each field a number of its own.
func samples() []record.Record {
	out := make([]record.Record, len(kinds))
	for i, k := range kinds {
		out[i] = record.Record{
			Kind: k, Slot: 0x04030201, Tenant: 0x1716151413121110, Placement: 0x1f1e1d1c1b1a1918, Epoch: 0x2726252423222120,
			Seq: 0x2f2e2d2c2b2a2928, Prev: 0x3736353433323130, Client: 0x3f3e3d3c3b3a3938, Request: 0x4746454443424140,
			Floor: 0x4f4e4d4c4b4a4948, Level: 0x5756555453525150,
		}
		switch k {
		case record.Signal:
			out[i].Signal = signal.Signal{Entity: 0x6766656463626160, ClientTime: 0x6f6e6d6c6b6a6968, Weight: -2, Kind: 7}
		case record.Session:
			out[i].Session = record.SessionStart{Client: 0x6766656463626160, Nonce: 0x6f6e6d6c6b6a6968, Evicted: 0x7776757473727170}
		case record.Config:
			out[i].Limits = record.Limits{Version: 1, Rate: 2, Burst: 3, Entities: 4, Bytes: 5, Feature: 6}
		case record.EntityPut, record.EntityDelete:
			out[i].Entity = 0x6766656463626160
		}
	}
	return out
}

func TestRecordsReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := records.Draw(t, "record")
		b := record.Append([]byte("before"), &r)[len("before"):]
		if len(b) != record.Size(r.Kind) {
			t.Fatalf("a %s has %d bytes, Size says %d", r.Kind, len(b), record.Size(r.Kind))
		}
		back := records.Draw(t, "what stood there before")
		if err := record.Decode(b, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back); diff != "" {
			t.Fatalf("record (-written +read):\n%s", diff)
		}
	})
}

func TestSizes(t *testing.T) {
	largest := 0
	for k := range record.Kind(255) {
		size := record.Size(k)
		if known := slices.Contains(kinds, k); known != (size > 0) || known == strings.HasPrefix(k.String(), "kind-") {
			t.Errorf("%s: size %d, known %t", k, size, known)
		}
		largest = max(largest, size)
	}
	if largest != record.MaxSize {
		t.Errorf("the largest record has %d bytes, MaxSize is %d", largest, record.MaxSize)
	}
	if got := record.Size(record.Signal); got != tenant.MinBytes {
		t.Errorf("a signal has %d bytes, tenant.MinBytes is %d: a cap of that size must admit exactly one", got, tenant.MinBytes)
	}
}

// The operation and the entity of each kind of record.
func TestOperationsAndSubjects(t *testing.T) {
	type facts struct {
		Operation bool
		Subject   signal.Entity
		Touches   bool
	}
	want := map[string]facts{
		"signal":        {true, 0x6766656463626160, true},
		"session":       {},
		"config":        {},
		"epoch-start":   {},
		"entity-put":    {true, 0x6766656463626160, true},
		"entity-delete": {true, 0x6766656463626160, true},
	}
	got := map[string]facts{}
	for _, r := range samples() {
		subject, touches := r.Subject()
		got[r.Kind.String()] = facts{r.Kind.IsOperation(), subject, touches}
		if r.Operation() != (signal.Operation{Session: r.Client, Request: r.Request}) {
			t.Errorf("%s: operation %+v", r.Kind, r.Operation())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := func(i int) []byte { r := samples()[i]; return record.Append(nil, &r) }
	set := func(b []byte, at int, v byte) []byte { b[at] = v; return b }
	for _, c := range []struct {
		bytes []byte
		is    error
		want  string
	}{
		{nil, record.ErrMalformed, "malformed record: 0 bytes, want at least 80"},
		{good(0)[:79], record.ErrMalformed, "malformed record: 79 bytes, want at least 80"},
		{good(0)[:100], record.ErrMalformed, "malformed record: signal with a payload of 20 bytes, want 21"},
		{append(good(3), 0), record.ErrMalformed, "malformed record: epoch-start with a payload of 1 bytes, want 0"},
		{good(2)[:104], record.ErrMalformed, "malformed record: config with a payload of 24 bytes, want 48"},
		{set(good(0), 0, 2), record.ErrVersion, "unknown record version: version 2, this binary reads 1"},
		{set(good(0), 1, 0), record.ErrMalformed, "malformed record: unknown kind 0"},
		{set(good(0), 1, 7), record.ErrMalformed, "malformed record: unknown kind 7"},
		{set(good(0), 2, 1), record.ErrMalformed, "malformed record: reserved bytes are 0x1 0x0, want 0"},
		{set(good(0), 3, 9), record.ErrMalformed, "malformed record: reserved bytes are 0x0 0x9, want 0"},
		{set(good(0), 79, 0x80), record.ErrMalformed, "malformed record: bucket level -9199071368194141872 is negative"},
		{set(good(0), 100, 8), record.ErrMalformed, "malformed record: invalid signal: kind is 8, want 0..7"},
	} {
		var r record.Record
		if err := record.Decode(c.bytes, &r); !errors.Is(err, c.is) || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

// A record has no checksum of its own: the frame around it has one, and so has the chain. Damage to
// one byte is refused, or read as other values with another chain; it never passes for the original
// record.
func TestNoDamagedBytePassesForTheRecord(t *testing.T) {
	for _, r := range samples() {
		b := record.Append(nil, &r)
		chain := record.ChainOf(b)
		for at := range b {
			for change := 1; change < 256; change++ {
				b[at] ^= byte(change)
				var back record.Record
				if err := record.Decode(b, &back); err == nil {
					if !slices.Equal(record.Append(nil, &back), b) || back == r || record.ChainOf(b) == chain {
						t.Fatalf("%s with byte %d changed to %#x passes for the record", r.Kind, at, b[at])
					}
				}
				b[at] ^= byte(change)
			}
		}
	}
}

// The bytes carry the chain before them: another history gives another chain.
func TestTheChainCoversTheHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := records.Draw(t, "record")
		other := r
		other.Prev = lineage.Chain(rapid.Uint64().Filter(func(p uint64) bool { return p != uint64(r.Prev) }).Draw(t, "other history"))
		if record.ChainOf(record.Append(nil, &r)) == record.ChainOf(record.Append(nil, &other)) {
			t.Fatalf("chain of %+v is the same after chain %x", r, other.Prev)
		}
	})
}

var rewrite = flag.Bool("rewrite", false, "write testdata/v1 anew; right only as long as no data of version 1 exists anywhere")

// The bytes of version 1 as they were written when it was new. They must be read
// for ever, and today's code writes the same.
func TestGoldenRecords(t *testing.T) {
	const path = "testdata/v1/records.txt"
	var today strings.Builder
	for _, r := range samples() {
		b := record.Append(nil, &r)
		fmt.Fprintf(&today, "%s %016x %x\n", r.Kind, uint64(record.ChainOf(b)), b)
	}
	var read []record.Record
	for line := range strings.Lines(golden.Text(t, path, today.String(), *rewrite)) {
		b, err := hex.DecodeString(strings.Fields(line)[2])
		if err != nil {
			t.Fatal(err)
		}
		var r record.Record
		if err := record.Decode(b, &r); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		read = append(read, r)
	}
	if diff := cmp.Diff(samples(), read); diff != "" {
		t.Errorf("records (-written +read):\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range samples() {
		f.Add(record.Append(nil, &r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record.Record
		err := record.Decode(b, &r)
		if err == nil && !slices.Equal(record.Append(nil, &r), b) {
			t.Errorf("%x is read as %+v, which is written otherwise", b, r)
		}
		if err != nil && errors.Is(err, record.ErrMalformed) == errors.Is(err, record.ErrVersion) {
			t.Errorf("%x: %v is not exactly one of malformed and unknown version", b, err)
		}
	})
}

func TestCodecDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, record.MaxSize)
	for _, r := range samples() {
		var back record.Record
		n := testing.AllocsPerRun(100, func() {
			if err := record.Decode(record.Append(buf, &r), &back); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("a %s written and read allocates %v times, want 0", r.Kind, n)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	r := samples()[0]
	buf := make([]byte, 0, record.MaxSize)
	b.ReportAllocs()
	for b.Loop() {
		buf = record.Append(buf[:0], &r)
	}
}

func BenchmarkDecode(b *testing.B) {
	r := samples()[0]
	text := record.Append(nil, &r)
	b.ReportAllocs()
	for b.Loop() {
		if err := record.Decode(text, &r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChainOf(b *testing.B) {
	r := samples()[0]
	text := record.Append(nil, &r)
	for b.Loop() {
		binary.LittleEndian.PutUint64(text[40:], uint64(record.ChainOf(text)))
	}
}
