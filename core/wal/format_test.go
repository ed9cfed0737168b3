package wal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
)

// asNewer makes the envelope that is exactly b one of the next version.
func asNewer(b []byte) {
	b[4]++
	reseal(b)
}

// reseal gives the envelope b the checksum that its bytes demand. It is written
// from the drawing of the format, not with the package's code.
func reseal(b []byte) {
	covered := append(append([]byte(nil), b[4:12]...), b[16:]...)
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(covered, crc32.MakeTable(crc32.Castagnoli)))
}

func TestPaths(t *testing.T) {
	id := wal.Identity{Tenant: 7, Slot: 0, Placement: 1, Shard: 3}
	for _, c := range []struct{ got, want string }{
		{wal.TenantDir(7), "tenants/7"},
		{wal.TenantDir(18446744073709551614), "tenants/18446744073709551614"},
		{wal.WALDir(0), "tenants/0/wal"},
		{id.Dir(), "tenants/7/wal/0-1"},
		{wal.SegmentName(3, 41), "3-41.seg"},
		{wal.SnapshotName(45), "45.snap"},
		{id.String(), "tenant 7 slot 0 placement 1 shard 3"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestNamesParseBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shard := lineage.Shard(rapid.Uint32().Draw(t, "shard"))
		seq := lineage.Seq(rapid.Uint64Min(1).Draw(t, "seq"))
		if s, f, ok := wal.ParseSegmentName(wal.SegmentName(shard, seq)); s != shard || f != seq || !ok {
			t.Errorf("segment %d-%d parses as %d-%d, %v", shard, seq, s, f, ok)
		}
		if got, ok := wal.ParseSnapshotName(wal.SnapshotName(seq)); got != seq || !ok {
			t.Errorf("snapshot %d parses as %d, %v", seq, got, ok)
		}
	})
}

func TestForeignNamesAreNotOurs(t *testing.T) {
	for _, name := range []string{
		"", ".seg", "-.seg", "3-.seg", "-4.seg", "3.seg", "3-4", "3-4.seg.tmp", "3-4.SEG", "03-4.seg", "3-04.seg", "+3-4.seg",
		"3-0.seg", "3-4-5.seg", "3--4.seg", "4294967296-1.seg", "1-18446744073709551616.seg", " 3-4.seg", "x/3-4.seg", "3-0x4.seg",
		".snap", "04.snap", "4.snap.tmp", "4", "18446744073709551616.snap", "-4.snap", "4_0.snap", "manifest", "lost+found",
	} {
		if shard, first, ok := wal.ParseSegmentName(name); ok {
			t.Errorf("%q is segment %d-%d", name, shard, first)
		}
		if seq, ok := wal.ParseSnapshotName(name); ok {
			t.Errorf("%q is snapshot %d", name, seq)
		}
	}
}

func TestTenantOfPath(t *testing.T) {
	for _, c := range []struct {
		path string
		want tenant.ID
		ok   bool
	}{
		{"tenants/7", 7, true},
		{"tenants/0", 0, true},
		{"tenants/7/wal/0-1/3-41.seg", 7, true},
		{"tenants/18446744073709551614/x", 18446744073709551614, true},
		{"tenants", tenant.Reserved, false},
		{"tenants/", tenant.Reserved, false},
		{"tenants/07/wal", tenant.Reserved, false},
		{"tenants/7.tmp/wal", tenant.Reserved, false},
		{"tenants/18446744073709551615/x", tenant.Reserved, false},
		{"tenants/18446744073709551616", tenant.Reserved, false},
		{"/tenants/7", tenant.Reserved, false},
		{"node/tenants/7", tenant.Reserved, false},
		{"", tenant.Reserved, false},
	} {
		if got, ok := wal.TenantOfPath(c.path); got != c.want || ok != c.ok {
			t.Errorf("TenantOfPath(%q) is %d, %v; want %d, %v", c.path, got, ok, c.want, c.ok)
		}
	}
	path := wal.Identity{Tenant: 18446744073709551614}.Dir()
	if n := testing.AllocsPerRun(100, func() { wal.TenantOfPath(path) }); n != 0 {
		t.Errorf("TenantOfPath allocates %v times, want 0", n)
	}
}

func drawIdentity(t *rapid.T) wal.Identity {
	return wal.Identity{
		Tenant:    tenant.ID(rapid.Uint64().Draw(t, "tenant")),
		Slot:      lineage.Slot(rapid.Uint32().Draw(t, "slot")),
		Placement: lineage.PlacementEpoch(rapid.Uint64().Draw(t, "placement")),
		Shard:     lineage.Shard(rapid.Uint32().Draw(t, "shard")),
	}
}

