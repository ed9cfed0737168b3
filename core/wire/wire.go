// Package wire holds the messages between clients and nodes and their bytes.
//
// A client connects (Hello, Welcome), opens a session in a slot, and then sends
// numbered requests. Each transmission is one frame of the connection; a node
// takes a frame at most once and in order, so that a copy of a refused request
// that the network delivers late is not applied after all.
package wire

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Kind is the kind of a message. The numbers are part of the format.
type Kind uint8

// KeyMessage is the lowest kind of the keys that nodes and clients give to their messages: a
// message has the key of its own kind, offset by this. Kinds below belong to fault points and
// disk operations.
const KeyMessage uint16 = 0x200

// The kinds of messages. C: from client to node; N: from node to client. The
// fields that a kind carries are in layouts.
const (
	Hello       Kind = iota + 1 // C connects; Nonce orders the client's connections
	Welcome                     // N answers with the connection's number
	Reset                       // N does not know this connection
	OpenSession                 // C opens a session in a slot; Nonce names it
	SessionOpen                 // N answers with the session
	Write                       // C submits a signal under a request number
	Put                         // C creates an entity, likewise
	Delete                      // C deletes an entity with all its signals, likewise
	_                           // 9 to 11 were kinds of an earlier release
	_
	_
	Refusal // N refuses this frame; Code says why
	_       // 13 to 15, likewise
	_
	_
	Done    // N: what the operator asked for is durable
	Query   // C asks for an entity's state at a Level, of any replica
	Ack     // N: the write, put or delete is durable at Seq, written in shard epoch Epoch; 0: no longer known
	State   // N answers a Query; Epoch is that of the last record folded
	Control // C, an operator, wants a command of the control plane carried out, in Tail
	kinds
)

var kindNames = [kinds]string{"", "hello", "welcome", "reset", "open-session", "session-open", "write", "put", "delete", "", "", "", "refusal",
	"", "", "", "done", "query", "ack", "state", "control"}

// String returns the name of k.
func (k Kind) String() string {
	if k < kinds && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("message-%d", uint8(k))
}

// Changes reports whether a message of kind k asks for a record of its own, under
// a request number.
func (k Kind) Changes() bool { return k == Write || k == Put || k == Delete }

// KindNames returns the names of the kinds, indexed by Kind.
func KindNames() []string { return kindNames[:] }

// Message is one decoded message. Of its fields those that its Kind's layout
// names are meaningful; the others are zero.
type Message struct {
	Kind      Kind
	Nonce     uint64                 // Hello, Welcome: of the connection; sessions: of the session
	Conn      uint64                 // connection number, from Welcome, never re-used
	Frame     uint64                 // number of the frame within the connection, from 1; replies repeat it
	Tenant    tenant.ID              //
	Slot      lineage.Slot           //
	Placement lineage.PlacementEpoch // the client's idea of the slot's placement
	Session   uint64                 // seq of the SESSION record
	Request   uint64                 // request number; of reads and session openings: the client's own
	Floor     uint64                 // lowest request number of the session still in use
	Signal    signal.Signal          // Write
	Entity    signal.Entity          // Put, Delete, Query, State
	Seq       lineage.Seq            // Ack: of the record; State: last record folded
	State     signal.State           // State
	Code      Code                   // Refusal
	Facts                            // Refusal: what belongs to Code
	Command   Kind                   // Done: what was asked for
	Epoch     lineage.ShardEpoch     // Ack, State: of the record at Seq
	Level     Level                  // Query
	Token     Token                  // Query at Session
	Bound     env.Duration           // Query at Bounded: how old the answer may be
	Tail      []byte                 // Control: the command, as package control writes it. It aliases what was decoded
}

// Level is the promise of a read.
type Level uint8

// The levels. The numbers are part of the format.
const (
	Linearizable Level = iota // it sees everything that was acknowledged before it began
	Session                   // it sees everything that its session has seen
	Bounded                   // it sees everything that was acknowledged Bound before it began
	levels
)

var levelNames = [levels]string{"linearizable", "session", "bounded"}

// String returns the name of l.
func (l Level) String() string {
	if l < levels {
		return levelNames[l]
	}
	return fmt.Sprintf("level-%d", uint8(l))
}

// Token is the newest record of a slot that a session has seen: the one at Seq, which was written in
// Epoch. The zero Token is nothing.
type Token struct {
	Epoch lineage.ShardEpoch
	Seq   lineage.Seq
}

// Origin is the part of a request that its answer repeats: a quarter of its size, for a holder of
// many requests that wait for their answers.
type Origin struct {
	Kind      Kind
	Conn      uint64
	Frame     uint64
	Tenant    tenant.ID
	Slot      lineage.Slot
	Placement lineage.PlacementEpoch
	Session   uint64
	Request   uint64
	Nonce     uint64
}

