package control

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/internal/golden"
)

// whole tells everything of a change.
func whole(c *Change) string {
	switch {
	case c.Node != nil:
		return fmt.Sprintf("%d %+v", c.Index, *c.Node)
	case c.Tenant != nil:
		return fmt.Sprintf("%d %+v", c.Index, *c.Tenant)
	case c.Dropped != nil:
		return fmt.Sprintf("%d %+v", c.Index, *c.Dropped)
	}
	return fmt.Sprintf("%d %+v", c.Index, *c.Shard)
}

// told lists changes, one line each.
func told(changes []Change) (lines []string) {
	for i := range changes {
		lines = append(lines, fmt.Sprintf("%d %v", changes[i].Index, &changes[i]))
	}
	return lines
}

// The changes since an entry come in the order of the entries, those of one entry with tenants
// before shards. Each object comes once, and the founding configuration never.
func TestSince(t *testing.T) {
	l := newLog()
	l.must(t, after([]Command{excludes(1, m(0, 1), 7, 0), restarts(3, 2)}, ended(7), []Command{drains(4), elects(4, m(6, 1)), creates(9, nil, 3)})...)
	want := `
		3 node 3 incarnation 2 draining false
		7 tenant 7 dropped
		7 shard 1 epoch 1 version 3 led by 2/1, in sync [0/1 1/1 2/1]
		8 node 4 incarnation 1 draining true
		9 shard 4 epoch 2 version 2 led by 6/1, in sync [5/1 6/1 7/1]
		10 tenant 9 version 1 in shards [3] dropping false, slot 0 granted [10000 10000 1000000000 1000000000000000] at 10 taken 0 holds [10000 10000 1000000000 1000000000000000] closed false`
	for from := range uint64(12) {
		expected := slices.DeleteFunc(lines(want), func(line string) bool {
			var index uint64
			fmt.Sscan(line, &index)
			return index <= from
		})
		if diff := gocmp.Diff(strings.Join(expected, "\n"), strings.Join(told(l.plane.Since(from, nil)), "\n")); diff != "" {
			t.Errorf("since %d (-want +got):\n%s", from, diff)
		}
	}
	if got := living(New(founding())).Since(0, nil); got != nil {
		t.Errorf("nothing has changed but %v", told(got))
	}
	if got := l.plane.Since(9, []Change{{Index: 99, Dropped: &Tombstone{}}}); len(got) != 2 || got[0].Index != 99 {
		t.Errorf("what was there before is not kept: %v", told(got))
	}
}

func TestAnyChangesReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyState(t).plane
		from := rapid.Uint64Range(0, p.Index()+1).Draw(t, "from")
		changes := p.Since(from, nil)
		if !slices.IsSortedFunc(changes, func(a, b Change) int {
			return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.rank(), b.rank()))
		}) {
			t.Fatalf("not in order: %v", told(changes))
		}
		b, upTo := AppendChanges([]byte("before"), from, p.Index(), changes, math.MaxInt)
		from2, back, err := DecodeChanges(b[len("before"):])
		if err != nil || from2 != from || upTo != p.Index() || !slices.EqualFunc(back, changes, func(a, b Change) bool { return whole(&a) == whole(&b) }) {
			t.Fatalf("%v after %d up to %d read back as %v after %d, %v", told(changes), from, upTo, told(back), from2, err)
		}
	})
}

