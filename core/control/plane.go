package control

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Member is a replica of a shard in one incarnation of its process. An incarnation is the index of
// the entry that registered it. The founding members have the founding index until their node's
// first process appears. The zero Member is no member.
type Member struct {
	Node        env.ID
	Incarnation env.Incarnation
}

// Compare orders members by node, then by incarnation.
func (m Member) Compare(o Member) int {
	return cmp.Or(cmp.Compare(m.Node, o.Node), cmp.Compare(m.Incarnation, o.Incarnation))
}

// String returns node and incarnation: "2/3".
func (m Member) String() string { return fmt.Sprintf("%d/%d", m.Node, m.Incarnation) }

// Node is the plane's knowledge of a node.
type Node struct {
	ID     env.ID
	Region tenant.Region
	// Incarnation is the current one: the last that was registered and then appeared, so that it is
	// durable in its directory; 0: none. It never decreases.
	Incarnation env.Incarnation
	// Registered is the last incarnation that was registered, the index of that entry. It may still
	// have to appear. 0: none.
	Registered env.Incarnation
	// Directory is the last registered data directory; before the first registration, the founding
	// one.
	Directory env.Nonce
	Nonce     env.Nonce // the name of its last start
	// Past has the names of the starts before, newest last: a late copy of their message registers
	// nothing.
	Past     []env.Nonce
	Supports uint32 // the feature level of its binary
	// Lost is the last entry that registered another directory than before, or an older copy of it;
	// 0: none did. Memberships of incarnations below it are lost.
	Lost uint64
	// Draining says that an operator drains the node: it is to lead nothing and to be in no set.
	Draining bool
	Index    uint64 // of the entry that changed it last
}

// Exclusion says that a member's log of a slot failed, so records that it acknowledged may be gone.
// Commits and reads of the slot no longer wait for the member. The member neither leads nor is
// promoted until it has fetched the log again.
type Exclusion struct {
	Member Member
	Tenant tenant.ID
	Slot   lineage.Slot
	// Life is the generation of the log that failed: acknowledgements of it and of earlier ones do
	// not count. 0: a later process of the member's node opened the log.
	Life uint64
}

func (x Exclusion) compare(o Exclusion) int {
	return cmp.Or(x.Member.Compare(o.Member), cmp.Compare(x.Tenant, o.Tenant), cmp.Compare(x.Slot, o.Slot))
}

// Shard is the configuration of a replica group.
//
// Invariant: Leader is in InSync. InSync ascends and has distinct nodes, all of them in Replicas,
// and no incarnation above the registered one. Eligible has one member at most, on a node of
// Replicas that is not in InSync, and is empty if InSync has Min members.
type Shard struct {
	ID     lineage.Shard
	Region tenant.Region
	// Epoch is the leadership's, from 1: each Elect and Reform increments it.
	Epoch lineage.ShardEpoch
	// Version counts every change of this shard, from 1.
	Version uint64
	Leader  Member
	// InSync holds the members that have every acknowledged record, exclusions aside.
	InSync []Member
	// Eligible is the member that left InSync when fewer than Min remained, in the incarnation in
	// which it left. Nothing is committed below Min, so it has every committed record, and may lead
	// when no member of InSync can.
	Eligible []Member
	Replicas []env.ID // the nodes that hold the shard, ascending
	// Since has, by replica, the index of the entry that placed it. A node that was removed and
	// placed again begins with nothing: its earlier acknowledgements do not count.
	Since []uint64
	// Min is how many members of InSync must have a record before it is committed.
	Min int
	// Reformed says that no member of the previous set could be promoted. Each member of InSync may
	// lack records that another one has:
	//
	//  1. The leader asks all members for their logs and adopts the best one of each slot.
	//  2. When all members have the adopted logs, the leader proposes Settle and serves.
	//
	// Until Settle no member leaves or enters InSync; a new leader starts at step 1.
	Reformed bool
	Excluded []Exclusion // ascending
	// LossOpen says that every acknowledged log of the set is lost and no member is eligible. The
	// shard waits until an operator accepts the loss.
	LossOpen bool
	// LossAccepted says that an operator allows a reform although acknowledged records may be lost.
	// It is never true together with LossOpen.
	LossAccepted bool
	Index        uint64 // of the entry that changed it last; commands carry it as their authority
}