// Origin returns what answers repeat of m.
func (m *Message) Origin() Origin {
	return Origin{
		Kind: m.Kind, Conn: m.Conn, Frame: m.Frame, Tenant: m.Tenant, Slot: m.Slot, Placement: m.Placement,
		Session: m.Session, Request: m.Request, Nonce: m.Nonce,
	}
}

// Restore sets the fields of m that o has, and leaves the others.
func (o *Origin) Restore(m *Message) {
	m.Kind, m.Conn, m.Frame, m.Tenant, m.Slot, m.Placement = o.Kind, o.Conn, o.Frame, o.Tenant, o.Slot, o.Placement
	m.Session, m.Request, m.Nonce = o.Session, o.Request, o.Nonce
}

// Code says why a frame was refused.
type Code uint8

// The codes. The numbers are part of the format.
const (
	NoError Code = iota
	QuotaExceeded
	UnknownTenant
	WrongSlot
	Invalid
	BadEpoch
	Moved
	NotServing
	Overloaded
	Corrupt
	StorageFault
	SessionExpired
	Superseded
	Window
	DiskFull
	VersionConflict
	InvalidConfig
	TenantExists
	TenantDropped
	CatalogFull
	NotYet
	TokenLost
	NoResidency
	NotNow
	codes
)

// meaning is a row of the table of codes.
type meaning struct {
	name string // stands in histories and reports
	// definite: the refused frame has no effect and never will. An operation
	// counts as refused only if all its frames were refused definitely.
	definite bool
	// again: the client may send the request again, under the same number.
	again bool
	text  string // advice: what is wrong; what to do
}

var meanings = [codes]meaning{
	NoError:         {"none", false, false, ""},
	QuotaExceeded:   {"quota-exceeded", true, false, "the tenant is over its quota; send less, later, or delete entities"},
	UnknownTenant:   {"unknown-tenant", true, false, "no such tenant is configured here; check the tenant's ID"},
	WrongSlot:       {"wrong-slot", true, false, "the tenant has no such slot; refresh the tenant's configuration"},
	Invalid:         {"invalid", true, false, "the request is malformed; see the limits of signals"},
	BadEpoch:        {"bad-epoch", true, true, "the placement epoch is not known here yet; try again"},
	Moved:           {"moved", true, true, "the slot is placed elsewhere; refresh the route"},
	NotServing:      {"not-serving", true, true, "the slot is being opened; try again"},
	Overloaded:      {"overloaded", true, true, "a queue of the slot is full; try again, or send less"},
	Corrupt:         {"corrupt", true, false, "the slot's log is damaged below what was confirmed, and the slot was stopped; restore it from a replica or a backup, or, if every disk that had the slot is lost, accept the loss"},
	StorageFault:    {"storage-fault", true, true, "an operation of the node's disk failed and the slot was stopped until the node restarts; check the disk"},
	SessionExpired:  {"session-expired", false, false, "the session was evicted; open a new one"},
	Superseded:      {"superseded", false, false, "the request number is below the session's floor, so its answer is forgotten; use a new number"},
	Window:          {"window", true, true, "too many requests of the session are unanswered; wait for answers"},
	DiskFull:        {"disk-full", true, true, "the node's disk is full; free space there, then try again"},
	VersionConflict: {"version-conflict", true, false, "the configuration in force has another version than the command counts on; read it, decide again"},
	InvalidConfig:   {"invalid-config", true, false, "a field of the configuration is out of its range; correct the field that the refusal names"},
	TenantExists:    {"tenant-exists", true, false, "the tenant is there with another configuration or elsewhere; configure it, or choose another ID"},
	TenantDropped:   {"tenant-dropped", true, false, "a tenant of this ID was dropped, and IDs are never used again; choose another ID"},
	CatalogFull:     {"catalog-full", true, false, "the node names as many tenants as it may, dropped ones included; create the tenant on another node"},
	NotYet:          {"not-yet", true, true, "the replica cannot answer at this level in time; ask another one"},
	NoResidency:     {"residency", true, false, "the residency forbids the region of a shard that has, or would have, a slot of the tenant, and no node may keep bytes there; permit that region, or choose shards in permitted regions"},
	NotNow:          {"not-now", true, true, "another node is being drained, or a shard would be left with too few members; wait until that is over"},
	TokenLost:       {"token-lost", true, false, "what the session has seen is not in the log; begin a new session"},
}

// String returns the name of c.
func (c Code) String() string {
	if c < codes {
		return meanings[c].name
	}
	return fmt.Sprintf("code-%d", uint8(c))
}

// Definite reports whether a frame refused with c has no effect and never will.
func (c Code) Definite() bool { return c < codes && meanings[c].definite }

// Again reports whether the same request may be sent again.
func (c Code) Again() bool { return c < codes && meanings[c].again }

// Advice says what to do about c.
func (c Code) Advice() string {
	if c < codes {
		return meanings[c].text
	}
	return "unknown code; the node may be newer than the client"
}
