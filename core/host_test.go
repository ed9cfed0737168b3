package core

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// content is a file: as processes see it, and what of it is on the platter. A
// directory has neither.
type content struct {
	seen, synced []byte
	dir          bool
}

// host is the world of a cluster of one node, scripted: a disk with page cache and platter
// whose operations complete one at a time, in order, when the test says so, timers that fire
// when the test lets time pass, and an operator who reads what is answered.
//
// Whatever the test does, an answer is checked against the platter: what somebody is
// told is found by a node that starts after a power failure at that very moment.
type host struct {
	testing.TB
	*Node
	cluster     *Cluster
	incarnation env.Incarnation
	now         env.Time
	timers      [env.MaxTimers]env.Time

	names, durable map[string]*content // by path: as seen, and after a power failure
	handles        map[env.File]*content
	queue          []env.Op
	room           int64 // bytes that the disk still takes
	paths          []string
	pauses         []env.Duration // of removals

	fails func(op *env.Op) bool // which operations fail; nil: none

	conn, frame uint64
	answers     []wire.Message
	wish        control.Command // last
	check       bool            // compare answers with the platter
}

const operatorID env.ID = 77

// hostID is not 0, so that a node's ID that is missing is not the right one by chance.
const hostID env.ID = 5

// hostDirectory is the data directory in which the node is founded.
var hostDirectory = env.Nonce{A: 1, B: 5}

// oneNode is a cluster of one node, the only member of the meta log. Tenant 1 is in shard 1, and
// tenant 2 in shard 2.
func oneNode(limits tenant.Limits) *Cluster {
	f := &control.Cluster{Meta: []env.ID{hostID}, Nodes: []control.NodeConfig{{ID: hostID, Region: "eu", Directory: hostDirectory}}}
	for id := range lineage.Shard(2) {
		f.Shards = append(f.Shards, control.ShardConfig{ID: id + 1, Region: "eu", Replicas: []env.ID{hostID}})
		f.Tenants = append(f.Tenants, control.TenantConfig{
			Config: tenant.Config{ID: tenant.ID(id + 1), Version: 1, Limits: limits}, Shards: []lineage.Shard{id + 1},
		})
	}
	c := &Cluster{Constants: replica.DefaultConstants, ID: 1, Control: f, Pace: DefaultPace}
	c.Place()
	c.Index()
	return c
}

// newHost is a host whose disk is founded and whose node does not run yet.
func newHost(t testing.TB) *host { return newHostOf(t, oneNode(tenant.Limits{Rate: 1000})) }

func newHostOf(t testing.TB, c *Cluster) *host {
	h := &host{TB: t, cluster: c, room: 1 << 40, check: true, names: map[string]*content{"": {dir: true}}}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	name, founded := Founded(c.ID, hostDirectory)
	h.names[name] = &content{seen: founded, synced: founded}
	h.durable = maps.Clone(h.names)
	return h
}

// serving is a host whose node serves and has a connection.
func serving(t testing.TB) *host {
	h := newHost(t)
	h.restart()
	return h
}

// start begins the next incarnation.
func (h *host) start() { h.startWith(h) }

// startWith begins it in a world that is h or rests on it.
func (h *host) startWith(e env.Env) {
	h.incarnation++
	h.handles, h.queue, h.answers = map[env.File]*content{}, nil, nil
	for i := range h.timers {
		h.timers[i] = env.Never
	}
	h.Node = NewNode(e, h.cluster)
	h.Step(&env.Event{Kind: env.Started})
	h.Step(&env.Event{Kind: env.Message, From: operatorID, Data: wire.Append(nil, &wire.Message{Kind: wire.Hello, Nonce: uint64(h.incarnation)})})
}

// restart starts the node and lets it come up.
func (h *host) restart() {
	h.start()
	h.settle()
}

// settle lets time pass until the node serves all that it has.
func (h *host) settle() {
	h.Helper()
	if !h.until(func() bool { return h.leads && h.Settled() && len(h.proposals) == 0 }) {
		h.Fatalf("it does not settle: leads %t, settled %t, %d proposals", h.leads, h.Settled(), len(h.proposals))
	}
}

// until lets time pass until something is so, for a while at most.
func (h *host) until(so func() bool) bool {
	for range 400 {
		if h.advance(tickEvery); so() {
			return true
		}
	}
	return false
}

// advance lets time pass, and all operations complete.
func (h *host) advance(d env.Duration) {
	h.run()
	for end := h.now.Add(d); ; h.run() {
		first := 0
		for i, at := range h.timers {
			if at < h.timers[first] {
				first = i
			}
		}
		at := h.timers[first]
		if at > end {
			h.now = max(h.now, end)
			return
		}
		h.now, h.timers[first] = max(h.now, at), env.Never
		h.Step(&env.Event{Kind: env.Timer, Timer: env.TimerID(first), At: h.now})
	}
}

