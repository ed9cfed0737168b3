package control

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Commands of the tests. Shard 1 is held by nodes 0, 1 and 2, which leads.
func restarts(node env.ID, incarnation env.Incarnation) Command {
	return Command{Kind: Appear, Member: m(node, incarnation)}
}

func elects(shard lineage.Shard, x Member) Command {
	return Command{Kind: Elect, Shard: shard, Member: x}
}

func reforms(shard lineage.Shard, x Member) Command {
	return Command{Kind: Reform, Shard: shard, Member: x}
}

func settles(shard lineage.Shard, by Member) Command {
	return Command{Kind: Settle, Shard: shard, By: by}
}

func removes(shard lineage.Shard, x, by Member) Command {
	return Command{Kind: Remove, Shard: shard, Member: x, By: by}
}

func joins(shard lineage.Shard, x, by Member) Command {
	return Command{Kind: Join, Shard: shard, Member: x, By: by}
}

func excludes(shard lineage.Shard, x Member, id tenant.ID, slot lineage.Slot) Command {
	return Command{Kind: Exclude, Shard: shard, Member: x, Tenant: id, Slot: slot}
}

// inLife is an exclusion of a log that failed in a life.
func inLife(life uint64, c Command) Command {
	c.Base = life
	return c
}

func readmits(shard lineage.Shard, x, by Member, id tenant.ID, slot lineage.Slot) Command {
	return Command{Kind: Readmit, Shard: shard, Member: x, By: by, Tenant: id, Slot: slot}
}

func assigns(shard lineage.Shard, node, in env.ID) Command {
	return Command{Kind: Assign, Shard: shard, Node: node, In: in}
}

func creates(id tenant.ID, residency tenant.Residency, shards ...lineage.Shard) Command {
	config := tenant.Config{ID: id, Version: 1, Limits: tenant.Limits{Rate: 10_000}, Residency: residency}
	return Command{Kind: CreateTenant, Config: config, Shards: shards}
}

func with(limits tenant.Limits, c Command) Command {
	c.Config.Limits = limits
	return c
}

func drops(id tenant.ID) Command { return Command{Kind: DropTenant, Tenant: id} }

// dropsBased is drops by an operator that names a version of the configuration.
func dropsBased(id tenant.ID, base uint64) Command {
	return Command{Kind: DropTenant, Tenant: id, Base: base}
}

func closes(shard lineage.Shard, by Member, id tenant.ID, slot lineage.Slot) Command {
	return Command{Kind: Close, Shard: shard, By: by, Tenant: id, Slot: slot}
}

// ended is the whole end of a tenant that was founded, led as it was then.
func ended(id tenant.ID) []Command {
	if id == 8 {
		return []Command{drops(8), closes(4, m(5, 1), 8, 0)}
	}
	return []Command{drops(7), closes(1, m(2, 1), 7, 0), closes(2, m(1, 1), 7, 1), closes(1, m(2, 1), 7, 2)}
}

func grants(id tenant.ID, slot lineage.Slot, base uint64, share quota.Share) Command {
	return Command{Kind: Grant, Tenant: id, Slot: slot, Base: base, Share: share}
}

func holds(id tenant.ID, slot lineage.Slot, base uint64, share quota.Share) Command {
	return Command{Kind: Hold, Tenant: id, Slot: slot, Base: base, Share: share}
}

func drains(node env.ID) Command { return Command{Kind: Drain, Node: node} }

func undrains(node env.ID) Command { return Command{Kind: Undrain, Node: node} }

// small is a tenant 9 of two slots, which entry 2 creates and grants half of small limits
// each.
var small = []Command{with(tenant.Limits{Rate: 10, Burst: 20, Entities: 30, Bytes: 400}, creates(9, nil, 3, 4))}

// half is the grant of each slot of it.
var half = quota.Share{5, 10, 15, 200}

func configures(id tenant.ID, base, version uint64, residency ...tenant.Region) Command {
	return Command{Kind: Configure, Base: base, Config: tenant.Config{ID: id, Version: version, Limits: tenant.Limits{Rate: 2}, Residency: residency}}
}

func at(c Command, epoch lineage.ShardEpoch, version uint64) Command {
	c.Epoch, c.Version = epoch, version
	return c
}

// starts registers a start, named by a number, in a directory with this last incarnation.
func starts(node env.ID, directory, nonce uint64, given env.Incarnation) Command {
	return Command{Kind: Register, Node: node, Directory: env.Nonce{A: directory}, Nonce: env.Nonce{B: nonce}, Given: given, Supports: 1}
}

// replaced is node 5, alone in shard 3, after its directory was replaced; 3 is its life.
var replaced = []Command{starts(5, 1, 1, 1), starts(5, 2, 2, 0), restarts(5, 3)}

func accepts(shard lineage.Shard) Command { return Command{Kind: AcceptLoss, Shard: shard} }

var nobody Member

// below is shard 1 with node 2 alone in the set, and node 1 eligible.
var below = []Command{removes(1, m(0, 1), m(2, 1)), removes(1, m(1, 1), m(2, 1))}

// eligibleBack is shard 1 with node 2 alone in the set, after node 1, eligible in incarnation 2, has
// started again with a directory whose last incarnation is given.
func eligibleBack(given env.Incarnation) []Command {
	return []Command{
		starts(1, 1, 1, 1), restarts(1, 2), removes(1, m(1, 1), m(2, 1)), joins(1, m(1, 2), m(2, 1)),
		removes(1, m(0, 1), m(2, 1)), removes(1, m(1, 2), m(2, 1)), starts(1, 1, 2, given), restarts(1, 8),
	}
}

// lost is shard 1 after all its processes have restarted.
var lost = []Command{restarts(0, 2), restarts(1, 2), restarts(2, 2)}

func after(lists ...[]Command) []Command { return slices.Concat(lists...) }

