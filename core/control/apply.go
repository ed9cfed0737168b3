package control

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
)

// rule lists the preconditions of a kind of command, in the order of the checks, and the effect if
// all hold.
type rule struct {
	requires []precondition
	effect   func(*Plane, *change)
	// aside: the command names a shard but does not change it.
	aside bool
}

// precondition returns the reason to refuse a command, or Done.
type precondition func(*Plane, *change) Refusal

// change is a command that is being applied.
type change struct {
	index uint64
	*Command
	shard *Shard // the shard that the command names, if there is one
}

// rules is the protocol. The order is behaviour: the first refusal is the answer.
var rules = [kindEnd]rule{
	Register: {requires: []precondition{namedNode, newStart}, effect: register},
	Appear:   {requires: []precondition{knownNode, appears}, effect: appear},

	Elect:  {requires: []precondition{asDecided, inSyncToLead, registered, notExcluded, notLeader}, effect: elect},
	Reform: {requires: []precondition{asDecided, nodeInSync, registered, wholeIfAny, nobodyPromotable}, effect: reform},
	Settle: {requires: []precondition{asDecided, byLeader, reforming}, effect: settle},

	Remove: {requires: []precondition{asDecided, byLeader, settled, inSync, notLast, notLeader}, effect: remove},
	Join:   {requires: []precondition{asDecided, byLeader, settled, notYetInSync, replica, registered, nodeNotInSync, joinsWithDuties}, effect: join},

	Exclude: {requires: []precondition{asDecided, inSyncOrEligible, settledOrEligible, slotHere, notYetExcluded, slotNotLast, roomForExclusion}, effect: exclude},
	Readmit: {requires: []precondition{asDecided, byLeader, settled, inSync, stillExcluded}, effect: readmit},

	Assign: {requires: []precondition{asDecided, leavesReplica, leavesIdle, leavesNoneEligible, entersKnown, entersNew, entersResident, entersRegion, entersWithDuties}, effect: assign},

	CreateTenant: {requires: []precondition{newTenant, validConfig, validHomes, enoughForEach, permittedHomes, roomForTenant}, effect: createTenant},
	DropTenant:   {requires: []precondition{knownTenant, notYetDropping, anyOrBased}, effect: dropTenant},
	Configure:    {requires: []precondition{knownTenant, notDropping, asBased, validConfig, enoughForEach, permittedMove}, effect: configure},

	Grant: {requires: []precondition{knownTenant, notDropping, knownSlot, sameGrant, newGrant, withinLimits}, effect: grantShare},
	Hold:  {requires: []precondition{knownTenant, knownSlot, sameGrant, notHeldYet}, effect: holdShare},
	Close: {requires: []precondition{inEpoch, byLeader, slotHere, nowDropping, notYetClosed}, effect: closeSlot, aside: true},

	Drain:   {requires: []precondition{namedNode, notDrainingYet, nobodyDrains, keepsMin}, effect: drain},
	Undrain: {requires: []precondition{namedNode, isDraining}, effect: undrain},

	AcceptLoss: {requires: []precondition{knownShard, notYetAccepted, nothingWhole}, effect: acceptLoss},
}

// Apply carries out the command at an index and returns the bytes of a Result. Indexes ascend, from
// 2. A command that is refused changes only a count of refusals. Bytes that are no command that this
// binary knows change nothing: the error wraps ErrCommand, and the plane must apply no later command,
// because a newer binary may have carried this one out.
func (p *Plane) Apply(index uint64, command []byte) ([]byte, error) {
	c, err := DecodeCommand(command)
	if err != nil {
		return nil, err
	}
	result := p.Do(index, &c)
	return result.Append(nil), nil
}

