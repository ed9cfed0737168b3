package scenarios

import (
	"slices"

	"github.com/tidaldb/tidalsim/harness"
)

// Parts implements harness.Plan.
func (p *Plan) Parts() harness.Parts {
	return harness.Parts{Scenario: p.Scenario, Lesson: p.Lesson, World: &p.World, Recorded: p.Recorded}
}

// Note implements harness.Plan.
func (p *Plan) Note(lesson string, r *harness.Recorded) { p.Lesson, p.Recorded = lesson, r }

// Encode returns the plan as indented JSON.
func (p *Plan) Encode() []byte { return harness.Marshal(p) }

// Clone returns a copy that shares nothing with the plan that may be changed.
func (p *Plan) Clone() harness.Plan { return p.Copy() }

// Set returns the plan with values replaced; see harness.Set.
func (p *Plan) Set(assignments []string) (*Plan, error) {
	changed, err := harness.Set(p, decode, assignments)
	if err != nil {
		return nil, err
	}
	return changed.(*Plan), nil
}

// decode is DecodePlan for a harness.Suite.
func decode(data []byte) (harness.Plan, error) {
	p, err := DecodePlan(data)
	if err != nil { // a nil *Plan in a Plan is not nil
		return nil, err
	}
	return p, nil
}

// Copy returns a copy that shares nothing with the plan that may be changed.
func (p *Plan) Copy() *Plan {
	q := *p
	q.Cluster.Tenants = slices.Clone(p.Cluster.Tenants)
	for i := range q.Cluster.Tenants {
		t := &q.Cluster.Tenants[i]
		t.Shards = slices.Clone(t.Shards)
	}
	q.Cluster.Topology = p.Cluster.Topology.copy()
	q.Workload.Skip = slices.Clone(p.Workload.Skip)
	if p.Workload.Loyal != nil {
		loyal := *p.Workload.Loyal
		q.Workload.Loyal = &loyal
	}
	if p.Workload.Storm != nil {
		storm := *p.Workload.Storm
		q.Workload.Storm = &storm
	}
	q.Workload.Operators = slices.Clone(p.Workload.Operators)
	for i := range q.Workload.Operators {
		o := &q.Workload.Operators[i]
		o.Commands = slices.Clone(o.Commands)
	}
	w := &q.World
	w.Clocks, w.Terms = slices.Clone(w.Clocks), slices.Clone(w.Terms)
	w.Deviations, w.Disruptions, w.Links = slices.Clone(w.Deviations), slices.Clone(w.Disruptions), slices.Clone(w.Links)
	return &q
}

func (s *Topology) copy() Topology {
	c := *s
	c.Meta, c.Regions, c.Shards = slices.Clone(s.Meta), slices.Clone(s.Regions), slices.Clone(s.Shards)
	for i := range c.Shards {
		c.Shards[i].Replicas = slices.Clone(c.Shards[i].Replicas)
	}
	return c
}