// verdicts has a command for each refusal, and next to it a command that is accepted.
var verdicts = []struct {
	before  []Command
	command Command
	want    Refusal
}{
	{nil, restarts(2, 2), Done},
	{nil, restarts(9, 2), UnknownNode},
	{nil, starts(0, 1, 1, 1), Done},
	{nil, starts(9, 1, 1, 1), UnknownNode},
	{[]Command{starts(0, 1, 1, 1)}, starts(0, 1, 1, 1), Already},
	{[]Command{starts(0, 1, 1, 1), starts(0, 1, 2, 1)}, starts(0, 1, 1, 1), Stale},
	{[]Command{starts(0, 1, 1, 1)}, starts(0, 0, 3, 1), Stale},
	{replaced, reforms(3, m(5, 3)), NotInSync},
	{after(replaced, []Command{accepts(3)}), reforms(3, m(5, 3)), Done},
	{replaced, accepts(3), Done},
	{after(replaced, []Command{accepts(3)}), accepts(3), Already},
	{replaced, accepts(9), UnknownShard},
	{nil, accepts(3), NothingLost},
	{[]Command{starts(5, 1, 1, 1), starts(5, 1, 2, 1), restarts(5, 3)}, accepts(3), NothingLost},
	{[]Command{starts(5, 1, 1, 1), starts(5, 1, 2, 0), restarts(5, 3)}, accepts(3), Done},
	{nil, restarts(2, 1), Already},
	{[]Command{restarts(2, 5)}, restarts(2, 4), Stale},

	{nil, elects(1, m(0, 1)), Done},
	{nil, elects(9, m(0, 1)), UnknownShard},
	{nil, at(elects(1, m(0, 1)), 2, 1), Stale},
	{nil, at(elects(1, m(0, 1)), 1, 2), Stale},
	{nil, elects(1, m(3, 1)), NotInSync},
	{[]Command{removes(1, m(0, 1), m(2, 1))}, elects(1, m(0, 1)), NotInSync},
	{[]Command{restarts(0, 2)}, elects(1, m(0, 2)), NotInSync},
	{[]Command{restarts(0, 2)}, elects(1, m(0, 1)), NotRegistered},
	{[]Command{excludes(1, m(0, 1), 7, 0)}, elects(1, m(0, 1)), IsExcluded},
	{below, elects(1, m(1, 1)), Done},
	{below, elects(1, m(0, 1)), NotInSync},
	{after(below, []Command{joins(1, m(0, 1), m(2, 1))}), elects(1, m(1, 1)), NotInSync},
	{after(below, []Command{excludes(1, m(1, 1), 7, 0)}), elects(1, m(1, 1)), NotInSync},
	{[]Command{removes(1, m(0, 1), m(2, 1)), excludes(1, m(1, 1), 7, 0), removes(1, m(1, 1), m(2, 1))}, elects(1, m(1, 1)), NotInSync},
	{nil, elects(1, m(2, 1)), IsLeader},
	// The eligible member comes back with its disk, or with a copy that its earlier start left.
	{eligibleBack(2), elects(1, m(1, 8)), Done},
	{eligibleBack(1), elects(1, m(1, 8)), NotInSync},

	{lost, reforms(1, m(0, 2)), Done},
	{nil, reforms(9, m(0, 1)), UnknownShard},
	{lost, at(reforms(1, m(0, 2)), 1, 2), Stale},
	{lost, reforms(1, m(3, 1)), NotInSync},
	{lost, reforms(1, m(0, 1)), NotRegistered},
	{nil, reforms(1, m(0, 1)), NotRestarted},
	{lost[:2], reforms(1, m(0, 2)), NotRestarted},
	// Node 1 still runs, but lacks a slot: the set must have a member that can lead.
	{after([]Command{excludes(1, m(1, 1), 7, 0), restarts(0, 2), restarts(2, 2)}), reforms(1, m(0, 2)), Done},
	{after([]Command{excludes(1, m(1, 1), 7, 0), restarts(0, 2), restarts(2, 2)}), reforms(1, m(1, 1)), IsExcluded},
	{after([]Command{excludes(1, m(1, 1), 7, 0)}, lost), reforms(1, m(1, 2)), IsExcluded}, // a restart mends no log
	// No member is whole.
	{after([]Command{excludes(1, m(1, 1), 7, 0), excludes(1, m(0, 1), 7, 2), excludes(1, m(2, 1), 7, 2)}, lost), reforms(1, m(1, 2)), Done},
	// A reform starts over when a member restarts during it, and only then.
	{after(lost, []Command{reforms(1, m(0, 2)), restarts(1, 3)}), reforms(1, m(0, 2)), Done},
	{after(lost, []Command{reforms(1, m(1, 2)), starts(0, 1, 1, 2), starts(0, 2, 2, 0)}), reforms(1, m(1, 2)), Done}, // or when one is lost
	{after(lost, []Command{reforms(1, m(0, 2))}), reforms(1, m(1, 2)), NotRestarted},
	{after(lost, []Command{reforms(1, m(0, 2)), settles(1, m(0, 2)), restarts(1, 3)}), reforms(1, m(0, 2)), NotRestarted},

	{after(lost, []Command{reforms(1, m(0, 2))}), settles(1, m(0, 2)), Done},
	{nil, settles(9, m(0, 2)), UnknownShard},
	{after(lost, []Command{reforms(1, m(0, 2))}), at(settles(1, m(0, 2)), 1, 1), Stale},
	{after(lost, []Command{reforms(1, m(0, 2))}), settles(1, m(1, 2)), NotLeader},
	{after(lost, []Command{reforms(1, m(0, 2))}), settles(1, nobody), NotLeader},
	{nil, settles(1, m(2, 1)), Already},

	{nil, removes(1, m(0, 1), m(2, 1)), Done},
	{nil, removes(1, m(0, 1), m(2, 1)), Done},
	{nil, removes(9, m(0, 1), m(2, 1)), UnknownShard},
	{nil, at(removes(1, m(0, 1), m(2, 1)), 1, 9), Stale},
	{nil, removes(1, m(0, 1), m(1, 1)), NotLeader},
	{nil, removes(1, m(0, 1), m(2, 2)), NotLeader},
	{after(lost, []Command{reforms(1, m(0, 2))}), removes(1, m(1, 2), m(0, 2)), Reforming},
	{nil, removes(1, m(0, 2), m(2, 1)), NotInSync},
	{nil, removes(1, m(2, 1), m(2, 1)), IsLeader},
	{nil, removes(3, m(5, 1), m(5, 1)), LastMember},
	{[]Command{excludes(2, m(1, 1), 7, 1)}, removes(2, m(3, 1), m(1, 1)), LastMember},
	{[]Command{excludes(1, m(2, 1), 7, 0), excludes(1, m(0, 1), 7, 0)}, removes(1, m(1, 1), m(2, 1)), LastMember},
	{[]Command{excludes(1, m(2, 1), 7, 0), excludes(1, m(0, 1), 7, 2)}, removes(1, m(1, 1), m(2, 1)), Done},
	{[]Command{excludes(1, m(2, 1), 7, 0), excludes(1, m(0, 1), 7, 0)}, removes(1, m(0, 1), m(2, 1)), Done},

	{[]Command{removes(1, m(0, 1), m(2, 1))}, joins(1, m(0, 1), m(2, 1)), Done},
	{[]Command{removes(1, m(0, 1), m(2, 1)), restarts(0, 2)}, joins(1, m(0, 2), m(2, 1)), Done},
	{nil, joins(9, m(0, 1), m(2, 1)), UnknownShard},
	{[]Command{removes(1, m(0, 1), m(2, 1))}, at(joins(1, m(0, 1), m(2, 1)), 1, 1), Stale},
	{[]Command{removes(1, m(0, 1), m(2, 1))}, joins(1, m(0, 1), nobody), NotLeader},
	{[]Command{removes(1, m(0, 1), m(2, 1))}, joins(1, m(0, 1), m(1, 1)), NotLeader},
	{after([]Command{removes(1, m(0, 1), m(2, 1))}, lost, []Command{reforms(1, m(2, 2))}), joins(1, m(0, 2), m(2, 2)), Reforming},
	{nil, joins(1, m(0, 1), m(2, 1)), Already},
	{nil, joins(1, m(3, 1), m(2, 1)), NotReplica},
	{[]Command{removes(1, m(0, 1), m(2, 1)), restarts(0, 2)}, joins(1, m(0, 1), m(2, 1)), NotRegistered},
	{[]Command{restarts(0, 2)}, joins(1, m(0, 2), m(2, 1)), NotRemoved},
	{[]Command{drains(0), removes(1, m(0, 1), m(2, 1))}, joins(1, m(0, 1), m(2, 1)), IsDraining},
	{[]Command{drains(0), removes(1, m(0, 1), m(2, 1)), undrains(0)}, joins(1, m(0, 1), m(2, 1)), Done},
	{[]Command{removes(1, m(0, 1), m(2, 1)), drains(4)}, joins(1, m(0, 1), m(2, 1)), Done},

	{nil, excludes(1, m(0, 1), 7, 2), Done},
	{nil, excludes(1, m(2, 1), 7, 2), Done},
	{nil, excludes(9, m(0, 1), 7, 2), UnknownShard},
	{nil, at(excludes(1, m(0, 1), 7, 2), 7, 7), Stale},
	{after(lost, []Command{reforms(1, m(0, 2))}), excludes(1, m(0, 2), 7, 2), Reforming},
	{nil, excludes(1, m(3, 1), 7, 2), NotInSync},
	{below, excludes(1, m(1, 1), 7, 2), Done},
	{after(below, []Command{removes(1, m(1, 1), m(2, 1))})[:2], excludes(1, m(0, 1), 7, 2), NotInSync},
	{below, excludes(1, m(1, 2), 7, 2), NotInSync},
	{below, excludes(1, m(2, 1), 7, 2), Done}, // the eligible member has it
	{after(below, []Command{excludes(1, m(2, 1), 7, 2)}), excludes(1, m(1, 1), 7, 2), LastMember},
	{after(below, []Command{restarts(2, 2), reforms(1, m(2, 2))}), excludes(1, m(1, 1), 7, 2), Done},
	{after(below, []Command{restarts(2, 2), reforms(1, m(2, 2))}), excludes(1, m(2, 2), 7, 2), Reforming},
	{nil, excludes(1, m(0, 1), 6, 0), UnknownTenant},
	{[]Command{drops(7)}, excludes(1, m(0, 1), 7, 0), Done}, // it is served until it is closed
	{ended(7), excludes(1, m(0, 1), 7, 0), TenantDropped},
	{nil, excludes(1, m(0, 1), 7, 1), UnknownSlot},
	{nil, excludes(1, m(0, 1), 7, 3), UnknownSlot},
	{[]Command{excludes(1, m(0, 1), 7, 2)}, excludes(1, m(0, 1), 7, 2), Already},
	{nil, excludes(3, m(5, 1), 7, 0), UnknownSlot},
	{[]Command{creates(1, nil, 3)}, excludes(3, m(5, 1), 1, 0), LastMember},
	{[]Command{excludes(2, m(1, 1), 7, 1)}, excludes(2, m(3, 1), 7, 1), LastMember},

	{[]Command{excludes(1, m(0, 1), 7, 2)}, readmits(1, m(0, 1), m(2, 1), 7, 2), Done},
	{nil, readmits(9, m(0, 1), m(2, 1), 7, 2), UnknownShard},
	{[]Command{excludes(1, m(0, 1), 7, 2)}, at(readmits(1, m(0, 1), m(2, 1), 7, 2), 1, 1), Stale},
	{[]Command{excludes(1, m(0, 1), 7, 2)}, readmits(1, m(0, 1), m(0, 1), 7, 2), NotLeader},
	{after([]Command{excludes(1, m(1, 1), 7, 0), restarts(0, 2), restarts(2, 2), reforms(1, m(0, 2))}), readmits(1, m(1, 1), m(0, 2), 7, 0), Reforming},
	{nil, readmits(1, m(3, 1), m(2, 1), 7, 2), NotInSync},
	{nil, readmits(1, m(0, 1), m(2, 1), 7, 2), Already},

	{[]Command{removes(1, m(0, 1), m(2, 1))}, assigns(1, 0, 4), Done},
	{nil, assigns(9, 0, 4), UnknownShard},
	{[]Command{removes(1, m(0, 1), m(2, 1))}, at(assigns(1, 0, 4), 1, 1), Stale},
	{nil, assigns(1, 3, 4), NotReplica},
	{below, assigns(1, 0, 4), Done},
	{below, assigns(1, 1, 4), IsEligible},
	{after(below, []Command{joins(1, m(0, 1), m(2, 1))}), assigns(1, 1, 4), Done},
	{nil, assigns(1, 0, 4), IsInSync},
	{[]Command{restarts(0, 2)}, assigns(1, 0, 4), IsInSync},
	{[]Command{removes(1, m(0, 1), m(2, 1))}, assigns(1, 0, 9), UnknownNode},
	{[]Command{removes(1, m(0, 1), m(2, 1))}, assigns(1, 0, 1), IsReplica},
	{[]Command{removes(1, m(0, 1), m(2, 1))}, assigns(1, 0, 0), IsReplica},
	{[]Command{removes(1, m(0, 1), m(2, 1)), drains(4)}, assigns(1, 0, 4), IsDraining},
	{[]Command{removes(1, m(0, 1), m(2, 1)), drains(7)}, assigns(1, 0, 4), Done},
	{[]Command{removes(4, m(6, 1), m(5, 1))}, assigns(4, 6, 4), WrongResidency},
	{[]Command{removes(1, m(0, 1), m(2, 1))}, assigns(1, 0, 7), WrongRegion},

	{nil, creates(9, tenant.Residency{"us"}, 3, 4, 3), Done},
	{nil, creates(7, nil, 1), TenantExists},
	{[]Command{drops(7)}, creates(7, nil, 1), TenantExists},
	{ended(7), creates(7, nil, 1), TenantDropped},
	{nil, creates(9, tenant.Residency{"US"}, 1), InvalidConfig},
	{nil, creates(9, nil), InvalidConfig},
	{nil, creates(9, nil, 1, 2, 9), UnknownShard},
	{nil, with(tenant.Limits{Rate: 2}, creates(9, nil, 1, 2)), Done},
	{nil, with(tenant.Limits{Rate: 1}, creates(9, nil, 1, 2)), InvalidConfig},
	{nil, with(tenant.Limits{Rate: 9, Burst: 1}, creates(9, nil, 1, 2)), InvalidConfig},
	{nil, creates(9, tenant.Residency{"us"}, 3, 1), WrongResidency},

	{nil, drops(7), Done},
	{nil, drops(6), UnknownTenant},
	{ended(7), drops(7), TenantDropped},
	{[]Command{drops(7)}, drops(7), Already},
	{[]Command{drops(8)}, dropsBased(8, 2), Already}, // the tenant ends, for every base
	{nil, dropsBased(8, 3), Done},
	{nil, dropsBased(8, 2), Stale},
	{nil, dropsBased(8, 4), Stale},

	{[]Command{drops(7)}, closes(1, m(2, 1), 7, 0), Done},
	// It depends only on the leader.
	{[]Command{drops(7)}, at(closes(1, m(2, 1), 7, 0), 1, 99), Done},
	{[]Command{drops(7)}, closes(9, m(2, 1), 7, 0), UnknownShard},
	{[]Command{drops(7), elects(1, m(0, 1))}, at(closes(1, m(2, 1), 7, 0), 1, 1), Stale},
	{[]Command{drops(7)}, at(closes(1, m(2, 1), 7, 0), 2, 1), Stale},
	{[]Command{drops(7)}, closes(1, m(0, 1), 7, 0), NotLeader},
	{[]Command{drops(7)}, closes(1, m(2, 2), 7, 0), NotLeader},
	{nil, closes(1, m(2, 1), 6, 0), UnknownTenant},
	{ended(7), closes(1, m(2, 1), 7, 0), TenantDropped},
	{[]Command{drops(7)}, closes(1, m(2, 1), 7, 1), UnknownSlot},
	{[]Command{drops(7)}, closes(1, m(2, 1), 7, 3), UnknownSlot},
	{nil, closes(1, m(2, 1), 7, 0), NotDropping},
	{[]Command{drops(7), closes(1, m(2, 1), 7, 0)}, closes(1, m(2, 1), 7, 0), Already},

	{nil, configures(8, 3, 4, "us", "eu"), Done},
	{nil, configures(8, 3, 9), Done},
	{nil, configures(6, 3, 4), UnknownTenant},
	{ended(8), configures(8, 3, 4), TenantDropped},
	{[]Command{drops(8)}, configures(8, 3, 4), Dropping},
	{nil, configures(8, 2, 4), Stale},
	{nil, configures(8, 4, 5), Stale},
	{nil, configures(8, 3, 3), Stale},
	{nil, configures(8, 3, 4, "us", "us"), InvalidConfig},
	{nil, with(tenant.Limits{Rate: 3}, configures(7, 1, 2)), Done},
	{nil, with(tenant.Limits{Rate: 2}, configures(7, 1, 2)), InvalidConfig},
	{nil, with(tenant.Limits{Rate: 9, Burst: 2}, configures(7, 1, 2)), InvalidConfig},
	{nil, configures(8, 3, 4, "eu"), WrongResidency},

	{small, grants(9, 0, 2, quota.Share{4, 9, 14, 199}), Done},
	{small, grants(9, 0, 2, quota.Share{1, 1, 0, 0}), Done},
	{small, grants(6, 0, 2, half), UnknownTenant},
	{ended(7), grants(7, 0, 1, half), TenantDropped},
	{after(small, []Command{drops(9)}), grants(9, 0, 2, quota.Share{4, 9, 14, 199}), Dropping},
	{small, grants(9, 2, 2, half), UnknownSlot},
	{small, grants(9, 0, 1, quota.Share{4, 9, 14, 199}), Stale},
	{small, grants(9, 0, 3, quota.Share{4, 9, 14, 199}), Stale},
	{after(small, []Command{grants(9, 0, 2, quota.Share{4, 9, 14, 199})}), grants(9, 0, 2, quota.Share{3, 9, 14, 199}), Stale},
	{after(small, []Command{grants(9, 0, 2, quota.Share{4, 9, 14, 199})}), grants(9, 1, 2, quota.Share{4, 9, 14, 199}), Done}, // each slot has its own
	{small, grants(9, 0, 2, half), Already},
	{small, grants(9, 0, 2, quota.Share{0, 9, 14, 199}), InvalidConfig},
	{small, grants(9, 0, 2, quota.Share{4, 0, 14, 199}), InvalidConfig},
	// No slot gets an amount that another slot has not given up, or may still use.
	{small, grants(9, 0, 2, quota.Share{6, 10, 15, 200}), OverLimits},
	{after(small, gives(0)), grants(9, 1, 2, quota.Share{6, 10, 15, 200}), OverLimits},
	{after(small, gives(0), []Command{holds(9, 0, 3, quota.Share{4, 10, 15, 200})}), grants(9, 1, 2, quota.Share{6, 10, 15, 200}), Done},
	{after(small, gives(0), []Command{holds(9, 0, 3, quota.Share{4, 10, 15, 200})}), grants(9, 1, 2, quota.Share{7, 10, 15, 200}), OverLimits},
	// An amount that a slot may still use is not granted again to two.
	{after(small, gives(0)), grants(9, 0, 3, half), Done},
	{after(small, []Command{with(tenant.Limits{Rate: 4, Burst: 20, Entities: 30, Bytes: 400}, configures(9, 1, 2))}), grants(9, 0, 3, quota.Share{3, 10, 15, 200}), OverLimits},
	// While the slots hold more of a cap than the limit, a lowered grant does not grow again.
	{after(small, fewer, []Command{grants(9, 0, 3, quota.Share{5, 10, 4, 200})}), grants(9, 0, 4, quota.Share{5, 10, 5, 200}), OverLimits},
	{after(small, fewer, []Command{grants(9, 0, 3, quota.Share{4, 10, 4, 200})}), grants(9, 0, 4, quota.Share{5, 10, 4, 200}), Done}, // of the rate there is no more
	{after(small, fewer, []Command{grants(9, 0, 3, quota.Share{5, 10, 4, 200}), holds(9, 0, 4, quota.Share{5, 10, 5, 200}), holds(9, 1, 3, quota.Share{5, 10, 5, 200})}),
		grants(9, 0, 4, quota.Share{5, 10, 5, 200}), Done},

	{small, holds(9, 0, 2, half), Done},
	{after(small, []Command{drops(9)}), holds(9, 0, 2, half), Done},
	{small, holds(6, 0, 2, half), UnknownTenant},
	{ended(7), holds(7, 0, 1, half), TenantDropped},
	{small, holds(9, 2, 2, half), UnknownSlot},
	{small, holds(9, 0, 1, half), Stale},
	{after(small, gives(0)), holds(9, 0, 2, half), Stale},
	// The slot may use its grant.
	{after(small, gives(0)), holds(9, 0, 3, quota.Share{4, 9, 15, 200}), InvalidConfig},
	{after(small, gives(0)), holds(9, 0, 3, quota.Share{4, 10, 15, 200}), Done},
	{after(small, gives(0)), holds(9, 0, 3, half), Done}, // the grant is in force, and it uses as much as before
	{after(small, gives(0), []Command{holds(9, 0, 3, half)}), holds(9, 0, 3, half), Already},
	{after(small, gives(0), []Command{holds(9, 0, 3, half)}), holds(9, 0, 3, quota.Share{9, 99, 99, 999}), Already},
	{after(small, gives(0), []Command{holds(9, 0, 3, half)}), holds(9, 0, 3, quota.Share{4, 10, 15, 200}), Done},

	{nil, drains(0), Done},
	{nil, drains(2), Done}, // it leads, and others may
	{nil, drains(4), Done},
	{nil, drains(9), UnknownNode},
	{[]Command{drains(0)}, drains(0), Already},
	{[]Command{drains(0)}, drains(4), OtherDrains},
	{[]Command{drains(0), undrains(0)}, drains(4), Done},
	{nil, drains(5), BelowMin}, // it is alone in shard 3
	{nil, drains(3), BelowMin},
	{[]Command{removes(1, m(1, 1), m(2, 1))}, drains(0), BelowMin},
	{[]Command{removes(1, m(0, 1), m(2, 1))}, drains(0), Done}, // the set does without it already
	{[]Command{excludes(1, m(2, 1), 7, 0), excludes(1, m(1, 1), 7, 2)}, drains(0), BelowMin},
	{[]Command{excludes(1, m(1, 1), 7, 2)}, drains(0), Done},
	{[]Command{restarts(1, 2), restarts(2, 2)}, drains(0), BelowMin}, // no other member could lead
	{[]Command{restarts(1, 2)}, drains(0), Done},

	{[]Command{drains(0)}, undrains(0), Done},
	{nil, undrains(9), UnknownNode},
	{nil, undrains(0), Already},
	{[]Command{drains(0)}, undrains(1), Already},
}

