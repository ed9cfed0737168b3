package disk

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// bench is a disk with a little language: operations are submitted at once and
// completed in the order of their times.
type bench struct {
	disk    *Disk
	decider chance.Decider
	now     int64
	flying  []flight
	key     uint64
}

type flight struct {
	ref uint32
	at  int64
}

func newBench(rates chance.Rates) *bench {
	b := &bench{}
	b.decider.Reset(1, rates, false)
	b.disk = New(0, &b.decider)
	return b
}

func (b *bench) submit(op env.Op) {
	b.key++
	op.Key.B = b.key
	b.started(b.disk.Submit(b.now, &op))
}

func (b *bench) started(ref uint32, at int64) {
	if at >= 0 {
		b.flying = append(b.flying, flight{ref, at})
	}
}

// next lets the earliest operation complete.
func (b *bench) next() Completion {
	slices.SortStableFunc(b.flying, func(x, y flight) int { return int(x.at - y.at) })
	first := b.flying[0]
	b.flying = b.flying[1:]
	b.now = max(b.now, first.at)
	b.disk.Finish(first.at, first.ref, b.started)
	return *b.disk.Complete(first.ref)
}

// settle completes everything and returns the last outcome.
func (b *bench) settle() (last Completion) {
	for len(b.flying) > 0 {
		last = b.next()
	}
	return last
}

func (b *bench) do(ops ...env.Op) Completion {
	for _, op := range ops {
		b.submit(op)
	}
	return b.settle()
}

func create(path string) env.Op     { return env.Op{Kind: env.OpCreate, File: 1, Path: path} }
func open(path string) env.Op       { return env.Op{Kind: env.OpOpen, File: 1, Path: path} }
func add(data string) env.Op        { return env.Op{Kind: env.OpAppend, File: 1, Data: []byte(data)} }
func syncFile() env.Op              { return env.Op{Kind: env.OpSync, File: 1} }
func syncDir(path string) env.Op    { return env.Op{Kind: env.OpSyncDir, Path: path} }
func remove(path string) env.Op     { return env.Op{Kind: env.OpRemove, Path: path} }
func rename(from, to string) env.Op { return env.Op{Kind: env.OpRename, Path: from, To: to} }

var everything = chance.Rates{chance.DiskLost: chance.Million, chance.DiskEntry: chance.Million}

func TestWhatACrashLeaves(t *testing.T) {
	for _, c := range []struct {
		name  string
		rates chance.Rates
		power bool
		ops   []env.Op
		want  string // of the root: name=content
	}{
		{"a kill keeps the page cache", everything, false, []env.Op{create("f"), add("data")}, "f=data "},
		{"power loses what is not synced", everything, true, []env.Op{create("f"), syncDir(""), add("data")}, "f= "},
		{"a synced file without a synced entry is gone", everything, true, []env.Op{create("f"), add("data"), syncFile()}, ""},
		{"file and entry synced", everything, true, []env.Op{create("f"), add("data"), syncFile(), syncDir("")}, "f=data "},
		{"only what was synced before stays", everything, true, []env.Op{create("f"), syncDir(""), add("one"), syncFile(), add("two")}, "f=one "},
		{"a lost rename leaves the old name", everything, true,
			[]env.Op{create("t"), add("x"), syncFile(), syncDir(""), rename("t", "f")}, "t=x "},
		{"a lost rename leaves what it replaced", everything, true,
			[]env.Op{create("f"), add("old"), syncFile(), syncDir(""), create("t"), add("new"), syncFile(), syncDir(""), rename("t", "f")}, "f=old t=new "},
		{"a synced rename holds", everything, true,
			[]env.Op{create("t"), add("x"), syncFile(), rename("t", "f"), syncDir("")}, "f=x "},
		{"a lost removal brings the file back", everything, true,
			[]env.Op{create("f"), add("x"), syncFile(), syncDir(""), remove("f")}, "f=x "},
		{"without deviations power keeps all", chance.Rates{}, true, []env.Op{create("f"), add("data")}, "f=data "},
		{"a truncate that was not synced is undone", everything, true,
			[]env.Op{create("f"), add("data"), syncFile(), syncDir(""), {Kind: env.OpTruncate, File: 1, Length: 1}}, "f=data "},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(c.rates)
			for _, op := range c.ops { // one after the other
				if got := b.do(op); got.Err != env.OK {
					t.Fatal(op.Kind, got.Err)
				}
			}
			if c.power {
				b.disk.Power()
			} else {
				b.disk.Kill()
			}
			got := ""
			for _, name := range b.disk.List("") {
				got += fmt.Sprintf("%s=%s ", name, b.disk.Content(name))
			}
			if got != c.want {
				t.Errorf("left %q, want %q", got, c.want)
			}
			if b.disk.Unsynced() && c.power {
				t.Error("after a power failure something is unsynced")
			}
		})
	}
}