// Written data is read back, with any bytes after it, and is appended behind the content of dst.
func TestFormatsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := drawIdentity(t)
		first := rapid.Uint64Min(1).Draw(t, "first")
		h := wal.Header{Identity: id, First: lineage.Seq(first), Before: lineage.Chain(rapid.Uint64().Draw(t, "chain")),
			Synced: lineage.Seq(rapid.Uint64Range(0, first-1).Draw(t, "synced"))}
		b := wal.AppendHeader([]byte("before"), &h)
		b = append(b, "behind"...)
		if got, err := wal.DecodeHeader(b[len("before"):]); err != nil || got != h {
			t.Fatalf("header %+v is read as %+v, %v", h, got, err)
		}
		if got, err := wal.DecodeManifest(wal.AppendManifest(nil, id)); err != nil || got != id {
			t.Fatalf("manifest %+v is read as %+v, %v", id, got, err)
		}
		at := lineage.Position{Seq: h.First, Chain: h.Before}
		state := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "state")
		gotID, gotAt, gotState, err := wal.DecodeSnapshot(wal.AppendSnapshot(nil, id, at, state))
		if err != nil || gotID != id || gotAt != at || !bytes.Equal(gotState, state) {
			t.Fatalf("snapshot %+v %+v %x is read as %+v %+v %x, %v", id, at, state, gotID, gotAt, gotState, err)
		}
	})
}

// The decoders accept no byte that differs, nothing that is shorter, and the
// formats that are a whole file nothing that is longer.
func TestFormatsRefuseEveryChange(t *testing.T) {
	w := write(t, "append 3")
	header := w.segments[0].Data[:wal.HeaderSize]
	frame := w.segments[0].Data[w.frame(3).offset:w.frame(3).end()]
	for _, c := range []struct {
		name   string
		bytes  []byte
		decode func(b []byte) error
		whole  bool
	}{
		{"header", header, func(b []byte) error { _, err := wal.DecodeHeader(b); return err }, false},
		{"frame", frame, func(b []byte) error { _, _, _, err := wal.DecodeFrame(b, new(record.Record)); return err }, false},
		{"manifest", wal.AppendManifest(nil, home), func(b []byte) error { _, err := wal.DecodeManifest(b); return err }, true},
		{"snapshot", wal.AppendSnapshot(nil, home, w.at, []byte("state")), func(b []byte) error { _, _, _, err := wal.DecodeSnapshot(b); return err }, true},
	} {
		for i := range c.bytes {
			for bit := range 8 {
				b := bytes.Clone(c.bytes)
				b[i] ^= 1 << bit
				if err := c.decode(b); !errors.Is(err, wal.ErrMalformed) {
					t.Errorf("%s with bit %d of byte %d flipped: %v, want ErrMalformed", c.name, bit, i, err)
				}
			}
			if err := c.decode(c.bytes[:i]); !errors.Is(err, wal.ErrMalformed) {
				t.Errorf("%s of %d bytes: %v, want ErrMalformed", c.name, i, err)
			}
		}
		longer := append(bytes.Clone(c.bytes), 0)
		if err := c.decode(longer); errors.Is(err, wal.ErrMalformed) != c.whole {
			t.Errorf("%s with a byte behind it: %v, want an error: %v", c.name, err, c.whole)
		}
		newer := bytes.Clone(c.bytes)
		asNewer(newer)
		if err := c.decode(newer); !errors.Is(err, wal.ErrVersion) || errors.Is(err, wal.ErrMalformed) {
			t.Errorf("%s of the next version: %v, want ErrVersion", c.name, err)
		}
	}
}

// A record that does not decode in a frame with a valid checksum was written by a newer binary: it
// counts as a newer version, not as damage.
func TestIntactFrameWithUnknownRecord(t *testing.T) {
	w := write(t, "append 1")
	frame := w.segments[0].Data[w.frame(1).offset:]
	for _, c := range []struct {
		name   string
		offset int
	}{{"record version", 0}, {"record kind", 1}, {"reserved byte", 2}} {
		b := bytes.Clone(frame)
		b[wal.FrameOverhead+c.offset] = 99
		reseal(b)
		if _, _, _, err := wal.DecodeFrame(b, new(record.Record)); !errors.Is(err, wal.ErrVersion) || errors.Is(err, wal.ErrMalformed) {
			t.Errorf("%s 99: %v, want ErrVersion", c.name, err)
		}
	}
}

