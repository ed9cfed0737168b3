package disk_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
	host "github.com/tidaldb/tidalsim/host/disk"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/disk"
)

// onReal does operations one after the other in a directory of the machine that the test runs on.
func onReal(t *testing.T, dir string, ops []env.Op) (done []string) {
	t.Helper()
	ended := make(chan string, 1)
	d, err := host.Open(dir, host.Config{Reserve: -1}, func(c host.Completion) { ended <- fmt.Sprintf("%d %v %q", c.ID, c.Err.Error(), c.Data) })
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		d.Submit(op)
		done = append(done, <-ended)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return done
}

// onVirtual does operations one after the other on a virtual disk.
func onVirtual(t *testing.T, d *disk.Disk, ops []env.Op) (done []string) {
	t.Helper()
	for i := range ops {
		ref, at := d.Submit(0, &ops[i])
		d.Finish(at, ref, func(uint32, int64) { t.Fatal("an operation waited, though none was under way") })
		c := d.Complete(ref)
		done = append(done, fmt.Sprintf("%d %v %q", c.ID, c.Err.Error(), c.Data))
	}
	return done
}

// A directory is copied aside, worked on, and put back: what was written, made, removed and renamed
// since is undone, also what was not synced when the copy was made is there.
func TestAsOnARealDiskACopyIsPutBack(t *testing.T) {
	before := []env.Op{
		{Kind: env.OpMkdir, Path: "d", ID: 1},
		{Kind: env.OpCreate, File: 1, Path: "d/kept", ID: 2}, {Kind: env.OpAppend, File: 1, Data: []byte("synced "), ID: 3}, {Kind: env.OpSync, File: 1, ID: 4},
		{Kind: env.OpAppend, File: 1, Data: []byte("unsynced"), ID: 5},
		{Kind: env.OpCreate, File: 2, Path: "removed", ID: 6}, {Kind: env.OpAppend, File: 2, Data: []byte("removed"), ID: 7},
		{Kind: env.OpCreate, File: 3, Path: "renamed", ID: 8},
	}
	since := []env.Op{
		{Kind: env.OpOpen, File: 4, Path: "d/kept", ID: 11}, {Kind: env.OpAppend, File: 4, Data: []byte(" and more"), ID: 12}, {Kind: env.OpSync, File: 4, ID: 13},
		{Kind: env.OpCreate, File: 5, Path: "d/made", ID: 14}, {Kind: env.OpSyncDir, Path: "d", ID: 15},
		{Kind: env.OpRemove, Path: "removed", ID: 16}, {Kind: env.OpRename, Path: "renamed", To: "d/renamed", ID: 17}, {Kind: env.OpSyncDir, ID: 18},
	}
	after := []env.Op{
		{Kind: env.OpOpen, File: 6, Path: "d/kept", ID: 21}, {Kind: env.OpRead, File: 6, Length: 99, ID: 22},
		{Kind: env.OpOpen, File: 7, Path: "d/made", ID: 23}, {Kind: env.OpOpen, File: 7, Path: "d/renamed", ID: 24},
		{Kind: env.OpOpen, File: 7, Path: "removed", ID: 25}, {Kind: env.OpRead, File: 7, Length: 99, ID: 26},
		{Kind: env.OpOpen, File: 8, Path: "renamed", ID: 27}, {Kind: env.OpMkdir, Path: "d", ID: 28},
	}
	dir, aside := filepath.Join(t.TempDir(), "disk"), filepath.Join(t.TempDir(), "aside")
	put := func(to, from string) {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	want := onReal(t, dir, before)
	put(aside, dir)
	want = append(want, onReal(t, dir, since)...)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	put(dir, aside)
	want = append(want, onReal(t, dir, after)...)

	var decider chance.Decider
	decider.Reset(1, chance.Rates{}, false)
	d := disk.New(0, &decider)
	var image disk.Image
	got := onVirtual(t, d, before)
	d.Take(&image)
	got = append(got, onVirtual(t, d, since)...)
	d.Restore(&image)
	got = append(got, onVirtual(t, d, after)...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-real +virtual):\n%s", diff)
	}
	if !slices.Contains(got, `22 ok "synced unsynced"`) {
		t.Errorf("the copy does not hold what was written before it was made: %v", got)
	}
}
