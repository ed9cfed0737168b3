package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

func TestContradictions(t *testing.T) {
	for _, c := range []struct {
		change func(*Cluster)
		want   string
	}{
		{func(c *Cluster) { c.Meta = c.Meta[:2] }, "meta: 2 addresses, want 1, 3 or 5"},
		{func(c *Cluster) { c.Meta = []env.ID{0, 1, 2, 3} }, "meta: 4 addresses, want 1, 3 or 5"},
		{func(c *Cluster) { c.Meta = []env.ID{0, 2, 2} }, "meta[2]: 2 follows 2; want them ascending, each once"},
		{func(c *Cluster) { c.Meta = []env.ID{0, 1, 9} }, "meta[2]: 9 is no node's id"},
		{func(c *Cluster) { c.Nodes[3].ID = 2 }, "nodes[3].id: 2 follows 2; want them ascending, each once"},
		{func(c *Cluster) { c.Nodes[3].Region = "EU" }, `nodes[3].region: invalid region name "EU": want 1..32 of a-z, 0-9 and -, the first a letter`},
		{func(c *Cluster) { c.Nodes = make([]NodeConfig, 1025) }, "nodes: 1025 nodes, want at most 1024"},
		{func(c *Cluster) { c.Shards = nil }, "shards: 0 shards, want 1..4096"},
		{func(c *Cluster) { c.Shards = make([]ShardConfig, 4097) }, "shards: 4097 shards, want 1..4096"},
		{func(c *Cluster) { c.Shards[1].ID = 1 }, "shards[1].id: 1 follows 1; want them ascending, each once"},
		{func(c *Cluster) { c.Shards[1].Region = "" }, `shards[1].region: invalid region name "": want 1..32 of a-z, 0-9 and -, the first a letter`},
		{func(c *Cluster) { c.Shards[1].Replicas = nil }, "shards[1].replicas: 0 replicas, want 1..7"},
		{func(c *Cluster) { c.Shards[1].Replicas = make([]env.ID, 8) }, "shards[1].replicas: 8 replicas, want 1..7"},
		{func(c *Cluster) { c.Shards[3].Replicas = []env.ID{5, 6, 7, 8} },
			`shards[3].replicas: 4 replicas, but region "us" has 3 nodes; add nodes there or take fewer replicas`},
		{func(c *Cluster) { c.Shards[2].Replicas[0] = 9 }, "shards[2].replicas[0]: 9 is no node's id"},
		{func(c *Cluster) { c.Shards[3].Replicas[1] = 4 }, `shards[3].replicas[1]: node 4 is in region "eu", the shard in "us"`},
		{func(c *Cluster) { c.Shards[0].Replicas[2] = 2 }, "shards[0].replicas[2]: node 2 is there twice"},
		{func(c *Cluster) { c.Tenants = make([]TenantConfig, 65537) }, "tenants: 65537 tenants, want at most 65536"},
		{func(c *Cluster) { c.Tenants[1].ID = 7 }, "tenants[1].id: 7 follows 7; want them ascending, each once"},
		{func(c *Cluster) { c.Tenants[1].Limits.Rate = 0 },
			"tenants[1].limits.rate: invalid tenant configuration: tenant 8: limits.rate is 0, want 1..1000000000 operations per second"},
		{func(c *Cluster) { c.Tenants[1].Residency = tenant.Residency{"us", "us"} },
			`tenants[1]: invalid tenant configuration: tenant 8: residency[1]: invalid region name "us": it is there twice`},
		{func(c *Cluster) { c.Tenants[1].Residency = tenant.Residency{"asia"} }, "tenants[1].residency: no shard is in a region of [asia]"},
		{func(c *Cluster) { c.Tenants[0].Shards = nil }, "tenants[0].shards: 0 slots, want 1..1024"},
		{func(c *Cluster) { c.Tenants[0].Shards = make([]lineage.Shard, MaxSlots+1) }, "tenants[0].shards: 1025 slots, want 1..1024"},
		{func(c *Cluster) { c.Tenants[0].Limits.Rate = 2 },
			"tenants[0].limits.rate: invalid tenant configuration: tenant 7: limits.rate is 2, want 3 or more: one operation per second for each of 3 slots"},
		{func(c *Cluster) { c.Tenants[0].Limits.Burst = 2 },
			"tenants[0].limits.burst: invalid tenant configuration: tenant 7: limits.burst is 2, want 3 or more: one operation for each of 3 slots"},
		{func(c *Cluster) { c.Tenants[0].Shards[1] = 9 }, "tenants[0].shards[1]: 9 is no shard's id"},
		{func(c *Cluster) { c.Tenants[1].Shards[0] = 2 }, `tenants[1].shards[0]: shard 2 is in region "eu", which the tenant's residency [us] forbids`},
	} {
		cluster := founding()
		c.change(cluster)
		err := cluster.Validate()
		var field *FieldError
		if !errors.As(err, &field) || !errors.Is(err, ErrCluster) {
			t.Errorf("%v, want a FieldError: %s", err, c.want)
			continue
		}
		if diff := cmp.Diff("invalid cluster: "+c.want, err.Error()); diff != "" {
			t.Errorf("error (-want +got):\n%s", diff)
		}
	}
	if err := founding().Validate(); err != nil {
		t.Error(err)
	}
}

