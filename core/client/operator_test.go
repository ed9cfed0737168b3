package client

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// desk is the world of one operator: a clock, one timer, and a node that answers
// what the test says.
type desk struct {
	env.Env
	testing.TB
	*Operator
	now   env.Time
	timer env.Time
	sent  []wire.Message
	to    []env.ID // by message
	ended []CommandResult
}

func (d *desk) Now() env.Time                       { return d.now }
func (d *desk) SetTimer(_ env.TimerID, at env.Time) { d.timer = at }
func (d *desk) Nonce() env.Nonce                    { return env.Nonce{A: 1 << 20} }

func (d *desk) Send(to env.ID, _ env.Key, payload []byte) {
	var m wire.Message
	if err := wire.Decode(payload, &m); err != nil {
		d.Fatal(err)
	}
	d.sent, d.to = append(d.sent, m), append(d.to, to)
}

func (d *desk) step(ev env.Event) {
	if result, ended := d.Operator.Step(&ev); ended {
		d.ended = append(d.ended, result)
	}
}

// hears delivers a message of node 4, as an answer to the frame sent last but back.
func (d *desk) hears(m wire.Message, back int) { d.Helper(); d.hearsFrom(4, m, back) }

// hearsFrom delivers a message of a node.
func (d *desk) hearsFrom(node env.ID, m wire.Message, back int) {
	d.Helper()
	if last := len(d.sent) - 1 - back; m.Kind == wire.Refusal || m.Kind == wire.Done {
		m.Conn, m.Frame, m.Request = d.sent[last].Conn, d.sent[last].Frame, d.sent[last].Request
	}
	d.step(env.Event{Kind: env.Message, From: node, Data: wire.Append(nil, &m)})
}

// wakes lets time pass until the timer fires.
func (d *desk) wakes() {
	d.now = d.timer
	d.step(env.Event{Kind: env.Timer})
}

// dropped is the command of connected.
var dropped = control.Command{Kind: control.DropTenant, Tenant: 3, Base: 2}

// connected returns an operator whose only node is 4. Its drop of a tenant has left in a frame of connection 8.
func connected(t *testing.T) *desk {
	d := &desk{TB: t}
	d.Operator = NewOperator(d, DefaultPatience, 4)
	d.Begin(dropped)
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
	seven := wire.Facts{Outdated: wire.Outdated{Version: 7}}
	refusal := func(c wire.Code) wire.Message {
		if c != wire.VersionConflict {
			return wire.Message{Kind: wire.Refusal, Code: c}
		}
		return wire.Message{Kind: wire.Refusal, Code: c, Facts: seven}
	}
	done := wire.Message{Kind: wire.Done, Command: wire.Control}
	for name, c := range map[string]struct {
		story func(d *desk)
		want  CommandResult
	}{
		"done":    {func(d *desk) { d.hears(done, 0) }, CommandResult{Outcome: Acked}},
		"refused": {func(d *desk) { d.hears(refusal(wire.VersionConflict), 0) }, CommandResult{Outcome: Refused, Code: wire.VersionConflict, Facts: seven}},
		"refused after an attempt that nobody answered": {func(d *desk) {
			d.wakes()
			d.hears(refusal(wire.VersionConflict), 0)
		}, CommandResult{Outcome: Unknown, Code: wire.VersionConflict, Facts: seven}},
		"every attempt is refused": {func(d *desk) {
			d.hears(refusal(wire.NotServing), 0)
			d.wakes()
			d.hears(refusal(wire.VersionConflict), 0)
		}, CommandResult{Outcome: Refused, Code: wire.VersionConflict, Facts: seven}},
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
			if m := d.sent[len(d.sent)-1]; m.Kind != wire.Control || m.Conn != 9 || !slices.Equal(m.Tail, dropped.Append(nil)) {
				d.Errorf("after another welcome: %+v", m)
			}
			d.hears(refusal(wire.UnknownTenant), 0)
		}, CommandResult{Outcome: Unknown, Code: wire.UnknownTenant}},
		"a reset of an older connection": {func(d *desk) {
			d.hears(wire.Message{Kind: wire.Reset, Conn: 7}, 0)
			d.hears(refusal(wire.UnknownTenant), 0)
		}, CommandResult{Outcome: Refused, Code: wire.UnknownTenant}},
		"done of another command": {func(d *desk) {
			d.step(env.Event{Kind: env.Message, From: 4, Data: wire.Append(nil, &wire.Message{Kind: wire.Done, Command: wire.Control, Conn: 8, Request: d.sent[1].Request - 1})})
			d.hears(refusal(wire.UnknownTenant), 0)
		}, CommandResult{Outcome: Refused, Code: wire.UnknownTenant}},
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
		}, CommandResult{Outcome: Refused, Code: wire.NotServing}},
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
	d.hears(wire.Message{Kind: wire.Done, Command: wire.Control}, 0)
	d.Begin(dropped)
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

