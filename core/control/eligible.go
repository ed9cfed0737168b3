package control

import (
	"github.com/tidaldb/tidalsim/core/lineage"
)

// The eligible member. Below Shard.Min nothing is committed. So the member that left last, when the
// set fell below min, has every committed record as long as the set stays below. It may lead when
// no member of the set can (compare Kafka's KIP-966, eligible leader replicas). Min is 2 at most,
// so there is one eligible member at most.
//
//	begins  Remove brings the set below Min: the member that leaves, if its disk is kept
//	        and it has no exclusion
//	        Elect of the eligible member: the one that was in the set, on the same terms
//	ends    Join brings the set to Min
//	        Register reports that its disk is lost
//	        Exclude, which the member proposes when one of its logs fails
//
// Until then its replica is not assigned to another node, and none of its logs is removed or begun
// again. It follows the leader and cuts its logs like any other replica.

// isLost reports whether a member's acknowledged records are gone: its node has since registered
// another directory, or an older copy of its directory.
func (p *Plane) isLost(m Member) bool {
	// Another directory has none of the records that the member acknowledged.
	if uint64(m.Incarnation) < p.Node(m.Node).Lost {
		return true
	}
	return false
}

// isKept reports whether a member still has its disk. A restart keeps it.
func (p *Plane) isKept(m Member) bool { return !p.isLost(m) }

// Leads reports whether a process leads a shard in an epoch: the newest configuration names it, and
// no later process of its node is registered.
func (p *Plane) Leads(m Member, shard lineage.Shard, epoch lineage.ShardEpoch) bool {
	s := p.Shard(shard)
	return s != nil && s.Epoch == epoch && s.Leader == m && p.isRegistered(m)
}

// becomesEligible makes a member eligible that is about to leave the set, if it qualifies.
func (p *Plane) becomesEligible(s *Shard, m Member) {
	if left := len(s.InSync) - 1; left >= s.Min || left+1 < s.Min {
		return
	}
	if p.isKept(m) && !s.IsExcluded(m) {
		// Otherwise only the last member may lead, and its disk has the only copy.
		//safety:last-to-leave-is-eligible by=configuration on=below-min
		s.Eligible = []Member{m}
	}
}

// overrule makes the eligible member's process the only one in the set. It has every committed
// record, and so had the previous members, so one of them becomes eligible.
func (p *Plane) overrule(s *Shard, by Member) {
	before := s.InSync
	s.Eligible = nil
	for _, m := range before {
		if p.isKept(m) && !s.IsExcluded(m) && len(s.Eligible) == 0 {
			s.Eligible = []Member{m}
		}
	}
	s.InSync, s.Excluded, s.Reformed = []Member{by}, nil, false
}

// endEligibility applies a registration to the eligible members: with a lost directory, a member is
// eligible no longer. It may have held the only copy of a record.
func (p *Plane) endEligibility(x *change) {
	for i := range p.shards {
		s := &p.shards[i]
		open, ends := s.LossOpen, s.IsEligible(x.Node) && !p.isKept(s.Eligible[0])
		if ends {
			s.Eligible = nil
		}
		if p.noteLoss(s); ends || s.LossOpen != open {
			s.changed(x.index)
		}
	}
}

func inSyncOrEligible(p *Plane, x *change) Refusal {
	eligible := x.shard.IsEligible(x.Member.Node) && p.isRegistered(x.Member)
	return unless(eligible || x.shard.IsInSync(x.Member), NotInSync)
}

func settledOrEligible(_ *Plane, x *change) Refusal {
	return unless(!x.shard.Reformed || !x.shard.IsInSync(x.Member), Reforming)
}

// wholeIfAny: a member that lacks records of a slot leads a reformed set only if every other member
// lacks some too.
func wholeIfAny(p *Plane, x *change) Refusal {
	s := x.shard
	mine, _ := s.holder(x.Member.Node)
	if p.isLost(mine) {
		return unless(s.LossAccepted && !p.leavesWhole(s), NotInSync)
	}
	if !s.IsExcluded(mine) {
		return Done
	}
	for _, m := range s.InSync {
		if !p.isLost(m) && !s.IsExcluded(m) {
			return IsExcluded
		}
	}
	return Done
}
