package host_test

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/client"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/placement"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/host"
	"github.com/tidaldb/tidalsim/host/disk"
)

// writers share the signals to send, and note how long each answer took.
type writers struct {
	ready  sync.WaitGroup
	mu     sync.Mutex
	left   int            // signals that are not sent yet
	open   int            // signals without an answer
	want   client.Outcome // of every signal; 0: whatever it is
	failed error
	took   []time.Duration
	done   chan struct{}
}

// begin takes a signal to send, false if none is left.
func (w *writers) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left == 0 {
		return false
	}
	w.left--
	return true
}

func (w *writers) end(r *client.Result, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.want != 0 && r.Outcome != w.want {
		w.failed = fmt.Errorf("a signal was %v: %s", r.Outcome, r.Code)
	}
	w.took = append(w.took, took)
	if w.open--; w.open == 0 {
		close(w.done)
	}
}

// writer sends one signal after the other.
type writer struct {
	env    env.Env
	client *client.Client
	shared *writers
	start  <-chan struct{}
	sentAt time.Time
}

func (w *writer) Step(ev *env.Event) {
	for _, r := range w.client.Step(ev) {
		if w.sentAt.IsZero() {
			w.shared.ready.Done()
			continue
		}
		w.shared.end(&r, time.Since(w.sentAt))
		w.write()
	}
	switch {
	case ev.Kind == env.Started: // connected and with a session before the clock runs
		w.client.Put(0, signal.Entity(w.env.Self()))
		w.env.SetTimer(1, w.env.Now())
	case ev.Kind == env.Timer && ev.Timer == 1:
		select {
		case <-w.start:
			w.write()
		default:
			w.env.SetTimer(1, w.env.Now().Add(env.Millisecond))
		}
	}
}

func (w *writer) write() {
	if w.shared.begin() {
		w.sentAt = time.Now()
		w.client.Write(0, signal.Signal{Entity: signal.Entity(w.env.Self()), Kind: 1, Weight: 1})
	}
}

func (w *writer) Status(*env.Status) {}

// BenchmarkLiveNode measures signals through real connections onto a real disk: each
// is durable before its answer. All processes share this one.
func BenchmarkLiveNode(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		for _, reserve := range []int64{-1, disk.DefaultReserve} {
			b.Run(fmt.Sprintf("writers=%d/reserve=%d", n, reserve), func(b *testing.B) { measure(b, n, reserve) })
		}
	}
}

func measure(b *testing.B, n int, reserve int64) {
	shared := &writers{want: client.Acked}
	race(b, shared, n, reserve, tenant.Limits{Rate: tenant.MaxRate}, func(node *core.Node) env.Machine { return node })
	slices.SortFunc(shared.took, func(a, b time.Duration) int { return cmp.Compare(a, b) })
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "signals/s")
	b.ReportMetric(float64(shared.took[len(shared.took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(shared.took[len(shared.took)*99/100].Microseconds()), "p99-us")
}

// race lets n writers send b.N signals to a node, which decorate may wrap.
func race(b *testing.B, shared *writers, n int, reserve int64, limits tenant.Limits, decorate func(*core.Node) env.Machine) {
	cluster := &core.Cluster{Constants: replica.DefaultConstants, Map: placement.Map{Placements: []placement.Entry{{
		Tenant: tenant.Config{Version: 1, Limits: limits}, Epoch: 1,
	}}}}
	cluster.Index()
	shared.left, shared.open, shared.done = b.N, b.N, make(chan struct{})
	shared.ready.Add(n)
	addresses, listeners := map[env.ID]string{}, []net.Listener{}
	for id := range env.ID(n + 1) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		addresses[id], listeners = l.Addr().String(), append(listeners, l)
	}
	dir, begin := b.TempDir(), make(chan struct{})
	patience := client.Patience{Attempt: env.Second, Longest: env.Second, Deadline: 60 * env.Second}
	for i, l := range listeners {
		p, err := host.Start(host.Config{
			ID: env.ID(i), Dir: filepath.Join(dir, fmt.Sprint(i)), Addresses: addresses, Listener: l, Disk: disk.Config{Reserve: reserve},
			New: func(e env.Env) env.Machine {
				if i == 0 {
					return decorate(core.NewNode(e, cluster))
				}
				return &writer{env: e, client: client.New(e, &cluster.Map, patience), shared: shared, start: begin}
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		defer func() { p.Kill(); <-p.Done() }()
	}
	shared.ready.Wait()
	b.ResetTimer()
	close(begin)
	<-shared.done
	b.StopTimer()
	if shared.failed != nil {
		b.Fatal(shared.failed)
	}
}

// stopwatch adds up the Steps of a node. The requests of a Step to the disk and the network are
// handed over within it, and cost time there too.
type stopwatch struct {
	*core.Node
	took []time.Duration
	sum  time.Duration
}

func (s *stopwatch) Step(ev *env.Event) {
	began := time.Now()
	s.Node.Step(ev)
	took := time.Since(began)
	s.took = append(s.took, took)
	s.sum += took
}

// idler does nothing in a Step but to ask for the next.
type idler struct {
	env  env.Env
	left int
	done chan struct{}
}

func (m *idler) Step(*env.Event) {
	if m.left--; m.left == 0 {
		close(m.done)
		return
	}
	m.env.SetTimer(0, m.env.Now())
}

func (m *idler) Status(*env.Status) {}

// BenchmarkStepOnHost measures the cost of a Step whatever the machine does in it: the queue, the
// clock, the timer that brings it.
func BenchmarkStepOnHost(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	b.ReportAllocs()
	p, err := host.Start(host.Config{
		Dir: b.TempDir(), Listener: l, Addresses: map[env.ID]string{0: l.Addr().String()},
		New: func(e env.Env) env.Machine { return &idler{env: e, left: b.N, done: done} },
	})
	if err != nil {
		b.Fatal(err)
	}
	<-done
	b.StopTimer()
	p.Kill()
	<-p.Done()
}

// BenchmarkNodeOnHost measures the work of a real node's one goroutine for a signal: all of its
// Steps, per signal. docs/calibration.md compares it with the charges of the same Steps to a
// virtual CPU.
func BenchmarkNodeOnHost(b *testing.B) {
	for _, c := range []struct {
		name    string
		writers int
		limits  tenant.Limits
		want    client.Outcome
	}{
		{"refusal", 64, tenant.Limits{Rate: 1, Burst: 1}, 0}, // but for one in a second
		{"write", 1, tenant.Limits{Rate: tenant.MaxRate}, client.Acked},
		{"write", 64, tenant.Limits{Rate: tenant.MaxRate}, client.Acked},
		{"write", 256, tenant.Limits{Rate: tenant.MaxRate}, client.Acked},
	} {
		b.Run(fmt.Sprintf("%s/writers=%d", c.name, c.writers), func(b *testing.B) {
			s := &stopwatch{}
			race(b, &writers{want: c.want}, c.writers, 1<<20, c.limits, func(node *core.Node) env.Machine { s.Node = node; return s })
			slices.Sort(s.took)
			b.ReportMetric(float64(s.took[len(s.took)/2]), "step-p50-ns")
			b.ReportMetric(float64(s.sum)/float64(b.N), "step-ns/signal")
			b.ReportMetric(float64(len(s.took))/float64(b.N), "steps/signal")
		})
	}
}
