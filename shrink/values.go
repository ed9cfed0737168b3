package shrink

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// value is one number of a plan, and what it would best be, the simplest first.
type value struct {
	get    func(*scenarios.Plan) int64
	set    func(*scenarios.Plan, int64)
	simple []int64
}

// integer is any type of a plan's numbers.
type integer interface {
	~int | ~int64 | ~uint32 | ~uint64 | ~uint8
}

// number returns the value at a place of the plan.
func number[T integer](at func(*scenarios.Plan) *T, simple ...int64) value {
	return value{
		get:    func(p *scenarios.Plan) int64 { return int64(*at(p)) },
		set:    func(p *scenarios.Plan, v int64) { *at(p) = T(v) },
		simple: simple,
	}
}

// values makes whole profiles, then single values, simpler. Neither the length of
// the disruptive part nor that of the calm part is a value: a run that has no time
// to end stalls, whatever the plan is about.
func (s *search) values() {
	s.profiles()
	for _, v := range valuesOf(s.best) {
		s.simplify(&v)
	}
	for i := range s.best.Cluster.Tenants {
		if q := clone(s.best); q.Cluster.Tenants[i].Created {
			q.Cluster.Tenants[i].Created = false
			s.try(q)
		}
	}
	for i := range s.best.World.Disruptions {
		if q := clone(s.best); q.World.Disruptions[i].Files != "" {
			q.World.Disruptions[i].Files = ""
			s.try(q)
		}
	}
}

// profiles makes whole profiles the usual ones. It does so once: single values
// become simpler still.
func (s *search) profiles() {
	if s.usual {
		return
	}
	s.usual = true
	for _, whole := range []func(*scenarios.Plan){
		func(p *scenarios.Plan) { p.World.Network = network.DefaultProfile },
		func(p *scenarios.Plan) { p.World.Disk = disk.DefaultProfile },
		func(p *scenarios.Plan) {
			p.Cluster.Constants = replica.DefaultConstants
		},
	} {
		q := clone(s.best)
		whole(q)
		s.try(q)
	}
}

// simplify moves one value to the simplest that fails: one of those that are
// simple, else a round one, else half the way for as long as that fails.
func (s *search) simplify(v *value) {
	for _, simple := range v.simple {
		if v.get(s.best) == simple || s.move(v, simple) {
			return
		}
	}
	for !s.spent() {
		now, goal := v.get(s.best), v.simple[0]
		if !slices.ContainsFunc([]int64{rounded(now, 1), rounded(now, 2), goal + (now-goal)/2}, func(to int64) bool {
			return distance(to, goal) < distance(now, goal) && s.move(v, to)
		}) {
			return
		}
	}
}

func (s *search) move(v *value, to int64) bool {
	q := clone(s.best)
	v.set(q, to)
	return s.try(q)
}

func distance(a, b int64) int64 { return max(a, b) - min(a, b) }

// rounded keeps the first n decimal digits of v.
func rounded(v int64, n int) int64 {
	unit := int64(1)
	for rest := max(v, -v); rest >= 10; rest /= 10 {
		unit *= 10
	}
	for range n - 1 {
		unit = max(1, unit/10)
	}
	return v / unit * unit
}

// valuesOf lists the values of a plan; the lists in it must not get shorter while
// they are used.
func valuesOf(p *scenarios.Plan) []value {
	all := workloadValues()
	for i := range p.World.Disruptions {
		all = append(all, disruptionValues(&p.World.Disruptions[i], func(p *scenarios.Plan) *plan.Disruption { return &p.World.Disruptions[i] })...)
	}
	for i := range p.World.Clocks {
		all = append(all,
			number(func(p *scenarios.Plan) *int64 { return &p.World.Clocks[i].DriftPPM }, 0),
			number(func(p *scenarios.Plan) *int64 { return &p.World.Clocks[i].Wall }, 0))
	}
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
	return slices.Concat(all, networkValues(), diskValues(), constantValues())
}

// usualRate is a limit that no workload reaches, operations per second.
const usualRate = 100_000

