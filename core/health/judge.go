package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// Bounds of a healthy region. Exactly the bound is still healthy.
const (
	// DegradedLagMs is how long a replica may lag, in milliseconds. A lag figure older than that
	// proves nothing: a stuck figure would look healthy for ever.
	DegradedLagMs = 5_000
	// OfflineSilenceMs is how long a node may be silent, in milliseconds.
	OfflineSilenceMs = 30_000
)

// Silence is how long a node was not heard, in milliseconds; unknown: never heard.
type Silence struct {
	Node env.ID
	Ms   Figure
}

// Lag is how far a replica is behind its leader, in milliseconds, and the age of that figure.
type Lag struct {
	Shard     lineage.Shard
	Node      env.ID
	Ms, AgeMs Figure
}

// Judge fills in the figures that follow from others: the regions, and the compliance of each
// tenant with its residency.
func (c *Cluster) Judge() {
	names := make([]tenant.Region, 0, len(c.Nodes))
	for i := range c.Nodes {
		names = append(names, c.Nodes[i].Region)
	}
	slices.Sort(names)
	c.Regions = c.Regions[:0]
	for _, name := range slices.Compact(names) {
		c.Regions = append(c.Regions, c.region(name))
	}
	for i := range c.Tenants {
		c.Tenants[i].Compliant = c.complies(&c.Tenants[i])
	}
}

// region judges a region by its nodes and by all replicas there except the leaders, which cannot
// lag.
func (c *Cluster) region(name tenant.Region) Region {
	j := judgement{region: Region{Name: name}, watched: c.WatchedMs}
	for i := range c.Nodes {
		if n := &c.Nodes[i]; n.Region == name {
			j.region.Nodes++
			j.node(Silence{n.ID, n.SilentMs})
		}
	}
	for i := range c.Shards {
		s := &c.Shards[i]
		if s.Region != name {
			continue
		}
		for k := range s.Replicas {
			if r := &s.Replicas[k]; s.Leader == (Member{}) || r.Node != s.Leader.Node {
				j.lag(Lag{s.ID, r.Node, r.LagMs, r.AgeMs})
			}
		}
	}
	j.conclude()
	return j.region
}

// complies reports whether every replica of a tenant's shards is in a permitted region. One replica
// elsewhere is enough for No, even if other figures are unknown.
func (c *Cluster) complies(t *Tenant) Truth {
	if !t.Version.Known { // its residency is unknown too
		return Unknown
	}
	whole := len(t.Slots) > 0
	for i := range t.Slots {
		s := c.shard(t.Slots[i].Shard)
		if s == nil || len(s.Replicas) == 0 {
			whole = false
			continue
		}
		for _, r := range s.Replicas {
			switch n := c.node(r.Node); {
			case n == nil:
				whole = false
			case !t.Residency.Permits(n.Region):
				return No
			}
		}
	}
	if !whole {
		return Unknown
	}
	return Yes
}

func (c *Cluster) shard(id lineage.Shard) *Shard {
	i, found := slices.BinarySearchFunc(c.Shards, id, func(s Shard, id lineage.Shard) int { return cmp.Compare(s.ID, id) })
	if !found {
		return nil
	}
	return &c.Shards[i]
}

func (c *Cluster) node(id env.ID) *Node {
	i, found := slices.BinarySearchFunc(c.Nodes, id, func(n Node, id env.ID) int { return cmp.Compare(n.ID, id) })
	if !found {
		return nil
	}
	return &c.Nodes[i]
}

// Classify judges a region by the silence of each of its nodes and the lag of each of its replicas.
// watched is how long the caller has listened: a node that it never heard has been silent for at
// least that long. The first line that applies:
//
//	every node is silent for more than OfflineSilenceMs      Offline
//	some node is, or some lag is above DegradedLagMs         Degraded
//	some silence or lag is unknown                           unknown
//	all are known and within bounds                          Healthy
func Classify(name tenant.Region, watched Figure, nodes []Silence, lags []Lag) Region {
	j := judgement{region: Region{Name: name, Nodes: uint64(len(nodes))}, watched: watched}
	for _, n := range nodes {
		j.node(n)
	}
	for _, l := range lags {
		j.lag(l)
	}
	j.conclude()
	return j.region
}