// fewer lowers the entities of small from 30 to 10; each slot may still use 15.
var fewer = []Command{with(tenant.Limits{Rate: 10, Burst: 20, Entities: 10, Bytes: 400}, configures(9, 1, 2))}

// gives is a slot of small that gives up an operation per second, by entry 3.
func gives(slot lineage.Slot) []Command {
	return []Command{grants(9, slot, 2, quota.Share{4, 10, 15, 200})}
}

func TestVerdicts(t *testing.T) {
	for i, c := range verdicts {
		l := newLog()
		l.must(t, c.before...)
		command := l.as(c.command)
		before, index, refused := l.plane.Snapshot(), l.plane.Index(), l.plane.Refused()
		if got := l.plane.Judge(&command); got != c.want {
			t.Errorf("row %d: %v would be %v, want %v", i, &command, got, c.want)
		}
		if diff := cmp.Diff(before, l.plane.Snapshot()); diff != "" {
			t.Errorf("row %d: to judge %v changes the state:\n%s", i, &command, diff)
		}
		if got := l.do(command); got.Refusal != c.want || got.Holds() != (c.want == Done || c.want == Already) {
			t.Errorf("row %d: %v: %v, want %v", i, &command, got, c.want)
		}
		if err := invariant(l.plane); err != nil {
			t.Errorf("row %d: after %v: %v", i, &command, err)
		}
		if c.want == Done {
			if l.plane.Index() != l.index {
				t.Errorf("row %d: %v took effect at %d, but the last change is said to be at %d", i, &command, l.index, l.plane.Index())
			}
			continue
		}
		// A refusal is counted, and leaves no other trace.
		refused[c.want]++
		if l.plane.refused != refused || l.plane.Index() != index {
			t.Errorf("row %d: %v counts %v, want %v; last change %d, want %d", i, &command, l.plane.refused, refused, l.plane.Index(), index)
		}
		l.plane.refused[c.want]--
		if diff := cmp.Diff(before, l.plane.Snapshot()); diff != "" {
			t.Errorf("row %d: %v is refused and changes the state:\n%s", i, &command, diff)
		}
	}
}

