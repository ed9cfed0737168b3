// Package scenarios holds the stories: which cluster, which workload, which
// faults, judged by which checkers. It is the only place where the world and the
// judges meet.
//
// One way through it: a scenario and a seed make a Plan. A Runner lets a world live through the
// plan, with real nodes and clients in it, and shows the checkers the clients' answers and the
// observations of an omniscient observer. The Result holds the verdict. A new scenario is one file
// and one line in All.
package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/checker"
	"github.com/tidaldb/tidalsim/internal/nearest"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Scenario is one story.
type Scenario struct {
	Name  string
	Story string // the events and the promise, in one sentence
	// Faulty scenarios count a seed only if at least one fault happened.
	Faulty bool
	// draw makes the plan of a seed.
	draw func(d *draw, p *Plan)
}

// All returns the scenarios in the order in which they are listed and run.
func All() []*Scenario {
	return slices.Concat(light(), stormy(), heavy())
}

// light scenarios take a few milliseconds of CPU time a seed.
func light() []*Scenario {
	return []*Scenario{smoke, calm, lossyNetwork, crashRestart, diskFull, diskTrouble, clockTrouble, quotaStorm, hotEntity, tenantLifecycle,
		sharedSmoke, multiSlot, sharesUnderFire, failover, partition, deposedLeader, slowFollower, diskLoss, rejoin, allRestart, regionOutage, controlChurn, underFire, belowMin,
		sharedLifecycle, residencyChange, nodeDrain, drainCancel, grayFailure, slowFile, failingDisk, lateMessages, staggeredCuts, olderCopies}
}

// stormy scenarios take two or three times as long as the others, and run by name only.
func stormy() []*Scenario { return []*Scenario{storm} }

// heavy scenarios take more, and run by name only.
func heavy() []*Scenario { return []*Scenario{manyTenants, fleet} }

// Default is the name of the group that runs when nothing is named.
const Default = "default"

// Groups returns the names of the groups with their members.
func Groups() []Group {
	return []Group{{Name: Default, Members: light()}, {Name: "storms", Members: stormy()}, {Name: "heavy", Members: heavy()}}
}

// Group is a set of scenarios that run together.
type Group struct {
	Name    string
	Members []*Scenario
}

// UnknownError is returned for a name that is neither a scenario nor a group.
type UnknownError struct {
	Name  string
	Known []string
}

// Error names the nearest scenario or group or, if none is near, all of them.
func (e *UnknownError) Error() string {
	if near := nearest.Name(e.Name, e.Known); near != "" {
		return fmt.Sprintf("no scenario or group %q; did you mean %s? simrun list scenarios names them", e.Name, near)
	}
	if slices.ContainsFunc(checker.All(), func(c checker.Checker) bool { return c.Name == e.Name }) {
		return fmt.Sprintf("no scenario or group %q: that is a checker, and checkers judge every scenario; simrun list scenarios names what runs", e.Name)
	}
	return fmt.Sprintf("no scenario or group %q; there are %s", e.Name, strings.Join(e.Known, ", "))
}

// Find returns the scenarios that a name stands for.
func Find(name string) ([]*Scenario, error) {
	known := make([]string, 0, 8)
	for _, s := range All() {
		if s.Name == name {
			return []*Scenario{s}, nil
		}
		known = append(known, s.Name)
	}
	for _, g := range Groups() {
		if g.Name == name {
			return g.Members, nil
		}
		known = append(known, g.Name)
	}
	return nil, &UnknownError{Name: name, Known: known}
}

// Plan returns the plan that a seed stands for.
func (s *Scenario) Plan(seed plan.Seed) *Plan {
	p := &Plan{Format: Format, Version: Version, Scenario: s.Name}
	p.World.Seed = seed
	s.draw(newDraw(s.Name, seed), p)
	if len(p.Cluster.Shards) == 0 {
		p.alone()
	}
	return p
}
