package checker

import (
	"github.com/tidaldb/tidalsim/checker/observe"
)

const nameOneSequencer = "one-sequencer"

// judgeOneSequencer looks whether each epoch of a shard has one leader, one incarnation of one
// node, and whether no node speaks in an epoch that it could forget in a crash. Its rules:
//
//	two-leaders     two nodes did what only the leader of an epoch does
//	led-again       a node led an epoch, restarted, and led it again
//	two-sequencers  two processes gave records of one slot their places in one epoch
//	spoke-early     a node said something in an epoch that was not durable there
func judgeOneSequencer(run *observe.Run, o Options) Report {
	v, s := newVerdict(nameOneSequencer), o.scratch()
	list := run.Claims.List
	s.claims.reset(len(list))
	for i := range list {
		c := &list[i]
		switch c.Kind {
		case observe.Leads:
			v.report.Checked++
			leadsAlone(v, s, list, int32(i))
		case observe.Sequences:
			v.report.Checked++
			sequencesAlone(v, s, list, int32(i))
		case observe.Says:
			v.report.Checked++
			if c.Durable < c.Epoch {
				v.find("spoke-early", c.At, nil, "shard %d: incarnation %d of node %d sent %s of epoch %d at %s, and of that shard epoch %d was durable there",
					c.Shard, c.By.Incarnation, c.By.Node, c.What, c.Epoch, instant(c.At), c.Durable)
			}
		}
	}
	ofGroups(v, run, "nobody led a shard")
	return v.done()
}

// first returns the first claim about the same thing in the same epoch: that one, if
// there is none before it.
func (s *Scratch) first(list []observe.Claim, i int32) *observe.Claim {
	c := &list[i]
	what := key{uint64(c.Kind)<<32 | uint64(c.Shard), uint64(c.Epoch), uint64(c.Tenant), uint64(c.Slot)}
	if at := s.claims.first(what); at != none {
		return &list[s.claims.items[at].value]
	}
	s.claims.add(what, i)
	return c
}

func leadsAlone(v *verdict, s *Scratch, list []observe.Claim, i int32) {
	c := &list[i]
	switch first := s.first(list, i); {
	case first.By == c.By:
	case first.By.Node == c.By.Node:
		v.find("led-again", c.At, nil, "shard %d: node %d led in epoch %d as incarnation %d (%s at %s), and again as incarnation %d (%s at %s)",
			c.Shard, c.By.Node, c.Epoch, first.By.Incarnation, first.What, instant(first.At), c.By.Incarnation, c.What, instant(c.At))
	default:
		v.find("two-leaders", c.At, nil, "shard %d: in epoch %d incarnation %d of node %d led (%s at %s), and incarnation %d of node %d (%s at %s)",
			c.Shard, c.Epoch, first.By.Incarnation, first.By.Node, first.What, instant(first.At), c.By.Incarnation, c.By.Node, c.What, instant(c.At))
	}
}

func sequencesAlone(v *verdict, s *Scratch, list []observe.Claim, i int32) {
	c := &list[i]
	if first := s.first(list, i); first.By != c.By {
		v.find("two-sequencers", c.At, nil, "%s: in shard epoch %d incarnation %d of node %d gave seq %d its place, at %s, and incarnation %d of node %d seq %d, at %s",
			place(c.Tenant, c.Slot), c.Epoch, first.By.Incarnation, first.By.Node, first.Seq, instant(first.At),
			c.By.Incarnation, c.By.Node, c.Seq, instant(c.At))
	}
}
