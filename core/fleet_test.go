package core

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// fleet is a few nodes that share their shards, an operator and a client, scripted: the
// network delivers in order and at once, and disks complete in order, unless the test says
// otherwise; time passes when the test says so.
//
//	node 0, 1, 2   eu   members of the meta log
//	node 3         eu
//	node 4         us
//
//	shard 1   eu   nodes 0 1 2
//	shard 2   eu   nodes 1 2 3; node 1 leads at first
//	shard 3   us   node 4
//
//	tenant 7   slots in shards 1 and 2
//	tenant 8   a slot in shard 1
type fleet struct {
	testing.TB
	cluster *Cluster
	now     env.Time
	berths  []*berth
	mail    []letter
	// lost says which messages do not arrive; nil: none.
	lost func(l *letter) bool

	conns  map[talk]uint64 // of operator and client
	frame  uint64
	told   []wire.Message // answers to who asked last
	number uint64         // of requests and nonces
}

// talk is a connection of somebody with a node.
type talk struct{ from, to env.ID }

// letter is a message on its way.
type letter struct {
	from, to env.ID
	payload  []byte
}

// kind returns which message between nodes it is, 0 if it is another one.
func (l *letter) kind() peer.Kind { return peer.KindOf(l.payload) }

// berth is a process with its disk; the disk outlives it.
type berth struct {
	*fleet
	id          env.ID
	incarnation env.Incarnation
	node        *Node // nil: it is down
	files       map[string][]byte
	dirs        map[string]bool
	handles     map[env.File]string
	queue       []env.Op
	stuck       bool // nothing completes
	timers      [env.MaxTimers]env.Time
	points      []env.Point // that were hit
}

const (
	steersID env.ID = 77 // the operator
	writerID env.ID = 88 // the client
)

// fleetConstants never matter.
var fleetConstants = replica.Constants{SegmentSize: 1 << 16, SnapshotEvery: 1 << 20, MaxSessions: 8, MaxPending: 64, MaxQueued: 64}

// foundedFleet is the configuration that a fleet is founded with.
func foundedFleet() *control.Cluster {
	c := &control.Cluster{Meta: []env.ID{0, 1, 2}}
	for id := range env.ID(5) {
		region := tenant.Region("eu")
		if id == 4 {
			region = "us"
		}
		c.Nodes = append(c.Nodes, control.NodeConfig{ID: id, Region: region})
	}
	c.Shards = []control.ShardConfig{
		{ID: 1, Region: "eu", Replicas: []env.ID{0, 1, 2}}, {ID: 2, Region: "eu", Replicas: []env.ID{1, 2, 3}}, {ID: 3, Region: "us", Replicas: []env.ID{4}},
	}
	c.Tenants = []control.TenantConfig{
		{Config: tenant.Config{ID: 7, Version: 1, Limits: tenant.Limits{Rate: 1000, Burst: 100, Entities: 20, Bytes: 20_000}}, Shards: []lineage.Shard{1, 2}},
		{Config: tenant.Config{ID: 8, Version: 1, Limits: tenant.Limits{Rate: 1000, Burst: 100, Entities: 10, Bytes: 10_000}}, Shards: []lineage.Shard{1}},
	}
	return c
}

// newFleet starts all nodes and lets them come up.
func newFleet(t testing.TB) *fleet { return newFleetOf(t, foundedFleet()) }

func newFleetOf(t testing.TB, founded *control.Cluster) *fleet {
	for i := range founded.Nodes {
		founded.Nodes[i].Directory = env.Nonce{A: 1, B: uint64(founded.Nodes[i].ID)}
	}
	c := &Cluster{Constants: fleetConstants, ID: 1, Control: founded, Pace: DefaultPace}
	c.Place()
	c.Index()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	f := &fleet{TB: t, cluster: c, conns: map[talk]uint64{}}
	for _, n := range founded.Nodes {
		name, content := Founded(c.ID, n.Directory)
		f.berths = append(f.berths, &berth{fleet: f, id: n.ID, files: map[string][]byte{name: content}, dirs: map[string]bool{"": true}})
	}
	for _, b := range f.berths {
		b.start()
	}
	f.settle()
	if !f.until(func() bool { return slices.ContainsFunc(f.berths, func(b *berth) bool { return b.node.leads }) }) {
		t.Fatalf("nobody leads the meta log:\n%v", f)
	}
	return f
}

// start begins the next incarnation on the disk as it is.
func (b *berth) start() {
	b.incarnation++
	b.handles, b.queue = map[env.File]string{}, nil
	for i := range b.timers {
		b.timers[i] = env.Never
	}
	b.node = NewNode(b, b.cluster)
	b.node.Step(&env.Event{Kind: env.Started, At: b.now})
}

