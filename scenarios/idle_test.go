package scenarios

import (
	"runtime"
	"testing"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/sim"
)

// shell is a node that can be taken away from its world.
type shell struct{ node *core.Node }

func (s *shell) Step(ev *env.Event) {
	if s.node != nil {
		s.node.Step(ev)
	}
}

func (s *shell) Status(status *env.Status) {
	if s.node != nil {
		s.node.Status(status)
	}
}

// idleBytes is what a node keeps in memory for each of its idle tenants: what goes when
// three nodes go that hold nothing but such tenants, and their founding configuration.
// Their disks, which are the world's, stay.
func idleBytes(tb testing.TB, tenants int) int64 {
	p := fleetOf(1, fleetSize{regions: 1, nodes: 3, shards: max(3, tenants/33), tenants: tenants, clients: 1, signals: 1})
	for i := range p.Cluster.Tenants {
		t := &p.Cluster.Tenants[i]
		t.Slots, t.Shards = 1, t.Shards[:1]
	}
	p.World.Disruptions = nil
	shells := make([]*shell, 0, p.Cluster.Nodes)
	var programs []sim.Program
	for range p.Cluster.Nodes {
		programs = append(programs, sim.Program{Name: "node", New: func(e env.Env) env.Machine {
			shells = append(shells, &shell{core.NewNode(e, p.cluster(true))})
			return shells[len(shells)-1]
		}})
	}
	w := new(sim.World)
	if err := w.Reset(sim.Config{Programs: programs, Points: fault.Names()}, &p.World); err != nil {
		tb.Fatal(err)
	}
	w.Run(func() bool { return w.Time() > 20*second })
	for i, s := range shells {
		if !s.node.Settled() {
			tb.Fatalf("node %d has not come up", i)
		}
	}
	before := heap()
	for _, s := range shells {
		s.node = nil
	}
	after := heap()
	runtime.KeepAlive(w)
	return (before - after) / int64(len(shells)*tenants)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkIdleTenant says what an idle tenant costs a node that has a replica of it.
func BenchmarkIdleTenant(b *testing.B) {
	for range b.N {
		b.ReportMetric(float64(idleBytes(b, 10_000)), "bytes/tenant")
	}
}
