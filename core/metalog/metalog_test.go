package metalog_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// Without faults, every call is answered, and no client waits for two elections.
func TestCalm(t *testing.T) {
	for _, members := range []int{3, 5} {
		s := newStage(1, members)
		out := s.run(t)
		s.verify(t, out)
		if len(s.leaders) != 1 || out.Ended > 400*ms {
			t.Errorf("%d members: leaders in %d terms, all answered after %d ms; want one, and 400 ms at most", members, len(s.leaders), out.Ended/ms)
		}
	}
}

func seeds(t *testing.T) int {
	if testing.Short() {
		return 20
	}
	return 200
}

// storm is a run in which everything may happen.
func storm(seed uint64) *stage {
	rng := rand.New(rand.NewPCG(seed, 11))
	s := newStage(seed, 3+2*rng.IntN(2))
	s.ballast, s.calls, s.think = rng.IntN(1500), 30, 400*env.Millisecond
	if rng.IntN(2) == 0 {
		s.plan.Rates = plan.Rates{
			chance.NetLoss: uint32(rng.IntN(100_000)), chance.NetDuplicate: uint32(rng.IntN(100_000)),
			chance.NetDelay: uint32(rng.IntN(100_000)), chance.NetCorrupt: uint32(rng.IntN(20_000)),
		}
	}
	for _, site := range []chance.Site{chance.DiskInFlight, chance.DiskLost, chance.DiskTorn, chance.DiskEntry} {
		s.plan.Rates[site] = uint32(rng.IntN(chance.Million))
	}
	s.trouble(rng)
	return s
}

// For any faults within the budget: a term has one leader, there is one log, no answered command is
// lost or applied twice, and in the calm part every call is answered. Every process repeats the run
// exactly.
func TestStorm(t *testing.T) {
	alone := os.Getenv(tracesOnly) != ""
	there := func() string { return "" }
	if !alone {
		there = elsewhere(t)
	}
	var here strings.Builder
	fired, replaced, corrupt := 0, 0, 0
	for seed := range uint64(seeds(t)) {
		s := storm(seed)
		out := s.run(t)
		fmt.Fprintf(&here, "%d %s\n", seed, s.world.Trace().Hash())
		if alone {
			continue
		}
		s.verify(t, out)
		fired += s.world.Fired()
		corrupt += s.corrupt
		replaced += s.replaced()
	}
	if alone {
		fmt.Print(here.String())
		return
	}
	same(t, here.String(), there())
	if n := seeds(t); fired < 3*n || replaced < n/10 || corrupt < n/20 {
		t.Errorf("%d disruptions, %d members replaced, %d found rot in %d seeds; want more", fired, replaced, corrupt, n)
	}
}

// replaced counts the members that are no founders.
func (s *stage) replaced() (n int) {
	for i := range s.members {
		if member := s.node(env.ID(i)); member != nil && member.log.Status().Member.Joined() > 0 {
			n++
		}
	}
	return n
}
