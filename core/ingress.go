package core

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/wire"
)

// A node under load decides about quotas when a request arrives, and does the admitted work in
// turns. Slots take turns by deficit round robin, so that a tenant with much work does not hold up
// the others. A refusal never waits behind other work. A node without load does everything at once.

// work is one task in the queue of a slot.
type work struct {
	does    job
	from    env.ID
	request wire.Message // answers: the request
}

// job is the kind of a piece of work.
type job uint8

const (
	answers job = iota // a request that is no change
	appends            // the next change that the slot has admitted, and keeps
	renews             // append the record of the slot's grant
)

// Bounds of the turns of one Step. A Step ends after turnsAtOnce pieces of work, or with the piece
// that exceeds turnsTime. So an event that arrives meanwhile, a request to refuse say, does not
// wait long.
const (
	quantum     = 4 * env.Microsecond // CPU time that a slot is given in each round
	turnsAtOnce = 16
	turnsTime   = 150 * env.Microsecond
)

// serveTimer fires when work waits. A timer at Now fires behind the events that have arrived.
const serveTimer env.TimerID = 0

// request finds the slot and lets it decide. Under load the slot decides about changes only; other
// requests wait for the slot's turn.
func (n *Node) request(ev *env.Event, m *wire.Message) {
	i := n.slotOf(m.Tenant, m.Slot)
	if i < 0 {
		n.refuse(ev.From, m, replica.Outcome{Code: n.unknown(m)})
		return
	}
	n.worked = i
	if n.ends(m.Tenant) {
		n.refuse(ev.From, m, replica.Outcome{Code: wire.UnknownTenant})
		return
	}
	if e, ok := subject(m); ok && !n.belongs(m.Tenant, m.Slot, e) {
		n.refuse(ev.From, m, replica.Outcome{Code: wire.WrongSlot})
		return
	}
	if n.groupOf(i).Known().LossOpen {
		// The other replicas are as empty as this one, and only an operator can decide about the
		// loss. Refuse at once: otherwise the client asks again and again, and waits for that
		// decision.
		n.refuse(ev.From, m, replica.Outcome{Code: wire.Corrupt})
		return
	}
	if !n.ours(i, m) {
		n.refuse(ev.From, m, replica.Outcome{Code: wire.Moved})
		return
	}
	idle := n.queue.Len() == 0 && ev.At == n.env.Now()
	switch {
	case m.Kind.Changes():
		n.change(i, ev.From, m, idle)
	case idle:
		n.serve(i, ev.From, m)
		n.flush(i)
	default:
		n.wait(i, ev.From, m, &work{does: answers, from: ev.From, request: *m})
	}
}

// subject returns the entity that a request is about, if it is about one.
func subject(m *wire.Message) (signal.Entity, bool) {
	switch m.Kind {
	case wire.Write:
		return m.Signal.Entity, true
	case wire.Put, wire.Delete, wire.Query:
		return m.Entity, true
	}
	return 0, false
}

// change lets the slot decide about a change. The node looks at the queue first: once the slot has
// charged for a change, the node must append it.
func (n *Node) change(i int, from env.ID, m *wire.Message, idle bool) {
	if !idle && n.queue.Full(i) {
		n.refuse(from, m, replica.Outcome{Code: wire.Overloaded})
		return
	}
	out := n.slots[i].Admit(n.env, from, m)
	switch {
	case out.Code != wire.NoError:
		n.refuse(from, m, out)
	case !out.Later:
		n.ack(from, m, out.Seq, n.slots[i].EpochAt(out.Seq))
	case out.Admitted && idle:
		n.slots[i].AppendNext(n.env)
		n.flush(i)
	case out.Admitted:
		n.slots[i].Announce(n.env)
		n.wait(i, from, m, &work{does: appends})
	}
}

// wait puts work for a request into its slot's queue.
func (n *Node) wait(i int, from env.ID, m *wire.Message, w *work) {
	if !n.enqueue(i, w) {
		n.refuse(from, m, replica.Outcome{Code: wire.Overloaded})
	}
}

// enqueue puts work into its slot's queue, and reports whether there was room.
func (n *Node) enqueue(i int, w *work) bool {
	if !n.queue.Push(i, int64(n.cost(w)), *w) {
		return false
	}
	if n.queue.Len() == 1 {
		n.env.SetTimer(serveTimer, n.env.Now())
	}
	return true
}

// cost is the CPU time that a piece of work is expected to take.
func (n *Node) cost(w *work) env.Duration {
	costs := &n.cluster.Constants.Costs
	if w.does == answers && (w.request.Kind == wire.Query) {
		return max(costs.Check, 1)
	}
	return max(costs.Append, 1)
}

// turns does the work of the slots in turn, and writes the results in one batch for each slot.
func (n *Node) turns() {
	n.touched = n.touched[:0]
	for spent := env.Duration(0); n.queue.Len() > 0 && len(n.touched) < turnsAtOnce && spent < turnsTime; {
		w, i := n.queue.Pop()
		spent += n.cost(&w)
		n.worked = i
		switch w.does {
		case answers:
			n.serve(i, w.from, &w.request)
		case appends:
			n.slots[i].AppendNext(n.env)
		case renews:
			n.renewInTurn(i)
		}
		n.touched = append(n.touched, i)
	}
	for _, i := range n.touched { // a slot with nothing to write ignores it
		n.flush(i)
	}
	if n.queue.Len() > 0 {
		n.env.SetTimer(serveTimer, n.env.Now())
	}
	fault.Hit(n.env, fault.TurnsTaken, env.Key{A: nobody, B: uint64(len(n.touched))})
}

// flush writes the appended records of a slot's log, and ships them to the other replicas.
func (n *Node) flush(i int) { n.groupOf(i).Flush(n.env, i) }

// serve answers a request that is no change, or begins to.
func (n *Node) serve(i int, from env.ID, m *wire.Message) {
	r := n.slots[i]
	switch {
	case m.Kind == wire.OpenSession:
		if out := r.OpenSession(n.env, from, m); out.Code != wire.NoError {
			n.refuse(from, m, out)
		} else if !out.Later {
			n.sessionOpen(from, m, out.Seq)
		}
	default:
		n.read(i, from, m)
	}
}
