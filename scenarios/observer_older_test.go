package scenarios

import (
	"slices"
	"testing"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// A lost disk takes along all that a life had on it, unless the copy in its place was made
// after that life had ended.
func TestACopyHasWhatLivesBeforeItHad(t *testing.T) {
	lives := []start{{control.Member{Node: 1, Incarnation: 10}, 1, 0}, {control.Member{Node: 1, Incarnation: 20}, 2, 0}, {control.Member{Node: 1, Incarnation: 30}, 3, 1}, {control.Member{Node: 1, Incarnation: 40}, 4, 2}}
	for name, c := range map[string]struct {
		copies     []olderCopy
		before, in int // of lives
		lost       bool
	}{
		"the disk was never lost":           {nil, 0, 1, false},
		"the disk is an empty one":          {nil, 0, 2, true},
		"of the life that was over":         {[]olderCopy{{1, 1, 2}}, 0, 2, false},
		"of the life that began with it":    {[]olderCopy{{1, 1, 2}}, 1, 2, true},
		"of another node":                   {[]olderCopy{{2, 1, 2}}, 0, 2, true},
		"twice":                             {[]olderCopy{{1, 1, 2}, {1, 2, 3}}, 0, 3, false},
		"and then the disk is an empty one": {[]olderCopy{{1, 1, 2}}, 0, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			o := &observer{boots: make([]boot, 3), groups: &groupsView{starts: lives, copies: c.copies}} // no node runs
			if got := o.lostSince(lives[c.before].member, lives[c.in].member); got != c.lost {
				t.Errorf("lost: %v, want %v", got, c.lost)
			}
		})
	}
}

// A node that starts from an older copy has the logs of the copy, whatever became of the lost disk:
// a recovery that finds them finds nothing strange.
func TestTheObserverFollowsACopy(t *testing.T) {
	stranger := func(seq lineage.Seq) (record.Record, lineage.Chain) {
		rec := record.Record{Tenant: 2, Placement: 1, Epoch: 2, Kind: record.EntityPut, Seq: seq, Entity: 9}
		_, chain := wal.AppendFrame(nil, 0, &rec)
		return rec, chain
	}
	for _, c := range []struct {
		name string
		acts []act // three records, which the copy holds
		lost func(s *stage, w *slotWrites)
	}{
		{"the log had gone on", []act{makes, writes, writes, writes, syncs}, func(s *stage, w *slotWrites) {
			w.places = append(w.places, place{seq: 4, chain: 77, path: oneSegment, from: 900, to: 1000})
			w.durable = 4
			s.run.Copies.Refetched(0, 2, 0, lineage.Position{Seq: 4, Chain: 77})
			s.run.Copies.Applied(observe.Process{Incarnation: 1}, 2, 0, 4, 0)
		}},
		{"the log had been begun anew", []act{makes, writes, writes, writes, syncs}, func(s *stage, w *slotWrites) {
			rec, chain := stranger(1)
			w.places, w.durable = append(w.places[:0], place{seq: 1, chain: chain, path: oneSegment, from: 64, to: 100}), 1
			s.run.Copies.Created(0, 2, 0)
			s.run.Copies.Wrote(0, &rec, chain, 0)
		}},
		{"the log was being replaced", []act{makes, writes, writes, writes, syncs}, func(s *stage, w *slotWrites) {
			w.refetching, w.places, w.durable = true, w.places[:0], 0
			s.run.Copies.Refetching(0, 2, 0)
		}},
		{"the copy has a snapshot of all", []act{makes, writes, writes, writes, syncs, names(3, true)}, func(s *stage, w *slotWrites) {
			w.places, w.durable, w.snapshot, w.covers = w.places[:0], 9, "another", 9
		}},
		{"the copy has a snapshot and no segment", []act{makes, writes, writes, writes, syncs, names(3, true), removes(oneSegment), func(*stage) {}}, func(s *stage, w *slotWrites) {
			w.places, w.durable, w.snapshot, w.covers = w.places[:0], 1, "", 0
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := play(t, plan.Rates{}, nil, append(c.acts, func(*stage) {})...)
			s.o.groups = &groupsView{copies: []olderCopy{{node: 0}}}
			w := s.o.writesOf(0, 2, 0)
			c.lost(s, w)
			s.o.copied(0)
			if missing := s.o.missing(0, w, 3); missing != "" || s.o.missing(0, w, 4) == "" || w.refetching {
				t.Errorf("of three records of the copy is missing: %q; durable up to %d, replaced: %v", missing, w.durable, w.refetching)
			}
			if last, other := s.o.held(0, 2, 0); last != 3 || other != 0 {
				t.Errorf("the copy holds records up to %d, and the one at %d is another one; want 3 and 0", last, other)
			}
			s.run.Copies.Recovered(0, 2, 0, 3, 0)
			next := record.Record{Tenant: 2, Placement: 1, Epoch: 3, Kind: record.EntityPut, Seq: 4, Prev: s.chain, Entity: 5}
			s.run.Copies.Wrote(0, &next, 78, 0)
			s.run.Copies.Cutting(0, 2, 0, 3, 0)
			if len(s.run.Copies.Faults) > 0 {
				t.Errorf("noted %+v, want nothing", s.run.Copies.Faults)
			}
		})
	}
}