// Tenant is a tenant, the shards that host it, and the division of its limits.
//
// Invariant: Slots is as long as Shards. The grants of all slots together are within the limits. So
// is the sum of Held, once usage has come down to limits that were lowered.
type Tenant struct {
	Config tenant.Config
	Shards []lineage.Shard // by slot; the regions of all are permitted by Config.Residency
	Slots  []Slot          // likewise
	// Dropping says that the tenant is being dropped: it ends when all its slots are closed.
	Dropping bool
	Index    uint64 // of the entry that changed it last
}

// Slot is a slot's part of its tenant's limits.
//
// Invariant: Grant is within Held, and Taken is at most Granted.
type Slot struct {
	Grant   quota.Share // the share that the slot may use
	Granted uint64      // the entry that granted it: the version of the record in the slot's log
	// Held is the most that the slot may use under any leader: the present grant, an earlier grant
	// that may still be in force, and the entities and bytes that it had when its grant was
	// lowered.
	Held  quota.Share
	Taken uint64 // the last grant that is known to be in force in the log
	// Closed says that the slot of a dropped tenant is no longer served.
	Closed bool
}

// Tombstone is the permanent record of a dropped tenant: its ID is never used again.
type Tombstone struct {
	Tenant tenant.ID
	Index  uint64 // of the entry that dropped it
}

// founded is the index of the founding configuration.
const founded = 1

// Plane is the control plane: the state machine on the meta log.
//
// Invariant: each list ascends by id, and no tenant is in both tenants and dropped. slots is the
// sum over tenants.
type Plane struct {
	index   uint64
	nodes   []Node
	shards  []Shard
	tenants []Tenant
	dropped []Tombstone
	slots   int // of all tenants
	refused [refusalEnd]uint64
}

// New returns the founding state of a control plane: no node has appeared, all replicas of a shard
// are in sync, and the first one leads. The cluster must be valid.
func New(c *Cluster) *Plane {
	if err := c.Validate(); err != nil {
		assert.Fail("a control plane is founded with an %v", err)
	}
	p := &Plane{index: founded}
	for _, n := range c.Nodes {
		p.nodes = append(p.nodes, Node{ID: n.ID, Region: n.Region, Directory: n.Directory, Index: founded})
	}
	for i := range c.Shards {
		p.shards = append(p.shards, newShard(&c.Shards[i]))
	}
	for i := range c.Tenants {
		t := &c.Tenants[i]
		p.tenants = append(p.tenants, newTenantOf(&t.Config, t.Shards, founded, founded))
		p.slots += len(t.Shards)
	}
	return p
}

func newShard(c *ShardConfig) Shard {
	s := Shard{
		ID: c.ID, Region: c.Region, Epoch: 1, Version: 1, Index: founded,
		Leader: Member{c.Replicas[0], founded}, Replicas: slices.Sorted(slices.Values(c.Replicas)), Min: min(2, len(c.Replicas)),
	}
	for _, id := range s.Replicas {
		s.InSync = append(s.InSync, Member{id, founded})
		s.Since = append(s.Since, founded)
	}
	return s
}

// Index returns the index of the last entry that changed anything but the counts of
// refusals.
func (p *Plane) Index() uint64 { return p.index }

// Nodes returns all nodes, ascending. They belong to the plane, as do the results of its other
// methods.
func (p *Plane) Nodes() []Node { return p.nodes }

// Shards returns all shards, ascending.
func (p *Plane) Shards() []Shard { return p.shards }

// Tenants returns the tenants that are not dropped, ascending.
func (p *Plane) Tenants() []Tenant { return p.tenants }

