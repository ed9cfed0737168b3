package core

import (
	"testing"
	"time"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// What the Steps of a node and of a client cost a real CPU: docs/calibration.md
// compares it with what they charge a virtual one. The world around them does nothing,
// so that it costs nothing: an operation of the disk is done at once, an answer is
// dropped.

// bunch is how many messages are made ready at once, outside of what is measured, and
// how many changes become durable with one sync.
const bunch = 64

// gauge is a node under measurement, and a client that writes its messages by hand.
type gauge struct {
	*host
	quick    bool // the world does nothing
	ops      []env.OpID
	answered int
	timed    bool // a timer at Now is set
	took     time.Duration
	messages [bunch][]byte
	session  uint64
	request  uint64
}

// newGauge is a node that serves one slot with 1,024 entities and has a session.
func newGauge(b *testing.B, limits tenant.Limits) *gauge {
	g := &gauge{host: newHostOf(b, oneNode(limits))}
	g.cluster.Constants.SnapshotEvery = unlimited
	g.startWith(g)
	g.settle()
	g.session = g.told(wire.Message{Kind: wire.OpenSession, Tenant: 1, Placement: 1, Nonce: 1}).Session
	g.quick = true
	for range entities / bunch {
		g.write(0)
	}
	g.took, g.answered = 0, 0
	return g
}

const (
	entities  = 1 << 10
	unlimited = 1 << 40
)

// Submit implements env.Env.
func (g *gauge) Submit(op env.Op) {
	if !g.quick {
		g.host.Submit(op)
		return
	}
	g.ops = append(g.ops, op.ID)
}

// Send implements env.Env.
func (g *gauge) Send(to env.ID, key env.Key, payload []byte) {
	if !g.quick {
		g.host.Send(to, key, payload)
		return
	}
	g.answered++
}

// SetTimer implements env.Env.
func (g *gauge) SetTimer(id env.TimerID, at env.Time) {
	g.host.SetTimer(id, at)
	g.timed = g.timed || id == serveTimer
}

// Hit implements env.Env. As on a real machine, the registry of failpoints decides.
func (g *gauge) Hit(env.Point, env.Key) (env.Action, bool) { return env.ActNone, false }

// compose makes messages ready: new requests, or all of them the last one again.
func (g *gauge) compose(kind wire.Kind, again bool) {
	for i := range g.messages {
		g.frame++
		if !again {
			g.request++
		}
		entity := signal.Entity(g.request % entities)
		g.messages[i] = wire.Append(g.messages[i][:0], &wire.Message{
			Kind: kind, Conn: g.conn, Frame: g.frame, Tenant: 1, Placement: 1, Session: g.session, Request: g.request, Floor: g.request,
			Entity: entity, Signal: signal.Signal{Entity: entity, Kind: 1, Weight: 1},
		})
	}
}

// arrive lets the node take the messages, which have waited for it so long.
func (g *gauge) arrive(waited env.Duration) {
	for _, data := range g.messages {
		g.Step(&env.Event{Kind: env.Message, From: operatorID, At: g.now.Add(-waited), Data: data})
	}
}

// measured adds the time that work takes.
func (g *gauge) measured(work func()) {
	began := time.Now()
	work()
	g.took += time.Since(began)
}

// write makes a bunch of signals durable.
func (g *gauge) write(waited env.Duration) {
	g.now += env.Time(env.Second) // there are tokens again
	g.compose(wire.Write, false)
	g.measured(func() {
		g.arrive(waited)
		for g.timed {
			g.timed = false
			g.Step(&env.Event{Kind: env.Timer, Timer: serveTimer, At: g.now})
		}
		for at := 0; at < len(g.ops); at++ {
			g.Step(&env.Event{Kind: env.DiskDone, Op: g.ops[at], At: g.now})
		}
		g.ops = g.ops[:0]
	})
}

// BenchmarkNodeStep measures what a message to a node costs. A refusal, a read and a
// repeated request are decided about and answered (replica.Costs.Check); of a write
// the record is encoded, chained, and folded when it is durable, too (and
// replica.Costs.Append). While it is loaded writes wait for their turn.
func BenchmarkNodeStep(b *testing.B) {
	plenty := tenant.Limits{Rate: tenant.MaxRate, Burst: 1 << 20}
	for _, c := range []struct {
		name   string
		limits tenant.Limits
		round  func(*gauge)
	}{
		{"refusal", tenant.Limits{Rate: 1, Burst: entities}, func(g *gauge) { g.each(wire.Write, false) }},
		{"read", plenty, func(g *gauge) { g.each(wire.Query, false) }},
		{"repeated", plenty, func(g *gauge) { g.each(wire.Write, true) }},
		{"write", plenty, func(g *gauge) { g.write(0) }},
		{"write, loaded", plenty, func(g *gauge) { g.write(1) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			g := newGauge(b, c.limits)
			if c.limits.Rate == 1 { // use up what is left
				g.write(0)
			}
			g.took, g.answered = 0, 0
			b.ResetTimer()
			rounds := (b.N + bunch - 1) / bunch
			for range rounds {
				c.round(g)
			}
			if g.answered != rounds*bunch {
				b.Fatalf("%d of %d messages are answered", g.answered, rounds*bunch)
			}
			b.ReportMetric(float64(g.took)/float64(rounds*bunch), "ns/message")
		})
	}
}

// each lets the node take a bunch of messages that lead to no record.
func (g *gauge) each(kind wire.Kind, again bool) {
	g.compose(kind, again)
	g.measured(func() { g.arrive(0) })
}