// Do is Apply for a decoded command.
func (p *Plane) Do(index uint64, c *Command) Result {
	if index <= p.index {
		assert.Fail("a command is applied at index %d after one at %d", index, p.index)
	}
	x := &change{index: index, Command: c, shard: p.Shard(c.Shard)}
	refusal := p.judge(x)
	if refusal != Done {
		p.refused[refusal]++
		return p.result(x, refusal)
	}
	rules[c.Kind].effect(p, x)
	p.index = index
	if x.shard != nil {
		p.noteLoss(x.shard)
	}
	if kinds[c.Kind].has&hasShard != 0 && !rules[c.Kind].aside {
		x.shard.changed(index)
	}
	return p.result(x, Done)
}

// Judge returns the refusal that Apply would give to a command now. It changes nothing.
func (p *Plane) Judge(c *Command) Refusal {
	return p.judge(&change{Command: c, shard: p.Shard(c.Shard)})
}

func (p *Plane) judge(x *change) Refusal {
	if !x.Kind.known() {
		return Malformed
	}
	for _, holds := range rules[x.Kind].requires {
		if refusal := holds(p, x); refusal != Done {
			return refusal
		}
	}
	return Done
}

// changed records a change of a shard. It does not assert the invariant: every member runs this
// machine, so a failed assertion would stop all of them.
func (s *Shard) changed(index uint64) {
	s.Version++
	s.Index = index
}

// result describes the command's object after the command.
func (p *Plane) result(x *change, refusal Refusal) Result {
	r := Result{Refusal: refusal}
	if refusal == Malformed {
		return r
	}
	switch has := kinds[x.Kind].has; {
	case has&hasShard != 0:
		if s := x.shard; s != nil {
			r.Index, r.Epoch, r.Version = s.Index, s.Epoch, s.Version
		}
	case has&hasNode != 0:
		if n := p.Node(x.Node); n != nil {
			r.Index, r.Version = n.Index, uint64(n.Incarnation)
		}
	case has&hasStart != 0:
		if n := p.Node(x.Node); n != nil && n.Nonce == x.Nonce {
			r.Index, r.Version = n.Index, uint64(n.Registered)
		}
	case has&hasPlace != 0:
		if s := x.shard; s != nil {
			r.Index, r.Epoch, r.Version = s.Index, s.Epoch, s.Version
		}
	case x.Kind == Appear:
		if n := p.Node(x.Member.Node); n != nil {
			r.Index, r.Version = n.Index, uint64(n.Incarnation)
		}
	default:
		if t := p.Tenant(x.tenant()); t != nil {
			r.Index, r.Version = t.Index, t.Config.Version
		} else if t := p.Tombstone(x.tenant()); t != nil {
			r.Index = t.Index
		}
	}
	return r
}

func unless(holds bool, refusal Refusal) Refusal {
	if holds {
		return Done
	}
	return refusal
}

// Nodes.

func knownNode(p *Plane, x *change) Refusal {
	return unless(p.Node(x.Member.Node) != nil, UnknownNode)
}

// newStart checks a registration. A start that is registered keeps its incarnation, however often
// it asks. A start registered before the present one is over, and its message is late.
func newStart(p *Plane, x *change) Refusal {
	switch n := p.Node(x.Node); {
	case x.Nonce == n.Nonce:
		return Already
	case slices.Contains(n.Past, x.Nonce) || x.Nonce == (env.Nonce{}) || x.Directory == (env.Nonce{}):
		return Stale
	}
	return Done
}

// maxPast is how many earlier starts of a node the plane remembers.
const maxPast = 4

func register(p *Plane, x *change) {
	n := p.Node(x.Node)
	// A founding file may leave the directories open; then the first one that registers is taken.
	if n.Directory != (env.Nonce{}) && (n.Directory != x.Directory || x.Given < p.named(x.Node)) {
		n.Lost = x.index
	}
	if n.Nonce != (env.Nonce{}) {
		n.Past = append(slices.Clone(n.Past[max(0, len(n.Past)+1-maxPast):]), n.Nonce)
	}
	n.Directory, n.Nonce, n.Supports = x.Directory, x.Nonce, x.Supports
	n.Registered, n.Index = env.Incarnation(x.index), x.index
	p.endEligibility(x)
}

