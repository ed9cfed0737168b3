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

// Member is a replica of a shard in one life of its process. An incarnation is the index
// of the entry that registered it; the places of the founding have that of the founding,
// until the first life of the node appears. The zero Member is nobody.
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

// Node is what is known of a node.
type Node struct {
	ID     env.ID
	Region tenant.Region
	// Incarnation is the current life: the last that was registered and then appeared, so
	// that it is durable in its directory; 0: none has. It never goes back.
	Incarnation env.Incarnation
	// Registered is the last incarnation that was given, the index of that entry; it may
	// still have to appear. 0: none was.
	Registered env.Incarnation
	// Directory is where it began; before the first registration that of the founding.
	Directory env.Nonce
	Nonce     env.Nonce   // what names its start
	Past      []env.Nonce // of the starts before, the last ones: a late copy of them registers nothing
	Supports  uint32      // the feature level of its binary
	// Lost is the last entry that registered another directory than before, or an older copy
	// of it; 0: none did. Places of incarnations below it are lost.
	Lost uint64
	// Draining says that it is to lead nothing and to be in no set, so that it can be
	// stopped without anybody noticing.
	Draining bool
	Index    uint64 // of the entry that changed it last
}

// Exclusion says that a member's log of a slot failed: what it acknowledged of it
// may be gone. Acks and reads of the slot do without the member, and the member
// neither leads nor is promoted, until it fetched the log anew.
type Exclusion struct {
	Member Member
	Tenant tenant.ID
	Slot   lineage.Slot
	// Life is that of the log which failed: what it acknowledged in this life, or in an
	// earlier one, does not count. 0: a later process of the member's node opened the log.
	Life uint64
}

func (x Exclusion) compare(o Exclusion) int {
	return cmp.Or(x.Member.Compare(o.Member), cmp.Compare(x.Tenant, o.Tenant), cmp.Compare(x.Slot, o.Slot))
}

// Shard is the configuration of a replica group.
//
// Invariant: Leader is in InSync; InSync ascends, has distinct nodes, all of them in
// Replicas, and no incarnation above the registered one. Eligible has one member at most,
// on a node of Replicas that InSync has not, and none if InSync has Min members.
type Shard struct {
	ID     lineage.Shard
	Region tenant.Region
	// Epoch is the leadership's, from 1: each Elect and Reform counts it up.
	Epoch lineage.ShardEpoch
	// Version counts every change of this shard, from 1.
	Version uint64
	Leader  Member
	// InSync are the members that hold all that was acknowledged, exclusions aside.
	InSync []Member
	// Eligible is the member that has left InSync when fewer than Min were left, in the
	// incarnation in which it left. Nothing is committed below Min, so it has all that ever
	// was, and may lead when no member of InSync can.
	Eligible []Member
	Replicas []env.ID // who is to hold the shard, ascending
	// Since has, by replica, the index of the entry that placed it there. A node that was
	// replaced and placed again has begun with nothing: what it acknowledged before counts
	// no more.
	Since []uint64
	// Min is how many members of InSync must have a record before it is committed.
	Min int
	// Reformed says that the members of InSync come from a set of which nobody could
	// be promoted. Each may lack what another one has, so before it serves, the
	// leader asks all of them for their logs, adopts the best one for each slot, and
	// proposes Settle when all of them have that. Until then nobody leaves or enters
	// InSync; a new leader begins anew.
	Reformed bool
	Excluded []Exclusion // ascending
	// LossOpen says that what the set acknowledged is lost and nobody is eligible: the shard
	// waits until an operator accepts that.
	LossOpen bool
	// LossAccepted says that an operator lets the set be reformed although what it has may
	// be lost. It is never true beside LossOpen.
	LossAccepted bool
	Index        uint64 // of the entry that changed it last; commands carry it as their authority
}

// Tenant is a tenant, where it lives, and how its limits are divided.
//
// Invariant: Slots is as long as Shards. The grants of all slots add up to no more than
// the limits; so does what they hold, once nothing is left of limits that were lowered.
type Tenant struct {
	Config tenant.Config
	Shards []lineage.Shard // by slot; the regions of all are permitted by Config.Residency
	Slots  []Slot          // the same
	// Dropping says that the tenant is to end: it does when all its slots are closed.
	Dropping bool
	Index    uint64 // of the entry that changed it last
}

// Slot is a slot's part in its tenant's limits.
//
// Invariant: Grant is within Held, and Taken is at most Granted.
type Slot struct {
	Grant   quota.Share // what the slot is to use
	Granted uint64      // the entry that granted it: the version of the record in the slot's log
	// Held is the most that the slot may use, whoever sequences its log: what is granted,
	// what was granted and may still be in force, and of entities and bytes what it had
	// when its grant was lowered.
	Held  quota.Share
	Taken uint64 // the last grant that is known to be in force in the log
	// Closed says that nobody serves the slot any more, of a tenant that is dropped.
	Closed bool
}

