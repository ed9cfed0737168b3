package metalog

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
)

// Outcome is the answer to a Propose or a Read. Every accepted one gets exactly one outcome, unless
// the process dies; of several proposals under one number, only the last does.
type Outcome struct {
	Read   bool
	Client uint64 // of a proposal
	Number uint64 // of a proposal; the token of a read
	// Index is that of the applied entry; for a read, the index that the machine has applied at
	// least.
	Index  Index
	Result []byte // as Apply returned it. Valid until the client's next number is applied
	Err    error  // ErrUnknown, ErrSuperseded or ErrClients
}

// pending is a proposal or a read that waits for its outcome.
type pending struct {
	client, number uint64
	deadline       uint64 // tick
	index          Index  // of a read, once known
}

// Propose puts a command into the log, to be applied at most once under (client, number). A
// client's numbers ascend from 1, and it has one command under way at a time. The address of a
// process can be the client, if a restart does not reset its numbers. An error is one of the
// refusals: this call put nothing into the log.
func (l *Log) Propose(e env.Env, client, number uint64, command []byte) error {
	assert.That(number > 0, "client %d proposes number 0", client)
	if err := l.mayAsk(len(l.proposals)); err != nil {
		return err
	}
	if len(command) > l.config.MaxCommand {
		return ErrTooLarge
	}
	if out, seen := l.fold.remembered(client, number); seen {
		l.outcomes = append(l.outcomes, out)
		return nil
	}
	if err := l.raft.Propose(appendCommand(nil, client, number, command)); err != nil {
		return ErrNoLeader
	}
	same := func(p pending) bool { return p.client == client && p.number == number }
	l.proposals = slices.DeleteFunc(l.proposals, same) // replaced by the new proposal
	l.proposals = append(l.proposals, pending{client: client, number: number, deadline: l.ticks + l.config.Deadline})
	l.pump(e)
	return nil
}

// Read requests a linearizable read of the machine. When the outcome with this token arrives, and
// within the same Step, the machine has applied everything that was committed when Read was called.
// The owner chooses tokens.
func (l *Log) Read(e env.Env, token uint64) error {
	if err := l.mayAsk(len(l.reads)); err != nil {
		return err
	}
	if l.raft.BasicStatus().Lead == raft.None {
		return ErrNoLeader
	}
	l.readCount++
	p := pending{client: e.Nonce().A + l.readCount, number: token, deadline: l.ticks + l.config.Deadline}
	l.reads = append(l.reads, p)
	l.raft.ReadIndex(l.readContext(p.client))
	l.pump(e)
	return nil
}

func (l *Log) mayAsk(waiting int) error {
	switch {
	case l.phase != serving:
		return ErrNotServing
	case waiting >= l.config.MaxPending:
		return ErrBusy
	}
	return nil
}

// readContext names a read of this member; raft returns it with the index.
func (l *Log) readContext(count uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(l.member)), count)
}

// Transfer asks the leader, wherever it is, to make the member at an address leader. The attempt
// ends after ElectionTicks; until then proposals may be dropped.
func (l *Log) Transfer(e env.Env, to env.ID) {
	if l.phase != serving {
		return
	}
	for _, member := range l.Members() {
		if member.Address() == to {
			l.raft.TransferLeader(uint64(member))
		}
	}
	l.pump(e)
}

// Outcomes returns the pending outcomes and removes them. The slice is valid until the next call of
// any method.
func (l *Log) Outcomes() []Outcome {
	out := l.outcomes
	l.outcomes = l.outcomes[:0]
	return out
}

// answer adds the outcome of a command, if its proposal waits here.
func (l *Log) answer(out Outcome) {
	for i, p := range l.proposals {
		if p.client == out.Client && p.number == out.Number {
			l.proposals = slices.Delete(l.proposals, i, i+1)
			l.outcomes = append(l.outcomes, out)
			return
		}
	}
}

// readable records the indexes that raft gave to reads.
func (l *Log) readable(states []raft.ReadState) {
	for _, state := range states {
		for i := range l.reads {
			if string(l.readContext(l.reads[i].client)) == string(state.RequestCtx) {
				l.reads[i].index = Index(state.Index)
			}
		}
	}
}

// answerReads answers the reads whose index is applied.
func (l *Log) answerReads() {
	l.reads = slices.DeleteFunc(l.reads, func(p pending) bool {
		done := p.index > 0 && p.index <= l.fold.applied.Index
		if done {
			l.outcomes = append(l.outcomes, Outcome{Read: true, Number: p.number, Index: p.index})
		}
		return done
	})
}

// expire gives up proposals and reads that have waited too long: raft silently drops them when a
// leader changes.
func (l *Log) expire() {
	for len(l.proposals) > 0 && l.proposals[0].deadline <= l.ticks {
		p := l.proposals[0]
		l.proposals = slices.Delete(l.proposals, 0, 1)
		l.outcomes = append(l.outcomes, Outcome{Client: p.client, Number: p.number, Err: ErrUnknown})
	}
	for len(l.reads) > 0 && l.reads[0].deadline <= l.ticks {
		p := l.reads[0]
		l.reads = slices.Delete(l.reads, 0, 1)
		l.outcomes = append(l.outcomes, Outcome{Read: true, Number: p.number, Err: ErrUnknown})
	}
}
