package campaign

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/zeebo/xxh3"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/harness/regressions"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Range is the seeds First..Last, both included.
type Range struct {
	First, Last plan.Seed
}

// count is the number of seeds in r; it saturates.
func (r Range) count() uint64 {
	n := uint64(r.Last - r.First)
	if n+1 == 0 {
		return n
	}
	return n + 1
}

// ErrUsage is wrapped by the errors for arguments that mean nothing.
var ErrUsage = harness.ErrUsage

// FlagError names the flag with an impossible value, and the values that it takes. It is an ErrUsage.
type FlagError struct {
	Flag  string // without dashes
	Value any
	Want  string
}

// Error names the flag and its value as they were written.
func (e *FlagError) Error() string { return fmt.Sprintf("--%s %v: want %s", e.Flag, e.Value, e.Want) }

// Is makes errors.Is(e, ErrUsage) true.
func (*FlagError) Is(target error) bool { return target == ErrUsage }

// ParseSeeds reads N, which stands for the seeds 1..N, or A-B.
func ParseSeeds(text string) (Range, error) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		from, to = "1", text
	}
	first, err1 := plan.ParseSeed(from)
	last, err2 := plan.ParseSeed(to)
	if err1 != nil || err2 != nil || last < first {
		return Range{}, &FlagError{"seeds", text, "N from 1 on, for the seeds 1 to N, or A-B for those from A to B; a seed is decimal, 0x and hexadecimal, or a git hash"}
	}
	return Range{first, last}, nil
}

// Shard is part Part of Of, from 1. The zero value is everything.
type Shard struct {
	Part, Of int
}

// ParseShard reads k/n.
func ParseShard(text string) (Shard, error) {
	part, of, ok := strings.Cut(text, "/")
	k, err1 := strconv.Atoi(part)
	n, err2 := strconv.Atoi(of)
	if !ok || err1 != nil || err2 != nil || k < 1 || n < k {
		return Shard{}, &FlagError{"shard", text, "k/n with 1 <= k <= n"}
	}
	return Shard{k, n}, nil
}

// has reports whether the i-th seed, from 0, belongs to the shard.
func (s Shard) has(i uint64) bool { return s.Of == 0 || i%uint64(s.Of) == uint64(s.Part-1) }

// ParseShare reads "5%" or "100%" and returns millionths.
func ParseShare(flag, text string) (int, error) {
	number, ok := strings.CutSuffix(text, "%")
	whole, fraction, _ := strings.Cut(number, ".")
	n, err := strconv.Atoi(whole + (fraction + "0000")[:4])
	if !ok || whole == "" || err != nil || n < 0 || n > chance.Million || len(fraction) > 4 {
		return 0, &FlagError{flag, text, "a share from 0% to 100%"}
	}
	return n, nil
}

// sampled reports whether a job is in a share of millionths. It hangs on the seed
// alone, so that it is the same for every shard and number of workers.
func (o *Options) sampled(what string, j *job, share int) bool {
	if share == 0 {
		return false
	}
	key := env.Key{A: xxh3.HashString(what), B: xxh3.HashString(j.scenario)}
	return chance.Below(chance.Hash(uint64(j.seed), chance.Draw, 0, key), chance.Million) < uint64(share)
}

// job is one plan to run.
type job struct {
	index      int
	scenario   string
	seed       plan.Seed
	regression string       // path of a committed plan; "" if the plan is drawn
	stored     harness.Plan // of a regression
}

// source yields the jobs of a campaign in order: regressions first, then all
// seeds of one scenario after the other, or in turns if time ends the campaign.
type source struct {
	options     *Options
	regressions []job
	ranges      []Range
	turns       bool
	total       int // 0 if unknown
	each        int // seeds of one scenario; 0 if unknown

	stopped []atomic.Bool // by scenario; set by who counts, read by who hands out

	index    int
	scenario int
	at       uint64 // seeds of this scenario, or turns, so far
}

