package control

import (
	"github.com/tidaldb/tidalsim/core/strict"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// DecodeCluster reads a cluster from JSON, as package strict does, and validates it.
// Every error is a *FieldError with line and column.
func DecodeCluster(data []byte) (*Cluster, error) {
	c := new(Cluster)
	read, err := strict.Decode(data, ErrCluster, clusterShape(), c)
	if err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, read.Locate(err)
	}
	return c, nil
}

func clusterShape() strict.Shape {
	id, region, numbers := strict.Required("id", strict.Number()), strict.Required("region", strict.Text()), strict.List(strict.Number())
	return strict.Object(
		strict.Required("meta", numbers),
		strict.Required("nodes", strict.List(strict.Object(id, region, strict.Optional("directory", strict.Text())))),
		strict.Required("shards", strict.List(strict.Object(id, region, strict.Required("replicas", numbers)))),
		strict.Optional("tenants", strict.List(strict.Object(
			strict.Required("id", tenant.IDShape()), strict.Required("version", strict.Number()),
			strict.Required("limits", tenant.LimitsShape()), strict.Optional("residency", tenant.ResidencyShape()),
			strict.Required("shards", numbers),
		))),
	)
}
