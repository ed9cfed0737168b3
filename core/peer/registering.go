package peer

import "github.com/tidaldb/tidalsim/core/env"

// Challenge is a number that the coordinator gives to a start of a node, and that the start
// repeats when it asks to be registered. 0: none.
type Challenge uint64

// Register asks for an incarnation: from a start of a node, which has none yet, to every
// member of the meta log.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16    8  challenge
//	    24    n  command, as drawn in core/control
type Register struct {
	ControlHeader
	Challenge Challenge // that the coordinator gave last
	Command   []byte    // of the kind control.Register, as control.Command.Append writes it
}

// Kind implements Message.
func (*Register) Kind() Kind { return KindRegister }

// Encode implements Message.
func (m *Register) Encode(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, KindRegister, m.From, len(m.Command))
	return seal(append(appendNumber(dst, m.Challenge), m.Command...), start)
}

func (m *Register) decode(from env.Incarnation, r *reader) {
	m.From = from
	m.Challenge, m.Command = Challenge(r.Uint64()), r.Tail(MaxTail)
}

// Registered answers a Register: the start has an incarnation, or has to repeat a challenge.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16    8  incarnation
//	    24    8  challenge
//	    32   16  nonce of the start
type Registered struct {
	ControlHeader
	Given     env.Incarnation // that the start has; 0: none yet, the start has to repeat Challenge
	Challenge Challenge       // if Given is 0
	Nonce     env.Nonce       // of the start that is answered
}

// Kind implements Message.
func (*Registered) Kind() Kind { return KindRegistered }

// Encode implements Message.
func (m *Registered) Encode(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, KindRegistered, m.From, 0)
	dst = appendNumber(appendNumber(dst, m.Given), m.Challenge)
	return seal(appendNumber(appendNumber(dst, m.Nonce.A), m.Nonce.B), start)
}

func (m *Registered) decode(from env.Incarnation, r *reader) {
	m.From, m.Given, m.Challenge = from, env.Incarnation(r.Uint64()), Challenge(r.Uint64())
	m.Nonce = env.Nonce{A: r.Uint64(), B: r.Uint64()}
}