// Dropped returns the dropped tenants, ascending.
func (p *Plane) Dropped() []Tombstone { return p.dropped }

// Refused returns how many commands were refused, by Refusal. The counts are part of
// the state.
func (p *Plane) Refused() [refusalEnd]uint64 { return p.refused }

// Node returns a node, nil if there is none of that ID.
func (p *Plane) Node(id env.ID) *Node {
	i, found := p.findNode(id)
	if !found {
		return nil
	}
	return &p.nodes[i]
}

func (p *Plane) findNode(id env.ID) (int, bool) {
	return slices.BinarySearchFunc(p.nodes, id, func(n Node, id env.ID) int { return cmp.Compare(n.ID, id) })
}

// Shard returns a shard, nil if there is none of that ID.
func (p *Plane) Shard(id lineage.Shard) *Shard {
	i, found := slices.BinarySearchFunc(p.shards, id, func(s Shard, id lineage.Shard) int { return cmp.Compare(s.ID, id) })
	if !found {
		return nil
	}
	return &p.shards[i]
}

// Tenant returns a tenant, nil if it was dropped or never created.
func (p *Plane) Tenant(id tenant.ID) *Tenant {
	i, found := p.findTenant(id)
	if !found {
		return nil
	}
	return &p.tenants[i]
}

// findTenant finds the index of a tenant. There are many, and their IDs are consecutive unless
// tenants were dropped: then the tenant is at or before its place without gaps.
func (p *Plane) findTenant(id tenant.ID) (int, bool) {
	to := len(p.tenants)
	if to > 0 && id >= p.tenants[0].Config.ID {
		if at := uint64(id - p.tenants[0].Config.ID); at < uint64(to) {
			if p.tenants[at].Config.ID == id {
				return int(at), true
			}
			to = int(at)
		}
	}
	return slices.BinarySearchFunc(p.tenants[:to], id, func(t Tenant, id tenant.ID) int { return cmp.Compare(t.Config.ID, id) })
}

// Tombstone returns the tombstone of a dropped tenant, nil if it was not dropped.
func (p *Plane) Tombstone(id tenant.ID) *Tombstone {
	i, found := p.findDropped(id)
	if !found {
		return nil
	}
	return &p.dropped[i]
}

func (p *Plane) findDropped(id tenant.ID) (int, bool) {
	return slices.BinarySearchFunc(p.dropped, id, func(t Tombstone, id tenant.ID) int { return cmp.Compare(t.Tenant, id) })
}

// isRegistered reports whether a member is the registered and current process of its node.
func (p *Plane) isRegistered(m Member) bool {
	n := p.Node(m.Node)
	return n != nil && (n.Incarnation == m.Incarnation && n.Registered == m.Incarnation || p.isFounding(m))
}

// isFounding reports whether a member is a founding one that still waits for its node's first
// process.
func (p *Plane) isFounding(m Member) bool {
	n := p.Node(m.Node)
	return m.Incarnation == founded && n.Incarnation == 0 && !p.isLost(m)
}

// hasRestarted reports whether a later process of the member's node is registered.
func (p *Plane) hasRestarted(m Member) bool {
	return p.Node(m.Node).Registered > m.Incarnation && !p.isFounding(m)
}

// permits reports whether the residency of every tenant of a shard permits a region.
func (p *Plane) permits(s *Shard, r tenant.Region) bool {
	for i := range p.tenants {
		t := &p.tenants[i]
		if slices.Contains(t.Shards, s.ID) && !t.Config.Residency.Permits(r) {
			return false
		}
	}
	return true
}

// IsInSync reports whether a member is in InSync in exactly that incarnation.
func (s *Shard) IsInSync(m Member) bool { return slices.Contains(s.InSync, m) }

// IsEligible reports whether the eligible member is on this node.
func (s *Shard) IsEligible(node env.ID) bool {
	return slices.ContainsFunc(s.Eligible, func(m Member) bool { return m.Node == node })
}

