package group_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/record"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	"github.com/tidaldb/tidalsim/core/wire"
)

const (
	shard  lineage.Shard = 3
	owner  tenant.ID     = 7
	slots                = 2 // of the tenant, all in the shard
	client env.ID        = 9
)

// world is a shard on three nodes, 0, 1 and 2, under a control plane. The first one
// leads at first. Nothing happens by itself: messages, disk operations, configurations
// and epochs wait until run, or the test, lets them go on.
type world struct {
	*testing.T
	plane     *control.Plane
	index     uint64
	now       env.Time
	constants replica.Constants
	nodes     []*node
	messages  []message // on their way
	// held says which messages stay on their way; nil: none.
	held  func(m *message) bool
	slots int // of the shard
	inbox peer.Inbox
	// tell is told what happens, a line each, for a transcript; nil: nobody listens.
	tell func(format string, operands ...any)
}

// say tells a line.
func (w *world) say(format string, operands ...any) {
	if w.tell != nil {
		w.tell(format, operands...)
	}
}

// message is one on its way.
type message struct {
	from, to env.ID
	peer.ShardMessage
	bytes []byte
}

func (m *message) String() string {
	return fmt.Sprintf("%s from %d to %d: %+v", m.Kind(), m.from, m.to, m.ShardMessage)
}

// epoch is that in which it is said.
func (m *message) epoch() lineage.ShardEpoch { return m.OfShard().Epoch }

// isOf reports whether it is about the log of a slot.
func (m *message) isOf(slot lineage.Slot) bool {
	of, ok := m.ShardMessage.(peer.LogMessage)
	return ok && of.OfLog().Slot == slot
}

// as returns a copy of a message that is of a kind.
func as[T any](m message) T { return *any(m.ShardMessage).(*T) }

// decoded returns the message in some bytes.
func decoded(w *world, in *peer.Inbox, b []byte) peer.ShardMessage {
	m, err := in.Decode(b)
	if err != nil {
		w.Fatalf("%v", err)
	}
	return m.(peer.ShardMessage)
}

// onLog is the header of a message about the log of slot 0.
func onLog(from env.Incarnation, epoch lineage.ShardEpoch) peer.LogHeader {
	return peer.LogHeader{ShardHeader: onShard(from, epoch), Tenant: owner, Placement: 1}
}

// onShard is the header of a message about the shard.
func onShard(from env.Incarnation, epoch lineage.ShardEpoch) peer.ShardHeader {
	return peer.ShardHeader{From: from, Shard: shard, Epoch: epoch}
}

// node is one process: the group, its logs and their disk, which ends with it or not.
type node struct {
	*world
	id          env.ID
	incarnation env.Incarnation
	epoch       lineage.ShardEpoch // durable
	group       *group.Group
	logs        []*replica.Replica

	files   map[string][]byte
	entries map[string][]string // names that were ever in a directory
	handles map[env.File]string
	queue   []env.Op
	// fails makes an operation fail; nil: none does. stuck: none completes.
	fails func(op *env.Op) env.Errno
	stuck bool
	// deaf: configurations and epochs do not reach it.
	deaf bool

	questions []question // whether it still leads, to be read from the meta log

	answers []replica.Pending
	reads   []answer
}

// question is one that a read of the meta log answers.
type question struct {
	epoch lineage.ShardEpoch
	round peer.Round
}

// answer is the answer of a read.
type answer struct {
	request uint64
	code    wire.Code
	seq     lineage.Seq // of the state that it was answered from
}

func newWorld(t *testing.T) *world { return newWorldOf(t, slots) }

// newWorldOf returns a world with a shard of this many slots.
func newWorldOf(t *testing.T, slots int) *world {
	w := &world{T: t, index: 1, slots: slots, constants: replica.Constants{SegmentSize: 4096, SnapshotEvery: 1 << 40, MaxSessions: 4, MaxPending: 6}}
	w.plane = control.New(&control.Cluster{
		Meta:   []env.ID{0, 1, 2},
		Nodes:  []control.NodeConfig{{ID: 0, Region: "eu"}, {ID: 1, Region: "eu"}, {ID: 2, Region: "eu"}, {ID: 3, Region: "eu"}}, // 3: in the place of others
		Shards: []control.ShardConfig{{ID: shard, Region: "eu", Replicas: []env.ID{0, 1, 2}}},
		Tenants: []control.TenantConfig{{
			Config: tenant.Config{ID: owner, Version: 1, Limits: tenant.Limits{Rate: 1_000_000}}, Shards: slices.Repeat([]lineage.Shard{shard}, min(slots, control.MaxSlots)),
		}},
	})
	for id := range env.ID(4) {
		n := w.plane.Node(id)
		n.Incarnation, n.Registered = 1, 1 // all have appeared, in their first life
	}
	for id := range env.ID(3) {
		w.nodes = append(w.nodes, &node{world: w, id: id, files: map[string][]byte{}, entries: map[string][]string{}})
		w.nodes[id].start()
	}
	return w
}

