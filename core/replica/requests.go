package replica

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/core/wire"
)

// Admit decides about a signal, or about the creation or deletion of an entity. The order of the
// checks is part of the contract: placement epoch, validity, session, duplicate (answered again,
// not charged), rate, entities, storage. A refusal has no effect. An admitted change is charged and
// waits for AppendNext, behind earlier ones.
func (r *Replica) Admit(e env.Env, from env.ID, m *wire.Message) Outcome {
	if code := r.appendable(e, m); code != wire.NoError {
		return Outcome{Code: code}
	}
	var rec record.Record
	if !change(m, &rec) {
		return Outcome{Code: wire.Invalid}
	}
	session := r.state.Session(m.Session)
	// A session's ID is the seq of the record that began it. If this replica has lost its
	// leadership, it may not have heard of that record.
	//safety:unheard-session-not-expired false by=unknown on=deposed-leader
	if session == nil && lineage.Seq(m.Session) > r.state.Position.Seq {
		return Outcome{Code: wire.NotServing}
	}
	if session == nil || session.Leaving {
		return Outcome{Code: wire.SessionExpired}
	}
	if out, repeated := r.repeated(e, session, m); repeated {
		return out
	}
	level, over, ok := quota.Admit(&r.bucket, e.Now(), r.caps(), r.use(), r.ask(&rec))
	// A request that the limiter refuses must never reach the log.
	//safety:limiter-before-log by=rate on=smoke
	if !ok {
		r.counts.Refused[over.Resource-1]++
		r.hit(e, fault.QuotaRefused, lineage.Seq(over.Resource))
		return Outcome{Code: wire.QuotaExceeded, Facts: wire.Facts{Quota: over}}
	}
	rec.Level = level
	session.InFlight++
	r.overlay.Add(&rec)
	p := r.memory.extendPending(&r.admitted)
	p.Record, p.Request, p.From = rec, m.Origin(), from
	return Outcome{Later: true, Admitted: true}
}

// Announce records that the change admitted last has to wait: its token is taken now, and its
// record comes later.
func (r *Replica) Announce(e env.Env) {
	r.admitted[len(r.admitted)-1].Announced = true
	r.hit(e, fault.ChangeAdmitted, 0)
}

// AppendNext appends the next admitted record to the log. The next Flush writes it.
func (r *Replica) AppendNext(e env.Env) {
	if len(r.admitted) == 0 { // the slot has stopped since
		return
	}
	passed := fault.RecordAppended
	if r.admitted[0].Announced {
		passed = fault.ChangeAppended
	}
	*r.memory.extendPending(&r.pending) = r.admitted[0]
	r.admitted = r.admitted[:copy(r.admitted, r.admitted[1:])]
	r.memory.settle(&r.admitted)
	r.place(e, passed)
}

// change turns rec, which is zero, into the record for a request, without the fields that only the
// slot knows; false if the request is malformed.
func change(m *wire.Message, rec *record.Record) bool {
	rec.Client, rec.Request, rec.Floor = m.Session, m.Request, m.Floor
	valid := m.Request != 0 && m.Floor <= m.Request
	switch m.Kind {
	case wire.Write:
		rec.Kind, rec.Signal = record.Signal, m.Signal
		valid = valid && m.Signal.Validate() == nil
	case wire.Put:
		rec.Kind, rec.Entity = record.EntityPut, m.Entity
	case wire.Delete:
		rec.Kind, rec.Entity = record.EntityDelete, m.Entity
	}
	return valid
}

// caps returns the caps of the last Config record, durable or not.
func (r *Replica) caps() quota.Caps {
	limits := r.overlay.Limits()
	return quota.Caps{Entities: limits.Entities, Bytes: limits.Bytes}
}

// use returns the slot's usage with all appended and admitted records.
func (r *Replica) use() quota.Use {
	// Admitted changes count before they are durable.
	//safety:in-flight-counts by=caps on=quota-storm
	if r.end.Seq > r.state.Position.Seq || len(r.admitted) > 0 {
		return quota.Use{Entities: r.overlay.Entities(), Bytes: r.overlay.Bytes()}
	}
	return quota.Use{Entities: r.state.Live(), Bytes: r.state.Bytes()}
}

