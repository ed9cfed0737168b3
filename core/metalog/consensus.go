package metalog

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/layout"
)

// This file connects raft to the rest of the member: it routes raft's messages and writes, and
// passes events to raft.

// Bounds of raft's work in progress.
const (
	maxAppend   = 64 << 10 // bytes of entries in one message, but one entry at least
	maxInflight = 64       // messages to one follower without an answer
	maxApply    = 1 << 20  // bytes of committed entries applied at once
	maxUnstable = 8 << 20  // bytes of entries that are not committed; beyond it: ErrNoLeader
)

// storage is raft's view of the file, in memory. It makes a snapshot for a follower on request,
// from the applied state: a snapshot from before a member joined would be of no use to that member.
type storage struct {
	*raft.MemoryStorage
	log *Log
}

// Snapshot implements raft.Storage.
func (s *storage) Snapshot() (*raftpb.Snapshot, error) { return s.log.snapshot() }

// snapshot returns the applied state.
func (l *Log) snapshot() (*raftpb.Snapshot, error) {
	term, err := l.storage.Term(uint64(l.fold.applied.Index))
	if err != nil {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &raftpb.Snapshot{Data: l.fold.append(nil), Metadata: &raftpb.SnapshotMetadata{
		Index: new(uint64(l.fold.applied.Index)), Term: new(term), ConfState: proto.CloneOf(l.configuration),
	}}, nil
}

// start lets raft continue from the content of the file.
func (l *Log) start(e env.Env, c *content) error {
	l.storage = &storage{raft.NewMemoryStorage(), l}
	l.configuration = raftpb.EnsureConfState(c.snapshot.GetMetadata().GetConfState())
	index := c.snapshot.GetMetadata().GetIndex()
	if index > 0 {
		if err := l.restore(c.snapshot); err != nil {
			return err
		}
	}
	must(l.storage.SetHardState(c.votes))
	must(l.storage.Append(c.entries))
	node, err := raft.NewRawNode(&raft.Config{
		ID: uint64(l.member), Storage: l.storage, Applied: index, AsyncStorageWrites: true,
		ElectionTick: ElectionTicks, HeartbeatTick: 1, CheckQuorum: true, PreVote: true, StepDownOnRemoval: true,
		MaxSizePerMsg: maxAppend, MaxInflightMsgs: maxInflight, MaxCommittedSizePerReady: maxApply, MaxUncommittedEntriesSize: maxUnstable,
		Logger: silence{},
	})
	must(err)
	l.raft = node
	l.phase = serving
	l.elections.redraw = true
	l.await(e)
	if len(l.config.Addresses) == 1 { // no other member can lead
		l.stand(e)
		return nil
	}
	if index == 1 && len(c.entries) == 0 && c.votes.GetTerm() == 1 && e.Self() == l.config.Addresses[0] {
		// There has been no leader yet, and the others wait.
		l.elections.at = e.Now().Add(l.config.Tick)
		l.arm(e)
	}
	return nil
}

// restore replaces the applied state.
func (l *Log) restore(snapshot *raftpb.Snapshot) error {
	meta := snapshot.GetMetadata()
	must(l.storage.ApplySnapshot(&raftpb.Snapshot{Metadata: meta})) // the fold keeps the state
	l.configuration = raftpb.EnsureConfState(meta.GetConfState())
	return l.fold.restore(Index(meta.GetIndex()), snapshot.GetData())
}

func must(err error) { assert.That(err == nil, "raft's storage in memory: %v", err) }

// pump carries out raft's requests until it has none.
func (l *Log) pump(e env.Env) {
	if l.phase != serving {
		return
	}
	for l.raft.HasReady() {
		ready := l.raft.Ready()
		l.readable(ready.ReadStates)
		if ready.SoftState != nil {
			l.await(e)
		}
		for _, m := range ready.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				l.disk.queue = append(l.disk.queue, m)
			case raft.LocalApplyThread:
				if l.apply(m.GetEntries()); l.phase != serving {
					return
				}
				l.deliver(e, m.GetResponses())
			default:
				l.send(e, m)
			}
		}
	}
	l.answerReads()
	l.flush(e)
}

// deliver sends messages that had to wait for a write.
func (l *Log) deliver(e env.Env, messages []*raftpb.Message) {
	for _, m := range messages {
		if m.GetTo() == uint64(l.member) {
			_ = l.raft.Step(m) // a response to this member may be out of date
		} else {
			l.send(e, m)
		}
	}
}

// apply applies committed entries. The member stops at one that it cannot apply.
func (l *Log) apply(entries []*raftpb.Entry) {
	for _, entry := range entries {
		l.fold.advance(entry)
		if entry.GetType() != raftpb.EntryNormal {
			change := changeIn(entry)
			l.admits(change)
			l.configuration = l.raft.ApplyConfChange(change)
			continue
		}
		out, err := l.fold.apply(l.fold.applied.Index, entry.GetData())
		if err != nil {
			l.stop(err)
			return
		}
		if out.Number > 0 {
			l.answer(out)
		}
	}
}