// serving returns a world with a shard that serves, all replicas in sync, with a session in each
// log.
func serving(t *testing.T) *world {
	w := newWorld(t)
	w.run()
	for slot := range slots {
		w.openSession(0, slot)
	}
	w.settle()
	if !w.nodes[0].group.Settled() || w.nodes[0].group.Role() != group.Leading {
		t.Fatalf("the shard does not come up: %v", w)
	}
	return w
}

func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", *w.config())
	for _, n := range w.nodes {
		fmt.Fprintf(&b, "node %d/%d: %s in epoch %d;", n.id, n.incarnation, n.group.Role(), n.group.Epoch())
		for _, r := range n.logs {
			fmt.Fprintf(&b, " %s at %d, durable %d, end %d", r.Phase(), r.State().Position.Seq, r.Durable().Seq, r.End().Seq)
		}
		b.WriteByte('\n')
	}
	for i := range w.messages {
		fmt.Fprintf(&b, "%s\n", &w.messages[i])
	}
	return b.String()
}

// config is the configuration of the shard in the control plane.
func (w *world) config() *control.Shard { return w.plane.Shard(shard) }

// do has a command in the meta log, decided on the configuration as it is.
func (w *world) do(c control.Command) control.Result {
	if c.Epoch == 0 {
		c.Shard, c.Epoch, c.Version = shard, w.config().Epoch, w.config().Version
	}
	w.index++
	got := w.plane.Do(w.index, &c)
	w.say("meta log: %s: %s", commandInWords(&c), resultInWords(got.Refusal))
	return got
}

// must is do of a command that has its effect.
func (w *world) must(c control.Command) {
	w.Helper()
	if got := w.do(c); got.Refusal != control.Done {
		w.Fatalf("%v is refused: %v\n%v", &c, got.Refusal, w)
	}
}

// elect makes a node lead.
func (w *world) elect(id env.ID) {
	w.Helper()
	w.must(control.Command{Kind: control.Elect, Member: w.nodes[id].self()})
}

// run delivers messages and completes operations, except held ones, until none is left. It carries
// out no proposals and lets no time pass.
func (w *world) run() {
	for range 5_000 * w.slots {
		if !w.step() {
			return
		}
	}
	w.Fatalf("it goes on for ever:\n%v", w)
}

func (w *world) step() bool {
	for _, n := range w.nodes {
		if len(n.queue) > 0 && !n.stuck {
			n.complete()
			return true
		}
		if epoch, wants := n.group.Wants(); wants && !n.deaf {
			n.adopt(epoch)
			return true
		}
		if len(n.questions) > 0 && !n.deaf {
			n.verify()
			return true
		}
		if !n.deaf && n.group.Known().Index < w.config().Index {
			w.say("node %d is told: %s", n.id, configInWords(w.config()))
			n.group.Configure(n, w.config())
			return true
		}
	}
	for i := range w.messages {
		if w.held == nil || !w.held(&w.messages[i]) {
			w.deliver(i)
			return true
		}
	}
	return false
}

// deliver delivers a message that is on its way.
func (w *world) deliver(i int) {
	m := w.messages[i]
	if i == 0 { // thousands may wait
		w.messages = w.messages[1:]
	} else {
		w.messages = slices.Delete(w.messages, i, i+1)
	}
	w.hand(&m)
}

// hand gives a message to a node, decoded from its bytes as any would be.
func (w *world) hand(m *message) {
	b, n := bytes.Clone(m.bytes), w.nodes[m.to]
	n.group.Message(n, m.from, decoded(w, &w.inbox, b))
	for i := range b {
		b[i] = 0xee // they are valid during the step only
	}
}

