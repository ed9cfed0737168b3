package core

import (
	"slices"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/quota"
)

// A node's knowledge of the cluster's health. The coordinator has the reports of all nodes. Another
// member of the meta log has the applied configuration, and knows which nodes live. Any other node
// has the founding configuration and knows its own shards. A node shows every other figure as
// unknown.

// Health fills h with this node's knowledge and reuses h's memory. It does not change the node.
func (n *Node) Health(h *health.Cluster) {
	*h = health.Cluster{Node: n.env.Self(), Regions: h.Regions[:0], Nodes: h.Nodes[:0], Shards: h.Shards[:0], Tenants: h.Tenants[:0]}
	v := view{n: n, now: n.env.Now(), plane: n.plane}
	if v.plane == nil {
		v.plane = n.cluster.founded
	}
	if n.located {
		h.Coordinator = health.Of(n.meta.leader)
	}
	h.Index = health.Of(v.plane.Index())
	// A member of the meta log reports the state that it has applied, at the index of that state.
	//safety:index-of-what-is-told true by=health-truth on=slow-follower
	if n.plane == nil {
		h.Index = health.Of(max(n.reader.Index(), v.plane.Index()))
	}
	if n.log != nil {
		h.WatchedMs = health.Millis(v.now.Sub(n.started))
	}
	if n.leads {
		h.WatchedMs = health.Millis(v.now.Sub(n.since))
		if n.polls.isConfirmed {
			h.AgeMs = health.Millis(v.now.Sub(n.polls.confirmed))
		}
	}
	for i := range v.plane.Nodes() {
		h.Nodes = append(h.Nodes, v.node(i))
	}
	for i := range v.plane.Shards() {
		h.Shards = longer(h.Shards)
		v.shard(&h.Shards[i], &v.plane.Shards()[i])
	}
	for i := range v.plane.Tenants() {
		h.Tenants = longer(h.Tenants)
		v.tenant(&h.Tenants[i], &v.plane.Tenants()[i])
	}
	h.Judge()
}

// longer extends a list by one element. An element of an earlier call keeps its content, so that
// the caller can reuse its memory.
func longer[T any](list []T) []T {
	if n := len(list); n < cap(list) {
		return list[:n+1]
	}
	return append(list, *new(T))
}

// view is a call of Health under way.
type view struct {
	n     *Node
	now   env.Time
	plane *control.Plane
}

// age returns the age of a figure that the coordinator asked for at an instant.
func (v *view) age(asked env.Time) health.Figure { return health.Millis(v.now.Sub(asked)) }

// dates reports whether the age of a report is known that the coordinator asked for at an instant. A
// clock that has stepped back since then cannot tell it: until it has caught up, the coordinator
// shows none of the figures of the report.
func (v *view) dates(asked env.Time) bool { return asked <= v.now }

func (v *view) node(i int) health.Node {
	c := &v.plane.Nodes()[i]
	h := health.Node{ID: c.ID, Region: c.Region}
	if v.n.plane == nil {
		return h
	}
	h.Incarnation, h.State = health.Of(c.Incarnation), health.Active
	switch {
	case c.Draining && v.plane.Idle(c.ID):
		h.State = health.Drained
	case c.Draining:
		h.State = health.Draining
	}
	replicas, led := uint64(0), uint64(0)
	for j := range v.plane.Shards() {
		s := &v.plane.Shards()[j]
		if slices.Contains(s.Replicas, c.ID) {
			replicas++
		}
		if s.Leader.Node == c.ID {
			led++
		}
	}
	h.Replicas, h.Leaderships = health.Of(replicas), health.Of(led)
	if s := &v.n.sightings[i]; c.ID == v.n.self.Node {
		h.SilentMs = health.Of(uint64(0))
	} else if s.Known {
		h.SilentMs = v.age(s.heard)
	}
	if k := v.n.knowledge.nodes; v.n.leads && k != nil && k[i].known && v.dates(k[i].asked) {
		h.Disk.AgeMs, h.Disk.FreeBytes = v.age(k[i].asked), health.Of(k[i].free)
		h.Disk.UsedBytes = k[i].used()
	}
	return h
}

func (v *view) shard(h *health.Shard, s *control.Shard) {
	*h = health.Shard{ID: s.ID, Region: s.Region, InSync: h.InSync[:0], Replicas: h.Replicas[:0]}
	if v.n.plane == nil { // a node with a replica may know more of the shard
		g := v.n.group(s.ID)
		if g == nil || g.Known().Index == 0 {
			return
		}
		s = g.Known()
	}
	h.Epoch, h.Version = health.Of(s.Epoch), health.Of(s.Version)
	h.Leader = health.Member{Node: s.Leader.Node, Incarnation: s.Leader.Incarnation}
	for _, m := range s.InSync {
		h.InSync = append(h.InSync, health.Member{Node: m.Node, Incarnation: m.Incarnation})
	}
	h.Excluded = health.Of(uint64(len(s.Excluded)))
	told := v.told(s)
	if told != nil {
		h.AgeMs = v.age(told.since)
		if told.figures.Whole {
			h.Entities, h.LogicalBytes = health.Of(told.figures.Entities), health.Of(told.figures.Bytes)
			if told.figures.Window > 0 {
				h.Signals, h.WindowMs = health.Of(told.figures.Signals), health.Millis(told.figures.Window)
			}
		}
	}
	for _, id := range s.Replicas {
		h.Replicas = append(h.Replicas, v.replica(s, id, told))
	}
	if v.n.leads {
		for i := range v.n.waits {
			if w := &v.n.waits[i]; w.Shard == s.ID && h.Waits == "" {
				h.Waits = w.Why.String()
			}
		}
	}
}