// Nothing can be durable before it is written, and the decoders do not believe
// a claim that it was.
func TestSyncedIsBelowWhatIsWritten(t *testing.T) {
	w := write(t, "append 2")
	frame := bytes.Clone(w.segments[0].Data[w.frame(2).offset:])
	frame[16] = 2
	reseal(frame)
	if _, _, _, err := wal.DecodeFrame(frame, new(record.Record)); !errors.Is(err, wal.ErrMalformed) {
		t.Errorf("frame of record 2, synced 2: %v, want ErrMalformed", err)
	}
	header := bytes.Clone(w.segments[0].Data[:wal.HeaderSize])
	header[wal.HeaderSize-8] = 1
	reseal(header)
	if _, err := wal.DecodeHeader(header); !errors.Is(err, wal.ErrMalformed) {
		t.Errorf("header of first record 1, synced 1: %v, want ErrMalformed", err)
	}
	mustFail(t, "frame: synced is 2, seq is 2", func() { wal.AppendFrame(nil, 2, &record.Record{Seq: 2}) })
	mustFail(t, "header: synced is 1, first seq is 1", func() { wal.AppendHeader(nil, &wal.Header{First: 1, Synced: 1}) })
	mustFail(t, "snapshot: chain before the first record is 0000000000000001", func() { wal.AppendSnapshot(nil, home, lineage.Position{Chain: 1}, nil) })
}

// A sound envelope around a body that version 1 does not have is refused too.
func TestSoundEnvelopesWithImpossibleBodies(t *testing.T) {
	longer := func(b []byte) []byte {
		b = append(b, 0)
		b[8]++
		reseal(b)
		return b
	}
	header := wal.AppendHeader(nil, &wal.Header{Identity: home, First: 1})
	if _, err := wal.DecodeHeader(longer(header)); !errors.Is(err, wal.ErrMalformed) {
		t.Errorf("header with a longer body: %v, want ErrMalformed", err)
	}
	if _, err := wal.DecodeManifest(longer(wal.AppendManifest(nil, home))); !errors.Is(err, wal.ErrMalformed) {
		t.Errorf("manifest with a longer body: %v, want ErrMalformed", err)
	}
	snapshot := wal.AppendSnapshot(nil, home, lineage.Position{}, nil)
	snapshot[len(snapshot)-1] = 1
	reseal(snapshot)
	if _, _, _, err := wal.DecodeSnapshot(snapshot); !errors.Is(err, wal.ErrMalformed) {
		t.Errorf("snapshot with a chain before the first record: %v, want ErrMalformed", err)
	}
}

// Values that cannot be written are bugs of our own, and so are files out of order.
func TestRecoverAssertsItsCaller(t *testing.T) {
	w := write(t, "append 1, rotate, append 1")
	run := func(base lineage.Position, files ...wal.Segment) func() {
		return func() { _, _ = wal.Recover(home, base, files, nil) }
	}
	mustFail(t, `recover: "notes" is not the name of a segment`, run(lineage.Position{}, wal.Segment{Name: "notes"}))
	mustFail(t, "recover: segment 1 comes after 2", run(lineage.Position{}, w.segments[1], w.segments[0]))
	mustFail(t, "recover: chain before the first record is 0000000000000001", run(lineage.Position{Chain: 1}))
}

func mustFail(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if diff := cmp.Diff(any(assert.Failure{Text: want}), recover()); diff != "" {
			t.Errorf("assertion (-want +got):\n%s", diff)
		}
	}()
	f()
}

// A length is never trusted: the largest one costs no memory.
func TestHugeLengthsAllocateNothing(t *testing.T) {
	w := write(t, "append 3")
	var r record.Record
	for _, length := range []uint32{1 << 16, 1<<16 + 1, 1 << 30, math.MaxUint32} {
		b := bytes.Clone(w.segments[0].Data[w.frame(3).offset:])
		binary.LittleEndian.PutUint32(b[8:], length)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10 {
			if _, _, _, err := wal.DecodeFrame(b, &r); !errors.Is(err, wal.ErrMalformed) {
				t.Fatalf("length %d: %v, want ErrMalformed", length, err)
			}
		}
		runtime.ReadMemStats(&after)
		if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 10*4096 {
			t.Errorf("length %d costs %d bytes in 10 calls, want only the errors'", length, bytes)
		}
	}
}

var rewrite = flag.Bool("rewrite", false, "write testdata/v1 anew; right only as long as no data of version 1 exists anywhere")