// Every refusal of the protocol is in the table, except Malformed and Full, which have tests of
// their own.
func TestVerdictsHaveEveryRefusal(t *testing.T) {
	for r := range refusalEnd {
		if r == Malformed || r == Full {
			continue
		}
		if !slices.ContainsFunc(verdicts, func(v struct {
			before  []Command
			command Command
			want    Refusal
		}) bool {
			return v.want == r
		}) {
			t.Errorf("no row is refused as %v", r)
		}
	}
}

// TestEveryPreconditionCounts takes one precondition after the other away, and
// expects a row of the table to object.
func TestEveryPreconditionCounts(t *testing.T) {
	for kind := Register; kind < kindEnd; kind++ {
		all := rules[kind].requires
		for i := range all {
			rules[kind].requires = slices.Delete(slices.Clone(all), i, i+1)
			if !somebodyObjects(t, kind) && !isRoom(kind, i) {
				t.Errorf("%v: nobody misses precondition %d of %d", kind, i, len(all))
			}
			rules[kind].requires = all
		}
	}
}

// isRoom picks out the two preconditions that TestBounds looks at.
func isRoom(kind Kind, i int) bool {
	return (kind == Exclude || kind == CreateTenant) && i == len(rules[kind].requires)
}

func somebodyObjects(t *testing.T, kind Kind) (objects bool) {
	defer func() { objects = recover() != nil || objects }() // it may have read a missing object
	for _, c := range verdicts {
		if c.command.Kind != kind {
			continue
		}
		l := newLog()
		for _, b := range c.before {
			l.do(b)
		}
		if l.do(c.command).Refusal != c.want {
			return true
		}
	}
	return false
}