func TestDamagedChanges(t *testing.T) {
	l := newLog()
	l.must(t, after(small, gives(0), ended(8), []Command{excludes(1, m(0, 1), 7, 0), drains(4)})...)
	good, _ := AppendChanges(nil, 1, l.plane.Index(), l.plane.Since(1, nil), math.MaxInt)
	for n := range good {
		after, changes, err := DecodeChanges(good[:n])
		if err != nil && !errors.Is(err, ErrSnapshot) {
			t.Errorf("%d of %d bytes: %v", n, len(good), err)
		}
		if err == nil && n > 8 { // it ends where an object ends
			if again, _ := AppendChanges(nil, after, after, changes, math.MaxInt); !bytes.Equal(again, good[:n]) {
				t.Errorf("%d of %d bytes are read as %v", n, len(good), told(changes))
			}
		}
		if n < 8 && err == nil {
			t.Errorf("%d bytes are changes", n)
		}
	}
	for _, c := range []struct {
		bytes string
		says  string
	}{
		{"\x01\x00\x00\x00\x00\x00\x00\x00x", "not a snapshot of the control plane: change 1: 0x78 is no kind of object"},
		{"\x01\x00\x00\x00\x00\x00\x00\x00d\x01", "not a snapshot of the control plane: change 1: the bytes end within a field"},
		{"\x01\x00\x00\x00\x00\x00\x00\x00n\x04\x00\x00\x00\x02eu\x01\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 56) + "\x02\x00\x00\x00\x00\x00\x00\x00\x00", "not a snapshot of the control plane: change 1: a number is out of its range"},
	} {
		if _, _, err := DecodeChanges([]byte(c.bytes)); err == nil || err.Error() != c.says {
			t.Errorf("%q: %v, want %s", c.bytes, err, c.says)
		}
	}
}

// view is a reader's knowledge of a plane.
type view struct {
	objects map[string]string // nodes and shards, by name: all of them as a text
	tenants map[tenant.ID]string
	dropped map[tenant.ID]bool
}

func newView() *view {
	v := &view{tenants: map[tenant.ID]string{}, dropped: map[tenant.ID]bool{}, objects: map[string]string{}}
	v.heed(all(living(New(founding()))))
	return v
}

// all returns every object of a plane as if it had changed.
func all(p *Plane) (changes []Change) {
	for i := range p.nodes {
		changes = append(changes, Change{Index: p.nodes[i].Index, Node: &p.nodes[i]})
	}
	for i := range p.tenants {
		changes = append(changes, Change{Index: p.tenants[i].Index, Tenant: &p.tenants[i]})
	}
	for i := range p.dropped {
		changes = append(changes, Change{Index: p.dropped[i].Index, Dropped: &p.dropped[i]})
	}
	for i := range p.shards {
		changes = append(changes, Change{Index: p.shards[i].Index, Shard: &p.shards[i]})
	}
	return changes
}

func (v *view) heed(changes []Change) {
	for i := range changes {
		switch c := &changes[i]; {
		case c.Node != nil:
			v.objects[fmt.Sprintf("node %d", c.Node.ID)] = whole(c)
		case c.Tenant != nil:
			v.tenants[c.Tenant.Config.ID] = whole(c)
		case c.Dropped != nil:
			delete(v.tenants, c.Dropped.Tenant)
			v.dropped[c.Dropped.Tenant] = true
		default:
			v.objects[fmt.Sprintf("shard %d", c.Shard.ID)] = whole(c)
		}
	}
}

// page is a coordinator's message at some moment.
type page struct {
	upTo, last uint64
	bytes      []byte
}

func (l *log) page(after uint64, budget int) page {
	b, upTo := AppendChanges(nil, after, l.plane.Index(), l.plane.Since(after, nil), budget)
	return page{upTo, l.plane.Index(), b}
}

// take reads a page as a node does.
func (v *view) take(t *rapid.T, r *Reader, p page) []Change {
	after, changes, err := DecodeChanges(p.bytes)
	if err != nil {
		t.Fatal(err)
	}
	heed := r.Take(after, p.upTo, p.last, changes)
	v.heed(heed)
	return heed
}

// A reader that gets the feed in parts, however small, some of them delayed, lost or duplicated,
// while the plane changes, knows the plane in the end. It never applies a shard without knowing
// each tenant that was created in it before, and each that was dropped before.
func TestWhoReadsInPartsKnowsTheSame(t *testing.T) {
	parts, changed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		l, v, r := newLog(), newView(), Reader{}
		created, dropped := map[tenant.ID]uint64{}, map[tenant.ID]uint64{}
		budget := rapid.SampledFrom([]int{0, 50, 300, math.MaxInt}).Draw(t, "budget")
		var said []page
		heed := func(p page) {
			before := r.Index()
			heeded := v.take(t, &r, p)
			if r.Index() < before {
				t.Fatalf("it knows what has changed up to %d, and before up to %d", r.Index(), before)
			}
			for _, c := range heeded {
				if c.Shard == nil {
					continue
				}
				for id, index := range created {
					if _, knows := v.tenants[id]; index < c.Index && dropped[id] == 0 && !knows {
						t.Fatalf("told %v: shard %d as of entry %d is heeded, and nothing is known of tenant %s, created by entry %d", told(heeded), c.Shard.ID, c.Index, id, index)
					}
				}
				for id, index := range dropped {
					if index < c.Index && !v.dropped[id] {
						t.Fatalf("told %v: shard %d as of entry %d is heeded, and it is not known that tenant %s was dropped by entry %d", told(heeded), c.Shard.ID, c.Index, id, index)
					}
				}
			}
		}
		for range rapid.IntRange(10, 80).Draw(t, "events") {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1, 2:
				c := anyCommand(t, l.plane)
				tombs := len(l.plane.dropped)
				if l.do(c).Refusal == Done && c.Kind == CreateTenant {
					created[c.Config.ID] = l.index
				}
				if len(l.plane.dropped) > tombs {
					dropped[c.Tenant] = l.index
				}
				changed++
			case 3:
				said = append(said, l.page(r.Index(), budget))
			case 4:
				if len(said) > 0 { // late, again, or not at all
					heed(rapid.SampledFrom(said).Draw(t, "page"))
				}
			case 5:
				heed(l.page(r.Index(), budget))
			}
		}
		for r.Index() < l.plane.Index() {
			before := r.Index()
			heed(l.page(r.Index(), budget))
			if parts++; r.Index() == before {
				t.Fatalf("a part of %d bytes tells nothing after %d of %d", budget, before, l.plane.Index())
			}
		}
		want := newView()
		want.heed(all(l.plane))
		for id := range want.dropped {
			delete(want.tenants, id)
		}
		if diff := gocmp.Diff(want, v, gocmp.AllowUnexported(view{})); diff != "" {
			t.Fatalf("what is so, and what is known (-want +got):\n%s", diff)
		}
	})
	if parts < 100 || changed < 500 {
		t.Errorf("%d parts were told of %d commands, want more", parts, changed)
	}
}

