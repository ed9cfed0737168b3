package checker

import (
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// A region is no longer well beyond these; exactly at them it still is (R13).
const (
	longLag     = 5_000  // ms; a lag that is older than this is as good as none
	longSilence = 30_000 // ms
)

// survey sums up the figures of a region's nodes and shards.
type survey struct {
	nodes, gone, heard, unheard uint64
	late, unknown               uint64
	lag                         observe.Figure // the longest that is known
}

// regions judges each region once more, and expects the same.
func (j *telling) regions() {
	for i := range j.t.Regions {
		r := &j.t.Regions[i]
		j.report.Checked++
		s := j.survey(r.Name)
		status, heard := s.status(), observe.Figure{}
		if j.t.Watched.Known || s.unheard == 0 {
			heard = observe.Is(s.heard)
		}
		if r.Status != status || r.Nodes != s.nodes || r.Heard != heard || r.Lag != s.lag || r.Reasoned == (status == observe.Healthy) {
			j.says("wrong-region", "region %q is %s (a reason is given: %v), %d nodes, heard %v, lag %v; by the figures it is %s, %d nodes, heard %v, lag %v",
				r.Name, r.Status, r.Reasoned, r.Nodes, r.Heard, r.Lag, status, s.nodes, heard, s.lag)
		}
	}
	for i := range j.t.Nodes {
		if !j.tellsOf(j.t.Nodes[i].Region) {
			j.says("wrong-region", "node %d is in region %q, of which nothing is told", j.t.Nodes[i].ID, j.t.Nodes[i].Region)
		}
	}
}

func (j *telling) tellsOf(region tenant.Region) bool {
	for i := range j.t.Regions {
		if j.t.Regions[i].Name == region {
			return true
		}
	}
	return false
}

func (j *telling) survey(region tenant.Region) (s survey) {
	for i := range j.t.Nodes {
		if n := &j.t.Nodes[i]; n.Region == region {
			s.node(n.Silent, j.t.Watched)
		}
	}
	for i := range j.t.Shards {
		shard := &j.t.Shards[i]
		for k := range shard.Replicas {
			p := &shard.Replicas[k]
			if shard.Region == region && (!shard.Configured || p.Node != shard.Leader.Node) {
				s.replica(p)
			}
		}
	}
	return s
}

// node counts a node. A node that was never heard has been silent for as long as the coordinator
// has listened.
func (s *survey) node(silent, watched observe.Figure) {
	s.nodes++
	switch {
	case silent.Known && silent.Value <= longSilence:
		s.heard++
	case silent.Known, watched.Known && watched.Value > longSilence:
		s.gone++
	default:
		s.unheard++
	}
}

func (s *survey) replica(p *observe.ToldReplica) {
	if !p.Lag.Known || !p.Age.Known || p.Age.Value > longLag {
		s.unknown++
		return
	}
	if s.lag = observe.Is(max(s.lag.Value, p.Lag.Value)); p.Lag.Value > longLag {
		s.late++
	}
}

func (s *survey) status() observe.Status {
	switch {
	case s.nodes > 0 && s.gone == s.nodes:
		return observe.Offline
	case s.gone > 0 || s.late > 0:
		return observe.Degraded
	case s.nodes == 0 || s.unheard > 0 || s.unknown > 0:
		return 0
	}
	return observe.Healthy
}

// compliance looks where the replicas of a tenant's shards are.
func (j *telling) compliance(t *observe.ToldTenant) {
	if t.Compliance == 0 {
		return
	}
	j.report.Checked++
	strays := false
	for i := range t.Slots {
		s := j.shardTold(t.Slots[i].Shard)
		if s == nil || len(s.Replicas) == 0 {
			continue
		}
		for k := range s.Replicas {
			strays = strays || !j.run.Residency.Permits(t.ID, s.Replicas[k].Node)
		}
	}
	if strays != (t.Compliance == observe.Strays) {
		j.says("wrong-compliance", "tenant %s is where it may be: %v; by the replicas that are told: %v", t.ID, t.Compliance == observe.Complies, !strays)
	}
}
