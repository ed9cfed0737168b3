package scenarios

import (
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/client"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// driver is the program of a client process: an application that makes the workload's calls and
// notes its requests and their answers in the history.
type driver struct {
	env     env.Env
	client  *client.Client
	plan    *Plan
	storm   *Storm // the storm that this client is part of; nil for the others
	loyal   *Loyal // likewise
	world   *sim.World
	history *history.History
	left    *int // operations of all drivers that have not ended
	story   *story

	next   int        // number of the next operation
	open   []openCall // under way
	unsent int        // running changes without an attempt that was seen to be sent
	full   bool       // the next call waits for one of them to end
	due    env.Time   // of a storm: when the next signal is to be sent
	asks   env.ID     // loyal: the node that the next read goes to
}

type openCall struct {
	call  uint64
	index int // in the history
}

// thinkTimer is the driver's own; the client uses timer 0.
const thinkTimer env.TimerID = 1

// ClientCost is the CPU time that each Step of a client or an operator is charged:
// docs/calibration.md.
const ClientCost = env.Microsecond

// Step implements env.Machine.
func (d *driver) Step(ev *env.Event) {
	ended := d.client.Step(ev)
	for i := range ended {
		d.ended(&ended[i])
	}
	if from := env.Duration(d.plan.Workload.From); ev.Kind == env.Started && from > 0 && d.storm == nil {
		d.env.SetTimer(thinkTimer, d.env.Now().Add(from))
	} else if ev.Kind == env.Started || d.full && len(d.open) < d.concurrency() || ev.Kind == env.Timer && ev.Timer == thinkTimer {
		d.think()
	}
	d.sent()
	d.env.Charge(ClientCost)
}

// operations is how many calls this client makes.
func (d *driver) operations() int {
	if d.storm != nil {
		return d.storm.operations()
	}
	if d.loyal != nil {
		return d.loyal.Reads
	}
	return d.plan.Workload.Operations
}

// concurrency is how many of its calls may be under way at once.
func (d *driver) concurrency() int {
	if d.storm != nil || d.loyal != nil {
		return state.Window
	}
	return d.plan.Workload.Concurrency
}

// think makes the next call and sleeps again. With too many calls under way it
// goes on when one of them ends.
func (d *driver) think() {
	d.full = len(d.open) >= d.concurrency()
	if d.full || d.next == d.operations() {
		return
	}
	if d.storm != nil {
		d.rage()
		return
	}
	if d.loyal != nil {
		d.stay()
		return
	}
	if client := int(d.env.Self()) - d.plan.Cluster.Nodes; d.plan.Workload.Skips(client, d.next) {
		d.next++
		*d.left--
	} else {
		d.begin()
	}
	mean := uint64(d.plan.Workload.Think)
	pause := mean/2 + chance.Below(d.chance(7), mean+1)
	d.env.SetTimer(thinkTimer, d.env.Now().Add(env.Duration(pause)+1))
}

// rage is think of a client that is part of a storm: it keeps to its rate.
func (d *driver) rage() {
	if d.due == 0 {
		d.due = d.env.Now().Add(env.Duration(d.storm.From))
	}
	if d.due <= d.env.Now() {
		d.begin()
		d.due = d.due.Add(env.Duration(d.storm.interval()))
	}
	d.env.SetTimer(thinkTimer, max(d.due, d.env.Now()))
}

// stay is think of a loyal client: it reads from a node while the node is disrupted.
func (d *driver) stay() {
	now := d.world.Time()
	asks, wakes := d.disrupted(now)
	switch {
	case asks >= 0:
		d.asks = env.ID(asks)
		d.begin()
		mean := uint64(d.loyal.Every)
		wakes = now + int64(mean/2+chance.Below(d.chance(7), mean+1)) + 1
	case wakes == 0: // nothing comes any more
		*d.left -= d.operations() - d.next
		d.next = d.operations()
		return
	}
	d.env.SetTimer(thinkTimer, d.env.Now().Add(env.Duration(wakes-now)))
}

// disrupted returns the node that a disruption begins or ceases to hit about now, -1 if there is
// none; and then the time of the next such moment, 0 if there is none. Only disruptions that strike
// at a time count.
func (d *driver) disrupted(now int64) (node int, next int64) {
	node = -1
	list := d.plan.World.Disruptions
	for i := range list {
		x := &list[i]
		if int(x.Process) >= d.plan.Cluster.Nodes || x.When.Point != "" || x.When.Unsynced {
			continue
		}
		for _, at := range [...]int64{x.When.At, x.When.At + x.For} {
			switch from, to := max(1, at-d.loyal.Around), at+d.loyal.Around; {
			case now < from && (next == 0 || from < next):
				next = from
			case now >= from && now <= to:
				node = int(x.Process)
			}
		}
	}
	return node, next
}

// chance draws property n of operation next. All properties of a workload hang on
// the operation's number alone, so that leaving operations out of a plan does not
// change the others.
func (d *driver) chance(n int) uint64 {
	return d.env.Chance(env.Key{Kind: 1, A: uint64(d.next), B: uint64(n)})
}

// subject draws the tenant and the entity of the next call.
func (d *driver) subject() (tenant.ID, signal.Entity) {
	w, tenants := &d.plan.Workload, d.plan.Cluster.Tenants
	id := tenants[d.among(uint64(len(tenants)))].Config.ID
	entity := signal.Entity(chance.Below(d.chance(1), uint64(w.Entities)))
	if w.Hot > 0 && chance.Below(d.chance(2), 1000) < uint64(w.Hot) {
		id, entity = tenants[0].Config.ID, 0
	}
	if entity == 1 { // the largest is as good a name as any
		entity = ^signal.Entity(0)
	}
	if d.storm != nil {
		id = tenants[d.storm.Tenant].Config.ID
	}
	if d.loyal != nil {
		id, entity = tenants[0].Config.ID, 0
	}
	return id, entity
}

// among draws one of n tenants from those that the client works on. They begin where its share of
// all would.
func (d *driver) among(n uint64) uint64 {
	each := uint64(d.plan.Workload.TenantsEach)
	if each == 0 || each >= n {
		return chance.Below(d.chance(0), n)
	}
	client := uint64(d.env.Self()) - uint64(d.plan.Cluster.Nodes)
	first := client * n / uint64(d.plan.Cluster.Clients)
	return (first + chance.Below(d.chance(0), each)) % n
}

// kind draws the kind of the next call.
func (d *driver) kind() history.Kind {
	w := &d.plan.Workload
	if d.storm != nil {
		return history.Write
	}
	if d.loyal != nil {
		return history.Read
	}
	if chance.Below(d.chance(5), 1000) < uint64(w.ReadPermille) {
		return history.Read
	}
	switch n := int64(chance.Below(d.chance(6), 1000)); {
	case n < w.PutPermille:
		return history.Put
	case n < w.PutPermille+w.DeletePermille:
		return history.Delete
	}
	return history.Write
}

// begin makes the next call.
func (d *driver) begin() {
	id, entity := d.subject()
	index, op := d.history.Start()
	op.Client, op.Kind, op.Tenant, op.Signal.Entity, op.InvokeAt = uint64(d.env.Self()), d.kind(), id, entity, d.world.Time()
	op.Slot, _ = d.client.Slot(id, entity)
	if op.Kind == history.Write {
		op.Signal.ClientTime = int64(d.env.Wall())
		op.Signal.Weight = int32(d.chance(3))
		op.Signal.Kind = signal.Kind(chance.Below(d.chance(4), signal.Kinds))
	}
	if op.Kind == history.Read {
		op.Level, op.Bound = d.level()
	}
	d.next++
	if d.story != nil {
		d.story.asks(d.env.Self(), index, op)
	}
	call := d.call(op)
	d.open = append(d.open, openCall{call: call, index: index})
	if identity, sent := d.client.Identity(call); sent {
		d.history.Sent(index, identity)
	} else if op.Kind.Changes() {
		d.unsent++
	}
	d.world.Saw(d.env.Self(), call, uint64(index), uint64(entity), uint64(op.Signal.Weight))
}

// level draws the level of the next read.
func (d *driver) level() (history.Level, int64) {
	w := &d.plan.Workload
	switch n := int64(chance.Below(d.chance(8), 1000)); {
	case d.loyal != nil && n < d.loyal.BoundedPermille:
		return history.Bounded, w.Bound
	case d.loyal != nil:
	case n < w.SessionPermille:
		return history.Session, 0
	case n < w.SessionPermille+w.BoundedPermille:
		return history.Bounded, w.Bound
	}
	return history.Linearizable, 0
}

// query says how a read is to be answered. The operation's number was counted up
// before.
func (d *driver) query(op *history.Op) client.Query {
	if d.loyal != nil {
		return client.Query{Level: wire.Level(op.Level), Bound: env.Duration(op.Bound), Anywhere: true, Chosen: true, To: d.asks}
	}
	q := client.Query{Level: wire.Level(op.Level), Bound: env.Duration(op.Bound), Anywhere: op.Level != history.Linearizable}
	if op.Level == history.Linearizable {
		q.Anywhere = int64(chance.Below(d.chance(9), 1000)) < d.plan.Workload.AnywherePermille
	}
	return q
}

// call hands an operation to the client and returns its number.
func (d *driver) call(op *history.Op) (call uint64) {
	switch op.Kind {
	case history.Read:
		call, _ = d.client.Query(op.Tenant, op.Signal.Entity, d.query(op))
	case history.Put:
		call, _ = d.client.Put(op.Tenant, op.Signal.Entity)
	case history.Delete:
		call, _ = d.client.Delete(op.Tenant, op.Signal.Entity)
	default:
		call, _ = d.client.Write(op.Tenant, op.Signal)
	}
	return call
}

// sent notes under which identities calls under way were sent: a run may end
// before they do.
func (d *driver) sent() {
	if d.unsent == 0 {
		return
	}
	for _, o := range d.open {
		if op := &d.history.Ops[o.index]; op.Kind.Changes() && op.Op.Session == 0 {
			if identity, sent := d.client.Identity(o.call); sent {
				d.history.Sent(o.index, identity)
				d.unsent--
			}
		}
	}
}

// ended notes the end of a call.
func (d *driver) ended(r *client.Result) {
	for i, o := range d.open {
		if o.call != r.Call {
			continue
		}
		op := d.history.Close(o.index, outcomes[r.Outcome], d.world.Time())
		if op.Kind.Changes() && op.Op.Session == 0 {
			d.unsent--
		}
		if r.Op.Session != 0 {
			d.history.Sent(o.index, r.Op)
		}
		op.Seq, op.Reason = r.Seq, reason(r)
		if op.Kind == history.Read {
			op.State = r.State
		}
		if d.story != nil {
			d.story.endOf(d.env.Self(), o.index, op)
		}
		d.open = append(d.open[:i], d.open[i+1:]...)
		*d.left--
		d.world.Saw(d.env.Self(), r.Call, uint64(r.Outcome)<<32|uint64(r.Code), uint64(r.Seq), r.State.Applied.Lo^r.State.LastSeq)
		return
	}
}

// outcomes are those of the client in the words of the history.
var outcomes = [...]history.Outcome{client.Acked: history.Acked, client.Refused: history.Refused, client.Unknown: history.Unknown}

// reason is why a call has no answer, in the words of the history.
func reason(r *client.Result) string {
	switch {
	case r.Outcome == client.Acked:
		return ""
	case r.Outcome == client.Unknown && r.Code == wire.NoError:
		return history.Deadline
	}
	return r.Code.String()
}

// Status reports how far the driver is.
func (d *driver) Status(s *env.Status) {
	*s = env.Status{}
	s[0], s[1], s[2] = uint64(d.next), uint64(len(d.open)), uint64(d.client.Pending())
}
