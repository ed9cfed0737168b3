// Package probe answers, over HTTP, how a process and its cluster are: whether the process steps,
// whether it serves, and the health of every node by its account, for people as JSON and for
// Prometheus. It only reads: a request can change nothing.
//
// The one rule to remember: a machine is looked at between two of its Steps, and within a time. A
// stuck machine makes an answer bad, and never late.
package probe

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/host/meter"
)

// Machine is implemented by machines that can be asked for more than whether they step.
type Machine interface {
	// Ready returns whether the machine serves its clients, and if not, why.
	Ready() (ready bool, why string)
	// Health fills in the machine's view of its cluster; c is the zero value. The machine goes on,
	// so that it must not change anything that c refers to later.
	Health(c *health.Cluster)
}

// ErrUnable is returned for a machine that is no Machine.
var ErrUnable = errors.New("the machine tells nothing of its health")

// Inspect lets look look at a machine, as host.Process.Inspect does.
type Inspect func(ctx context.Context, look func(env.Machine)) error

// Patience is how long an answer may take, if Config says nothing else. It is less than Kubernetes
// and Prometheus grant by default.
const Patience = 900 * time.Millisecond

// Config describes a server.
type Config struct {
	Address  string       // host:port
	Listener net.Listener // if not nil, used instead of listening at Address
	// Anywhere allows a listener that others than this machine can reach. There is
	// neither authentication nor encryption, and the answers name tenants.
	Anywhere bool
	Inspect  Inspect
	Patience time.Duration // how long an answer may take; 0 means Patience
	Counts   *meter.Meter  // of the process, shown at /metrics too; may be nil
	Log      *log.Logger   // of faults of connections; nil: none
}

// ErrNotLoopback is wrapped by the error for a listener that others can reach.
var ErrNotLoopback = errors.New("not a loopback address")

// Server answers until it is closed.
type Server struct {
	http     http.Server
	listener net.Listener
	done     chan struct{}
	failure  error
}

// Bounds of a server.
const (
	MaxConnections = 64 // further connections wait until one ends
	MaxHeader      = 8 << 10
	requestTimeout = 5 * time.Second  // for a request to be read, and for its answer to be taken
	idleTimeout    = 60 * time.Second // more than the usual interval of scrapes
)

// Serve begins to listen.
func Serve(c Config) (*Server, error) {
	if c.Listener == nil {
		l, err := net.Listen("tcp", c.Address)
		if err != nil {
			return nil, fmt.Errorf("health: %w", err)
		}
		c.Listener = l
	}
	if a, ok := c.Listener.Addr().(*net.TCPAddr); !c.Anywhere && (!ok || !a.IP.IsLoopback()) {
		c.Listener.Close()
		return nil, fmt.Errorf("health at %s: %w; want 127.0.0.1 or [::1]", c.Listener.Addr(), ErrNotLoopback)
	}
	s := &Server{listener: limit(c.Listener, MaxConnections), done: make(chan struct{})}
	s.http = http.Server{
		Handler: Handler(&c), ErrorLog: c.Log, MaxHeaderBytes: MaxHeader,
		ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: idleTimeout,
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.failure = err
		}
	}()
	return s, nil
}

// Addr returns where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close ends all connections and frees the address. It returns the earlier failure of the server,
// if there was one.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return errors.Join(err, s.failure)
}

// Handler answers requests; of the configuration it needs Inspect, and Patience.
//
//	GET /         the machine's view of its cluster, for people: tables in HTML
//	GET /livez    200 while the process steps, else 503
//	GET /readyz   200 while it serves its clients, else 503
//	GET /health   the machine's view of its cluster: docs/health.schema.json
//	GET /metrics  the same for Prometheus, with the counts of the process; as OpenMetrics on request
//
// An answer that is not 200 says why, in a line.
func Handler(c *Config) http.Handler {
	p := &prober{inspect: c.Inspect, patience: c.Patience}
	if p.patience == 0 {
		p.patience = Patience
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(p.inspect, p.patience), buildInfo())
	if c.Counts != nil {
		registry.MustRegister(Counts(c.Counts))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", p.check(func(env.Machine) error { return nil }))
	mux.HandleFunc("GET /readyz", p.check(ready))
	mux.HandleFunc("GET /health", p.health)
	mux.HandleFunc("GET /{$}", p.page)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true}))
	return mux
}

func ready(m env.Machine) error {
	able, ok := m.(Machine)
	if !ok {
		return ErrUnable
	}
	if is, why := able.Ready(); !is {
		return errors.New(why)
	}
	return nil
}

// prober asks a machine.
type prober struct {
	inspect  Inspect
	patience time.Duration
}

// check answers requests with the result of a look at the machine.
func (p *prober) check(look func(env.Machine) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), p.patience)
		defer cancel()
		var seen error
		if err := p.inspect(ctx, func(m env.Machine) { seen = look(m) }); err != nil {
			fail(w, err)
			return
		}
		if seen != nil {
			fail(w, seen)
			return
		}
		answer(w, "text/plain; charset=utf-8", []byte("ok\n"))
	}
}

func (p *prober) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), p.patience)
	defer cancel()
	c, err := ask(ctx, p.inspect)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, "application/json", health.AppendJSON(nil, c))
}

// ask asks a machine for its view of the cluster.
func ask(ctx context.Context, inspect Inspect) (*health.Cluster, error) {
	c, unable := &health.Cluster{}, false
	err := inspect(ctx, func(m env.Machine) {
		able, ok := m.(Machine)
		if !ok {
			unable = true
			return
		}
		able.Health(c)
	})
	switch {
	case err != nil:
		return nil, err
	case unable:
		return nil, ErrUnable
	}
	return c, nil
}

func answer(w http.ResponseWriter, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body) // a client that has gone needs no answer
}

func fail(w http.ResponseWriter, err error) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}