// judgement is a call of Classify in progress.
type judgement struct {
	region  Region
	watched Figure

	heard   uint64  // nodes
	gone    uint64  // nodes that are silent for too long
	longest Silence // the first of the longest silences among gone nodes
	soonest uint64  // the shortest silence among gone nodes, ms
	unheard uint64  // nodes whose silence is unknown
	someone env.ID  // the first of the unheard nodes

	late   uint64 // replicas that lag too far
	worst  Lag    // the first of the longest known lags
	blank  uint64 // replicas whose lag is unknown
	blanks Lag    // the first of those
	age    uint64 // ms, of the oldest known lag
}

func (j *judgement) node(n Silence) {
	if !n.Ms.Known {
		n.Ms = j.watched
		if !n.Ms.Known || n.Ms.Value <= OfflineSilenceMs {
			if j.unheard == 0 {
				j.someone = n.Node
			}
			j.unheard++
			return
		}
	}
	if n.Ms.Value <= OfflineSilenceMs {
		j.heard++
		return
	}
	if j.gone == 0 || n.Ms.Value > j.longest.Ms.Value {
		j.longest = n
	}
	if j.gone == 0 || n.Ms.Value < j.soonest {
		j.soonest = n.Ms.Value
	}
	j.gone++
}

func (j *judgement) lag(l Lag) {
	if !l.Ms.Known || !l.AgeMs.Known || l.AgeMs.Value > DegradedLagMs {
		if j.blank == 0 {
			j.blanks = l
		}
		j.blank++
		return
	}
	if !j.worst.Ms.Known || l.Ms.Value > j.worst.Ms.Value {
		j.worst = l
	}
	if l.Ms.Value > DegradedLagMs {
		j.late++
	}
	j.age = max(j.age, l.AgeMs.Value)
}

func (j *judgement) conclude() {
	r := &j.region
	r.LagMs = j.worst.Ms
	if j.watched.Known || j.unheard == 0 {
		r.NodesHeard = Of(j.heard)
	}
	if r.LagMs.Known || r.NodesHeard.Known {
		r.AgeMs = Of(j.age)
	}
	switch {
	case r.Nodes > 0 && j.gone == r.Nodes:
		r.Status, r.Reason = Offline, fmt.Sprintf("none of %d nodes was heard for %d ms", r.Nodes, j.soonest)
	case j.gone > 0 || j.late > 0:
		r.Status, r.Reason = Degraded, j.ills()
	case r.Nodes == 0:
		r.Reason = "no node is registered there"
	case j.unheard > 0 || j.blank > 0:
		r.Reason = j.gaps()
	default:
		r.Status = Healthy
	}
}

// ills describes the faults: how many, and the worst.
func (j *judgement) ills() string {
	var ills []string
	if j.gone > 0 {
		ills = append(ills, fmt.Sprintf("nodes not heard for more than %d ms: %d of %d, the longest node %d for %d ms",
			OfflineSilenceMs, j.gone, j.region.Nodes, j.longest.Node, j.longest.Ms.Value))
	}
	if j.late > 0 {
		ills = append(ills, fmt.Sprintf("replicas that lag by more than %d ms: %d, the worst that of shard %d on node %d by %d ms",
			DegradedLagMs, j.late, j.worst.Shard, j.worst.Node, j.worst.Ms.Value))
	}
	return strings.Join(ills, "; ")
}

// gaps describes the unknown figures: how many, and the first.
func (j *judgement) gaps() string {
	var gaps []string
	switch {
	case j.unheard == 0:
	case j.watched.Known:
		gaps = append(gaps, fmt.Sprintf("nodes never heard in %d ms of listening: %d of %d, the first node %d",
			j.watched.Value, j.unheard, j.region.Nodes, j.someone))
	default:
		gaps = append(gaps, "who says this is not told who lives; ask the coordinator")
	}
	if j.blank > 0 {
		gaps = append(gaps, fmt.Sprintf("replicas whose lag is not known: %d, the first that of shard %d on node %d",
			j.blank, j.blanks.Shard, j.blanks.Node))
	}
	return strings.Join(gaps, "; ")
}