// named returns the highest incarnation of a node that any in-sync set names, or that is eligible,
// 0 if there is none. It is durable in the node's directory, because a member has appeared or was
// founded. A directory that does not know it is an older copy: its records are not those that the
// set counts on, or that the eligible member had when it left.
func (p *Plane) named(id env.ID) (highest env.Incarnation) {
	for i := range p.shards {
		s := &p.shards[i]
		if m, found := s.holder(id); found {
			highest = max(highest, m.Incarnation)
		}
		for _, m := range s.Eligible {
			if m.Node == id {
				highest = max(highest, m.Incarnation)
			}
		}
	}
	return highest
}

func appears(p *Plane, x *change) Refusal {
	switch n := p.Node(x.Member.Node); {
	case x.Member.Incarnation == n.Incarnation:
		return Already
	case x.Member.Incarnation != n.Registered:
		return Stale
	}
	return Done
}

func appear(p *Plane, x *change) {
	n := p.Node(x.Member.Node)
	place := Member{n.ID, founded}
	if p.isFounding(place) {
		for i := range p.shards {
			p.shards[i].rename(place, x.Member, x.index)
		}
	}
	n.Incarnation, n.Index = x.Member.Incarnation, x.index
}

// rename gives the place of a member in the set to another incarnation of its node.
func (s *Shard) rename(old, m Member, index uint64) {
	i := slices.Index(s.InSync, old)
	if i < 0 {
		return
	}
	s.InSync[i] = m
	if s.Leader == old {
		s.Leader = m
	}
	for j := range s.Excluded {
		if x := &s.Excluded[j]; x.Member == old {
			x.Member = m
		}
	}
	s.changed(index)
}

// Shards: loss.

func knownShard(_ *Plane, x *change) Refusal { return unless(x.shard != nil, UnknownShard) }

func notYetAccepted(_ *Plane, x *change) Refusal { return unless(!x.shard.LossAccepted, Already) }

// nothingWhole: no member can lead, and no member has logs to gather.
func nothingWhole(p *Plane, x *change) Refusal { return unless(p.IsStuck(x.shard), NothingLost) }

// noteLoss records whether the shard waits for an operator to accept a loss.
func (p *Plane) noteLoss(s *Shard) {
	s.LossOpen = p.IsStuck(s) && !s.LossAccepted
}

func acceptLoss(_ *Plane, x *change) {
	x.shard.LossAccepted = true
	x.shard.changed(x.index)
}

// Shards: the configuration that a command was decided on, and the leader that proposed it.

// asDecided is the compare of compare-and-set.
func asDecided(_ *Plane, x *change) Refusal {
	if x.shard == nil {
		return UnknownShard
	}
	// A command decided on another configuration has no effect: a coordinator that was away must
	// not undo the decision of another one.
	//safety:control-compare-and-set false by=fence on=reconfigure-under-fire
	if x.Epoch != x.shard.Epoch || x.Version != x.shard.Version {
		return Stale
	}
	return Done
}

// inEpoch is asDecided for commands that depend only on the leader.
func inEpoch(_ *Plane, x *change) Refusal {
	switch {
	case x.shard == nil:
		return UnknownShard
	case x.Epoch != x.shard.Epoch:
		return Stale
	}
	return Done
}

func byLeader(_ *Plane, x *change) Refusal { return unless(x.By == x.shard.Leader, NotLeader) }

func reforming(_ *Plane, x *change) Refusal { return unless(x.shard.Reformed, Already) }

// settled: while a set is being reformed, each member may hold the only copy of a record, so none
// may leave. There is no member known to be whole that another could be compared with, so none may
// join.
func settled(_ *Plane, x *change) Refusal { return unless(!x.shard.Reformed, Reforming) }

