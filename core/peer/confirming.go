package peer

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// Round numbers the rounds of confirmations of one leader. 0: none.
type Round uint64

// Question numbers the questions of one replica for the index of a read.
type Question uint64

// Confirm asks a replica whether the sender still leads the shard.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16   16  shard and epoch, as drawn at ShardHeader
//	    32    8  round
type Confirm struct {
	ShardHeader
	Round Round
}

// Kind implements Message.
func (*Confirm) Kind() Kind { return KindConfirm }

// Encode implements Message.
func (m *Confirm) Encode(dst []byte) []byte {
	start := len(dst)
	return seal(appendNumber(m.append(begin(dst, KindConfirm, m.From, 0)), m.Round), start)
}

func (m *Confirm) decode(from env.Incarnation, r *reader) {
	m.ShardHeader.decode(from, r)
	m.Round = Round(r.Uint64())
}

// Confirmed answers a Confirm: the replica knows of no epoch above the one in which it says
// so.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16   16  shard and epoch, as drawn at ShardHeader
//	    32    8  round
type Confirmed struct {
	ShardHeader
	Round Round // of the question
}

// Kind implements Message.
func (*Confirmed) Kind() Kind { return KindConfirmed }

// Encode implements Message.
func (m *Confirmed) Encode(dst []byte) []byte {
	start := len(dst)
	return seal(appendNumber(m.append(begin(dst, KindConfirmed, m.From, 0)), m.Round), start)
}

func (m *Confirmed) decode(from env.Incarnation, r *reader) {
	m.ShardHeader.decode(from, r)
	m.Round = Round(r.Uint64())
}

// Outdated answers a leader of an epoch that is over: its header names a higher one.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16   16  shard and epoch, as drawn at ShardHeader
type Outdated struct {
	ShardHeader
}

// Kind implements Message.
func (*Outdated) Kind() Kind { return KindOutdated }

// Encode implements Message.
func (m *Outdated) Encode(dst []byte) []byte {
	start := len(dst)
	return seal(m.append(begin(dst, KindOutdated, m.From, 0)), start)
}

func (m *Outdated) decode(from env.Incarnation, r *reader) { m.ShardHeader.decode(from, r) }

// AskIndex asks the leader up to where a replica must have applied a log before it answers a
// read.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16   40  shard, epoch and log, as drawn at LogHeader
//	    56    8  number of the question
type AskIndex struct {
	LogHeader
	Question Question
}

// Kind implements Message.
func (*AskIndex) Kind() Kind { return KindAskIndex }

// Encode implements Message.
func (m *AskIndex) Encode(dst []byte) []byte {
	start := len(dst)
	return seal(appendNumber(m.append(begin(dst, KindAskIndex, m.From, 0)), m.Question), start)
}

func (m *AskIndex) decode(from env.Incarnation, r *reader) {
	m.LogHeader.decode(from, r)
	m.Question = Question(r.Uint64())
}

// Index answers an AskIndex, after a round of confirmations that began behind it.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16   40  shard, epoch and log, as drawn at LogHeader
//	    56    8  number of the question
//	    64    8  seq up to which the log must be applied
//	    72    8  its chain
type Index struct {
	LogHeader
	Question Question
	At       lineage.Position // the log must be applied up to here
}

// Kind implements Message.
func (*Index) Kind() Kind { return KindIndex }

// Encode implements Message.
func (m *Index) Encode(dst []byte) []byte {
	start := len(dst)
	dst = appendNumber(m.append(begin(dst, KindIndex, m.From, 0)), m.Question)
	return seal(appendPosition(dst, m.At), start)
}

func (m *Index) decode(from env.Incarnation, r *reader) {
	m.LogHeader.decode(from, r)
	m.Question, m.At = Question(r.Uint64()), r.position()
}
