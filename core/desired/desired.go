// Package desired turns the tenants that an operator wants into commands of the control plane. A
// State describes them, as a Go value or as a file. Diff compares a State with a plane and returns
// the missing commands; it neither proposes nor applies them.
//
// The one rule to remember: a tenant that a State does not mention is left alone. A State names the
// tenants to drop.
package desired

import (
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/control"
	"github.com/tidaldb/tidalsim/core/lineage"
	"github.com/tidaldb/tidalsim/core/strict"
	"github.com/tidaldb/tidalsim/core/tenant"
)

// State is an operator's desired state, and the content of a tenants file. The order of its lists
// does not matter. The zero State changes nothing.
type State struct {
	// Tenants should exist with these limits; at most control.MaxTenants.
	Tenants []Tenant `json:"tenants"`
	// Drop lists the tenants that should not exist; at most control.MaxTenants. A tenant that was
	// dropped before or never existed needs no command.
	Drop []tenant.ID `json:"drop,omitempty"`
}

// Tenant is the desired configuration of one tenant. A field that is left out means its default,
// even if the tenant has another value now.
type Tenant struct {
	ID     tenant.ID     `json:"id"`
	Limits tenant.Limits `json:"limits"`
	// Residency lists the regions that may hold the tenant's bytes; empty means all.
	Residency tenant.Residency `json:"residency,omitempty"`
	// Slots is P, the number of slots, 1..control.MaxSlots. It never changes, because entities are
	// distributed by it. 0 means as many as Shards has, or 1.
	Slots int `json:"slots,omitempty"`
	// Shards has the shard of each slot, by slot. If it is empty, the shards of a new tenant are
	// proposed by rendezvous among those that Residency permits, and an existing tenant keeps its
	// shards.
	Shards []lineage.Shard `json:"shards,omitempty"`
}

// P returns the desired number of slots.
func (t *Tenant) P() int {
	switch {
	case t.Slots != 0:
		return t.Slots
	case len(t.Shards) > 0:
		return len(t.Shards)
	}
	return 1
}

// config returns the desired configuration, with a version.
func (t *Tenant) config(version uint64) tenant.Config {
	return tenant.Config{ID: t.ID, Version: version, Limits: t.Limits, Residency: t.Residency}
}

// ErrInvalid is wrapped by every error of this package.
var ErrInvalid = errors.New("invalid desired state")

// FieldError describes the error at one place of a State. It wraps ErrInvalid.
type FieldError = strict.Error

func wrong(path, format string, operands ...any) *FieldError {
	return &FieldError{Of: ErrInvalid, Path: path, What: fmt.Sprintf(format, operands...)}
}

func caused(path string, err error) *FieldError {
	e := wrong(path, "%v", err)
	e.Err = err
	return e
}

// Validate reports the first contradiction within s as a *FieldError, in the order of the file.
// Diff reports conflicts with a plane.
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

// validate checks one tenant. It reports a value out of its own range before a contradiction
// between values.
func (t *Tenant) validate(path string) error {
	if err := t.validateResidency(path + ".residency"); err != nil {
		return err
	}
	config := t.config(1)
	if err := config.Validate(); err != nil {
		return invalidConfig(path, err)
	}
	switch n := len(t.Shards); {
	case t.Slots < 0 || t.Slots > control.MaxSlots:
		return wrong(path+".slots", "%d slots, want 1..%d, or 0 for as many as shards has", t.Slots, control.MaxSlots)
	case n > control.MaxSlots:
		return wrong(path+".shards", "%d slots, want at most %d", n, control.MaxSlots)
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

// invalidConfig describes the error of a configuration in fewer words: the path has the rest.
func invalidConfig(path string, err error) error {
	var field *tenant.ConfigError
	if !errors.As(err, &field) {
		return caused(path, err)
	}
	e := wrong(path+"."+field.Field, "%d, want %s", field.Value, field.Want)
	e.Err = err
	return e
}
