package shrink

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Value is one number of a plan, and what it would best be, the simplest first.
type Value struct {
	Get    func(harness.Plan) int64
	Set    func(harness.Plan, int64)
	Simple []int64
}

// Integer is any type of a plan's numbers.
type Integer interface {
	~int | ~int64 | ~uint32 | ~uint64 | ~uint8
}

// Number returns the Value that reads and sets the number that at points to. simple lists its
// preferred settings, the simplest first.
func Number[T Integer](at func(harness.Plan) *T, simple ...int64) Value {
	return Value{
		Get:    func(p harness.Plan) int64 { return int64(*at(p)) },
		Set:    func(p harness.Plan, v int64) { *at(p) = T(v) },
		Simple: simple,
	}
}

// inWorld returns the value at a place of a plan's world.
func inWorld[T Integer](at func(*plan.Plan) *T, simple ...int64) Value {
	return Number(func(p harness.Plan) *T { return at(p.Parts().World) }, simple...)
}

// values makes whole profiles, then single values, simpler. Neither the length of
// the disruptive part nor that of the calm part is a value: a run that has no time
// to end stalls, whatever the plan is about.
func (s *Search) values() {
	s.profiles()
	for _, v := range s.shape.values(s.best) {
		s.simplify(&v)
	}
	for i := range s.best.Parts().World.Disruptions {
		q := s.best.Clone()
		if d := &q.Parts().World.Disruptions[i]; d.Files != "" {
			d.Files = ""
			s.Try(q)
		}
	}
}

// profiles makes whole profiles the usual ones. It does so once: single values
// become simpler still.
func (s *Search) profiles() {
	if s.usual {
		return
	}
	s.usual = true
	network := func(p harness.Plan) { p.Parts().World.Network = network.DefaultProfile }
	disk := func(p harness.Plan) { p.Parts().World.Disk = disk.DefaultProfile }
	for _, whole := range append([]func(harness.Plan){network, disk}, s.shape.Usual...) {
		q := s.best.Clone()
		whole(q)
		s.Try(q)
	}
}

// simplify moves one value to the simplest that fails: one of those that are
// simple, else a round one, else half the way for as long as that fails.
func (s *Search) simplify(v *Value) {
	for _, simple := range v.Simple {
		if v.Get(s.best) == simple || s.move(v, simple) {
			return
		}
	}
	for !s.spent() {
		now, goal := v.Get(s.best), v.Simple[0]
		if !slices.ContainsFunc([]int64{rounded(now, 1), rounded(now, 2), goal + (now-goal)/2}, func(to int64) bool {
			return distance(to, goal) < distance(now, goal) && s.move(v, to)
		}) {
			return
		}
	}
}

func (s *Search) move(v *Value, to int64) bool {
	q := s.best.Clone()
	v.Set(q, to)
	return s.Try(q)
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

// FaultValues lists the values of a plan's disruptions and clocks; the lists in it must not
// get shorter while they are used.
func FaultValues(p harness.Plan) (all []Value) {
	w := p.Parts().World
	for i := range w.Disruptions {
		all = append(all, disruptionValues(&w.Disruptions[i], func(w *plan.Plan) *plan.Disruption { return &w.Disruptions[i] })...)
	}
	for i := range w.Clocks {
		all = append(all,
			inWorld(func(w *plan.Plan) *int64 { return &w.Clocks[i].DriftPPM }, 0),
			inWorld(func(w *plan.Plan) *int64 { return &w.Clocks[i].Wall }, 0))
	}
	return all
}

// disruptionValues are those that the kind of d uses; at is where it is.
func disruptionValues(d *plan.Disruption, at func(*plan.Plan) *plan.Disruption) []Value {
	all := []Value{
		inWorld(func(p *plan.Plan) *int64 { return &at(p).When.After }, 0),
		inWorld(func(p *plan.Plan) *int64 { return &at(p).When.By }, 0),
		inWorld(func(p *plan.Plan) *plan.Whose { return &at(p).When.Of }, 0),
		inWorld(func(p *plan.Plan) *int64 { return &at(p).When.At }, 0),
		inWorld(func(p *plan.Plan) *uint32 { return &at(p).When.Incarnation }, 0),
		inWorld(func(p *plan.Plan) *uint32 { return &at(p).When.Nth }, 0),
		inWorld(func(p *plan.Plan) *int64 { return &at(p).For }, 0, 1, int64(env.Millisecond)),
		inWorld(func(p *plan.Plan) *int64 { return &at(p).Amount }, 0, 1),
		inWorld(func(p *plan.Plan) *int64 { return &at(p).ToByte }, 0),
		inWorld(func(p *plan.Plan) *int64 { return &at(p).FromByte }, 0),
	}
	switch d.Kind {
	case plan.Power, plan.Wipe, plan.Restore: // what keeps more is simpler
		all = append(all, inWorld(func(p *plan.Plan) *plan.Kind { return &at(p).Kind }, int64(plan.Kill), int64(plan.Power)))
	}
	return all
}

// ProfileValues lists the properties of a plan's network and disks.
func ProfileValues() []Value { return append(networkValues(), diskValues()...) }

func networkValues() []Value {
	usual := network.DefaultProfile
	return []Value{
		inWorld(func(p *plan.Plan) *int64 { return &p.Network.Latency }, usual.Latency),
		inWorld(func(p *plan.Plan) *int64 { return &p.Network.Jitter }, 0, usual.Jitter),
		inWorld(func(p *plan.Plan) *int64 { return &p.Network.PerKiB }, 0, usual.PerKiB),
		inWorld(func(p *plan.Plan) *int64 { return &p.Network.Queue }, usual.Queue),
		inWorld(func(p *plan.Plan) *int64 { return &p.Network.MaxDelay }, usual.MaxDelay),
		inWorld(func(p *plan.Plan) *int64 { return &p.Network.MaxLate }, 0),
	}
}

func diskValues() []Value {
	usual := disk.DefaultProfile
	return []Value{
		inWorld(func(p *plan.Plan) *int64 { return &p.Disk.Write }, usual.Write),
		inWorld(func(p *plan.Plan) *int64 { return &p.Disk.Read }, usual.Read),
		inWorld(func(p *plan.Plan) *int64 { return &p.Disk.Sync }, usual.Sync),
		inWorld(func(p *plan.Plan) *int64 { return &p.Disk.Meta }, usual.Meta),
		inWorld(func(p *plan.Plan) *int64 { return &p.Disk.Jitter }, 0, usual.Jitter),
		inWorld(func(p *plan.Plan) *int64 { return &p.Disk.Capacity }, usual.Capacity),
		inWorld(func(p *plan.Plan) *int64 { return &p.Disk.Sector }, usual.Sector),
		inWorld(func(p *plan.Plan) *int64 { return &p.Disk.Slow }, usual.Slow),
	}
}
