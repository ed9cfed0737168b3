package local

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/tidaldb/tidalsim/core/client"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// MaxRate is how many signals per second a client here sends at most.
const MaxRate = 10_000

// ErrWorks is returned if a client is at work already.
var ErrWorks = errors.New("a client is at work already")

// Work sets a client to work: it sends so many signals per second, 1 to MaxRate, to the
// tenants that there are now, each in its turn, until Close.
func (c *Cluster) Work(ctx context.Context, rate int) error {
	if c.client != nil {
		return ErrWorks
	}
	plane, err := c.plane(ctx)
	if err != nil {
		return err
	}
	now := *c.options.Cluster
	now.Tenants = nil
	w := &worker{every: env.Second / env.Duration(min(max(rate, 1), MaxRate))}
	for i := range plane.Tenants() {
		if t := &plane.Tenants()[i]; !t.Dropping {
			now.Tenants = append(now.Tenants, control.TenantConfig{Config: t.Config, Shards: t.Shards})
			w.tenants = append(w.tenants, t.Config.ID)
		}
	}
	p, err := c.start(env.ID(len(c.nodes)), nil, func(e env.Env) env.Machine {
		w.env, w.Client = e, client.New(e, &configure(&founding{c.founded.ID, &now}).Map, client.DefaultPatience)
		return w
	})
	if err != nil {
		return err
	}
	c.client, c.work = p, w
	return nil
}

// Worked is how the signals of the client ended so far.
type Worked struct {
	Acked   uint64 // they are durable on every member in sync
	Refused uint64
	Unknown uint64 // no answer in time
}

// Worked returns how the signals of the client ended so far.
func (c *Cluster) Worked() Worked {
	if c.work == nil {
		return Worked{}
	}
	w := c.work
	return Worked{w.acked.Load(), w.refused.Load(), w.unknown.Load()}
}

// The client's work: few entities of each tenant, and calls that are not answered do not
// pile up without end.
const (
	workTimer    = env.TimerID(1) // the client uses timer 0
	workEntities = 100            // of each tenant
	workPending  = 64             // calls under way at once
)

// worker is the client.
type worker struct {
	*client.Client
	env     env.Env
	every   env.Duration
	tenants []tenant.ID
	next    uint64 // signal

	acked, refused, unknown atomic.Uint64
}

// Step implements env.Machine.
func (w *worker) Step(ev *env.Event) {
	for _, r := range w.Client.Step(ev) {
		switch r.Outcome {
		case client.Acked:
			w.acked.Add(1)
		case client.Refused:
			w.refused.Add(1)
		default:
			w.unknown.Add(1)
		}
	}
	if ev.Kind != env.Started && (ev.Kind != env.Timer || ev.Timer != workTimer) {
		return
	}
	w.env.SetTimer(workTimer, w.env.Now().Add(w.every))
	if len(w.tenants) > 0 && w.Pending() < workPending {
		w.next++
		entity := signal.Entity(w.next / uint64(len(w.tenants)) % workEntities)
		w.Write(w.tenants[w.next%uint64(len(w.tenants))], signal.Signal{Entity: entity, Weight: 1})
	}
}

// Status implements env.Machine.
func (*worker) Status(*env.Status) {}
