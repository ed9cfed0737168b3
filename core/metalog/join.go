package metalog

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/env"
)

// A member is a data directory. One that the founding file does not name, because the disk
// of a founder was lost or replaced, is admitted like this:
//
//  1. It announces its directory to all addresses, again and again.
//  2. The leader answers with a challenge, which the next announcement repeats. So an
//     announcement that the network delivers late admits nobody.
//  3. The leader proposes one change, which removes the member that was at that address and
//     adds the directory under an ID that no other member ever had. raft carries it out
//     through a joint configuration, so that both majorities agree at every moment.
//  4. The leader tells the process its ID. Its file is durable before it takes part.
//
// At most a minority may be replaced at a time: until the new member has caught up, its
// votes and its copy count for nothing.
//
// An older copy of a directory that is started again has the ID, and lacks votes and
// entries that were given and acknowledged since. So each message says how often its
// sender was started, as the sender's disk counts it; the others keep the highest count
// that they have seen, durably before they heed it, and a member that shows a lower one is
// not counted, is told so, and stops. A copy that was made and started within one start of
// the original cannot be told from it (docs/failure-model.md).

// sighting is the most starts of a member that were seen.
type sighting struct {
	member MemberID
	starts uint64
}

// see adds a sighting to a list that ascends by member. Counts never go back.
func see(list []sighting, s sighting) []sighting {
	i, found := slices.BinarySearchFunc(list, s.member, func(x sighting, id MemberID) int { return cmp.Compare(x.member, id) })
	if !found {
		return slices.Insert(list, i, s)
	}
	list[i].starts = max(list[i].starts, s.starts)
	return list
}

// startsOf returns the most starts of a member that a list has; nobody was started less
// than once.
func startsOf(list []sighting, id MemberID) uint64 {
	for _, s := range list {
		if s.member == id {
			return s.starts
		}
	}
	return 1
}

// held is a message of another member.
type held struct {
	from   MemberID
	starts uint64
	kind   byte
	body   []byte
}

// maxHeld bounds the messages that wait until it is durable how often their senders were
// started. To raft the others are lost.
const maxHeld = 64

// counts reports whether a message is to be heeded now: its sender was not started more
// often, as far as anybody here has seen. One that was started anew waits until that is
// durable.
func (l *Log) counts(e env.Env, m *held) bool {
	switch durable := startsOf(l.seen, m.from); {
	case m.starts < durable:
		l.post(e, m.from, messageOutdated, durable, binary.LittleEndian.AppendUint64(nil, durable))
		return false
	case m.starts == durable:
		return true
	}
	if startsOf(l.unwritten, m.from) < m.starts {
		l.unwritten = append(l.unwritten, sighting{m.from, m.starts})
	}
	if len(l.held) < maxHeld {
		m.body = slices.Clone(m.body)
		l.held = append(l.held, *m)
	}
	return false
}

// sawDurably heeds what has waited for the first n sightings to be durable.
func (l *Log) sawDurably(e env.Env, n int) {
	if n == 0 {
		return
	}
	for _, s := range l.unwritten[:n] {
		l.seen = see(l.seen, s)
	}
	l.unwritten = slices.Delete(l.unwritten, 0, n)
	waited := l.held
	l.held = nil
	for i := range waited {
		if l.phase == serving && l.counts(e, &waited[i]) {
			l.heed(e, &waited[i])
		}
	}
}

// announceEvery is the ticks between the announcements of who is not yet a member.
const announceEvery = 5

func (l *Log) isMember(id MemberID) bool {
	return slices.Contains(l.configuration.GetVoters(), uint64(id)) ||
		slices.Contains(l.configuration.GetVotersOutgoing(), uint64(id))
}

// announce tells every other address of a directory that waits to be a member:
// directory 16, challenge 8.
func (l *Log) announce(e env.Env) {
	if l.phase == serving && (l.ticks%announceEvery != 0 || l.isMember(l.member)) || l.phase == joining && l.ticks%2 != 0 {
		return
	}
	le := binary.LittleEndian
	body := le.AppendUint64(le.AppendUint64(nil, l.directory.A), l.directory.B)
	body = le.AppendUint64(body, l.challenge)
	for _, address := range l.config.Addresses {
		if address != e.Self() {
			l.postAt(e, address, 0, messageAnnouncement, 0, body)
		}
	}
}

// challengeFor is for how many ticks a leader gives the same challenge, which then is
// good for as long again.
const challengeFor = 50

