// Package clock gives each process its own view of time: a monotonic clock with an arbitrary origin
// and a drift, and a wall clock that may step. Only the simulator knows true time.
package clock

import "github.com/tidaldb/tidalsim/core/env"

const million = 1_000_000

// Clock is one process's view of time. All fields are nanoseconds or parts per
// million. The zero value is true time with origin 0.
type Clock struct {
	Start      int64 // true time since which it runs at this rate: the process's start or later
	Origin     int64 // monotonic reading at Start
	DriftPPM   int64 // +100 runs 100 ppm fast; |DriftPPM| < 1,000,000
	Stepped    int64 // sum of the steps of a broken monotonic clock; <= 0
	WallOffset int64 // wall clock minus true time
}

// Local returns the monotonic reading at true time t >= Start.
func (c *Clock) Local(t int64) env.Time {
	d := t - c.Start
	return env.Time(c.Origin + c.Stepped + d + scale(d, c.DriftPPM))
}

// SetDrift changes the rate from true time t >= Start on. The reading at t stays.
func (c *Clock) SetDrift(t, ppm int64) {
	if ppm == c.DriftPPM {
		return
	}
	c.Origin = int64(c.Local(t)) - c.Stepped
	c.Start, c.DriftPPM = t, ppm
}

// Wall returns the wall clock's reading at true time t.
func (c *Clock) Wall(t int64) env.WallTime { return env.WallTime(t + c.WallOffset) }

// True returns the earliest true time >= Start at which the monotonic clock reads
// at least local, if it does not step before.
func (c *Clock) True(local env.Time) int64 {
	d := int64(local) - c.Origin - c.Stepped
	switch {
	case d <= 0:
		return c.Start
	case c.DriftPPM == 0:
		return c.Start + d
	}
	// First guess by the inverse of 1+drift, then walk the last nanoseconds:
	// scale truncates, so the guess is off by at most a few.
	t := c.Start + d - divide(d, c.DriftPPM)
	for t > c.Start && c.Local(t-1) >= local {
		t--
	}
	for c.Local(t) < local {
		t++
	}
	return t
}

// scale returns d * ppm / 1e6 without overflow.
func scale(d, ppm int64) int64 {
	if ppm == 0 { // most clocks; a division costs as much as a hash
		return 0
	}
	return d/million*ppm + d%million*ppm/million
}

// divide returns d * ppm / (1e6 + ppm): how far a clock with that drift is ahead when it has shown
// d.
func divide(d, ppm int64) int64 {
	den := million + ppm
	return d/den*ppm + d%den*ppm/den
}
