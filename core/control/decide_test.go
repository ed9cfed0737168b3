package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
)

var patience = &Patience{Silence: 300 * env.Millisecond, Replace: 10 * env.Second, Slow: 600 * env.Millisecond}

const second = int64(env.Second / env.Millisecond)

// sight changes the sightings.
type sight func(*Seen)

// quiet has a node be heard last so many milliseconds ago.
func quiet(node env.ID, ms int64) sight {
	return func(s *Seen) { s.Nodes[node].At = s.Now.Add(-env.Duration(ms) * env.Millisecond) }
}

// in has a node be heard in an incarnation.
func in(node env.ID, incarnation env.Incarnation) sight {
	return func(s *Seen) { s.Nodes[node].Incarnation = incarnation }
}

// unknown makes a node one that was never heard; its other fields are void.
func unknown(node env.ID) sight { return func(s *Seen) { s.Nodes[node].Known = false } }

// troubles has the leader of shard 1, in an epoch, say how long it is unconfirmed and unsynced.
func troubles(node env.ID, epoch lineage.ShardEpoch, unconfirmed, unsynced int64) sight {
	return func(s *Seen) {
		s.Troubles = append(s.Troubles, Trouble{1, epoch, m(node, 1), env.Duration(unconfirmed) * env.Millisecond, env.Duration(unsynced) * env.Millisecond})
	}
}

// leads has the coordinator lead the meta log for so many milliseconds.
func leads(ms int64) sight {
	return func(s *Seen) { s.Since = s.Now.Add(-env.Duration(ms) * env.Millisecond) }
}

// sees has everybody be heard now, in the registered incarnation, but for the sights.
func sees(p *Plane, sights ...sight) *Seen {
	s := &Seen{Now: env.Time(100 * env.Second), Since: env.Time(env.Second)}
	for _, n := range p.nodes {
		s.Nodes = append(s.Nodes, Sighting{n.ID, n.Incarnation, s.Now, true})
	}
	for _, change := range sights {
		change(s)
	}
	return s
}