func TestCausesAreWrapped(t *testing.T) {
	c := founding()
	c.Tenants[0].Limits.Rate = 0
	var typed *tenant.ConfigError
	if err := c.Validate(); !errors.Is(err, tenant.ErrConfig) || !errors.As(err, &typed) || typed.Tenant != 7 {
		t.Errorf("%v", err)
	}
	c.Nodes[0].Region = ""
	if err := c.Validate(); !errors.Is(err, tenant.ErrRegion) {
		t.Errorf("%v", err)
	}
}

func TestAPlaneIsFoundedOnAValidClusterOnly(t *testing.T) {
	defer func() {
		if _, ok := recover().(assert.Failure); !ok {
			t.Error("nobody objects")
		}
	}()
	New(&Cluster{})
}

// A plane shares nothing with the cluster that it was founded with.
func TestAPlaneKeepsItsOwnCopy(t *testing.T) {
	c := founding()
	p := New(c)
	before := string(p.Snapshot())
	c.Shards[0].Replicas[0], c.Tenants[0].Shards[0], c.Tenants[1].Residency[0] = 4, 2, "eu"
	if string(p.Snapshot()) != before {
		t.Error("a change of the cluster changes the plane")
	}
}

func TestClustersReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := founding()
		c.Tenants = c.Tenants[:rapid.IntRange(0, 2).Draw(t, "tenants")]
		c.Shards[0].Replicas = c.Shards[0].Replicas[:rapid.IntRange(1, 3).Draw(t, "replicas")]
		for i := range c.Tenants {
			c.Tenants[i].Version = rapid.Uint64Min(1).Draw(t, "version")
		}
		data, err := json.MarshalIndent(c, "", strings.Repeat(" ", rapid.IntRange(0, 4).Draw(t, "indent")))
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeCluster(data)
		if err != nil || !cmp.Equal(c, back) {
			t.Fatalf("%s reads back as %+v, %v", data, back, err)
		}
	})
}

// file is a cluster as a person writes it.
const file = `{
  "meta": [0, 1, 2],
  "nodes": [
    {"id": 0, "region": "eu"},
    {"id": 1, "region": "eu"},
    {"id": 2, "region": "eu"}
  ],
  "shards": [
    {"id": 1, "region": "eu", "replicas": [0, 1, 2]}
  ],
  "tenants": [
    {"id": "7", "version": 1, "limits": {"rate": 10}, "residency": ["eu"], "shards": [1, 1]}
  ]
}
`