// told returns the report of a shard by its leader in the present epoch; nil if there is none.
func (v *view) told(s *control.Shard) *shardKnown {
	k := v.n.knowledge.shards[s.ID]
	if !v.n.leads || k == nil {
		return nil
	}
	// Ignore figures from an earlier leader or epoch: they may describe a state that is gone.
	//safety:figures-of-who-leads-now false by=health-truth on=failover
	if k.figures.Epoch != s.Epoch || k.by != s.Leader || !v.dates(max(k.asked, k.since)) {
		return nil
	}
	return k
}

func (v *view) replica(s *control.Shard, id env.ID, told *shardKnown) health.Replica {
	h := health.Replica{Node: id, InSync: health.True(slices.ContainsFunc(s.InSync, func(m control.Member) bool { return m.Node == id }))}
	if told != nil {
		for i := range told.figures.Others {
			o := &told.figures.Others[i]
			if o.Node != id {
				continue
			}
			// Report the lag of a replica that the leader has not heard as unknown, never as 0.
			//safety:unheard-lag-unknown true by=health-truth on=rejoin-after-long-absence
			if o.Heard {
				h.AgeMs = health.Millis(v.now.Sub(told.asked) + o.Quiet)
				h.LagRecords, h.LagMs = health.Of(o.Records), health.Millis(o.Lag)
			}
		}
		if id == s.Leader.Node {
			h.AgeMs, h.LagRecords, h.LagMs = v.age(told.asked), health.Of(uint64(0)), health.Of(uint64(0))
		}
	}
	if k := v.n.knowledge.nodes; v.n.leads && k != nil {
		if i := v.n.sightingOf(id); i >= 0 && k[i].known && v.dates(k[i].asked) {
			h.Disk = diskOf(&k[i], s.ID, v.age(k[i].asked))
		}
	}
	return h
}

// used adds up the disk use of a node's replicas. It is unknown while that of one replica is.
func (k *nodeKnown) used() health.Figure {
	sum := uint64(0)
	for i := range k.copies {
		if !k.copies[i].Known {
			return health.Figure{}
		}
		sum += k.copies[i].Bytes
	}
	return health.Of(sum)
}

func diskOf(k *nodeKnown, shard lineage.Shard, age health.Figure) (d health.ReplicaDisk) {
	for i := range k.copies {
		if c := &k.copies[i]; c.Shard == shard && c.Known {
			d.AgeMs, d.UsedBytes = age, health.Of(c.Bytes)
		}
	}
	return d
}

func (v *view) tenant(h *health.Tenant, t *control.Tenant) {
	*h = health.Tenant{ID: t.Config.ID, Slots: h.Slots[:0]}
	if v.n.plane == nil {
		return
	}
	h.Version, h.State, h.Residency, h.Quota = health.Of(t.Config.Version), health.TenantActive, t.Config.Residency, health.LimitsOf(t.Config.Limits)
	if t.Dropping {
		h.State = health.TenantDropping
	}
	for slot := range t.Shards {
		h.Slots = append(h.Slots, v.slot(t, lineage.Slot(slot)))
	}
}

func (v *view) slot(t *control.Tenant, slot lineage.Slot) health.Slot {
	shard, s := v.plane.Shard(t.Shards[slot]), &t.Slots[slot]
	h := health.Slot{Slot: slot, Shard: shard.ID, Share: health.Limits{
		Rate: health.Of(s.Grant[quota.Rate]), Burst: health.Of(s.Grant[quota.Burst]),
		Entities: health.Of(s.Grant[quota.LiveEntities]), Bytes: health.Of(s.Grant[quota.Bytes]),
	}}
	k := v.n.knowledge.slots[slotKey{t.Config.ID, slot}]
	if !v.n.leads || k == nil || k.epoch != shard.Epoch || v.told(shard) == nil || !v.dates(k.since) {
		return h
	}
	h.AgeMs, h.Seq = v.age(k.since), health.Of(k.figures.Seq)
	h.Used = health.Use{Entities: health.Of(k.figures.Entities), Bytes: health.Of(k.figures.Bytes)}
	r := &k.figures.Refused
	h.Refused = health.Refusals{Rate: health.Of(r[0]), Entities: health.Of(r[1]), Bytes: health.Of(r[2])}
	return h
}

// Ready reports whether the node is ready to serve its shards; if it is not, the text says why.
func (n *Node) Ready() (bool, string) {
	switch {
	case n.failure != nil:
		return false, n.failure.Error()
	case !n.ready:
		return false, "the node is being started"
	}
	for _, g := range n.groups {
		if g.Known().Index == 0 || g.Role() == group.Gathering {
			return false, "the node waits for what the control plane says of its shards"
		}
	}
	return true, ""
}
