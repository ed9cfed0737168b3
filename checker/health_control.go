package checker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// control looks at the decisions in a report. The reported index includes all entries that any node
// had applied when the control state was the latest. Each object is as the last entry up to that
// index left it.
func (j *telling) control() {
	t := j.t
	if t.Age.Known {
		j.report.Checked++
		since := j.since(t.Age.Value)
		i := len(j.run.Health.Applied) - 1
		for i >= 0 && j.run.Health.Applied[i].At >= since {
			i--
		}
		if i >= 0 && t.Index.Value < j.run.Health.Applied[i].Index {
			a := &j.run.Health.Applied[i]
			j.wrong("old-index", t.Age.Value, "the control state up to entry %d, and entry %d was applied before %s", t.Index.Value, a.Index, instant(a.At))
		}
	}
	if t.Coordinator.Known && !slices.Contains(j.run.Health.Led, uint32(t.Coordinator.Value)) {
		j.says("wrong-leader", "node %d is the coordinator, and it has never led the meta log", t.Coordinator.Value)
	}
	j.truth.advance(j.run.Health.Decided, t.At)
	for _, i := range j.truth.current {
		if d := &j.run.Health.Decided[i]; t.Index.Known && d.Index <= t.Index.Value {
			j.object(d)
		}
	}
	if t.Member {
		j.derived()
	}
}

// advance notes the decisions up to an instant.
func (x *truth) advance(decided []observe.Object, at int64) {
	for ; x.decided < len(decided) && decided[x.decided].At <= at; x.decided++ {
		d := &decided[x.decided]
		i := slices.IndexFunc(x.current, func(i int32) bool { return decided[i].Kind == d.Kind && decided[i].ID == d.ID })
		if i < 0 {
			i = len(x.current)
			x.current = append(x.current, 0)
		}
		x.current[i] = int32(x.decided)
	}
}

// anyGone reports whether a tenant was dropped.
func (j *telling) anyGone() bool {
	return slices.ContainsFunc(j.truth.current, func(i int32) bool { return j.run.Health.Decided[i].Gone })
}

// isGone reports whether a tenant was dropped.
func (j *telling) isGone(id tenant.ID) bool {
	return slices.ContainsFunc(j.truth.current, func(i int32) bool {
		d := &j.run.Health.Decided[i]
		return d.Gone && d.ID == uint64(id)
	})
}

// object compares an object with the last decision about it.
func (j *telling) object(d *observe.Object) {
	said := j.objectTold(d.Kind, d.ID)
	switch {
	case said == nil && (d.Gone || !j.t.Member):
	case said == nil:
		j.decides(d, "it is not told of")
	case d.Gone:
		j.decides(d, "it is told of, and was dropped")
	default:
		j.report.Checked++
		for k := range max(len(said.Numbers), len(d.Numbers)) {
			if k >= len(said.Numbers) || k >= len(d.Numbers) || said.Numbers[k] != d.Numbers[k] {
				j.decides(d, "%s is told as %s, and is %s", numberName(d, k), numberAt(said.Numbers, k), numberAt(d.Numbers, k))
				return
			}
		}
	}
}

// objectTold returns the reported object, nil if there is none.
func (j *telling) objectTold(kind observe.ObjectKind, id uint64) *observe.Object {
	i, found := slices.BinarySearchFunc(j.t.Objects, id, func(o observe.Object, id uint64) int {
		return cmp.Or(cmp.Compare(o.Kind, kind), cmp.Compare(o.ID, id))
	})
	if !found {
		return nil
	}
	return &j.t.Objects[i]
}

func (j *telling) decides(d *observe.Object, format string, operands ...any) {
	kind := [...]string{observe.NodeObject: "node", observe.ShardObject: "shard", observe.TenantObject: "tenant"}[d.Kind]
	j.says("wrong-object", "the control state up to entry %d; %s %d was changed last by entry %d: %s", j.t.Index.Value, kind, d.ID, d.Index, fmt.Sprintf(format, operands...))
}

func numberAt(numbers []uint64, k int) string {
	if k >= len(numbers) {
		return "nothing"
	}
	return fmt.Sprint(numbers[k])
}

// The numbers of objects, in the order of observe.Object. Of a shard the members in sync
// follow, each with its incarnation, and then the replicas; of a tenant each slot with its
// shard and its share.
var (
	nodeNumbers   = [...]string{"the incarnation", "whether it drains"}
	shardNumbers  = [...]string{"the epoch", "the version", "the leader", "the leader's incarnation", "the number of exclusions", "the number of members in sync"}
	tenantNumbers = [...]string{"the version", "whether it is being dropped", "the rate", "the burst", "the cap of entities", "the cap of bytes", "the residency"}
	slotNumbers   = [...]string{"the shard", "the share of the rate", "the share of the burst", "the share of entities", "the share of bytes"}
)

// isDropping is the place, among a tenant's numbers, of its dropping flag.
const isDropping = 1

func numberName(d *observe.Object, k int) string {
	switch {
	case d.Kind == observe.NodeObject:
		return nodeNumbers[k]
	case d.Kind == observe.ShardObject && k < len(shardNumbers):
		return shardNumbers[k]
	case d.Kind == observe.ShardObject:
		return fmt.Sprintf("number %d of its members and replicas", k-len(shardNumbers))
	case k < len(tenantNumbers):
		return tenantNumbers[k]
	}
	k -= len(tenantNumbers)
	return fmt.Sprintf("%s of slot %d", slotNumbers[k%len(slotNumbers)], k/len(slotNumbers))
}

// derived looks at the figures that follow from the reported shards.
func (j *telling) derived() {
	for i := range j.t.Nodes {
		n := &j.t.Nodes[i]
		replicas, leads, idle := uint64(0), uint64(0), true
		for k := range j.t.Shards {
			s := &j.t.Shards[k]
			if slices.ContainsFunc(s.Replicas, func(r observe.ToldReplica) bool { return r.Node == n.ID }) {
				replicas++
			}
			if s.Leader.Node == n.ID {
				leads++
			}
			idle = idle && !slices.ContainsFunc(s.InSync, func(p observe.Process) bool { return p.Node == n.ID })
		}
		if n.Replicas != observe.Is(replicas) || n.Leads != observe.Is(leads) || n.Idle != (n.Draining && idle) {
			j.says("wrong-object", "node %d is to hold %d shards and leads %d, drained: %v; by the shards that are told it is to hold %d and leads %d, drained: %v",
				n.ID, n.Replicas.Value, n.Leads.Value, n.Idle, replicas, leads, n.Draining && idle)
		}
	}
}

// placeOf returns the place of a shard among the reported ones, -1 if it is not reported.
func (j *telling) placeOf(id lineage.Shard) int {
	i, found := slices.BinarySearchFunc(j.t.Shards, id, func(s observe.ToldShard, id lineage.Shard) int { return cmp.Compare(s.ID, id) })
	if !found {
		return -1
	}
	return i
}

// shardTold returns the reported shard, nil if it is not reported.
func (j *telling) shardTold(id lineage.Shard) *observe.ToldShard {
	if i := j.placeOf(id); i >= 0 {
		return &j.t.Shards[i]
	}
	return nil
}