// Shards: the member that a command is about.

func inSync(_ *Plane, x *change) Refusal { return unless(x.shard.IsInSync(x.Member), NotInSync) }

func inSyncToLead(_ *Plane, x *change) Refusal {
	// Promote only a member that must have every committed record.
	if !x.shard.IsInSync(x.Member) && !x.shard.IsEligible(x.Member.Node) {
		return NotInSync
	}
	return Done
}

func nodeInSync(_ *Plane, x *change) Refusal {
	_, found := x.shard.holder(x.Member.Node)
	return unless(found, NotInSync)
}

// registered: a process that has ended gets no duties. The node's later process is another member,
// and leads only if the set names it.
func registered(p *Plane, x *change) Refusal { return unless(p.isRegistered(x.Member), NotRegistered) }

func notExcluded(_ *Plane, x *change) Refusal {
	// A member that lacks acknowledged records of a slot must not lead.
	if x.shard.IsExcluded(x.Member) {
		return IsExcluded
	}
	return Done
}

func notLeader(_ *Plane, x *change) Refusal { return unless(x.Member != x.shard.Leader, IsLeader) }

func notLast(p *Plane, x *change) Refusal {
	// Every slot keeps its last whole member, even if that member is gone: its log is the only
	// copy.
	if p.losesLast(x.shard, x.Member) {
		return LastMember
	}
	return Done
}

func notYetInSync(_ *Plane, x *change) Refusal { return unless(!x.shard.IsInSync(x.Member), Already) }

func replica(_ *Plane, x *change) Refusal {
	return unless(slices.Contains(x.shard.Replicas, x.Member.Node), NotReplica)
}

func nodeNotInSync(_ *Plane, x *change) Refusal {
	_, found := x.shard.holder(x.Member.Node)
	return unless(!found, NotRemoved)
}

func nobodyPromotable(p *Plane, x *change) Refusal {
	return unless(p.reformable(x.shard), NotRestarted)
}

func elect(p *Plane, x *change) {
	s := x.shard
	s.Epoch++
	s.Leader = x.Member
	if !s.IsInSync(x.Member) {
		p.overrule(s, x.Member)
	}
}

func reform(p *Plane, x *change) {
	s := x.shard
	s.Epoch++
	s.Leader = x.Member
	s.Reformed = true
	if p.leavesWhole(s) {
		// A member with a lost directory has no logs to gather.
		s.InSync = slices.DeleteFunc(s.InSync, p.isLost)
	}
	s.LossAccepted = false
	for i, m := range s.InSync {
		s.InSync[i] = p.renewed(m)
	}
	// A log that has failed lacks acknowledged records after a restart too: the member may have
	// fetched only a part of it.
	s.Excluded = slices.DeleteFunc(s.Excluded, func(e Exclusion) bool { return !s.IsInSync(p.renewed(e.Member)) })
	for i := range s.Excluded {
		if e := &s.Excluded[i]; p.hasRestarted(e.Member) {
			e.Member, e.Life = p.renewed(e.Member), 0
		}
	}
}

// renewed returns the member with the current incarnation of its node.
func (p *Plane) renewed(m Member) Member { return Member{m.Node, p.Node(m.Node).Incarnation} }

func settle(_ *Plane, x *change) { x.shard.Reformed = false }

func remove(p *Plane, x *change) {
	s := x.shard
	p.becomesEligible(s, x.Member)
	s.InSync = slices.DeleteFunc(s.InSync, func(m Member) bool { return m == x.Member })
	s.Excluded = slices.DeleteFunc(s.Excluded, func(e Exclusion) bool { return e.Member == x.Member })
}

