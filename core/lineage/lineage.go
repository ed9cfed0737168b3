// Package lineage names the coordinates of a record in the history of a tenant
// slot: which slot, which shard hosts it, under which epochs, at which sequence
// number, with which chain hash.
//
// The types are distinct on purpose: an epoch never becomes a sequence number
// by accident. They meet plain integers only inside the codecs.
package lineage

// Slot is one of the P hash partitions of a tenant, 0 <= Slot < P.
type Slot uint32

// Shard identifies a replica group that hosts tenant slots.
type Shard uint32

// Seq numbers the records of one slot. It is contiguous, starts at 1 and goes
// on across restarts and migrations. 0 means "no record".
type Seq uint64

// PlacementEpoch is bumped by each phase of a migration of the slot.
type PlacementEpoch uint64

// ShardEpoch is bumped by each change of the shard's leader; a shard with one
// replica bumps it at each start. It is durable before the first reply.
type ShardEpoch uint64

// Chain is the running hash of a slot's records: the hash of a record's bytes,
// which carry the chain of the record before it. Equal chains at equal Seq mean
// equal histories, up to a 64-bit collision. The first record's predecessor has
// chain 0.
type Chain uint64

// Position is a point in a slot's history: the last record that is included.
// The zero value is the beginning, before any record.
type Position struct {
	Seq   Seq
	Chain Chain
}

// Next returns the sequence number of the record that follows p.
func (p Position) Next() Seq { return p.Seq + 1 }
