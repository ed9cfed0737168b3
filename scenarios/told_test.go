package scenarios

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// A node that is asked for its health does nothing for it: whenever nodes are asked, the run is the
// same to the last bit.
func TestAskingChangesNothing(t *testing.T) {
	for _, s := range []*Scenario{multiSlot, failover, sharedLifecycle} {
		a, b, moved := NewRunner(), NewRunner(), false
		b.asking.shift = 1
		for seed := plan.Seed(1); seed <= 10; seed++ {
			p := s.Plan(seed)
			one, err := a.Run(p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			two, err := b.Run(p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if one.Trace != two.Trace {
				t.Errorf("%s:%s: asked at other instants, the run has trace %v, want %v", s.Name, seed, two.Trace, one.Trace)
			}
			moved = moved || a.run.Health.Tellings[0].At != b.run.Health.Tellings[0].At
		}
		if !moved {
			t.Errorf("%s: nodes were asked at the same instants, so that this shows nothing", s.Name)
		}
	}
}

// A figure that is never told is never judged: of each kind there are some in a few seeds,
// and of some kinds such that are not 0.
func TestFiguresAreTold(t *testing.T) {
	const (
		once = 1
		many = 100
	)
	told, r := figuresTold{}, NewRunner()
	for _, s := range []*Scenario{multiSlot, slowFollower, nodeDrain} {
		for seed := plan.Seed(1); seed <= 20; seed++ {
			if _, err := r.Run(s.Plan(seed), Options{}); err != nil {
				t.Fatal(err)
			}
			for i := range r.run.Health.Tellings {
				told.add(&r.run.Health.Tellings[i])
			}
		}
	}
	for _, want := range []struct {
		what     string
		got      tally
		least    int
		positive int
	}{
		{"age of the control state", told.ages, many, many},
		{"silence of a node", told.silences, many, many},
		{"bytes of a node", told.bytes, many, many},
		{"entities of a shard", told.entities, many, many},
		{"signals of a shard", told.signals, many, many},
		{"lag of a replica", told.lags, many, once},
		{"bytes of a replica", told.copies, many, many},
		{"seq of a slot", told.seqs, many, many},
		{"refusals of a slot", told.refusals, many, once},
		{"nodes of a region that were heard", told.heard, many, many},
		{"whether a node drains", told.drains, once, once},
	} {
		if want.got.known < want.least || want.got.positive < want.positive {
			t.Errorf("%s was told %d times, %d times more than 0; want at least %d and %d", want.what, want.got.known, want.got.positive, want.least, want.positive)
		}
	}
}

// tally counts a figure.
type tally struct{ known, positive int }

func (t *tally) add(f observe.Figure) {
	if f.Known {
		t.known++
	}
	if f.Value > 0 {
		t.positive++
	}
}

type figuresTold struct {
	ages, silences, bytes, entities, signals, lags, copies, seqs, refusals, heard, drains tally
}

func (x *figuresTold) add(t *observe.Telling) {
	x.ages.add(t.Age)
	for i := range t.Nodes {
		n := &t.Nodes[i]
		x.silences.add(n.Silent)
		x.bytes.add(n.Disk.Used)
		x.drains.add(observe.Figure{Known: n.Draining, Value: number(n.Draining)})
	}
	for i := range t.Shards {
		s := &t.Shards[i]
		x.entities.add(s.Entities)
		x.signals.add(s.Signals)
		for k := range s.Replicas {
			x.lags.add(s.Replicas[k].Records)
			x.copies.add(s.Replicas[k].Disk.Used)
		}
	}
	for i := range t.Tenants {
		for k := range t.Tenants[i].Slots {
			slot := &t.Tenants[i].Slots[k]
			x.seqs.add(slot.Seq)
			for _, f := range slot.Refused {
				x.refusals.add(f)
			}
		}
	}
	for i := range t.Regions {
		x.heard.add(t.Regions[i].Heard)
	}
}