// wanting is an operator of a cluster of three nodes, 4, 5 and 6, that has
// said hello to node 4 and wants node 2 drained.
func wanting(t *testing.T) *desk {
	d := &desk{TB: t}
	d.Operator = NewOperator(d, DefaultPatience, 4, 5, 6)
	d.Begin(control.Command{Kind: control.Drain, Node: 2})
	return d
}

// asked returns whom the operator has said hello to, one after the other.
func (d *desk) asked() (nodes []env.ID) {
	for i, to := range d.to {
		if d.sent[i].Kind == wire.Hello && (len(nodes) == 0 || nodes[len(nodes)-1] != to) {
			nodes = append(nodes, to)
		}
	}
	return nodes
}

// enters lets the node that was said hello to last welcome the operator, whose command
// leaves then.
func (d *desk) enters() {
	d.Helper()
	last := len(d.sent) - 1
	if d.sent[last].Kind != wire.Hello {
		d.Fatalf("the last message is a %s, want a hello", d.sent[last].Kind)
	}
	d.hearsFrom(d.to[last], wire.Message{Kind: wire.Welcome, Nonce: d.sent[last].Nonce, Conn: uint64(100 + last)}, 0)
	if m := d.sent[len(d.sent)-1]; m.Kind != wire.Control || m.Conn != uint64(100+last) || d.to[len(d.to)-1] != d.to[last] {
		d.Fatalf("welcomed by node %d the operator sends %+v to node %d", d.to[last], m, d.to[len(d.to)-1])
	}
}

// moved lets the node that was asked last say who leads, by address; -1 is nobody.
func (d *desk) moved(leader int) {
	d.Helper()
	d.hearsFrom(d.to[len(d.to)-1], wire.Message{Kind: wire.Refusal, Code: wire.Moved, Facts: wire.Facts{NotLeader: wire.NotLeader{Known: leader >= 0, Leader: env.ID(max(leader, 0))}}}, 0)
}

// Whom an operator asks, and how it ends: who leads the control plane changes, and is not
// always known.
func TestWhomAnOperatorAsks(t *testing.T) {
	done, third := wire.Message{Kind: wire.Done, Command: wire.Control}, wire.Facts{BadField: wire.BadField{Field: 3}}
	for name, c := range map[string]struct {
		story func(d *desk)
		asks  []env.ID
		want  CommandResult
	}{
		"the first one leads": {func(d *desk) { d.enters(); d.hears(done, 0) }, []env.ID{4}, CommandResult{Outcome: Acked}},
		"it says who does": {func(d *desk) {
			d.enters()
			d.moved(6)
			d.enters()
			d.hearsFrom(6, done, 0)
		}, []env.ID{4, 6}, CommandResult{Outcome: Acked}},
		"it does not know who does": {func(d *desk) {
			d.enters()
			before := d.now
			d.moved(-1)
			if len(d.asked()) > 1 {
				d.Error("another one is asked at once")
			}
			d.wakes()
			if d.now == before {
				d.Error("it does not wait until somebody leads")
			}
			d.enters()
			d.hearsFrom(5, done, 0)
		}, []env.ID{4, 5}, CommandResult{Outcome: Acked}},
		"it names a stranger": {func(d *desk) {
			d.enters()
			d.moved(9)
			d.wakes()
			d.enters()
			d.hearsFrom(5, done, 0)
		}, []env.ID{4, 5}, CommandResult{Outcome: Acked}},
		"it is silent": {func(d *desk) {
			for len(d.asked()) == 1 {
				d.wakes()
			}
			d.enters()
			d.hearsFrom(5, done, 0)
		}, []env.ID{4, 5}, CommandResult{Outcome: Acked}},
		"it takes the command and is silent": {func(d *desk) {
			d.enters()
			for len(d.asked()) == 1 {
				d.wakes()
			}
			d.enters()
			d.hearsFrom(5, wire.Message{Kind: wire.Refusal, Code: wire.InvalidConfig, Facts: third}, 0)
		}, []env.ID{4, 5}, CommandResult{Outcome: Unknown, Code: wire.InvalidConfig, Facts: third}}, // the first one may have done it
		"a late answer of one that is asked no more": {func(d *desk) {
			d.enters()
			first := d.sent[len(d.sent)-1]
			for len(d.asked()) == 1 {
				d.wakes()
			}
			d.enters()
			late := done
			late.Conn, late.Frame, late.Request = first.Conn, first.Frame, first.Request
			d.step(env.Event{Kind: env.Message, From: 4, Data: wire.Append(nil, &late)})
			if len(d.ended) > 0 {
				d.Error("it counts")
			}
			d.hearsFrom(5, done, 0)
		}, []env.ID{4, 5}, CommandResult{Outcome: Acked}},
		"it says no, for good": {func(d *desk) {
			d.enters()
			d.hears(wire.Message{Kind: wire.Refusal, Code: wire.TenantDropped}, 0)
		}, []env.ID{4}, CommandResult{Outcome: Refused, Code: wire.TenantDropped}},
		"it says not now, and then it is": {func(d *desk) {
			d.enters()
			d.hears(wire.Message{Kind: wire.Refusal, Code: wire.NotNow}, 0)
			d.wakes()
			d.hears(done, 0)
		}, []env.ID{4}, CommandResult{Outcome: Acked}},
		"it says not now for ever": {func(d *desk) {
			d.enters()
			for len(d.ended) == 0 {
				d.hears(wire.Message{Kind: wire.Refusal, Code: wire.NotNow}, 0)
				d.wakes()
			}
		}, []env.ID{4}, CommandResult{Outcome: Refused, Code: wire.NotNow}},
		"nobody is there": {func(d *desk) {
			for len(d.ended) == 0 {
				d.wakes()
			}
			if asked := len(d.asked()); asked < 4 {
				d.Errorf("only %d times somebody else was asked", asked)
			}
		}, nil, CommandResult{Outcome: Refused}},
		"nobody leads": {func(d *desk) {
			d.enters()
			for len(d.ended) == 0 {
				d.moved(-1)
				if d.wakes(); len(d.ended) == 0 {
					d.enters()
				}
			}
		}, nil, CommandResult{Outcome: Refused, Code: wire.Moved}},
		"two send it from one to the other": {func(d *desk) {
			for len(d.ended) == 0 && len(d.sent) < 10_000 {
				if d.sent[len(d.sent)-1].Kind == wire.Hello {
					d.enters()
				}
				switch last := d.to[len(d.to)-1]; last {
				case 4:
					d.moved(5)
				default:
					d.moved(4)
				}
				if d.sent[len(d.sent)-1].Kind != wire.Hello { // it waits
					d.wakes()
				}
			}
			if len(d.sent) > 1000 {
				d.Errorf("%d messages are sent, want fewer", len(d.sent))
			}
		}, nil, CommandResult{Outcome: Refused, Code: wire.Moved}},
	} {
		t.Run(name, func(t *testing.T) {
			d := wanting(t)
			c.story(d)
			for i := range d.ended {
				d.ended[i].Facts.NotLeader = wire.NotLeader{}
			}
			if diff := cmp.Diff([]CommandResult{c.want}, d.ended); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if c.asks != nil && !slices.Equal(d.asked(), c.asks) {
				t.Errorf("nodes %v are asked, want %v", d.asked(), c.asks)
			}
			if d.Busy() || d.timer != env.Never || d.now > env.Time(0).Add(DefaultPatience.Deadline) {
				t.Errorf("busy %t, timer at %d, now %d", d.Busy(), d.timer, d.now)
			}
		})
	}
}

