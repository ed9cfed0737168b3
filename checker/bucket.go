package checker

import "math/bits"

// nano is one token in the unit of all buckets. A rate of r tokens per second is
// r nano-tokens per nanosecond, so refilling is exact.
const nano = 1_000_000_000

// ppm is one in parts per million.
const ppm = 1_000_000

// envelope is the virtual bucket that decides R3: its capacity is burst + 1 and
// it refills at rate * (1 + rho) in true time. A sequence of takes overdraws it
// exactly if some window w ends there in which more than
// burst + rate * w * (1 + rho) + 1 were taken.
//
// Invariant: level + part/ppm <= capacity; 0 <= part < ppm.
type envelope struct {
	capacity int64  // nano-tokens
	level    int64  // nano-tokens; negative if overdrawn
	part     uint64 // millionths of a nano-token beyond level
	speed    uint64 // millionths of a nano-token per ns
	at       int64  // true time, ns, up to which it is refilled
	fresh    bool   // it is full: the window that matters begins at the next take
	from     int64  // when that window began
	taken    int    // in that window
}

func newEnvelope(rate, burst uint64, driftPPM int64) envelope {
	e := envelope{fresh: true}
	e.set(rate, burst, driftPPM)
	e.level = e.capacity
	return e
}

// set changes the limits. The level stays, up to the new capacity.
func (e *envelope) set(rate, burst uint64, driftPPM int64) {
	e.capacity = int64(burst+1) * nano
	e.speed = rate * uint64(ppm+driftPPM)
	if e.level >= e.capacity {
		e.level, e.part, e.fresh = e.capacity, 0, true
	}
}

// refill moves on to instant at, which is not before the last one.
func (e *envelope) refill(at int64) {
	high, low := bits.Mul64(e.speed, uint64(at-e.at))
	low, carry := bits.Add64(low, e.part, 0)
	high += carry
	e.at = at
	missing := uint64(e.capacity - e.level)
	if high < ppm {
		if gain, rest := bits.Div64(high, low, ppm); gain < missing {
			e.level += int64(gain)
			e.part = rest
			return
		}
	}
	e.level, e.part, e.fresh = e.capacity, 0, true
}

// take takes one token at instant at and reports whether it was there.
func (e *envelope) take(at int64) bool {
	e.refill(at)
	if e.fresh {
		e.fresh, e.from, e.taken = false, at, 0
	}
	e.taken++
	e.level -= nano
	return e.level >= 0
}

// limiter is the node's own bucket, computed once more: it refills in the node's
// monotonic time, and a clock that steps back gives nothing twice.
//
// Invariant: 0 <= level <= burst*nano while known.
type limiter struct {
	known bool
	idle  bool   // its slot has no share yet, so nothing is admitted: then it is not known
	level int64  // nano-tokens
	since int64  // the node's clock, ns: the latest instant seen
	rate  uint64 // nano-tokens per ns
	full  int64  // nano-tokens
}

func (l *limiter) set(rate, burst uint64) {
	l.rate, l.full = rate, int64(burst)*nano
	l.level = min(l.level, l.full)
}

// now returns the level at instant local.
func (l *limiter) now(local int64) int64 {
	if local <= l.since {
		return l.level
	}
	high, gain := bits.Mul64(l.rate, uint64(local-l.since))
	l.since = local
	if high != 0 || gain >= uint64(l.full-l.level) {
		l.level = l.full
	} else {
		l.level += int64(gain)
	}
	return l.level
}
