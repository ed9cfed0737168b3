package metalog

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/layout"
)

// A member is a data directory. A directory that the founding file does not name, because the disk
// of a founder was lost or replaced, is admitted like this:
//
//  1. The process announces its directory to all addresses, repeatedly.
//  2. The leader answers with a challenge, and the next announcement repeats the challenge. So a
//     delayed announcement admits no directory.
//  3. The leader proposes one change: it removes the member at that address and adds the
//     directory under an ID that no other member ever had. raft applies it through a joint
//     configuration, so that both majorities agree at every moment.
//  4. The leader sends the process its ID. The process makes its file durable before it takes
//     part.
//
// At most a minority may be replaced at a time: a new member's votes and copy count only after it
// has caught up.
//
// A process may be started on an older copy of a directory. The copy has the member's ID, but lacks
// votes and entries that the member has acknowledged since. So each message names the start of its
// sender: the number of the start, as the sender's disk counts them, and its nonce. The file of a
// member has the nonces of its last starts.
//
//  1. Member A receives a message from a start of member B that is new to A. A asks B for the
//     nonce of the last start of B that A has seen.
//  2. B answers from its file. A copy from before that start answers another nonce, or none: A
//     sends it an "outdated", and it stops.
//  3. Otherwise A makes the new start durable and accepts messages of B from then on. Messages
//     of B wait until then.
//  4. If A has seen a later start of B, or another nonce for the same number, this start is
//     outdated at once.
//  5. B repeats its start to all members, even to those that it has no other message for.
//
// A copy made within the last start that the other members saw cannot be told from the original, as
// far as its file goes (docs/failure-model.md).

// start names a start of a member: its number, from 1, and its nonce. Number 0 means none.
type start struct {
	number uint64
	nonce  env.Nonce
}

// maxStarts bounds the starts of a member in its file. A member that started more often since
// another member last heard of it is outdated to that member.
const maxStarts = 64

// startAgain appends a start to those of a member.
func startAgain(starts []start, nonce env.Nonce) []start {
	next := start{lastOf(starts).number + 1, nonce}
	return append(slices.Clone(starts[max(0, len(starts)+1-maxStarts):]), next)
}

// lastOf returns the last start of a member.
func lastOf(starts []start) start {
	if len(starts) == 0 {
		return start{}
	}
	return starts[len(starts)-1]
}

// sighting is the last start of another member that this member has seen.
type sighting struct {
	member MemberID
	start
}

// see adds a sighting to a list that ascends by member. Starts never go back.
func see(list []sighting, s sighting) []sighting {
	i, found := slices.BinarySearchFunc(list, s.member, func(x sighting, id MemberID) int { return cmp.Compare(x.member, id) })
	if !found {
		return slices.Insert(list, i, s)
	}
	if list[i].number < s.number {
		list[i].start = s.start
	}
	return list
}

// seenOf returns the last start of a member in a list.
func seenOf(list []sighting, id MemberID) (last start) {
	for _, s := range list {
		if s.member == id && s.number > last.number {
			last = s.start
		}
	}
	return last
}

// held is a message of another member.
type held struct {
	from  MemberID
	start start // of the sender
	kind  byte
	body  []byte
}

// maxHeld bounds the messages that wait until the start of their sender is durable here. raft
// treats further ones as lost.
const maxHeld = 64

// counts reports whether to accept a message now: the start of its sender is the last one that is
// durable here. A message of a later start waits until that start is durable, after the sender has
// shown that it knows the start before.
func (l *Log) counts(e env.Env, m *held) bool {
	switch last := seenOf(l.seen, m.from); {
	case m.start == last:
		return true
	case m.start.number <= last.number:
		l.outdates(e, m.from, last)
		return false
	case seenOf(l.unwritten, m.from).number >= m.start.number: // it is being written to the disk
	case last.number == 0: // this is the member's first start here
		l.unwritten = append(l.unwritten, sighting{m.from, m.start})
	default:
		l.post(e, m.from, messageWhich, last.number, binary.LittleEndian.AppendUint64(nil, last.number))
	}
	if len(l.held) < maxHeld {
		m.body = slices.Clone(m.body)
		l.held = append(l.held, *m)
	}
	return false
}

