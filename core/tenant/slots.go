package tenant

import "fmt"

// ValidateSlots reports limits that are too small for a tenant of so many slots, as a
// *ConfigError. Each slot decides by a whole-numbered share of rate and burst, all
// shares together at most the limit; without one operation of each it would refuse
// every change for ever.
func (c *Config) ValidateSlots(slots int) error {
	for _, f := range [...]struct {
		field       string
		value, have uint64
		unit        string
	}{
		{"limits.rate", c.Limits.Rate, c.Limits.Rate, "operation per second"},
		{"limits.burst", c.Limits.Burst, c.Limits.EffectiveBurst(), "operation"},
	} {
		if f.have < uint64(slots) {
			return &ConfigError{Tenant: c.ID, Field: f.field, Value: f.value, Want: fmt.Sprintf("%d or more: one %s for each of %d slots", slots, f.unit, slots)}
		}
	}
	return nil
}