// Of two unsynced appends the first may be lost and the second kept: zeros
// between.
func TestPowerLosesWritesOneByOne(t *testing.T) {
	b := newBench(chance.Rates{})
	b.do(create("f"), syncDir(""), add("first"), add("second"))
	lost := chance.Deviation{Site: chance.DiskLost, Key: env.Key{B: 3}, Value: 1}
	b.decider.ResetListed(1, []chance.Deviation{lost})
	b.disk.Power()
	if got := b.disk.Content("f"); string(got) != "\x00\x00\x00\x00\x00second" {
		t.Errorf("left %q", got)
	}
}

func TestATornWriteKeepsWholeSectorsOrZeros(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(200) {
		b := newBench(chance.Rates{chance.DiskTorn: chance.Million})
		b.decider.Reset(seed, chance.Rates{chance.DiskTorn: chance.Million}, false)
		profile := DefaultProfile
		profile.Sector = 4
		b.disk.Reset(profile)
		b.do(create("f"), syncDir(""), add("AA"), syncFile(), add("BBCCCCDDDDEE"))
		b.disk.Power()
		got := string(b.disk.Content("f"))
		seen[got] = true
		if got[:2] != "AA" {
			t.Fatalf("seed %d: a tear reached what was synced: %q", seed, got)
		}
	}
	for _, want := range []string{"AA", "AABB", "AABBCCCC", "AABB\x00\x00\x00\x00DDDDEE", "AA" + string(make([]byte, 12))} {
		if !seen[want] {
			t.Errorf("never left %q", want)
		}
	}
}

func TestOldBlocksShowBehindWhatWasDurable(t *testing.T) {
	cut := func(length int64) env.Op { return env.Op{Kind: env.OpTruncate, File: 1, Length: length} }
	for _, c := range []struct {
		name string
		do   func(b *bench)
		want []string // what may be left, and has to be in some seed
	}{
		{"of nothing", func(b *bench) { b.do(create("f"), syncDir(""), add("AA"), syncFile(), add("BBCCCC")) },
			[]string{"AABB\x00\x00\x00\x00"}},
		{"of the file before it was cut", func(b *bench) {
			b.do(create("f"), syncDir(""), add("AAAAxxxxyyyy"), syncFile(), cut(2), syncFile(), env.Op{Kind: env.OpWrite, File: 1, Offset: 2, Data: []byte("BBCCCCDDDD")})
		}, []string{"AABBxxxxyyyy", "AABByyyy\x00\x00\x00\x00"}},
		{"of a file that was removed", func(b *bench) {
			b.do(create("g"), syncDir(""), add("wwwwxxxxyyyy"), syncFile(), env.Op{Kind: env.OpRemove, Path: "g"}, syncDir(""))
			b.do(create("f"), syncDir(""), add("AA"), syncFile(), add("BBCCCCDDDD"))
		}, []string{"AABBxxxxyyyy", "AABBwwwwxxxx"}},
		{"in whole sectors, whatever was appended there", func(b *bench) {
			b.do(create("g"), syncDir(""), add("wwwwxxxxyyyyzzzz"), syncFile(), env.Op{Kind: env.OpRemove, Path: "g"}, syncDir(""))
			b.do(create("f"), syncDir(""), add("AA"), syncFile(), add("BBCC"), add("CC"), add("DD"), add("DD"))
		}, []string{"AABBxxxxyyyy"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := map[string]bool{}
			for seed := range uint64(200) {
				b := newBench(chance.Rates{chance.DiskOld: chance.Million})
				b.decider.Reset(seed, chance.Rates{chance.DiskOld: chance.Million}, false)
				profile := DefaultProfile
				profile.Sector = 4
				b.disk.Reset(profile)
				c.do(b)
				b.disk.Power()
				got := string(b.disk.Content("f"))
				seen[got] = true
				if got[:4] != "AABB" {
					t.Fatalf("seed %d: old blocks in the sector that the file reached: %q", seed, got)
				}
			}
			for _, want := range c.want {
				if !seen[want] {
					t.Errorf("never left %q, of %q", want, slices.Sorted(maps.Keys(seen)))
				}
			}
		})
	}
}

// A host that writes zeros ahead of a log leaves some when its process dies.
func TestACrashLeavesZerosBehindALog(t *testing.T) {
	logged := []env.Op{create("f"), syncDir(""), add("AA"), syncFile(), add("BB")}
	for _, c := range []struct {
		name   string
		ops    []env.Op
		crash  func(d *Disk)
		prefix string
		zeros  bool
	}{
		{"killed, synced", append(slices.Clone(logged), syncFile()), (*Disk).Kill, "AABB", true},
		{"killed, not synced", logged, (*Disk).Kill, "AABB", true},
		{"without power, synced", append(slices.Clone(logged), syncFile()), (*Disk).Power, "AABB", true},
		{"without power, not synced", logged, (*Disk).Power, "AABB", true},
		{"a file written once", []env.Op{create("f"), syncDir(""), add("AA"), add("BB"), syncFile()}, (*Disk).Power, "AABB", false},
		{"a file that was cut", append(slices.Clone(logged), env.Op{Kind: env.OpTruncate, File: 1, Length: 3}, syncFile()), (*Disk).Kill, "AAB", false},
		{"a file that was closed", append(slices.Clone(logged), syncFile(), env.Op{Kind: env.OpClose, File: 1}), (*Disk).Power, "AABB", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sizes := map[int]bool{}
			for seed := range uint64(50) {
				b := newBench(chance.Rates{})
				b.decider.Reset(seed, chance.Rates{chance.DiskAhead: chance.Million}, false)
				b.do(c.ops...)
				c.crash(b.disk)
				got := b.disk.Content("f")
				sizes[len(got)] = true
				rest, found := bytes.CutPrefix(got, []byte(c.prefix))
				if !found || len(bytes.Trim(rest, "\x00")) > 0 || (len(rest) > 0) != c.zeros {
					t.Fatalf("seed %d: %.20q, %d bytes, want %q and zeros behind it: %t", seed, got, len(got), c.prefix, c.zeros)
				}
			}
			if c.zeros && len(sizes) < 10 {
				t.Errorf("only %d lengths", len(sizes))
			}
		})
	}
}