// A disk that is lost, and not replaced by a copy, tells nothing: the log is begun anew.
func TestAnEmptyDiskIsNoCopy(t *testing.T) {
	s := play(t, plan.Rates{}, nil, makes, writes, syncs, func(*stage) {})
	s.o.groups = &groupsView{copies: []olderCopy{{node: 0, wipes: 3}, {node: 1}}}
	w := s.o.writesOf(0, 2, 0)
	w.durable = 9
	if s.o.copied(0); w.durable != 9 {
		t.Errorf("durable up to %d, want 9 as before", w.durable)
	}
}

// copyOfMember is a seed in which an older copy takes the place of the disk of node 1, which was
// started again some time before, and then node 0 loses power. unheard: node 2 receives nothing
// from before that start until after the copy was made.
func copyOfMember(seed plan.Seed, unheard bool) *Plan {
	p := diskLoss.Plan(seed)
	p.World.Disruptions = []plan.Disruption{
		{Kind: plan.Kill, Process: 1, When: plan.Anchor{At: 300 * millisecond}, For: 10 * millisecond},
		{Kind: plan.Restore, Process: 1, When: plan.Anchor{At: 800 * millisecond}, For: millisecond},
		{Kind: plan.Power, Process: 0, When: plan.Anchor{At: 801 * millisecond}, For: 1500 * millisecond},
	}
	if unheard {
		cut := plan.Disruption{Kind: plan.CutDrop, Process: 2, Peer: -1, When: plan.Anchor{At: 200 * millisecond}, For: 700 * millisecond}
		p.World.Disruptions = append(p.World.Disruptions, cut)
	}
	return p
}

// A member of the meta log that does not know of the last start of another one counts on an older
// copy of it. The two are a majority, and coordinate without the entries that the third one and the
// lost disk had agreed on. The budget forbids the copy then, and only then.
func TestACopyThatWouldBeCountedOnIsVetoed(t *testing.T) {
	r, harmed := NewRunner(), 0
	run := func(p *Plan, o Options) *Result {
		got, err := r.Run(p, o)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for seed := plan.Seed(1); seed <= 8; seed++ {
		for _, unheard := range []bool{false, true} {
			got := run(copyOfMember(seed, unheard), Options{})
			vetoed := slices.Contains(got.Vetoes, Veto{Kind: plan.Restore, Row: MetaMajority})
			if vetoed != unheard || got.Verdict != checker.Held {
				t.Errorf("seed %s, node 2 unheard: %v: vetoed %v, verdict %v", seed, unheard, vetoed, got.Verdict)
			}
			run(copyOfMember(seed, unheard), Options{Unlimited: true, Until: 2200 * millisecond})
			counted := slices.ContainsFunc(r.run.Availability.Coordinators, func(c observe.Coordinator) bool { return c.At > 801*millisecond })
			if counted && !unheard {
				t.Errorf("seed %s: the copy is counted on, though all others know of the start after it was made", seed)
			}
			if counted {
				harmed++
			}
		}
	}
	if harmed < 4 { // in some seeds node 0 does not coordinate
		t.Errorf("without the veto the copy is counted on in %d of 8 seeds, want more", harmed)
	}
}
