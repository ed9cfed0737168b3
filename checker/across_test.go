package checker

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// divided makes runs by hand of a tenant in replica groups. Its slots have honest buckets, by a
// node's clock that shows true time; the test chooses their shares.
type divided struct {
	run     *observe.Run
	buckets [3]bucket
	version uint64
}

type bucket struct{ rate, full, level, at int64 }

// divide begins anew, with a tenant that has these limits.
func (w *world) divide(limits tenant.Limits) *divided {
	w.run.Reset()
	w.run.SetLimits(home, limits)
	return &divided{run: &w.run}
}

func nothingWritten(lineage.Seq) (lineage.Chain, bool) { return 0, false }

// append puts a record at the end of a slot's log, as its leader does.
func (d *divided) append(slot lineage.Slot, at int64, rec record.Record) {
	l := d.run.Log(home, slot)
	if len(l.Entries) == 0 && rec.Kind != record.EpochStart {
		d.run.Leads(home, slot, 1, 0, nothingWritten, at, at, 1)
		d.append(slot, at, record.Record{Kind: record.EpochStart})
	}
	b, end := &d.buckets[slot], l.End()
	b.level, b.at = min(b.full, b.level+b.rate*(at-b.at)), at
	switch {
	case rec.Kind.IsOperation():
		b.level -= nano
	case rec.Kind == record.Config:
		first := b.full == 0
		b.rate, b.full = int64(rec.Limits.Rate), int64(rec.Limits.Burst)*nano
		if b.level = min(b.level, b.full); first {
			b.level = b.full
		}
	}
	rec.Tenant, rec.Slot, rec.Epoch, rec.Seq, rec.Prev, rec.Level = home, slot, 1, end.Next(), end.Chain, rec.Level+b.level
	d.run.Admitted(home, slot, rec.Seq, at, at, 1)
	d.run.AppendedBy(true, &rec, record.ChainOf(record.Append(nil, &rec)), at, 1)
	b.level = rec.Level
}

// share gives a slot a share, with all entities and bytes that there are.
func (d *divided) share(slot lineage.Slot, at int64, rate, burst uint64) {
	d.caps(slot, at, record.Limits{Rate: rate, Burst: burst})
}

// caps gives a slot a share.
func (d *divided) caps(slot lineage.Slot, at int64, share record.Limits) {
	d.version++
	share.Version = d.version
	d.append(slot, at, record.Record{Kind: record.Config, Limits: share})
}

// put creates entities in a slot, from 1 on.
func (d *divided) put(slot lineage.Slot, at int64, entities ...signal.Entity) {
	for _, e := range entities {
		d.append(slot, at, record.Record{Kind: record.EntityPut, Entity: e})
	}
}

// signals writes signals to entity 1 of a slot.
func (d *divided) signals(slot lineage.Slot, at int64, n int) {
	for range n {
		d.append(slot, at, record.Record{Kind: record.Signal, Signal: signal.Signal{Entity: 1}})
	}
}

// delete deletes entities of a slot.
func (d *divided) delete(slot lineage.Slot, at int64, entities ...signal.Entity) {
	for _, e := range entities {
		d.append(slot, at, record.Record{Kind: record.EntityDelete, Entity: e})
	}
}

// asks is a whole command for other limits, over those of the version before.
func (d *divided) asks(version uint64, limits tenant.Limits, asked, ended int64, outcome history.Outcome) {
	i := d.run.Asked(observe.Command{Kind: observe.Configure, Tenant: home, Version: version, Base: version - 1, Limits: limits, AskedAt: asked})
	if outcome != history.Open {
		d.run.Ended(i, outcome, ended)
	}
}