// isHere sends this member's start to members that get no other messages from it. A follower
// answers only its leader, but the other members must also learn that earlier starts are over.
func (l *Log) isHere(e env.Env) {
	if l.ticks%announceEvery != 1 || l.leads() || !l.isMember(l.member) {
		return
	}
	leader := l.raft.BasicStatus().Lead
	for _, id := range l.configuration.GetVoters() {
		if id != uint64(l.member) && id != leader {
			l.post(e, MemberID(id), messageHere, 0, nil)
		}
	}
}

// outdates tells a member that its start is not after the last one that was seen.
func (l *Log) outdates(e env.Env, id MemberID, last start) {
	l.post(e, id, messageOutdated, last.number, appendStart(nil, last))
}

// asked sends another member the nonce of one of this member's starts: number 8, nonce 16, which is
// zero if it is no longer known.
func (l *Log) asked(e env.Env, m *held) {
	r := layout.Of(m.body)
	told := start{number: r.Uint64()}
	if r.End() != nil {
		return
	}
	for _, s := range l.starts {
		if s.number == told.number {
			told = s
		}
	}
	l.post(e, m.from, messageThat, told.number, appendStart(nil, told))
}

// shown handles a member's answer about the last start of it that was seen here.
func (l *Log) shown(e env.Env, m *held) {
	last, unwritten := seenOf(l.seen, m.from), seenOf(l.unwritten, m.from)
	r := reader{layout.Of(m.body)}
	told := r.start()
	if r.End() != nil || m.start.number <= max(last.number, unwritten.number) {
		return
	}
	switch {
	case told.number != last.number: // the answer to an earlier question
	case told != last:
		l.held = slices.DeleteFunc(l.held, func(x held) bool { return x.from == m.from && x.start == m.start })
		l.outdates(e, m.from, last)
	default:
		l.unwritten = append(l.unwritten, sighting{m.from, m.start})
	}
}

// sawDurably accepts the messages that waited until the first n sightings are durable.
func (l *Log) sawDurably(e env.Env, n int) {
	if n == 0 {
		return
	}
	for _, s := range l.unwritten[:n] {
		l.seen = see(l.seen, s)
	}
	l.unwritten = slices.Delete(l.unwritten, 0, n)
	waited := l.held
	l.held = nil // counts holds the rest again
	for i := range waited {
		if l.phase == serving && l.counts(e, &waited[i]) {
			l.heed(e, &waited[i])
		}
	}
}

// announceEvery is the number of ticks between the announcements of a node that is not a member
// yet.
const announceEvery = 5

func (l *Log) isMember(id MemberID) bool {
	return slices.Contains(l.configuration.GetVoters(), uint64(id)) ||
		slices.Contains(l.configuration.GetVotersOutgoing(), uint64(id))
}

// announce sends every other address an announcement of a directory that waits to be a member:
// directory 16, challenge 8.
func (l *Log) announce(e env.Env) {
	if l.phase == serving && (l.ticks%announceEvery != 0 || l.isMember(l.member)) || l.phase == joining && l.ticks%2 != 0 {
		return
	}
	body := binary.LittleEndian.AppendUint64(appendNonce(nil, l.directory), l.challenge)
	for _, address := range l.config.Addresses {
		if address != e.Self() {
			l.postAt(e, address, 0, messageAnnouncement, 0, body)
		}
	}
}

// challengeFor is the number of ticks for which a leader gives the same challenge. A challenge
// stays valid as long again.
const challengeFor = 50

func (l *Log) challengeAt(e env.Env, ticks uint64) uint64 {
	return e.Nonce().B + ticks/challengeFor + 1
}

