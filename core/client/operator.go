package client

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// CommandResult is how a command ended.
type CommandResult struct {
	Outcome Outcome
	Code    wire.Code  // the last refusal; NoError if there was none
	Facts   wire.Facts // that belong to Code
}

// Err says why the command was refused, nil if it was not: a *tenant.ConfigError
// with the field's path for an invalid configuration.
func (r *CommandResult) Err(c *control.Command) error {
	switch {
	case r.Outcome != Refused:
		return nil
	case r.Code == wire.InvalidConfig && r.Facts.BadField.Field > 0:
		return tenant.FieldError(c.Subject(), r.Facts.BadField.Field, r.Facts.BadField.Value)
	case r.Code == wire.VersionConflict:
		return fmt.Errorf("%s: %s: version %d is in force, want %d: %s", c, r.Code, r.Facts.Outdated.Version, c.Base, r.Code.Advice())
	}
	return fmt.Errorf("%s: %s: %s", c, r.Code, r.Code.Advice())
}

// Operator sends commands to the coordinator, one after the other, and repeats each until it is
// answered: commands of the kinds CreateTenant, Configure, DropTenant, Drain, Undrain and
// AcceptLoss. Every command has a connection of its own, so that a copy of an
// earlier one that the network delivers late is never taken. It uses timer 0.
type Operator struct {
	env      env.Env
	patience Patience
	nodes    []env.ID // that may lead the control plane
	hops     int      // from one to another without a pause

	busy     bool
	command  control.Command
	node     env.ID // the one of nodes that the operator believes to lead it
	request  uint64 // of the command
	nonce    uint64 // of the connection
	conn     uint64 // 0: not connected
	frame    uint64
	frames   []uint64 // attempts that are not resolved
	attempts uint32
	silent   uint32 // of them, since the last message of that node
	due      env.Time
	deadline env.Time
	result   CommandResult

	in   wire.Message
	out  []byte
	tail []byte // of the command
}

// NewOperator returns an operator with nothing to do. For commands of the control
// plane it asks the nodes given, one after the other, until one says that it leads it; for
// other commands none need be given.
func NewOperator(e env.Env, p Patience, nodes ...env.ID) *Operator {
	// What another start of this operator named is far away. Frames ascend within each
	// connection, so that half of the numbers are left to count up.
	first := e.Nonce().A
	o := &Operator{env: e, patience: p, nodes: nodes, request: first, nonce: first, frame: first >> 1}
	o.node = nodes[0]
	return o
}

// Busy reports whether a command is under way.
func (o *Operator) Busy() bool { return o.busy }

// Begin sends a command. None may be under way.
func (o *Operator) Begin(c control.Command) {
	assert.That(!o.busy, "operator: %s is under way, and %s begins", &o.command, &c)
	o.busy, o.command, o.result = true, c, CommandResult{}
	o.tail = c.Append(nil)
	o.request++
	o.frames, o.hops = o.frames[:0], 0
	o.deadline = o.env.Now().Add(o.patience.Deadline)
	o.connect()
	o.env.SetTimer(0, min(o.due, o.deadline))
}

// Step handles one event. It is true if the command has ended.
func (o *Operator) Step(ev *env.Event) (CommandResult, bool) {
	if !o.busy {
		return CommandResult{}, false
	}
	switch ev.Kind {
	case env.Message:
		if ev.From == o.node && wire.Decode(ev.Data, &o.in) == nil {
			o.message(&o.in)
		}
	case env.Timer:
		if ev.Timer == 0 {
			o.timeout()
		}
	}
	if !o.busy {
		o.env.SetTimer(0, env.Never)
		return o.result, true
	}
	o.env.SetTimer(0, min(o.due, o.deadline))
	return CommandResult{}, false
}

