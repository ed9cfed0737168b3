package control

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Kind is the kind of a command. The numbers are part of the format.
type Kind uint8

// The kinds of commands. The table of rules in apply.go has the preconditions of each.
const (
	_ Kind = iota
	// Register records a start of a process of Node: Nonce names the start, Directory is its data
	// directory, and Given the last incarnation that is durable there. The index of the entry
	// becomes the incarnation of the process. It changes no set. But all places of the node in sets
	// are lost if Directory differs from the one registered before, or if Given is below an
	// incarnation that a set names.
	Register
	// Elect makes Member the leader in the next epoch. Member is in sync; or it is the eligible
	// member, and then it becomes the only one in InSync, and a reform ends.
	Elect
	// Reform replaces each member of InSync by the registered incarnation of its node, and makes
	// Member the leader in the next epoch. It is the way out when no member can be promoted.
	// Members with a lost disk leave the set. Exclusions stay with their nodes.
	Reform
	// Settle ends a reform. The leader, By, holds the best log of each slot, and the record that
	// begins its epoch is durable on all members of the set.
	Settle
	// Remove takes Member out of InSync; By is the leader.
	Remove
	// Join puts Member into InSync; By is the leader, which has verified its log.
	Join
	// Exclude records that Member's log of (Tenant, Slot) failed, in its generation Base. An
	// eligible Member is eligible no longer.
	Exclude
	// Readmit ends the exclusion; By is the leader, which has verified the log.
	Readmit
	// Assign replaces the replica on Node by a replica on In.
	Assign
	// CreateTenant creates the tenant of Config with its slots in Shards.
	CreateTenant
	// DropTenant ends Tenant for ever, if Base is 0 or the version of its configuration. Its slots
	// close one by one, and then only a tombstone remains.
	DropTenant
	// Configure replaces the configuration of version Base by Config. It lowers grants at once and
	// raises them only by amounts that no slot holds.
	Configure
	// Grant grants Share to (Tenant, Slot); entry Base made its present grant.
	Grant
	// Hold records that the log of (Tenant, Slot) has the grant of entry Base and that the slot
	// holds no more than Share.
	Hold
	// Close records that (Tenant, Slot) of a tenant that is being dropped is no longer served: the
	// leader, By, has closed it.
	Close
	// Drain begins to take Node's duties away.
	Drain
	// Undrain allows Node to have duties again.
	Undrain
	// Appear records that Member, which is registered, has sent a message: its incarnation is
	// durable in its directory. Member becomes the current incarnation of its node. The first one
	// of a node takes the places that the node was founded with.
	Appear
	// AcceptLoss lets Shard be reformed from the logs that the directories of its members hold now,
	// although every log that counted is lost. An operator sends it: acknowledged records may be
	// lost.
	AcceptLoss
	kindEnd
)

// kinds has the name and the fields of each kind.
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

// Command is a proposed change. It names the state that it was decided on and has no effect if that
// state has changed. A change of a shard names its epoch and version. A change of a tenant names
// the version of the configuration. A registration and a creation are compared with the existing
// objects.
//
// Fields that the kind does not have are zero.
type Command struct {
	Kind    Kind
	Shard   lineage.Shard
	Epoch   lineage.ShardEpoch // of the shard, when this was decided
	Version uint64             // likewise
	Member  Member
	By      Member // the leader that proposes; zero for commands of the coordinator
	Node    env.ID // Assign: the replica that leaves; Drain, Undrain, Register: the node
	In      env.ID // Assign: the node that enters
	Tenant  tenant.ID
	Slot    lineage.Slot
	// Base is the version of the configuration that Configure or DropTenant replaces, the index of
	// the grant that Grant or Hold is about, or the generation of the log that failed (Exclude).
	Base      uint64
	Config    tenant.Config   // CreateTenant, Configure
	Shards    []lineage.Shard // CreateTenant: by slot
	Share     quota.Share     // Grant, Hold
	Directory env.Nonce       // Register: the data directory of the process
	Nonce     env.Nonce       // Register: the name of the start
	Given     env.Incarnation // Register: the last incarnation that is durable in the directory
	Supports  uint32          // Register: the feature level of the binary
}

// Subject returns the tenant that a command is about.
func (c *Command) Subject() tenant.ID {
	if c.Kind == DropTenant {
		return c.Tenant
	}
	return c.Config.ID
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

// Refusal is the reason that a command had no effect. The numbers are part of the format.
type Refusal uint8

// The refusals.
const (
	Done           Refusal = iota // the command had its effect
	Malformed                     // the kind of the command is not known
	UnknownShard                  // there is no such shard
	UnknownNode                   // there is no such node
	UnknownTenant                 // there never was such a tenant
	UnknownSlot                   // the tenant has no such slot, or not in this shard
	Stale                         // the state that it was decided on has changed
	Already                       // the requested state holds already
	NotInSync                     // the member is not in the set
	NotRegistered                 // it is not the registered incarnation of its node
	NotReplica                    // the node holds no replica of the shard
	NotLeader                     // the proposer does not lead the shard
	NotRemoved                    // the node is in the set with an earlier incarnation
	NotRestarted                  // a member can be promoted, or no member has restarted
	IsLeader                      // the member leads
	IsInSync                      // the node is in the set
	IsReplica                     // the node holds the shard already
	IsExcluded                    // the member lacks records of a slot
	LastMember                    // a slot would keep no member with a whole log
	Reforming                     // the leader must settle first
	WrongRegion                   // the node is not in the shard's region
	WrongResidency                // a tenant's residency forbids the region
	TenantExists                  // the ID names a tenant
	TenantDropped                 // the ID named a tenant that was dropped; it is never used again
	InvalidConfig                 // the configuration, or the number of slots, is out of range
	Full                          // there is no room for more
	OverLimits                    // the slots would hold more than the tenant's limits
	Dropping                      // the tenant is being dropped
	NotDropping                   // the tenant is not being dropped
	IsDraining                    // the node is being drained
	OtherDrains                   // another node is being drained: one at a time
	// BelowMin: a shard would have fewer members than min, or none that can lead.
	BelowMin
	IsEligible  // the node may hold the only copy of committed records
	NothingLost // the shard has a member that its set can be formed from
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

// Result is the outcome of a command.
type Result struct {
	Refusal Refusal
	// Index is the entry that last changed the command's object (shard, node or tenant), this one
	// included; 0 if there is no such object.
	Index uint64
	Epoch lineage.ShardEpoch // of the shard, after the command; 0 for other objects
	// Version is that of the object after the command: of a shard, of a tenant's configuration, or
	// the incarnation of a node.
	Version uint64
}

// Holds reports whether the requested state holds now, by this command or before it.
func (r *Result) Holds() bool { return r.Refusal == Done || r.Refusal == Already }