// tick lets time pass, and the groups look at it.
func (w *world) tick(d env.Duration) {
	w.now = w.now.Add(d)
	for _, n := range w.nodes {
		n.group.Tick(n)
	}
	w.run()
}

// settle lets time pass until repeated messages have been sent.
func (w *world) settle() {
	for range 12 {
		w.tick(20 * env.Millisecond)
	}
}

// wishes puts the groups' proposals into the meta log until they have had none for a while.
func (w *world) wishes() {
	const while = 10
	quiet := 0
	for range 100 {
		quiet++
		for _, n := range w.nodes {
			if n.propose() {
				quiet = 0
			}
		}
		if w.tick(20 * env.Millisecond); quiet == while {
			return
		}
	}
	w.Fatalf("it wishes for ever:\n%v", w)
}

// waiting returns the messages on their way that match.
func (w *world) waiting(match func(m *message) bool) (found []message) {
	for i := range w.messages {
		if match(&w.messages[i]) {
			found = append(found, w.messages[i])
		}
	}
	return found
}

// lose loses the messages on their way that match.
func (w *world) lose(match func(m *message) bool) {
	w.messages = slices.DeleteFunc(w.messages, func(m message) bool { return match(&m) })
}

// of matches messages of a kind from a node.
func of(k peer.Kind, from env.ID) func(*message) bool {
	return func(m *message) bool { return m.Kind() == k && m.from == from }
}

// ships matches messages that carry records.
func ships(m *message) bool {
	append, ok := m.ShardMessage.(*peer.Append)
	return ok && len(append.Records) > 0
}

// reminds reports whether a message is a repeated append without records.
func (m *message) reminds() bool {
	append, ok := m.ShardMessage.(*peer.Append)
	return ok && len(append.Records) == 0
}

// isAnew matches the messages that ask to begin a log again.
func isAnew(m *message) bool {
	appended, ok := m.ShardMessage.(*peer.Appended)
	return ok && appended.Anew
}

// with matches messages from a node or to it.
func with(id env.ID) func(*message) bool {
	return func(m *message) bool { return m.from == id || m.to == id }
}

// to matches messages to a node.
func to(id env.ID) func(*message) bool { return func(m *message) bool { return m.to == id } }

// start begins the next incarnation of a node.
func (n *node) start() {
	n.incarnation++
	n.handles, n.queue, n.answers, n.reads, n.questions = map[env.File]string{}, nil, nil, nil, nil
	n.group = group.New(n.self(), shard, n.epoch, group.DefaultPatience, 0x100, n)
	n.logs = nil
	for slot := range n.slots {
		r := replica.New(replica.Config{
			Identity:  wal.Identity{Tenant: owner, Slot: lineage.Slot(slot), Placement: 1, Shard: shard},
			Limits:    record.LimitsOf(1, tenant.Limits{Rate: 1_000_000}),
			Constants: n.constants, Index: uint32(slot),
		})
		n.logs = append(n.logs, r)
		n.group.AddSlot(slot, r)
		r.Open(n, n.now)
	}
}

// placeAgain removes a node from the shard and places it again: the process deletes its logs and
// begins with empty ones.
func (w *world) placeAgain(id env.ID) {
	w.must(control.Command{Kind: control.Assign, Node: id, In: 3})
	w.must(control.Command{Kind: control.Assign, Node: 3, In: id})
	n := w.nodes[id]
	n.files = map[string][]byte{}
	n.incarnation--
	n.start()
}

// kill ends a node: its queued disk operations are lost.
func (w *world) kill(id env.ID) { w.nodes[id].queue = nil }

// restart starts a node again; the control plane knows it.
func (w *world) restart(id env.ID) {
	w.kill(id)
	w.nodes[id].start()
	w.appear(id)
}

// appear has the control plane know the present life of a node.
func (w *world) appear(id env.ID) {
	w.plane.Node(id).Registered = w.nodes[id].incarnation
	w.must(control.Command{Kind: control.Appear, Member: w.nodes[id].self()})
}

// appearElsewhere is appear of a node in another directory: all that it had is lost.
func (w *world) appearElsewhere(id env.ID) {
	w.plane.Node(id).Lost = uint64(w.nodes[id].incarnation)
	w.appear(id)
}

func (n *node) self() control.Member { return control.Member{Node: n.id, Incarnation: n.incarnation} }

