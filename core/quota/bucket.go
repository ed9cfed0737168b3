// Package quota holds the rules that keep a tenant within its limits. They are
// pure: time is an argument and arithmetic is integer, so that replicas, the
// simulator and its checkers agree to the last nano-token.
package quota

import (
	"errors"
	"fmt"

	"github.com/tidaldb/tidalsim/core/env"
)

// Token is one signal's worth of a bucket's level. With nano-tokens a rate of r
// signals per second is r units per nanosecond, without division.
const Token = 1_000_000_000

// Bucket is a token bucket: level rises by rate units per nanosecond up to burst
// tokens, and each admitted signal takes one token.
//
// Invariant: 0 <= level <= burst * Token.
type Bucket struct {
	rate  uint64 // signals per second = nano-tokens per nanosecond
	full  int64  // nano-tokens
	level int64  // nano-tokens at instant at
	at    env.Time
}

// Restart continues a bucket at instant now from the level that the last record
// of the log carries. Nothing is minted for the time before.
func (b *Bucket) Restart(level int64, now env.Time) {
	//safety:bucket-carried by=rate on=crash-restart
	b.level = min(level, b.full)
	b.at = now
}

// Limit sets rate (signals per second) and burst (signals). A level above the
// new burst is cut; a raised burst arrives empty. A bucket that never had a limit
// starts full.
func (b *Bucket) Limit(rate, burst uint64) {
	first := b.full == 0
	b.rate, b.full = rate, int64(burst)*Token
	b.level = min(b.level, b.full)
	if first {
		b.level = b.full
	}
}

// refill brings the level to instant now.
func (b *Bucket) refill(now env.Time) {
	//safety:clock-regression-clamped by=rate on=clock-trouble
	if now <= b.at {
		return
	}
	elapsed := uint64(now - b.at)
	b.at = now
	missing := uint64(b.full - b.level)
	if elapsed > missing/b.rate {
		b.level = b.full
		return
	}
	b.level += int64(elapsed * b.rate)
}

// Take takes one token at instant now and returns the level after it. Without a
// token ok is false, nothing is taken, and wait says how long a token is away.
func (b *Bucket) Take(now env.Time) (level int64, wait env.Duration, ok bool) {
	b.refill(now)
	if b.level < Token {
		missing := uint64(Token - b.level)
		return b.level, env.Duration((missing + b.rate - 1) / b.rate), false
	}
	b.level -= Token
	return b.level, 0, true
}

// Level brings the level to instant now and returns it.
func (b *Bucket) Level(now env.Time) int64 {
	b.refill(now)
	return b.level
}

// Resource names what a quota limits.
type Resource uint8

// The resources.
const (
	SignalsPerSecond Resource = iota + 1
)

// String returns the name of r.
func (r Resource) String() string {
	if r == SignalsPerSecond {
		return "signals per second"
	}
	return fmt.Sprintf("resource-%d", uint8(r))
}

// ErrQuotaExceeded is what every refusal for a quota is, by errors.Is.
var ErrQuotaExceeded = errors.New("quota exceeded")

// ExceededError is a refusal for a quota. The attempt has no effect at all.
type ExceededError struct {
	Resource   Resource
	Limit      uint64
	Used       uint64
	RetryAfter env.Duration // when the same request may succeed; 0 if waiting does not help
}

// Error tells the limit, the use and when to come again.
func (e *ExceededError) Error() string {
	return fmt.Sprintf("%v: %s: %d used of %d; retry after %d us", ErrQuotaExceeded, e.Resource, e.Used, e.Limit, e.RetryAfter/env.Microsecond)
}

// Is makes errors.Is(e, ErrQuotaExceeded) true.
func (e *ExceededError) Is(target error) bool { return target == ErrQuotaExceeded }
