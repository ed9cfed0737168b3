package peer

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// ShardMessage is a message between the nodes that have a replica of one shard. Package
// group takes it.
type ShardMessage interface {
	Message
	// OfShard returns in which epoch of which shard it is said.
	OfShard() *ShardHeader
}

// LogMessage is a ShardMessage about one log of the shard.
type LogMessage interface {
	ShardMessage
	// OfLog returns which log it is about.
	OfLog() *LogHeader
}

// ControlMessage is a message between a node and a member of the meta log.
type ControlMessage interface {
	Message
	isControl()
}

// ControlHeader is the header of every ControlMessage.
type ControlHeader struct {
	From env.Incarnation // of the sender; 0: it is not registered yet
}

// Sender implements Message.
func (h *ControlHeader) Sender() env.Incarnation { return h.From }

func (*ControlHeader) isControl() {}

// ShardHeader is the header of every ShardMessage: the sender's start, the shard and the epoch. Little endian, part of the format; never change:
//
//	offset size
//	    16    8  shard, below 2^32
//	    24    8  shard epoch
type ShardHeader struct {
	From  env.Incarnation // of the sender
	Shard lineage.Shard
	Epoch lineage.ShardEpoch // in which the sender says it
}

// Sender implements Message.
func (h *ShardHeader) Sender() env.Incarnation { return h.From }

// OfShard implements ShardMessage.
func (h *ShardHeader) OfShard() *ShardHeader { return h }

func (h *ShardHeader) append(dst []byte) []byte {
	return appendNumber(appendNumber(dst, h.Shard), h.Epoch)
}

func (h *ShardHeader) decode(from env.Incarnation, r *reader) {
	h.From, h.Shard, h.Epoch = from, r.shard(), lineage.ShardEpoch(r.Uint64())
}

// LogHeader is the header of every LogMessage: the log of the shard. Little
// endian, part of the format; never change:
//
//	offset size
//	    16   16  shard and epoch, as drawn at ShardHeader
//	    32    8  tenant
//	    40    8  slot, below 2^32
//	    48    8  placement epoch
type LogHeader struct {
	ShardHeader
	Tenant    tenant.ID
	Slot      lineage.Slot
	Placement lineage.PlacementEpoch
}

// OfLog implements LogMessage.
func (h *LogHeader) OfLog() *LogHeader { return h }

func (h *LogHeader) append(dst []byte) []byte {
	dst = appendNumber(appendNumber(h.ShardHeader.append(dst), h.Tenant), h.Slot)
	return appendNumber(dst, h.Placement)
}

func (h *LogHeader) decode(from env.Incarnation, r *reader) {
	h.ShardHeader.decode(from, r)
	h.Tenant, h.Slot, h.Placement = tenant.ID(r.Uint64()), r.slot(), lineage.PlacementEpoch(r.Uint64())
}
