package observe

import (
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// ClaimKind is the kind of an act of a process in an epoch of a shard.
type ClaimKind uint8

// The kinds of claims.
const (
	Leads     ClaimKind = iota + 1 // it acts as only the leader of the epoch does
	Sequences                      // it gave a record of Tenant and Slot its place
	Says                           // it sent another node a message of the epoch
	Takes                          // it took a record from the leader of the epoch
	Adopts                         // from now on the epoch counts on it
	Forgets                        // its disk is empty: the epochs that it knew are gone
	Changes                        // it announced that a command which was decided on Based has made the shard's Version
)

var claimNames = [...]string{"", "leads", "sequences", "says", "takes", "adopts", "forgets", "changes"}

// String returns the name of k.
func (k ClaimKind) String() string {
	if int(k) < len(claimNames) {
		return claimNames[k]
	}
	return fmt.Sprintf("claim-%d", uint8(k))
}

// Claim is one act of a process in an epoch of a shard.
type Claim struct {
	Kind ClaimKind
	By   Process
	// Shard and Epoch are not meaningful of Forgets.
	Shard  lineage.Shard
	Epoch  lineage.ShardEpoch
	Tenant tenant.ID    // Sequences, Takes
	Slot   lineage.Slot // likewise
	Seq    lineage.Seq  // likewise, of the first such record
	What   string       // Leads, Says: the message, or another sign of it
	At     int64        // true time, ns
	// Durable is the shard's epoch in the node's file, as a power failure would leave
	// it; of Says.
	Durable lineage.ShardEpoch
	// Based and Version are those of the shard's configuration; of Changes.
	Based, Version uint64
}

// Claims are the acts of processes in epochs, in order. Most repeated claims of a process
// are dropped; once it adopts an epoch, each is recorded anew. The zero value is empty and ready.
type Claims struct {
	List  []Claim
	known []int32           // 1 + the place of the last claim with some hash; a power of two long
	since keyed.List[fresh] // by node and shard
}

// fresh is the place in the list from which a node's claims about a shard count: a new claim is a
// repetition only of an equal one from there on.
type fresh struct {
	node uint32
	from int32
}

func (c *Claims) reset() {
	c.List = c.List[:0]
	c.remember(places)
	c.since.Reset()
}

// places is how many claims are remembered at first, to recognise repetitions. The more there are,
// the more are remembered.
const places = 2048

// remember gives the last claims places, as many as are wanted.
func (c *Claims) remember(n int) {
	c.known = slices.Grow(c.known[:0], n)[:n]
	clear(c.known)
	for i := range c.List {
		c.place(i)
	}
}

// place remembers a claim, if it may be repeated.
func (c *Claims) place(i int) {
	switch a := &c.List[i]; a.Kind {
	case Adopts, Forgets, Changes:
	default:
		c.known[a.hash()&uint32(len(c.known)-1)] = int32(i + 1)
	}
}

// hash differs between most claims about different things.
func (a *Claim) hash() uint32 {
	h := uint64(a.Kind)
	for _, part := range [...]uint64{uint64(a.By.Node), uint64(a.Shard), uint64(a.Slot), uint64(a.Tenant)} {
		h = (h ^ part) * 0x9e3779b97f4a7c15
	}
	if n := len(a.What); n > 0 {
		h = (h ^ uint64(n)<<16 ^ uint64(a.What[0])<<8 ^ uint64(a.What[n-1])) * 0x9e3779b97f4a7c15
	}
	return uint32(h >> 40)
}

// Repeats reports whether a claim repeats its process's last claim about the same subject. The
// answer false may be wrong.
func (c *Claims) Repeats(a *Claim) bool {
	if len(c.known) == 0 {
		return false
	}
	at := c.known[a.hash()&uint32(len(c.known)-1)] - 1
	if at < 0 {
		return false
	}
	b := &c.List[at]
	return b.Kind == a.Kind && b.By == a.By && b.Shard == a.Shard && b.Epoch == a.Epoch && b.Tenant == a.Tenant && b.Slot == a.Slot &&
		b.What == a.What && at >= c.freshOf(a.By.Node, a.Shard).from
}

func (c *Claims) freshOf(node uint32, shard lineage.Shard) *fresh {
	key := keyed.Key{A: uint64(node), B: uint64(shard)}
	f := c.since.Find(key)
	if f == nil {
		f = c.since.Add(key)
		*f = fresh{node: node}
	}
	return f
}

// Note notes a claim.
func (c *Claims) Note(a Claim) {
	c.List = append(c.List, a)
	if len(c.List) > len(c.known) {
		c.remember(max(places, 2*len(c.known)))
	}
	c.place(len(c.List) - 1)
	switch a.Kind {
	case Adopts:
		c.freshOf(a.By.Node, a.Shard).from = int32(len(c.List))
	case Forgets:
		for i := range c.since.All() {
			if f := &c.since.All()[i]; f.node == a.By.Node {
				f.from = int32(len(c.List))
			}
		}
	}
}