// decisions has the proposals and waits for sightings. Nodes 0, 1 and 2, which leads, hold shard 1.
// A row is about one shard, unless it wants nothing.
var decisions = []struct {
	name   string
	before []Command
	sights []sight
	want   string // one line each
}{
	{"all is well", nil, nil, ""},
	{"a heartbeat is late", nil, []sight{quiet(2, 299), quiet(0, 299)}, ""},

	{"a node has restarted", nil, []sight{in(4, 3)},
		"appear member 4/3: node 4 was heard in incarnation 3"},
	{"the registration of a leader comes first", nil, []sight{in(2, 2)}, `
		appear member 2/2: node 2 was heard in incarnation 2
		shard 1 waits for the registration of node 2, whose incarnation 1 is over`},
	{"a member is registered", nil, []sight{in(0, 2)},
		"appear member 0/2: node 0 was heard in incarnation 2"},
	{"an old life was heard", []Command{restarts(4, 3)}, []sight{in(4, 2)}, ""},
	{"a life that nobody knows of is not registered", nil, []sight{in(4, 2), unknown(4)}, ""},

	{"the only holder has another directory", replaced, nil,
		"shard 3 waits for an operator to accept the loss of what node 5, in-sync in incarnation 1, had in a directory that is gone"},
	{"the loss is accepted", after(replaced, []Command{accepts(3)}), nil,
		"reform shard 3 epoch 1 version 3 member 5/3: nobody in-sync may lead, the leader, node 5 in incarnation 1, included: each has restarted or lacks records of a slot; all are there"},
	{"a member has another directory, which is its leader's to see to", []Command{starts(0, 1, 1, 1), starts(0, 2, 2, 0), restarts(0, 3)}, nil, ""},
	{"who has another directory is not asked", []Command{starts(0, 1, 1, 1), starts(0, 2, 2, 0), restarts(1, 4), restarts(2, 4)}, []sight{quiet(0, 900)},
		"reform shard 1 epoch 1 version 1 member 2/4: nobody in-sync may lead, the leader, node 2 in incarnation 1, included: each has restarted or lacks records of a slot; all are there"},

	{"the leader lost its disk, and the other member lacks records of a slot",
		[]Command{removes(1, m(0, 1), m(2, 1)), excludes(1, m(1, 1), 7, 0), starts(2, 1, 1, 1), starts(2, 2, 2, 0), restarts(2, 5)}, nil,
		"reform shard 1 epoch 1 version 3 member 1/1: nobody in-sync may lead, the leader, node 2 in incarnation 1, included: each has restarted or lacks records of a slot; all are there"},
	{"the only member lost its disk, and the eligible one is silent", after(below, []Command{starts(2, 1, 1, 1), starts(2, 2, 2, 0), restarts(2, 5)}), []sight{quiet(1, 900)},
		"shard 1 waits for node 1, in-sync in incarnation 1, which is silent for 900 ms: nobody else may lead"},
	{"a member has restarted, which is its leader's to see to", []Command{restarts(0, 2)}, nil, ""},
	{"a member is silent, which is its leader's to see to", nil, []sight{quiet(0, 300)}, ""},

	{"a leader has restarted", []Command{restarts(2, 2)}, nil,
		"elect shard 1 epoch 1 version 1 member 1/1: node 2, leader in incarnation 1, has restarted"},
	{"a leader is silent", nil, []sight{quiet(2, 300)},
		"elect shard 1 epoch 1 version 1 member 1/1: node 2, leader in incarnation 1, is silent for 300 ms of 300 ms"},
	{"a leader is silent, and one who could follow", nil, []sight{quiet(2, 300), quiet(1, 300)},
		"elect shard 1 epoch 1 version 1 member 0/1: node 2, leader in incarnation 1, is silent for 300 ms of 300 ms"},
	{"a leader is silent, and one who could follow has restarted", []Command{restarts(1, 2)}, []sight{quiet(2, 300)},
		"elect shard 1 epoch 1 version 1 member 0/1: node 2, leader in incarnation 1, is silent for 300 ms of 300 ms"},
	{"only who is in sync is promoted", []Command{removes(1, m(1, 1), m(2, 1))}, []sight{quiet(2, 300)},
		"elect shard 1 epoch 1 version 2 member 0/1: node 2, leader in incarnation 1, is silent for 300 ms of 300 ms"},
	{"only who lacks nothing is promoted", []Command{excludes(1, m(1, 1), 7, 0)}, []sight{quiet(2, 300)},
		"elect shard 1 epoch 1 version 2 member 0/1: node 2, leader in incarnation 1, is silent for 300 ms of 300 ms"},
	{"a leader is not silent before the coordinator could hear it", nil, []sight{leads(299), unknown(2)},
		"shard 1 waits for node 2, in-sync in incarnation 1, which is silent for 299 ms of 300 ms"},
	{"a leader lacks records", []Command{excludes(1, m(2, 1), 7, 0)}, nil,
		"elect shard 1 epoch 1 version 2 member 1/1: node 2, leader in incarnation 1, lacks records of a slot"},
	{"a leader lacks records, and nobody is whole", []Command{excludes(2, m(1, 1), 7, 1), creates(9, nil, 2), excludes(2, m(3, 1), 9, 0)}, nil, `
		shard 2 waits for node 1, in-sync in incarnation 1, which lacks records of a slot: nobody else may lead
		shard 2 waits for node 3, in-sync in incarnation 1, which lacks records of a slot: nobody else may lead`},
	{"a leader lacks records, and who is whole is silent", []Command{excludes(2, m(1, 1), 7, 1)}, []sight{quiet(3, 700)}, `
		shard 2 waits for node 1, in-sync in incarnation 1, which lacks records of a slot: nobody else may lead
		shard 2 waits for node 3, in-sync in incarnation 1, which is silent for 700 ms: nobody else may lead`},

	{"a leader's disk stands still", nil, []sight{troubles(2, 1, 0, 600)},
		"elect shard 1 epoch 1 version 1 member 1/1: the disk of node 2, leader in incarnation 1, has made nothing durable for 600 ms of 600 ms"},
	{"a leader's disk is slow", nil, []sight{troubles(2, 1, 599, 599)}, ""},
	{"the members do not confirm a leader", nil, []sight{troubles(2, 1, 600, 0)},
		"elect shard 1 epoch 1 version 1 member 1/1: the members have not confirmed node 2, leader in incarnation 1, for 600 ms of 600 ms"},
	{"the leader of another epoch was in trouble", nil, []sight{troubles(2, 2, 600, 600)}, ""},
	{"another node was in trouble", nil, []sight{troubles(1, 1, 600, 600)}, ""},
	{"the next one's disk stands still too", nil, []sight{troubles(2, 1, 0, 600), troubles(1, 7, 0, 600)},
		"elect shard 1 epoch 1 version 1 member 0/1: the disk of node 2, leader in incarnation 1, has made nothing durable for 600 ms of 600 ms"},
	{"every disk stands still", nil, []sight{troubles(2, 1, 0, 600), troubles(1, 7, 0, 600), troubles(0, 7, 0, 600)}, ""},
	{"a leader's disk stands still, and the others are silent", nil, []sight{troubles(2, 1, 0, 600), quiet(0, 300), quiet(1, 300)},
		"elect shard 2 epoch 1 version 1 member 3/1: node 1, leader in incarnation 1, is silent for 300 ms of 300 ms"},
	{"a leader's disk stands still, at min", []Command{removes(1, m(0, 1), m(2, 1))}, []sight{troubles(2, 1, 600, 600)}, ""},
	{"a leader that is drained stands still", []Command{drains(2)}, []sight{troubles(2, 1, 0, 600)},
		"elect shard 1 epoch 1 version 1 member 1/1: the disk of node 2, leader in incarnation 1, has made nothing durable for 600 ms of 600 ms"},
	{"a leader that is excluded stands still", []Command{excludes(1, m(2, 1), 7, 0)}, []sight{troubles(2, 1, 0, 600)},
		"elect shard 1 epoch 1 version 2 member 1/1: node 2, leader in incarnation 1, lacks records of a slot"},

	{"nobody may lead", []Command{removes(1, m(0, 1), m(2, 1)), removes(1, m(1, 1), m(2, 1))}, []sight{quiet(2, 900), quiet(1, 900)},
		"shard 1 waits for node 2, in-sync in incarnation 1, which is silent for 900 ms: nobody else may lead"},
	{"nobody in the set may lead", below, []sight{quiet(2, 900)},
		"elect shard 1 epoch 1 version 3 member 1/1: node 2, leader in incarnation 1, and all others in-sync have restarted, are silent or lack records of a slot; silent for 900 ms of 300 ms"},
	{"the last member is not silent yet", below, []sight{quiet(2, 299)}, ""},
	{"the coordinator could not hear the last member yet", below, []sight{leads(299), unknown(2)},
		"shard 1 waits for node 2, in-sync in incarnation 1, which is silent for 299 ms of 300 ms"},
	{"the eligible member's next life", below, []sight{quiet(2, 900), in(1, 2)}, `
		appear member 1/2: node 1 was heard in incarnation 2
		shard 1 waits for the registration of node 1, whose incarnation 1 is over`},
	{"the last member lacks records", after(below, []Command{excludes(1, m(2, 1), 7, 0)}), nil,
		"elect shard 1 epoch 1 version 4 member 1/1: node 2, leader in incarnation 1, and all others in-sync have restarted, are silent or lack records of a slot; silent for 0 ms of 300 ms"},
	{"the last member's next life, and the eligible one", after(below, []Command{restarts(2, 2)}), nil,
		"elect shard 1 epoch 1 version 3 member 1/1: node 2, leader in incarnation 1, and all others in-sync have restarted, are silent or lack records of a slot; silent for 99000 ms of 300 ms"},
	{"the last member's next life", after(below, []Command{restarts(2, 2)}), []sight{quiet(1, 900)},
		"reform shard 1 epoch 1 version 3 member 2/2: nobody in-sync may lead, the leader, node 2 in incarnation 1, included: each has restarted or lacks records of a slot; all are there"},
	{"all but one have restarted", lost[1:], []sight{quiet(0, 5*second)},
		"shard 1 waits for node 0, in-sync in incarnation 1, which is silent for 5000 ms: nobody else may lead"},
	{"all have restarted", lost, nil,
		"reform shard 1 epoch 1 version 1 member 2/2: nobody in-sync may lead, the leader, node 2 in incarnation 1, included: each has restarted or lacks records of a slot; all are there"},
	{"all have restarted, one of them in vain", lost, []sight{quiet(0, 5*second)},
		"shard 1 waits for node 0, in-sync before all others were lost, which is silent for 5000 ms: its log is needed"},
	{"all have restarted, and the coordinator just began", lost, []sight{leads(50), unknown(0)},
		"shard 1 waits for node 0, in-sync in incarnation 2, which is silent for 50 ms of 300 ms"},
	{"all have restarted, but one that lacks records", []Command{excludes(2, m(3, 1), 7, 1), restarts(1, 2)}, nil,
		"reform shard 2 epoch 1 version 2 member 1/2: nobody in-sync may lead, the leader, node 1 in incarnation 1, included: each has restarted or lacks records of a slot; all are there"},
	{"a leader that gathers logs waits for a member", after(lost, []Command{reforms(1, m(1, 2))}), []sight{quiet(0, 5*second)},
		"shard 1 waits for node 0, in incarnation 2 of a reformed set, which is silent for 5000 ms: its log is needed"},
	{"a leader that gathers logs is silent", after(lost, []Command{reforms(1, m(1, 2))}), []sight{quiet(1, 5*second)},
		"elect shard 1 epoch 2 version 2 member 0/2: node 1, leader in incarnation 2, is silent for 5000 ms of 300 ms"},
	{"a member restarts while a leader gathers logs", after(lost, []Command{reforms(1, m(1, 2)), restarts(0, 3)}), nil,
		"reform shard 1 epoch 2 version 2 member 0/3: node 0, in incarnation 2 of a set that is being reformed, has restarted, and all are there"},
	{"a member loses its disk while a leader gathers logs", after(lost, []Command{reforms(1, m(1, 2)), starts(0, 1, 1, 2), starts(0, 2, 2, 0), restarts(0, 7)}), nil,
		"reform shard 1 epoch 2 version 2 member 1/2: node 0, in incarnation 2 of a set that is being reformed, has restarted, and all are there"},

	{"a leader is drained", []Command{drains(2)}, nil,
		"elect shard 1 epoch 1 version 1 member 1/1: node 2, leader in incarnation 1, is drained"},
	{"a leader is drained, and who is silent does not follow", []Command{drains(2)}, []sight{quiet(1, 300)},
		"elect shard 1 epoch 1 version 1 member 0/1: node 2, leader in incarnation 1, is drained"},
	{"a leader is drained, and who lacks records does not follow", []Command{drains(2), excludes(1, m(1, 1), 7, 0)}, nil,
		"elect shard 1 epoch 1 version 2 member 0/1: node 2, leader in incarnation 1, is drained"},
	{"a leader is drained, and nobody else is heard", []Command{drains(2)}, []sight{quiet(1, 300), quiet(0, 299), in(0, 2)}, `
		appear member 0/2: node 0 was heard in incarnation 2
		shard 1 waits for somebody who may lead instead of node 2, which is drained`},
	{"a leader is drained, and the others are gone from the set", []Command{drains(2), removes(1, m(0, 1), m(2, 1)), removes(1, m(1, 1), m(2, 1))}, nil,
		"shard 1 waits for somebody who may lead instead of node 2, which is drained"},
	{"a member is drained, which is its leader's to see to", []Command{drains(0)}, nil, ""},
	{"a leader is silent, and somebody follows", []Command{elects(1, m(1, 1))}, []sight{quiet(1, 300)},
		"elect shard 1 epoch 2 version 2 member 0/1: node 1, leader in incarnation 1, is silent for 300 ms of 300 ms"},
	{"a leader is silent, and the one who would follow is drained", []Command{elects(1, m(1, 1)), drains(0)}, []sight{quiet(1, 300)},
		"elect shard 1 epoch 2 version 2 member 2/1: node 1, leader in incarnation 1, is silent for 300 ms of 300 ms"},
	{"a leader is silent, and only one that is drained may follow", []Command{drains(0)}, []sight{quiet(2, 300), quiet(1, 300)},
		"elect shard 1 epoch 1 version 1 member 0/1: node 2, leader in incarnation 1, is silent for 300 ms of 300 ms"},
	{"a leader gathers logs, and is drained", after(lost, []Command{reforms(1, m(2, 2)), drains(2)}), []sight{quiet(0, 5*second)},
		"shard 1 waits for node 0, in incarnation 2 of a reformed set, which is silent for 5000 ms: its log is needed"},

	{"a replica that was removed is silent", []Command{removes(1, m(0, 1), m(2, 1))}, []sight{quiet(0, 9999)}, ""},
	{"a replica that was removed is gone", []Command{removes(1, m(0, 1), m(2, 1))}, []sight{quiet(0, 10*second)},
		"assign shard 1 epoch 1 version 2 node 0 by node 4: node 0, a replica, is silent for 10000 ms of 10000 ms"},
	{"it counts from when the coordinator could hear it", []Command{removes(1, m(0, 1), m(2, 1))}, []sight{unknown(0), leads(9999)}, ""},
	{"nor what was heard before", []Command{removes(1, m(0, 1), m(2, 1))}, []sight{quiet(0, 20*second), leads(9999)}, ""},
	{"a member whose next life is on its way is not replaced", nil, []sight{in(0, 2), quiet(0, 20*second)},
		"appear member 0/2: node 0 was heard in incarnation 2"},
	{"a replica that is in sync is not replaced", []Command{removes(1, m(1, 1), m(2, 1)), removes(1, m(0, 1), m(2, 1))}, []sight{quiet(2, 20*second), quiet(0, 900)},
		"shard 1 waits for node 2, in-sync in incarnation 1, which is silent for 20000 ms: nobody else may lead"},
	{"the eligible member is not replaced", []Command{removes(1, m(1, 1), m(2, 1)), removes(1, m(0, 1), m(2, 1))}, []sight{quiet(0, 20*second)}, ""},
	{"who is silent takes no place", []Command{removes(1, m(0, 1), m(2, 1))}, []sight{quiet(0, 10*second), quiet(4, 300)},
		"assign shard 1 epoch 1 version 2 node 0 by node 3: node 0, a replica, is silent for 10000 ms of 10000 ms"},
	{"who is drained takes no place", []Command{removes(1, m(0, 1), m(2, 1)), drains(4)}, []sight{quiet(0, 10*second)},
		"assign shard 1 epoch 1 version 2 node 0 by node 3: node 0, a replica, is silent for 10000 ms of 10000 ms"},
	{"nobody takes the place", []Command{removes(4, m(6, 1), m(5, 1))}, []sight{quiet(6, 12*second)},
		"shard 4 waits for a node that may take the place of node 6, a replica that is silent for 12000 ms"},
}

