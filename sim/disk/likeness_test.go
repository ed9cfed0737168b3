package disk_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
	host "github.com/tidaldb/tidalsim/host/disk"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/disk"
)

// The tests of this file do the same to a real file system and to the virtual one.

// real does operations in a directory of the machine that the test runs on, all at once, and
// returns what came of them in the order in which it came.
func real(t *testing.T, dir string, ops []env.Op) (done []string) {
	t.Helper()
	var mu sync.Mutex
	var left sync.WaitGroup
	left.Add(len(ops))
	d, err := host.Open(dir, host.Config{}, func(c host.Completion) {
		mu.Lock()
		defer mu.Unlock()
		done = append(done, fmt.Sprint(c.ID, " ", c.Err.Error()))
		left.Done()
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		d.Submit(op)
	}
	left.Wait()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return done
}

// virtual does the same on a virtual disk on which prepare has been done, and which is disturbed
// then.
func virtual(prepare []env.Op, disturb func(d *disk.Disk, started func(uint32, int64)), ops []env.Op) (done []string) {
	type flight struct {
		ref uint32
		at  int64
	}
	var decider chance.Decider
	decider.Reset(1, chance.Rates{}, false)
	d := disk.New(0, &decider)
	var flying []flight
	started := func(ref uint32, at int64) {
		if at >= 0 {
			flying = append(flying, flight{ref, at})
		}
	}
	all := func(ops []env.Op) (done []string) {
		for i := range ops {
			started(d.Submit(0, &ops[i]))
		}
		for len(flying) > 0 {
			slices.SortStableFunc(flying, func(a, b flight) int { return int(a.at - b.at) })
			first := flying[0]
			flying = flying[1:]
			d.Finish(first.at, first.ref, started)
			c := d.Complete(first.ref)
			done = append(done, fmt.Sprint(c.ID, " ", c.Err.Error()))
		}
		return done
	}
	all(prepare)
	if disturb != nil {
		disturb(d, started)
	}
	return all(ops)
}

// Operations on other files overtake a slow one: the first submitted is not the first done.
func TestAsOnARealDiskASlowFileIsOvertaken(t *testing.T) {
	files := []env.Op{{Kind: env.OpCreate, File: 1, Path: "slow", ID: 1}, {Kind: env.OpCreate, File: 2, Path: "quick", ID: 2}}
	work := func(size int) []env.Op {
		return []env.Op{
			{Kind: env.OpAppend, File: 1, Data: make([]byte, size), ID: 11}, {Kind: env.OpSync, File: 1, ID: 12},
			{Kind: env.OpAppend, File: 2, Data: []byte("x"), ID: 21}, {Kind: env.OpSync, File: 2, ID: 22},
		}
	}
	want := []string{"21 ok", "22 ok", "11 ok", "12 ok"}
	overtaken := false
	for round := 0; round < 20 && !overtaken; round++ { // the machine may be busy with something else
		overtaken = slices.Equal(want, real(t, t.TempDir(), append(slices.Clone(files), work(64<<20)...))[len(files):])
	}
	if !overtaken {
		t.Error("the real disk never finishes what is quick before what is slow")
	}
	got := virtual(files, func(d *disk.Disk, started func(uint32, int64)) {
		d.SetPace(0, 1, 0, []disk.Pace{{Suffix: "slow", Slow: 100}}, started)
	}, work(1))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("virtual (-want +got):\n%s", diff)
	}
}

// An operation on an entry that a real file system cannot do ends with an input/output error, and
// changes nothing.
func TestAsOnARealDiskEntriesFail(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil { // no name leads anywhere through it
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "there"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("n", 300) // longer than a name may be
	ops := func(loop, long string) []env.Op {
		return []env.Op{
			{Kind: env.OpOpen, File: 1, Path: loop, ID: 1},
			{Kind: env.OpCreate, File: 2, Path: long, ID: 2},
			{Kind: env.OpMkdir, Path: long, ID: 3},
			{Kind: env.OpRename, Path: "there", To: long, ID: 4},
			{Kind: env.OpOpen, File: 3, Path: "there", ID: 5},
		}
	}
	want := real(t, dir, ops("loop", long))
	there := []env.Op{{Kind: env.OpCreate, File: 9, Path: "there"}, {Kind: env.OpCreate, File: 8, Path: "loop"}}
	got := virtual(there, func(d *disk.Disk, _ func(uint32, int64)) {
		d.Inject(&disk.Fault{Kind: disk.EntryFault, Suffix: "loop"})
		d.Inject(&disk.Fault{Kind: disk.EntryFault, Suffix: "long"})
	}, ops("loop", "long"))
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-real +virtual):\n%s", diff)
	}
}
