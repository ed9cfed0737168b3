package core

import (
	"cmp"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/fair"
	"github.com/tidaldb/tidalsim/core/fault"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/state"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// Node is one process: it hosts the slots that the cluster's configuration
// places on it. It implements env.Machine.
//
// Invariant: no slot is opened before the epoch of its shard is durable.
type Node struct {
	env      env.Env
	cluster  *Cluster // as founded; later changes are in tenancy
	started  env.Time
	catalog  Catalog
	slots    []*replica.Replica // in the order in which they were opened; dropped ones stay
	placeOf  keyed.List[int]    // by tenant and slot: place in slots, -1 if it is not there any more
	worked   int                // the slot that the last Step worked for
	queue    *fair.Queue[work]  // by slot
	memory   replica.Memory     // of the slots
	touched  []int              // slots that had a turn in this Step
	conns    []conn             // by client, ascending
	accepted uint64             // the number of the last connection
	ready    bool               // the catalog was read, and its slots are being opened
	failure  error

	script   nodeScript
	removal  removal
	identity identity

	sweeping int // empty directories that are being removed

	shards

	in    wire.Message
	asked wire.Message // the request being answered: the fields of its origin, the others are zero
	out   []byte

	acks, refusals, malformed uint64
}

// roomTimer fires when slots that the disk had no room for may try again, even if no other event
// comes.
const (
	roomTimer env.TimerID = 1
	roomEvery             = 20 * env.Millisecond
)

// The keys of the node's own operations have this tenant.
const nobody = uint64(tenant.Reserved)

// NewNode returns the program of a node.
func NewNode(e env.Env, c *Cluster) *Node {
	n := &Node{env: e, cluster: c, queue: fair.New[work](int64(quantum), c.Constants.MaxQueued), out: make([]byte, 0, wire.MaxSize)}
	n.self.Node = e.Self()
	n.meta.init(n)
	return n
}

// Step handles one event.
func (n *Node) Step(ev *env.Event) {
	if !n.stepPeers(ev) {
		n.step(ev)
	}
	n.verifyWanted()
}

func (n *Node) step(ev *env.Event) {
	switch ev.Kind {
	case env.Started:
		n.started = n.env.Now()
		fault.Hit(n.env, fault.NodeStarted, env.Key{A: nobody})
		n.startCatalog()
		n.env.SetTimer(tickTimer, n.started.Add(tickEvery))
	case env.DiskDone:
		n.env.Charge(n.cluster.Constants.Costs.Check)
		n.diskDone(ev)
	case env.Message:
		n.env.Charge(n.cluster.Constants.Costs.Check)
		n.message(ev)
	case env.Timer:
		n.timer(ev.Timer)
	}
}

func (n *Node) timer(id env.TimerID) {
	switch id {
	case serveTimer:
		n.turns()
	case roomTimer:
		for _, r := range n.slots {
			r.Resume(n.env)
		}
	case removalTimer:
		n.resumeRemoval()
	case tickTimer:
		n.tick()
	}
}

func (n *Node) diskDone(ev *env.Event) {
	i, ok := replica.Owner(ev.Op)
	if !ok {
		n.nodeDone(ev)
		return
	}
	i -= firstReplica
	n.worked = int(i)
	n.slots[i].Done(n.env, ev)
	n.groupOf(int(i)).Done(n.env, int(i)) // a record that is durable here need not be committed
	n.removeLate(int(i))
	if n.slots[i].WaitsForRoom() {
		n.env.SetTimer(roomTimer, n.env.Now().Add(roomEvery))
	}
}

// openSlots opens every slot that is placed here; each on its own, so that a
// slow or damaged one does not hold up the others.
func (n *Node) openSlots() {
	n.ready = true
	fault.Hit(n.env, fault.EpochPersisted, env.Key{A: nobody})
	n.openShards()
}

// fail stops the node for good in this incarnation: it answers nothing.
func (n *Node) fail(err error) { n.failure = err }

// message handles a message of a client.
func (n *Node) message(ev *env.Event) {
	m := &n.in
	if err := wire.Decode(ev.Data, m); err != nil {
		n.malformed++ // damaged on the way; the sender will send it again
		return
	}
	switch m.Kind {
	case wire.Hello:
		n.hello(ev.From, m)
	case wire.OpenSession, wire.Write, wire.Put, wire.Delete, wire.Query:
		if n.takeFrame(ev.From, m) {
			n.request(ev, m)
		}
	case wire.Control:
		if n.takeFrame(ev.From, m) {
			n.steer(ev.From, m)
		}
	}
}

// slotOf returns the index of a slot here, -1 if it is not.
func (n *Node) slotOf(id tenant.ID, slot lineage.Slot) int {
	if i := n.placeOf.Find(keyed.Key{A: uint64(id), B: uint64(slot)}); i != nil {
		return *i
	}
	return -1
}

// place notes the index of a slot in slots, -1 if it is not there any more.
func (n *Node) place(id tenant.ID, slot lineage.Slot, i int) {
	k := keyed.Key{A: uint64(id), B: uint64(slot)}
	at := n.placeOf.Find(k)
	if at == nil {
		at = n.placeOf.Add(k)
	}
	*at = i
}

// unknown says why a slot is not here.
func (n *Node) unknown(m *wire.Message) wire.Code {
	if !n.ready {
		return wire.NotServing // the node does not know its tenants yet
	}
	return n.absent(m)
}

// answer tells a client that its request is durable, or why it is not.
func (n *Node) answer(p *replica.Pending) {
	m := &n.asked
	p.Request.Restore(m)
	switch {
	case p.Refused != wire.NoError && m.Kind != 0:
		n.refuse(p.From, m, replica.Outcome{Code: p.Refused})
	case p.Refused != wire.NoError:
	case p.Record.Kind.IsOperation():
		n.ack(p.From, m, p.Record.Seq, p.Record.Epoch)
	case p.Record.Kind == record.Session:
		n.sessionOpen(p.From, m, p.Record.Seq)
	}
}

// ack acknowledges the change at seq. Its record was written in epoch.
func (n *Node) ack(to env.ID, m *wire.Message, seq lineage.Seq, epoch lineage.ShardEpoch) {
	n.acks++
	fault.Hit(n.env, fault.AckSending, env.Key{Kind: uint16(m.Slot), A: uint64(m.Tenant), B: uint64(seq)})
	n.reply(to, &wire.Message{Kind: wire.Ack, Session: m.Session, Seq: seq, Epoch: epoch}, m)
}

func (n *Node) sessionOpen(to env.ID, m *wire.Message, seq lineage.Seq) {
	n.reply(to, &wire.Message{Kind: wire.SessionOpen, Nonce: m.Nonce, Session: uint64(seq)}, m)
}

func (n *Node) refuse(to env.ID, m *wire.Message, out replica.Outcome) {
	n.refusals++
	if out.Code == wire.Moved && m.Kind != wire.Control {
		out.Facts.NotLeader = n.leaderOf(m)
	}
	n.reply(to, &wire.Message{Kind: wire.Refusal, Session: m.Session, Code: out.Code, Facts: out.Facts}, m)
}

// reply sends an answer to request m: it carries m's identity.
func (n *Node) reply(to env.ID, answer, m *wire.Message) {
	answer.Conn, answer.Frame, answer.Request = m.Conn, m.Frame, m.Request
	answer.Tenant, answer.Slot, answer.Placement = m.Tenant, m.Slot, m.Placement
	n.send(to, answer)
}

func (n *Node) send(to env.ID, m *wire.Message) {
	n.out = wire.Append(n.out[:0], m)
	key := env.Key{Kind: wire.KeyMessage + uint16(m.Kind), Attempt: uint32(m.Frame), A: m.Conn, B: m.Request}
	n.env.Send(to, key, n.out)
}

// Status reports: slots that were opened, acknowledgements, refusals, malformed
// messages, pieces of work that wait; and of the slot that the last Step worked
// for its place and phase, records appended, records folded.
func (n *Node) Status(s *env.Status) {
	*s = env.Status{}
	s[0], s[1], s[2], s[3], s[4] = uint64(len(n.slots)), n.acks, n.refusals, n.malformed, uint64(n.queue.Len())
	if n.worked < len(n.slots) {
		r := n.slots[n.worked]
		s[5] = uint64(n.worked)<<8 | uint64(r.Phase())
		s[6], s[7] = uint64(r.Appended()), uint64(r.State().Position.Seq)
	}
}

// SlotDump is the whole state of one slot, for comparison at the end of a run.
type SlotDump struct {
	Tenant   tenant.ID
	Slot     lineage.Slot
	Phase    replica.Phase
	Failure  error
	Position lineage.Position
	Limits   record.Limits
	Live     uint64         // entities
	Bytes    uint64         // logical
	Entities []state.Entity // ascending
}

// Dump returns the state of every slot here. It is slow and deep.
func (n *Node) Dump() []SlotDump {
	dumps := make([]SlotDump, 0, len(n.slots))
	for _, r := range n.slots {
		if r.Dropped() {
			continue
		}
		id := r.Identity()
		entities := slices.Clone(r.State().Entities())
		slices.SortFunc(entities, func(a, b state.Entity) int { return cmp.Compare(a.Entity, b.Entity) })
		dumps = append(dumps, SlotDump{
			Tenant: id.Tenant, Slot: id.Slot, Phase: r.Phase(), Failure: r.Failure(),
			Position: r.State().Position, Limits: r.State().Limits, Live: r.State().Live(), Bytes: r.State().Bytes(), Entities: entities,
		})
	}
	return dumps
}

// Settled reports whether every slot placed here is as its leader has it, nothing waits, and
// nothing is left of dropped tenants.
func (n *Node) Settled() bool {
	return n.ready && n.queue.Len() == 0 && n.shardsSettled()
}

// Failure says why the node answers nothing, nil if it does.
func (n *Node) Failure() error { return n.failure }
