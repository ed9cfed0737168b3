package shrink

import (
	"math/bits"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// A deviation names an operation or a message, by number and attempt. With one
// crash less, or one process, the write that must tear has another number: the cut
// would be right and the deviation misses. So a cut that fails plainly is tried
// once more with the same families of deviations everywhere; those that happen are
// listed and made few. The seed is the same, and no family is new.

// boldEffort bounds the Steps of the runs with deviations elsewhere, in all: there are some for
// each entry and each family, and they may all be in vain.
const boldEffort = 3_000_000

// bold looks for one cut that holds with deviations elsewhere, the big ones first.
func (s *Search) bold() bool {
	rates := families(s.whole.Parts().World)
	if len(rates) == 0 {
		return false
	}
	for _, p := range s.smaller() {
		for _, r := range rates {
			if s.spent() || s.onBold > boldEffort {
				return false
			}
			began := s.taken
			found := s.elsewhere(p, r)
			if s.onBold += s.taken - began; found {
				return true
			}
		}
	}
	return false
}

// families returns the rates to try: each family of the plan's deviations alone,
// and those of disks together.
func families(w *plan.Plan) (list []plan.Rates) {
	var present [chance.Deviations]bool
	for i := range w.Deviations {
		present[w.Deviations[i].Site] = true
	}
	var disks plan.Rates
	for site := range chance.Deviations {
		if !present[site] {
			continue
		}
		var alone plan.Rates
		alone[site] = 300_000 // with every message lost nothing goes on
		if !site.OfLink() {
			alone[site] = chance.Million // asked at crashes only
			disks[site] = chance.Million
		}
		list = append(list, alone)
	}
	if disks != (plan.Rates{}) {
		list = append(list, disks)
	}
	return list
}

// elsewhere tries a plan with deviations at the given rates, and keeps it if it fails with
// fewer entries than are known to.
func (s *Search) elsewhere(p harness.Plan, rates plan.Rates) bool {
	q := p.Clone()
	w := q.Parts().World
	w.Rates, w.Deviations = rates, nil
	most := s.size.entries - s.shape.Entries(q) - 1 // deviations of a plan that is smaller
	if most < 0 {
		return false
	}
	got, err := s.run(q, harness.Options{Record: true})
	if err != nil || !s.isSame(got) {
		return false
	}
	listed := harness.Record(q, got, "")
	listed.Note("", nil)
	all := listed.Parts().World.Deviations
	few, asked := listed, 0
	Minimize(numbers(len(all)), func(keep []int) bool {
		if asked++; asked > boldness(most, len(all)) {
			return false
		}
		c := listed.Clone()
		kept := make([]plan.Deviation, 0, len(keep))
		for _, i := range keep {
			kept = append(kept, all[i])
		}
		c.Parts().World.Deviations = kept
		fails := s.check(c)
		if fails {
			few = c
		}
		return fails
	})
	return s.Try(few)
}

// boldness bounds the runs that look for a few among n deviations. If those suffice, ddmin
// finds them in about so many runs; else it goes on for n^2 runs.
func boldness(few, n int) int { return 8 + 4*(few+1)*bits.Len(uint(n)) }

// smaller returns plans that have only one member of an axis, or one fault, then those that
// lack one, each with the operations as they are and as they were.
func (s *Search) smaller() (list []harness.Plan) {
	p := s.best
	var aimed []fault // deviations are found anew
	for _, f := range s.shape.faults(p) {
		if f.list != deviations {
			aimed = append(aimed, f)
		}
	}
	for _, whole := range []bool{false, true} {
		for _, parts := range []func(n int) [][]int{ones, allButOne} {
			for i := range s.shape.Axes {
				a := &s.shape.Axes[i]
				if !a.Bold {
					continue
				}
				for _, keep := range parts(a.count(p)) {
					list = append(list, s.with(whole, a.Keep(p, keep))...)
				}
			}
			for _, keep := range parts(len(aimed)) {
				faults := make([]fault, 0, len(keep))
				for _, i := range keep {
					faults = append(faults, aimed[i])
				}
				list = append(list, s.with(whole, []harness.Plan{s.shape.withFaults(p, faults)})...)
			}
		}
	}
	return list
}

// ones returns the parts of 0..n-1 that have one member.
func ones(n int) (parts [][]int) {
	for i := range n {
		if n > 1 {
			parts = append(parts, []int{i})
		}
	}
	return parts
}

// allButOne returns the parts of 0..n-1 that lack one member.
func allButOne(n int) (parts [][]int) {
	for i := range n {
		part := numbers(n)
		parts = append(parts, append(part[:i], part[i+1:]...))
	}
	return parts
}
