package scenarios

import (
	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/chance"
)

// driver is the program of a client process: an application that makes the
// workload's calls and notes in the history what it asked and what it was told.
type driver struct {
	env     env.Env
	client  *core.Client
	plan    *Plan
	world   *sim.World
	history *history.History
	left    *int // operations of all drivers that have not ended
	story   *story

	next int        // number of the next operation
	open []openCall // under way
	full bool       // the next call waits for one of them to end
}

type openCall struct {
	call  uint64
	index int // in the history
}

// thinkTimer is the driver's own; the client uses timer 0.
const thinkTimer env.TimerID = 1

// Step implements env.Machine.
func (d *driver) Step(ev *env.Event) {
	for _, r := range d.client.Step(ev) {
		d.ended(&r)
	}
	if ev.Kind == env.Started || d.full && len(d.open) < d.plan.Workload.Concurrency || ev.Kind == env.Timer && ev.Timer == thinkTimer {
		d.think()
	}
	d.env.Charge(env.Microsecond)
}

// think makes the next call and sleeps again. With too many calls under way it
// goes on when one of them ends.
func (d *driver) think() {
	d.full = len(d.open) >= d.plan.Workload.Concurrency
	if d.full || d.next == d.plan.Workload.Operations {
		return
	}
	d.begin()
	mean := uint64(d.plan.Workload.Think)
	pause := mean/2 + chance.Below(d.chance(0, 7), mean+1)
	d.env.SetTimer(thinkTimer, d.env.Now().Add(env.Duration(pause)+1))
}

// chance draws property n of operation next. All properties of a workload hang on
// the operation's number alone, so that leaving operations out of a plan does not
// change the others.
func (d *driver) chance(offset, n int) uint64 {
	return d.env.Chance(env.Key{Kind: 1, A: uint64(d.next + offset), B: uint64(n)})
}

// begin makes the next call.
func (d *driver) begin() {
	w := &d.plan.Workload
	tenants := d.plan.Cluster.Tenants
	id := tenants[chance.Below(d.chance(0, 0), uint64(len(tenants)))].Config.ID
	entity := signal.Entity(chance.Below(d.chance(0, 1), uint64(w.Entities)))
	if chance.Below(d.chance(0, 2), 1000) < uint64(w.Hot) {
		id, entity = tenants[0].Config.ID, 0
	}
	if entity == 1 { // the largest is as good a name as any
		entity = ^signal.Entity(0)
	}
	s := signal.Signal{
		Entity: entity, ClientTime: int64(d.env.Wall()),
		Weight: int32(d.chance(0, 3)), Kind: signal.Kind(chance.Below(d.chance(0, 4), signal.Kinds)),
	}
	op := history.Op{
		Client: uint64(d.env.Self()), Tenant: id, Signal: s,
		InvokeAt: d.world.Time(),
	}
	d.next++
	read := chance.Below(d.chance(-1, 5), 1000) < uint64(w.ReadPermille)
	var call uint64
	if read {
		op.Kind, op.Signal = history.Read, signal.Signal{Entity: entity}
	}
	index := d.history.Begin(op)
	if d.story != nil {
		d.story.asks(d.env.Self(), index, &op)
	}
	if read {
		call, _ = d.client.Read(id, 0, entity)
	} else {
		call, _ = d.client.Write(id, 0, s)
	}
	d.open = append(d.open, openCall{call: call, index: index})
	d.world.Saw(d.env.Self(), call, uint64(index), uint64(entity), uint64(s.Weight))
}

// ended notes the end of a call.
func (d *driver) ended(r *core.Result) {
	for i, o := range d.open {
		if o.call != r.Call {
			continue
		}
		if r.Op.Session != 0 {
			d.history.Sent(o.index, r.Op)
		}
		d.history.End(o.index, d.result(r))
		if d.story != nil {
			d.story.told(d.env.Self(), o.index, &d.history.Ops[o.index])
		}
		d.open = append(d.open[:i], d.open[i+1:]...)
		*d.left--
		d.world.Saw(d.env.Self(), r.Call, uint64(r.Outcome)<<32|uint64(r.Code), uint64(r.Seq), r.State.Applied.Lo^r.State.LastSeq)
		return
	}
}

func (d *driver) result(r *core.Result) history.Result {
	out := history.Result{At: d.world.Time(), Seq: r.Seq, State: r.State}
	switch r.Outcome {
	case core.Acked:
		out.Outcome = history.Acked
	case core.Refused:
		out.Outcome, out.Reason = history.Refused, r.Code.String()
	case core.Unknown:
		out.Outcome, out.Reason = history.Unknown, "deadline"
		if r.Code != wire.NoError {
			out.Reason = r.Code.String()
		}
	}
	return out
}

// Status reports how far the driver is.
func (d *driver) Status(s *env.Status) {
	*s = env.Status{uint64(d.next), uint64(len(d.open)), uint64(d.client.Pending())}
}
