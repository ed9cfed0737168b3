package metalog

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/zeebo/xxh3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/layout"
	"github.com/tidaldb/tidalsim/core/wal"
)

// StateMachine applies the commands of the log. It is a pure function of the commands: two machines
// with the same commands give the same results and the same snapshots, to the byte. Argument slices
// belong to the caller and are valid during the call; results belong to the log.
type StateMachine interface {
	// Apply applies the command at an index and returns its result. Indexes ascend, with gaps. The
	// machine decides whether a command has an effect: a failed comparison is a result. An error says
	// that the machine does not know the command; the member then stops, so that it never skips a
	// command that other members carry out.
	Apply(index Index, command []byte) ([]byte, error)
	// Snapshot returns the whole state.
	Snapshot() []byte
	// Restore replaces the state by one that Snapshot returned.
	Restore(state []byte) error
}

// Position is how far a member has applied the log. Chain is a running hash of all entries of every
// type, so equal indexes mean equal chains.
type Position struct {
	Index Index
	Chain uint64
}

// session is the last command of a client.
type session struct {
	client, number uint64
	index          Index
	result         []byte
}

// fold is the state after the applied entries. Invariant: sessions ascend by client, and each
// client's number is its highest applied one.
type fold struct {
	machine    StateMachine
	maxClients int
	applied    Position
	sessions   []session
	members    []admittance // all present and former members, in the order of their admission
}

// admittance is a member and its data directory.
type admittance struct {
	member    MemberID
	directory env.Nonce
}

// admit records a member. A former member stays recorded, because its directory is never admitted
// again.
func (f *fold) admit(id MemberID, directory env.Nonce) {
	if f.memberOf(directory) == 0 {
		f.members = append(f.members, admittance{id, directory})
	}
}

// memberOf returns the member that a directory is, or was; 0 if it never was one.
func (f *fold) memberOf(directory env.Nonce) MemberID {
	for _, a := range f.members {
		if a.directory == directory {
			return a.member
		}
	}
	return 0
}

// Data of an entry, little endian, part of the format; never change:
//
//	 0    8  client
//	 8    8  number
//	16    n  command

func appendCommand(dst []byte, client, number uint64, command []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, client)
	dst = binary.LittleEndian.AppendUint64(dst, number)
	return append(dst, command...)
}

// advance moves the position to an entry.
func (f *fold) advance(entry *raftpb.Entry) {
	assert.That(Index(entry.GetIndex()) == f.applied.Index+1, "entry %d follows %d", entry.GetIndex(), f.applied.Index)
	head := binary.LittleEndian.AppendUint64(nil, f.applied.Chain)
	head = binary.LittleEndian.AppendUint64(head, entry.GetIndex())
	head = binary.LittleEndian.AppendUint64(head, entry.GetTerm())
	head = append(head, byte(entry.GetType()))
	f.applied = Position{Index(entry.GetIndex()), xxh3.Hash(append(head, entry.GetData()...))}
}

// apply applies the command in an entry's data, at most once, and returns the outcome for its
// proposer. For an entry that this binary cannot apply the error wraps wal.ErrVersion.
func (f *fold) apply(index Index, data []byte) (Outcome, error) {
	if len(data) == 0 { // a new leader's empty entry
		return Outcome{}, nil
	}
	r := layout.Of(data)
	client, number, command := r.Uint64(), r.Uint64(), r.Bytes(r.Len())
	if err := r.End(); err != nil {
		return Outcome{}, fmt.Errorf("%w: entry %d has %d bytes and no command: %w", wal.ErrVersion, index, len(data), err)
	}
	if out, seen := f.remembered(client, number); seen {
		return out, nil
	}
	out := Outcome{Client: client, Number: number, Index: index}
	i, known := f.find(client)
	if !known {
		if len(f.sessions) == f.maxClients {
			out.Err = ErrClients
			return out, nil
		}
		f.sessions = slices.Insert(f.sessions, i, session{client: client})
	}
	result, err := f.machine.Apply(index, command)
	if err != nil {
		return Outcome{}, fmt.Errorf("%w: entry %d: %w", wal.ErrVersion, index, err)
	}
	out.Result = result
	f.sessions[i] = session{client, number, index, out.Result}
	return out, nil
}

// remembered returns the outcome of a number that is not above the client's last.
func (f *fold) remembered(client, number uint64) (Outcome, bool) {
	i, known := f.find(client)
	if !known || number > f.sessions[i].number {
		return Outcome{}, false
	}
	s, out := &f.sessions[i], Outcome{Client: client, Number: number}
	if number < s.number {
		out.Err = ErrSuperseded
	} else {
		out.Index, out.Result = s.index, s.result
	}
	return out, true
}

func (f *fold) find(client uint64) (int, bool) {
	return slices.BinarySearchFunc(f.sessions, client, func(s session, client uint64) int {
		return cmp.Compare(s.client, client)
	})
}

// State, little endian, part of the format; never change:
//
//	     0    8  chain at the index that is stored beside the state
//	     8    4  number of sessions; then each:
//	          8  client
//	          8  number
//	          8  index
//	          4  length r of the result
//	          r  result
//	     .    4  number of members that were ever admitted; then each:
//	          8  member
//	         16  data directory
//	and then the machine's own

const (
	sessionMin     = 28
	admittanceSize = 24
)

func (f *fold) append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, f.applied.Chain)
	dst = le.AppendUint32(dst, uint32(len(f.sessions)))
	for _, s := range f.sessions {
		dst = le.AppendUint64(dst, s.client)
		dst = le.AppendUint64(dst, s.number)
		dst = le.AppendUint64(dst, uint64(s.index))
		dst = le.AppendUint32(dst, uint32(len(s.result)))
		dst = append(dst, s.result...)
	}
	dst = le.AppendUint32(dst, uint32(len(f.members)))
	for _, a := range f.members {
		dst = appendNonce(le.AppendUint64(dst, uint64(a.member)), a.directory)
	}
	return append(dst, f.machine.Snapshot()...)
}

var errState = errors.New("a state that nobody wrote")

// restore replaces everything by a state that append wrote, at an index.
func (f *fold) restore(index Index, state []byte) error {
	r := reader{layout.Of(state)}
	applied, sessions, members := Position{index, r.Uint64()}, []session(nil), []admittance(nil)
	for range r.Count(sessionMin) {
		s := session{client: r.Uint64(), number: r.Uint64(), index: Index(r.Uint64())}
		s.result = slices.Clone(r.Bytes(int(r.Uint32())))
		sessions = append(sessions, s)
	}
	for range r.Count(admittanceSize) {
		members = append(members, admittance{MemberID(r.Uint64()), r.nonce()})
	}
	machine := r.Bytes(r.Len())
	if err := r.End(); err != nil {
		return fmt.Errorf("%w: %d bytes: %w", errState, len(state), err)
	}
	f.applied, f.sessions, f.members = applied, sessions, members
	return f.machine.Restore(machine)
}