// announced lets the leader challenge a directory at an address, or admit it.
func (l *Log) announced(e env.Env, at env.ID, body []byte) {
	r := reader{layout.Of(body)}
	directory, challenge := r.nonce(), r.Uint64()
	if l.phase != serving || r.End() != nil || !l.leads() {
		return
	}
	if id := l.fold.memberOf(directory); id != 0 {
		l.tellMember(e, at, directory, id)
		return
	}
	now, before := l.challengeAt(e, l.ticks), l.challengeAt(e, max(l.ticks, challengeFor)-challengeFor)
	if challenge != now && challenge != before {
		l.postAt(e, at, 0, messageChallenge, now, binary.LittleEndian.AppendUint64(nil, now))
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
		// If raft drops the change, the directory announces itself again.
		_ = l.raft.ProposeConfChange(replacement(old, joiner(at, number), directory))
	}
}

// tellMember tells a directory its ID as a member, or that it is no longer one: directory 16, ID 8.
// Another directory may be at the address when the answer arrives.
func (l *Log) tellMember(e env.Env, at env.ID, directory env.Nonce, id MemberID) {
	switch {
	case id.Address() != at:
	case l.isMember(id):
		body := binary.LittleEndian.AppendUint64(appendNonce(nil, directory), uint64(id))
		l.postAt(e, at, 0, messageAdmitted, uint64(id), body)
	default:
		l.postAt(e, at, id, messageOutdated, uint64(id), appendStart(nil, start{number: ^uint64(0)}))
	}
}

// answered handles an answer to an announcement, or to a message that was not counted.
func (l *Log) answered(e env.Env, m *held) {
	if m.kind == messageOutdated {
		l.isOutdated(m)
		return
	}
	r, directory := reader{layout.Of(m.body)}, l.directory
	if m.kind == messageAdmitted {
		directory = r.nonce()
	}
	value := r.Uint64()
	// An answer to an earlier, lost directory of this node does not concern this one.
	if r.End() != nil || directory != l.directory {
		return
	}
	switch {
	case m.kind == messageChallenge && value != l.challenge:
		l.challenge = value
		l.announce(e)
	case m.kind == messageAdmitted && l.phase == joining && MemberID(value).Address() == e.Self():
		l.enter(e, MemberID(value))
	}
}

// isOutdated stops the member if another member has seen a start that this file does not have.
func (l *Log) isOutdated(m *held) {
	r := reader{layout.Of(m.body)}
	seen := r.start()
	if l.phase != serving || r.End() != nil {
		return
	}
	if own := lastOf(l.starts); !slices.Contains(l.starts, seen) {
		l.stop(fmt.Errorf("%w: %s was started %d times by its own count, now with nonce %s, and %s has seen start %d, with nonce %s",
			ErrOutdated, l.member, own.number, own.nonce, m.from, seen.number, seen.nonce))
	}
}

func memberAt(members []MemberID, at env.ID) (MemberID, bool) {
	i := slices.IndexFunc(members, func(old MemberID) bool { return old.Address() == at })
	if i < 0 {
		return 0, false
	}
	return members[i], true
}

// replacement returns the change that admits a directory; the directory is its context.
func replacement(old, id MemberID, directory env.Nonce) *raftpb.ConfChangeV2 {
	return &raftpb.ConfChangeV2{
		Changes: []*raftpb.ConfChangeSingle{
			{Type: raftpb.ConfChangeAddNode.Enum(), NodeId: new(uint64(id))},
			{Type: raftpb.ConfChangeRemoveNode.Enum(), NodeId: new(uint64(old))},
		},
		Context: appendNonce(nil, directory),
	}
}

// admits records the directory that a change admits.
func (l *Log) admits(change *raftpb.ConfChangeV2) {
	for _, c := range change.GetChanges() {
		if c.GetType() != raftpb.ConfChangeAddNode {
			continue
		}
		r := reader{layout.Of(change.GetContext())}
		directory := r.nonce()
		assert.That(r.End() == nil, "a change admits %s with a context of %d bytes", MemberID(c.GetNodeId()), len(change.GetContext()))
		l.fold.admit(MemberID(c.GetNodeId()), directory)
	}
}