func (n *node) adopt(epoch lineage.ShardEpoch) {
	n.say("node %d: epoch %d is durable", n.id, epoch)
	n.epoch = epoch
	n.group.Adopt(n, epoch)
}

// propose puts the node's wish into the meta log, and reports whether there was one.
func (n *node) propose() bool {
	c, ok := n.group.Wish(n)
	if !ok {
		return false
	}
	if got := n.do(c); !got.Holds() {
		n.group.Refused(n, &c, &got)
	}
	return true
}

// refuse tells the node that a proposal was refused for good, on the version that it was decided
// on.
func (n *node) refuse(c control.Command) {
	n.group.Refused(n, &c, &control.Result{Refusal: control.NotRegistered, Epoch: c.Epoch, Version: c.Version})
}

// openSession opens a session in a log of a node that leads.
func (w *world) openSession(id env.ID, slot int) {
	w.Helper()
	n := w.nodes[id]
	out := n.logs[slot].OpenSession(n, client, &wire.Message{Kind: wire.OpenSession, Placement: 1, Nonce: 1})
	if out.Code != wire.NoError {
		w.Fatalf("opening a session: %v\n%v", out.Code, w)
	}
	n.group.Flush(n, slot)
	w.run()
}

// session is the seq of the session's record: the third, behind epoch and limits.
const session = 3

// write asks a node for a change, on an entity of its own, and returns the code.
func (n *node) write(slot int, request uint64) wire.Code {
	m := wire.Message{
		Kind: wire.Write, Placement: 1, Session: session, Request: request, Floor: 1,
		Signal: signal.Signal{Entity: signal.Entity(request), Weight: 1, Kind: 1},
	}
	out := n.logs[slot].Admit(n, client, &m)
	if out.Admitted {
		n.logs[slot].AppendNext(n)
		n.group.Flush(n, slot)
	}
	return out.Code
}

// mustWrite is write of a change that is admitted.
func (n *node) mustWrite(slot int, requests ...uint64) {
	n.Helper()
	for _, request := range requests {
		if code := n.write(slot, request); code != wire.NoError {
			n.Fatalf("request %d to node %d: %v\n%v", request, n.id, code, n.world)
		}
	}
}

// acked lists the requests that were acknowledged, refused those that were not.
func (n *node) acked() (requests []uint64) {
	return n.told(func(c wire.Code) bool { return c == wire.NoError })
}
func (n *node) refused() (requests []uint64) {
	return n.told(func(c wire.Code) bool { return c != wire.NoError })
}

func (n *node) told(how func(wire.Code) bool) (requests []uint64) {
	for i := range n.answers {
		if p := &n.answers[i]; p.Request.Kind == wire.Write && how(p.Refused) {
			requests = append(requests, p.Request.Request)
		}
	}
	return requests
}

// read sends a read to a node; readOf returns the answer.
func (n *node) read(slot int, request uint64, level wire.Level, token wire.Token, bound env.Duration) wire.Code {
	return n.group.Read(n, slot, &group.Read{From: client, Request: wire.Origin{Kind: wire.Query, Request: request}, Level: level, Token: token, Bound: bound})
}

// readOf returns the answer of a read; nil: none yet.
func (n *node) readOf(request uint64) *answer {
	for i := range n.reads {
		if n.reads[i].request == request {
			return &n.reads[i]
		}
	}
	return nil
}

// Answer implements group.Owner.
func (n *node) Answer(p *replica.Pending) {
	n.answers = append(n.answers, *p)
	n.say("node %d answers: %s", n.id, pendingInWords(p))
}

// Number implements group.Owner.
func (n *node) Number(id tenant.ID, s lineage.Slot) int {
	if id == owner && int(s) < len(n.logs) {
		return int(s)
	}
	return -1
}

// Verify implements group.Owner.
func (n *node) Verify(_ lineage.Shard, epoch lineage.ShardEpoch, round peer.Round) {
	n.questions = append(n.questions, question{epoch, round})
	n.say("node %d asks the meta log: does it lead in epoch %d?", n.id, epoch)
}

// verify reads the meta log for the first question.
func (n *node) verify() {
	q := n.questions[0]
	n.questions = n.questions[1:]
	if n.plane.Leads(n.self(), shard, q.epoch) {
		n.group.Verified(n, q.epoch, q.round)
	}
}

