package shape

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// groupsPlan is five nodes in one region, three shards and two tenants, an operator that
// drains node 3, and a crash of node 4.
func groupsPlan() *scenarios.Plan {
	p := &scenarios.Plan{Cluster: scenarios.ClusterPlan{Nodes: 5, Clients: 1, Topology: scenarios.Topology{
		Meta: []env.ID{0, 1, 2, 3, 4}, Regions: []tenant.Region{"home", "home", "home", "home", "home"},
		Shards: []control.ShardConfig{
			{ID: 0, Region: "home", Replicas: []env.ID{3, 4, 0}},
			{ID: 1, Region: "home", Replicas: []env.ID{0, 1, 2}},
			{ID: 2, Region: "home", Replicas: []env.ID{4, 0, 1}},
		},
	}}}
	p.Cluster.Tenants = []scenarios.TenantPlan{{Slots: 2, Shards: []lineage.Shard{2, 1}}, {Slots: 1, Shards: []lineage.Shard{2}}}
	p.Workload.Operators = []scenarios.OperatorPlan{{Commands: []scenarios.CommandPlan{{Kind: "drain", Node: 3}, {Kind: "undrain", Node: 1}}}}
	p.World.Disruptions = []plan.Disruption{{Kind: plan.Kill, Process: 4}, {Kind: plan.Kill, Process: 3}}
	return p
}

// A node of a replica group that goes takes its faults and what operators want of it along;
// its places are filled, or left empty, and the meta log keeps three members, or its only one.
func TestNodesOfReplicaGroupsGo(t *testing.T) {
	type groups struct {
		meta     []env.ID
		replicas [][]env.ID
		commands []int // nodes
		faults   []uint32
	}
	for _, c := range []struct {
		name string
		keep []int
		move bool
		want groups
	}{
		{"their places are left empty", []int{0, 1, 2, 4}, false, groups{[]env.ID{0, 1, 2}, [][]env.ID{{3, 0}, {0, 1, 2}, {3, 0, 1}}, []int{1}, []uint32{3}}},
		{"their places are filled", []int{0, 1, 2, 4}, true, groups{[]env.ID{0, 1, 2}, [][]env.ID{{3, 0, 1}, {0, 1, 2}, {3, 0, 1}}, []int{1}, []uint32{3}}},
		{"the last three stay", []int{4}, true, groups{[]env.ID{0, 1, 2}, [][]env.ID{{2, 0, 1}, {0, 1, 2}, {2, 0, 1}}, []int{1}, []uint32{2}}},
		{"a shard that is left alone has somebody else", []int{1, 2, 4}, false, groups{[]env.ID{0, 1, 2}, [][]env.ID{{2}, {0, 1}, {2, 0}}, []int{0}, []uint32{2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := onNodes(groupsPlan(), c.keep, c.move)
			got := groups{meta: q.Cluster.Meta}
			for _, shard := range q.Cluster.Shards {
				got.replicas = append(got.replicas, shard.Replicas)
			}
			for _, k := range q.Workload.Operators[0].Commands {
				got.commands = append(got.commands, k.Node)
			}
			for _, d := range q.World.Disruptions {
				got.faults = append(got.faults, d.Process)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(groups{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(q.Cluster.Regions) != q.Cluster.Nodes {
				t.Errorf("%d regions of %d nodes", len(q.Cluster.Regions), q.Cluster.Nodes)
			}
		})
	}
}

func TestShardsAndSlotsGo(t *testing.T) {
	p := groupsPlan()
	if q := withoutIdleShards(p); len(q.Cluster.Shards) != 2 || !slices.Equal(q.Cluster.Tenants[0].Shards, []lineage.Shard{1, 0}) || q.Cluster.Shards[1].Replicas[0] != 4 {
		t.Errorf("shard 0, on which nothing is: %+v, %+v", q.Cluster.Shards, q.Cluster.Tenants)
	}
	if q := onOneShard(p); len(q.Cluster.Shards) != 1 || !slices.Equal(q.Cluster.Tenants[0].Shards, []lineage.Shard{0, 0}) || q.Cluster.Shards[0].Replicas[0] != 4 {
		t.Errorf("on one shard: %+v, %+v", q.Cluster.Shards, q.Cluster.Tenants)
	}
	if q := withSlots(p, 0, 1); q.Cluster.Tenants[0].Slots != 1 || len(q.Cluster.Tenants[0].Shards) != 1 {
		t.Errorf("with one slot: %+v", q.Cluster.Tenants)
	}
	if !bytes.Equal(p.Encode(), groupsPlan().Encode()) {
		t.Error("the cuts have changed the plan that they were made from")
	}
}

// A cut of a tenant leaves the commands about nodes as they are.
func TestCommandsAboutNodesHangOnNoTenant(t *testing.T) {
	if q := ofTenants(groupsPlan(), []int{1}); len(q.Workload.Operators[0].Commands) != 2 || q.Workload.Operators[0].Commands[0].Tenant != 0 {
		t.Errorf("without tenant 0: %+v", q.Workload.Operators)
	}
}

// A meta log with one member keeps one, and a shard with one replica keeps one: with move it goes to
// the first node that is kept.
func TestNodesOfShardsWithOneReplicaGo(t *testing.T) {
	for _, c := range []struct {
		name     string
		keep     []int
		move     bool
		meta     env.ID
		replicas [3]env.ID
		nodes    int
	}{
		{"the member stays", []int{0}, true, 0, [3]env.ID{0, 0, 0}, 1},
		{"the member goes", []int{2}, true, 0, [3]env.ID{0, 0, 0}, 1},
		{"the member is another one of those that stay", []int{1, 2}, true, 0, [3]env.ID{0, 0, 1}, 2},
		{"nobody stays", nil, false, 0, [3]env.ID{0, 0, 0}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := groupsPlan()
			p.Cluster.Meta = []env.ID{0}
			for i := range p.Cluster.Shards {
				p.Cluster.Shards[i].Replicas = []env.ID{env.ID(i)}
			}
			q := onNodes(p, c.keep, c.move)
			if q.Cluster.Nodes != c.nodes || !slices.Equal(q.Cluster.Meta, []env.ID{c.meta}) {
				t.Errorf("%d nodes, meta log on %v; want %d and %d", q.Cluster.Nodes, q.Cluster.Meta, c.nodes, c.meta)
			}
			for i, shard := range q.Cluster.Shards {
				if !slices.Equal(shard.Replicas, []env.ID{c.replicas[i]}) {
					t.Errorf("shard %d is on %v, want %d", i, shard.Replicas, c.replicas[i])
				}
			}
		})
	}
}

// Every cut of a valid plan of replica groups is valid.
func TestCutsOfGroupsAreValid(t *testing.T) {
	all := scenarios.All()
	rapid.Check(t, func(t *rapid.T) {
		p := all[rapid.IntRange(0, len(all)-1).Draw(t, "scenario")].Plan(plan.Seed(rapid.Uint64().Draw(t, "seed")))
		keep := slices.DeleteFunc(numbers(p.Cluster.Nodes), func(int) bool { return rapid.Bool().Draw(t, "node") })
		p = onNodes(p, keep, rapid.Bool().Draw(t, "move"))
		valid(t, "nodes", p)
		i := rapid.IntRange(0, len(p.Cluster.Tenants)-1).Draw(t, "tenant")
		p = withSlots(p, i, rapid.IntRange(1, max(1, p.Cluster.Tenants[i].Slots)).Draw(t, "slots"))
		valid(t, "slots", p)
		valid(t, "shards", withoutIdleShards(p))
	})
}
