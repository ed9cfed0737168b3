package sim_test

import (
	"bytes"
	"math/bits"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// library writes three synced files of zeros at its first start and nothing else.
type library struct {
	env   env.Env
	first bool // it is the first start
}

const volume = 2048

func (l *library) Step(ev *env.Event) {
	switch {
	case !l.first:
		return
	case ev.Kind == env.Started:
		l.env.Submit(env.Op{Kind: env.OpMkdir, Path: "shelf", ID: 1})
		return
	case ev.Op != 1: // another directory's operations need not wait for it
		return
	}
	for i, path := range libraryFiles {
		f := env.File(i + 1)
		l.env.Submit(env.Op{Kind: env.OpCreate, File: f, Path: path})
		l.env.Submit(env.Op{Kind: env.OpAppend, File: f, Data: make([]byte, volume)})
		l.env.Submit(env.Op{Kind: env.OpSync, File: f})
	}
	l.env.Submit(env.Op{Kind: env.OpSyncDir, Path: "shelf"})
	l.env.Submit(env.Op{Kind: env.OpSyncDir})
}

func (l *library) Status(*env.Status) {}

var libraryFiles = []string{"shelf/a.seg", "shelf/b.seg", "index"}

type mayDamage = func(process env.ID, path string, from, to int64) bool

func anything(env.ID, string, int64, int64) bool { return true }

// rotten lives through disruptions at 5 ms and a power failure at 6 ms, and returns the contents of
// the files after it.
func rotten(t *testing.T, w *sim.World, seed plan.Seed, may mayDamage, disruptions ...plan.Disruption) map[string][]byte {
	t.Helper()
	p := plan.Quiet()
	p.Seed, p.Duration, p.Disk.Sector = seed, 20*ms, 512
	for _, d := range disruptions {
		d.When.At = 5 * ms
		p.Disruptions = append(p.Disruptions, d)
	}
	p.Disruptions = append(p.Disruptions, plan.Disruption{Kind: plan.Power, When: plan.Anchor{At: 6 * ms}})
	starts := 0
	newLibrary := func(e env.Env) env.Machine {
		starts++
		return &library{e, starts == 1}
	}
	config := sim.Config{Programs: []sim.Program{{New: newLibrary}}, MayDamage: may}
	if err := w.Reset(config, p); err != nil {
		t.Fatal(err)
	}
	w.Run(func() bool { return w.Time() > 10*ms })
	left := map[string][]byte{}
	for _, path := range libraryFiles {
		left[path] = bytes.Clone(w.Disk(0).Content(path))
	}
	return left
}

// damage counts the damaged bits and says where the first and the last damaged
// byte are.
func damage(content []byte) (n, first, last int) {
	first = -1
	for i, b := range content {
		if b != 0 {
			n += bits.OnesCount8(b)
			last = i
			if first < 0 {
				first = i
			}
		}
	}
	return n, first, last
}

func TestRotDamagesOneBitOrOneSectorForGood(t *testing.T) {
	for seed := range plan.Seed(20) {
		var w sim.World
		bit := rotten(t, &w, seed, anything, plan.Disruption{Kind: plan.Rot, Files: "b.seg"})
		if n, _, _ := damage(bit["shelf/b.seg"]); n != 1 {
			t.Errorf("seed %d: %d bits are damaged, want 1", seed, n)
		}
		sector := rotten(t, &w, seed, anything, plan.Disruption{Kind: plan.Rot, Files: "b.seg", Amount: 1})
		n, first, last := damage(sector["shelf/b.seg"])
		if n < 512 || first/512 != last/512 || last-first != 511 {
			t.Errorf("seed %d: %d bits in %d..%d are damaged, want every byte of one sector", seed, n, first, last)
		}
		for _, left := range []map[string][]byte{bit, sector} {
			if n, _, _ := damage(append(left["shelf/a.seg"], left["index"]...)); n != 0 {
				t.Errorf("seed %d: %d bits are damaged in files that it was not aimed at", seed, n)
			}
		}
	}
}

func TestRotStaysWithinItsAimAndItsBudget(t *testing.T) {
	budget := func(_ env.ID, path string, from, to int64) bool {
		return path == "shelf/a.seg" && from >= 1024 && to <= 1536 || path == "index"
	}
	for seed := range plan.Seed(20) {
		var w sim.World
		left := rotten(t, &w, seed, budget, plan.Disruption{Kind: plan.Rot, Files: ".seg", Amount: 1})
		if n, first, last := damage(left["shelf/a.seg"]); n == 0 || first != 1024 || last != 1535 {
			t.Errorf("seed %d: %d bits in %d..%d, want the one sector that may be damaged", seed, n, first, last)
		}
		left = rotten(t, &w, seed, anything, plan.Disruption{Kind: plan.Rot, Files: "index", FromByte: 700, ToByte: 710, Amount: 1})
		if _, first, last := damage(left["index"]); first != 700 || last != 709 {
			t.Errorf("seed %d: %d..%d is damaged, want 700..709", seed, first, last)
		}
	}
}

// The owner is told of each place that is damaged, before it is, and of no other.
func TestTheOwnerIsToldWhatRots(t *testing.T) {
	var w sim.World
	var told []string
	p := plan.Quiet()
	p.Duration = 20 * ms
	for _, files := range []string{"index", "a.seg", "nothing"} {
		p.Disruptions = append(p.Disruptions, plan.Disruption{Kind: plan.Rot, Files: files, When: plan.Anchor{At: 5 * ms}})
	}
	config := sim.Config{
		Programs: []sim.Program{{New: func(e env.Env) env.Machine { return &library{e, true} }}}, MayDamage: anything,
		Damaged: func(_ env.ID, path string) {
			if n, _, _ := damage(w.Disk(0).Content(path)); n == 0 {
				told = append(told, path)
			}
		},
	}
	if err := w.Reset(config, p); err != nil {
		t.Fatal(err)
	}
	w.Run(func() bool { return w.Time() > 10*ms })
	if len(told) != 2 || told[0] != "index" || told[1] != "shelf/a.seg" {
		t.Errorf("told of %q, want the two files that were damaged", told)
	}
}

// Where a disruption strikes does not change when others are left out, and equal
// ones do not take each other back.
func TestRotStrikesTheSamePlaceInASmallerPlan(t *testing.T) {
	var w sim.World
	rot := plan.Disruption{Kind: plan.Rot}
	other := plan.Disruption{Kind: plan.Rot, Files: "index", Amount: 1}
	alone := rotten(t, &w, 7, anything, rot)
	both := rotten(t, &w, 7, anything, other, rot)
	found := false
	for _, path := range []string{"shelf/a.seg", "shelf/b.seg", "index"} {
		if n, first, _ := damage(alone[path]); n > 0 {
			found = true
			if both[path][first] == 0 {
				t.Errorf("with another disruption before it, byte %d of %s is sound", first, path)
			}
		}
	}
	twice := rotten(t, &w, 7, anything, rot, rot)
	n := 0
	for _, path := range libraryFiles {
		bits, _, _ := damage(twice[path])
		n += bits
	}
	if !found || n != 2 {
		t.Errorf("found: %v; twice the same disruption damages %d bits, want 2", found, n)
	}
}

func TestWipeReplacesTheDiskWithinTheBudget(t *testing.T) {
	var w sim.World
	left := rotten(t, &w, 1, anything, plan.Disruption{Kind: plan.Wipe})
	if len(left["index"]) != 0 || len(w.Disk(0).List("")) != 0 || w.Disk(0).Free() != plan.Quiet().Disk.Capacity {
		t.Errorf("a replaced disk lists %q, %d bytes free", w.Disk(0).List(""), w.Disk(0).Free())
	}
	allButOne := func(_ env.ID, path string, _, _ int64) bool { return path != "index" }
	left = rotten(t, &w, 1, allButOne, plan.Disruption{Kind: plan.Wipe})
	if len(left["shelf/a.seg"]) != volume || len(w.Unused()) != 1 {
		t.Errorf("one file may not be damaged, yet the disk was replaced; unused: %v", w.Unused())
	}
}

// archive writes two synced files, in which every sector is another one.
type archive struct{ env env.Env }

func (a *archive) Step(ev *env.Event) {
	if ev.Kind != env.Started || len(a.env.List("")) > 0 {
		return
	}
	for i, path := range []string{"a", "b"} {
		f := env.File(i + 1)
		a.env.Submit(env.Op{Kind: env.OpCreate, File: f, Path: path})
		a.env.Submit(env.Op{Kind: env.OpAppend, File: f, Data: tome(i)})
		a.env.Submit(env.Op{Kind: env.OpSync, File: f})
	}
	a.env.Submit(env.Op{Kind: env.OpSyncDir})
}

func (a *archive) Status(*env.Status) {}

// tome is the content of file i: three sectors and a half.
func tome(i int) (all []byte) {
	for k := range 7 * 256 {
		all = append(all, byte(1+i*8+k/512))
	}
	return all
}

// A stale sector ends in zeros; a misdirected write is the content of another sector.
func TestSectorsAreStaleAndMisdirected(t *testing.T) {
	changed := map[int64]int{}
	for seed := plan.Seed(1); seed <= 40; seed++ {
		for _, amount := range []int64{plan.StaleSector, plan.MisdirectedWrite} {
			p := plan.Quiet()
			p.Seed, p.Duration, p.Disk.Sector = seed, 20*ms, 512
			p.Disruptions = []plan.Disruption{
				{Kind: plan.Rot, Amount: amount, Files: "a", When: plan.Anchor{At: 5 * ms}},
				{Kind: plan.Power, When: plan.Anchor{At: 6 * ms}},
			}
			var w sim.World
			if err := w.Reset(sim.Config{Programs: []sim.Program{{New: func(e env.Env) env.Machine { return &archive{e} }}}, MayDamage: anything}, p); err != nil {
				t.Fatal(err)
			}
			w.Run(func() bool { return w.Time() > 10*ms })
			was, is := tome(0), w.Disk(0).Content("a")
			for from := 0; from < len(was); from += 512 {
				old, now := was[from:min(from+512, len(was))], is[from:min(from+512, len(was))]
				if bytes.Equal(old, now) {
					continue
				}
				changed[amount]++
				kept := bytes.TrimRight(now, "\x00")
				switch {
				case amount == plan.StaleSector && !bytes.HasPrefix(old, kept):
					t.Errorf("seed %s: a stale sector holds %x", seed, now)
				case amount == plan.MisdirectedWrite && (len(kept) == 0 || !bytes.Equal(kept, bytes.Repeat(kept[:1], len(kept))) || kept[0] == old[0]):
					t.Errorf("seed %s: a sector that was written over holds %x", seed, now)
				}
			}
			if !bytes.Equal(w.Disk(0).Content("b"), tome(1)) {
				t.Errorf("seed %s: another file changes", seed)
			}
		}
	}
	if changed[plan.StaleSector] < 30 || changed[plan.MisdirectedWrite] < 20 || changed[plan.StaleSector] > 40 || changed[plan.MisdirectedWrite] > 40 {
		t.Errorf("sectors that changed, by amount: %v; want one in most of 40 seeds", changed)
	}
}
