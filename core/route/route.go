// Package route finds the home of an entity: slot, shard and region. It knows nothing of nodes and
// replicas.
//
// There are two steps, and only the first one is computed:
//
//	(tenant, entity) -> slot             Hash mod P, for ever
//	(tenant, slot)   -> (region, shard)  looked up in a stored, versioned Table
//
// Clients and nodes use only the hash and Propose so far: they find slots in package placement, and
// no command routes by a Table yet.
//
// Propose computes a home for a slot that has none or is to move, and the control plane stores its
// decision. The one rule to remember: the stored placement wins. A new shard, another capacity or
// another residency changes proposals, and moves nothing by itself.
package route

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/signal"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// ShardRouter routes the entities of a database without tenants.
type ShardRouter struct {
	homes []lineage.Shard // indexed by slot; P = len(homes) >= 1
}

// NewShardRouter returns the router for P = len(homes), where slot i lives on homes[i]. A P of 0 or
// above MaxPartitions is ErrPartitions.
func NewShardRouter(homes []lineage.Shard) (ShardRouter, error) {
	if err := checkPartitions(uint64(len(homes))); err != nil {
		return ShardRouter{}, err
	}
	return ShardRouter{homes: slices.Clone(homes)}, nil
}

// Route returns the slot and the shard of an entity.
func (r ShardRouter) Route(e signal.Entity) (lineage.Slot, lineage.Shard) {
	slot := slotOf(tenant.Default, e, uint32(len(r.homes)))
	return slot, r.homes[slot]
}

// Route is the home of an entity.
type Route struct {
	Slot   lineage.Slot
	Shard  lineage.Shard
	Epoch  lineage.PlacementEpoch // of the slot
	Region tenant.Region          // of the shard
}

// ErrUnplaced is wrapped by errors about a tenant or a slot without a placement.
var ErrUnplaced = errors.New("no placement")

// TenantRouter extends ShardRouter by tenants: it routes by the newest Table that it was given.
// Routers with tables of the same version give equal answers. The default tenant's entities have
// the slots that a ShardRouter of the same P gives them.
type TenantRouter struct {
	table *Table
}

// NewTenantRouter returns a router that routes by t.
func NewTenantRouter(t *Table) *TenantRouter { return &TenantRouter{table: t} }

// Version returns the version of r's table.
func (r *TenantRouter) Version() Version { return r.table.version }

// Install replaces r's table by t. A table older than r's own, from a slow coordinator, is a
// *StaleError, and r keeps its table.
func (r *TenantRouter) Install(t *Table) error {
	if t.version < r.table.version {
		return &StaleError{Given: t.version, Current: r.table.version}
	}
	r.table = t
	return nil
}

// Route returns the home of an entity of a tenant, or ErrUnplaced. It allocates only for the error.
func (r *TenantRouter) Route(id tenant.ID, e signal.Entity) (Route, error) {
	// Every row of a tenant has P, and slot 0 exists for every P.
	home := r.table.find(id, 0)
	if home == nil {
		return Route{}, unplaced(id, r.table.version)
	}
	if home.partitions > 1 {
		home = r.table.mustFind(id, slotOf(id, e, home.partitions))
	}
	return Route{
		Slot:   home.slot,
		Shard:  home.shard,
		Epoch:  home.epoch,
		Region: r.table.regions[home.region],
	}, nil
}

func unplaced(id tenant.ID, v Version) error {
	return fmt.Errorf("tenant %s in placement version %d: %w", id, v, ErrUnplaced)
}