// AnswerRead implements group.Owner.
func (n *node) AnswerRead(slot int, r *group.Read, code wire.Code) {
	n.reads = append(n.reads, answer{r.Request.Request, code, n.logs[slot].State().Position.Seq})
	if code == wire.NoError {
		at := n.logs[slot].State().Position.Seq
		n.say("node %d answers: read %d: from the state at %d", n.id, r.Request.Request, at)
	} else {
		n.say("node %d answers: read %d: %v", n.id, r.Request.Request, code)
	}
}

// complete completes the disk operation that was submitted first.
func (n *node) complete() {
	op := n.queue[0]
	n.queue = n.queue[1:]
	ev := env.Event{Kind: env.DiskDone, Op: op.ID}
	if n.fails != nil {
		ev.Err = n.fails(&op)
	}
	if ev.Err == env.OK {
		ev.N, ev.Data, ev.Err = n.apply(&op)
	}
	slot, _ := replica.Owner(op.ID)
	n.sayDone(&op, ev.Err)
	n.logs[slot].Done(n, &ev)
	n.group.Done(n, int(slot))
}

func (n *node) apply(op *env.Op) (int64, []byte, env.Errno) {
	switch op.Kind {
	case env.OpMkdir, env.OpSyncDir:
		return 0, nil, env.OK
	case env.OpCreate:
		n.enter(op.Path, nil)
		n.handles[op.File] = op.Path
		return 0, nil, env.OK
	}
	path := op.Path
	if path == "" {
		path = n.handles[op.File]
	}
	data, found := n.files[path]
	if !found {
		return 0, nil, env.NotExist
	}
	switch op.Kind {
	case env.OpOpen:
		n.handles[op.File] = path
		return int64(len(data)), nil, env.OK
	case env.OpAppend:
		n.files[path] = append(data, op.Data...)
	case env.OpTruncate:
		n.files[path] = slices.Clone(data[:op.Length])
	case env.OpRead:
		return 0, slices.Clone(data[min(op.Offset, int64(len(data))):min(op.Offset+op.Length, int64(len(data)))]), env.OK
	case env.OpRename:
		delete(n.files, path)
		n.enter(op.To, data)
	case env.OpRemove:
		delete(n.files, path)
	case env.OpClose:
		delete(n.handles, op.File)
	}
	return 0, nil, env.OK
}

// The methods of env.Env.

func (n *node) Self() env.ID                              { return n.id }
func (n *node) Nonce() env.Nonce                          { return env.Nonce{A: uint64(n.incarnation), B: uint64(n.id) + 1} }
func (n *node) Now() env.Time                             { return n.now }
func (n *node) Wall() env.WallTime                        { return 0 }
func (n *node) SetTimer(env.TimerID, env.Time)            {}
func (n *node) Charge(env.Duration)                       {}
func (n *node) Free() int64                               { return 1 << 40 }
func (n *node) Chance(env.Key) uint64                     { return 0 }
func (n *node) Halt(reason string)                        { n.Fatalf("node %d: %s", n.id, reason) }
func (n *node) Hit(env.Point, env.Key) (env.Action, bool) { return env.ActNone, true }

func (n *node) Send(to env.ID, _ env.Key, payload []byte) {
	m := message{from: n.id, to: to, bytes: bytes.Clone(payload)}
	m.ShardMessage = decoded(n.world, new(peer.Inbox), m.bytes)
	if int(to) >= len(n.nodes) || to == n.id {
		n.Fatalf("a message to node %d: %s", to, &m)
	}
	n.messages = append(n.messages, m)
	if !m.reminds() || !n.deaf && !n.nodes[to].deaf {
		n.say("node %d to %d: %s", n.id, to, messageInWords(m.ShardMessage))
	}
}

func (n *node) Submit(op env.Op) {
	op.Data = bytes.Clone(op.Data)
	n.queue = append(n.queue, op)
}

func (n *node) List(dir string) (names []string) {
	for _, name := range n.entries[dir] {
		if _, there := n.files[dir+"/"+name]; there {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// enter makes a file with a name.
func (n *node) enter(path string, data []byte) {
	n.files[path] = data
	dir, name := filepath.Split(path)
	dir = strings.TrimSuffix(dir, "/")
	if !slices.Contains(n.entries[dir], name) {
		n.entries[dir] = append(n.entries[dir], name)
	}
}

// entityOf returns the entity of a request.
func entityOf(request uint64) signal.Entity { return signal.Entity(request) }
