package scenarios

import (
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/sim/trace"
)

// Nodes are asked for the health of the cluster again and again, whatever they do. Their answers
// are noted beside the truth, and a checker compares the two.

// asking says when nodes are asked. A node is asked right behind one of its Steps: its clock then
// shows the time of the answer, as in a real process, which answers between two Steps.
type asking struct {
	every   int64 // between two questions to the coordinator
	due     int64 // the earliest of next
	next    []int64
	waits   []bool     // its time has come, and it has not stepped since
	clock   []env.Time // then
	envs    []env.Env  // of the present incarnations
	cluster health.Cluster
	shift   uint64 // moves the instants: nothing else hangs on them
}

// Between two questions to the coordinator pass 180 to 300 ms, so that they come at any time
// between two of its own polls. Other nodes have less to report. Where there are many, each of them
// is asked less often, so that a larger run does not ask more in proportion to its work.
const (
	askedAtLeast = 180 * millisecond
	askedSpread  = uint64(120 * millisecond)
	askedOthers  = 5 // times as long
	manyNodes    = 8 // for each of them once as long again
	firstAsked   = uint64(20 * millisecond)
)

func (a *asking) reset(seed uint64, nodes int) {
	seed = trace.Mix(seed, a.shift)
	*a = asking{
		shift: a.shift,
		every: askedAtLeast + int64(trace.Mix(seed, 1)%askedSpread),
		next:  a.next[:0], waits: append(a.waits[:0], make([]bool, nodes)...), clock: append(a.clock[:0], make([]env.Time, nodes)...),
		envs: append(a.envs[:0], make([]env.Env, nodes)...), cluster: a.cluster,
	}
	for i := range nodes {
		a.next = append(a.next, int64(trace.Mix(seed, uint64(2+i))%firstAsked))
	}
	a.due = slices.Min(a.next)
}

// ask asks the nodes that are due and have just stepped.
func (r *Runner) ask() {
	a, now := &r.asking, r.world.Time()
	for i := range a.next {
		if a.next[i] <= now && r.hasStepped(i) {
			a.next[i] = now + r.tells(i)
		}
	}
	a.due = slices.Min(a.next)
}

// hasStepped reports whether a node has stepped since its time came: its clock shows it.
func (r *Runner) hasStepped(i int) bool {
	a := &r.asking
	if r.node(i) == nil {
		a.waits[i] = false
		return false
	}
	clock := a.envs[i].Now()
	if !a.waits[i] {
		a.waits[i], a.clock[i] = true, clock
		return false
	}
	a.waits[i] = clock == a.clock[i]
	return !a.waits[i]
}

// tells notes a node's answer, and returns when the node is to be asked again.
func (r *Runner) tells(i int) int64 {
	r.observer.decides()
	r.node(i).Health(&r.asking.cluster)
	r.observer.told(env.ID(i), &r.asking.cluster)
	if leads := r.asking.cluster.Coordinator; leads.Known && leads.Value == env.ID(i) {
		return r.asking.every
	}
	return askedOthers * r.asking.every * max(1, int64(len(r.asking.next)/manyNodes))
}

// told notes a node's answer.
func (o *observer) told(by env.ID, c *health.Cluster) {
	t := o.run.Health.AddTelling()
	if t == nil {
		return
	}
	t.By, t.At, t.Boot = o.process(by), o.world.Time(), o.health.since[by]
	t.Member = slices.Contains(o.groups.meta, by)
	t.Coordinator, t.Index, t.Age, t.Watched = figure(c.Coordinator), figure(c.Index), figure(c.AgeMs), figure(c.WatchedMs)
	for i := range c.Nodes {
		o.toldNode(t, &c.Nodes[i])
	}
	for i := range c.Shards {
		o.toldShard(t, &c.Shards[i])
	}
	t.Expect(len(c.Tenants))
	for i := range c.Tenants {
		toldTenant(t, &c.Tenants[i])
	}
	for i := range c.Regions {
		g := &c.Regions[i]
		t.Regions = append(t.Regions, observe.ToldRegion{
			Name: g.Name, Status: observe.Status(g.Status), Reasoned: g.Reason != "", Age: figure(g.AgeMs), Nodes: g.Nodes, Heard: figure(g.NodesHeard), Lag: figure(g.LagMs),
		})
	}
}

// figure is a figure as the checkers know it.
func figure[T ~uint32 | ~uint64](m health.Maybe[T]) observe.Figure {
	return observe.Figure{Known: m.Known, Value: uint64(m.Value)}
}

