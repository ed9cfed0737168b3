package health_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/health"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/internal/golden"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/v1 anew; right only as long as nobody reads schema 1")

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

// all are clusters that between them say everything that one can say.
func all() map[string]*health.Cluster {
	return map[string]*health.Cluster{"full": full(), "empty": {}}
}

func TestGoldenJSON(t *testing.T) {
	for name, c := range all() {
		golden.Text(t, "testdata/v1/"+name+".json", string(health.AppendJSON(nil, c)), *rewrite)
	}
}

func TestAppendJSONAppends(t *testing.T) {
	got := health.AppendJSON([]byte("before"), &health.Cluster{})
	if want := append([]byte("before"), health.AppendJSON(nil, &health.Cluster{})...); !bytes.Equal(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

const schemaPath = "../../docs/health.schema.json"

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func decode(t interface{ Fatal(...any) }, text []byte) any {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err, string(text))
	}
	return v
}

func TestOutputConformsToTheSchema(t *testing.T) {
	s := schema(t)
	for name, c := range all() {
		if err := s.Validate(decode(t, health.AppendJSON(nil, c))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A schema that takes everything would prove nothing.
func TestSchemaObjects(t *testing.T) {
	s, text := schema(t), string(health.AppendJSON(nil, full()))
	for _, c := range []struct{ what, old, new string }{
		{"0 for a text", `"id": "0"`, `"id": 0`},
		{"a fraction", `"lag_ms": 5001`, `"lag_ms": 5000.5`},
		{"a negative number", `"silent_ms": 101`, `"silent_ms": -1`},
		{"a key that is missing", `"entities": 1234, `, ``},
		{"a status that there is not", `"degraded"`, `"poor"`},
		{"another version", `"schema": 1`, `"schema": 2`},
		{"a region's name", `"us-east"`, `"US"`},
	} {
		if !strings.Contains(text, c.old) {
			t.Fatalf("%s: the output has no %s", c.what, c.old)
		}
		if s.Validate(decode(t, []byte(strings.ReplaceAll(text, c.old, c.new)))) == nil {
			t.Errorf("nobody objects to %s", c.what)
		}
	}
}

// Every key that is written is described in the schema, and the other way round; a key
// that is described is always there.
func TestSchemaDescribesEveryKey(t *testing.T) {
	text, err := os.ReadFile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "", decode(t, text).(map[string]any), decode(t, health.AppendJSON(nil, full())))
}

func compare(t *testing.T, path string, schema map[string]any, value any) {
	if text, _ := schema["description"].(string); !strings.HasSuffix(text, ".") {
		t.Errorf("%s: described as %q, want a sentence", path, text)
	}
	switch value := value.(type) {
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		if diff := cmp.Diff(keys(properties), keys(value)); diff != "" {
			t.Errorf("%s: -schema +output\n%s", path, diff)
		}
		var required []string
		for _, key := range schema["required"].([]any) {
			required = append(required, key.(string))
		}
		slices.Sort(required)
		if diff := cmp.Diff(keys(properties), required); diff != "" {
			t.Errorf("%s: -properties +required\n%s", path, diff)
		}
		for key, below := range value {
			described, _ := properties[key].(map[string]any)
			compare(t, path+"."+key, described, below)
		}
	case []any:
		for _, below := range value {
			compare(t, path+"[]", schema["items"].(map[string]any), below)
		}
	}
}

func keys(m map[string]any) (all []string) {
	for key := range m {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// For any texts and any unknown figures, the output is JSON with the same content.
func TestAnythingCanBeSaid(t *testing.T) {
	s := schema(t)
	rapid.Check(t, func(t *rapid.T) {
		figure := genFigure(1<<64 - 1)
		waits := rapid.OneOf(rapid.String(), rapid.Just("\x00\x1f\"\\/\u007f\u2028<\xff")).Draw(t, "waits")
		c := &health.Cluster{Index: figure.Draw(t, "index"), Shards: []health.Shard{{
			Region: "eu", Waits: waits, Version: figure.Draw(t, "version"), Entities: figure.Draw(t, "entities"),
			InSync: []health.Member{{Node: 1, Incarnation: 2}},
		}}}
		text := health.AppendJSON(nil, c)
		v := decode(t, text)
		if err := s.Validate(v); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Index  *uint64
			Shards []struct {
				Waits             string
				Version, Entities *uint64
				InSync            []health.Member `json:"in_sync"`
			}
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		shard := got.Shards[0]
		if want := strings.ToValidUTF8(waits, "\ufffd"); shard.Waits != want {
			t.Errorf("waits %q, want %q", shard.Waits, want)
		}
		for _, n := range []struct {
			got  *uint64
			want health.Figure
		}{{got.Index, c.Index}, {shard.Version, c.Shards[0].Version}, {shard.Entities, c.Shards[0].Entities}} {
			if n.want.Known != (n.got != nil) || n.got != nil && *n.got != n.want.Value {
				t.Errorf("%+v in\n%s", n, text)
			}
		}
		if known := shard.InSync != nil; known != c.Shards[0].Version.Known {
			t.Errorf("in-sync set of a configuration that is known: %t, written: %t", c.Shards[0].Version.Known, known)
		}
	})
}

// A residency is a set, and an order of its own would be seen as a change.
func TestResidencyIsWrittenInOrder(t *testing.T) {
	of := func(r ...tenant.Region) string {
		return string(health.AppendJSON(nil, &health.Cluster{Tenants: []health.Tenant{{Version: f(1), Residency: r}}}))
	}
	if a, b := of("us", "eu"), of("eu", "us"); a != b {
		t.Errorf("%s\nis not\n%s", a, b)
	}
	unconfigured := health.AppendJSON(nil, &health.Cluster{Tenants: []health.Tenant{{}}})
	if !bytes.Contains(unconfigured, []byte(`"residency": null`)) {
		t.Errorf("a residency that is not known is told as anywhere:\n%s", unconfigured)
	}
}

// Lists that do not ascend are a mistake of our own.
func TestListsAscend(t *testing.T) {
	for name, c := range map[string]*health.Cluster{
		"regions":    {Regions: []health.Region{{Name: "us"}, {Name: "eu"}}},
		"nodes":      {Nodes: []health.Node{{ID: 1}, {ID: 1}}},
		"shards":     {Shards: []health.Shard{{ID: 2}, {ID: 1}}},
		"tenants":    {Tenants: []health.Tenant{{ID: 10}, {ID: 9}}},
		"slots":      {Tenants: []health.Tenant{{Slots: []health.Slot{{Slot: 1}, {Slot: 0}}}}},
		"replicas":   {Shards: []health.Shard{{Replicas: []health.Replica{{Node: 2}, {Node: 1}}}}},
		"in_sync":    {Shards: []health.Shard{{Version: f(1), InSync: []health.Member{{Node: 1, Incarnation: 1}, {Node: 1, Incarnation: 2}}}}},
		"migrations": {Migrations: []health.Migration{{Tenant: 1, Slot: 2}, {Tenant: 1, Slot: 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				failure, ok := recover().(assert.Failure)
				if !ok || !strings.Contains(errors.Join(failure).Error(), name+"[1]") {
					t.Errorf("failed with %v, want a word about %s[1]", failure, name)
				}
			}()
			health.AppendJSON(nil, c)
		})
	}
}
