package sim

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/sim/disk"
	"github.com/tidaldb/tidalsim/sim/network"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// glutton has more to do than time to do it: its inbox is never empty.
type glutton struct{ env env.Env }

func (g *glutton) Step(ev *env.Event) {
	if ev.Kind == env.Started {
		for i := range 4000 {
			g.env.Submit(env.Op{Kind: env.OpMkdir, Path: "d", ID: env.OpID(i)})
		}
	}
	g.env.Charge(env.Millisecond / 10)
}

func (g *glutton) Status(*env.Status) {}

// Pauses leave no run items behind that breed others.
func TestABusyProcessHasOneRunItem(t *testing.T) {
	p := &plan.Plan{Duration: 300 * int64(env.Millisecond), Calm: 1, Network: network.DefaultProfile, Disk: disk.DefaultProfile}
	for i := range int64(50) {
		p.Disruptions = append(p.Disruptions, plan.Disruption{Kind: plan.Pause, When: plan.Anchor{At: i * 5_000_000}, For: 2_000_000})
	}
	var w World
	config := Config{Programs: []Program{{New: func(e env.Env) env.Machine { return &glutton{e} }}}}
	if err := w.Reset(config, p); err != nil {
		t.Fatal(err)
	}
	w.Run(func() bool {
		runs := 0
		for w.queue.Len() > 0 && w.now > 260_000_000 {
			if w.queue.Pop().Kind == itemRun {
				runs++
			}
		}
		if runs > 1 {
			t.Errorf("at %d there are %d run items", w.now, runs)
		}
		return false
	})
	if w.now <= 260_000_000 {
		t.Errorf("the inbox was empty at %d", w.now)
	}
}