// An undecodable command is refused with a sentence and changes nothing, not even a count: another binary
// may know it.
func TestWhatIsNoCommandIsNotFolded(t *testing.T) {
	l := newLog()
	before := l.plane.Snapshot()
	for _, c := range []struct {
		bytes []byte
		says  string
	}{
		{nil, "0 bytes"},
		{[]byte{commandVersion}, "1 bytes"},
		{[]byte{commandVersion, 0}, "kind 0, this binary knows 1..19"},
		{[]byte{commandVersion, byte(kindEnd)}, "kind 20, this binary knows 1..19"},
		{[]byte{commandVersion - 1, byte(Register)}, "version 2, this binary reads version 3"},
		{[]byte{commandVersion + 1, byte(Register)}, "version 4, this binary reads version 3"},
		{[]byte("a command that nobody wrote"), "version 97, this binary reads version 3"},
	} {
		result, err := l.plane.Apply(2, c.bytes)
		if want := "not a control command: " + c.says; err == nil || err.Error() != want || !errors.Is(err, ErrCommand) || result != nil {
			t.Errorf("% x: % x, %v, want %s", c.bytes, result, err, want)
		}
	}
	if !bytes.Equal(l.plane.Snapshot(), before) {
		t.Error("the plane has changed")
	}
	if r := l.plane.Do(2, &Command{Kind: kindEnd}); r.Refusal != Malformed {
		t.Errorf("a kind that nobody knows: %v", r)
	}
}

