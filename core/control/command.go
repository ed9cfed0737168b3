package control

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Kind is what a command does. The numbers are part of the format.
type Kind uint8

// The kinds of commands. What each requires is the table of rules in apply.go.
const (
	_ Kind = iota
	// Register says that a process of Node began, named by Nonce, in Directory, whose last
	// durable incarnation is Given. The index of the entry is the incarnation of that process.
	// It changes no set; but if Directory is another one than was registered before, or Given
	// is below an incarnation that a set names, all places of the node in sets are lost.
	Register
	// Elect makes Member the leader in the next epoch. Member is in sync; or it is
	// eligible, and then it is alone in InSync, and a reform is over.
	Elect
	// Reform replaces each member of InSync by the registered incarnation of its
	// node, and makes Member the leader in the next epoch. It is the way out when
	// nobody can be promoted. Members whose disk is lost leave the set. Exclusions
	// stay with their nodes.
	Reform
	// Settle ends a reform: the leader, By, holds the best log of each slot, and the
	// record that begins its epoch is durable on all members of the set.
	Settle
	// Remove takes Member out of InSync; By is the leader.
	Remove
	// Join puts Member into InSync; By is the leader, which has verified its log.
	Join
	// Exclude notes that Member's log of (Tenant, Slot) failed, in its life Base. If Member
	// is eligible, it is so no longer.
	Exclude
	// Readmit takes that back; By is the leader, which has verified the log.
	Readmit
	// Assign puts the node In into Replicas, in the place of Node.
	Assign
	// CreateTenant creates the tenant of Config with its slots in Shards.
	CreateTenant
	// DropTenant ends Tenant for ever, if Base is 0 or the version of its configuration:
	// its slots are closed, one by one, and then a tombstone is left.
	DropTenant
	// Configure replaces the configuration of version Base by Config, and grants the
	// slots what is certain to be there: less at once, more as far as nobody holds it.
	Configure
	// Grant grants Share to (Tenant, Slot), whose grant was made by entry Base.
	Grant
	// Hold says that the log of (Tenant, Slot) has the grant of entry Base, and that the
	// slot holds no more than Share.
	Hold
	// Close says that (Tenant, Slot) of a tenant that is being dropped is not served any
	// more: the leader, By, has closed it.
	Close
	// Drain takes the duties of Node away from it.
	Drain
	// Undrain lets Node have duties again.
	Undrain
	// Appear says that Member, which is registered, spoke: its incarnation is durable in its
	// directory. It is its node's current life from then on; the first one of a node takes
	// the places that the node was founded with.
	Appear
	// AcceptLoss lets Shard, which has no member left that could be reformed from, be
	// reformed from what the directories of its members hold now. An operator says so: what
	// was acknowledged may be lost.
	AcceptLoss
	kindEnd
)

// kinds has the name of each kind and the fields that its commands have.
var kinds = [kindEnd]struct {
	name string
	has  fields
}{
	Register:     {"register", hasStart},
	Elect:        {"elect", hasShard | hasMember},
	Reform:       {"reform", hasShard | hasMember},
	Settle:       {"settle", hasShard | hasBy},
	Remove:       {"remove", hasShard | hasMember | hasBy},
	Join:         {"join", hasShard | hasMember | hasBy},
	Exclude:      {"exclude", hasShard | hasMember | hasTenant | hasSlot | hasBase},
	Readmit:      {"readmit", hasShard | hasMember | hasBy | hasTenant | hasSlot},
	Assign:       {"assign", hasShard | hasNodes},
	CreateTenant: {"create-tenant", hasConfig | hasShards},
	DropTenant:   {"drop-tenant", hasTenant | hasBase},
	Configure:    {"configure", hasBase | hasConfig},
	Grant:        {"grant", hasTenant | hasSlot | hasBase | hasShare},
	Hold:         {"hold", hasTenant | hasSlot | hasBase | hasShare},
	Close:        {"close", hasShard | hasBy | hasTenant | hasSlot},
	Drain:        {"drain", hasNode},
	Undrain:      {"undrain", hasNode},
	Appear:       {"appear", hasMember},
	AcceptLoss:   {"accept-loss", hasPlace},
}

// fields is a set of fields of a Command.
type fields uint16

const (
	hasShard fields = 1 << iota // Shard, Epoch, Version
	hasMember
	hasBy
	hasNodes // Node, In
	hasTenant
	hasSlot
	hasBase
	hasConfig
	hasShards
	hasShare
	hasNode  // Node
	hasStart // Node, Directory, Nonce, Given, Supports
	hasPlace // Shard alone
)

func (k Kind) known() bool { return k > 0 && k < kindEnd }

