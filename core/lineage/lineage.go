// Package lineage names the coordinates of a record in the history of a tenant
// slot: which slot, which shard hosts it, under which epochs, at which sequence
// number, with which chain hash.
//
// The types are distinct on purpose: an epoch never becomes a sequence number
// by accident. They meet plain integers only inside the codecs.
package lineage

import "cmp"

// Slot is one of the P hash partitions of a tenant, 0 <= Slot < P.
type Slot uint32

// Shard identifies a replica group that hosts tenant slots.
type Shard uint32

// Seq numbers the records of one slot. It is contiguous, starts at 1 and continues across restarts
// and migrations. 0 means "no record".
type Seq uint64

// PlacementEpoch increases with each phase of a migration of the slot.
type PlacementEpoch uint64

// ShardEpoch increases with each change of the shard's leader; a shard with one replica increments
// it at each start. It is durable before the first reply.
type ShardEpoch uint64

// Chain is the running hash of a slot's records: the hash of a record's bytes,
// which carry the chain of the record before it. Equal chains at equal Seq mean
// equal histories, up to a 64-bit collision. The first record's predecessor has
// chain 0.
type Chain uint64

// Lineage names the leader that wrote a run of records: the placement epoch of the slot's last
// ACTIVATE, and the shard epoch in which the leader wrote. Lineages are ordered, placement epoch
// first. The zero value means "unknown".
type Lineage struct {
	Placement PlacementEpoch
	Epoch     ShardEpoch
}

// Known reports whether l is known.
func (l Lineage) Known() bool { return l != Lineage{} }

// Compare returns -1, 0 or +1, as l is below, equal to or above m.
func (l Lineage) Compare(m Lineage) int {
	return cmp.Or(cmp.Compare(l.Placement, m.Placement), cmp.Compare(l.Epoch, m.Epoch))
}

// Span is a run of records that one leader wrote.
type Span struct {
	Lineage
	First Seq // first record of the run; the oldest known span may begin earlier
}

// End is the last record, in one log, of a run that one leader wrote.
type End struct {
	Lineage
	Last Seq
}

// Position is a point in a slot's history: the last included record. The zero value is the
// beginning, before any record.
type Position struct {
	Seq   Seq
	Chain Chain
}

// Next returns the sequence number of the record that follows p.
func (p Position) Next() Seq { return p.Seq + 1 }
