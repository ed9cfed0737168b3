package core

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/wire"
)

// desk is the world of one operator: a clock, one timer, and a node that answers
// what the test says.
type desk struct {
	*host // what an operator does not ask for
	*Operator
	now   env.Time
	timer env.Time
	sent  []wire.Message
	ended []CommandResult
}

func (d *desk) Now() env.Time                       { return d.now }
func (d *desk) SetTimer(_ env.TimerID, at env.Time) { d.timer = at }
func (d *desk) Incarnation() env.Incarnation        { return 1 }

func (d *desk) Send(_ env.ID, _ env.Key, payload []byte) {
	var m wire.Message
	if err := wire.Decode(payload, &m); err != nil {
		d.Fatal(err)
	}
	d.sent = append(d.sent, m)
}

func (d *desk) step(ev env.Event) {
	if result, ended := d.Operator.Step(&ev); ended {
		d.ended = append(d.ended, result)
	}
}

// hears delivers a message of node 4, as an answer to the frame sent last but back.
func (d *desk) hears(m wire.Message, back int) {
	d.Helper()
	if last := len(d.sent) - 1 - back; m.Kind == wire.Refusal || m.Kind == wire.Done {
		m.Conn, m.Frame, m.Request = d.sent[last].Conn, d.sent[last].Frame, d.sent[last].Request
	}
	d.step(env.Event{Kind: env.Message, From: 4, Data: wire.Append(nil, &m)})
}

// wakes lets time pass until the timer fires.
func (d *desk) wakes() {
	d.now = d.timer
	d.step(env.Event{Kind: env.Timer})
}

// connected is an operator whose drop of a tenant has left in a frame of connection 8.
func connected(t *testing.T) *desk {
	d := &desk{host: &host{TB: t}}
	d.Operator = NewOperator(d, DefaultPatience)
	d.Begin(Command{Kind: wire.Drop, Place: Placement{Node: 4, Epoch: 1}, Base: 2})
	d.welcome(8)
	return d
}

func (d *desk) welcome(conn uint64) {
	d.Helper()
	hello := d.sent[len(d.sent)-1]
	if hello.Kind != wire.Hello {
		d.Fatalf("the last message is a %s, want a hello", hello.Kind)
	}
	d.hears(wire.Message{Kind: wire.Welcome, Nonce: hello.Nonce, Conn: conn}, 0)
}

// How a command ends hangs on every one of its attempts.
func TestHowACommandEnds(t *testing.T) {
	refusal := func(c wire.Code) wire.Message { return wire.Message{Kind: wire.Refusal, Code: c, Used: 7} }
	done := wire.Message{Kind: wire.Done, Command: wire.Drop}
	for name, c := range map[string]struct {
		story func(d *desk)
		want  CommandResult
	}{
		"done":    {func(d *desk) { d.hears(done, 0) }, CommandResult{Outcome: Acked}},
		"refused": {func(d *desk) { d.hears(refusal(wire.VersionConflict), 0) }, CommandResult{Outcome: Refused, Code: wire.VersionConflict, Value: 7}},
		"refused after an attempt that nobody answered": {func(d *desk) {
			d.wakes()
			d.hears(refusal(wire.VersionConflict), 0)
		}, CommandResult{Outcome: Unknown, Code: wire.VersionConflict, Value: 7}},
		"every attempt is refused": {func(d *desk) {
			d.hears(refusal(wire.NotServing), 0)
			d.wakes()
			d.hears(refusal(wire.VersionConflict), 0)
		}, CommandResult{Outcome: Refused, Code: wire.VersionConflict, Value: 7}},
		"done after a refusal": {func(d *desk) {
			d.hears(refusal(wire.Overloaded), 0)
			d.hears(done, 0)
		}, CommandResult{Outcome: Acked}},
		"a refusal comes twice": {func(d *desk) {
			d.hears(refusal(wire.Overloaded), 0)
			d.wakes()
			d.hears(refusal(wire.Overloaded), 1)
			d.hears(done, 0)
		}, CommandResult{Outcome: Acked}},
		"the node restarts": {func(d *desk) {
			d.hears(wire.Message{Kind: wire.Reset, Conn: 8}, 0)
			d.welcome(9)
			if m := d.sent[len(d.sent)-1]; m.Kind != wire.Drop || m.Conn != 9 || m.Base != 2 {
				d.Errorf("after another welcome: %+v", m)
			}
			d.hears(refusal(wire.UnknownTenant), 0)
		}, CommandResult{Outcome: Unknown, Code: wire.UnknownTenant, Value: 7}},
		"a reset of an older connection": {func(d *desk) {
			d.hears(wire.Message{Kind: wire.Reset, Conn: 7}, 0)
			d.hears(refusal(wire.UnknownTenant), 0)
		}, CommandResult{Outcome: Refused, Code: wire.UnknownTenant, Value: 7}},
		"done of another command": {func(d *desk) {
			d.hears(wire.Message{Kind: wire.Done, Command: wire.Create}, 0)
			d.hears(refusal(wire.UnknownTenant), 0)
		}, CommandResult{Outcome: Refused, Code: wire.UnknownTenant, Value: 7}},
		"nobody answers": {func(d *desk) {
			for len(d.ended) == 0 {
				d.wakes()
			}
		}, CommandResult{Outcome: Unknown}},
		"always too early": {func(d *desk) {
			for len(d.ended) == 0 {
				d.hears(refusal(wire.NotServing), 0)
				d.wakes()
			}
		}, CommandResult{Outcome: Refused, Code: wire.NotServing, Value: 7}},
	} {
		t.Run(name, func(t *testing.T) {
			d := connected(t)
			c.story(d)
			if diff := cmp.Diff([]CommandResult{c.want}, d.ended); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if d.Busy() || d.timer != env.Never {
				t.Errorf("busy %t, timer at %d", d.Busy(), d.timer)
			}
			if d.now > env.Time(0).Add(DefaultPatience.Deadline) {
				t.Errorf("it took until %d", d.now)
			}
		})
	}
}

// A hello that is lost is sent again, and every frame has a number of its own over
// all commands and connections.
func TestFramesOfAnOperatorAreNeverUsedAgain(t *testing.T) {
	d := connected(t)
	d.wakes()
	d.hears(wire.Message{Kind: wire.Done, Command: wire.Drop}, 0)
	d.Begin(Command{Kind: wire.Drop, Place: Placement{Node: 4, Epoch: 1}})
	d.wakes()
	d.welcome(9)
	frames, nonces, requests := map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}
	for _, m := range d.sent {
		if m.Kind == wire.Hello {
			nonces[m.Nonce] = true
			continue
		}
		if frames[m.Frame] {
			t.Errorf("frame %d is used twice", m.Frame)
		}
		frames[m.Frame], requests[m.Request] = true, true
	}
	if len(frames) != 3 || len(nonces) != 2 || len(requests) != 2 {
		t.Errorf("%d frames, %d connections, %d requests; want 3, 2, 2", len(frames), len(nonces), len(requests))
	}
}