func (o *Operator) message(m *wire.Message) {
	o.silent = 0
	switch {
	case m.Kind == wire.Welcome && m.Nonce == o.nonce && o.conn == 0:
		o.conn, o.attempts = m.Conn, 0
		o.transmit()
	case m.Kind == wire.Reset && m.Conn == o.conn && o.conn != 0:
		o.connect()
	case m.Kind == wire.Done && m.Request == o.request:
		o.end(Acked)
	case m.Kind == wire.Refusal && slices.Contains(o.frames, m.Frame):
		o.refusal(m)
	}
}

// refusal handles the refusal of one attempt. The command is refused only if no
// other attempt of it is unresolved; otherwise its outcome is unknown.
func (o *Operator) refusal(m *wire.Message) {
	if m.Code.Definite() {
		o.frames = slices.DeleteFunc(o.frames, func(f uint64) bool { return f == m.Frame })
	}
	o.result.Code, o.result.Facts = m.Code, m.Facts
	switch {
	case m.Code == wire.Moved:
		o.redirected(m.NotLeader)
	case m.Code.Again():
		o.due = o.env.Now().Add(o.backoff())
	case len(o.frames) == 0:
		o.end(Refused)
	default:
		o.end(Unknown)
	}
}

// redirected asks the node that is said to lead the control plane. If none is, the operator
// waits, because one will be; and so it does where nodes send it from one to another.
func (o *Operator) redirected(to wire.NotLeader) {
	known := to.Known && slices.Contains(o.nodes, to.Leader)
	if o.hops++; !known || o.hops > len(o.nodes) {
		o.askNext()
		o.hops = 0
		o.due = o.env.Now().Add(o.patience.Longest / 2)
		return
	}
	o.ask(to.Leader)
	o.hello()
}

// ask turns to a node, over a new connection.
func (o *Operator) ask(node env.ID) {
	o.node = node
	o.nonce = max(o.nonce+1, 1)
	o.conn, o.attempts, o.silent = 0, 0, 0
}

// askNext turns to the node after the one that is asked.
func (o *Operator) askNext() {
	o.ask(o.nodes[(slices.Index(o.nodes, o.node)+1)%len(o.nodes)])
}

// silentFor is after how many attempts without an answer another node is asked.
const silentFor = 6

func (o *Operator) end(outcome Outcome) {
	o.busy, o.result.Outcome = false, outcome
	if outcome == Acked {
		o.result = CommandResult{Outcome: Acked}
	}
}

func (o *Operator) timeout() {
	now := o.env.Now()
	switch {
	case o.deadline <= now && len(o.frames) == 0:
		o.end(Refused)
	case o.deadline <= now:
		o.end(Unknown)
	case o.due > now:
	case o.silent >= silentFor:
		o.askNext()
		o.hello()
	case o.conn == 0:
		o.hello()
	default:
		o.transmit()
	}
}

// connect begins a new connection to the command's node. Answers to frames of an
// earlier one may still come, and count.
func (o *Operator) connect() {
	o.nonce = max(o.nonce+1, 1)
	o.conn, o.attempts = 0, 0
	o.hello()
}

func (o *Operator) hello() {
	o.send(&wire.Message{Kind: wire.Hello, Nonce: o.nonce})
}

func (o *Operator) transmit() {
	o.frame++
	o.frames = append(o.frames, o.frame)
	o.send(&wire.Message{Kind: wire.Control, Conn: o.conn, Frame: o.frame, Request: o.request, Tail: o.tail})
}

func (o *Operator) send(m *wire.Message) {
	o.out = wire.Append(o.out[:0], m)
	o.env.Send(o.node, env.Key{Kind: wire.KeyMessage + uint16(m.Kind), Attempt: o.attempts, A: uint64(m.Tenant), B: o.request}, o.out)
	o.due = o.env.Now().Add(o.backoff())
	o.attempts++
	o.silent++
}

func (o *Operator) backoff() env.Duration {
	wait := o.patience.Longest
	if o.attempts < 16 {
		wait = min(wait, o.patience.Attempt<<o.attempts)
	}
	return wait
}