func TestBounds(t *testing.T) {
	l := newLog()
	if r := l.do(creates(100, nil, slices.Repeat([]lineage.Shard{1}, MaxSlots+1)...)); r.Refusal != InvalidConfig {
		t.Errorf("one slot more: %v", r.Refusal)
	}
	for n := range lineage.Slot(MaxExclusions) {
		if n%MaxSlots == 0 {
			l.must(t, creates(100+tenant.ID(n/MaxSlots), nil, slices.Repeat([]lineage.Shard{1}, MaxSlots)...))
		}
		l.must(t, excludes(1, m(0, 1), 100+tenant.ID(n/MaxSlots), n%MaxSlots))
	}
	if r := l.do(excludes(1, m(0, 1), 7, 0)); r.Refusal != Full {
		t.Errorf("one exclusion more: %v", r.Refusal)
	}
	for id := tenant.ID(1000); len(l.plane.tenants)+len(l.plane.dropped) < MaxTenants; id++ {
		l.must(t, creates(id, nil, 1))
	}
	l.must(t, ended(7)...)
	if r := l.do(creates(9, nil, 1)); r.Refusal != Full {
		t.Errorf("one tenant more, a dropped one included: %v", r.Refusal)
	}
}

// The slots of all tenants together have a bound, which tenants that end make room in, also
// after the state was read from a snapshot.
func TestSlotsOfAllTenantsAreBounded(t *testing.T) {
	l := newLog()
	sum := 0
	for i := range l.plane.Tenants() {
		sum += len(l.plane.Tenants()[i].Slots)
	}
	restored := new(Plane)
	if err := restored.Restore(l.plane.Snapshot()); err != nil || l.plane.slots != sum || restored.slots != sum {
		t.Fatalf("%d slots are counted as %d, from a snapshot as %d, %v", sum, l.plane.slots, restored.slots, err)
	}
	l.plane.slots = MaxAllSlots - 2 // as if others had so many
	if r := l.do(creates(100, nil, 1, 1, 1)); r.Refusal != Full {
		t.Errorf("one slot more than there is room for: %v", r.Refusal)
	}
	l.must(t, creates(100, nil, 1, 1))
	if r := l.do(creates(101, nil, 1)); r.Refusal != Full {
		t.Errorf("one slot more: %v", r.Refusal)
	}
	l.must(t, ended(100)...)
	l.must(t, creates(101, nil, 1, 1))
}

