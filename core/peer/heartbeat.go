package peer

import (
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
)

// Announcement numbers the announcements of one start of the coordinator. 0: none.
type Announcement uint64

// Heartbeat says that a node lives, to every member of the meta log.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16    8  entry of the meta log
//	    24    8  number of an announcement
//	    32    n  shards in trouble, each as drawn at troubleSize
type Heartbeat struct {
	ControlHeader
	Told     uint64       // the node knows what has changed up to this entry of the meta log
	Heard    Announcement // of the last Configs that it heard from the receiver; 0: another member announced last
	Troubles []Trouble    // of shards that the node leads; at most MaxTroubles, more follow in heartbeats of their own
}

// Kind implements Message.
func (*Heartbeat) Kind() Kind { return KindHeartbeat }

// Encode implements Message.
func (m *Heartbeat) Encode(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, KindHeartbeat, m.From, len(m.Troubles)*troubleSize)
	dst = appendNumber(appendNumber(dst, m.Told), m.Heard)
	for i := range m.Troubles {
		dst = m.Troubles[i].append(dst)
	}
	return seal(dst, start)
}

func (m *Heartbeat) decode(from env.Incarnation, r *reader) {
	m.From, m.Told, m.Heard = from, r.Uint64(), Announcement(r.Uint64())
	m.Troubles = m.Troubles[:0]
	for range r.Whole(troubleSize, MaxTroubles) {
		m.Troubles = append(m.Troubles, r.trouble())
	}
}

// Trouble is a leader's report of a shard that it may not be able to serve. Only shards in
// trouble are named; a shard that a heartbeat does not name is well.
type Trouble struct {
	Shard lineage.Shard
	Epoch lineage.ShardEpoch // in which the node leads, or is to lead
	// Unconfirmed is how long ago the last round began that all members confirmed.
	Unconfirmed env.Duration
	// Unsynced is the age of the oldest record that the leader's disk has not made durable.
	Unsynced env.Duration
}

// MaxTroubles bounds the shards that one heartbeat names.
const MaxTroubles = 512

// The shards in trouble of a Heartbeat, little endian, part of the format; never change. For
// each:
//
//	8  shard
//	8  shard epoch
//	8  unconfirmed, ns, not negative
//	8  unsynced, ns, not negative
const troubleSize = 4 * 8

func (t *Trouble) append(dst []byte) []byte {
	dst = appendNumber(appendNumber(dst, t.Shard), t.Epoch)
	return appendNumber(appendNumber(dst, t.Unconfirmed), t.Unsynced)
}

func (r *reader) trouble() Trouble {
	return Trouble{
		Shard: r.shard(), Epoch: lineage.ShardEpoch(r.Uint64()),
		Unconfirmed: r.duration(), Unsynced: r.duration(),
	}
}

// Configs announces changes of the control plane: from the coordinator to a node.
//
// Behind the header, little endian, part of the format; never change:
//
//	offset size
//	    16    8  entry of the meta log up to which is told
//	    24    8  entry up to which there is something to tell
//	    32    8  number of the announcement
//	    40    n  changes, as drawn in core/control
type Configs struct {
	ControlHeader
	Told    uint64       // Changes are all up to this entry of the meta log
	Last    uint64       // entry up to which there is something to tell
	Number  Announcement // which the node's heartbeats repeat
	Changes []byte       // as control.AppendChanges writes them
}

// Kind implements Message.
func (*Configs) Kind() Kind { return KindConfigs }

// Encode implements Message.
func (m *Configs) Encode(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, KindConfigs, m.From, len(m.Changes))
	dst = appendNumber(appendNumber(appendNumber(dst, m.Told), m.Last), m.Number)
	return seal(append(dst, m.Changes...), start)
}

func (m *Configs) decode(from env.Incarnation, r *reader) {
	m.From = from
	m.Told, m.Last, m.Number, m.Changes = r.Uint64(), r.Uint64(), Announcement(r.Uint64()), r.Tail(MaxTail)
}
