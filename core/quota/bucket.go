// Package quota holds the rules that keep a tenant within its limits. They are pure: time is an
// argument and arithmetic is integer, so that replicas, the simulator and its checkers agree to the
// last nano-token.
package quota

import "github.com/tidaldb/tidalsim/core/env"

// Token is the cost of one operation in a bucket's level. In nano-tokens, a rate of r operations
// per second is r units per nanosecond, without division. Operations are the changes that clients
// make to a slot's log: signals, and the creation and deletion of entities. Sessions, configuration
// and all internal traffic are free.
const Token = 1_000_000_000

// Bucket is a token bucket: level rises by rate units per nanosecond up to burst tokens, and each
// admitted operation takes one token. The zero value has no limit yet and admits nothing.
//
// Invariant: 0 <= level <= burst * Token.
type Bucket struct {
	rate  uint64 // operations per second = nano-tokens per nanosecond
	full  int64  // nano-tokens
	level int64  // nano-tokens at instant at
	at    env.Time
}

// Restart continues a bucket at instant now from the level in the log's last record. It adds no
// tokens for the time before.
func (b *Bucket) Restart(level int64, now env.Time) {
	// The level continues from the log: a restart mints no tokens.
	//safety:bucket-carried by=rate on=crash-restart
	b.level = min(level, b.full)
	b.at = now
}

// Limit sets rate (operations per second) and burst (operations). A level above the
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
	// A clock that steps back earns no time twice.
	//safety:clock-regression-clamped by=rate on=clock-trouble
	if now <= b.at {
		return
	}
	elapsed := uint64(now - b.at)
	b.at = now
	if b.rate == 0 {
		return
	}
	missing := uint64(b.full - b.level)
	if elapsed > missing/b.rate {
		b.level = b.full
		return
	}
	b.level += int64(elapsed * b.rate)
}

// Take takes one token at instant now and returns the level after it. Without a token ok is false,
// it takes nothing, and wait is the time until there is one; 0 if there never is.
func (b *Bucket) Take(now env.Time) (level int64, wait env.Duration, ok bool) {
	b.refill(now)
	if b.level < Token {
		return b.level, b.wait(), false
	}
	b.level -= Token
	return b.level, 0, true
}

// wait returns how long a bucket below one token needs to have one.
func (b *Bucket) wait() env.Duration {
	if b.rate == 0 {
		return 0
	}
	missing := uint64(Token - b.level)
	return env.Duration((missing + b.rate - 1) / b.rate)
}

// Level brings the level to instant now and returns it.
func (b *Bucket) Level(now env.Time) int64 {
	b.refill(now)
	return b.level
}

// Full returns the level of a full bucket.
func (b *Bucket) Full() int64 { return b.full }