func changeIn(entry *raftpb.Entry) *raftpb.ConfChangeV2 {
	assert.That(entry.GetType() == raftpb.EntryConfChangeV2, "entry %d is of type %d", entry.GetIndex(), entry.GetType())
	change := new(raftpb.ConfChangeV2)
	err := proto.Unmarshal(entry.GetData(), change)
	assert.That(err == nil, "entry %d: %v", entry.GetIndex(), err)
	return change
}

// Time. One timer serves both the tick and the next election. The leader's heartbeats and all
// deadlines are counted in ticks.

// elections is the election timer of a member that does not lead.
type elections struct {
	tickAt   env.Time     // next tick
	at       env.Time     // length of the silence to wait for, drawn per term and campaign
	span     env.Duration // of silence that is waited for, drawn per term and campaign
	term     Term         // that span was drawn in
	campaign uint32       // campaigns since the start
	redraw   bool
}

func (l *Log) leads() bool { return l.raft.BasicStatus().RaftState == raft.StateLeader }

// await restarts the election timer after a sign of the leader.
func (l *Log) await(e env.Env) {
	t := &l.elections
	if term := l.term(); term != t.term || t.redraw {
		t.term, t.redraw = term, false
		least := uint64(ElectionTicks * l.config.Tick)
		chance := e.Chance(env.Key{
			Kind: l.config.Seat.Key + keyElection, B: uint64(term), Attempt: t.campaign,
		})
		more, _ := bits.Mul64(chance, least)
		t.span = env.Duration(least + more)
	}
	t.at = e.Now().Add(t.span)
	l.arm(e)
}

// arm sets the timer for the next deadline.
func (l *Log) arm(e env.Env) {
	at := l.elections.tickAt
	if l.phase == serving && !l.leads() {
		at = min(at, l.elections.at)
	}
	e.SetTimer(l.config.Seat.Timer, at)
}

// timer handles an expired timer. A clock that stepped back must not stop the log.
func (l *Log) timer(e env.Env) {
	t, now := &l.elections, e.Now()
	if now >= t.tickAt || t.tickAt.Sub(now) > l.config.Tick {
		t.tickAt = now.Add(l.config.Tick)
		l.ticks++
		l.tick(e)
	}
	if l.phase == serving && !l.leads() && (now >= t.at || t.at.Sub(now) > t.span) {
		l.stand(e)
	}
	l.arm(e)
}

func (l *Log) tick(e env.Env) {
	l.retryDisk(e)
	if l.phase == joining {
		l.announce(e)
	}
	if l.phase != serving {
		return
	}
	if l.leads() {
		l.raft.Tick()
		l.yield(e)
	}
	l.expire()
	l.resend(e)
	l.announce(e)
	l.isHere(e)
}

// stand makes the member a candidate. raft ignores other members while it believes in a leader. It
// never loses that belief by itself, since it is not ticked, so stand makes it forget the leader.
func (l *Log) stand(e env.Env) {
	l.elections.campaign++
	l.elections.redraw = true
	if l.stalled(e) { // as a leader it could apply nothing
		l.await(e)
		return
	}
	_ = l.raft.ForgetLeader()
	_ = l.raft.Campaign() // raft refuses if this node is not a member
	l.await(e)
}

// Messages, in an envelope of package wal after the seat's prefix, little endian, part of the format;
// never change:
//
//	     0    8  cluster
//	     8    8  from, member
//	    16    8  to, member; 0 of an announcement
//	    24    8  number of the sender's start, as its disk counts them
//	    32   16  nonce of that start
//	    48    1  kind: 1 raft, 2 chunk, 3 chunk taken, 4 announcement, 5 challenge, 6 admitted, 7 outdated,
//	             8 which start, 9 that start, 10 here
//	    49    n  body
//
// Bodies:
//
//	raft           protobuf raftpb.Message
//	chunk          as drawn at chunkHeader, likewise chunk taken
//	announcement   directory 16, challenge 8
//	challenge      challenge 8
//	admitted       directory 16, member 8
//	outdated       number of the start 8, nonce 16
//	which start    number of the start 8
//	that start     number of the start 8, nonce 16, which is zero if it is no longer known
//	here           empty

const messageHeader = 49

const (
	messageRaft = iota + 1
	messageChunk
	messageTaken
	messageAnnouncement
	messageChallenge
	messageAdmitted
	messageOutdated
	messageWhich
	messageThat
	messageHere
)

