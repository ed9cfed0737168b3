package health_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

var unknown health.Figure

// silences are those of nodes 1, 2, ...
func silences(ms ...health.Figure) (all []health.Silence) {
	for i, m := range ms {
		all = append(all, health.Silence{Node: env.ID(i + 1), Ms: m})
	}
	return all
}

func lag(ms, age health.Figure) health.Lag { return health.Lag{Shard: 7, Node: 2, Ms: ms, AgeMs: age} }

func TestClassify(t *testing.T) {
	const long = 1_000_000 // ms of listening
	for _, c := range []struct {
		name    string
		watched health.Figure
		nodes   []health.Silence
		lags    []health.Lag
		want    health.Region
	}{
		{"all is well, without replicas", f(long), silences(f(0), f(30_000)), nil,
			health.Region{Status: health.Healthy, AgeMs: f(0), Nodes: 2, NodesHeard: f(2)}},
		{"a lag of exactly the bound", f(long), silences(f(0)), []health.Lag{lag(f(5000), f(0))},
			health.Region{Status: health.Healthy, AgeMs: f(0), Nodes: 1, NodesHeard: f(1), LagMs: f(5000)}},
		{"one millisecond more", f(long), silences(f(0)), []health.Lag{lag(f(5001), f(9))},
			health.Region{Status: health.Degraded, AgeMs: f(9), Nodes: 1, NodesHeard: f(1), LagMs: f(5001),
				Reason: "replicas that lag by more than 5000 ms: 1, the worst that of shard 7 on node 2 by 5001 ms"}},
		{"the worst of several lags counts", f(long), silences(f(0)), []health.Lag{lag(f(1), f(30)), lag(f(6000), f(2)), lag(f(5500), f(3))},
			health.Region{Status: health.Degraded, AgeMs: f(30), Nodes: 1, NodesHeard: f(1), LagMs: f(6000),
				Reason: "replicas that lag by more than 5000 ms: 2, the worst that of shard 7 on node 2 by 6000 ms"}},
		{"a lag as old as the bound is known", f(long), silences(f(0)), []health.Lag{lag(f(0), f(5000))},
			health.Region{Status: health.Healthy, AgeMs: f(5000), Nodes: 1, NodesHeard: f(1), LagMs: f(0)}},
		{"an older one may have been stuck for long", f(long), silences(f(0)), []health.Lag{lag(f(0), f(5001))},
			health.Region{AgeMs: f(0), Nodes: 1, NodesHeard: f(1),
				Reason: "replicas whose lag is not known: 1, the first that of shard 7 on node 2"}},
		{"a lag of unknown age is not known", f(long), silences(f(0)), []health.Lag{lag(f(0), unknown)},
			health.Region{AgeMs: f(0), Nodes: 1, NodesHeard: f(1),
				Reason: "replicas whose lag is not known: 1, the first that of shard 7 on node 2"}},
		{"what is known to be bad outweighs what is not known", f(long), silences(f(0)), []health.Lag{lag(unknown, unknown), lag(f(5001), f(0))},
			health.Region{Status: health.Degraded, AgeMs: f(0), Nodes: 1, NodesHeard: f(1), LagMs: f(5001),
				Reason: "replicas that lag by more than 5000 ms: 1, the worst that of shard 7 on node 2 by 5001 ms"}},
		{"one node of two is silent", f(long), silences(f(30_001), f(30_000)), nil,
			health.Region{Status: health.Degraded, AgeMs: f(0), Nodes: 2, NodesHeard: f(1),
				Reason: "nodes not heard for more than 30000 ms: 1 of 2, the longest node 1 for 30001 ms"}},
		{"both ills are told", f(long), silences(f(30_002), f(31_000), f(1)), []health.Lag{lag(f(5001), f(0))},
			health.Region{Status: health.Degraded, AgeMs: f(0), Nodes: 3, NodesHeard: f(1), LagMs: f(5001),
				Reason: "nodes not heard for more than 30000 ms: 2 of 3, the longest node 2 for 31000 ms; " +
					"replicas that lag by more than 5000 ms: 1, the worst that of shard 7 on node 2 by 5001 ms"}},
		{"nobody was heard", f(long), silences(f(40_000), f(30_001)), []health.Lag{lag(unknown, unknown)},
			health.Region{Status: health.Offline, AgeMs: f(0), Nodes: 2, NodesHeard: f(0), Reason: "none of 2 nodes was heard for 30001 ms"}},
		{"never heard by who has not listened for long", f(30_000), silences(f(0), unknown), nil,
			health.Region{AgeMs: f(0), Nodes: 2, NodesHeard: f(1), Reason: "nodes never heard in 30000 ms of listening: 1 of 2, the first node 2"}},
		{"never heard by who has", f(30_001), silences(f(0), unknown), nil,
			health.Region{Status: health.Degraded, AgeMs: f(0), Nodes: 2, NodesHeard: f(1),
				Reason: "nodes not heard for more than 30000 ms: 1 of 2, the longest node 2 for 30001 ms"}},
		{"nobody was ever heard", f(30_001), silences(unknown, unknown), nil,
			health.Region{Status: health.Offline, AgeMs: f(0), Nodes: 2, NodesHeard: f(0), Reason: "none of 2 nodes was heard for 30001 ms"}},
		{"who says this does not listen", unknown, silences(f(0), unknown), []health.Lag{lag(unknown, unknown)},
			health.Region{Nodes: 2,
				Reason: "who says this is not told who lives; ask the coordinator; replicas whose lag is not known: 1, the first that of shard 7 on node 2"}},
		{"who does not listen knows what it leads", unknown, silences(f(0)), []health.Lag{lag(f(3), f(0))},
			health.Region{Status: health.Healthy, AgeMs: f(0), Nodes: 1, NodesHeard: f(1), LagMs: f(3)}},
		{"no nodes", f(long), nil, nil,
			health.Region{AgeMs: f(0), NodesHeard: f(0), Reason: "no node is registered there"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Name = "eu"
			if diff := cmp.Diff(c.want, health.Classify("eu", c.watched, c.nodes, c.lags)); diff != "" {
				t.Error("-want +got\n" + diff)
			}
		})
	}
}

