package core

import (
	"testing"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/peer"
)

// The leader of the meta log registers a start that repeats its challenge. The challenge
// changes when a start of the node is registered, so that a late request of an earlier start
// registers nothing.
func TestAStartRepeatsAChallenge(t *testing.T) {
	f := newFleet(t)
	f.settle()
	leader := f.coordinator().node
	id := (leader.env.Self() + 1) % env.ID(len(f.berths))
	f.berths[id].kill()
	known := f.plane().Node(id)
	asks := func(nonce uint64, challenge peer.Challenge) env.Nonce {
		c := control.Command{
			Kind: control.Register, Node: id, Directory: known.Directory, Nonce: env.Nonce{A: nonce}, Given: known.Registered, Supports: supports,
		}
		leader.register(id, challenge, c.Append(nil))
		f.advance(200 * env.Millisecond)
		f.run()
		return f.plane().Node(id).Nonce
	}
	first := leader.challengeOf(id)
	for _, step := range []struct {
		name      string
		nonce     uint64
		challenge peer.Challenge
		registers bool
	}{
		{"no challenge", 1, 0, false},
		{"another challenge", 2, first + 2, false},
		{"the challenge", 3, first, true},
		{"the challenge of the start before", 4, first, false},
	} {
		if got := asks(step.nonce, step.challenge); (got == env.Nonce{A: step.nonce}) != step.registers {
			t.Errorf("%s: the start that is registered has nonce %v, registers: want %v", step.name, got, step.registers)
		}
	}
	if leader.challengeOf(id) == first {
		t.Error("the challenge is the same after a start was registered")
	}
}

// A command of a kind that the coordinator does not know never stands in the log: every member that
// does not know it either would stop there.
func TestWhatIsNoCommandIsNotProposed(t *testing.T) {
	f := newFleet(t)
	f.settle()
	leader := f.coordinator().node
	id := (leader.env.Self() + 1) % env.ID(len(f.berths))
	applied := func(command []byte) bool {
		before := leader.log.Status().Applied
		leader.propose(id, &peer.Propose{Client: uint64(id)<<32 | 99, Number: 1, Command: command})
		f.advance(200 * env.Millisecond)
		f.run()
		return leader.log.Status().Applied != before
	}
	c := control.Command{Kind: control.Drain, Node: 99}
	known := c.Append(nil)
	if unknown := []byte{known[0], 99}; applied(unknown) || leader.log.Failure() != nil {
		t.Errorf("% x is in the log, failure %v", unknown, leader.log.Failure())
	}
	if !applied(known) {
		t.Error("a command that is known is not in the log")
	}
}
