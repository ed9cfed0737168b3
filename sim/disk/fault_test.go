package disk

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// power loses the page cache and nothing that chance could add.
func (b *bench) power() {
	b.decider.Reset(1, everything, false)
	b.disk.Power()
}

func TestAFailedSyncCleansWhatNeverReachesThePlatter(t *testing.T) {
	for _, c := range []struct {
		name   string
		after  []env.Op // after the failed sync
		cached string   // then seen
		left   string   // after a power failure
	}{
		{"it is seen, and lost", nil, "one two ", "one "},
		{"a later sync succeeds and saves nothing of it", []env.Op{syncFile()}, "one two ", "one "},
		{"what is written later is saved, behind a gap", []env.Op{add("three"), syncFile()}, "one two three", "one \x00\x00\x00\x00three"},
		{"what is written again is saved", []env.Op{{Kind: env.OpWrite, File: 1, Offset: 4, Data: []byte("two ")}, syncFile()}, "one two ", "one two "},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(chance.Rates{})
			b.do(create("f"), syncDir(""), add("one "), syncFile(), add("two "))
			fault := &Fault{Kind: SyncFault}
			b.disk.Inject(fault)
			if got := b.do(syncFile()); got.Err != env.IOError || fault.Struck != 1 {
				t.Fatalf("the sync ends with %v, %d struck", got.Err, fault.Struck)
			}
			b.disk.Withdraw(fault)
			if b.disk.Unsynced() || b.disk.Durable("f", 0, 8) {
				t.Errorf("unsynced: %v, durable: %v; want the data to count as clean and not be safe", b.disk.Unsynced(), b.disk.Durable("f", 0, 8))
			}
			for _, op := range c.after {
				if got := b.do(op); got.Err != env.OK {
					t.Fatal(op.Kind, got.Err)
				}
			}
			if got := string(b.disk.Content("f")); got != c.cached {
				t.Errorf("reads %q, want %q", got, c.cached)
			}
			b.power()
			if got := string(b.disk.Content("f")); got != c.left {
				t.Errorf("left %q, want %q", got, c.left)
			}
		})
	}
}

func TestAFailedDirectorySyncLosesItsEntries(t *testing.T) {
	b := newBench(chance.Rates{})
	b.disk.Inject(&Fault{Kind: SyncFault, Limit: 1})
	b.do(create("f"), add("x"))
	if got := b.do(syncDir("")); got.Err != env.IOError {
		t.Fatalf("the sync ends with %v", got.Err)
	}
	if got := b.do(syncDir("")); got.Err != env.OK {
		t.Fatalf("beyond its limit the fault goes on: %v", got.Err)
	}
	if got := b.disk.List(""); len(got) != 1 {
		t.Errorf("lists %q, want the file still to be seen", got)
	}
	b.power()
	if got := b.disk.List(""); len(got) != 0 {
		t.Errorf("after a power failure it lists %q, though no sync that succeeded covered it", got)
	}
}

