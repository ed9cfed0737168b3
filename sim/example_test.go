package sim_test

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// counter asks its peer to count, again until it is answered; the peer counts.
type counter struct {
	env   env.Env
	count int
}

func (c *counter) Step(ev *env.Event) {
	if ev.Kind == env.Message {
		c.count++
	}
	if c.env.Self() == 1 && ev.Kind == env.Message {
		c.env.Send(0, env.Key{B: uint64(c.count)}, ev.Data)
	} else if c.env.Self() == 0 && c.count < 3 {
		now := c.env.Now()
		c.env.Send(1, env.Key{B: uint64(now)}, []byte("count!"))
		c.env.SetTimer(0, now.Add(10*env.Millisecond))
	}
}

func (c *counter) Status(s *env.Status) { s[0] = uint64(c.count) }

// A machine of one's own in the virtual world, in which a third of all messages
// is lost: the same seed gives the same run.
func Example() {
	newCounter := func(e env.Env) env.Machine { return &counter{env: e} }
	config := sim.Config{Programs: []sim.Program{{Name: "asks", New: newCounter}, {Name: "counts", New: newCounter}}}
	p := plan.Quiet()
	p.Rates[chance.NetLoss] = chance.Million / 3

	var world sim.World
	var first string
	for range 2 {
		p.Seed = 42
		if err := world.Reset(config, p); err != nil {
			fmt.Println(err)
			return
		}
		asks := func() *counter { c, _ := world.Machine(0).(*counter); return c }
		out := world.Run(func() bool { return asks() != nil && asks().count == 3 })
		hash := world.Trace().Hash().String()
		fmt.Println("finished:", out.Done, "answers:", asks().count, "lost:", world.Taken() > 0, "same run:", first == "" || first == hash)
		first = hash
	}
	// Output:
	// finished: true answers: 3 lost: true same run: true
	// finished: true answers: 3 lost: true same run: true
}
