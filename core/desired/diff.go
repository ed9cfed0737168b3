package desired

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/tidaldb/tidalsim/core/assert"
	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/tenant"
	"github.com/tidaldb/tidalsim/internal/nearest"
)

// Diff returns the commands that bring a plane to the desired state: creations and changes by
// ascending tenant, then drops by ascending tenant. It returns none if the state holds already or
// is on its way. A change and a drop carry the version that they were decided on. If another
// operator changes the tenant first, the plane refuses them, and the next Diff looks again.
//
// If the plane cannot reach the state, the error is a *FieldError and there are no commands. The
// number of a tenant's slots never changes, and slots cannot move yet: moves are migrations.
func Diff(p *control.Plane, s *State) ([]control.Command, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	d := &diff{plane: p, room: control.MaxTenants - len(p.Tenants()) - len(p.Dropped())}
	for i := range p.Shards() {
		home := &p.Shards()[i]
		d.shards = append(d.shards, route.Shard{ID: home.ID, Region: home.Region, Capacity: 1})
	}
	var commands []control.Command
	for i := range s.Tenants {
		c, err := d.tenant(&s.Tenants[i], tenantPath(i))
		if err != nil {
			return nil, err
		}
		if c != nil {
			commands = append(commands, *c)
		}
	}
	slices.SortFunc(commands, func(a, b control.Command) int { return cmp.Compare(a.Config.ID, b.Config.ID) })
	for _, id := range slices.Sorted(slices.Values(s.Drop)) {
		if have := p.Tenant(id); have != nil && !have.Dropping {
			commands = append(commands, control.Command{Kind: control.DropTenant, Tenant: id, Base: have.Config.Version})
		}
	}
	return commands, nil
}

// diff is a comparison in progress.
type diff struct {
	plane  *control.Plane
	shards []route.Shard // of the plane: all equally good homes
	room   int           // tenants that still fit, dropped ones and creations so far included
}

// tenant returns the command that a tenant needs, nil if it needs none.
func (d *diff) tenant(t *Tenant, path string) (*control.Command, error) {
	have := d.plane.Tenant(t.ID)
	if d.plane.Tombstone(t.ID) != nil || have != nil && have.Dropping {
		return nil, wrong(path+".id", "tenant %s was dropped, and its ID never names other data: take another one", t.ID)
	}
	if err := d.homes(t, path); err != nil {
		return nil, err
	}
	if have == nil {
		return d.create(t, path)
	}
	return d.change(t, have, path)
}

// homes reports a residency without a shard, and homes that do not exist or that the residency
// forbids.
func (d *diff) homes(t *Tenant, path string) error {
	if !slices.ContainsFunc(d.shards, func(s route.Shard) bool { return t.Residency.Permits(s.Region) }) {
		return d.nowhere(t, path+".residency")
	}
	for slot, id := range t.Shards {
		path := fmt.Sprintf("%s.shards[%d]", path, slot)
		switch s := d.plane.Shard(id); {
		case s == nil:
			return wrong(path, "%d is no shard's id", id)
		case !t.Residency.Permits(s.Region):
			return wrong(path, "shard %d is in region %q, which the tenant's residency %v forbids", id, s.Region, t.Residency)
		}
	}
	return nil
}

// nowhere is the error about a residency that no shard satisfies. A single region may be misspelt;
// with several, it is unclear which.
func (d *diff) nowhere(t *Tenant, path string) error {
	var have []string
	for _, s := range d.shards {
		have = append(have, string(s.Region))
	}
	slices.Sort(have)
	have = slices.Compact(have)
	e := wrong(path, "no shard is in a region of %v; there are shards in %v", t.Residency, have)
	e.Err = route.ErrResidency
	if len(t.Residency) == 1 {
		if near := nearest.Name(string(t.Residency[0]), have); near != "" {
			e.Instead = fmt.Sprintf("[%q]", near)
		}
	}
	return e
}

func (d *diff) create(t *Tenant, path string) (*control.Command, error) {
	if d.room--; d.room < 0 {
		return nil, wrong(path, "no room for it: there are %d tenants at most, dropped ones included", control.MaxTenants)
	}
	homes := slices.Clone(t.Shards)
	for slot := len(homes); slot < t.P(); slot++ {
		home, err := route.Propose(t.ID, lineage.Slot(slot), t.Residency, d.shards)
		assert.That(err == nil, "a shard is permitted, and none is proposed: %v", err)
		homes = append(homes, home)
	}
	return &control.Command{Kind: control.CreateTenant, Config: clone(t.config(1)), Shards: homes}, nil
}

// change returns the command that configures a tenant, nil if it has the desired configuration.
func (d *diff) change(t *Tenant, have *control.Tenant, path string) (*control.Command, error) {
	if err := stays(t, have, path); err != nil {
		return nil, err
	}
	for slot, id := range have.Shards {
		if s := d.plane.Shard(id); !t.Residency.Permits(s.Region) {
			return nil, wrong(path+".residency", "slot %d is in shard %d in region %q, which %v forbids; %s", slot, id, s.Region, t.Residency, noMoves)
		}
	}
	if isAsWanted(t, &have.Config) {
		return nil, nil
	}
	version := have.Config.Version
	if version == math.MaxUint64 {
		return nil, wrong(path, "the configuration in force has version %d, and none can follow it", version)
	}
	return &control.Command{Kind: control.Configure, Base: version, Config: clone(t.config(version + 1))}, nil
}

const noMoves = "moving a slot is a migration, which is not there yet"

// stays reports slots that would have to be split or to move.
func stays(t *Tenant, have *control.Tenant, path string) error {
	if n := len(have.Shards); n != t.P() {
		e := wrong(path, "the tenant has %d slots, which is for ever, and %d are wanted", n, t.P())
		switch {
		case t.Slots != 0:
			e.Path, e.Instead = path+".slots", strconv.Itoa(n)
		case len(t.Shards) > 0:
			e.Path = path + ".shards"
		default:
			e.What += ", as slots is not there"
			e.Instead = fmt.Sprintf(`"slots": %d`, n)
		}
		return e
	}
	for slot, id := range t.Shards {
		if home := have.Shards[slot]; id != home {
			return wrong(fmt.Sprintf("%s.shards[%d]", path, slot), "slot %d is in shard %d, and %d is wanted; %s", slot, home, id, noMoves)
		}
	}
	return nil
}

// isAsWanted reports whether a configuration has the desired effect. A default that is written out
// is no change, and neither is another order of regions.
func isAsWanted(t *Tenant, have *tenant.Config) bool {
	a, b := t.Limits, have.Limits
	return a.Rate == b.Rate && a.EffectiveBurst() == b.EffectiveBurst() &&
		a.EffectiveEntities() == b.EffectiveEntities() && a.EffectiveBytes() == b.EffectiveBytes() &&
		slices.Equal(sorted(t.Residency), sorted(have.Residency))
}

func sorted(l tenant.Residency) []tenant.Region { return slices.Sorted(slices.Values(l)) }

func clone(c tenant.Config) tenant.Config {
	c.Residency = slices.Clone(c.Residency)
	return c
}
