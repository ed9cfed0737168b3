package health_test

import (
	"encoding/json"
	"flag"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/internal/golden"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/v1 anew; right only as long as nobody reads schema 1")

func f(v uint64) health.Figure { return health.Of(v) }

// full has everything that a cluster can say, with a number of its own in each field.
func full() *health.Cluster {
	c := &health.Cluster{
		Node: 1, Coordinator: health.Of(env.ID(2)), Index: f(917), AgeMs: f(40), WatchedMs: f(86_400_000),
		Nodes: []health.Node{
			{ID: 0, Region: "us-east", Incarnation: health.Of(env.Incarnation(3)), State: health.Active, SilentMs: f(101),
				Disk: health.Disk{AgeMs: f(102), UsedBytes: f(1_000_001), FreeBytes: f(9_000_001)}, Replicas: f(2), Leaderships: f(1)},
			{ID: 1, Region: "eu-west", Incarnation: health.Of(env.Incarnation(1)), State: health.Draining, SilentMs: f(0),
				Disk: health.Disk{AgeMs: f(0), UsedBytes: f(1_000_002), FreeBytes: f(9_000_002)}, Replicas: f(1), Leaderships: f(0)},
			{ID: 2, Region: "us-east", Incarnation: health.Of(env.Incarnation(7)), State: health.Drained, SilentMs: f(30_001)},
		},
		Shards: []health.Shard{
			{ID: 1, Region: "us-east", Epoch: health.Of(lineage.ShardEpoch(12)), Version: f(31), Leader: health.Member{Node: 0, Incarnation: 3},
				InSync: []health.Member{{Node: 0, Incarnation: 3}, {Node: 2, Incarnation: 7}}, Excluded: f(1),
				Waits: `waits for "node 2"`, AgeMs: f(55), Entities: f(1234), LogicalBytes: f(567_890), Signals: f(2999), WindowMs: f(2000),
				Replicas: []health.Replica{
					{Node: 0, InSync: health.Yes, AgeMs: f(55), LagRecords: f(0), LagMs: f(0), Disk: health.ReplicaDisk{AgeMs: f(56), UsedBytes: f(600_000)}},
					{Node: 2, InSync: health.No, AgeMs: f(57), LagRecords: f(17), LagMs: f(5001), Disk: health.ReplicaDisk{AgeMs: f(58), UsedBytes: f(500_000)}},
				}},
			{ID: 4, Region: "eu-west", Replicas: []health.Replica{{Node: 1}}},
		},
		Tenants: []health.Tenant{
			{ID: 0, Version: f(1), State: health.TenantActive, Quota: health.LimitsOf(tenant.Limits{Rate: 10}), Slots: []health.Slot{{Slot: 0, Shard: 4}}},
			{ID: 1<<64 - 2, Version: f(5), State: health.TenantDropping, Residency: tenant.Residency{"us-east", "eu-west"},
				Quota: health.LimitsOf(tenant.Limits{Rate: 100, Burst: 200, Entities: 300, Bytes: 4000}),
				Slots: []health.Slot{
					{Slot: 0, Shard: 1, AgeMs: f(61), Seq: health.Of(lineage.Seq(901)), Share: health.Limits{Rate: f(60), Burst: f(120), Entities: f(150), Bytes: f(2000)},
						Used: health.Use{Entities: f(11), Bytes: f(1100)}, Refused: health.Refusals{Rate: f(5), Entities: f(6), Bytes: f(7)}},
					{Slot: 1, Shard: 1, AgeMs: f(62), Seq: health.Of(lineage.Seq(902)), Share: health.Limits{Rate: f(40), Burst: f(80), Entities: f(150), Bytes: f(2000)},
						Used: health.Use{Entities: f(12), Bytes: f(1200)}, Refused: health.Refusals{Rate: f(50), Entities: f(60), Bytes: f(70)}},
				}},
		},
		Migrations: []health.Migration{{Tenant: 0, Slot: 0, From: 4, To: 1, Phase: "COPY"}},
	}
	c.Judge()
	return c
}

func TestGoldenJSON(t *testing.T) {
	for name, c := range map[string]*health.Cluster{"full": full(), "empty": {}} {
		text := health.AppendJSON(nil, c)
		if !json.Valid(text) {
			t.Errorf("%s: no JSON:\n%s", name, text)
		}
		golden.Text(t, "testdata/v1/"+name+".json", string(text), *rewrite)
	}
}
