package checker

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
)

func TestDamage(t *testing.T) {
	at := observe.Process{Node: 1, Incarnation: 2}
	opens := func(x observe.Opening) func(*world) {
		return func(w *world) {
			x.Process, x.Tenant, x.At = at, home, 9*ms
			w.run.Openings.Opened(x)
		}
	}
	does := func(h observe.Hazard) func(*world) {
		return func(w *world) {
			opens(observe.Opening{Outcome: observe.BeganEmpty})(w)
			h.Process, h.Tenant, h.At, h.Path = at, home, 9*ms, "x.seg"
			w.run.Openings.Hazard(h)
		}
	}
	where := "tenant 2 slot 0 on node 1: at 9 ms "
	object := func(rule, text string) []string { return []string{rule + " [] 9 ms: " + text} }
	judged(t, "damage", []given{
		{name: "nothing asked", verdict: Undecided, why: "nothing was asked", make: func(*world) {}},
		{name: "nothing opened", verdict: Undecided, why: "no log was opened", make: func(w *world) { w.wrote(7, 5) }},
		{name: "a new log", verdict: Held, make: opens(observe.Opening{Outcome: observe.BeganEmpty})},
		{name: "a torn tail", verdict: Held, make: opens(observe.Opening{Outcome: observe.FoundEnd, End: 7, Held: 7, Kept: 7, Durable: 6})},
		{name: "corrupt by rot", verdict: Held, make: opens(observe.Opening{Outcome: observe.FoundCorrupt, Harm: observe.Rotted, Durable: 9})},
		{name: "not opened, as a write failed", verdict: Held, make: opens(observe.Opening{Outcome: observe.NotOpened, Harm: observe.WriteFailed})},
		{name: "lost with the disk", verdict: Held, make: opens(observe.Opening{Outcome: observe.BeganEmpty, Harm: observe.Wiped, Durable: 9})},
		{name: "another record after a failed sync", verdict: Held, make: opens(observe.Opening{Outcome: observe.FoundEnd, End: 7, Held: 7, Kept: 7, Other: 5, Harm: observe.SyncFailed})},
		{name: "one record too few, even with rot", verdict: Violated,
			make: opens(observe.Opening{Outcome: observe.FoundEnd, End: 6, Held: 7, Kept: 6, Durable: 6, Harm: observe.Rotted}),
			want: object("cut-too-far", where+"its recovery ended at seq 6, and its files hold whole records up to seq 7")},
		{name: "one record too many", verdict: Violated,
			make: opens(observe.Opening{Outcome: observe.FoundEnd, End: 8, Held: 7, Kept: 8}),
			want: object("beyond-the-files", where+"its recovery ended at seq 8, and its files hold whole records up to seq 7 only")},
		{name: "repaired in another place", verdict: Violated,
			make: opens(observe.Opening{Outcome: observe.FoundEnd, End: 7, Held: 7, Kept: 6}),
			want: object("repaired-otherwise", where+"its recovery ended at seq 7, and left files that hold whole records up to seq 6")},
		{name: "an overwritten record", verdict: Violated,
			make: opens(observe.Opening{Outcome: observe.FoundEnd, End: 7, Held: 7, Kept: 7, Durable: 7, Other: 5}),
			want: object("another-record", where+"its files hold another record at seq 5 than was durable there, and nothing had harmed its disk")},
		{name: "a durable record gone", verdict: Violated,
			make: opens(observe.Opening{Outcome: observe.FoundEnd, End: 7, Held: 7, Kept: 7, Durable: 8}),
			want: object("lost-durable", where+"its files hold records up to seq 7; seq 8 was durable there, and nothing had harmed its disk")},
		{name: "a durable log gone", verdict: Violated,
			make: opens(observe.Opening{Outcome: observe.BeganEmpty, Durable: 8}),
			want: object("lost-durable", where+"its files hold records up to seq 0; seq 8 was durable there, and nothing had harmed its disk")},
		{name: "a manifest ignored", verdict: Violated,
			make: opens(observe.Opening{Outcome: observe.BeganEmpty, Manifest: true, Harm: observe.Rotted}),
			want: object("begun-anew", where+"it began an empty log in a directory that has a manifest")},
		{name: "corrupt without a cause", verdict: Violated,
			make: opens(observe.Opening{Outcome: observe.FoundCorrupt, Text: "a hole"}),
			want: object("corrupt-for-nothing", where+"it found its log corrupt, and nothing had harmed its disk: a hole")},
		{name: "stopped without a cause", verdict: Violated,
			make: opens(observe.Opening{Outcome: observe.NotOpened, Text: "no"}),
			want: object("stopped-for-nothing", where+"it could not open its log, and nothing had harmed its disk: no")},
		{name: "claimed early", verdict: Violated, make: does(observe.Hazard{Deed: observe.ClaimedEarly, Seq: 5, Last: 4}),
			want: object("claimed-early", where+"it wrote into x.seg that seq 5 is durable, where seq 4 was the last")},
		{name: "removed uncovered", verdict: Violated, make: does(observe.Hazard{Deed: observe.RemovedUncovered, Seq: 5, Last: 4}),
			want: object("removed-uncovered", where+"it removed x.seg, which holds what is needed up to seq 5; durable snapshots cover records up to seq 4")},
		{name: "not cut", verdict: Violated, make: does(observe.Hazard{Deed: observe.CutLeft, Seq: 5, Last: 6}),
			want: object("not-cut", where+"its log had been cut behind seq 5, and its files hold whole records up to seq 6")},
		{name: "cut from the front", verdict: Violated, make: does(observe.Hazard{Deed: observe.CutUnordered, Last: 9}),
			want: object("cut-unordered", "tenant 2 slot 0 on node 1: at 9 ms, amid a cut, it removed x.seg, and a power failure would have kept the segment that begins with seq 9")},
		{name: "excluded for nothing", verdict: Violated, make: does(observe.Hazard{Deed: observe.ExcludedUnhurt}),
			want: object("excluded-for-nothing", "tenant 2 slot 0: at 9 ms node 1 was to be excluded for a log that failed, and nothing had harmed its disk")},
	})
}

// Beyond its bound a list of hazards is counted.
func TestManyHazardsAreCounted(t *testing.T) {
	w := newWorld()
	for range 100 {
		w.run.Openings.Hazard(observe.Hazard{Deed: observe.ClaimedEarly})
	}
	if r := judgeDamage(&w.run, Options{}); len(r.Findings)+r.More != 100 {
		t.Errorf("%d findings and %d more, want 100", len(r.Findings), r.More)
	}
	w.run.Reset()
	if n := len(w.run.Openings.Hazards) + w.run.Openings.More; n != 0 {
		t.Errorf("%d hazards of the run before", n)
	}
}
