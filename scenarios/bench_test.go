package scenarios

import (
	"runtime"
	"syscall"
	"testing"

	"github.com/tidaldb/tidalsim/sim/plan"
)

// BenchmarkSeeds runs the first hundred seeds of a scenario over and over. It reports the cost of a
// Step and of an operation in CPU time of the whole process, trace hashing and the checkers of
// every seed included. The figures in docs/speed.md are its. The difference between calm and the
// longer calm is the cost of a Step once everything has been set up.
func BenchmarkSeeds(b *testing.B) {
	for _, c := range []struct {
		name       string
		scenario   *Scenario
		operations func(*Plan) int // of each client; nil: as drawn
		porcupine  bool
	}{
		{name: "calm", scenario: calm},
		{name: "calm four times as long", scenario: calm, operations: func(p *Plan) int { return 4 * p.Workload.Operations }},
		{name: "smoke", scenario: smoke},
		{name: "smoke of 300 operations", scenario: smoke, operations: func(p *Plan) int { return 300 / p.Cluster.Clients }},
		{name: "smoke of 300 operations with porcupine", scenario: smoke, operations: func(p *Plan) int { return 300 / p.Cluster.Clients }, porcupine: true},
		{name: "three replicas", scenario: sharedSmoke},
		{name: "three replicas four times as long", scenario: sharedSmoke, operations: func(p *Plan) int { return 4 * p.Workload.Operations }},
		{name: "three replicas smoke of 300 operations", scenario: sharedSmoke, operations: func(p *Plan) int { return 300 / p.Cluster.Clients }},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := NewRunner()
			plans := make([]*Plan, 100)
			for i := range plans {
				plans[i] = c.scenario.Plan(plan.Seed(i + 1))
				if c.operations != nil {
					plans[i].Workload.Operations = c.operations(plans[i])
				}
			}
			run := func(n int) (steps uint64, operations int) {
				for i := range n {
					got, err := r.Run(plans[i%len(plans)], Options{Porcupine: c.porcupine})
					if err != nil {
						b.Fatal(err)
					}
					steps += got.Steps
					operations += got.Operations
				}
				return steps, operations
			}
			run(len(plans)) // memory has its size from here on
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			cpu := cpuTime(b)
			b.ResetTimer()
			steps, operations := run(b.N)
			cpu = cpuTime(b) - cpu
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(cpu)/float64(steps), "cpu-ns/step")
			b.ReportMetric(float64(cpu)/float64(operations), "cpu-ns/operation")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(steps), "allocs/step")
			b.ReportMetric(float64(b.N)*1e9/float64(cpu), "seeds/cpu-s")
		})
	}
}

// BenchmarkSize reports the cost of a Step, in CPU time of the whole process, the checkers
// included: in a cluster of 3 nodes, in one of 60 nodes with the same tenants and signals, and in
// ones of 60 with more of them, at last with as many on each node. Nothing is disrupted.
func BenchmarkSize(b *testing.B) {
	few := fleetSize{regions: 1, nodes: 3, shards: 15, tenants: 500, clients: 2, signals: 5000}
	spread, more := wholeFleet, wholeFleet
	spread.shards, spread.tenants, spread.signals = 3, few.tenants, few.signals
	more.shards, more.tenants, more.signals = 15, 5*few.tenants, 5*few.signals
	each := 0.0 // CPU time of a Step of the first, ns
	for _, of := range []struct {
		name string
		size fleetSize
	}{{"3 nodes", few}, {"60 nodes, the same tenants", spread}, {"60 nodes, 5 times the tenants", more}, {"60 nodes, 20 times the tenants", wholeFleet}} {
		b.Run(of.name, func(b *testing.B) {
			r, p := NewRunner(), fleetOf(1, of.size)
			p.World.Disruptions = nil
			if _, err := r.Run(p, Options{}); err != nil { // memory has its size from here on
				b.Fatal(err)
			}
			steps, cpu := uint64(0), cpuTime(b)
			for range b.N * wholeFleet.tenants / of.size.tenants {
				got, err := r.Run(p, Options{})
				if err != nil || len(got.Findings) > 0 {
					b.Fatal(err, got.Findings)
				}
				steps += got.Steps
			}
			cost := float64(cpuTime(b)-cpu) / float64(steps)
			if of.size == few {
				each = cost
			}
			b.ReportMetric(cost, "cpu-ns/step")
			b.ReportMetric(float64(steps)/float64(b.N), "steps")
			if each > 0 {
				b.ReportMetric(cost/each, "ratio")
			}
		})
	}
}

// cpuTime is the CPU time that the process has used, ns.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
