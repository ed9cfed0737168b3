package scenarios

import (
	"slices"
	"testing"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// forbiddenCases are plans of which the budget vetoes a disruption by each row.
var forbiddenCases = []struct {
	row  Row
	plan func(seed plan.Seed) *Plan
}{
	{LastWholeMember, func(seed plan.Seed) *Plan { // the three replicas of shard 0 lose their disks
		p := regionOutage.Plan(seed)
		p.Cluster.Meta = []env.ID{0, 1, 2, 3, 4}
		p.World.Disruptions = nil
		for i, node := range p.Cluster.Shards[0].Replicas {
			p.World.Disruptions = append(p.World.Disruptions, wipeAt(uint32(node), 300*millisecond+int64(i)*10*millisecond))
		}
		return p
	}},
	{MetaMajority, func(seed plan.Seed) *Plan { // two of three members of the meta log, one after the other
		p := diskLoss.Plan(seed)
		p.World.Disruptions = []plan.Disruption{wipeAt(1, 300*millisecond), wipeAt(2, 310*millisecond)}
		return p
	}},
	{NodeFile, func(seed plan.Seed) *Plan { return rotting(seed, "node") }},
	{Unconfirmed, func(seed plan.Seed) *Plan { // the last records, behind which there is nothing
		p := rotting(seed, ".seg")
		early(p, foundedBy+int64(seed)*millisecond/4, 1)
		return p
	}},
	{OnlyCopyTwice, func(seed plan.Seed) *Plan { // all but the first sector, so that nothing confirms the damaged bytes
		p := rotting(seed, ".seg")
		early(p, foundedBy+int64(seed)*millisecond, 60)
		return p
	}},
}

// early lets the log rot in so many places, and power fail at once. The log is one segment.
func early(p *Plan, at int64, places int) {
	c := &p.Cluster.Constants
	c.SnapshotEvery, c.SegmentSize = 1<<30, 1<<30
	rot, crash := p.World.Disruptions[0], p.World.Disruptions[1]
	rot.When.At, rot.Amount, rot.FromByte = at, 1, 128
	if places > 1 {
		rot.FromByte = 512
	}
	crash.Kind, crash.When.At = plan.Power, at+1000
	p.World.Disruptions = append(slices.Repeat([]plan.Disruption{rot}, places), crash)
}

func wipeAt(node uint32, at int64) plan.Disruption {
	return plan.Disruption{Kind: plan.Wipe, Process: node, When: plan.Anchor{At: at}, For: millisecond}
}

// rotting is a seed in which nothing happens but rot, and a crash that finds it.
func rotting(seed plan.Seed, files string) *Plan {
	p := diskTrouble.Plan(seed)
	p.World.Disruptions = nil
	newDraw("rot", seed).rot(p)
	p.World.Disruptions[0].Files = files
	return p
}

// A forbidden fault loses acknowledged records: without the veto a judge objects. With it the same
// plan holds, and the veto names the row.
func TestAForbiddenFaultLosesSomething(t *testing.T) {
	r := NewRunner()
	for _, c := range forbiddenCases {
		t.Run(string(c.row), func(t *testing.T) {
			vetoed, lost := 0, 0
			for seed := plan.Seed(1); seed <= 24 && lost < 3; seed++ {
				p := c.plan(seed)
				got, err := r.Run(p, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(got.Vetoes, func(v Veto) bool { return v.Row == c.row }) {
					continue
				}
				vetoed++
				if got.Verdict == checker.Violated {
					t.Errorf("seed %s: with its veto: %s: %s", seed, got.Findings[0].Rule, got.Findings[0].Text)
				}
				if got, err = r.Run(p, Options{Unlimited: true}); err != nil {
					t.Fatal(err)
				}
				if got.Verdict == checker.Violated {
					lost++
				}
			}
			if vetoed == 0 || lost == 0 {
				t.Errorf("%d seeds have a fault vetoed by %s, and %d of them lose something without the veto", vetoed, c.row, lost)
			}
			t.Logf("%s: vetoed in %d seeds, loses something in %d", c.row, vetoed, lost)
		})
	}
}

// Of each kind of fault less than a fifth is vetoed: most drawn faults happen.
func TestFewFaultsAreVetoed(t *testing.T) {
	r := NewRunner()
	var struck, vetoed [plan.KindCount]int
	for _, s := range []*Scenario{diskTrouble, diskLoss, allRestart} {
		for seed := plan.Seed(1); seed <= 60; seed++ {
			got, err := r.Run(s.Plan(seed), Options{})
			if err != nil {
				t.Fatal(err)
			}
			for kind, n := range got.Struck {
				struck[kind] += n
			}
			for _, v := range got.Vetoes {
				vetoed[v.Kind]++
			}
		}
	}
	for kind, n := range vetoed {
		if 5*n >= struck[kind]+n && n > 0 {
			t.Errorf("%d of %d disruptions %s are vetoed, want less than a fifth", n, struck[kind]+n, plan.Kind(kind))
		}
	}
	if struck[plan.Wipe] < 40 || struck[plan.Restore] < 20 || struck[plan.Rot] < 10 {
		t.Errorf("%d disks were lost, %d replaced by older copies, and %d places rotted, want more", struck[plan.Wipe], struck[plan.Restore], struck[plan.Rot])
	}
}
