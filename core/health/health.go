// Package health is what a cluster says of itself: per region, node, shard and tenant,
// figures with their age, and their form as JSON. It is data and pure rules. It refuses
// to gather anything, and has no clock: whoever fills a Cluster says how old each figure
// is.
//
// The one rule to remember: what is not known is unknown. It is null in JSON, it is never
// 0, and nothing is called healthy or compliant that hangs on it.
package health

import (
	"math"
	"math/bits"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Schema is the version of the form: keys are added under the same version, and what a
// key means never changes.
const Schema = 1

// Cluster is what one node knows of all. The zero value knows nothing.
//
// An age is an upper bound, in milliseconds: the figures beside it were true, together,
// at some instant that is not longer ago. What was never heard has no age.
//
// Invariant: lists ascend, by ID or name, without duplicates.
type Cluster struct {
	Node        env.ID        // who says all this
	Coordinator Maybe[env.ID] // who leads the control plane, as far as Node knows
	Index       Figure        // of the last entry of the control plane that this tells of
	AgeMs       Figure        // of the control plane's state: who exists, who leads, what is configured
	// WatchedMs is for how long Node has been told who lives. Unknown: it is not told, as
	// it hosts no member of the control plane.
	WatchedMs Figure

	Regions    []Region
	Nodes      []Node
	Shards     []Shard
	Tenants    []Tenant
	Migrations []Migration
}

// Status is how a region is. The zero value is unknown.
type Status uint8

// The states of a region.
const (
	StatusUnknown Status = iota
	Healthy
	Degraded // it works, and worse than it should
	Offline  // nobody there was heard for long
)

// Region is a region, judged by its nodes and shards.
type Region struct {
	Name       tenant.Region
	Status     Status
	Reason     string // why Status is what it is; "" if Healthy
	AgeMs      Figure // of the oldest figure that it hangs on
	Nodes      uint64 // that are registered there
	NodesHeard Figure // of them, within OfflineSilenceMs
	LagMs      Figure // the longest lag of a replica there that is known
}

// NodeState is whether a node takes part. The zero value is unknown.
type NodeState uint8

// The states of a node.
const (
	NodeUnknown NodeState = iota
	Active
	Draining // it gives away what it leads
	Drained  // it leads nothing and counts for nothing
)

// Node is a process and its disk.
type Node struct {
	ID          env.ID
	Region      tenant.Region
	Incarnation Maybe[env.Incarnation] // as far as is agreed on
	State       NodeState
	SilentMs    Figure // since it was heard last, in any incarnation; unknown: never, or by others only
	Disk        Disk
	Replicas    Figure // shards that it is to hold
	Leaderships Figure // shards that it leads
}

// Disk is what a node says of its files.
type Disk struct {
	AgeMs     Figure
	UsedBytes Figure // of the segments and snapshots of its replicas
	FreeBytes Figure
}

// Member is a replica of a shard in one life of its process. Incarnations begin with 1;
// the zero Member is nobody, and null.
type Member struct {
	Node        env.ID
	Incarnation env.Incarnation
}

// Shard is a replica group. What its leader says of it stands beside AgeMs; what the
// control plane says, before it, is as old as the Cluster; without Version nothing is known
// of that, InSync included.
type Shard struct {
	ID       lineage.Shard
	Region   tenant.Region
	Epoch    Maybe[lineage.ShardEpoch]
	Version  Figure // of its configuration
	Leader   Member
	InSync   []Member
	Excluded Figure // logs of members that do not count, as their disks failed
	Waits    string // what the coordinator waits for; "": nothing that is known

	AgeMs        Figure
	Entities     Figure // live ones, of all slots
	LogicalBytes Figure // encoded signals of live entities, of all slots
	Signals      Figure // committed in the window that ended when the figures were true
	WindowMs     Figure
	Replicas     []Replica
}

// SignalsPerSecond returns the throughput, rounded down; unknown without a window.
func (s *Shard) SignalsPerSecond() Figure {
	if !s.Signals.Known || !s.WindowMs.Known || s.WindowMs.Value == 0 {
		return Figure{}
	}
	high, low := bits.Mul64(s.Signals.Value, 1000)
	if high >= s.WindowMs.Value {
		return Of(uint64(math.MaxUint64))
	}
	perSecond, _ := bits.Div64(high, low, s.WindowMs.Value)
	return Of(perSecond)
}

// Replica is one node's copy of a shard.
type Replica struct {
	Node       env.ID
	InSync     Truth
	AgeMs      Figure // of the lag
	LagRecords Figure // appended by the leader and not durable here; of the leader itself 0
	LagMs      Figure // since when the oldest of them has been waiting
	Disk       ReplicaDisk
}

// ReplicaDisk is what the replica's own node says of the shard's files.
type ReplicaDisk struct {
	AgeMs     Figure
	UsedBytes Figure // of segments, with all that is on its way to them, and of snapshots
}

// TenantState is whether a tenant is there to stay. The zero value is unknown.
type TenantState uint8

// The states of a tenant.
const (
	TenantUnknown TenantState = iota
	TenantActive
	TenantDropping
)

// Tenant is a tenant, its limits and its use. Without Version nothing is known of its
// configuration, residency included.
type Tenant struct {
	ID        tenant.ID
	Version   Figure // of its configuration
	State     TenantState
	Residency tenant.Residency // where it may be, in any order; empty: anywhere
	Compliant Truth            // whether all replicas of all its shards are where it may be
	Quota     Limits
	Slots     []Slot
}

// Limits are a tenant's limits, or a slot's share of them.
type Limits struct {
	Rate     Figure // operations per second
	Burst    Figure // operations
	Entities Figure
	Bytes    Figure // logical ones
}

// LimitsOf returns limits as they take effect.
func LimitsOf(l tenant.Limits) Limits {
	return Limits{Of(l.Rate), Of(l.EffectiveBurst()), Of(l.EffectiveEntities()), Of(l.EffectiveBytes())}
}

// Use is what is taken of limits.
type Use struct {
	Entities Figure
	Bytes    Figure
}

// Refusals count the requests that were refused for a quota, since the leader of the slot
// began to lead.
type Refusals struct {
	Rate     Figure
	Entities Figure
	Bytes    Figure
}

// Slot is a tenant's slot. What the leader of its shard says of it stands beside AgeMs; what
// the control plane says, before it, is as old as the Cluster.
type Slot struct {
	Slot  lineage.Slot
	Shard lineage.Shard
	Share Limits

	AgeMs   Figure
	Seq     Maybe[lineage.Seq] // the last record that these figures count
	Used    Use
	Refused Refusals
}

// Total returns what a tenant's slots add up to, and the age of the oldest of them. A
// figure of which one slot's part is unknown is unknown.
func (t *Tenant) Total() (used Use, refused Refusals, age Figure) {
	var entities, bytes, rate, forEntities, forBytes, ages total
	for i := range t.Slots {
		s := &t.Slots[i]
		entities.add(s.Used.Entities)
		bytes.add(s.Used.Bytes)
		rate.add(s.Refused.Rate)
		forEntities.add(s.Refused.Entities)
		forBytes.add(s.Refused.Bytes)
		ages.add(s.AgeMs)
	}
	return Use{entities.sum(), bytes.sum()}, Refusals{rate.sum(), forEntities.sum(), forBytes.sum()}, ages.most()
}

// Migration is a slot on its way to another shard.
type Migration struct {
	Tenant   tenant.ID
	Slot     lineage.Slot
	From, To lineage.Shard
	Phase    string
}