// Tombstone is what is left of a dropped tenant, for ever: its ID never names other
// data.
type Tombstone struct {
	Tenant tenant.ID
	Index  uint64 // of the entry that dropped it
}

// founded is the index of what the founders of the meta log share.
const founded = 1

// Plane is the control plane: the state machine on the meta log.
//
// Invariant: each list ascends by id, and no tenant is in both tenants and dropped; slots is
// the sum over tenants.
type Plane struct {
	index   uint64
	nodes   []Node
	shards  []Shard
	tenants []Tenant
	dropped []Tombstone
	slots   int // of all tenants
	refused [refusalEnd]uint64
}

// New returns the control plane as it is founded: no node has appeared, all replicas of a
// shard are in sync, the first of them its leader. The cluster must be valid.
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

// Nodes returns all nodes, ascending. They belong to the plane, as does all that its
// other methods return.
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

// findTenant finds a tenant's place. There are many, with IDs that follow each other unless
// some were dropped: it is where it would be then, or before that.
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

// Tombstone returns what is left of a dropped tenant, nil if it was not dropped.
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

// isRegistered reports whether a member is its node's current life, as far as is
// agreed on.
func (p *Plane) isRegistered(m Member) bool {
	n := p.Node(m.Node)
	return n != nil && (n.Incarnation == m.Incarnation && n.Registered == m.Incarnation || p.isFounding(m))
}

// isFounding reports whether a member is a place of the founding that waits for the first
// life of its node.
func (p *Plane) isFounding(m Member) bool {
	n := p.Node(m.Node)
	return m.Incarnation == founded && n.Incarnation == 0 && !p.isLost(m)
}

// hasRestarted reports whether a member's process is gone: a later one is registered.
func (p *Plane) hasRestarted(m Member) bool {
	return p.Node(m.Node).Registered > m.Incarnation && !p.isFounding(m)
}

// permits reports whether the residency of all tenants of a shard permits a region.
func (p *Plane) permits(s *Shard, r tenant.Region) bool {
	for i := range p.tenants {
		t := &p.tenants[i]
		if slices.Contains(t.Shards, s.ID) && !t.Config.Residency.Permits(r) {
			return false
		}
	}
	return true
}

// IsInSync reports whether a member is in InSync, in exactly that incarnation.
func (s *Shard) IsInSync(m Member) bool { return slices.Contains(s.InSync, m) }

// IsEligible reports whether a node has the eligible member.
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

// promotable reports whether a member of InSync may lead, as far as is agreed on:
// its process lives and lacks nothing.
func (p *Plane) promotable(s *Shard, m Member) bool { return p.isRegistered(m) && !s.IsExcluded(m) }

// reformable reports whether the set is to be formed anew from the processes that
// its nodes run now: somebody has restarted, and either nobody is promotable, or the
// set is still being reformed, so that nobody holds more than another one.
func (p *Plane) reformable(s *Shard) bool {
	if s.LossAccepted && p.IsStuck(s) {
		return true
	}
	if s.Reformed && slices.ContainsFunc(s.InSync, p.isLost) {
		return p.leavesWhole(s) // its log is waited for, and nobody has it
	}
	if !slices.ContainsFunc(s.InSync, func(m Member) bool { return p.hasRestarted(m) && !p.isLost(m) }) {
		return false
	}
	return s.Reformed || !slices.ContainsFunc(s.InSync, func(m Member) bool { return p.promotable(s, m) })
}

// IsStuck reports whether all that a set acknowledged is lost, and nobody is eligible: no
// member can lead, and there is none to ask for its logs.
func (p *Plane) IsStuck(s *Shard) bool { return !p.leavesWhole(s) && len(s.Eligible) == 0 }

// leavesWhole reports whether a set has a member that is not lost.
func (p *Plane) leavesWhole(s *Shard) bool {
	return slices.ContainsFunc(s.InSync, func(m Member) bool { return !p.isLost(m) })
}

// losesLast reports whether a slot would be left without a member that is whole for
// it, if gone left InSync.
func (p *Plane) losesLast(s *Shard, gone Member) bool {
	if len(s.InSync) == 1 || !p.isLost(gone) && !slices.ContainsFunc(s.InSync, func(m Member) bool { return m != gone && !p.isLost(m) }) {
		return true
	}
	return slices.ContainsFunc(s.Excluded, func(x Exclusion) bool {
		return s.onlyHolder(x.Tenant, x.Slot, gone) || p.onlyWhole(s, x.Tenant, x.Slot, gone)
	})
}

// onlyWhole reports whether one member, which is not lost, is the only one that is neither
// lost nor excluded from a slot.
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
