package shape

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/harness/shrink"
	"github.com/tidaldb/tidalsim/scenarios"
)

// minMeta returns the least number of members to which the meta log of a plan is cut: three, or one
// if it has no more.
func minMeta(p *scenarios.Plan) int { return min(3, len(p.Cluster.Meta)) }

// onNodes returns the plan without the nodes that are not kept, and without the commands of
// operators about them, as far as the plan can do without: the meta log needs minMeta members, and
// each shard a node in its region. Removed replicas and members of the meta log are replaced by
// other nodes where that is necessary or, with move, wherever there is one.
func onNodes(p *scenarios.Plan, keep []int, move bool) *scenarios.Plan {
	keep = enough(p, keep)
	q := p.Copy()
	for i := range q.Workload.Operators {
		o := &q.Workload.Operators[i]
		o.Commands = slices.DeleteFunc(o.Commands, func(c scenarios.CommandPlan) bool { return c.OfNode() && !slices.Contains(keep, c.Node) })
		for j := range o.Commands {
			if c := &o.Commands[j]; c.OfNode() {
				c.Node = slices.Index(keep, c.Node)
			}
		}
	}
	q = keepNodes(q, keep)
	s, before := &q.Cluster.Topology, &p.Cluster.Topology
	s.Regions = nil
	for _, node := range keep {
		s.Regions = append(s.Regions, before.Regions[node])
	}
	s.Meta = members(before.Meta, keep, minMeta(p), nil)
	if slices.Sort(s.Meta); len(s.Meta) == 4 { // 1, 3 or 5
		s.Meta = s.Meta[:3]
	}
	for i := range s.Shards {
		shard, least := &s.Shards[i], 1
		if move {
			least = len(shard.Replicas)
		}
		shard.Replicas = members(shard.Replicas, keep, least, func(node int) bool { return before.Regions[node] == shard.Region })
	}
	return q
}

// enough adds the first nodes that a cluster needs to the kept ones.
func enough(p *scenarios.Plan, keep []int) []int {
	s := &p.Cluster.Topology
	for i := range s.Shards {
		isThere := func(node int) bool { return s.Regions[node] == s.Shards[i].Region }
		if !slices.ContainsFunc(keep, isThere) {
			keep = append(slices.Clone(keep), int(s.Shards[i].Replicas[0]))
		}
	}
	for node := 0; len(keep) < minMeta(p); node++ {
		if !slices.Contains(keep, node) {
			keep = append(slices.Clone(keep), node)
		}
	}
	keep = slices.Clone(keep)
	slices.Sort(keep)
	return keep
}

// members returns the members of a group that are kept, under their new numbers, and fills up
// with other nodes that may be members until there are least of them, as far as there are such
// nodes.
func members(group []env.ID, keep []int, least int, may func(node int) bool) (kept []env.ID) {
	for _, id := range group {
		if i := slices.Index(keep, int(id)); i >= 0 {
			kept = append(kept, env.ID(i))
		}
	}
	for i, node := range keep {
		if len(kept) < least && !slices.Contains(kept, env.ID(i)) && (may == nil || may(node)) {
			kept = append(kept, env.ID(i))
		}
	}
	return kept
}

// groups makes replica groups smaller: shards on which nothing is, slots beyond the first of
// a tenant, members beyond three of the meta log, and replicas beyond two, go.
func groups(s *shrink.Search) {
	s.Try(onOneShard(best(s)))
	s.Try(withoutIdleShards(best(s)))
	for i := range best(s).Cluster.Tenants {
		s.Try(withSlots(best(s), i, 1))
	}
	s.Try(withoutIdleShards(best(s)))
	for i := range best(s).Cluster.Shards {
		for fewerReplicas(s, i) {
		}
	}
}

// fewerReplicas lets a shard do without one of its replicas, the last one first.
func fewerReplicas(s *shrink.Search, shard int) bool {
	n := len(best(s).Cluster.Shards[shard].Replicas)
	for i := n - 1; i >= 0 && n > 2; i-- {
		q := best(s).Copy()
		c := &q.Cluster.Shards[shard]
		c.Replicas = slices.Delete(c.Replicas, i, i+1)
		if s.Try(q) {
			return true
		}
	}
	return false
}

// onOneShard returns the plan with the slots of all tenants on the first tenant's first shard.
func onOneShard(p *scenarios.Plan) *scenarios.Plan {
	q := p.Copy()
	for i := range q.Cluster.Tenants {
		t := &q.Cluster.Tenants[i]
		for slot := range t.Shards {
			t.Shards[slot] = p.Cluster.Tenants[0].Shards[0]
		}
	}
	return withoutIdleShards(q)
}

// withoutIdleShards returns the plan without the shards that have no slot; the others get the
// numbers 0, 1, ...
func withoutIdleShards(p *scenarios.Plan) *scenarios.Plan {
	q := p.Copy()
	var kept []control.ShardConfig
	for _, shard := range q.Cluster.Shards {
		used := false
		for i := range p.Cluster.Tenants {
			for slot, id := range p.Cluster.Tenants[i].Shards {
				if id == shard.ID {
					q.Cluster.Tenants[i].Shards[slot] = lineage.Shard(len(kept))
					used = true
				}
			}
		}
		if used {
			shard.ID = lineage.Shard(len(kept))
			kept = append(kept, shard)
		}
	}
	q.Cluster.Shards = kept
	return q
}

// withSlots returns the plan with so many slots of a tenant.
func withSlots(p *scenarios.Plan, tenant, n int) *scenarios.Plan {
	q := p.Copy()
	t := &q.Cluster.Tenants[tenant]
	t.Slots = n
	t.Shards = t.Shards[:min(n, len(t.Shards))]
	return q
}

// best is the smallest plan so far that fails as it should.
func best(s *shrink.Search) *scenarios.Plan { return s.Best().(*scenarios.Plan) }