func TestFaultsAreAimed(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault Fault
		op    env.Op
		want  env.Errno
	}{
		{"sync of a file with the suffix", Fault{Kind: SyncFault, Suffix: ".seg"}, syncFile(), env.IOError},
		{"sync of another file", Fault{Kind: SyncFault, Suffix: ".idx"}, syncFile(), env.OK},
		{"sync of a directory, aimed at files", Fault{Kind: SyncFault, Suffix: ".seg"}, syncDir("d"), env.OK},
		{"sync of the directory it is aimed at", Fault{Kind: SyncFault, Suffix: "d"}, syncDir("d"), env.IOError},
		{"sync, aimed at writes", Fault{Kind: WriteFault}, syncFile(), env.OK},
		{"append", Fault{Kind: WriteFault, Suffix: "a.seg"}, add("data"), env.IOError},
		{"write", Fault{Kind: WriteFault}, env.Op{Kind: env.OpWrite, File: 1, Data: []byte("data")}, env.IOError},
		{"append, aimed at syncs", Fault{Kind: SyncFault}, add("data"), env.OK},
		{"a limit that was reached", Fault{Kind: WriteFault, Limit: 3, Struck: 3}, add("data"), env.OK},
		{"a file below the directory", Fault{Kind: WriteFault, Suffix: "d/"}, add("data"), env.IOError},
		{"the directory itself", Fault{Kind: SyncFault, Suffix: "d/"}, syncDir("d"), env.IOError},
		{"a file below another directory", Fault{Kind: WriteFault, Suffix: "e/"}, add("data"), env.OK},
		{"read", Fault{Kind: ReadFault, Suffix: ".seg"}, env.Op{Kind: env.OpRead, File: 1, Length: 1}, env.IOError},
		{"read of another file", Fault{Kind: ReadFault, Suffix: ".idx"}, env.Op{Kind: env.OpRead, File: 1, Length: 1}, env.OK},
		{"open", Fault{Kind: EntryFault, Suffix: ".seg"}, open("d/a.seg"), env.IOError},
		{"create", Fault{Kind: EntryFault}, create("d/b.seg"), env.IOError},
		{"mkdir", Fault{Kind: EntryFault}, env.Op{Kind: env.OpMkdir, Path: "e"}, env.IOError},
		{"remove", Fault{Kind: EntryFault}, remove("d/a.seg"), env.IOError},
		{"rename, aimed at the old name", Fault{Kind: EntryFault, Suffix: "a.seg"}, rename("d/a.seg", "d/b.seg"), env.IOError},
		{"rename, aimed at the new name", Fault{Kind: EntryFault, Suffix: "b.seg"}, rename("d/a.seg", "d/b.seg"), env.IOError},
		{"truncate", Fault{Kind: EntryFault}, env.Op{Kind: env.OpTruncate, File: 1}, env.IOError},
		{"append, aimed at entries", Fault{Kind: EntryFault}, add("data"), env.OK},
		{"no space for a sync", Fault{Kind: SpaceFault}, syncFile(), env.NoSpace},
		{"no space for a directory's sync", Fault{Kind: SpaceFault}, syncDir("d"), env.NoSpace},
		{"no space for a new file", Fault{Kind: SpaceFault}, create("d/b.seg"), env.NoSpace},
		{"no space for a new directory", Fault{Kind: SpaceFault}, env.Op{Kind: env.OpMkdir, Path: "e"}, env.NoSpace},
		{"no space for a new name", Fault{Kind: SpaceFault}, rename("d/a.seg", "d/b.seg"), env.NoSpace},
		{"no space, and a file goes", Fault{Kind: SpaceFault}, remove("d/a.seg"), env.OK},
		{"no space, and a file is opened", Fault{Kind: SpaceFault}, open("d/a.seg"), env.OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(chance.Rates{})
			b.do(env.Op{Kind: env.OpMkdir, Path: "d"})
			b.do(create("d/a.seg"))
			b.disk.Inject(&c.fault)
			if got := b.do(c.op); got.Err != c.want {
				t.Errorf("%v, want %v", got.Err, c.want)
			}
		})
	}
}

// A failing write leaves a beginning of its data, of which it says the size.
func TestAFailingWriteIsShort(t *testing.T) {
	sizes := map[int64]bool{}
	b := newBench(chance.Rates{})
	b.do(create("f"))
	b.disk.Inject(&Fault{Kind: WriteFault})
	want := ""
	for range 60 {
		got := b.do(add("abcd"))
		if got.Err != env.IOError || got.N < 0 || got.N > 3 {
			t.Fatalf("%v after %d bytes, want %v after 0..3", got.Err, got.N, env.IOError)
		}
		sizes[got.N] = true
		want += "abcd"[:got.N]
	}
	if got := string(b.disk.Content("f")); got != want || b.disk.Free() != DefaultProfile.Capacity-int64(len(want)) {
		t.Errorf("holds %q with %d bytes free, want %q", got, b.disk.Free(), want)
	}
	if len(sizes) != 4 {
		t.Errorf("of 4 bytes it wrote only %v", sizes)
	}
}