// power ends the process, and all that is not on the platter is gone.
func (h *host) power() {
	h.names = maps.Clone(h.durable)
	for path, f := range h.names {
		h.names[path] = &content{slices.Clone(f.synced), f.synced, f.dir}
	}
	h.durable = maps.Clone(h.names)
}

// run completes operations until there is none.
func (h *host) run() {
	for len(h.queue) > 0 {
		h.step()
	}
}

// step completes the operation that was submitted first.
func (h *host) step() {
	op := h.queue[0]
	h.queue = h.queue[1:]
	h.now += env.Time(env.Microsecond)
	ev := env.Event{Kind: env.DiskDone, Op: op.ID, At: h.now}
	if h.fails != nil && h.fails(&op) {
		ev.Err = env.IOError
	} else {
		ev.N, ev.Data, ev.Err = h.apply(&op)
	}
	if !op.Quiet || ev.Err != env.OK {
		h.Step(&ev)
	}
}

// send lets the operator send a message, in a frame of its own.
func (h *host) send(m wire.Message) {
	h.frame++
	m.Conn, m.Frame, m.Request = h.conn, h.frame, 5
	h.Step(&env.Event{Kind: env.Message, From: operatorID, At: h.now, Data: wire.Append(nil, &m)})
}

// told is the answer to a message, once all is done.
func (h *host) told(m wire.Message) wire.Message {
	h.Helper()
	h.answers = nil
	h.send(m)
	if !h.until(func() bool { return len(h.answers) > 0 }) || len(h.answers) != 1 {
		h.Fatalf("%d answers to a %s: %+v", len(h.answers), m.Kind, h.answers)
	}
	return h.answers[0]
}

// command lets the operator send a command of the control plane, once.
func (h *host) command(c control.Command) {
	h.wish = c
	h.send(wire.Message{Kind: wire.Control, Tail: c.Append(nil)})
}

// obtain is the answer to a command that the operator repeats until it is answered. Before the node
// leads the meta log the answer is Moved.
func (h *host) obtain(c control.Command) wire.Message {
	h.Helper()
	if !h.until(func() bool {
		h.answers = nil
		h.command(c)
		h.run()
		return len(h.answers) > 0 && h.answers[0].Code != wire.Moved
	}) || len(h.answers) != 1 {
		h.Fatalf("%d answers to %v: %+v", len(h.answers), &c, h.answers)
	}
	return h.answers[0]
}

// must is obtain of what is done.
func (h *host) must(commands ...control.Command) {
	h.Helper()
	for _, c := range commands {
		if m := h.obtain(c); m.Kind != wire.Done {
			h.Fatalf("%v is refused: %v", &c, m.Code)
		}
	}
}

func (h *host) apply(op *env.Op) (int64, []byte, env.Errno) {
	if op.Path != "" || op.Kind == env.OpSyncDir {
		return h.applyName(op)
	}
	f := h.handles[op.File]
	if f == nil {
		return 0, nil, env.BadHandle
	}
	switch op.Kind {
	case env.OpAppend:
		if h.room -= int64(len(op.Data)); h.room < 0 {
			h.room += int64(len(op.Data))
			return 0, nil, env.NoSpace
		}
		f.seen = append(f.seen, op.Data...)
	case env.OpWrite:
		f.seen = append(append(slices.Clone(f.seen[:op.Offset]), op.Data...), f.seen[min(int64(len(f.seen)), op.Offset+int64(len(op.Data))):]...)
	case env.OpTruncate:
		f.seen = slices.Clone(f.seen[:op.Length])
	case env.OpSync:
		f.synced = slices.Clone(f.seen)
	case env.OpRead:
		size := int64(len(f.seen))
		data := slices.Clone(f.seen[min(op.Offset, size):min(op.Offset+op.Length, size)])
		return int64(len(data)), data, env.OK
	case env.OpClose:
		delete(h.handles, op.File)
	}
	return 0, nil, env.OK
}

func parent(path string) string { return path[:max(0, strings.LastIndexByte(path, '/'))] }

func (h *host) applyName(op *env.Op) (int64, []byte, env.Errno) {
	f := h.names[op.Path]
	switch {
	case op.Kind == env.OpSyncDir:
		if f == nil {
			return 0, nil, env.NotExist
		}
		h.syncDir(op.Path)
		return 0, nil, env.OK
	case op.Kind == env.OpCreate || op.Kind == env.OpMkdir:
		switch {
		case f != nil:
			return 0, nil, env.Exist
		case h.names[parent(op.Path)] == nil:
			return 0, nil, env.NotExist
		}
		f = &content{dir: op.Kind == env.OpMkdir}
		h.names[op.Path] = f
	case f == nil:
		return 0, nil, env.NotExist
	case op.Kind == env.OpRename:
		move(h.names, op.Path, op.To, f)
	case op.Kind == env.OpRemove:
		if len(h.List(op.Path)) > 0 {
			return 0, nil, env.NotEmpty
		}
		delete(h.names, op.Path)
	}
	if op.File != 0 {
		h.handles[op.File] = f
	}
	return int64(len(f.seen)), nil, env.OK
}

