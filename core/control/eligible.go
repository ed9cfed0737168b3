package control

import (
	"github.com/tidaldb/tidalsim/core/lineage"
)

// The eligible member. Below Shard.Min nothing is committed, so the member whose leaving
// brought the set there has all that was ever committed, as long as the set stays below.
// It may lead when no member of the set can (compare Kafka's KIP-966, eligible leader
// replicas). Min is 2 at most, so there is one eligible member at most.
//
//	begins  Remove brings the set below Min: the member that leaves, if its disk is kept
//	        and it has no exclusion
//	        Elect of the eligible member: the one that was in the set, on the same terms
//	ends    Join brings the set to Min
//	        Register tells that its disk is lost
//	        Exclude, which it asks for when a log of it fails
//
// Until then its replica is not assigned to another node, and nothing of it is removed or
// begun anew; it follows the leader and cuts its logs as any replica does.

// isLost reports whether what a member acknowledged is gone: since then its node was
// registered in another directory, or in an older copy of it.
func (p *Plane) isLost(m Member) bool {
	// A directory that is another one has nothing of what the member promised.
	if uint64(m.Incarnation) < p.Node(m.Node).Lost {
		return true
	}
	return false
}

// isKept reports whether a membership has its disk: a restart changes nothing.
func (p *Plane) isKept(m Member) bool { return !p.isLost(m) }

// Leads reports whether a process leads a shard in an epoch: it does so by the newest
// configuration, and no later process of its node is registered.
func (p *Plane) Leads(m Member, shard lineage.Shard, epoch lineage.ShardEpoch) bool {
	s := p.Shard(shard)
	return s != nil && s.Epoch == epoch && s.Leader == m && p.isRegistered(m)
}

// becomesEligible notes that a member is about to leave the set.
func (p *Plane) becomesEligible(s *Shard, m Member) {
	if left := len(s.InSync) - 1; left >= s.Min || left+1 < s.Min {
		return
	}
	if p.isKept(m) && !s.IsExcluded(m) {
		// Else the one that is left is the only one that may lead, and its disk the only copy.
		//safety:last-to-leave-is-eligible by=configuration on=below-min
		s.Eligible = []Member{m}
	}
}

// overrule makes the process of the eligible member the only one in the set. It has all
// that was committed, and so have the members that were in the set until now.
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

// endEligibility takes note of a registration: a directory that is lost is eligible no
// longer, and may have had what nobody else has.
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

// wholeIfAny: a member that lacks records of a slot leads a set that is formed anew only
// if each member of it does.
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
