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

// idleBytes is the memory of a node for each of its idle tenants: the memory that is freed when
// three nodes go that hold nothing but such tenants, and the founding configuration of the cluster.
// Their disks, which are the world's, stay. The meta log is on three other nodes, and member is the
// same for one of them: the control plane's knowledge of a tenant.
func idleBytes(tb testing.TB, tenants int) (holder, member int64) {
	p := fleetOf(1, fleetSize{regions: 1, nodes: 6, shards: max(3, tenants/33), tenants: tenants, clients: 1, signals: 1})
	for i := range p.Cluster.Tenants {
		t := &p.Cluster.Tenants[i]
		t.Slots, t.Shards = 1, t.Shards[:1]
	}
	s := &p.Cluster.Topology
	s.Meta = []env.ID{0, 1, 2}
	for i := range s.Shards {
		s.Shards[i].Replicas = []env.ID{3 + env.ID(i%3), 3 + env.ID((i+1)%3), 3 + env.ID((i+2)%3)}
	}
	p.World.Disruptions = nil
	shells := make([]*shell, 0, p.Cluster.Nodes)
	var programs []sim.Program
	for id := range env.ID(p.Cluster.Nodes) {
		name, content := core.Founded(clusterID, p.directory(id))
		programs = append(programs, sim.Program{Name: "node", Disk: []sim.File{{Name: name, Data: content}}, New: func(e env.Env) env.Machine {
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
	without := func(some []*shell) int64 {
		before := heap()
		for _, s := range some {
			s.node = nil
		}
		return (before - heap()) / int64(len(some)*tenants)
	}
	member, holder = without(shells[:3]), without(shells[3:])
	runtime.KeepAlive(w)
	return holder, member
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestIdleTenantsAreSmall bounds what an idle tenant costs a node that has a replica of it,
// its part of the configuration included: what two thousand more of them take.
func TestIdleTenantsAreSmall(t *testing.T) {
	const few, many = 1000, 3000
	less, _ := idleBytes(t, few)
	more, _ := idleBytes(t, many)
	if each := (more*many - less*few) / (many - few); each > 2048 {
		t.Errorf("an idle tenant takes %d bytes, want at most 2048", each)
	}
}

// BenchmarkIdleTenant says what an idle tenant costs a node that has a replica of it, and a
// member of the meta log that has none.
func BenchmarkIdleTenant(b *testing.B) {
	for range b.N {
		holder, member := idleBytes(b, 10_000)
		b.ReportMetric(float64(holder), "bytes/tenant")
		b.ReportMetric(float64(member), "bytes/tenant-of-member")
	}
}
