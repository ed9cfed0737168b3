package observe

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// ClaimKind says what a process did in an epoch of a shard.
type ClaimKind uint8

// The kinds of claims.
const (
	Leads     ClaimKind = iota + 1 // it does what only the leader of the epoch does
	Sequences                      // it gave a record of Tenant and Slot its place
	Says                           // it sent another node a message of the epoch
	Takes                          // it took a record from the leader of the epoch
	Adopts                         // the epoch is the one that counts on it from now on
	Forgets                        // its disk is empty: what it knew of epochs is gone
	Changes                        // it told that a command which was decided on Based has made the shard's Version
)

var claimNames = [...]string{"", "leads", "sequences", "says", "takes", "adopts", "forgets", "changes"}

// String returns the name of k.
func (k ClaimKind) String() string {
	if int(k) < len(claimNames) {
		return claimNames[k]
	}
	return fmt.Sprintf("claim-%d", uint8(k))
}

// Claim is what a process did in an epoch of a shard.
type Claim struct {
	Kind ClaimKind
	By   Process
	// Shard and Epoch are not meaningful of Forgets.
	Shard  lineage.Shard
	Epoch  lineage.ShardEpoch
	Tenant tenant.ID    // Sequences, Takes
	Slot   lineage.Slot // likewise
	Seq    lineage.Seq  // likewise, of the first such record
	What   string       // Leads, Says: the message, or what else shows it
	At     int64        // true time, ns
	// Durable is the shard's epoch in the node's file, as a power failure would leave
	// it; of Says.
	Durable lineage.ShardEpoch
	// Based and Version are those of the shard's configuration; of Changes.
	Based, Version uint64
}

// Claims are what processes did in epochs, in order. Most of what one only repeats is
// left out, until it adopts an epoch. The zero value is empty and ready.
type Claims struct {
	List  []Claim
	known [places]int32 // 1 + the place of the last claim with some hash
	since []fresh
}

// fresh says that of what a node claimed about a shard before a place in the list
// nothing repeats.
type fresh struct {
	node  uint32
	shard lineage.Shard
	from  int32
}

func (c *Claims) reset() { c.List, c.known, c.since = c.List[:0], [places]int32{}, c.since[:0] }

// places is how many claims are remembered, so as to know those that say nothing new.
const places = 2048

// hash tells most claims about different things apart.
func (a *Claim) hash() uint32 {
	h := uint64(a.Kind)
	for _, part := range [...]uint64{uint64(a.By.Node), uint64(a.Shard), uint64(a.Slot), uint64(a.Tenant)} {
		h = (h ^ part) * 0x9e3779b97f4a7c15
	}
	if n := len(a.What); n > 0 {
		h = (h ^ uint64(n)<<16 ^ uint64(a.What[0])<<8 ^ uint64(a.What[n-1])) * 0x9e3779b97f4a7c15
	}
	return uint32(h>>40) % places
}

// Repeats reports whether a claim says again what its process said last about the
// same thing. That it does not may be wrong.
func (c *Claims) Repeats(a *Claim) bool {
	at := c.known[a.hash()] - 1
	if at < 0 {
		return false
	}
	b := &c.List[at]
	return b.Kind == a.Kind && b.By == a.By && b.Shard == a.Shard && b.Epoch == a.Epoch && b.Tenant == a.Tenant && b.Slot == a.Slot &&
		b.What == a.What && at >= c.freshOf(a.By.Node, a.Shard).from
}

func (c *Claims) freshOf(node uint32, shard lineage.Shard) *fresh {
	for i := range c.since {
		if f := &c.since[i]; f.node == node && f.shard == shard {
			return f
		}
	}
	c.since = append(c.since, fresh{node: node, shard: shard})
	return &c.since[len(c.since)-1]
}

// Note notes a claim.
func (c *Claims) Note(a Claim) {
	c.List = append(c.List, a)
	switch a.Kind {
	case Adopts:
		c.freshOf(a.By.Node, a.Shard).from = int32(len(c.List))
	case Forgets:
		for i := range c.since {
			if c.since[i].node == a.By.Node {
				c.since[i].from = int32(len(c.List))
			}
		}
	case Changes:
	default:
		c.known[a.hash()] = int32(len(c.List))
	}
}
