package route_test

import (
	"fmt"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

func Example() {
	table, err := route.NewTable(0, []route.Shard{
		{ID: 1, Region: "eu-west", Capacity: 100},
		{ID: 2, Region: "eu-north", Capacity: 300},
		{ID: 3, Region: "us-east", Capacity: 300},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	// A new tenant with two slots; its bytes must stay in two regions.
	residency := tenant.Residency{"eu-west", "eu-north"}
	homes := make([]route.Home, 2)
	for slot := range homes {
		homes[slot].Epoch = 1
		if homes[slot].Shard, err = route.Propose(7, lineage.Slot(slot), residency, table.Shards()); err != nil {
			fmt.Println(err)
			return
		}
	}
	if table, err = table.WithTenant(table.Version(), 7, homes); err != nil {
		fmt.Println(err)
		return
	}
	router := route.NewTenantRouter(table)
	for _, entity := range []signal.Entity{42, 43} {
		at, err := router.Route(7, entity)
		fmt.Printf("entity %d: slot %d on shard %d in %s, epoch %d; %v\n", entity, at.Slot, at.Shard, at.Region, at.Epoch, err)
	}
	_, err = route.Propose(8, 0, tenant.Residency{"ap-south"}, table.Shards())
	fmt.Println(err)
	_, err = table.WithHome(0, 7, 0, route.Home{Shard: 1, Epoch: 2})
	fmt.Println(err)
	// Output:
	// entity 42: slot 0 on shard 2 in eu-north, epoch 1; <nil>
	// entity 43: slot 1 on shard 2 in eu-north, epoch 1; <nil>
	// tenant 8 slot 0: residency allows no available shard: it allows [ap-south], shards with capacity are in [eu-north eu-west us-east]; add capacity there or allow more regions
	// stale placement version: given 0, current is 1; read the current table and decide again
}