// kill ends the process; what was on its way to the disk is not done.
func (b *berth) kill() { b.node, b.queue = nil, nil }

// run lets everything happen that takes no time.
func (f *fleet) run() {
	for range 1_000_000 {
		if !f.step() {
			return
		}
	}
	f.Fatalf("it goes on for ever at %d", f.now)
}

func (f *fleet) step() bool {
	for _, b := range f.berths {
		if b.node != nil && len(b.queue) > 0 && !b.stuck {
			b.complete()
			return true
		}
	}
	if len(f.mail) > 0 {
		l := f.mail[0]
		f.mail = f.mail[1:]
		f.deliver(&l)
		return true
	}
	for _, b := range f.berths {
		for i, at := range b.timers {
			if b.node != nil && at <= f.now {
				b.timers[i] = env.Never
				b.node.Step(&env.Event{Kind: env.Timer, Timer: env.TimerID(i), At: f.now})
				return true
			}
		}
	}
	return false
}

// advance lets time pass.
func (f *fleet) advance(d env.Duration) {
	f.run()
	for end := f.now.Add(d); ; f.run() {
		next := env.Never
		for _, b := range f.berths {
			if b.node != nil {
				next = min(next, slices.Min(b.timers[:]))
			}
		}
		if next > end {
			f.now = end
			return
		}
		f.now = max(f.now, next)
	}
}

// settle lets time pass until nothing is under way on any node that is up.
func (f *fleet) settle() {
	f.Helper()
	if !f.until(func() bool {
		return !slices.ContainsFunc(f.berths, func(b *berth) bool { return b.node != nil && !b.node.Settled() })
	}) {
		f.Fatalf("it does not settle:\n%v", f)
	}
}

// until lets time pass until something is so, for a while at most.
func (f *fleet) until(so func() bool) bool {
	for range 400 {
		if f.advance(20 * env.Millisecond); so() {
			return true
		}
	}
	return false
}

// String tells of every slot on every node.
func (f *fleet) String() string {
	var text strings.Builder
	for _, b := range f.berths {
		fmt.Fprintf(&text, "node %d/%d", b.id, b.incarnation)
		if b.node == nil {
			text.WriteString(": down\n")
			continue
		}
		fmt.Fprintf(&text, ", told up to %d, leads %t\n", b.node.Told(), b.node.leads)
		for _, g := range b.node.groups {
			fmt.Fprintf(&text, "  shard %d: %s in epoch %d, settled %t\n", g.Shard(), g.Role(), g.Epoch(), g.Settled())
		}
		for i, r := range b.node.slots {
			fmt.Fprintf(&text, "  slot %d: %+v %s at %+v limits %+v\n", i, r.Identity(), r.Phase(), r.State().Position, r.State().Limits)
		}
	}
	return text.String()
}

func (f *fleet) deliver(l *letter) {
	switch {
	case f.lost != nil && f.lost(l):
	case int(l.to) < len(f.berths):
		if b := f.berths[l.to]; b.node != nil {
			payload := bytes.Clone(l.payload)
			b.node.Step(&env.Event{Kind: env.Message, From: l.from, At: f.now, Data: payload})
			for i := range payload {
				payload[i] = 0xee // its bytes are valid during the Step only
			}
		}
	default:
		var m wire.Message
		if err := wire.Decode(l.payload, &m); err != nil {
			f.Fatal(err)
		}
		if m.Kind == wire.Welcome {
			f.conns[talk{l.to, l.from}] = m.Conn
			return
		}
		m.Tail = bytes.Clone(m.Tail)
		f.told = append(f.told, m)
	}
}

// ask lets somebody send a message to a node, on a connection with its present life, and
// returns the answer; nil if there is none yet.
func (f *fleet) ask(from, to env.ID, m wire.Message) *wire.Message {
	f.Helper()
	f.number++
	f.send(from, to, &wire.Message{Kind: wire.Hello, Nonce: f.number})
	f.run()
	f.frame++
	m.Conn, m.Frame = f.conns[talk{from, to}], f.frame
	f.told = nil
	f.send(from, to, &m)
	f.run()
	return f.answer()
}

// answer returns the answer to the frame that was sent last, if there is one.
func (f *fleet) answer() *wire.Message {
	for i := range f.told {
		if m := &f.told[i]; m.Frame == f.frame {
			return m
		}
	}
	return nil
}

func (f *fleet) send(from, to env.ID, m *wire.Message) {
	f.mail = append(f.mail, letter{from, to, wire.Append(nil, m)})
}

// coordinator returns who leads the meta log.
func (f *fleet) coordinator() *berth {
	f.Helper()
	for _, b := range f.berths {
		if b.node != nil && b.node.leads {
			return b
		}
	}
	f.Fatalf("nobody leads the meta log:\n%v", f)
	return nil
}