// What was appended over zeros and is lost shows the zeros in its place.
func TestAnAppendOverZerosThatIsLostShowsThem(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(200) {
		b := newBench(chance.Rates{})
		b.decider.Reset(seed, chance.Rates{chance.DiskAhead: chance.Million, chance.DiskLost: 500_000}, false)
		b.do(create("f"), syncDir(""), add("AA"), syncFile(), add("BB"))
		b.disk.Power()
		got := b.disk.Content("f")
		seen[string(got[:min(len(got), 5)])] = true
	}
	for _, want := range []string{"AA", "AABB", "AA\x00\x00\x00", "AABB\x00"} {
		if !seen[want] {
			t.Errorf("never left %q, of %q", want, slices.Sorted(maps.Keys(seen)))
		}
	}
}

func TestOrderOnOneHandle(t *testing.T) {
	b := newBench(chance.Rates{})
	b.do(create("f"))
	for i := range 50 {
		b.submit(add(fmt.Sprint(i % 10)))
	}
	b.settle()
	if got := string(b.disk.Content("f")); got != "01234567890123456789012345678901234567890123456789" {
		t.Errorf("content %q", got)
	}
}

// A kill lets the first operations in flight take effect, never a later one without an earlier one.
func TestKillKeepsABeginningOfWhatIsInFlight(t *testing.T) {
	for seed := range uint64(100) {
		b := newBench(chance.Rates{})
		b.do(create("f"))
		b.decider.Reset(seed, chance.Rates{chance.DiskInFlight: 800_000}, false)
		for i := range 9 {
			b.submit(add(fmt.Sprint(i)))
		}
		b.disk.Kill()
		if got := b.disk.Content("f"); !bytes.HasPrefix([]byte("012345678"), got) {
			t.Fatalf("seed %d left %q", seed, got)
		}
	}
}

func TestFullDiskRefusesAndWritesNothing(t *testing.T) {
	b := newBench(chance.Rates{})
	profile := DefaultProfile
	profile.Capacity = 10
	b.disk.Reset(profile)
	b.do(create("f"), add("12345678"))
	if got := b.do(add("901")); got.Err != env.NoSpace {
		t.Errorf("%v, want %v", got.Err, env.NoSpace)
	}
	if got := b.do(add("90")); got.Err != env.OK || b.disk.Free() != 0 {
		t.Errorf("%v, %d bytes free", got.Err, b.disk.Free())
	}
	b.do(remove("f"))
	if b.disk.Free() != 10 {
		t.Errorf("%d bytes free after the removal, want 10", b.disk.Free())
	}
}

// Whatever is done, what Durable promises is there after the worst power failure.
func TestDurableIsAPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench(chance.Rates{})
		b.do(env.Op{Kind: env.OpMkdir, Path: "d"})
		paths := []string{"f", "d/f"}
		b.do(create(paths[rapid.IntRange(0, 1).Draw(t, "where")]))
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			switch rapid.IntRange(0, 7).Draw(t, "op") {
			case 0, 1, 2:
				b.submit(add("abc"))
			case 3:
				b.submit(syncFile())
			case 4:
				b.submit(syncDir(rapid.SampledFrom([]string{"", "d"}).Draw(t, "dir")))
			case 5:
				from := rapid.IntRange(0, 1).Draw(t, "from")
				b.submit(rename(paths[from], paths[1-from]))
			case 6:
				b.submit(env.Op{Kind: env.OpWrite, File: 1, Offset: rapid.Int64Range(0, 5).Draw(t, "offset"), Data: []byte("ZZ")})
			case 7:
				b.settle()
			}
		}
		b.settle()
		type promise struct {
			path    string
			content string
		}
		var promised []promise
		for _, path := range paths {
			if size := b.disk.Size(path); size >= 0 && b.disk.Durable(path, 0, size) {
				promised = append(promised, promise{path, string(b.disk.Content(path))})
			}
		}
		b.decider.Reset(1, everything, false)
		b.disk.Power()
		for _, p := range promised {
			if got := string(b.disk.Content(p.path)); got != p.content {
				t.Fatalf("%s: promised %q, left %q", p.path, p.content, got)
			}
		}
	})
}