func TestAFullDiskTakesWhatDoesNotGrow(t *testing.T) {
	b := newBench(chance.Rates{})
	b.do(create("f"), add("12345678"))
	b.disk.SetFull(true)
	for _, c := range []struct {
		op   env.Op
		want env.Errno
	}{
		{add("9"), env.NoSpace},
		{env.Op{Kind: env.OpWrite, File: 1, Offset: 7, Data: []byte("89")}, env.NoSpace},
		{env.Op{Kind: env.OpWrite, File: 1, Offset: 6, Data: []byte("XY")}, env.OK},
		{syncFile(), env.OK},
		{env.Op{Kind: env.OpTruncate, File: 1, Length: 7}, env.OK},
		{add("9"), env.NoSpace},
	} {
		if got := b.do(c.op); got.Err != c.want {
			t.Errorf("%s: %v, want %v", c.op.Kind, got.Err, c.want)
		}
	}
	if got := string(b.disk.Content("f")); got != "123456X" || b.disk.Free() != 0 {
		t.Errorf("holds %q with %d bytes free", got, b.disk.Free())
	}
	b.disk.SetFull(false)
	if got := b.do(add("8")); got.Err != env.OK {
		t.Errorf("with space again: %v", got.Err)
	}
}

func TestALargerDiskTakesMore(t *testing.T) {
	b := newBench(chance.Rates{})
	b.disk.profile.Capacity = 8
	b.do(create("f"), add("12345678"))
	if got := b.do(add("9")); got.Err != env.NoSpace {
		t.Fatalf("beyond the capacity: %v, want no space", got.Err)
	}
	b.disk.Extend(4) // it does not become smaller
	if b.disk.Extend(10); b.disk.Free() != 2 {
		t.Errorf("%d bytes free of 10, want 2", b.disk.Free())
	}
	if got := b.do(add("9")); got.Err != env.OK {
		t.Errorf("with space again: %v", got.Err)
	}
}

// Damage is seen by every read and survives syncs, kills and power failures,
// whether the data was synced before or not.
func TestDamageIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench(chance.Rates{})
		b.do(create("f"))
		b.do(syncDir(""))
		for range rapid.IntRange(1, 4).Draw(t, "writes") {
			b.do(add("abcdefgh"))
			if rapid.Bool().Draw(t, "synced") {
				b.do(syncFile())
			}
		}
		want := bytes.Clone(b.disk.Content("f"))
		mask := rapid.SliceOfN(rapid.Byte(), 1, 12).Draw(t, "mask")
		at := rapid.IntRange(0, len(want)-1).Draw(t, "at")
		for i, m := range mask {
			if at+i < len(want) {
				want[at+i] ^= m
			}
		}
		b.disk.Damage("f", int64(at), mask)
		check := func(when string) {
			got := b.do(env.Op{Kind: env.OpRead, File: 1, Length: 1000})
			if diff := cmp.Diff(want, got.Data); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", when, diff)
			}
		}
		check("at once")
		b.disk.Kill()
		b.do(open("f"))
		check("after a kill")
		b.do(syncFile())
		b.disk.Power()
		b.do(open("f"))
		check("after a power failure")
		b.do(env.Op{Kind: env.OpWrite, File: 1, Offset: int64(at), Data: []byte("!")})
		want[at] = '!'
		check("written again")
	})
}

func TestWipeLeavesAnEmptyDiskThatWorks(t *testing.T) {
	b := newBench(chance.Rates{})
	b.do(env.Op{Kind: env.OpMkdir, Path: "d"})
	b.do(create("d/f"), add("x"))
	b.submit(add("in flight"))
	b.disk.Wipe()
	b.flying = nil
	if got := b.disk.List(""); len(got) != 0 || b.disk.Unsynced() || b.disk.Free() != DefaultProfile.Capacity {
		t.Errorf("lists %q, unsynced: %v, %d bytes free", got, b.disk.Unsynced(), b.disk.Free())
	}
	b.do(create("f"), add("new"), syncFile(), syncDir(""))
	b.power()
	if got := string(b.disk.Content("f")); got != "new" {
		t.Errorf("after a power failure the new file holds %q", got)
	}
}

