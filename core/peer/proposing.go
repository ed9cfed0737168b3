package peer

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// Propose asks the coordinator to put a command into the meta log.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16    8  number
//	    24    8  client
//	    32    n  command, as drawn in core/control
type Propose struct {
	ControlHeader
	Number  uint64 // of the command, among those of the client
	Client  uint64 // of the meta log
	Command []byte // as control.Command.Append writes it
}

// Kind implements Message.
func (*Propose) Kind() Kind { return KindPropose }

// Encode implements Message.
func (m *Propose) Encode(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, KindPropose, m.From, len(m.Command))
	return seal(append(appendNumber(appendNumber(dst, m.Number), m.Client), m.Command...), start)
}

func (m *Propose) decode(from env.Incarnation, r *reader) {
	m.From = from
	m.Number, m.Client, m.Command = r.Uint64(), r.Uint64(), r.Tail(MaxTail)
}

// Proposed answers a Propose: the command is in the meta log.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16    8  number
//	    24    8  client
//	    32    n  result, as drawn in core/control
type Proposed struct {
	ControlHeader
	Number uint64 // of the command, among those of the client
	Client uint64 // of the meta log
	Result []byte // as control.Result.Append writes it; empty if the client has to ask again
}

// Kind implements Message.
func (*Proposed) Kind() Kind { return KindProposed }

// Encode implements Message.
func (m *Proposed) Encode(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, KindProposed, m.From, len(m.Result))
	return seal(append(appendNumber(appendNumber(dst, m.Number), m.Client), m.Result...), start)
}

func (m *Proposed) decode(from env.Incarnation, r *reader) {
	m.From = from
	m.Number, m.Client, m.Result = r.Uint64(), r.Uint64(), r.Tail(MaxTail)
}

// Verify asks a member of the meta log whether the sender leads a shard in an epoch.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16    8  shard, below 2^32
//	    24    8  shard epoch
//	    32    8  round of confirmations
type Verify struct {
	ControlHeader
	Shard lineage.Shard
	Epoch lineage.ShardEpoch
	Round Round // of confirmations, for which the sender asks
}

// Kind implements Message.
func (*Verify) Kind() Kind { return KindVerify }

// Encode implements Message.
func (m *Verify) Encode(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, KindVerify, m.From, 0)
	return seal(appendNumber(appendNumber(appendNumber(dst, m.Shard), m.Epoch), m.Round), start)
}

func (m *Verify) decode(from env.Incarnation, r *reader) {
	m.From = from
	m.Shard, m.Epoch, m.Round = r.shard(), lineage.ShardEpoch(r.Uint64()), Round(r.Uint64())
}

// Verified answers a Verify: a read of the meta log that began behind the question found
// that the asker leads the shard in the epoch.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16    8  shard, below 2^32
//	    24    8  shard epoch
//	    32    8  round of confirmations
type Verified struct {
	ControlHeader
	Shard lineage.Shard
	Epoch lineage.ShardEpoch
	Round Round // of confirmations, of the Verify
}

// Kind implements Message.
func (*Verified) Kind() Kind { return KindVerified }

// Encode implements Message.
func (m *Verified) Encode(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, KindVerified, m.From, 0)
	return seal(appendNumber(appendNumber(appendNumber(dst, m.Shard), m.Epoch), m.Round), start)
}

func (m *Verified) decode(from env.Incarnation, r *reader) {
	m.From = from
	m.Shard, m.Epoch, m.Round = r.shard(), lineage.ShardEpoch(r.Uint64()), Round(r.Uint64())
}
