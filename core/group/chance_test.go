package group_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/replica"
	"github.com/tidaldb/tidalsim/core/wire"
)

// coordinate runs the coordinator, which hears every node.
func (w *world) coordinate() {
	seen := control.Seen{Now: w.now}
	for _, n := range w.nodes {
		seen.Nodes = append(seen.Nodes, control.Sighting{Node: n.id, Incarnation: n.incarnation, At: w.now, Known: true})
	}
	seen.Nodes = append(seen.Nodes, control.Sighting{Node: 3}) // it never starts
	steps, _ := control.Decide(w.plane, &seen, &control.Patience{Silence: env.Second, Replace: env.Second, Slow: env.Second}, nil, nil)
	for i := range steps {
		w.do(steps[i].Command)
	}
}

// chance is a run in which anything may happen at any time.
type chance struct {
	*world
	t     *rapid.T
	asked uint64
	acked map[change]bool
	// syncs that may still fail: a second failure could hit the only whole member, and then there
	// is no guarantee.
	syncs int
}

// change is a client's request in the session of a slot.
type change struct {
	slot    int
	request uint64
}

// collect records the acknowledged changes.
func (c *chance) collect() {
	for _, n := range c.nodes {
		for i := range n.answers {
			if p := &n.answers[i]; p.Request.Kind == wire.Write && p.Refused == wire.NoError {
				c.acked[change{int(p.Record.Slot), p.Request.Request}] = true
			}
		}
		n.answers = nil
	}
}

// leads returns a node that takes changes; nil if there is none.
func (c *chance) leads() *node {
	for _, n := range c.nodes {
		if n.group.Role() == group.Leading && n.logs[0].Phase() == replica.Serving {
			return n
		}
	}
	return nil
}

// fate delivers one of the messages that have waited longest, or loses it, or delivers it
// and lets it come again.
func (w *world) fate(t *rapid.T, among int) {
	i := rapid.IntRange(0, min(len(w.messages), among)-1).Draw(t, "message")
	switch rapid.IntRange(0, 9).Draw(t, "fate") {
	case 0: // lost
		w.messages = append(w.messages[:i], w.messages[i+1:]...)
	case 1: // and comes again
		m := w.messages[i]
		w.deliver(i)
		w.messages = append(w.messages, m)
	default:
		w.deliver(i)
	}
}

// happen lets one thing happen.
func (c *chance) happen() {
	n := c.nodes[rapid.IntRange(0, 2).Draw(c.t, "node")]
	switch what := rapid.IntRange(0, 99).Draw(c.t, "what"); {
	case what < 45 && len(c.messages) > 0: // in any order
		c.fate(c.t, len(c.messages))
	case what < 65 && len(n.queue) > 0:
		n.complete()
	case what < 72:
		if l := c.leads(); l != nil {
			c.asked++
			l.write(int(c.asked)%slots, c.asked/slots+1)
		}
	case what < 78:
		if epoch, wants := n.group.Wants(); wants {
			n.adopt(epoch)
		}
	case what < 84:
		n.group.Configure(n, c.config())
	case what < 90:
		n.propose()
	case what < 92:
		c.coordinate()
	case what < 93:
		c.do(control.Command{Kind: control.Elect, Member: n.self()})
	case what < 94 && c.syncs > 0:
		c.syncs--
		n.fails = func(op *env.Op) env.Errno {
			if op.Kind == env.OpSync {
				n.fails = nil
				return env.IOError
			}
			return env.OK
		}
	case what < 95:
		c.restart(n.id)
	default:
		c.now = c.now.Add(20 * env.Millisecond)
		for _, n := range c.nodes {
			n.group.Tick(n)
		}
	}
	c.collect()
}

// restartStopped plays the operator: if no member has a whole log of a slot open, it restarts the
// members with a stopped log, and the leader of a set that is being reformed.
func (w *world) restartStopped() {
	for slot := range slots {
		stopped, open := []*node{}, false
		for _, m := range w.config().InSync {
			n := w.nodes[m.Node]
			switch excluded := w.config().Excludes(m, owner, lineage.Slot(slot)); {
			case n.self() != m:
				open = true // it has restarted
			case n.logs[slot].Phase() == replica.Stopped:
				stopped = append(stopped, n)
			case !excluded:
				open = true
			}
		}
		if reforming := w.config().Reformed && w.nodes[w.config().Leader.Node].logs[slot].Phase() == replica.Stopped; reforming {
			w.restart(w.config().Leader.Node)
			return
		}
		if !open && len(stopped) > 0 {
			w.restart(stopped[0].id)
			return
		}
	}
}

// After any sequence of lost messages, crashes and elections, every acknowledged change is in the
// log of every replica, once, and all logs are equal.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	acked, epochs := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		w := serving(t)
		c := &chance{world: w, t: rt, acked: map[change]bool{}, syncs: 1}
		for range rapid.IntRange(50, 1200).Draw(rt, "events") {
			c.happen()
		}
		for range 200 {
			w.coordinate()
			w.restartStopped()
			for _, n := range w.nodes {
				n.fails = nil
				n.propose()
			}
			w.tick(20 * env.Millisecond)
		}
		c.collect()
		leader := w.nodes[w.config().Leader.Node]
		if !leader.group.Settled() {
			rt.Fatalf("it does not settle:\n%v", w)
		}
		for slot := range slots {
			for _, n := range w.nodes {
				if n.logs[slot].State().Position != leader.logs[slot].State().Position {
					rt.Fatalf("the logs of slot %d differ:\n%v", slot, w)
				}
			}
		}
		for a := range c.acked {
			if n := leader.logs[a.slot].State().Entity(entityOf(a.request)).Totals[1].Count; n != 1 {
				rt.Fatalf("request %d of slot %d was acknowledged and is applied %d times:\n%v", a.request, a.slot, n, w)
			}
		}
		acked += len(c.acked)
		epochs += int(w.config().Epoch)
	})
	if acked < 100 || epochs < 100 {
		t.Errorf("%d changes were acknowledged, in %d epochs, want more", acked, epochs)
	}
}
