package disk

import (
	"fmt"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
)

// The time that a machine waits for an operation on the directory that b.TempDir gives, from Submit
// to the completion, hand-over between goroutines included: TMPDIR chooses the disk.
// docs/calibration.md compares it with the profile of the virtual disk.

// asker submits operations and waits for them.
type asker struct {
	*testing.B
	disk *Disk
	done chan Completion
	last env.OpID
}

func newAsker(b *testing.B, c Config) *asker {
	a := &asker{B: b, done: make(chan Completion, 1<<10)}
	d, err := Open(b.TempDir(), c, func(c Completion) { a.done <- c })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.Close() })
	a.disk = d
	return a
}

func (a *asker) submit(ops ...env.Op) {
	for _, op := range ops {
		a.last++
		op.ID = a.last
		a.disk.Submit(op)
	}
}

func (a *asker) await(n int) {
	for range n {
		if c := <-a.done; c.Err != env.OK {
			a.Fatalf("operation %d: %v", c.ID, c.Err)
		}
	}
}

func (a *asker) do(ops ...env.Op) {
	a.submit(ops...)
	a.await(len(ops))
}

// timed does the unmeasured operations, and then the measured ones.
func (a *asker) timed(before, op func(i int) []env.Op) {
	a.ResetTimer()
	for i := range a.N {
		if before != nil {
			a.StopTimer()
			a.do(before(i)...)
			a.StartTimer()
		}
		a.do(op(i)...)
	}
}

func one(op env.Op) func(int) []env.Op { return func(int) []env.Op { return []env.Op{op} } }

// BenchmarkOperation measures operations one at a time, on a file of some MiB.
func BenchmarkOperation(b *testing.B) {
	page := make([]byte, 4<<10)
	write := one(env.Op{Kind: env.OpWrite, File: 1, Offset: 8 << 10, Data: page[:101]})
	grow := one(env.Op{Kind: env.OpAppend, File: 1, Data: page[:101]})
	sync := one(env.Op{Kind: env.OpSync, File: 1})
	// The directory stays small: one entry that is made in it is there at a time.
	name := func(i int) string { return fmt.Sprintf("d/%d", i) }
	create := func(i int) []env.Op { return []env.Op{{Kind: env.OpCreate, Path: name(i), File: 2}} }
	remove := func(i int) []env.Op { return []env.Op{{Kind: env.OpRemove, Path: name(i)}} }
	made := func(i int) []env.Op { return append(create(i), env.Op{Kind: env.OpClose, File: 2}) }
	removed := func(i int) []env.Op {
		if i == 0 {
			return nil
		}
		return append(remove(i-1), env.Op{Kind: env.OpClose, File: 2})
	}
	for _, c := range []struct {
		name       string
		reserve    int64
		before, op func(i int) []env.Op
	}{
		{"write", -1, nil, write},
		{"read", -1, nil, one(env.Op{Kind: env.OpRead, File: 1, Length: 1 << 10})},
		{"sync of what was overwritten", -1, write, sync},
		{"sync of what was appended", -1, grow, sync},
		{"sync of what was appended, reserve", 1 << 20, grow, sync},
		{"sync of a directory", -1, func(i int) []env.Op { return append(removed(i), create(i)...) },
			one(env.Op{Kind: env.OpSyncDir, Path: "d"})},
		{"create", -1, removed, create},
		{"rename", -1, made, func(i int) []env.Op { return []env.Op{{Kind: env.OpRename, Path: name(i), To: "d/renamed"}} }},
		{"remove", -1, made, remove},
	} {
		b.Run(c.name, func(b *testing.B) {
			a := newAsker(b, Config{Reserve: c.reserve})
			a.do(env.Op{Kind: env.OpMkdir, Path: "d"}, env.Op{Kind: env.OpCreate, Path: "f", File: 1})
			for range 1 << 10 {
				a.do(env.Op{Kind: env.OpAppend, File: 1, Data: page})
			}
			a.do(env.Op{Kind: env.OpSync, File: 1}, env.Op{Kind: env.OpSyncDir, Path: "d"})
			a.timed(c.before, c.op)
		})
	}
}

// BenchmarkTransfer measures the bandwidth of the device: a large piece is written over existing
// bytes, and synced.
func BenchmarkTransfer(b *testing.B) {
	const size = 16 << 20
	a := newAsker(b, Config{Reserve: -1})
	data := make([]byte, size)
	again := func(int) []env.Op {
		return []env.Op{{Kind: env.OpWrite, File: 1, Data: data}, {Kind: env.OpSync, File: 1}}
	}
	a.do(env.Op{Kind: env.OpCreate, Path: "f", File: 1})
	a.do(again(0)...)
	b.SetBytes(size)
	a.timed(nil, again)
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/(size/1024), "ns/KiB")
}

// BenchmarkDepth measures many files at once: the time of one more write, and of one more write
// with its sync, when the disk is never idle.
func BenchmarkDepth(b *testing.B) {
	for _, files := range []int{1, 8, 32} {
		for _, syncs := range []bool{false, true} {
			b.Run(fmt.Sprintf("files=%d/syncs=%t", files, syncs), func(b *testing.B) { depth(b, files, syncs) })
		}
	}
}

func depth(b *testing.B, files int, syncs bool) {
	a := newAsker(b, Config{Reserve: -1})
	var ops []env.Op
	for f := range env.File(files) {
		a.do(env.Op{Kind: env.OpCreate, Path: fmt.Sprint(f), File: f + 1})
		ops = append(ops, env.Op{Kind: env.OpWrite, File: f + 1, Data: make([]byte, 101)})
		if syncs {
			ops = append(ops, env.Op{Kind: env.OpSync, File: f + 1})
		}
	}
	a.do(ops...)
	b.ResetTimer()
	for range (b.N + files - 1) / files {
		a.do(ops...)
	}
}
