// Package metalog is the meta log: a log that a majority of 1, 3 or 5 members agrees on, and the state
// machine that applies it. It holds only control state; the data of tenants has its own, cheaper
// replication.
//
// Consensus is go.etcd.io/raft, whose RawNode starts no goroutine. This package adds the rest of a
// member: its file, its messages, its clock, duplicate commands, snapshots, and the replacement of
// a member whose disk was lost.
//
// A Log is not a service but a part of a machine (core/env) that owns it. The owner gives it a
// Seat, passes it the events that it Owns, calls its methods only during a Step, and takes the
// Outcomes after each. The log uses the Env only during those calls and keeps no reference to it.
//
// The one rule to remember: a member sends a message only after its disk has confirmed the state
// that the message depends on. raft's Ready names that state, and flush makes it durable.
//
// Randomness: raft draws election timeouts from crypto/rand. This package never uses them, because
// it calls Tick only while leading; other members have an election timer here
// (docs/decisions/0011-meta-log.md).
package metalog

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
)

// Seat holds the IDs reserved for the meta log in the name spaces of its owner: message prefix,
// timer, operation, file handles and keys. Other parts of the owner must not use them.
type Seat struct {
	Prefix byte        // the first byte of its messages
	Timer  env.TimerID // its timer
	Op     env.OpID    // the ID of its disk operations; one runs at a time
	File   env.File    // its handles: this one and the next
	Key    uint16      // the first of KeyKinds kinds of keys
	Owner  uint64      // A of the keys of its disk operations
}

// KeyKinds is the number of kinds of keys in a Seat.
const KeyKinds = 4

// The kinds of keys, from Seat.Key on. For each but keyDisk, A is the incarnation and B the term or
// the index in the log.
const (
	keySend     = iota // Attempt: the tick
	keyDisk            // Attempt: the number of the operation
	keyElection        // Attempt: the number of the campaign
)

// Constants are the bounds of a log. DefaultConstants has the reasons.
type Constants struct {
	// Tick is the interval of the leader's heartbeats; an election takes ElectionTicks of them.
	Tick         env.Duration
	CompactBytes int64        // growth of the file after which it is compacted
	KeepEntries  Index        // applied entries that stay in memory for slow followers
	ChunkBytes   int          // of a snapshot, in one message
	MaxCommand   int          // bytes
	MaxPending   int          // proposals, and reads, that wait for their outcome here
	MaxClients   int          // remembered clients
	Deadline     uint64       // ticks until an outcome is ErrUnknown
	PerKiB       env.Duration // CPU time of encoding or decoding 1024 bytes
	Stall        env.Duration // a leader hands over after a disk operation of this length; 0: never
}

// DefaultConstants fit a region: a silent leader is replaced within 0.4 s.
var DefaultConstants = Constants{
	Tick: 20 * env.Millisecond, CompactBytes: 1 << 20, KeepEntries: 256, ChunkBytes: 64 << 10, MaxCommand: 64 << 10,
	MaxPending: 256, MaxClients: 16_384, Deadline: 100, PerKiB: env.Microsecond, Stall: 400 * env.Millisecond,
}

// ElectionTicks is the number of ticks after which a leader that hears no majority steps down. A
// follower waits at least that long, and at most twice, before it stands for election.
const ElectionTicks = 10

// Config describes one member. All members have the same, except for Machine and Seat.
type Config struct {
	Dir       string   // directory of the file; its parent exists. It holds nothing else
	Cluster   uint64   // unique to the log, so that stray messages are rejected
	Addresses []env.ID // of the founding members, ascending, 1, 3 or 5
	// Founders are the data directories of the founding members, in the order of Addresses, as the
	// founding file names them. Any other directory is not a founder.
	Founders []env.Nonce
	Machine  StateMachine
	Seat     Seat
	Constants
}

// Log is one member. Use New, then Open.
//
// Invariant: from phase serving on, raft is not nil. Entries and votes in storage are durable. The
// fold is at the last entry that raft handed out to be applied.
type Log struct {
	config  Config
	phase   phase
	failure error

	directory env.Nonce // the data directory of the member
	member    MemberID  // 0: not known yet
	// starts has the member's last starts, this one included; they are durable before it sends a
	// message.
	starts    []start
	seen      []sighting
	unwritten []sighting // to be durable before the messages that brought them are accepted
	held      []held     // those messages
	admitted  uint32     // members admitted in the present term
	admitting Term
	challenge uint64 // the leader's last challenge: an announcement repeats it

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
	making        // makes its directory
	reading       // reads its file
	joining       // has neither file nor ID: announces its directory
	naming        // rewrites the file before it sends a message
	serving
	stopped // for good: see Failure
)

var phaseNames = [...]string{"closed", "making", "reading", "joining", "naming", "serving", "stopped"}

// String returns the name of p.
func (p phase) String() string { return phaseNames[p] }

// New returns a closed member.
func New(config Config) *Log {
	n := len(config.Addresses)
	assert.That(n == 1 || n == 3 || n == 5, "a meta log of %d members, want 1, 3 or 5", n)
	assert.That(slices.IsSorted(config.Addresses), "addresses %v do not ascend", config.Addresses)
	assert.That(len(config.Founders) == n, "%d directories of %d founding members", len(config.Founders), n)
	return &Log{
		config: config, fold: fold{machine: config.Machine, maxClients: config.MaxClients},
		disk: drive{handle: config.Seat.File, spare: config.Seat.File + 1},
	}
}

// Open begins to open the member of a data directory; call it once in a life of the process. The
// identity of the directory must be durable.
func (l *Log) Open(e env.Env, directory env.Nonce) {
	l.directory = directory
	l.elections.tickAt = e.Now()
	l.arm(e)
	l.makeDirectory(e)
}

// Owns reports whether an event belongs to the log, by its Seat.
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

// Step handles an event that the log owns. Outcomes may be there afterwards.
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

// stop ends the member's part for good. Other members go on without it.
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

// Failure returns the reason that the member stopped, nil if it has not. It matches ErrCorrupt,
// ErrOutdated or wal.ErrVersion. Failures of the disk end the process instead, because the node's
// own file has failed.
func (l *Log) Failure() error { return l.failure }

// Status is the observable state of a member: plain numbers.
type Status struct {
	Member    MemberID // 0 until the file is read
	Term      Term
	Leader    MemberID // as far as the member knows; itself if it leads
	Applied   Position
	Committed Index
	Serving   bool // it takes part
	Joining   bool // the configuration that it knows does not include it
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

// Members returns the members as of Status.Applied, ascending.
func (l *Log) Members() []MemberID {
	var members []MemberID
	for _, id := range l.configuration.GetVoters() {
		members = append(members, MemberID(id))
	}
	return members
}

// Quorums returns the sets of members that must each have a majority, as of Status.Applied: one, or
// two while members are being replaced.
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