func (o *observer) toldNode(t *observe.Telling, n *health.Node) {
	x := t.AddNode()
	x.ID, x.Region = uint32(n.ID), n.Region
	x.Draining, x.Idle = n.State == health.Draining || n.State == health.Drained, n.State == health.Drained
	x.Replicas, x.Leads, x.Silent = figure(n.Replicas), figure(n.Leaderships), figure(n.SilentMs)
	x.Disk = observe.ToldDisk{Age: figure(n.Disk.AgeMs), Used: figure(n.Disk.UsedBytes), Free: figure(n.Disk.FreeBytes)}
	x.Heard = o.health.sights[int(t.By.Node)*o.nodes+int(n.ID)].at
	if n.Incarnation.Known {
		said := t.AddObject(observe.NodeObject, uint64(n.ID), 2)
		said.Numbers = append(said.Numbers, uint64(n.Incarnation.Value), number(x.Draining))
	}
}

func (o *observer) toldShard(t *observe.Telling, s *health.Shard) {
	x := t.AddShard()
	x.ID, x.Region, x.Configured = s.ID, s.Region, s.Version.Known
	x.Epoch, x.Leader = s.Epoch.Value, o.processOf(s.Leader)
	for _, m := range s.InSync {
		x.InSync = append(x.InSync, processOfMember(control.Member(m)))
	}
	plane, _ := o.groups.plane()
	x.Version = s.Version.Value
	x.Newest = s.Version.Known && plane.Shard(s.ID).Version == s.Version.Value
	x.Age, x.Entities, x.Bytes = figure(s.AgeMs), figure(s.Entities), figure(s.LogicalBytes)
	x.Signals, x.Window = figure(s.Signals), figure(s.WindowMs)
	for i := range s.Replicas {
		r := &s.Replicas[i]
		x.Replicas = append(x.Replicas, observe.ToldReplica{
			Node: uint32(r.Node), Age: figure(r.AgeMs), Records: figure(r.LagRecords), Lag: figure(r.LagMs),
			Disk:  observe.ToldDisk{Age: figure(r.Disk.AgeMs), Used: figure(r.Disk.UsedBytes)},
			Heard: o.health.confirmedAt(s.Leader.Node, s.ID, r.Node, s.Epoch.Value),
		})
	}
	if x.Configured {
		said := t.AddObject(observe.ShardObject, uint64(s.ID), 6+2*len(s.InSync)+len(s.Replicas))
		said.Numbers = append(said.Numbers, uint64(s.Epoch.Value), s.Version.Value, uint64(s.Leader.Node), uint64(s.Leader.Incarnation), s.Excluded.Value, uint64(len(s.InSync)))
		for _, m := range s.InSync {
			said.Numbers = append(said.Numbers, uint64(m.Node), uint64(m.Incarnation))
		}
		for i := range s.Replicas {
			said.Numbers = append(said.Numbers, uint64(s.Replicas[i].Node))
		}
	}
}

// processOf returns a member as judges name it that count starts.
func (o *observer) processOf(m health.Member) observe.Process {
	return observe.Process{Node: uint32(m.Node), Incarnation: o.startOf(control.Member(m))}
}

func toldTenant(t *observe.Telling, n *health.Tenant) {
	x := t.AddTenant(len(n.Slots))
	x.ID, x.Compliance = n.ID, observe.Compliance(n.Compliant)
	for i := range n.Slots {
		s := &n.Slots[i]
		x.Slots[i] = observe.ToldSlot{
			Slot: s.Slot, Shard: s.Shard, Age: figure(s.AgeMs), Seq: figure(s.Seq), Entities: figure(s.Used.Entities), Bytes: figure(s.Used.Bytes),
			Refused: [3]observe.Figure{figure(s.Refused.Rate), figure(s.Refused.Entities), figure(s.Refused.Bytes)},
		}
	}
	if !n.Version.Known {
		return
	}
	q, dropping := &n.Quota, number(n.State == health.TenantDropping)
	said := t.AddObject(observe.TenantObject, uint64(n.ID), 7+5*len(n.Slots))
	said.Numbers = append(said.Numbers, n.Version.Value, dropping, q.Rate.Value, q.Burst.Value, q.Entities.Value, q.Bytes.Value, residencyNumber(n.Residency))
	for i := range n.Slots {
		s := &n.Slots[i]
		said.Numbers = append(said.Numbers, uint64(s.Shard), s.Share.Rate.Value, s.Share.Burst.Value, s.Share.Entities.Value, s.Share.Bytes.Value)
	}
}
