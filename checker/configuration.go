package checker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/checker/observe"
)

const nameConfiguration = "configuration"

// judgeConfiguration looks at every configuration of a shard that a node received, and at each step
// from one version to the next. It knows the rules of the control plane by itself and shares no
// code with it. Its rules of one configuration:
//
//	leader-outside  the leader is not in the set
//	not-a-replica   a member of the set is on a node that holds no replica
//	node-twice      two members of the set are on one node
//	nobody-whole    every member is excluded from some slot, and no member is eligible
//	ungiven         the set names an incarnation that is not durable in its directory
//	eligible-at-min a member outside of a set that has its minimum is eligible
//
// and of one version after the other, but that the first incarnation that appears on a node takes
// the founding place of the node, in one entry of its own:
//
//	epoch           the epoch went back or up by more than one, or the leader changed within one
//	promoted        the leader of a new epoch was not in the set before, or was excluded from a
//	                slot; or it was eligible, and is not alone in the new set
//	gone-promoted   a later incarnation of the new leader's node was registered before
//	two-at-once     more than one member entered or left the set within one epoch
//	amid-reform     a member entered or left while the set was being reformed
//	member-replaced a node lost its replica while it had a member in the set, or an eligible one
//	eligible-made   a member became eligible that did not leave a set that had its minimum, or
//	                that lacked acknowledged records
//	eligible-missed the set fell below its minimum, and the member that left it is not eligible,
//	                although it lacked nothing and its process goes on
//	unstarted       a node was registered more often than it was started
//	order           a later version was made by an earlier entry of the control plane
func judgeConfiguration(run *observe.Run, _ Options) Report {
	v, c := newVerdict(nameConfiguration), &run.Configurations
	slices.SortStableFunc(c.List, func(a, b observe.Configuration) int {
		return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.Version, b.Version))
	})
	for _, r := range c.Unstarted {
		v.find("unstarted", 0, nil, "entry %d registers incarnation %d of node %d, which was not started so often", r.Index, r.Incarnation, r.Node)
	}
	for i := range c.List {
		is := &c.List[i]
		v.report.Checked++
		singleVersion(v, is)
		if i == 0 || c.List[i-1].Shard != is.Shard {
			continue
		}
		was := &c.List[i-1]
		if is.Index <= was.Index {
			v.find("order", is.At, nil, "%s was made by entry %d, and version %d by entry %d", version(is), is.Index, was.Version, was.Index)
		}
		if is.Version == was.Version+1 {
			was = appeared(c.Lives, was, is)
			reconfigured(v, was, is)
			outlived(v, c.Lives, was, is)
			eligible(v, c.Lives, was, is)
		}
	}
	ofGroups(v, run, "no configuration was told to anybody")
	return v.done()
}

// founding is the incarnation of the places of the founding: the index of that entry.
const founding = 1

// appeared returns the version before as it is when the first incarnation of a node has taken the
// founding place that it has in the version after; was, if none does.
func appeared(lives []observe.Registration, was, is *observe.Configuration) *observe.Configuration {
	for i, m := range was.InSync {
		now, there := is.On(m.Node)
		if m.Incarnation != founding || !there || now.Incarnation == founding {
			continue
		}
		if slices.ContainsFunc(lives, func(r observe.Registration) bool { return r.Node == m.Node && r.Index < is.Index }) {
			continue
		}
		named := *was
		named.InSync = slices.Clone(was.InSync)
		named.InSync[i] = now
		if named.Leader == m {
			named.Leader = now
		}
		named.Excluded = slices.Clone(was.Excluded)
		for j := range named.Excluded {
			if x := &named.Excluded[j]; x.Member == m {
				x.Member = now
			}
		}
		return &named
	}
	return was
}

func version(c *observe.Configuration) string {
	return fmt.Sprintf("shard %d: version %d", c.Shard, c.Version)
}

func processText(p observe.Process) string {
	return fmt.Sprintf("incarnation %d of node %d", p.Incarnation, p.Node)
}

// singleVersion judges one configuration.
func singleVersion(v *verdict, c *observe.Configuration) {
	if !c.Contains(c.Leader) {
		v.find("leader-outside", c.At, nil, "%s: %s leads and is not in the set", version(c), processText(c.Leader))
	}
	for i, m := range c.InSync {
		if !slices.Contains(c.Replicas, m.Node) {
			v.find("not-a-replica", c.At, nil, "%s: %s is in the set, and its node holds no replica", version(c), processText(m))
		}
		if i > 0 && c.InSync[i-1].Node == m.Node {
			v.find("node-twice", c.At, nil, "%s: node %d is in the set twice", version(c), m.Node)
		}
	}
	for _, m := range c.Ungiven {
		v.find("ungiven", c.At, nil, "%s: %s is in the set, and its directory does not know durably that it is", version(c), processText(m))
	}
	if len(c.Eligible) > 0 && (len(c.InSync) >= c.Min || c.Contains(c.Eligible[0])) {
		v.find("eligible-at-min", c.At, nil, "%s: %s is eligible beside a set of %d, of which %d are enough", version(c), processText(c.Eligible[0]), len(c.InSync), c.Min)
	}
	for _, x := range c.Excluded {
		whole := slices.ContainsFunc(c.InSync, func(m observe.Process) bool {
			return !slices.Contains(c.Excluded, observe.SlotExclusion{Member: m, Tenant: x.Tenant, Slot: x.Slot})
		})
		if !whole && len(c.Eligible) == 0 {
			v.find("nobody-whole", c.At, nil, "%s: every member is excluded from %s", version(c), place(x.Tenant, x.Slot))
		}
	}
}