// move gives a file, or a directory with all that is in it, another name.
func move(names map[string]*content, from, to string, f *content) {
	for path, g := range maps.Clone(names) {
		if rest, below := strings.CutPrefix(path, from+"/"); below {
			delete(names, path)
			names[to+"/"+rest] = g
		}
	}
	delete(names, from)
	names[to] = f
}

// syncDir makes the entries of a directory durable. What is in a directory that was
// renamed goes with it.
func (h *host) syncDir(dir string) {
	gone, come := map[string]*content{}, map[string]*content{}
	for path, f := range h.durable {
		if path != "" && parent(path) == dir && h.names[path] != f {
			gone[path] = f
		}
	}
	for path, f := range h.names {
		if path != "" && parent(path) == dir && h.durable[path] != f {
			come[path] = f
		}
	}
	for path, f := range gone {
		for to, g := range come {
			if f == g {
				move(h.durable, path, to, f)
			}
		}
		if h.durable[path] == f { // and with it all that is below
			maps.DeleteFunc(h.durable, func(p string, _ *content) bool { return p == path || strings.HasPrefix(p, path+"/") })
		}
	}
	maps.Copy(h.durable, come)
}

func (h *host) Self() env.ID                              { return hostID }
func (h *host) Nonce() env.Nonce                          { return env.Nonce{A: uint64(h.incarnation) << 32, B: 1} }
func (h *host) Now() env.Time                             { return h.now }
func (h *host) Wall() env.WallTime                        { return 0 }
func (h *host) Charge(env.Duration)                       {}
func (h *host) Free() int64                               { return h.room }
func (h *host) Chance(env.Key) uint64                     { return 0 }
func (h *host) Halt(reason string)                        { h.Fatalf("the node ends: %s", reason) }
func (h *host) Hit(env.Point, env.Key) (env.Action, bool) { return env.ActNone, true }

func (h *host) SetTimer(id env.TimerID, at env.Time) {
	h.timers[id] = at
	if id == removalTimer {
		h.pauses = append(h.pauses, at.Sub(h.now))
	}
}

func (h *host) Submit(op env.Op) {
	op.Data = slices.Clone(op.Data)
	h.queue = append(h.queue, op)
	h.paths = append(h.paths, op.Path)
}

func (h *host) List(dir string) []string {
	if h.names[dir] == nil {
		return nil
	}
	found := []string{}
	for path := range h.names {
		if path == "" || parent(path) != dir {
			continue
		}
		name := path[len(parent(path)):]
		name = strings.TrimPrefix(name, "/")
		if h.names[path].dir {
			name += "/"
		}
		found = append(found, name)
	}
	slices.Sort(found)
	return found
}

func (h *host) Send(to env.ID, _ env.Key, payload []byte) {
	var m wire.Message
	if err := wire.Decode(payload, &m); err != nil {
		h.Fatal(err)
	}
	if m.Kind == wire.Welcome {
		h.conn = m.Conn
		return
	}
	h.answers = append(h.answers, m)
	if h.check && m.Kind == wire.Done {
		h.mustBeDurable()
	}
}

// mustBeDurable starts another node on what a power failure would leave now.
func (h *host) mustBeDurable() {
	h.Helper()
	after := newHostOf(h.TB, h.cluster)
	after.check, after.incarnation = false, h.incarnation
	after.names, after.durable = maps.Clone(h.durable), maps.Clone(h.durable)
	for path, f := range after.names {
		after.names[path] = &content{slices.Clone(f.synced), f.synced, f.dir}
	}
	after.durable = maps.Clone(after.names)
	after.restart()
	switch c := &h.wish; c.Kind {
	case control.DropTenant:
		if after.plane.Tombstone(c.Tenant) == nil || after.slotOf(c.Tenant, 0) >= 0 {
			h.Fatalf("%v is answered, and a power failure now would bring the tenant back", c)
		}
	case control.CreateTenant, control.Configure:
		i := after.slotOf(c.Config.ID, 0)
		if i < 0 || after.plane.Tenant(c.Config.ID).Config.Version < c.Config.Version || after.slots[i].Outdated() {
			h.Fatalf("%v is answered, and a power failure now would undo it", c)
		}
	}
}