func join(_ *Plane, x *change) {
	i, _ := slices.BinarySearchFunc(x.shard.InSync, x.Member, Member.Compare)
	x.shard.InSync = slices.Insert(x.shard.InSync, i, x.Member)
	if len(x.shard.InSync) >= x.shard.Min {
		// The eligible member may lack records that are committed from here on.
		//safety:eligibility-ends-at-min by=configuration on=below-min
		x.shard.Eligible = nil
	}
}

// Shards: a slot of a member.

func (x *change) exclusion() Exclusion {
	return Exclusion{Member: x.Member, Tenant: x.Tenant, Slot: x.Slot, Life: x.Base}
}

func slotHere(p *Plane, x *change) Refusal {
	t := p.Tenant(x.Tenant)
	if t == nil {
		return p.absent(x)
	}
	return unless(int64(x.Slot) < int64(len(t.Shards)) && t.Shards[x.Slot] == x.shard.ID, UnknownSlot)
}

func notYetExcluded(_ *Plane, x *change) Refusal {
	_, found := x.shard.findExclusion(x.exclusion())
	return unless(!found, Already)
}

func slotNotLast(p *Plane, x *change) Refusal {
	s := x.shard
	if !s.IsInSync(x.Member) { // it is eligible
		return unless(!s.onlyHolder(x.Tenant, x.Slot, x.Member), LastMember)
	}
	alone := s.onlyHolder(x.Tenant, x.Slot, x.Member) || p.onlyWhole(s, x.Tenant, x.Slot, x.Member)
	return unless(len(s.Eligible) > 0 || !alone, LastMember)
}

func roomForExclusion(_ *Plane, x *change) Refusal {
	return unless(len(x.shard.Excluded) < MaxExclusions, Full)
}

func stillExcluded(_ *Plane, x *change) Refusal {
	_, found := x.shard.findExclusion(x.exclusion())
	return unless(found, Already)
}

func exclude(_ *Plane, x *change) {
	if !x.shard.IsInSync(x.Member) {
		x.shard.Eligible = nil
		return
	}
	i, _ := x.shard.findExclusion(x.exclusion())
	x.shard.Excluded = slices.Insert(x.shard.Excluded, i, x.exclusion())
}

func readmit(_ *Plane, x *change) {
	i, _ := x.shard.findExclusion(x.exclusion())
	x.shard.Excluded = slices.Delete(x.shard.Excluded, i, i+1)
}

// Shards: replicas.

func leavesReplica(_ *Plane, x *change) Refusal {
	return unless(slices.Contains(x.shard.Replicas, x.Node), NotReplica)
}

// leavesIdle: the set waits for each of its members, in whatever incarnation.
func leavesIdle(_ *Plane, x *change) Refusal {
	_, found := x.shard.holder(x.Node)
	return unless(!found, IsInSync)
}

// leavesNoneEligible: the eligible member may hold the only copy of committed records.
func leavesNoneEligible(_ *Plane, x *change) Refusal {
	return unless(!x.shard.IsEligible(x.Node), IsEligible)
}

func entersKnown(p *Plane, x *change) Refusal { return unless(p.Node(x.In) != nil, UnknownNode) }

func entersNew(_ *Plane, x *change) Refusal {
	return unless(!slices.Contains(x.shard.Replicas, x.In), IsReplica)
}

func entersResident(p *Plane, x *change) Refusal {
	return unless(p.permits(x.shard, p.Node(x.In).Region), WrongResidency)
}

func entersRegion(p *Plane, x *change) Refusal {
	return unless(p.Node(x.In).Region == x.shard.Region, WrongRegion)
}

func assign(_ *Plane, x *change) {
	s := x.shard
	i, _ := slices.BinarySearch(s.Replicas, x.Node)
	s.Replicas, s.Since = slices.Delete(s.Replicas, i, i+1), slices.Delete(s.Since, i, i+1)
	i, _ = slices.BinarySearch(s.Replicas, x.In)
	s.Replicas, s.Since = slices.Insert(s.Replicas, i, x.In), slices.Insert(s.Since, i, x.index)
}
