// Package metalog is the meta log: a log that a majority of 3 or 5 members agrees on,
// and the state machine that it feeds. Control state lives in it and nothing else; the
// data of tenants has its own, cheaper replication.
//
// Agreement is go.etcd.io/raft, whose RawNode starts no goroutine. What is here is the
// rest of a member: its file, its messages, its clock, the duplicates of commands,
// snapshots, and how a member whose disk was lost is replaced.
//
// It refuses to be a service: a Log is a part of a machine (core/env) that owns it.
// The owner lends it a Seat, hands it the events that are its own (Owns), calls Step
// in no other way than an Env is called, and takes the Outcomes after each. The log
// asks the Env only during those calls and keeps no reference to it.
//
// The one rule to remember: what a member says to others hangs on what its disk has
// confirmed. Ready tells which; flush keeps it.
//
// Randomness: raft draws election timeouts from crypto/rand. They are never looked at
// here, because Tick is only called while leading; who does not lead has an election
// timer of its own (docs/decisions/0011-meta-log.md).
package metalog

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
)

// Seat is what the owner lends to the log: names in the spaces that a machine's parts
// share. Nothing else of the owner may use them.
type Seat struct {
	Prefix byte        // the first byte of its messages
	Timer  env.TimerID // its timer
	Op     env.OpID    // the ID of its disk operations; one is under way at a time
	File   env.File    // its handles: this one and the next
	Key    uint16      // the first of KeyKinds kinds of keys
	Owner  uint64      // A of the keys of its disk operations
}

// KeyKinds is the number of kinds of keys that a Seat stands for.
const KeyKinds = 4

// The kinds of keys, from Seat.Key on. Of each but keyDisk, A is the incarnation and B
// the term or the place in the log.
const (
	keySend     = iota // Attempt: the tick
	keyDisk            // Attempt: the number of the operation
	keyElection        // Attempt: the number of the campaign
)

// Constants are the bounds of a log. DefaultConstants says why.
type Constants struct {
	Tick         env.Duration // of the leader's heartbeats; an election takes ElectionTicks of them
	CompactBytes int64        // growth of the file after which it is written anew
	KeepEntries  Index        // applied entries that stay in memory, for followers that are behind
	ChunkBytes   int          // of a snapshot, in one message
	MaxCommand   int          // bytes
	MaxPending   int          // proposals, and reads, that wait for their outcome here
	MaxClients   int          // that are remembered
	Deadline     uint64       // ticks until an outcome is ErrUnknown
	PerKiB       env.Duration // CPU time of encoding or decoding 1024 bytes
	Stall        env.Duration // for which a disk operation may last until the leader hands over; 0: for ever
}

// DefaultConstants fit a region: a leader that is silent is replaced within 0.4 s.
var DefaultConstants = Constants{
	Tick: 20 * env.Millisecond, CompactBytes: 1 << 20, KeepEntries: 256, ChunkBytes: 64 << 10, MaxCommand: 64 << 10,
	MaxPending: 256, MaxClients: 16_384, Deadline: 100, PerKiB: env.Microsecond, Stall: 400 * env.Millisecond,
}

// ElectionTicks is how long, in ticks, a leader may hear from no majority, and at
// least how long a follower waits before it stands for election; at most twice that.
const ElectionTicks = 10

// Config describes one member. It is the same for all but in Machine and Seat.
type Config struct {
	Dir       string   // directory of the file; its parent exists. Nothing else is kept there
	Cluster   uint64   // never equal for two logs, so that what went astray is refused
	Addresses []env.ID // of the founding members, ascending, 3 or 5
	// Founders are the data directories of the founding members, in that order, as the
	// founding file names them. A directory that is not among them is no founder.
	Founders []env.Nonce
	Machine  StateMachine
	Seat     Seat
	Constants
}

// Log is one member. Use New, then Open.
//
// Invariant: raft is not nil from phase serving on; entries and votes in storage are
// durable; the fold is at the last entry that raft was told to be applied.
type Log struct {
	config  Config
	phase   phase
	failure error

	directory env.Nonce // which the member is
	member    MemberID  // 0: it is not known yet under which ID
	starts    []start   // the last of the member, this one included; durable before anything is said
	seen      []sighting
	unwritten []sighting // that are to be durable before what they came with is heeded
	held      []held     // what they came with
	admitted  uint32     // members that were admitted in the present term
	admitting Term
	challenge uint64 // of the leader, as it was told last: an announcement repeats it

	raft          *raft.RawNode
	storage       *storage
	fold          fold
	configuration *raftpb.ConfState // as of fold.applied

	disk      drive
	elections elections
	ticks     uint64 // since the start

	proposals []pending // in the order of their deadlines
	reads     []pending
	outcomes  []Outcome
	readCount uint64

	transfers []transfer // outgoing snapshots
	incoming  incoming
	sent      uint64 // transfers since the start
}

