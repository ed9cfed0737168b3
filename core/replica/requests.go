package replica

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/core/wire"
)

// Write decides about a signal and appends it. The order of the checks is part
// of the contract: placement epoch, validity, session, duplicate (which gets its
// old answer and is not charged), rate, append. A refusal has no effect at all.
func (r *Replica) Write(e env.Env, from env.ID, m *wire.Message) Outcome {
	e.Charge(r.config.Costs.Check)
	if out := r.admissible(m); out.Code != wire.NoError {
		return out
	}
	if m.Signal.Validate() != nil || m.Request == 0 || m.Floor > m.Request {
		return Outcome{Code: wire.Invalid}
	}
	session := r.state.Session(m.Session)
	if session == nil || session.Leaving {
		return Outcome{Code: wire.SessionExpired}
	}
	if out, repeated := r.repeated(e, session, m); repeated {
		return out
	}
	now := e.Now()
	level, wait, ok := r.bucket.Take(now)
	//safety:rate-limited by=rate on=smoke
	if !ok {
		r.hit(e, fault.QuotaRefused, 0)
		return r.overRate(wait)
	}
	session.InFlight++
	r.append(e, from, m, record.Record{
		Kind: record.Signal, Client: m.Session, Request: m.Request, Floor: m.Floor, Level: level, Signal: m.Signal,
	})
	r.flush(e)
	return Outcome{Later: true}
}

// admissible checks what every request needs: a serving slot, room, and a client
// that knows where the slot is placed.
func (r *Replica) admissible(m *wire.Message) Outcome {
	switch {
	case r.phase != Serving:
		return r.refuse()
	case m.Placement > r.config.Identity.Placement:
		return Outcome{Code: wire.BadEpoch}
	case m.Placement < r.config.Identity.Placement:
		return Outcome{Code: wire.Moved}
	case len(r.pending) >= r.config.MaxPending:
		return Outcome{Code: wire.NotServing}
	}
	return Outcome{}
}

// repeated decides about a request whose number tells that it was here before,
// or that it cannot be told any more.
func (r *Replica) repeated(e env.Env, session *state.Session, m *wire.Message) (Outcome, bool) {
	//safety:floor-checked by=exactly-once on=lossy-network
	if m.Request < session.Floor {
		return Outcome{Code: wire.Superseded}, true
	}
	//safety:duplicate-answered by=exactly-once on=lossy-network
	if seq, ok := session.Answer(m.Request); ok {
		r.hit(e, fault.DuplicateAnswer, seq)
		return Outcome{Seq: seq}, true
	}
	//safety:duplicate-pending by=exactly-once on=lossy-network
	if session.InFlight > 0 && r.isPending(m.Session, m.Request) {
		return Outcome{Later: true}, true
	}
	if m.Request >= max(session.Floor, m.Floor)+state.Window {
		return Outcome{Code: wire.Window}, true
	}
	return Outcome{}, false
}

func (r *Replica) isPending(session, request uint64) bool {
	for i := range r.pending {
		p := &r.pending[i].Record
		if p.Kind == record.Signal && p.Client == session && p.Request == request {
			return true
		}
	}
	return false
}

func (r *Replica) overRate(wait env.Duration) Outcome {
	burst := r.config.Tenant.Limits.EffectiveBurst()
	return Outcome{Code: wire.QuotaExceeded, Quota: quota.ExceededError{
		Resource: quota.SignalsPerSecond, Limit: r.config.Tenant.Limits.Rate, Used: burst, RetryAfter: wait,
	}}
}

// OpenSession finds or begins the session that a client names by its nonce.
func (r *Replica) OpenSession(e env.Env, from env.ID, m *wire.Message) Outcome {
	e.Charge(r.config.Costs.Check)
	if out := r.admissible(m); out.Code != wire.NoError {
		return out
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
	})
	r.flush(e)
	return Outcome{Later: true}
}

// Read returns an entity's state, linearizably: the only sequencer of the slot
// answers from what is durable, and nothing else was ever acknowledged.
func (r *Replica) Read(e env.Env, m *wire.Message) (signal.State, Outcome) {
	e.Charge(r.config.Costs.Check)
	if out := r.admissible(m); out.Code != wire.NoError {
		return signal.State{}, out
	}
	return r.state.Entity(m.Entity), Outcome{Seq: r.state.Position.Seq}
}