// Who led the control plane last is asked first; every command is sent as it is.
func TestWhoLedIsAskedFirst(t *testing.T) {
	d := wanting(t)
	d.enters()
	d.moved(6)
	d.enters()
	d.hearsFrom(6, wire.Message{Kind: wire.Done, Command: wire.Control}, 0)
	want := control.Command{Kind: control.CreateTenant, Config: tenant.Config{ID: 9, Version: 1, Limits: tenant.Limits{Rate: 10}}, Shards: []lineage.Shard{1}}
	d.Begin(want)
	if to := d.to[len(d.to)-1]; to != 6 {
		t.Errorf("the next command goes to node %d, want 6", to)
	}
	d.enters()
	c, err := control.DecodeCommand(d.sent[len(d.sent)-1].Tail)
	if diff := cmp.Diff(want, c); err != nil || diff != "" {
		t.Errorf("%v, command (-want +got):\n%s", err, diff)
	}
}

// What an operator is told in words: typed where it can be.
func TestErrorsOfCommands(t *testing.T) {
	c := control.Command{Kind: control.Configure, Base: 4, Config: tenant.Config{ID: 3, Version: 5, Limits: tenant.Limits{Rate: 10}}}
	for _, row := range []struct {
		result CommandResult
		want   string
	}{
		{CommandResult{Outcome: Acked}, "<nil>"},
		{CommandResult{Outcome: Unknown, Code: wire.VersionConflict}, "<nil>"},
		{CommandResult{Outcome: Refused, Code: wire.VersionConflict, Facts: wire.Facts{Outdated: wire.Outdated{Version: 6}}},
			c.String() + ": version-conflict: version 6 is in force, want 4: " + wire.VersionConflict.Advice()},
		{CommandResult{Outcome: Refused, Code: wire.UnknownTenant}, c.String() + ": unknown-tenant: " + wire.UnknownTenant.Advice()},
		{CommandResult{Outcome: Refused, Code: wire.InvalidConfig, Facts: wire.Facts{BadField: wire.BadField{Field: 4, Value: 2_000_000_000}}},
			"invalid tenant configuration: tenant 3: limits.burst is 2000000000, want 1..1000000000 operations, or 0 for one second of limits.rate"},
	} {
		err := row.result.Err(&c)
		if got := fmt.Sprint(err); got != row.want {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
		var typed *tenant.ConfigError
		if errors.As(err, &typed) != (row.result.Code == wire.InvalidConfig) {
			t.Errorf("%v is a ConfigError: %t", err, typed != nil)
		}
	}
}