func genFigure(most uint64) *rapid.Generator[health.Figure] {
	return rapid.Custom(func(t *rapid.T) health.Figure {
		if rapid.Bool().Draw(t, "unknown") {
			return unknown
		}
		return f(rapid.Uint64Range(0, most).Draw(t, "value"))
	})
}

// A figure that becomes known may change an unknown status to any other, and no other status: a
// status that was reported while a figure was unknown holds for every value of it.
func TestWhatIsSaidHoldsWhateverIsNotKnown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var nodes []health.Silence
		for i := range rapid.IntRange(1, 3).Draw(t, "nodes") {
			nodes = append(nodes, health.Silence{Node: env.ID(i), Ms: genFigure(60_000).Draw(t, "silence")})
		}
		var lags []health.Lag
		for range rapid.IntRange(0, 3).Draw(t, "lags") {
			lags = append(lags, lag(genFigure(10_000).Draw(t, "lag"), f(0)))
		}
		before := health.Classify("eu", unknown, nodes, lags)
		for i := range nodes {
			if !nodes[i].Ms.Known {
				nodes[i].Ms = f(rapid.Uint64Range(0, 60_000).Draw(t, "silence found"))
			}
		}
		for i := range lags {
			if !lags[i].Ms.Known {
				lags[i].Ms = f(rapid.Uint64Range(0, 10_000).Draw(t, "lag found"))
			}
		}
		after := health.Classify("eu", unknown, nodes, lags)
		if after.Status == health.StatusUnknown {
			t.Fatalf("all is known, and the status is not: %+v", after)
		}
		// When the last node becomes silent, a degraded region becomes offline: that is the only
		// other change.
		worse := before.Status == health.Degraded && after.Status == health.Offline
		if before.Status != health.StatusUnknown && before.Status != after.Status && !worse {
			t.Fatalf("%+v became %+v", before, after)
		}
	})
}

