package desired_test

import (
	"fmt"
	"os"
	"strings"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/desired"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// threeShards is a control plane of two shards in eu-west and one in us-east, without
// tenants.
func threeShards() *control.Plane {
	data, err := os.ReadFile("testdata/three-shards.json")
	if err != nil {
		panic(err)
	}
	cluster, err := control.DecodeCluster(data)
	if err != nil {
		panic(err)
	}
	return control.New(cluster)
}

// threeTenants is the Go form of testdata/three-tenants.json.
func threeTenants() *desired.State {
	return &desired.State{Tenants: []desired.Tenant{
		{ID: 1, Limits: tenant.Limits{Rate: 1000}, Shards: []lineage.Shard{1}},
		{
			ID: 2, Limits: tenant.Limits{Rate: 5000, Burst: 20_000, Entities: 1_000_000},
			Residency: tenant.Residency{"eu-west"}, Slots: 4,
		},
		{ID: 3, Limits: tenant.Limits{Rate: 200, Bytes: 1_000_000_000}, Residency: tenant.Residency{"us-east"}},
	}}
}

// apply prints commands and their results on a plane. Outside of an example they go through the
// meta log, which gives them their indexes.
func apply(p *control.Plane, commands []control.Command) {
	for i := range commands {
		result := p.Do(p.Index()+1, &commands[i])
		fmt.Printf("%v: refused: %v\n", &commands[i], result.Refusal)
	}
}

// Three tenants on three shards, configured through Go.
func Example() {
	plane, state := threeShards(), threeTenants()
	commands, err := desired.Diff(plane, state)
	if err != nil {
		fmt.Println(err)
		return
	}
	apply(plane, commands)

	// Nothing is missing now. One tenant gets more, and one is to go; the one that is
	// not mentioned stays.
	commands, err = desired.Diff(plane, state)
	fmt.Println(len(commands), "commands,", err)
	state.Tenants, state.Drop = state.Tenants[1:2], []tenant.ID{3}
	state.Tenants[0].Limits.Rate = 10_000
	if commands, err = desired.Diff(plane, state); err != nil {
		fmt.Println(err)
		return
	}
	apply(plane, commands)
	for _, t := range plane.Tenants() {
		fmt.Printf("tenant %v: version %d, rate %d, in shards %v, dropping: %v\n", t.Config.ID, t.Config.Version, t.Config.Limits.Rate, t.Shards, t.Dropping)
	}
	// Output:
	// create-tenant tenant 1 version 1 limits {1000 0 0 0} residency [] in shards [1]: refused: none
	// create-tenant tenant 2 version 1 limits {5000 20000 1000000 0} residency [eu-west] in shards [2 2 2 1]: refused: none
	// create-tenant tenant 3 version 1 limits {200 0 0 1000000000} residency [us-east] in shards [3]: refused: none
	// 0 commands, <nil>
	// configure base 1 tenant 2 version 2 limits {10000 20000 1000000 0} residency [eu-west]: refused: none
	// drop-tenant tenant 3 base 1: refused: none
	// tenant 1: version 1, rate 1000, in shards [1], dropping: false
	// tenant 2: version 2, rate 10000, in shards [2 2 2 1], dropping: false
	// tenant 3: version 1, rate 200, in shards [3], dropping: true
}

// The same three tenants, configured through a file.
func ExampleDiffFile() {
	plane := threeShards()
	file, err := os.ReadFile("testdata/three-tenants.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	commands, err := desired.DiffFile(plane, file)
	if err != nil {
		fmt.Println(err)
		return
	}
	apply(plane, commands)
	again, err := desired.DiffFile(plane, file)
	fmt.Println(len(again), "commands,", err)
	// Output:
	// create-tenant tenant 1 version 1 limits {1000 0 0 0} residency [] in shards [1]: refused: none
	// create-tenant tenant 2 version 1 limits {5000 20000 1000000 0} residency [eu-west] in shards [2 2 2 1]: refused: none
	// create-tenant tenant 3 version 1 limits {200 0 0 1000000000} residency [us-east] in shards [3]: refused: none
	// 0 commands, <nil>
}

// A file in which anything is wrong is refused whole, whether the mistake shows in the
// file alone or only beside the plane.
func ExampleDiffFile_refused() {
	file, err := os.ReadFile("testdata/three-tenants.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, mistake := range []struct{ right, wrong string }{
		{`"burst": 20000`, `"bust": 20000`},
		{`"burst": 20000`, `"burst": 3`},
		{`"us-east"`, `"us-eats"`},
		{`"slots": 4`, `"shards": [1, 3]`},
	} {
		text := strings.Replace(string(file), mistake.right, mistake.wrong, 1)
		commands, err := desired.DiffFile(threeShards(), []byte(text))
		fmt.Printf("%d commands\n%v\n", len(commands), err)
	}
	// Output:
	// 0 commands
	// invalid desired state: line 10, column 32: tenants[1].limits: unknown key "bust"; did you mean "burst"?
	// 0 commands
	// invalid desired state: line 10, column 41: tenants[1].limits.burst: 3, want 4 or more: one operation for each of 4 slots
	// 0 commands
	// invalid desired state: line 17, column 20: tenants[2].residency: no shard is in a region of [us-eats]; there are shards in [eu-west us-east]; did you mean ["us-east"]?
	// 0 commands
	// invalid desired state: line 12, column 21: tenants[1].shards[1]: shard 3 is in region "us-east", which the tenant's residency [eu-west] forbids
}
