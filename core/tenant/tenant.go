// Package tenant holds a tenant's identity and its configuration: limits and
// residency. It knows nothing of where a tenant lives.
package tenant

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// ID identifies a tenant, an agent workspace. It is a comparable, ordered,
// hashable value. In JSON it is a string, because JSON numbers lose precision
// beyond 2^53.
type ID uint64

// Default is the tenant of callers that name none.
const Default ID = 0

// Reserved is never a tenant; it marks "no tenant" in keys and on the wire.
const Reserved ID = math.MaxUint64

// ErrID is returned for text that is not a tenant ID.
var ErrID = errors.New("not a tenant ID (want a decimal number from 0 to 18446744073709551614)")

// String returns the decimal form, which is also the tenant's directory name.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// ParseID is the inverse of String: only the canonical decimal form is accepted,
// so that a directory has one tenant and a tenant one directory.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || ID(n) == Reserved || strconv.FormatUint(n, 10) != s {
		return Reserved, fmt.Errorf("tenant %q: %w", s, ErrID)
	}
	return ID(n), nil
}

// MarshalText makes an ID a string in JSON.
func (id ID) MarshalText() ([]byte, error) {
	return strconv.AppendUint(nil, uint64(id), 10), nil
}

// UnmarshalText is the inverse of MarshalText.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// Bounds of a configuration. They keep integer arithmetic exact: a full bucket in
// nano-tokens fits an int64, and a cap plus one record never wraps.
const (
	MaxRate     = 1_000_000_000         // operations per second
	MaxBurst    = 1_000_000_000         // operations
	MaxEntities = 1_000_000_000         // live entities
	MaxBytes    = 1_000_000_000_000_000 // logical bytes
	// MinBytes is the smallest cap on bytes: the encoded size of one signal. A
	// smaller one would refuse every signal for ever. Package record, which this
	// one cannot import, has a test that the two agree.
	MinBytes = 101
)

// Limits are a tenant's quotas.
type Limits struct {
	// Rate is the sustained admission rate in operations per second, 1..MaxRate.
	// Operations are signals and the creation and deletion of entities.
	Rate uint64 `json:"rate"`
	// Burst is the capacity of the token bucket in operations, 1..MaxBurst.
	// 0 means one second of Rate.
	Burst uint64 `json:"burst,omitempty"`
	// Entities is the hard cap on live entities, 1..MaxEntities. 0 means MaxEntities.
	Entities uint64 `json:"entities,omitempty"`
	// Bytes is the hard cap on logical bytes, the encoded signals of live entities,
	// MinBytes..MaxBytes. 0 means MaxBytes.
	Bytes uint64 `json:"bytes,omitempty"`
}

// EffectiveBurst is Burst, or one second of Rate when Burst is 0.
func (l Limits) EffectiveBurst() uint64 {
	if l.Burst == 0 {
		return l.Rate
	}
	return l.Burst
}

// EffectiveEntities is Entities, or MaxEntities when Entities is 0.
func (l Limits) EffectiveEntities() uint64 {
	if l.Entities == 0 {
		return MaxEntities
	}
	return l.Entities
}

// EffectiveBytes is Bytes, or MaxBytes when Bytes is 0.
func (l Limits) EffectiveBytes() uint64 {
	if l.Bytes == 0 {
		return MaxBytes
	}
	return l.Bytes
}

// Config is everything that is configured about a tenant.
type Config struct {
	ID ID `json:"id"`
	// Version counts the changes of the configuration, from 1. A slot's log
	// takes limits only from a higher version than it has.
	Version uint64 `json:"version"`
	Limits  Limits `json:"limits"`
	// Residency is where the tenant's bytes may be; empty means anywhere.
	Residency Residency `json:"residency,omitempty"`
}

// ErrConfig is wrapped by every error of Validate.
var ErrConfig = errors.New("invalid tenant configuration")

// ConfigError says which field of a tenant's configuration is out of its range.
type ConfigError struct {
	Tenant ID
	Field  string // path of the field, as in JSON: "limits.rate"
	Value  uint64
	Want   string // the legal values, with their unit
}

// Error tells the tenant, the field, its value and the legal values.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("%v: tenant %s: %s is %d, want %s", ErrConfig, e.Tenant, e.Field, e.Value, e.Want)
}

// fields are what Validate looks at, in order. The numbers of ConfigError.Number,
// which count from 1, are part of the wire format.
var fields = [...]struct{ path, want string }{
	{"id", "less: the largest number marks \"no tenant\""},
	{"version", "1 or more"},
	{"limits.rate", "1..1000000000 operations per second"},
	{"limits.burst", "1..1000000000 operations, or 0 for one second of limits.rate"},
	{"limits.entities", "1..1000000000 entities, or 0 for the largest"},
	{"limits.bytes", "101 (one signal) to 1000000000000000 bytes, or 0 for the largest"},
}

// Number returns the number by which the field crosses the wire, 0 if it has none.
func (e *ConfigError) Number() uint8 {
	for i := range fields {
		if fields[i].path == e.Field {
			return uint8(i + 1)
		}
	}
	return 0
}

// FieldError is the inverse of Number: the error about a field of t's configuration
// with the given value.
func FieldError(t ID, number uint8, value uint64) *ConfigError {
	e := &ConfigError{Tenant: t, Field: fmt.Sprintf("field %d", number), Value: value, Want: "what a newer version allows"}
	if number >= 1 && int(number) <= len(fields) {
		e.Field, e.Want = fields[number-1].path, fields[number-1].want
	}
	return e
}

// Is makes errors.Is(e, ErrConfig) true.
func (e *ConfigError) Is(target error) bool { return target == ErrConfig }

// Validate reports the first field that is out of its range, as a *ConfigError; a
// bad residency wraps ErrConfig and ErrRegion.
func (c *Config) Validate() error {
	l := &c.Limits
	for i, f := range [...]struct {
		legal bool
		value uint64
	}{
		{c.ID != Reserved, uint64(c.ID)},
		{c.Version >= 1, c.Version},
		{l.Rate >= 1 && l.Rate <= MaxRate, l.Rate},
		{l.Burst <= MaxBurst, l.Burst},
		{l.Entities <= MaxEntities, l.Entities},
		{l.Bytes == 0 || l.Bytes >= MinBytes && l.Bytes <= MaxBytes, l.Bytes},
	} {
		if !f.legal {
			return FieldError(c.ID, uint8(i+1), f.value)
		}
	}
	if err := c.Residency.Validate(); err != nil {
		return fmt.Errorf("%w: tenant %s: %w", ErrConfig, c.ID, err)
	}
	return nil
}