// A chunk that leaves a gap changes nothing; of a chunk that overlaps, only the new part counts.
func TestWhatDoesNotFollowIsNotTaken(t *testing.T) {
	l := newLog()
	l.must(t, drains(0), undrains(0), drains(4), elects(1, m(0, 1)), undrains(4))
	changes := l.plane.Since(0, nil)
	names := func(heed []Change) string { return strings.Join(told(heed), "; ") }
	const drain0, shard, undrain4 = "3 node 0 incarnation 1 draining false", "5 shard 1 epoch 2 version 2 led by 0/1, in sync [0/1 1/1 2/1]", "6 node 4 incarnation 1 draining false"
	var r Reader
	for _, c := range []struct {
		after, upTo, last uint64
		changes           []Change
		want              string
		index             uint64
	}{
		{3, 6, 6, changes[1:], "", 0},
		{0, 3, 6, changes[:1], drain0, 3},
		{0, 3, 6, changes[:1], "", 3},
		{4, 6, 6, changes[1:], "", 3},
		{3, 5, 6, changes[1:2], "", 5}, // the shard waits for the entries after it
		{0, 5, 5, changes[:2], "", 5},  // likewise for a reader that knows less
		{2, 6, 6, changes, undrain4 + "; " + shard, 6},
		{2, 6, 6, changes, "", 6},
		{6, 6, 6, nil, "", 6},
	} {
		if got := names(r.Take(c.after, c.upTo, c.last, c.changes)); got != c.want || r.Index() != c.index {
			t.Errorf("after %d up to %d of %d: %q, up to %d; want %q, up to %d", c.after, c.upTo, c.last, got, r.Index(), c.want, c.index)
		}
	}
}

// The changes of one entry arrive together: a reader that is up to date with an entry knows all of
// its changes.
func TestWhatOneEntryChangedIsNotParted(t *testing.T) {
	l := newLog()
	l.must(t, after([]Command{drains(4), excludes(1, m(0, 1), 7, 0), excludes(2, m(1, 1), 7, 1), elects(4, m(6, 1))}, ended(7))...)
	var got []string
	for after := uint64(0); after < l.plane.Index(); {
		p := l.page(after, 0)
		_, changes, err := DecodeChanges(p.bytes)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("up to %d:", p.upTo)
		for i := range changes {
			name, _, _ := strings.Cut(changes[i].String(), " epoch ")
			text += " " + name + ";"
		}
		got, after = append(got, text), p.upTo
	}
	want := []string{"up to 2: node 4 incarnation 1 draining true;", "up to 5: shard 4;", "up to 9: tenant 7 dropped; shard 1; shard 2;"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

func FuzzDecodeChanges(f *testing.F) {
	l := newLog()
	f.Add(l.page(0, math.MaxInt).bytes)
	for _, c := range after(small, gives(0), ended(8), []Command{excludes(1, m(0, 1), 7, 0), drains(4)}) {
		l.do(c)
	}
	f.Add(l.page(0, math.MaxInt).bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		after, changes, err := DecodeChanges(b)
		if err != nil {
			if !errors.Is(err, ErrSnapshot) {
				t.Errorf("%x: %v", b, err)
			}
			return
		}
		if again, _ := AppendChanges(nil, after, after, changes, math.MaxInt); !bytes.Equal(again, b) {
			t.Errorf("%x is written as %x: %v", b, again, told(changes))
		}
		new(Reader).Take(after, after, after, changes)
	})
}

// TestGoldenChanges: one object of each kind, as a node is told.
func TestGoldenChanges(t *testing.T) {
	l := newLog()
	l.must(t, excludes(1, m(0, 1), 7, 2), restarts(1, 2), creates(9, tenant.Residency{"us"}, 3, 4))
	l.must(t, ended(8)...)
	changes := l.plane.Since(founded, nil)
	b, upTo := AppendChanges(nil, founded, l.plane.Index(), changes, math.MaxInt)
	text := fmt.Sprintf("# Changes of version 3, up to entry %d. They hold for ever.\n", upTo)
	golden.Text(t, "testdata/v3/changes.txt", text+strings.Join(told(changes), "\n")+"\n"+hex.Dump(b), *rewrite)
	kinds := [4]bool{}
	for i := range changes {
		c := &changes[i]
		kinds = [4]bool{kinds[0] || c.Node != nil, kinds[1] || c.Tenant != nil, kinds[2] || c.Dropped != nil, kinds[3] || c.Shard != nil}
	}
	if kinds != [4]bool{true, true, true, true} {
		t.Errorf("nodes, tenants, dropped tenants, shards: %v", kinds)
	}
}
