// Package desired turns what an operator wants of tenants into commands of the
// control plane. A State says it, as a Go value or as a file; Diff compares it with a
// plane and returns what is missing. It proposes and applies nothing itself.
//
// The one rule to remember: a tenant that a State does not mention is left alone. What
// is to go is said.
package desired

import (
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/route"
	"github.com/tidaldb/tidalsim/core/strict"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// State is what an operator wants, and what a tenants file holds. Nothing hangs on the
// order of its lists. The zero State wants nothing.
type State struct {
	// Tenants are to be there, with these limits; at most control.MaxTenants.
	Tenants []Tenant `json:"tenants"`
	// Drop are not to be there any more; at most control.MaxTenants. One that was
	// dropped before, or never was there, is as it is wanted.
	Drop []tenant.ID `json:"drop,omitempty"`
}

// Tenant is what is wanted of one tenant. Each field that is left out means its
// default, whatever the tenant has now.
type Tenant struct {
	ID     tenant.ID     `json:"id"`
	Limits tenant.Limits `json:"limits"`
	// Residency is where the tenant's bytes may be; empty means anywhere.
	Residency tenant.Residency `json:"residency,omitempty"`
	// Slots is P, the number of slots, 1..route.MaxPartitions: for ever, as entities
	// are distributed by it. 0 means as many as Shards has, or 1.
	Slots int `json:"slots,omitempty"`
	// Shards has the shard of each slot, by slot. Empty means that it does not matter:
	// a new tenant's homes are proposed by rendezvous among the shards that Residency
	// permits, and an old one's stay.
	Shards []lineage.Shard `json:"shards,omitempty"`
}

// P returns how many slots are wanted.
func (t *Tenant) P() int {
	switch {
	case t.Slots != 0:
		return t.Slots
	case len(t.Shards) > 0:
		return len(t.Shards)
	}
	return 1
}

// config is the configuration that is wanted, in a version.
func (t *Tenant) config(version uint64) tenant.Config {
	return tenant.Config{ID: t.ID, Version: version, Limits: t.Limits, Residency: t.Residency}
}

// ErrInvalid is what every error of this package is, by errors.Is.
var ErrInvalid = errors.New("invalid desired state")

// FieldError says what is wrong at one place of a State. It is of ErrInvalid.
type FieldError = strict.Error

func wrong(path, format string, operands ...any) *FieldError {
	return &FieldError{Of: ErrInvalid, Path: path, What: fmt.Sprintf(format, operands...)}
}

func caused(path string, err error) *FieldError {
	e := wrong(path, "%v", err)
	e.Err = err
	return e
}

// Validate reports the first contradiction within s as a *FieldError, in the order of
// the file. Whether a plane can come to be so, Diff finds.
func (s *State) Validate() error {
	if n := len(s.Tenants); n > control.MaxTenants {
		return wrong("tenants", "%d tenants, want at most %d", n, control.MaxTenants)
	}
	first := make(map[tenant.ID]int, len(s.Tenants))
	for i := range s.Tenants {
		t, path := &s.Tenants[i], tenantPath(i)
		if before, twice := first[t.ID]; twice {
			return wrong(path+".id", "tenant %s is there twice, first as %s", t.ID, tenantPath(before))
		}
		first[t.ID] = i
		if err := t.validate(path); err != nil {
			return err
		}
	}
	return s.validateDrop(first)
}

func tenantPath(i int) string { return fmt.Sprintf("tenants[%d]", i) }

func (s *State) validateDrop(tenants map[tenant.ID]int) error {
	if n := len(s.Drop); n > control.MaxTenants {
		return wrong("drop", "%d tenants, want at most %d", n, control.MaxTenants)
	}
	first := make(map[tenant.ID]int, len(s.Drop))
	for i, id := range s.Drop {
		path := fmt.Sprintf("drop[%d]", i)
		if id == tenant.Reserved {
			return caused(path, tenant.ErrID)
		}
		if at, configured := tenants[id]; configured {
			return wrong(path, "tenant %s is to be dropped, and to be there as %s", id, tenantPath(at))
		}
		if before, twice := first[id]; twice {
			return wrong(path, "tenant %s is there twice, first as drop[%d]", id, before)
		}
		first[id] = i
	}
	return nil
}

// validate looks at one tenant. What is out of its own range comes before what
// contradicts something else.
func (t *Tenant) validate(path string) error {
	if err := t.validateResidency(path + ".residency"); err != nil {
		return err
	}
	config := t.config(1)
	if err := config.Validate(); err != nil {
		return invalidConfig(path, err)
	}
	switch n := len(t.Shards); {
	case t.Slots < 0 || t.Slots > route.MaxPartitions:
		return wrong(path+".slots", "%d slots, want 1..%d, or 0 for as many as shards has", t.Slots, route.MaxPartitions)
	case n > route.MaxPartitions:
		return wrong(path+".shards", "%d slots, want at most %d", n, route.MaxPartitions)
	case n > 0 && n != t.P():
		return wrong(path+".shards", "%d shards for %d slots; want the shard of each slot, or none", n, t.Slots)
	}
	if err := config.ValidateSlots(t.P()); err != nil {
		return invalidConfig(path, err)
	}
	return nil
}

func (t *Tenant) validateResidency(path string) error {
	seen := make(map[tenant.Region]bool, len(t.Residency))
	for i, r := range t.Residency {
		path := fmt.Sprintf("%s[%d]", path, i)
		if err := r.Validate(); err != nil {
			return caused(path, err)
		}
		if seen[r] {
			return wrong(path, "region %q is there twice", r)
		}
		seen[r] = true
	}
	return nil
}

// invalidConfig says what is wrong with a configuration, in fewer words: the path says
// the rest.
func invalidConfig(path string, err error) error {
	var field *tenant.ConfigError
	if !errors.As(err, &field) {
		return caused(path, err)
	}
	e := wrong(path+"."+field.Field, "%d, want %s", field.Value, field.Want)
	e.Err = err
	return e
}
