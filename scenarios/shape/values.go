package shape

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/shrink"
	"github.com/tidaldb/tidalsim/scenarios"
)

// number returns the value at a place of a plan.
func number[T shrink.Integer](at func(*scenarios.Plan) *T, simple ...int64) shrink.Value {
	return shrink.Number(func(p harness.Plan) *T { return at(of(p)) }, simple...)
}

// valuesOf lists the values of a plan; the lists in it must not get shorter while
// they are used.
func valuesOf(p *scenarios.Plan) []shrink.Value {
	all := workloadValues()
	all = append(all, shrink.FaultValues(p)...)
	for i := range p.Cluster.Tenants {
		all = append(all,
			number(func(p *scenarios.Plan) *uint64 { return &p.Cluster.Tenants[i].Config.Limits.Rate }, usualRate),
			number(func(p *scenarios.Plan) *uint64 { return &p.Cluster.Tenants[i].Config.Limits.Burst }, 0, 1),
			number(func(p *scenarios.Plan) *uint64 { return &p.Cluster.Tenants[i].Config.Limits.Entities }, 0, 1),
			number(func(p *scenarios.Plan) *uint64 { return &p.Cluster.Tenants[i].Config.Limits.Bytes }, 0))
	}
	for _, c := range commandsOf(p) {
		all = append(all, number(func(p *scenarios.Plan) *int64 { return &p.Workload.Operators[c.operator].Commands[c.index].Think }, 0))
	}
	if p.Workload.Storm != nil {
		all = append(all,
			number(func(p *scenarios.Plan) *int64 { return &p.Workload.Storm.From }, 0),
			number(func(p *scenarios.Plan) *int64 { return &p.Workload.Storm.For }, int64(env.Millisecond)),
			number(func(p *scenarios.Plan) *int64 { return &p.Workload.Storm.Rate }, 1000))
	}
	all = slices.Concat(all, shrink.ProfileValues(), constantValues())
	for i := range p.Cluster.Tenants {
		all = append(all, isCreated(i))
	}
	return all
}

// usualRate is a limit that no workload reaches, operations per second.
const usualRate = 100_000

func workloadValues() []shrink.Value {
	return []shrink.Value{
		number(func(p *scenarios.Plan) *int { return &p.Workload.Concurrency }, 1),
		number(func(p *scenarios.Plan) *int64 { return &p.Workload.ReadPermille }, 0, 500, 1000),
		number(func(p *scenarios.Plan) *int64 { return &p.Workload.PutPermille }, 0, 1000),
		number(func(p *scenarios.Plan) *int64 { return &p.Workload.DeletePermille }, 0, 1000),
		number(func(p *scenarios.Plan) *int64 { return &p.Workload.Entities }, 1),
		number(func(p *scenarios.Plan) *int64 { return &p.Workload.Hot }, 0, 1000),
		number(func(p *scenarios.Plan) *int64 { return &p.Workload.Think }, int64(env.Millisecond), 0),
	}
}

// isCreated is 1 if a tenant is created in the course of the run, and 0 if it is there from the
// beginning.
func isCreated(tenant int) shrink.Value {
	return shrink.Value{
		Get: func(p harness.Plan) int64 {
			if of(p).Cluster.Tenants[tenant].Created {
				return 1
			}
			return 0
		},
		Set:    func(p harness.Plan, v int64) { of(p).Cluster.Tenants[tenant].Created = v > 0 },
		Simple: []int64{0},
	}
}

func constantValues() []shrink.Value {
	usual := replica.DefaultConstants
	return []shrink.Value{
		number(func(p *scenarios.Plan) *int64 { return &p.Cluster.Constants.SegmentSize }, usual.SegmentSize),
		number(func(p *scenarios.Plan) *int64 { return &p.Cluster.Constants.SnapshotEvery }, usual.SnapshotEvery),
		number(func(p *scenarios.Plan) *int { return &p.Cluster.Constants.MaxSessions }, int64(usual.MaxSessions)),
		number(func(p *scenarios.Plan) *int { return &p.Cluster.Constants.MaxPending }, int64(usual.MaxPending)),
		number(func(p *scenarios.Plan) *int { return &p.Cluster.Constants.MaxQueued }, int64(usual.MaxQueued)),
	}
}
