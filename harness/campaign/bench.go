package campaign

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/tidaldb/tidalsim/harness"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// BenchOptions say what to measure.
type BenchOptions struct {
	Suite    *harness.Suite
	Scenario string
	Seeds    int // of the scenario, run by each worker over and over
	Workers  int // 0: one per CPU
	For      time.Duration
	// Porcupine searches every partition of every seed.
	Porcupine bool
	// Unjudged leaves the judges out. An observer that the fault budget needs goes on.
	Unjudged bool
}

// Bench is what running seeds costs. Its JSON is part of the command's contract:
// integers, a thousandth where the name says milli. CPU time is that of the whole
// process, so that it counts the garbage collector; wall time is noise.
type Bench struct {
	Schema                 int    `json:"schema"`
	Type                   string `json:"type"` // "bench"
	Scenario               string `json:"scenario"`
	Workers                int    `json:"workers"`
	Seeds                  int    `json:"seeds"`
	EventsPerSec           int64  `json:"events_per_sec"`
	CPUPerEvent            int64  `json:"cpu_ns_per_event_milli"`
	CPUPerOperation        int64  `json:"cpu_ns_per_operation_milli"`
	OperationsPerSimulated int64  `json:"operations_per_simulated_sec"`
	AllocsPerEvent         int64  `json:"allocs_per_event_milli"`
	SeedsPerSec            int64  `json:"seeds_per_sec_milli"`
	SeedsPerCPUSec         int64  `json:"seeds_per_cpu_sec_milli"`
	SimulatedToReal        int64  `json:"simulated_to_real_milli"`
	EventsPerSimulated     int64  `json:"events_per_simulated_sec"`
	PeakRSS                int64  `json:"peak_rss_bytes"`
}

// measured is what workers did.
type measured struct {
	seeds, operations int
	events            uint64
	simulated         int64
	err               error
}

// RunBench measures a scenario. Each worker first runs every seed once, so that
// memory has its size. When ctx is done there is no measurement, but its error.
func RunBench(ctx context.Context, o BenchOptions) (*Bench, error) {
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Seeds < 1 || o.For <= 0 {
		return nil, fmt.Errorf("%w: a bench of %d seeds for %s; want at least one seed and some time", ErrUsage, o.Seeds, o.For)
	}
	plans := make([]harness.Plan, o.Seeds)
	for i := range plans {
		plans[i] = o.Suite.Draw(o.Scenario, plan.Seed(i+1))
	}
	runners := make([]harness.Runner, o.Workers)
	if _, err := o.together(runners, func(r harness.Runner) measured { return o.lap(ctx, r, plans) }); err != nil {
		return nil, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := usage(), time.Now()
	total, err := o.together(runners, func(r harness.Runner) (m measured) {
		for m.err == nil && time.Since(start) < o.For {
			m.add(o.lap(ctx, r, plans))
		}
		return m
	})
	if err != nil {
		return nil, err
	}
	wall := max(1, int64(time.Since(start)))
	spent := usage()
	runtime.ReadMemStats(&after)
	return o.report(total, wall, max(1, spent.cpu-cpu.cpu), int64(after.Mallocs-before.Mallocs), spent.rss), nil
}

// together lets every worker do the same and adds up their work.
func (o *BenchOptions) together(runners []harness.Runner, work func(harness.Runner) measured) (measured, error) {
	results := make([]measured, len(runners))
	var workers sync.WaitGroup
	for i := range runners {
		workers.Go(func() {
			if runners[i] == nil {
				runners[i] = o.Suite.NewRunner()
			}
			results[i] = work(runners[i])
		})
	}
	workers.Wait()
	var total measured
	for _, m := range results {
		total.add(m)
	}
	return total, total.err
}

// lap runs every plan once.
func (o *BenchOptions) lap(ctx context.Context, r harness.Runner, plans []harness.Plan) (m measured) {
	for _, p := range plans {
		if m.err = ctx.Err(); m.err != nil {
			return m
		}
		got, err := r.Run(p, harness.Options{Porcupine: o.Porcupine, Unjudged: o.Unjudged})
		if err != nil {
			m.err = err
			return m
		}
		m.add(measured{seeds: 1, operations: got.Operations, events: got.Steps, simulated: got.Simulated})
	}
	return m
}

func (m *measured) add(other measured) {
	m.seeds += other.seeds
	m.operations += other.operations
	m.events += other.events
	m.simulated += other.simulated
	if m.err == nil {
		m.err = other.err
	}
}

func (o *BenchOptions) report(m measured, wall, cpu, allocs, rss int64) *Bench {
	events, operations := max(1, int64(m.events)), max(1, int64(m.operations))
	simulated := max(1, m.simulated)
	return &Bench{
		Schema: Schema, Type: "bench", Scenario: o.Scenario, Workers: o.Workers, Seeds: m.seeds,
		EventsPerSec: scaled(events, int64(time.Second), wall), CPUPerEvent: scaled(cpu, 1000, events), CPUPerOperation: scaled(cpu, 1000, operations),
		OperationsPerSimulated: scaled(operations, int64(time.Second), simulated), AllocsPerEvent: scaled(allocs, 1000, events),
		SeedsPerSec: scaled(int64(m.seeds), 1e12, wall), SeedsPerCPUSec: scaled(int64(m.seeds), 1e12, cpu),
		SimulatedToReal: scaled(simulated, 1000, wall), EventsPerSimulated: scaled(events, int64(time.Second), simulated), PeakRSS: rss,
	}
}

// scaled is a * by / of. Products of this size do not fit an int64.
func scaled(a, by, of int64) int64 { return int64(float64(a) * float64(by) / float64(of)) }

// rssUnit is the unit of Rusage.Maxrss on Linux, in bytes.
const rssUnit = 1024

// used is the use of resources by the process so far.
type used struct {
	cpu int64 // ns
	rss int64 // bytes, at most so far
}

func usage() used {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return used{}
	}
	return used{cpu: u.Utime.Nano() + u.Stime.Nano(), rss: u.Maxrss * rssUnit}
}
