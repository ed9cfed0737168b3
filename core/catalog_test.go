package core

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/internal/transcript"
)

var private = cmp.AllowUnexported(Catalog{}, shardEpoch{})

// full is a catalog with all that it can have.
func full() Catalog {
	return Catalog{
		Cluster: 0x21, Directory: env.Nonce{A: 0x2223, B: 0x2425}, Given: 0x26,
		epochs: []shardEpoch{{1, 0x1122334455667788}, {5, 2}},
	}
}

// The bytes of each version as they were written when it was new. They must be read
// for ever, and today's code writes those of version 3.
func TestGoldenNodeFiles(t *testing.T) {
	golden := func(path string) []byte {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	want := full()
	if transcript.Rewrite(t) {
		if err := os.WriteFile("testdata/v3/node.txt", []byte(hex.EncodeToString(want.Append(nil))+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(golden("testdata/v3/node.txt"), want.Append(nil)); diff != "" {
		t.Errorf("version 3 (-golden +today):\n%s", diff)
	}
	for path, want := range map[string]Catalog{
		"testdata/v3/node.txt": want,
		"testdata/v2/node.txt": {epochs: want.epochs},
		"testdata/v1/node.txt": {epochs: want.epochs},
	} {
		got, err := DecodeCatalog(golden(path))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, private); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	// Of an earlier release without a control plane: with tenants that were created or dropped.
	for _, path := range []string{"testdata/v3/tenants.txt", "testdata/v2/tenants.txt"} {
		const want = `node file of another version: file "node": it names tenants of an earlier release, which had no control plane; create them anew`
		if got, err := DecodeCatalog(golden(path)); !errors.Is(err, ErrCatalogVersion) || !strings.HasPrefix(err.Error(), want) || got.epochs != nil {
			t.Errorf("%s is read as %+v, %v", path, got, err)
		}
	}
}

// Whatever shards a node leads, in whatever order, the catalog agrees with a plain map, and reads
// back as it was written.
func TestACatalogIsWhatWasDone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Catalog
		want := map[lineage.Shard]lineage.ShardEpoch{}
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			shard := lineage.Shard(rapid.IntRange(0, 8).Draw(t, "shard"))
			c.lead(shard)
			c.epochOf(shard).epoch++
			want[shard]++
		}
		back, err := DecodeCatalog(c.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back.Append(nil), c.Append(nil)) {
			t.Fatalf("%+v is read back as %+v", c, back)
		}
		for shard := range lineage.Shard(9) {
			if e := back.epochOf(shard); (e != nil) != (want[shard] > 0) || e != nil && e.epoch != want[shard] {
				t.Fatalf("shard %d: %+v, want epoch %d", shard, e, want[shard])
			}
		}
	})
}

// A change of a copy leaves the original alone: it may come to nothing.
func TestACloneSharesNothing(t *testing.T) {
	c := full()
	next := c.clone()
	next.lead(4)
	next.epochs[0].epoch++
	if diff := cmp.Diff(full(), c, private); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// sealed gives bytes the checksum that they need.
func sealed(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// Every error names the file and says what to do.
func TestWhatIsNoNodeFile(t *testing.T) {
	const remedy = "; restore the node from a backup, or wipe it and let it fetch its slots"
	whole := full()
	set := func(at int, v byte) []byte {
		b := whole.Append(nil)
		b[at] = v
		return sealed(b[:len(b)-4])
	}
	swapped := func(change func(*Catalog)) []byte {
		c := full()
		change(&c)
		return c.Append(nil)
	}
	damage := whole.Append(nil)
	damage[30] ^= 1
	for name, c := range map[string]struct {
		bytes []byte
		is    error
		want  string
	}{
		"nothing":         {nil, ErrCatalog, `damaged node file: file "node": 0 bytes, no "tnod" at the start` + remedy},
		"another magic":   {set(0, 'x'), ErrCatalog, `damaged node file: file "node": 80 bytes, no "tnod" at the start` + remedy},
		"a bit":           {damage, ErrCatalog, `damaged node file: file "node": its checksum is `},
		"cut off":         {whole.Append(nil)[:60], ErrCatalog, `damaged node file: file "node": its checksum is `},
		"a newer version": {set(4, 4), ErrCatalogVersion, `node file of another version: file "node": version 4, this binary reads up to 3; use a newer binary`},
		"version 0":       {set(4, 0), ErrCatalogVersion, `node file of another version: file "node": version 0`},
		"a short head":    {sealed([]byte("tnod\x02\x00\x00\x00\x00\x00\x00\x00")), ErrCatalog, `damaged node file: file "node": 0 shards: the bytes end within a field` + remedy},
		"a wrong number":  {set(8, 1), ErrCatalog, `damaged node file: file "node": 1 shards: 12 bytes follow the last field` + remedy},
		"shards":          {swapped(func(c *Catalog) { c.epochs[1].shard = 1 }), ErrCatalog, `damaged node file: file "node": shard 1 follows shard 1` + remedy},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := DecodeCatalog(c.bytes); !errors.Is(err, c.is) || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func FuzzDecodeCatalog(f *testing.F) {
	whole := full()
	f.Add(whole.Append(nil))
	f.Add((&Catalog{}).Append(nil))
	f.Add(sealed([]byte("tnod\x01\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00")))
	f.Add([]byte("tnod"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCatalog(b)
		if err != nil {
			if errors.Is(err, ErrCatalog) == errors.Is(err, ErrCatalogVersion) {
				t.Errorf("%x: %v is not exactly one of damaged and newer version", b, err)
			}
			return
		}
		again := c.Append(nil)
		if binary.LittleEndian.Uint32(b[4:]) == nodeVersion && !bytes.Equal(again, b) {
			t.Errorf("%x is written as %x", b, again)
		}
		back, err := DecodeCatalog(again)
		if diff := cmp.Diff(c, back, private); err != nil || diff != "" {
			t.Errorf("%v, %s", err, diff)
		}
	})
}