func newSource(o *Options) (*source, error) {
	s := &source{options: o, ranges: o.Seeds, turns: o.For > 0, stopped: make([]atomic.Bool, len(o.Scenarios))}
	if s.turns {
		s.ranges = slices.Clone(o.Seeds)
		s.ranges[len(s.ranges)-1].Last = 1<<64 - 1
	}
	var err error
	if s.regressions, err = loadRegressions(o); err != nil {
		return nil, err
	}
	if !s.turns {
		s.each = o.Shard.share(s.ranges)
		s.total = len(s.regressions) + s.each*len(o.Scenarios)
	}
	return s, nil
}

// share returns how many of the seeds belong to the shard, 0 if there are too many to count.
func (s Shard) share(ranges []Range) (n int) {
	seeds := uint64(0)
	for _, r := range ranges {
		seeds += r.count()
	}
	switch {
	case seeds > 1<<40:
		return 0
	case s.Of == 0:
		return int(seeds)
	}
	whole, rest := seeds/uint64(s.Of), seeds%uint64(s.Of)
	if uint64(s.Part) <= rest {
		whole++
	}
	return int(whole)
}

// stop keeps further seeds of a scenario from beginning. It may be called while jobs are handed
// out.
func (s *source) stop(scenario string) {
	s.stopped[slices.Index(s.options.Scenarios, scenario)].Store(true)
}

// allStopped reports whether every scenario has stopped.
func (s *source) allStopped() bool {
	for i := range s.stopped {
		if !s.stopped[i].Load() {
			return false
		}
	}
	return true
}

// next returns the next job; false if there is none.
func (s *source) next() (job, bool) {
	if s.index < len(s.regressions) {
		j := s.regressions[s.index]
		j.index = s.index
		s.index++
		return j, true
	}
	for s.scenario < len(s.options.Scenarios) && !s.allStopped() {
		seed, ok := s.seed(s.at)
		stopped := s.stopped[s.scenario].Load()
		if (!ok || stopped) && !s.turns {
			s.scenario, s.at = s.scenario+1, 0
			continue
		}
		if !ok {
			return job{}, false
		}
		mine := s.options.Shard.has(s.at) && !stopped
		scenario := s.options.Scenarios[s.scenario]
		s.advance()
		if mine {
			j := job{index: s.index, scenario: scenario, seed: seed}
			s.index++
			return j, true
		}
	}
	return job{}, false
}

// advance moves on to the next seed, or, in turns, to the next scenario first.
func (s *source) advance() {
	if !s.turns {
		s.at++
		return
	}
	if s.scenario++; s.scenario == len(s.options.Scenarios) {
		s.scenario = 0
		s.at++
	}
}

// seed returns the i-th seed of the ranges laid end to end.
func (s *source) seed(i uint64) (plan.Seed, bool) {
	for _, r := range s.ranges {
		if n := r.count(); i >= n {
			i -= n
			continue
		}
		return r.First + plan.Seed(i), true
	}
	return 0, false
}

// plan returns the job's plan.
func (s *source) plan(j *job) (harness.Plan, error) {
	if j.stored != nil {
		return j.stored, nil
	}
	return s.options.Plan(j.scenario, j.seed)
}

// Plan returns the plan of a seed, as the options change it.
func (o *Options) Plan(scenario string, seed plan.Seed) (p harness.Plan, err error) {
	p = o.Suite.Draw(scenario, seed)
	if len(o.Without) > 0 {
		if p, err = harness.Without(p, o.Without); err != nil {
			return nil, err
		}
	}
	if len(o.Set) == 0 {
		return p, nil
	}
	return harness.Set(p, o.Suite.Decode, o.Set)
}

// loadRegressions returns the jobs of the scenarios' committed plans, in the order of the
// scenarios, then of paths. A misplaced or unreadable plan of another scenario is an error too.
func loadRegressions(o *Options) (jobs []job, err error) {
	if o.Regressions == "" {
		return nil, nil
	}
	all, err := regressions.Read(o.Suite, o.Regressions)
	if err != nil {
		return nil, err
	}
	for _, scenario := range o.Scenarios {
		for _, r := range all {
			if r.Scenario == scenario {
				jobs = append(jobs, job{scenario: scenario, seed: r.Plan.Parts().World.Seed, regression: r.Path, stored: r.Plan})
			}
		}
	}
	return jobs, nil
}
