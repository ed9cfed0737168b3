package core

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/placement"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wire"
)

// content is a file: as processes see it, and what of it is on the platter. A
// directory has neither.
type content struct{ seen, synced []byte }

// host is the world of one node, scripted: a disk with page cache and platter whose
// operations complete one at a time, in order, when the test says so, and an
// operator who reads what is answered.
//
// Whatever the test does, an answer is checked against the platter: what somebody is
// told is found by a node that starts after a power failure at that very moment.
type host struct {
	testing.TB
	*Node
	cluster     *Cluster
	incarnation env.Incarnation
	now         env.Time

	names, durable map[string]*content // by path: as seen, and after a power failure
	handles        map[env.File]*content
	queue          []env.Op
	room           int64 // bytes that the disk still takes
	paths          []string

	fails func(op *env.Op) bool // which operations fail; nil: none

	conn, frame uint64
	answers     []wire.Message
	check       bool // compare answers with the platter
}

const operatorID env.ID = 77

// hostID is not 0, so that a node's ID that is missing is not the right one by chance.
const hostID env.ID = 5

// twoNodes places tenant 1 on this node, in shard 0, and tenant 2 on another.
func twoNodes() *Cluster {
	place := func(id tenant.ID, node env.ID) placement.Entry {
		return placement.Entry{
			Tenant: tenant.Config{ID: id, Version: 1, Limits: tenant.Limits{Rate: 1000}}, Epoch: 1, Node: node,
		}
	}
	c := &Cluster{Map: placement.Map{Placements: []placement.Entry{place(1, hostID), place(2, 1)}}, Constants: replica.DefaultConstants}
	c.Placements[1].Shard = 1
	c.Index()
	return c
}

func newHost(t testing.TB) *host {
	return &host{
		TB: t, cluster: twoNodes(), room: 1 << 40, check: true,
		names: map[string]*content{"": {}}, durable: map[string]*content{"": {}},
	}
}

// serving is a host whose node serves and has a connection.
func serving(t testing.TB) *host {
	h := newHost(t)
	h.restart()
	return h
}

// start begins the next incarnation.
func (h *host) start() {
	h.incarnation++
	h.handles, h.queue, h.answers = map[env.File]*content{}, nil, nil
	h.Node = NewNode(h, h.cluster)
	h.Step(&env.Event{Kind: env.Started})
	h.Step(&env.Event{Kind: env.Message, From: operatorID, Data: wire.Append(nil, &wire.Message{Kind: wire.Hello, Nonce: uint64(h.incarnation)})})
}

// restart starts the node and lets it come up.
func (h *host) restart() {
	h.start()
	h.run()
}

// power ends the process, and all that is not on the platter is gone.
func (h *host) power() {
	h.names = maps.Clone(h.durable)
	for path, f := range h.names {
		h.names[path] = &content{slices.Clone(f.synced), f.synced}
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
	h.Step(&ev)
}

// command lets the operator send a command, in a frame of its own.
func (h *host) command(m wire.Message) {
	h.frame++
	m.Conn, m.Frame, m.Request = h.conn, h.frame, 5
	h.Step(&env.Event{Kind: env.Message, From: operatorID, At: h.now, Data: wire.Append(nil, &m)})
}

// told is the answer to a command, once all is done.
func (h *host) told(m wire.Message) wire.Message {
	h.Helper()
	h.answers = nil
	h.command(m)
	h.run()
	if len(h.answers) != 1 {
		h.Fatalf("%d answers to a %s: %+v", len(h.answers), m.Kind, h.answers)
	}
	return h.answers[0]
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
	case env.OpSync:
		f.synced = slices.Clone(f.seen)
	case env.OpRead:
		return op.Length, f.seen, env.OK
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
		f = &content{}
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
func (h *host) SetTimer(env.TimerID, env.Time)            {}
func (h *host) Charge(env.Duration)                       {}
func (h *host) Free() int64                               { return h.room }
func (h *host) Chance(env.Key) uint64                     { return 0 }
func (h *host) Halt(reason string)                        { h.Fatalf("the node ends: %s", reason) }
func (h *host) Hit(env.Point, env.Key) (env.Action, bool) { return env.ActNone, true }

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
		if !strings.Contains(name, ".") && name != "manifest" && name != "node" {
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
		h.mustBeDurable(&m)
	}
}

// mustBeDurable starts another node on what a power failure would leave now.
func (h *host) mustBeDurable(m *wire.Message) {
	h.Helper()
	after := newHost(h.TB)
	after.check, after.incarnation = false, h.incarnation
	after.names, after.durable = maps.Clone(h.durable), maps.Clone(h.durable)
	for path, f := range after.names {
		after.names[path] = &content{slices.Clone(f.synced), f.synced}
	}
	after.durable = maps.Clone(after.names)
	after.restart()
	i := after.slotOf(m.Tenant, m.Slot)
	switch m.Command {
	case wire.Drop:
		if i >= 0 || !after.catalog.Dropped(m.Tenant) {
			h.Fatalf("the drop of tenant %s is answered, and a power failure now would bring it back", m.Tenant)
		}
	default:
		if i < 0 || after.slots[i].State().Limits.Version < m.Version {
			h.Fatalf("the %s of tenant %s is answered, and a power failure now would undo it", m.Command, m.Tenant)
		}
	}
}