// plane is the control plane as its coordinator has applied it.
func (f *fleet) plane() *control.Plane {
	f.Helper()
	return f.coordinator().node.plane
}

// steer lets the operator ask a node for a command, once.
func (f *fleet) steer(to env.ID, c control.Command) *wire.Message {
	f.Helper()
	return f.ask(steersID, to, wire.Message{Kind: wire.Control, Request: 5, Tail: c.Append(nil)})
}

// obtain lets the operator ask the coordinator for a command until it is answered.
func (f *fleet) obtain(c control.Command) wire.Message {
	f.Helper()
	var m *wire.Message
	if !f.until(func() bool {
		m = f.steer(f.coordinator().id, c)
		return m != nil && m.Code != wire.Moved
	}) {
		f.Fatalf("%v is not answered, or moved: %+v\n%v", &c, m, f)
	}
	return *m
}

// must is obtain of what is done.
func (f *fleet) must(commands ...control.Command) {
	f.Helper()
	for _, c := range commands {
		if m := f.obtain(c); m.Kind != wire.Done {
			f.Fatalf("%v is refused: %v\n%v", &c, m.Code, f)
		}
	}
}

// leader returns who leads a shard, as the control plane has it.
func (f *fleet) leader(shard lineage.Shard) *berth {
	f.Helper()
	return f.berths[f.plane().Shard(shard).Leader.Node]
}

// slot returns a tenant's slot on a node, nil if it is not there.
func (b *berth) slot(id tenant.ID, slot lineage.Slot) *replica.Replica {
	if i := b.node.slotOf(id, slot); i >= 0 {
		return b.node.slots[i]
	}
	return nil
}

// tree lists what is on a node's disk of a tenant.
func (b *berth) tree(id tenant.ID) (paths []string) {
	home := "tenants/" + id.String()
	for path := range b.files {
		if strings.HasPrefix(path, home+"/") {
			paths = append(paths, path)
		}
	}
	for path := range b.dirs {
		if path == home || strings.HasPrefix(path, home+"/") {
			paths = append(paths, path+"/")
		}
	}
	slices.Sort(paths)
	return paths
}

// open opens a session of the client in a slot.
func (f *fleet) open(at *berth, id tenant.ID, slot lineage.Slot) uint64 {
	f.Helper()
	m := f.ask(writerID, at.id, wire.Message{Kind: wire.OpenSession, Tenant: id, Slot: slot, Placement: 1, Nonce: 1, Request: 1})
	if m == nil || m.Kind != wire.SessionOpen {
		f.Fatalf("a session of tenant %s slot %d on node %d: %+v\n%v", id, slot, at.id, m, f)
	}
	return m.Session
}

// put asks for the creation of an entity that belongs into the slot, and returns the answer.
func (f *fleet) put(at *berth, id tenant.ID, slot lineage.Slot, session, request uint64) *wire.Message {
	f.Helper()
	return f.ask(writerID, at.id, wire.Message{
		Kind: wire.Put, Tenant: id, Slot: slot, Placement: 1, Session: session, Request: request, Floor: request, Entity: f.entity(at, id, slot, request),
	})
}

// remove asks for the deletion of the entity that a put of a request has created.
func (f *fleet) remove(at *berth, id tenant.ID, slot lineage.Slot, session, request, of uint64) *wire.Message {
	f.Helper()
	return f.ask(writerID, at.id, wire.Message{
		Kind: wire.Delete, Tenant: id, Slot: slot, Placement: 1, Session: session, Request: request, Floor: request, Entity: f.entity(at, id, slot, of),
	})
}

// entity returns the nth entity that belongs into a slot.
func (f *fleet) entity(at *berth, id tenant.ID, slot lineage.Slot, n uint64) signal.Entity {
	for e := signal.Entity(0); ; e++ {
		if at.node.belongs(id, slot, e) {
			if n--; n == 0 {
				return e
			}
		}
	}
}

// leads reports whether a node leads a shard.
func (b *berth) leads(shard lineage.Shard) bool {
	g := b.node.group(shard)
	return g != nil && g.Role() == group.Leading
}

// The methods of env.Env.

func (b *berth) Self() env.ID { return b.id }
func (b *berth) Nonce() env.Nonce {
	return env.Nonce{A: uint64(b.incarnation) << 32, B: uint64(b.id) + 1}
}
func (b *berth) Now() env.Time                        { return b.now }
func (b *berth) Wall() env.WallTime                   { return 0 }
func (b *berth) SetTimer(id env.TimerID, at env.Time) { b.timers[id] = at }
func (b *berth) Charge(env.Duration)                  {}
func (b *berth) Free() int64                          { return 1 << 40 }
func (b *berth) Halt(reason string)                   { b.Fatalf("node %d ends: %s", b.id, reason) }
func (b *berth) Hit(p env.Point, _ env.Key) (env.Action, bool) {
	b.points = append(b.points, p)
	return env.ActNone, true
}

