package desired_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/desired"
	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// founding is the cluster of the tests: nodes 0..2 and shards 1, 2 in eu, nodes 3, 4
// and shards 3, 4 in us.
//
//	tenant 7  version 1  rate 10         anywhere  shards 1 2 1
//	tenant 8  version 3  rate 5 burst 9  us        shard 4
func founding() *control.Cluster {
	c := &control.Cluster{Meta: []env.ID{0, 1, 2}}
	for id := range env.ID(5) {
		region := tenant.Region("eu")
		if id >= 3 {
			region = "us"
		}
		c.Nodes = append(c.Nodes, control.NodeConfig{ID: id, Region: region})
	}
	c.Shards = []control.ShardConfig{
		{ID: 1, Region: "eu", Replicas: []env.ID{0, 1, 2}}, {ID: 2, Region: "eu", Replicas: []env.ID{1}},
		{ID: 3, Region: "us", Replicas: []env.ID{3, 4}}, {ID: 4, Region: "us", Replicas: []env.ID{4}},
	}
	c.Tenants = []control.TenantConfig{
		{Config: tenant.Config{ID: 7, Version: 1, Limits: tenant.Limits{Rate: 10}}, Shards: []lineage.Shard{1, 2, 1}},
		{Config: tenant.Config{ID: 8, Version: 3, Limits: tenant.Limits{Rate: 5, Burst: 9}, Residency: tenant.Residency{"us"}}, Shards: []lineage.Shard{4}},
	}
	return c
}

// running is founding's plane after a while: tenant 9 was dropped, and is gone.
func running() *control.Plane {
	p := control.New(founding())
	must(p, control.Command{Kind: control.CreateTenant, Config: tenant.Config{ID: 9, Version: 1, Limits: tenant.Limits{Rate: 1}}, Shards: []lineage.Shard{2}})
	must(p, control.Command{Kind: control.DropTenant, Tenant: 9})
	for _, c := range closes(p, 9) {
		must(p, c)
	}
	return p
}

// closes are the commands with which the leaders end a tenant that is being dropped.
func closes(p *control.Plane, id tenant.ID) (all []control.Command) {
	for slot, home := range p.Tenant(id).Shards {
		s := p.Shard(home)
		all = append(all, control.Command{Kind: control.Close, Shard: s.ID, Epoch: s.Epoch, By: s.Leader, Tenant: id, Slot: lineage.Slot(slot)})
	}
	return all
}

func must(p *control.Plane, c control.Command) {
	if r := do(p, c); r.Refusal != control.Done {
		panic(c.String() + " is refused: " + r.Refusal.String())
	}
}

// do sends a command through the log as bytes.
func do(p *control.Plane, c control.Command) control.Result {
	result, err := p.Apply(p.Index()+1, c.Append(nil))
	if err != nil {
		panic(err)
	}
	r, err := control.DecodeResult(result)
	if err != nil {
		panic(err)
	}
	return r
}

// file fits running.
const file = `{
  "tenants": [
    {"id": "8", "limits": {"rate": 5, "burst": 10}, "residency": ["us"]},
    {"id": "7", "limits": {"rate": 10}, "slots": 3, "shards": [1, 2, 1]},
    {"id": "1", "limits": {"rate": 100, "burst": 2}, "residency": ["eu"], "slots": 2}
  ],
  "drop": ["9", "4"]
}
`

