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

// Bounds of a configuration. They keep the limiter's integer arithmetic exact:
// a full bucket in nano-tokens fits an int64.
const (
	MaxRate  = 1_000_000_000 // signals per second
	MaxBurst = 1_000_000_000 // signals
)

// Limits are a tenant's quotas.
type Limits struct {
	// Rate is the sustained admission rate in signals per second, 1..MaxRate.
	Rate uint64 `json:"rate"`
	// Burst is the capacity of the token bucket in signals, 1..MaxBurst.
	// 0 means one second of Rate.
	Burst uint64 `json:"burst,omitempty"`
}

// EffectiveBurst is Burst, or one second of Rate when Burst is 0.
func (l Limits) EffectiveBurst() uint64 {
	if l.Burst == 0 {
		return l.Rate
	}
	return l.Burst
}

// Config is everything that is configured about a tenant.
type Config struct {
	ID ID `json:"id"`
	// Version counts the changes of the configuration, from 1. A slot's log
	// takes limits only from a higher version than it has.
	Version uint64 `json:"version"`
	Limits  Limits `json:"limits"`
}

// ErrConfig is wrapped by every error of Validate.
var ErrConfig = errors.New("invalid tenant configuration")

// Validate reports the first field that is out of its range.
func (c *Config) Validate() error {
	switch {
	case c.ID == Reserved:
		return fmt.Errorf("%w: id %s is reserved", ErrConfig, c.ID)
	case c.Version == 0:
		return fmt.Errorf("%w: tenant %s: version is 0, want 1 or more", ErrConfig, c.ID)
	case c.Limits.Rate == 0 || c.Limits.Rate > MaxRate:
		return fmt.Errorf("%w: tenant %s: limits.rate is %d, want 1..%d signals/s", ErrConfig, c.ID, c.Limits.Rate, uint64(MaxRate))
	case c.Limits.Burst > MaxBurst:
		return fmt.Errorf("%w: tenant %s: limits.burst is %d, want at most %d signals", ErrConfig, c.ID, c.Limits.Burst, uint64(MaxBurst))
	}
	return nil
}
