package scenarios

import (
	"slices"
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/metalog"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// A drain that is taken back, and soon asked for again, may never be announced in between: the
// observer reads the draining nodes from the control plane, whenever it sees a new configuration.
func TestTheObserverKnowsOfDrainsThatNobodyWasToldOf(t *testing.T) {
	plane := control.New(&control.Cluster{
		Meta:   []env.ID{0, 1, 2},
		Nodes:  []control.NodeConfig{{ID: 0, Region: "eu"}, {ID: 1, Region: "eu"}, {ID: 2, Region: "eu"}},
		Shards: []control.ShardConfig{{ID: 1, Region: "eu", Replicas: []env.ID{0, 2}}},
	})
	s := grouped(t)
	s.o.groups.plane = func() (*control.Plane, metalog.Position) { return plane, metalog.Position{} }
	duties := func(of uint32, index uint64, drain bool) observe.Duties {
		return observe.Duties{Node: of, Index: index, Drain: drain, At: s.world.Time()}
	}
	index, version := uint64(10), uint64(0)
	for _, step := range []struct {
		name string
		does []control.Kind // to node 1
		want []observe.Duties
	}{
		{"nobody was ever drained", nil, nil},
		{"node 1 is drained by entry 11", []control.Kind{control.Drain}, []observe.Duties{duties(1, 11, true)}},
		{"nothing is new", nil, nil},
		{"the drain is taken back", []control.Kind{control.Undrain}, []observe.Duties{duties(1, 12, false)}},
		{"it is asked for again, and taken back", []control.Kind{control.Drain, control.Undrain}, []observe.Duties{duties(1, 14, false)}},
		{"and again", []control.Kind{control.Drain, control.Undrain, control.Drain}, []observe.Duties{duties(1, 17, true)}},
	} {
		for _, kind := range step.does {
			index++
			if got := plane.Do(index, &control.Command{Kind: kind, Node: 1}); got.Refusal != control.Done {
				t.Fatalf("%s: %s is refused: %v", step.name, kind, got.Refusal)
			}
		}
		before := len(s.run.Budget.Duties)
		version++
		s.o.configured(&control.Shard{ID: lineage.Shard(1), Version: version})
		added := slices.DeleteFunc(slices.Clone(s.run.Budget.Duties[before:]), func(d observe.Duties) bool { return d.Node != 1 && !d.Drain })
		if !slices.Equal(added, step.want) {
			t.Errorf("%s: noted %+v, want %+v", step.name, added, step.want)
		}
	}
	if last := s.run.Budget.Duties[len(s.run.Budget.Duties)-1]; last != duties(1, 17, true) {
		t.Errorf("the last that is known is %+v", last)
	}
}

// A coordinator that speaks although its meta log has asked the disk for nothing for longer than
// Stall is noted, from when it asked last: be it for the log, for a new one or for the directory.
func TestTheObserverNotesForHowLongACoordinatorHoldsOn(t *testing.T) {
	configs := new(peer.Configs).Encode(nil)
	after := func(ns int64, does act) act {
		return func(s *stage) {
			if s.world.Time() < ns { // the puppet wakes soon again
				s.next--
				return
			}
			does(s)
		}
	}
	speaks := func(s *stage) { s.o.said(0, 1, configs) }
	asks := func(path string) act { return func(s *stage) { s.o.Submitted(0, &env.Op{Kind: env.OpSync}, path) } }
	for _, c := range []struct {
		name  string
		acts  []act
		asked []int64 // of each that is noted, ms
		spoke []int64
	}{
		{"it speaks soon after it asked", []act{after(50*millisecond, asks(core.MetaFile)), after(150*millisecond, speaks)}, nil, nil},
		{"it speaks long after", []act{after(50*millisecond, asks(core.MetaFile)), after(155*millisecond, speaks), after(200*millisecond, speaks)}, []int64{50}, []int64{200}},
		{"it asks for more", []act{after(50*millisecond, asks("meta/log.tmp")), after(155*millisecond, speaks), asks("meta"), after(280*millisecond, speaks)}, []int64{50, 160}, []int64{155, 280}},
		{"another log asks", []act{after(50*millisecond, asks("metadata/log")), after(155*millisecond, speaks)}, []int64{0}, []int64{155}},
	} {
		t.Run(c.name, func(t *testing.T) {
			shared := func(s *stage) {
				s.o.groups = &groupsView{metaAsked: make([]int64, 1)}
				s.run.Availability.Stall = 100 * millisecond
			}
			s := play(t, plan.Rates{}, nil, append([]act{shared}, c.acts...)...)
			var want []observe.Hold
			for i := range c.asked {
				want = append(want, observe.Hold{Asked: c.asked[i] * millisecond, Spoke: c.spoke[i] * millisecond})
			}
			if got := s.run.Availability.Holds; !slices.Equal(got, want) {
				t.Errorf("noted %+v, want %+v", got, want)
			}
		})
	}
}