func TestAFileBecomesCommands(t *testing.T) {
	commands, err := desired.DiffFile(running(), []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	diffCommands(t, commands, []string{
		"create-tenant tenant 1 version 1 limits {100 2 0 0} residency [eu] in shards [2 1]",
		"configure base 3 tenant 8 version 4 limits {5 10 0 0} residency [us]",
	})
}

func diffCommands(t *testing.T, commands []control.Command, want []string) {
	t.Helper()
	var got []string
	for i := range commands {
		got = append(got, commands[i].String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// refusals are files that are refused, each for one mistake in a file that would do.
var refusals = []struct{ right, mistake, want string }{
	// Text that is not JSON.
	{`"tenants": [`, `"tenants": [,`, "line 2, column 15: invalid character ',' looking for beginning of value"},
	{"  \"drop\": [\"9\", \"4\"]\n}\n", "", "line 7, column 1: unexpected end of JSON input"},
	{"]\n}\n", "]\n}\n{}", "line 9, column 1: invalid character '{' after top-level value"},

	// Keys: unknown, in other case, twice, missing.
	{`"burst": 10`, `"brust": 10`, `line 3, column 39: tenants[0].limits: unknown key "brust"; did you mean "burst"?`},
	{`"burst": 10`, `"quota": 10`, `line 3, column 39: tenants[0].limits: unknown key "quota"; want one of "rate", "burst", "entities", "bytes"`},
	{`"residency": ["us"]`, `"Residency": ["us"]`, `line 3, column 53: tenants[0]: unknown key "Residency"; did you mean "residency"?`},
	{`"limits": {"rate": 10}`, `"limits": {"rate": 10}, "version": 2`, `line 4, column 41: tenants[1]: unknown key "version"; want one of "id", "limits", "residency", "slots", "shards"`},
	{`"tenants"`, `"tenant"`, `line 2, column 3: unknown key "tenant"; did you mean "tenants"?`},
	{`"drop"`, `"dropped"`, `line 7, column 3: unknown key "dropped"; did you mean "drop"?`},
	{`{"rate": 10}`, `{"rate": 10, "rate": 10}`, `line 4, column 40: tenants[1].limits.rate: the key is there twice`},
	{`"id": "7", `, ``, `line 4, column 5: tenants[1]: the key "id" is missing`},
	{`, "limits": {"rate": 10}`, ``, `line 4, column 5: tenants[1]: the key "limits" is missing`},
	{`{"rate": 10}`, `{"burst": 10}`, `line 4, column 27: tenants[1].limits: the key "rate" is missing`},
	{file, `{"drop": ["9"]}`, `line 1, column 1: the key "tenants" is missing`},

	// Types, and null.
	{file, `[]`, `line 1, column 1: want an object with the keys "tenants", "drop"`},
	{file, `{"tenants": {}}`, `line 1, column 13: tenants: want a list`},
	{file, `{"tenants": ["7"]}`, `line 1, column 14: tenants[0]: want an object with the keys "id", "limits", "residency", "slots", "shards"`},
	{file, `{"tenants": null}`, `line 1, column 13: tenants: want a list`},
	{`"id": "7"`, `"id": 7`, `line 4, column 12: tenants[1].id: want a tenant ID: a decimal number in quotes; did you mean "7"?`},
	{`"id": "7"`, `"id": "07"`, `line 4, column 12: tenants[1].id: tenant "07": not a tenant ID (want a decimal number from 0 to 18446744073709551614)`},
	{`{"rate": 10}`, `{"rate": "10"}`, `line 4, column 36: tenants[1].limits.rate: want a number; did you mean 10?`},
	{`{"rate": 10}`, `{"rate": null}`, `line 4, column 36: tenants[1].limits.rate: want a number`},
	{`{"rate": 10}`, `10`, `line 4, column 27: tenants[1].limits: want an object with the keys "rate", "burst", "entities", "bytes"`},
	{`["us"]`, `"us"`, `line 3, column 66: tenants[0].residency: want a list`},
	{`["us"]`, `[null]`, `line 3, column 67: tenants[0].residency[0]: want a text in quotes`},
	{`"slots": 3`, `"slots": true`, `line 4, column 50: tenants[1].slots: want a number`},
	{`[1, 2, 1]`, `[1, "2", 1]`, `line 4, column 67: tenants[1].shards[1]: want a number; did you mean 2?`},
	{`["9", "4"]`, `["9", 4]`, `line 7, column 17: drop[1]: want a tenant ID: a decimal number in quotes; did you mean "4"?`},

	// Numbers out of range.
	{`{"rate": 10}`, `{"rate": 0}`, `line 4, column 36: tenants[1].limits.rate: 0, want 1..1000000000 operations per second`},
	{`{"rate": 10}`, `{"rate": 1000000001}`, `line 4, column 36: tenants[1].limits.rate: 1000000001, want 1..1000000000 operations per second`},
	{`{"rate": 10}`, `{"rate": -10}`, `line 4, column 36: tenants[1].limits.rate: number -10 is not a legal value here: want a whole number of 64 bits`},
	{`{"rate": 10}`, `{"rate": 1.5}`, `line 4, column 36: tenants[1].limits.rate: number 1.5 is not a legal value here: want a whole number of 64 bits`},
	{`"burst": 10`, `"burst": 1000000001`, `line 3, column 48: tenants[0].limits.burst: 1000000001, want 1..1000000000 operations, or 0 for one second of limits.rate`},
	{`"burst": 10`, `"entities": 1000000001`, `line 3, column 51: tenants[0].limits.entities: 1000000001, want 1..1000000000 entities, or 0 for the largest`},
	{`"burst": 10`, `"bytes": 100`, `line 3, column 48: tenants[0].limits.bytes: 100, want 101 (one signal) to 1000000000000000 bytes, or 0 for the largest`},
	{`"slots": 3`, `"slots": -3`, `line 4, column 50: tenants[1].slots: -3 slots, want 1..1024, or 0 for as many as shards has`},
	{`"slots": 3`, `"slots": 65537`, `line 4, column 50: tenants[1].slots: 65537 slots, want 1..1024, or 0 for as many as shards has`},
	{`[1, 2, 1]`, `[1, 4294967296, 1]`, `line 4, column 67: tenants[1].shards[1]: number 4294967296 is not a legal value here: want a whole number of 32 bits`},
	{`["us"]`, `["US"]`, `line 3, column 67: tenants[0].residency[0]: invalid region name "US": want 1..32 of a-z, 0-9 and -, the first a letter`},

	// Contradictions within the file.
	{`"id": "1"`, `"id": "8"`, `line 5, column 12: tenants[2].id: tenant 8 is there twice, first as tenants[0]`},
	{`["9", "4"]`, `["9", "8"]`, `line 7, column 17: drop[1]: tenant 8 is to be dropped, and to be there as tenants[0]`},
	{`["9", "4"]`, `["9", "9"]`, `line 7, column 17: drop[1]: tenant 9 is there twice, first as drop[0]`},
	{`["us"]`, `["us", "eu", "us"]`, `line 3, column 79: tenants[0].residency[2]: region "us" is there twice`},
	{`"slots": 3`, `"slots": 4`, `line 4, column 63: tenants[1].shards: 3 shards for 4 slots; want the shard of each slot, or none`},
	{`"slots": 3`, `"slots": 2`, `line 4, column 63: tenants[1].shards: 3 shards for 2 slots; want the shard of each slot, or none`},
	{`"burst": 2`, `"burst": 1`, `line 5, column 50: tenants[2].limits.burst: 1, want 2 or more: one operation for each of 2 slots`},
	{`"rate": 100`, `"rate": 1`, `line 5, column 36: tenants[2].limits.rate: 1, want 2 or more: one operation per second for each of 2 slots`},
	{`{"rate": 10}`, `{"rate": 2}`, `line 4, column 36: tenants[1].limits.rate: 2, want 3 or more: one operation per second for each of 3 slots`},

	// Contradictions between the file and the plane.
	{`"slots": 2`, `"shards": [1, 5]`, `line 5, column 89: tenants[2].shards[1]: 5 is no shard's id`},
	{`"slots": 2`, `"shards": [1, 3]`, `line 5, column 89: tenants[2].shards[1]: shard 3 is in region "us", which the tenant's residency [eu] forbids`},
	{`["eu"]`, `["asia"]`, `line 5, column 67: tenants[2].residency: no shard is in a region of [asia]; there are shards in [eu us]`},
	{`["eu"]`, `["eus"]`, `line 5, column 67: tenants[2].residency: no shard is in a region of [eus]; there are shards in [eu us]; did you mean ["eu"]?`},
	{`["eu"]`, `["eus", "uss"]`, `line 5, column 67: tenants[2].residency: no shard is in a region of [eus uss]; there are shards in [eu us]`},
	{file, `{"tenants": [{"id": "9", "limits": {"rate": 1}}]}`, `line 1, column 21: tenants[0].id: tenant 9 was dropped, and its ID never names other data: take another one`},
	{`"slots": 3, "shards": [1, 2, 1]`, `"slots": 2`, `line 4, column 50: tenants[1].slots: the tenant has 3 slots, which is for ever, and 2 are wanted; did you mean 3?`},
	{`"slots": 3, "shards": [1, 2, 1]`, `"shards": [1, 2]`, `line 4, column 51: tenants[1].shards: the tenant has 3 slots, which is for ever, and 2 are wanted`},
	{`, "slots": 3, "shards": [1, 2, 1]`, ``, `line 4, column 5: tenants[1]: the tenant has 3 slots, which is for ever, and 1 are wanted, as slots is not there; did you mean "slots": 3?`},
	{`[1, 2, 1]`, `[1, 2, 2]`, `line 4, column 70: tenants[1].shards[2]: slot 2 is in shard 1, and 2 is wanted; moving a slot is a migration, which is not there yet`},
	{`["us"]`, `["eu"]`, `line 3, column 66: tenants[0].residency: slot 0 is in shard 4 in region "us", which [eu] forbids; moving a slot is a migration, which is not there yet`},
}

func TestRefusals(t *testing.T) {
	p := running()
	before := string(p.Snapshot())
	for _, c := range refusals {
		if !strings.Contains(file, c.right) {
			t.Fatalf("the file has no %s", c.right)
		}
		commands, err := desired.DiffFile(p, []byte(strings.Replace(file, c.right, c.mistake, 1)))
		var field *desired.FieldError
		if !errors.As(err, &field) || !errors.Is(err, desired.ErrInvalid) || field.Line == 0 || field.Column == 0 || commands != nil {
			t.Errorf("%s for %s: %v, and %d commands; want a FieldError with a line, and none", c.mistake, c.right, err, len(commands))
			continue
		}
		if diff := cmp.Diff("invalid desired state: "+c.want, err.Error()); diff != "" {
			t.Errorf("%s for %s (-want +got):\n%s", c.mistake, c.right, diff)
		}
	}
	if string(p.Snapshot()) != before {
		t.Error("a file that was refused changed the plane")
	}
}

// A state that is wrong in a file is wrong in Go, and so are some that a file cannot express. Their
// errors have no line.
func TestRefusalsInGo(t *testing.T) {
	type state = desired.State
	for _, c := range []struct {
		change func(*state)
		want   string
	}{
		{func(s *state) { s.Tenants[1].ID = s.Tenants[0].ID }, "tenants[1].id: tenant 8 is there twice, first as tenants[0]"},
		{func(s *state) { s.Tenants[1].ID = tenant.Reserved }, `tenants[1].id: 18446744073709551615, want less: the largest number marks "no tenant"`},
		{func(s *state) { s.Tenants[1].Limits = tenant.Limits{} }, "tenants[1].limits.rate: 0, want 1..1000000000 operations per second"},
		{func(s *state) { s.Tenants[1].Shards = make([]lineage.Shard, control.MaxSlots+1) }, "tenants[1].shards: 1025 slots, want at most 1024"},
		{func(s *state) { s.Drop = []tenant.ID{4, tenant.Reserved} }, "drop[1]: not a tenant ID (want a decimal number from 0 to 18446744073709551614)"},
		{func(s *state) { s.Tenants = make([]desired.Tenant, control.MaxTenants+1) }, "tenants: 65537 tenants, want at most 65536"},
		{func(s *state) { s.Drop = make([]tenant.ID, control.MaxTenants+1) }, "drop: 65537 tenants, want at most 65536"},
	} {
		s, err := desired.Decode([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		c.change(s)
		if c.want[:4] == "tena" {
			s.Tenants[1].Slots = 0
		}
		commands, err := desired.Diff(running(), s)
		if commands != nil || err == nil || err.Error() != "invalid desired state: "+c.want || !errors.Is(err, desired.ErrInvalid) {
			t.Errorf("%d commands, and %v, want %s", len(commands), err, c.want)
		}
	}
}

func TestCausesAreWrapped(t *testing.T) {
	for mistake, want := range map[string]error{
		`{"tenants": [{"id": "1", "limits": {"rate": 0}}]}`:                         tenant.ErrConfig,
		`{"tenants": [{"id": "x", "limits": {"rate": 1}}]}`:                         tenant.ErrID,
		`{"tenants": [{"id": "1", "limits": {"rate": 1}, "residency": [""]}]}`:      tenant.ErrRegion,
		`{"tenants": [{"id": "1", "limits": {"rate": 1}, "residency": ["asia"]}]}`:  route.ErrResidency,
		`{"tenants": [{"id": "1", "limits": {"rate": 1}, "slots": 2}], "drop": []}`: tenant.ErrConfig,
	} {
		if _, err := desired.DiffFile(running(), []byte(mistake)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", mistake, err, want)
		}
	}
}

func TestDiffs(t *testing.T) {
	limits := tenant.Limits{Rate: 10}
	for _, c := range []struct {
		name  string
		state desired.State
		want  []string
	}{
		{"nothing is wanted", desired.State{}, nil},
		{"all is so", desired.State{Tenants: []desired.Tenant{{ID: 7, Limits: limits, Slots: 3}}}, nil},
		{"defaults that are written out", desired.State{Tenants: []desired.Tenant{{ID: 7, Slots: 3, Limits: tenant.Limits{
			Rate: 10, Burst: 10, Entities: tenant.MaxEntities, Bytes: tenant.MaxBytes,
		}}}}, nil},
		{"another rate", desired.State{Tenants: []desired.Tenant{{ID: 7, Limits: tenant.Limits{Rate: 11, Burst: 10}, Slots: 3}}},
			[]string{"configure base 1 tenant 7 version 2 limits {11 10 0 0} residency []"}},
		{"another burst", desired.State{Tenants: []desired.Tenant{{ID: 7, Limits: tenant.Limits{Rate: 10, Burst: 11}, Slots: 3}}},
			[]string{"configure base 1 tenant 7 version 2 limits {10 11 0 0} residency []"}},
		{"a cap on entities", desired.State{Tenants: []desired.Tenant{{ID: 7, Limits: tenant.Limits{Rate: 10, Entities: 1}, Slots: 3}}},
			[]string{"configure base 1 tenant 7 version 2 limits {10 0 1 0} residency []"}},
		{"a cap on bytes", desired.State{Tenants: []desired.Tenant{{ID: 7, Limits: tenant.Limits{Rate: 10, Bytes: 101}, Slots: 3}}},
			[]string{"configure base 1 tenant 7 version 2 limits {10 0 0 101} residency []"}},
		{"a residency that permits where it is", desired.State{Tenants: []desired.Tenant{{ID: 7, Limits: limits, Slots: 3, Residency: tenant.Residency{"eu"}}}},
			[]string{"configure base 1 tenant 7 version 2 limits {10 0 0 0} residency [eu]"}},
		{"a residency that is gone", desired.State{Tenants: []desired.Tenant{{ID: 8, Limits: tenant.Limits{Rate: 5, Burst: 9}}}},
			[]string{"configure base 3 tenant 8 version 4 limits {5 9 0 0} residency []"}},
		{"drops", desired.State{Drop: []tenant.ID{8, 9, 7, 4}}, []string{"drop-tenant tenant 7 base 1", "drop-tenant tenant 8 base 3"}},
		{"drops come last, everything else by tenant", desired.State{
			Tenants: []desired.Tenant{{ID: 30, Limits: limits}, {ID: 8, Limits: limits}, {ID: 0, Limits: limits}}, Drop: []tenant.ID{7},
		}, []string{
			"create-tenant tenant 0 version 1 limits {10 0 0 0} residency [] in shards [1]",
			"configure base 3 tenant 8 version 4 limits {10 0 0 0} residency []",
			"create-tenant tenant 30 version 1 limits {10 0 0 0} residency [] in shards [4]",
			"drop-tenant tenant 7 base 1",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			commands, err := desired.Diff(running(), &c.state)
			if err != nil {
				t.Fatal(err)
			}
			diffCommands(t, commands, c.want)
		})
	}
}

// A command decided on a tenant that another operator has changed since has no effect, and the next
// comparison starts from the changed tenant.
func TestStaleCommands(t *testing.T) {
	const state = `{"tenants": [{"id": "1", "limits": {"rate": 2}}, {"id": "8", "limits": {"rate": 6}}], "drop": ["7"]}`
	configures := func(id tenant.ID, base uint64, rate uint64) control.Command {
		return control.Command{Kind: control.Configure, Base: base, Config: tenant.Config{ID: id, Version: base + 1, Limits: tenant.Limits{Rate: rate}}}
	}
	creates := func(rate uint64, shards ...lineage.Shard) control.Command {
		return control.Command{Kind: control.CreateTenant, Config: tenant.Config{ID: 1, Version: 1, Limits: tenant.Limits{Rate: rate}}, Shards: shards}
	}
	const done = control.Done
	for _, c := range []struct {
		name     string
		others   []control.Command
		refusals []control.Refusal
		then     []string
		error    string
	}{
		{"nobody else", nil, []control.Refusal{done, done, done}, nil, ""},
		{"what is to be dropped has other limits", []control.Command{configures(7, 1, 50)}, []control.Refusal{done, done, control.Stale},
			[]string{"drop-tenant tenant 7 base 2"}, ""},
		{"what is to be dropped is being dropped", []control.Command{{Kind: control.DropTenant, Tenant: 7}}, []control.Refusal{done, done, control.Already}, nil, ""},
		{"other limits", []control.Command{configures(8, 3, 50)}, []control.Refusal{done, control.Stale, done},
			[]string{"configure base 4 tenant 8 version 5 limits {6 0 0 0} residency []"}, ""},
		{"the same limits", []control.Command{configures(8, 3, 6)}, []control.Refusal{done, control.Stale, done}, nil, ""},
		{"created with other limits", []control.Command{creates(3, 4)}, []control.Refusal{control.TenantExists, done, done},
			[]string{"configure base 1 tenant 1 version 2 limits {2 0 0 0} residency []"}, ""},
		{"created with other slots", []control.Command{creates(3, 4, 4)}, []control.Refusal{control.TenantExists, done, done}, nil,
			`tenants[0]: the tenant has 2 slots, which is for ever, and 1 are wanted, as slots is not there; did you mean "slots": 2?`},
		{"being dropped", []control.Command{{Kind: control.DropTenant, Tenant: 8}}, []control.Refusal{done, control.Dropping, done}, nil,
			"tenants[1].id: tenant 8 was dropped, and its ID never names other data: take another one"},
		{"dropped, and gone", append([]control.Command{{Kind: control.DropTenant, Tenant: 8}}, closes(running(), 8)...), []control.Refusal{done, control.TenantDropped, done}, nil,
			"tenants[1].id: tenant 8 was dropped, and its ID never names other data: take another one"},
		{"created and dropped", []control.Command{creates(3, 4), {Kind: control.DropTenant, Tenant: 1}}, []control.Refusal{control.TenantExists, done, done}, nil,
			"tenants[0].id: tenant 1 was dropped, and its ID never names other data: take another one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := running()
			s, err := desired.Decode([]byte(state))
			if err != nil {
				t.Fatal(err)
			}
			commands, err := desired.Diff(p, s)
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range c.others {
				must(p, other)
			}
			for i := range commands {
				if r := do(p, commands[i]); r.Refusal != c.refusals[i] {
					t.Errorf("%v: %v, want %v", &commands[i], r.Refusal, c.refusals[i])
				}
			}
			commands, err = desired.Diff(p, s)
			diffCommands(t, commands, c.then)
			if got := fmt.Sprint(err); err == nil && c.error != "" || err != nil && got != "invalid desired state: "+c.error {
				t.Errorf("then %s, want %s", got, c.error)
			}
		})
	}
}

// Commands share nothing with the state.
func TestCommandsKeepTheirOwnCopy(t *testing.T) {
	s := &desired.State{Tenants: []desired.Tenant{{ID: 1, Limits: tenant.Limits{Rate: 1}, Residency: tenant.Residency{"us"}, Shards: []lineage.Shard{4}}}}
	commands, err := desired.Diff(running(), s)
	if err != nil {
		t.Fatal(err)
	}
	s.Tenants[0].Residency[0], s.Tenants[0].Shards[0] = "eu", 1
	diffCommands(t, commands, []string{"create-tenant tenant 1 version 1 limits {1 0 0 0} residency [us] in shards [4]"})
}

// Another order of regions is no change.
func TestResidencyHasNoOrder(t *testing.T) {
	p := running()
	s := &desired.State{Tenants: []desired.Tenant{{ID: 7, Limits: tenant.Limits{Rate: 10}, Slots: 3, Residency: tenant.Residency{"us", "eu"}}}}
	commands, err := desired.Diff(p, s)
	if err != nil || len(commands) != 1 {
		t.Fatalf("%d commands, %v", len(commands), err)
	}
	must(p, commands[0])
	slices.Reverse(s.Tenants[0].Residency)
	if commands, err := desired.Diff(p, s); err != nil || len(commands) != 0 {
		t.Errorf("%d commands, %v", len(commands), err)
	}
}

// Homes are those that rendezvous proposes among the shards that are permitted.
func TestHomesAreProposed(t *testing.T) {
	s := &desired.State{}
	for id := range tenant.ID(6) {
		s.Tenants = append(s.Tenants, desired.Tenant{ID: id, Limits: tenant.Limits{Rate: 10}, Residency: []tenant.Residency{nil, {"eu"}, {"asia", "us"}}[id%3], Slots: 5})
	}
	commands, err := desired.Diff(running(), s)
	if err != nil {
		t.Fatal(err)
	}
	candidates := []route.Shard{{ID: 4, Region: "us", Capacity: 9}, {ID: 3, Region: "us", Capacity: 9}, {ID: 1, Region: "eu", Capacity: 9}, {ID: 2, Region: "eu", Capacity: 9}}
	for i, c := range commands {
		for slot, home := range c.Shards {
			want, err := route.Propose(c.Config.ID, lineage.Slot(slot), s.Tenants[i].Residency, candidates)
			if err != nil || home != want || len(c.Shards) != 5 {
				t.Errorf("%v: slot %d, want shard %d, %v", &c, slot, want, err)
			}
		}
	}
}

func TestBounds(t *testing.T) {
	c := founding()
	c.Tenants[0].Version = math.MaxUint64
	s := &desired.State{Tenants: []desired.Tenant{{ID: 7, Limits: tenant.Limits{Rate: 11}, Slots: 3}}}
	if _, err := desired.Diff(control.New(c), s); err == nil ||
		err.Error() != "invalid desired state: tenants[0]: the configuration in force has version 18446744073709551615, and none can follow it" {
		t.Errorf("%v", err)
	}
	s.Tenants[0].Limits.Rate = 10
	if commands, err := desired.Diff(control.New(c), s); err != nil || len(commands) != 0 {
		t.Errorf("%d commands, %v", len(commands), err)
	}

	s = &desired.State{}
	for id := tenant.ID(100); len(s.Tenants) < control.MaxTenants-3; id++ {
		s.Tenants = append(s.Tenants, desired.Tenant{ID: id, Limits: tenant.Limits{Rate: 1}})
	}
	p := running() // two tenants, and one that was dropped
	commands, err := desired.Diff(p, s)
	if err != nil || len(commands) != control.MaxTenants-3 {
		t.Fatalf("%d commands, %v", len(commands), err)
	}
	s.Tenants = append(s.Tenants, desired.Tenant{ID: 1, Limits: tenant.Limits{Rate: 1}})
	if commands, err := desired.Diff(p, s); commands != nil || err == nil ||
		err.Error() != "invalid desired state: tenants[65533]: no room for it: there are 65536 tenants at most, dropped ones included" {
		t.Errorf("%d commands, %v", len(commands), err)
	}

	if _, err := desired.Decode(make([]byte, desired.MaxFile+1)); err == nil ||
		err.Error() != "invalid desired state: line 1, column 1: 16777217 bytes, want at most 16777216" {
		t.Errorf("%v", err)
	}
}

// The file and the Go form of the example come to the same.
func TestAFileIsWorthItsGoForm(t *testing.T) {
	data, err := os.ReadFile("testdata/three-tenants.json")
	if err != nil {
		t.Fatal(err)
	}
	state, err := desired.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(threeTenants(), state); diff != "" {
		t.Errorf("the file reads as (-Go +file):\n%s", diff)
	}
	byGo, byFile := threeShards(), threeShards()
	fromGo, err := desired.Diff(byGo, threeTenants())
	if err != nil {
		t.Fatal(err)
	}
	fromFile, err := desired.DiffFile(byFile, data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromGo, fromFile); diff != "" || len(fromGo) != 3 {
		t.Errorf("%d commands (-Go +file):\n%s", len(fromGo), diff)
	}
	for i := range fromGo {
		must(byGo, fromGo[i])
		must(byFile, fromFile[i])
	}
	if string(byGo.Snapshot()) != string(byFile.Snapshot()) || len(byGo.Tenants()) != 3 {
		t.Errorf("the planes differ: %+v and %+v", byGo.Tenants(), byFile.Tenants())
	}
}