// reconfigured judges a version by the one before it.
func reconfigured(v *verdict, was, is *observe.Configuration) {
	switch is.Epoch {
	case was.Epoch:
		withinEpoch(v, was, is)
	case was.Epoch + 1:
		promoted(v, was, is)
	default:
		v.find("epoch", is.At, nil, "%s has epoch %d, and the version before it epoch %d", version(is), is.Epoch, was.Epoch)
	}
	for _, node := range was.Replicas {
		if len(was.Eligible) > 0 && was.Eligible[0].Node == node && !slices.Contains(is.Replicas, node) {
			v.find("member-replaced", is.At, nil, "%s takes the replica from node %d, and %s was eligible", version(is), node, processText(was.Eligible[0]))
		}
		if m, holds := was.On(node); holds && !slices.Contains(is.Replicas, node) {
			v.find("member-replaced", is.At, nil, "%s takes the replica from node %d, and %s was in the set", version(is), node, processText(m))
		}
	}
}

// withinEpoch judges a change of a set by its leader.
func withinEpoch(v *verdict, was, is *observe.Configuration) {
	if is.Leader != was.Leader {
		v.find("epoch", is.At, nil, "%s is led by %s, and the version before it by %s, in one epoch %d", version(is), processText(is.Leader), processText(was.Leader), is.Epoch)
	}
	entered, left := changed(was.InSync, is.InSync), changed(is.InSync, was.InSync)
	if entered+left > 1 {
		v.find("two-at-once", is.At, nil, "%s: %d members entered the set and %d left it", version(is), entered, left)
	}
	if entered+left > 0 && was.Reformed {
		v.find("amid-reform", is.At, nil, "%s: %d members entered the set and %d left it while it was being reformed", version(is), entered, left)
	}
}

// changed counts the members of one set that another one has not.
func changed(not, in []observe.Process) (count int) {
	for _, m := range in {
		if !slices.Contains(not, m) {
			count++
		}
	}
	return count
}

// promoted judges the leader of a new epoch. In a set that is reformed it may be a later
// incarnation of a member.
func promoted(v *verdict, was, is *observe.Configuration) {
	_, onNode := was.On(is.Leader.Node)
	switch member := was.Contains(is.Leader); {
	case member && was.Excludes(is.Leader):
		v.find("promoted", is.At, nil, "%s: %s leads epoch %d, and it lacked acknowledged records of a slot", version(is), processText(is.Leader), is.Epoch)
	case !member && len(was.Eligible) > 0 && was.Eligible[0].Node == is.Leader.Node && !is.Reformed && len(is.InSync) == 1:
	case !member && !(onNode && is.Reformed):
		v.find("promoted", is.At, nil, "%s: %s leads epoch %d, and it was not in the set of version %d", version(is), processText(is.Leader), is.Epoch, was.Version)
	}
}

// eligible judges the eligible members by the version before.
func eligible(v *verdict, lives []observe.Registration, was, is *observe.Configuration) {
	overruled := len(was.Eligible) > 0 && is.Epoch != was.Epoch && is.Leader.Node == was.Eligible[0].Node
	fell := len(was.InSync) >= was.Min && len(is.InSync) < is.Min && is.Epoch == was.Epoch
	for _, m := range is.Eligible {
		if !slices.Contains(was.Eligible, m) && (!(overruled || fell) || !was.Contains(m) || was.Excludes(m)) {
			v.find("eligible-made", is.At, nil, "%s: %s is eligible; in sync were %v before, of which %d are enough", version(is), processText(m), was.InSync, was.Min)
		}
	}
	if !fell || len(is.Eligible) > 0 || len(was.InSync) != len(is.InSync)+1 {
		return
	}
	for _, m := range was.InSync {
		// The time of a later registration is not certain: of a node that was changed again, by a
		// drain or another registration, only the last entry is announced.
		over := slices.ContainsFunc(lives, func(r observe.Registration) bool { return r.Node == m.Node && r.Incarnation > m.Incarnation })
		if !is.Contains(m) && !was.Excludes(m) && !over {
			v.find("eligible-missed", is.At, nil, "%s: %s left the set, of which %d are enough and %d are left, and is not eligible", version(is), processText(m), is.Min, len(is.InSync))
		}
	}
}

// outlived looks whether a later incarnation of a new leader's node was registered before the entry
// that promotes it.
func outlived(v *verdict, lives []observe.Registration, was, is *observe.Configuration) {
	if is.Epoch == was.Epoch {
		return
	}
	for _, r := range lives {
		if r.Node == is.Leader.Node && r.Incarnation > is.Leader.Incarnation && r.Index < is.Index {
			v.find("gone-promoted", is.At, nil, "%s, of entry %d: %s leads, and incarnation %d was registered by entry %d",
				version(is), is.Index, processText(is.Leader), r.Incarnation, r.Index)
			return
		}
	}
}