// String returns the name: "create-tenant".
func (k Kind) String() string {
	if !k.known() {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kinds[k].name
}

// Command is a change that is proposed. It names what it was decided on, and has no
// effect if that is no longer so: a change of a shard names its epoch and version, a
// change of a tenant the version of the configuration, a registration and a creation
// are compared with what there is.
//
// Fields that the kind does not have are zero.
type Command struct {
	Kind    Kind
	Shard   lineage.Shard
	Epoch   lineage.ShardEpoch // of the shard, as it was when this was decided
	Version uint64             // the same
	Member  Member
	By      Member // the leader that proposes; zero of what the coordinator does
	Node    env.ID // Assign: the replica that goes; Drain, Undrain, Register: whom it is about
	In      env.ID // Assign: the one that comes
	Tenant  tenant.ID
	Slot    lineage.Slot
	// Base is, of Configure and DropTenant, the version of the configuration that is
	// replaced; of Grant and Hold, the index of the grant that is; of Exclude, the life of
	// the log that failed.
	Base      uint64
	Config    tenant.Config   // CreateTenant, Configure
	Shards    []lineage.Shard // CreateTenant: by slot
	Share     quota.Share     // Grant, Hold
	Directory env.Nonce       // Register: where the process began
	Nonce     env.Nonce       // Register: what names the start
	Given     env.Incarnation // Register: the last one that is durable in the directory
	Supports  uint32          // Register: the feature level of the binary
}

// String returns the command in a line: "elect shard 1 epoch 2 version 5 member 2/3".
func (c *Command) String() string {
	text := c.Kind.String()
	if !c.Kind.known() {
		return text
	}
	for _, part := range [...]struct {
		of     fields
		format string
		values []any
	}{
		{hasShard, " shard %d epoch %d version %d", []any{c.Shard, c.Epoch, c.Version}},
		{hasMember, " member %v", []any{c.Member}},
		{hasBy, " by %v", []any{c.By}},
		{hasNodes, " node %d by node %d", []any{c.Node, c.In}},
		{hasTenant, " tenant %v", []any{c.Tenant}},
		{hasSlot, " slot %d", []any{c.Slot}},
		{hasBase, " base %d", []any{c.Base}},
		{hasConfig, " tenant %v version %d limits %v residency %v", []any{c.Config.ID, c.Config.Version, c.Config.Limits, c.Config.Residency}},
		{hasShards, " in shards %v", []any{c.Shards}},
		{hasShare, " share %v", []any{c.Share}},
		{hasNode, " node %d", []any{c.Node}},
		{hasStart, " node %d in directory %v start %v given %d supports %d", []any{c.Node, c.Directory, c.Nonce, c.Given, c.Supports}},
		{hasPlace, " shard %d", []any{c.Shard}},
	} {
		if kinds[c.Kind].has&part.of != 0 {
			text += fmt.Sprintf(part.format, part.values...)
		}
	}
	return text
}

// Refusal says why a command had no effect. The numbers are part of the format.
type Refusal uint8

// The refusals.
const (
	Done           Refusal = iota // it had its effect
	Malformed                     // it is no command
	UnknownShard                  // there is no such shard
	UnknownNode                   // there is no such node
	UnknownTenant                 // there never was such a tenant
	UnknownSlot                   // the tenant has no such slot, or not in this shard
	Stale                         // what it was decided on has changed
	Already                       // what it asks for is so already
	NotInSync                     // the member is not in the set
	NotRegistered                 // it is not its node's registered incarnation
	NotReplica                    // the node is not to hold the shard
	NotLeader                     // who proposes does not lead
	NotRemoved                    // the node is in the set with an earlier incarnation
	NotRestarted                  // somebody can be promoted, or nobody restarted
	IsLeader                      // the member leads
	IsInSync                      // the node is in the set
	IsReplica                     // the node holds the shard already
	IsExcluded                    // the member lacks records of a slot
	LastMember                    // a slot would be left without a member that is whole
	Reforming                     // the leader has to settle first
	WrongRegion                   // the node is not in the shard's region
	WrongResidency                // a tenant's residency forbids the region
	TenantExists                  // the ID names a tenant
	TenantDropped                 // the ID named a tenant, and will name no other one
	InvalidConfig                 // the configuration, or the number of slots, is out of range
	Full                          // there is no room for more
	OverLimits                    // the slots would hold more than the tenant's limits
	Dropping                      // the tenant is being dropped
	NotDropping                   // it is not
	IsDraining                    // the node is to have no duties
	OtherDrains                   // another node is drained: one at a time
	BelowMin                      // a shard would have fewer members than it needs, or nobody to lead it
	IsEligible                    // the node may have what no member has
	NothingLost                   // the shard has a member that its set can be formed from
	refusalEnd
)

// refusals has the name of each refusal.
var refusals = [refusalEnd]string{
	Done: "none", Malformed: "malformed", UnknownShard: "unknown-shard", UnknownNode: "unknown-node",
	UnknownTenant: "unknown-tenant", UnknownSlot: "unknown-slot", Stale: "stale", Already: "already",
	NotInSync: "not-in-sync", NotRegistered: "not-registered", NotReplica: "not-replica", NotLeader: "not-leader",
	NotRemoved: "not-removed", NotRestarted: "not-restarted", IsLeader: "is-leader", IsInSync: "in-sync",
	IsReplica: "is-replica", IsExcluded: "excluded", LastMember: "last-member", Reforming: "reforming",
	WrongRegion: "region", WrongResidency: "residency", TenantExists: "tenant-exists",
	TenantDropped: "tenant-dropped", InvalidConfig: "invalid-config", Full: "full", OverLimits: "over-limits",
	Dropping: "dropping", NotDropping: "not-dropping", IsDraining: "draining", OtherDrains: "other-drains", BelowMin: "below-min",
	IsEligible:  "eligible",
	NothingLost: "nothing-lost",
}

// String returns the name: "not-in-sync".
func (r Refusal) String() string {
	if r >= refusalEnd {
		return fmt.Sprintf("refusal %d", uint8(r))
	}
	return refusals[r]
}

// Result is what a command came to.
type Result struct {
	Refusal Refusal
	// Index is that of the entry which changed the command's object (shard, node or
	// tenant) last, this one included; 0 if there is no such object.
	Index uint64
	Epoch lineage.ShardEpoch // of the shard, after the command; 0 for other objects
	// Version is the object's after the command: of a shard, of a tenant's
	// configuration; of a node its incarnation.
	Version uint64
}

// Holds reports whether what the command asked for is so now, by it or before it.
func (r *Result) Holds() bool { return r.Refusal == Done || r.Refusal == Already }