// what describes a shard in a line.
func what(s *Shard) string {
	eligible := ""
	if len(s.Eligible) > 0 {
		eligible = fmt.Sprintf("eligible %v ", s.Eligible)
	}
	return fmt.Sprintf("epoch %d version %d leader %v in-sync %v %sreplicas %v min %d reformed %v excluded %v",
		s.Epoch, s.Version, s.Leader, s.InSync, eligible, s.Replicas, s.Min, s.Reformed, s.Excluded)
}

func TestEffects(t *testing.T) {
	const founding = "epoch 1 version 1 leader 2/1 in-sync [0/1 1/1 2/1] replicas [0 1 2] min 2 reformed false excluded []"
	for _, c := range []struct {
		name     string
		commands []Command
		want     string
	}{
		{"as founded", nil, founding},
		{"a registration changes no shard", []Command{restarts(0, 2)}, founding},
		{"an election", []Command{elects(1, m(0, 1))},
			"epoch 2 version 2 leader 0/1 in-sync [0/1 1/1 2/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"a reform", after(lost, []Command{reforms(1, m(1, 2))}),
			"epoch 2 version 2 leader 1/2 in-sync [0/2 1/2 2/2] replicas [0 1 2] min 2 reformed true excluded []"},
		{"an election amid a reform does not end it", after(lost, []Command{reforms(1, m(1, 2)), elects(1, m(0, 2))}),
			"epoch 3 version 3 leader 0/2 in-sync [0/2 1/2 2/2] replicas [0 1 2] min 2 reformed true excluded []"},
		{"a reform that ended", after(lost, []Command{reforms(1, m(1, 2)), settles(1, m(1, 2))}),
			"epoch 2 version 3 leader 1/2 in-sync [0/2 1/2 2/2] replicas [0 1 2] min 2 reformed false excluded []"},
		{"exclusions stay through a reform", []Command{
			inLife(5, excludes(1, m(0, 1), 7, 0)), inLife(6, excludes(1, m(1, 1), 7, 2)), restarts(0, 2), restarts(2, 4), reforms(1, m(2, 4))},
			"epoch 2 version 4 leader 2/4 in-sync [0/2 1/1 2/4] replicas [0 1 2] min 2 reformed true excluded [{0/2 7 0 0} {1/1 7 2 6}]"},
		{"a removal above min makes nobody eligible", below[:1],
			"epoch 1 version 2 leader 2/1 in-sync [1/1 2/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"an exclusion ends the eligibility", after(below, []Command{excludes(1, m(1, 1), 7, 2)}),
			"epoch 1 version 4 leader 2/1 in-sync [2/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"a join ends the eligibility", after(below, []Command{joins(1, m(0, 1), m(2, 1))}),
			"epoch 1 version 4 leader 2/1 in-sync [0/1 2/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"a member that has restarted is eligible", []Command{removes(1, m(0, 1), m(2, 1)), restarts(1, 2), removes(1, m(1, 1), m(2, 1))},
			"epoch 1 version 3 leader 2/1 in-sync [2/1] eligible [1/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"and stays so", after(below, []Command{restarts(1, 2)}),
			"epoch 1 version 3 leader 2/1 in-sync [2/1] eligible [1/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"a member that has lost its disk is not eligible", []Command{removes(1, m(0, 1), m(2, 1)), starts(1, 1, 1, 1), starts(1, 2, 2, 0), removes(1, m(1, 1), m(2, 1))},
			"epoch 1 version 3 leader 2/1 in-sync [2/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"nor does it stay so", after(below, []Command{starts(1, 1, 1, 1), starts(1, 2, 2, 0)}),
			"epoch 1 version 4 leader 2/1 in-sync [2/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"the eligible member overrules the set", after(below, []Command{elects(1, m(1, 1))}),
			"epoch 2 version 4 leader 1/1 in-sync [1/1] eligible [2/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"and a reform", after(below, []Command{restarts(2, 2), reforms(1, m(2, 2)), elects(1, m(1, 1))}),
			"epoch 3 version 5 leader 1/1 in-sync [1/1] eligible [2/2] replicas [0 1 2] min 2 reformed false excluded []"},
		{"a member with an exclusion is not eligible", after(below, []Command{excludes(1, m(2, 1), 7, 0), elects(1, m(1, 1))}),
			"epoch 2 version 5 leader 1/1 in-sync [1/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"a removal takes its exclusions along", []Command{
			excludes(1, m(0, 1), 7, 0), excludes(1, m(1, 1), 7, 0), excludes(1, m(0, 1), 7, 2), removes(1, m(0, 1), m(2, 1))},
			"epoch 1 version 5 leader 2/1 in-sync [1/1 2/1] replicas [0 1 2] min 2 reformed false excluded [{1/1 7 0 0}]"},
		{"down to one member", []Command{removes(1, m(0, 1), m(2, 1)), removes(1, m(1, 1), m(2, 1))},
			"epoch 1 version 3 leader 2/1 in-sync [2/1] eligible [1/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"a join in a later incarnation", []Command{removes(1, m(0, 1), m(2, 1)), restarts(0, 2), joins(1, m(0, 2), m(2, 1))},
			"epoch 1 version 3 leader 2/1 in-sync [0/2 1/1 2/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"exclusions ascend", []Command{excludes(1, m(1, 1), 7, 2), excludes(1, m(0, 1), 7, 2), excludes(1, m(1, 1), 7, 0)},
			"epoch 1 version 4 leader 2/1 in-sync [0/1 1/1 2/1] replicas [0 1 2] min 2 reformed false excluded [{0/1 7 2 0} {1/1 7 0 0} {1/1 7 2 0}]"},
		{"a readmission", []Command{excludes(1, m(1, 1), 7, 2), excludes(1, m(1, 1), 7, 0), readmits(1, m(1, 1), m(2, 1), 7, 2)},
			"epoch 1 version 4 leader 2/1 in-sync [0/1 1/1 2/1] replicas [0 1 2] min 2 reformed false excluded [{1/1 7 0 0}]"},
		{"an assignment", []Command{removes(1, m(0, 1), m(2, 1)), assigns(1, 0, 4)},
			"epoch 1 version 3 leader 2/1 in-sync [1/1 2/1] replicas [1 2 4] min 2 reformed false excluded []"},
		{"a tenant takes its exclusions along", after([]Command{excludes(1, m(1, 1), 7, 2), excludes(1, m(1, 1), 7, 0)}, ended(7)),
			"epoch 1 version 4 leader 2/1 in-sync [0/1 1/1 2/1] replicas [0 1 2] min 2 reformed false excluded []"},
		{"a tenant keeps them until it has ended", after([]Command{excludes(1, m(1, 1), 7, 2)}, ended(7)[:3]),
			"epoch 1 version 2 leader 2/1 in-sync [0/1 1/1 2/1] replicas [0 1 2] min 2 reformed false excluded [{1/1 7 2 0}]"},
		{"a tenant without exclusions changes no shard", ended(7), founding},
		{"a drain changes no shard", []Command{drains(0)}, founding},
		{"nor does a grant, nor what is held", []Command{
			grants(7, 0, 1, quota.Share{1, 1, 1, 1}), holds(7, 0, 2, quota.Share{1, 1, 1, 1})}, founding},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLog()
			l.must(t, c.commands...)
			if diff := cmp.Diff(strings.Fields(c.want), strings.Fields(what(l.plane.Shard(1)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := invariant(l.plane); err != nil {
				t.Error(err)
			}
		})
	}
}

