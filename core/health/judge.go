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

// When a region is no longer healthy. What lasts exactly so long is still well.
const (
	// DegradedLagMs is how long a replica may lag, in milliseconds. A lag that is older
	// than that proves nothing either way: one that is stuck looks well for ever.
	DegradedLagMs = 5_000
	// OfflineSilenceMs is how long a node may be silent, in milliseconds.
	OfflineSilenceMs = 30_000
)

// Silence is how long a node was not heard, in milliseconds; unknown: it never was.
type Silence struct {
	Node env.ID
	Ms   Figure
}

// Lag is how far a replica is behind its leader, in milliseconds, and how old that is.
type Lag struct {
	Shard     lineage.Shard
	Node      env.ID
	Ms, AgeMs Figure
}

// Judge fills in what follows from the other figures: the regions, and which tenants are
// where they may be.
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

// region judges a region by its nodes, and by all replicas there but the leaders, who are
// behind nobody.
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

// complies reports whether every replica of a tenant's shards is where the tenant may be.
// One that is elsewhere is enough for No, whatever else is not known.
func (c *Cluster) complies(t *Tenant) Truth {
	if !t.Version.Known { // nor is its residency
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

// Classify judges a region, by how long each of its nodes was silent and how far each of
// its replicas lags. watched is for how long whoever asks has been told who lives: a node
// that was never heard is silent for at least that long. The first line that applies:
//
//	every node is silent for more than OfflineSilenceMs      Offline
//	some node is, or some lag is above DegradedLagMs         Degraded
//	of some node or lag it is not known                      unknown
//	all is known, and well                                   Healthy
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

// judgement is a call of Classify under way.
type judgement struct {
	region  Region
	watched Figure

	heard   uint64  // nodes
	gone    uint64  // nodes that are silent for too long
	longest Silence // of those that are gone, the first that is silent for longest
	soonest uint64  // of those that are gone, the shortest silence, ms
	unheard uint64  // nodes of which it is not known
	someone env.ID  // the first of those that are unheard

	late   uint64 // replicas that lag too far
	worst  Lag    // of the lags that are known, the first of the longest
	blank  uint64 // replicas whose lag is not known
	blanks Lag    // the first of those
	age    uint64 // ms, of the oldest lag that is known
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

// ills tells what is wrong: how much of it, and the worst.
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

// gaps tells what is not known: how much of it, and the first.
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
