package control

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/quota"
)

// errContradiction is wrapped by the errors of check.
var errContradiction = errors.New("contradiction")

func contradiction(format string, operands ...any) error {
	return fmt.Errorf("%w: %s", errContradiction, fmt.Sprintf(format, operands...))
}

// ascending reports the first element that is not larger than the one before it.
func ascending[T any](what string, list []T, compare func(a, b T) int) error {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return contradiction("%s: %v follows %v", what, list[i], list[i-1])
		}
	}
	return nil
}

// checkShard reports the first violation of a shard's invariant.
func (p *Plane) checkShard(s *Shard) error {
	what := fmt.Sprintf("shard %d", s.ID)
	if err := cmp.Or(
		ascending(what+": replicas", s.Replicas, cmp.Compare[env.ID]),
		ascending(what+": in-sync", s.InSync, Member.Compare),
		ascending(what+": excluded", s.Excluded, Exclusion.compare),
	); err != nil {
		return err
	}
	if !s.IsInSync(s.Leader) {
		return contradiction("%s: leader %v is not among %v", what, s.Leader, s.InSync)
	}
	for i, m := range s.InSync {
		n := p.Node(m.Node)
		switch {
		case i > 0 && s.InSync[i-1].Node == m.Node:
			return contradiction("%s: node %d is in-sync twice: %v", what, m.Node, s.InSync)
		case n == nil || m.Incarnation == 0 || m.Incarnation > max(n.Incarnation, founded):
			return contradiction("%s: member %v, but registered is %+v", what, m, n)
		case !slices.Contains(s.Replicas, m.Node):
			return contradiction("%s: member %v is not on one of %v", what, m, s.Replicas)
		}
	}
	for _, x := range s.Excluded {
		if !s.IsInSync(x.Member) {
			return contradiction("%s: exclusion %+v among %v", what, x, s.InSync)
		}
	}
	if err := p.checkEligible(s, what); err != nil {
		return err
	}
	return p.checkPlace(s)
}

// checkEligible reports an eligible member that may lack committed records.
func (p *Plane) checkEligible(s *Shard, what string) error {
	if len(s.Eligible) == 0 {
		return nil
	}
	m := s.Eligible[0]
	_, inSync := s.holder(m.Node)
	if n := p.Node(m.Node); len(s.Eligible) > 1 || len(s.InSync) >= s.Min || inSync || n == nil || m.Incarnation > max(n.Incarnation, founded) || !slices.Contains(s.Replicas, m.Node) {
		return contradiction("%s: eligible %v, in-sync %v of at least %d, replicas %v", what, s.Eligible, s.InSync, s.Min, s.Replicas)
	}
	return nil
}

// checkPlace reports a shard with too few replicas, or with replicas in the wrong place.
func (p *Plane) checkPlace(s *Shard) error {
	if s.Min < 1 || s.Min > len(s.Replicas) || len(s.Replicas) > MaxReplicas {
		return contradiction("shard %d: %d replicas, min %d", s.ID, len(s.Replicas), s.Min)
	}
	for i, id := range s.Replicas {
		if since := s.Since[i]; since < founded || since > s.Index {
			return contradiction("shard %d, changed at %d: replica on node %d since %d", s.ID, s.Index, id, since)
		}
		if n := p.Node(id); n == nil || n.Region != s.Region {
			return contradiction("shard %d in %q: replica on %+v", s.ID, s.Region, n)
		}
	}
	return nil
}

// checkTenant reports the first violation of a tenant's invariant.
func (p *Plane) checkTenant(t *Tenant) error {
	if err := t.Config.Validate(); err != nil {
		return contradiction("%v", err)
	}
	if p.Tombstone(t.Config.ID) != nil {
		return contradiction("tenant %s is there, and dropped", t.Config.ID)
	}
	if len(t.Shards) == 0 {
		return contradiction("tenant %s has no slots", t.Config.ID)
	}
	for slot, id := range t.Shards {
		if s := p.Shard(id); s == nil || !t.Config.Residency.Permits(s.Region) {
			return contradiction("tenant %s: slot %d is in shard %d, %+v; residency %v", t.Config.ID, slot, id, s, t.Config.Residency)
		}
	}
	return t.checkShares()
}

// checkShares reports a slot that could use more than its share.
func (t *Tenant) checkShares() error {
	for i := range t.Slots {
		if s := &t.Slots[i]; !s.Grant.Within(s.Held) || s.Taken > s.Granted || s.Closed && !t.Dropping {
			return contradiction("tenant %s, dropping %v: slot %d: %+v", t.Config.ID, t.Dropping, i, *s)
		}
	}
	if whole := quota.Whole(t.Config.Limits); !t.Granted().Within(whole) {
		return contradiction("tenant %s: %v are granted of %v", t.Config.ID, t.Granted(), whole)
	}
	return nil
}

// checkDrains reports a second node that is being drained.
func (p *Plane) checkDrains() error {
	first := p.Draining()
	for i := range p.nodes {
		if n := &p.nodes[i]; n.Draining && n.ID != first.ID {
			return contradiction("nodes %d and %d are drained, want one at a time", first.ID, n.ID)
		}
	}
	return nil
}