// decided tells steps and waits, a line each.
func decided(steps []Step, waits []Wait) (lines []string) {
	for i := range steps {
		lines = append(lines, fmt.Sprintf("%v: %v", &steps[i].Command, steps[i].Why))
	}
	for _, w := range waits {
		lines = append(lines, fmt.Sprintf("shard %d %v", w.Shard, w.Why))
	}
	return lines
}

// about selects the decisions about the shard of a text, and those about no shard.
func about(text string, all []string) (some []string) {
	for _, line := range all {
		if i := strings.Index(line, "shard "); i < 0 || text == "" || strings.Contains(text, line[i:i+len("shard 1 ")]) {
			some = append(some, line)
		}
	}
	return some
}

func lines(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func TestDecisions(t *testing.T) {
	seen := map[Because]bool{}
	for _, c := range decisions {
		t.Run(c.name, func(t *testing.T) {
			l := newLog()
			l.must(t, c.before...)
			before := string(l.plane.Snapshot())
			steps, waits := Decide(l.plane, sees(l.plane, c.sights...), patience, nil, nil)
			if diff := cmp.Diff(lines(c.want), about(c.want, decided(steps, waits))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if string(l.plane.Snapshot()) != before {
				t.Error("a decision changes the state")
			}
			for i := range steps {
				seen[steps[i].Why.Because] = true
				l.must(t, steps[i].Command)
			}
			for _, w := range waits {
				seen[w.Why.Because] = true
			}
		})
	}
	for b := Heard; b < becauseEnd; b++ {
		if !seen[b] {
			t.Errorf("no row has reason %d: %q", b, texts[b])
		}
	}
}

// Two coordinators with the same view decide the same. The second one is refused, and decides
// nothing more once it sees the effect of the first.
func TestTwoCoordinatorsDecideOnTheSameState(t *testing.T) {
	l := newLog()
	seen := sees(l.plane, quiet(2, 400), quiet(1, 400))
	one, _ := Decide(l.plane, seen, patience, nil, nil)
	two, _ := Decide(l.plane, seen, patience, nil, nil)
	if len(one) != 2 || cmp.Diff(one, two) != "" {
		t.Fatalf("%v and %v", one, two)
	}
	for i := range one {
		l.must(t, one[i].Command)
	}
	after := string(l.plane.Snapshot())
	for i := range two {
		if r := l.do(two[i].Command); r.Refusal != Stale {
			t.Errorf("%v: %v", &two[i].Command, r.Refusal)
		}
	}
	if got := l.plane.refused[Stale]; got != 2 {
		t.Errorf("%d are counted as stale, want 2", got)
	}
	l.plane.refused[Stale] = 0
	if string(l.plane.Snapshot()) != after {
		t.Error("the second coordinator changed something")
	}
}

// The shards of a node that is gone do not all go to one other node, and the places
// of a node that is gone are filled evenly.
func TestLoadSpreads(t *testing.T) {
	c := founding()
	c.Shards, c.Tenants = nil, nil
	for id := range lineage.Shard(60) {
		c.Shards = append(c.Shards, ShardConfig{id, "eu", []env.ID{0, 1, 2}})
	}
	l := &log{plane: living(New(c)), index: founded}
	led, held := map[env.ID]int{}, map[env.ID]int{}
	for range 3 {
		steps, _ := Decide(l.plane, sees(l.plane, quiet(0, 20*second)), patience, nil, nil)
		for i := range steps {
			l.must(t, steps[i].Command)
		}
		for i := range l.plane.shards { // as their leaders do
			if s := &l.plane.shards[i]; s.Leader.Node != 0 && s.IsInSync(m(0, 1)) {
				l.must(t, removes(s.ID, m(0, 1), s.Leader))
			}
		}
	}
	for i := range l.plane.shards {
		s := &l.plane.shards[i]
		led[s.Leader.Node]++
		for _, id := range s.Replicas {
			held[id]++
		}
	}
	if led[1] < 15 || led[2] < 15 || led[1]+led[2] != 60 {
		t.Errorf("leaders by node: %v", led)
	}
	if held[3] != 30 || held[4] != 30 {
		t.Errorf("replicas by node: %v", held)
	}
}

// Decide appends, and takes sightings only in the order of the nodes.
func TestDecideAppends(t *testing.T) {
	l := newLog()
	steps, waits := Decide(l.plane, sees(l.plane, in(2, 2)), patience, make([]Step, 3), make([]Wait, 2))
	if len(steps) != 4 || len(waits) != 3 {
		t.Errorf("%d steps, %d waits", len(steps), len(waits))
	}
	defer func() {
		if _, ok := recover().(assert.Failure); !ok {
			t.Error("sightings in another order are taken")
		}
	}()
	seen := sees(l.plane)
	seen.Nodes[0], seen.Nodes[1] = seen.Nodes[1], seen.Nodes[0]
	Decide(l.plane, seen, patience, nil, nil)
}
