package quota

import (
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
)

// Resource names a resource that a quota limits. The numbers are part of the wire format.
type Resource uint8

// The resources, in the order in which they are checked.
const (
	SignalsPerSecond Resource = iota + 1 // operations: signals, puts, deletes
	Entities                             // live entities
	StorageBytes                         // encoded signals of live entities
)

// String returns the name of r.
func (r Resource) String() string {
	switch r {
	case SignalsPerSecond:
		return "signals per second"
	case Entities:
		return "entities"
	case StorageBytes:
		return "storage bytes"
	}
	return fmt.Sprintf("resource-%d", uint8(r))
}

// ErrQuotaExceeded is wrapped by every refusal for a quota.
var ErrQuotaExceeded = errors.New("quota exceeded")

// ExceededError is a refusal for a quota. The attempt has no effect.
type ExceededError struct {
	Resource Resource
	// Limit is the slot's share: operations per second, entities, or bytes.
	Limit uint64
	// Used is the usage of entities or bytes; it may be above a limit that was lowered. For the
	// rate it is the burst, which is used up.
	Used uint64
	// RetryAfter is the time after which the same request may succeed; 0 if waiting does not help.
	RetryAfter env.Duration
}

// Error states the limit, the use and a remedy.
func (e *ExceededError) Error() string {
	if e.Resource == SignalsPerSecond {
		return fmt.Sprintf("%v: %s: limit %d, burst of %d used up; retry after %d us",
			ErrQuotaExceeded, e.Resource, e.Limit, e.Used, (e.RetryAfter+env.Microsecond-1)/env.Microsecond)
	}
	return fmt.Sprintf("%v: %s: %d used of %d; delete entities or raise the limit", ErrQuotaExceeded, e.Resource, e.Used, e.Limit)
}

// Is makes errors.Is(e, ErrQuotaExceeded) true.
func (e *ExceededError) Is(target error) bool { return target == ErrQuotaExceeded }
