package scenarios

import (
	"testing"

	"github.com/tidaldb/tidalsim/checker/observe"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/group"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/peer"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// grouped is a stage of a shard, with a log of node 0 that has two records of epoch 1.
func grouped(t *testing.T) *stage {
	s := play(t, plan.Rates{}, nil, makes, writes, writes, syncs, func(*stage) {})
	s.o.groups = &groupsView{}
	return s
}

// A leader counts on a replica for the acknowledgements of the present life of its log in the
// leader's epoch. The judge does not object if the leader cannot have received the news yet.
func TestTheObserverSeesWhatNobodyAcknowledged(t *testing.T) {
	member := control.Member{Node: 1, Incarnation: 7}
	acked := func(epoch lineage.ShardEpoch, from env.Incarnation, life peer.Life, seq lineage.Seq) peer.Appended {
		of := peer.LogHeader{ShardHeader: peer.ShardHeader{From: from, Epoch: epoch}, Tenant: 2}
		return peer.Appended{LogHeader: of, Life: life, At: lineage.Position{Seq: seq}}
	}
	for _, c := range []struct {
		name    string
		said    []peer.Appended
		counted []group.Counted
		want    observe.Misbelief // 0: none
		last    lineage.Seq
	}{
		{"what was acknowledged", []peer.Appended{acked(3, 7, 1, 4)}, []group.Counted{{Member: member, Life: 1, Seq: 4}}, 0, 0},
		{"less than was acknowledged last", []peer.Appended{acked(3, 7, 1, 4), acked(3, 7, 1, 2)}, []group.Counted{{Member: member, Life: 1, Seq: 4}}, 0, 0},
		{"nothing", nil, []group.Counted{{Member: member, Life: 1}}, 0, 0},
		{"more than was acknowledged", []peer.Appended{acked(3, 7, 1, 4)}, []group.Counted{{Member: member, Life: 1, Seq: 5}}, observe.Unacknowledged, 4},
		{"what nobody has acknowledged", nil, []group.Counted{{Member: member, Life: 1, Seq: 1}}, observe.Unacknowledged, 0},
		{"of the epoch before", []peer.Appended{acked(2, 7, 1, 4)}, []group.Counted{{Member: member, Life: 1, Seq: 4}}, observe.Unacknowledged, 0},
		{"of an earlier life of the node", []peer.Appended{acked(3, 6, 1, 4)}, []group.Counted{{Member: member, Life: 1, Seq: 4}}, observe.Unacknowledged, 0},
		{"of the next epoch", []peer.Appended{acked(3, 7, 1, 4), acked(4, 7, 1, 2)}, []group.Counted{{Member: member, Life: 1, Seq: 4}}, 0, 0},
		{"of a later life of the node", []peer.Appended{acked(3, 7, 1, 4), acked(3, 8, 1, 0)}, []group.Counted{{Member: member, Life: 1, Seq: 4}}, 0, 0},
		{"of a log that has begun anew since", []peer.Appended{acked(3, 7, 1, 4)}, []group.Counted{{Member: member, Life: 2}, {Member: member, Life: 1, Seq: 4}}, observe.OfAnEarlierLife, 0},
		{"of a node that has restarted meanwhile", []peer.Appended{acked(3, 7, 1, 4)}, []group.Counted{
			{Member: control.Member{Node: 1, Incarnation: 6}, Life: 2}, {Member: member, Life: 1, Seq: 4},
		}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := grouped(t)
			for i := range c.said {
				s.o.acknowledges(1, &c.said[i])
			}
			for i := range c.counted {
				s.o.countsOn(0, 2, 0, 3, &c.counted[i])
			}
			switch wrong := s.run.Progress.Wrong; {
			case c.want == 0 && len(wrong) > 0:
				t.Errorf("noted %+v, want nothing", wrong)
			case c.want != 0 && (len(wrong) != 1 || wrong[0].Kind != c.want || wrong[0].Last != c.last || wrong[0].Of != 1):
				t.Errorf("noted %+v, want %s, acknowledged up to %d", wrong, c.want, c.last)
			}
		})
	}
}