// The files of version 1 as they were written when it was new. They must be read
// for ever, and today's code writes the same bytes.
func TestGoldenFiles(t *testing.T) {
	w := write(t, "append 40, rotate, append 4, sync, append 3")
	names := []string{last(w.segments).Name, wal.SnapshotName(45), wal.ManifestName}
	today := [][]byte{last(w.segments).Data, wal.AppendSnapshot(nil, home, w.position(45), []byte("opaque state")), wal.AppendManifest(nil, home)}
	var golden [3][]byte
	for i, name := range names {
		path := filepath.Join("testdata", "v1", name)
		if *rewrite {
			if err := os.WriteFile(path, today[i], 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if golden[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(golden[i], today[i]); diff != "" {
			t.Errorf("%s (-golden +today):\n%s", path, diff)
		}
	}
	if diff := cmp.Diff(golden[0], reencodedSegment(t, golden[0])); diff != "" {
		t.Errorf("segment, decoded and encoded (-golden +again):\n%s", diff)
	}
	id, at, state, err := wal.DecodeSnapshot(golden[1])
	if err != nil || !bytes.Equal(wal.AppendSnapshot(nil, id, at, state), golden[1]) || string(state) != "opaque state" {
		t.Errorf("snapshot is read as %v %v %q, %v", id, at, state, err)
	}
	if id, err := wal.DecodeManifest(golden[2]); err != nil || id != home {
		t.Errorf("manifest is read as %v, %v", id, err)
	}
}

// reencodedSegment decodes a sound segment and encodes it again.
func reencodedSegment(t testing.TB, b []byte) []byte {
	t.Helper()
	h, err := wal.DecodeHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	again := wal.AppendHeader(nil, &h)
	var r record.Record
	for at := wal.HeaderSize; at < len(b); {
		size, synced, chain, err := wal.DecodeFrame(b[at:], &r)
		if err != nil {
			t.Fatalf("offset %d: %v", at, err)
		}
		var wrote lineage.Chain
		if again, wrote = wal.AppendFrame(again, synced, &r); wrote != chain {
			t.Fatalf("offset %d: chain written is %x, read %x", at, wrote, chain)
		}
		at += size
	}
	return again
}

// The largest record fits where FrameOverhead says it does, without growing dst.
func TestFramesDoNotAllocate(t *testing.T) {
	w := write(t, "append 7")
	r := w.next() // seq 8, a config, the largest
	buf := make([]byte, 0, wal.FrameOverhead+record.MaxSize)
	var back record.Record
	n := testing.AllocsPerRun(100, func() {
		b, _ := wal.AppendFrame(buf, 7, &r)
		if size, _, _, err := wal.DecodeFrame(b, &back); err != nil || size != cap(buf) {
			t.Fatalf("frame of %d bytes, %v; want %d", size, err, cap(buf))
		}
	})
	if n != 0 {
		t.Errorf("a frame written and read allocates %v times, want 0", n)
	}
	if diff := cmp.Diff(r, back); diff != "" {
		t.Errorf("record (-written +read):\n%s", diff)
	}
}

// A damaged log with many magics is still judged at once.
func TestResyncIsNotFooledIntoLongWork(t *testing.T) {
	w := write(t, "append 2")
	files := w.files()
	noise := strings.Repeat(string(files[0].Data[w.frame(1).offset:][:4])+"\x01\x00\x00\x00\x00\xff\x00\x00", 1<<12)
	files[0].Data = append(files[0].Data, noise...)
	rec, err := recovered(t, w, lineage.Position{}, files)
	if err != nil || rec.End != w.at || rec.CutBytes != int64(len(noise)) {
		t.Errorf("got %s, %d bytes cut; want end 2, %d bytes cut", outcome(rec, err), rec.CutBytes, len(noise))
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	w := write(b, "append 2")
	r := w.next() // seq 3, a signal
	buf := make([]byte, 0, wal.FrameOverhead+record.MaxSize)
	frame, _ := wal.AppendFrame(buf, 2, &r)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		wal.AppendFrame(buf, 2, &r)
	}
}

func BenchmarkDecodeFrame(b *testing.B) {
	w := write(b, "append 3")
	frame := w.segments[0].Data[w.frame(3).offset:]
	var r record.Record
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := wal.DecodeFrame(frame, &r); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSlotOfPath(t *testing.T) {
	for path, want := range map[string]string{
		"tenants/7/wal/3-9/3-41.seg":             "7/3/3-41.seg",
		"tenants/0/wal/0-1/manifest":             "0/0/manifest",
		"tenants/7/wal/3-9/12.snap.tmp":          "7/3/12.snap.tmp",
		"tenants/7/wal/3-9":                      "",
		"tenants/7/wal/3/x":                      "",
		"tenants/7/wal/03-9/x":                   "",
		"tenants/7/wal/4294967296-9/x":           "",
		"tenants/7/other/3-9/x":                  "",
		"tenants/07/wal/3-9/x":                   "",
		"tenants/7/wal/3-9/deeper/x":             "",
		"node":                                   "",
		"tenants/18446744073709551615/wal/0-1/x": "",
	} {
		got := ""
		if id, slot, file, ok := wal.SlotOfPath(path); ok {
			got = fmt.Sprintf("%s/%d/%s", id, slot, file)
		}
		if got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
}
