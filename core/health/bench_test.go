package health_test

import (
	"fmt"
	"testing"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// large has 100 nodes in 5 regions, and a replica on 3 of them for each of 1000 shards.
func large(tenants int) *health.Cluster {
	const nodes, regions, shards = 100, 5, 1000
	c := &health.Cluster{WatchedMs: f(60_000)}
	for i := range nodes {
		c.Nodes = append(c.Nodes, health.Node{ID: env.ID(i), Region: tenant.Region(fmt.Sprint("r", i%regions)), SilentMs: f(uint64(i))})
	}
	for i := range shards {
		s := health.Shard{ID: lineage.Shard(i), Region: c.Nodes[i%nodes].Region, Version: f(1), Leader: health.Member{Node: env.ID(i % (nodes - 2*regions)), Incarnation: 1}}
		for j := range 3 {
			s.Replicas = append(s.Replicas, health.Replica{Node: s.Leader.Node + env.ID(j*regions), AgeMs: f(1), LagMs: f(uint64(j))})
		}
		c.Shards = append(c.Shards, s)
	}
	for i := range tenants {
		c.Tenants = append(c.Tenants, health.Tenant{ID: tenant.ID(i), Version: f(1), Slots: []health.Slot{{Shard: lineage.Shard(i % shards), Used: health.Use{Entities: f(1)}}}})
	}
	return c
}

// BenchmarkJudge measures the work within the Step of the node that answers.
func BenchmarkJudge(b *testing.B) {
	c := large(10_000)
	for b.Loop() {
		c.Judge()
	}
}

// BenchmarkAppendJSON measures the work outside of that Step.
func BenchmarkAppendJSON(b *testing.B) {
	c := large(10_000)
	c.Judge()
	var text []byte
	for b.Loop() {
		text = health.AppendJSON(text[:0], c)
	}
	b.SetBytes(int64(len(text)))
}