// send sends a message of raft, a snapshot in chunks.
func (l *Log) send(e env.Env, m *raftpb.Message) {
	if m.GetType() == raftpb.MsgSnap {
		l.transfer(e, m)
		return
	}
	place := max(m.GetIndex(), m.GetCommit()) << 8
	l.post(e, MemberID(m.GetTo()), messageRaft, place|uint64(m.GetType()), marshal(m))
}

// post sends one message. place tells the messages of one tick apart in the key.
func (l *Log) post(e env.Env, to MemberID, kind byte, place uint64, body []byte) {
	l.postAt(e, to.Address(), to, kind, place, body)
}

func (l *Log) postAt(e env.Env, at env.ID, to MemberID, kind byte, place uint64, body []byte) {
	from := l.member
	if kind == messageAnnouncement { // a node that announces itself may have no ID
		from = Founder(e.Self())
	}
	m := held{from: from, start: lastOf(l.starts), kind: kind, body: body}
	b := m.append([]byte{l.config.Seat.Prefix}, l.config.Cluster, to)
	e.Charge(env.Duration(len(b)/1024+1) * l.config.PerKiB)
	e.Send(at, env.Key{
		Kind: l.config.Seat.Key + keySend, B: place<<4 | uint64(kind), Attempt: uint32(l.ticks),
	}, b)
}

// append appends the message in its envelope.
func (m *held) append(dst []byte, cluster uint64, to MemberID) []byte {
	start, le, envelope := len(dst), binary.LittleEndian, messageEnvelope()
	dst = le.AppendUint64(envelope.Begin(dst), cluster)
	dst = le.AppendUint64(le.AppendUint64(dst, uint64(m.from)), uint64(to))
	dst = append(append(appendStart(dst, m.start), m.kind), m.body...)
	envelope.Finish(dst[start:])
	return dst
}

// message handles a message from the network. It drops a damaged message, one for another member,
// and one whose sender is not at the address in its ID; raft treats them as lost.
func (l *Log) message(e env.Env, ev *env.Event) {
	envelope := messageEnvelope()
	body, err := envelope.Open(ev.Data[1:])
	if err != nil || l.phase != serving && l.phase != joining {
		return
	}
	r := reader{layout.Of(body)}
	cluster, m := r.Uint64(), held{from: MemberID(r.Uint64())}
	to := MemberID(r.Uint64())
	m.start, m.kind, m.body = r.start(), r.Uint8(), r.Bytes(r.Len())
	if r.End() != nil || cluster != l.config.Cluster || m.from.Address() != ev.From {
		return
	}
	e.Charge(env.Duration(len(body)/1024+1) * l.config.PerKiB)
	switch {
	case m.kind == messageAnnouncement:
		l.announced(e, ev.From, m.body)
	case m.kind == messageChallenge || m.kind == messageAdmitted || m.kind == messageOutdated && to == l.member:
		l.answered(e, &m)
	case l.phase != serving || to != l.member:
	case m.kind == messageWhich:
		l.asked(e, &m)
	case m.kind == messageThat:
		l.shown(e, &m)
	case l.counts(e, &m):
		l.heed(e, &m)
	}
}

// heed handles a message of another member that counts.
func (l *Log) heed(e env.Env, m *held) {
	from, body := m.from, m.body
	switch m.kind {
	case messageRaft:
		l.stepRaft(e, from, body)
	case messageChunk:
		l.takeChunk(e, from, body)
	case messageTaken:
		l.chunkTaken(e, from, body)
	}
}

// stepRaft passes a message to raft, and restarts the election timer on a sign of the leader.
func (l *Log) stepRaft(e env.Env, from MemberID, body []byte) {
	m := new(raftpb.Message)
	if proto.Unmarshal(body, m) != nil || m.GetFrom() != uint64(from) && m.GetType() != raftpb.MsgTransferLeader {
		return // From of a transfer is the member that is to lead
	}
	if l.lost(m) {
		return
	}
	_ = l.raft.Step(m) // raft rejects stale messages
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		if Term(m.GetTerm()) >= l.term() {
			l.await(e)
		}
	}
}

func (l *Log) term() Term { return Term(l.raft.BasicStatus().HardState.GetTerm()) }

// lost stops the member if the leader has an acknowledgement of this member for entries that it
// lacks: the commit index in a heartbeat is never above the follower's acknowledged entries. Damage
// above the confirmed part of the file looks like a torn tail, and this check detects it.
func (l *Log) lost(m *raftpb.Message) bool {
	last, err := l.storage.LastIndex()
	must(err)
	if m.GetType() != raftpb.MsgHeartbeat || Term(m.GetTerm()) < l.term() || m.GetCommit() <= last {
		return false
	}
	l.stop(&CorruptError{l.path(), l.disk.size, fmt.Sprintf(
		"entries end at %d, and %s has an acknowledgement of %d", last, MemberID(m.GetFrom()), m.GetCommit())})
	return true
}
