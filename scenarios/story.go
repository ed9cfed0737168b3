package scenarios

import (
	"fmt"

	"github.com/tidaldb/tidalsim/checker/history"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
	"github.com/tidaldb/tidalsim/sim"
	"github.com/tidaldb/tidalsim/sim/chance"
	"github.com/tidaldb/tidalsim/sim/plan"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// story tells a run in words: calls and answers, operations of disks and their outcomes,
// messages and their fates, the fault points that were passed. It is only for reading, and no
// judge uses it.
//
// Invariant: told has, in order, the lines of all entries of the trace before passed.
type story struct {
	world          *sim.World
	plan           *plan.Plan
	nodes, clients int
	told           []Told
	leads          []Leads
	passed         int   // entries of the trace that have their lines
	lives          bool  // the world has begun
	from, to       int64 // true time, ns: the rest is not told, but for faults, lives and findings; a to of 0 is no end
	spare          Told  // the place of a line that is not told
	in             wire.Message
	inbox          peer.Inbox

	cause   []int                  // by process: the line that its Step follows from
	calls   []int                  // by operation of the history: the line of its call
	flights []flight               // messages, from the one behind before on
	before  uint64                 // messages that were sent before the first told one
	hits    [chance.Deviations]int // of the message under way, by site
	disks   [][]int
	keyed   map[operated]int // the last operation under a key; looked up only
	done    int              // the line of the disk operation that was done last
	began   []int            // by disruption: the line of its beginning
}

func newStory(world *sim.World, p *Plan) *story {
	s := &story{world: world, plan: &p.World, nodes: p.Cluster.Nodes, clients: p.Cluster.Clients, keyed: map[operated]int{}}
	for range p.processes() {
		s.cause = append(s.cause, none)
		s.disks = append(s.disks, nil)
	}
	for range p.World.Disruptions {
		s.began = append(s.began, none)
	}
	return s
}

// tells reports whether events of this instant are told.
func (s *story) tells() bool {
	now := s.world.Time()
	return now >= s.from && (s.to == 0 || now <= s.to)
}

// line adds a line about a process, if events of this instant are told. The result is valid until
// the next line.
func (s *story) line(kind Kind, process int, format string, operands ...any) *Told {
	if !s.tells() {
		s.spare = Told{}
		return &s.spare
	}
	s.pass()
	return s.put(s.world.Time(), kind, process, fmt.Sprintf(format, operands...))
}

func (s *story) put(at int64, kind Kind, process int, text string) *Told {
	s.told = append(s.told, Told{
		At: at, Event: s.passed, Text: text, Kind: kind, Of: none, Process: process, Peer: none, Tenant: tenant.Reserved, Slot: none, Shard: none,
	})
	t := &s.told[len(s.told)-1]
	if process != none {
		t.Of = s.cause[process]
	}
	return t
}

// last is the index of the line that was added last.
func (s *story) last() int { return len(s.told) - 1 }

// who names a process. Nodes and clients are numbered apart.
func (s *story) who(id env.ID) string {
	if int(id) < s.nodes {
		return fmt.Sprintf("node %d", id)
	}
	if int(id) >= s.nodes+s.clients {
		return fmt.Sprintf("operator %d", id)
	}
	return fmt.Sprintf("client %d", id)
}

func (s *story) hit(id env.ID, p env.Point, key env.Key) {
	if tenant.ID(key.A) == tenant.Reserved {
		s.line(Point, int(id), "%-9s reaches %s", s.who(id), fault.Name(p))
		return
	}
	if s.hitOfShard(id, p, key) {
		return
	}
	kind := Point
	if p == fault.BatchDurable || p == fault.SnapshotDurable {
		kind = Durable
	}
	t := s.line(kind, int(id), "%-9s reaches %s (tenant %d slot %d, %d)", s.who(id), fault.Name(p), key.A, key.Kind, key.B)
	t.Tenant, t.Slot = tenant.ID(key.A), int(key.Kind)
	switch p {
	case fault.RecordAppended, fault.ChangeAppended, fault.RecordReceived, fault.BatchSubmitting, fault.BatchDurable, fault.AckSending, fault.SnapshotDurable:
		t.Seq, t.To = key.B, key.B
	}
}

func (s *story) submitted(id env.ID, op *env.Op, path string) {
	if !s.tells() {
		return
	}
	if op.Kind == env.OpSyncDir && path == "" {
		path = "/"
	}
	what := op.Kind.String() + " " + path
	switch op.Kind {
	case env.OpAppend, env.OpWrite:
		what = fmt.Sprintf("%s %d bytes to %s", op.Kind, len(op.Data), path)
	case env.OpRename:
		what = fmt.Sprintf("rename %s to %s", path, op.To)
	}
	t := s.line(Submit, int(id), "%-9s disk: %s", s.who(id), what)
	if of, ok := wal.TenantOfPath(path); ok {
		t.Tenant = of
	}
	if _, slot, _, ok := wal.SlotOfPath(path); ok {
		t.Slot = int(slot)
	}
	s.keyed[operated{id, op.Key}] = s.last()
}

func (s *story) sent(from, to env.ID, payload []byte) {
	clear(s.hits[:])
	if !s.tells() {
		if len(s.flights) == 0 {
			s.before++
		}
		return
	}
	if s.sentToPeer(from, to, payload) {
		return
	}
	m := &s.in
	if err := wire.Decode(payload, m); err != nil {
		s.sends(from, to, "message", fmt.Sprintf("%d bytes that are none: %v", len(payload), err))
		return
	}
	t := s.sends(from, to, m.Kind.String(), describe(m))
	if m.Kind != wire.Hello && m.Kind != wire.Welcome && m.Kind != wire.Reset {
		t.Tenant, t.Slot, t.Seq, t.To = m.Tenant, int(m.Slot), uint64(m.Seq), uint64(m.Seq)
	}
}

// sends adds the line of a message.
func (s *story) sends(from, to env.ID, kind, about string) *Told {
	t := s.line(Send, int(from), "%-9s sends %s to %s: %s", s.who(from), kind, s.who(to), about)
	t.Peer, t.Message = int(to), s.before+uint64(len(s.flights)+1)
	s.flights = append(s.flights, flight{send: s.last(), arrive: none, kind: kind})
	return t
}

// describe names the part of a message that tells it from others.
func describe(m *wire.Message) string {
	switch m.Kind {
	case wire.Hello, wire.Welcome, wire.Reset:
		return fmt.Sprintf("connection %x", m.Conn)
	case wire.Refusal:
		return fmt.Sprintf("%s, tenant %s slot %d session %d request %d", m.Code, m.Tenant, m.Slot, m.Session, m.Request)
	}
	text := fmt.Sprintf("tenant %s slot %d session %d request %d", m.Tenant, m.Slot, m.Session, m.Request)
	if m.Seq != 0 {
		text += fmt.Sprintf(" seq %d", m.Seq)
	}
	return text
}

func (s *story) asks(id env.ID, index int, op *history.Op) {
	if !s.tells() {
		return
	}
	t := s.line(Call, int(id), "%-9s CALLS #%d %s tenant %s slot %d entity %d", s.who(id), index, op.Kind, op.Tenant, op.Slot, op.Signal.Entity)
	t.About, t.Op, t.Tenant, t.Slot = Called, index, op.Tenant, int(op.Slot)
	for len(s.calls) <= index {
		s.calls = append(s.calls, none)
	}
	s.calls[index] = s.last()
	s.cause[id] = s.last() // later messages of the process follow from it
}

func (s *story) endOf(id env.ID, index int, op *history.Op) {
	kind, text := Ack, op.Outcome.String()
	switch {
	case op.Reason != "":
		kind = Deny
		text += " (" + op.Reason + ")"
	case op.Kind.Changes():
		text += fmt.Sprintf(" at seq %d", op.Seq)
	default:
		text += fmt.Sprintf(": last seq %d, digest %s", op.State.LastSeq, op.State.Applied)
	}
	t := s.line(kind, int(id), "%-9s ENDS  #%d %s %s", s.who(id), index, op.Kind, text)
	t.About, t.Op, t.Tenant, t.Slot = Ended, index, op.Tenant, int(op.Slot)
	if op.Outcome == history.Acked && op.Kind.Changes() {
		t.Seq, t.To = uint64(op.Seq), uint64(op.Seq)
	}
	if index < len(s.calls) && s.calls[index] != none {
		s.told[s.calls[index]].Until = t.At
	}
}

// configured tells a configuration of a shard that no node had received before.
func (s *story) configured(c *control.Shard) {
	at, set := int64(0), []env.ID{}
	if s.lives {
		at = s.world.Time()
	}
	for _, m := range c.InSync {
		set = append(set, m.Node)
	}
	s.leads = append(s.leads, Leads{At: at, Shard: c.ID, Epoch: c.Epoch, Version: c.Version, Leader: c.Leader.Node, InSync: set, Min: c.Min})
	text := fmt.Sprintf("SHARD %d: epoch %d version %d, led by node %d, in sync %v of at least %d", c.ID, c.Epoch, c.Version, c.Leader.Node, set, c.Min)
	if s.lives && !s.tells() {
		return
	}
	s.pass()
	s.put(at, Configure, none, text).Shard = int(c.ID)
}

// pass adds the lines of the trace since the last call.
func (s *story) pass() {
	if !s.lives {
		return
	}
	for entries := s.world.Trace().Entries(); s.passed < len(entries); s.passed++ {
		s.entry(&entries[s.passed])
	}
}

// entry adds the line of an entry of the trace, if it has one.
func (s *story) entry(e *trace.Entry) {
	process := int(e.Process)
	switch e.What {
	case trace.Boot:
		t := s.put(e.At, Start, process, fmt.Sprintf("%-9s STARTS, incarnation %d", s.who(env.ID(e.Process)), e.Args[0]))
		t.About, t.Of = Life, none
		s.cause[process] = s.last()
	case trace.Crash:
		how := [...]string{"", "by itself", "killed", "without power", "with its disk"}[e.Args[0]%5]
		t := s.put(e.At, Stop, process, fmt.Sprintf("%-9s ENDS, %s", s.who(env.ID(e.Process)), how))
		t.About = Life
		s.cause[process] = s.last()
		s.disks[process] = s.disks[process][:0]
	case trace.Calm:
		t := s.put(e.At, Calm, none, "the calm part begins: everything is healed")
		t.About, t.Op = Fault, none
	case trace.Disrupt:
		s.disrupted(e.At, int(e.Args[0]), e.Args[1], e.Args[2])
	}
}

// disrupted tells that a disruption begins, is over or comes to nothing.
func (s *story) disrupted(at int64, i int, what, struck uint64) {
	d := &s.plan.Disruptions[i]
	kind := [...]Kind{Void, Begin, Over, Void}[what&3]
	verb := [...]string{"?", "BEGINS", "IS OVER", "COMES TO NOTHING"}[what&3]
	text := fmt.Sprintf("FAULT %d %s: %s", i, verb, d)
	if kind == Over && struck > 0 {
		text += fmt.Sprintf("; %d operations failed", struck)
	}
	t := s.put(at, kind, int(d.Process), text)
	t.About, t.Op, t.Of = Fault, i, s.began[i]
	if d.Kind.OfLinks() {
		t.Peer = int(d.Peer)
	}
	switch {
	case kind == Begin:
		s.began[i] = s.last()
		if _, to, ok := s.world.Struck(i); ok {
			t.Until = to
		}
	case s.began[i] != none:
		s.told[s.began[i]].Until = at
	}
}