// Excludes reports whether a member is excluded from a slot.
func (s *Shard) Excludes(m Member, t tenant.ID, slot lineage.Slot) bool {
	_, found := s.findExclusion(Exclusion{Member: m, Tenant: t, Slot: slot})
	return found
}

// IsExcluded reports whether a member is excluded from any slot.
func (s *Shard) IsExcluded(m Member) bool {
	return slices.ContainsFunc(s.Excluded, func(x Exclusion) bool { return x.Member == m })
}

// holder returns the member of InSync on a node, and whether there is one.
func (s *Shard) holder(node env.ID) (Member, bool) {
	for _, m := range s.InSync {
		if m.Node == node {
			return m, true
		}
	}
	return Member{}, false
}

// promotable reports whether a member of InSync may lead: its process is the registered one, and it
// lacks no records.
func (p *Plane) promotable(s *Shard, m Member) bool { return p.isRegistered(m) && !s.IsExcluded(m) }

// reformable reports whether the set must be formed again from the current processes of its nodes.
// A member has restarted, and either no member is promotable, or the set is still being reformed,
// so that no member is known to have more than another.
func (p *Plane) reformable(s *Shard) bool {
	if s.LossAccepted && p.IsStuck(s) {
		return true
	}
	if s.Reformed && slices.ContainsFunc(s.InSync, p.isLost) {
		return p.leavesWhole(s) // the leader waits for its log, and the log is lost
	}
	promotable := slices.ContainsFunc(s.InSync, func(m Member) bool { return p.promotable(s, m) })
	if slices.ContainsFunc(s.InSync, func(m Member) bool { return p.hasRestarted(m) && !p.isLost(m) }) {
		return s.Reformed || !promotable
	}
	// Each remaining member lacks records of a slot. A member that lost its disk may have had them,
	// and no other replica does. The slot waits for an operator, and the other slots need a leader.
	return !promotable && len(s.Eligible) == 0 && p.leavesWhole(s) && slices.ContainsFunc(s.InSync, p.isLost)
}

// IsStuck reports whether every acknowledged log of a set is lost and no member is eligible: no
// member can lead, and none has logs to gather.
func (p *Plane) IsStuck(s *Shard) bool { return !p.leavesWhole(s) && len(s.Eligible) == 0 }

// leavesWhole reports whether a set has a member that is not lost.
func (p *Plane) leavesWhole(s *Shard) bool {
	return slices.ContainsFunc(s.InSync, func(m Member) bool { return !p.isLost(m) })
}

// losesLast reports whether a slot would keep no whole member if gone left InSync.
func (p *Plane) losesLast(s *Shard, gone Member) bool {
	if len(s.InSync) == 1 || !p.isLost(gone) && !slices.ContainsFunc(s.InSync, func(m Member) bool { return m != gone && !p.isLost(m) }) {
		return true
	}
	return slices.ContainsFunc(s.Excluded, func(x Exclusion) bool {
		return s.onlyHolder(x.Tenant, x.Slot, gone) || p.onlyWhole(s, x.Tenant, x.Slot, gone)
	})
}

// onlyWhole reports whether one member, itself not lost, is the only one that is neither lost nor
// excluded from a slot.
func (p *Plane) onlyWhole(s *Shard, id tenant.ID, slot lineage.Slot, one Member) bool {
	for _, m := range s.InSync {
		if m != one && !s.Excludes(m, id, slot) && !p.isLost(m) {
			return false
		}
	}
	return !p.isLost(one)
}

// onlyHolder reports whether all members of InSync but one are excluded from a slot.
func (s *Shard) onlyHolder(id tenant.ID, slot lineage.Slot, one Member) bool {
	for _, m := range s.InSync {
		if _, excluded := s.findExclusion(Exclusion{Member: m, Tenant: id, Slot: slot}); m != one && !excluded {
			return false
		}
	}
	return true
}

func (s *Shard) findExclusion(x Exclusion) (int, bool) {
	return slices.BinarySearchFunc(s.Excluded, x, Exclusion.compare)
}
