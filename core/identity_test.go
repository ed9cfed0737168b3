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