// The space of a removed file is free at once, and later operations through a handle change
// nothing, whatever they are.
func TestARemovedFileHoldsNoSpace(t *testing.T) {
	b := newBench(chance.Rates{})
	b.do(create("f"), add("12345678"))
	b.do(remove("f"))
	b.do(add("90"), env.Op{Kind: env.OpTruncate, File: 1, Length: 1})
	if got := b.disk.Free(); got != DefaultProfile.Capacity {
		t.Errorf("%d bytes free, want %d", got, DefaultProfile.Capacity)
	}
	if got := b.do(env.Op{Kind: env.OpRead, File: 1, Length: 9}); string(got.Data) != "1" {
		t.Errorf("through the handle it reads %q, %v", got.Data, got.Err)
	}
}

// A file whose removal a power failure lost is there again, and holds space.
func TestAFileThatComesBackHoldsSpace(t *testing.T) {
	b := newBench(chance.Rates{})
	b.do(create("f"), add("12345678"), syncFile(), syncDir(""))
	b.do(remove("f"))
	b.power()
	b.do(open("f"), add("90"))
	if got := DefaultProfile.Capacity - b.disk.Free(); got != 10 {
		t.Errorf("%d bytes are in use, want 10", got)
	}
}

func TestFilesAreListedInOrder(t *testing.T) {
	b := newBench(chance.Rates{})
	b.do(env.Op{Kind: env.OpMkdir, Path: "d"})
	for _, path := range []string{"e", "d/b", "d/a", "c"} {
		b.do(create(path), add(path))
	}
	want := []File{{"c", 1}, {"d/a", 3}, {"d/b", 3}, {"e", 1}}
	if diff := cmp.Diff(want, b.disk.Files()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// flat is a disk of round numbers without jitter.
var flat = Profile{Write: 10, Read: 10, Sync: 100, Meta: 10, Depth: 8, Capacity: 1 << 30, Sector: 512, Slow: 1000}

// finish submits one append to each of n files at time 0 and returns when they
// complete.
func finish(p Profile, n, size int) (done []int64) {
	b := newBench(chance.Rates{})
	b.disk.Reset(p)
	for i := range n {
		b.submit(env.Op{Kind: env.OpAppend, File: env.File(i + 1), Data: make([]byte, size)})
	}
	for range n {
		b.next()
		done = append(done, b.now)
	}
	return done
}

func TestWhatTheDeviceCanDo(t *testing.T) {
	slow, fast := flat, flat
	slow.Depth, fast.Depth = 1, 16
	wide := flat
	wide.PerKiB = 100
	limited := flat
	limited.PerOp = 7
	for _, c := range []struct {
		name    string
		profile Profile
		n, size int
		want    []int64
	}{
		{"eight operations at once, the ninth waits", flat, 10, 0, []int64{10, 10, 10, 10, 10, 10, 10, 10, 20, 20}},
		{"one at once", slow, 3, 0, []int64{10, 20, 30}},
		{"sixteen at once", fast, 17, 0, append(slices.Repeat([]int64{10}, 16), 20)},
		{"a transfer takes its time", wide, 1, 2048, []int64{210}},
		{"the bandwidth is the device's, not a file's", wide, 4, 2048, []int64{210, 400, 600, 800}},
		{"so is the rate of operations", limited, 4, 0, []int64{10, 17, 24, 31}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, finish(c.profile, c.n, c.size)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if DefaultProfile.Depth < 8 || DefaultProfile.PerKiB == 0 || DefaultProfile.PerOp == 0 {
		t.Errorf("the default disk %+v lacks depth, bandwidth or a rate", DefaultProfile)
	}
}

// Spans at their bounds on the slowest disk do not overflow.
func TestTimesIsExactUpToForever(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64Min(0).Draw(t, "a"), rapid.Int64Min(0).Draw(t, "b")
		c := rapid.SampledFrom([]int64{1000, 1024}).Draw(t, "c")
		want := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
		want.Div(want, big.NewInt(c))
		if want.Cmp(big.NewInt(forever)) > 0 {
			want.SetInt64(forever)
		}
		if got := times(a, b, uint64(c)); got != want.Int64() {
			t.Fatalf("%d * %d / %d is %d, want %d", a, b, c, got, want)
		}
	})
}

// A queue on one file is no queue on another: an operation that waits for its file's predecessors
// takes no place from one that is ready.
func TestAFilesQueueIsItsOwn(t *testing.T) {
	b := newBench(chance.Rates{})
	b.disk.Reset(flat)
	for range 50 {
		b.submit(syncFile())
	}
	if _, at := b.disk.Submit(0, &env.Op{Kind: env.OpAppend, File: 2, Data: []byte("x")}); at != flat.Write {
		t.Errorf("the other file's append completes at %d, want %d", at, flat.Write)
	}
}

// A rename belongs to two directories, and syncs of both cover it.
func TestASyncOfEitherDirectoryWaitsForARename(t *testing.T) {
	for dir := range 16 {
		b := newBench(chance.Rates{})
		b.disk.Reset(flat)
		to := fmt.Sprint("d", dir)
		b.do(env.Op{Kind: env.OpMkdir, Path: "from"}, env.Op{Kind: env.OpMkdir, Path: to})
		b.do(create("from/f"), syncDir("from"), syncDir(""))
		b.do(syncDir("from"), syncDir("from"), rename("from/f", to+"/f"), syncDir(to))
		b.power()
		if got := b.disk.List(to); len(got) != 1 {
			t.Errorf("after a sync of %s it lists %q", to, got)
		}
	}
}

// When the pace changes, running operations follow the new pace; waiting ones are not touched.
func TestPaceHoldsForWhatIsInFlight(t *testing.T) {
	b := newBench(chance.Rates{})
	b.disk.Reset(flat)
	for _, file := range []env.File{1, 2, 2} {
		b.disk.Submit(0, &env.Op{Kind: env.OpAppend, File: file, Data: []byte("x")})
	}
	for _, c := range []struct {
		name             string
		now, slow, stall int64
		want             string // when the three are due
		moved            string
	}{
		{"undisturbed", 0, 1, 0, "[10 10 -1]", ""},
		{"stalled", 5, 1, 1000, "[1010 1010 -1]", "0 1 "},
		{"stalled and slow", 5, 3, 1000, "[1030 1030 -1]", "0 1 "},
		{"only slow", 7, 3, 0, "[37 37 -1]", "0 1 "},
		{"undisturbed again", 8, 1, 0, "[18 18 -1]", "0 1 "},
	} {
		moved := ""
		b.disk.SetPace(c.now, c.slow, c.stall, nil, func(ref uint32, at int64) {
			moved += fmt.Sprint(ref, " ")
			if at != b.disk.Due(ref) {
				t.Errorf("%s: %d moves to %d, but is due at %d", c.name, ref, at, b.disk.Due(ref))
			}
		})
		if got := fmt.Sprint([]int64{b.disk.Due(0), b.disk.Due(1), b.disk.Due(2)}); got != c.want || moved != c.moved {
			t.Errorf("%s: due at %s, moved: %q; want %s, %q", c.name, got, moved, c.want, c.moved)
		}
	}
	b.disk.Finish(18, 1, b.started)
	if got := b.disk.Due(2); got != 28 {
		t.Errorf("the operation behind is due at %d, want 28", got)
	}
	b.disk.SetPace(20, 1, 100, nil, func(ref uint32, _ int64) {
		if ref == 1 {
			t.Error("what the device has done moves")
		}
	})
	if b.disk.Due(9) != -1 {
		t.Error("what was never submitted is due")
	}
}

// What fails on an entry changes nothing.
func TestAFailedEntryChangesNothing(t *testing.T) {
	for _, kind := range []FaultKind{EntryFault, SpaceFault} {
		b := newBench(chance.Rates{})
		b.do(env.Op{Kind: env.OpMkdir, Path: "d"}, create("d/a"), add("text"), syncFile(), syncDir("d"), syncDir(""))
		b.disk.Inject(&Fault{Kind: kind})
		for _, op := range []env.Op{rename("d/a", "d/b"), create("d/c"), {Kind: env.OpMkdir, Path: "e"}} {
			if got := b.do(op); got.Err != kind.errno() {
				t.Errorf("%s ends with %v, want %v", op.Kind, got.Err, kind.errno())
			}
		}
		if got := fmt.Sprint(b.disk.List(""), b.disk.List("d")); got != "[d/] [a]" || b.disk.Unsynced() {
			t.Errorf("lists %s, unsynced: %v; want [d/] [a], false", got, b.disk.Unsynced())
		}
	}
}

// A sync that finds no space drops the bytes that it should have made durable, as any sync that
// fails.
func TestASyncWithoutSpaceDropsWhatItCovers(t *testing.T) {
	b := newBench(chance.Rates{})
	b.do(create("f"), syncDir(""), add("one "), syncFile(), add("two"))
	b.disk.Inject(&Fault{Kind: SpaceFault, Limit: 1})
	if got := b.do(syncFile()); got.Err != env.NoSpace {
		t.Fatalf("the sync ends with %v", got.Err)
	}
	if got := b.do(syncFile()); got.Err != env.OK {
		t.Fatalf("the next sync ends with %v", got.Err)
	}
	b.power()
	if got := string(b.disk.Content("f")); got != "one " {
		t.Errorf("left %q, want %q", got, "one ")
	}
}

// One slow file delays only later operations on the same file: the write that was submitted last is
// durable first.
func TestASlowFileIsOvertaken(t *testing.T) {
	for _, c := range []struct {
		name string
		pace Pace
		want string // completions in order
		last int64  // when the last one is done
	}{
		{"nothing", Pace{Suffix: "none", Slow: 100, Stall: 9000}, "append 1, append 2, sync 1, sync 2", 20},
		{"slow", Pace{Suffix: "a.seg", Slow: 100}, "append 2, sync 2, append 1, sync 1", 2000},
		{"stalled", Pace{Suffix: "a.seg", Slow: 1, Stall: 500}, "append 2, sync 2, append 1, sync 1", 520},
		{"its directory", Pace{Suffix: "d/", Slow: 1, Stall: 500}, "append 2, sync 2, append 1, sync 1", 520},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(chance.Rates{})
			b.disk.Reset(Profile{Write: 10, Sync: 10, Depth: 8, Capacity: 1 << 20, Sector: 512, Slow: 1000})
			b.do(env.Op{Kind: env.OpMkdir, Path: "d"}, create("d/a.seg"), env.Op{Kind: env.OpCreate, File: 2, Path: "b.seg"})
			b.disk.SetPace(b.now, 1, 0, []Pace{c.pace}, b.started)
			for file := env.File(1); file <= 2; file++ {
				b.submit(env.Op{Kind: env.OpAppend, File: file, ID: env.OpID(file), Data: []byte("x")})
			}
			for file := env.File(1); file <= 2; file++ {
				b.submit(env.Op{Kind: env.OpSync, File: file, ID: env.OpID(10 + file)})
			}
			var order []string
			for len(b.flying) > 0 {
				done := b.next()
				order = append(order, fmt.Sprint([]string{"append ", "sync "}[done.ID/10], done.ID%10))
			}
			if got := strings.Join(order, ", "); got != c.want || b.now != c.last {
				t.Errorf("%s, the last at %d; want %s, at %d", got, b.now, c.want, c.last)
			}
		})
	}
}