type phase uint8

// The phases of a Log, in order.
const (
	closed  phase = iota
	making        // its directory
	reading       // its file
	joining       // it has none, and no ID: it announces its directory
	naming        // the file written anew, before anything is said
	serving
	stopped // for good: Failure says why
)

var phaseNames = [...]string{"closed", "making", "reading", "joining", "naming", "serving", "stopped"}

// String returns the name of p.
func (p phase) String() string { return phaseNames[p] }

// New returns a member that is closed.
func New(config Config) *Log {
	n := len(config.Addresses)
	assert.That(n == 3 || n == 5, "a meta log of %d members, want 3 or 5", n)
	assert.That(slices.IsSorted(config.Addresses), "addresses %v do not ascend", config.Addresses)
	assert.That(len(config.Founders) == n, "%d directories of %d founding members", len(config.Founders), n)
	return &Log{
		config: config, fold: fold{machine: config.Machine, maxClients: config.MaxClients},
		disk: drive{handle: config.Seat.File, spare: config.Seat.File + 1},
	}
}

// Open begins to open the member that a data directory is; call it once in a life of the
// process. The identity of the directory must be durable.
func (l *Log) Open(e env.Env, directory env.Nonce) {
	l.directory = directory
	l.elections.tickAt = e.Now()
	l.arm(e)
	l.makeDirectory(e)
}

// Owns reports whether an event is the log's, by its Seat.
func (l *Log) Owns(ev *env.Event) bool {
	switch ev.Kind {
	case env.Timer:
		return ev.Timer == l.config.Seat.Timer
	case env.DiskDone:
		return ev.Op == l.config.Seat.Op
	case env.Message:
		return len(ev.Data) > 0 && ev.Data[0] == l.config.Seat.Prefix
	}
	return false
}

// Step tells the log of an event that it owns. Outcomes may be there afterwards.
func (l *Log) Step(e env.Env, ev *env.Event) {
	if l.phase == closed || l.phase == stopped {
		return
	}
	switch ev.Kind {
	case env.Timer:
		l.timer(e)
	case env.DiskDone:
		l.diskDone(e, ev)
	case env.Message:
		l.message(e, ev)
	}
	l.pump(e)
}

// stop ends the member's part for good. Others go on without it.
func (l *Log) stop(err error) {
	l.phase, l.failure = stopped, err
	for _, p := range l.proposals {
		l.outcomes = append(l.outcomes, Outcome{Client: p.client, Number: p.number, Err: ErrUnknown})
	}
	for _, p := range l.reads {
		l.outcomes = append(l.outcomes, Outcome{Read: true, Number: p.number, Err: ErrUnknown})
	}
	l.proposals, l.reads = nil, nil
}

// Failure is why the member has stopped, nil if it has not. It matches ErrCorrupt,
// ErrOutdated or wal.ErrVersion. Failures of the disk end the process instead: it is the node's own
// file that failed.
func (l *Log) Failure() error { return l.failure }

// Status is what others may see of a member: plain numbers.
type Status struct {
	Member    MemberID // 0 until the file was read
	Term      Term
	Leader    MemberID // as far as the member knows; itself if it leads
	Applied   Position
	Committed Index
	Serving   bool // it takes part
	Joining   bool // it is not in the configuration that it knows
}

// Status returns the member's status.
func (l *Log) Status() Status {
	s := Status{Member: l.member, Applied: l.fold.applied, Serving: l.phase == serving, Joining: l.phase == joining}
	if s.Serving {
		b := l.raft.BasicStatus()
		s.Term, s.Leader, s.Committed = Term(b.HardState.GetTerm()), MemberID(b.Lead), Index(b.HardState.GetCommit())
		s.Joining = !l.isMember(l.member)
	}
	return s
}

// Members returns who takes part, as of Status.Applied, ascending.
func (l *Log) Members() []MemberID {
	var members []MemberID
	for _, id := range l.configuration.GetVoters() {
		members = append(members, MemberID(id))
	}
	return members
}

// Quorums returns the sets of members of each of which a majority has to agree, as of
// Status.Applied: one, or two while members are being replaced.
func (l *Log) Quorums() [][]MemberID {
	quorums := [][]MemberID{l.Members()}
	if outgoing := l.configuration.GetVotersOutgoing(); len(outgoing) > 0 {
		var old []MemberID
		for _, id := range outgoing {
			old = append(old, MemberID(id))
		}
		quorums = append(quorums, old)
	}
	return quorums
}

// String returns the member and its phase, for messages.
func (l *Log) String() string { return fmt.Sprintf("meta log member %s, %s", l.member, l.phase) }
