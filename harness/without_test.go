package harness_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/counter"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

func TestWithout(t *testing.T) {
	p := counter.Draw(counter.Calm, 3)
	w := p.Parts().World
	w.Rates[chance.NetLate] = 7
	w.Disruptions = []plan.Disruption{
		{Kind: plan.Power, Process: 1}, {Kind: plan.Suspend, For: 1}, {Kind: plan.Shut, Peer: 2, For: 1}, {Kind: plan.Shut, Peer: -1, For: 1}, {Kind: plan.CutDrop, Peer: 1, For: 1},
	}
	for _, c := range []struct {
		without []string
		left    []int // of the disruptions
		late    uint32
	}{
		{nil, []int{0, 1, 2, 3, 4}, 7},
		{[]string{"pause"}, []int{0, 1, 2, 3, 4}, 7},
		{[]string{"suspend"}, []int{0, 2, 3, 4}, 7},
		{[]string{harness.SingleLinks}, []int{0, 1, 3}, 7},
		{[]string{"shut", "net.late"}, []int{0, 1, 4}, 0},
	} {
		t.Run(strings.Join(c.without, " "), func(t *testing.T) {
			before := slices.Clone(w.Disruptions)
			got, err := harness.Without(p, c.without)
			if err != nil {
				t.Fatal(err)
			}
			var want []plan.Disruption
			for _, i := range c.left {
				want = append(want, w.Disruptions[i])
			}
			if diff := cmp.Diff(want, got.Parts().World.Disruptions); diff != "" {
				t.Errorf("disruptions (-want +got):\n%s", diff)
			}
			if got.Parts().World.Rates[chance.NetLate] != c.late {
				t.Errorf("the rate of late messages is %d, want %d", got.Parts().World.Rates[chance.NetLate], c.late)
			}
			if diff := cmp.Diff(before, w.Disruptions); diff != "" || w.Rates[chance.NetLate] != 7 {
				t.Errorf("the plan itself is changed (-before +after):\n%s", diff)
			}
		})
	}
	for _, c := range []struct{ name, says string }{
		{"suspnd", "did you mean suspend?"},
		{"everything", "want one of kill, power, "},
	} {
		if _, err := harness.Without(p, []string{c.name}); !errors.Is(err, plan.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.says)
		}
	}
}
