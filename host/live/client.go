package live

import (
	"net"
	"sync"
	"time"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/client"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/host"
)

// The workload: few entities, so that the operations of all clients meet.
const (
	entities    = 6                   // of each tenant
	concurrency = 4                   // calls of one client under way at once
	think       = 1 * env.Millisecond // mean pause of a client between two calls
	readShare   = 400                 // per thousand
	putShare    = 40                  // of the rest, per thousand
	deleteShare = 40                  // of the rest, per thousand
	poll        = env.Millisecond     // how often an idle client looks whether it is needed
	thinkTimer  = env.TimerID(1)      // the client uses timer 0
)

// patience is shorter than that of a data centre: nodes come back within
// milliseconds here.
var patience = client.Patience{Attempt: 5 * env.Millisecond, Longest: 40 * env.Millisecond, Deadline: 20 * env.Second}

// phase is the present task of the clients.
type phase uint8

const (
	working  phase = iota // they make calls
	stopping              // they wait for those under way
	sweeping              // one of them reads every entity
)

// recorder notes the clients' requests and answers. Clients are on goroutines of their own; the
// lock orders their notes, and the history keeps that order.
type recorder struct {
	mu      sync.Mutex
	began   time.Time
	phase   phase
	open    int // calls under way
	acked   int
	swept   bool
	history *history.History
}

func newRecorder() *recorder { return &recorder{began: time.Now(), history: new(history.History)} }

func (r *recorder) now() int64 { return int64(time.Since(r.began)) }

func (r *recorder) enter(p phase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase = p
}

func (r *recorder) current() phase {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.phase
}

// over reports whether a phase has reached its goal.
func (r *recorder) over(p phase) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open == 0 && (p != sweeping || r.swept)
}

func (r *recorder) answered() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acked
}

func (r *recorder) underWay() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}

// take returns the history. No client may note anything after that.
func (r *recorder) take() *history.History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history
}

func (r *recorder) begin(op history.Op) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	op.InvokeAt = r.now()
	return r.history.Begin(op)
}

func (r *recorder) sent(index int, id signal.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Sent(index, id)
}

func (r *recorder) end(index int, out history.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	if out.Outcome == history.Acked {
		r.acked++
	}
	out.At = r.now()
	r.history.End(index, out)
}

func (r *recorder) sweepDone() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.swept = true
}

// caller is a process with a client that makes calls.
type caller struct {
	process *host.Process
}

func startClient(c *NodeConfig, i int, l net.Listener, dir string, r *recorder) (*caller, error) {
	p, err := host.Start(host.Config{
		ID: clientID(i), Dir: dir, Addresses: c.Addresses, Listener: l, Seed: c.Seed,
		New: func(e env.Env) env.Machine {
			return &driver{
				env: e, client: client.New(e, &c.cluster().Map, patience), record: r,
				sweeps: i == 0,
			}
		},
	})
	return &caller{p}, err
}

// driver is the program of a client.
type driver struct {
	env    env.Env
	client *client.Client
	record *recorder
	sweeps bool // this client reads every entity at the end

	next  int // number of the next call
	swept int // entities read in the end
	open  []openCall
}

type openCall struct {
	call  uint64
	index int // in the history
	sent  bool
}

// Step implements env.Machine.
func (d *driver) Step(ev *env.Event) {
	for _, r := range d.client.Step(ev) {
		d.ended(&r)
	}
	if ev.Kind == env.Started || ev.Kind == env.Timer && ev.Timer == thinkTimer {
		d.think()
	}
	d.sent()
}

// Status implements env.Machine.
func (d *driver) Status(s *env.Status) {
	*s = env.Status{uint64(d.next), uint64(len(d.open)), uint64(d.client.Pending())}
}

func (d *driver) think() {
	pause := poll
	if len(d.open) < concurrency {
		switch d.record.current() {
		case working:
			d.work()
			pause = think/2 + env.Duration(d.chance(7)%uint64(think))
		case sweeping:
			d.sweep()
		}
	}
	d.env.SetTimer(thinkTimer, d.env.Now().Add(pause))
}

// chance draws property n of the next call.
func (d *driver) chance(n int) uint64 {
	return d.env.Chance(env.Key{Kind: 1, A: uint64(d.next), B: uint64(n)})
}

// work makes a call.
func (d *driver) work() {
	op := history.Op{
		Client: uint64(d.env.Self()), Kind: d.kind(), Tenant: tenant.ID(d.chance(0) % tenants),
		Signal: signal.Signal{Entity: signal.Entity(d.chance(1) % entities)},
	}
	if op.Kind == history.Write {
		op.Signal.ClientTime = int64(d.env.Wall())
		op.Signal.Weight = int32(d.chance(2))
		op.Signal.Kind = signal.Kind(d.chance(3) % signal.Kinds)
	}
	d.next++
	d.begin(op)
}

func (d *driver) kind() history.Kind {
	if d.chance(4)%1000 < readShare {
		return history.Read
	}
	switch n := d.chance(5) % 1000; {
	case n < putShare:
		return history.Put
	case n < putShare+deleteShare:
		return history.Delete
	}
	return history.Write
}

// sweep reads the next entity.
func (d *driver) sweep() {
	if !d.sweeps {
		return
	}
	if d.swept == tenants*entities {
		d.record.sweepDone()
		return
	}
	d.begin(history.Op{
		Client: uint64(d.env.Self()), Kind: history.Read, Tenant: tenant.ID(d.swept / entities),
		Signal: signal.Signal{Entity: signal.Entity(d.swept % entities)},
	})
	d.swept++
}

// begin notes a call and makes it, in this order: nothing of it happens before.
func (d *driver) begin(op history.Op) {
	op.Slot, _ = d.client.Slot(op.Tenant, op.Signal.Entity)
	index := d.record.begin(op)
	var call uint64
	switch op.Kind {
	case history.Read:
		call, _ = d.client.Query(op.Tenant, op.Signal.Entity, client.Query{})
	case history.Put:
		call, _ = d.client.Put(op.Tenant, op.Signal.Entity)
	case history.Delete:
		call, _ = d.client.Delete(op.Tenant, op.Signal.Entity)
	default:
		call, _ = d.client.Write(op.Tenant, op.Signal)
	}
	d.open = append(d.open, openCall{call: call, index: index, sent: !op.Kind.Changes()})
}

// sent notes under which identities calls under way were sent.
func (d *driver) sent() {
	for i := range d.open {
		o := &d.open[i]
		if o.sent {
			continue
		}
		if id, ok := d.client.Identity(o.call); ok {
			d.record.sent(o.index, id)
			o.sent = true
		}
	}
}

func (d *driver) ended(r *client.Result) {
	for i, o := range d.open {
		if o.call != r.Call {
			continue
		}
		if r.Op.Session != 0 {
			d.record.sent(o.index, r.Op)
		}
		d.record.end(o.index, outcome(r))
		d.open = append(d.open[:i], d.open[i+1:]...)
		return
	}
}

func outcome(r *client.Result) history.Result {
	out := history.Result{Seq: r.Seq, State: r.State}
	switch r.Outcome {
	case client.Acked:
		out.Outcome = history.Acked
	case client.Refused:
		out.Outcome, out.Reason = history.Refused, r.Code.String()
	case client.Unknown:
		out.Outcome, out.Reason = history.Unknown, history.Deadline
		if r.Code != wire.NoError {
			out.Reason = r.Code.String()
		}
	}
	return out
}