func TestClusterFiles(t *testing.T) {
	c, err := DecodeCluster([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%+v", *c); got != fmt.Sprintf("{Meta:[0 1 2] Nodes:[{ID:0 Region:eu Directory:%[1]s} {ID:1 Region:eu Directory:%[1]s} {ID:2 Region:eu Directory:%[1]s}] "+
		"Shards:[{ID:1 Region:eu Replicas:[0 1 2]}] Tenants:[{Config:{ID:7 Version:1 Limits:{Rate:10 Burst:0 Entities:0 Bytes:0} Residency:[eu]} Shards:[1 1]}]}", env.Nonce{}) {
		t.Errorf("read as %s", got)
	}
	head, _, _ := strings.Cut(file, `,
  "tenants"`)
	if _, err := DecodeCluster([]byte(head + "}")); err != nil {
		t.Errorf("without tenants: %v", err)
	}
}

func TestDamagedClusterFiles(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"meta": [0`, `"meta": [0,`, "line 2, column 14: invalid character ',' looking for beginning of value"},
		{"  ]\n}\n", "", "line 13, column 1: unexpected end of JSON input"},
		{"]\n}\n", "]\n}\n{}", "line 15, column 1: invalid character '{' after top-level value"},
		{`"region": "eu"},`, `"regoin": "eu"},`, `line 4, column 15: nodes[0]: unknown key "regoin"; did you mean "region"?`},
		{`"region": "eu"},`, `"Region": "eu"},`, `line 4, column 15: nodes[0]: unknown key "Region"; did you mean "region"?`},
		{`"limits"`, `"quota"`, `line 12, column 31: tenants[0]: unknown key "quota"; want one of "id", "version", "limits", "residency", "shards"`},
		{`"meta"`, `"metas"`, `line 2, column 3: unknown key "metas"; did you mean "meta"?`},
		{`"id": 1,`, `"id": 1, "id": 1,`, `line 5, column 15: nodes[1].id: the key is there twice`},
		{`"id": 1, `, ``, `line 5, column 5: nodes[1]: the key "id" is missing`},
		{`"rate": 10`, ``, `line 12, column 41: tenants[0].limits: the key "rate" is missing`},
		{`"rate": 10`, `"rate": null`, `line 12, column 50: tenants[0].limits.rate: want a number`},
		{`"rate": 10`, `"rate": -10`, `line 12, column 50: tenants[0].limits.rate: number -10 is not a legal value here: want a whole number of 64 bits`},
		{`"rate": 10`, `"rate": 1.5`, `line 12, column 50: tenants[0].limits.rate: number 1.5 is not a legal value here: want a whole number of 64 bits`},
		{`[0, 1, 2]}`, `[0, 4294967296, 2]}`, `line 9, column 47: shards[0].replicas[1]: number 4294967296 is not a legal value here: want a whole number of 32 bits`},
		{`[0, 1, 2]}`, `[0, true, 2]}`, `line 9, column 47: shards[0].replicas[1]: want a number`},
		{`[0, 1, 2]}`, `[0, [1], 2]}`, `line 9, column 47: shards[0].replicas[1]: want a number`},
		{`[0, 1, 2]}`, `0}`, `line 9, column 43: shards[0].replicas: want a list`},
		{`{"rate": 10}`, `[]`, `line 12, column 41: tenants[0].limits: want an object with the keys "rate", "burst", "entities", "bytes"`},
		{`"region": "eu"},`, `"region": 1},`, `line 4, column 25: nodes[0].region: want a text in quotes`},
		{`"id": "7"`, `"id": 7`, `line 12, column 12: tenants[0].id: want a tenant ID: a decimal number in quotes; did you mean "7"?`},
		{`"id": "7"`, `"id": "07"`, `line 12, column 12: tenants[0].id: tenant "07": not a tenant ID (want a decimal number from 0 to 18446744073709551614)`},
		{`[0, 1, 2]}`, `[0, 1, 9]}`, `line 9, column 50: shards[0].replicas[2]: 9 is no node's id`},
		{`[0, 1, 2]}`, `[0, 1, 1]}`, `line 9, column 50: shards[0].replicas[2]: node 1 is there twice`},
		{`"residency": ["eu"]`, `"residency": ["us"]`, `line 12, column 68: tenants[0].residency: no shard is in a region of [us]`},
		{`"rate": 10`, `"rate": 10, "burst": 1`, `line 12, column 63: tenants[0].limits.burst: invalid tenant configuration: tenant 7: limits.burst is 1, want 2 or more: one operation for each of 2 slots`},
		{`"version": 1`, `"version": 0`, `line 12, column 28: tenants[0].version: invalid tenant configuration: tenant 7: version is 0, want 1 or more`},
	} {
		if !strings.Contains(file, c.old) {
			t.Fatalf("the file has no %s", c.old)
		}
		_, err := DecodeCluster([]byte(strings.Replace(file, c.old, c.new, 1)))
		var field *FieldError
		if !errors.As(err, &field) || !errors.Is(err, ErrCluster) || field.Line == 0 {
			t.Errorf("%s for %s: %v, want a FieldError with a line", c.new, c.old, err)
			continue
		}
		if diff := cmp.Diff("invalid cluster: "+c.want, err.Error()); diff != "" {
			t.Errorf("%s for %s (-want +got):\n%s", c.new, c.old, diff)
		}
	}
}

// An accepted cluster is valid and reads back as written; a refusal has a line.
func FuzzDecodeCluster(f *testing.F) {
	f.Add([]byte(file))
	f.Add([]byte(strings.Replace(file, "eu", "Eu", 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := DecodeCluster(data)
		if err != nil {
			var field *FieldError
			if !errors.As(err, &field) || field.Line < 1 || field.Column < 1 {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeCluster(again); err != nil || !cmp.Equal(c, back) {
			t.Fatalf("%s reads back as %+v, %v", again, back, err)
		}
		New(c)
	})
}
