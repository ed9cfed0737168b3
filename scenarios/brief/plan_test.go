package brief

import (
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/scenarios"
	"github.com/tidaldb/tidalsim/sim/plan"
)

// sharedPlan is five nodes in one region, three shards and two tenants, an operator that
// drains node 3, and a crash of node 4.
func sharedPlan() *scenarios.Plan {
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
