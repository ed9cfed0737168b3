package checker

import (
	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/keyed"
	"github.com/tidaldb/tidalsim/core/lineage"
)

const nameFence = "fence"

// judgeFence looks whether nodes refuse lower epochs once they have adopted one, also in later
// incarnations, and whether commands that the control plane has overtaken have no effect. Its
// rules, the first three of a node that has adopted an epoch:
//
//	took-older     it took a record from the leader of a lower epoch
//	said-older     it sent another node a message of a lower epoch
//	adopted-older  it adopted a lower epoch, or the same once more
//	stale-command  a command had its effect on another configuration than it was decided on
//
// A node whose disk was lost has promised nothing.
func judgeFence(run *observe.Run, o Options) Report {
	v, s := newVerdict(nameFence), o.scratch()
	s.fences.Reset()
	for i := range run.Claims.List {
		c := &run.Claims.List[i]
		if c.Kind == observe.Forgets {
			s.lift(c.By.Node)
			continue
		}
		f := s.fenceOf(c.By.Node, c.Shard)
		switch older := c.Epoch < f.epoch; c.Kind {
		case observe.Takes:
			v.report.Checked++
			if older {
				v.find("took-older", c.At, nil, "%s: incarnation %d of node %d took seq %d from the leader of epoch %d of shard %d at %s, although it had adopted epoch %d at %s",
					place(c.Tenant, c.Slot), c.By.Incarnation, c.By.Node, c.Seq, c.Epoch, c.Shard, instant(c.At), f.epoch, instant(f.at))
			}
		case observe.Says:
			v.report.Checked++
			if older {
				v.find("said-older", c.At, nil, "shard %d: incarnation %d of node %d sent %s of epoch %d at %s, although it had adopted epoch %d at %s",
					c.Shard, c.By.Incarnation, c.By.Node, c.What, c.Epoch, instant(c.At), f.epoch, instant(f.at))
			}
		case observe.Adopts:
			if c.Epoch <= f.epoch {
				v.find("adopted-older", c.At, nil, "shard %d: incarnation %d of node %d adopted epoch %d at %s, although it had adopted epoch %d at %s",
					c.Shard, c.By.Incarnation, c.By.Node, c.Epoch, instant(c.At), f.epoch, instant(f.at))
			}
			f.epoch, f.at = max(f.epoch, c.Epoch), c.At
		case observe.Changes:
			v.report.Checked++
			if c.Version != c.Based+1 {
				v.find("stale-command", c.At, nil, "shard %d: %s was decided on version %d, and made version %d, as node %d said at %s",
					c.Shard, c.What, c.Based, c.Version, c.By.Node, instant(c.At))
			}
		}
	}
	ofGroups(v, run, "nobody said or took anything in an epoch")
	return v.done()
}

// fence is the highest epoch of a shard that a node has adopted.
type fence struct {
	node  uint32
	epoch lineage.ShardEpoch
	at    int64 // true time, ns
}

func (s *Scratch) fenceOf(node uint32, shard lineage.Shard) *fence {
	k := keyed.Key{A: uint64(node), B: uint64(shard)}
	f := s.fences.Find(k)
	if f == nil {
		f = s.fences.Add(k)
		*f = fence{node: node}
	}
	return f
}

// lift forgets a node's promises.
func (s *Scratch) lift(node uint32) {
	for i := range s.fences.All() {
		if f := &s.fences.All()[i]; f.node == node {
			f.epoch = 0
		}
	}
}