// ask returns how much a record would grow the slot.
func (r *Replica) ask(rec *record.Record) (ask quota.Ask) {
	entity, _ := rec.Subject()
	if rec.Kind != record.EntityDelete && !r.overlay.Exists(entity) {
		ask.Entities = 1
	}
	if rec.Kind == record.Signal {
		ask.Bytes = uint64(record.Size(record.Signal))
	}
	return ask
}

// admissible checks the conditions of every request: the slot serves, and the client knows its
// placement.
func (r *Replica) admissible(e env.Env, m *wire.Message) wire.Code {
	if r.phase != Serving || r.closing {
		return r.Refusal(e)
	}
	return r.Placed(m)
}

// Placed refuses a request of a client that has another placement in mind: a later one, which this
// replica does not know yet, or an earlier one.
func (r *Replica) Placed(m *wire.Message) wire.Code {
	switch {
	case m.Placement > r.config.Identity.Placement:
		return wire.BadEpoch
	case m.Placement < r.config.Identity.Placement:
		return wire.Moved
	}
	return wire.NoError
}

// appendable checks the conditions of every request that needs a record: those of admissible, and
// room among the records that wait for the disk.
func (r *Replica) appendable(e env.Env, m *wire.Message) wire.Code {
	if code := r.admissible(e, m); code != wire.NoError {
		return code
	}
	if len(r.pending)+len(r.admitted) >= r.config.MaxPending {
		return wire.Overloaded
	}
	if r.stuck {
		return wire.DiskFull
	}
	return wire.NoError
}

// repeated decides about a request whose number shows that it was received before, or that is too
// old to tell.
func (r *Replica) repeated(e env.Env, session *state.Session, m *wire.Message) (Outcome, bool) {
	// Frames are taken in order, so a correct client never reaches this case. A faulty client must
	// not have a request applied twice either.
	if m.Request < session.Floor {
		return Outcome{Code: wire.Superseded}, true
	}
	// An applied request gets its old answer and is not applied again.
	//safety:duplicate-answered by=exactly-once on=lossy-network
	if seq, ok := session.Answer(m.Request); ok {
		r.hit(e, fault.DuplicateAnswer, seq)
		return Outcome{Seq: seq}, true
	}
	// A request that is still pending must not be applied again either.
	//safety:duplicate-pending by=exactly-once on=lossy-network
	if session.InFlight > 0 && r.isPending(m.Session, m.Request) {
		return Outcome{Later: true}, true
	}
	if m.Request >= max(session.Floor, m.Floor)+state.Window {
		return Outcome{Code: wire.Window}, true
	}
	return Outcome{}, false
}

// isPending reports whether a request is admitted and not durable yet.
func (r *Replica) isPending(session, request uint64) bool {
	for _, list := range [...][]Pending{r.pending, r.admitted} {
		for i := range list {
			if p := &list[i].Record; p.Kind.IsOperation() && p.Client == session && p.Request == request {
				return true
			}
		}
	}
	return false
}

// OpenSession finds or begins the session that a client names by its nonce. The next Flush writes
// the record.
func (r *Replica) OpenSession(e env.Env, from env.ID, m *wire.Message) Outcome {
	if code := r.appendable(e, m); code != wire.NoError {
		return Outcome{Code: code}
	}
	if session := r.state.SessionOf(uint64(from), m.Nonce); session != nil {
		return Outcome{Seq: lineage.Seq(session.ID)}
	}
	opening := 0
	for i := range r.pending {
		if p := &r.pending[i].Record; p.Kind == record.Session {
			if p.Session.Client == uint64(from) && p.Session.Nonce == m.Nonce {
				return Outcome{Later: true}
			}
			opening++
		}
	}
	evicted := uint64(0)
	if r.state.Sessions()+opening >= r.config.MaxSessions {
		least := r.state.LeastRecent()
		if opening > 0 || least == nil {
			return Outcome{Code: wire.NotServing} // one eviction at a time
		}
		evicted, least.Leaving = least.ID, true
	}
	r.append(e, from, m, record.Record{
		Kind: record.Session, Level: r.bucket.Level(e.Now()),
		Session: record.SessionStart{Client: uint64(from), Nonce: m.Nonce, Evicted: evicted},
	}, fault.RecordAppended)
	return Outcome{Later: true}
}