func workloadValues() []value {
	return []value{
		number(func(p *scenarios.Plan) *int { return &p.Workload.Concurrency }, 1),
		number(func(p *scenarios.Plan) *int64 { return &p.Workload.ReadPermille }, 0, 500, 1000),
		number(func(p *scenarios.Plan) *int64 { return &p.Workload.PutPermille }, 0, 1000),
		number(func(p *scenarios.Plan) *int64 { return &p.Workload.DeletePermille }, 0, 1000),
		number(func(p *scenarios.Plan) *int64 { return &p.Workload.Entities }, 1),
		number(func(p *scenarios.Plan) *int64 { return &p.Workload.Hot }, 0, 1000),
		number(func(p *scenarios.Plan) *int64 { return &p.Workload.Think }, int64(env.Millisecond), 0),
	}
}

// disruptionValues are those that the kind of d uses; at is where it is.
func disruptionValues(d *plan.Disruption, at func(*scenarios.Plan) *plan.Disruption) []value {
	all := []value{
		number(func(p *scenarios.Plan) *int64 { return &at(p).When.After }, 0),
		number(func(p *scenarios.Plan) *int64 { return &at(p).When.By }, 0),
		number(func(p *scenarios.Plan) *plan.Whose { return &at(p).When.Of }, 0),
		number(func(p *scenarios.Plan) *int64 { return &at(p).When.At }, 0),
		number(func(p *scenarios.Plan) *uint32 { return &at(p).When.Incarnation }, 0),
		number(func(p *scenarios.Plan) *uint32 { return &at(p).When.Nth }, 0),
		number(func(p *scenarios.Plan) *int64 { return &at(p).For }, 0, 1, int64(env.Millisecond)),
		number(func(p *scenarios.Plan) *int64 { return &at(p).Amount }, 0, 1),
		number(func(p *scenarios.Plan) *int64 { return &at(p).ToByte }, 0),
		number(func(p *scenarios.Plan) *int64 { return &at(p).FromByte }, 0),
	}
	switch d.Kind {
	case plan.Power, plan.Wipe, plan.Restore: // what keeps more is simpler
		all = append(all, number(func(p *scenarios.Plan) *plan.Kind { return &at(p).Kind }, int64(plan.Kill), int64(plan.Power)))
	}
	return all
}

func networkValues() []value {
	usual := network.DefaultProfile
	return []value{
		number(func(p *scenarios.Plan) *int64 { return &p.World.Network.Latency }, usual.Latency),
		number(func(p *scenarios.Plan) *int64 { return &p.World.Network.Jitter }, 0, usual.Jitter),
		number(func(p *scenarios.Plan) *int64 { return &p.World.Network.PerKiB }, 0, usual.PerKiB),
		number(func(p *scenarios.Plan) *int64 { return &p.World.Network.Queue }, usual.Queue),
		number(func(p *scenarios.Plan) *int64 { return &p.World.Network.MaxDelay }, usual.MaxDelay),
		number(func(p *scenarios.Plan) *int64 { return &p.World.Network.MaxLate }, 0),
	}
}

func diskValues() []value {
	usual := disk.DefaultProfile
	return []value{
		number(func(p *scenarios.Plan) *int64 { return &p.World.Disk.Write }, usual.Write),
		number(func(p *scenarios.Plan) *int64 { return &p.World.Disk.Read }, usual.Read),
		number(func(p *scenarios.Plan) *int64 { return &p.World.Disk.Sync }, usual.Sync),
		number(func(p *scenarios.Plan) *int64 { return &p.World.Disk.Meta }, usual.Meta),
		number(func(p *scenarios.Plan) *int64 { return &p.World.Disk.Jitter }, 0, usual.Jitter),
		number(func(p *scenarios.Plan) *int64 { return &p.World.Disk.Capacity }, usual.Capacity),
		number(func(p *scenarios.Plan) *int64 { return &p.World.Disk.Sector }, usual.Sector),
		number(func(p *scenarios.Plan) *int64 { return &p.World.Disk.Slow }, usual.Slow),
	}
}

func constantValues() []value {
	usual := replica.DefaultConstants
	return []value{
		number(func(p *scenarios.Plan) *int64 { return &p.Cluster.Constants.SegmentSize }, usual.SegmentSize),
		number(func(p *scenarios.Plan) *int64 { return &p.Cluster.Constants.SnapshotEvery }, usual.SnapshotEvery),
		number(func(p *scenarios.Plan) *int { return &p.Cluster.Constants.MaxSessions }, int64(usual.MaxSessions)),
		number(func(p *scenarios.Plan) *int { return &p.Cluster.Constants.MaxPending }, int64(usual.MaxPending)),
		number(func(p *scenarios.Plan) *int { return &p.Cluster.Constants.MaxQueued }, int64(usual.MaxQueued)),
	}
}
