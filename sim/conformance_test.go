package sim_test

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/env/envtest"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// host is the virtual world as the conformance suite sees it. A restart is a
// fault point under a term that kills.
type host struct {
	t     *testing.T
	world sim.World
	envs  []env.Env
}

const restartPoint = env.Point(0)

func (h *host) Run(done func() bool, programs ...func(env.Env) env.Machine) bool {
	h.envs = make([]env.Env, len(programs))
	config := sim.Config{Points: []string{"restart"}}
	p := plan.Quiet()
	for i, program := range programs {
		config.Programs = append(config.Programs, sim.Program{New: func(e env.Env) env.Machine {
			h.envs[i] = e
			return program(e)
		}})
		p.Terms = append(p.Terms, plan.Term{Process: uint32(i), Point: "restart", Term: "2*return(crash)->off"})
	}
	if err := h.world.Reset(config, p); err != nil {
		h.t.Fatal(err)
	}
	return h.world.Run(func() bool { return h.world.Time() > 0 && done() }).Done
}

func (h *host) Restart(id env.ID) { h.envs[id].Hit(restartPoint, env.Key{}) }

func TestWorldConforms(t *testing.T) {
	envtest.Run(t, func(t *testing.T) envtest.Host { return &host{t: t} })
}
