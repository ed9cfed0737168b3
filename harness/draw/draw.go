// Package draw makes the properties of a plan from a seed. A property is drawn by its
// name, so that one more property, or one less, leaves all others as they are.
package draw

import (
	"math/bits"

	"github.com/zeebo/xxh3"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Draw draws the properties of one plan.
type Draw struct {
	scenario uint64
	seed     plan.Seed
}

// New returns what draws the plan of a scenario's seed.
func New(scenario string, seed plan.Seed) Draw {
	return Draw{scenario: xxh3.HashString(scenario), seed: seed}
}

func (d *Draw) hash(name string, i int) uint64 {
	return chance.Hash(uint64(d.seed), chance.Draw, d.scenario, env.Key{A: xxh3.HashString(name), B: uint64(i)})
}

// Between draws the i-th property of that name uniformly from lo..hi.
func (d *Draw) Between(name string, i int, lo, hi int64) int64 {
	return lo + int64(chance.Below(d.hash(name, i), uint64(hi-lo+1)))
}

// OneIn is true in one of n seeds.
func (d *Draw) OneIn(n int64, name string, i int) bool { return d.Between(name, i, 1, n) == 1 }

// Log draws log-uniformly from lo..hi by powers of two, 0 < lo <= hi.
func (d *Draw) Log(name string, i int, lo, hi int64) int64 {
	steps := int64(bits.Len64(uint64(hi/lo)) - 1)
	return min(hi, lo<<d.Between(name, i, 0, steps))
}

// Swarm draws the rate of a fault family: off in half of the seeds, else
// log-uniform. A population in which every seed has everything finds less than
// one in which most seeds lack something (swarm testing, Groce et al. 2012).
func (d *Draw) Swarm(site chance.Site, lo, hi int64) uint32 {
	name := "rate " + site.String()
	if d.OneIn(2, name, 0) {
		return 0
	}
	return uint32(d.Log(name, 1, lo, hi))
}
