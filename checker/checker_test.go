package checker

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/signal"
)

// busy is a run of n operations of eight clients on a few entities, a fifth of
// them reads and some of them creations and deletions, all in order.
func busy(n int) *world {
	w := newWorld()
	var open [8]int
	for i := range n {
		c := uint64(i % len(open))
		if i >= len(open) {
			w.finish(open[c])
		}
		switch entity := signal.Entity(i * 7 % 23); {
		case i%5 == 4:
			open[c] = w.read(c, entity)
		case i%17 == 3:
			open[c] = w.put(c, entity)
		case i%19 == 7:
			open[c] = w.remove(c, entity)
		default:
			open[c] = w.write(c, entity)
		}
	}
	for i := n; i < n+len(open); i++ {
		w.finish(open[i%len(open)])
	}
	w.dump()
	w.run.DurableAck.Acked(home, 0, 3, 0, true, "")
	w.run.Openings.Opened(observe.Opening{Outcome: observe.BeganEmpty, Tenant: home})
	w.sample(append([]uint64{2}, make([]uint64, 12)...)) // of a replica that has nothing yet
	w.run.Islands.Touched("tenants/2/wal/x", 2, true, 2, true, 0)
	w.run.Founded = append(w.run.Founded, home)
	w.command(observe.Configure, home, 1, history.Acked)
	w.replicas()
	w.honest()
	w.regions()
	w.run.Residency.Touched(home, 0, "tenants/2/wal/x", 0)
	told := w.run.Health.AddTelling()
	told.At, told.Watched = w.tick(), observe.Is(1)
	told.Nodes = append(told.Nodes, observe.ToldNode{Region: "east"})
	told.Regions = append(told.Regions, observe.ToldRegion{Name: "east", Nodes: 1, Heard: observe.Is(0), Age: observe.Is(0), Reasoned: true})
	w.run.InSync.Count, w.run.InSync.Members = 1, 1
	w.run.Budget.Told(observe.Duties{Node: 1, Index: 2, Drain: true})
	w.configuration(1, nil)
	w.run.Shares.Count++
	w.run.ReadIndex.Answered(observe.OldRead{Tenant: home})
	w.run.Progress.Count++
	w.run.Reforms.Count++
	w.run.Copies.Announced(observe.Process{Incarnation: 1}, home, 0, w.log().End().Seq, w.tick())
	return w
}

func (w *world) finish(i int) {
	if w.hist.Ops[i].Kind == history.Read {
		w.answer(i, w.log().End().Seq)
		return
	}
	w.ack(i, w.apply(i))
}

func TestEverythingHoldsInABusyRun(t *testing.T) {
	w := busy(1000)
	for _, o := range []Options{{}, {Porcupine: true}} {
		for _, r := range Judge(&w.run, o) {
			why := ""
			if r.Checked == 0 && r.Checker == "refusal-latency" {
				why, r.Checked = "no refusal for a quota was seen", 1
			}
			if r.Verdict != Held || r.Checked == 0 || r.Why != why || r.More != 0 {
				t.Errorf("%s: %s, checked %d, %q, %v", r.Checker, r.Verdict, r.Checked, r.Why, r.Findings)
			}
		}
	}
}

func TestNothingIsGreenThatCheckedNothing(t *testing.T) {
	var w world
	for _, r := range Judge(&w.run, Options{Porcupine: true}) {
		if r.Verdict != Undecided || r.Why == "" {
			t.Errorf("%s says %s (%q) of an empty run, want undecided and why", r.Checker, r.Verdict, r.Why)
		}
	}
}

func TestFindingsAreCappedAndTheRestIsCounted(t *testing.T) {
	w := busy(100)
	for i := range w.hist.Ops {
		w.hist.Ops[i].Op.Request += 1000
	}
	for _, name := range []string{"no-loss", "linearizable"} {
		c, _ := Lookup(name)
		r := c.Judge(&w.run, Options{})
		if len(r.Findings) != MaxFindings || r.More < 50 {
			t.Errorf("%s: %d findings and %d more, want %d and the rest", name, len(r.Findings), r.More, MaxFindings)
		}
	}
}

// One memory serves runs of any size, in any order.
func TestScratchCarriesNothingOver(t *testing.T) {
	scratch := new(Scratch)
	for _, n := range []int{300, 20, 400, 8} {
		w := busy(n)
		if n == 20 {
			w.hist.Ops[4].State.LastSeq++
		}
		want := Judge(&w.run, Options{})
		if diff := gocmp.Diff(want, Judge(&w.run, Options{Scratch: scratch})); diff != "" {
			t.Errorf("%d operations (-new memory +old memory):\n%s", n, diff)
		}
	}
}

func TestNamesAreDistinct(t *testing.T) {
	seen := map[string]bool{"determinism": true}
	for _, c := range All() {
		if seen[c.Name] || c.Holds == "" || c.Judge == nil {
			t.Errorf("checker %q is doubled or incomplete", c.Name)
		}
		seen[c.Name] = true
	}
	if _, ok := Lookup("no-such"); ok {
		t.Error("a checker that does not exist was found")
	}
}

// BenchmarkJudge judges a run of 1,000 operations with every checker and the
// witness alone.
func BenchmarkJudge(b *testing.B) {
	w, o := busy(1000), Options{Scratch: new(Scratch)}
	for _, c := range All() {
		b.Run(c.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Judge(&w.run, o)
			}
		})
	}
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Judge(&w.run, o)
		}
	})
	b.Run("all with porcupine", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Judge(&w.run, Options{Scratch: o.Scratch, Porcupine: true})
		}
	})
}
