package wal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wal"
)

var rewriteDump = flag.Bool("rewrite-dump", false, "write testdata/dump anew; read the difference before it is committed")

// Dump of the files of version 1, whole and damaged. The text is for people and programs that look
// at a log; it changes only for a reason.
func TestDumpGolden(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", "v1", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	segment := read("3-41.seg")
	second, third := 0, 0 // offsets of frames
	for at, n := wal.HeaderSize, 0; n < 2; n++ {
		size, _, _, err := wal.DecodeFrame(segment[at:], new(record.Record))
		if err != nil {
			t.Fatal(err)
		}
		at += size
		second, third = third, at
	}
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(segment)
		f(b)
		return b
	}
	for _, c := range []struct {
		golden, name string
		data         []byte
	}{
		{"segment", "tenants/7/wal/2-1/3-41.seg", segment},
		{"manifest", "manifest", read("manifest")},
		{"snapshot", "45.snap.tmp", read("45.snap")},
		{"torn", "3-41.seg", segment[:len(segment)-1]},
		{"damaged-frame", "3-41.seg", change(func(b []byte) { b[second+60] ^= 1 })},
		{"damaged-header", "3-41.seg", change(func(b []byte) { b[0] ^= 1 })},
		{"lost-frame", "3-41.seg", append(bytes.Clone(segment[:second]), segment[third:]...)},
		{"newer-frame", "3-41.seg", change(func(b []byte) { asNewer(b[second:third]) })},
		{"zeros", "3-41.seg", append(bytes.Clone(segment[:second]), make([]byte, 100)...)},
		{"empty", "3-41.seg", nil},
		{"damaged-snapshot", "45.snap", read("45.snap")[:30]},
		{"damaged-manifest", "manifest", nil},
	} {
		t.Run(c.golden, func(t *testing.T) {
			got, err := wal.Dump(nil, c.name, c.data)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "dump", c.golden+".jsonl")
			if *rewriteDump {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-golden +got):\n%s", path, diff)
			}
		})
	}
}

func TestDumpRefusesForeignNames(t *testing.T) {
	for _, name := range []string{"", "notes.txt", "03-4.seg", "tenants/7/wal/2-1/", "4.snap.tmp.tmp"} {
		if got, err := wal.Dump([]byte("before"), name, nil); !errors.Is(err, wal.ErrForeign) || string(got) != "before" {
			t.Errorf("%q gives %q, %v; want ErrForeign", name, got, err)
		}
	}
}

// For any bytes, the lines are JSON, follow each other and cover the file, and they include each
// frame that Recover would accept.
func TestDumpCoversTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _ := drawLog(t)
		s := last(w.files())
		for range rapid.IntRange(0, 5).Draw(t, "damages") {
			s.Data[rapid.IntRange(0, len(s.Data)-1).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(t, "mask"))
		}
		s.Data = s.Data[:rapid.IntRange(0, len(s.Data)).Draw(t, "size")]
		got, err := wal.Dump(nil, s.Name, s.Data)
		if err != nil {
			t.Fatal(err)
		}
		mustCover(t, got, int64(len(s.Data)))
	})
}

func mustCover(t tester, dump []byte, size int64) {
	t.Helper()
	at := int64(0)
	lines := strings.Split(strings.TrimSuffix(string(dump), "\n"), "\n")
	for i, text := range lines {
		var line struct {
			At, Size int64
			Is       string
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("line %q: %v", text, err)
		}
		end := i == len(lines)-1
		if line.At != at || (line.Is == "end") != end || !end && line.Size == 0 && size > 0 {
			t.Fatalf("line %q begins at %d, want %d", text, line.At, at)
		}
		at += line.Size
	}
	if at != size {
		t.Fatalf("the lines cover %d bytes of %d", at, size)
	}
}