func TestWhichLimitsMayBeInForce(t *testing.T) {
	type asked struct {
		version, rate, burst uint64
		asked, ended         int64
		outcome              history.Outcome
	}
	type stage struct {
		at          int64
		rate, burst uint64
		only        bool
	}
	for _, c := range []struct {
		name     string
		commands []asked
		want     []stage // from -1 on, until nothing changes any more
	}{
		{"no command", nil, []stage{{-1, 10, 10, true}}},
		{"answered", []asked{{2, 5, 20, 3, 7, history.Acked}}, []stage{{-1, 10, 10, true}, {3, 10, 20, false}, {7, 5, 20, true}}},
		{"refused", []asked{{2, 50, 50, 3, 7, history.Refused}}, []stage{{-1, 10, 10, true}}},
		{"never answered", []asked{{2, 5, 20, 3, 0, history.Open}}, []stage{{-1, 10, 10, true}, {3, 10, 20, false}}},
		{"given up", []asked{{2, 5, 20, 3, 7, history.Unknown}}, []stage{{-1, 10, 10, true}, {3, 10, 20, false}}},
		{"the same again", []asked{{2, 10, 10, 3, 0, history.Open}}, []stage{{-1, 10, 10, true}, {3, 10, 10, true}}},
		{"given up, and a later one answered", []asked{{2, 50, 50, 3, 7, history.Unknown}, {3, 5, 5, 8, 9, history.Acked}},
			[]stage{{-1, 10, 10, true}, {3, 50, 50, false}, {8, 50, 50, false}, {9, 5, 5, true}}},
		{"given up over the same ones as the one that was answered", []asked{{2, 50, 50, 3, 7, history.Unknown}, {2, 5, 5, 4, 9, history.Acked}},
			[]stage{{-1, 10, 10, true}, {3, 50, 50, false}, {4, 50, 50, false}, {9, 5, 5, true}}},
		{"open together", []asked{{2, 20, 5, 1, 5, history.Acked}, {3, 5, 30, 3, 9, history.Acked}},
			[]stage{{-1, 10, 10, true}, {1, 20, 10, false}, {3, 20, 30, false}, {5, 20, 30, false}, {9, 5, 30, true}}},
		{"an answer overtaken by that of a later one", []asked{{2, 20, 20, 1, 9, history.Acked}, {3, 5, 5, 3, 5, history.Acked}},
			[]stage{{-1, 10, 10, true}, {1, 20, 20, false}, {3, 20, 20, false}, {5, 5, 5, true}, {9, 5, 5, true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var run observe.Run
			run.SetLimits(home, tenant.Limits{Rate: 10})
			for _, a := range c.commands {
				command := observe.Command{
					Kind: observe.Configure, Tenant: home, Version: a.version, Limits: tenant.Limits{Rate: a.rate, Burst: a.burst},
					AskedAt: a.asked, EndedAt: a.ended, Outcome: a.outcome,
				}
				ofAnother := command
				ofAnother.Tenant, ofAnother.Version, ofAnother.AskedAt, ofAnother.Limits.Rate = home+1, 9, 0, 999
				run.Commands = append(run.Commands, ofAnother, command)
			}
			x, known := termsOf(&run, home)
			got := []stage{{-1, x.largest.Rate, x.largest.Burst, x.only}}
			for x.next != never {
				at := x.next
				x.move(at)
				got = append(got, stage{at, x.largest.Rate, x.largest.Burst, x.only})
			}
			if diff := gocmp.Diff(c.want, got, gocmp.AllowUnexported(stage{})); diff != "" || !known {
				t.Errorf("known %v, limits (-want +got):\n%s", known, diff)
			}
		})
	}
	var run observe.Run
	if _, known := termsOf(&run, home); known {
		t.Error("limits are known that nobody gave")
	}
}

// One memory serves tenants of any number of slots, judged together and alone.
func TestMomentsAreInOrderOfTime(t *testing.T) {
	w, scratch := newWorld(), new(Scratch)
	d := w.divide(tenant.Limits{Rate: 1000, Burst: 9})
	for slot := range lineage.Slot(3) {
		d.share(slot, ms, 300, 3)
	}
	d.put(2, 2*ms, 1)
	d.put(0, 2*ms, 1)
	d.put(1, 3*ms, 1)
	d.put(0, 4*ms, 2)
	d.run.Log(home+1, 0) // nothing is in it
	for range 2 {
		wholes := scratch.inOrder(d.run)
		if len(wholes) != 2 || wholes[0].tenant != home || len(wholes[0].logs) != 3 || wholes[1].place != 10 || len(wholes[1].moments) != 0 {
			t.Fatalf("%+v", wholes)
		}
		want := []moment{{ms, 0, 1}, {ms, 1, 1}, {ms, 2, 1}, {2 * ms, 0, 2}, {2 * ms, 2, 2}, {3 * ms, 1, 2}, {4 * ms, 0, 3}}
		if diff := gocmp.Diff(want, wholes[0].moments, gocmp.AllowUnexported(moment{})); diff != "" {
			t.Errorf("moments (-want +got):\n%s", diff)
		}
	}
	if n := testing.AllocsPerRun(10, func() { scratch.inOrder(d.run) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
