package sim_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// diarist writes one more file at each start, durably, and after 2 ms of a start another
// line into each.
type diarist struct{ env env.Env }

func (d *diarist) Step(ev *env.Event) {
	pages := d.env.List("diary")
	switch ev.Kind {
	case env.Started:
		d.env.SetTimer(0, ev.At.Add(2*env.Millisecond))
		if len(pages) > 0 {
			d.write(env.OpCreate, len(pages))
			return
		}
		d.env.Submit(env.Op{Kind: env.OpMkdir, Path: "diary", ID: 1})
		d.env.Submit(env.Op{Kind: env.OpSyncDir})
	case env.DiskDone:
		if ev.Op == 1 {
			d.write(env.OpCreate, 0)
		}
	case env.Timer:
		for i := range pages {
			d.write(env.OpOpen, i)
		}
	}
}

func (d *diarist) write(bind env.OpKind, page int) {
	f := env.File(page + 1)
	d.env.Submit(env.Op{Kind: bind, File: f, Path: fmt.Sprint("diary/", page)})
	d.env.Submit(env.Op{Kind: env.OpAppend, File: f, Data: []byte("x")})
	d.env.Submit(env.Op{Kind: env.OpSync, File: f})
	d.env.Submit(env.Op{Kind: env.OpClose, File: f})
	d.env.Submit(env.Op{Kind: env.OpSyncDir, Path: "diary"})
}

func (d *diarist) Status(*env.Status) {}

// An older copy of a disk has its content of the last start of the process, and is durable: a power
// failure right behind it takes nothing. The next start begins from there.
func TestRestorePutsAnOlderCopyInThePlaceOfTheDisk(t *testing.T) {
	kill := plan.Disruption{Kind: plan.Kill, When: plan.Anchor{At: 5 * ms}, For: ms}
	power := plan.Disruption{Kind: plan.Power, When: plan.Anchor{At: 14*ms + 500_000}, For: ms}
	restore := func(at int64) plan.Disruption {
		return plan.Disruption{Kind: plan.Restore, When: plan.Anchor{At: at}, For: ms}
	}
	only := func(row bool) func(env.ID) bool { return func(env.ID) bool { return row } }
	for name, c := range map[string]struct {
		disruptions []plan.Disruption
		may         bool
		want        []string // when the calm part begins, at 20 ms
		wipes       int
	}{
		"no restore":                        {[]plan.Disruption{kill}, true, []string{"diary/0 xxx", "diary/1 xx"}, 0},
		"to the first start":                {[]plan.Disruption{restore(14 * ms)}, true, []string{"diary/0 xx"}, 1},
		"to the second start":               {[]plan.Disruption{kill, restore(14 * ms)}, true, []string{"diary/0 xxx", "diary/1 xx"}, 1},
		"while it is down":                  {[]plan.Disruption{kill, restore(5*ms + 500_000)}, true, []string{"diary/0 xx"}, 1},
		"and the power fails at once":       {[]plan.Disruption{kill, restore(14 * ms), power}, true, []string{"diary/0 xxx", "diary/1 xx"}, 1},
		"twice":                             {[]plan.Disruption{kill, restore(12 * ms), restore(16 * ms)}, true, []string{"diary/0 xxx", "diary/1 xx"}, 2},
		"of which the budget knows nothing": {[]plan.Disruption{kill, restore(14 * ms)}, false, []string{"diary/0 xxx", "diary/1 xx"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Quiet()
			p.Duration, p.Disruptions = 20*ms, c.disruptions
			told := 0
			config := sim.Config{
				Programs:   []sim.Program{{New: func(e env.Env) env.Machine { return &diarist{e} }}},
				MayRestore: only(c.may),
				Wiped: func(_ env.ID, restored bool) {
					if restored {
						told++
					}
				},
			}
			var w sim.World
			if err := w.Reset(config, p); err != nil {
				t.Fatal(err)
			}
			w.Run(func() bool { return w.Time() >= 20*ms })
			var got []string
			size := int64(0)
			for _, f := range w.Disk(0).Files() {
				got = append(got, fmt.Sprintf("%s %s", f.Path, w.Disk(0).Content(f.Path)))
				size += f.Size
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("on the disk (-want +got):\n%s", diff)
			}
			if free := w.Disk(0).Free(); free != p.Disk.Capacity-size {
				t.Errorf("%d bytes are free beside %d, want %d", free, size, p.Disk.Capacity-size)
			}
			if told != c.wipes || w.Disk(0).Wipes() != c.wipes {
				t.Errorf("the owner was told of %d, the disk counts %d, want %d", told, w.Disk(0).Wipes(), c.wipes)
			}
		})
	}
}

// A budget that says nothing of older copies is asked as for a wipe.
func TestARestoreIsVetoedLikeAWipe(t *testing.T) {
	var w sim.World
	allButOne := func(_ env.ID, path string, _, _ int64) bool { return path != "index" }
	left := rotten(t, &w, 1, allButOne, plan.Disruption{Kind: plan.Restore})
	if len(left["index"]) != volume || len(w.Unused()) != 1 {
		t.Errorf("one file may not be damaged, yet an older copy took its place; unused: %v", w.Unused())
	}
	left = rotten(t, &w, 1, anything, plan.Disruption{Kind: plan.Restore})
	if len(left["index"]) != 0 || len(w.Unused()) != 0 {
		t.Errorf("everything may be damaged, yet the disk is as it was; unused: %v", w.Unused())
	}
}