// A region is made of the nodes and shards in it; leaders do not lag.
func TestJudgeRegions(t *testing.T) {
	c := &health.Cluster{
		WatchedMs: f(1),
		Nodes: []health.Node{
			{ID: 1, Region: "us", SilentMs: f(1)}, {ID: 2, Region: "eu", SilentMs: f(2)}, {ID: 3, Region: "us", SilentMs: f(3)},
		},
		Shards: []health.Shard{
			{ID: 1, Region: "us", Leader: health.Member{Node: 3, Incarnation: 1}, Replicas: []health.Replica{
				{Node: 1, LagMs: f(10), AgeMs: f(11)}, {Node: 3},
			}},
			{ID: 2, Region: "eu", Replicas: []health.Replica{{Node: 2}}},
		},
	}
	c.Judge()
	want := []health.Region{
		{Name: "eu", AgeMs: f(0), Nodes: 1, NodesHeard: f(1), Reason: "replicas whose lag is not known: 1, the first that of shard 2 on node 2"},
		{Name: "us", Status: health.Healthy, AgeMs: f(11), Nodes: 2, NodesHeard: f(2), LagMs: f(10)},
	}
	if diff := cmp.Diff(want, c.Regions); diff != "" {
		t.Error("-want +got\n" + diff)
	}
	c.Judge()
	if diff := cmp.Diff(want, c.Regions); diff != "" {
		t.Error("judged once more, -want +got\n" + diff)
	}
}

func TestJudgeResidency(t *testing.T) {
	shards := []health.Shard{
		{ID: 1, Replicas: []health.Replica{{Node: 1}, {Node: 2}}},
		{ID: 2, Replicas: []health.Replica{{Node: 3}}},
		{ID: 3, Replicas: []health.Replica{{Node: 9}}}, // of a node that is not known
		{ID: 4},
	}
	nodes := []health.Node{{ID: 1, Region: "eu"}, {ID: 2, Region: "eu"}, {ID: 3, Region: "us"}}
	for _, c := range []struct {
		name      string
		residency tenant.Residency
		slots     []lineage.Shard
		want      health.Truth
	}{
		{"all where they may be", tenant.Residency{"eu"}, []lineage.Shard{1}, health.Yes},
		{"one elsewhere", tenant.Residency{"eu"}, []lineage.Shard{1, 2}, health.No},
		{"anywhere", nil, []lineage.Shard{1, 2}, health.Yes},
		{"a shard that is not known", tenant.Residency{"eu"}, []lineage.Shard{1, 5}, health.Unknown},
		{"a shard whose replicas are not known", tenant.Residency{"eu"}, []lineage.Shard{1, 4}, health.Unknown},
		{"a node that is not known", tenant.Residency{"eu"}, []lineage.Shard{3, 1}, health.Unknown},
		{"one elsewhere, whatever is not known", tenant.Residency{"eu"}, []lineage.Shard{3, 2}, health.No},
		{"slots that are not known", tenant.Residency{"eu"}, nil, health.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			row := health.Tenant{ID: 5, Version: f(1), Residency: c.residency}
			for i, s := range c.slots {
				row.Slots = append(row.Slots, health.Slot{Slot: lineage.Slot(i), Shard: s})
			}
			cluster := &health.Cluster{Nodes: nodes, Shards: shards, Tenants: []health.Tenant{row}}
			cluster.Judge()
			if got := cluster.Tenants[0].Compliant; got != c.want {
				t.Errorf("compliant: %d, want %d", got, c.want)
			}
			cluster.Tenants[0].Version = unknown
			cluster.Judge()
			if got := cluster.Tenants[0].Compliant; got != health.Unknown {
				t.Errorf("compliant with a residency that is not known: %d", got)
			}
		})
	}
}
