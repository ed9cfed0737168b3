// Package counter is a suite of a stranger: a replicated counter, none of whose code is the
// tenants', with drawn plans, a judge, and a shape for shrinking. It shows what the harness
// wants of a user, and the tests of the harness run it.
//
// Replica 0 leads. A client asks it to count, again until it is answered. The leader
// appends the request to its log and copies it to the followers; it answers when the
// request is durable on every replica. A replica counts a request once, however often it
// comes.
package counter

import (
	"encoding/binary"

	"github.com/tidaldb/tidalsim/core/env"
)

// request is one wish of one client. Its bytes are a record of the log, and the body of
// every message:
//
//	0 client  uint32
//	4 number  uint64
type request struct {
	client uint32
	number uint64
}

const requestSize = 12

func (r request) bytes() []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(nil, r.client), r.number)
}

func requestOf(b []byte) request {
	return request{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint64(b[4:])}
}

// The kinds of messages; the first byte of each.
const (
	add    = byte(iota + 1) // a client asks the leader
	copyOf                  // the leader sends it to a follower
	copied                  // it is durable on the follower
	added                   // it is durable everywhere
)

// send sends a message about a request. Equal messages are told apart by when they leave.
func send(e env.Env, to env.ID, kind byte, r request) {
	key := env.Key{Kind: uint16(kind), A: uint64(r.client)<<32 | r.number, B: uint64(e.Now())}
	e.Send(to, key, append([]byte{kind}, r.bytes()...))
}

// The operations of a replica's disk. IDs of syncs count up from firstSync.
const (
	opened env.OpID = iota + 1
	named
	read
	cutOff
	appended
	firstSync
)

const (
	logFile = env.File(1)
	logPath = "log"
)

// The fault points.
const (
	recovered env.Point = iota // a replica knows what its log holds
	syncing                    // a replica asks for a sync
)

var points = []string{"replica.recovered", "replica.syncing"}

// replica is one of the counters.
//
// Invariant: log holds no request twice, and the first durable ones of it are durable here.
type replica struct {
	env      env.Env
	replicas int
	ready    bool // it knows its log, which is durable
	log      []request
	place    map[request]int // in log; asked, never ranged over
	durable  int
	copies   []uint64 // by place: the followers on which it is durable, a bit each
	syncs    []int    // how much of the log each sync covers that is under way
	next     env.OpID // of the next sync
}

func newReplica(e env.Env, replicas int) *replica {
	return &replica{env: e, replicas: replicas, place: map[request]int{}, next: firstSync}
}

// Status implements env.Machine.
func (r *replica) Status(s *env.Status) { s[0], s[1] = uint64(len(r.log)), uint64(r.durable) }

// Step implements env.Machine.
func (r *replica) Step(ev *env.Event) {
	switch ev.Kind {
	case env.Started:
		kind := env.OpCreate
		if len(r.env.List("")) > 0 {
			kind = env.OpOpen
		}
		r.env.Submit(env.Op{Kind: kind, ID: opened, File: logFile, Path: logPath})
	case env.DiskDone:
		r.diskDone(ev)
	case env.Message:
		if r.ready && len(ev.Data) == 1+requestSize { // else it was damaged, or comes again
			r.message(ev.From, ev.Data[0], requestOf(ev.Data[1:]))
		}
	}
}

// diskDone goes on with opening, or with what a sync has made durable. A replica whose disk
// fails ends, and starts again.
func (r *replica) diskDone(ev *env.Event) {
	switch {
	case ev.Err != env.OK:
		r.env.Halt("disk: " + ev.Err.Error())
	case ev.Op == opened:
		r.env.Submit(env.Op{Kind: env.OpSyncDir, ID: named})
		r.env.Submit(env.Op{Kind: env.OpRead, ID: read, File: logFile, Length: ev.N})
	case ev.Op == read:
		r.recover(ev.Data)
	case ev.Op >= firstSync:
		r.durable, r.syncs = r.syncs[0], r.syncs[1:] // syncs of one file complete in order
		if !r.ready {
			r.ready = true
			r.env.Hit(recovered, env.Key{})
		}
		r.tell()
	}
}

// recover takes over what the log holds, cuts a torn end off, and makes the rest durable:
// an earlier life may have read what it never synced.
func (r *replica) recover(data []byte) {
	for len(data) >= requestSize {
		r.take(requestOf(data))
		data = data[requestSize:]
	}
	if len(data) > 0 {
		r.env.Submit(env.Op{Kind: env.OpTruncate, ID: cutOff, File: logFile, Length: int64(len(r.log)) * requestSize})
	}
	r.sync()
}

func (r *replica) take(q request) {
	r.place[q] = len(r.log)
	r.log, r.copies = append(r.log, q), append(r.copies, 0)
}

func (r *replica) sync() {
	r.env.Hit(syncing, env.Key{A: uint64(r.next)})
	r.env.Submit(env.Op{Kind: env.OpSync, ID: r.next, File: logFile, Key: env.Key{A: uint64(r.next)}})
	r.syncs = append(r.syncs, len(r.log))
	r.next++
}

// message appends a request that is new, notes how far a follower is, and answers the clients that
// wait for durable records.
func (r *replica) message(from env.ID, kind byte, q request) {
	at, known := r.place[q]
	switch {
	case kind == copied && known:
		r.copies[at] |= 1 << from
	case kind != add && kind != copyOf:
		return
	case !known:
		at = len(r.log)
		r.take(q)
		r.env.Submit(env.Op{Kind: env.OpAppend, ID: appended, File: logFile, Data: q.bytes(), Key: env.Key{A: uint64(at)}})
		r.sync()
	}
	if kind == add {
		for follower := 1; follower < r.replicas; follower++ {
			if r.copies[at]&(1<<follower) == 0 {
				send(r.env, env.ID(follower), copyOf, q)
			}
		}
	}
	r.tellOf(at)
}

// tell says of the newest durable requests that they are; clients ask again for the others.
func (r *replica) tell() {
	for at := max(0, r.durable-8); at < r.durable; at++ {
		r.tellOf(at)
	}
}

// tellOf says that a request is durable here, if it is: a follower to its leader, the leader,
// if it is durable on every replica, to the client.
func (r *replica) tellOf(at int) {
	everywhere := uint64(1)<<r.replicas - 2
	switch q := r.log[at]; {
	case at >= r.durable:
	case r.env.Self() > 0:
		send(r.env, 0, copied, q)
	case r.copies[at] == everywhere:
		send(r.env, env.ID(q.client), added, q)
	}
}

// client counts to a number, one request after the other.
type client struct {
	env   env.Env
	count uint64
	acked []request
}

// patience is how long a client waits for an answer before it asks again.
const patience = 4 * env.Millisecond

// Status implements env.Machine.
func (c *client) Status(s *env.Status) { s[0] = uint64(len(c.acked)) }

// Step implements env.Machine.
func (c *client) Step(ev *env.Event) {
	wanted := request{uint32(c.env.Self()), uint64(len(c.acked))}
	if ev.Kind == env.Message && len(ev.Data) == 1+requestSize && ev.Data[0] == added && requestOf(ev.Data[1:]) == wanted {
		c.acked = append(c.acked, wanted)
		wanted.number++
	} else if ev.Kind == env.Message {
		return // an answer that was given already
	}
	if !c.done() {
		send(c.env, 0, add, wanted)
		c.env.SetTimer(0, c.env.Now().Add(patience))
	}
}

func (c *client) done() bool { return uint64(len(c.acked)) == c.count }