// A result tells where its object stands, whether the command had its effect or not.
func TestResults(t *testing.T) {
	l := newLog()
	for _, c := range []struct {
		command Command
		want    Result
	}{
		{elects(1, m(0, 1)), Result{Done, 2, 2, 2}},
		{at(elects(1, m(1, 1)), 1, 1), Result{Stale, 2, 2, 2}},
		{removes(1, m(2, 1), m(0, 1)), Result{Done, 4, 2, 3}},
		{elects(9, m(1, 1)), Result{UnknownShard, 0, 0, 0}},
		{restarts(3, 4), Result{Done, 6, 0, 4}},
		{restarts(3, 2), Result{Stale, 6, 0, 4}},
		{restarts(9, 2), Result{UnknownNode, 0, 0, 0}},
		{creates(9, nil, 1), Result{Done, 9, 0, 1}},
		{creates(9, nil, 2), Result{TenantExists, 9, 0, 1}},
		{configures(9, 1, 5), Result{Done, 11, 0, 5}},
		{configures(9, 1, 6), Result{Stale, 11, 0, 5}},
		{drops(9), Result{Done, 13, 0, 5}},
		{drops(9), Result{Already, 13, 0, 5}},
		{at(closes(1, m(0, 1), 9, 0), 1, 1), Result{Stale, 4, 2, 3}},
		{closes(1, m(0, 1), 9, 0), Result{Done, 4, 2, 3}}, // the shard stays as it is
		{drops(9), Result{TenantDropped, 16, 0, 0}},
		{drops(6), Result{UnknownTenant, 0, 0, 0}},
		{grants(8, 0, 1, quota.Share{1, 1, 1, 1}), Result{Done, 19, 0, 3}},
		{grants(8, 0, 1, quota.Share{1, 1, 1, 1}), Result{Stale, 19, 0, 3}},
		{holds(8, 0, 19, quota.Share{1, 1, 1, 1}), Result{Done, 21, 0, 3}},
		{drains(3), Result{BelowMin, 6, 0, 4}},
		{drains(4), Result{Done, 23, 0, 1}},
		{undrains(4), Result{Done, 24, 0, 1}},
		{undrains(9), Result{UnknownNode, 0, 0, 0}},
	} {
		if got := l.do(c.command); got != c.want {
			t.Errorf("%v: %+v, want %+v", &c.command, got, c.want)
		}
	}
}

// Tenants are as they were told, and share nothing with the command.
func TestTenants(t *testing.T) {
	l := newLog()
	c := creates(9, tenant.Residency{"us"}, 3, 4)
	l.plane.Do(2, &c)
	c.Config.Residency[0], c.Shards[0] = "eu", 1
	part := quota.Share{5_000, 5_000, tenant.MaxEntities / 2, tenant.MaxBytes / 2}
	slot := Slot{Grant: part, Granted: 2, Held: part} // which no log is known to have
	want := Tenant{
		Config: tenant.Config{ID: 9, Version: 1, Limits: tenant.Limits{Rate: 10_000}, Residency: tenant.Residency{"us"}},
		Shards: []lineage.Shard{3, 4}, Slots: []Slot{slot, slot}, Index: 2,
	}
	if diff := cmp.Diff(&want, l.plane.Tenant(9)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l.index = 2
	l.must(t, configures(9, 1, 2))
	l.must(t, ended(7)...)
	if got := l.plane.Tenant(9); got.Config.Version != 2 || got.Config.Limits.Rate != 2 || got.Index != 3 || len(got.Shards) != 2 {
		t.Errorf("configured anew it is %+v", got)
	}
	if l.plane.Tenant(7) != nil || len(l.plane.Tenants()) != 2 {
		t.Errorf("tenant 7 is there after it was dropped")
	}
	if diff := cmp.Diff([]Tombstone{{7, 7}}, l.plane.Dropped()); diff != "" {
		t.Errorf("tombstones (-want +got):\n%s", diff)
	}
}

// Of two coordinators that decide on the same state, the second one is refused and counted, for
// every pair of decisions.
func TestTwoCoordinators(t *testing.T) {
	commands := []Command{elects(1, m(0, 1)), elects(1, m(1, 1)), removes(1, m(0, 1), m(2, 1)), removes(1, m(1, 1), m(2, 1))}
	for _, first := range commands {
		for _, second := range commands {
			l := newLog()
			a, b := l.as(first), l.as(second)
			l.must(t, a)
			after := what(l.plane.Shard(1))
			if r := l.do(b); r.Refusal != Stale || l.plane.Refused()[Stale] != 1 || what(l.plane.Shard(1)) != after {
				t.Errorf("%v, then %v: %+v, counted %d, %s", &a, &b, r, l.plane.Refused()[Stale], what(l.plane.Shard(1)))
			}
		}
	}
}
