package scenarios

import (
	"slices"
	"strings"

	"github.com/tidaldb/tidalsim/core/env"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/core/wal"
	disks "github.com/tidaldb/tidalsim/sim/disk"
)

// The observer of residencies notes which residency of each tenant is in force, and which bytes of
// the tenant are on disks where it may not be. A residency is in force from the instant at which a
// member of the meta log applies the entry with it.

// residencyView is the observer's knowledge of residencies.
type residencyView struct {
	changes bool   // operators change residencies
	index   uint64 // the entry of the meta log up to which they are noted
}

// changesResidency reports whether an operator of the plan changes a residency.
func (p *Plan) changesResidency() bool {
	return slices.ContainsFunc(p.Workload.Operators, func(o OperatorPlan) bool {
		return slices.ContainsFunc(o.Commands, func(c CommandPlan) bool { return c.Residency != nil })
	})
}

// noteResidency notes the residencies that were decided since the last call. It is called before
// anything else about a disk operation or a message is noted, so that no byte is judged by a
// residency that was over.
func (o *observer) noteResidency() {
	if !o.residency.changes {
		return
	}
	plane, applied := o.groups.plane()
	if uint64(applied.Index) <= o.residency.index {
		return
	}
	o.residency.index = uint64(applied.Index)
	changes := false
	for i := range plane.Tenants() {
		c := &plane.Tenants()[i].Config
		if o.run.Residency.Decided(c.ID, c.Version, c.Residency, o.world.Time()) {
			changes = true
		}
	}
	if changes {
		o.looksAtAllDisks()
	}
}

// toldOf notes that an operator was told that a configuration is in force.
func (o *observer) toldOf(c *tenant.Config) {
	if o.residency.changes {
		o.noteResidency()
		o.run.Residency.Told(c.ID, c.Version, c.Residency, o.world.Time())
	}
}

func (o *observer) looksAtAllDisks() {
	for id := range o.nodes {
		o.looksAtRest(env.ID(id))
	}
}

// looksAtRest notes the tenants with files on a node's disk, as the node would find them. The node
// may be down. A crash brings back the files that were not removed durably, and so does an older
// copy of the disk. So the observer looks again at each start of a node.
func (o *observer) looksAtRest(id env.ID) {
	if !o.run.Residency.Limited() {
		return
	}
	disk := o.world.Disk(id)
	o.names = disk.AppendList(o.names[:0], wal.TenantsDir)
	for _, name := range o.names {
		t, err := tenant.ParseID(strings.TrimSuffix(name, "/"))
		if err != nil {
			continue
		}
		path := wal.TenantDir(t)
		if !o.run.Residency.Permits(t, uint32(id)) { // an empty directory has no bytes of the tenant
			files := disk.Files()
			i := slices.IndexFunc(files, func(f disks.File) bool { return strings.HasPrefix(f.Path, path+"/") })
			if i < 0 {
				continue
			}
			path = files[i].Path
		}
		o.run.Residency.Rests(t, uint32(id), path, o.world.Time())
	}
}