func (l *Log) challengeAt(e env.Env, ticks uint64) uint64 {
	return e.Nonce().B + ticks/challengeFor + 1
}

// announced lets the leader answer a directory that is at an address, or admit it.
func (l *Log) announced(e env.Env, at env.ID, body []byte) {
	if l.phase != serving || len(body) != 24 || !l.leads() {
		return
	}
	le := binary.LittleEndian
	directory, challenge := env.Nonce{A: le.Uint64(body), B: le.Uint64(body[8:])}, le.Uint64(body[16:])
	if id := l.fold.memberOf(directory); id != 0 {
		l.tellMember(e, at, directory, id)
		return
	}
	now, before := l.challengeAt(e, l.ticks), l.challengeAt(e, max(l.ticks, challengeFor)-challengeFor)
	if challenge != now && challenge != before {
		l.postAt(e, at, 0, messageChallenge, now, le.AppendUint64(nil, now))
		return
	}
	if len(l.configuration.GetVotersOutgoing()) > 0 {
		return
	}
	if l.admitting != l.term() {
		l.admitting, l.admitted = l.term(), 0
	}
	old, known := memberAt(l.Members(), at)
	number, numbered := admission(l.term(), l.admitted)
	if known && numbered {
		l.admitted++
		_ = l.raft.ProposeConfChange(replacement(old, joiner(at, number), directory)) // dropped: it will be announced again
	}
}

// tellMember tells a directory under which ID it is a member, or that it is none any more:
// directory 16, ID 8. Another directory may be at the address when the answer arrives.
func (l *Log) tellMember(e env.Env, at env.ID, directory env.Nonce, id MemberID) {
	le := binary.LittleEndian
	switch {
	case id.Address() != at:
	case l.isMember(id):
		body := le.AppendUint64(le.AppendUint64(nil, directory.A), directory.B)
		l.postAt(e, at, 0, messageAdmitted, uint64(id), le.AppendUint64(body, uint64(id)))
	default:
		l.postAt(e, at, id, messageOutdated, uint64(id), le.AppendUint64(nil, ^uint64(0)))
	}
}

// answered takes an answer to an announcement, or to a message that was not counted.
func (l *Log) answered(e env.Env, m *held) {
	le, body := binary.LittleEndian, m.body
	if m.kind == messageAdmitted {
		// An answer to the directory that was here before, and is lost, does not concern this one.
		if len(body) != 24 || le.Uint64(body) != l.directory.A || le.Uint64(body[8:]) != l.directory.B {
			return
		}
		body = body[16:]
	}
	if len(body) != 8 {
		return
	}
	value := le.Uint64(body)
	switch {
	case m.kind == messageChallenge && value != l.challenge:
		l.challenge = value
		l.announce(e)
	case m.kind == messageAdmitted && l.phase == joining && MemberID(value).Address() == e.Self():
		l.enter(e, MemberID(value))
	case m.kind == messageOutdated && l.phase == serving && value > l.starts:
		l.stop(fmt.Errorf("%w: %s was started %d times by its own count, and %s has seen more", ErrOutdated, l.member, l.starts, m.from))
	}
}

func memberAt(members []MemberID, at env.ID) (MemberID, bool) {
	i := slices.IndexFunc(members, func(old MemberID) bool { return old.Address() == at })
	if i < 0 {
		return 0, false
	}
	return members[i], true
}

// replacement is the change that admits a directory, which is its context.
func replacement(old, id MemberID, directory env.Nonce) *raftpb.ConfChangeV2 {
	le := binary.LittleEndian
	return &raftpb.ConfChangeV2{
		Changes: []*raftpb.ConfChangeSingle{
			{Type: raftpb.ConfChangeAddNode.Enum(), NodeId: new(uint64(id))},
			{Type: raftpb.ConfChangeRemoveNode.Enum(), NodeId: new(uint64(old))},
		},
		Context: le.AppendUint64(le.AppendUint64(nil, directory.A), directory.B),
	}
}

// admits notes the directory that a change admits.
func (l *Log) admits(change *raftpb.ConfChangeV2) {
	le, context := binary.LittleEndian, change.GetContext()
	for _, c := range change.GetChanges() {
		if c.GetType() == raftpb.ConfChangeAddNode && len(context) == 16 {
			l.fold.admit(MemberID(c.GetNodeId()), env.Nonce{A: le.Uint64(context), B: le.Uint64(context[8:])})
		}
	}
}