func (b *berth) Chance(k env.Key) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, b.id, b.incarnation, k)
	return h.Sum64()
}

func (b *berth) Send(to env.ID, _ env.Key, payload []byte) {
	b.mail = append(b.mail, letter{b.id, to, bytes.Clone(payload)})
}

func (b *berth) Submit(op env.Op) {
	op.Data = bytes.Clone(op.Data)
	b.queue = append(b.queue, op)
}

func (b *berth) List(dir string) []string {
	if !b.dirs[dir] {
		return nil
	}
	found := []string{}
	below := func(path string) (string, bool) {
		if dir != "" {
			var ok bool
			if path, ok = strings.CutPrefix(path, dir+"/"); !ok {
				return "", false
			}
		}
		return path, path != "" && !strings.Contains(path, "/")
	}
	for path := range b.files {
		if name, ok := below(path); ok {
			found = append(found, name)
		}
	}
	for path := range b.dirs {
		if name, ok := below(path); ok {
			found = append(found, name+"/")
		}
	}
	slices.Sort(found)
	return found
}

// complete completes the operation that was submitted first.
func (b *berth) complete() {
	op := b.queue[0]
	b.queue = b.queue[1:]
	ev := env.Event{Kind: env.DiskDone, Op: op.ID, At: b.now}
	ev.N, ev.Data, ev.Err = b.apply(&op)
	if !op.Quiet || ev.Err != env.OK {
		b.node.Step(&ev)
	}
}

func (b *berth) apply(op *env.Op) (int64, []byte, env.Errno) {
	path := op.Path
	if path == "" && op.Kind != env.OpSyncDir {
		if path = b.handles[op.File]; path == "" {
			return 0, nil, env.BadHandle
		}
	}
	data, isFile := b.files[path]
	switch {
	case op.Kind == env.OpMkdir || op.Kind == env.OpCreate:
		return b.make(op)
	case op.Kind == env.OpSyncDir && b.dirs[path], op.Kind == env.OpSync:
		return 0, nil, env.OK
	case op.Kind == env.OpRename && (isFile || b.dirs[path]):
		b.rename(path, op.To)
		return 0, nil, env.OK
	case op.Kind == env.OpRemove && b.dirs[path]:
		if len(b.List(path)) > 0 {
			return 0, nil, env.NotEmpty
		}
		delete(b.dirs, path)
		return 0, nil, env.OK
	case op.Kind == env.OpClose:
		delete(b.handles, op.File)
		return 0, nil, env.OK
	case !isFile:
		return 0, nil, env.NotExist
	}
	switch op.Kind {
	case env.OpOpen:
		b.handles[op.File] = path
		return int64(len(data)), nil, env.OK
	case env.OpRead:
		size := int64(len(data))
		return 0, bytes.Clone(data[min(op.Offset, size):min(op.Offset+op.Length, size)]), env.OK
	case env.OpAppend:
		b.files[path] = append(data, op.Data...)
	case env.OpWrite:
		b.files[path] = append(append(bytes.Clone(data[:op.Offset]), op.Data...), data[min(int64(len(data)), op.Offset+int64(len(op.Data))):]...)
	case env.OpTruncate:
		b.files[path] = bytes.Clone(data[:op.Length])
	case env.OpRemove:
		delete(b.files, path)
	}
	return 0, nil, env.OK
}

func (b *berth) make(op *env.Op) (int64, []byte, env.Errno) {
	_, isFile := b.files[op.Path]
	switch {
	case isFile || b.dirs[op.Path]:
		return 0, nil, env.Exist
	case !b.dirs[parent(op.Path)]:
		return 0, nil, env.NotExist
	case op.Kind == env.OpMkdir:
		b.dirs[op.Path] = true
	default:
		b.files[op.Path], b.handles[op.File] = nil, op.Path
	}
	return 0, nil, env.OK
}

// rename gives a file, or a directory with all that is in it, another name.
func (b *berth) rename(from, to string) {
	moved := func(path string) (string, bool) {
		rest, ok := strings.CutPrefix(path, from)
		return to + rest, ok && (rest == "" || rest[0] == '/')
	}
	files, dirs := map[string][]byte{}, map[string]bool{}
	for path, data := range b.files {
		if name, ok := moved(path); ok {
			path = name
		}
		files[path] = data
	}
	for path := range b.dirs {
		if name, ok := moved(path); ok {
			path = name
		}
		dirs[path] = true
	}
	for file, path := range b.handles {
		if name, ok := moved(path); ok {
			b.handles[file] = name
		}
	}
	b.files, b.dirs = files, dirs
}

var _ env.Env = (*berth)(nil)
