// Package health describes the health of a cluster: figures per region, node, shard and tenant,
// each with its age, and their form as JSON. It is data and pure rules. It gathers nothing and has
// no clock: its caller fills a Cluster and states the age of each figure.
//
// The one rule to remember: report an unknown figure as null, never as 0, and call nothing healthy
// or compliant that depends on it.
package health

import (
	"math"
	"math/bits"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Schema is the version of the JSON form. A version may gain keys; the meaning of a key never
// changes.
const Schema = 1

// Cluster is one node's view of the whole cluster. The zero value has only unknown figures.
//
// An age is an upper bound, in milliseconds: the figures next to it were all true at one instant
// within that time. A figure that was never heard has no age.
//
// Invariant: lists ascend, by ID or name, without duplicates.
type Cluster struct {
	Node        env.ID        // the node that reports
	Coordinator Maybe[env.ID] // the leader of the control plane, as far as Node knows
	Index       Figure        // the last entry of the control plane that this includes
	AgeMs       Figure        // of the control plane's state: nodes, leaders, configuration
	// WatchedMs is how long Node has been listening to heartbeats. Unknown: Node hosts no member of
	// the control plane and gets none.
	WatchedMs Figure

	Regions    []Region
	Nodes      []Node
	Shards     []Shard
	Tenants    []Tenant
	Migrations []Migration
}

// Status is the state of a region. The zero value is unknown.
type Status uint8

// The states of a region.
const (
	StatusUnknown Status = iota
	Healthy
	Degraded // it works, but badly
	Offline  // all its nodes have been silent for long
)

// Region is a region, judged by its nodes and shards.
type Region struct {
	Name       tenant.Region
	Status     Status
	Reason     string // the reason for Status; "" if Healthy
	AgeMs      Figure // of the oldest figure behind Status
	Nodes      uint64 // registered nodes
	NodesHeard Figure // nodes heard within OfflineSilenceMs
	LagMs      Figure // the longest known lag of a replica there
}

// NodeState tells whether a node has duties. The zero value is unknown.
type NodeState uint8

// The states of a node.
const (
	NodeUnknown NodeState = iota
	Active
	Draining // it is handing over its leaderships
	Drained  // it leads nothing and is in no in-sync set
)

// Node is a process and its disk.
type Node struct {
	ID          env.ID
	Region      tenant.Region
	Incarnation Maybe[env.Incarnation] // as agreed in the control plane
	State       NodeState
	// SilentMs is the time since it was heard last, in any incarnation; unknown: never, or only by
	// other nodes.
	SilentMs    Figure
	Disk        Disk
	Replicas    Figure // shards that it should hold
	Leaderships Figure // shards that it leads
}

// Disk is a node's report about its files.
type Disk struct {
	AgeMs     Figure
	UsedBytes Figure // of the segments and snapshots of its replicas
	FreeBytes Figure
}

// Member is a replica of a shard in one incarnation of its process. Incarnations begin with 1. The
// zero Member is no member, and null in JSON.
type Member struct {
	Node        env.ID
	Incarnation env.Incarnation
}

// Shard is a replica group. The fields from AgeMs on are the leader's report. The fields before are
// from the control plane and as old as the Cluster; without Version they are unknown, InSync
// included.
type Shard struct {
	ID       lineage.Shard
	Region   tenant.Region
	Epoch    Maybe[lineage.ShardEpoch]
	Version  Figure // of its configuration
	Leader   Member
	InSync   []Member
	Excluded Figure // logs of members that do not count, because their disks failed
	Waits    string // the coordinator's reason to wait; "": none known

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
	LagRecords Figure // records that the leader has and that are not durable here; 0 for the leader
	LagMs      Figure // how long the oldest of them has been waiting
	Disk       ReplicaDisk
}

// ReplicaDisk is the report of the replica's node about the shard's files.
type ReplicaDisk struct {
	AgeMs     Figure
	UsedBytes Figure // of snapshots and segments, writes under way included
}

// TenantState tells whether a tenant is being dropped. The zero value is unknown.
type TenantState uint8

// The states of a tenant.
const (
	TenantUnknown TenantState = iota
	TenantActive
	TenantDropping
)

// Tenant is a tenant, its limits and its use. Without Version its configuration is unknown,
// residency included.
type Tenant struct {
	ID        tenant.ID
	Version   Figure // of its configuration
	State     TenantState
	Residency tenant.Residency // permitted regions, in any order; empty: all
	Compliant Truth            // all replicas of all its shards are in permitted regions
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

// LimitsOf returns the effective limits.
func LimitsOf(l tenant.Limits) Limits {
	return Limits{Of(l.Rate), Of(l.EffectiveBurst()), Of(l.EffectiveEntities()), Of(l.EffectiveBytes())}
}

// Use is the used part of limits.
type Use struct {
	Entities Figure
	Bytes    Figure
}

// Refusals count the requests refused for a quota since the slot's leader began to lead.
type Refusals struct {
	Rate     Figure
	Entities Figure
	Bytes    Figure
}

// Slot is a tenant's slot. The fields from AgeMs on are the report of its shard's leader. The
// fields before are from the control plane and as old as the Cluster.
type Slot struct {
	Slot  lineage.Slot
	Shard lineage.Shard
	Share Limits

	AgeMs   Figure
	Seq     Maybe[lineage.Seq] // the last record that these figures include
	Used    Use
	Refused Refusals
}

// Total returns the sums over a tenant's slots, and the age of the oldest. A sum with an unknown
// part is unknown.
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

// Migration is a slot that is moving to another shard.
type Migration struct {
	Tenant   tenant.ID
	Slot     lineage.Slot
	From, To lineage.Shard
	Phase    string
}