// The leader of a reformed set begins when all members have told of their logs, with the best.
func TestTheObserverSeesWhatWasAdopted(t *testing.T) {
	told := func(m peer.Surveyed, logs ...peer.Log) peer.Surveyed {
		m.ShardHeader, m.Logs = peer.ShardHeader{From: 7, Shard: 5, Epoch: 3}, logs
		return m
	}
	log := func(whole bool, epoch lineage.ShardEpoch, seq lineage.Seq) peer.Log {
		return peer.Log{Tenant: 2, Whole: whole, End: lineage.Position{Seq: seq, Chain: 1}, Lineage: lineage.Lineage{Placement: 1, Epoch: epoch}}
	}
	other := peer.Log{Tenant: 1, Whole: true}
	shard := control.Shard{ID: 5, Epoch: 3, Reformed: true, InSync: []control.Member{{Node: 0, Incarnation: 4}, {Node: 1, Incarnation: 7}}}
	excluded := shard
	excluded.Excluded = []control.Exclusion{{Member: control.Member{Node: 1, Incarnation: 7}, Tenant: 2}}
	for _, c := range []struct {
		name  string
		shard control.Shard
		told  []peer.Surveyed
		want  observe.Haste // 0: all is well
	}{
		{"as long", shard, []peer.Surveyed{told(peer.Surveyed{Size: 1}, log(true, 1, 2))}, 0},
		{"shorter", shard, []peer.Surveyed{told(peer.Surveyed{Size: 1}, log(true, 1, 1))}, 0},
		{"longer", shard, []peer.Surveyed{told(peer.Surveyed{Size: 1}, log(true, 1, 3))}, observe.WorseLog},
		{"shorter, and of a later epoch", shard, []peer.Surveyed{told(peer.Surveyed{Size: 1}, log(true, 2, 1))}, observe.WorseLog},
		{"longer, and of no use", shard, []peer.Surveyed{told(peer.Surveyed{Size: 1}, log(false, 1, 3))}, 0},
		{"longer, and excluded", excluded, []peer.Surveyed{told(peer.Surveyed{Size: 1}, log(true, 1, 3))}, 0},
		{"the member has no such log", shard, []peer.Surveyed{told(peer.Surveyed{Size: 1}, other)}, 0},
		{"nobody was asked", shard, nil, observe.Unasked},
		{"a part is missing", shard, []peer.Surveyed{told(peer.Surveyed{Size: 2}, other)}, observe.Unasked},
		{"in two parts", shard, []peer.Surveyed{told(peer.Surveyed{Size: 2}, other), told(peer.Surveyed{Size: 2, First: 1}, log(true, 1, 2))}, 0},
		{"a part twice", shard, []peer.Surveyed{told(peer.Surveyed{Size: 2}, other), told(peer.Surveyed{Size: 2}, other), told(peer.Surveyed{Size: 2, First: 1}, log(true, 1, 3))}, observe.WorseLog},
		{"its logs have changed meanwhile", shard, []peer.Surveyed{told(peer.Surveyed{Size: 2}, other), told(peer.Surveyed{Size: 2, First: 1, Changes: 1}, log(true, 1, 2))}, observe.Unasked},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := grouped(t)
			for i := range c.told {
				s.o.surveyedBy(0, 1, &c.told[i])
			}
			s.o.adoptsIn(&c.shard, 0, 2, 0, 2)
			switch wrong := s.run.Reforms.Wrong; {
			case c.want == 0 && len(wrong) > 0:
				t.Errorf("noted %+v, want nothing", wrong)
			case c.want != 0 && (len(wrong) != 1 || wrong[0].Kind != c.want || wrong[0].Of != 1):
				t.Errorf("noted %+v, want %s of node 1", wrong, c.want)
			}
		})
	}
}
